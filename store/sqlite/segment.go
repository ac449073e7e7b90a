package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"runtime"
	"slices"

	"mailfail/store"
)

// Segments hold the columns of a table that reports read, some thousand rows each, column
// by column: reading millions of rows one by one takes seconds. Reports read rows behind
// the last segment, and those that have changed since, from the table itself; so the Writer
// need not write a segment together with each row.
const (
	segmentNames      int64 = 1
	segmentSeries     int64 = 2
	segmentAttempts   int64 = 3
	segmentRecipients int64 = 4
	segmentRejections int64 = 5
	segmentQuarters   int64 = 6 // see quarters.go
	segmentTotals     int64 = 7 // see totals.go
	segmentHours      int64 = 8 // see hours.go
)

var (
	segmentMin int64 = 4_096  // rows; fewer do not save time
	segmentMax int64 = 16_384 // rows
)

// manyChanged is how many rows of segments may have changed before the Writer renews those
// segments.
var manyChanged = 2_048

// segmented is a table that has segments.
type segmented struct {
	kind  int64
	table string
	hot   bool   // the newest rows are likely to change
	query string // reads the columns of a segment; the first is id
	text  bool   // the last column is a text
	hash  int    // number of last columns that are texts, stored as hashes
	low   int    // column of the first time at which a row matters, -1 none
	high  func(b *block, row int) int64
}

// The columns of the segments are those of the queries.
var segmentedTables = []*segmented{names, seriesTable, attempts, recipients, rejections}

var (
	names = &segmented{
		kind:  segmentNames,
		table: "names",
		query: "SELECT id, text FROM names",
		text:  true,
		low:   -1,
	}
	seriesTable = &segmented{
		kind:  segmentSeries,
		table: "series",
		query: "SELECT id, " + seriesColumns + " FROM series",
		low:   -1,
	}
	attempts = &segmented{
		kind:  segmentAttempts,
		table: "attempt_rows",
		query: "SELECT id, time, recipient, series, cause, outcome + 4 * first + 8 * (exact IS NOT NULL) FROM attempt_rows",
		low:   1,
		high:  func(b *block, row int) int64 { return b.at(1, row) },
	}
	recipients = &segmented{
		kind:  segmentRecipients,
		table: "recipient_rows",
		hot:   true,
		query: `SELECT id, first_seen, last_seen - first_seen, last_seen - IFNULL(final_at, last_seen), state + 8 * troubled, series,
			IFNULL(exact_cause, IFNULL(cause, 0)) FROM recipient_rows`,
		low:  1,
		high: func(b *block, row int) int64 { return b.at(1, row) + b.at(2, row) },
	}
	rejections = &segmented{
		kind:  segmentRejections,
		table: "rejection_rows",
		query: `SELECT r.id, time, series, cause, n, sender_domain, p.text, c.text FROM rejection_rows AS r
			JOIN texts AS p ON p.id = r.recipient JOIN texts AS c ON c.id = r.client_ip`,
		hash: 2,
		low:  1,
		high: func(b *block, row int) int64 { return b.at(1, row) },
	}
)

// rows reads rows of the table into a block, in the order of their ids.
func (s *segmented) rows(t *tx, where string, args ...any) (*block, []string, error) {
	query := s.query + " WHERE " + where + " ORDER BY 1"
	if s.hash > 0 {
		b, err := s.hashedRows(t, query, args)
		return b, nil, err
	}
	b := &block{}
	var texts []string
	if s.text {
		b.cols = make([][]int64, 1)
		err := t.each(query, args, func(r *sql.Rows) error {
			var id int64
			var text string
			err := r.Scan(&id, &text)
			b.cols[0], texts = append(b.cols[0], id), append(texts, text)
			b.rows++
			return err
		})
		return b, texts, err
	}
	c, err := t.cursor(query, args)
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	b.cols = make([][]int64, len(c.row))
	for c.next() {
		for i, v := range c.row {
			b.cols[i] = append(b.cols[i], v)
		}
		b.rows++
	}
	return b, nil, c.err
}

// hashedRows reads the rows of a query whose last columns are texts, and returns hashes in
// their place: the same text may have several ids.
func (s *segmented) hashedRows(t *tx, query string, args []any) (*block, error) {
	b := &block{}
	err := t.each(query, args, func(r *sql.Rows) error {
		if b.cols == nil {
			names, err := r.Columns()
			if err != nil {
				return err
			}
			b.cols = make([][]int64, len(names))
		}
		row, texts, into := make([]int64, len(b.cols)), make([]sql.RawBytes, s.hash),
			make([]any, len(b.cols))
		for i := range into {
			into[i] = &row[i]
			if n := i - (len(into) - s.hash); n >= 0 {
				into[i] = &texts[n]
			}
		}
		if err := r.Scan(into...); err != nil {
			return err
		}
		for i, text := range texts {
			if len(text) > 0 {
				row[len(row)-s.hash+i] = int64(hash64(string(text)))
			}
		}
		for i, v := range row {
			b.cols[i] = append(b.cols[i], v)
		}
		b.rows++
		return nil
	})
	return b, err
}

// addSegments writes segments of rows that are unlikely to change. It reads the rows of each
// while those of the one before are packed.
func (w *Writer) addSegments() error {
	write := func() {}
	for _, s := range segmentedTables {
		last := w.lastID[s.table]
		if s.hot {
			last -= segmentMin
		}
		for last-w.segmented[s.kind] >= segmentMin {
			first := w.segmented[s.kind] + 1
			end := min(last, first+segmentMax-1)
			next, err := w.packSegment(s, first, end)
			if err != nil {
				return err
			}
			write()
			write, w.segmented[s.kind] = next, end
		}
	}
	write()
	return nil
}

// putSegment writes the segment of the rows with the ids from first to last. It replaces
// the segments in that range.
func (w *Writer) putSegment(s *segmented, first, last int64) error {
	write, err := w.packSegment(s, first, last)
	if err == nil {
		write()
	}
	return err
}

// packSegment packs the rows with the ids from first to last, in another goroutine. The
// returned function does what putSegment does then.
func (w *Writer) packSegment(s *segmented, first, last int64) (write func(), err error) {
	if err := w.sink.wait(); err != nil {
		return nil, err
	}
	kept, covered, err := w.keptRows(s, first, last)
	if err != nil {
		return nil, err
	}
	b, texts, err := w.segmentRows(s, last-covered, s.id()+" BETWEEN ? AND ?", covered+1, last)
	if err == nil && covered >= first {
		var changed *block
		changed, _, err = w.segmentRows(s, 0, s.id()+" IN (SELECT id FROM changed WHERE kind = ? AND id BETWEEN ? AND ?)", s.kind, first, covered)
		b = joined(append(kept, changed, b))
	}
	if err != nil {
		return nil, err
	}
	low, high, packed := int64(0), int64(0), make(chan []byte, 1)
	go func() {
		for i := range b.rows {
			if t, u := s.span(b, i); i == 0 {
				low, high = t, u
			} else {
				low, high = min(low, t), max(high, u)
			}
		}
		var data []byte
		if b.rows > 0 {
			data = appendSegment(nil, b, texts)
		}
		packed <- data
	}()
	return func() {
		data := <-packed
		if covered >= first {
			w.sink.exec("DELETE FROM segments WHERE kind = ? AND first > ? AND last <= ?", s.kind, first, last)
		}
		if b.rows == 0 {
			w.sink.exec("DELETE FROM segments WHERE kind = ? AND first = ?", s.kind, first)
			return
		}
		w.sink.exec("INSERT OR REPLACE INTO segments VALUES (?,?,?,?,?,?)", s.kind, first, last, low, high, data)
		w.sink.exec("DELETE FROM changed WHERE kind = ? AND id BETWEEN ? AND ?", s.kind, first, last)
	}, nil
}

// segmentRows returns rows for a segment; expected is their approximate number.
func (w *Writer) segmentRows(s *segmented, expected int64, where string, args ...int64) (*block,
	[]string, error) {
	if s.text || s.hash > 0 {
		list := make([]any, len(args))
		for i, v := range args {
			list[i] = v
		}
		return s.rows(&tx{ctx: context.Background(), conn: w.conn}, where, list...)
	}
	b, err := w.sink.runner.integers(expected, s.query+" WHERE "+where+" ORDER BY 1", args...)
	return b, nil, err
}

// keptRows returns the rows of the segments between first and last that have not changed
// since, and the last id that these segments cover. Pruned rows exist in segments only.
func (w *Writer) keptRows(s *segmented, first, last int64) (kept []*block, covered int64, err error) {
	covered = first - 1
	if s.text || first > w.segmented[s.kind] {
		return nil, covered, nil
	}
	var changed []int64
	err = w.each("SELECT id FROM changed WHERE kind = ? AND id BETWEEN ? AND ? ORDER BY id", func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		changed = append(changed, id)
		return err
	}, s.kind, first, last)
	if err != nil {
		return nil, 0, err
	}
	err = w.each("SELECT last, data FROM segments WHERE kind = ? AND first >= ? AND last <= ? ORDER BY first", func(r *sql.Rows) error {
		var data []byte
		if err := r.Scan(&covered, &data); err != nil {
			return err
		}
		b := &block{}
		if err := b.decode(data); err != nil {
			return err
		}
		kept = append(kept, b.without(changed))
		return nil
	}, s.kind, first, last)
	return kept, covered, err
}

// span returns the times between which a row matters.
func (s *segmented) span(b *block, row int) (low, high int64) {
	if s.low < 0 {
		return math.MinInt64, math.MaxInt64
	}
	return b.at(s.low, row), s.high(b, row)
}

// appendSegment appends the content of a segment. Without texts, that is a block. With
// texts, it is the length of a block, the block, whose last column holds the lengths of the
// texts, and the compressed texts.
func appendSegment(dst []byte, b *block, texts []string) []byte {
	cols := b.cols
	if texts == nil {
		return appendBlock(dst, cols...)
	}
	var all []byte
	lengths := make([]int64, len(texts))
	for i, s := range texts {
		lengths[i], all = int64(len(s)), append(all, s...)
	}
	head := appendBlock(nil, append(slices.Clone(cols), lengths)...)
	dst = append(binary.AppendUvarint(dst, uint64(len(head))), head...)
	return compressor().EncodeAll(all, dst)
}

// decodeTexts reads a segment with texts.
func decodeTexts(data []byte, each func(id int64, text string)) error {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return errBlock
	}
	var b block
	if err := b.decode(data[n : n+int(size)]); err != nil {
		return err
	}
	all, err := decompressor().DecodeAll(data[n+int(size):], nil)
	if err != nil {
		return errBlock
	}
	text := string(all)
	for i := range b.rows {
		length := b.at(1, i)
		if length < 0 || length > int64(len(text)) {
			return errBlock
		}
		each(b.at(0, i), text[:length])
		text = text[length:]
	}
	return nil
}

// renewSegments rewrites the segments with changed rows of each table in which many rows
// have changed.
func (w *Writer) renewSegments() error {
	for _, s := range segmentedTables {
		type span struct{ first, last int64 }
		var spans []span
		err := w.each(`SELECT s.first, s.last FROM segments AS s WHERE s.kind = ?1 AND EXISTS (SELECT 1 FROM changed AS c
			WHERE c.kind = ?1 AND c.id BETWEEN s.first AND s.last) AND (SELECT count(*) FROM changed WHERE kind = ?1) > ?2`,
			func(r *sql.Rows) error {
				var p span
				err := r.Scan(&p.first, &p.last)
				spans = append(spans, p)
				return err
			}, s.kind, manyChanged)
		for _, p := range spans {
			if err == nil {
				err = w.putSegment(s, p.first, p.last)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Tidy adds up the days that are over, and rewrites the segments of which reports would
// have to read many rows one by one. It is called outside a batch. Each day has a separate
// transaction: a database without sums has many such days, and the finished ones stay if
// Tidy is interrupted.
func (w *Writer) Tidy(ctx context.Context) error {
	if w.db.path == "" {
		return nil // a database of one report
	}
	var to *addends
	anyStale := false
	for more := true; more; {
		stale, err := w.Begin(ctx)
		if err != nil {
			return err
		}
		if stale {
			anyStale, to = true, nil
		}
		if more, err = w.tidySome(&to); err != nil {
			w.Rollback()
			return w.db.explain("write to", err)
		}
		if err := w.Commit(); err != nil {
			return err
		}
	}
	if anyStale {
		w.version = -1 // the next Begin must report it to the caller too
	}
	return nil
}

// tidySome does a part of the work of Tidy, and reports whether there is more.
func (w *Writer) tidySome(to **addends) (more bool, err error) {
	days, err := w.daysToAdd()
	if err == nil && len(days) > 0 {
		if *to == nil {
			w.release()
			*to, err = w.newAddends()
		}
		if err == nil {
			err = w.addDay(days[0], *to)
		}
	}
	if err != nil || len(days) > 1 {
		return len(days) > 1, err
	}
	if err := w.renewSegments(); err != nil {
		return false, err
	}
	return w.packRows()
}

// eachBlock calls each with some columns of the blocks that a query returns, in their
// order. It decompresses blocks on all cores, a few ahead of each.
func (t *tx) eachBlock(query string, args []any, wanted columns, each func(*block) error) error {
	var queue, free []*decoded
	next := func() error {
		d := queue[0]
		queue = queue[1:]
		if err := cmp.Or(<-d.done, t.ctx.Err()); err != nil {
			return &readError{err}
		}
		err := each(&d.block)
		free = append(free, d)
		return err
	}
	err := t.each(query, args, func(r *sql.Rows) error {
		var data sql.RawBytes
		if err := r.Scan(&data); err != nil {
			return &readError{err}
		}
		d := &decoded{}
		if n := len(free); n > 0 {
			d, free = free[n-1], free[:n-1]
		}
		d.data = append(d.data[:0], data...)
		d.done = make(chan error, 1)
		go func() { d.done <- d.decodeOnly(d.data, wanted) }()
		if queue = append(queue, d); len(queue) <= runtime.GOMAXPROCS(0) {
			return nil
		}
		return next()
	})
	for err == nil && len(queue) > 0 {
		err = next()
	}
	return err
}

// decoded is a block that is being decompressed.
type decoded struct {
	block
	data []byte
	done chan error
}

// eachRow calls each with blocks that together contain all rows of a table that may overlap
// a window, and with skip, the sorted ids of rows whose values in the block are outdated.
// Ids rise within a block. wanted selects the columns.
func (t *tx) eachRow(s *segmented, w store.Window, wanted columns,
	each func(b *block, skip []int64) error) error {
	if t.view != nil && s != names && s != seriesTable {
		return t.view.eachBlock(t.ctx, s.kind, wanted, func(b *block) error { return each(b, nil) })
	}
	since, until := w.Micros()
	var changed []int64
	if err := t.ints("SELECT id FROM changed WHERE kind = ? ORDER BY id", []any{s.kind}, func(v []int64) error {
		changed = append(changed, v[0])
		return nil
	}); err != nil {
		return err
	}
	err := t.eachBlock("SELECT data FROM segments WHERE kind = ? AND high >= ? AND low < ? ORDER BY first", []any{s.kind, since, until}, wanted, func(b *block) error {
		return each(b, changed)
	})
	if err != nil {
		return err
	}
	where, args := s.tail(w)
	b, _, err := s.rows(t, where, args...)
	if err == nil && b.rows > 0 {
		err = each(b, nil)
	}
	if err == nil && len(changed) > 0 {
		if b, _, err = s.rows(t, s.id()+" IN (SELECT id FROM changed WHERE kind = ?)", s.kind); err == nil {
			err = each(b, nil)
		}
	}
	return err
}

// most returns a number of rows that eachRow will hardly exceed, 0 for a view.
func (t *tx) most(s *segmented, w store.Window) (int, error) {
	if t.view != nil {
		return t.view.most(s), nil
	}
	var n int64
	since, until := w.Micros()
	_, err := t.one("SELECT IFNULL(sum(last - first + 1), 0) FROM segments WHERE kind = ? AND high >= ? AND low < ?",
		[]any{s.kind, since, until}, &n)
	return int(n + 2*segmentMin), err // rows that are in no segment yet
}

// id returns the column of the ids in the query.
func (s *segmented) id() string {
	if s.hash > 0 {
		return "r.id"
	}
	return "id"
}

// tail returns the condition of the rows behind the last segment.
func (s *segmented) tail(w store.Window) (string, []any) {
	cond, args := s.id()+" > (SELECT IFNULL(max(last), 0) FROM segments WHERE kind = ?)", []any{s.kind}
	if s.kind == segmentRecipients {
		since, until := w.Micros()
		return cond + " AND last_seen >= ? AND first_seen < ?", append(args, since, until)
	}
	if s.low >= 0 {
		where, more := within(w, "time", 1)
		return cond + " AND " + where, append(args, more...)
	}
	return cond, args
}

// skipper finds the rows of a block whose values are outdated. ids are sorted.
type skipper struct{ ids []int64 }

// has reports whether a row is outdated. Ids must rise from call to call.
func (s *skipper) has(id int64) bool {
	for len(s.ids) > 0 && s.ids[0] < id {
		s.ids = s.ids[1:]
	}
	return len(s.ids) > 0 && s.ids[0] == id
}
