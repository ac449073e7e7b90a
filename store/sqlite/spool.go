package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/store"
	"mailfail/store/fleet"
)

// A database whose rows are sent to that of a fleet is a spool: a push sends only committed
// rows, and the spool remembers each until it has arrived.
//
// Rows have rising ids. Rows with greater ids than were sent are new; the table changes
// lists the others that were written since. A push first records, in a transaction, up to
// which ids it sends, so that later writers know which rows to list. The number of the push
// is the version of all rows it sends: it reads the state of that transaction, so that a
// greater version is never older. Before the first push, writers list nothing.

// metaPush is the name in meta of the state of a spool.
const metaPush = "push"

// pushState describes which rows were sent to a target.
type pushState struct {
	Target  string           // name of the target
	Epoch   int64            // how often the database was put back to an earlier state
	Batch   int64            // number of the last push that began
	Acked   int64            // version of the last push that ended
	Claimed map[string]int64 // by table the last id that a push sends or sent
	Sent    map[string]int64 // by table the last id that has arrived
	Whole   bool             // all rows of tables without rising ids have arrived
	Done    time.Time        // when the last push ended
}

// whole reports whether all rows of a table without rising ids have arrived. Pushes
// of earlier versions sent no totals.
func (s *pushState) whole(t *fleet.Table) bool {
	return s.Whole && (t != fleet.Totals || s.Sent[t.Name] > 0)
}

func (s *pushState) version() int64 { return s.Epoch<<fleet.EpochBits | s.Batch }

// spooled describes how a push reads the rows of a table.
type spooled struct {
	*fleet.Table
	kind  int64  // in changes, plus 64 for rows that were removed
	rows  string // table with rising ids, "" for others
	from  string // FROM clause
	where string // column to which changes.id refers
	exprs string // expressions for the columns of Table
}

// deletedKind is added to the kind of rows that were removed.
const deletedKind = 64

var spooledTables = []*spooled{
	{fleet.Causes, 1, "cause_rows", "causes AS x JOIN names AS p ON p.id = x.provider", "x.id",
		"x.id, reply, enhanced, mta_status, stage, source, p.text, signature, reason, rule, decided, confidence"},
	{fleet.Series, 2, "series", `series AS x JOIN names AS f ON f.id = x.format JOIN names AS h ON h.id = x.host JOIN names AS i ON i.id = x.instance
		JOIN names AS s ON s.id = x.sender JOIN names AS d ON d.id = x.domain JOIN names AS r ON r.id = x.relay
		LEFT JOIN relays AS o ON o.relay = x.relay LEFT JOIN names AS p ON p.id = o.provider`, "x.id",
		"x.id, f.text, h.text, i.text, s.text, d.text, r.text, IFNULL(p.text, ''), direction, own"},
	{fleet.Messages, 3, "message_rows", "messages AS x JOIN names AS f ON f.id = x.format JOIN names AS h ON h.id = x.host JOIN names AS i ON i.id = x.instance", "x.id",
		"x.id, f.text, h.text, i.text, queue_id, message_id, x.sender, client, client_ip, account, size, first_seen, own, 0"},
	{fleet.Recipients, 4, "recipient_rows", "recipients AS x", "x.id",
		"x.id, message, series, address, state, first_seen, last_seen, final_at, cause, exact_cause, troubled"},
	{fleet.Attempts, 5, "attempt_rows", "attempts AS x JOIN names AS s ON s.id = x.service", "x.id",
		"x.id, time, recipient, series, outcome, cause, s.text, ip, delay, x.text, first, exact, own_cause, pair"},
	{fleet.Rejections, 6, "rejection_rows", `rejections AS x JOIN rejection_rows AS y ON y.id = x.id JOIN names AS s ON s.id = x.service
		JOIN names AS d ON d.id = y.sender_domain`, "x.id",
		"x.id, x.time, x.series, x.cause, s.text, x.queue_id, x.client, x.client_ip, x.sender, d.text, x.recipient, x.text, x.line_hash, x.n, x.n_main, x.n_copy"},
	{fleet.Feedback, 13, "feedback", "feedback AS x", "x.id", "id, kind, time, series, cause, attempt, sent, sent_at, ids, addresses, text, hash"},
	{fleet.Connections, 7, "", "connections AS x", "x.minute", "minute, series, cause, session, n, messages, text"},
	{fleet.Counts, 8, "", "counts AS x", "x.id", "id, data"},
	{fleet.Totals, 15, "", "(SELECT id FROM counts WHERE 0) AS x", "x.id", "id"}, // see eachTotals
	{fleet.Deliveries, 9, "", "deliveries AS x", "x.id", "id, rows, filter, data"},
	{fleet.Submissions, 10, "", `submissions AS x JOIN names AS h ON h.id = x.host JOIN names AS s ON s.id = x.sender
		JOIN names AS a ON a.id = x.account JOIN names AS c ON c.id = x.client`, "x.hour", "hour, h.text, s.text, a.text, c.text, messages, recipients, bytes"},
	{fleet.Volumes, 14, "", "volumes AS x JOIN names AS h ON h.id = x.host", "x.hour", "hour, h.text, measure, value, n, bytes, millis"},
	{fleet.Troubles, 11, "", "troubles AS x JOIN names AS f ON f.id = x.format JOIN names AS h ON h.id = x.host JOIN names AS s ON s.id = x.service", "x.hour",
		"hour, f.text, h.text, kind, signature, s.text, n, first, last, x.text"},
	{fleet.Lines, 12, "", "lines AS x", "x.minute", "minute, read, understood, irrelevant, unparsed"},
}

// source returns the name of the table that has the rows.
func (s *spooled) source() string {
	if s.rows != "" {
		return s.rows
	}
	name, _, _ := strings.Cut(s.from, " AS x")
	return name
}

func spooledOf(t *fleet.Table) *spooled {
	i := slices.IndexFunc(spooledTables, func(s *spooled) bool { return s.Table == t })
	return spooledTables[i]
}

// note records that a row was written, if an older version of it may have been sent.
func (w *Writer) note(t *fleet.Table, id int64) { w.noteAs(t, id, 0) }

// noteDeleted records that a row was removed and must be removed from the database of a
// fleet. Pruning does not call it: pruned rows stay there.
func (w *Writer) noteDeleted(t *fleet.Table, id int64) { w.noteAs(t, id, deletedKind) }

func (w *Writer) noteAs(t *fleet.Table, id, plus int64) {
	if w.push == nil || w.push.Batch == 0 {
		return
	}
	s := spooledOf(t)
	if s.rows == "" || id <= w.push.Claimed[t.Name] {
		w.noted[[2]int64{s.kind + plus, id}] = struct{}{}
	}
}

// noteRows records, as note does, the rows whose ids a query returns. Its numbers are
// values, since the sink keeps each statement that it was ever given.
func (w *Writer) noteRows(t *fleet.Table, query string, args ...any) {
	if w.push != nil {
		args = slices.Concat([]any{spooledOf(t).kind, w.push.Batch}, args, []any{w.push.Claimed[t.Name]})
		w.sink.exec("INSERT OR REPLACE INTO changes SELECT ?, id, ? FROM ("+query+") WHERE id <= ?", args...)
	}
}

// flushNoted writes the rows that were recorded since Begin to the table changes.
func (w *Writer) flushNoted() {
	for c := range w.noted {
		w.sink.exec("INSERT OR REPLACE INTO changes VALUES (?,?,?)", c[0], c[1], w.push.Batch)
	}
	clear(w.noted)
}

// loadPush reads the state of the spool, if the database is one.
func (w *Writer) loadPush() error {
	w.push = nil
	text, err := w.Meta(metaPush)
	if err != nil || text == "" {
		return err
	}
	w.push = &pushState{}
	return json.Unmarshal([]byte(text), w.push)
}

func (w *Writer) putPush(s *pushState) error {
	text, err := json.Marshal(s)
	if err == nil {
		w.PutMeta(metaPush, string(text))
	}
	return err
}

// Push is a state of the database that is being sent to that of a fleet.
type Push struct {
	Origin  string
	Version int64

	db    *DB
	conn  *sql.Conn // in a read transaction
	state pushState
}

// PushedTo holds the version up to which a target says that it has the rows of this
// database, 0 none. If that version is not one that was sent to it, because either database
// was put back to an earlier state, a push sends all rows again.
type PushedTo struct {
	Target  string
	Version int64
}

// Origin returns the number that distinguishes the database from all others.
func (db *DB) Origin(ctx context.Context) (origin string, err error) {
	err = db.ro.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'origin'").Scan(&origin)
	return origin, db.explain("read", err)
}

// BeginPush begins a push of all rows that the target does not have. The push reads a
// snapshot, which costs other processes nothing but space.
func (db *DB) BeginPush(ctx context.Context, to PushedTo) (p *Push, err error) {
	w, err := db.writer()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := w.Begin(ctx); err != nil {
		return nil, err
	}
	p = &Push{db: db}
	if p.Origin, err = w.Meta("origin"); err == nil && p.Origin == "" {
		err = errors.New("it has no origin")
	}
	if err == nil {
		p.state = w.nextPush(to)
		p.Version = p.state.version()
		err = w.putPush(&p.state)
	}
	if err == nil {
		err = w.sink.wait()
	}
	if err == nil {
		p.conn, err = db.snapshot(ctx)
	}
	if err != nil {
		w.Rollback()
		return nil, db.explain("push", err)
	}
	if err := w.Commit(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// nextPush returns the state of a push that begins.
func (w *Writer) nextPush(to PushedTo) pushState {
	var s pushState
	if w.push != nil {
		s = *w.push
	}
	fresh := s.Target != to.Target || s.Sent == nil || to.Version < s.Acked
	if to.Version > s.version() { // this database was put back to an earlier state
		s.Epoch = to.Version>>fleet.EpochBits + 1
		fresh = true
	}
	if fresh {
		s.Target, s.Sent, s.Whole, s.Acked = to.Target, map[string]int64{}, false, 0
	}
	s.Batch++
	s.Claimed = map[string]int64{fleet.Totals.Name: 1} // see whole
	for _, t := range spooledTables {
		if t.rows != "" {
			s.Claimed[t.Name] = w.lastID[t.rows]
		}
	}
	return s
}

// AwaitPush records the target if nothing was ever sent, so that Unsent can report the rows
// that wait although the target was never reached.
func (db *DB) AwaitPush(ctx context.Context, target string) error {
	w, err := db.writer()
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Begin(ctx); err != nil {
		return err
	}
	if w.push != nil {
		w.Rollback()
		return nil
	}
	if err := w.putPush(&pushState{Target: target}); err != nil {
		w.Rollback()
		return err
	}
	return w.Commit()
}

// snapshot returns a connection in a read transaction that sees the rows committed so far.
func (db *DB) snapshot(ctx context.Context) (*sql.Conn, error) {
	conn, err := db.ro.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var n int
	if _, err = conn.ExecContext(ctx, "BEGIN DEFERRED"); err == nil {
		err = conn.QueryRowContext(ctx, "SELECT count(*) FROM meta").Scan(&n)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Close ends a push. The next push sends the rows that are left.
func (p *Push) Close() {
	if p.conn != nil {
		p.conn.ExecContext(context.Background(), "ROLLBACK")
		p.conn.Close()
		p.conn = nil
	}
}

// Done records that all rows have arrived.
func (p *Push) Done(ctx context.Context) error {
	p.Close()
	w, err := p.db.writer()
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Begin(ctx); err != nil {
		return err
	}
	s := w.push
	if s == nil || s.Epoch != p.state.Epoch || s.Target != p.state.Target || s.Acked >= p.Version {
		w.Rollback() // another push began anew, or ended first
		return nil
	}
	s.Acked, s.Sent, s.Whole, s.Done = p.Version, p.state.Claimed, true, time.Now().UTC()
	if err := w.putPush(s); err != nil {
		w.Rollback()
		return err
	}
	w.sink.exec("DELETE FROM changes WHERE batch < ?", p.state.Batch)
	return w.Commit()
}

// Epoch returns the first valid version of rows of the database: rows of the same origin
// with smaller versions belong to an abandoned state.
func (p *Push) Epoch() int64 { return p.state.Epoch << fleet.EpochBits }

// DeliveriesFrom returns the time in microseconds since which all deliveries are kept, 0
// since the beginning.
func (p *Push) DeliveriesFrom(ctx context.Context) (from int64, err error) {
	err = p.conn.QueryRowContext(ctx, "SELECT IFNULL((SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?), 0)", metaDeliveriesFrom).Scan(&from)
	return from, err
}

// EachRow calls each with the rows of a table that must be sent. A deleted row has only its
// key.
func (p *Push) EachRow(ctx context.Context, t *fleet.Table,
	each func(row fleet.Row, deleted bool) error) error {
	s := spooledOf(t)
	if t == fleet.Totals {
		return p.db.explain("push", p.eachTotals(ctx, each))
	}
	query := fmt.Sprintf("SELECT %s FROM %s", s.exprs, s.from)
	conditions := []string{fmt.Sprintf("%s IN (SELECT id FROM changes WHERE kind = %d)", s.where, s.kind)}
	switch sent := p.state.Sent[t.Name]; {
	case s.rows == "" && !p.state.whole(t):
		conditions = []string{"true"}
	case s.rows != "":
		conditions[0] += fmt.Sprintf(" AND %s <= %d", s.where, sent)
		conditions = append(conditions, fmt.Sprintf("%s > %d AND %s <= %d ORDER BY %s", s.where, sent, s.where, p.state.Claimed[t.Name], s.where))
	}
	for _, where := range conditions {
		if err := p.each(ctx, s, query+" WHERE "+where, each); err != nil {
			return p.db.explain("push", err)
		}
	}
	return p.db.explain("push", p.eachDeleted(ctx, s, each))
}

func (p *Push) each(ctx context.Context, s *spooled, query string, each func(fleet.Row, bool) error) error {
	rows, err := p.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns := s.Columns
	if s.Table == fleet.Counts {
		columns = []fleet.Column{{Name: "id"}, {Name: "data", Type: fleet.Text}}
	}
	row, into := make(fleet.Row, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		into[i] = &scanned{c.Type, &row[i]}
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		out := row
		if s.Table == fleet.Counts {
			if out, err = countsRow(row); err != nil {
				return err
			}
		}
		if err := each(out, false); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p *Push) eachDeleted(ctx context.Context, s *spooled, each func(fleet.Row, bool) error) error {
	if len(s.Key) != 1 || s.Key[0] != "id" {
		return nil // rows of other tables are never removed
	}
	rows, err := p.conn.QueryContext(ctx, fmt.Sprintf("SELECT id FROM changes WHERE kind = %d AND id NOT IN (SELECT id FROM %s)", s.kind+deletedKind, s.source()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row := make(fleet.Row, len(s.Columns))
		for i, c := range s.Columns {
			row[i].Null = c.Type == fleet.MaybeInt || c.Type == fleet.MaybeText
		}
		if err := rows.Scan(&row[0].Int); err != nil {
			return err
		}
		if err := each(row, true); err != nil {
			return err
		}
	}
	return rows.Err()
}

// countsRow decodes a block of counts into lists.
func countsRow(row fleet.Row) (fleet.Row, error) {
	var b block
	if err := b.decode([]byte(row[1].Text)); err != nil {
		return nil, err
	}
	out := make(fleet.Row, 1+len(b.cols))
	out[0] = row[0]
	for c := range b.cols {
		list := make([]int64, b.rows)
		for i := range list {
			list[i] = b.at(c, i)
		}
		out[1+c].Ints = list
	}
	return out, nil
}

// scanned scans a column into a value.
type scanned struct {
	t fleet.Type
	v *fleet.Value
}

// Scan implements sql.Scanner.
func (s *scanned) Scan(src any) error {
	*s.v = fleet.Value{}
	switch src := src.(type) {
	case nil:
		s.v.Null = true
	case int64:
		s.v.Int = src
	case bool:
		if src {
			s.v.Int = 1
		}
	case []byte:
		s.v.Text = string(src)
	case string:
		s.v.Text = src
	default:
		return fmt.Errorf("a value of type %T", src)
	}
	return nil
}

// Unsent returns the number of rows that have not arrived yet, and their target.
func (db *DB) Unsent(ctx context.Context) (n store.Unsent, err error) {
	err = db.transaction(ctx, func(t *tx) error {
		var text string
		if ok, err := t.one("SELECT value FROM meta WHERE name = ?", []any{metaPush}, &text); err != nil || !ok {
			return err
		}
		var s pushState
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return err
		}
		n = store.Unsent{Target: s.Target, Since: s.Done}
		for _, table := range spooledTables {
			var rows int64
			query, args := s.unsent(table)
			if _, err := t.one(query, args, &rows); err != nil {
				return err
			}
			n.Rows += rows
		}
		return nil
	})
	return n, err
}

// unsent returns a query for the number of rows of a table that have not arrived.
func (s *pushState) unsent(t *spooled) (string, []any) {
	switch {
	case t.rows != "":
		sent := s.Sent[t.Name]
		return fmt.Sprintf("SELECT (SELECT count(*) FROM changes WHERE kind = ? AND id <= ?) + (SELECT count(*) FROM %s WHERE id > ?)", t.rows), []any{t.kind, sent, sent}
	case !s.whole(t.Table):
		return "SELECT count(*) FROM " + t.source(), nil
	}
	return "SELECT count(*) FROM changes WHERE kind = ?", []any{t.kind}
}
