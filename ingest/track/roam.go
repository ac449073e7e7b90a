package track

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// stands reports whether a recipient is to stand under the series of a record:
// of the last attempt, and before there is one of the first record. The logs of
// several servers report on a roaming message in any order: there the earliest
// record counts as the first, among those that name the sender if there are any.
func (rcpt *recipient) stands(m *message, r *parsers.Record, now int64) bool {
	switch {
	case r.Kind == parsers.Attempt:
		return !rcpt.tried || now >= rcpt.seriesAt
	case rcpt.tried:
		return false
	}
	return rcpt.series == 0 || m.roaming && isEarlier(r, now, rcpt.blind, rcpt.seriesAt)
}

// isEarlier reports whether r comes before another record. One that names the
// sender comes before one that is blind; else their times decide.
func isEarlier(r *parsers.Record, now int64, blind bool, at int64) bool {
	if sees := r.HasSender; sees == blind {
		return sees
	}
	return now < at
}

// countRoaming counts a roaming message at the earliest time of a recipient, in
// the series of the one whose address sorts first: that depends on what its logs
// tell, not on the order in which they are read.
func (t *Tracker) countRoaming(m *message) {
	var at int64
	var of *recipient
	for i := range m.recipients {
		r := &m.recipients[i]
		switch {
		case r.isReplaced():
			continue
		case of == nil:
			of, at = r, r.first
		case bytes.Compare(r.address, of.address) < 0:
			of = r
		}
		at = min(at, r.first)
	}
	if m.counted && (of == nil || m.countedIn != of.series || m.countedAt != at) {
		m.counted = false
		t.w.Count(m.countedIn, m.countedAt, store.Counts{Messages: -1})
	}
	if of != nil && !m.counted {
		m.counted, m.countedIn, m.countedAt = true, of.series, at
		t.w.Count(of.series, at, store.Counts{Messages: 1})
	}
}

// strengthen makes a recipient that may have been handed over pending again:
// more was heard of it.
func (t *Tracker) strengthen(r *recipient) {
	if r.weak {
		r.weak, r.state, r.final = false, registry.StatePending, 0
	}
}
