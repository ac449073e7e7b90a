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

// FollowOptions set how a Follower works. The zero value is ready to use.
type FollowOptions struct {
	// FromEnd begins at the end of logs that are not known when the Follower starts,
	// instead of their beginning, and reports a SkippedError for each. Generations of a
	// known log are read as usual.
	FromEnd bool

	// Linger is how long a file that was rotated away must be quiet before it is closed:
	// daemons continue to write to it until they are signalled. The default is five
	// minutes.
	Linger time.Duration

	// Tick is how often files are looked at without a notice. The default is one second.
	Tick time.Duration

	// Spacing is the least time between two rounds, so that a busy log costs a few
	// commits a second and not one a line. The default is a fifth of a second. The first
	// line after a pause does not wait. A negative value means no spacing.
	Spacing time.Duration
}

// SkippedError reports that a log is followed from its end.
type SkippedError struct{ Log string }

func (e *SkippedError) Error() string {
	return fmt.Sprintf("%s is new to the database: what is in it so far is not read", e.Log)
}

// fullLook is the interval at which all generations of a log are looked at without a
// reason. After a look with a reason, the next ones follow sooner: files are renamed
// while they are listed, copies and compressed files are still being written.
const fullLook = time.Minute

// timestampGranularity is how far the modification time of a file may be before the time
// of the write: kernels use the time of the last clock tick, every 1 to 10 ms.
const timestampGranularity = 10 * time.Millisecond

// Follower reads files as they grow, and follows their rotation. One loop drives it:
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
// As with Read, the position of each reader must be stored before the next one is asked
// for. A reader comes again until it is closed, which Closed reports. When another
// process has read on in the same source, the reader continues where that one ended: its
// Position is not the saved one, and the parsers must be set anew to its State.
type Follower struct {
	args []string
	opt  FollowOptions
	wake chan struct{}

	logs     []*followed
	began    time.Time
	round    time.Time // end of the last round
	scanned  time.Time
	scanCost time.Duration
	errs     []error
	reported map[string]bool
	lost     int64 // lostNotices at the last round
}

// maxRotated is how many rotated files of a log are kept open. Each costs memory and two
// descriptors, and a log that is rotated each second would have hundreds. The growth of
// the others is seen when their directory is listed.
const maxRotated = 16

// followed is a family that is followed.
type followed struct {
	f        *Follower
	family   Family
	held     []*held // oldest first
	examined map[string]os.FileInfo
	failed   []string // paths in examined that could not be opened
	missing  bool     // the live file was missing at the last look
	appears  *notices
	listed   []File  // files at the last look
	torn     bool    // a file was renamed during this look
	before   []*held // open files that this look has passed
	look     bool    // look for other generations in the next round
	looked   time.Time
	interval time.Duration // time until the next look without a reason
}

// held is a file that is kept open.
type held struct {
	*Reader
	notices *notices  // nil while the file is busy
	rounds  int       // consecutive rounds in which there was something to read
	active  time.Time // time at which there was last something to read
	mtime   time.Time // modification time at the last check
}

// Follow starts following the files that the arguments name, see Expand. It waits for
// files that do not exist. "-" is left out: a stream is only read.
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
	canWatch() // while nothing else opens files
	return &Follower{
		args:     args,
		opt:      opt,
		wake:     make(chan struct{}, 1),
		began:    time.Now().Add(-timestampGranularity),
		reported: map[string]bool{},
		lost:     lostNotices.Load(),
	}
}

// Ready returns the sources that may have something to read. Each error concerns a single
// file, and is returned once.
func (f *Follower) Ready(ctx context.Context, positions Positions) iter.Seq2[*Reader, error] {
	return func(yield func(*Reader, error) bool) {
		defer func() { f.round = time.Now() }()
		lost := f.lostNotices()
		f.scan()
		if lost && !f.report(errLostNotices, yield) {
			return
		}
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

// lostNotices reports whether notices were lost since the last round. Any file may have
// changed, so all are listed and looked at.
func (f *Follower) lostNotices() bool {
	n := lostNotices.Load()
	if n == f.lost {
		return false
	}
	f.lost, f.scanned = n, time.Time{}
	for _, l := range f.logs {
		l.look = true
	}
	return true
}

// report passes an error on, unless it was reported before.
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

// busyRounds is the number of consecutive rounds after which a file is busy. A busy file
// is looked at in every round instead of by notices: an event for each line costs far
// more than the line.
const busyRounds = 5

// listen starts and ends the notices of the open files, and reports whether one of them
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
	return lostNotices.Load() != f.lost || slices.ContainsFunc(f.logs, func(l *followed) bool {
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

// scan lists the files that the arguments name. It uses at most a two-hundredth of the
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
				e.addFile(arg, true) // it may be created later
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

// update takes over the listed files of a family.
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
	l.family.whole = false // every listing is complete
	for _, file := range family.Files {
		if file.info != nil && l.holding(file.info) == nil && !same(l.examined[file.Path], file.info) {
			l.look = true
		}
	}
}

// same reports whether two states of a file are equal.
func same(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// round reads the new lines of a family.
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

// drain reads the lines that open files have now, oldest file first.
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
			// It was empty when it was opened. Since then it may have held other content,
			// which is now in a copy and comes first.
			l.look = true
		case !l.deliver(w, h):
			return false
		}
	}
	return true
}

// deliver passes an open file to the loop that reads it.
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

// mustLook reports whether other generations must be looked for.
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

// hasLive reports whether the family has a file with a constant name that is being
// written.
func (l *followed) hasLive() bool {
	n := len(l.family.Files)
	return n > 0 && l.family.Files[n-1].key == generation{kind: live}
}

// holding returns the open file that info describes, or nil.
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

// lookAround opens the new generations.
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
	named := slices.Clone(l.family.Files) // first: a file that is renamed after that counts as missing
	missing, err := w.missing(l.family)
	if err != nil {
		return w.yield(nil, err)
	}
	for _, file := range merge(missing, named) {
		// If a file is gone, its lines come before those of the file that has its name
		// now, and before those of the files that follow.
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

// movedOn reports whether a listed file is not at its path any more.
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

// forget drops the notes about files that are gone or could not be opened.
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

// listing returns the generations with their present state.
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

// awaitLive asks for an event when the missing live file is created.
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

// lookAt reads one generation, unless it is open or known, and keeps it open if it may
// grow. With skip, an unknown file is read from its end.
func (l *followed) lookAt(w *walker, file File, skip bool) bool {
	info, err := os.Stat(file.Path)
	if err != nil {
		if packed, ok := packedForm(l.family.Name, file); ok {
			return l.lookAt(w, packed, skip)
		}
		l.torn = l.movedOn(file)
		return true // scan reports the error
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
	case errors.Is(err, fs.ErrNotExist): // it was renamed or compressed meanwhile
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

// keepUnchanged opens a file that an earlier run has read to its end, if the file may
// grow.
func (l *followed) keepUnchanged(w *walker, file File, info os.FileInfo) bool {
	if !l.mayGrow(file, info) || len(l.before) == 0 && len(l.held) > maxRotated {
		return true // in the second case it is older than all open files
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
		r.pos.State = nil // rows that were open before do not continue there
	case file.key.kind == live && l.moved(): // its former content comes first
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

// pending reports whether the file has something to read, or its content was replaced.
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

// dropQuiet closes the rotated files that are quiet and, if too many are open, those that
// were rotated away first.
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

// isLive reports whether the open file is the live file of the family.
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

// paths reports whether the path of the open file still refers to it.
func (l *followed) paths(h *held, info os.FileInfo) bool {
	at, err := os.Stat(h.path)
	return err == nil && os.SameFile(at, info)
}

func (h *held) close() {
	h.notices.close()
	_ = h.Close()
}

// catchUp handles a file with replaced content. The former content may have been read on
// in the copy that was made of it. Then storing the position of this Reader must not undo
// that.
func (r *Reader) catchUp(ctx context.Context, positions Positions) error {
	p, err := r.find(ctx, positions)
	if err == nil && p.ID != 0 && p.ID == r.pos.ID && p.Offset > r.pos.Offset {
		r.pos = p
	}
	return err
}

// refresh looks the source up again: another process may have read on in it, and a file
// that was empty when it was opened may turn out to be known.
func (r *Reader) refresh(ctx context.Context, positions Positions) error {
	info, err := r.file.Stat()
	if err != nil {
		return explain("read", r.path, err)
	}
	// The head is read after the size: if the file is truncated in between, the head
	// differs, and reading detects that.
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

// Closed reports whether the Follower has closed the Reader.
func (r *Reader) Closed() bool { return r.shut }
