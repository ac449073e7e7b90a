package sqlite

import (
	"slices"

	"mailfail/store"
	"mailfail/store/fleet"
)

// eachCounts calls each with the blocks of counts that cover a window, and with the span of
// minutes for which a block is valid. A day that lies in the window and is added up is one
// block, whose rows have no minute; with hours, eachCounts reads all days by hours instead.
// wanted selects the columns. The minutes of a block count from the minute first.
func (t *tx) eachCounts(w store.Window, hours bool, wanted columns,
	each func(b *block, first, since, until int64) error) error {
	if err := t.need(w, fleet.Counts); err != nil {
		return err
	}
	since, until, err := t.minutes(w)
	if err != nil || since >= until {
		return err
	}
	days := map[int64]bool{}
	if !hours {
		first, last := floorDiv(since+minutesPerDay-1, minutesPerDay), floorDiv(until, minutesPerDay)
		var list []int64
		err := t.ints("SELECT day FROM days WHERE day >= ? AND day < ? ORDER BY day", []any{first, last}, func(v []int64) error {
			days[v[0]] = true
			list = append(list, v[0])
			return nil
		})
		if err != nil {
			return err
		}
		i := 0
		err = t.eachBlock("SELECT data FROM days WHERE day >= ? AND day < ? ORDER BY day", []any{first, last}, wanted, func(b *block) error {
			day := list[i]
			i++
			return each(b, day*minutesPerDay, day*minutesPerDay, (day+1)*minutesPerDay)
		})
		if err != nil {
			return err
		}
	}
	return t.eachHour(since, until, days, wanted, each)
}

// eachHour does the same by hours, except for the given days.
func (t *tx) eachHour(since, until int64, days map[int64]bool, wanted columns,
	each func(b *block, first, since, until int64) error) error {
	var ids, firsts []int64
	err := t.ints("SELECT id FROM counts WHERE id >= ? AND id < ? ORDER BY id",
		[]any{floorDiv(since, 60) * blocksPerHour, (floorDiv(until-1, 60) + 1) * blocksPerHour},
		func(v []int64) error {
			if hour := floorDiv(v[0], blocksPerHour); !days[floorDiv(hour, 24)] {
				ids, firsts = append(ids, v[0]), append(firsts, hour*60)
			}
			return nil
		})
	if err != nil || len(ids) == 0 {
		return err
	}
	i := 0
	return t.eachBlock("SELECT data FROM counts WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", []any{list(ids)}, wanted, func(b *block) error {
		first := firsts[i]
		i++
		return each(b, first, since, until)
	})
}

func floorDiv(a, b int64) int64 { return (a - mod(a, b)) / b }

// minutes returns the minutes of a window for which there are counts.
func (t *tx) minutes(w store.Window) (since, until int64, err error) {
	var first, last int64 // each is found by itself: for both in one SELECT SQLite reads all ids
	ok, err := t.one("SELECT first, last FROM (SELECT (SELECT min(id) FROM counts) AS first, (SELECT max(id) FROM counts) AS last) WHERE first IS NOT NULL",
		nil, &first, &last)
	if err != nil || !ok {
		return 0, 0, err
	}
	since, until = floorDiv(first, blocksPerHour)*60, (floorDiv(last, blocksPerHour)+1)*60
	if !w.Since.IsZero() {
		since = max(since, store.Minute(w.Since.UnixMicro()))
	}
	if !w.Until.IsZero() {
		until = min(until, store.Minute(w.Until.UnixMicro()))
	}
	return since, until, nil
}

// piece is a span of minutes that belongs to one span of a question; span is the number of
// the latter.
type piece struct{ since, until, span int64 }

// stretch is a span of minutes that is read minute by minute. in is set if its minutes
// belong to a span of the question. less is the number of the span from whose sum they are
// subtracted, because the sum of the day includes them; noSpan if there is none.
type stretch struct {
	since, until, less int64
	in                 bool
}

// noSpan stands for no span: the minute of each row decides.
const noSpan = -1

// cover is a plan for reading spans with the fewest rows: if most of a day lies in one
// span, the sum of the day less the minutes of the rest, else by minutes.
type cover struct {
	days, spans []int64 // spans[i] is the span of days[i]
	stretches   []stretch
}

// add covers the pieces of a day; summed reports whether there is a sum of the day.
func (c *cover) add(day int64, summed bool, pieces []piece) {
	most := int64(noSpan)
	for _, p := range pieces {
		if summed && 2*(p.until-p.since) > minutesPerDay {
			most = p.span
			c.days, c.spans = append(c.days, day), append(c.spans, most)
		}
	}
	at := day * minutesPerDay
	for _, p := range append(pieces, piece{since: at + minutesPerDay, until: at + minutesPerDay}) {
		if most != noSpan {
			c.read(stretch{at, p.since, most, false})
		}
		if most == noSpan || p.span != most {
			c.read(stretch{p.since, p.until, most, true})
		}
		at = p.until
	}
}

// read adds a stretch, or extends the last one.
func (c *cover) read(p stretch) {
	if p.since >= p.until {
		return
	}
	if n := len(c.stretches); n > 0 && c.stretches[n-1].until == p.since &&
		c.stretches[n-1].less == p.less && c.stretches[n-1].in == p.in {
		c.stretches[n-1].until = p.until
		return
	}
	c.stretches = append(c.stretches, p)
}

// coverCounts covers the minutes from since to until; pieces returns the pieces of a part
// of a day. Days without a sum are read by minutes.
func (t *tx) coverCounts(since, until int64, pieces func(since, until int64) []piece) (c cover, err error) {
	summed := map[int64]bool{}
	err = t.ints("SELECT day FROM days WHERE day BETWEEN ? AND ?", []any{floorDiv(since, minutesPerDay), floorDiv(until-1, minutesPerDay)}, func(v []int64) error {
		summed[v[0]] = true
		return nil
	})
	c.addAll(since, until, summed, pieces)
	return c, err
}

// addAll covers the days of some minutes.
func (c *cover) addAll(since, until int64, summed map[int64]bool, pieces func(since, until int64) []piece) {
	for day := floorDiv(since, minutesPerDay); day*minutesPerDay < until; day++ {
		c.add(day, summed[day], pieces(max(since, day*minutesPerDay), min(until, (day+1)*minutesPerDay)))
	}
}

// eachSum calls each with the blocks of a cover, and with the span of minutes for which a
// block is valid; sign is 1 if the block is to be added to a span, and -1 if it is to be
// subtracted. A block of a day has no minutes.
func (t *tx) eachSum(c *cover, wanted columns,
	each func(b *block, first, since, until, span, sign int64) error) error {
	i := 0
	err := t.eachBlock("SELECT data FROM days WHERE day IN (SELECT value FROM json_each(?)) ORDER BY day", []any{list(c.days)}, wanted, func(b *block) error {
		day, span := c.days[i], c.spans[i]
		i++
		return each(b, day*minutesPerDay, day*minutesPerDay, (day+1)*minutesPerDay, span, 1)
	})
	for _, p := range c.stretches {
		if err != nil {
			return err
		}
		err = t.eachHour(p.since, p.until, nil, wanted,
			func(b *block, first, since, until int64) (err error) {
				if p.less != noSpan {
					err = each(b, first, since, until, p.less, -1)
				}
				if p.in && err == nil {
					err = each(b, first, since, until, noSpan, 1)
				}
				return err
			})
	}
	return err
}

// sumCounts adds up the counts of a window. places has a place for each series, by its id,
// plus 1; 0 none. If total is not nil, it receives totals of days instead of their counts.
func (c *counter) sumCounts(places []int32, sums *placeSums, total func(r *totalRow)) error {
	t, w := c.tx, c.window
	if t.view != nil {
		return c.sumViewed(places, sums, total)
	}
	since, until, err := t.minutes(w)
	if err != nil || since >= until {
		return err
	}
	days, err := t.coverCounts(since, until, func(since, until int64) []piece {
		return []piece{{since, until, 0}}
	})
	if err == nil && total != nil {
		err = t.takeTotals(&days, c.cat, &c.filter, func(_ int64, r *totalRow) { total(r) })
	}
	if err != nil {
		return err
	}
	var at []int32 // places of the rows of a block, plus 1
	return t.eachSum(&days, allColumns&^(1<<countCause),
		func(b *block, first, since, until, _, sign int64) error {
			minutes := b.cols[countMinute]
			if first >= since && first+59 < until || len(minutes) == 0 && first >= since && first < until {
				minutes = nil // all of it
			} else if minutes == nil {
				return nil
			}
			at = slices.Grow(at[:0], b.rows)[:b.rows]
			clear(at)
			for i, id := range b.cols[countSeries] {
				if uint64(id) < uint64(len(places)) &&
					(minutes == nil || first+minutes[i] >= since && first+minutes[i] < until) {
					at[i] = places[id]
				}
			}
			for f := range fields {
				column := b.cols[countFields+f]
				if column == nil {
					continue
				}
				sum := sums.field(f)
				for i, n := range column {
					if place := at[i]; place > 0 {
						sum[place-1] += sign * n
					}
				}
			}
			return nil
		})
}
