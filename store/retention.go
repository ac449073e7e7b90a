package store

import "time"

// Retention holds the times before which rows are removed. Zero times remove nothing.
type Retention struct {
	// Rows applies to messages, recipients, failing attempts and rejections, which hold
	// addresses and replies. Their counts stay.
	Rows time.Time

	// Deliveries applies to deliveries without a failure or deferral, in whole hours.
	Deliveries time.Time

	// Counts applies to all numbers, in whole days of UTC. It is no later than Rows.
	Counts time.Time
}

// Pruned counts what was removed.
type Pruned struct {
	Messages, Recipients, Attempts, Rejections int64

	Other  int64 // connections, submissions, troubles, rows of the lookup table, and blocks of deliveries
	Texts  int64
	Counts int64 // blocks of numbers, of an hour or of rows that were removed before
	Bytes  int64 // given back to the file system
}
