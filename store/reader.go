package store

import (
	"context"
	"time"
)

// A Reader answers questions about the content of a database. Two answers may describe
// different moments, unless the Reader comes from Database.Snapshot. Several goroutines may
// use a Reader at the same time.
type Reader interface {
	// Numbers counts the events of a window, as a whole, by recipient domain, by code, and
	// by the dimensions of by.
	Numbers(ctx context.Context, w Window, f Filter, by []Dimension) (*Numbers, error)

	// Sums counts the same, without tables.
	Sums(ctx context.Context, w Window, f Filter) (*Sums, error)

	// Timeline counts the events of a window by the dimensions of by and by steps of time.
	// step must be a number of whole minutes.
	Timeline(ctx context.Context, w Window, f Filter, by []Dimension, step time.Duration) (*Timeline, error)

	// Flow passes to a sink the counts of some windows, by place and minute, and each first
	// failure. The windows are in order and do not overlap. Codes and reasons of f select
	// failures only. Accounts of f select failures and the recipients that have any:
	// deliveries are not counted by account.
	Flow(ctx context.Context, windows []Window, f Filter, to FlowSink) error

	// Replies returns the replies, addresses and clients of the failing attempts with some
	// ids (of FlowFailure), in no order. ID is set.
	Replies(ctx context.Context, ids []int64) ([]Reply, error)

	// Affected calls each with the recipients that failed in a window and those that are
	// pending at its end; recipients with the same Destination follow each other. The
	// argument is valid until each returns.
	Affected(ctx context.Context, w Window, f Filter, each func(*Affected) error) error

	// Persons returns the addresses of the recipients with some ids (of Affected), and the
	// text of their last failure before a time, in the order of ids.
	Persons(ctx context.Context, ids []int64, before time.Time) ([]Person, error)

	// Covered returns the minutes of the first and the last line that was read,
	// zero when there is none.
	Covered(ctx context.Context) (first, last time.Time, err error)

	// Troubles returns the internal trouble that mail systems reported in the hours of a
	// window, the most frequent first. It uses only hosts and MTAs of f.
	Troubles(ctx context.Context, w Window, f Filter) ([]TroubleRow, error)

	// Submissions counts messages by the account and client that submitted them in the
	// hours of a window, most messages first. It uses only hosts and senders of f.
	Submissions(ctx context.Context, w Window, f Filter) ([]SubmissionRow, error)

	// Volumes returns the volumes of the hours of a window, by hour, and in each by measure
	// and value. It uses only hosts of f.
	Volumes(ctx context.Context, w Window, f Filter) ([]HourVolume, error)

	// Feedback returns the reports of a window about mail that was sent before: bounces and
	// complaints, the most frequent first.
	Feedback(ctx context.Context, w Window, f Filter) ([]FeedbackRow, error)

	// Events calls each with the failures in a window that have one of outcomes, oldest
	// first, and returns what it left out of that window. With newest > 0 it calls each for
	// that many of the newest failures at most.
	Events(ctx context.Context, w Window, f Filter, outcomes []string, newest int,
		each func(*Event) error) (LeftOut, error)

	// Trace finds messages by queue id or Message-ID, or by the address of a
	// recipient, and the rejections of either, oldest first.
	Trace(ctx context.Context, what string) ([]*Story, []*Event, error)

	// Delivered finds deliveries without an earlier failure or deferral, by queue id or
	// Message-ID, or by the address of a recipient.
	Delivered(ctx context.Context, what string) (Delivered, error)

	// Recent calls each with the counts of a window: n attempts or rejections of a minute
	// share all fields that e contains, which are time, outcome, format, host, provider,
	// domain, reply, enhanced code and reason.
	Recent(ctx context.Context, w Window, f Filter, each func(e *Event, n int64)) error

	// Usual returns the attempts and rejections a minute around the time of day of now: the
	// median of the last days, at most days of them.
	Usual(ctx context.Context, now time.Time, days int, f Filter) (Usual, error)

	// Repeats finds the failures in a window that another log reports too.
	Repeats(ctx context.Context, w Window, f Filter) (*Repeats, error)
}

// A Database is a Reader that can give answers of one moment.
type Database interface {
	Reader

	// Snapshot calls f with a Reader whose answers all describe one moment, whatever is
	// written meanwhile. The Reader is valid until f returns. f should return soon: the
	// database cannot clean up while a snapshot is open.
	Snapshot(ctx context.Context, f func(Reader) error) error
}

// Repeats finds the failures that another log reports too, among those that are shown as
// they arrive. Reports leave out the same ones.
type Repeats struct {
	asked   Filter
	tracked bool
}

// NewRepeats returns the Repeats for failures that a filter selects. tracked is true if
// message tracking logs report such failures.
func NewRepeats(f Filter, tracked bool) *Repeats {
	// A filter may select send logs alone: then no other log repeats them.
	return &Repeats{asked: Filter{MTAs: f.MTAs, Hosts: f.Hosts}, tracked: tracked}
}

// Has reports whether e must be left out: failures of send logs are, from the first failure
// of a tracking log on.
func (r *Repeats) Has(e *Event) bool {
	if e.Format == TrackingFormat && !r.tracked {
		r.tracked = r.asked.Match(e)
	}
	return e.Format == SendFormat && r.tracked
}

// Usual holds the usual attempts and rejections a minute at a time of day.
type Usual struct {
	Days                                  int // days with numbers; 0: no history yet
	Delivered, Deferred, Failed, Rejected float64
}
