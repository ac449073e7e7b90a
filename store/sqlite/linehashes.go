package sqlite

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"slices"

	"mailfail/store"
)

// Log returns the id of a log. It stores a log that is new.
func (w *Writer) Log(name string) (int64, error) { return w.Name([]byte(name)) }

// Coverage returns the logs that hold lines of a host.
func (w *Writer) Coverage(host []byte) (logs []store.Coverage, err error) {
	id, err := w.Name(host)
	if err != nil {
		return nil, err
	}
	err = w.each("SELECT log, first, last FROM coverage WHERE host = ?", func(rows *sql.Rows) error {
		var c store.Coverage
		err := rows.Scan(&c.Log, &c.First, &c.Last)
		logs = append(logs, c)
		return err
	}, id)
	return logs, w.db.explain("read", err)
}

// Cover stores that a log holds lines of a host, from a first to a last minute.
func (w *Writer) Cover(host []byte, c store.Coverage) error {
	id, err := w.Name(host)
	if err == nil {
		w.sink.exec("INSERT OR REPLACE INTO coverage VALUES (?,?,?,?)", id, c.Log, c.First, c.Last)
	}
	return err
}

// LineHashes returns the hashes of the lines of a minute in a log.
func (w *Writer) LineHashes(log, minute int64) (hashes []uint32, err error) {
	w.flushLineHashes()
	err = w.each("SELECT part, data FROM line_hashes WHERE log = ? AND minute = ?", func(rows *sql.Rows) error {
		var part int64
		var data sql.RawBytes
		err := rows.Scan(&part, &data)
		if err == nil && part != plainPart {
			hashes, err = decodeSorted(hashes, data)
			return err
		}
		for ; len(data) >= 4; data = data[4:] {
			hashes = append(hashes, binary.LittleEndian.Uint32(data))
		}
		return err
	}, log, minute)
	return hashes, w.db.explain("read", err)
}

// The hashes of the lines of a minute are stored in parts; four parts fill a page.
// plainPart comes from a database before schema 6, and has four bytes a line. The other
// parts hold the lines of one or more batches, each in the form of appendSorted, which
// takes three bytes a line.
const (
	plainPart     = -1
	partLines     = 290 // of one batch, at most
	mostPartBytes = 960
)

// AddLineHashes adds lines to those of a minute in a log. It keeps the slice of hashes and
// sorts it later, so the caller must not use it again.
func (w *Writer) AddLineHashes(log, minute int64, hashes []uint32) {
	w.lineHashes = append(w.lineHashes, minuteLines{log, minute, hashes})
}

// minuteLines are lines of a minute in a log.
type minuteLines struct {
	log, minute int64
	hashes      []uint32
}

// linePart is part of the lines of a minute in a log.
type linePart struct {
	log, minute int64
	data        []byte
}

// packLines returns the parts in the order in which the table keeps them, so that SQLite
// fills its pages.
func packLines(lines []minuteLines) (parts []linePart) {
	slices.SortStableFunc(lines, func(a, b minuteLines) int {
		return cmp.Or(cmp.Compare(a.log, b.log), cmp.Compare(a.minute, b.minute))
	})
	var room []uint32
	for _, l := range lines {
		room = slices.Grow(room[:0], len(l.hashes))
		sortHashes(l.hashes, room[:len(l.hashes)])
		for some := range slices.Chunk(l.hashes, partLines) {
			parts = append(parts,
				linePart{l.log, l.minute, appendSorted(make([]byte, 0, mostPartBytes), some)})
		}
	}
	return parts
}

// sortHashes sorts a list byte by byte. There must be room for as many numbers.
func sortHashes(list, room []uint32) {
	if len(list) < 256 {
		slices.Sort(list)
		return
	}
	var counts [4][256]uint32
	for _, v := range list {
		for b := range counts {
			counts[b][byte(v>>(8*b))]++
		}
	}
	for b := range counts { // four times, so list is list again in the end
		next := uint32(0)
		for i, n := range counts[b] {
			counts[b][i], next = next, next+n
		}
		for _, v := range list {
			n := &counts[b][byte(v>>(8*b))]
			room[*n] = v
			*n++
		}
		list, room = room, list
	}
}

// packLineHashes packs the lines that were added. It does so in another goroutine, because
// packing takes a while. The returned function waits for that goroutine and writes the parts.
func (w *Writer) packLineHashes() (write func()) {
	lines, packed := w.lineHashes, make(chan []linePart, 1)
	w.lineHashes = nil
	go func() { packed <- packLines(lines) }()
	return func() {
		for _, p := range <-packed {
			w.sink.exec(`INSERT INTO line_hashes SELECT ?1, ?2, IFNULL((SELECT max(part) + (length(data) > ?4) FROM line_hashes
				WHERE log = ?1 AND minute = ?2 AND part >= 0), 0), ?3 WHERE true
				ON CONFLICT (log, minute, part) DO UPDATE SET data = CAST(data || excluded.data AS BLOB)`, p.log, p.minute, p.data, mostPartBytes-len(p.data))
		}
	}
}

func (w *Writer) flushLineHashes() { w.packLineHashes()() }

// Hashes of lines are kept for a month, as logs are, but at most maxLineHashes: of more,
// the oldest are removed.
const (
	lineHashMinutes = 32 * minutesPerDay
	maxLineHashes   = 12_000_000
)

// ForgetLineHashes removes the hashes of lines that no other log is expected to contain any
// more: lines older than a month, or followed by more than maxLineHashes others.
func (w *Writer) ForgetLineHashes() error {
	w.flushLines()
	w.flushLineHashes()
	oldest, _, err := w.find(`SELECT coalesce(min(minute), 0) FROM (
		SELECT minute, sum(understood) OVER (ORDER BY minute DESC) AS n FROM lines
		WHERE minute > min((SELECT max(minute) FROM lines), unixepoch() / 60) - ?) WHERE n < ?`, lineHashMinutes, maxLineHashes)
	if err != nil {
		return w.db.explain("read", err)
	}
	w.sink.exec("DELETE FROM line_hashes WHERE log IN (SELECT log FROM coverage) AND minute < ?", oldest)
	w.sink.exec("DELETE FROM coverage WHERE last < ?", oldest)
	return nil
}
