package ingest

import (
	"context"
	"io"

	"mailfail/ingest/source"
	"mailfail/ingest/track"
	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/store"
)

// watcher observes the lines of a Follower's sources, whichever process reads them first.
// That process stores a line; every process that follows shows it. So the watcher has a
// tracker of its own, which receives the lines that this process stores and those that
// others have stored, and writes nothing.
type watcher struct {
	tracker *track.Tracker
	shown   map[int64]int64 // offset up to which a source was shown, by its ID
	// before is the largest ID of the sources that were in the store at the start. Lines
	// of these sources that were read before the start are not shown.
	before int64
}

func newWatcher(w store.Writer, rules store.Classifier) *watcher {
	return &watcher{tracker: track.New(readOnly{w}, rules), shown: map[int64]int64{}, before: -1}
}

// begin is called at the beginning of a batch.
func (w *watcher) begin(db store.Writer) (err error) {
	if w.before >= 0 {
		return nil
	}
	if w.before, err = db.LastSource(); err != nil {
		return err
	}
	return w.tracker.Reset()
}

// maxShown bounds the number of sources in watcher.shown.
const maxShown = 10_000

// passed notes up to which offset a source was observed.
func (w *watcher) passed(p source.Position) {
	if p.ID == 0 {
		return
	}
	if len(w.shown) > maxShown {
		for id := range w.shown {
			w.before = max(w.before, id)
		}
		clear(w.shown)
	}
	w.shown[p.ID] = p.Offset
}

// missed returns the offset from which on other processes have read a source up to p,
// unseen here.
func (w *watcher) missed(p source.Position) int64 {
	from, ok := w.shown[p.ID]
	switch {
	case p.ID == 0, !ok && p.ID <= w.before:
		return p.Offset
	}
	return from
}

// observe passes the tracker the lines that other processes have read in a source since
// it was last observed. g is the state kept of the source, nil when it is new.
func (f *follower) observe(ctx context.Context, r *source.Reader, g *log) error {
	p := r.Position()
	from := f.watcher.missed(p)
	f.watcher.passed(p)
	if from >= p.Offset {
		return nil
	}
	lines := r.Between(from, p.Offset)
	if lines == nil {
		return nil // its lines were in another file before
	}
	stream, err := f.streamAt(r, g, p.ID, from)
	if err != nil {
		return err
	}
	emit := func(r *parsers.Record) {
		if f.err == nil {
			f.err = f.watcher.tracker.Record(r)
		}
	}
	for ctx.Err() == nil {
		line, err := lines.Next()
		switch {
		case err == nil:
		case tooLong(err) != nil:
			continue
		case err == io.EOF:
			return nil
		default:
			f.warn(err)
			return nil
		}
		f.line = line
		stream.Parse(line, emit)
		if f.err != nil {
			return f.fail()
		}
	}
	return nil
}

// streamAt returns the stream of a source at an offset: the one that was kept, or a new
// one, which lacks the state of the lines before.
func (f *follower) streamAt(r *source.Reader, g *log, id, offset int64) (*detect.Stream, error) {
	if g != nil && g.saved.ID == id && g.saved.Offset == offset {
		return g.stream, nil
	}
	return detect.NewStream(f.parserOptions(r.Path()), f.opt.Format, f.opt.Year, r.Modified())
}

// readOnly is a Writer that writes nothing.
type readOnly struct{ store.Writer }

func (readOnly) Series(*store.SeriesKey) (int64, error)      { return 1, nil }
func (readOnly) Cause(*store.Cause) (int64, error)           { return 1, nil }
func (readOnly) Count(_, _ int64, _ store.Counts)            {}
func (readOnly) Suspend(_, _, _ int64)                       {}
func (readOnly) AddMessage(*store.Message) (int64, error)    { return 1, nil }
func (readOnly) UpdateMessage(int64, *store.Message) error   { return nil }
func (readOnly) DeleteMessage(int64)                         {}
func (readOnly) AddRecipient(*store.Recipient) int64         { return 1 }
func (readOnly) UpdateRecipient(int64, *store.Recipient)     {}
func (readOnly) RespellRecipient(int64, string)              {}
func (readOnly) DeleteRecipient(int64)                       {}
func (readOnly) AddAttempt(*store.Attempt) error             { return nil }
func (readOnly) AddRejection(*store.Rejection) error         { return nil }
func (readOnly) AddConnection(*store.Connection)             {}
func (readOnly) AddSubmission(*store.Submission)             {}
func (readOnly) AddVolume(int64, []byte, *store.Volume)      {}
func (readOnly) AddTrouble(*store.Trouble)                   {}
func (readOnly) AddDelivery(*store.Delivery)                 {}
func (readOnly) PutOpenMessage([]byte, int64, int64, []byte) {}
func (readOnly) DeleteOpenMessage([]byte)                    {}
func (readOnly) ForgetOpenMessages(int64)                    {}
