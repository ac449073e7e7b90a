package store

import (
	"context"
	"time"
)

// A Reader answers questions about what a database holds. Two answers of one
// Reader may be of different moments, unless it is one of Database.Snapshot.
// Readers are safe for use by several goroutines, those of a snapshot are not.
type Reader interface {
	// Numbers counts what happened in a window, as a whole, by recipient
	// domain, by code, and by the dimensions of by.
	Numbers(ctx context.Context, w Window, f Filter, by []Dimension) (*Numbers, error)

	// Sums counts the same as a whole.
	Sums(ctx context.Context, w Window, f Filter) (*Sums, error)

	// Timeline counts what happened in a window by the dimensions of by and by
	// steps of time, which are whole minutes.
	Timeline(ctx context.Context, w Window, f Filter, by []Dimension, step time.Duration) (*Timeline, error)

	// Flow reports to a sink what happened in some windows, by place and minute,
	// and each first failure. The windows are in order and do not overlap. What f
	// asks of causes is about failures only; what it asks of accounts, about failures
	// and the recipients that have any: deliveries are not counted by account.
	Flow(ctx context.Context, windows []Window, f Filter, to FlowSink) error

	// Replies returns what is known of failing attempts with some ids (of
	// FlowFailure) alone: replies, addresses and clients, in no order. ID is set.
	Replies(ctx context.Context, ids []int64) ([]Reply, error)

	// Affected calls each with the recipients that failed in a window and those
	// that are pending at its end, those at one Destination one after the other. What
	// it is called with is valid until it returns.
	Affected(ctx context.Context, w Window, f Filter, each func(*Affected) error) error

	// Persons returns who the recipients with some ids of Affected are, and what
	// their last failure before a time said, in the order of ids.
	Persons(ctx context.Context, ids []int64, before time.Time) ([]Person, error)

	// Covered returns the minutes of the first and the last line that was read,
	// zero when there is none.
	Covered(ctx context.Context) (first, last time.Time, err error)

	// Troubles returns what mail systems reported of themselves in the hours of a
	// window, the most frequent first. Of f, hosts and MTAs matter.
	Troubles(ctx context.Context, w Window, f Filter) ([]TroubleRow, error)

	// Submissions returns who brought in how many messages in the hours of a
	// window, most messages first. Of f, hosts and senders matter.
	Submissions(ctx context.Context, w Window, f Filter) ([]SubmissionRow, error)

	// Volumes returns what was added up in the hours of a window, by hour, and in each
	// by measure and value. Of f, hosts matter.
	Volumes(ctx context.Context, w Window, f Filter) ([]HourVolume, error)

	// Feedback returns what was reported within a window of mail that was sent
	// before: bounces and complaints, the most frequent first.
	Feedback(ctx context.Context, w Window, f Filter) ([]FeedbackRow, error)

	// Events calls each with the failures in a window that have one of outcomes,
	// oldest first, and returns what was left out of that time. With newest > 0
	// it does so for no more than the newest ones.
	Events(ctx context.Context, w Window, f Filter, outcomes []string, newest int,
		each func(*Event) error) (LeftOut, error)

	// Trace finds messages by queue id or Message-ID, or by the address of a
	// recipient, and the rejections of either, oldest first.
	Trace(ctx context.Context, what string) ([]*Story, []*Event, error)

	// Delivered finds deliveries with nothing gone wrong by queue id or
	// Message-ID, or by the address of a recipient.
	Delivered(ctx context.Context, what string) (Delivered, error)

	// Recent calls each with what was counted in a window: how many attempts
	// and rejections of a minute share all that e contains, which is time,
	// outcome, format, host, provider, domain, reply, enhanced code and reason.
	Recent(ctx context.Context, w Window, f Filter, each func(e *Event, n int64)) error

	// Usual returns the median of the last days (no more than days of them) of
	// the attempts and rejections a minute around the time of day of now.
	Usual(ctx context.Context, now time.Time, days int, f Filter) (Usual, error)

	// Repeats returns which failures of a window's logs others report too.
	Repeats(ctx context.Context, w Window, f Filter) (*Repeats, error)
}

// A Database is a Reader whose answers can be made to agree with each other.
type Database interface {
	Reader

	// Snapshot calls f with a Reader all of whose answers are of one moment,
	// whatever is written meanwhile. It is valid until f returns, and should
	// not be held for long: a database cannot clean up behind it.
	Snapshot(ctx context.Context, f func(Reader) error) error
}

// Repeats finds the failures among those shown as they come that another log reports
// too. Reports leave the same ones out.
type Repeats struct {
	asked   Filter
	tracked bool
}

// NewRepeats returns the Repeats for failures that a filter selects. tracked: message
// tracking logs report them.
func NewRepeats(f Filter, tracked bool) *Repeats {
	// Send logs may be asked for alone: then nothing repeats them.
	return &Repeats{asked: Filter{MTAs: f.MTAs, Hosts: f.Hosts}, tracked: tracked}
}

// Has reports whether e is to be left out. From the first failure of a tracking
// log on, those of send logs are.
func (r *Repeats) Has(e *Event) bool {
	if e.Format == TrackingFormat && !r.tracked {
		r.tracked = r.asked.Match(e)
	}
	return e.Format == SendFormat && r.tracked
}

// Usual says how many attempts a minute are usual at a time of day.
type Usual struct {
	Days                                  int // that there are numbers of; 0: no history yet
	Delivered, Deferred, Failed, Rejected float64
}
