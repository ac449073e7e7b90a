package sqlite

import (
	"slices"

	"mailfail/store"
	"mailfail/store/fleet"
)

// eachCounts calls each with the blocks of counts that cover a window, and with
// the span of minutes of which a block is to be used. Days that lie in the
// window and are added up are one block, whose rows have no minute; hours says to
// leave those alone. wanted says which columns are read. first is the minute that the minutes of a block count from.
func (t *tx) eachCounts(w store.Window, hours bool, wanted columns, each func(b *block, first, since, until int64) error) error {
	if err := t.need(fleet.Counts, w); err != nil {
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

// eachHour does the same by hours, but for the given days.
func (t *tx) eachHour(since, until int64, days map[int64]bool, wanted columns, each func(b *block, first, since, until int64) error) error {
	var ids, firsts []int64
	err := t.ints("SELECT id FROM counts WHERE id >= ? AND id < ? ORDER BY id",
		[]any{floorDiv(since, 60) * blocksPerHour, (floorDiv(until-1, 60) + 1) * blocksPerHour}, func(v []int64) error {
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
	var first, last int64
	ok, err := t.one("SELECT min(id), max(id) FROM counts HAVING count(*) > 0", nil, &first, &last)
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

// sumCounts adds up the counts of a window. sums has a place for each series, by
// its id, plus 1; 0 none.
func (t *tx) sumCounts(w store.Window, places []int32, sums *placeSums) error {
	var at []int32 // places of the rows of a block, plus 1
	return t.eachCounts(w, false, allColumns&^(1<<countCause), func(b *block, first, since, until int64) error {
		minutes := b.cols[countMinute]
		if first >= since && first+59 < until || len(minutes) == 0 && first >= since && first < until {
			minutes = nil // all of it
		} else if minutes == nil {
			return nil
		}
		at = slices.Grow(at[:0], b.rows)[:b.rows]
		clear(at)
		for i, id := range b.cols[countSeries] {
			if uint64(id) < uint64(len(places)) && (minutes == nil || first+minutes[i] >= since && first+minutes[i] < until) {
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
					sum[place-1] += n
				}
			}
		}
		return nil
	})
}
