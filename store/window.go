package store

import "time"

// Window is a half-open span of time [Since, Until); a zero end is open.
type Window struct{ Since, Until time.Time }

// Minutes returns w with its ends moved down to whole minutes, since counts are kept by
// minute.
func (w Window) Minutes() Window {
	return Window{floorMinute(w.Since), floorMinute(w.Until)}
}

func floorMinute(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	m := t.UnixMicro()
	return time.UnixMicro(m - mod(m, MinuteMicros)).In(t.Location())
}

const MinuteMicros = 60_000_000

func mod(a, b int64) int64 { return (a%b + b) % b }

// Micros returns the ends of w in microseconds since 1970; open ends are beyond any time.
func (w Window) Micros() (since, until int64) {
	since, until = -1<<62, 1<<62
	if !w.Since.IsZero() {
		since = w.Since.UnixMicro()
	}
	if !w.Until.IsZero() {
		until = w.Until.UnixMicro()
	}
	return since, until
}

// Dimension is a property by which numbers can be broken down.
type Dimension string

// The dimensions.
const (
	ByDomain   Dimension = "domain"
	ByCode     Dimension = "code"
	ByProvider Dimension = "provider"
	BySender   Dimension = "sender" // the sender's domain
	ByRelay    Dimension = "relay"
	ByHost     Dimension = "host"
	ByInstance Dimension = "instance"
	ByReason   Dimension = "reason"
	ByMTA      Dimension = "mta"

	ByDirection Dimension = "direction" // whose mailbox the recipient is
)

// Dimensions lists all dimensions.
var Dimensions = []Dimension{ByDomain, ByCode, ByProvider, BySender, ByRelay, ByHost, ByInstance, ByReason,
	ByMTA, ByDirection}

// OfCause reports whether only failures have d.
func (d Dimension) OfCause() bool { return d == ByCode || d == ByReason }

// Minute returns the minute since 1970 in which a time in microseconds lies.
func Minute(time int64) int64 {
	const us = 60_000_000
	if time < 0 {
		time -= us - 1
	}
	return time / us
}
