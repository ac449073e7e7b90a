package track

import (
	"time"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// deliveredVolume adds up a delivery: its size, its delay, and whether it was encrypted.
// For roaming mail it uses only the values of the record, which do not depend on what was
// read before. It skips send logs: they repeat the deliveries of tracking logs.
func (t *Tracker) deliveredVolume(m *message, r *parsers.Record, now int64) {
	if m.own && !m.roaming || r.Own || r.Format.Name == store.SendFormat {
		return
	}
	v := store.Volume{Measure: store.DeliveredOut, N: 1, Bytes: r.Size}
	if r.Direction == registry.DirectionLocal {
		v.Measure = store.DeliveredLocal
	}
	delay := r.Delay
	if !m.roaming {
		v.Bytes = m.size
		switch {
		case delay >= 0:
		case m.accepted:
			delay = time.Duration(max(now-m.acceptedAt, 0)) * time.Microsecond
		case m.refiltered: // its first line is its entry into the queue
			delay = time.Duration(now-m.first) * time.Microsecond
		}
	}
	if v.Value = store.DelayValue(delay); v.Value != 0 {
		v.Millis = delay.Milliseconds()
	}
	t.volume(now, r.Host, v)
	if len(r.TLS) > 0 {
		t.volume(now, r.Host, store.Volume{Measure: store.TLSSent, Value: store.TLSValue(r.TLS), N: 1})
	}
}

// arrivedVolume adds up how a message arrived: after a login, over TLS.
func (t *Tracker) arrivedVolume(r *parsers.Record, now int64) {
	if r.Login {
		t.volume(now, r.Host, store.Volume{Measure: store.Logins, Value: store.LoginAccepted, N: 1})
	}
	if len(r.TLS) > 0 {
		t.volume(now, r.Host, store.Volume{Measure: store.TLSReceived, Value: store.TLSValue(r.TLS), N: 1})
	}
}

// noted adds up a failed login or a TLS handshake.
func (t *Tracker) noted(r *parsers.Record, now int64) {
	v := store.Volume{Measure: store.TLSSent, N: 1}
	switch {
	case len(r.TLS) == 0:
		v.Measure, v.Value = store.Logins, store.LoginFailed
	case r.Direction == registry.DirectionIncoming:
		v.Measure = store.TLSReceived
	}
	if len(r.TLS) > 0 {
		v.Value = store.TLSValue(r.TLS)
	}
	t.volume(now, r.Host, v)
}

// volume adds to the volumes of a host.
func (t *Tracker) volume(time int64, host []byte, v store.Volume) {
	t.row.volume = v
	t.w.AddVolume(time, host, &t.row.volume)
}
