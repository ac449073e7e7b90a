package store

import (
	"time"

	"mailfail/registry"
)

// Timeline counts the events of a window by some dimensions and by steps of time.
type Timeline struct {
	Window Window // in whole minutes
	Step   time.Duration
	By     []Dimension
	Slices []Slice // sorted by their values
}

// Slice holds the points of one combination of dimensions.
type Slice struct {
	Values []registry.Foreign // as many as dimensions
	Points []Point            // those that are not zero, oldest first
}

// Point counts the events within one step of a timeline.
//
// Messages that a server made itself to report failures are not counted.
//
// Recipients and First count recipients; the others count lines of the log. Deliveries have
// no reason: with a dimension of causes they are at the values "" of those dimensions, and
// with a filter of causes nowhere.
type Point struct {
	Time time.Time // when the step begins

	Accepted int64 // messages that came into the queue, as far as logs report it
	Untried  int64 // of these, messages without a later record
	// first mentioned in this step; one delivered at the first attempt counts at its
	// delivery
	Recipients int64
	Delivered  int64 // attempts
	Deferrals  int64 // attempts that failed temporarily
	Failures   int64 // attempts that failed permanently
	First      int64 // failing attempts that are the first of their recipient for their reason
	Suspended  int64 // recipients that were deferred without an attempt
	HandedOver int64 // recipients that were passed on to a content filter
	Rejected   int64 // mail that was refused, permanently or temporarily
}

// Add adds o to p.
func (p *Point) Add(o *Point) {
	p.Accepted += o.Accepted
	p.Untried += o.Untried
	p.Recipients += o.Recipients
	p.Delivered += o.Delivered
	p.Deferrals += o.Deferrals
	p.Failures += o.Failures
	p.First += o.First
	p.Suspended += o.Suspended
	p.HandedOver += o.HandedOver
	p.Rejected += o.Rejected
}
