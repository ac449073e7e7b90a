// Package store defines the words of reports, and the answers that a
// database of mail failures gives: events, windows, filters, numbers, timelines
// and stories. A Reader answers; a Writer takes the rows of package
// ingest/track. The engines that keep the rows are in folders below; this package
// knows none of them.
package store
