package sqlite

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"mailfail/store"
)

// Entries find messages and rejections by their ids and addresses. A few entries are stored
// as rows of the table lookup, many in blocks of lookup_blocks. In a block an entry takes
// four bytes instead of fifteen, and very little time. The blocks of a day form runs; within
// a run the hashes rise. Entries that are added to a day are joined with all runs that are
// not larger: so a day has few runs, and each entry is written only a few times.

// lookupEntry is a row of the table lookup, or part of a block. ref is 2 * id of a message,
// or 2 * id + 1 of a rejection.
type lookupEntry struct {
	ref       int64
	day, hash int32
}

// lookupHash returns the hash by which an id or an address is found.
func lookupHash(s string) int32 { return int32(hash64(s)) }

// dayOf returns the day, in UTC and counted from 1970, of a time in microseconds.
func dayOf(time int64) int64 {
	m := store.Minute(time)
	return (m - mod(m, minutesPerDay)) / minutesPerDay
}

// findMessage adds an entry that finds a message by s, an id or an address. The time is in
// microseconds.
func (w *Writer) findMessage(s string, time, id int64) {
	if s != "" {
		w.lookups = append(doubled(w.lookups), lookupEntry{2 * id, int32(dayOf(time)), lookupHash(s)})
	}
}

func (w *Writer) findRejection(s string, time, id int64) {
	if s != "" {
		w.lookups = append(doubled(w.lookups), lookupEntry{2*id + 1, int32(dayOf(time)), lookupHash(s)})
	}
}

// flushLookups writes the entries in the order of their keys, which saves SQLite most of
// the work.
func (w *Writer) flushLookups() error {
	entries := w.sorting.inOrder(w.lookups)
	w.lookups = emptied(w.lookups)
	if len(entries) >= lookupMin {
		return w.packLookups(entries)
	}
	for _, l := range entries {
		w.sink.exec("INSERT OR IGNORE INTO lookup VALUES (?,?,?)", l.day, int64(l.hash), l.ref)
	}
	return nil
}

func (e *lookupEntry) compare(o *lookupEntry) int {
	return cmp.Or(cmp.Compare(e.day, o.day), cmp.Compare(e.hash, o.hash), cmp.Compare(e.ref, o.ref))
}

// inOrder returns the entries, once each, by day, hash and reference.
func (s *sorting) inOrder(entries []lookupEntry) []lookupEntry {
	list := s.of(len(entries))
	for i := range entries {
		list[i].key = uint64(uint32(entries[i].day)^1<<31)<<32 | uint64(uint32(entries[i].hash)^1<<31)
	}
	sorted := make([]lookupEntry, len(entries))
	list = s.sort()
	for i, k := range list {
		sorted[i] = entries[k.at]
	}
	for i := 0; i < len(list); { // most hashes are there a few times
		n := i + 1
		for n < len(list) && list[n].key == list[i].key {
			n++
		}
		if n > i+1 {
			slices.SortFunc(sorted[i:n], func(a, b lookupEntry) int { return cmp.Compare(a.ref, b.ref) })
		}
		i = n
	}
	return slices.Compact(sorted)
}

const (
	lookupLevels = 16     // lookup_blocks.run is day * lookupLevels + level
	lookupMax    = 65_536 // rows that become blocks in one transaction
	lookupBits   = 7_200  // of a block, about: four blocks fill a page
)

// lookupMin is how many entries are needed to write blocks instead of rows.
var lookupMin = 1_024

// lookupLevel returns the level of a run of n entries, which is its number within the day.
func lookupLevel(n int) int64 { return min(int64(bits.Len(uint(n/lookupMin)))/2, lookupLevels-1) }

// packLookups writes entries, which must be in order, as blocks, day by day.
func (w *Writer) packLookups(entries []lookupEntry) error {
	for len(entries) > 0 {
		day, n := entries[0].day, 1
		for n < len(entries) && entries[n].day == day {
			n++
		}
		if err := w.addRun(int64(day), entries[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// addRun adds entries, which must be in order, to the runs of a day.
func (w *Writer) addRun(day int64, entries []lookupEntry) error {
	n, level := len(entries), lookupLevel(len(entries))
	runs := []*lookupRun{{entries: entries}}
	for from := int64(0); ; {
		run, ok, err := w.find("SELECT run FROM lookup_blocks WHERE run BETWEEN ? AND ? ORDER BY run LIMIT 1", day*lookupLevels+from, day*lookupLevels+level)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		size, err := w.runSize(run)
		if err != nil {
			return err
		}
		runs = append(runs, &lookupRun{w: w, day: day, run: run, more: true, last: math.MinInt64})
		n += size
		level, from = lookupLevel(n), run-day*lookupLevels+1
	}
	return w.joinRuns(day*lookupLevels+level, runs)
}

// runSize returns how many entries a run has.
func (w *Writer) runSize(run int64) (n int, err error) {
	err = w.each("SELECT substr(data, 1, 10) FROM lookup_blocks WHERE run = ?", func(r *sql.Rows) error {
		var head sql.RawBytes
		err := r.Scan(&head)
		size, _ := binary.Uvarint(head)
		n += int(size)
		return err
	}, run)
	return n, err
}

// lookupRun is a run that is joined with others. A stored run is read some blocks at a
// time, and these are deleted from the database.
type lookupRun struct {
	entries []lookupEntry // the next ones
	w       *Writer
	day     int64
	run     int64
	more    bool  // there may be more in the database
	last    int64 // hash of the last entry that was read
	buffer  []lookupEntry
}

// Tests make these smaller.
var (
	runBlocks = 64      // of each run that are in memory at a time
	runChunk  = 1 << 16 // entries that are written at a time
)

// fill reads the next blocks when no entries of the last ones are left. joinRuns may have
// written blocks under the number of this run in the meantime: their hashes are not greater
// than last, so fill does not read them.
func (r *lookupRun) fill() error {
	if len(r.entries) > 0 || !r.more {
		return nil
	}
	r.entries = r.buffer[:0]
	blocks, from, to := 0, int64(0), int64(0)
	err := r.w.each("SELECT first, data FROM lookup_blocks WHERE run = ? AND first > ? ORDER BY first LIMIT ?", func(rows *sql.Rows) (err error) {
		r.entries, to, err = scanLookups(rows, r.day, r.entries)
		if blocks == 0 {
			from = to
		}
		blocks++
		return err
	}, r.run, r.last, runBlocks)
	if err != nil || len(r.entries) == 0 {
		r.more = false
		return err
	}
	r.buffer, r.more = r.entries, blocks == runBlocks
	r.last = int64(r.entries[len(r.entries)-1].hash)
	r.w.sink.exec("DELETE FROM lookup_blocks WHERE run = ? AND first BETWEEN ? AND ?", r.run, from, to)
	return nil
}

// joinRuns joins runs into one, whose number may be that of one of them. Only some entries
// are in memory at a time, because a day may have millions.
func (w *Writer) joinRuns(run int64, runs []*lookupRun) error {
	var chunk []lookupEntry
	for {
		var next *lookupRun
		for _, r := range runs {
			if err := r.fill(); err != nil {
				return err
			}
			if len(r.entries) > 0 && (next == nil || r.entries[0].compare(&next.entries[0]) < 0) {
				next = r
			}
		}
		if next == nil {
			break
		}
		e := next.entries[0]
		next.entries = next.entries[1:]
		if n := len(chunk); n > 0 && chunk[n-1] == e {
			continue
		}
		if n := len(chunk); n >= runChunk && chunk[n-1].hash != e.hash {
			w.putRun(run, chunk)
			chunk = chunk[:0]
		}
		chunk = append(chunk, e)
	}
	w.putRun(run, chunk)
	return nil
}

// putRun writes blocks of a run. All entries with the same hash are in the same block.
func (w *Writer) putRun(run int64, entries []lookupEntry) {
	if len(entries) == 0 {
		return
	}
	size := max(1, lookupBits/lookupShape(entries[0].hash, entries).bits())
	for len(entries) > 0 {
		n := min(size, len(entries))
		for n < len(entries) && entries[n].hash == entries[n-1].hash {
			n++
		}
		w.sink.exec("INSERT INTO lookup_blocks VALUES (?,?,?)", run, int64(entries[0].hash), appendLookups(nil, entries[0].hash, entries[:n]))
		entries = entries[n:]
	}
}

// lookupForm describes how the entries of a block are encoded: gap is the k of rice for the
// gaps between hashes, and ref is how many bits a reference takes. base is the smallest
// reference, and is subtracted from all.
type lookupForm struct {
	gap, ref uint
	base     int64
}

// bits returns about how many bits an entry takes.
func (f lookupForm) bits() int { return int(f.gap + 2 + f.ref) }

// lookupShape returns the form for entries. The gap of the first one begins at the hash
// first.
func lookupShape(first int32, entries []lookupEntry) lookupForm {
	low, high := entries[0].ref, entries[0].ref
	for i := range entries {
		low, high = min(low, entries[i].ref), max(high, entries[i].ref)
	}
	span := int64(entries[len(entries)-1].hash) - int64(first)
	return lookupForm{riceBits(uint64(span), len(entries)), uint(bits.Len64(uint64(high - low))), low}
}

// appendLookups appends the data of a block: the number of entries, their form, and for each
// entry the gap since the hash before and the reference. The first gap begins at the hash
// first.
func appendLookups(dst []byte, first int32, entries []lookupEntry) []byte {
	form, last := lookupShape(first, entries), int64(first)
	dst = append(binary.AppendUvarint(dst, uint64(len(entries))), byte(form.gap), byte(form.ref))
	w := bitWriter{b: binary.AppendUvarint(dst, uint64(form.base))}
	for i := range entries {
		e := &entries[i]
		w.rice(uint64(int64(e.hash)-last), form.gap)
		v := uint64(e.ref - form.base)
		w.put(v, min(form.ref, 32))
		w.put(v>>32, form.ref-min(form.ref, 32))
		last = int64(e.hash)
	}
	return w.end()
}

// decodeLookups appends the entries of a block to dst. It returns errBlock for damaged data.
func decodeLookups(dst []lookupEntry, day, first int64, data []byte) ([]lookupEntry, error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || len(data) < size+2 || n > uint64(8*len(data)) || data[size] > 32 || data[size+1] > 63 {
		return dst, errBlock
	}
	gap, ref := uint(data[size]), uint(data[size+1])
	base, more := binary.Uvarint(data[size+2:])
	if more <= 0 {
		return dst, errBlock
	}
	if r := int(n); cap(dst)-len(dst) < r {
		dst = slices.Grow(dst, max(r, len(dst)))
	}
	r := bitReader{b: data[size+2+more:]}
	for hash := first; n > 0; n-- {
		hash += int64(r.rice(gap))
		v := r.take(min(ref, 32))
		v |= r.take(ref-min(ref, 32)) << 32
		dst = append(dst, lookupEntry{int64(base + v), int32(day), int32(hash)})
	}
	if r.missing {
		return dst, errBlock
	}
	return dst, nil
}

// scanLookups reads a row with the columns first and data. It appends the entries in data,
// and returns first.
func scanLookups(r *sql.Rows, day int64, to []lookupEntry) ([]lookupEntry, int64, error) {
	var first int64
	var data sql.RawBytes
	err := r.Scan(&first, &data)
	if err == nil {
		to, err = decodeLookups(to, day, first, data)
	}
	return to, first, err
}

// packRows moves rows of lookup into blocks when there are at least lookupMin, and reports
// whether there may be more.
func (w *Writer) packRows() (more bool, err error) {
	n, _, err := w.find("SELECT count(*) FROM (SELECT 1 FROM lookup LIMIT ?)", lookupMin)
	if err != nil || n < int64(lookupMin) {
		return false, err
	}
	var entries []lookupEntry
	err = w.each("SELECT day, hash, ref FROM lookup ORDER BY day, hash, ref LIMIT ?", func(r *sql.Rows) error {
		var e lookupEntry
		err := r.Scan(&e.day, &e.hash, &e.ref)
		entries = append(entries, e)
		return err
	}, lookupMax)
	if err != nil {
		return false, err
	}
	last := entries[len(entries)-1]
	w.sink.exec("DELETE FROM lookup WHERE day < ?1 OR day = ?1 AND (hash, ref) <= (?2, ?3)", last.day, int64(last.hash), last.ref)
	return len(entries) == lookupMax, w.packLookups(entries)
}

// lookupRange is a range of hashes, low to high, and of days, since to until, ends included.
type lookupRange struct{ low, high, since, until int64 }

// allDays returns a range of hashes on any day.
func allDays(low, high int64) lookupRange { return lookupRange{low, high, -1 << 40, 1 << 40} }

// findLookups returns for each range the references of its entries, in order and once each.
// The argument each runs a query and calls row for its rows.
func findLookups(each func(query string, args []any, row func(*sql.Rows) error) error,
	ranges []lookupRange) ([][]int64, error) {
	if len(ranges) == 0 {
		return nil, nil
	}
	since, until := ranges[0].since, ranges[0].until
	hashes := make([][2]int64, len(ranges))
	for i, r := range ranges {
		since, until, hashes[i] = min(since, r.since), max(until, r.until), [2]int64{r.low, r.high}
	}
	found := make([][]int64, len(ranges))
	add := func(i int, e lookupEntry) {
		if r := &ranges[i]; int64(e.day) >= r.since && int64(e.day) <= r.until && int64(e.hash) >= r.low &&
			int64(e.hash) <= r.high {
			found[i] = append(found[i], e.ref)
		}
	}
	err := each(`WITH RECURSIVE days (day) AS (SELECT min(day) FROM lookup WHERE day >= ?1 UNION ALL
			SELECT (SELECT min(day) FROM lookup WHERE day > days.day) FROM days WHERE days.day IS NOT NULL)
		SELECT h.key, l.day, l.hash, l.ref FROM days CROSS JOIN json_each(?3) AS h
		CROSS JOIN lookup AS l ON l.day = days.day AND l.hash BETWEEN h.value ->> 0 AND h.value ->> 1
		WHERE days.day <= ?2`, []any{since, until, list(hashes)}, func(r *sql.Rows) error {
		var i int
		var e lookupEntry
		err := r.Scan(&i, &e.day, &e.hash, &e.ref)
		add(i, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	var entries []lookupEntry
	err = each(`WITH RECURSIVE runs (run) AS (SELECT min(run) FROM lookup_blocks WHERE run >= ?1 UNION ALL
			SELECT (SELECT min(run) FROM lookup_blocks WHERE run > runs.run) FROM runs WHERE runs.run IS NOT NULL)
		SELECT h.key, b.run, b.first, b.data FROM runs CROSS JOIN json_each(?3) AS h
		CROSS JOIN lookup_blocks AS b ON b.run = runs.run AND b.first BETWEEN
			IFNULL((SELECT max(first) FROM lookup_blocks WHERE run = runs.run AND first <= h.value ->> 0), h.value ->> 0) AND h.value ->> 1
		WHERE runs.run <= ?2`, []any{since * lookupLevels, until*lookupLevels + lookupLevels - 1, list(hashes)}, func(r *sql.Rows) error {
		var i int
		var run, first int64
		var data sql.RawBytes
		err := r.Scan(&i, &run, &first, &data)
		if err == nil {
			entries, err = decodeLookups(entries[:0], floorDiv(run, lookupLevels), first, data)
		}
		for _, e := range entries {
			add(i, e)
		}
		return err
	})
	for i := range found {
		slices.Sort(found[i])
		found[i] = slices.Compact(found[i])
	}
	return found, err
}
