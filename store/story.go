package store

import (
	"mailfail/registry"
	"time"
)

// Story describes a message. The database has rows for messages with a recipient that
// failed, was suspended, or is pending. Recipients delivered at the first attempt are
// counted but not listed.
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

	// Accepted is the time at which, according to a log, the next hop accepted mail that a
	// bounce reports as failed. Zero: no log reports it, or this is not a bounce.
	Accepted time.Time `json:",omitzero"`
}
