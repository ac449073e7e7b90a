package store

import (
	"time"

	"mailfail/registry"
)

// Delivered lists deliveries without an earlier failure or deferral, and the other steps
// that messages took.
type Delivered struct {
	Rows []DeliveredRow // oldest first
	From time.Time      // all rows since then are kept; zero: since the beginning
	Kept Kept           `json:",omitzero"` // of failures
}

// DeliveredRow is one step of one recipient.
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
