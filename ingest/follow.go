package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"mailfail/ingest/source"
	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/registry"
	"mailfail/store"
)

// FollowOptions are the options of Follow.
type FollowOptions struct {
	Options
	FromEnd bool // begin at the end of sources that the store does not know

	Stdin     io.Reader            // read for the argument "-"
	Observe   func(*store.Event)   // receives every attempt and rejection, whichever process stores it
	Failures  bool                 // Observe is not called for deliveries
	Committed func(store.Lines)    // receives the lines that the last commit has added
	Warn      func(error)          // receives errors of single sources
	Source    source.FollowOptions // for tests; FromEnd is set from above
}

// sweepEvery is the time between two sweeps of messages that will never end.
const sweepEvery = 24 * time.Hour

// Follow reads the new lines of the sources and continues as they grow, until ctx is done
// or, when standard input is the only source, until its end. Then it commits what it has
// read and returns nil. Only errors of the store end it early; it passes the others to
// opt.Warn.
func Follow(ctx context.Context, db store.Writable, rules store.Classifier, args []string,
	opt FollowOptions) error {
	l, err := newLoop(ctx, db, rules, opt.Options)
	if err != nil {
		return err
	}
	defer l.w.Close()
	defer l.memory.release()
	f := &follower{loop: l, opt: opt, logs: map[*source.Reader]*log{}}
	if opt.Observe != nil {
		f.watch(rules)
	}
	l.tracker.Warn = f.warn
	files := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == source.Stdin })
	if len(files) < len(args) {
		if f.parser, err = detect.NewStream(l.parserOptions("-"), opt.Format, opt.Year,
			time.Now()); err != nil {
			return err
		}
		if opt.Stdin == nil {
			opt.Stdin = os.Stdin
		}
		stdin := source.FollowStream(ctx, "standard input", io.NopCloser(opt.Stdin))
		defer stdin.Close()
		f.stdin, f.stdinName = stdin, fmt.Sprintf("stream %d", time.Now().UnixNano())
	}
	if len(files) > 0 {
		opt.Source.FromEnd = opt.FromEnd
		f.files = source.Follow(files, opt.Source)
		defer f.files.Close()
	}
	for {
		err := f.round(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil || !f.wait(ctx) {
			return f.finish()
		}
	}
}

// watch makes Observe receive the events of the records that are read.
func (f *follower) watch(rules store.Classifier) {
	f.watcher = newWatcher(f.w, rules)
	f.watcher.tracker.FailuresOnly = f.opt.Failures
	f.watcher.tracker.Observe = func(e *store.Event) {
		if e.Outcome != "delivered" {
			e.Line = registry.Foreign(store.Clean(string(f.line)))
		}
		f.opt.Observe(e)
	}
	f.watched, f.shows = true, f.watcher.tracker
	f.record = func(r *parsers.Record) error {
		if err := f.tracker.Record(r); err != nil {
			return err
		}
		return f.watcher.tracker.Record(r)
	}
}

// follower is the state of Follow.
type follower struct {
	*loop
	watcher *watcher // nil without an observer
	opt     FollowOptions
	files   *source.Follower // nil without files
	logs    map[*source.Reader]*log
	stdin   *source.Reader // nil without standard input, and after its end
	parser  *detect.Stream // of standard input

	stdinName string  // its name for once: each run reads another stream
	journal   journal // position in standard input, if it is a journal
	more      bool    // standard input has more to read

	started bool // a round has ended
	swept   time.Time
	added   store.Lines // since the last commit
}

// log is a file that is followed.
type log struct {
	stream *detect.Stream
	saved  source.Position
}

// round reads all lines that are there and commits them.
func (f *follower) round(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	if f.watcher != nil {
		if err := f.watcher.begin(f.w); err != nil {
			return err
		}
	}
	if f.files != nil {
		for r, err := range f.files.Ready(ctx, positions{f.loop}) {
			if err != nil {
				missing := errors.Is(err, fs.ErrNotExist)
				switch {
				case !missing:
					f.warn(err)
				case !f.started: // after the first round, it has been rotated away
					f.warn(fmt.Errorf("%w; it will be read when it is there", err))
				}
				continue
			}
			if err := f.read(ctx, r); err != nil {
				return err
			}
		}
		maps.DeleteFunc(f.logs, func(r *source.Reader, _ *log) bool { return r.Closed() })
	}
	if err := f.readStdin(); err != nil {
		return err
	}
	sweep := time.Since(f.swept) > sweepEvery
	if sweep {
		f.swept = time.Now()
		if err := f.tracker.Flush(); err != nil {
			return err
		}
		if err := f.tracker.Sweep(); err != nil {
			return err
		}
	}
	f.started = true
	if err := f.commitRound(); err != nil || !sweep {
		return err
	}
	if err := f.w.Tidy(ctx); err != nil {
		return err
	}
	return f.prune(ctx, f.tracker.Newest())
}

func (f *follower) commitRound() error {
	if err := f.commit(); err != nil {
		return err
	}
	if f.opt.Committed != nil {
		f.opt.Committed(f.added)
	}
	f.added = store.Lines{}
	return nil
}

// read reads the new lines of one file.
func (f *follower) read(ctx context.Context, r *source.Reader) error {
	p := r.Position()
	g := f.logs[r]
	if g == nil || g.saved.ID != p.ID || g.saved.Offset != p.Offset {
		// The file is new here, or another process has read on in it.
		if f.watcher != nil {
			if err := f.observe(ctx, r, g); err != nil {
				return err
			}
		}
		stream, err := detect.NewStream(f.parserOptions(r.Path()), f.opt.Format, f.opt.Year, r.Modified())
		if err != nil {
			return err
		}
		if err := restore(stream, p.State); err != nil {
			f.warn(err)
		}
		g = &log{stream: stream}
		f.logs[r] = g
	}
	if err := f.readAs(logName(r)); err != nil {
		return err
	}
	file := File{Path: r.Path()}
	err := f.readLines(ctx, r, g.stream, &file)
	f.added.Add(file.Lines)
	if f.watcher != nil {
		defer func() { f.watcher.passed(r.Position()) }()
	}
	var fatal *fatalError
	switch {
	case errors.As(err, &fatal) && errors.Is(fatal.error, errMoved):
		g.saved = source.Position{} // the next call sets it anew
		return nil
	case errors.As(err, &fatal):
		return fatal.error
	case err != io.EOF:
		f.warn(err)
	}
	if err := f.save(r, g.stream); err != nil {
		return err
	}
	g.saved = r.Position()
	return nil
}

func (f *follower) warn(err error) {
	if f.opt.Warn != nil {
		f.opt.Warn(err)
	}
}

// wait returns true when there may be something to read, false at the end.
func (f *follower) wait(ctx context.Context) bool {
	switch {
	case f.more:
		return true
	case f.files == nil && f.stdin == nil:
		return false
	case f.files == nil:
		return f.stdin.Await(ctx) == nil
	}
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.stdin != nil {
		done := make(chan struct{})
		go func() { _ = f.stdin.Await(ready); cancel(); close(done) }()
		defer func() { cancel(); <-done }()
	}
	_ = f.files.Wait(ready)
	return ctx.Err() == nil
}

// finish commits the lines that were read before the end.
func (f *follower) finish() error {
	if !f.inBatch {
		return nil
	}
	return f.commitRound()
}

// stdinTurn bounds how long standard input is read before the follower looks at files
// again and commits.
const stdinTurn = 200 * time.Millisecond

// readStdin reads the lines that are waiting on standard input.
func (f *follower) readStdin() error {
	if f.more = f.stdin != nil; !f.more {
		return nil
	}
	if err := f.readAs(f.stdinName); err != nil {
		return err
	}
	lines := f.newFeed(f.parser)
	lines.begin(func(b *block) error { return f.take(b, &f.added) })
	for began := time.Now(); f.more && lines.err == nil && time.Since(began) < stdinTurn; {
		line, err := f.stdin.Next()
		switch {
		case err == nil:
			passed, err := f.journal.passed(f.w, line)
			if err != nil {
				return errors.Join(err, lines.end())
			}
			if !passed {
				lines.line(line)
			}
		case tooLong(err) != nil:
			lines.count(parsers.Unparsed)
		case err == source.ErrQuiet:
			f.more = false
		default:
			if err != io.EOF {
				f.warn(err)
			}
			f.stdin, f.more = nil, false
		}
	}
	if err := lines.end(); err != nil {
		return err
	}
	f.journal.save(f.w)
	return nil
}
