package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mailfail/store"
	"slices"
	"strings"
)

// reader answers questions. All it knows comes from what is committed; every
// question is answered within one read transaction, so that the numbers of one
// answer agree with each other while another process writes.
type reader struct {
	read func(ctx context.Context, f func(*tx) error) error
}

// Snapshot calls f with a reader that answers within one read transaction.
func (db *DB) Snapshot(ctx context.Context, f func(store.Reader) error) error {
	return db.read(ctx, func(t *tx) error {
		return f(&reader{func(ctx context.Context, f func(*tx) error) error { return f(&tx{ctx, t.conn}) }})
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
	ctx  context.Context
	conn *sql.Conn
}

// transaction runs f within a read transaction.
func (db *DB) transaction(ctx context.Context, f func(*tx) error) error {
	conn, err := db.ro.Conn(ctx)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer conn.Close()
	// Not BeginTx: connections that write take the write lock with it.
	if _, err := conn.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return f(&tx{ctx, conn})
}

// each runs a query and calls row for each of its rows.
func (t *tx) each(query string, args []any, row func(*sql.Rows) error) error {
	rows, err := t.conn.QueryContext(t.ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the database: %w", err)
	}
	return nil
}

// one reads the only row of a query; ok is false when there is none.
func (t *tx) one(query string, args []any, into ...any) (ok bool, err error) {
	err = t.each(query, args, func(r *sql.Rows) error {
		ok = true
		return r.Scan(into...)
	})
	return ok, err
}

// ints runs a query that returns nothing but integers and calls row for each
// of its rows. It goes past database/sql, whose conversions take twice the
// time of the query where there are millions of rows.
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

// cursor stands on a row of integers, NULL being 0. Several may be open.
type cursor struct {
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
			return nil, fmt.Errorf("read the database: %w", err)
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	c := &cursor{}
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
		return nil, fmt.Errorf("read the database: %w", err)
	}
	n := len(c.rows.Columns())
	c.values, c.row = make([]driver.Value, n), make([]int64, n)
	return c, nil
}

// next moves to the next row.
func (c *cursor) next() bool {
	if err := c.rows.Next(c.values); err != nil {
		if !errors.Is(err, io.EOF) {
			c.err = fmt.Errorf("read the database: %w", err)
		}
		return false
	}
	for i, v := range c.values {
		n, _ := v.(int64)
		c.row[i] = n
	}
	return true
}

func (c *cursor) close() { c.rows.Close() }

// list returns ids for "IN (SELECT value FROM json_each(?))".
func list[T any](ids []T) string {
	b, err := json.Marshal(ids)
	if err != nil {
		panic(err) // integers and strings have a JSON form
	}
	return string(b)
}

// catalog holds the dictionaries of a database.
type catalog struct {
	names  map[int64]string
	relays map[int64]int64 // to provider
	series []series
	index  map[int64]int // series id to its place in series
	causes map[int64]*cause
	labels []label // of causes
}

// label is what groups are labelled with: the code and the reason of causes.
type label struct{ code, reason string }

type series struct {
	id                                            int64
	format, host, instance, sender, domain, relay int64
}

type cause struct {
	id        int64
	reply     int
	enhanced  string
	code      string
	label     int32 // of code and reason
	wanted    bool  // by a filter
	provider  int64
	reason    string
	signature string // only of causes that were asked for
}

// catalog reads the dictionaries.
func (t *tx) catalog() (*catalog, error) {
	c := &catalog{names: map[int64]string{}, relays: map[int64]int64{}, index: map[int64]int{}, causes: map[int64]*cause{}}
	err := t.each("SELECT id, text FROM names", nil, func(r *sql.Rows) error {
		var id int64
		var text string
		err := r.Scan(&id, &text)
		c.names[id] = text
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := t.ints("SELECT relay, provider FROM relays", nil, func(v []int64) error {
		c.relays[v[0]] = v[1]
		return nil
	}); err != nil {
		return nil, err
	}
	if err := t.ints("SELECT id, format, host, instance, sender, domain, relay FROM series ORDER BY id", nil, func(v []int64) error {
		c.index[v[0]] = len(c.series)
		c.series = append(c.series, series{id: v[0], format: v[1], host: v[2], instance: v[3], sender: v[4], domain: v[5], relay: v[6]})
		return nil
	}); err != nil {
		return nil, err
	}
	return c, t.causes(c)
}

func (t *tx) causes(c *catalog) error {
	labels := map[label]int32{}
	return t.each("SELECT id, reply, enhanced, provider, reason FROM causes", nil, func(r *sql.Rows) error {
		k := &cause{}
		err := r.Scan(&k.id, &k.reply, &k.enhanced, &k.provider, &k.reason)
		k.code = store.Code(k.reply, k.enhanced)
		l := label{k.code, k.reason}
		if _, ok := labels[l]; !ok {
			labels[l] = int32(len(c.labels))
			c.labels = append(c.labels, l)
		}
		k.label = labels[l]
		c.causes[k.id] = k
		return err
	})
}

// addNoCause adds a cause for what is known of no cause, whose id is 0: a
// recipient that was given up without having been tried, or before this log.
func (c *catalog) addNoCause(wanted bool) {
	l := label{reason: "expired"}
	i := slices.Index(c.labels, l)
	if i < 0 {
		i, c.labels = len(c.labels), append(c.labels, l)
	}
	c.causes[0] = &cause{label: int32(i), reason: l.reason, wanted: wanted}
}

// value returns where a series stands in a dimension that is not of causes.
func (c *catalog) value(s *series, d store.Dimension) string {
	switch d {
	case store.ByDomain:
		return c.names[s.domain]
	case store.ByProvider:
		return c.names[c.relays[s.relay]]
	case store.BySender:
		return c.names[s.sender]
	case store.ByRelay:
		return c.names[s.relay]
	case store.ByHost:
		return c.names[s.host]
	case store.ByInstance:
		return c.names[s.instance]
	case store.ByMTA:
		return store.MTA(c.names[s.format])
	}
	return ""
}

// filter is what was asked for, less what is counted elsewhere.
type filter struct {
	store.Filter
	without string // format whose attempts another log reports too, see leaveOut
}

func (f *filter) matchSeries(c *catalog, s *series) bool {
	format := c.names[s.format]
	return (f.without == "" || format != f.without) &&
		store.MatchDomain(f.Domains, c.names[s.domain]) &&
		store.MatchDomain(f.Senders, c.names[s.sender]) &&
		store.MatchName(f.Hosts, c.names[s.host]) &&
		store.MatchName(f.Providers, c.names[c.relays[s.relay]]) &&
		f.MatchFormat(format)
}

func (f *filter) matchCause(c *cause) bool {
	return f.MatchCause(c.reply, c.enhanced, c.reason)
}
