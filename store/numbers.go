package store

import (
	"time"

	"mailfail/registry"
)

// Hop counts the connections to one next hop: a server, or a domain whose servers were
// looked up. Code, reason, provider and example are those of the failures with the most
// frequent code and reason.
type Hop struct {
	Name        registry.Foreign
	Connections int64 // with a filter of causes only the failed ones
	Failed      int64 // not made, or ended before a recipient was named
	Messages    int64 // that the next hop took

	Code     string
	Reply    int    // 0 none
	Enhanced string // "" none
	Reason   string
	Provider registry.Foreign
	Example  registry.Foreign // the smallest text of the latest minute

	First, Last time.Time // minutes of the first and the last failure
}

// Tally holds the numbers of one line of a report. Recipients is the sum of Delivered,
// Bounced, Expired, Removed and Pending. Attempts less Deferrals and Failures were
// deliveries.
type Tally struct {
	Recipients, Delivered, Bounced, Expired, Removed, Pending int64

	HandedOver int64 // recipients passed on to a content filter or inside the organisation

	Attempts, Deferrals, Failures int64 // all, temporary, permanent
	Suspended                     int64
	Deferred                      int64 // recipients with a deferral
	Rejected                      int64 // incoming mail refused permanently
	RejectedTemporary             int64 // refused temporarily, see IsTemporary: not in Rejected
}

// Numbers holds the content of a report.
//
// Without a filter of causes, a recipient belongs to the window when its life
// (first to last line) overlaps it, with the state it had at the window's end,
// and to the series of its last attempt; an attempt belongs to the window its
// time lies in, and to its own series.
//
// Only failures have a code and a reason, and the database only counts deliveries. With a
// filter of causes, and in groups by code or reason, the attempts are therefore the failing
// ones that match, and the recipients are those with such a failure in the window, by the
// state in which they ended. A recipient with several codes is in several groups. Messages
// and suspensions are unknown then.
type Numbers struct {
	Window   Window // in whole minutes
	Totals   Tally
	Messages int64

	// Accepted counts the messages that came into the queue within the window, as far as
	// the logs report it. Untried counts those of them without a later record.
	Accepted, Untried int64

	// OwnBounces counts the recipients of messages that the servers made themselves to
	// report failures. No other number includes them.
	OwnBounces Tally

	Lines Lines
	// The minutes of the first and the last line with a time; zero when there
	// are none.
	FirstLine, LastLine time.Time

	Domains    []Group
	Groups     []Group // by the dimensions asked for
	Senders    []Group // Senders to Directions are set if no dimensions were asked for
	Providers  []Group
	Hosts      []Group
	Directions []Group
	Codes      []CodeRow
	Rejections []CodeRow
	Failed     []CauseRow     // recipients that bounced or expired, by their last failure
	PutOff     []CauseRow     // temporary failures
	Unknown    []SignatureRow // failing attempts that no rule matched

	// Failures without a code have little in common: Codes and Rejections have one row for
	// them, which these lists break down by reason.
	Uncoded, UncodedRejections []CodeRow

	Hops []Hop // connections to next hops, from logs that report them

	// SendLogsLeftOut is set when SMTP send logs were left out, because message tracking
	// logs of the same window report the same mail. Exact counts the failing attempts whose
	// stage and reply come from send logs.
	SendLogsLeftOut bool
	Exact           int64
	LeftOut         LeftOut

	// BouncesLeftOut is set when no number includes what bounces report, because there is a
	// log of a server: see Reader.Feedback.
	BouncesLeftOut bool `json:",omitempty"`

	Kept Kept `json:",omitzero"`

	// Traces is set when message traces of Exchange Online and message tracking logs are in
	// the same window; the extended report of Exchange Online is such a log. Mail that is
	// in both is counted twice.
	Traces bool
}

// Sums holds the numbers of Numbers that need no table.
type Sums struct {
	Totals             Tally
	Messages, Accepted int64
	OwnBounces         Tally
	Lines              Lines
	// recipients that bounced or expired, by the reason of their last failure
	Failed map[string]int64
}

// Sums returns the sums of n.
func (n *Numbers) Sums() *Sums {
	s := &Sums{Totals: n.Totals, Messages: n.Messages, Accepted: n.Accepted, OwnBounces: n.OwnBounces,
		Lines: n.Lines, Failed: map[string]int64{}}
	for _, c := range n.Failed {
		s.Failed[c.Reason] += c.N
	}
	return s
}

// Group holds the numbers of one combination of dimensions.
type Group struct {
	Values []registry.Foreign // as many as dimensions
	Tally
	TopCode   string // of most failing attempts, if HasTop
	TopReason string
	TopCause  string // the most frequent pair of code and reason
	HasTop    bool   // there are failing attempts
}

// CodeRow describes the failures with one code.
type CodeRow struct {
	Code     string
	Reply    int              // 0 none
	Enhanced string           // "" none
	Reason   string           // the most frequent
	Provider registry.Foreign // that most of them came from

	Attempts    int64 // failing ones, or rejections
	Deferrals   int64 // of them
	Recipients  int64
	Domains     int64
	TopDomain   registry.Foreign // of failing attempts: where most of them were
	Clients     int64            // of rejections
	First, Last time.Time
	Example     registry.Foreign // latest text of the most frequent signature
}

// CauseRow counts something by code and reason.
type CauseRow struct {
	Code      string
	Reply     int
	Enhanced  string
	Reason    string
	Provider  registry.Foreign // that most of it came from
	N         int64
	Domains   int64
	TopDomain registry.Foreign // where most of it was
}

// SignatureRow holds the failures with one signature.
type SignatureRow struct {
	Signature registry.Foreign
	Code      string
	Attempts  int64
	Example   registry.Foreign
}

// Add adds o to t.
func (t *Tally) Add(o *Tally) {
	t.Recipients += o.Recipients
	t.Delivered += o.Delivered
	t.Bounced += o.Bounced
	t.Expired += o.Expired
	t.Removed += o.Removed
	t.Pending += o.Pending
	t.HandedOver += o.HandedOver
	t.Attempts += o.Attempts
	t.Deferrals += o.Deferrals
	t.Failures += o.Failures
	t.Suspended += o.Suspended
	t.Deferred += o.Deferred
	t.Rejected += o.Rejected
	t.RejectedTemporary += o.RejectedTemporary
}

// AddRecipient counts a recipient by its state.
func (t *Tally) AddRecipient(s registry.State, deferred bool) {
	n := int64(0)
	if deferred {
		n = 1
	}
	t.AddRecipients(s, 1, n)
}

// AddRecipients counts n recipients by their state, some of which were deferred.
func (t *Tally) AddRecipients(s registry.State, n, deferred int64) {
	switch s {
	case registry.StateHandedOver:
		t.HandedOver += n
		return
	case registry.StateReplaced:
		return
	case registry.StatePending:
		t.Pending += n
	case registry.StateDelivered:
		t.Delivered += n
	case registry.StateBounced:
		t.Bounced += n
	case registry.StateExpired:
		t.Expired += n
	case registry.StateRemoved:
		t.Removed += n
	}
	t.Recipients += n
	t.Deferred += deferred
}

// LeftOut counts failures of send logs that were left out because there are message
// tracking logs, although they may come from servers without a tracking log.
type LeftOut struct {
	Untracked int64 // failing attempts that are in no tracking log
	Unnamed   int64 // those that do not name their message: a tracking log may have them

	// Before is set when the failures before this time, within the window that was asked
	// for, were removed.
	Before time.Time `json:",omitzero"`
}

// Any reports whether any failure of send logs was left out.
func (l LeftOut) Any() bool { return l.Untracked+l.Unnamed > 0 }

// Kept holds the times since which the database is complete; older rows and counts may have
// been removed. Zero: since the beginning.
type Kept struct {
	Rows   time.Time // messages, addresses and replies
	Counts time.Time // numbers
}

// CountRow holds the counts of one minute at one place; see Counts for the meaning of each.
type CountRow struct {
	Time     time.Time
	SeriesID int64 // of its database
	Format   string
	Host     registry.Foreign
	Instance registry.Foreign
	Sender   registry.Foreign // domain
	Domain   registry.Foreign
	Relay    registry.Foreign
	Provider registry.Foreign

	Direction registry.Direction
	Own       bool // of messages that the server made to report failures

	Code, Reason string // of the failure that recipients were deferred for
	Counts
}

// TroubleRow counts lines in which mail systems report internal trouble, within whole
// hours. The lines of a row differ in their variable parts only.
type TroubleRow struct {
	Format      string
	Host        registry.Foreign
	Service     registry.Foreign // of several the one that sorts first
	Kind        string           // "fatal", "panic", "disk-full" …
	Text        registry.Foreign // of several the one that sorts first
	Signature   string
	N           int64
	First, Last time.Time
}

// SubmissionRow counts the messages that one account and client submitted within whole
// hours.
type SubmissionRow struct {
	Host       registry.Foreign
	Sender     registry.Foreign // domain; "<>" the null sender, "" unknown
	Account    registry.Foreign // "" unknown
	Client     registry.Foreign // host name, or else address; "" unknown
	Messages   int64
	Recipients int64 // as far as logs give their number
	Bytes      int64 // likewise
}
