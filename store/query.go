package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Query reads a database. All it knows comes from what is committed; every
// question is answered within one read transaction, so that the numbers of one
// answer agree with each other while another process writes.
type Query struct{ db *sql.DB }

// NewQuery returns a Query over the connections of DB.Reader.
func NewQuery(db *sql.DB) *Query { return &Query{db} }

// Window is a half-open span of time [Since, Until); a zero end is open.
type Window struct{ Since, Until time.Time }

// Minutes returns w with its ends moved down to whole minutes, which is how
// counts are kept.
func (w Window) Minutes() Window {
	return Window{floorMinute(w.Since), floorMinute(w.Until)}
}

func floorMinute(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	m := t.UnixMicro()
	return time.UnixMicro(m - mod(m, minuteMicros)).In(t.Location())
}

const minuteMicros = 60_000_000

func mod(a, b int64) int64 { return (a%b + b) % b }

// micros returns the ends of w in microseconds; open ends are beyond any time.
func (w Window) micros() (since, until int64) {
	since, until = -1<<62, 1<<62
	if !w.Since.IsZero() {
		since = w.Since.UnixMicro()
	}
	if !w.Until.IsZero() {
		until = w.Until.UnixMicro()
	}
	return since, until
}

// where returns the condition that column, a time in units of unit
// microseconds, lies in w.
func (w Window) where(column string, unit int64) (string, []any) {
	cond, args := []string{"TRUE"}, []any(nil)
	since, until := w.micros()
	if !w.Since.IsZero() {
		cond, args = append(cond, column+" >= ?"), append(args, since/unit)
	}
	if !w.Until.IsZero() {
		cond, args = append(cond, column+" < ?"), append(args, until/unit)
	}
	return strings.Join(cond, " AND "), args
}

// Dimension is something numbers can be broken down by.
type Dimension string

// The dimensions.
const (
	ByDomain   Dimension = "domain"
	ByCode     Dimension = "code"
	ByProvider Dimension = "provider"
	BySender   Dimension = "sender" // the sender's domain
	ByRelay    Dimension = "relay"
	ByHost     Dimension = "host"
	ByInstance Dimension = "instance"
	ByReason   Dimension = "reason"
	ByMTA      Dimension = "mta"
)

// Dimensions lists all dimensions.
var Dimensions = []Dimension{ByDomain, ByCode, ByProvider, BySender, ByRelay, ByHost, ByInstance, ByReason, ByMTA}

// OfCause reports whether d is something only a failure has.
func (d Dimension) OfCause() bool { return d == ByCode || d == ByReason }

// tx is a read transaction.
type tx struct {
	ctx  context.Context
	conn *sql.Conn
}

// read runs f within a read transaction.
func (q *Query) read(ctx context.Context, f func(*tx) error) error {
	conn, err := q.db.Conn(ctx)
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
		k.code = joinCode(k.reply, k.enhanced)
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

// joinCode is registry.Code over the columns of causes.
func joinCode(reply int, enhanced string) string {
	switch {
	case reply == 0:
		return enhanced
	case enhanced == "":
		return fmt.Sprint(reply)
	}
	return fmt.Sprint(reply) + " " + enhanced
}

// mta returns the mail server whose log has format: a format is called after
// it, with the kind of log behind a hyphen when there are several.
func mta(format string) string {
	name, _, _ := strings.Cut(format, "-")
	return name
}

// value returns where a series stands in a dimension that is not of causes.
func (c *catalog) value(s *series, d Dimension) string {
	switch d {
	case ByDomain:
		return c.names[s.domain]
	case ByProvider:
		return c.names[c.relays[s.relay]]
	case BySender:
		return c.names[s.sender]
	case ByRelay:
		return c.names[s.relay]
	case ByHost:
		return c.names[s.host]
	case ByInstance:
		return c.names[s.instance]
	case ByMTA:
		return mta(c.names[s.format])
	}
	return ""
}

// Filter narrows down what is looked at: of every list that is not empty, one
// entry must match. Case does not matter.
type Filter struct {
	Domains   []string // of the recipient; "*.example.org" for those below it
	Senders   []string // domains, likewise; "<>" for bounces
	Providers []string
	Hosts     []string
	MTAs      []string // or formats
	Codes     []string // "550", "5.1.1", "550 5.1.1", "5xx", "5.7.x", "none"
	Reasons   []string

	without string // format whose attempts another log reports too, see leaveOut
}

// OfCause reports whether f asks for something only a failure has.
func (f *Filter) OfCause() bool { return len(f.Codes)+len(f.Reasons) > 0 }

func (f *Filter) matchSeries(c *catalog, s *series) bool {
	format := c.names[s.format]
	return (f.without == "" || format != f.without) &&
		matchDomain(f.Domains, c.names[s.domain]) &&
		matchDomain(f.Senders, c.names[s.sender]) &&
		matchName(f.Hosts, c.names[s.host]) &&
		matchName(f.Providers, c.names[c.relays[s.relay]]) &&
		f.matchFormat(format)
}

func (f *Filter) matchFormat(format string) bool {
	return matchName(f.MTAs, mta(format)) || matchName(f.MTAs, format)
}

func (f *Filter) matchCause(c *cause) bool {
	return matchName(f.Reasons, c.reason) &&
		(len(f.Codes) == 0 || slices.ContainsFunc(f.Codes, func(p string) bool { return matchCode(p, c.reply, c.enhanced) }))
}

func matchName(list []string, s string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool { return strings.EqualFold(p, s) })
}

func matchDomain(list []string, s string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool {
		if parent, ok := strings.CutPrefix(p, "*."); ok {
			n := len(s) - len(parent) - 1
			return n > 0 && s[n] == '.' && strings.EqualFold(s[n+1:], parent)
		}
		return strings.EqualFold(p, s)
	})
}

// matchCode reports whether a pattern of Filter.Codes matches a code.
func matchCode(pattern string, reply int, enhanced string) bool {
	p := strings.ToLower(pattern)
	if p == "none" || p == "" {
		return reply == 0 && enhanced == ""
	}
	for _, part := range strings.FieldsFunc(p, func(r rune) bool { return r == ' ' || r == '-' }) {
		have := fmt.Sprint(reply)
		if strings.Contains(part, ".") {
			have = enhanced
		}
		if !matchPattern(part, have) {
			return false
		}
	}
	return true
}

// matchPattern compares a reply code or an enhanced code with a pattern, in
// which x stands for any digit of the one and any number of the other.
func matchPattern(pattern, s string) bool {
	if !strings.Contains(pattern, ".") {
		return slices.EqualFunc([]byte(pattern), []byte(s), func(p, c byte) bool { return p == c || p == 'x' })
	}
	return slices.EqualFunc(strings.Split(pattern, "."), strings.Split(s, "."), func(p, n string) bool {
		return p == n || p == "x" || p == "*"
	})
}

// CheckCode reports what is wrong with a pattern of Filter.Codes.
func CheckCode(pattern string) error {
	if strings.EqualFold(pattern, "none") {
		return nil
	}
	parts := strings.FieldsFunc(pattern, func(r rune) bool { return r == ' ' || r == '-' })
	ok := len(parts) == 1 || len(parts) == 2 && !strings.Contains(parts[0], ".") && strings.Contains(parts[1], ".")
	for _, p := range parts {
		numbers := strings.Split(p, ".")
		ok = ok && (len(numbers) == 3 || len(numbers) == 1 && len(p) == 3)
		for _, n := range numbers {
			ok = ok && n != "" && len(n) <= 3 && strings.Trim(strings.ToLower(n), "0123456789x*") == ""
		}
	}
	if !ok {
		return fmt.Errorf("no code: %q (try 550, 5.1.1, \"550 5.1.1\", 5xx, 5.7.x or none)", pattern)
	}
	return nil
}
