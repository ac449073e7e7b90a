package table

import (
	"bytes"
	"time"

	"mailfail/parsers"
)

// Time reads a time in the forms of accounting files: seconds since 1970, or a date and a
// time with or without an offset from UTC, both with or without a fraction. clock
// converts a time without an offset; if clock is nil, the result is zero. The result is
// zero for any other text.
//
//	1795329600.5
//	2026-11-22 06:40:00+0100
//	2026-11-22 06:40:00
//	2026-11-22T06:40:00.123Z
func Time(b []byte, clock *parsers.Clock) time.Time {
	if whole, _, _ := bytes.Cut(b, []byte(".")); len(whole) > 7 && len(whole) < 12 {
		n, ok := parsers.Digits(whole)
		if nanos, rest := fraction(b[len(whole):]); ok && len(rest) == 0 {
			return time.Unix(int64(n), nanos).UTC()
		}
	}
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != ' ' && b[10] != 'T' || b[13] != ':' ||
		b[16] != ':' {
		return time.Time{}
	}
	var v [6]int
	for i, at := range [...]int{0, 5, 8, 11, 14, 17} {
		n := 2
		if i == 0 {
			n = 4
		}
		var ok bool
		if v[i], ok = parsers.Digits(b[at : at+n]); !ok {
			return time.Time{}
		}
	}
	day, ok := parsers.DayNumber(v[0], v[1], v[2])
	if !ok || v[3] > 24 || v[4] > 59 || v[5] > 60 {
		return time.Time{}
	}
	second := v[3]*3600 + v[4]*60 + v[5]
	rest := b[19:]
	nanos, rest := fraction(rest)
	if offset, ok := offsetOf(rest); ok {
		return time.Unix(int64(day)*86400+int64(second-offset), nanos).UTC()
	}
	if clock == nil {
		return time.Time{}
	}
	return time.Unix(clock.Instant(day, min(second, 86399)), nanos).UTC()
}

// fraction reads the fraction of a second at the beginning of b, if any, in nanoseconds.
func fraction(b []byte) (nanos int64, rest []byte) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b
	}
	i, unit := 1, int64(1e8)
	for ; i < len(b) && parsers.IsDigit(b[i]); i++ {
		nanos, unit = nanos+int64(b[i]-'0')*unit, unit/10
	}
	return nanos, b[i:]
}

// offsetOf reads Z, +0100, -01:00 or " +0100" and returns seconds east of UTC.
func offsetOf(b []byte) (int, bool) {
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) == 6 && b[3] == ':' {
		h, ok1 := parsers.Digits(b[1:3])
		m, ok2 := parsers.Digits(b[4:6])
		return signed(b[0], h*3600+m*60, ok1 && ok2)
	}
	if len(b) == 5 {
		h, ok1 := parsers.Digits(b[1:3])
		m, ok2 := parsers.Digits(b[3:5])
		return signed(b[0], h*3600+m*60, ok1 && ok2)
	}
	return 0, false
}

func signed(sign byte, seconds int, ok bool) (int, bool) {
	switch sign {
	case '+':
		return seconds, ok
	case '-':
		return -seconds, ok
	}
	return 0, false
}
