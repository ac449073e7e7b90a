package sqlite

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"mailfail/registry"
	"mailfail/store"
)

// A timeline by hours of a large site would read its counts minute by minute: series hardly
// repeat within an hour, so that sums by hour and series are as many. For days that are
// over, the Writer therefore also keeps sums by hour for what is common to many series: the
// host, and one of the sender, the domain or the relay. A class is one of these choices.
//
// The sums are stored among the segments; their ids are those of hoursID. They are written
// and removed together with the sums of days. A day may lack those of a class.
const (
	hoursOfHost = iota // of the host alone; the other classes add one more name
	hoursOfSender
	hoursOfDomain
	hoursOfRelay
	hourClasses
)

// hoursDone is written in place of a class when the sums of a day are there.
const hoursDone = hourClasses

// The columns of a block of keys; each key has 24 rows in the block of numbers that follows.
const (
	hourFormat = iota
	hourHost
	hourInstance
	hourDirection // ownDirection for messages that servers made themselves
	hourValue     // name of the class; in that of hosts ''
	hourKeyColumns
)

// The columns of a block of numbers. They are differences where fields are nearly the same,
// so that most columns are 0 nearly throughout.
const (
	hourDelivered = iota
	hourRetried   // delivered less recipients
	hourSuspended
	hourHanded
	hourAccepted
	hourUntried // accepted less heard
	hourColumns
)

const (
	hoursPerDay = 24
	hourKeysMax = 1 << 11 // keys in a block
	hourParts   = 16      // blocks of a class and a day at most

	// mostHourKeys is how many keys of a class are summed up on a day: more take much memory.
	mostHourKeys = 1 << 14
	// fewestSummed is how many counts a sum must stand for, on average.
	fewestSummed = 4
)

// fewestCounts is the number of counts from which a day has sums of more than hosts. Fewer
// are read at once, and such sums would be nearly as many.
var fewestCounts = 1 << 17

// hoursID returns the id of a block of keys; that of its numbers follows.
func hoursID(day int64, class, part int) int64 {
	return (day*(hourClasses+1)+int64(class))*2*hourParts + 2*int64(part)
}

// hourKey identifies a sum by hours.
type hourKey [hourKeyColumns]int32

func (s *series) hourKey(class int) hourKey {
	direction := int32(s.direction)
	if s.own {
		direction = ownDirection
	}
	value := [hourClasses]int32{emptyName, s.sender, s.domain, s.relay}[class]
	return hourKey{s.format, s.host, s.instance, direction, value}
}

// hourSums adds up the hours of a day.
type hourSums struct {
	series  []series // all
	places  []int32  // in series by id, plus 1; 0: none
	classes [hourClasses]hourClass
	row     []int32 // numbers of the rows of a block, plus 1
	most    int     // sums of a class that pay
}

// hourClass adds up the keys of a class.
type hourClass struct {
	of      []int32           // number of the key by place of the series, plus 1; 0: not met yet
	numbers map[hourKey]int32 // by key
	keys    []hourKey
	now     []hourNumbers // of the hour, by number
	sums    []hourSum     // of the hours before
	left    bool          // has no sums: they would not pay
}

type hourNumbers [hourColumns]int64

// hourSum is the sum of a key in an hour of the day. There are hundreds of thousands.
type hourSum struct {
	key, hour int32
	n         [hourColumns]int32
}

// sumOf returns a sum; ok is false if its numbers are too large.
func sumOf(key, hour int, n *hourNumbers) (s hourSum, ok bool) {
	s.key, s.hour, ok = int32(key), int32(hour), true
	for i, v := range n {
		s.n[i] = int32(v)
		ok = ok && int64(s.n[i]) == v
	}
	return s, ok
}

func newHourSums(all []series) *hourSums {
	h := &hourSums{series: all}
	for i := range all {
		*at(&h.places, all[i].id) = int32(i) + 1
	}
	for class := range h.classes {
		h.classes[class].of = make([]int32, len(all))
	}
	return h
}

// reset begins a day with some counts.
func (h *hourSums) reset(counts int) {
	if h.most = counts / fewestSummed; counts < fewestCounts {
		h.most = 0
	}
	for class := range h.classes {
		c := &h.classes[class]
		clear(c.of)
		*c = hourClass{
			of:      c.of,
			numbers: map[hourKey]int32{},
			keys:    c.keys[:0],
			now:     c.now[:0],
			sums:    c.sums[:0],
		}
	}
}

// leave gives the sums of a day up.
func (c *hourClass) leave() {
	c.numbers, c.keys, c.now, c.sums, c.left = nil, nil, nil, nil, true
}

// add adds a block of the counts of an hour.
func (h *hourSums) add(b *block) {
	h.row = slices.Grow(h.row[:0], b.rows)[:b.rows]
	for class := range h.classes {
		if h.number(class, b); h.classes[class].left {
			continue
		}
		now := h.classes[class].now
		for i, n := range h.row {
			if n == 0 {
				continue
			}
			to, at := &now[n-1], func(field int) int64 { return b.at(countFields+field, i) }
			to[hourDelivered] += at(fieldDelivered)
			to[hourRetried] += at(fieldDelivered) - at(fieldRecipients)
			to[hourSuspended] += at(fieldSuspended)
			to[hourHanded] += at(fieldHanded)
			to[hourAccepted] += at(fieldAccepted)
			to[hourUntried] += at(fieldAccepted) - at(fieldHeard)
		}
	}
}

// number finds the numbers of the keys of the rows of a block.
func (h *hourSums) number(class int, b *block) {
	c := &h.classes[class]
	for i := range h.row {
		id := b.at(countSeries, i)
		if h.row[i] = 0; uint64(id) >= uint64(len(h.places)) || h.places[id] == 0 || c.left {
			continue
		}
		place := h.places[id] - 1
		if c.of[place] == 0 {
			key := h.series[place].hourKey(class)
			n, ok := c.numbers[key]
			if !ok {
				n = int32(len(c.keys))
				c.numbers[key], c.keys, c.now = n, append(c.keys, key), append(c.now, hourNumbers{})
				if len(c.keys) > mostHourKeys || class != hoursOfHost && len(c.keys) > h.most {
					c.leave()
				}
			}
			c.of[place] = n + 1
		}
		h.row[i] = c.of[place]
	}
}

// end ends an hour of the day.
func (h *hourSums) end(hour int64) {
	for class := range h.classes {
		c := &h.classes[class]
		for i := range c.now {
			if c.now[i] == (hourNumbers{}) {
				continue
			}
			sum, ok := sumOf(i, int(hour), &c.now[i])
			if !ok {
				c.leave()
				break
			}
			c.sums, c.now[i] = append(c.sums, sum), hourNumbers{}
		}
		if class != hoursOfHost && len(c.sums) > h.most {
			c.leave()
		}
	}
}

// each calls put with the blocks of a class, and their numbers.
func (c *hourClass) each(put func(part int, keys, numbers []byte)) {
	order, places := make([]int32, len(c.keys)), make([]int32, len(c.keys))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return slices.Compare(c.keys[a][:], c.keys[b][:]) })
	for place, i := range order {
		places[i] = int32(place)
	}
	slices.SortFunc(c.sums, func(a, b hourSum) int { return cmp.Compare(places[a.key], places[b.key]) })
	rows, sums := make([]hourNumbers, min(len(order), hourKeysMax)*hoursPerDay), c.sums
	for part := 0; part == 0 || part*hourKeysMax < len(order); part++ {
		some := order[part*hourKeysMax : min(len(order), (part+1)*hourKeysMax)]
		clear(rows)
		for ; len(sums) > 0 && places[sums[0].key] < int32((part+1)*hourKeysMax); sums = sums[1:] {
			s := &sums[0]
			row := &rows[(places[s.key]-int32(part*hourKeysMax))*hoursPerDay+s.hour]
			for column, v := range s.n {
				row[column] = int64(v)
			}
		}
		keys := newPacking(len(some), hourKeyColumns)
		numbers := newPacking(len(some)*hoursPerDay, hourColumns)
		for column := range hourKeyColumns {
			keys.add(func(i int) int64 { return int64(c.keys[some[i]][column]) })
		}
		for column := range hourColumns {
			numbers.add(func(i int) int64 { return rows[i][column] })
		}
		put(part, keys.end(nil), numbers.end(nil))
	}
}

// putHours writes the sums of a day.
func (w *Writer) putHours(day int64, h *hourSums) {
	low := day * minutesPerDay * store.MinuteMicros
	put := func(id int64, data []byte) {
		w.sink.exec("INSERT OR REPLACE INTO segments VALUES (?,?,?,?,?,?)", segmentHours, id, id, low, low+minutesPerDay*store.MinuteMicros-1, data)
	}
	put(hoursID(day, hoursDone, 0), []byte{})
	for class := range h.classes {
		if h.classes[class].left {
			continue
		}
		h.classes[class].each(func(part int, keys, numbers []byte) {
			put(hoursID(day, class, part), keys)
			put(hoursID(day, class, part)+1, numbers)
		})
	}
}

// withHours is the condition that there are sums by hour of a day of days.
var withHours = fmt.Sprintf("EXISTS (SELECT 1 FROM segments WHERE kind = %d AND first = days.day * %d + %d)",
	segmentHours, hoursID(1, 0, 0), hoursID(0, hoursDone, 0))

// hourClass returns the class of sums by hour from which the groups of t can be made; ok is
// false if there is none.
func (t *timeline) hourClass() (class int, ok bool) {
	if t.step%60 != 0 || mod(t.origin(), 60) != 0 {
		return 0, false
	}
	f, needed := &t.filter, [hourClasses]bool{}
	needed[hoursOfSender] = len(f.Senders) > 0
	needed[hoursOfDomain] = len(f.Domains) > 0
	needed[hoursOfRelay] = len(f.Providers) > 0
	for _, d := range t.by {
		switch d {
		case store.BySender:
			needed[hoursOfSender] = true
		case store.ByDomain:
			needed[hoursOfDomain] = true
		case store.ByRelay, store.ByProvider:
			needed[hoursOfRelay] = true
		}
	}
	for c, is := range needed {
		if is && class != hoursOfHost {
			return 0, false // of two names only the series know
		}
		if is {
			class = c
		}
	}
	return class, true
}

// hours counts the whole hours that are summed up, and returns the minutes that are left.
func (t *timeline) hours(since, until int64) (rest []piece, err error) {
	all := []piece{{since, until, 0}}
	class, ok := t.hourClass()
	if !ok {
		return all, nil
	}
	days, at := map[int64]bool{}, since
	first, last := ceiling(since, 60), floorDiv(until, 60) // hours
	args := []any{floorDiv(since, minutesPerDay), floorDiv(until-1, minutesPerDay), segmentHours,
		hoursID(1, 0, 0), hoursID(0, class, 0)}
	err = t.ints("SELECT day FROM days WHERE day BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM segments WHERE kind = ? AND first = days.day * ? + ?) ORDER BY day", args, func(v []int64) error {
		from, to := max(first, v[0]*hoursPerDay)*60, min(last, (v[0]+1)*hoursPerDay)*60
		if from < to {
			days[v[0]] = true
			rest = append(rest, piece{at, from, 0})
			at = to
		}
		return nil
	})
	if err != nil || len(days) == 0 {
		return all, err
	}
	rest = append(rest, piece{at, until, 0})
	rest = slices.DeleteFunc(rest, func(p piece) bool { return p.since >= p.until })
	return rest, t.addHours(class, slices.Sorted(maps.Keys(days)), first, last)
}

// addHours counts the hours from first to last of some days.
func (t *timeline) addHours(class int, days []int64, first, last int64) error {
	var ids []int64
	args := []any{list(days), segmentHours, hoursID(1, 0, 0), hoursID(0, class, 0),
		hoursID(0, class+1, 0) - 1}
	err := t.ints("SELECT s.first FROM json_each(?) AS d CROSS JOIN segments AS s WHERE s.kind = ? AND s.first BETWEEN d.value * ?3 + ? AND d.value * ?3 + ? ORDER BY s.first", args, func(v []int64) error {
		ids = append(ids, v[0])
		return nil
	})
	if err != nil {
		return err
	}
	h := &hourReader{timeline: t, class: class, known: map[hourKey]int32{}}
	i := 0
	return t.eachBlock("SELECT data FROM segments WHERE kind = ? AND first IN (SELECT value FROM json_each(?)) ORDER BY first", []any{segmentHours, list(ids)}, allColumns,
		func(b *block) error {
			id := ids[i]
			i++
			if id%2 == 0 {
				h.keys(b)
				return nil
			}
			return h.numbers(b, id/hoursID(1, 0, 0)*hoursPerDay, first, last)
		})
}

// hourReader adds sums by hours to a timeline.
type hourReader struct {
	*timeline
	class  int
	known  map[hourKey]int32 // groups plus 1 by key; 0: not wanted
	groups []int32           // of the keys that were read last
}

func (h *hourReader) keys(b *block) {
	h.groups = h.groups[:0]
	for i := range b.rows {
		var key hourKey
		for column := range key {
			key[column] = int32(b.at(column, i))
		}
		group, ok := h.known[key]
		if !ok {
			group = h.group(key)
			h.known[key] = group
		}
		h.groups = append(h.groups, group)
	}
}

// group returns the group of a key, plus 1; 0 if the filter excludes it.
func (h *hourReader) group(key hourKey) int32 {
	name := func(column int) int32 { return h.cat.name(int64(key[column])) }
	s := &series{
		format:   name(hourFormat),
		host:     name(hourHost),
		instance: name(hourInstance),
		own:      key[hourDirection] == ownDirection,
		sender:   emptyName,
		domain:   emptyName,
		relay:    emptyName,
	}
	if !s.own {
		s.direction = registry.Direction(key[hourDirection])
	}
	if of := [hourClasses]*int32{nil, &s.sender, &s.domain, &s.relay}[h.class]; of != nil {
		*of = name(hourValue)
	}
	if s.own && len(h.filter.Directions) == 0 || !h.filter.matchSeries(h.cat, s) {
		return 0
	}
	return h.timeline.groups.bareGroup(h.timeline.groups.partOf(s)) + 1
}

// numbers adds the hours from first to last of a day that begins at hour begin.
func (h *hourReader) numbers(b *block, begin, first, last int64) error {
	if b.rows != len(h.groups)*hoursPerDay {
		return errBlock
	}
	for i, group := range h.groups {
		for hour := max(first-begin, 0); group > 0 && hour < min(last-begin, hoursPerDay); hour++ {
			row := i*hoursPerDay + int(hour)
			h.point(group-1, (begin+hour)*60, b, row)
		}
	}
	return nil
}

func (h *hourReader) point(group int32, minute int64, b *block, row int) {
	var n hourNumbers
	for column := range n {
		n[column] = b.at(column, row)
	}
	if n == (hourNumbers{}) {
		return
	}
	p := h.at(group, minute)
	p.Delivered += n[hourDelivered]
	p.Recipients += n[hourDelivered] - n[hourRetried]
	p.Suspended += n[hourSuspended]
	p.HandedOver += n[hourHanded]
	p.Accepted += n[hourAccepted]
	p.Untried += n[hourUntried]
}
