package store

import "time"

// ExactWithin is how far apart a tracking log and a send log report the same
// failure at most. The row of the tracking log is written when the transaction
// has ended; the next attempt comes a minute later at the earliest. A message that
// is given up may have been deferred a moment before: the outcomes differ.
const ExactWithin = 2 * time.Minute

// Formats whose logs report mail that other logs report too.
const (
	TrackingFormat     = "exchange-tracking"
	SendFormat         = "exchange-smtpsend"
	ReceiveFormat      = "exchange-smtpreceive"
	ConnectivityFormat = "exchange-connectivity"
	TraceFormat        = "exchange-online-trace"
	SummaryFormat      = "exchange-online-summary"

	// BouncesFormat reports failures that any log of a server may report, and
	// deliveries none: where there is a log, what bounces report is in no rate.
	BouncesFormat = "bounces"
)
