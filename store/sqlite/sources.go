package sqlite

import (
	"bytes"
	"database/sql"
	"mailfail/store"
	"time"
)

const sourceColumns = "id, fingerprint, fingerprint_len, offset, line, family, path, device, inode, " +
	"size, modified, state"

// PutSource stores how far a source was read, and sets its ID if it is new.
func (w *Writer) PutSource(s *store.Source) {
	var modified int64
	if !s.ModTime.IsZero() {
		modified = s.ModTime.UnixNano()
	}
	state := s.State
	if state == nil {
		state = []byte{}
	}
	if s.ID == 0 {
		s.ID = w.nextID("sources")
	}
	w.sink.exec("INSERT OR REPLACE INTO sources ("+sourceColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
		s.ID, bytes.Clone(s.Fingerprint[:]), s.FingerprintLen, s.Offset, s.Line, store.Clean(s.Family),
		store.Clean(s.Path), int64(s.Device), int64(s.Inode), s.Size, modified, bytes.Clone(state))
}

// SourceOffset returns how far the source with an id was read, -1 if it is
// unknown.
func (w *Writer) SourceOffset(id int64) (int64, error) {
	offset, ok, err := w.find("SELECT offset FROM sources WHERE id = ?", id)
	if !ok {
		offset = -1
	}
	return offset, w.db.explain("read", err)
}

// FingerprintLengths returns the distinct lengths of all fingerprints.
func (w *Writer) FingerprintLengths() ([]int64, error) {
	var lengths []int64
	err := w.each("SELECT DISTINCT fingerprint_len FROM sources ORDER BY 1", func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		lengths = append(lengths, n)
		return err
	})
	return lengths, w.db.explain("read", err)
}

// SourcesByFingerprint returns the sources with a fingerprint.
func (w *Writer) SourcesByFingerprint(fingerprint [16]byte, length int64) ([]store.Source, error) {
	return w.sources("fingerprint_len = ? AND fingerprint = ? ORDER BY id", length, fingerprint[:])
}

// SourcesByInode returns the sources last seen in a file.
func (w *Writer) SourcesByInode(device, inode uint64) ([]store.Source, error) {
	return w.sources("inode = ? AND device = ? ORDER BY id", int64(inode), int64(device))
}

// SourcesByFamily returns the newest source of a family, or none.
func (w *Writer) SourcesByFamily(family string) ([]store.Source, error) {
	return w.sources("family = ? ORDER BY id DESC LIMIT 1", store.Clean(family))
}

func (w *Writer) sources(where string, args ...any) (found []store.Source, err error) {
	err = w.each("SELECT "+sourceColumns+" FROM sources WHERE "+where, func(rows *sql.Rows) error {
		s, err := scanSource(rows)
		found = append(found, s)
		return err
	}, args...)
	return found, w.db.explain("read", err)
}

func scanSource(rows *sql.Rows) (s store.Source, err error) {
	var fingerprint []byte
	var device, inode, modified int64
	err = rows.Scan(&s.ID, &fingerprint, &s.FingerprintLen, &s.Offset, &s.Line, &s.Family, &s.Path, &device,
		&inode, &s.Size, &modified, &s.State)
	copy(s.Fingerprint[:], fingerprint)
	s.Device, s.Inode = uint64(device), uint64(inode)
	if modified != 0 {
		s.ModTime = time.Unix(0, modified)
	}
	return s, err
}

// Meta returns the value that PutMeta stored under a name, "" if there is none.
func (w *Writer) Meta(name string) (value string, err error) {
	err = w.each("SELECT value FROM meta WHERE name = ?", func(rows *sql.Rows) error { return rows.Scan(&value) }, store.Clean(name))
	return value, w.db.explain("read", err)
}

// PutMeta stores a value under a name.
func (w *Writer) PutMeta(name, value string) {
	w.sink.exec("INSERT OR REPLACE INTO meta VALUES (?,?)", store.Clean(name), store.Clean(value))
}

// LastSource returns the id of the newest source, 0 when there is none.
func (w *Writer) LastSource() (int64, error) {
	id, _, err := w.find("SELECT coalesce(max(id), 0) FROM sources")
	return id, w.db.explain("read", err)
}
