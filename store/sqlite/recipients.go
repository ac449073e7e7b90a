package sqlite

import (
	"mailfail/registry"
	"mailfail/store"
)

// newRecipients buffers recipients that are not written yet: most reach their final state
// before their batch ends, and need not be written twice.
type newRecipients struct {
	first int64          // id of the first
	rows  []newRecipient // with consecutive ids; rows without a message were deleted
}

// newRecipient is a row of the table recipient_rows.
type newRecipient struct {
	store.Recipient
	address address
}

// maxRecipients is how many recipients are kept in memory before they are written.
const maxRecipients = 1 << 14

func (n *newRecipients) add(id int64, r *newRecipient) {
	if len(n.rows) == 0 {
		n.first = id
	}
	n.rows = append(doubled(n.rows), *r)
}

// at returns the row with an id, nil when it is written already.
func (n *newRecipients) at(id int64) *newRecipient {
	if i := id - n.first; i >= 0 && i < int64(len(n.rows)) {
		return &n.rows[i]
	}
	return nil
}

func (n *newRecipients) clear() {
	clear(n.rows)
	n.rows = emptied(n.rows)
}

// flushRecipients writes the new recipients.
func (w *Writer) flushRecipients() {
	for i := range w.recipients.rows {
		r := &w.recipients.rows[i]
		if r.Message == 0 {
			continue
		}
		w.sink.insert(`INSERT INTO recipient_rows (id, message, series, address, state, first_seen, last_seen, final_at, cause, troubled)
			VALUES (?,?,?,?,?,?,?,?,?,?)`, w.recipients.first+int64(i), r.Message, r.Series, r.address, r.State, r.FirstSeen, r.LastSeen,
			nullable(r.FinalAt, r.State != registry.StatePending),
			nullable(r.Cause, r.Cause != 0), r.Troubled)
	}
	w.recipients.clear()
}
