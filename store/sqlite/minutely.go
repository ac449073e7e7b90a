package sqlite

import (
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// minutely counts the failing attempts and the recipients that are stored one by one, by
// minute: a timeline without dimensions need not read them again.
type minutely struct {
	of    string // see choice
	first int64  // minute
	rows  []minuteRow
}

type minuteRow struct{ first, deferrals, failures, recipients, handedOver uint32 }

// mostMinutes bounds the memory of a minutely: some more than two months.
const mostMinutes = 65 * minutesPerDay

// newMinutely returns a minutely for a window, of which an open end is that of the lines that
// were read in it; nil if there are none, or too many minutes.
func newMinutely(of string, w store.Window, first, last time.Time) *minutely {
	if first.IsZero() {
		return nil
	}
	if w.Since.IsZero() {
		w.Since = first
	}
	if w.Until.IsZero() {
		w.Until = last.Add(time.Minute)
	}
	begin := store.Minute(w.Since.UnixMicro())
	n := store.Minute(w.Until.UnixMicro()) - begin
	if n <= 0 || n > mostMinutes {
		return nil
	}
	return &minutely{of, begin, make([]minuteRow, n)}
}

// at returns the row of a time in microseconds, nil if there is none.
func (m *minutely) at(micros int64) *minuteRow {
	if m == nil {
		return nil
	}
	i := store.Minute(micros) - m.first
	if uint64(i) >= uint64(len(m.rows)) {
		return nil
	}
	return &m.rows[i]
}

func (m *minutely) attempt(micros, flags int64) {
	r := m.at(micros)
	switch {
	case r == nil:
		return
	case flags&outcomeBits == attemptDeferred:
		r.deferrals++
	default:
		r.failures++
	}
	if flags&firstBit != 0 {
		r.first++
	}
}

func (m *minutely) recipient(micros int64, s registry.State) {
	r := m.at(micros)
	switch {
	case r == nil || s == registry.StateReplaced:
	case s == registry.StateHandedOver:
		r.handedOver++
	default:
		r.recipients++
	}
}

// minutely returns the numbers by minute of the last Numbers, nil if they are not those of
// the timeline.
func (t *timeline) minutely() *minutely {
	w := t.window
	if t.shared == nil || t.only != nil || len(t.by) > 0 || w.Since.IsZero() || w.Until.IsZero() {
		return nil
	}
	t.shared.Lock()
	m := t.shared.minutes
	t.shared.Unlock()
	since, until := store.Minute(w.Since.UnixMicro()), store.Minute(w.Until.UnixMicro())
	if m == nil || m.of != choiceOf(t.cat, &t.filter) || since < m.first ||
		until > m.first+int64(len(m.rows)) {
		return nil
	}
	return m
}

// addMinutes adds numbers by minute.
func (t *timeline) addMinutes(m *minutely) {
	since, until := store.Minute(t.window.Since.UnixMicro()), store.Minute(t.window.Until.UnixMicro())
	for minute := since; minute < until; minute++ {
		r := &m.rows[minute-m.first]
		if *r == (minuteRow{}) {
			continue
		}
		p := t.at(0, minute)
		p.First += int64(r.first)
		p.Deferrals += int64(r.deferrals)
		p.Failures += int64(r.failures)
		if !t.filter.OfCause() {
			p.Recipients += int64(r.recipients)
			p.HandedOver += int64(r.handedOver)
		}
	}
}
