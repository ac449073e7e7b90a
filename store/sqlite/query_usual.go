package sqlite

import (
	"context"
	"database/sql"
	"mailfail/store"
	"slices"
	"time"
)

// Recent calls each with what was counted in a window: how many attempts and
// rejections of a minute have all in common that e tells, which is time,
// outcome, format, host, provider, domain, reply, enhanced code and reason.
func (q *reader) Recent(ctx context.Context, w store.Window, f store.Filter, each func(e *store.Event, n int64)) error {
	return q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		f, err := t.leaveOut(w, f)
		if err != nil {
			return err
		}
		minutes, args := within(w, "minute", store.MinuteMicros)
		times, _ := within(w, "time", 1)
		row := func(v []int64) error {
			s := &cat.series[cat.index[v[1]]]
			k := cat.causes[v[2]]
			if !f.matchSeries(cat, s) || k != nil && !f.matchCause(k) {
				return nil
			}
			e := &store.Event{Time: time.UnixMicro(v[0] * store.MinuteMicros), Format: cat.names[s.format], MTA: cat.value(s, store.ByMTA), Host: cat.names[s.host],
				Provider: cat.value(s, store.ByProvider), Domain: cat.names[s.domain], Outcome: "delivered"}
			if k != nil {
				e.Outcome, e.Reply, e.Enhanced, e.Reason = "rejected", k.reply, k.enhanced, k.reason
			}
			if v[3] != 0 {
				e.Outcome = outcomeName(v[3])
			}
			each(e, v[4])
			return nil
		}
		if err := t.ints("SELECT minute, series, 0, 0, delivered FROM counts WHERE delivered > 0 AND "+minutes, args, row); err != nil {
			return err
		}
		_, args = within(w, "time", 1)
		const what = " AS m, series, cause, "
		if err := t.ints("SELECT time/60000000"+what+"outcome AS o, COUNT(*) FROM attempts WHERE "+times+" GROUP BY m, series, cause, o", args, row); err != nil {
			return err
		}
		return t.ints("SELECT time/60000000"+what+"0, SUM(n) FROM rejections WHERE "+times+" GROUP BY m, series, cause", args, row)
	})
}

// usualSpan is the time around the same time of day that is looked at.
const usualSpan = time.Hour

// Usual returns the median of the last days (no more than days of them) of the
// attempts and rejections within the hour around the time of day of now. Days
// on which no line was logged in that hour do not count.
func (q *reader) Usual(ctx context.Context, now time.Time, days int, f store.Filter) (store.Usual, error) {
	var delivered, deferred, failed, rejected []float64
	err := q.read(ctx, func(t *tx) error {
		u := &usual{tx: t, asked: f}
		for day := 1; day <= days; day++ {
			middle := now.AddDate(0, 0, -day)
			n, logged, err := u.count(store.Window{Since: middle.Add(-usualSpan / 2), Until: middle.Add(usualSpan / 2)}.Minutes())
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
	return store.Usual{Days: len(delivered), Delivered: median(delivered), Deferred: median(deferred), Failed: median(failed), Rejected: median(rejected)}, err
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// usual counts attempts. The dictionaries are read only when there is
// something to filter by: they are most of the work.
type usual struct {
	*tx
	asked  store.Filter
	filter filter   // asked, less what is counted elsewhere at that time
	cat    *catalog // nil: everything is counted
}

// choose decides what is counted of a window.
func (u *usual) choose(w store.Window) (err error) {
	if u.filter, err = u.leaveOut(w, u.asked); err != nil {
		return err
	}
	f := &u.filter
	if u.cat == nil && (f.OfCause() || f.without != "" || len(f.Domains)+len(f.Senders)+len(f.Providers)+len(f.Hosts)+len(f.MTAs) > 0) {
		u.cat, err = u.catalog()
	}
	return err
}

// wants reports whether a group of rows is to be counted; cause is 0 for
// deliveries.
func (u *usual) wants(series, cause int64) bool {
	if u.cat == nil {
		return true
	}
	i, ok := u.cat.index[series]
	k := u.cat.causes[cause]
	return ok && u.filter.matchSeries(u.cat, &u.cat.series[i]) && (cause == 0 || k != nil && u.filter.matchCause(k))
}

func (u *usual) count(w store.Window) (n store.Tally, logged bool, err error) {
	minutes, args := within(w, "minute", store.MinuteMicros)
	var lines sql.NullInt64
	if _, err := u.one("SELECT SUM(read) FROM lines WHERE "+minutes, args, &lines); err != nil || lines.Int64 == 0 {
		return n, false, err
	}
	if err := u.choose(w); err != nil {
		return n, true, err
	}
	series, cause := "0", "0"
	if u.cat != nil {
		series, cause = "series", "cause"
	}
	err = u.ints("SELECT "+series+" AS s, SUM(delivered) FROM counts WHERE "+minutes+" GROUP BY s", args, func(v []int64) error {
		if u.wants(v[0], 0) {
			n.Attempts += v[1]
		}
		return nil
	})
	if err != nil {
		return n, true, err
	}
	times, args := within(w, "time", 1)
	err = u.ints("SELECT "+series+" AS s, "+cause+" AS c, outcome, COUNT(*) FROM attempts WHERE "+times+" GROUP BY s, c, outcome", args, func(v []int64) error {
		if !u.wants(v[0], v[1]) {
			return nil
		}
		n.Attempts += v[3]
		if outcomeName(v[2]) == "deferred" {
			n.Deferrals += v[3]
		} else {
			n.Failures += v[3]
		}
		return nil
	})
	if err != nil {
		return n, true, err
	}
	return n, true, u.ints("SELECT "+series+" AS s, "+cause+" AS c, SUM(n) FROM rejections WHERE "+times+" GROUP BY s, c", args, func(v []int64) error {
		if u.wants(v[0], v[1]) {
			n.Rejected += v[2]
		}
		return nil
	})
}
