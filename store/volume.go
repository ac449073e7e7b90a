package store

import (
	"bytes"
	"time"
)

// Measure is the kind of event that a Volume counts.
type Measure uint8

// The measures, each with the meaning of its value.
const (
	AcceptedMail   Measure = iota + 1 // messages that came into the queue: 0
	DeliveredOut                      // deliveries elsewhere: see DelayValue
	DeliveredLocal                    // to mailboxes of this host: likewise
	TLSReceived                       // sessions or messages that came in over TLS: see TLSValue
	TLSSent                           // the same for those that went out
	Logins                            // LoginAccepted or LoginFailed
)

// The values of Logins.
const (
	LoginAccepted = iota // messages that came in after a login
	LoginFailed          // attempts to log in
)

// Volume adds up one kind of event by hour and host: how often it occurred and, where
// known, the bytes and the time it took in all.
type Volume struct {
	Measure Measure
	Value   int64 // its meaning depends on Measure
	N       int64
	Bytes   int64
	Millis  int64
}

// HourVolume is a volume of the hour that begins at Time.
type HourVolume struct {
	Time time.Time
	Volume
}

// Add adds another volume of the same measure and value.
func (v *Volume) Add(o *Volume) { v.N, v.Bytes, v.Millis = v.N+o.N, v.Bytes+o.Bytes, v.Millis+o.Millis }

// DelaySteps are the upper ends of the classes of delays. The value of a delay is the
// number of the first step that it is below, counted from 1; 0 is unknown, and a delay that
// is below no step has the value after the last.
var DelaySteps = [...]time.Duration{
	time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour,
	24 * time.Hour,
}

// DelayValue returns the value of a delay; negative is unknown.
func DelayValue(d time.Duration) int64 {
	if d < 0 {
		return 0
	}
	for i, end := range DelaySteps {
		if d < end {
			return int64(i) + 1
		}
	}
	return int64(len(DelaySteps)) + 1
}

// TLSVersions are the versions of TLS, by value less one. Any other version has the value
// after the last.
var TLSVersions = [...]string{"1.0", "1.1", "1.2", "1.3"}

// TLSValue returns the value of a protocol as logs spell it: "TLS1.3:…", "TLSv1.2 with
// cipher …", "TLSv1".
func TLSValue(protocol []byte) int64 {
	version := bytes.TrimPrefix(bytes.TrimPrefix(protocol, []byte("TLS")), []byte("v"))
	other := int64(len(TLSVersions)) + 1
	if len(version) == len(protocol) || len(version) == 0 || version[0] != '1' {
		return other
	}
	if len(version) < 3 || version[1] != '.' && version[1] != '_' {
		return 1
	}
	if minor := int64(version[2] - '0'); minor >= 0 && minor < int64(len(TLSVersions)) {
		return minor + 1
	}
	return other
}
