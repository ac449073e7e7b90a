package investigate

import (
	"time"
)

// Data is what the engine looks at: who was to receive mail, and what failed,
// in the window and on the days before. Minutes are minutes since 1970 UTC. The
// rows may come in any order.
type Data struct {
	Since, Until int64 // the window, half-open
	// Days are the periods before the window that it is compared with, oldest
	// first. They do not overlap. Without any the window is compared with its first third.
	Days []Span
	// Location is the zone of the hours of the day. nil means UTC.
	Location *time.Location

	Places []Place
	Causes []Cause

	Arrivals []Arrival
	Events   []Event
	Accepted []Accepted
}

// Span is a half-open range of minutes.
type Span struct{ Since, Until int64 }

// Place is one combination of the dimensions that every recipient has.
type Place struct {
	Host     string
	Instance string
	Sender   string // domain of the sender, "<>" null sender, "" unknown
	Domain   string // of the recipient
	Relay    string // next hop, "" when there was none
	Provider string // operator of the relay, "" when there was no relay
	Local    bool   // the mailbox is on this host
}

// Cause is what a failure is filed under.
type Cause struct {
	Reason    string
	Code      string // "550 5.1.1", "" when none was given
	Stage     string
	Source    string
	Signature string
}

// Arrival counts recipients that were first seen in a minute. Before the
// window a coarser time is good enough: any minute of the same quarter of an hour.
type Arrival struct {
	Minute int64
	Place  int32
	N      int32
}

// Suspended is the Cause of an event without one of its own: the MTA put the
// recipient off and did not try. The engine looks for the cause.
const Suspended = -1

// Event is the first failing attempt of a recipient for a reason. Retries are
// no events. Before the window only Minute, Place, Cause and N matter.
type Event struct {
	Minute    int64
	Arrived   int64 // minute in which the recipient was first seen
	Place     int32 // Relay is that of the attempt
	Cause     int32 // index of Data.Causes, or Suspended
	N         int32 // recipients
	Recipient int64 // tells recipients apart, 0 unknown
	State     State // at the end of the window
	Detail    Detail
	Text      string // the reply, as logged
}

// State is how a recipient stands at the end of the window.
type State uint8

// The states.
const (
	Waiting State = iota
	Delivered
	Failed // bounced or expired
)

// Detail holds what is known of failures only.
type Detail struct {
	Sender  string // address
	Account string
	Client  string
	IP      string // of the relay
}

// Accepted counts messages that came into the queue in a minute, for servers
// whose log reports that apart from the first attempt.
type Accepted struct {
	Minute int64
	Host   string
	Sender string // domain
	N      int32
}
