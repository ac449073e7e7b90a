// Package store has the words that numbers are told in, and the answers that a
// database of mail failures gives: events, windows, filters, numbers, timelines
// and stories. A Reader answers; a Writer takes in what package ingest/track
// found out. The engines that keep the rows are in folders below; this package
// knows none of them.
package store
