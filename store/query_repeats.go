package store

import "context"

// Formats of which one reports what the other does, and better.
const (
	trackingFormat     = "exchange-tracking"
	sendFormat         = "exchange-smtpsend"
	connectivityFormat = "exchange-connectivity"
)

// leaveOutSendLogs leaves the attempts of send logs out of what a filter lets
// through, when message tracking logs report the same mail: when both are asked
// for, and there are numbers of the better one in the window.
func (t *tx) leaveOutSendLogs(cat *catalog, w Window, f Filter) (bool, error) {
	send := f.formatSeries(cat, sendFormat)
	if send == nil {
		return false, nil
	}
	tracked, err := t.hasTracking(cat, w, f)
	if tracked {
		for _, id := range send {
			cat.series[cat.index[id]].repeats = true
		}
	}
	return tracked, err
}

// hasTracking reports whether there are numbers of message tracking logs in a
// window.
func (t *tx) hasTracking(cat *catalog, w Window, f Filter) (found bool, err error) {
	tracking := f.formatSeries(cat, trackingFormat)
	if tracking == nil {
		return false, nil
	}
	minute, args := w.where("minute", minuteMicros)
	since, until := w.micros()
	args = append(append([]any{list(tracking)}, args...), since, until)
	_, err = t.one(`WITH tracking AS (SELECT value FROM json_each(?))
		SELECT EXISTS (SELECT 1 FROM counts WHERE series IN tracking AND `+minute+`)
		OR EXISTS (SELECT 1 FROM recipients WHERE series IN tracking AND last_seen >= ? AND first_seen < ?)`, args, &found)
	return found, err
}

// connectionsTwice reports whether send logs report connections that
// connectivity logs report too.
func (t *tx) connectionsTwice(cat *catalog, w Window, f Filter) (bool, error) {
	better := f.formatSeries(cat, connectivityFormat)
	if better == nil || f.formatSeries(cat, sendFormat) == nil {
		return false, nil
	}
	minute, args := w.where("minute", minuteMicros)
	var found bool
	_, err := t.one("SELECT EXISTS (SELECT 1 FROM connections WHERE series IN (SELECT value FROM json_each(?)) AND "+minute+")",
		append([]any{list(better)}, args...), &found)
	return found, err
}

// formatSeries returns the series of a format, as far as its server and its
// host are asked for: it may be asked for alone.
func (f *Filter) formatSeries(cat *catalog, format string) (ids []int64) {
	asked := f.ofLogs()
	for _, s := range cat.series {
		s.repeats = false // of attempts; it may have connections
		if cat.names[s.format] == format && asked.matchSeries(cat, &s) {
			ids = append(ids, s.id)
		}
	}
	return ids
}

// ofLogs returns the part of f that chooses among logs.
func (f *Filter) ofLogs() Filter { return Filter{MTAs: f.MTAs, Hosts: f.Hosts} }

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
