package track

import (
	"mailfail/registry"
	"mailfail/store"
)

// store makes sure that a recipient has rows that stay: it has had a failure.
func (t *Tracker) store(m *message, r *recipient) error {
	if !r.problem {
		t.count(r, -1)
		r.problem = true
	}
	return t.write(m, r)
}

// write makes sure that a recipient has rows.
func (t *Tracker) write(m *message, r *recipient) (err error) {
	if m.row == 0 {
		if m.row, err = t.w.AddMessage(t.messageRow(m)); err != nil {
			return err
		}
	}
	if r.row == 0 {
		r.row = t.w.AddRecipient(t.recipientRow(m, r))
	}
	return err
}

// row holds the values that are passed to the writer, which does not keep them.
type row struct {
	message   store.Message
	recipient store.Recipient
	attempt   store.Attempt
	delivery  store.Delivery

	submission store.Submission
	volume     store.Volume

	// Most messages of a log have the same values here.
	host, instance, client, clientIP, account, ip lastText
}

// lastText is the text that was cleaned last. Cleaning the same text again copies
// nothing.
type lastText struct{ text string }

func (l *lastText) clean(text []byte) string {
	if l.text != string(text) {
		l.text = store.Clean(string(text))
	}
	return l.text
}

// messageRow returns the row of a message, valid until the next call.
func (t *Tracker) messageRow(m *message) *store.Message {
	t.row.message = store.Message{
		Format:    m.format.Name,
		Host:      t.row.host.clean(m.host),
		Instance:  t.row.instance.clean(m.instance),
		QueueID:   store.Clean(string(m.id)),
		MessageID: store.Clean(string(m.messageID)),
		Sender:    store.Clean(string(m.sender)),
		HasSender: m.hasSender,
		Client:    t.row.client.clean(m.client),
		ClientIP:  t.row.clientIP.clean(m.clientIP),
		Account:   t.row.account.clean(m.account),
		Size:      m.size,
		FirstSeen: m.first,
		Own:       m.own,
	}
	return &t.row.message
}

// recipientRow returns the row of a recipient of m, valid until the next call.
func (t *Tracker) recipientRow(m *message, r *recipient) *store.Recipient {
	state, since := r.standing()
	t.row.recipient = store.Recipient{
		Message:   m.row,
		Series:    r.series,
		Address:   store.Clean(string(r.address)),
		State:     state,
		FirstSeen: r.first,
		LastSeen:  r.last,
		FinalAt:   since,
		Cause:     r.cause,
		Troubled:  r.troubled,
	}
	return &t.row.recipient
}

// writeRows brings the rows of m in the tables messages and recipients up to date. A
// recipient has a row if it has had a failure, while it is pending, or while it is
// provisionally handed over.
func (t *Tracker) writeRows(m *message) error {
	if m.roaming {
		t.countRoaming(m)
	}
	rows := 0
	for i := range m.recipients {
		r := &m.recipients[i]
		wanted := (r.problem || r.replaced != 0 || r.state == registry.StatePending || r.weak) &&
			!r.isReplaced()
		var err error
		switch {
		case wanted && r.row == 0:
			err = t.write(m, r)
		case wanted && r.dirty:
			t.w.UpdateRecipient(r.row, t.recipientRow(m, r))
		case !wanted && r.row != 0 && !r.problem:
			t.w.DeleteRecipient(r.row)
			r.row = 0
		case r.row != 0 && r.dirty:
			t.w.UpdateRecipient(r.row, t.recipientRow(m, r))
		}
		if err != nil {
			return err
		}
		if r.respelled && r.row != 0 {
			t.w.RespellRecipient(r.row, store.Clean(string(r.address)))
		}
		r.dirty, r.respelled = false, false
		if r.row != 0 {
			rows++
		}
	}
	switch {
	case m.row == 0:
	case rows == 0:
		t.w.DeleteMessage(m.row)
		m.row = 0
	case m.stale:
		if err := t.w.UpdateMessage(m.row, t.messageRow(m)); err != nil {
			return err
		}
	}
	m.stale = false
	return nil
}
