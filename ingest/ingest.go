// Package ingest moves the lines of logs into a store: it reads them from
// their sources, lets the parsers turn them into records, the tracker these
// into outcomes, and commits outcomes and positions together, batch by batch.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"mailfail/ingest/source"
	"mailfail/ingest/track"
	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/store"
)

// Tests make these smaller.
var (
	// batchLines bounds a batch: a killed run reads its last batch again. No clock
	// ends a batch, so that a run writes the same rows on a fast machine and on a
	// slow one. A batch ends early when another process waits to write.
	batchLines = 250_000

	// checkEvery is the number of lines between two places where a batch may end. There
	// the loop also looks at the clock and at other processes that want to write.
	checkEvery = 1024
)

// boundEvery is the number of such places between two calls of memory.bound.
const boundEvery = 8

// samples is the number of lines of a file that are kept as examples of what was not
// understood.
const samples = 5

// Options are the user's statements about the logs.
type Options struct {
	Format   string // "auto" or the name of a format
	Year     int    // for times that lack a year; 0 infers it
	Location *time.Location
	Host     string // for logs that do not name a host
	Whole    bool   // the logs are read once, in full: a last line counts without a newline
	Keep     Keep   // older data is removed, at most once a day

	// Progress is called about ten times a second, if not nil.
	Progress func(path string, read, size int64)
}

// Result reports what a run has read.
type Result struct {
	Lines store.Lines
	Files []File  // the files that had lines to read
	Errs  []error // errors of single files; the others were read
}

// File reports what a run has read of one file.
type File struct {
	Path    string
	Lines   store.Lines
	Seen    []detect.Seen
	Samples []Sample // lines that were not understood
	Refusal string   // names what the file looks like, when nothing was understood

	resumed bool // an earlier run has read the beginning
	lacking bool // it lacks data that every record needs, see detect.Stream.Lacks
	forced  bool // the user named the format
}

// Sample is a line that was not understood.
type Sample struct {
	Line int64
	Text string // its beginning
}

// NotUnderstood reports whether the file had lines, and none of them, headers aside, was
// of a format that mailfail reads. A few irrelevant lines do not change that: many logs
// share the first lines of a header. A resumed file is never reported for this: the lines
// added since the last run may be a single odd one, which does not describe the log. When
// the user has named the format, a log without a line of that format is not understood
// either. A file that lacks data that every record needs is always reported.
func (f *File) NotUnderstood() bool {
	var headers int64
	for _, s := range f.Seen {
		headers += s.Headers
	}
	return f.lacking || !f.resumed && f.Lines.Understood == headers &&
		(f.Lines.Unparsed > f.Lines.Irrelevant || f.forced && headers == 0)
}

// loop is the state of a run.
type loop struct {
	w       store.Writer
	tracker *track.Tracker
	once    once
	opt     Options
	blocks  chan *block                 // blocks that are not in use
	record  func(*parsers.Record) error // takes a record of a line that no other log has counted
	again   bool                        // another log has counted the line of the last record
	alone   bool                        // only one log is read, into a store of its own
	rereads bool                        // the source can be read again from any line on
	watched bool                        // an observer is shown the lines
	shows   *track.Tracker              // the tracker that shows lines; nil without an observer
	line    []byte                      // the line of the last record, when watched
	err     error                       // the error of the store

	given   map[string]bool // whether the user named a file by its path
	untimed store.Lines     // lines of the source before the first line with a time

	last *detect.Stream // the last stream that was read to the end of its source

	inBatch   bool
	remembers bool // deliveries are kept, because bounces may follow in the same log
	memory    memory
	lines     int       // in the batch
	shown     time.Time // last call of Progress
}

func newLoop(ctx context.Context, db store.Writable, rules store.Classifier, opt Options) (*loop, error) {
	w, err := db.Writer()
	if err != nil {
		return nil, err
	}
	if err := w.Reclassify(ctx, rules); err != nil {
		w.Close()
		return nil, err
	}
	if opt.Location == nil {
		opt.Location = time.Local
	}
	since := int64(math.MaxInt64)
	if opt.Keep.Delivered > 0 {
		since = time.Now().Add(-opt.Keep.Delivered).UnixMicro()
	}
	w.KeepDeliveries(since)
	l := &loop{w: w, tracker: track.New(w, rules), opt: opt, blocks: newBlocks()}
	l.record = l.tracker.Record
	if known, err := w.LastSource(); err == nil && known == 0 {
		l.memory.bound() // there is nothing to load
	}
	l.once.w = w
	l.once.forget()
	return l, nil
}

// remember makes the store keep the deliveries of a log that is read once, in full, if
// its format has bounces: they may follow in the same log.
func (l *loop) remember(f *parsers.Format) {
	if f.HasBounces && l.opt.Whole && l.opt.Keep.Delivered == 0 && !l.remembers {
		l.remembers = true
		l.w.KeepDeliveries(0)
	}
}

// take passes the records of a block to the tracker and adds its line counts to total.
func (l *loop) take(b *block, total *store.Lines) error {
	for i := range b.records {
		if l.err = l.takeRecord(&b.records[i]); l.err != nil {
			return l.fail()
		}
	}
	for _, c := range b.counts {
		if c.time == 0 {
			l.untimed.Add(c.Lines)
		} else {
			l.w.CountLines(c.time, c.Lines)
		}
		total.Add(c.Lines)
	}
	return nil
}

// takeRecord passes on a record, unless another log has already counted its line.
func (l *loop) takeRecord(r *record) (err error) {
	if r.first {
		if l.again, err = l.once.counted(r.line); err != nil {
			return err
		}
	}
	if l.again {
		return nil
	}
	l.remember(r.Format)
	l.line = r.text
	return l.record(&r.Record)
}

// readAs sets the name under which the next lines are counted. It is called before lines
// of a log are read.
func (l *loop) readAs(name string) error {
	if l.alone {
		return nil
	}
	if err := l.once.begin(name); err != nil {
		l.err = err
		return l.fail()
	}
	return nil
}

// Run reads the new lines of the sources. The result lists the errors of single sources.
// An error of the store ends the run: committed batches stay, and the next run continues
// from there.
func Run(ctx context.Context, db store.Writable, rules store.Classifier, families []source.Family,
	opt Options) (Result, error) {
	var res Result
	l, err := newLoop(ctx, db, rules, opt)
	if err != nil {
		return res, err
	}
	defer l.w.Close()
	defer l.memory.release()
	l.alone = opt.Whole && len(families) == 1
	families = l.inTime(families)
	if opt.Whole && opt.Keep.Delivered == 0 {
		families = reportsFirst(families)
	}
	l.tracker.Warn = func(err error) { res.Errs = append(res.Errs, err) }
	for i := 0; i < len(families); i++ {
		again, err := l.family(ctx, families[i:i+1], &res)
		if err != nil {
			return res, err
		}
		if again {
			i--
		}
	}
	if err := l.begin(ctx); err != nil {
		return res, err
	}
	if err := errors.Join(l.tracker.Flush(), l.once.flush()); err != nil {
		return res, err
	}
	if err := l.sweep(); err != nil {
		return res, err
	}
	if err := l.w.Commit(); err != nil {
		return res, err
	}
	if res.Lines.Read == 0 || ctx.Err() != nil {
		return res, nil
	}
	newest := l.tracker.Newest()
	l.tracker, l.record, l.blocks = nil, nil, nil // what follows needs the memory
	if err := l.w.Tidy(ctx); err != nil {
		return res, err
	}
	return res, l.prune(ctx, newest)
}

// reportsFirst puts the files of reports about mail of other logs before these logs. When
// the store keeps no deliveries, it can compare a report with a delivery only as the
// delivery is read.
func reportsFirst(families []source.Family) []source.Family {
	if len(families) == 1 {
		return families
	}
	var reports, logs []source.Family
	for _, f := range families {
		if !f.Stream() && len(f.Files) > 0 && isReport(source.FirstLine(f.Files[0].Path)) {
			reports = append(reports, f)
		} else {
			logs = append(logs, f)
		}
	}
	return append(reports, logs...)
}

// isReport reports whether a line begins a report of attempts that other logs may report
// too.
func isReport(line []byte) bool {
	return slices.ContainsFunc(parsers.Formats(), func(f parsers.Format) bool {
		return f.IsRepeated(parsers.Attempt) &&
			f.Claim(&parsers.Entry{Message: line}) == parsers.MineFromHereOn
	})
}

// sweep forgets messages that will never end. It runs at most once a day, because it goes
// through all open messages.
func (l *loop) sweep() error {
	const name = "swept"
	today := time.Now().UTC().Format(time.DateOnly)
	last, err := l.w.Meta(name)
	if err != nil || last == today {
		return err
	}
	l.w.PutMeta(name, today)
	if err := l.w.ForgetLineHashes(); err != nil {
		return err
	}
	return l.tracker.Sweep()
}

// errMoved reports that another process has read on in the same source.
var errMoved = errors.New("another process has read this source in the meantime")

// family reads the files of one family. It reports whether the family must be read again,
// because another process has read on in it.
func (l *loop) family(ctx context.Context, families []source.Family, res *Result) (again bool, err error) {
	stream := families[0].Stream()
	l.rereads = !stream
	if err := l.beginFamily(ctx, stream); err != nil {
		return false, err
	}
	l.given = map[string]bool{}
	for _, f := range families {
		for _, file := range f.Files {
			l.given[file.Path] = file.Given
		}
	}
	for r, err := range source.Read(ctx, families, positions{l}) {
		if err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			res.Errs = append(res.Errs, err)
			continue
		}
		err := l.source(ctx, r, res)
		for stream && errors.Is(err, errMoved) { // a stream cannot be opened again
			if err = r.Resume(ctx, positions{l}); err == nil {
				err = l.source(ctx, r, res)
			}
		}
		if errors.Is(err, errMoved) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return false, l.end(res)
}

// end ends the last source of a family that will not be read again: no file follows that
// could continue an open row or object.
func (l *loop) end(res *Result) error {
	stream := l.last
	l.last = nil
	if !l.opt.Whole || stream == nil {
		return nil
	}
	f, counts := l.newFeed(stream), store.Lines{}
	f.begin(func(b *block) error { return l.take(b, &counts) })
	last, kept := stream.End(f.keep)
	if err := f.end(); err != nil {
		return err
	}
	again := readAgain(last, kept)
	if again != (store.Lines{}) && len(res.Files) > 0 {
		l.w.CountLines(max(0, stream.Time().UnixMicro()), again)
		res.Lines.Add(again)
		file := &res.Files[len(res.Files)-1]
		file.Seen = stream.Seen()
		refused := file.Refusal != ""
		if file.Lines.Add(again); !refused {
			l.judge(file, stream, res)
		}
	}
	return nil
}

// readAgain returns how the end of a stream changes the counts of its lines.
func readAgain(last, kept parsers.Result) store.Lines {
	var n store.Lines
	switch last {
	case parsers.Understood:
		n.Irrelevant, n.Understood = -1, 1
	case parsers.Unparsed:
		n.Irrelevant, n.Unparsed = -1, 1
	}
	if kept == parsers.Unparsed {
		n.Add(store.Lines{Understood: -1, Unparsed: 1})
	}
	return n
}

// beginFamily begins a batch for files. Before a stream it commits the open batch: other
// processes must not wait until the stream has its first lines.
func (l *loop) beginFamily(ctx context.Context, stream bool) error {
	if !stream {
		return l.begin(ctx)
	}
	if l.inBatch {
		return l.commit()
	}
	return nil
}

// source reads the new lines of one source.
func (l *loop) source(ctx context.Context, r *source.Reader, res *Result) error {
	position := r.Position()
	stream, err := detect.NewStream(l.parserOptions(r.Path()), l.opt.Format, l.opt.Year, r.Modified())
	if err != nil {
		return err
	}
	if err := restore(stream, position.State); err != nil {
		res.Errs = append(res.Errs,
			fmt.Errorf("go on reading %s in mid-line: %w: an open row or session is lost", r.Path(), err))
	}
	if l.opt.Whole {
		r.Whole()
	}
	if err := l.readAs(logName(r)); err != nil {
		return err
	}
	file := File{Path: r.Path(), resumed: position.Offset > 0, forced: l.opt.Format != "auto"}
	readErr := l.readLines(ctx, r, stream, &file)
	if readErr != nil && readErr != io.EOF {
		var fatal *fatalError
		if errors.As(readErr, &fatal) {
			if errors.Is(fatal.error, errMoved) { // the lines before it are committed
				l.note(&file, stream, res)
			}
			return fatal.error
		}
		res.Errs = append(res.Errs, readErr)
	}
	if err := l.save(r, stream); err != nil {
		return err
	}
	l.last = stream
	l.note(&file, stream, res)
	l.countUntimed()
	return nil
}

// note adds a file that was read to the result.
func (l *loop) note(file *File, stream *detect.Stream, res *Result) {
	if file.Lines.Read == 0 {
		return
	}
	res.Lines.Add(file.Lines)
	l.judge(file, stream, res)
	res.Files = append(res.Files, *file)
}

// judge notes whether a file lacks data that every record needs and, when nothing in it
// was understood, which kind of file it seems to be. A file that the user did not name is
// then left out of the counts.
func (l *loop) judge(file *File, stream *detect.Stream, res *Result) {
	if file.lacking = stream.Lacks(); !file.NotUnderstood() {
		return
	}
	file.Refusal = stream.Refusal()
	if !l.given[file.Path] { // the user did not name it: it was found in a directory
		res.Lines.Sub(file.Lines)
		l.untimed = store.Lines{}
	}
}

// countUntimed counts the lines of a source before the first line with a time.
func (l *loop) countUntimed() {
	if l.untimed.Read > 0 {
		l.w.CountLines(0, l.untimed)
		l.untimed = store.Lines{}
	}
}

func restore(stream *detect.Stream, state []byte) error {
	if len(state) == 0 {
		return nil
	}
	return stream.UnmarshalBinary(state)
}

// fatalError is an error that does not concern a single source: it ends the run.
type fatalError struct{ error }

func (l *loop) parserOptions(path string) parsers.Options {
	return parsers.Options{Location: l.opt.Location, Host: l.opt.Host, Path: path}
}

// begin begins a batch unless one is open. When another process has written since the
// last batch, it drops what is in memory.
func (l *loop) begin(ctx context.Context) error {
	if l.inBatch {
		return nil
	}
	stale, err := l.w.Begin(ctx)
	if err != nil {
		return err
	}
	l.inBatch, l.lines = true, 0
	if stale {
		l.once.forget()
		if err := l.tracker.Reset(); err != nil {
			return errors.Join(err, l.fail())
		}
	}
	return nil
}

func (l *loop) commit() error {
	l.countUntimed()
	err := errors.Join(l.tracker.Flush(), l.once.flush())
	if err == nil && l.shows != nil { // it may keep no more in memory than the main tracker
		err = l.shows.Flush()
	}
	if err != nil {
		l.err = err
		return l.fail()
	}
	l.inBatch = false
	return l.w.Commit()
}

// fail rolls the batch back and returns the error that caused this.
func (l *loop) fail() error {
	l.w.Rollback()
	l.inBatch, l.untimed = false, store.Lines{}
	l.once.forget()
	return l.err
}

// save stores how far r was read, within the batch.
func (l *loop) save(r *source.Reader, stream *detect.Stream) error {
	p := placeOf(r, stream)
	if err := l.put(&p); err != nil {
		return err
	}
	r.Saved(p.Position)
	return nil
}

// put stores a place in a source, within the batch.
func (l *loop) put(p *place) error {
	if !p.Known() {
		return nil
	}
	if p.err != nil {
		return fmt.Errorf("keep the state of %s: %w", p.Path, p.err)
	}
	s := store.Source(p.Position)
	l.w.PutSource(&s)
	p.Position = source.Position(s)
	return nil
}

// positions lets the sources look up positions in the store. It is used within a batch;
// for a stream, the first question begins that batch.
type positions struct{ *loop }

func (p positions) FingerprintLengths(ctx context.Context) ([]int64, error) {
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	return p.w.FingerprintLengths()
}

func (p positions) ByFingerprint(_ context.Context, fingerprint [16]byte,
	length int64) ([]source.Position, error) {
	return convert(p.w.SourcesByFingerprint(fingerprint, length))
}

func (p positions) ByInode(_ context.Context, device, inode uint64) ([]source.Position, error) {
	return convert(p.w.SourcesByInode(device, inode))
}

func (p positions) ByFamily(_ context.Context, family string) ([]source.Position, error) {
	return convert(p.w.SourcesByFamily(family))
}

func convert(sources []store.Source, err error) ([]source.Position, error) {
	found := make([]source.Position, len(sources))
	for i, s := range sources {
		found[i] = source.Position(s)
	}
	return found, err
}
