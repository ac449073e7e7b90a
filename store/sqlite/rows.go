package sqlite

import (
	"bytes"
	"mailfail/registry"
	"mailfail/store"

	"database/sql"
)

// Count adds to the counts of a series in the minute of a time in microseconds.
func (w *Writer) Count(series, time int64, c store.Counts) {
	k := countKey{store.Minute(time), series}
	p := w.counts[k]
	if p == nil {
		if len(w.counts) >= maxCounts {
			w.flushCounts()
		}
		p = new(store.Counts)
		w.counts[k] = p
	}
	p.Add(c)
}

// Suspend counts a recipient that was put off without an attempt. cause is that
// of the failure that the line tells of, 0 for none.
func (w *Writer) Suspend(series, cause, time int64) {
	w.Count(series, time, store.Counts{Suspended: 1})
}

// AddSubmission counts messages by who brought them in.
func (w *Writer) AddSubmission(s *store.Submission) {}

// AddTrouble counts a line in which the mail system reports trouble of its own.
func (w *Writer) AddTrouble(t *store.Trouble) {}

// AddDelivery keeps a delivery for those who look for it.
func (w *Writer) AddDelivery(d *store.Delivery) {}

// CountLines adds to the lines read in the minute of a time in microseconds.
func (w *Writer) CountLines(time int64, l store.Lines) {
	m := store.Minute(time)
	p := w.lines[m]
	if p == nil {
		p = new(store.Lines)
		w.lines[m] = p
	}
	p.Add(l)
}

// AddMessage writes a message and returns its id.
func (w *Writer) AddMessage(m *store.Message) (int64, error) {
	ids, err := w.nameIDs(m.Format, m.Host, m.Instance)
	if err != nil {
		return 0, err
	}
	return w.insert("messages", `INSERT INTO messages (id, format, host, instance, queue_id, message_id, sender, client, client_ip, size, first_seen)
		VALUES (?,?,?,?,?,?,?,?,?,?,?)`, ids[0], ids[1], ids[2], m.QueueID, m.MessageID, nullable(m.Sender, m.HasSender), m.Client, m.ClientIP, m.Size, m.FirstSeen), nil
}

// UpdateMessage writes what was learnt about a message since AddMessage.
func (w *Writer) UpdateMessage(id int64, m *store.Message) error {
	host, err := w.Name([]byte(m.Host))
	if err != nil {
		return err
	}
	w.sink.exec("UPDATE messages SET host=?, message_id=?, sender=?, client=?, client_ip=?, size=?, first_seen=? WHERE id=?",
		host, m.MessageID, nullable(m.Sender, m.HasSender), m.Client, m.ClientIP, m.Size, m.FirstSeen, id)
	return nil
}

// DeleteMessage removes a message that has no rows in recipients any more.
func (w *Writer) DeleteMessage(id int64) { w.sink.exec("DELETE FROM messages WHERE id = ?", id) }

// AddRecipient writes a recipient and returns its id.
func (w *Writer) AddRecipient(r *store.Recipient) int64 {
	return w.insert("recipients", `INSERT INTO recipients (id, message, series, address, state, first_seen, last_seen, final_at, cause)
		VALUES (?,?,?,?,?,?,?,?,?)`, r.Message, r.Series, r.Address, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != registry.StatePending), nullable(r.Cause, r.Cause != 0))
}

// UpdateRecipient writes what became of a recipient.
func (w *Writer) UpdateRecipient(id int64, r *store.Recipient) {
	w.sink.exec("UPDATE recipients SET series=?, state=?, first_seen=?, last_seen=?, final_at=?, cause=? WHERE id=?",
		r.Series, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != registry.StatePending), nullable(r.Cause, r.Cause != 0), id)
}

// RespellRecipient writes another spelling of a recipient's address.
func (w *Writer) RespellRecipient(id int64, address string) {
	w.sink.exec("UPDATE recipients SET address=? WHERE id=?", address, id)
}

// DeleteRecipient removes a recipient that has no attempts.
func (w *Writer) DeleteRecipient(id int64) { w.sink.exec("DELETE FROM recipients WHERE id = ?", id) }

// AddAttempt writes a failing attempt.
func (w *Writer) AddAttempt(a *store.Attempt) error {
	service, err := w.Name(a.Service)
	if err != nil {
		return err
	}
	pair, ok := pairOf(a)
	w.sink.exec("INSERT INTO attempts (time, recipient, series, outcome, cause, service, ip, delay, text, pair) VALUES (?,?,?,?,?,?,?,?,?,?)",
		a.Time, a.Recipient, a.Series, a.Outcome, a.Cause, service, a.IP, nullable(a.Delay.Microseconds(), a.Delay >= 0), a.Text, nullable(pair, ok))
	if ok {
		w.added(pair, a.Time)
	}
	return nil
}

// AddRejection writes a rejection, or counts one more of a line that was seen
// before.
func (w *Writer) AddRejection(r *store.Rejection) error {
	service, err := w.Name(r.Service)
	if err != nil {
		return err
	}
	main, copied := 1, 0
	if r.Copy {
		main, copied = 0, 1
	}
	w.sink.exec(`INSERT INTO rejections (time, series, cause, service, queue_id, client, client_ip, sender, recipient, text, line_hash, n, n_main, n_copy)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,1,?,?)
		ON CONFLICT (line_hash) WHERE line_hash IS NOT NULL DO UPDATE SET n = max(n_main + excluded.n_main, n_copy + excluded.n_copy),
		n_main = n_main + excluded.n_main, n_copy = n_copy + excluded.n_copy`,
		r.Time, r.Series, r.Cause, service, r.QueueID, r.Client, r.ClientIP, nullable(r.Sender, r.HasSender), r.Recipient, r.Text,
		nullable(int64(r.LineHash), r.LineHash != 0), main, copied)
	return nil
}

// AddConnection counts a connection.
func (w *Writer) AddConnection(c *store.Connection) {
	w.sink.exec(`INSERT INTO connections (minute, series, cause, session, n, messages, text) VALUES (?,?,?,?,1,?,?)
		ON CONFLICT (minute, series, cause, session) DO UPDATE SET n = n + 1, messages = messages + excluded.messages, text = min(text, excluded.text)`,
		store.Minute(c.Time), c.Series, c.Cause, c.Session, c.Messages, c.Text)
}

// OpenMessages calls each for every message that has not ended, with what it was
// put with. The slices are valid only during the call.
func (w *Writer) OpenMessages(each func(key []byte, messageID int64, state []byte)) error {
	var key, state sql.RawBytes
	var messageID int64
	return w.db.explain("read", w.each("SELECT key, message_id, state FROM open", func(rows *sql.Rows) error {
		err := rows.Scan(&key, &messageID, &state)
		each(key, messageID, state)
		return err
	}))
}

// OpenMessage returns the state of a message that has not ended, nil when
// there is none.
func (w *Writer) OpenMessage(key []byte) (state []byte, err error) {
	err = w.each("SELECT state FROM open WHERE key = ?", func(rows *sql.Rows) error { return rows.Scan(&state) }, key)
	return state, w.db.explain("read", err)
}

// OpenMessagesWith returns the keys of the messages that have not ended and
// have the Message-ID with the given hash.
func (w *Writer) OpenMessagesWith(messageID int64) (keys [][]byte, err error) {
	err = w.each("SELECT key FROM open WHERE message_id = ? ORDER BY key", func(rows *sql.Rows) error {
		var k []byte
		err := rows.Scan(&k)
		keys = append(keys, k)
		return err
	}, messageID)
	return keys, w.db.explain("read", err)
}

// PutOpenMessage stores the state of a message that has not ended.
func (w *Writer) PutOpenMessage(key []byte, lastSeen, messageID int64, state []byte) {
	w.sink.exec("INSERT OR REPLACE INTO open VALUES (?,?,?,?)", bytes.Clone(key), lastSeen, messageID, bytes.Clone(state))
}

// DeleteOpenMessage removes the state of a message that has ended.
func (w *Writer) DeleteOpenMessage(key []byte) {
	w.sink.exec("DELETE FROM open WHERE key = ?", bytes.Clone(key))
}

// ForgetOpenMessages removes the state of messages not heard of since a time.
func (w *Writer) ForgetOpenMessages(before int64) {
	w.sink.exec("DELETE FROM open WHERE last_seen < ?", before)
}

func (w *Writer) nameIDs(texts ...string) ([]int64, error) {
	ids := make([]int64, len(texts))
	for i, t := range texts {
		id, err := w.Name([]byte(t))
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

func nullable[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}
