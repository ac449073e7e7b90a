package store

import "time"

// ExactWithin is the longest time between the reports of the same failure in a tracking log
// and in a send log. Exchange writes the row of the tracking log when the transaction has
// ended; the next attempt comes a minute later at the earliest. A message that is given up
// may have been deferred a moment before: then the outcomes differ.
const ExactWithin = 2 * time.Minute

// Formats whose logs report mail that other logs report too.
const (
	TrackingFormat     = "exchange-tracking"
	SendFormat         = "exchange-smtpsend"
	ReceiveFormat      = "exchange-smtpreceive"
	ConnectivityFormat = "exchange-connectivity"
	TraceFormat        = "exchange-online-trace"
	SummaryFormat      = "exchange-online-summary"

	// BouncesFormat reports failures that any log of a server may report too, and no
	// deliveries: where there is a log, rates leave out what bounces report.
	BouncesFormat = "bounces"
)
