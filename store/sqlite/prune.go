package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"mailfail/store"
)

// Prune removes what is older than the times in r, in transactions of bounded size, and
// gives the space back to the file system. It must be called outside a batch. Other
// processes may write between its transactions. An interrupted call leaves the database
// consistent, and the next call goes on.
//
// Prune removes the rows of failures, with addresses and replies. Segments keep the numbers
// that reports count from these rows, for as long as counts are kept. Rows of messages that
// have not ended stay: messageOf returns the id of the row that the state of such a message
// refers to, 0 for none. Positions in logs are never removed, so that no line is read twice.
func (w *Writer) Prune(ctx context.Context, r store.Retention,
	messageOf func(state []byte) int64) (store.Pruned, error) {
	p := &pruning{Writer: w, ctx: ctx, messageOf: messageOf}
	w.version = -1 // so that the first batch calls hold
	// With this setting SQLite overwrites deleted rows in the pages that stay in use.
	if _, err := w.conn.ExecContext(ctx, "PRAGMA secure_delete = FAST"); err != nil {
		return p.done, w.db.explain("prune", err)
	}
	steps := []func() error{p.sweepTexts, p.giveBack}
	if !r.Counts.IsZero() {
		steps = slices.Insert(steps, 0, func() error { return p.counts(r.Counts) })
	}
	if !r.Deliveries.IsZero() {
		steps = slices.Insert(steps, 0, func() error { return p.oldDeliveries(r.Deliveries.UnixMicro()) })
	}
	if !r.Rows.IsZero() {
		steps = slices.Insert(steps, 0, func() error { return p.rows(r.Rows.UnixMicro()) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return p.done, w.db.explain("prune", err)
		}
	}
	w.version = -1 // the next Begin reports stale
	return p.done, nil
}

// pruneBatch is about how many rows are removed in one transaction.
var pruneBatch = int64(16_384)

// pruning is the state of Prune.
type pruning struct {
	*Writer
	ctx       context.Context
	messageOf func(state []byte) int64
	done      store.Pruned
}

// batch runs f in a transaction. It calls hold first when another process may have written.
func (p *pruning) batch(f func() error) error {
	stale, err := p.Begin(p.ctx)
	if err != nil {
		return err
	}
	if stale {
		err = p.hold()
	}
	if err == nil {
		err = f()
	}
	if err != nil {
		p.Rollback()
		return err
	}
	return p.Commit()
}

// hold lists the rows of messages that have not ended in the table temp.held.
func (p *pruning) hold() error {
	p.sink.exec("CREATE TEMP TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY)")
	p.sink.exec("DELETE FROM temp.held")
	var ids []int64
	err := p.each("SELECT state FROM open", func(rows *sql.Rows) error {
		var state sql.RawBytes
		err := rows.Scan(&state)
		ids = append(ids, p.messageOf(state))
		return err
	})
	p.sink.exec("INSERT OR IGNORE INTO temp.held SELECT value FROM json_each(?) WHERE value <> 0", list(ids))
	return err
}

// remove runs a statement that deletes rows and returns how many.
func (p *pruning) remove(query string, args ...any) (int64, error) {
	s, err := p.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(p.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// rows removes the rows before a time in microseconds.
func (p *pruning) rows(before int64) error {
	err := p.batch(func() error { return p.noteHorizon(metaRowsFrom, before) })
	for _, s := range []*segmented{attempts, recipients, rejections} {
		if err == nil {
			err = p.segmented(s, before)
		}
	}
	hour := int64(hourOf(minuteOf(before)))
	for _, t := range []struct {
		table, column string
		below         int64
	}{{"connections", "minute", store.Minute(before)}, {"submissions", "hour", hour},
		{"troubles", "hour", hour}} {
		if err == nil {
			err = p.removeBelow(&p.done.Other, t.table, t.column, t.below)
		}
	}
	if err == nil {
		err = p.batch(func() error {
			p.sink.exec("UPDATE feedback SET ids = '', addresses = '', text = '', attempt = NULL WHERE time < ? AND ids || addresses || text <> ''", before)
			return nil
		})
	}
	if err == nil {
		err = p.lookups(dayOf(before))
	}
	return err
}

// Names in meta of the times, in microseconds, from which rows and counts are complete.
const (
	metaRowsFrom   = "rows from"
	metaCountsFrom = "counts from"
)

// noteHorizon stores that data before a time, in microseconds, is missing. The stored time
// never moves back.
func (w *Writer) noteHorizon(name string, before int64) error {
	s, err := w.Meta(name)
	if old, _ := strconv.ParseInt(s, 10, 64); err == nil && old < before {
		w.PutMeta(name, strconv.FormatInt(before, 10))
	}
	return err
}

// kept returns the times from which rows and counts are complete.
func (t *tx) kept() (k store.Kept, err error) {
	err = t.each("SELECT name, CAST(value AS INTEGER) FROM meta WHERE name IN (?, ?)", []any{metaRowsFrom, metaCountsFrom}, func(r *sql.Rows) error {
		var name string
		var micros int64
		err := r.Scan(&name, &micros)
		into := &k.Rows
		if name == metaCountsFrom {
			into = &k.Counts
		}
		*into = time.UnixMicro(micros)
		return err
	})
	return k, err
}

// time returns the column of the table that decides whether a row is old.
func (s *segmented) time() string {
	if s == recipients {
		return "last_seen"
	}
	return "time"
}

// segmented removes the old rows of a table, after it has put them into segments.
func (p *pruning) segmented(s *segmented, before int64) error {
	if err := p.batch(func() error { return p.extend(s, before) }); err != nil {
		return err
	}
	var firsts []int64
	err := p.each(fmt.Sprintf(`SELECT first FROM segments AS s WHERE kind = ? AND low < ?2
		AND EXISTS (SELECT 1 FROM %s WHERE id BETWEEN s.first AND s.last AND %s < ?2) ORDER BY first`, s.table, s.time()), func(r *sql.Rows) error {
		var first int64
		err := r.Scan(&first)
		firsts = append(firsts, first)
		return err
	}, s.kind, before)
	for _, first := range firsts {
		if err == nil {
			err = p.batch(func() error { return p.segment(s, first, before) })
		}
	}
	return err
}

// extend makes segments of the rows after the last segment, up to the last old row. A last
// segment with few rows is made larger.
func (p *pruning) extend(s *segmented, before int64) error {
	last, ok, err := p.find(fmt.Sprintf("SELECT max(id) FROM %s WHERE id > ? AND %s < ? HAVING max(id) > 0", s.table, s.time()), p.Writer.segmented[s.kind], before)
	if err != nil || !ok {
		return err
	}
	first, small, err := p.find("SELECT first FROM segments WHERE kind = ? AND last = ? AND last - first < ?", s.kind, p.Writer.segmented[s.kind], segmentMin)
	if !small {
		first = p.Writer.segmented[s.kind] + 1
	}
	for ; err == nil && first <= last; first += segmentMax {
		end := min(last, first+segmentMax-1)
		err = p.putSegment(s, first, end)
		p.Writer.segmented[s.kind] = end
	}
	return err
}

// segment removes the old rows of one segment. Before that it makes the segment anew if any
// of its rows have changed.
func (p *pruning) segment(s *segmented, first, before int64) error {
	last, ok, err := p.find("SELECT last FROM segments WHERE kind = ? AND first = ?", s.kind, first)
	if err != nil || !ok {
		return err
	}
	changed, _, err := p.find("SELECT EXISTS (SELECT 1 FROM changed WHERE kind = ? AND id BETWEEN ? AND ?)", s.kind, first, last)
	if err == nil && changed == 1 {
		err = p.putSegment(s, first, last)
	}
	if err != nil {
		return err
	}
	if s == recipients {
		return p.recipients(first, last, before)
	}
	n := &p.done.Attempts
	if s == rejections {
		n = &p.done.Rejections
	}
	removed, err := p.remove(fmt.Sprintf("DELETE FROM %s WHERE id BETWEEN ? AND ? AND time < ?", s.table), first, last, before)
	*n += removed
	return err
}

// recipients removes old recipients, and messages that have no recipient left. It stores the
// id of the last message, so that no message gets this id again.
func (p *pruning) recipients(first, last, before int64) error {
	const old = "FROM recipient_rows WHERE id BETWEEN ? AND ? AND last_seen < ? AND message NOT IN (SELECT id FROM temp.held)"
	var messages []int64
	err := p.each("SELECT DISTINCT message "+old, func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		messages = append(messages, id)
		return err
	}, first, last, before)
	if err != nil {
		return err
	}
	p.PutMeta(metaLastMessage, strconv.FormatInt(p.lastID["message_rows"], 10))
	n, err := p.remove("DELETE "+old, first, last, before)
	p.done.Recipients += n
	if err == nil {
		n, err = p.remove(`DELETE FROM message_rows WHERE id IN (SELECT value FROM json_each(?))
			AND NOT EXISTS (SELECT 1 FROM recipient_rows AS r WHERE r.message = message_rows.id)`, list(messages))
		p.done.Messages += n
	}
	return err
}

// metaLastMessage is the name in meta of the greatest id that any message had when messages
// were last removed.
const metaLastMessage = "last message"

// removeBelow removes the rows of a table whose column is below a value, and adds their
// number to n. The column must be the first of a key or an index.
func (p *pruning) removeBelow(n *int64, table, column string, below int64) error {
	for more := true; more; {
		err := p.batch(func() error {
			end, ok, err := p.find(fmt.Sprintf("SELECT %s FROM %s WHERE %[1]s < ? ORDER BY %[1]s LIMIT 1 OFFSET ?", column, table), below, pruneBatch)
			if more = ok; !ok {
				end = below - 1
			}
			if err != nil {
				return err
			}
			removed, err := p.remove(fmt.Sprintf("DELETE FROM %s WHERE %s <= ?", table, column), end)
			*n += removed
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookups removes the entries of the days before a day whose messages or rejections are gone.
func (p *pruning) lookups(day int64) error {
	var days []int64
	err := p.each("SELECT DISTINCT day FROM lookup WHERE day < ?", func(r *sql.Rows) error {
		var d int64
		err := r.Scan(&d)
		days = append(days, d)
		return err
	}, day)
	for _, d := range days {
		for hash, more := int64(-1<<31), true; more && err == nil; {
			err = p.batch(func() (err error) {
				hash, more, err = p.lookupsFrom(d, hash)
				return err
			})
		}
	}
	for run, first, more := int64(math.MinInt64), int64(math.MinInt64), true; more && err == nil; {
		err = p.batch(func() (err error) {
			run, first, more, err = p.lookupBlocksFrom(run, first, day*lookupLevels)
			return err
		})
	}
	return err
}

// lookupBlocksFrom does the work of lookups for some blocks after one and before the run
// end. It returns the last of these blocks, and whether there may be more.
func (p *pruning) lookupBlocksFrom(run, first, end int64) (lastRun, lastFirst int64, more bool, err error) {
	type stored struct {
		run, first int64
		entries    []lookupEntry
	}
	var blocks []stored
	var refs [2][]int64 // of messages, of rejections
	err = p.each("SELECT run, first, data FROM lookup_blocks WHERE (run, first) > (?, ?) AND run < ? ORDER BY run, first LIMIT ?", func(r *sql.Rows) error {
		var b stored
		var data sql.RawBytes
		err := r.Scan(&b.run, &b.first, &data)
		if err == nil {
			b.entries, err = decodeLookups(nil, 0, b.first, data)
		}
		for _, e := range b.entries {
			refs[e.ref%2] = append(refs[e.ref%2], e.ref/2)
		}
		blocks = append(blocks, b)
		return err
	}, run, first, end, pruneBatch/128)
	there := map[int64]bool{}
	for i, table := range []string{"message_rows", "rejection_rows"} {
		if err == nil {
			err = p.each("SELECT id FROM "+table+" WHERE id IN (SELECT value FROM json_each(?))", func(r *sql.Rows) error {
				var id int64
				err := r.Scan(&id)
				there[2*id+int64(i)] = true
				return err
			}, list(refs[i]))
		}
	}
	if err != nil || len(blocks) == 0 {
		return 0, 0, false, err
	}
	for _, b := range blocks {
		n := len(b.entries)
		kept := slices.DeleteFunc(b.entries, func(e lookupEntry) bool { return !there[e.ref] })
		p.done.Other += int64(n - len(kept))
		switch {
		case len(kept) == 0:
			p.sink.exec("DELETE FROM lookup_blocks WHERE run = ? AND first = ?", b.run, b.first)
		case len(kept) < n:
			p.sink.exec("UPDATE lookup_blocks SET data = ? WHERE run = ? AND first = ?", appendLookups(nil, int32(b.first), kept), b.run, b.first)
		}
	}
	last := blocks[len(blocks)-1]
	return last.run, last.first, true, nil
}

// lookupsFrom does the work of lookups for some rows of a day, from a hash on. It returns the
// hash to go on from, and whether there are more.
func (p *pruning) lookupsFrom(day, hash int64) (next int64, more bool, err error) {
	next, more, err = p.find("SELECT hash FROM lookup WHERE day = ? AND hash >= ? ORDER BY hash LIMIT 1 OFFSET ?", day, hash, pruneBatch)
	if err != nil {
		return 0, false, err
	}
	if !more {
		next = 1<<31 - 1
	}
	n, err := p.remove(`DELETE FROM lookup WHERE day = ? AND hash BETWEEN ? AND ?
		AND NOT EXISTS (SELECT 1 FROM message_rows WHERE ref % 2 = 0 AND id = ref / 2)
		AND NOT EXISTS (SELECT 1 FROM rejection_rows WHERE ref % 2 = 1 AND id = ref / 2)`, day, hash, next)
	p.done.Other += n
	return next + 1, more, err
}

// counts removes the numbers of the days before the day of a time. It keeps the last segment
// of a table, which shows which rows are in no segment yet.
func (p *pruning) counts(before time.Time) error {
	day := dayOf(before.UnixMicro())
	micros := day * minutesPerDay * store.MinuteMicros
	err := p.batch(func() error {
		_, some, err := p.find("SELECT 1 FROM counts WHERE id < ? UNION ALL SELECT 1 FROM lines WHERE minute < ? LIMIT 1", day*24*blocksPerHour, day*minutesPerDay)
		if err != nil || !some { // a horizon would claim that numbers are missing that never existed
			return err
		}
		return p.noteHorizon(metaCountsFrom, micros)
	})
	for _, t := range []struct {
		table, column string
		below         int64
	}{{"counts", "id", day * 24 * blocksPerHour}, {"days", "day", day}, {"volumes", "hour", day * 24},
		{"lines", "minute", day * minutesPerDay}, {"feedback", "time", micros}} {
		n := new(int64)
		if t.table == "counts" {
			n = &p.done.Counts
		}
		if err == nil {
			err = p.removeBelow(n, t.table, t.column, t.below)
		}
	}
	if err != nil {
		return err
	}
	return p.batch(func() error {
		p.sink.exec("DELETE FROM segments WHERE kind = ? AND first < ?", segmentQuarters, day*24)
		p.sink.exec("DELETE FROM segments WHERE kind = ? AND first < ?", segmentTotals, day)
		p.sink.exec("DELETE FROM segments WHERE kind = ? AND first < ?", segmentHours, hoursID(day, 0, 0))
		for _, s := range []*segmented{attempts, recipients, rejections} {
			n, err := p.remove(fmt.Sprintf(`DELETE FROM segments WHERE kind = ?1 AND high < ?2 AND first < (SELECT max(first) FROM segments WHERE kind = ?1)
				AND NOT EXISTS (SELECT 1 FROM %s WHERE id BETWEEN segments.first AND segments.last)`, s.table), s.kind, micros)
			if err != nil {
				return err
			}
			p.done.Counts += n
		}
		return nil
	})
}

// oldDeliveries removes the deliveries of the hours before the hour of a time in
// microseconds.
func (p *pruning) oldDeliveries(before int64) error {
	hour := int64(hourOf(minuteOf(before)))
	err := p.batch(func() error { return p.noteHorizon(metaDeliveriesFrom, hour*60*store.MinuteMicros) })
	if err != nil {
		return err
	}
	return p.removeBelow(&p.done.Other, "deliveries", "id", hour*blocksPerHour)
}

// textColumns are the columns that refer to texts.
var textColumns = map[string][]string{
	"message_rows":   {"sender", "client", "client_ip"},
	"recipient_rows": {"address"},
	"attempt_rows":   {"ip", "text"},
	"rejection_rows": {"client", "client_ip", "sender", "recipient", "text"},
}

// sweepTexts removes texts that no row refers to. Once its first batch is committed, no
// Writer refers to an older text in a new row: see loadTexts.
func (p *pruning) sweepTexts() error {
	if p.done.Messages+p.done.Recipients+p.done.Attempts+p.done.Rejections == 0 {
		return nil
	}
	var end int64 // texts from this id on stay, so also the newest, whose id must not be given again
	err := p.batch(func() error {
		end = p.lastID["texts"]
		p.PutMeta(metaTextsFrom, strconv.FormatInt(end, 10))
		return nil
	})
	if err != nil {
		return err
	}
	p.forget()
	used, err := p.usedTexts(end)
	for first := int64(2); first < end && err == nil; first += pruneBatch {
		last := min(end, first+pruneBatch) - 1
		var unused []int64
		err = p.each("SELECT id FROM texts WHERE id BETWEEN ? AND ?", func(r *sql.Rows) error {
			var id int64
			err := r.Scan(&id)
			if used[id/64]&(1<<(id%64)) == 0 {
				unused = append(unused, id)
			}
			return err
		}, first, last)
		if err == nil && len(unused) > 0 {
			err = p.batch(func() error {
				n, err := p.remove("DELETE FROM texts WHERE id IN (SELECT value FROM json_each(?))", list(unused))
				p.done.Texts += n
				return err
			})
		}
	}
	return err
}

// usedTexts returns a bit for each id of a text below end, which is set when a row refers to it.
func (p *pruning) usedTexts(end int64) ([]uint64, error) {
	if end < 0 || end > math.MaxInt32 {
		return nil, p.db.explain("prune", errBlock)
	}
	used := make([]uint64, end/64+1)
	for table, columns := range textColumns {
		for _, column := range columns {
			err := p.each(fmt.Sprintf("SELECT %s FROM %s WHERE %[1]s >= 0 AND %[1]s < ?", column, table), func(r *sql.Rows) error {
				var id int64
				err := r.Scan(&id)
				used[id/64] |= 1 << (id % 64)
				return err
			}, end)
			if err != nil {
				return nil, err
			}
		}
	}
	return used, nil
}

// giveBack gives free pages back to the file system, except for some that new rows will need
// soon. A database of an earlier version cannot give pages back: new rows use its free
// pages.
func (p *pruning) giveBack() error {
	const pages = "SELECT (SELECT freelist_count FROM pragma_freelist_count) - (SELECT page_count FROM pragma_page_count) / 32 WHERE (SELECT auto_vacuum FROM pragma_auto_vacuum) = 2"
	free, _, err := p.find(pages)
	for err == nil && free > 0 {
		n := min(free, 1024)
		err = p.batch(func() error {
			return p.each(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", n), func(*sql.Rows) error { return nil })
		})
		free -= n
		p.done.Bytes += n * p.pageSize()
	}
	return err
}

func (p *pruning) pageSize() int64 {
	size, _, _ := p.find("PRAGMA page_size")
	return size
}

// Prunable returns what Prune would remove now. It does not count texts, the entries that
// find rows, deliveries and segments.
func (db *DB) Prunable(ctx context.Context, r store.Retention,
	messageOf func(state []byte) int64) (p store.Pruned, err error) {
	err = db.transaction(ctx, func(t *tx) error {
		count := func(n *int64, query string, args ...any) error {
			var v int64
			_, err := t.one(query, args, &v)
			*n += v
			return err
		}
		held := []int64{0}
		if err := t.each("SELECT state FROM open", nil, func(rows *sql.Rows) error {
			var state sql.RawBytes
			err := rows.Scan(&state)
			held = append(held, messageOf(state))
			return err
		}); err != nil {
			return err
		}
		rows, hour, day := r.Rows.UnixMicro(), int64(hourOf(minuteOf(r.Rows.UnixMicro()))),
			dayOf(r.Counts.UnixMicro())
		const kept = "message IN (SELECT value FROM json_each(?2))"
		for _, q := range []struct {
			wanted bool
			n      *int64
			query  string
			args   []any
		}{
			{!r.Rows.IsZero(), &p.Attempts, "SELECT count(*) FROM attempt_rows WHERE time < ?", []any{rows}},
			{!r.Rows.IsZero(), &p.Rejections, "SELECT count(*) FROM rejection_rows WHERE time < ?", []any{rows}},
			{!r.Rows.IsZero(), &p.Recipients, "SELECT count(*) FROM recipient_rows WHERE last_seen < ?1 AND NOT " + kept, []any{rows, list(held)}},
			{!r.Rows.IsZero(), &p.Messages, `SELECT count(*) FROM (SELECT message FROM recipient_rows GROUP BY message
				HAVING max(last_seen) < ?1 AND NOT ` + kept + ")", []any{rows, list(held)}},
			{!r.Rows.IsZero(), &p.Other, "SELECT count(*) FROM connections WHERE minute < ?", []any{store.Minute(rows)}},
			{!r.Rows.IsZero(), &p.Other, "SELECT count(*) FROM submissions WHERE hour < ?", []any{hour}},
			{!r.Rows.IsZero(), &p.Other, "SELECT count(*) FROM troubles WHERE hour < ?", []any{hour}},
			{!r.Counts.IsZero(), &p.Counts, "SELECT count(*) FROM counts WHERE id < ?", []any{day * 24 * blocksPerHour}},
		} {
			if q.wanted {
				if err := count(q.n, q.query, q.args...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return p, db.explain("look into", err)
}
