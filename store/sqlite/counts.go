package sqlite

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"math"
	"slices"

	"mailfail/store"
	"mailfail/store/fleet"
)

// Counts are kept in blocks, one or a few an hour. The columns of a block are
// series, cause, minute of the hour, and the fields of store.Counts.
const (
	countSeries = iota
	countCause
	countMinute
	countFields // column of the first field of store.Counts
)

const (
	fieldDelivered = iota
	fieldRecipients
	fieldSuspended
	fieldHanded
	fieldMessages
	fieldAccepted
	fieldExpected
	fieldHeard
	fields
)

const (
	blocksPerHour = 1024 // counts.id is hour * blocksPerHour + number of the block
	minutesPerDay = 24 * 60
)

// countEntry holds numbers that were counted since the last flush.
type countEntry struct {
	hourSeries  int64 // hour and, in the lower half, series; entries are sorted by it
	causeMinute int64 // cause and minute of the hour, likewise
	n           [fields]int16
}

// add adds the numbers of o. It reports false, and changes nothing, when o has another key
// or a sum has no room.
func (e *countEntry) add(o *countEntry) bool {
	if e.hourSeries != o.hourSeries || e.causeMinute != o.causeMinute {
		return false
	}
	sum := e.n
	for f, n := range o.n {
		if sum[f] += n; sum[f] > math.MaxInt16/2 || sum[f] < math.MinInt16/2 {
			return false
		}
	}
	e.n = sum
	return true
}

func (e *countEntry) hour() int64 { return e.hourSeries >> 32 }

// maxEntries is how many entries are kept in memory before they are written.
const maxEntries = 1 << 17

// Count adds to the counts of a series in the minute of a time in microseconds.
func (w *Writer) Count(series, time int64, c store.Counts) { w.count(series, 0, time, &c) }

// Suspend counts a recipient that was deferred without an attempt. cause is that
// of the failure that the line names, 0 for none.
func (w *Writer) Suspend(series, cause, time int64) {
	w.count(series, cause, time, &store.Counts{Suspended: 1})
}

// minuteOf returns the minute of a time in microseconds, at most the last that fits, in
// the year 6053. Only a wrong clock or a hostile Date names a later time.
func minuteOf(time int64) int32 {
	return int32(min(max(store.Minute(time), math.MinInt32), math.MaxInt32))
}

func (w *Writer) count(series, cause, time int64, c *store.Counts) {
	w.enter(minuteOf(time), series, cause, [fields]int64{c.Delivered, c.Recipients, c.Suspended, c.Handed,
		c.Messages, c.Accepted, c.Expected, c.Heard})
	if len(w.counts) >= maxEntries && w.countErr == nil {
		w.countErr = w.flushCounts()
	}
}

// enter keeps numbers until the next flush. It adds them to the last entry when the keys
// are the same, because one delivery is counted in several ways in succession.
func (w *Writer) enter(minute int32, series, cause int64, n [fields]int64) {
	const most = math.MaxInt16 / 2
	hour := hourOf(minute)
	e := countEntry{
		hourSeries:  int64(hour)<<32 | int64(uint32(series)),
		causeMinute: cause<<32 | int64(minute) - 60*int64(hour),
	}
	for n != [fields]int64{} {
		for f := range n {
			e.n[f] = int16(min(max(n[f], -most), most))
			n[f] -= int64(e.n[f])
		}
		if last := len(w.counts) - 1; last < 0 || !w.counts[last].add(&e) {
			w.counts = append(doubled(w.counts), e)
		}
	}
}

// countRow is a row of a block of counts.
type countRow struct {
	series, cause, minute int64
	n                     [fields]int64
}

func (r *countRow) compare(o *countRow) int {
	return cmp.Or(cmp.Compare(r.series, o.series), cmp.Compare(r.cause, o.cause),
		cmp.Compare(r.minute, o.minute))
}

// flushCounts writes the entries since the last flush, hour by hour.
func (w *Writer) flushCounts() error {
	if w.countErr != nil {
		return w.countErr
	}
	for rest := w.countsInOrder(); len(rest) > 0; {
		hour, n := w.counts[rest[0].at].hour(), 1
		for n < len(rest) && w.counts[rest[n].at].hour() == hour {
			n++
		}
		if err := w.addHour(hour, w.foldEntries(rest[:n])); err != nil {
			return err
		}
		rest = rest[n:]
	}
	w.counts = emptied(w.counts)
	return nil
}

func hourOf(minute int32) int32 { return int32((int64(minute) - mod(int64(minute), 60)) / 60) }

// countsInOrder returns the places of the entries in the order of hour, series, cause, minute.
func (w *Writer) countsInOrder() []keyed {
	const sign = 1 << 63
	list := w.sorting.of(len(w.counts))
	for i := range list {
		list[i].key = uint64(w.counts[i].causeMinute) ^ sign
	}
	list = w.sorting.sort()
	for i := range list {
		list[i].key = uint64(w.counts[list[i].at].hourSeries) ^ sign
	}
	return w.sorting.sort()
}

// foldEntries returns the rows for the entries at some places. The entries must be of one
// hour, and in order.
func (w *Writer) foldEntries(places []keyed) []countRow {
	n, last := 0, (*countEntry)(nil)
	differs := func(e *countEntry) bool {
		before := last
		last = e
		return before == nil || e.hourSeries != before.hourSeries || e.causeMinute != before.causeMinute
	}
	for _, p := range places {
		if differs(&w.counts[p.at]) {
			n++
		}
	}
	rows := make([]countRow, 0, n)
	last = nil
	for _, p := range places {
		e := &w.counts[p.at]
		if differs(e) {
			rows = append(rows, countRow{
				series: int64(int32(e.hourSeries)),
				cause:  e.causeMinute >> 32,
				minute: int64(int32(e.causeMinute)),
			})
		}
		r := &rows[len(rows)-1]
		for f, n := range e.n {
			r.n[f] += int64(n)
		}
	}
	return withoutZeros(rows)
}

func withoutZeros(rows []countRow) []countRow {
	return slices.DeleteFunc(rows, func(r countRow) bool { return r.n == [fields]int64{} })
}

// addHour adds rows to the counts of an hour. It joins them with the last blocks that are
// at most twice as large: so an hour has few blocks, and each row is written only a few
// times, however often rows are added.
func (w *Writer) addHour(hour int64, rows []countRow) error {
	if len(rows) == 0 {
		return nil
	}
	type stored struct{ id, size int64 }
	var blocks []stored
	err := w.each("SELECT id, length(data) FROM counts WHERE id >= ? AND id < ? ORDER BY id", func(r *sql.Rows) error {
		var b stored
		err := r.Scan(&b.id, &b.size)
		blocks = append(blocks, b)
		return err
	}, hour*blocksPerHour, (hour+1)*blocksPerHour)
	if err != nil {
		return err
	}
	id, data := hour*blocksPerHour, appendCounts(nil, rows)
	for i := len(blocks) - 1; i >= 0; i-- {
		if id = blocks[i].id + 1; blocks[i].size > 2*int64(len(data)) && id < (hour+1)*blocksPerHour {
			break
		}
		id = blocks[i].id
		if rows, err = w.countsOf(rows, "counts", id, id); err != nil {
			return err
		}
		rows = foldRows(rows)
		data = appendCounts(data[:0], rows)
		w.sink.exec("DELETE FROM counts WHERE id = ?", id)
		w.noteDeleted(fleet.Counts, id)
	}
	w.sink.exec("INSERT INTO counts VALUES (?,?)", id, data)
	w.note(fleet.Counts, id)
	w.dropSums((hour - mod(hour, 24)) / 24)
	return nil
}

// countsOf appends the rows of the blocks from a first to a last id in a table of counts.
func (w *Writer) countsOf(rows []countRow, table string, first, last int64) ([]countRow, error) {
	err := w.each("SELECT data FROM "+table+" WHERE id BETWEEN ? AND ?", func(r *sql.Rows) error {
		var data sql.RawBytes
		err := r.Scan(&data)
		if err == nil {
			err = w.countBlock.decode(data)
		}
		if err == nil {
			rows = appendCountRows(rows, &w.countBlock)
		}
		return err
	}, first, last)
	return rows, err
}

// foldRows adds up rows with the same key.
func foldRows(rows []countRow) []countRow {
	slices.SortFunc(rows, func(a, b countRow) int { return a.compare(&b) })
	n := 0
	for i := range rows {
		if n > 0 && rows[n-1].compare(&rows[i]) == 0 {
			for f, v := range rows[i].n {
				rows[n-1].n[f] += v
			}
			continue
		}
		rows[n] = rows[i]
		n++
	}
	return withoutZeros(rows[:n])
}

func appendCounts(dst []byte, rows []countRow) []byte {
	p := newPacking(len(rows), countFields+fields)
	p.add(func(i int) int64 { return rows[i].series })
	p.add(func(i int) int64 { return rows[i].cause })
	p.add(func(i int) int64 { return rows[i].minute })
	for f := range fields {
		p.add(func(i int) int64 { return rows[i].n[f] })
	}
	return p.end(dst)
}

func appendCountRows(rows []countRow, b *block) []countRow {
	rows = slices.Grow(rows, b.rows)
	for i := range b.rows {
		r := countRow{series: b.at(countSeries, i), cause: b.at(countCause, i), minute: b.at(countMinute, i)}
		for f := range r.n {
			r.n[f] = b.at(countFields+f, i)
		}
		rows = append(rows, r)
	}
	return rows
}

// daysToAdd returns the days before the last counted one some of whose sums are missing.
func (w *Writer) daysToAdd() (days []int64, err error) {
	err = w.each(`SELECT day FROM (SELECT DISTINCT id / ?1 AS day FROM counts WHERE id < (SELECT max(id) / ?1 * ?1 FROM counts) AND id >= 0)
		WHERE day NOT IN (SELECT day FROM days WHERE day IN (SELECT first / 24 FROM segments WHERE kind = ?2) AND `+withTotals+` AND `+withHours+`) ORDER BY day`, func(r *sql.Rows) error {
		var day int64
		err := r.Scan(&day)
		days = append(days, day)
		return err
	}, blocksPerHour*24, segmentQuarters)
	return days, err
}

// addends hold the sums of a day that is being added up, and what they need of the
// series.
type addends struct {
	*quarterSums
	hours *hourSums
}

func (w *Writer) newAddends() (*addends, error) {
	q, err := w.newQuarterSums()
	if err != nil {
		return nil, err
	}
	return &addends{q, newHourSums(q.series)}, nil
}

// countsWithin returns the number of counts in some blocks.
func (w *Writer) countsWithin(first, end int64) (n int, err error) {
	err = w.each("SELECT substr(data, 2, 10) FROM counts WHERE id >= ? AND id < ?", func(r *sql.Rows) error {
		var head sql.RawBytes
		err := r.Scan(&head)
		rows, _ := binary.Uvarint(head)
		n += int(rows)
		return err
	}, first, end)
	return n, err
}

// addDay writes the sums of a day.
func (w *Writer) addDay(day int64, to *addends) error {
	sums, hour := newDaySums(w.lastID["series"]), day*24
	first, end := day*24*blocksPerHour, (day+1)*24*blocksPerHour
	counts, err := w.countsWithin(first, end)
	if err != nil {
		return err
	}
	to.hours.reset(counts)
	fill := func(until int64) {
		for ; hour < until; hour++ {
			w.putQuarters(hour, to.quarterSums)
			to.hours.end(hour - day*24)
		}
	}
	var b block
	err = w.each("SELECT id, data FROM counts WHERE id >= ? AND id < ? ORDER BY id", func(r *sql.Rows) error {
		var id int64
		var data sql.RawBytes
		if err := r.Scan(&id, &data); err != nil {
			return err
		}
		if err := b.decode(data); err != nil {
			return err
		}
		fill(floorDiv(id, blocksPerHour))
		to.add(&b)
		to.hours.add(&b)
		sums.add(&b)
		return nil
	}, first, end)
	if err == nil {
		fill(day*24 + 24)
		rows := foldRows(sums.rows)
		w.sink.exec("INSERT OR REPLACE INTO days VALUES (?,?)", day, appendCounts(nil, rows))
		w.putTotals(day, rows, to.series)
		w.putHours(day, to.hours)
	}
	return err
}

// daySums adds up the rows of a day by series and cause. Most rows have no cause, and are
// found by their series alone.
type daySums struct {
	of   []int32            // place in rows by series, plus 1
	more map[[2]int64]int32 // place in rows of the others, by series and cause
	rows []countRow
}

func newDaySums(series int64) *daySums {
	return &daySums{of: make([]int32, series+1), more: map[[2]int64]int32{}}
}

// row returns the row of a series and a cause, valid until the next call.
func (d *daySums) row(series, cause int64) *countRow {
	if cause == 0 && uint64(series) < uint64(len(d.of)) {
		if d.of[series] == 0 {
			d.rows = append(doubled(d.rows), countRow{series: series})
			d.of[series] = int32(len(d.rows))
		}
		return &d.rows[d.of[series]-1]
	}
	i, ok := d.more[[2]int64{series, cause}]
	if !ok {
		i = int32(len(d.rows))
		d.rows, d.more[[2]int64{series, cause}] = append(d.rows, countRow{series: series, cause: cause}), i
	}
	return &d.rows[i]
}

func (d *daySums) add(b *block) {
	for i := range b.rows {
		r := d.row(b.at(countSeries, i), b.at(countCause, i))
		for f := range r.n {
			r.n[f] += b.at(countFields+f, i)
		}
	}
}
