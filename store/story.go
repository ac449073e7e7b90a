package store

import (
	"mailfail/registry"
	"time"
)

// Story is what the database knows of a message: it has rows for messages with
// a recipient that failed, was suspended, or is pending. Recipients that were
// delivered at once are only counted.
type Story struct {
	Message
	FirstSeen  time.Time
	Recipients []StoryRecipient
}

// StoryRecipient is one recipient of a message and what happened to it.
type StoryRecipient struct {
	Address             string
	State               registry.State
	FirstSeen, LastSeen time.Time
	Final               time.Time // zero while pending
	Attempts            []*Event  // failing ones, oldest first
}
