package store

import "time"

// Retention says up to which time what is removed. Zero times remove nothing.
type Retention struct {
	// Rows are who was concerned and what was said: messages, recipients,
	// failing attempts and rejections. What is counted of them stays.
	Rows time.Time

	// Deliveries are those with nothing gone wrong, in whole hours.
	Deliveries time.Time

	// Counts are all numbers, in whole days of UTC. No later than Rows.
	Counts time.Time
}

// Pruned says how much was removed.
type Pruned struct {
	Messages, Recipients, Attempts, Rejections int64

	Other  int64 // connections, submissions, troubles, ids to find rows by, and blocks of deliveries
	Texts  int64
	Counts int64 // blocks of numbers, of an hour or of rows that were removed before
	Bytes  int64 // given back to the file system
}
