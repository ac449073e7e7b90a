package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mattn/go-sqlite3"

	"mailfail/store"
)

type countKey struct{ minute, series int64 }

// Writer writes to a database in batches. It is used by one goroutine. Rows are
// written in the background: errors of SQLite may be returned by a later call,
// at the latest by Commit.
type Writer struct {
	db    *DB
	conn  *sql.Conn
	sink  *sink // writes through conn
	turn  turn
	stmts map[string]*sql.Stmt

	version int64 // SQLite's data_version: changes when another connection commits
	open    bool  // between Begin and Commit
	began   time.Time

	dictionary
	lastID map[string]int64 // by table
	counts map[countKey]*store.Counts
	lines  map[int64]*store.Lines

	failing []span // since Begin, see exact
}

// Writer returns the writer of the database.
func (db *DB) Writer() (store.Writer, error) {
	w, err := db.writer()
	if err != nil {
		return nil, err // not an interface around nil
	}
	return w, nil
}

func (db *DB) writer() (*Writer, error) {
	if db.rw == nil {
		return nil, db.explain("write", errors.New("it was opened for reading only"))
	}
	conn, err := db.rw.Conn(context.Background())
	if err != nil {
		return nil, db.explain("open", err)
	}
	w := &Writer{db: db, conn: conn, stmts: map[string]*sql.Stmt{}, lastID: map[string]int64{},
		counts: map[countKey]*store.Counts{}, lines: map[int64]*store.Lines{}, version: -1}
	w.forget()
	// conn is ours until Close, and so is the connection below it.
	err = conn.Raw(func(c any) error { w.sink = newSink(c.(driver.Conn)); return nil })
	if err != nil {
		conn.Close()
		return nil, db.explain("open", err)
	}
	if db.path != "" {
		w.turn = openTurn(db.path)
	}
	if _, err := conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA busy_timeout = %d", lockTime.Milliseconds())); err != nil {
		w.Close()
		return nil, db.explain("open", err)
	}
	return w, nil
}

// Close gives the database back. A batch that was not committed is lost. It may
// be called again.
func (w *Writer) Close() error {
	if w.sink == nil {
		return nil
	}
	if w.open {
		w.Rollback()
	}
	w.sink.close()
	w.sink = nil
	for _, s := range w.stmts {
		s.Close()
	}
	w.turn.close()
	return w.conn.Close()
}

// Begin starts a batch and waits for its turn when another process is writing.
// It reports whether another process has written since the last batch: then
// whatever the caller has kept of positions and open messages is out of date.
func (w *Writer) Begin(ctx context.Context) (stale bool, err error) {
	if err := w.turn.wait(ctx); err != nil {
		return false, err
	}
	err = w.lock(ctx)
	w.turn.pass()
	if err != nil {
		return false, w.db.explain("write to", err)
	}
	w.open, w.began = true, time.Now()
	version, _, err := w.find("PRAGMA data_version")
	if err == nil {
		if stale = version != w.version; stale || w.tooLarge() {
			err = w.load()
		}
		w.version = version
	}
	if err != nil {
		w.Rollback()
		return false, w.db.explain("read", err)
	}
	return stale, nil
}

// lock begins a transaction when no other process is in one. SQLite waits for that
// as well, but nothing could end its waiting: it does so for lockTime at a time.
func (w *Writer) lock(ctx context.Context) error {
	for end := time.Now().Add(BusyTimeout); ; {
		_, err := w.conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
		if !isBusy(err) || time.Now().After(end) {
			return err
		}
		if err := sleep(ctx, 0); err != nil {
			return err
		}
	}
}

// lockTime is how long SQLite waits for the lock of another process at a time.
const lockTime = 50 * time.Millisecond

// isBusy reports whether err says that another process has the lock.
func isBusy(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && se.Code == sqlite3.ErrBusy
}

// sleep returns after d, or with the error of ctx as soon as that is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// turnTime is how long others wait for the end of a batch at least.
const turnTime = time.Second

// Wanted reports whether the batch should end soon, because another process waits
// to write, or may do so unseen.
func (w *Writer) Wanted() bool {
	return w.db.path != "" && time.Since(w.began) > turnTime && w.turn.wanted()
}

// Rollback ends a batch without keeping any of it.
func (w *Writer) Rollback() {
	_ = w.sink.wait()
	_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK")
	w.open = false
	w.version = -1 // the next batch starts from what is stored
	w.forget()
	clear(w.counts)
	clear(w.lines)
	w.failing = w.failing[:0]
}

// Commit ends a batch and makes it last.
func (w *Writer) Commit() error {
	w.flush()
	err := w.exact()
	if err == nil {
		err = w.sink.wait()
	}
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
func (w *Writer) flush() {
	w.flushCounts()
	for minute, l := range w.lines {
		w.sink.exec(`INSERT INTO lines VALUES (?,?,?,?,?) ON CONFLICT (minute) DO UPDATE SET
			read = read + excluded.read, understood = understood + excluded.understood,
			irrelevant = irrelevant + excluded.irrelevant, unparsed = unparsed + excluded.unparsed`,
			minute, l.Read, l.Understood, l.Irrelevant, l.Unparsed)
	}
	clear(w.lines)
}

// maxCounts is how many counts are added up in memory before they are written:
// enough to put equal ones together, and few enough for SQLite to be done with
// most of them when the batch ends.
const maxCounts = 4096

func (w *Writer) flushCounts() {
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
		if *c == (store.Counts{}) {
			continue
		}
		w.sink.exec(`INSERT INTO counts VALUES (?,?,?,?,?,?,?) ON CONFLICT (minute, series) DO UPDATE SET
			delivered = delivered + excluded.delivered, recipients = recipients + excluded.recipients,
			suspended = suspended + excluded.suspended, handed = handed + excluded.handed, messages = messages + excluded.messages`,
			k.minute, k.series, c.Delivered, c.Recipients, c.Suspended, c.Handed, c.Messages)
	}
	clear(w.counts)
}

// insert writes a row whose first column is its id, which it returns.
func (w *Writer) insert(table, query string, args ...any) int64 {
	id := w.nextID(table)
	w.sink.exec(query, append([]any{id}, args...)...)
	return id
}

func (w *Writer) nextID(table string) int64 {
	w.lastID[table]++
	return w.lastID[table]
}

// stmt returns a prepared statement of conn, which is at rest until the next
// row is written.
func (w *Writer) stmt(query string) (*sql.Stmt, error) {
	if err := w.sink.wait(); err != nil {
		return nil, err
	}
	if s := w.stmts[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err == nil {
		w.stmts[query] = s
	}
	return s, err
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

// each runs a query and calls f for every row.
func (w *Writer) each(query string, f func(*sql.Rows) error, args ...any) error {
	s, err := w.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
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
