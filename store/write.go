package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
)

// State is the final state of a recipient, or Pending.
type State uint8

// The states of a recipient, as the column recipients.state has them.
const (
	Pending State = iota
	Delivered
	Bounced
	Expired
	Removed
	HandedOver // to a content filter or another server: counted there
	Replaced   // by other addresses: they are the recipients
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
	State               State
	FirstSeen, LastSeen int64
	FinalAt             int64 // ignored while State is Pending
	Cause               int64 // 0 none
}

// Attempt is a row of the table attempts.
type Attempt struct {
	Time      int64
	Recipient int64
	Series    int64
	Outcome   uint8
	Cause     int64
	Service   string
	IP        string
	Delay     time.Duration // negative when unknown
	Text      string
}

// Rejection is a row of the table rejections.
type Rejection struct {
	Time             int64
	Series           int64
	Cause            int64
	Service, QueueID string
	Client, ClientIP string
	Sender           string
	HasSender        bool
	Recipient, Text  string
	LineHash         uint64 // 0: the line is not repeated in another log
	Copy             bool
}

// cacheLimit bounds the entries of each of a Writer's caches.
const cacheLimit = 200_000

type countKey struct{ minute, series int64 }

// Writer writes to a database in batches. It is used by one goroutine.
type Writer struct {
	db    *DB
	conn  *sql.Conn
	rules *registry.Rules
	turn  turn
	stmts map[string]*sql.Stmt

	sqlite driver.Conn // the one below conn
	direct map[string]driver.StmtExecContext
	args   []driver.NamedValue // scratch

	version int64 // SQLite's data_version: changes when another connection commits
	open    bool  // between Begin and Commit

	names     map[string]int64
	series    map[[16]byte]int64 // by a hash of the key
	complete  bool               // names and series hold all there are
	relays    map[int64]int64    // relay to provider
	causes    map[string]*Cause
	providers map[string]string // by relay
	counts    map[countKey]*Counts
	lines     map[int64]*Lines
	key       []byte // scratch
}

// Writer returns the writer of the database. Failures are filed under reasons
// by rules; when those have changed since the last writer, what is stored is
// filed anew.
func (db *DB) Writer(rules *registry.Rules) (*Writer, error) {
	if db.rw == nil {
		return nil, db.explain("write", errors.New("it was opened for reading only"))
	}
	conn, err := db.rw.Conn(context.Background())
	if err != nil {
		return nil, db.explain("open", err)
	}
	w := &Writer{db: db, conn: conn, rules: rules, stmts: map[string]*sql.Stmt{}, direct: map[string]driver.StmtExecContext{},
		counts: map[countKey]*Counts{}, lines: map[int64]*Lines{}}
	// conn is ours until Close, and so is the connection below it.
	if err := conn.Raw(func(c any) error { w.sqlite = c.(driver.Conn); return nil }); err != nil {
		conn.Close()
		return nil, db.explain("open", err)
	}
	if db.path != "" {
		w.turn = openTurn(db.path)
	}
	w.forget()
	if err := w.reclassify(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// Close gives the database back. A batch that was not committed is lost.
func (w *Writer) Close() error {
	if w.open {
		w.Rollback()
	}
	for _, s := range w.stmts {
		s.Close()
	}
	for _, s := range w.direct {
		s.(driver.Stmt).Close()
	}
	w.turn.close()
	return w.conn.Close()
}

// forget empties the caches.
func (w *Writer) forget() {
	w.names = map[string]int64{"": 1}
	w.series = map[[16]byte]int64{}
	w.complete = false
	w.relays = map[int64]int64{}
	w.causes = map[string]*Cause{}
	w.providers = map[string]string{}
}

// Begin starts a batch and waits for its turn when another process is writing.
// It reports whether another process has written since the last batch: then
// whatever the caller has kept of positions and open messages is out of date.
func (w *Writer) Begin() (stale bool, err error) {
	ctx := context.Background()
	w.turn.wait()
	_, err = w.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	w.turn.pass()
	if err != nil {
		return false, w.db.explain("write to", err)
	}
	w.open = true
	var version int64
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		w.Rollback()
		return false, w.db.explain("write to", err)
	}
	stale = version != w.version
	w.version = version
	if stale || len(w.names) > cacheLimit || len(w.series) > cacheLimit || len(w.causes) > cacheLimit || len(w.providers) > cacheLimit {
		w.forget()
		if err := w.load(); err != nil {
			w.Rollback()
			return false, w.db.explain("read", err)
		}
	}
	return stale, nil
}

// load fills the caches of names and series, if they have room for all: then
// what is not in them is new, and need not be looked for.
func (w *Writer) load() error {
	for _, table := range []string{"names", "series"} {
		if n, _, err := w.find("SELECT count(*) FROM (SELECT 1 FROM "+table+" LIMIT ?)", cacheLimit); err != nil || n >= cacheLimit/2 {
			return err
		}
	}
	texts := map[int64]string{}
	err := w.each("SELECT id, text FROM names", func(rows *sql.Rows) error {
		var id int64
		var text string
		err := rows.Scan(&id, &text)
		w.names[text], texts[id] = id, text
		return err
	})
	if err != nil {
		return err
	}
	err = w.each("SELECT id, domain, relay, sender, host, instance, format FROM series", func(rows *sql.Rows) error {
		var id, domain, relay, sender, host, instance, format int64
		err := rows.Scan(&id, &domain, &relay, &sender, &host, &instance, &format)
		b := func(id int64) []byte { return []byte(texts[id]) }
		k := SeriesKey{Format: texts[format], Host: b(host), Instance: b(instance), Sender: b(sender), Domain: b(domain), Relay: b(relay)}
		w.series[w.hash(&k)] = id
		return err
	})
	w.complete = err == nil
	return err
}

// each runs a query and calls f for every row.
func (w *Writer) each(query string, f func(*sql.Rows) error) error {
	s, err := w.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Rollback ends a batch without keeping any of it.
func (w *Writer) Rollback() {
	w.conn.ExecContext(context.Background(), "ROLLBACK")
	w.open = false
	w.version = -1 // the next batch starts from what is stored
	w.forget()
	clear(w.counts)
	clear(w.lines)
}

// Commit ends a batch and makes it last.
func (w *Writer) Commit() error {
	err := w.flush()
	if err == nil {
		_, err = w.conn.ExecContext(context.Background(), "COMMIT")
	}
	if err != nil {
		w.Rollback()
		return w.db.explain("write to", err)
	}
	w.open = false
	return nil
}

// flush writes the counts that were added up since Begin.
func (w *Writer) flush() error {
	keys := make([]countKey, 0, len(w.counts))
	for k := range w.counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b countKey) int {
		if a.minute != b.minute {
			return int(a.minute - b.minute)
		}
		return int(a.series - b.series)
	})
	for _, k := range keys {
		c := w.counts[k]
		if *c == (Counts{}) {
			continue
		}
		if _, err := w.exec(`INSERT INTO counts VALUES (?,?,?,?,?,?,?) ON CONFLICT (minute, series) DO UPDATE SET
			delivered = delivered + excluded.delivered, recipients = recipients + excluded.recipients,
			suspended = suspended + excluded.suspended, handed = handed + excluded.handed, messages = messages + excluded.messages`,
			k.minute, k.series, c.Delivered, c.Recipients, c.Suspended, c.Handed, c.Messages); err != nil {
			return err
		}
	}
	clear(w.counts)
	for minute, l := range w.lines {
		if _, err := w.exec(`INSERT INTO lines VALUES (?,?,?,?,?) ON CONFLICT (minute) DO UPDATE SET
			read = read + excluded.read, understood = understood + excluded.understood,
			irrelevant = irrelevant + excluded.irrelevant, unparsed = unparsed + excluded.unparsed`,
			minute, l.Read, l.Understood, l.Irrelevant, l.Unparsed); err != nil {
			return err
		}
	}
	clear(w.lines)
	return nil
}

func (w *Writer) stmt(query string) (*sql.Stmt, error) {
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = s
	}
	return s, err
}

// exec runs a statement. It goes past database/sql, whose care for types and
// for other goroutines takes longer than SQLite does for a row.
func (w *Writer) exec(query string, args ...any) (driver.Result, error) {
	s := w.direct[query]
	if s == nil {
		prepared, err := w.sqlite.Prepare(query)
		if err != nil {
			return nil, err
		}
		s = prepared.(driver.StmtExecContext)
		w.direct[query] = s
	}
	w.args = w.args[:0]
	for i, a := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: value(a)})
	}
	return s.ExecContext(context.Background(), w.args)
}

// value turns our types into those that a driver takes.
func value(v any) driver.Value {
	switch v := v.(type) {
	case int:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case State:
		return int64(v)
	case registry.Stage:
		return int64(v)
	case registry.Source:
		return int64(v)
	}
	return v
}

// insert runs an INSERT and returns the id of the row.
func (w *Writer) insert(query string, args ...any) (int64, error) {
	res, err := w.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// find runs a query for one integer; ok is false when there is no row.
func (w *Writer) find(query string, args ...any) (v int64, ok bool, err error) {
	s, err := w.stmt(query)
	if err != nil {
		return 0, false, err
	}
	switch err = s.QueryRow(args...).Scan(&v); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	return v, true, nil
}

// Name returns the id of a name, which is new if need be.
func (w *Writer) Name(text []byte) (int64, error) {
	if id, ok := w.names[string(text)]; ok {
		return id, nil
	}
	s := clean(text)
	id, ok, err := w.names[s], false, error(nil)
	if ok = id != 0; !ok && !w.complete {
		id, ok, err = w.find("SELECT id FROM names WHERE text = ?", s)
	}
	if err == nil && !ok {
		id, err = w.insert("INSERT INTO names (text) VALUES (?)", s)
	}
	if err != nil {
		return 0, w.db.explain("write to", err)
	}
	w.names[string(text)] = id
	return id, nil
}

// hash returns a hash of k that no two series of a database share, as far as
// 128 bits can promise.
func (w *Writer) hash(k *SeriesKey) (h [16]byte) {
	b := append(w.key[:0], k.Format...)
	for _, s := range [...][]byte{k.Host, k.Instance, k.Sender, k.Domain, k.Relay} {
		b = append(append(b, 0), s...)
	}
	w.key = b
	binary.NativeEndian.PutUint64(h[:], maphash.Bytes(seeds[0], b))
	binary.NativeEndian.PutUint64(h[8:], maphash.Bytes(seeds[1], b))
	return h
}

var seeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// Series returns the id of a series, which is new if need be.
func (w *Writer) Series(k *SeriesKey) (int64, error) {
	h := w.hash(k)
	if id, ok := w.series[h]; ok {
		return id, nil
	}
	var ids [6]any
	for i, s := range [...][]byte{k.Domain, k.Relay, k.Sender, k.Host, k.Instance, []byte(k.Format)} {
		id, err := w.Name(s)
		if err != nil {
			return 0, err
		}
		ids[i] = id
	}
	if _, err := w.Provider(k.Relay); err != nil {
		return 0, err
	}
	id, ok, err := int64(0), false, error(nil)
	if !w.complete {
		id, ok, err = w.find("SELECT id FROM series WHERE domain=? AND relay=? AND sender=? AND host=? AND instance=? AND format=?", ids[:]...)
	}
	if err == nil && !ok {
		id, err = w.insert("INSERT INTO series (domain, relay, sender, host, instance, format) VALUES (?,?,?,?,?,?)", ids[:]...)
	}
	if err != nil {
		return 0, w.db.explain("write to", err)
	}
	w.series[h] = id
	return id, nil
}

// Provider returns the id of the name of the operator behind a relay.
func (w *Writer) Provider(relay []byte) (int64, error) {
	id, err := w.Name(relay)
	if err != nil {
		return 0, err
	}
	if p, ok := w.relays[id]; ok {
		return p, nil
	}
	p, ok, err := w.find("SELECT provider FROM relays WHERE relay = ?", id)
	if err == nil && !ok {
		if p, err = w.Name([]byte(w.ProviderName(string(relay)))); err == nil {
			_, err = w.exec("INSERT INTO relays VALUES (?,?)", id, p)
		}
	}
	if err != nil {
		return 0, w.db.explain("write to", err)
	}
	w.relays[id] = p
	return p, nil
}

// ProviderName returns the operator behind a relay.
func (w *Writer) ProviderName(relay string) string {
	if p, ok := w.providers[relay]; ok {
		return p
	}
	p := registry.Provider(relay)
	w.providers[relay] = p
	return p
}

// Cause is what a failure is filed under.
type Cause struct {
	ID                  int64
	Provider, Signature string
	registry.Verdict
}

// Cause returns what a failure at relay is filed under. f.Provider and
// f.Signature are found from relay and text.
func (w *Writer) Cause(f registry.Failure, relay, text []byte) (*Cause, error) {
	provider, err := w.Provider(relay)
	if err != nil {
		return nil, err
	}
	b := binary.AppendVarint(w.key[:0], provider)
	b = binary.AppendUvarint(b, uint64(f.Reply))
	for _, e := range [...]registry.Enhanced{f.Enhanced, f.MTAStatus} {
		b = append(b, e.Class, byte(e.Subject), byte(e.Subject>>8), byte(e.Detail), byte(e.Detail>>8))
	}
	b = append(b, byte(f.Stage), byte(f.Source))
	prefix := len(b)
	b = registry.AppendSignature(b, text)
	w.key = b
	if c, ok := w.causes[string(b)]; ok {
		return c, nil
	}
	key := string(b)
	f.Provider = w.ProviderName(string(relay))
	f.Signature = clean(b[prefix:])
	c := &Cause{Provider: f.Provider, Signature: f.Signature, Verdict: w.rules.Classify(f)}
	args := []any{f.Signature, f.Reply, f.Enhanced.String(), f.MTAStatus.String(), f.Stage, f.Source, provider}
	id, ok, err := w.find(`SELECT id FROM causes WHERE signature=? AND reply=? AND enhanced=? AND mta_status=?
		AND stage=? AND source=? AND provider=?`, args...)
	if err == nil && !ok {
		id, err = w.insert(`INSERT INTO causes (signature, reply, enhanced, mta_status, stage, source, provider, reason, rule)
			VALUES (?,?,?,?,?,?,?,?,?)`, append(args, string(c.Reason), c.Rule)...)
	}
	if err != nil {
		return nil, w.db.explain("write to", err)
	}
	c.ID = id
	w.causes[key] = c
	return c, nil
}

// Count adds to the counts of a series in the minute of a time in microseconds.
func (w *Writer) Count(series, time int64, c Counts) {
	k := countKey{Minute(time), series}
	p := w.counts[k]
	if p == nil {
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
	id, err := w.insert(`INSERT INTO messages (format, host, instance, queue_id, message_id, sender, client, client_ip, size, first_seen)
		VALUES (?,?,?,?,?,?,?,?,?,?)`, ids[0], ids[1], ids[2], m.QueueID, m.MessageID, nullable(m.Sender, m.HasSender), m.Client, m.ClientIP, m.Size, m.FirstSeen)
	return id, w.db.explain("write to", err)
}

// UpdateMessage writes what was learnt about a message since AddMessage.
func (w *Writer) UpdateMessage(id int64, m *Message) error {
	_, err := w.exec("UPDATE messages SET message_id=?, sender=?, client=?, client_ip=?, size=?, first_seen=? WHERE id=?",
		m.MessageID, nullable(m.Sender, m.HasSender), m.Client, m.ClientIP, m.Size, m.FirstSeen, id)
	return w.db.explain("write to", err)
}

// DeleteMessage removes a message that has no rows in recipients any more.
func (w *Writer) DeleteMessage(id int64) error {
	_, err := w.exec("DELETE FROM messages WHERE id = ?", id)
	return w.db.explain("write to", err)
}

// AddRecipient writes a recipient and returns its id.
func (w *Writer) AddRecipient(r *Recipient) (int64, error) {
	id, err := w.insert(`INSERT INTO recipients (message, series, address, state, first_seen, last_seen, final_at, cause)
		VALUES (?,?,?,?,?,?,?,?)`, r.Message, r.Series, r.Address, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != Pending), nullable(r.Cause, r.Cause != 0))
	return id, w.db.explain("write to", err)
}

// UpdateRecipient writes what became of a recipient.
func (w *Writer) UpdateRecipient(id int64, r *Recipient) error {
	_, err := w.exec("UPDATE recipients SET series=?, state=?, first_seen=?, last_seen=?, final_at=?, cause=? WHERE id=?",
		r.Series, r.State, r.FirstSeen, r.LastSeen, nullable(r.FinalAt, r.State != Pending), nullable(r.Cause, r.Cause != 0), id)
	return w.db.explain("write to", err)
}

// DeleteRecipient removes a recipient that has no attempts.
func (w *Writer) DeleteRecipient(id int64) error {
	_, err := w.exec("DELETE FROM recipients WHERE id = ?", id)
	return w.db.explain("write to", err)
}

// AddAttempt writes a failing attempt.
func (w *Writer) AddAttempt(a *Attempt) error {
	service, err := w.Name([]byte(a.Service))
	if err != nil {
		return err
	}
	_, err = w.exec("INSERT INTO attempts (time, recipient, series, outcome, cause, service, ip, delay, text) VALUES (?,?,?,?,?,?,?,?,?)",
		a.Time, a.Recipient, a.Series, a.Outcome, a.Cause, service, a.IP, nullable(a.Delay.Microseconds(), a.Delay >= 0), a.Text)
	return w.db.explain("write to", err)
}

// AddRejection writes a rejection, or counts one more of a line that was seen
// before.
func (w *Writer) AddRejection(r *Rejection) error {
	service, err := w.Name([]byte(r.Service))
	if err != nil {
		return err
	}
	main, copied := 1, 0
	if r.Copy {
		main, copied = 0, 1
	}
	_, err = w.exec(`INSERT INTO rejections (time, series, cause, service, queue_id, client, client_ip, sender, recipient, text, line_hash, n, n_main, n_copy)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,1,?,?)
		ON CONFLICT (line_hash) WHERE line_hash IS NOT NULL DO UPDATE SET n = max(n_main + excluded.n_main, n_copy + excluded.n_copy),
		n_main = n_main + excluded.n_main, n_copy = n_copy + excluded.n_copy`,
		r.Time, r.Series, r.Cause, service, r.QueueID, r.Client, r.ClientIP, nullable(r.Sender, r.HasSender), r.Recipient, r.Text,
		nullable(int64(r.LineHash), r.LineHash != 0), main, copied)
	return w.db.explain("write to", err)
}

// OpenMessages returns the keys of the messages that have not ended.
func (w *Writer) OpenMessages(each func(key []byte)) error {
	s, err := w.stmt("SELECT key FROM open")
	if err != nil {
		return w.db.explain("read", err)
	}
	rows, err := s.Query()
	if err != nil {
		return w.db.explain("read", err)
	}
	defer rows.Close()
	var key sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&key); err != nil {
			return w.db.explain("read", err)
		}
		each(key)
	}
	return w.db.explain("read", rows.Err())
}

// OpenMessage returns the state of a message that has not ended, nil when
// there is none.
func (w *Writer) OpenMessage(key []byte) ([]byte, error) {
	s, err := w.stmt("SELECT state FROM open WHERE key = ?")
	if err != nil {
		return nil, w.db.explain("read", err)
	}
	var state []byte
	if err := s.QueryRow(key).Scan(&state); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, w.db.explain("read", err)
	}
	return state, nil
}

// OpenMessagesWith returns the keys of the messages that have not ended and
// have the Message-ID with the given hash.
func (w *Writer) OpenMessagesWith(messageID int64) ([][]byte, error) {
	s, err := w.stmt("SELECT key FROM open WHERE message_id = ? ORDER BY key")
	if err != nil {
		return nil, w.db.explain("read", err)
	}
	rows, err := s.Query(messageID)
	if err != nil {
		return nil, w.db.explain("read", err)
	}
	defer rows.Close()
	var keys [][]byte
	for rows.Next() {
		var k []byte
		if err := rows.Scan(&k); err != nil {
			return nil, w.db.explain("read", err)
		}
		keys = append(keys, k)
	}
	return keys, w.db.explain("read", rows.Err())
}

// PutOpenMessage stores the state of a message that has not ended.
func (w *Writer) PutOpenMessage(key []byte, lastSeen, messageID int64, state []byte) error {
	_, err := w.exec("INSERT OR REPLACE INTO open VALUES (?,?,?,?)", key, lastSeen, messageID, state)
	return w.db.explain("write to", err)
}

// DeleteOpenMessage removes the state of a message that has ended.
func (w *Writer) DeleteOpenMessage(key []byte) error {
	_, err := w.exec("DELETE FROM open WHERE key = ?", key)
	return w.db.explain("write to", err)
}

// ForgetOpenMessages removes the state of messages not heard of since a time.
func (w *Writer) ForgetOpenMessages(before int64) error {
	_, err := w.exec("DELETE FROM open WHERE last_seen < ?", before)
	return w.db.explain("write to", err)
}

// reclassify files the stored failures anew when the rules have changed.
func (w *Writer) reclassify() error {
	if _, err := w.Begin(); err != nil {
		return err
	}
	if err := w.reclassifyAll(); err != nil {
		w.Rollback()
		return w.db.explain("write to", err)
	}
	if err := w.Commit(); err != nil {
		return err
	}
	w.version = -1
	return nil
}

func (w *Writer) reclassifyAll() error {
	ctx := context.Background()
	var version string
	err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'rules'").Scan(&version)
	if err == nil && version == w.rules.Version() {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	rows, err := w.conn.QueryContext(ctx, `SELECT c.id, c.reply, c.enhanced, c.mta_status, c.stage, c.source, n.text, c.signature
		FROM causes c JOIN names n ON n.id = c.provider`)
	if err != nil {
		return err
	}
	verdicts := map[int64]registry.Verdict{}
	for rows.Next() {
		var id int64
		var f registry.Failure
		var enhanced, status string
		if err := rows.Scan(&id, &f.Reply, &enhanced, &status, &f.Stage, &f.Source, &f.Provider, &f.Signature); err != nil {
			rows.Close()
			return err
		}
		f.Enhanced, _ = registry.ParseEnhanced(enhanced)
		f.MTAStatus, _ = registry.ParseEnhanced(status)
		verdicts[id] = w.rules.Classify(f)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, v := range verdicts {
		if _, err := w.exec("UPDATE causes SET reason = ?, rule = ? WHERE id = ?", string(v.Reason), v.Rule, id); err != nil {
			return err
		}
	}
	_, err = w.exec("INSERT OR REPLACE INTO meta VALUES ('rules', ?)", w.rules.Version())
	return err
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

// clean makes log text fit for a database: valid UTF-8 without NUL, which
// SQLite's functions take for the end of a string.
func clean(b []byte) string { return Clean(string(b)) }

// Clean replaces what is not valid UTF-8, and NUL bytes, by U+FFFD.
func Clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
