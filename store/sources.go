package store

import (
	"context"
	"database/sql"
	"time"
)

// Source is a row of the table sources. It has the fields of source.Position,
// which says what they mean.
type Source struct {
	ID             int64
	Fingerprint    [16]byte
	FingerprintLen int64
	Offset         int64
	Line           int64
	Family         string
	Path           string
	Device         uint64
	Inode          uint64
	Size           int64
	ModTime        time.Time
	State          []byte
}

const sourceColumns = "id, fingerprint, fingerprint_len, offset, line, family, path, device, inode, size, modified, state"

// PutSource stores how far a source was read, and sets its ID if it is new.
func (w *Writer) PutSource(s *Source) error {
	var modified int64
	if !s.ModTime.IsZero() {
		modified = s.ModTime.UnixNano()
	}
	state := s.State
	if state == nil {
		state = []byte{}
	}
	id, err := w.insert("INSERT OR REPLACE INTO sources ("+sourceColumns+") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
		nullable(s.ID, s.ID != 0), s.Fingerprint[:], s.FingerprintLen, s.Offset, s.Line, Clean(s.Family), Clean(s.Path),
		int64(s.Device), int64(s.Inode), s.Size, modified, state)
	if err != nil {
		return w.db.explain("write to", err)
	}
	s.ID = id
	return nil
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
func (w *Writer) FingerprintLengths(ctx context.Context) ([]int64, error) {
	rows, err := w.conn.QueryContext(ctx, "SELECT DISTINCT fingerprint_len FROM sources ORDER BY 1")
	if err != nil {
		return nil, w.db.explain("read", err)
	}
	defer rows.Close()
	var lengths []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, w.db.explain("read", err)
		}
		lengths = append(lengths, n)
	}
	return lengths, w.db.explain("read", rows.Err())
}

// SourcesByFingerprint returns the sources with a fingerprint.
func (w *Writer) SourcesByFingerprint(ctx context.Context, fingerprint [16]byte, length int64) ([]Source, error) {
	return w.sources(ctx, "fingerprint_len = ? AND fingerprint = ? ORDER BY id", length, fingerprint[:])
}

// SourcesByInode returns the sources last seen in a file.
func (w *Writer) SourcesByInode(ctx context.Context, device, inode uint64) ([]Source, error) {
	return w.sources(ctx, "inode = ? AND device = ? ORDER BY id", int64(inode), int64(device))
}

// SourcesByFamily returns the newest source of a family, or none.
func (w *Writer) SourcesByFamily(ctx context.Context, family string) ([]Source, error) {
	return w.sources(ctx, "family = ? ORDER BY id DESC LIMIT 1", Clean(family))
}

func (w *Writer) sources(ctx context.Context, where string, args ...any) ([]Source, error) {
	rows, err := w.conn.QueryContext(ctx, "SELECT "+sourceColumns+" FROM sources WHERE "+where, args...)
	if err != nil {
		return nil, w.db.explain("read", err)
	}
	defer rows.Close()
	var found []Source
	for rows.Next() {
		s, err := scanSource(rows)
		if err != nil {
			return nil, w.db.explain("read", err)
		}
		found = append(found, s)
	}
	return found, w.db.explain("read", rows.Err())
}

func scanSource(rows *sql.Rows) (s Source, err error) {
	var fingerprint []byte
	var device, inode, modified int64
	err = rows.Scan(&s.ID, &fingerprint, &s.FingerprintLen, &s.Offset, &s.Line, &s.Family, &s.Path, &device, &inode, &s.Size, &modified, &s.State)
	copy(s.Fingerprint[:], fingerprint)
	s.Device, s.Inode = uint64(device), uint64(inode)
	if modified != 0 {
		s.ModTime = time.Unix(0, modified)
	}
	return s, err
}
