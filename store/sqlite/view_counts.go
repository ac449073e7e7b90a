package sqlite

import (
	"context"
	"errors"
	"maps"
	"slices"

	"mailfail/store"
)

// The engine adds up its counts: a view reads the totals of a day that is over, and
// otherwise sums by series.

// TotalsRow is a row of the totals of a day.
type TotalsRow struct {
	Day, Dimension, Direction int64
	Format, Value             string
	N                         [fields]int64
}

// DaysByOrigin lists days by the number of an origin.
type DaysByOrigin map[int64][]int64

func (d DaysByOrigin) equal(o DaysByOrigin) bool { return maps.EqualFunc(d, o, slices.Equal[[]int64]) }

// CountsQuery selects sums of counts by series.
type CountsQuery struct {
	Days   DaysByOrigin // on these days, the minutes of Within are wanted
	Within [][2]int64   // minutes, from and until
	Others [][2]int64   // wanted minutes of all other days

	Origin, Step int64 // minutes: a group is a step of time since Origin; Step 0: all are in group 0
}

// viewedTotals holds the totals that a view has read.
type viewedTotals struct {
	read        bool
	first, last int64
	days        DaysByOrigin
	rows        map[int64][]viewedTotal // by day
}

type viewedTotal struct {
	dimension                int64
	format, direction, value int64
	n                        [fields]int64
}

// countedWithin returns the minutes of a window for which there may be counts.
func (v *View) countedWithin(ctx context.Context, w store.Window) (since, until int64, err error) {
	if v.spans == nil {
		since, until, err := v.from.CountedMinutes(ctx)
		if err != nil {
			return 0, 0, err
		}
		v.spans = &[2]int64{since, until}
	}
	since, until = v.spans[0], v.spans[1]
	if !w.Since.IsZero() {
		since = max(since, store.Minute(w.Since.UnixMicro()))
	}
	if !w.Until.IsZero() {
		until = min(until, store.Minute(w.Until.UnixMicro()))
	}
	return since, until, nil
}

var errTotalsChange = errors.New("the totals of days change too often to read them")

// needTotals loads the totals of the days of a window, and their names, if totals suffice
// for f.
func (t *tx) needTotals(w store.Window, f *store.Filter) error {
	v := t.view
	if v == nil || !(&filter{Filter: *f}).ofTotals() || f.OfCause() {
		return nil
	}
	since, until, err := v.countedWithin(t.ctx, w)
	if err != nil || since >= until {
		return err
	}
	first, last := floorDiv(since, minutesPerDay), floorDiv(until-1, minutesPerDay)
	if v.totals.read && v.totals.first <= first && last <= v.totals.last {
		return nil
	}
	// Compare the days before and after: totals that were read while these changed may mix
	// two states.
	for range 5 {
		days, err := v.from.TotalledDays(t.ctx, first, last)
		if err != nil {
			return err
		}
		if err := v.readTotals(t.ctx, first, last); err != nil {
			return err
		}
		after, err := v.from.TotalledDays(t.ctx, first, last)
		if err != nil {
			return err
		}
		if days.equal(after) {
			v.totals.read, v.totals.first, v.totals.last, v.totals.days = true, first, last, days
			return v.w.sink.wait()
		}
	}
	return errTotalsChange
}

func (v *View) readTotals(ctx context.Context, first, last int64) error {
	v.totals.rows = map[int64][]viewedTotal{}
	return v.from.Totals(ctx, first, last, func(r *TotalsRow) error {
		format, err := v.w.Name([]byte(r.Format))
		if err != nil {
			return err
		}
		value, err := v.w.Name([]byte(r.Value))
		v.totals.rows[r.Day] = append(v.totals.rows[r.Day],
			viewedTotal{r.Dimension, format, r.Direction, value, r.N})
		return err
	})
}

// eachViewed calls total, unless it is nil, with the totals of days, and row with sums by
// series of the rest. Spans are those of pieces: steps of step minutes since origin, or a
// single span if step is 0.
func (t *tx) eachViewed(cat *catalog, w store.Window, f *filter, origin, step int64,
	pieces func(since, until int64) []piece, total func(span int64, r *totalRow),
	row func(span, series, sign int64, n []int64)) error {
	v := t.view
	since, until, err := v.countedWithin(t.ctx, w)
	if err != nil || since >= until {
		return err
	}
	all := &CountsQuery{Others: [][2]int64{{since, until}}, Origin: origin, Step: step}
	less := &CountsQuery{Step: minutesPerDay}
	spans := map[int64]int64{}
	if total != nil && f.ofTotals() && v.totals.read {
		all.Days, less.Days = v.totals.days, v.totals.days
		var c cover
		c.addAll(since, until, all.Days.any(), pieces)
		for i, day := range c.days {
			spans[day] = c.spans[i]
			v.eachTotal(cat, f, day, func(r *totalRow) { total(c.spans[i], r) })
		}
		for _, p := range c.stretches {
			if p.in {
				all.Within = append(all.Within, [2]int64{p.since, p.until})
			}
			if p.less != noSpan {
				less.Within = append(less.Within, [2]int64{p.since, p.until})
			}
		}
	}
	err = v.sumCounts(t.ctx, all, func(span, series int64, n []int64) { row(span, series, 1, n) })
	if err == nil && less.Within != nil {
		err = v.sumCounts(t.ctx, less, func(day, series int64, n []int64) { row(spans[day], series, -1, n) })
	}
	return err
}

// viewedSums holds the answer to a query.
type viewedSums struct {
	query         *CountsQuery
	group, series []int64
	n             [fields][]int64 // nil: 0 throughout
}

func (q *CountsQuery) equal(o *CountsQuery) bool {
	return q.Days.equal(o.Days) && slices.Equal(q.Within, o.Within) && slices.Equal(q.Others, o.Others) &&
		q.Origin == o.Origin && q.Step == o.Step
}

// sumCounts calls each with the sums that a query selects. It keeps the answer, so that the
// same query always has the same sums.
func (v *View) sumCounts(ctx context.Context, q *CountsQuery,
	each func(group, series int64, n []int64)) error {
	i := slices.IndexFunc(v.sums, func(s viewedSums) bool { return s.query.equal(q) })
	if i < 0 {
		i = len(v.sums)
		s := viewedSums{query: q}
		err := v.from.SumCounts(ctx, q, func(group, origin, series int64, n []int64) error {
			for f, sum := range n {
				if sum != 0 || s.n[f] != nil {
					*at(&s.n[f], int64(len(s.group))) = sum
				}
			}
			s.group, s.series = append(s.group, group), append(s.series, v.series.id(origin, series))
			return nil
		})
		if err != nil {
			return err
		}
		v.sums = append(v.sums, s)
	}
	s, n := &v.sums[i], make([]int64, fields)
	for row, group := range s.group {
		for f, column := range s.n {
			n[f] = 0
			if row < len(column) {
				n[f] = column[row]
			}
		}
		each(group, s.series[row], n)
	}
	return nil
}

// any returns the days of all origins together.
func (d DaysByOrigin) any() map[int64]bool {
	days := map[int64]bool{}
	for _, list := range d {
		for _, day := range list {
			days[day] = true
		}
	}
	return days
}

// eachTotal calls each with the totals of a day that f selects.
func (v *View) eachTotal(cat *catalog, f *filter, day int64, each func(*totalRow)) {
	for i := range v.totals.rows[day] {
		t := &v.totals.rows[day][i]
		r := totalRow{
			dimension: t.dimension,
			format:    cat.name(t.format),
			direction: int32(t.direction),
			value:     cat.name(t.value),
			n:         t.n,
		}
		r.own = t.direction == ownDirection && len(f.Directions) == 0
		if cat.wantsTotal(f, r.format, r.direction) {
			each(&r)
		}
	}
}

// sumViewed is sumCounts for a view.
func (c *counter) sumViewed(places []int32, sums *placeSums, total func(r *totalRow)) error {
	var add func(int64, *totalRow)
	if total != nil {
		add = func(_ int64, r *totalRow) { total(r) }
	}
	one := func(since, until int64) []piece { return []piece{{since, until, 0}} }
	return c.eachViewed(c.cat, c.window, &c.filter, 0, 0, one, add, func(_, series, sign int64, n []int64) {
		if uint64(series) >= uint64(len(places)) || places[series] == 0 {
			return
		}
		for f, v := range n {
			if v != 0 {
				sums.field(f)[places[series]-1] += sign * v
			}
		}
	})
}

// viewedCounts is counts for a view.
func (t *timeline) viewedCounts() error {
	var total func(step int64, r *totalRow)
	if dimension, ok := t.groups.totalled(); ok && t.step >= minutesPerDay {
		total = func(step int64, r *totalRow) {
			if r.dimension == dimension && !r.own {
				t.total(step, r)
			}
		}
	}
	return t.eachViewed(t.cat, t.window, &t.filter, t.origin(), t.step, t.pieces, total,
		func(step, series, sign int64, n []int64) {
			part := t.part(series)
			if part < 0 {
				return
			}
			p := t.at(t.bare[part], t.origin()+step*t.step)
			p.Delivered += sign * n[fieldDelivered]
			p.Recipients += sign * n[fieldRecipients]
			p.Suspended += sign * n[fieldSuspended]
			p.HandedOver += sign * n[fieldHanded]
			p.Accepted += sign * n[fieldAccepted]
			p.Untried += sign * (n[fieldAccepted] - n[fieldHeard])
		})
}

// hasCounts reports whether there are counts of some series in a window.
func (v *View) hasCounts(ctx context.Context, w store.Window,
	has func(series int64) bool) (found bool, err error) {
	since, until, err := v.countedWithin(ctx, w)
	if err != nil || since >= until {
		return false, err
	}
	err = v.sumCounts(ctx, &CountsQuery{Others: [][2]int64{{since, until}}},
		func(_, series int64, n []int64) {
			found = found || slices.Max(n) > 0 && has(series)
		})
	return found, err
}
