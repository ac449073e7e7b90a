package source

import (
	"context"
	"crypto/sha256"
	"time"
)

// FingerprintSize is the number of bytes at the beginning of a source that make up its
// fingerprint. Exchange writes a header of several hundred bytes with the time to the
// millisecond; 1 KiB of syslog contains several lines with times and queue ids.
const FingerprintSize = 1024

// Position is how far a source was read. It is stored in the transaction that stores the
// rows of these lines, so that every line counts once.
//
// A source is known by its content: by the first FingerprintLen of the bytes that were
// consumed. All bytes below Offset were read and must not be read again, under whatever
// name and compression they come back.
type Position struct {
	ID             int64    // of the stored row; 0 for a new one
	Fingerprint    [16]byte // SHA-256, cut, of the first FingerprintLen bytes
	FingerprintLen int64    // FingerprintSize, or Offset while that is less
	Offset         int64    // decompressed bytes consumed
	Line           int64    // lines consumed, for messages

	// Hints: where the content was last seen. They save work and help to find the other
	// generations of a log. They never decide which bytes were read.
	Family  string // the name that all generations share, see Family
	Path    string // absolute
	Device  uint64 // 0 for streams
	Inode   uint64
	Size    int64 // of the file when it was last read to its end, else -1
	ModTime time.Time

	State []byte // of the consumer of the lines; passed from one generation to the next
}

// Known reports whether the source has an identity yet. It has none until something was
// consumed; before that, its position is not worth storing.
func (p *Position) Known() bool { return p.FingerprintLen > 0 }

// Positions finds stored positions. A position must be found as soon as it was stored,
// even if another reader of the same run stored it.
type Positions interface {
	// FingerprintLengths returns the distinct lengths of all fingerprints.
	FingerprintLengths(ctx context.Context) ([]int64, error)
	// ByFingerprint returns the positions with this fingerprint and length.
	ByFingerprint(ctx context.Context, fingerprint [16]byte, length int64) ([]Position, error)
	// ByInode returns the positions last seen in this file.
	ByInode(ctx context.Context, device, inode uint64) ([]Position, error)
	// ByFamily returns the newest position, by ID, of a family, or an empty list.
	ByFamily(ctx context.Context, family string) ([]Position, error)
}

// fingerprint returns the fingerprint of head.
func fingerprint(head []byte) (f [16]byte) {
	sum := sha256.Sum256(head)
	copy(f[:], sum[:])
	return f
}
