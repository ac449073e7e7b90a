package sqlite

import "slices"

// labelled is a list of failures, each with its place and label.
type labelled []placeLabel

type placeLabel struct{ place, label int32 }

// byPlace holds the labels of such a list, sorted by place.
type byPlace struct {
	places []int32 // the places with labels
	starts []int32 // labels of places[i] start at starts[i]; one more element at the end
	labels []int32
}

// sorted sorts a list; n is the number of places.
func (l labelled) sorted(n int) *byPlace {
	ends := make([]int32, n)
	for _, e := range l {
		ends[e.place]++
	}
	s := &byPlace{labels: make([]int32, len(l))}
	sum := int32(0)
	for p, count := range ends {
		if count > 0 {
			s.places, s.starts = append(s.places, int32(p)), append(s.starts, sum)
		}
		ends[p] = sum
		sum += count
	}
	s.starts = append(s.starts, sum)
	for _, e := range l {
		s.labels[ends[e.place]] = e.label
		ends[e.place]++
	}
	return s
}

// eachPart calls each with the different labels at the places of a part; n[label] is how
// often each occurred. Both lists are valid until each returns.
func (s *byPlace) eachPart(g *grouping, each func(part int32, labels []int32, n []int64)) {
	order := s.byPart(g)
	n := make([]int64, len(g.cat.labels))
	var found []int32
	for i := 0; i < len(order); {
		part := g.parts[s.places[order[i]]]
		found = found[:0]
		for ; i < len(order) && g.parts[s.places[order[i]]] == part; i++ {
			for _, label := range s.labels[s.starts[order[i]]:s.starts[order[i]+1]] {
				if n[label] == 0 {
					found = append(found, label)
				}
				n[label]++
			}
		}
		each(part, found, n)
		for _, label := range found {
			n[label] = 0
		}
	}
}

// byPart returns the indexes of s.places, sorted by part.
func (s *byPlace) byPart(g *grouping) []int32 {
	ends := make([]int32, max(1, len(g.combos.list)))
	for _, p := range s.places {
		ends[g.parts[p]]++
	}
	sum := int32(0)
	for i, count := range ends {
		ends[i] = sum
		sum += count
	}
	order := make([]int32, len(s.places))
	for i, p := range s.places {
		end := &ends[g.parts[p]]
		order[*end] = int32(i)
		*end++
	}
	return order
}

// tops holds the most frequent code, reason and label of a group; among equals, the one
// that sorts first.
type tops struct {
	n                   int64 // 0: the group has no failures
	code, reason, label int32
}

// findTops finds the most frequent code, reason and label of the groups of g. It also calls
// also, unless it is nil, with the parts of g as eachPart does.
func (g *grouping) findTops(s *byPlace, also func(part int32, labels []int32, n []int64)) {
	codes, reasons := make([]int64, len(g.cat.codes)), make([]int64, len(g.cat.reasons))
	var keys []int64
	s.eachPart(g, func(part int32, labels []int32, n []int64) {
		if also != nil {
			also(part, labels, n)
		}
		if len(g.ofLabel) == 0 {
			g.at(part).tops = g.cat.topsOf(labels, n, codes, reasons)
			return
		}
		keys = keys[:0]
		for _, label := range labels {
			keys = append(keys, int64(g.group(part, label))<<32|int64(label))
		}
		slices.Sort(keys)
		for i := 0; i < len(keys); {
			group, first := keys[i]>>32, i
			for ; i < len(keys) && keys[i]>>32 == group; i++ {
				labels[i] = int32(keys[i])
			}
			g.at(int32(group)).tops = g.cat.topsOf(labels[first:i], n, codes, reasons)
		}
	})
}

// topsOf returns the most frequent of some labels; n[label] is how often each occurred.
// codes and reasons are buffers that are 0 before and after the call.
func (c *catalog) topsOf(labels []int32, n, codes, reasons []int64) tops {
	for _, i := range labels {
		codes[c.labels[i].nCode] += n[i]
		reasons[c.labels[i].nReason] += n[i]
	}
	t := tops{label: labels[0], code: c.labels[labels[0]].nCode, reason: c.labels[labels[0]].nReason}
	for _, i := range labels {
		l, best := &c.labels[i], &c.labels[t.label]
		t.n += n[i]
		if n[i] > n[t.label] || n[i] == n[t.label] && l.both < best.both {
			t.label = i
		}
		if m := codes[l.nCode]; m > codes[t.code] || m == codes[t.code] && l.code < c.codes[t.code] {
			t.code = l.nCode
		}
		if m := reasons[l.nReason]; m > reasons[t.reason] ||
			m == reasons[t.reason] && l.reason < c.reasons[t.reason] {
			t.reason = l.nReason
		}
	}
	for _, i := range labels {
		codes[c.labels[i].nCode], reasons[c.labels[i].nReason] = 0, 0
	}
	return t
}

// spread counts the domains in which something occurred, and holds the domain with the most
// of it.
type spread struct {
	domains int64
	top     string
	n       int64
}

func (s *spread) add(domain string, n int64) {
	s.domains++
	if n > s.n || n == s.n && domain < s.top {
		s.top, s.n = domain, n
	}
}

// spreads returns the spread of each label.
func (c *counter) spreads(s *byPlace) []spread {
	list := make([]spread, len(c.cat.labels))
	s.eachPart(c.domains, func(part int32, labels []int32, n []int64) {
		spreadOver(list, c.domains.firstOf(part), labels, n)
	})
	return list
}

// spreadOver adds the labels of one domain to a list by label.
func spreadOver(list []spread, domain string, labels []int32, n []int64) {
	for _, label := range labels {
		list[label].add(domain, n[label])
	}
}
