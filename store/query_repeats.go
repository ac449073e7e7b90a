package store

import "context"

// Formats of which one reports what the other does, and better.
const (
	trackingFormat     = "exchange-tracking"
	sendFormat         = "exchange-smtpsend"
	connectivityFormat = "exchange-connectivity"
)

// leaveOut returns f without the attempts of send logs, when message tracking
// logs report the same mail: when both are asked for, and there are numbers of
// the better one in the window.
func (t *tx) leaveOut(cat *catalog, w Window, f Filter) (Filter, error) {
	if f.logs(cat, sendFormat) == nil {
		return f, nil
	}
	tracked, err := t.hasTracking(cat, w, f)
	if tracked {
		f.without = sendFormat
	}
	return f, err
}

// hasTracking reports whether there are numbers of message tracking logs in a
// window.
func (t *tx) hasTracking(cat *catalog, w Window, f Filter) (bool, error) {
	return t.hasNumbers(w, f.logs(cat, trackingFormat), "counts", "recipients")
}

// connectionsTwice reports whether send logs report connections that
// connectivity logs report too.
func (t *tx) connectionsTwice(cat *catalog, w Window, f Filter) (bool, error) {
	if f.logs(cat, sendFormat) == nil {
		return false, nil
	}
	return t.hasNumbers(w, f.logs(cat, connectivityFormat), "connections")
}

// logs returns the series of a format, as far as its server and its host are
// asked for: it may be asked for alone.
func (f *Filter) logs(cat *catalog, format string) (ids []int64) {
	asked := f.ofLogs()
	for i := range cat.series {
		if s := &cat.series[i]; cat.names[s.format] == format && asked.matchSeries(cat, s) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// ofLogs returns the part of f that chooses among logs.
func (f *Filter) ofLogs() Filter { return Filter{MTAs: f.MTAs, Hosts: f.Hosts} }

// hasNumbers reports whether one of tables has rows of some series in a window.
func (t *tx) hasNumbers(w Window, series []int64, tables ...string) (found bool, err error) {
	for _, table := range tables {
		if series == nil || found || err != nil {
			break
		}
		where, args := w.where("minute", minuteMicros)
		if table == "recipients" {
			since, until := w.micros()
			where, args = "last_seen >= ? AND first_seen < ?", []any{since, until}
		}
		_, err = t.one("SELECT EXISTS (SELECT 1 FROM "+table+" WHERE series IN (SELECT value FROM json_each(?)) AND "+where+")",
			append([]any{list(series)}, args...), &found)
	}
	return found, err
}

// Repeats tells of failures that are shown as they come which ones another log
// reports too, as what is asked of the database leaves them out.
type Repeats struct {
	asked   Filter
	tracked bool
}

// Repeats returns what is known from the numbers of a window of those who look
// through a filter.
func (q *Query) Repeats(ctx context.Context, w Window, f Filter) (*Repeats, error) {
	r := &Repeats{asked: f.ofLogs()}
	err := q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err == nil {
			r.tracked, err = t.hasTracking(cat, w, f)
		}
		return err
	})
	return r, err
}

// Has reports whether e is to be left out. From the first failure of a tracking
// log on, those of send logs are.
func (r *Repeats) Has(e *Event) bool {
	if e.Format == trackingFormat && !r.tracked {
		r.tracked = r.asked.Match(e)
	}
	return e.Format == sendFormat && r.tracked
}
