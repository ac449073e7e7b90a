package sqlite

import (
	"fmt"
	"slices"

	"mailfail/store"
)

// Most questions about whole days need only one dimension: a large site has some thousand
// domains, but hundreds of thousands of series. For days that are over, the Writer
// therefore also keeps the counts by each single dimension, separately by format and
// direction. These totals are stored among the segments, with the day in place of ids. They
// are written and removed together with the sums of days.
const (
	totalDimension = iota // index in totalled
	totalFormat
	totalDirection // ownDirection for messages that servers made themselves
	totalValue     // name
	totalFields
	totalColumns = totalFields + fields
)

// totalled lists the dimensions of totals. The totals of the first contain every count
// once.
var totalled = [...]store.Dimension{store.ByHost, store.ByInstance, store.BySender, store.ByDomain,
	store.ByRelay}

// totalKey identifies a total.
type totalKey [totalFields]int64

// totals returns the totals of the rows of a day.
func totals(all []series, rows []countRow) []byte {
	of := make([]int32, 0)
	for i := range all {
		*at(&of, all[i].id) = int32(i) + 1
	}
	numbers, keys, sums := map[totalKey]int32{}, []totalKey(nil), [][fields]int64(nil)
	for i := range rows {
		r := &rows[i]
		if uint64(r.series) >= uint64(len(of)) || of[r.series] == 0 {
			continue
		}
		s := &all[of[r.series]-1]
		direction := int64(s.direction)
		if s.own {
			direction = ownDirection
		}
		for d, value := range [len(totalled)]int32{s.host, s.instance, s.sender, s.domain, s.relay} {
			key := totalKey{int64(d), int64(s.format), direction, int64(value)}
			n, ok := numbers[key]
			if !ok {
				n = int32(len(keys))
				numbers[key], keys, sums = n, append(keys, key), append(sums, [fields]int64{})
			}
			for f, v := range r.n {
				sums[n][f] += v
			}
		}
	}
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(keys[a][:], keys[b][:]) })
	cols := make([][]int64, totalColumns)
	for c := range cols {
		cols[c] = make([]int64, 0, len(keys))
	}
	for _, i := range order {
		for c, v := range keys[i] {
			cols[c] = append(cols[c], v)
		}
		for f, v := range sums[i] {
			cols[totalFields+f] = append(cols[totalFields+f], v)
		}
	}
	return appendBlock(nil, cols...)
}

// putTotals writes the totals of a day; rows are the rows of its sum.
func (w *Writer) putTotals(day int64, rows []countRow, all []series) {
	low := day * minutesPerDay * store.MinuteMicros
	w.sink.exec("INSERT OR REPLACE INTO segments VALUES (?,?,?,?,?,?)", segmentTotals, day, day, low, low+minutesPerDay*store.MinuteMicros-1, totals(all, rows))
}

// withTotals is the condition that there are totals of a day of days.
var withTotals = fmt.Sprintf("EXISTS (SELECT 1 FROM segments WHERE kind = %d AND first = days.day)", segmentTotals)

// totalRow is a row of the totals of a day.
type totalRow struct {
	dimension                int64
	format, direction, value int32
	own                      bool // of messages that servers made themselves, which the filter excludes
	n                        [fields]int64
}

// ofTotals reports whether totals suffice for f.
func (f *filter) ofTotals() bool {
	return len(f.Domains)+len(f.Senders)+len(f.Providers)+len(f.Hosts) == 0
}

// takeTotals removes the days that have totals from a cover, and calls each with the rows
// of these totals that f selects.
func (t *tx) takeTotals(c *cover, cat *catalog, f *filter, each func(span int64, r *totalRow)) error {
	if !f.ofTotals() {
		return nil
	}
	spans := map[int64]int64{}
	for i, day := range c.days {
		spans[day] = c.spans[i]
	}
	var days, rest, restSpans []int64
	err := t.ints("SELECT day, "+withTotals+" FROM days WHERE day IN (SELECT value FROM json_each(?)) ORDER BY day", []any{list(c.days)}, func(v []int64) error {
		if v[1] != 0 {
			days = append(days, v[0])
		} else {
			rest, restSpans = append(rest, v[0]), append(restSpans, spans[v[0]])
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.days, c.spans = rest, restSpans
	i := 0
	return t.eachBlock("SELECT data FROM segments WHERE kind = ? AND first IN (SELECT value FROM json_each(?)) ORDER BY first", []any{segmentTotals, list(days)}, allColumns,
		func(b *block) error {
			span := spans[days[i]]
			i++
			cat.eachTotal(b, f, func(r *totalRow) { each(span, r) })
			return nil
		})
}

// eachTotal calls each with the rows of a block that f selects.
func (c *catalog) eachTotal(b *block, f *filter, each func(r *totalRow)) {
	var r totalRow // reused: each must not keep it
	format, direction, wanted := int64(-1), int64(-1), false
	for i := range b.rows {
		if b.at(totalFormat, i) != format || b.at(totalDirection, i) != direction { // rows are sorted
			format, direction = b.at(totalFormat, i), b.at(totalDirection, i)
			r.format, r.direction = c.name(format), int32(direction)
			r.own = direction == ownDirection && len(f.Directions) == 0
			wanted = c.wantsTotal(f, r.format, r.direction)
		}
		if !wanted {
			continue
		}
		r.dimension, r.value = b.at(totalDimension, i), c.name(b.at(totalValue, i))
		for field := range r.n {
			r.n[field] = b.at(totalFields+field, i)
		}
		each(&r)
	}
}

// wantsTotal reports whether f selects totals of a format and a direction.
func (c *catalog) wantsTotal(f *filter, format, direction int32) bool {
	name := c.names[format]
	return !slices.Contains(f.without, name) && f.MatchFormat(name) &&
		(len(f.Directions) == 0 || store.MatchName(f.Directions, c.text(store.ByDirection, direction)))
}

// totalled returns the dimension of totals from which the groups of g can be made; ok is
// false if there is none.
func (g *grouping) totalled() (dimension int64, ok bool) {
	if len(g.ofSeries) != 1 {
		return 0, len(g.ofSeries) == 0
	}
	d := g.dims[g.ofSeries[0]]
	switch d {
	case store.ByMTA, store.ByDirection:
		return 0, true
	case store.ByProvider:
		d = store.ByRelay
	}
	i := slices.Index(totalled[:], d)
	return int64(i), i >= 0
}

// partOfTotal returns the part to which a row of totals belongs.
func (g *grouping) partOfTotal(r *totalRow) int32 {
	if len(g.ofSeries) == 0 {
		return 0
	}
	value := r.value
	switch g.dims[g.ofSeries[0]] {
	case store.ByMTA:
		value = g.cat.mtaOf[r.format] - 1
	case store.ByDirection:
		value = r.direction
	case store.ByProvider:
		value = g.cat.operator(r.value)
	}
	return g.combos.add(0, value)
}
