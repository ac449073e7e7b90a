package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"time"
)

// FollowOptions say how a Follower works. The zero value is good.
type FollowOptions struct {
	// FromEnd begins at the end of the logs that are not known when the
	// Follower starts, instead of their beginning, and reports a SkippedError for
	// each. Generations of a log that is known are read as ever.
	FromEnd bool

	// Linger is how long a file that was rotated away must be quiet before
	// it is closed: daemons continue to write to it until they are signalled. The
	// default is five minutes.
	Linger time.Duration

	// Tick is how often files are looked at without a notice: one second.
	Tick time.Duration

	// Spacing is the least time between two rounds, so that a busy log costs
	// a few commits a second and not one a line: a fifth of a second. The
	// first line after a pause does not wait. Negative is none.
	Spacing time.Duration
}

// SkippedError says that a log is followed from its end.
type SkippedError struct{ Log string }

func (e *SkippedError) Error() string {
	return fmt.Sprintf("%s is new to the database: what is in it so far is not read", e.Log)
}

// fullLook is how often the generations of a log are all looked at without a
// reason. After a look that had one, the next follow sooner: files are renamed
// while they are listed, copies and compressed files are still being written.
const fullLook = time.Minute

// timestampGranularity is how far the modification time of a file may lie
// before the time it was written: kernels stamp with the time of the last clock
// tick, every 1 to 10 ms.
const timestampGranularity = 10 * time.Millisecond

// Follower reads files as they grow, and goes with what happens to them. It is
// driven by one loop:
//
//	f := source.Follow(args, source.FollowOptions{})
//	defer f.Close()
//	for {
//		for r, err := range f.Ready(ctx, positions) {
//			// as with Read, but r may come again, with the same parsers
//		}
//		// commit
//		if err := f.Wait(ctx); err != nil {
//			break
//		}
//	}
//
// As with Read, the position of each reader is to be stored before the next is
// asked for. A reader comes again until it is closed, which Closed reports. When
// another process has read on in the same source, the reader goes on where that
// one ended: its Position is not what was saved, and the parsers must be set
// anew to its State.
type Follower struct {
	args []string
	opt  FollowOptions
	wake chan struct{}

	logs     []*followed
	began    time.Time
	round    time.Time // end of the last one
	scanned  time.Time
	scanCost time.Duration
	errs     []error
	reported map[string]bool
}

// maxRotated is how many files of a log that were rotated away are kept open. Each
// costs memory and two descriptors, and a log that is rotated each second would have
// hundreds. Of others it is seen in the directory that they have grown.
const maxRotated = 16

// followed is a family that is followed.
type followed struct {
	f        *Follower
	family   Family
	held     []*held // oldest first
	examined map[string]os.FileInfo
	failed   []string // of examined: could not be opened
	missing  bool     // there was no live file at the last look
	appears  *notices
	listed   []File  // at the last look
	torn     bool    // a file was renamed during this look
	before   []*held // open files that this look has come to
	look     bool    // look around in the next round
	looked   time.Time
	interval time.Duration // until the next look without a reason
}

// held is a file that is kept open.
type held struct {
	*Reader
	notices *notices  // nil while the file is busy
	rounds  int       // in a row in which there was something to read
	active  time.Time // when there was something to read
	mtime   time.Time // when it was checked
}

// Follow begins to follow what the arguments name, see Expand. Files that do
// not exist are waited for. "-" is left out: a stream is just read.
func Follow(args []string, opt FollowOptions) *Follower {
	if opt.Linger == 0 {
		opt.Linger = 5 * time.Minute
	}
	if opt.Tick == 0 {
		opt.Tick = time.Second
	}
	if opt.Spacing == 0 {
		opt.Spacing = 200 * time.Millisecond
	}
	return &Follower{
		args:     args,
		opt:      opt,
		wake:     make(chan struct{}, 1),
		began:    time.Now().Add(-timestampGranularity),
		reported: map[string]bool{},
	}
}

// Ready returns the sources that may have something to read. Errors concern
// single files, and are returned once.
func (f *Follower) Ready(ctx context.Context, positions Positions) iter.Seq2[*Reader, error] {
	return func(yield func(*Reader, error) bool) {
		defer func() { f.round = time.Now() }()
		f.scan()
		for _, err := range f.errs {
			if !f.report(err, yield) {
				return
			}
		}
		for _, l := range f.logs {
			w := &walker{ctx: ctx, positions: positions, yield: yield, since: f.began, seen: l.seen}
			if !l.round(w) || ctx.Err() != nil {
				return
			}
		}
	}
}

// report passes an error on, unless it was before.
func (f *Follower) report(err error, yield func(*Reader, error) bool) bool {
	if f.reported[err.Error()] {
		return true
	}
	if len(f.reported) > 1000 {
		clear(f.reported)
	}
	f.reported[err.Error()] = true
	return yield(nil, err)
}

// Wait returns when there may be something to read, or the error of ctx.
func (f *Follower) Wait(ctx context.Context) error {
	f.listen()
	if err := pause(ctx, time.Until(f.round.Add(f.opt.Spacing))); err != nil {
		return err
	}
	tick := time.NewTimer(0)
	defer tick.Stop()
	for !f.due() {
		if f.listen() {
			tick.Reset(min(f.opt.Tick, f.opt.Spacing))
		} else {
			tick.Reset(f.opt.Tick)
		}
		select {
		case <-f.wake:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// busyRounds is after how many rounds in a row a file is busy. It is looked at
// in every round then, and not listened to: an event for each line costs far
// more than the line.
const busyRounds = 5

// listen starts and ends the notices of the open files, and reports whether one
// is busy.
func (f *Follower) listen() (busy bool) {
	if f.opt.Spacing < 0 {
		return false
	}
	for _, l := range f.logs {
		for _, h := range l.held {
			switch {
			case time.Since(h.active) > 5*f.opt.Spacing:
				h.rounds = 0
				if h.notices == nil {
					h.notices = watchFile(h.file, f.notify)
				}
			case h.rounds > busyRounds:
				busy = true
				if h.notices != nil {
					go h.notices.close()
					h.notices = nil
				}
			}
		}
	}
	return busy
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// due reports whether a round has something to do.
func (f *Follower) due() bool {
	f.scan()
	return slices.ContainsFunc(f.logs, func(l *followed) bool {
		return l.mustLook() || slices.ContainsFunc(l.held, (*held).pending)
	})
}

// Close closes all files and ends the notices.
func (f *Follower) Close() error {
	for _, l := range f.logs {
		for _, h := range l.held {
			h.close()
		}
		l.appears.close()
		l.held = nil
	}
	f.logs = nil
	return nil
}

func (f *Follower) notify() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// scan lists what the arguments name. It takes at most a two-hundredth of the
// time, however large the directories are.
func (f *Follower) scan() {
	if time.Since(f.scanned) < max(f.opt.Tick, 200*f.scanCost) {
		return
	}
	began := time.Now()
	var families []Family
	families, f.errs = listed(func(e *expander) (errs []error) {
		for _, arg := range f.args {
			err := e.argument(arg)
			if errors.Is(err, fs.ErrNotExist) {
				e.addFile(arg, true) // it may come
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		return errs
	})
	for _, family := range families {
		switch {
		case family.Name == Stdin:
		case family.Stream():
			f.errs = append(f.errs, fmt.Errorf("follow %s: not a file; pipe it: mailfail follow - < %[1]s",
				family.Files[0].Path))
		default:
			f.update(family)
		}
	}
	f.scanned = time.Now()
	f.scanCost = f.scanned.Sub(began)
}

// update takes over what was listed of a family.
func (f *Follower) update(family Family) {
	i := slices.IndexFunc(f.logs, func(l *followed) bool { return l.family.Name == family.Name })
	if i < 0 {
		i = len(f.logs)
		f.logs = append(f.logs, &followed{
			f:        f,
			look:     true,
			interval: f.opt.Tick,
			examined: map[string]os.FileInfo{},
		})
	}
	l := f.logs[i]
	l.family = family
	l.family.whole = false // every listing is new
	for _, file := range family.Files {
		if file.info != nil && l.holding(file.info) == nil && !same(l.examined[file.Path], file.info) {
			l.look = true
		}
	}
}

// same reports whether a file is as it was.
func same(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// round reads what is new in a family.
func (l *followed) round(w *walker) bool {
	if !l.drain(w, l.held) {
		return false
	}
	if l.mustLook() && !(l.drain(w, l.held) && l.lookAround(w)) {
		return false
	}
	l.dropQuiet()
	return true
}

// drain reads what there is in open files, the oldest first.
func (l *followed) drain(w *walker, held []*held) bool {
	held = slices.Clone(held)
	for _, h := range slices.Backward(held) {
		if info, err := h.file.Stat(); err == nil {
			h.until(info.Size())
		}
	}
	for _, h := range held {
		switch {
		case !h.pending():
		case h.next == 0 && l.moved():
			// It was empty when it was opened. Something else may have been in
			// it since, that is in a copy now and comes first.
			l.look = true
		case !l.deliver(w, h):
			return false
		}
	}
	return true
}

// deliver lets the loop read an open file.
func (l *followed) deliver(w *walker, h *held) bool {
	if err := h.refresh(w.ctx, w.positions); err != nil {
		return w.yield(nil, err)
	}
	h.active = time.Now()
	h.rounds++
	more := w.yield(h.Reader, nil)
	if h.truncated {
		l.look = true
		l.drop(h)
	} else if h.err != nil {
		l.drop(h)
	}
	return more
}

// mustLook reports whether there is reason to look for other generations.
func (l *followed) mustLook() bool {
	if l.look || time.Since(l.looked) > l.interval {
		return true
	}
	if !l.hasLive() {
		return false
	}
	info, err := os.Stat(l.family.Name)
	if err != nil {
		return !l.missing && errors.Is(err, fs.ErrNotExist)
	}
	return l.holding(info) == nil && !same(l.examined[l.family.Files[len(l.family.Files)-1].Path], info)
}

// hasLive reports whether the family has a file that is being written to under
// a constant name.
func (l *followed) hasLive() bool {
	n := len(l.family.Files)
	return n > 0 && l.family.Files[n-1].key == generation{kind: live}
}

// holding returns the open file that info is of.
func (l *followed) holding(info os.FileInfo) *held {
	for _, h := range l.held {
		if os.SameFile(h.info, info) {
			return h
		}
	}
	return nil
}

// seen reports whether a file is open.
func (l *followed) seen(info os.FileInfo) bool { return l.holding(info) != nil }

// lookAround opens the generations that are new.
func (l *followed) lookAround(w *walker) bool {
	var skipped bool
	if l.looked.IsZero() && l.f.opt.FromEnd {
		known, err := w.positions.ByFamily(w.ctx, l.family.Name)
		if err != nil {
			return w.yield(nil, err)
		}
		skipped = len(known) == 0
	}
	if time.Since(l.looked) > l.interval {
		l.interval = min(2*l.interval, fullLook)
	} else {
		l.interval = l.f.opt.Tick
	}
	if l.interval == fullLook {
		l.forget()
	}
	l.look, l.looked = false, time.Now()
	if slices.ContainsFunc(l.family.Files, l.movedOn) {
		l.f.scanned = time.Time{}
		l.f.scan()
	}
	l.listed, l.before = l.listing(), nil
	named := slices.Clone(l.family.Files) // first: what is renamed after that is missing
	missing, err := w.missing(l.family)
	if err != nil {
		return w.yield(nil, err)
	}
	for _, file := range merge(missing, named) {
		// Where a file is not there any more, its lines come before those that are
		// there now, and before those of the files that follow.
		l.torn = l.movedOn(file)
		if !l.torn && !l.lookAt(w, file, skipped) {
			return false
		}
		if l.torn {
			l.look = true
			break
		}
	}
	l.look = l.look || l.moved()
	l.awaitLive()
	return !skipped || len(named) == 0 || w.yield(nil, &SkippedError{l.family.Name})
}

// movedOn reports whether what was listed is not there any more.
func (l *followed) movedOn(file File) bool {
	info, err := os.Stat(file.Path)
	if file.info == nil || err == nil {
		return file.info != nil && !os.SameFile(file.info, info)
	}
	_, packed := packedForm(l.family.Name, file)
	return file.key.kind != live && !packed
}

// moved reports whether files were renamed or copied since they were listed.
func (l *followed) moved() bool { return !slices.EqualFunc(l.listed, l.listing(), sameFile) }

// forget drops what was noted of files that are gone or could not be opened.
func (l *followed) forget() {
	for path := range l.examined {
		if _, err := os.Lstat(path); err != nil {
			delete(l.examined, path)
		}
	}
	for _, path := range l.failed {
		delete(l.examined, path)
	}
	l.failed = nil
}

// listing returns the generations with what they are now.
func (l *followed) listing() []File {
	files := merge(older(l.family.Name, Position{}), l.family.Files)
	for i := range files {
		files[i].info, _ = os.Stat(files[i].Path)
	}
	return files
}

func sameFile(a, b File) bool {
	return a.Path == b.Path && (a.info == nil && b.info == nil || os.SameFile(a.info, b.info))
}

// awaitLive asks for an event when the file that is missing comes.
func (l *followed) awaitLive() {
	if !l.hasLive() {
		return
	}
	_, err := os.Stat(l.family.Name)
	l.missing = errors.Is(err, fs.ErrNotExist)
	l.appears.close()
	l.appears = nil
	if l.missing {
		l.appears = watchAppearance(l.family.Name, l.f.notify)
	}
}

// lookAt reads one generation, unless it is open or known, and keeps it open if
// it may grow. One that is to be skipped is read from its end.
func (l *followed) lookAt(w *walker, file File, skip bool) bool {
	info, err := os.Stat(file.Path)
	if err != nil {
		if packed, ok := packedForm(l.family.Name, file); ok {
			return l.lookAt(w, packed, skip)
		}
		l.torn = l.movedOn(file)
		return true // scan reports it
	}
	if h := l.holding(info); h != nil {
		l.before = append(l.before, h)
		w.passed(file, &h.pos)
		return true
	}
	if same(l.examined[file.Path], info) {
		if p, ok := w.unchanged(file.Path); ok {
			w.passed(file, &p)
		}
		return true
	}
	r, err := w.open(l.family.Name, file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was renamed or compressed under our eyes
		return l.lookAt(w, file, skip)
	case r != nil && l.movedOn(file):
		l.torn = true
		return r.Close() == nil
	case errors.Is(err, errForeign) && !file.Given:
		l.examined[file.Path] = info
		return true
	case err != nil:
		l.examined[file.Path] = info
		l.failed = append(l.failed, file.Path)
		return l.f.report(err, w.yield)
	case r == nil:
		l.examined[file.Path] = info
		return l.keepUnchanged(w, file, info)
	case !file.Given && isBinary(r):
		l.examined[file.Path] = info
		return r.Close() == nil
	}
	return l.begin(w, r, file, skip)
}

// mayGrow reports whether a file is worth keeping open.
func (l *followed) mayGrow(file File, info os.FileInfo) bool {
	return file.key.kind == live || time.Since(info.ModTime()) < l.f.opt.Linger
}

// keepUnchanged opens a file that was read to its end in an earlier run, if it
// is one that may grow.
func (l *followed) keepUnchanged(w *walker, file File, info os.FileInfo) bool {
	if !l.mayGrow(file, info) || len(l.before) == 0 && len(l.held) > maxRotated {
		return true // the latter: it is older than all that are open
	}
	r, err := openFile(file.Path)
	if err == nil && !r.closed {
		err = r.resume(w.ctx, w.positions)
	}
	switch {
	case r == nil:
		return true
	case err != nil || r.closed || r.err != nil || r.pos.ID == 0:
		return r.Close() == nil // the next full look comes here again
	}
	l.hold(r)
	return true
}

// begin reads a file for the first time.
func (l *followed) begin(w *walker, r *Reader, file File, skip bool) bool {
	r.until(r.size)
	if !l.drain(w, l.before) {
		r.Close()
		return false
	}
	// This may be the copy of the file that was just read.
	if err := w.place(r, l.family.Name, file); err != nil {
		r.Close()
		return w.yield(nil, err)
	}
	switch {
	case skip && r.pos.ID == 0 && !r.closed:
		r.startAt(r.size)
		r.pos.State = nil // what was open before is not what goes on there
	case file.key.kind == live && l.moved(): // what was moved out of it comes first
		l.look = true
		return r.Close() == nil
	}
	if r.closed || r.err != nil || !l.mayGrow(file, r.info) {
		l.examined[r.path] = r.info
		more := w.yield(r, nil)
		w.passed(file, &r.pos)
		return r.Close() == nil && more
	}
	h := l.hold(r)
	more := w.yield(r, nil)
	w.passed(file, &r.pos)
	if h.truncated {
		l.look = true
		l.drop(h)
	}
	return more
}

// hold keeps a file open until it is quiet.
func (l *followed) hold(r *Reader) *held {
	h := &held{Reader: r, active: time.Now(), notices: watchFile(r.file, l.f.notify)}
	l.held, l.before = append(l.held, h), append(l.before, h)
	return h
}

// pending reports whether there is something to read in the file, or it is not
// the file any more that it was.
func (h *held) pending() bool {
	info, err := h.file.Stat()
	if err != nil || info.Size() != h.next {
		return true
	}
	if h.mtime.Equal(info.ModTime()) {
		return false
	}
	if !h.sameHead() {
		return true
	}
	h.mtime = info.ModTime()
	return false
}

// dropQuiet closes the files that were rotated away and are quiet, and of too many
// those that were rotated away first.
func (l *followed) dropQuiet() {
	rotated := 0
	for _, h := range slices.Backward(slices.Clone(l.held)) {
		quiet := time.Since(h.active) >= l.f.opt.Linger
		if !quiet && len(l.held) <= maxRotated || l.isLive(h) {
			continue
		}
		if rotated++; quiet || rotated > maxRotated && !h.pending() {
			l.drop(h)
		}
	}
}

// isLive reports whether the open file is the one under the family's name.
func (l *followed) isLive(h *held) bool {
	info, err := os.Stat(l.family.Name)
	return err == nil && os.SameFile(info, h.info)
}

func (l *followed) drop(h *held) {
	is := func(other *held) bool { return other == h }
	l.held, l.before = slices.DeleteFunc(l.held, is), slices.DeleteFunc(l.before, is)
	if info, err := h.file.Stat(); err == nil && !h.truncated && l.paths(h, info) {
		l.examined[h.path] = info
	}
	h.close()
}

// paths reports whether the open file is still what its path names.
func (l *followed) paths(h *held, info os.FileInfo) bool {
	at, err := os.Stat(h.path)
	return err == nil && os.SameFile(at, info)
}

func (h *held) close() {
	h.notices.close()
	_ = h.Close()
}

// catchUp is for a file that holds something else now. What it held may have been
// read on elsewhere, in the copy that was made of it: then storing the position
// again must not take that back.
func (r *Reader) catchUp(ctx context.Context, positions Positions) error {
	p, err := r.find(ctx, positions)
	if err == nil && p.ID != 0 && p.ID == r.pos.ID && p.Offset > r.pos.Offset {
		r.pos = p
	}
	return err
}

// refresh looks the source up again: another process may have read on in it,
// and a file that was empty when it was opened may have turned out to be known.
func (r *Reader) refresh(ctx context.Context, positions Positions) error {
	info, err := r.file.Stat()
	if err != nil {
		return explain("read", r.path, err)
	}
	// The head comes after the size: if the file is truncated in between, it
	// is not the same any more, and reading finds that out.
	head := make([]byte, FingerprintSize)
	n, err := r.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return explain("read", r.path, err)
	}
	if !bytes.HasPrefix(head[:n], r.head) {
		return r.catchUp(ctx, positions)
	}
	r.head, r.size = head[:n], info.Size()
	p, err := r.find(ctx, positions)
	if err != nil || p.ID == 0 || p.ID == r.pos.ID && p.Offset == r.pos.Offset {
		return err
	}
	return r.resume(ctx, positions)
}

// Closed reports whether the Reader of a Follower is done with.
func (r *Reader) Closed() bool { return r.shut }
