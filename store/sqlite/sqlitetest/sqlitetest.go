// Package sqlitetest helps tests to look into a database.
package sqlitetest

import (
	"database/sql"
	"fmt"
	"mailfail/registry"
	"mailfail/store"
	"sort"
	"strings"
	"testing"

	"mailfail/store/sqlite"
)

// queries return the content of every table about mail, with names and texts in place of
// their ids.
var queries = []string{
	`SELECT 'count', c.minute, f.text, h.text, i.text, s.text, d.text, r.text, p.text, c.delivered, c.recipients, c.suspended, c.handed, c.messages
	 FROM counts c ` + series("c") + ` WHERE c.delivered OR c.recipients OR c.suspended OR c.handed OR c.messages`,
	`SELECT 'recipient', m.queue_id, m.message_id, m.sender, m.client, m.client_ip, m.size, m.first_seen, x.address, x.state, x.first_seen, x.last_seen, x.final_at,
	 f.text, h.text, i.text, s.text, d.text, r.text, ` + cause + `
	 FROM recipients x JOIN messages m ON m.id = x.message LEFT JOIN causes k ON k.id = IFNULL(x.exact_cause, x.cause) ` + series("x"),
	`SELECT 'attempt', m.queue_id, m.first_seen, y.address, x.time, x.outcome, n.text, x.ip, x.delay, x.text, e.time, e.text, f.text, h.text, s.text, d.text, r.text, ` + cause + `
	 FROM attempts x JOIN recipients y ON y.id = x.recipient JOIN messages m ON m.id = y.message JOIN causes k ON k.id = x.cause
	 JOIN names n ON n.id = x.service LEFT JOIN attempts e ON e.id = x.exact ` + series("x"),
	`SELECT 'rejection', x.time, n.text, x.queue_id, x.client, x.client_ip, x.sender, x.recipient, x.text, x.n, f.text, h.text, d.text, ` + cause + `
	 FROM rejections x JOIN causes k ON k.id = x.cause JOIN names n ON n.id = x.service ` + series("x"),
	`SELECT 'connection', x.minute, x.session, x.n, x.messages, x.text, f.text, h.text, r.text, ` + cause + `
	 FROM connections x LEFT JOIN causes k ON k.id = x.cause ` + series("x"),
	`SELECT 'lines', minute, read, understood, irrelevant, unparsed FROM lines`,
	`SELECT 'unused message', queue_id FROM messages WHERE id NOT IN (SELECT message FROM recipients)`,
}

const cause = `k.reply, k.enhanced, k.mta_status, k.stage, k.source, k.signature, k.reason`

func series(table string) string {
	return `JOIN series z ON z.id = ` + table + `.series JOIN names f ON f.id = z.format JOIN names h ON h.id = z.host JOIN names i ON i.id = z.instance
	 JOIN names s ON s.id = z.sender JOIN names d ON d.id = z.domain JOIN names r ON r.id = z.relay
	 JOIN relays v ON v.relay = z.relay JOIN names p ON p.id = v.provider`
}

// Dump returns the content of a store about mail as sorted lines. Two stores with the same
// content have the same lines, in whatever order the content was written.
func Dump(tb testing.TB, db *sqlite.DB) string {
	tb.Helper()
	var lines []string
	for _, q := range queries {
		lines = append(lines, dump(tb, db, q)...)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func dump(tb testing.TB, db *sqlite.DB, query string) (lines []string) {
	tb.Helper()
	conn, closed := connect(tb, db, query)
	defer closed()
	rows, err := conn.QueryContext(tb.Context(), query)
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		tb.Fatal(err)
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			tb.Fatal(err)
		}
		var b strings.Builder
		for i, v := range values {
			if i > 0 {
				b.WriteByte('\t')
			}
			fmt.Fprint(&b, *v.(*any))
		}
		lines = append(lines, b.String())
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}

// connect returns a connection for a query, and the function that releases it. For a query
// that names counts, connect makes a temporary table counts with a row for each minute and
// series.
func connect(tb testing.TB, db *sqlite.DB, query string) (conn *sql.Conn, closed func()) {
	tb.Helper()
	check := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatalf("%s: %v", query, err)
		}
	}
	counted := strings.Contains(query, "counts")
	var counts map[minuteOf]store.Counts
	if counted {
		counts = countsOf(tb, db) // first, for it needs a connection too
	}
	conn, err := db.SQL().Conn(tb.Context())
	check(err)
	if !counted {
		return conn, func() { conn.Close() }
	}
	exec := func(query string, args ...any) {
		tb.Helper()
		_, err := conn.ExecContext(tb.Context(), query, args...)
		check(err)
	}
	exec(`CREATE TEMP TABLE counts (minute, series, delivered, recipients, suspended, handed, messages, accepted, expected, heard, PRIMARY KEY (minute, series)) WITHOUT ROWID`)
	exec("BEGIN")
	insert, err := conn.PrepareContext(tb.Context(), `INSERT INTO temp.counts VALUES (?,?,?,?,?,?,?,?,?,?)`)
	check(err)
	defer insert.Close()
	for at, c := range counts {
		_, err := insert.ExecContext(tb.Context(), at.minute, at.series,
			c.Delivered, c.Recipients, c.Suspended, c.Handed, c.Messages, c.Accepted, c.Expected, c.Heard)
		check(err)
	}
	exec("COMMIT")
	return conn, func() {
		exec("DROP TABLE temp.counts")
		conn.Close()
	}
}

// A minuteOf is a minute of a series.
type minuteOf struct{ minute, series int64 }

// countsOf returns all counts.
func countsOf(tb testing.TB, db *sqlite.DB) map[minuteOf]store.Counts {
	tb.Helper()
	counts := map[minuteOf]store.Counts{}
	err := db.EachCount(tb.Context(), store.Window{}, func(r *store.CountRow) error {
		at := minuteOf{store.Minute(r.Time.UnixMicro()), r.SeriesID}
		c := counts[at]
		c.Add(r.Counts)
		counts[at] = c
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return counts
}

// Int returns the one integer that a query gives, 0 for NULL.
func Int(tb testing.TB, db *sqlite.DB, query string, args ...any) int64 {
	tb.Helper()
	var v sql.NullInt64
	conn, closed := connect(tb, db, query)
	defer closed()
	if err := conn.QueryRowContext(tb.Context(), query, args...).Scan(&v); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return v.Int64
}

// Totals are the numbers of a whole store.
type Totals struct {
	Messages, Recipients, Delivered, Bounced, Expired, Removed, Pending, Handed, Attempts, Deferrals,
	Failures, Deferred, Suspended, Rejected int64
}

// Sum returns the numbers of a whole store.
func Sum(tb testing.TB, db *sqlite.DB) (t Totals) {
	tb.Helper()
	n := func(query string) int64 { return Int(tb, db, query) }
	state := func(s registry.State) int64 {
		return n(fmt.Sprintf("SELECT count(*) FROM recipients WHERE state = %d", s))
	}
	var counts store.Counts
	for _, c := range countsOf(tb, db) {
		counts.Add(c)
	}
	t.Messages, t.Suspended = counts.Messages, counts.Suspended
	t.Delivered = counts.Recipients + state(registry.StateDelivered)
	t.Bounced, t.Expired, t.Removed, t.Pending = state(registry.StateBounced), state(registry.StateExpired),
		state(registry.StateRemoved), state(registry.StatePending)
	t.Handed = state(registry.StateHandedOver) + counts.Handed
	t.Recipients = t.Delivered + t.Bounced + t.Expired + t.Removed + t.Pending
	t.Deferrals, t.Failures = n("SELECT count(*) FROM attempts WHERE outcome = 2"), n("SELECT count(*) FROM attempts WHERE outcome = 3")
	t.Attempts = counts.Delivered + t.Deferrals + t.Failures
	t.Deferred = n("SELECT count(DISTINCT recipient) FROM attempts WHERE outcome = 2")
	t.Rejected = n("SELECT sum(n) FROM rejections")
	return t
}
