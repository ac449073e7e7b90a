package store

import (
	"time"

	"mailfail/registry"
)

// A FlowSink receives what happened in some windows, some rows at a time. Whoever asks
// keeps no more of it than needed: a month of a large site has tens of millions of
// rows.
//
// Messages that a server made itself to report failures are left out.
type FlowSink interface {
	// AddPlace is called with each place before the rows of it. Places are
	// numbered from 0 in the order of these calls. It is valid during the call.
	AddPlace(p *FlowPlace)
	// AddCause is called with each cause before the failures of it; causes are
	// numbered as places are.
	AddCause(c *FlowCause)
	// AddCounts is called with what was counted at places in minutes. There may be
	// several rows with the same place and minute. They are valid during the call.
	AddCounts(rows *FlowRows)
	// AddFailure is called with the first failing attempt of a recipient for a
	// reason. It is valid during the call.
	AddFailure(f *FlowFailure)
}

// A FlowSummer is a FlowSink that needs no more than sums of the windows before the
// last: of all of them together the recipients by place, and of each the mail of
// senders by quarters of an hour, in as much of it as the last window is long. It is
// told sums where they are known, which then are in no call of AddCounts. Of failures
// in these windows it is not told Arrived and State.
type FlowSummer interface {
	FlowSink
	// AddSums is called with numbers of recipients of places in these windows. What
	// counts is the sum of all calls.
	AddSums(places []int32, recipients []int64)
	// AddMail is called with each sender at a host before the mail of it; they are
	// numbered as places are, and one may have several numbers.
	AddMail(m *FlowMail)
	// AddQuarters is called with the mail of a quarter of an hour, of which there may
	// be more in other calls. It is valid during the call.
	AddQuarters(q *FlowQuarters)
}

// A FlowDeferrer is a FlowSummer that may do without the minutes of the last window
// too. Where sums of parts of it are known it is told these, and the minutes when it
// asks for them.
type FlowDeferrer interface {
	FlowSummer
	// AddLast is called with the recipients of places in such parts, no more than once.
	// AddQuarters is told the mail of them; AddCounts is told neither. more calls each
	// with the rows that AddCounts would have been told. It may be called as long as
	// the Reader is valid.
	AddLast(places []int32, recipients []int64, more func(each func(*FlowRows)) error)
	// AddSuspended is called with those of these rows whose place has any suspension
	// in these parts. They are valid during the call.
	AddSuspended(rows *FlowRows)
}

// FlowMail is the mail of a sender's domain at a host.
type FlowMail struct{ Host, Sender registry.Foreign }

// FlowQuarters holds the recipients and accepted messages in a quarter of an hour
// of the clock, by mail.
type FlowQuarters struct {
	Minute               int64 // since 1970: its first
	Mail                 []int32
	Recipients, Accepted []int64 // like those of FlowRows
}

// FlowPlace is a combination of dimensions that every recipient has.
type FlowPlace struct {
	Host, Instance, Sender, Domain, Relay, Provider registry.Foreign

	// Names are numbers of these texts in their order, within one answer: what has
	// the same number is the same; 0 unknown.
	Names [6]int32
}

// FlowCause is what a failure is filed under.
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

	// Of the recipients with a row of their own: those that failed, and those that wait at
	// the end of the last window, and of these the ones of which nothing was heard since
	// they came.
	Failed, Waiting, Untried []int64
}

// FlowFailure is the first failing attempt of a recipient for a reason.
type FlowFailure struct {
	ID           int64 // of the attempt, for Replies
	Recipient    int64
	Place, Cause int32
	Time         time.Time
	Arrived      time.Time      // when the recipient was first heard of
	State        registry.State // of the recipient at the end of the last window
}

// Reply is what is known of one failing attempt, and of its message.
type Reply struct {
	ID        int64
	Text      registry.Foreign // as logged
	IP        registry.Foreign // of the relay
	Sender    registry.Foreign // address
	Recipient registry.Foreign // address
	Account   registry.Foreign // who submitted the message, "" unknown
	Client    registry.Foreign // that brought it in
}
