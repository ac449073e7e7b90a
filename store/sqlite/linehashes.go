package sqlite

import (
	"database/sql"
	"encoding/binary"

	"mailfail/store"
)

// Log returns the id of a log, which is new if need be.
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

// Cover notes that a log holds lines of a host.
func (w *Writer) Cover(host []byte, c store.Coverage) error {
	id, err := w.Name(host)
	if err == nil {
		w.sink.exec("INSERT OR REPLACE INTO coverage VALUES (?,?,?,?)", id, c.Log, c.First, c.Last)
	}
	return err
}

// LineHashes returns the lines of a minute in a log.
func (w *Writer) LineHashes(log, minute int64) (hashes []uint32, err error) {
	err = w.each("SELECT data FROM line_hashes WHERE log = ? AND minute = ?", func(rows *sql.Rows) error {
		var data sql.RawBytes
		err := rows.Scan(&data)
		for ; len(data) >= 4; data = data[4:] {
			hashes = append(hashes, binary.LittleEndian.Uint32(data))
		}
		return err
	}, log, minute)
	return hashes, w.db.explain("read", err)
}

// AddLineHashes adds lines to those of a minute in a log.
func (w *Writer) AddLineHashes(log, minute int64, hashes []uint32) {
	data := make([]byte, 0, 4*len(hashes))
	for _, h := range hashes {
		data = binary.LittleEndian.AppendUint32(data, h)
	}
	w.sink.exec(`INSERT INTO line_hashes VALUES (?,?,?)
		ON CONFLICT (log, minute) DO UPDATE SET data = CAST(data || excluded.data AS BLOB)`, log, minute, data)
}

// Lines are kept for a month, as logs are, but not more than maxLineHashes: beyond
// them the oldest go.
const (
	lineHashMinutes = 32 * minutesPerDay
	maxLineHashes   = 12_000_000
)

// ForgetLineHashes removes the lines of which no other log is expected any more.
func (w *Writer) ForgetLineHashes() error {
	w.flushLines()
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
