package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mailfail/store"
	"mailfail/store/fleet"
	"mailfail/store/sqlite"
)

// DB answers questions over the rows of all hosts. It is a store.Database, and safe for use
// by several goroutines. Each question uses a new view, so that it includes all rows that
// have arrived; the questions of a snapshot share one view.
type DB struct{ client *Client }

// Open returns the database of a client.
func Open(ctx context.Context, c *Client) (*DB, error) {
	if _, err := c.origins(ctx); err != nil {
		return nil, err
	}
	return &DB{c}, nil
}

// Close closes idle connections: nothing else is open between questions.
func (db *DB) Close() error {
	db.client.http.CloseIdleConnections()
	return nil
}

// String returns the URL of the server without user and password.
func (db *DB) String() string { return db.client.String() }

// Snapshot calls f with a reader of the rows that had arrived when f first asked for them.
func (db *DB) Snapshot(ctx context.Context, f func(store.Reader) error) error {
	origins, err := db.client.origins(ctx)
	if err != nil {
		return err
	}
	v, err := sqlite.OpenView(ctx, &source{db.client, origins})
	if err != nil {
		return err
	}
	defer v.Close()
	return f(v)
}

// origin is a database from which rows come.
type origin struct {
	name           string
	from           int64 // the first valid version
	deliveriesFrom int64
}

// origins returns the databases from which rows have come.
func (c *Client) origins(ctx context.Context) (list []origin, err error) {
	query := fmt.Sprintf("SELECT origin, `from`, deliveries_from FROM %s FINAL WHERE deleted = 0 ORDER BY origin FORMAT RowBinary", c.table(fleet.Origins))
	err = c.eachRow(ctx, query, []fleet.Type{fleet.Text, fleet.Int, fleet.Int}, func(r fleet.Row) error {
		list = append(list, origin{r[0].Text, r[1].Int, r[2].Int})
		return nil
	})
	return list, err
}

// source reads the rows of all origins.
type source struct {
	client  *Client
	origins []origin
}

// DeliveriesFrom returns the time since which all origins keep deliveries.
func (s *source) DeliveriesFrom() (from int64) {
	for _, o := range s.origins {
		from = max(from, o.deliveriesFrom)
	}
	return from
}

// Covered returns the minutes of the first and the last line that was read.
func (s *source) Covered(ctx context.Context) (first, last int64, err error) {
	query := fmt.Sprintf("SELECT min(minute), max(minute) FROM %s WHERE minute > 0 AND %s FORMAT RowBinary",
		s.client.table(fleet.Lines), s.valid())
	err = s.client.eachRow(ctx, query, []fleet.Type{fleet.Int, fleet.Int}, func(r fleet.Row) error {
		first, last = r[0].Int, r[1].Int
		return nil
	})
	return first, last, err
}

// Rows calls each with the rows that q selects.
func (s *source) Rows(ctx context.Context, t *fleet.Table, columns []string, q sqlite.RowsQuery,
	each func(origin int64, row fleet.Row) error) error {
	if len(s.origins) == 0 {
		return nil
	}
	query, err := s.sql(t, columns, &q)
	if err != nil {
		return err
	}
	types := []fleet.Type{fleet.Int}
	for _, name := range columns {
		i := slices.IndexFunc(t.Columns, func(c fleet.Column) bool { return c.Name == name })
		types = append(types, t.Columns[i].Type)
	}
	return s.client.eachRow(ctx, query, types, func(r fleet.Row) error { return each(r[0].Int, r[1:]) })
}

// narrow lists the columns of small numbers, which are sent in a byte.
var narrow = map[string]string{
	"outcome":  "toUInt8(outcome)",
	"first":    "toUInt8(first)",
	"state":    "toUInt8(state)",
	"troubled": "toUInt8(troubled)",
	"exact":    "isNotNull(exact)",
}

// Columns implements sqlite.ViewSource. The life of a recipient only becomes longer: if a
// version lies in a span of time, so does the newest, unless it says that the row is gone.
func (s *source) Columns(ctx context.Context, t *fleet.Table, columns []string, q sqlite.RowsQuery,
	each func(read func([]sqlite.Column) (int, error)) error) error {
	if len(s.origins) == 0 {
		return nil
	}
	expressions := []string{s.shortNumber(), "version", "deleted"}
	for _, name := range columns {
		i := slices.IndexFunc(t.Columns, func(c fleet.Column) bool { return c.Name == name })
		e, ok := narrow[name]
		switch {
		case ok:
		case t.Columns[i].Type == fleet.MaybeInt:
			e = "ifNull(" + quoteName(name) + ", 0)"
		default:
			e = quoteName(name)
		}
		expressions = append(expressions, e)
	}
	for i := range expressions { // else their names are the expressions
		expressions[i] += fmt.Sprint(" AS c", i)
	}
	conditions := []string{"1"}
	for _, o := range s.origins { // the numbers leave out other origins
		if o.from > 0 {
			conditions = append(conditions, fmt.Sprintf("NOT (origin = %s AND version < %d)", quote(o.name), o.from))
		}
	}
	if q.Within {
		conditions = append(conditions, fmt.Sprintf("(deleted = 1 OR %s)", within(t, &q)))
	}
	if len(q.IDs) > 0 {
		cond, err := s.ofSeveral(&q)
		if err != nil {
			return err
		}
		conditions = append(conditions, cond)
	}
	return s.native(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s FORMAT Native",
		strings.Join(expressions, ", "), s.client.table(t), strings.Join(conditions, " AND ")), each)
}

// native calls each with a function that reads the answer to a query FORMAT Native, whose
// first column is shortNumber.
func (s *source) native(ctx context.Context, query string,
	each func(read func([]sqlite.Column) (int, error)) error) error {
	answer, err := s.client.Stream(ctx, query)
	if err != nil {
		return err
	}
	defer answer.Close()
	r := newNativeReader(answer)
	err = each(func(columns []sqlite.Column) (int, error) {
		rows, err := r.next(columns)
		if err != nil {
			return 0, err
		}
		for i, n := range columns[0].Ints {
			if n == otherOrigin {
				columns[0].Ints[i] = -1
			}
		}
		return rows, nil
	})
	var e *Error
	if errors.As(err, &e) || errors.Is(err, errAnswer) {
		err = s.client.explain(err)
	}
	return err
}

// ofSeveral returns the condition that a column is one of some ids. Many ids are those of
// one origin: they are sent as bits, a text that the server reads faster than numbers.
func (s *source) ofSeveral(q *sqlite.RowsQuery) (string, error) {
	const few = 2_000
	if len(q.IDs) <= few {
		return s.ofIDs(q)
	}
	o, first := sqlite.RowID(q.IDs[0])
	if o < 0 || o >= int64(len(s.origins)) {
		return "", errOrigin
	}
	bits := []byte{}
	for _, id := range q.IDs {
		of, own := sqlite.RowID(id)
		if own -= first; of != o || own < 0 || own >= sqlite.SeriesAtOnce {
			return "", errors.New("too many rows were asked for")
		}
		for int64(len(bits)) <= own/8 {
			bits = append(bits, 0)
		}
		bits[own/8] |= 1 << (own % 8)
	}
	// The expression is evaluated for ids outside of the range too: it must not be negative.
	bit := fmt.Sprintf("greatest(%s - %d, 0)", quoteName(q.By), first)
	return fmt.Sprintf("origin = %s AND %[2]s >= %[3]d AND %[2]s < %[4]d AND bitAnd(bitShiftRight(reinterpretAsUInt8("+
		"substring(unhex('%[5]x'), intDiv(%[6]s, 8) + 1, 1)), toUInt8(%[6]s %% 8)), 1) = 1",
		quote(s.origins[o].name), quoteName(q.By), first, first+8*int64(len(bits)), bits, bit), nil
}

// Hosts implements sqlite.ViewSource.
func (s *source) Hosts(ctx context.Context, formats []string, each func(format, host string) error) error {
	wanted := "1"
	if formats != nil {
		list := make([]string, len(formats))
		for i, f := range formats {
			list[i] = quote(f)
		}
		wanted = fmt.Sprintf("format IN (%s)", strings.Join(list, ","))
	}
	query := fmt.Sprintf("SELECT format, host FROM %s WHERE %s AND deleted = 0 AND %s GROUP BY format, host ORDER BY format, host FORMAT RowBinary",
		s.client.table(fleet.Series), wanted, s.valid())
	return s.client.eachRow(ctx, query, []fleet.Type{fleet.Text, fleet.Text}, func(r fleet.Row) error {
		return each(r[0].Text, r[1].Text)
	})
}

// Relays implements sqlite.ViewSource.
func (s *source) Relays(ctx context.Context, relays []string,
	each func(relay, provider string) error) error {
	const few = 2_000
	wanted := "1"
	if len(relays) <= few {
		list := make([]string, len(relays))
		for i, r := range relays {
			list[i] = quote(r)
		}
		wanted = fmt.Sprintf("relay IN (%s)", strings.Join(list, ","))
	}
	query := fmt.Sprintf("SELECT relay, min(provider) FROM %s WHERE %s AND deleted = 0 AND %s "+
		"GROUP BY relay FORMAT RowBinary", s.client.table(fleet.Series), wanted, s.valid())
	return s.client.eachRow(ctx, query, []fleet.Type{fleet.Text, fleet.Text}, func(r fleet.Row) error {
		return each(r[0].Text, r[1].Text)
	})
}

// SumLines implements sqlite.ViewSource.
func (s *source) SumLines(ctx context.Context, since, until int64) (sum store.Lines, first, last int64,
	err error) {
	// Grouped by numbers, and column by column: that takes the server a tenth of the time.
	query := fmt.Sprintf(`SELECT sum(a), sum(b), sum(c), sum(d), min(m), max(m) FROM (SELECT %s AS o, minute AS m, max(minute > 0) AS timed,
		argMax(read, version) AS a, argMax(understood, version) AS b, argMax(irrelevant, version) AS c, argMax(unparsed, version) AS d
		FROM %s WHERE deleted = 0 AND %s AND %s GROUP BY o, m) GROUP BY timed FORMAT RowBinary`,
		s.shortNumber(), s.client.table(fleet.Lines), s.valid(),
		within(fleet.Lines, &sqlite.RowsQuery{Since: since, Until: until}))
	err = s.client.eachRow(ctx, query, ints(6), func(r fleet.Row) error {
		sum.Read += r[0].Int
		sum.Understood += r[1].Int
		sum.Irrelevant += r[2].Int
		sum.Unparsed += r[3].Int
		if r[4].Int > 0 {
			first, last = r[4].Int, r[5].Int
		}
		return nil
	})
	return sum, first, last, err
}

// sql returns q in SQL: the first column of the answer is the number of the origin.
func (s *source) sql(t *fleet.Table, columns []string, q *sqlite.RowsQuery) (string, error) {
	names := make([]string, len(columns))
	for i, name := range columns {
		names[i] = quoteName(name)
	}
	conditions := []string{s.valid()}
	if q.Within {
		conditions = append(conditions, within(t, q))
	}
	switch {
	case len(q.Hashes) > 0:
		conditions = append(conditions, mayHave(q.Hashes))
	case len(q.IDs) > 0:
		cond, err := s.ofIDs(q)
		if err != nil {
			return "", err
		}
		conditions = append(conditions, cond)
	case q.By != "":
		conditions = append(conditions, ofTexts(t, q))
	}
	from := fmt.Sprintf("%s FINAL WHERE deleted = 0 AND %s", s.client.table(t),
		strings.Join(conditions, " AND "))
	if q.By != "" {
		// FINAL would read all rows to find a few.
		wanted := slices.Clone(names)
		for _, k := range t.Key {
			if !slices.Contains(columns, k) {
				wanted = append(wanted, quoteName(k))
			}
		}
		from = fmt.Sprintf("(SELECT origin, version, deleted, %s FROM %s%s WHERE %s ORDER BY version DESC LIMIT 1 BY origin, %s) WHERE deleted = 0",
			strings.Join(wanted, ", "), s.client.table(t), anyOf(q), strings.Join(conditions, " AND "),
			strings.Join(t.Key, ", "))
	}
	query := fmt.Sprintf("SELECT %s, %s FROM %s", s.number(), strings.Join(names, ", "), from)
	if q.Order != "" {
		query += " ORDER BY " + quoteName(q.Order)
	}
	return query + " FORMAT RowBinary", nil
}

var errOrigin = errors.New("a row of no origin was asked for")

// list returns the names of the origins.
func (s *source) list() string {
	names := make([]string, len(s.origins))
	for i, o := range s.origins {
		names[i] = quote(o.name)
	}
	return strings.Join(names, ",")
}

// number returns the expression for the number of a row's origin. The server looks it
// up by hash; indexOf would compare 200 names, and took nine times as long.
func (s *source) number() string {
	numbers := make([]string, len(s.origins))
	for i := range s.origins {
		numbers[i] = fmt.Sprintf("toInt64(%d)", i)
	}
	return fmt.Sprintf("transform(origin, [%s], [%s], toInt64(-1))", s.list(), strings.Join(numbers, ","))
}

// otherOrigin is the number of an origin that does not count, in shortNumber.
const otherOrigin = 1<<16 - 1

// shortNumber is number in two bytes.
func (s *source) shortNumber() string {
	numbers := make([]string, len(s.origins))
	for i := range s.origins {
		numbers[i] = fmt.Sprintf("toUInt16(%d)", i)
	}
	return fmt.Sprintf("transform(origin, [%s], [%s], toUInt16(%d))", s.list(),
		strings.Join(numbers, ","), otherOrigin)
}

// valid returns the condition that a row belongs to one of the origins, and to the valid
// state of that origin.
func (s *source) valid() string {
	if len(s.origins) == 0 {
		return "0"
	}
	conditions := []string{"origin IN (" + s.list() + ")"}
	for _, o := range s.origins {
		if o.from > 0 {
			conditions = append(conditions, fmt.Sprintf("NOT (origin = %s AND version < %d)", quote(o.name), o.from))
		}
	}
	return strings.Join(conditions, " AND ")
}

// within returns the condition that a row lies in a span of time. Open ends are left
// out: old servers miscalculate numbers that are not times.
func within(t *fleet.Table, q *sqlite.RowsQuery) string {
	from, to := t.Key[0], t.Key[0]
	if t == fleet.Recipients {
		from, to = "last_seen", "first_seen"
	}
	conditions := []string{"1"}
	if q.Since != math.MinInt64 {
		conditions = append(conditions, fmt.Sprintf("%s >= %d", quoteName(from), q.Since))
	}
	if q.Until != math.MaxInt64 {
		conditions = append(conditions, fmt.Sprintf("%s < %d", quoteName(to), q.Until))
	}
	return strings.Join(conditions, " AND ")
}

// ofIDs returns the condition that a column is one of some ids, by origin.
func (s *source) ofIDs(q *sqlite.RowsQuery) (string, error) {
	byOrigin := make([][]string, len(s.origins))
	for _, id := range q.IDs {
		o, own := sqlite.RowID(id)
		if o < 0 || o >= int64(len(s.origins)) {
			return "", errOrigin
		}
		byOrigin[o] = append(byOrigin[o], fmt.Sprint(own))
	}
	var list []string
	for o, ids := range byOrigin {
		if ids != nil {
			list = append(list, fmt.Sprintf("(origin = %s AND %s IN (%s))", quote(s.origins[o].name), quoteName(q.By),
				strings.Join(ids, ",")))
		}
	}
	return "(" + strings.Join(list, " OR ") + ")", nil
}

// anyOf returns the clause that finds the rows with any of some ids, whatever their origin:
// few other rows have the same, so that the server reads little more than that column.
func anyOf(q *sqlite.RowsQuery) string {
	if len(q.IDs) == 0 {
		return ""
	}
	list := make([]int64, len(q.IDs))
	for i, id := range q.IDs {
		_, list[i] = sqlite.RowID(id)
	}
	slices.Sort(list)
	texts := make([]string, 0, len(list))
	for _, id := range slices.Compact(list) {
		texts = append(texts, fmt.Sprint(id))
	}
	return fmt.Sprintf(" PREWHERE %s IN (%s)", quoteName(q.By), strings.Join(texts, ","))
}

// ofTexts returns the condition that a column is one of some texts.
func ofTexts(t *fleet.Table, q *sqlite.RowsQuery) string {
	if len(q.Texts) == 0 {
		return "0"
	}
	column, list := quoteName(q.By), make([]string, len(q.Texts))
	i := slices.IndexFunc(t.Columns, func(c fleet.Column) bool { return c.Name == q.By })
	for n, text := range q.Texts {
		list[n] = text
		if c := t.Columns[i].Type; c == fleet.Text || c == fleet.MaybeText {
			list[n] = quote(text)
		}
	}
	if q.Fold {
		column = "lower(" + column + ")"
	}
	return column + " IN (" + strings.Join(list, ",") + ")"
}

// mayHave returns the condition that a filter of deliveries may contain one of some hashes:
// each sets three bits, see store/sqlite.
func mayHave(hashes []uint64) string {
	var any []string
	for _, h := range hashes {
		var all []string
		for _, bit := range sqlite.FilterBits(h) {
			all = append(all,
				fmt.Sprintf("bitAnd(bitShiftRight(reinterpretAsUInt8(substring(filter, intDiv(%d %% (8 * "+
					"length(filter)), 8) + 1, 1)), (%d %% (8 * length(filter))) %% 8), 1) = 1", bit, bit))
		}
		any = append(any, strings.Join(all, " AND "))
	}
	return "length(filter) > 0 AND ((" + strings.Join(any, ") OR (") + "))"
}

// with answers one question from a new snapshot.
func with[T any](ctx context.Context, db *DB, ask func(store.Reader) (T, error)) (answer T, err error) {
	err = db.Snapshot(ctx, func(r store.Reader) error {
		answer, err = ask(r)
		return err
	})
	return answer, err
}

// Numbers implements store.Reader, as do the methods below.
func (db *DB) Numbers(ctx context.Context, w store.Window, f store.Filter,
	by []store.Dimension) (*store.Numbers, error) {
	return with(ctx, db, func(r store.Reader) (*store.Numbers, error) { return r.Numbers(ctx, w, f, by) })
}

func (db *DB) Sums(ctx context.Context, w store.Window, f store.Filter) (*store.Sums, error) {
	return with(ctx, db, func(r store.Reader) (*store.Sums, error) { return r.Sums(ctx, w, f) })
}

func (db *DB) Timeline(ctx context.Context, w store.Window, f store.Filter, by []store.Dimension,
	step time.Duration) (*store.Timeline, error) {
	return with(ctx, db, func(r store.Reader) (*store.Timeline, error) {
		return r.Timeline(ctx, w, f, by, step)
	})
}

func (db *DB) Flow(ctx context.Context, windows []store.Window, f store.Filter, to store.FlowSink) error {
	return db.Snapshot(ctx, func(r store.Reader) error { return r.Flow(ctx, windows, f, to) })
}

func (db *DB) Replies(ctx context.Context, ids []int64) ([]store.Reply, error) {
	return with(ctx, db, func(r store.Reader) ([]store.Reply, error) { return r.Replies(ctx, ids) })
}

func (db *DB) Affected(ctx context.Context, w store.Window, f store.Filter,
	each func(*store.Affected) error) error {
	return db.Snapshot(ctx, func(r store.Reader) error { return r.Affected(ctx, w, f, each) })
}

func (db *DB) Persons(ctx context.Context, ids []int64, before time.Time) ([]store.Person, error) {
	return with(ctx, db, func(r store.Reader) ([]store.Person, error) { return r.Persons(ctx, ids, before) })
}

func (db *DB) Covered(ctx context.Context) (first, last time.Time, err error) {
	err = db.Snapshot(ctx, func(r store.Reader) error {
		first, last, err = r.Covered(ctx)
		return err
	})
	return first, last, err
}

func (db *DB) Troubles(ctx context.Context, w store.Window, f store.Filter) ([]store.TroubleRow, error) {
	return with(ctx, db, func(r store.Reader) ([]store.TroubleRow, error) { return r.Troubles(ctx, w, f) })
}

func (db *DB) Feedback(ctx context.Context, w store.Window, f store.Filter) ([]store.FeedbackRow, error) {
	return with(ctx, db, func(r store.Reader) ([]store.FeedbackRow, error) { return r.Feedback(ctx, w, f) })
}

func (db *DB) Volumes(ctx context.Context, w store.Window, f store.Filter) ([]store.HourVolume, error) {
	return with(ctx, db, func(r store.Reader) ([]store.HourVolume, error) { return r.Volumes(ctx, w, f) })
}

func (db *DB) Submissions(ctx context.Context, w store.Window,
	f store.Filter) ([]store.SubmissionRow, error) {
	return with(ctx, db, func(r store.Reader) ([]store.SubmissionRow, error) {
		return r.Submissions(ctx, w, f)
	})
}

func (db *DB) Events(ctx context.Context, w store.Window, f store.Filter, outcomes []string, newest int,
	each func(*store.Event) error) (store.LeftOut, error) {
	return with(ctx, db, func(r store.Reader) (store.LeftOut, error) {
		return r.Events(ctx, w, f, outcomes, newest, each)
	})
}

func (db *DB) Trace(ctx context.Context,
	what string) (stories []*store.Story, rejections []*store.Event, err error) {
	err = db.Snapshot(ctx, func(r store.Reader) error {
		stories, rejections, err = r.Trace(ctx, what)
		return err
	})
	return stories, rejections, err
}

func (db *DB) Delivered(ctx context.Context, what string) (store.Delivered, error) {
	return with(ctx, db, func(r store.Reader) (store.Delivered, error) { return r.Delivered(ctx, what) })
}

func (db *DB) Recent(ctx context.Context, w store.Window, f store.Filter,
	each func(*store.Event, int64)) error {
	return db.Snapshot(ctx, func(r store.Reader) error { return r.Recent(ctx, w, f, each) })
}

func (db *DB) Usual(ctx context.Context, now time.Time, days int, f store.Filter) (store.Usual, error) {
	return with(ctx, db, func(r store.Reader) (store.Usual, error) { return r.Usual(ctx, now, days, f) })
}

func (db *DB) Repeats(ctx context.Context, w store.Window, f store.Filter) (*store.Repeats, error) {
	return with(ctx, db, func(r store.Reader) (*store.Repeats, error) { return r.Repeats(ctx, w, f) })
}
