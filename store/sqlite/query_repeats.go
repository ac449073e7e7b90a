package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"mailfail/store"
	"mailfail/store/fleet"
	"slices"
)

// leaveOut returns f without the attempts of send logs, if message tracking logs report the
// same mail: if f selects both, and there are counts of tracking logs in the window. It
// leaves out bounces if f selects a log too: they are feedback.
func (t *tx) leaveOut(w store.Window, asked store.Filter) (filter, error) {
	f := filter{Filter: asked}
	twice, err := t.isBetter(w, &asked, store.TrackingFormat)
	if twice {
		f.without = append(f.without, store.SendFormat)
	}
	if err != nil {
		return f, err
	}
	if twice, err = t.hasLogBesideBounces(&asked); twice {
		f.without = append(f.without, store.BouncesFormat)
	}
	return f, err
}

// hasLogBesideBounces reports whether f selects both bounces and the log of a server.
func (t *tx) hasLogBesideBounces(f *store.Filter) (bool, error) {
	ids, err := t.hosts(f, store.BouncesFormat)
	if err != nil || ids == nil {
		return false, err
	}
	if t.view != nil {
		return t.view.hasLogBesideBounces(t.ctx, f)
	}
	found := false
	err = t.each(`SELECT DISTINCT f.text, h.text FROM series AS s JOIN names AS f ON f.id = s.format JOIN names AS h ON h.id = s.host
		WHERE f.text <> ?`, []any{store.BouncesFormat}, func(r *sql.Rows) error {
		var format, host string
		err := r.Scan(&format, &host)
		found = found || f.MatchFormat(format) && store.MatchName(f.Hosts, host)
		return err
	})
	return found, err
}

// hasTraces reports whether message traces of Exchange Online and message tracking
// logs report in the same window.
func (t *tx) hasTraces(w store.Window, f *store.Filter) (found bool, err error) {
	for _, format := range [...]string{store.TraceFormat, store.SummaryFormat} {
		if !found && err == nil {
			found, err = t.hasNumbers(w, f, format)
		}
	}
	if !found || err != nil {
		return false, err
	}
	return t.hasNumbers(w, f, store.TrackingFormat)
}

// isBetter reports whether logs of a format report in a window the same mail as send logs.
func (t *tx) isBetter(w store.Window, f *store.Filter, format string) (bool, error) {
	hosts, err := t.hosts(f, store.SendFormat)
	if err != nil || hosts == nil {
		return false, err
	}
	return t.hasNumbers(w, f, format)
}

// hasNumbers reports whether there are counts or rows in a window of the logs of a format
// that f selects. If there is no such log, it looks up only a name.
func (t *tx) hasNumbers(w store.Window, f *store.Filter, format string) (found bool, err error) {
	ids, err := t.seriesOf(f, format)
	if err != nil || ids == nil {
		return false, err
	}
	if format == store.ConnectivityFormat {
		if err := t.need(w, fleet.Connections); err != nil {
			return false, err
		}
		where, args := within(w, "minute", store.MinuteMicros)
		_, err = t.one("SELECT EXISTS (SELECT 1 FROM connections WHERE "+where+" AND series IN (SELECT value FROM json_each(?)))", append(args, list(ids)), &found)
		return found, err
	}
	is := make([]bool, slices.Max(ids)+1)
	for _, id := range ids {
		is[id] = true
	}
	has := func(id int64) bool { return id >= 0 && id < int64(len(is)) && is[id] }
	if t.view != nil {
		found, err = t.view.hasCounts(t.ctx, w, has)
	} else {
		found, err = t.hasCounts(w, has)
	}
	if found || err != nil {
		return found, err
	}
	err = t.eachRecipient(w, func(r *livingRecipient) error {
		found = found || has(int64(r.series))
		return nil
	})
	return found, err
}

// hasCounts reports whether there are counts of some series in a window.
func (t *tx) hasCounts(w store.Window, has func(series int64) bool) (found bool, err error) {
	err = t.eachCounts(w, false, 1<<countSeries|1<<countMinute,
		func(b *block, first, since, until int64) error {
			for i := 0; i < b.rows && !found; i++ {
				m := first + b.at(countMinute, i)
				found = m >= since && m < until && has(b.at(countSeries, i))
			}
			if found {
				return errEnough
			}
			return nil
		})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// seriesOf returns the ids of the series of a format's logs, for the MTAs and hosts that f
// selects; nil if there are none.
func (t *tx) seriesOf(f *store.Filter, format string) (ids []int64, err error) {
	hosts, err := t.hosts(f, format)
	if err != nil || hosts == nil {
		return nil, err
	}
	if t.view != nil {
		return t.view.seriesOf(t.ctx, format, hosts)
	}
	var all sql.NullString
	_, err = t.one("SELECT json_group_array(id) FROM series WHERE format = (SELECT id FROM names WHERE text = ?) AND host IN (SELECT value FROM json_each(?))",
		[]any{format, list(hosts)}, &all)
	if err == nil {
		err = json.Unmarshal([]byte(all.String), &ids)
	}
	return ids, err
}

// hosts returns the hosts with logs of a format, for the MTAs and hosts that f selects. If
// there is no such log, it looks up only a name.
func (t *tx) hosts(f *store.Filter, format string) (ids []int64, err error) {
	if !f.MatchFormat(format) {
		return nil, nil
	}
	if t.view != nil {
		return t.view.hostsOf(t.ctx, f, format)
	}
	err = t.each(`SELECT DISTINCT h.id, h.text FROM names AS n CROSS JOIN series AS s ON s.format = n.id CROSS JOIN names AS h ON h.id = s.host
		WHERE n.text = ?`, []any{format}, func(r *sql.Rows) error {
		var id int64
		var name string
		err := r.Scan(&id, &name)
		if store.MatchName(f.Hosts, name) {
			ids = append(ids, id)
		}
		return err
	})
	return ids, err
}

// leftOut counts the failures of send logs that f leaves out although asked selects them. A
// failure counts as reported by a tracking log if that log has a failure of the same
// message, recipient and outcome at that time, even if the reply of the latter comes from
// another failure or is missing.
func (t *tx) leftOut(cat *catalog, w store.Window, asked *store.Filter, f *filter,
	outcomes []string) (l store.LeftOut, err error) {
	if !slices.Contains(f.without, store.SendFormat) {
		return l, nil
	}
	wanted, causes := (&filter{Filter: *asked}).wanted(cat), (&filter{Filter: *asked}).wantedCauses(cat)
	var ids []int64
	err = t.eachAttempt(w, func(a *failingAttempt) error {
		place, ok := cat.place(int64(a.series))
		if ok && wanted[place] && cat.names[cat.series[place].format] == store.SendFormat && a.cause > 0 &&
			int(a.cause) < len(causes) && causes[a.cause] != nil &&
			slices.Contains(outcomes, outcomeOf(int64(a.flags)).String()) {
			ids = append(ids, a.id)
		}
		return nil
	})
	if err != nil || ids == nil {
		return l, err
	}
	if err := t.needPairs(ids); err != nil {
		return l, err
	}
	within := store.ExactWithin.Microseconds()
	_, err = t.one(untracked, []any{list(ids), within, within}, &l.Untracked, &l.Unnamed)
	l.Untracked -= l.Unnamed
	return l, err
}

// untracked counts the failing attempts of a list that no tracking log is known to report,
// and those of them without a pair. Parameters: the attempts, store.ExactWithin in
// microseconds twice.
var untracked = fmt.Sprintf(`SELECT count(*), IFNULL(sum(a.pair IS NULL), 0) FROM json_each(?) AS j CROSS JOIN attempt_rows AS a ON a.id = j.value
	WHERE NOT EXISTS (SELECT 1 FROM attempt_rows AS b WHERE b.pair = (a.pair & ~%d) + %d AND b.time BETWEEN a.time - ? AND a.time + ?)`, pairKinds, pairTracking)

// Repeats returns store.Repeats for a filter, with what the rows of the window show.
func (q *reader) Repeats(ctx context.Context, w store.Window, f store.Filter) (*store.Repeats, error) {
	tracked := false
	err := q.read(ctx, func(t *tx) (err error) {
		tracked, err = t.hasNumbers(w, &f, store.TrackingFormat)
		return err
	})
	return store.NewRepeats(f, tracked), err
}
