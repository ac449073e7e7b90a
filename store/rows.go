package store

import (
	"bytes"
	"mailfail/registry"
	"strings"
	"time"

	"database/sql"
)

// SeriesKey is one combination of the dimensions that counts are kept by.
// Names are as they shall appear in reports.
type SeriesKey struct {
	Format string
	Host, Instance,
	Sender, // domain; "<>" for the null sender, "" unknown
	Domain,
	Relay []byte
}

// Counts are added up by minute and series.
type Counts struct {
	Delivered  int64 // attempts
	Recipients int64 // delivered with nothing gone wrong before
	Suspended  int64
	Handed     int64
	Messages   int64
}

func (c *Counts) add(d Counts) {
	c.Delivered += d.Delivered
	c.Recipients += d.Recipients
	c.Suspended += d.Suspended
	c.Handed += d.Handed
	c.Messages += d.Messages
}

// Lines counts the lines that were read.
type Lines struct{ Read, Understood, Irrelevant, Unparsed int64 }

// Add adds m to l.
func (l *Lines) Add(m Lines) {
	l.Read += m.Read
	l.Understood += m.Understood
	l.Irrelevant += m.Irrelevant
	l.Unparsed += m.Unparsed
}

// Sub takes m from l.
func (l *Lines) Sub(m Lines) {
	l.Read -= m.Read
	l.Understood -= m.Understood
	l.Irrelevant -= m.Irrelevant
	l.Unparsed -= m.Unparsed
}

// Message is a row of the table messages.
type Message struct {
	Format, Host, Instance string
	QueueID, MessageID     string
	Sender                 string
	HasSender              bool
	Client, ClientIP       string
	Size                   int64
	FirstSeen              int64
}

// Recipient is a row of the table recipients. Times are in microseconds.
type Recipient struct {
	Message             int64
	Series              int64
	Address             string
	State               registry.State
	FirstSeen, LastSeen int64
	FinalAt             int64 // ignored while State is Pending
	Cause               int64 // 0 none
}

// Attempt is a row of the table attempts.
type Attempt struct {
	Format    string // of the log
	MessageID []byte // as the log gives it with this attempt
	Address   []byte // of the recipient
	Replied   bool   // by a server
	Time      int64
	Recipient int64
	Series    int64
	Outcome   uint8
	Cause     int64
	Service   []byte
	IP        string
	Delay     time.Duration // negative when unknown
	Text      string
}

// Rejection is a row of the table rejections.
type Rejection struct {
	Time             int64
	Series           int64
	Cause            int64
	Service          []byte
	QueueID          string
	Client, ClientIP string
	Sender           string
	HasSender        bool
	Recipient, Text  string
	LineHash         uint64 // 0: the line is not repeated in another log
	Copy             bool
}

// Connection is a connection to a next hop, the relay of its series.
type Connection struct {
	Time     int64
	Series   int64
	Cause    int64  // of a failure, 0 when it could be used
	Messages int    // that the next hop took
	Session  string // of a failure
	Text     string
}

// Count adds to the counts of a series in the minute of a time in microseconds.
func (w *Writer) Count(series, time int64, c Counts) {
	k := countKey{Minute(time), series}
	p := w.counts[k]
	if p == nil {
		if len(w.counts) >= maxCounts {
			w.flushCounts()
		}
		p = new(Counts)
		w.counts[k] = p
	}
	p.add(c)
}

// CountLines adds to the lines read in the minute of a time in microseconds.
func (w *Writer) CountLines(time int64, l Lines) {
	m := Minute(time)
	p := w.lines[m]
	if p == nil {
		p = new(Lines)
		w.lines[m] = p
	}
	p.Add(l)
}

// Minute returns the minute a time in microseconds lies in.
func Minute(time int64) int64 {
	const us = 60_000_000
	if time < 0 {
		time -= us - 1
	}
	return time / us
}

// AddMessage writes a message and returns its id.
func (w *Writer) AddMessage(m *Message) (int64, error) {
	ids, err := w.nameIDs(m.Format, m.Host, m.Instance)
	if err != nil {
		return 0, err
	}
	return w.insert("messages", `INSERT INTO messages (id, format, host, instance, queue_id, message_id, sender, client, client_ip, size, first_seen)
		VALUES (?,?,?,?,?,?,?,?,?,?,?)`, ids[0], ids[1], ids[2], m.QueueID, m.MessageID, nullable(m.Sender, m.HasSender), m.Client, m.ClientIP, m.Size, m.FirstSeen), nil
}

// UpdateMessage writes what was learnt about a message since AddMessage.
func (w *Writer) UpdateMessage(id int64, m *Message) error {
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
func (w *Writer) AddRecipient(r *Recipient) int64 {
	return w.insert("recipients", `INSERT INTO recipients (id, message, series, address, state, first_seen, last_seen, final_at, cause)
		VALUES (?,?,?,?,?,?,?,?,?)`, r.Message, r.Series, r.Address, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != registry.StatePending), nullable(r.Cause, r.Cause != 0))
}

// UpdateRecipient writes what became of a recipient.
func (w *Writer) UpdateRecipient(id int64, r *Recipient) {
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
func (w *Writer) AddAttempt(a *Attempt) error {
	service, err := w.Name(a.Service)
	if err != nil {
		return err
	}
	pair, ok := a.pair()
	w.sink.exec("INSERT INTO attempts (time, recipient, series, outcome, cause, service, ip, delay, text, pair) VALUES (?,?,?,?,?,?,?,?,?,?)",
		a.Time, a.Recipient, a.Series, a.Outcome, a.Cause, service, a.IP, nullable(a.Delay.Microseconds(), a.Delay >= 0), a.Text, nullable(pair, ok))
	if ok {
		w.added(pair, a.Time)
	}
	return nil
}

// AddRejection writes a rejection, or counts one more of a line that was seen
// before.
func (w *Writer) AddRejection(r *Rejection) error {
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
func (w *Writer) AddConnection(c *Connection) {
	w.sink.exec(`INSERT INTO connections (minute, series, cause, session, n, messages, text) VALUES (?,?,?,?,1,?,?)
		ON CONFLICT (minute, series, cause, session) DO UPDATE SET n = n + 1, messages = messages + excluded.messages, text = min(text, excluded.text)`,
		Minute(c.Time), c.Series, c.Cause, c.Session, c.Messages, c.Text)
}

// OpenMessages returns the keys of the messages that have not ended.
func (w *Writer) OpenMessages(each func(key []byte)) error {
	var key sql.RawBytes
	return w.db.explain("read", w.each("SELECT key FROM open", func(rows *sql.Rows) error {
		err := rows.Scan(&key)
		each(key)
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

// Clean makes the text of a log fit for the database: what is not valid UTF-8,
// and NUL bytes, which SQLite's functions take for the end of a string, become
// U+FFFD.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
