package store

import (
	"time"

	"mailfail/registry"
)

// Affected is a recipient that failed, or that waits at the end of a window,
// and where. There may be a million of them, at fewer places and of few causes:
// those are shared, and are not to be changed.
type Affected struct {
	ID        int64
	State     registry.State // bounced, expired or pending
	Tried     bool           // an attempt or a suspension is known
	FirstSeen time.Time
	LastSeen  time.Time // when it failed, or was heard of last

	// Numbers, within one answer, of what is below; 0 unknown.
	Place, Cause int64

	*Destination
	*LastFailure
}

// Destination is where the mail of a recipient goes.
type Destination struct {
	// Numbers, within one answer, of Host, Sender, Domain and Provider: what has the
	// same number is the same; 0 unknown.
	Names [4]int32

	MTA      string
	Host     registry.Foreign
	Sender   registry.Foreign // domain; "<>" the null sender, "" unknown
	Domain   registry.Foreign
	Provider registry.Foreign

	Direction registry.Direction
}

// LastFailure is why a recipient failed or waits. All is zero for one that was
// given up or waits untried.
type LastFailure struct {
	Reply    int
	Enhanced string
	Reason   string
}

// Code returns the reply code and the enhanced code of the last failure.
func (l *LastFailure) Code() string { return Code(l.Reply, l.Enhanced) }

// Person is who a recipient in trouble is, and what the last failure said.
type Person struct {
	ID        int64
	Address   registry.Foreign
	Sender    registry.Foreign // "" is the null sender
	HasSender bool             // Sender is known
	Account   registry.Foreign // who submitted the message, "" unknown
	Message   registry.Foreign // queue id
	Tries     int64            // failing attempts until the window's end
	Text      registry.Foreign // of the last one
}
