package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mattn/go-sqlite3"

	"mailfail/store"
)

// reader answers questions from committed rows only. It answers each question within one
// read transaction, so that the numbers of one answer agree with each other while another
// process writes.
type reader struct {
	read func(ctx context.Context, f func(*tx) error) error
}

// Snapshot calls f with a reader that answers within one read transaction.
func (db *DB) Snapshot(ctx context.Context, f func(store.Reader) error) error {
	return db.read(ctx, func(t *tx) error {
		s := &shared{}
		return f(&reader{func(ctx context.Context, f func(*tx) error) error {
			return f(&tx{ctx: ctx, conn: t.conn, busy: t.busy, cache: t.cache, shared: s})
		}})
	})
}

// within returns the condition that column, a time in units of unit
// microseconds, lies in w.
func within(w store.Window, column string, unit int64) (string, []any) {
	cond, args := []string{"TRUE"}, []any(nil)
	since, until := w.Micros()
	if !w.Since.IsZero() {
		cond, args = append(cond, column+" >= ?"), append(args, since/unit)
	}
	if !w.Until.IsZero() {
		cond, args = append(cond, column+" < ?"), append(args, until/unit)
	}
	return strings.Join(cond, " AND "), args
}

// tx is a read transaction.
type tx struct {
	ctx    context.Context
	conn   *sql.Conn
	busy   *sync.Mutex    // held while SQLite works for conn: answers of a snapshot share it
	cache  *catalogCache  // nil: there is none
	rows   int64          // number of rows read; see TestRowsReadPerReport
	only   map[int64]bool // wanted recipients, nil: all; see ofAccounts
	view   *View          // source of rows, nil: the tables
	known  int            // number of series of the view in the catalog, -1 before it is made
	shared *shared        // by the answers of a snapshot; nil outside a snapshot

	released bool // the view answers other questions, see release
}

// shared holds what several answers of a snapshot need.
type shared struct {
	choice atomic.Pointer[choice]    // of the last answer
	sums   atomic.Pointer[sumPlaces] // of the last Sums

	sync.Mutex
	window     [2]int64       // of recipients
	recipients []recipientRow // nil: not read, or read and asked for twice
	minutes    *minutely      // of the last Numbers; may be nil
}

// readError is an error of reading the database. An error that the reader's caller returned
// is not a readError.
type readError struct{ err error }

func (e *readError) Error() string { return "read the database: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// transaction runs f within a read transaction. It adds the path of the database and a hint
// to errors of SQLite.
func (db *DB) transaction(ctx context.Context, f func(*tx) error) error {
	err := db.readWithin(ctx, f)
	var e *readError
	var se sqlite3.Error
	if errors.As(err, &e) && errors.As(err, &se) {
		return db.explain("read", e.err)
	}
	return err
}

func (db *DB) readWithin(ctx context.Context, f func(*tx) error) error {
	conn, err := db.ro.Conn(ctx)
	if err != nil {
		return &readError{err}
	}
	defer conn.Close()
	// Not BeginTx: it takes the write lock on connections that write.
	if _, err := conn.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
		return &readError{err}
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return f(&tx{ctx: ctx, conn: conn, busy: &sync.Mutex{}, cache: &db.cache})
}

// lock waits until SQLite does nothing for another answer of the same snapshot: a
// connection can do one thing at a time. Rows of several queries may be read in turns.
func (t *tx) lock() {
	if t.busy != nil {
		t.busy.Lock()
	}
}

func (t *tx) unlock() {
	if t.busy != nil {
		t.busy.Unlock()
	}
}

// each runs a query and calls row for each row of the answer.
func (t *tx) each(query string, args []any, row func(*sql.Rows) error) error {
	t.lock()
	rows, err := t.conn.QueryContext(t.ctx, query, args...)
	t.unlock()
	if err != nil {
		return &readError{err}
	}
	defer func() {
		t.lock()
		defer t.unlock()
		rows.Close()
	}()
	next := func() bool {
		t.lock()
		defer t.unlock()
		return rows.Next()
	}
	for next() {
		t.rows++
		if err := row(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return &readError{err}
	}
	return nil
}

// one reads the only row of a query; ok is false if there is none.
func (t *tx) one(query string, args []any, into ...any) (ok bool, err error) {
	err = t.each(query, args, func(r *sql.Rows) error {
		ok = true
		return r.Scan(into...)
	})
	return ok, err
}

// ints runs a query whose columns are all integers, and calls row for each row. It bypasses
// database/sql, whose conversions take twice the time of the query where there are millions
// of rows.
func (t *tx) ints(query string, args []any, row func([]int64) error) error {
	c, err := t.cursor(query, args)
	if err != nil {
		return err
	}
	defer c.close()
	for c.next() {
		if err := row(c.row); err != nil {
			return err
		}
	}
	return c.err
}

// cursor reads rows of integers one by one; NULL becomes 0. Several may be open.
type cursor struct {
	tx     *tx
	rows   driver.Rows
	values []driver.Value
	row    []int64
	err    error
}

func (t *tx) cursor(query string, args []any) (*cursor, error) {
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, &readError{err}
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	c := &cursor{tx: t}
	t.lock()
	defer t.unlock()
	err := t.conn.Raw(func(conn any) error {
		q, ok := conn.(driver.QueryerContext)
		if !ok {
			return errors.New("the SQLite driver cannot run queries by itself")
		}
		rows, err := q.QueryContext(t.ctx, query, named)
		c.rows = rows
		return err
	})
	if err != nil {
		return nil, &readError{err}
	}
	n := len(c.rows.Columns())
	c.values, c.row = make([]driver.Value, n), make([]int64, n)
	return c, nil
}

// next moves to the next row.
func (c *cursor) next() bool {
	c.tx.rows++
	c.tx.lock()
	err := c.rows.Next(c.values)
	c.tx.unlock()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			c.err = &readError{err}
		}
		return false
	}
	for i, v := range c.values {
		n, _ := v.(int64)
		c.row[i] = n
	}
	return true
}

func (c *cursor) close() {
	c.tx.lock()
	defer c.tx.unlock()
	c.rows.Close()
}

// list returns ids for "IN (SELECT value FROM json_each(?))".
func list[T any](ids []T) string {
	b, err := json.Marshal(ids)
	if err != nil {
		panic(err) // integers and strings have a JSON form
	}
	return string(b)
}
