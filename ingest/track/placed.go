package track

import (
	"bytes"
	"slices"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// placed takes in where a filter or a mailbox has put mail that the MTA handed to it.
// Mail that it dropped or keeps back was not delivered, even if the MTA reports a
// delivery.
func (t *Tracker) placed(r *parsers.Record, now int64) error {
	m, err := t.taken(r)
	if err != nil {
		return err
	}
	id := r.MessageID
	t.address = appendAddress(t.address[:0], r.Address)
	if m != nil {
		if m.drop(t.address, r.Final == registry.StateRemoved) {
			t.touch(m)
		}
		if len(id) == 0 {
			id = m.messageID
		}
	}
	t.domain = appendDomain(t.domain[:0], t.address)
	series, err := t.w.Series(&store.SeriesKey{
		Format:    r.Format.Name,
		Host:      r.Host,
		Domain:    t.domain,
		Direction: registry.DirectionLocal,
	})
	if err != nil {
		return err
	}
	t.row.delivery = store.Delivery{
		Time:      now,
		Series:    series,
		Address:   t.address,
		Domain:    t.domain,
		MessageID: id,
		Step:      store.StepPlaced,
		Place:     r.Place,
	}
	t.w.AddDelivery(&t.row.delivery)
	return nil
}

// step notes a step of a message on its way to t.address, so that it can be looked up.
func (t *Tracker) step(m *message, step store.Step, now, series int64) {
	t.domain = appendDomain(t.domain[:0], t.address)
	t.row.delivery = store.Delivery{
		Time:      now,
		Series:    series,
		QueueID:   m.id,
		Address:   t.address,
		Domain:    t.domain,
		MessageID: m.messageID,
		Step:      step,
	}
	t.w.AddDelivery(&t.row.delivery)
}

// taken returns the open message that a Placed record is about, by its queue id or else
// by its Message-ID on the same host; nil when there is none.
func (t *Tracker) taken(r *parsers.Record) (*message, error) {
	if len(r.ID) > 0 {
		t.setKey(r)
		if m, err := t.lookup(t.key); m != nil || err != nil {
			return m, err
		}
	}
	if len(r.MessageID) == 0 {
		return nil, nil
	}
	t.probe.host, t.probe.messageID = append(t.probe.host[:0], r.Host...),
		append(t.probe.messageID[:0], r.MessageID...)
	return t.namesake(&t.probe)
}

// maxDropped is how many addresses with dropped mail a message remembers.
const maxDropped = 100

// drop notes that the filter or mailbox dropped the mail for an address (is) or put it
// somewhere after all (!is). It reports whether that is a change.
func (m *message) drop(address []byte, is bool) bool {
	i := slices.IndexFunc(m.dropped, func(a []byte) bool { return bytes.Equal(a, address) })
	switch {
	case is && i < 0 && len(m.dropped) < maxDropped:
		m.dropped = append(m.dropped, bytes.Clone(address))
	case !is && i >= 0:
		m.dropped = slices.Delete(m.dropped, i, i+1)
	default:
		return false
	}
	return true
}

// isDropped reports whether the filter or mailbox dropped the mail that was passed on for
// the recipient of r. The mailbox may have another name than the address if there is only
// one recipient, and may be named by the local part alone.
func (m *message) isDropped(r *parsers.Record) bool {
	if len(m.dropped) == 0 {
		return false
	}
	if m.expects == 1 {
		return true
	}
	address := appendAddress(nil, r.Address)
	local, _, _ := bytes.Cut(address, []byte("@"))
	return slices.ContainsFunc(m.dropped, func(a []byte) bool {
		return bytes.Equal(a, address) || bytes.Equal(a, local)
	})
}
