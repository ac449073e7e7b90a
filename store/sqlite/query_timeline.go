package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// Timeline counts the events of a window by some dimensions and by steps of time.
func (q *reader) Timeline(ctx context.Context, w store.Window, f store.Filter, by []store.Dimension,
	step time.Duration) (*store.Timeline, error) {
	if step < time.Minute || step%time.Minute != 0 {
		return nil, fmt.Errorf("steps of %s are not whole minutes", step)
	}
	t := &timeline{
		window: w.Minutes(),
		by:     by,
		step:   int64(step / time.Minute),
	}
	err := q.read(ctx, func(tx *tx) (err error) {
		t.tx = tx
		t.reset()
		// Before the catalog, which has the names and the series of these rows.
		if err := tx.need(t.window, fleet.Attempts, fleet.Recipients, fleet.Rejections); err != nil {
			return err
		}
		if err := tx.needCounts(t.countsAsked(&f)); err != nil {
			return err
		}
		if t.cat, err = tx.catalog(); err != nil {
			return err
		}
		if t.filter, err = tx.leaveOut(t.window, f); err != nil {
			return err
		}
		return t.count()
	})
	if err != nil {
		return nil, err
	}
	return t.finish(), nil
}

// reset removes all points.
func (t *timeline) reset() {
	t.rows, t.inRows, t.cells, t.keys, t.points = nil, 0, map[uint64]int32{}, nil, pointPages{}
	t.last.next = t.last.first
}

// timeline adds up events by group and step.
type timeline struct {
	*tx
	cat    *catalog
	window store.Window
	filter filter
	by     []store.Dimension
	step   int64   // minutes
	wanted []bool  // by place
	parts  []int32 // by id of series, plus 1; 0: not wanted
	groups *grouping
	bare   []int32 // group without a cause, by part

	first  int64            // step with which rows begin
	steps  int64            // in rows
	rows   [][]int32        // by group and step: place in points, plus 1; nil: in cells
	inRows int64            // elements of rows
	cells  map[uint64]int32 // by cellKey: place in points of those not in rows
	keys   []uint64         // of points
	points pointPages
	last   struct { // the point that at returned last, by its group and the minutes of its step
		group       int32
		point       int32
		first, next int64
	}
}

// origin returns the minute at which steps are aligned.
func (t *timeline) origin() int64 {
	if t.window.Since.IsZero() {
		return 0
	}
	return store.Minute(t.window.Since.UnixMicro())
}

// at returns the point of a group and a minute, valid until the next call.
func (t *timeline) at(group int32, minute int64) *store.Point {
	if l := &t.last; group == l.group && minute >= l.first && minute < l.next {
		return t.points.at(l.point)
	}
	number := t.number(minute)
	i := t.find(group, number)
	first := t.origin() + number*t.step
	t.last.group, t.last.point, t.last.first, t.last.next = group, i, first, first+t.step
	return t.points.at(i)
}

// mostInRows is the largest number of elements in rows, which take memory even for groups
// with few points.
var mostInRows int64 = 1 << 22

// find returns the place in points of a group and a step.
func (t *timeline) find(group int32, number int64) int32 {
	if t.inRows+t.steps <= mostInRows || int(group) < len(t.rows) && t.rows[group] != nil {
		if i := number - t.first; i >= 0 && i < t.steps {
			row := at(&t.rows, int64(group))
			if *row == nil {
				*row, t.inRows = make([]int32, t.steps), t.inRows+t.steps
			}
			if (*row)[i] == 0 {
				(*row)[i] = t.add(group, number) + 1
			}
			return (*row)[i] - 1
		}
	}
	key := cellKey(group, number)
	i, ok := t.cells[key]
	if !ok {
		i = t.add(group, number)
		t.cells[key] = i
	}
	return i
}

func (t *timeline) add(group int32, number int64) int32 {
	t.keys = append(grown(t.keys, 1), cellKey(group, number))
	return t.points.add()
}

// pointPages is a list of points that grows without being copied.
type pointPages struct {
	pages [][]store.Point
	n     int32
}

const pointsPerPage = 1 << 12

func (p *pointPages) at(i int32) *store.Point { return &p.pages[i/pointsPerPage][i%pointsPerPage] }

// add adds a point and returns its place.
func (p *pointPages) add() int32 {
	if int(p.n) == len(p.pages)*pointsPerPage {
		p.pages = append(p.pages, make([]store.Point, pointsPerPage))
	}
	p.n++
	return p.n - 1
}

// cellKey returns the key of the point of a group and a step. Keys sort by group, then by
// step.
func cellKey(group int32, step int64) uint64 { return uint64(group)<<32 | uint64(uint32(step+1<<31)) }

func stepOf(key uint64) int64 { return int64(uint32(key)) - 1<<31 }

// number returns the number of the step in which a minute lies.
func (t *timeline) number(minute int64) int64 { return floorDiv(minute-t.origin(), t.step) }

func mod(a, b int64) int64 { return (a%b + b) % b }

// room sets the steps that rows have: those of the window, as far as there are counts.
func (t *timeline) room() error {
	since, until := store.Minute(t.window.Since.UnixMicro()), store.Minute(t.window.Until.UnixMicro())
	bounded := !t.window.Since.IsZero() && !t.window.Until.IsZero()
	if t.view == nil {
		var err error
		if since, until, err = t.minutes(t.window); err != nil {
			return err
		}
	}
	if (bounded || t.view == nil) && since < until {
		t.first = t.number(since)
		t.steps = t.number(until-1) - t.first + 1
	}
	return nil
}

// count adds up everything.
func (t *timeline) count() error {
	if err := t.room(); err != nil {
		return err
	}
	if err := t.ofAccounts(t.filter.Accounts); err != nil {
		return err
	}
	t.prepare()
	steps := []func() error{t.counts, t.recipients, t.attempts, t.rejections}
	if m := t.minutely(); m != nil {
		t.addMinutes(m)
		steps = []func() error{t.counts, t.rejections}
	}
	for _, count := range steps {
		if err := count(); err != nil {
			return err
		}
	}
	return nil
}

// prepare finds the parts of the series.
func (t *timeline) prepare() {
	t.wanted = t.filter.wanted(t.cat)
	for i := range t.wanted {
		t.wanted[i] = t.wanted[i] && (!t.cat.series[i].own || len(t.filter.Directions) > 0)
	}
	t.groups = newGrouping(t.cat, t.by, false)
	t.parts = make([]int32, len(t.cat.places))
	for i, wanted := range t.wanted {
		if wanted {
			t.parts[t.cat.series[i].id] = t.groups.parts[i] + 1
		}
	}
	t.bare = make([]int32, len(t.groups.combos.list)+1)
	for part := range t.bare {
		t.bare[part] = t.groups.bareGroup(int32(part))
	}
}

// part returns the part of a series, -1 if it is not wanted.
func (t *timeline) part(series int64) int32 {
	if uint64(series) >= uint64(len(t.parts)) {
		return -1
	}
	return t.parts[series] - 1
}

func (t *timeline) counts() error {
	if t.filter.OfCause() {
		return nil
	}
	wanted := allColumns &^ (1<<countCause | 1<<(countFields+fieldMessages) | 1<<(countFields+fieldExpected))
	if t.view != nil {
		return t.viewedCounts()
	}
	since, until, err := t.minutes(t.window)
	if err != nil || since >= until {
		return err
	}
	rest, err := t.hours(since, until)
	for _, p := range rest {
		if err != nil {
			return err
		}
		err = t.stretch(p.since, p.until, wanted)
	}
	return err
}

// stretch counts what lies between two minutes.
func (t *timeline) stretch(since, until int64, wanted columns) error {
	var groups groupCounts
	if t.step < minutesPerDay {
		return t.eachHour(since, until, nil, wanted, func(b *block, first, since, until int64) error {
			groups.add(t, b, first, since, until, noSpan, 1)
			return nil
		})
	}
	c, err := t.coverCounts(since, until, t.pieces)
	if dimension, ok := t.groups.totalled(); err == nil && ok {
		err = t.takeTotals(&c, t.cat, &t.filter, func(step int64, r *totalRow) {
			if r.dimension == dimension && !r.own {
				t.total(step, r)
			}
		})
	}
	if err != nil {
		return err
	}
	return t.eachSum(&c, wanted, func(b *block, first, since, until, step, sign int64) error {
		groups.add(t, b, first, since, until, step, sign)
		return nil
	})
}

// total adds a row of totals to a step.
func (t *timeline) total(step int64, r *totalRow) {
	p := t.at(t.groups.bareGroup(t.groups.partOfTotal(r)), t.origin()+step*t.step)
	p.Delivered += r.n[fieldDelivered]
	p.Recipients += r.n[fieldRecipients]
	p.Suspended += r.n[fieldSuspended]
	p.HandedOver += r.n[fieldHanded]
	p.Accepted += r.n[fieldAccepted]
	p.Untried += r.n[fieldAccepted] - r.n[fieldHeard]
}

// pieces returns the pieces of some minutes, one for each step.
func (t *timeline) pieces(since, until int64) (list []piece) {
	for since < until {
		step := t.number(since)
		end := min(until, t.origin()+(step+1)*t.step)
		list = append(list, piece{since, end, step})
		since = end
	}
	return list
}

// groupCounts adds up the rows of blocks by group.
type groupCounts struct {
	sums   pointSums
	groups []int32 // of the rows of a block, plus 1; 0: not wanted
}

// add adds rows of a block to a step. If step is noSpan, the minute of each row selects its
// step. sign is 1, or -1 to subtract the rows.
func (g *groupCounts) add(t *timeline, b *block, first, since, until, step, sign int64) {
	minutes := b.cols[countMinute]
	if within := since <= first && first+59 < until; minutes != nil && within &&
		(step != noSpan || t.number(first) == t.number(first+59)) {
		minutes = nil // the hour lies in one step
	}
	if minutes == nil && (first < since || first >= until) {
		return
	}
	at := first
	if step != noSpan {
		at = t.origin() + step*t.step
	}
	g.groups = slices.Grow(g.groups[:0], b.rows)[:b.rows]
	groups := g.groups
	for i := range groups {
		groups[i] = 0
		if part := t.part(b.at(countSeries, i)); part >= 0 &&
			(minutes == nil || first+minutes[i] >= since && first+minutes[i] < until) {
			groups[i] = t.bare[part] + 1
		}
	}
	byMinute := minutes != nil && step == noSpan
	for i, n := 0, 0; i < b.rows; i = n { // rows of one group and step
		for n = i + 1; n < b.rows && groups[n] == groups[i] && (!byMinute || minutes[n] == minutes[i]); {
			n++
		}
		switch {
		case groups[i] == 0:
		case byMinute:
			addPoints(t.at(groups[i]-1, first+minutes[i]), b, i, n, sign)
		default:
			addPoints(g.sums.at(groups[i]-1), b, i, n, sign)
		}
	}
	g.sums.flush(func(group int32, p *store.Point) { t.at(group, at).Add(p) })
}

// addPoints adds some rows of a block to p, or subtracts them if sign is -1.
func addPoints(p *store.Point, b *block, from, to int, sign int64) {
	sum := func(field int) (n int64) {
		if c := b.cols[countFields+field]; c != nil {
			for _, v := range c[from:to] {
				n += v
			}
		}
		return sign * n
	}
	p.Delivered += sum(fieldDelivered)
	p.Recipients += sum(fieldRecipients)
	p.Suspended += sum(fieldSuspended)
	p.HandedOver += sum(fieldHanded)
	accepted := sum(fieldAccepted)
	p.Accepted += accepted
	p.Untried += accepted - sum(fieldHeard)
}

// pointSums holds the points of one step.
type pointSums struct {
	points []store.Point // by group
	used   []bool
	groups []int32 // the used groups
}

func (s *pointSums) at(group int32) *store.Point {
	if n := int(group) + 1 - len(s.points); n > 0 {
		s.points, s.used = append(s.points, make([]store.Point, n)...), append(s.used, make([]bool, n)...)
	}
	if !s.used[group] {
		s.used[group] = true
		s.groups = append(s.groups, group)
	}
	return &s.points[group]
}

// flush calls each with the points that are used, and resets them.
func (s *pointSums) flush(each func(group int32, p *store.Point)) {
	for _, g := range s.groups {
		each(g, &s.points[g])
		s.points[g], s.used[g] = store.Point{}, false
	}
	s.groups = s.groups[:0]
}

// recipients counts the recipients that are stored one by one, at the time of their first
// record.
func (t *timeline) recipients() error {
	if t.filter.OfCause() {
		return nil
	}
	since, until := t.window.Micros()
	wanted := columns(1<<recipientFirst | 1<<recipientFlags | 1<<recipientSeries)
	return t.eachRecipients(t.window, wanted, func(b *block) error {
		for i, first := range b.cols[recipientFirst] {
			state, part := registry.State(b.cols[recipientFlags][i]&stateBits),
				t.part(b.cols[recipientSeries][i])
			if first < since || first >= until || state == registry.StateReplaced || part < 0 {
				continue
			}
			p := t.at(t.bare[part], store.Minute(first))
			if state == registry.StateHandedOver {
				p.HandedOver++
			} else {
				p.Recipients++
			}
		}
		return nil
	})
}

// attempts counts the failing attempts.
func (t *timeline) attempts() error {
	causes := t.filter.wantedCauses(t.cat)
	wanted := columns(1<<attemptTime | 1<<attemptSeries | 1<<attemptCause | 1<<attemptFlags)
	return t.eachAttempts(t.window, wanted, func(b *block) error {
		for i, series := range b.cols[attemptSeries] {
			cause, flags, part := b.cols[attemptCause][i], b.cols[attemptFlags][i], t.part(series)
			if part < 0 || cause <= 0 || cause >= int64(len(causes)) || causes[cause] == nil {
				continue
			}
			p := t.at(t.groups.group(part, causes[cause].label), store.Minute(b.cols[attemptTime][i]))
			if flags&firstBit != 0 {
				p.First++
			}
			if outcomeOf(flags) == registry.OutcomeDeferred {
				p.Deferrals++
			} else {
				p.Failures++
			}
		}
		return nil
	})
}

func (t *timeline) rejections() error {
	causes := t.filter.wantedCauses(t.cat)
	wanted, senders := t.filter.wantedOfRejections(t.cat), t.filter.wantedSenders(t.cat)
	return t.eachRejection(t.window, func(r *refusedMail) error {
		place, ok := t.cat.place(r.series)
		if !ok || !wanted[place] || !senders(r.sender) || r.cause <= 0 || r.cause >= int64(len(causes)) ||
			causes[r.cause] == nil {
			return nil
		}
		part := t.groups.partOfRejection(place, t.cat.name(int64(r.sender)))
		t.at(t.groups.group(part, causes[r.cause].label), store.Minute(r.time)).Rejected += r.n
		return nil
	})
}

func (t *timeline) finish() *store.Timeline {
	line := &store.Timeline{Window: t.window, Step: time.Duration(t.step) * time.Minute, By: t.by}
	points := make([]store.Point, 0, t.points.n)
	for rest := t.sorted(); len(rest) > 0; {
		group, first, n := rest[0].key>>32, len(points), 0
		for ; n < len(rest) && rest[n].key>>32 == group; n++ {
			if p := *t.points.at(rest[n].point); p != (store.Point{}) {
				p.Time = time.UnixMicro((t.origin() + stepOf(rest[n].key)*t.step) * store.MinuteMicros)
				points = append(points, p)
			}
		}
		if len(points) > first {
			line.Slices = append(line.Slices, store.Slice{
				Values: t.groups.valuesOf(int32(group)),
				Points: points[first:len(points):len(points)],
			})
		}
		rest = rest[n:]
	}
	slices.SortFunc(line.Slices, func(a, b store.Slice) int { return slices.Compare(a.Values, b.Values) })
	return line
}

// cell is a point by its key.
type cell struct {
	key   uint64
	point int32
}

// sorted returns the points in the order of their keys.
func (t *timeline) sorted() []cell {
	outside := make([]cell, 0, len(t.cells)) // of rows
	for key, point := range t.cells {
		outside = append(outside, cell{key, point})
	}
	slices.SortFunc(outside, func(a, b cell) int { return cmp.Compare(a.key, b.key) })
	list := make([]cell, 0, len(t.keys))
	for _, row := range t.rows {
		for _, i := range row {
			if i == 0 {
				continue
			}
			key := t.keys[i-1]
			for len(outside) > 0 && outside[0].key < key {
				list, outside = append(list, outside[0]), outside[1:]
			}
			list = append(list, cell{key, i - 1})
		}
	}
	t.cells, t.keys, t.rows = nil, nil, nil
	return append(list, outside...)
}
