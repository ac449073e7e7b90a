package store

import (
	"time"

	"mailfail/registry"
)

// Affected is a recipient that failed, or that waits at the end of a window,
// and where.
type Affected struct {
	ID        int64
	State     registry.State // bounced, expired or pending
	Tried     bool           // an attempt or a suspension is known
	FirstSeen time.Time
	LastSeen  time.Time // when it failed, or was heard of last

	// Numbers of what is below, of one answer; 0 unknown. What has the same Place
	// has the same MTA, Host, Sender, Domain, Provider and Direction; what has the
	// same Cause the same Reply, Enhanced and Reason.
	Place, Cause int64

	MTA      string
	Host     registry.Foreign
	Sender   registry.Foreign // domain; "<>" the null sender, "" unknown
	Domain   registry.Foreign
	Provider registry.Foreign

	Direction registry.Direction

	// The last failure. A recipient may have none: given up or waiting untried.
	Reply    int
	Enhanced string
	Reason   string
}

// Code returns the reply code and the enhanced code of the last failure.
func (t *Affected) Code() string { return Code(t.Reply, t.Enhanced) }

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
