package sqlite

import (
	"context"
	"database/sql"
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
		for _, count := range []func() error{t.counts, t.recipients, t.attempts, t.rejections} {
			if err := count(); err != nil {
				return err
			}
		}
		return nil
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
}

type slice struct {
	values []string
	points map[int64]*store.Point // by the number of the step
}

// origin is the minute in which a step begins.
func (t *timeline) origin() int64 {
	if t.window.Since.IsZero() {
		return 0
	}
	return store.Minute(t.window.Since.UnixMicro())
}

// at returns the point of a series, a cause and a minute, nil when they are not
// wanted. k is nil for what has no cause; sender, if not nil, stands for that of
// the series.
func (t *timeline) at(id int64, k *cause, sender *string, minute int64) *store.Point {
	i, ok := t.cat.index[id]
	if !ok || k != nil && !t.filter.matchCause(k) || k == nil && t.filter.OfCause() {
		return nil
	}
	f, s := t.filter, &t.cat.series[i]
	if sender != nil {
		f.Senders = nil // the rows were chosen by it
	}
	if !f.matchSeries(t.cat, s) {
		return nil
	}
	values := make([]string, len(t.by))
	for i, d := range t.by {
		switch {
		case d.OfCause() && k != nil:
			values[i] = k.value(d)
		case d == store.BySender && sender != nil:
			values[i] = *sender
		default:
			values[i] = t.cat.value(s, d)
		}
	}
	key := strings.Join(values, "\x00")
	at := t.slices[key]
	if at == nil {
		at = &slice{values, map[int64]*store.Point{}}
		t.slices[key] = at
	}
	n := minute - t.origin()
	n = (n - mod(n, t.step)) / t.step
	p := at.points[n]
	if p == nil {
		p = &store.Point{Time: time.UnixMicro((t.origin() + n*t.step) * store.MinuteMicros)}
		at.points[n] = p
	}
	return p
}

func mod(a, b int64) int64 { return (a%b + b) % b }

func (t *timeline) counts() error {
	where, args := within(t.window, "minute", store.MinuteMicros)
	return t.ints("SELECT minute, series, delivered, recipients, suspended, handed, messages FROM counts WHERE "+where, args, func(v []int64) error {
		if p := t.at(v[1], nil, nil, v[0]); p != nil {
			p.Delivered += v[2]
			p.Recipients += v[3]
			p.Suspended += v[4]
			p.HandedOver += v[5]
			p.Accepted += v[6]
		}
		return nil
	})
}

// recipients counts those with rows of their own when they were first heard of.
func (t *timeline) recipients() error {
	where, args := within(t.window, "first_seen", 1)
	return t.ints("SELECT first_seen, series, state FROM recipients WHERE "+where, args, func(v []int64) error {
		p := t.at(v[1], nil, nil, store.Minute(v[0]))
		switch state := registry.State(v[2]); {
		case p == nil || state == registry.StateReplaced:
		case state == registry.StateHandedOver:
			p.HandedOver++
		default:
			p.Recipients++
		}
		return nil
	})
}

// attempts counts the failing ones. Whether one is the first for its reason
// depends on those before the window.
func (t *timeline) attempts() error {
	since, until := t.window.Micros()
	var recipient int64
	var met []string // the reasons of the recipient's attempts so far
	return t.ints("SELECT time, series, cause, outcome, recipient FROM attempts WHERE time < ? ORDER BY recipient, time, id", []any{until}, func(v []int64) error {
		if v[4] != recipient {
			recipient, met = v[4], met[:0]
		}
		k := t.cat.causes[v[2]]
		if k == nil {
			return nil
		}
		first := !slices.Contains(met, k.reason)
		if first {
			met = append(met, k.reason)
		}
		if v[0] < since {
			return nil
		}
		p := t.at(v[1], k, nil, store.Minute(v[0]))
		if p == nil {
			return nil
		}
		if first {
			p.First++
		}
		if v[3] == attemptDeferred {
			p.Deferrals++
		} else {
			p.Failures++
		}
		return nil
	})
}

func (t *timeline) rejections() error {
	where, args := within(t.window, "r.time", 1)
	cond, more := senderCondition(t.filter.Senders)
	return t.each("SELECT r.time / 60000000, r.series, r.cause, r.sender, r.n FROM rejections AS r WHERE "+where+" AND "+cond, append(args, more...), func(r *sql.Rows) error {
		var minute, series, cause, n int64
		var address sql.NullString
		if err := r.Scan(&minute, &series, &cause, &address, &n); err != nil {
			return err
		}
		sender := senderDomain(address)
		k := t.cat.causes[cause]
		if k == nil {
			return nil
		}
		if p := t.at(series, k, &sender, minute); p != nil {
			p.Rejected += n
		}
		return nil
	})
}

func (t *timeline) finish() *store.Timeline {
	line := &store.Timeline{Window: t.window, Step: time.Duration(t.step) * time.Minute, By: t.by}
	for _, s := range t.slices {
		points := make([]store.Point, 0, len(s.points))
		for _, p := range s.points {
			points = append(points, *p)
		}
		slices.SortFunc(points, func(a, b store.Point) int { return a.Time.Compare(b.Time) })
		line.Slices = append(line.Slices, store.Slice{Values: s.values, Points: points})
	}
	slices.SortFunc(line.Slices, func(a, b store.Slice) int { return slices.Compare(a.Values, b.Values) })
	return line
}
