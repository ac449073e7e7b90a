package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Read opens the files of the families one after the other, each family from its oldest
// generation to its newest. It leaves out files that are known not to have changed, and
// adds the generations with lines between those that were read before and the named file.
// It closes each Reader when the next one is asked for. A Reader's position must be
// stored before that, see the package documentation. An error concerns one file; the next
// one follows.
func Read(ctx context.Context, families []Family, positions Positions) iter.Seq2[*Reader, error] {
	return func(yield func(*Reader, error) bool) {
		w := walker{ctx: ctx, positions: positions, yield: yield}
		for _, f := range families {
			if !w.family(f) {
				return
			}
		}
	}
}

// walker opens the generations of families.
type walker struct {
	ctx       context.Context
	positions Positions
	yield     func(*Reader, error) bool
	before    *Position       // position of the generation before; nil when there is none
	last      *File           // that generation, if this pass has looked at it
	listed    []File          // all generations, once lookBack has listed them
	tail      *grown          // that generation, if it is a plain file to which more may be written
	moved     bool            // files were renamed during this pass
	visited   []os.FileInfo   // files of the family that this pass has handled, with whatever result
	failed    map[string]bool // paths for which an error was reported

	// Set by a Follower: since is the time from which on all lines are to be read, in
	// whichever file they are; seen reports the files that it has open.
	since time.Time
	seen  func(os.FileInfo) bool
}

// maxPasses bounds how often a family is listed again because its files were
// renamed or truncated while they were read.
const maxPasses = 10

// family reads one family. It returns false when the caller wants no more.
func (w *walker) family(f Family) bool {
	w.before, w.failed = nil, map[string]bool{}
	if f.stream {
		return w.stream(f)
	}
	for pass := range maxPasses {
		w.moved, w.last, w.visited, w.tail, w.listed = false, nil, nil, nil, nil
		files, err := w.files(f, pass)
		if err != nil {
			return w.yield(nil, err)
		}
		last := pass == maxPasses-1
		for _, file := range files {
			if !w.file(f, file, last) {
				return false
			}
			if w.moved && !last {
				break // the next file may not be the next generation any more
			}
		}
		if !w.moved {
			break
		}
	}
	return true
}

// files returns the generations to read in a pass.
func (w *walker) files(f Family, pass int) ([]File, error) {
	if !f.whole {
		// The named files come first: a file that is renamed after that counts as
		// missing.
		named, there := lookedAt(f.Files), generations(f.Name)
		missing, err := w.missing(f)
		files := merge(missing, named)
		for _, other := range there { // files that the user did not ask for
			if other.info != nil && !slices.ContainsFunc(files, func(f File) bool {
				return absolute(f.Path) == other.Path
			}) {
				w.visited = append(w.visited, other.info)
			}
		}
		return files, err
	}
	if pass == 0 {
		return f.Files, nil
	}
	families, _ := listed(func(e *expander) []error {
		e.addGenerations(f.Name)
		return nil
	})
	if len(families) == 0 {
		return nil, nil
	}
	return families[0].Files, nil
}

// stream reads a source that cannot be read twice.
func (w *walker) stream(f Family) bool {
	path, closed := f.Files[0].Path, true
	var in io.ReadCloser = &pipe{path: path}
	if f.Name == Stdin {
		info, err := os.Stdin.Stat()
		in, closed = io.NopCloser(os.Stdin), err != nil || !info.Mode().IsRegular()
	}
	r, err := OpenStream(w.ctx, path, in, closed, w.positions)
	if err != nil {
		return w.yield(nil, err)
	}
	defer r.Close()
	return w.yield(r, nil)
}

// file reads one generation. On the last pass it does so even if another one should come
// first.
func (w *walker) file(family Family, file File, last bool) bool {
	if w.ctx.Err() != nil {
		return false
	}
	r, info, err := w.visit(family, file)
	// The generation that was listed here has moved on. Its lines come before those of
	// the file that is here now.
	renamed := file.info != nil && info != nil && !os.SameFile(file.info, info)
	w.moved = w.moved || renamed
	if err != nil {
		return w.failure(family, file, last, err)
	}
	if r == nil {
		if info != nil {
			w.tail = &grown{file, info, info.Size()}
		}
		return true
	}
	defer r.Close()
	switch {
	case renamed && !last, !file.Given && isBinary(r):
		return true
	case !last && file.key.kind == live && w.overtaken(family):
		w.moved = true
		return true
	}
	return w.turn(r, family, file, last)
}

// visit opens one generation, and notes that this pass has handled it.
func (w *walker) visit(family Family, file File) (*Reader, os.FileInfo, error) {
	info, _ := os.Stat(file.Path)
	r, err := w.open(family.Name, file)
	if r != nil && r.info != nil {
		info = r.info
	}
	if info != nil {
		w.visited = append(w.visited, info)
	}
	return r, info, err
}

// failure handles a generation that could not be opened.
func (w *walker) failure(family Family, file File, last bool, err error) bool {
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case missing && !file.Given:
		if packed, ok := packedForm(family.Name, file); ok {
			return w.file(family, packed, last)
		}
		w.moved = true
		return true
	case errors.Is(err, errForeign) && !file.Given || w.failed[file.Path]:
		return true
	case missing && w.rotatedAway(family, file):
		return true // its lines were read where it is now
	}
	w.failed[file.Path] = true
	return w.yield(nil, err)
}

// turn reads a generation that was opened, after the lines that were added to the one
// before.
func (w *walker) turn(r *Reader, family Family, file File, last bool) bool {
	r.until(r.size)
	if turn, more := w.catchUp(family); !more || !turn && !last {
		return more
	}
	// The content that was just read may be that of r, if it was copied into it.
	if err := w.place(r, family.Name, file); err != nil {
		return w.yield(nil, err)
	}
	more := w.deliver(r, file)
	if r.truncated {
		w.moved = true
	} else if r.err != nil && r.err != io.EOF {
		w.failed[file.Path] = true
	}
	return more
}

// deliver passes a generation to the caller, and notes it as the one before the next.
func (w *walker) deliver(r *Reader, file File) (more bool) {
	more = w.yield(r, nil)
	w.passed(file, &r.pos)
	w.tail = nil
	if r.stream == nil {
		w.tail = &grown{file, r.info, r.next}
	}
	return more
}

// grown is a generation that was read up to a size.
type grown struct {
	file File
	info os.FileInfo
	size int64
}

// catchUp reads on in the generation before the one that was just opened, if it has grown
// meanwhile. turn reports whether the opened one comes next; it does not if the files
// were renamed.
func (w *walker) catchUp(family Family) (turn, more bool) {
	if w.tail == nil {
		return true, true
	}
	info, err := os.Stat(w.tail.file.Path)
	switch {
	case err != nil || !os.SameFile(info, w.tail.info):
		w.moved = true
		return false, true
	case info.Size() == w.tail.size:
		return true, true
	}
	r, err := w.open(family.Name, w.tail.file)
	if err != nil || r == nil {
		return true, true // the next run reads it
	}
	defer r.Close()
	return true, w.deliver(r, w.tail.file)
}

// passed notes a generation as the one before the next.
func (w *walker) passed(file File, p *Position) {
	w.before, w.last = p, &file
}

// inherit gives a new generation the parser state of the one before.
func (w *walker) inherit(r *Reader, family string, file File) error {
	if r.pos.ID != 0 {
		return nil
	}
	if err := w.lookBack(family, file); err != nil {
		return err
	}
	if w.before != nil {
		r.pos.State = w.before.State
	}
	return nil
}

// maxBack bounds how many generations are searched for a known one. Rows and objects that
// were open so long before are over.
const maxBack = 10

// lookBack finds the newest generation before file that another run has read, unless this
// pass has looked at a newer one.
func (w *walker) lookBack(family string, file File) error {
	if w.listed == nil {
		w.listed = generations(family)
	}
	file.Path = absolute(file.Path)
	n, _ := slices.BinarySearchFunc(w.listed, file, compareFiles)
	for _, f := range slices.Backward(w.listed[max(0, n-maxBack):n]) {
		if w.last != nil && (f.key.compare(w.last.key) <= 0 || sameGeneration(f, *w.last)) {
			break // the generation that was read may have been compressed since, or before
		}
		if sameGeneration(f, file) {
			continue
		}
		p, err := w.lookUp(f.Path)
		if err != nil {
			return err
		}
		if p.ID != 0 {
			w.passed(f, &p)
			break
		}
	}
	return nil
}

// rotatedAway reports whether a missing log was read before: then its writer will create
// it again.
func (w *walker) rotatedAway(family Family, file File) bool {
	if file.key != (generation{kind: live}) || !betweenRotations(file.Path) {
		return false
	}
	last, err := w.positions.ByFamily(w.ctx, family.Name)
	return err == nil && len(last) > 0
}

// overtaken reports whether the log was rotated after its generations were listed and
// before the live file was opened. Then there is a generation that comes before the
// content of the live file and has not been read.
func (w *walker) overtaken(f Family) bool {
	files := generations(f.Name)
	for i, file := range files {
		if file.key.kind == live || i > 0 && file.key.packed && sameGeneration(files[i-1], file) {
			continue // a file that is being compressed is complete in its plain form
		}
		info, err := os.Stat(file.Path)
		if err != nil || slices.ContainsFunc(w.visited, func(v os.FileInfo) bool {
			return os.SameFile(v, info)
		}) {
			continue
		}
		if _, ok := w.unchanged(file.Path); !ok {
			return true
		}
	}
	return false
}

// sameGeneration reports whether two files are forms of the same generation.
func sameGeneration(a, b File) bool {
	a.key.packed, b.key.packed = false, false
	return a.key == b.key
}

// isBinary reports whether a file is not text. It is asked only for files that the user
// did not name.
func isBinary(r *Reader) bool {
	return !r.trans.wide() && bytes.IndexByte(r.head, 0) >= 0
}

// open opens one generation where reading ended. It returns a nil Reader for a file that
// has not changed since it was read to its end, or that is still being made.
func (w *walker) open(family string, file File) (*Reader, error) {
	if p, ok := w.unchanged(file.Path); ok {
		w.passed(file, &p)
		return nil, nil
	}
	r, err := openFile(file.Path)
	switch {
	case err == errBeingPacked:
		return nil, nil
	case err != nil:
		return nil, err
	}
	inTheMaking := false
	if err = w.place(r, family, file); err == nil && r.pos.ID == 0 {
		inTheMaking, err = w.inTheMaking(r, family, file)
	}
	if inTheMaking || err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// place looks up the position at which to continue in a file that was opened, and the
// parser state.
func (w *walker) place(r *Reader, family string, file File) error {
	if err := r.resume(w.ctx, w.positions); err != nil {
		return err
	}
	if r.pos.Family == "" {
		r.pos.Family = family
		if file.Given && file.key.kind != live {
			// A user who names an old file does not want the files that came after it.
			r.pos.Family = absolute(file.Path)
		}
	}
	return w.inherit(r, family, file)
}

// inTheMaking reports whether the file may be the beginning of a copy that copytruncate
// is making, too short to be recognized: it is shorter than a fingerprint, and the live
// file or the newest known one begins with the same bytes. If these were truncated in the
// meantime, the copy has grown.
func (w *walker) inTheMaking(r *Reader, family string, file File) (bool, error) {
	if r.stream != nil || len(r.head) >= FingerprintSize || file.key.kind == live {
		return false, nil
	}
	last, err := w.positions.ByFamily(w.ctx, family)
	if err != nil {
		return false, err
	}
	for _, p := range append(last, Position{Path: family}) {
		if info, err := os.Stat(p.Path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if original, err := openFile(p.Path); err == nil {
			other := !os.SameFile(original.info, r.info)
			head := original.head
			original.Close()
			if other && len(head) > len(r.head) && bytes.HasPrefix(head, r.head) {
				return true, nil
			}
		}
	}
	info, err := r.file.Stat()
	return err == nil && (info.Size() != r.size || len(r.head) == 0), nil
}

// unchanged returns the position of a file that is known to have been read to its end.
func (w *walker) unchanged(path string) (Position, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return Position{}, false
	}
	device, number := inode(info)
	if number == 0 {
		return Position{}, false
	}
	positions, err := w.positions.ByInode(w.ctx, device, number)
	if err != nil {
		return Position{}, false // the next question to the store returns the error again
	}
	for _, p := range positions {
		if p.Size == info.Size() && p.ModTime.Equal(info.ModTime()) {
			return p, true
		}
	}
	return Position{}, false
}

// missing returns the generations that must be looked at before the live file of f,
// because the log was read before: all from the oldest known one onwards, because there
// may be gaps when files were renamed while they were listed, and a daemon may have
// continued in an old file. If neither one of these nor the live file is known, the file
// that was read last is gone; then missing returns the generations that were written
// after that.
func (w *walker) missing(f Family) ([]File, error) {
	if len(f.Files) == 0 || f.Files[len(f.Files)-1].key != (generation{kind: live}) {
		return nil, nil
	}
	last, err := w.positions.ByFamily(w.ctx, f.Name)
	if err != nil || len(last) == 0 && w.since.IsZero() {
		return nil, err
	}
	last = append(last, Position{ModTime: w.since})
	files := older(f.Name, last[0])
	for i, file := range files {
		known, err := w.known(file.Path, f.Name)
		if err != nil {
			return nil, err
		}
		if known {
			return files[i:], nil
		}
	}
	since := last[0].ModTime
	known, err := w.known(f.Name, f.Name)
	switch {
	case err != nil || known && w.since.IsZero():
		return nil, err
	case known:
		since = w.since
	default:
		w.before, w.last = &last[0], nil
	}
	return slices.DeleteFunc(files, func(f File) bool { return !writtenSince(f.Path, since) }), nil
}

func writtenSince(path string, t time.Time) bool {
	info, err := os.Stat(path)
	return err == nil && !info.ModTime().Before(t)
}

// older returns the generations before the live one that exist and, if family is a link,
// the files to which it may have pointed before it was switched.
func older(family string, last Position) []File {
	files := slices.DeleteFunc(generations(family), func(f File) bool { return f.key.kind == live })
	target := realPath(family)
	if last.Path != "" && last.Path != family && stillThere(last) {
		files = merge([]File{{Path: last.Path}}, files)
	}
	if dir, base := filepath.Split(target); target != family {
		name, _ := parseName(base)
		files = merge(generations(dir+name), files)
	}
	return slices.DeleteFunc(files, func(f File) bool { return f.Path == target })
}

// known reports whether the file contains a known source of the family.
func (w *walker) known(path, family string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, nil
	}
	if w.seen != nil && w.seen(info) {
		return true, nil
	}
	p, err := w.lookUp(path)
	return p.Family == family, err
}

// lookUp returns the position of the content of a file, or one without ID. A file that
// cannot be opened is not known; reading it reports the error.
func (w *walker) lookUp(path string) (Position, error) {
	if p, ok := w.unchanged(path); ok {
		return p, nil
	}
	r, err := openFile(path)
	if err != nil {
		return Position{}, nil
	}
	defer r.Close()
	return r.find(w.ctx, w.positions)
}
