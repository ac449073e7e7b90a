package sqlite

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"mailfail/store"
)

// The engine adds up its counts: a view reads the totals of a day that is over, and
// otherwise sums by series.

// TotalsRow is a sum of the totals of the days of a span.
type TotalsRow struct {
	Span, Dimension, Direction int64
	Day                        int64 // of a row of the first dimension, if all were asked for
	Format, Value              string
	N                          [fields]int64
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

// TotalsQuery selects totals of days. Each day belongs to a span, whose totals are added up.
type TotalsQuery struct {
	Days, Spans []int64
	Dimension   int64 // AllDimensions: every one
}

// AllDimensions selects the totals of all dimensions. Those of the first come by day.
const AllDimensions = -1

func (q *TotalsQuery) equal(o *TotalsQuery) bool {
	return slices.Equal(q.Days, o.Days) && slices.Equal(q.Spans, o.Spans) && q.Dimension == o.Dimension
}

// viewedTotals holds the days that have totals, and answers to queries.
type viewedTotals struct {
	read        bool
	first, last int64
	days        DaysByOrigin
	answers     []viewedAnswer
}

type viewedAnswer struct {
	query *TotalsQuery
	rows  []viewedTotal
}

type viewedTotal struct {
	span, day, dimension, format, direction, value int64
	n                                              [fields]int64
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

// countsAsked is a question for the counts of a window.
type countsAsked struct {
	window       store.Window
	filter       *store.Filter
	totals       bool  // totals of days suffice
	dimension    int64 // of totals
	origin, step int64 // minutes: spans of pieces are steps since origin; step 0: there is one span
	pieces       func(since, until int64) []piece
}

// oneSpan is pieces for one span.
func oneSpan(since, until int64) []piece { return []piece{{since, until, 0}} }

// countsParts holds the queries that together answer such a question.
type countsParts struct {
	totals *TotalsQuery // nil: no totals are wanted
	all    *CountsQuery // by span; nil: there are no counts
	less   *CountsQuery // by day, to subtract from the spans of days; nil: nothing
	spans  map[int64]int64
}

// parts returns the queries for a question.
func (t *tx) parts(q *countsAsked) (p countsParts, err error) {
	v := t.view
	since, until, err := v.countedWithin(t.ctx, q.window)
	if err != nil || since >= until {
		return p, err
	}
	p.all = &CountsQuery{Others: [][2]int64{{since, until}}, Origin: q.origin, Step: q.step}
	if !q.totals || !(&filter{Filter: *q.filter}).ofTotals() {
		return p, nil
	}
	if err := v.readDays(t.ctx, floorDiv(since, minutesPerDay),
		floorDiv(until-1, minutesPerDay)); err != nil {
		return p, err
	}
	var c cover
	p.all.Days = v.totals.days
	c.addAll(since, until, p.all.Days.any(), q.pieces)
	p.totals, p.spans = &TotalsQuery{c.days, c.spans, q.dimension}, map[int64]int64{}
	for i, day := range c.days {
		p.spans[day] = c.spans[i]
	}
	less := &CountsQuery{Step: minutesPerDay, Days: p.all.Days}
	for _, s := range c.stretches {
		if s.in {
			p.all.Within = append(p.all.Within, [2]int64{s.since, s.until})
		}
		if s.less != noSpan {
			less.Within = append(less.Within, [2]int64{s.since, s.until})
			p.less = less
		}
	}
	return p, nil
}

// readDays reads which days have totals.
func (v *View) readDays(ctx context.Context, first, last int64) error {
	if v.totals.read && v.totals.first <= first && last <= v.totals.last {
		return nil
	}
	days, err := v.from.TotalledDays(ctx, first, last)
	if err == nil {
		v.totals = viewedTotals{read: true, first: first, last: last, days: days}
	}
	return err
}

// needCounts loads the answer to a question, with the names and the series in it.
func (t *tx) needCounts(q *countsAsked) error {
	v := t.view
	if v == nil || q.filter.OfCause() {
		return nil
	}
	// Compare the days before and after: totals that were read while these changed may mix
	// two states.
	for range 5 {
		p, err := t.parts(q)
		if err != nil || p.all == nil {
			return err
		}
		if p.totals != nil {
			if _, err := v.sumTotals(t.ctx, p.totals); err != nil {
				return err
			}
			after, err := v.from.TotalledDays(t.ctx, v.totals.first, v.totals.last)
			if err != nil {
				return err
			}
			if !v.totals.days.equal(after) {
				v.totals = viewedTotals{}
				continue
			}
		}
		for _, counts := range []*CountsQuery{p.all, p.less} {
			if counts != nil {
				if err := v.sumCounts(t.ctx, counts, func(_, _ int64, _ []int64) {}); err != nil {
					return err
				}
			}
		}
		return v.w.sink.wait()
	}
	return errTotalsChange
}

// sumTotals returns the totals that a query selects. It keeps the answer.
func (v *View) sumTotals(ctx context.Context, q *TotalsQuery) ([]viewedTotal, error) {
	for _, a := range v.totals.answers {
		if a.query.equal(q) {
			return a.rows, nil
		}
		if rows, ok := a.byDay(q); ok {
			return rows, nil
		}
	}
	a := v.ahead
	if v.ahead = nil; a == nil || !a.query.equal(q) {
		a = v.askTotals(ctx, q)
	}
	<-a.done
	if a.err != nil {
		return nil, a.err
	}
	rows := make([]viewedTotal, len(a.rows))
	for i := range a.rows {
		r := &a.rows[i]
		format, err := v.w.Name([]byte(r.Format))
		if err != nil {
			return nil, err
		}
		value, err := v.w.Name([]byte(r.Value))
		if err != nil {
			return nil, err
		}
		if uint64(r.Dimension) < uint64(len(totalled)) && totalled[r.Dimension] == store.ByRelay {
			v.series.relays = append(v.series.relays, r.Value)
		}
		rows[i] = viewedTotal{r.Span, r.Day, r.Dimension, format, r.Direction, value, r.N}
	}
	v.totals.answers = append(v.totals.answers, viewedAnswer{q, rows})
	return rows, nil
}

// byDay returns the rows that a query for the first dimension selects, if the answer has its
// days.
func (a *viewedAnswer) byDay(q *TotalsQuery) (rows []viewedTotal, ok bool) {
	if q.Dimension != 0 || a.query.Dimension != AllDimensions {
		return nil, false
	}
	spans := make(map[int64]int64, len(q.Days))
	for i, day := range q.Days {
		if !slices.Contains(a.query.Days, day) {
			return nil, false
		}
		spans[day] = q.Spans[i]
	}
	for _, r := range a.rows {
		if span, ok := spans[r.day]; ok && r.dimension == 0 {
			r.span = span
			rows = append(rows, r)
		}
	}
	return rows, true
}

// askedTotals is a question for totals that is answered in the background.
type askedTotals struct {
	query *TotalsQuery
	done  chan struct{}
	rows  []TotalsRow
	err   error
}

func (v *View) askTotals(ctx context.Context, q *TotalsQuery) *askedTotals {
	a := &askedTotals{query: q, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.err = v.from.Totals(ctx, q, func(r *TotalsRow) error {
			a.rows = append(a.rows, *r)
			return nil
		})
	}()
	return a
}

// askCounts starts to read the totals of a question, so that rows can be read meanwhile.
func (t *tx) askCounts(q *countsAsked) error {
	if t.view == nil || q.filter.OfCause() {
		return nil
	}
	p, err := t.parts(q)
	if err == nil && p.totals != nil && !slices.ContainsFunc(t.view.totals.answers,
		func(a viewedAnswer) bool { return a.query.equal(p.totals) }) {
		t.view.ahead = t.view.askTotals(t.ctx, p.totals)
	}
	return err
}

// eachViewed calls total, unless it is nil, with totals of days, and row with sums by
// series of the rest.
func (t *tx) eachViewed(cat *catalog, f *filter, q *countsAsked, total func(span int64, r *totalRow),
	row func(span, series, sign int64, n []int64)) error {
	v := t.view
	p, err := t.parts(q)
	if err != nil || p.all == nil {
		return err
	}
	if p.totals != nil {
		rows, err := v.sumTotals(t.ctx, p.totals)
		if err != nil {
			return err
		}
		eachViewedTotal(cat, f, rows, total)
	}
	err = v.sumCounts(t.ctx, p.all, func(span, series int64, n []int64) { row(span, series, 1, n) })
	if err == nil && p.less != nil {
		err = v.sumCounts(t.ctx, p.less, func(day, series int64, n []int64) {
			row(p.spans[day], series, -1, n)
		})
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

// eachViewedTotal calls each with the totals that f selects.
func eachViewedTotal(cat *catalog, f *filter, rows []viewedTotal, each func(span int64, r *totalRow)) {
	for i := range rows {
		t := &rows[i]
		r := totalRow{
			dimension: t.dimension,
			format:    cat.name(t.format),
			direction: int32(t.direction),
			value:     cat.name(t.value),
			n:         t.n,
		}
		r.own = t.direction == ownDirection && len(f.Directions) == 0
		if cat.wantsTotal(f, r.format, r.direction) {
			each(t.span, &r)
		}
	}
}

// countsAsked returns the question for the counts of a window as a whole, by some
// dimensions.
func (t *tx) countsAsked(w store.Window, f *store.Filter, by []store.Dimension) *countsAsked {
	return &countsAsked{
		window:    w,
		filter:    f,
		totals:    ofTotals(by),
		dimension: AllDimensions,
		pieces:    oneSpan,
	}
}

// ofTotals reports whether totals contain the sums by some dimensions.
func ofTotals(by []store.Dimension) bool {
	_, ok := (&grouping{dims: by, ofSeries: placesOfSeries(by)}).totalled()
	return ok
}

// sumViewed is sumCounts for a view.
func (c *counter) sumViewed(places []int32, sums *placeSums, total func(r *totalRow)) error {
	q := c.countsAsked(c.window, &c.asked, nil)
	q.totals, q.dimension = total != nil, c.dimension
	return c.eachViewed(c.cat, &c.filter, q, func(_ int64, r *totalRow) {
		total(r)
	}, func(_, series, sign int64, n []int64) {
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

// countsAsked returns the question for the counts of t.
func (t *timeline) countsAsked(f *store.Filter) *countsAsked {
	q := t.tx.countsAsked(t.window, f, t.by)
	q.origin, q.step, q.pieces = t.origin(), t.step, t.pieces
	q.dimension, _ = (&grouping{dims: t.by, ofSeries: placesOfSeries(t.by)}).totalled()
	q.totals = q.totals && t.step >= minutesPerDay
	return q
}

// viewedCounts is counts for a view.
func (t *timeline) viewedCounts() error {
	return t.eachViewed(t.cat, &t.filter, t.countsAsked(&t.filter.Filter), func(step int64, r *totalRow) {
		if !r.own {
			t.total(step, r)
		}
	}, func(step, series, sign int64, n []int64) {
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

// viewedLines holds the sum of the lines of a window.
type viewedLines struct {
	since, until int64
	sum          store.Lines
	first, last  int64
}

// sumLines is sumLines of tx for a view.
func (v *View) sumLines(ctx context.Context, w store.Window) (sum store.Lines, first,
	last int64, err error) {
	since, until := v.minutesOf(w)
	for _, l := range v.lines {
		if l.since == since && l.until == until {
			return l.sum, l.first, l.last, nil
		}
	}
	if sum, first, last, err = v.from.SumLines(ctx, since, until); err == nil {
		v.lines = append(v.lines, viewedLines{since, until, sum, first, last})
	}
	return sum, first, last, err
}

// minutesOf returns the minutes of a window; the least and the greatest number are open
// ends.
func (v *View) minutesOf(w store.Window) (since, until int64) {
	since, until = math.MinInt64, math.MaxInt64
	if !w.Since.IsZero() {
		since = store.Minute(w.Since.UnixMicro())
	}
	if !w.Until.IsZero() {
		until = store.Minute(w.Until.UnixMicro())
	}
	return since, until
}
