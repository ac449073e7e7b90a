package store

import (
	"time"

	"mailfail/registry"
)

// Affected describes a recipient that failed, or that waits at the end of a window, and its
// destination. An answer may hold a million of them, with fewer destinations and few
// causes: these are shared, and callers must not change them. A Destination is valid as long
// as the recipients have it; that of the next ones has another address.
type Affected struct {
	ID        int64
	State     registry.State // bounced, expired or pending
	Tried     bool           // an attempt or a suspension is known
	FirstSeen time.Time
	LastSeen  time.Time // time of the failure, or of its last record

	// Place and Cause number Destination and LastFailure within one answer; 0 unknown.
	Place, Cause int64

	*Destination
	*LastFailure
}

// Destination describes where the mail of a recipient goes.
type Destination struct {
	// Names numbers Host, Sender, Domain and Provider within one answer: equal numbers mean
	// equal values; 0 unknown.
	Names [4]int32

	MTA      string
	Host     registry.Foreign
	Sender   registry.Foreign // domain; "<>" the null sender, "" unknown
	Domain   registry.Foreign
	Provider registry.Foreign

	Direction registry.Direction
}

// LastFailure describes why a recipient failed or waits. It is zero for a recipient that
// was given up or waits untried.
type LastFailure struct {
	Reply    int
	Enhanced string
	Reason   string
}

// Code returns the reply code and the enhanced code of the last failure.
func (l *LastFailure) Code() string { return Code(l.Reply, l.Enhanced) }

// Person identifies a recipient that failed or waits, with the text of its last failure.
type Person struct {
	ID        int64
	Address   registry.Foreign
	Sender    registry.Foreign // "" is the null sender
	HasSender bool             // Sender is known
	Account   registry.Foreign // who submitted the message, "" unknown
	Message   registry.Foreign // queue id
	Tries     int64            // failing attempts until the window's end
	Text      registry.Foreign // of the last failure
}
