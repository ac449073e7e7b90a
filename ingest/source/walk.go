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

// Read opens the files of the families one after the other, each family from
// its oldest generation to its newest. It leaves out what is known not to have
// changed, and puts in generations that hold lines between those that were
// read before and the named file. It closes each Reader when the next is asked
// for. A Reader's position must be stored before that, see the package
// documentation. An error concerns one file; the next one follows.
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
	before    *Position       // of the generation before, nil when there is none
	last      *File           // that one, when it was looked at in this pass
	listed    []File          // the generations there are, when they were asked for
	tail      *grown          // that generation, if it is a plain file: more may be written to it
	moved     bool            // files were renamed meanwhile
	visited   []os.FileInfo   // files of the family that this pass has dealt with, whatever came of it
	failed    map[string]bool // paths for which an error was reported

	// Of a Follower: what was written since then is to be read, wherever it
	// is; and what it has dealt with.
	since time.Time
	seen  func(os.FileInfo) bool
}

// maxPasses bounds how often a family is listed again because its files were
// renamed or truncated while they were read.
const maxPasses = 10

// family reads one family. It returns false when nothing more is wanted.
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
				break // what follows may not be next any more
			}
		}
		if !w.moved {
			break
		}
	}
	return true
}

// files returns the generations to read, on the first or a further pass.
func (w *walker) files(f Family, pass int) ([]File, error) {
	if !f.whole {
		// first: what is renamed after that is missing
		named, there := lookedAt(f.Files), generations(f.Name)
		missing, err := w.missing(f)
		files := merge(missing, named)
		for _, other := range there { // is not asked for
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

// stream reads what cannot be read twice.
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

// file reads one generation, on the last pass even if that is not its turn.
func (w *walker) file(family Family, file File, last bool) bool {
	if w.ctx.Err() != nil {
		return false
	}
	r, info, err := w.visit(family, file)
	// The generation that was listed here has moved on, and its lines come before
	// those that are here now.
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

// visit opens one generation, and notes that this pass has dealt with it.
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

// failure deals with a generation that could not be opened.
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
		return true // and what it held was read where it is now
	}
	w.failed[file.Path] = true
	return w.yield(nil, err)
}

// turn reads a generation that was opened, after what was added to the one before.
func (w *walker) turn(r *Reader, family Family, file File, last bool) bool {
	r.until(r.size)
	if turn, more := w.catchUp(family); !more || !turn && !last {
		return more
	}
	// The content that was just read may be that of r, if it was copied there.
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

// deliver lets a generation be read, and notes it as the one before the next.
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

// catchUp reads on in the generation before the one that was just opened, if more
// was written there meanwhile. It reports whether it is the turn of that one now:
// not when the files were renamed.
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
		return true, true // the next run finds it
	}
	defer r.Close()
	return true, w.deliver(r, w.tail.file)
}

// passed notes a generation as the one before the next.
func (w *walker) passed(file File, p *Position) {
	w.before, w.last = p, &file
}

// inherit hands the state of the generation before on to one that is new.
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

// maxBack is how many generations are looked at for one that is known. What was
// open so long before is over.
const maxBack = 10

// lookBack finds the newest generation before a file that another run has read,
// unless one that this pass has looked at is newer.
func (w *walker) lookBack(family string, file File) error {
	if w.listed == nil {
		w.listed = generations(family)
	}
	file.Path = absolute(file.Path)
	n, _ := slices.BinarySearchFunc(w.listed, file, compareFiles)
	for _, f := range slices.Backward(w.listed[max(0, n-maxBack):n]) {
		if w.last != nil && (f.key.compare(w.last.key) <= 0 || sameGeneration(f, *w.last)) {
			break // what was read may have been compressed since, or before
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

// rotatedAway reports whether a log that is not there was read before: then it
// will be there again.
func (w *walker) rotatedAway(family Family, file File) bool {
	if file.key != (generation{kind: live}) || !betweenRotations(file.Path) {
		return false
	}
	last, err := w.positions.ByFamily(w.ctx, family.Name)
	return err == nil && len(last) > 0
}

// overtaken reports whether the log was rotated between the listing of its
// generations and the opening of the live file: then there is a generation now
// that comes before what is in the live file, and has not been read.
func (w *walker) overtaken(f Family) bool {
	files := generations(f.Name)
	for i, file := range files {
		if file.key.kind == live || i > 0 && file.key.packed && sameGeneration(files[i-1], file) {
			continue // a file that is being compressed is whole in its plain form
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

// isBinary reports whether a file that nobody named is not text.
func isBinary(r *Reader) bool {
	return !r.trans.wide() && bytes.IndexByte(r.head, 0) >= 0
}

// open opens one generation where it was left. It returns no Reader for a file
// that has not changed since it was read to its end, or is still being made.
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

// place looks up where to go on in a file that was opened, and with what state.
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

// inTheMaking reports whether the file may be the beginning of the copy that
// copytruncate is making, too short to be recognized: it has less than a
// fingerprint, and that is what the live file or the newest known one begins
// with. If these were truncated in the meantime, the copy has grown.
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

// unchanged returns the position of a file that is known to be read to its
// end.
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
		return Position{}, false // the next question to the store says it again
	}
	for _, p := range positions {
		if p.Size == info.Size() && p.ModTime.Equal(info.ModTime()) {
			return p, true
		}
	}
	return Position{}, false
}

// missing returns the generations that have to be looked at before the live
// file of f, because the log was read there: from the oldest one that is known
// onwards, for there may be gaps when files were renamed while they were
// listed, and a daemon may have gone on writing to an old file. If neither one
// of these nor the live file is known, the file that was read last is gone;
// then those that were written after that.
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

// older returns the generations before the live one: those that are there, and
// behind a link, what it may have pointed to before it was switched.
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

// known reports whether the file holds what is known of the family.
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

// lookUp returns the position of what a file holds, or one without ID. What cannot
// be opened is not known; who reads it will say why.
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
