package track

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// stands reports whether a recipient is to be counted in the series of a record: that is
// the series of its last attempt and, before there is one, of its first record. The logs
// of several servers report on a roaming message in any order. There the earliest record
// counts as the first: the earliest that names the sender, if there is one.
func (rcpt *recipient) stands(m *message, r *parsers.Record, now int64) bool {
	switch {
	case r.Kind == parsers.Attempt:
		return !rcpt.tried || now >= rcpt.seriesAt
	case rcpt.tried:
		return false
	}
	return rcpt.series == 0 || m.roaming && isEarlier(r, now, rcpt.blind, rcpt.seriesAt)
}

// isEarlier reports whether r comes before another record. A record that names the sender
// comes before one that does not (blind); otherwise their times decide.
func isEarlier(r *parsers.Record, now int64, blind bool, at int64) bool {
	if sees := r.HasSender; sees == blind {
		return sees
	}
	return now < at
}

// countRoaming counts a roaming message at the earliest time of a recipient, in the
// series of the recipient whose address sorts first. So the count depends on the content
// of the logs, not on the order in which they are read.
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

// strengthen makes a recipient pending again that was only provisionally handed over
// (weak): another record of it has arrived.
func (t *Tracker) strengthen(r *recipient) {
	if r.weak {
		r.weak, r.state, r.final = false, registry.StatePending, 0
	}
}
