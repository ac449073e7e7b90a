package sqlite

import (
	"bytes"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"strings"

	"database/sql"
)

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
	n, sender, t, err := w.messageIDs(m)
	if err != nil {
		return 0, err
	}
	id := w.nextID("message_rows")
	w.sink.insert(`INSERT INTO message_rows (id, format, host, instance, queue_id, message_id, sender, client, client_ip, account, size, first_seen, own)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`, id, n[0], n[1], n[2], m.QueueID, m.MessageID, nullable(sender, m.HasSender), t[0], t[1], n[3], m.Size, m.FirstSeen, m.Own)
	w.findMessage(m.QueueID, m.FirstSeen, id)
	w.findMessage(m.MessageID, m.FirstSeen, id)
	w.bounces.heardOf(m)
	w.note(fleet.Messages, id)
	return id, nil
}

// UpdateMessage writes the fields of a message that may have changed since AddMessage.
func (w *Writer) UpdateMessage(id int64, m *store.Message) error {
	n, sender, t, err := w.messageIDs(m)
	if err != nil {
		return err
	}
	w.sink.exec("UPDATE message_rows SET host=?, message_id=?, sender=?, client=?, client_ip=?, account=?, size=?, first_seen=?, own=? WHERE id=?",
		n[1], m.MessageID, nullable(sender, m.HasSender), t[0], t[1], n[3], m.Size, m.FirstSeen, m.Own, id)
	w.findMessage(m.MessageID, m.FirstSeen, id)
	w.bounces.heardOf(m)
	w.note(fleet.Messages, id)
	return nil
}

// messageIDs returns the ids of a message's names (format, host, instance, account) and
// texts (client, its address), and the stored form of its sender.
func (w *Writer) messageIDs(m *store.Message) (names [4]int64, sender address, texts [4]int64, err error) {
	for i, s := range [...]string{m.Format, m.Host, m.Instance, m.Account} {
		if names[i], err = w.Name([]byte(s)); err != nil {
			return names, sender, texts, err
		}
	}
	if sender, err = w.address(m.Sender); err == nil {
		texts, err = w.textIDs(m.Client, m.ClientIP)
	}
	return names, sender, texts, err
}

// DeleteMessage removes a message that has no recipients any more.
func (w *Writer) DeleteMessage(id int64) {
	w.sink.exec("DELETE FROM message_rows WHERE id = ?", id)
	w.noteDeleted(fleet.Messages, id)
}

// AddRecipient writes a recipient and returns its id.
func (w *Writer) AddRecipient(r *store.Recipient) int64 {
	id := w.nextID("recipient_rows")
	w.recipients.add(id, &newRecipient{*r, w.recipientAddress(r.Address)})
	w.findMessage(r.Address, r.FirstSeen, r.Message)
	w.note(fleet.Recipients, id)
	if len(w.recipients.rows) >= maxRecipients {
		w.flushRecipients()
	}
	return id
}

// recipientAddress returns the stored form of a recipient's address. Commit returns an
// error of the database.
func (w *Writer) recipientAddress(s string) address {
	a, err := w.address(s)
	if err != nil && w.rowErr == nil {
		w.rowErr = err
	}
	return a
}

// UpdateRecipient writes the present state of a recipient.
func (w *Writer) UpdateRecipient(id int64, r *store.Recipient) {
	if row := w.recipients.at(id); row != nil {
		row.Recipient = *r
		return
	}
	w.sink.exec("UPDATE recipient_rows SET series=?, state=?, first_seen=?, last_seen=?, final_at=?, cause=?, troubled=? WHERE id=?",
		r.Series, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != registry.StatePending),
		nullable(r.Cause, r.Cause != 0), r.Troubled, id)
	w.change(id)
	w.note(fleet.Recipients, id)
}

// RespellRecipient writes another spelling of a recipient's address.
func (w *Writer) RespellRecipient(id int64, address string) {
	if row := w.recipients.at(id); row != nil {
		row.address = w.recipientAddress(address)
	} else {
		w.sink.exec("UPDATE recipient_rows SET address=? WHERE id=?", w.recipientAddress(address), id)
	}
	w.respelled = append(w.respelled, respelling{id, address})
	w.note(fleet.Recipients, id)
}

// respelling is another address by which a recipient can be found.
type respelling struct {
	recipient int64
	address   string
}

// findRespelled makes messages findable by the other spellings of addresses.
func (w *Writer) findRespelled() error {
	for _, r := range w.respelled {
		err := w.each("SELECT message, first_seen FROM recipient_rows WHERE id = ?", func(rows *sql.Rows) error {
			var message, first int64
			err := rows.Scan(&message, &first)
			w.findMessage(r.address, first, message)
			return err
		}, r.recipient)
		if err != nil {
			return err
		}
	}
	w.respelled = w.respelled[:0]
	return nil
}

// DeleteRecipient removes a recipient that has no attempts.
func (w *Writer) DeleteRecipient(id int64) {
	if row := w.recipients.at(id); row != nil {
		*row = newRecipient{}
		w.noteDeleted(fleet.Recipients, id)
		return
	}
	w.change(id)
	w.sink.exec("DELETE FROM recipient_rows WHERE id = ?", id)
	w.noteDeleted(fleet.Recipients, id)
}

// change records that a recipient differs, or soon will differ, from its segment. It skips
// pruned recipients, of which only the segment is left.
func (w *Writer) change(id int64) {
	if id <= w.segmented[segmentRecipients] {
		w.sink.exec("INSERT OR IGNORE INTO changed SELECT ?, id FROM recipient_rows WHERE id = ?", segmentRecipients, id)
	}
}

// AddAttempt writes a failing attempt.
func (w *Writer) AddAttempt(a *store.Attempt) error {
	service, err := w.Name(a.Service)
	if err != nil {
		return err
	}
	t, err := w.textIDs(a.IP, a.Text)
	if err != nil {
		return err
	}
	pair, ok := pairOf(a)
	id := w.nextID("attempt_rows")
	w.note(fleet.Attempts, id)
	w.sink.insert("INSERT INTO attempt_rows (id, time, recipient, series, outcome, cause, service, ip, delay, text, first, pair) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
		id, a.Time, a.Recipient, a.Series, a.Outcome, a.Cause, service, t[0],
		nullable(a.Delay.Microseconds(), a.Delay >= 0), t[1], a.First, nullable(pair, ok))
	if ok {
		w.added(pair, a.Time)
	}
	if a.Bounce != nil && a.Outcome == uint8(registry.OutcomeFailed) {
		w.addBounce(a, id)
	}
	return nil
}

// AddRejection writes a rejection, or increments the count of a line that was read before.
func (w *Writer) AddRejection(r *store.Rejection) error {
	service, err := w.Name(r.Service)
	if err != nil {
		return err
	}
	domain, err := w.Name([]byte(senderDomain(r.Sender, r.HasSender)))
	if err != nil {
		return err
	}
	t, err := w.textIDs(r.Client, r.ClientIP, r.Sender, r.Recipient)
	if err != nil {
		return err
	}
	text, err := w.text(r.Text)
	if err != nil {
		return err
	}
	main, copied := 1, 0
	if r.Copy {
		main, copied = 0, 1
	}
	id := w.nextID("rejection_rows")
	row := [...]any{id, r.Time, r.Series, r.Cause, service, r.QueueID, t[0], t[1],
		nullable(t[2], r.HasSender), domain, t[3], text,
		nullable(int64(r.LineHash), r.LineHash != 0), main, copied}
	if r.LineHash == 0 {
		w.sink.insert(insertRejection, row[:]...)
	} else {
		w.addRepeated(r, row[:])
	}
	w.note(fleet.Rejections, id)
	if r.QueueID != "NOQUEUE" {
		w.findRejection(r.QueueID, r.Time, id)
	}
	w.findRejection(r.Recipient, r.Time, id)
	return nil
}

const insertRejection = `INSERT INTO rejection_rows (id, time, series, cause, service, queue_id, client, client_ip, sender, sender_domain, recipient, text, line_hash, n, n_main, n_copy)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?)`

// insertRepeated counts a line that was read before.
const insertRepeated = insertRejection + ` ON CONFLICT (line_hash) WHERE line_hash IS NOT NULL DO UPDATE SET
	n = max(n_main + excluded.n_main, n_copy + excluded.n_copy),
	n_main = n_main + excluded.n_main, n_copy = n_copy + excluded.n_copy`

// addRepeated writes a rejection whose line another log may repeat.
func (w *Writer) addRepeated(r *store.Rejection, row []any) {
	w.sink.exec(insertRepeated, row...)
	if last := w.segmented[segmentRejections]; last > 0 {
		w.sink.exec("INSERT OR IGNORE INTO changed SELECT ?, id FROM rejection_rows WHERE line_hash = ? AND id <= ?", segmentRejections, int64(r.LineHash), last)
	}
	w.noteRows(fleet.Rejections, "SELECT id FROM rejection_rows WHERE line_hash = ?", int64(r.LineHash))
}

// senderDomain returns the domain of an envelope sender as series store it.
func senderDomain(sender string, known bool) string {
	switch i := strings.LastIndexByte(sender, '@'); {
	case known && sender == "":
		return "<>"
	case !known, i < 0:
		return ""
	default:
		return strings.ToLower(strings.TrimSuffix(sender[i+1:], "."))
	}
}

// AddSubmission counts messages by the account and client that submitted them.
func (w *Writer) AddSubmission(s *store.Submission) {
	k := submissionKey{hour: int64(hourOf(minuteOf(s.Time)))}
	k.names[0] = w.hostName(s.Host)
	for i, name := range [...][]byte{s.Sender, s.Account, s.Client} {
		id, err := w.Name(name)
		if err != nil && w.rowErr == nil {
			w.rowErr = err
		}
		k.names[1+i] = id
	}
	n := w.submissions[k]
	w.submissions[k] = [3]int64{n[0] + s.Messages, n[1] + s.Recipients, n[2] + s.Bytes}
}

// submissionKey is the key of the table submissions.
type submissionKey struct {
	hour  int64
	names [4]int64
}

// addSubmissions makes INSERT add to a row that exists.
const addSubmissions = "ON CONFLICT DO UPDATE SET messages = messages + excluded.messages, recipients = recipients + excluded.recipients, bytes = bytes + excluded.bytes"

func (w *Writer) flushSubmissions() {
	for k, n := range w.submissions {
		w.sink.exec("INSERT INTO submissions (hour, host, sender, account, client, messages, recipients, bytes) VALUES (?,?,?,?,?,?,?,?) "+addSubmissions,
			k.hour, k.names[0], k.names[1], k.names[2], k.names[3], n[0], n[1], n[2])
		w.note(fleet.Submissions, k.hour)
	}
	clear(w.submissions)
}

// AddTrouble counts a line in which the mail system reports internal trouble.
func (w *Writer) AddTrouble(t *store.Trouble) {
	var ids [3]int64
	for i, name := range [...][]byte{[]byte(t.Format), t.Host, t.Service} {
		id, err := w.Name(name)
		if err != nil && w.rowErr == nil {
			w.rowErr = err
		}
		ids[i] = id
	}
	w.note(fleet.Troubles, int64(hourOf(minuteOf(t.Time))))
	w.sink.exec(`INSERT INTO troubles (hour, format, host, kind, signature, service, n, first, last, text) VALUES (?,?,?,?,?,?,1,?,?,?)
		ON CONFLICT DO UPDATE SET n = n + 1, first = min(first, excluded.first), last = max(last, excluded.last),
		text = min(text, excluded.text), service = min(service, excluded.service)`,
		hourOf(minuteOf(t.Time)), ids[0], ids[1], t.Kind, store.Clean(t.Signature), ids[2], t.Time, t.Time,
		store.Clean(t.Text))
}

// AddConnection counts a connection.
func (w *Writer) AddConnection(c *store.Connection) {
	w.note(fleet.Connections, store.Minute(c.Time))
	w.sink.exec(`INSERT INTO connections (minute, series, cause, session, n, messages, text) VALUES (?,?,?,?,1,?,?)
		ON CONFLICT (minute, series, cause, session) DO UPDATE SET n = n + 1, messages = messages + excluded.messages, text = min(text, excluded.text)`,
		store.Minute(c.Time), c.Series, c.Cause, c.Session, c.Messages, c.Text)
}

// OpenMessages calls each for every message that has not ended, with the values that
// PutOpenMessage stored. The slices are valid only during the call.
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

// ForgetOpenMessages removes the state of messages without a record since a time.
func (w *Writer) ForgetOpenMessages(before int64) {
	w.sink.exec("DELETE FROM open WHERE last_seen < ?", before)
}

func nullable[T any](v T, ok bool) any {
	if !ok {
		return nil
	}
	return v
}
