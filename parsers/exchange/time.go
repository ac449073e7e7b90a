package exchange

import (
	"bytes"
	"time"

	"mailfail/parsers"
)

// clock reads the times of a log. It keeps the last day, because nearly every row
// has the day of the row before.
type clock struct {
	date  [10]byte
	start time.Time
}

// read reads 2026-11-20T00:05:36.460Z, with any number of fractional digits
// and with or without the Z: all Exchange logs are in UTC (Microsoft, "Message
// tracking": "The UTC date-time of the message tracking event").
func (c *clock) read(b []byte) (time.Time, bool) {
	if !isTime(b) {
		return time.Time{}, false
	}
	if !bytes.Equal(b[:10], c.date[:]) {
		number, ok := parsers.DayNumber(digits(b[:4]), digits(b[5:7]), digits(b[8:10]))
		if !ok {
			return time.Time{}, false
		}
		c.start = time.Unix(int64(number)*secondsPerDay, 0).UTC()
		copy(c.date[:], b)
	}
	hour, minute, second := digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	if hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, false
	}
	nanos, ok := fraction(b[19:])
	if !ok {
		return time.Time{}, false
	}
	return c.start.Add(time.Duration(hour*3600+minute*60+second)*time.Second + nanos), true
}

// day returns the day of the last time that was read, in days since 1970.
func (c *clock) day() int64 { return c.start.Unix() / secondsPerDay }

const secondsPerDay = 24 * 60 * 60

// isTime reports whether b begins like an ISO 8601 time to the second.
func isTime(b []byte) bool {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return false
	}
	return allDigits(b[:4]) && allDigits(b[5:7]) && allDigits(b[8:10]) &&
		allDigits(b[11:13]) && allDigits(b[14:16]) && allDigits(b[17:19])
}

// fraction reads the text after the seconds: nothing, Z, .460Z, .1234567.
func fraction(b []byte) (time.Duration, bool) {
	if len(b) > 0 && b[len(b)-1] == 'Z' {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != '.' || len(b) > 10 || !allDigits(b[1:]) {
		return 0, false
	}
	n := digits(b[1:])
	for i := len(b); i < 10; i++ {
		n *= 10
	}
	return time.Duration(n), true
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// digits returns the value of b, which must be all digits.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

// size reads a number of up to 18 digits; it returns 0 for anything else.
func size(b []byte) int64 {
	if len(b) > 18 || !allDigits(b) {
		return 0
	}
	return int64(digits(b))
}
