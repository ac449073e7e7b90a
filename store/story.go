package store

import (
	"mailfail/registry"
	"time"
)

// Story is what the database knows of a message: it has rows for messages with
// a recipient that failed, was suspended, or is pending. Recipients that were
// delivered at once are only counted.
type Story struct {
	Format             string
	Host, Instance     registry.Foreign
	QueueID, MessageID registry.Foreign
	Sender             registry.Foreign // "" is the null sender
	HasSender          bool             // Sender is known
	Client, ClientIP   registry.Foreign
	Account            registry.Foreign // who submitted it: SASL login, local user; "" unknown
	Size               int64
	Own                bool // made by this server to report a failure
	FirstSeen          time.Time
	Recipients         []StoryRecipient
}

// StoryRecipient is one recipient of a message and what happened to it.
type StoryRecipient struct {
	Address             registry.Foreign
	State               registry.State
	FirstSeen, LastSeen time.Time
	Final               time.Time // zero while pending
	Attempts            []*Event  // failing ones, oldest first

	// Accepted is when the next hop took the mail that a bounce reports as failed,
	// by a log; zero: no log has it, or this is not a bounce.
	Accepted time.Time `json:",omitzero"`
}
