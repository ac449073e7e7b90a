package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Timeline counts what happened in a window by some dimensions and by steps of
// time.
func (q *reader) Timeline(ctx context.Context, w store.Window, f store.Filter, by []store.Dimension, step time.Duration) (*store.Timeline, error) {
	if step < time.Minute || step%time.Minute != 0 {
		return nil, fmt.Errorf("steps of %s are not whole minutes", step)
	}
	t := &timeline{
		window: w.Minutes(),
		by:     by,
		step:   int64(step / time.Minute),
		slices: map[string]*slice{},
	}
	err := q.read(ctx, func(tx *tx) (err error) {
		t.tx = tx
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

// timeline adds up what happened by place and step.
type timeline struct {
	*tx
	cat    *catalog
	window store.Window
	filter filter
	by     []store.Dimension
	step   int64 // minutes
	slices map[string]*slice
	wanted []bool
	bare   []*slice // of what has no cause, by place
	caused map[[2]int32]*slice
}

type slice struct {
	values []string
	first  int64 // number of the step of points[0]
	points []store.Point
}

// at returns the point of the step with a number.
func (s *slice) at(n int64) *store.Point {
	switch {
	case len(s.points) == 0:
		s.first = n
		s.points = append(s.points, store.Point{})
	case n < s.first:
		s.points = slices.Insert(s.points, 0, make([]store.Point, s.first-n)...)
		s.first = n
	case n >= s.first+int64(len(s.points)):
		s.points = append(s.points, make([]store.Point, n-s.first-int64(len(s.points))+1)...)
	}
	return &s.points[n-s.first]
}

// origin is the minute in which a step begins.
func (t *timeline) origin() int64 {
	if t.window.Since.IsZero() {
		return 0
	}
	return store.Minute(t.window.Since.UnixMicro())
}

// at returns the point of a place and a minute; k is nil for what has no cause.
func (t *timeline) at(place int, k *cause, minute int64) *store.Point {
	var s *slice
	if k == nil {
		if s = t.bare[place]; s == nil {
			s = t.slice(t.values(place, nil, nil))
			t.bare[place] = s
		}
	} else {
		key := [2]int32{int32(place), k.label}
		if s = t.caused[key]; s == nil {
			s = t.slice(t.values(place, k, nil))
			t.caused[key] = s
		}
	}
	return s.at(t.number(minute))
}

// number returns the number of the step a minute lies in.
func (t *timeline) number(minute int64) int64 { return floorDiv(minute-t.origin(), t.step) }

// values returns the values of the dimensions; sender, if not nil, stands for that
// of the series.
func (t *timeline) values(place int, k *cause, sender *string) []string {
	values := make([]string, len(t.by))
	for i, d := range t.by {
		switch {
		case d.OfCause() && k == nil:
		case d.OfCause():
			values[i] = t.cat.text(d, t.cat.labelValue(k.label, d))
		case d == store.BySender && sender != nil:
			values[i] = *sender
		case d == store.ByDirection && sender != nil: // of rejections alone
			values[i] = registry.DirectionIncoming.String()
		default:
			values[i] = t.cat.valueText(&t.cat.series[place], d)
		}
	}
	return values
}

func (t *timeline) slice(values []string) *slice {
	key := strings.Join(values, "\x00")
	s := t.slices[key]
	if s == nil {
		s = &slice{values: values}
		t.slices[key] = s
	}
	return s
}

func mod(a, b int64) int64 { return (a%b + b) % b }

// count adds up everything.
func (t *timeline) count() error {
	t.wanted = t.filter.wanted(t.cat)
	for i := range t.wanted {
		t.wanted[i] = t.wanted[i] && (!t.cat.series[i].own || len(t.filter.Directions) > 0)
	}
	t.bare, t.caused = make([]*slice, len(t.cat.series)), map[[2]int32]*slice{}
	for _, count := range []func() error{t.counts, t.recipients, t.attempts, t.rejections} {
		if err := count(); err != nil {
			return err
		}
	}
	return nil
}

// place returns the place of a series that is wanted.
func (t *timeline) place(series int64) (int, bool) {
	i, ok := t.cat.place(series)
	return i, ok && t.wanted[i]
}

func (t *timeline) counts() error {
	if t.filter.OfCause() {
		return nil
	}
	whole := t.step%minutesPerDay == 0 && t.origin()%minutesPerDay == 0
	return t.eachCounts(t.window, !whole, func(b *block, first, since, until int64) error {
		for i := range b.rows {
			m := first + b.at(countMinute, i)
			if m < since || m >= until {
				continue
			}
			place, ok := t.place(b.at(countSeries, i))
			if !ok {
				continue
			}
			p := t.at(place, nil, m)
			p.Delivered += b.at(countFields+fieldDelivered, i)
			p.Recipients += b.at(countFields+fieldRecipients, i)
			p.Suspended += b.at(countFields+fieldSuspended, i)
			p.HandedOver += b.at(countFields+fieldHanded, i)
			p.Accepted += b.at(countFields+fieldAccepted, i)
			p.Untried += b.at(countFields+fieldAccepted, i) - b.at(countFields+fieldHeard, i)
		}
		return nil
	})
}

// recipients counts those with rows of their own when they were first heard of.
func (t *timeline) recipients() error {
	if t.filter.OfCause() {
		return nil
	}
	since, until := t.window.Micros()
	return t.eachRecipient(t.window, func(r *livingRecipient) error {
		place, ok := t.place(int64(r.series))
		if !ok || r.first < since || r.first >= until || r.state == registry.StateReplaced {
			return nil
		}
		p := t.at(place, nil, store.Minute(r.first))
		if r.state == registry.StateHandedOver {
			p.HandedOver++
		} else {
			p.Recipients++
		}
		return nil
	})
}

// attempts counts the failing ones.
func (t *timeline) attempts() error {
	causes := t.filter.wantedCauses(t.cat)
	return t.eachAttempt(t.window, func(a *failingAttempt) error {
		place, ok := t.place(int64(a.series))
		if !ok || a.cause <= 0 || int(a.cause) >= len(causes) || causes[a.cause] == nil {
			return nil
		}
		p := t.at(place, causes[a.cause], store.Minute(a.time))
		if a.flags&firstBit != 0 {
			p.First++
		}
		if outcomeOf(int64(a.flags)) == registry.OutcomeDeferred {
			p.Deferrals++
		} else {
			p.Failures++
		}
		return nil
	})
}

func (t *timeline) rejections() error {
	causes := t.filter.wantedCauses(t.cat)
	wanted, senders := t.filter.wantedOfRejections(t.cat), t.filter.wantedSenders(t.cat)
	return t.eachRejection(t.window, func(r *refusedMail) error {
		place, ok := t.cat.place(r.series)
		if !ok || !wanted[place] || !senders(r.sender) || r.cause <= 0 || r.cause >= int64(len(causes)) || causes[r.cause] == nil {
			return nil
		}
		sender := t.cat.names[t.cat.name(int64(r.sender))]
		t.slice(t.values(place, causes[r.cause], &sender)).at(t.number(store.Minute(r.time))).Rejected += r.n
		return nil
	})
}

func (t *timeline) finish() *store.Timeline {
	line := &store.Timeline{Window: t.window, Step: time.Duration(t.step) * time.Minute, By: t.by}
	for _, s := range t.slices {
		var points []store.Point
		for i, p := range s.points {
			if p != (store.Point{}) {
				p.Time = time.UnixMicro((t.origin() + (s.first+int64(i))*t.step) * store.MinuteMicros)
				points = append(points, p)
			}
		}
		if points != nil {
			line.Slices = append(line.Slices, store.Slice{Values: s.values, Points: points})
		}
	}
	slices.SortFunc(line.Slices, func(a, b store.Slice) int { return slices.Compare(a.Values, b.Values) })
	return line
}
