package store

// Formats of which one reports what the other does, and better.
const (
	trackingFormat     = "exchange-tracking"
	sendFormat         = "exchange-smtpsend"
	connectivityFormat = "exchange-connectivity"
)

// leaveOutSendLogs leaves the attempts of send logs out of what a filter lets
// through, when message tracking logs report the same mail: when there are
// series of both among what is asked for, and numbers of the better one in the
// window.
func (t *tx) leaveOutSendLogs(cat *catalog, w Window, f Filter) (bool, error) {
	tracking, send := f.formatSeries(cat, trackingFormat), f.formatSeries(cat, sendFormat)
	if tracking == nil || send == nil {
		return false, nil
	}
	minute, args := w.where("minute", minuteMicros)
	since, until := w.micros()
	args = append(append([]any{list(tracking)}, args...), since, until)
	var found bool
	_, err := t.one(`WITH tracking AS (SELECT value FROM json_each(?))
		SELECT EXISTS (SELECT 1 FROM counts WHERE series IN tracking AND `+minute+`)
		OR EXISTS (SELECT 1 FROM recipients WHERE series IN tracking AND last_seen >= ? AND first_seen < ?)`, args, &found)
	if found {
		for _, id := range send {
			cat.series[cat.index[id]].repeats = true
		}
	}
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
	asked := Filter{MTAs: f.MTAs, Hosts: f.Hosts}
	for i := range cat.series {
		if s := &cat.series[i]; cat.names[s.format] == format && asked.matchSeries(cat, s) {
			ids = append(ids, s.id)
		}
	}
	return ids
}
