package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"mailfail/store"
	"slices"
)

// leaveOut returns f without the attempts of send logs, when message tracking
// logs report the same mail: when both are asked for, and there are numbers of
// the better one in the window.
func (t *tx) leaveOut(w store.Window, asked store.Filter) (filter, error) {
	f := filter{Filter: asked}
	twice, err := t.isBetter(w, &asked, store.TrackingFormat)
	if twice {
		f.without = store.SendFormat
	}
	return f, err
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

// isBetter reports whether logs of a format report in a window what send logs
// report too.
func (t *tx) isBetter(w store.Window, f *store.Filter, format string) (bool, error) {
	hosts, err := t.hosts(f, store.SendFormat)
	if err != nil || hosts == nil {
		return false, err
	}
	return t.hasNumbers(w, f, format)
}

// hasNumbers reports whether there are numbers in a window of those logs of a
// format that f asks for. It reads no dictionary, as that may be all of the work.
func (t *tx) hasNumbers(w store.Window, f *store.Filter, format string) (found bool, err error) {
	hosts, err := t.hosts(f, format)
	tables := []string{"counts", "recipients"}
	if format == store.ConnectivityFormat {
		tables = []string{"connections"}
	}
	for _, table := range tables {
		if err != nil || hosts == nil || found {
			break
		}
		where, args := within(w, "minute", store.MinuteMicros)
		if table == "recipients" {
			since, until := w.Micros()
			where, args = "last_seen >= ? AND first_seen < ?", []any{since, until}
		}
		_, err = t.one("SELECT EXISTS (SELECT 1 FROM "+table+" AS r CROSS JOIN series AS s ON s.id = r.series WHERE "+where+
			" AND s.format = (SELECT id FROM names WHERE text = ?) AND s.host IN (SELECT value FROM json_each(?)))", append(args, format, list(hosts)), &found)
	}
	return found, err
}

// hosts returns the hosts with logs of a format, as far as its server and they
// are asked for. Where there is no such log, no more than a name is looked for.
func (t *tx) hosts(f *store.Filter, format string) (ids []int64, err error) {
	if !f.MatchFormat(format) {
		return nil, nil
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

// leftOut counts what f has left out of what was asked for. A failure is in a
// tracking log when that has one of the same message, recipient and outcome at
// that time, even if it took the reply of another, or there is none.
func (t *tx) leftOut(cat *catalog, w store.Window, asked *store.Filter, f *filter, outcomes []string) (l store.LeftOut, err error) {
	if f.without == "" {
		return l, nil
	}
	where, args := within(w, "a.time", 1)
	within := store.ExactWithin.Microseconds()
	err = t.ints(untracked(where), append([]any{f.without}, append(args, within, within)...), func(v []int64) error {
		k := cat.causes[v[1]]
		if k == nil || !slices.Contains(outcomes, outcomeName(v[2])) || !(&filter{Filter: *asked}).matchSeries(cat, &cat.series[cat.index[v[0]]]) || !asked.MatchCause(k.reply, k.enhanced, k.reason) {
			return nil
		}
		l.Untracked += v[3] - v[4]
		l.Unnamed += v[4]
		return nil
	})
	return l, err
}

// untracked counts the failing attempts of a format that are not known to be in a
// tracking log, by series, cause and outcome, and those of them without a pair.
// Parameters: the format, those of where, exactWithin twice.
func untracked(where string) string {
	return fmt.Sprintf(`SELECT a.series, a.cause, a.outcome, count(*), sum(a.pair IS NULL) FROM attempts AS a
		CROSS JOIN series AS s ON s.id = a.series AND s.format = (SELECT id FROM names WHERE text = ?) WHERE %s
		AND NOT EXISTS (SELECT 1 FROM attempts AS b WHERE b.pair = (a.pair & ~%d) + %d AND b.time BETWEEN a.time - ? AND a.time + ?)
		GROUP BY a.series, a.cause, a.outcome`, where, pairKinds, pairTracking)
}

// Repeats returns what is known from the numbers of a window of those who look
// through a filter.
func (q *reader) Repeats(ctx context.Context, w store.Window, f store.Filter) (*store.Repeats, error) {
	tracked := false
	err := q.read(ctx, func(t *tx) (err error) {
		tracked, err = t.hasNumbers(w, &f, store.TrackingFormat)
		return err
	})
	return store.NewRepeats(f, tracked), err
}
