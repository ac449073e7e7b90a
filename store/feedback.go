package store

import (
	"time"

	"mailfail/registry"
)

// FeedbackKind is the meaning of a report about mail that was sent before. Databases store
// the numbers.
type FeedbackKind uint8

// The kinds of feedback.
const (
	// FeedbackUnmatched is a bounce about mail that no log reports.
	FeedbackUnmatched FeedbackKind = 1
	// FeedbackRefused is a bounce about mail that a log reports as delivered: the next hop
	// accepted it, and a server refused it later.
	FeedbackRefused FeedbackKind = 2
	// FeedbackRepeated is a bounce about a failure that a log reports too.
	FeedbackRepeated FeedbackKind = 3
	// FeedbackComplaint is a complaint of a recipient.
	FeedbackComplaint FeedbackKind = 4
)

// String returns the name of a kind.
func (k FeedbackKind) String() string {
	return [...]string{"", "unmatched", "refused", "repeated", "complaint"}[k]
}

// Bounce holds what a bounce reports about the mail, besides the fields of an Attempt.
type Bounce struct {
	QueueIDs []byte // of the message on the servers that had it, separated by blanks
	Original []byte // address of the recipient before other servers changed it, or nil
}

// Complaint is a complaint about a message.
type Complaint struct {
	Time      int64
	Series    int64
	Type      string // abuse, fraud …
	MessageID []byte // Message-ID, or the queue id if the report has none
	Address   []byte // of the recipient, empty when the report hides it
}

// FeedbackRow counts the reports of one kind that have all of the fields in common.
//
// Host, Sender, Domain and Provider come from the delivery if the mail was refused after it
// had been delivered, otherwise from the report.
type FeedbackRow struct {
	Kind     FeedbackKind
	Format   string // of the report
	Host     registry.Foreign
	Sender   registry.Foreign // domain
	Domain   registry.Foreign // of the recipient
	Provider registry.Foreign

	Reply    int    // of a bounce, 0 none
	Enhanced string // likewise, "" none
	Reason   string // likewise

	N           int64 // recipients, or complaints
	First, Last time.Time
	Example     registry.Foreign // reply of a bounce or type of a complaint; the smallest of several
}

// Code returns the code of a bounce.
func (r *FeedbackRow) Code() string { return Code(r.Reply, r.Enhanced) }
