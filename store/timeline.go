package store

import (
	"time"

	"mailfail/registry"
)

// Timeline is what happened in a window, by some dimensions and by steps of
// time.
type Timeline struct {
	Window Window // in whole minutes
	Step   time.Duration
	By     []Dimension
	Slices []Slice // sorted by their values
}

// Slice is what happened at one combination of dimensions.
type Slice struct {
	Values []registry.Foreign // as many as dimensions
	Points []Point            // those with anything in them, oldest first
}

// Point is what happened within one step of a timeline.
//
// Messages that a server made itself to report failures are not counted.
//
// The unit of Recipients and First is the recipient, that of the others the
// line of the log. What succeeded has no reason: with a dimension of causes, or
// a filter of them, it stands at the values "" of those dimensions, or nowhere.
type Point struct {
	Time time.Time // when the step begins

	Accepted int64 // messages that came into the queue, as far as logs report it
	Untried  int64 // of these, messages of which nothing was heard since
	// first heard of in this step; one that was delivered at once counts when it was delivered
	Recipients int64
	Delivered  int64 // attempts
	Deferrals  int64 // attempts that failed for now
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
