package sqlite

import (
	"context"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"slices"
	"time"
)

// Recent calls each with the counts of a window: n attempts or rejections of a minute share
// all fields that e contains, which are time, outcome, format, host, provider, domain,
// reply, enhanced code and reason.
func (q *reader) Recent(ctx context.Context, w store.Window, f store.Filter,
	each func(e *store.Event, n int64)) error {
	return q.read(ctx, func(t *tx) error {
		r := &recent{tx: t, found: map[recentKey]int64{}}
		err := t.need(w, fleet.Counts, fleet.Attempts, fleet.Rejections)
		if err != nil {
			return err
		}
		if r.cat, err = t.catalog(); err != nil {
			return err
		}
		if r.filter, err = t.leaveOut(w, f); err != nil {
			return err
		}
		r.wanted = r.filter.wanted(r.cat)
		if err := r.count(w); err != nil {
			return err
		}
		if err := t.settled(); err != nil {
			return err
		}
		for k, n := range r.found {
			each(r.event(&k), n)
		}
		return nil
	})
}

// recent adds up attempts and rejections by minute.
type recent struct {
	*tx
	cat    *catalog
	filter filter
	wanted []bool // by place

	found map[recentKey]int64
}

type recentKey struct {
	minute  int64
	place   int32
	cause   int32 // 0 for deliveries
	outcome registry.Outcome
}

func (r *recent) add(minute, series, cause int64, o registry.Outcome, n int64) {
	place, ok := r.cat.place(series)
	if !ok || !r.wanted[place] {
		return
	}
	if k := r.cat.causes[cause]; cause != 0 && (k == nil || !r.filter.matchCause(k)) {
		return
	}
	r.found[recentKey{minute, int32(place), int32(cause), o}] += n
}

func (r *recent) count(w store.Window) error {
	err := r.eachCounts(w, true, allColumns, func(b *block, first, since, until int64) error {
		for i, n := range b.cols[countFields+fieldDelivered] {
			if m := first + b.at(countMinute, i); n > 0 && m >= since && m < until {
				r.add(m, b.at(countSeries, i), 0, registry.OutcomeDelivered, n)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = r.eachAttempt(w, func(a *failingAttempt) error {
		r.add(store.Minute(a.time), int64(a.series), int64(a.cause), outcomeOf(int64(a.flags)), 1)
		return nil
	})
	if err != nil {
		return err
	}
	return r.eachRejection(w, func(j *refusedMail) error {
		r.add(store.Minute(j.time), j.series, j.cause, registry.OutcomeRejected, j.n)
		return nil
	})
}

func (r *recent) event(k *recentKey) *store.Event {
	s := &r.cat.series[k.place]
	e := &store.Event{
		Time:      time.UnixMicro(k.minute * store.MinuteMicros),
		Format:    r.cat.names[s.format],
		MTA:       r.cat.valueText(s, store.ByMTA),
		Host:      registry.Foreign(r.cat.names[s.host]),
		Provider:  registry.Foreign(r.cat.valueText(s, store.ByProvider)),
		Domain:    registry.Foreign(r.cat.names[s.domain]),
		Direction: s.directionName(),
		Outcome:   k.outcome.String(),
	}
	if c := r.cat.causes[int64(k.cause)]; c != nil {
		e.Reply, e.Enhanced, e.Reason = c.reply, c.enhanced, c.reason
	}
	return e
}

// usualSpan is the length of the span around the time of day that is counted.
const usualSpan = time.Hour

// Usual returns the attempts and rejections a minute within the hour around the time of day
// of now: the median of the last days, at most days of them. Days without a line in that
// hour do not count.
func (q *reader) Usual(ctx context.Context, now time.Time, days int, f store.Filter) (store.Usual, error) {
	var delivered, deferred, failed, rejected []float64
	err := q.read(ctx, func(t *tx) error {
		u := &usual{tx: t, asked: f}
		delivered, deferred, failed, rejected = nil, nil, nil, nil
		for day := 1; day <= days; day++ {
			middle := now.AddDate(0, 0, -day)
			n, logged, err := u.count(store.Window{
				Since: middle.Add(-usualSpan / 2),
				Until: middle.Add(usualSpan / 2),
			}.Minutes())
			if err != nil {
				return err
			}
			if !logged {
				continue
			}
			minutes := usualSpan.Minutes()
			delivered = append(delivered, float64(n.Attempts-n.Deferrals-n.Failures)/minutes)
			deferred = append(deferred, float64(n.Deferrals)/minutes)
			failed = append(failed, float64(n.Failures)/minutes)
			rejected = append(rejected, float64(n.Rejected)/minutes)
		}
		return nil
	})
	return store.Usual{
		Days:      len(delivered),
		Delivered: median(delivered),
		Deferred:  median(deferred),
		Failed:    median(failed),
		Rejected:  median(rejected),
	}, err
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// usual counts attempts.
type usual struct {
	*tx
	asked store.Filter
}

// count counts the attempts and rejections of a window; logged is false if the window has
// no lines.
func (u *usual) count(w store.Window) (n store.Tally, logged bool, err error) {
	lines, _, _, err := u.sumLines(w)
	if err != nil || lines.Read == 0 {
		return n, false, err
	}
	r := &recent{tx: u.tx, found: map[recentKey]int64{}}
	if r.cat, err = u.catalog(); err != nil {
		return n, true, err
	}
	if r.filter, err = u.leaveOut(w, u.asked); err != nil {
		return n, true, err
	}
	r.wanted = r.filter.wanted(r.cat)
	err = r.count(w)
	for k, v := range r.found {
		switch k.outcome {
		case registry.OutcomeRejected:
			n.Rejected += v
			continue
		case registry.OutcomeDeferred:
			n.Deferrals += v
		case registry.OutcomeFailed:
			n.Failures += v
		}
		n.Attempts += v
	}
	return n, true, err
}
