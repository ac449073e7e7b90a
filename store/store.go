// Package store defines the words of reports, and the answers that a database of mail
// failures gives: events, windows, filters, numbers, timelines and stories. A Reader
// answers; a Writer takes the rows of package ingest/track. The engines that store the rows
// are in the folders below; this package does not import them.
package store
