package store

import (
	"time"

	"mailfail/registry"
)

// A FlowSink receives the counts and failures of some windows, some rows at a time. An
// implementation should keep no more than it needs: a month of a large site has tens of
// millions of rows.
//
// The Reader leaves out messages that a server made itself to report failures.
type FlowSink interface {
	// AddPlace is called with each place before its rows. Places are numbered from 0 in the
	// order of these calls. p is valid only during the call.
	AddPlace(p *FlowPlace)
	// AddCause is called with each cause before its failures; causes are numbered as places
	// are.
	AddCause(c *FlowCause)
	// AddCounts is called with the counts of places by minute. Several rows may have the
	// same place and minute. The rows are valid only during the call.
	AddCounts(rows *FlowRows)
	// AddFailure is called with the first failing attempt of a recipient for a reason. f is
	// valid only during the call.
	AddFailure(f *FlowFailure)
}

// A FlowSummer is a FlowSink that needs only sums of the windows before the last: the
// recipients by place, of these windows together, and the mail of senders by quarters of an
// hour, in as much of each window as the last window is long. Where the Reader knows such
// sums, it passes them instead of calling AddCounts. A FlowSummer must not use Arrived and
// State of failures in these windows.
type FlowSummer interface {
	FlowSink
	// AddSums is called with numbers of recipients by place in these windows. Their sum
	// over all calls counts.
	AddSums(places []int32, recipients []int64)
	// AddMail is called with each sender at a host before its mail; senders are numbered as
	// places are, and a sender may have several numbers.
	AddMail(m *FlowMail)
	// AddQuarters is called with mail of a quarter of an hour. Other calls may add mail of
	// the same quarter. q is valid only during the call.
	AddQuarters(q *FlowQuarters)
}

// A FlowDeferrer is a FlowSummer that may do without the minutes of the last window too.
// Where the Reader knows sums of parts of that window, it passes these, and the minutes
// only on request.
type FlowDeferrer interface {
	FlowSummer
	// AddLast is called at most once, with the recipients by place in such parts. The
	// Reader passes the mail of these parts to AddQuarters, and neither to AddCounts. more
	// calls each with the rows that AddCounts would have received. The sink may call more
	// as long as the Reader is valid.
	AddLast(places []int32, recipients []int64, more func(each func(*FlowRows)) error)
	// AddSuspended is called with the rows, among these, whose place has a suspension in
	// these parts. They are valid only during the call.
	AddSuspended(rows *FlowRows)
}

// FlowMail is the mail of a sender's domain at a host.
type FlowMail struct{ Host, Sender registry.Foreign }

// FlowQuarters holds the recipients and accepted messages in a quarter of an hour
// of the clock, by mail.
type FlowQuarters struct {
	Minute               int64 // the first of the quarter, since 1970
	Mail                 []int32
	Recipients, Accepted []int64 // like those of FlowRows
}

// FlowPlace is a combination of dimensions that every recipient has.
type FlowPlace struct {
	Host, Instance, Sender, Domain, Relay, Provider registry.Foreign

	// Names numbers these texts, in this order, within one answer: equal numbers mean equal
	// texts; 0 unknown.
	Names [6]int32
}

// FlowCause is the cause under which failures are counted.
type FlowCause struct {
	Reason    string
	Code      string // "550 5.1.1", "" when none was given
	Stage     registry.Stage
	Source    registry.Source
	Signature registry.Foreign
}

// FlowRows are rows of counts, column by column. A column of numbers is as long
// as Place, or nil: 0 throughout. The numbers are like those of a Point.
type FlowRows struct {
	Place                                      []int32
	Minute                                     []int64 // since 1970
	Accepted, Recipients, Delivered, Suspended []int64

	// Recipients that the database stores one by one: those that failed, those that wait at
	// the end of the last window, and, among the waiting, those without a record since they
	// arrived.
	Failed, Waiting, Untried []int64
}

// FlowFailure is the first failing attempt of a recipient for a reason.
type FlowFailure struct {
	ID           int64 // of the attempt, for Replies
	Recipient    int64
	Place, Cause int32
	Time         time.Time
	Arrived      time.Time      // time of the first record of the recipient
	State        registry.State // of the recipient at the end of the last window
}

// Reply describes one failing attempt and its message.
type Reply struct {
	ID        int64
	Text      registry.Foreign // as logged
	IP        registry.Foreign // of the relay
	Sender    registry.Foreign // address
	Recipient registry.Foreign // address
	Account   registry.Foreign // who submitted the message, "" unknown
	Client    registry.Foreign // that brought it in
}
