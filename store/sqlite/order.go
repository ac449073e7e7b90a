package sqlite

import "slices"

// doubled returns s with room for one more. It doubles the capacity: append adds only a
// quarter to a large slice, so it copies more often, and each copy is memory that is used
// only once.
func doubled[T any](s []T) []T {
	if len(s) == cap(s) {
		s = slices.Grow(s, max(256, len(s)))
	}
	return s
}

// emptied returns s without its elements, for the next batch to fill. Where this batch used
// little of it, it lets the memory go, so that the largest batch does not decide for ever.
func emptied[T any](s []T) []T {
	if isLarge(s, len(s)) {
		return nil
	}
	return s[:0]
}

// isLarge reports whether s has much more room than for n elements.
func isLarge[T any](s []T, n int) bool { return cap(s) > 4096 && n < cap(s)/8 }

// keyed is the place of something in a list, and the number that the list is sorted by.
type keyed struct {
	key uint64
	at  uint32
}

// sorting sorts lists by numbers, and uses its memory again for the next list.
type sorting struct {
	list, room []keyed
	most       int // elements that were sorted at a time since the last call of rest
}

// rest is called between batches.
func (s *sorting) rest() {
	if isLarge(s.list, s.most) {
		s.list, s.room = nil, nil
	}
	s.most = 0
}

// of returns an unsorted list of the places 0 to n-1. The caller sets the keys, then calls sort.
func (s *sorting) of(n int) []keyed {
	if n > cap(s.list) {
		s.list, s.room = make([]keyed, n, n+n/4), make([]keyed, n, n+n/4)
	}
	s.list, s.room, s.most = s.list[:n], s.room[:n], max(s.most, n)
	for i := range s.list {
		s.list[i].at = uint32(i)
	}
	return s.list
}

// sort sorts the list by its keys, byte by byte, and returns it. Places with the same key
// stay in order. The list is valid until the next call of of or sort.
func (s *sorting) sort() []keyed {
	var counts [8][256]uint32
	for i := range s.list {
		k := s.list[i].key
		for b := range counts {
			counts[b][byte(k>>(8*b))]++
		}
	}
	for b := range counts {
		count := &counts[b]
		if len(s.list) == 0 || int(count[byte(s.list[0].key>>(8*b))]) == len(s.list) {
			continue // all keys have the same byte
		}
		next := uint32(0)
		for i, n := range count {
			count[i], next = next, next+n
		}
		for _, k := range s.list {
			n := &count[byte(k.key>>(8*b))]
			s.room[*n] = k
			*n++
		}
		s.list, s.room = s.room, s.list
	}
	return s.list
}
