package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// resume looks up the position of the source, and continues where reading ended.
func (r *Reader) resume(ctx context.Context, positions Positions) error {
	p, err := r.find(ctx, positions)
	if err != nil {
		return fmt.Errorf("look up what is known of %s: %w", r.path, err)
	}
	here := Position{Size: -1, ModTime: r.modified}
	if r.info != nil {
		here.Path = realPath(r.path)
		here.Device, here.Inode = inode(r.info)
	}
	if p.ID == 0 {
		r.pos = here
		r.startAt(0)
		return nil
	}
	r.copied = r.info == nil || !samePlace(p, here) && stillThere(p)
	r.pos = p
	if !r.copied {
		r.pos.Path, r.pos.Device, r.pos.Inode = here.Path, here.Device, here.Inode
		r.pos.Size, r.pos.ModTime = here.Size, here.ModTime
	}
	if offset := p.Offset; r.stream == nil && r.size < offset {
		return r.shrunk(samePlace(p, here) && p.Size > r.size)
	}
	r.startAt(p.Offset)
	return nil
}

// shrunk is called for a file that is shorter than the part of it that was read. If cut
// is set, the file was larger and was truncated: everything appended later is new.
// Otherwise it is a copy, old or still being made, and all its content is known.
func (r *Reader) shrunk(cut bool) error {
	if cut {
		r.startAt(r.size)
		return nil
	}
	r.startAt(r.pos.Offset)
	r.stale, r.err = true, io.EOF
	return nil
}

func samePlace(p, q Position) bool {
	return p.Inode != 0 && p.Inode == q.Inode && p.Device == q.Device
}

// stillThere reports whether the file in which p was seen is still there, under
// the same name.
func stillThere(p Position) bool {
	info, err := os.Stat(p.Path)
	if err != nil {
		return false
	}
	device, number := inode(info)
	return number != 0 && device == p.Device && number == p.Inode
}

// find returns the position of the source, or one without ID. If several match, it
// returns one with the longest fingerprint, which has most in common with the source, and
// of these the one with the highest offset.
func (r *Reader) find(ctx context.Context, positions Positions) (best Position, err error) {
	lengths, err := positions.FingerprintLengths(ctx)
	if err != nil {
		return best, err
	}
	for _, n := range lengths {
		if n <= 0 || n > int64(len(r.head)) || n < best.FingerprintLen {
			continue
		}
		candidates, err := positions.ByFingerprint(ctx, fingerprint(r.head[:n]), n)
		if err != nil {
			return best, err
		}
		for _, p := range candidates {
			if (n > best.FingerprintLen || p.Offset > best.Offset) && r.continues(p) {
				best = p
			}
		}
	}
	return best, nil
}

// continues reports whether this source is the one of p, when only a short beginning of
// that is known. Logs may begin alike: Exchange's with the same header line, others with
// a line of the rotation. As long as the other file exists, the two can be compared.
func (r *Reader) continues(p Position) bool {
	if p.FingerprintLen >= FingerprintSize || r.info == nil {
		return true
	}
	if device, number := inode(r.info); number == p.Inode && device == p.Device {
		return true
	}
	if p.Inode == 0 || !stillThere(p) {
		return true
	}
	other, err := openFile(p.Path)
	if err != nil {
		return true
	}
	defer other.Close()
	n := int64(len(other.head))
	if n < p.FingerprintLen || fingerprint(other.head[:p.FingerprintLen]) != p.Fingerprint {
		return true // the other one was truncated
	}
	n = min(n, int64(len(r.head)))
	return bytes.Equal(other.head[:n], r.head[:n])
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// realPath returns the path without links: the target may still be found there after a
// link was switched.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return absolute(path)
}
