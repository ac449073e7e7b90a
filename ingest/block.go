package ingest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"mailfail/ingest/source"
	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/store"
)

// One goroutine reads and parses lines in blocks, while another follows the messages of
// the earlier blocks: see feed.readAhead. The size of a block and the number of blocks
// are bounded.
const (
	blockRecords = 128
	blockBytes   = 64 << 10
	blocksAhead  = 16
)

// A block carries the records of lines from the parsers to the tracker. Blocks are
// reused, so that lines allocate nothing.
type block struct {
	records []record
	data    []byte // memory that the records point to
	counts  []lineCount
	samples []Sample // lines that were not understood

	ended bool  // at a place where a batch may end; otherwise the last line may have more records
	last  place // that place
	err   error // the error of reading on from there
}

// record is a record that stays valid as long as its block.
type record struct {
	first bool        // the first record of its line
	line  detect.Line // identity of the line, set in a first record
	text  []byte      // the line, when lines are shown to an observer
	parsers.Record
}

// lineCount counts consecutive lines of one minute.
type lineCount struct {
	time int64 // a time in that minute, microseconds; 0 before the first line with a time
	store.Lines
}

// A place is a point between two lines of a source: the data needed to store how far the
// source was read, and to continue from there.
type place struct {
	source.Position
	err        error // the error of appending the parser state
	seen       []detect.Seen
	read, size int64 // see source.Reader.Progress
}

func placeOf(r *source.Reader, stream *detect.Stream) place {
	p := place{Position: r.Position(), seen: stream.Seen()}
	p.State, p.err = stream.AppendBinary(nil)
	p.read, p.size = r.Progress()
	return p
}

// newBlocks returns all blocks that are ever in use: one is being filled, the others wait
// or are with the tracker.
func newBlocks() chan *block {
	blocks := make(chan *block, blocksAhead+1)
	for range cap(blocks) {
		blocks <- new(block)
	}
	return blocks
}

func (b *block) reset() {
	b.records, b.data, b.counts, b.samples = b.records[:0], b.data[:0], b.counts[:0], b.samples[:0]
	b.ended, b.last, b.err = false, place{}, nil
}

// next appends a record to the block and returns it.
func (b *block) next() *record {
	if n := len(b.records); n < cap(b.records) {
		b.records = b.records[:n+1]
	} else if n == 0 { // at once what most blocks need in the end
		b.records = make([]record, 1, blockRecords)
	} else {
		b.records = append(b.records, record{})
	}
	return &b.records[len(b.records)-1]
}

// keep returns a copy of text that stays valid with the block.
func (b *block) keep(text []byte) []byte {
	n := len(b.data)
	b.data = append(b.data, text...)
	return b.data[n:len(b.data):len(b.data)]
}

// feed fills blocks with the records of the lines of a stream.
type feed struct {
	stream *detect.Stream
	blocks chan *block         // blocks that are not in use
	block  *block              // being filled; nil when no more is wanted
	pass   func(*block) *block // hands a full block on, and returns an empty one
	err    error               // the error of the consumer of blocks, set by pass
	keep   func(*parsers.Record)

	identified bool   // records carry the identity of their line, to find lines that other logs contain too
	shown      bool   // records carry the text of their line
	text       []byte // the line that is being read, when shown
	lines      int    // since the last place at which a batch may end

	counted lineCount   // lines not yet added to a block
	enough  atomic.Bool // reading stops at the next such place
}

func (l *loop) newFeed(stream *detect.Stream) *feed {
	f := &feed{stream: stream, blocks: l.blocks, identified: !l.alone, shown: l.watched}
	f.keep = f.add // bound once, so that no line allocates it
	return f
}

// begin makes the feed pass each full block to take, until end.
func (f *feed) begin(take func(*block) error) {
	f.block, f.err = <-f.blocks, nil
	f.pass = func(b *block) *block {
		f.err = take(b)
		b.reset()
		if f.err == nil {
			return b
		}
		f.blocks <- b
		return nil
	}
}

// end hands on the last block, and returns the error of take.
func (f *feed) end() error {
	f.hand()
	if f.block != nil {
		f.blocks <- f.block
	}
	return f.err
}

// hand hands the block on.
func (f *feed) hand() {
	if f.block != nil {
		f.flush()
		f.block = f.pass(f.block)
	}
}

// add adds a record to the block.
func (f *feed) add(r *parsers.Record) {
	if f.block != nil && (len(f.block.records) == blockRecords || len(f.block.data) >= blockBytes) {
		f.hand()
	}
	b := f.block
	if b == nil {
		return
	}
	kept := b.next()
	kept.Record = *r
	b.data = kept.Detach(b.data)
	if kept.first = false; f.identified {
		if kept.line, kept.first = f.stream.Line(); kept.first {
			kept.line.Host = b.keep(kept.line.Host)
		}
	}
	if kept.text = nil; f.shown {
		kept.text = b.keep(f.text)
	}
}

// line parses a line.
func (f *feed) line(line []byte) parsers.Result {
	f.text = line
	result := f.stream.Parse(line, f.keep)
	f.count(result)
	return result
}

// count counts a line that was read.
func (f *feed) count(result parsers.Result) {
	c := &f.counted
	lost := int64(f.stream.Lost())
	c.Irrelevant -= lost
	c.Unparsed += lost
	if now := max(0, f.stream.Time().UnixMicro()); store.Minute(now) != store.Minute(c.time) {
		f.flush()
		c.time = now
	}
	c.Read++
	switch result {
	case parsers.Understood:
		c.Understood++
	case parsers.Irrelevant:
		c.Irrelevant++
	default:
		c.Unparsed++
	}
}

// flush adds the lines counted so far to the block.
func (f *feed) flush() {
	if f.counted.Read > 0 && f.block != nil {
		f.block.counts = append(f.block.counts, f.counted)
		f.counted.Lines = store.Lines{}
	}
}

// read reads lines up to the next place at which a batch may end. It returns false when
// there is no further line for now, or when no more is wanted.
func (f *feed) read(r *source.Reader) bool {
	for f.block != nil {
		line, err := r.Next()
		result := parsers.Unparsed
		if err == nil {
			result = f.line(line)
		} else if long := tooLong(err); long != nil {
			line = []byte(long.Error())
			f.count(result)
		} else {
			return f.reach(r, err)
		}
		if result == parsers.Unparsed {
			f.sample(r, line)
		}
		if f.lines++; f.lines == checkEvery {
			f.lines = 0
			return f.reach(r, nil)
		}
	}
	return false
}

// tooLong returns err as a *source.TooLongError if a line was skipped, else nil.
func tooLong(err error) *source.TooLongError {
	var long *source.TooLongError
	errors.As(err, &long)
	return long
}

// sample keeps a line that was not understood.
func (f *feed) sample(r *source.Reader, line []byte) {
	if f.block != nil && len(f.block.samples) < samples {
		shown := f.stream.Redact(line)
		f.block.samples = append(f.block.samples,
			Sample{r.Position().Line, string(shown[:min(len(shown), 200)])})
	}
}

// reach hands the block on at a place where a batch may end, with the error of reading
// on, if any. It reports whether more is wanted.
func (f *feed) reach(r *source.Reader, err error) bool {
	if f.block == nil {
		return false
	}
	f.block.ended, f.block.last, f.block.err = true, placeOf(r, f.stream), err
	f.hand()
	return err == nil && f.block != nil
}

// readAll reads to the end of r, to the first error, or until enough is set. It takes the
// first blocks in this goroutine before it reads ahead: most logs have grown by a few
// lines only.
func (f *feed) readAll(r *source.Reader, take func(*block) error) error {
	f.enough.Store(false)
	f.begin(take)
	if !f.read(r) || f.enough.Load() {
		return f.end()
	}
	return f.readAhead(r, take)
}

// readAhead reads in a second goroutine while take takes the full blocks.
func (f *feed) readAhead(r *source.Reader, take func(*block) error) (err error) {
	full := make(chan *block, blocksAhead)
	f.pass = func(b *block) *block {
		full <- b
		return <-f.blocks
	}
	go func() {
		defer close(full)
		for f.read(r) && !f.enough.Load() {
		}
		f.blocks <- f.block
	}()
	for b := range full {
		if err == nil {
			err = take(b)
		}
		if err != nil {
			f.enough.Store(true)
		}
		b.reset()
		f.blocks <- b
	}
	return err
}

// reading is the state of a source while it is read. The Reader is ahead of it.
type reading struct {
	*loop
	feed *feed
	ctx  context.Context
	r    *source.Reader
	file *File

	last  place           // the last place that was reached
	err   error           // the error of reading on from there
	saved source.Position // the last position that was stored
}

// readLines reads to the end of r, or to the first error.
func (l *loop) readLines(ctx context.Context, r *source.Reader, stream *detect.Stream, file *File) error {
	s := &reading{loop: l, feed: l.newFeed(stream), ctx: ctx, r: r, file: file, saved: r.Position()}
	for {
		s.feed.lines = l.lines % checkEvery
		err := s.feed.readAll(r, s.take)
		switch {
		case err != nil:
		case s.err == nil: // enough was set
			err = s.yield(context.Context.Err)
		case s.err == source.ErrQuiet:
			err = s.yield(r.Await)
		}
		r.Saved(s.saved)
		if err != nil {
			return &fatalError{err}
		}
		if s.err != nil && s.err != source.ErrQuiet {
			return s.err
		}
	}
}

// take passes a block to the loop, and ends the batch if that is due.
func (s *reading) take(b *block) error {
	lines := s.file.Lines.Read
	if err := s.loop.take(b, &s.file.Lines); err != nil {
		return err
	}
	s.lines += int(s.file.Lines.Read - lines)
	s.file.Samples = append(s.file.Samples, b.samples[:min(len(b.samples), samples-len(s.file.Samples))]...)
	if !b.ended {
		return nil
	}
	s.last, s.err, s.file.Seen = b.last, b.err, b.last.seen
	if b.err != nil {
		return nil
	}
	return s.pause()
}

// pause commits the batch if it is large enough or another process waits to write, and
// begins the next one.
func (s *reading) pause() error {
	if now := time.Now(); s.opt.Progress != nil && now.Sub(s.shown) > 100*time.Millisecond {
		s.shown = now
		s.opt.Progress(s.r.Path(), s.last.read, s.last.size)
	}
	if s.lines%(boundEvery*checkEvery) == 0 {
		s.memory.bound()
	}
	full, err := s.tracker.Full()
	if err != nil {
		s.loop.err = err
		return s.fail()
	}
	if s.lines < batchLines && !full && !s.w.Wanted() && s.ctx.Err() == nil {
		return nil
	}
	if !s.rereads { // other processes may have read on in it: nothing may be read ahead
		s.feed.enough.Store(true)
		return nil
	}
	return s.yield(context.Context.Err)
}

// yield commits a batch, waits, and begins the next. Other processes may write in
// between.
func (s *reading) yield(wait func(context.Context) error) error {
	s.last.ID = s.saved.ID
	if err := s.put(&s.last); err != nil {
		return err
	}
	s.saved = s.last.Position
	if err := s.commit(); err != nil {
		return err
	}
	if err := wait(s.ctx); err != nil {
		return err
	}
	if err := s.begin(s.ctx); err != nil {
		return err
	}
	// A stream that is still in its first line was not stored yet. It has to be looked up
	// anew, as has one in which other processes have read.
	offset, err := s.w.SourceOffset(s.last.ID)
	if err != nil {
		return err
	}
	if offset != s.last.Offset {
		return errMoved
	}
	return nil
}
