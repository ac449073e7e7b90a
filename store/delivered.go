package store

import (
	"time"

	"mailfail/registry"
)

// Delivered are deliveries with nothing gone wrong before, and the other steps of the
// way of messages.
type Delivered struct {
	Rows []DeliveredRow // oldest first
	From time.Time      // since when all are kept; zero: since the beginning
	Kept Kept           `json:",omitzero"` // of what failed
}

// DeliveredRow is one of them, a recipient.
type DeliveredRow struct {
	Time           time.Time // in seconds
	Format         string
	Host, Instance registry.Foreign
	QueueID        registry.Foreign
	SenderDomain   registry.Foreign // "<>" for the null sender
	Recipient      registry.Foreign
	Relay          registry.Foreign
	Direction      string // of DirectionNames
	Step           Step
	Place          registry.Foreign // "dovecot: stored in Junk", of StepPlaced
}
