package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"mailfail/store"
	"mailfail/store/fleet"
)

// Writer writes to a database in batches. One goroutine uses it. It writes rows in the
// background: a later call may return an error of SQLite, at the latest Commit.
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
	lines  map[int64]*store.Lines

	// Rows that are added up, or sorted, before they are written.
	counts      []countEntry
	countErr    error // of writing them early
	countBlock  block // scratch of countsOf
	rowErr      error // of a call that does not return it
	lookups     []lookupEntry
	sorting     sorting
	recipients  newRecipients
	lineHashes  []minuteLines
	submissions map[submissionKey][3]int64
	volumes     volumes
	respelled   []respelling
	postponed   []func() error

	deliveries deliveries

	segmented map[int64]int64 // last id in a segment, by kind

	failing []span // since Begin, see exact

	bounces bounces

	push  *pushState            // nil: nothing is sent to the database of a fleet
	noted map[[2]int64]struct{} // of changes, since Begin
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
	w := &Writer{
		db:          db,
		conn:        conn,
		stmts:       map[string]*sql.Stmt{},
		lastID:      map[string]int64{},
		lines:       map[int64]*store.Lines{},
		submissions: map[submissionKey][3]int64{},
		segmented:   map[int64]int64{},
		noted:       map[[2]int64]struct{}{},
		version:     -1,
	}
	w.forget()
	// The Writer owns conn until Close, and so the connection below it.
	err = conn.Raw(func(c any) (err error) { w.sink, err = newSink(c); return err })
	if err != nil {
		conn.Close()
		return nil, db.explain("open", err)
	}
	if db.path != "" {
		w.turn = openTurn(db.path)
	}
	if _, err := conn.ExecContext(context.Background(), fmt.Sprintf("PRAGMA busy_timeout = %d; PRAGMA journal_size_limit = %d", lockTime.Milliseconds(), walLimit)); err != nil {
		w.Close()
		return nil, db.explain("open", err)
	}
	return w, nil
}

// Close releases the database. A batch that was not committed is lost. Close may be called
// again.
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

// Begin starts a batch and waits for its turn when another process is writing. It reports
// whether another process has written since the last batch: then the positions and open
// messages that the caller has kept are out of date.
func (w *Writer) Begin(ctx context.Context) (stale bool, err error) {
	if err := w.await(ctx); err != nil {
		return false, err
	}
	w.open, w.began = true, time.Now()
	version, _, err := w.find("PRAGMA data_version")
	if err == nil {
		if stale = version != w.version; stale {
			err = w.restart()
		} else if w.tooLarge() {
			w.forget()
		}
		w.version = version
	}
	if err != nil {
		w.Rollback()
		return false, w.db.explain("read", err)
	}
	return stale, nil
}

// patience is how long a writer waits for another process before it calls DB.Waiting.
var patience = 3 * time.Second

// await begins a transaction when it is this writer's turn.
func (w *Writer) await(ctx context.Context) error {
	if say := w.db.Waiting; say != nil {
		notice := time.AfterFunc(patience, func() { w.db.waited.Do(say) })
		defer notice.Stop()
	}
	if err := w.turn.wait(ctx); err != nil {
		return err
	}
	err := w.lock(ctx)
	w.turn.pass()
	if err != nil {
		return w.db.explain("write to", err)
	}
	return nil
}

// lock begins a transaction when no other process is in one. SQLite waits for that as well,
// but its waiting cannot be interrupted: lock lets it wait for lockTime at a time.
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

// walLimit is the size in bytes to which SQLite truncates a write-ahead log that was
// larger.
const walLimit = 64 << 20

// lockTime is how long SQLite waits for the lock of another process at a time.
const lockTime = 50 * time.Millisecond

// isBusy reports whether err means that another process has the lock.
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

// turnTime is how long a batch lasts at least before it ends for another process.
const turnTime = time.Second

// Wanted reports whether the batch should end soon, because another process waits to write,
// or may wait without the Writer noticing.
func (w *Writer) Wanted() bool {
	return w.db.path != "" && time.Since(w.began) > turnTime && w.turn.wanted()
}

// Rollback ends a batch without keeping any of it.
func (w *Writer) Rollback() {
	_ = w.sink.wait()
	_, _ = w.conn.ExecContext(context.Background(), "ROLLBACK")
	w.open = false
	w.version = -1 // the next Begin reads what is stored
	w.discard()
}

// discard removes all that was not written from memory.
func (w *Writer) discard() {
	w.forget()
	clear(w.lines)
	clear(w.submissions)
	w.volumes.clear()
	w.recipients.clear()
	w.lineHashes = nil
	clear(w.noted)
	w.counts, w.lookups, w.failing, w.respelled = w.counts[:0], w.lookups[:0], w.failing[:0], w.respelled[:0]
	w.countErr, w.rowErr, w.postponed = nil, nil, nil
	w.deliveries.rows, w.deliveries.text, w.deliveries.lost = w.deliveries.rows[:0], w.deliveries.text[:0], 0
}

// release gives the memory back in which rows are kept until they are written. There are
// none.
func (w *Writer) release() {
	w.counts, w.lookups, w.sorting, w.respelled = nil, nil, sorting{}, nil
	w.recipients = newRecipients{}
	w.deliveries.rows, w.deliveries.text = nil, nil
}

// restart reads the state of the Writer from the database.
func (w *Writer) restart() error {
	w.forget()
	for _, table := range []string{"names", "texts", "series", "cause_rows", "kinds", "message_rows",
		"recipient_rows", "attempt_rows", "rejection_rows", "feedback", "sources"} {
		last, _, err := w.find("SELECT coalesce(max(id), 0) FROM " + table)
		if err != nil {
			return err
		}
		w.lastID[table] = last
	}
	clear(w.segmented)
	if err := w.each("SELECT kind, max(last) FROM segments GROUP BY kind", func(rows *sql.Rows) error {
		var kind, last int64
		err := rows.Scan(&kind, &last)
		w.segmented[kind] = last
		return err
	}); err != nil {
		return err
	}
	if err := w.loadBounces(); err != nil {
		return err
	}
	if err := w.loadPush(); err != nil {
		return err
	}
	return w.skipPruned()
}

// skipPruned keeps the ids of pruned rows from being assigned again.
func (w *Writer) skipPruned() error {
	for _, s := range segmentedTables {
		w.lastID[s.table] = max(w.lastID[s.table], w.segmented[s.kind])
	}
	last, _, err := w.find("SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?", metaLastMessage)
	w.lastID["message_rows"] = max(w.lastID["message_rows"], last)
	return err
}

// Commit ends a batch and stores it. After an error, the batch is rolled back.
func (w *Writer) Commit() error {
	err := w.flush()
	if err == nil {
		err = w.exact()
	}
	if err == nil {
		err = w.settleBounces()
	}
	if err == nil {
		w.flushNoted()
		err = w.addSegments()
	}
	if err == nil {
		err = w.sink.wait()
	}
	if err == nil {
		err = w.db.inPlace()
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

// flush writes the rows that were added up since Begin.
func (w *Writer) flush() error {
	if w.rowErr != nil {
		return w.rowErr
	}
	writeLineHashes := w.packLineHashes()
	w.flushRecipients()
	w.flushLines()
	w.flushSubmissions()
	w.flushVolumes()
	if err := w.findRespelled(); err != nil {
		return err
	}
	if err := w.flushLookups(); err != nil {
		return err
	}
	if err := w.flushDeliveries(); err != nil {
		return err
	}
	if err := w.flushCounts(); err != nil {
		return err
	}
	writeLineHashes()
	w.sorting.rest()
	return nil
}

func (w *Writer) flushLines() {
	for minute, l := range w.lines {
		w.sink.exec(`INSERT INTO lines VALUES (?,?,?,?,?) ON CONFLICT (minute) DO UPDATE SET
			read = read + excluded.read, understood = understood + excluded.understood,
			irrelevant = irrelevant + excluded.irrelevant, unparsed = unparsed + excluded.unparsed`,
			minute, l.Read, l.Understood, l.Irrelevant, l.Unparsed)
		w.note(fleet.Lines, minute)
	}
	clear(w.lines)
}

func (w *Writer) nextID(table string) int64 {
	w.lastID[table]++
	return w.lastID[table]
}

// stmt waits for the sink, and returns a prepared statement of conn. The sink does not use
// conn until the next row is written.
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

// each runs a query and calls f for every row. What f writes is written after the last row.
func (w *Writer) each(query string, f func(*sql.Rows) error, args ...any) error {
	s, err := w.stmt(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return err
	}
	w.sink.reading++
	defer func() {
		rows.Close()
		w.sink.reading--
	}()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
