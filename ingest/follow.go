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
	"mailfail/ingest/track"
	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// FollowOptions are the options of Follow.
type FollowOptions struct {
	Options
	FromEnd bool // begin at the end of the sources of which nothing is known

	Stdin     io.Reader            // is read for the argument "-"
	Observe   func(*track.Event)   // every attempt and rejection, before it is committed
	Failures  bool                 // Observe is not called for deliveries
	Committed func(store.Lines)    // what the last commit has added
	Warn      func(error)          // about single sources
	Source    source.FollowOptions // for tests; FromEnd is set from above
}

// sweepEvery is how often messages that will never end are forgotten.
const sweepEvery = 24 * time.Hour

// Follow reads what is new in the sources and goes on as they grow, until ctx
// is done or, when standard input is all there is to read, until its end. Then
// it commits what it has read and returns nil. Only errors of the store end it
// early; others are told to opt.Warn.
func Follow(ctx context.Context, db *store.DB, rules *registry.Rules, args []string, opt FollowOptions) error {
	l, err := newLoop(db, rules, opt.Options)
	if err != nil {
		return err
	}
	defer l.w.Close()
	l.tracker.FailuresOnly = opt.Failures
	if opt.Observe != nil {
		l.tracker.Observe = func(e *track.Event) {
			if e.Outcome != "delivered" {
				e.Line = store.Clean(string(l.line))
			}
			opt.Observe(e)
		}
	}
	f := &follower{loop: l, opt: opt, logs: map[*source.Reader]*log{}}
	files := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == source.Stdin })
	if len(files) < len(args) {
		f.slabs = pump(ctx, opt.Stdin)
		if f.stdin, err = parsers.NewStream(l.parserOptions("-"), opt.Format, opt.Year, time.Now()); err != nil {
			return err
		}
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

// follower is the state of Follow.
type follower struct {
	*loop
	opt     FollowOptions
	files   *source.Follower // nil without files
	logs    map[*source.Reader]*log
	slabs   <-chan slab // of standard input; nil without it, and after its end
	stdin   *parsers.Stream
	slab    slab    // to be read in the next round
	journal journal // of standard input

	started bool // a round was done
	swept   time.Time
	added   store.Lines // since the last commit
}

// log is a source that is followed.
type log struct {
	stream *parsers.Stream
	saved  source.Position
}

// round reads all there is and commits it.
func (f *follower) round(ctx context.Context) error {
	if err := f.begin(); err != nil {
		return err
	}
	if f.files != nil {
		for r, err := range f.files.Ready(ctx, positions{f.loop}) {
			if err != nil {
				missing := errors.Is(err, fs.ErrNotExist)
				switch {
				case !missing:
					f.warn(err)
				case !f.started: // later it has been rotated away
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
	if err := f.readSlab(); err != nil {
		return err
	}
	if time.Since(f.swept) > sweepEvery {
		f.swept = time.Now()
		if err := f.tracker.Flush(); err != nil {
			return err
		}
		if err := f.tracker.Sweep(); err != nil {
			return err
		}
	}
	f.started = true
	return f.commitRound()
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

// read reads what is new in one file.
func (f *follower) read(ctx context.Context, r *source.Reader) error {
	p := r.Position()
	g := f.logs[r]
	if g == nil || g.saved.ID != p.ID || g.saved.Offset != p.Offset {
		// New to us, or another process has read on in it.
		stream, err := parsers.NewStream(f.parserOptions(r.Path()), f.opt.Format, f.opt.Year, r.Modified())
		if err != nil {
			return err
		}
		if err := restore(stream, p.State); err != nil {
			f.warn(err)
		}
		g = &log{stream: stream}
		f.logs[r] = g
	}
	file := File{Path: r.Path()}
	err := f.readLines(ctx, r, g.stream, &file)
	f.added.Add(file.Lines)
	var fatal *fatalError
	switch {
	case errors.As(err, &fatal) && errors.Is(fatal.error, errMoved):
		g.saved = source.Position{} // set anew next time
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

// wait returns when there may be something to read; false is the end.
func (f *follower) wait(ctx context.Context) bool {
	if f.files == nil {
		if f.slabs == nil {
			return false
		}
		return f.take(ctx)
	}
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	if f.slabs != nil {
		done := make(chan struct{})
		go func() { f.take(ready); cancel(); close(done) }()
		defer func() { cancel(); <-done }()
	}
	_ = f.files.Wait(ready)
	return ctx.Err() == nil
}

// take waits for the next slab of standard input.
func (f *follower) take(ctx context.Context) bool {
	select {
	case s, ok := <-f.slabs:
		if !ok {
			f.slabs = nil
			return false
		}
		f.slab = s
		return true
	case <-ctx.Done():
		return false
	}
}

// finish commits what was read before the end.
func (f *follower) finish() error {
	if !f.inBatch {
		return nil
	}
	return f.commitRound()
}

// slab is some lines of standard input, one behind the other.
type slab struct {
	text []byte
	ends []int
	long int64 // lines that were too long

}

// slabSize is how much of standard input is read before it is passed on.
const slabSize = 1 << 20

// pump reads lines off a stream so that nobody has to wait for it.
func pump(ctx context.Context, in io.Reader) <-chan slab {
	if in == nil {
		in = os.Stdin
	}
	chunks := make(chan []byte, 4)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 64<<10)
			n, err := in.Read(buf)
			if n > 0 {
				select {
				case chunks <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	slabs := make(chan slab)
	go func() {
		defer close(slabs)
		cut(ctx, chunks, slabs)
	}()
	return slabs
}

// cut makes whole lines of chunks.
func cut(ctx context.Context, chunks <-chan []byte, slabs chan<- slab) {
	var s slab
	var out chan<- slab // slabs, when there is something to pass on
	rest := 0           // beginning of the line that is not whole
	skip := false       // of a line that is too long
	in := chunks
	for in != nil || out != nil {
		select {
		case chunk, ok := <-in:
			if !ok {
				if rest < len(s.text) && !skip {
					s.ends = append(s.ends, len(s.text))
					rest = len(s.text)
				}
				chunks = nil
			}
			for _, c := range chunk {
				switch {
				case c == '\n' && skip:
					skip = false
				case c == '\n':
					s.ends = append(s.ends, len(s.text))
					rest = len(s.text)
				case skip:
				case len(s.text)-rest >= source.MaxLine:
					s.text, skip = s.text[:rest], true
					s.long++
				default:
					s.text = append(s.text, c)
				}
			}
		case out <- s:
			s = slab{text: slices.Clone(s.text[rest:])}
			rest = 0
		case <-ctx.Done():
			return
		}
		in, out = chunks, nil
		if len(s.ends) > 0 || s.long > 0 {
			out = slabs
		}
		if len(s.text) > slabSize && out != nil {
			in = nil // first pass on what there is
		}
	}
}

// readSlab reads the lines of standard input that wait.
func (f *follower) readSlab() error {
	s := f.slab
	f.slab = slab{}
	if s.long == 0 && len(s.ends) == 0 {
		return nil
	}
	var counted store.Lines
	start := 0
	for _, end := range s.ends {
		line := s.text[start:end]
		start = end
		if passed, err := f.journal.passed(f.w, line); err != nil {
			return err
		} else if passed {
			continue
		}
		f.line = line
		f.count(&counted, f.stdin.Parse(line, f.emit))
		if f.err != nil {
			return f.fail()
		}
	}
	for range s.long {
		f.count(&counted, parsers.Unparsed)
	}
	f.journal.save(f.w)
	f.w.CountLines(max(0, f.stdin.Time().UnixMicro()), counted)
	f.added.Add(counted)
	return nil
}
