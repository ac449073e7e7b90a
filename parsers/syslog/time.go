package syslog

import (
	"bytes"
	"encoding/hex"
	"time"

	"mailfail/parsers"
)

// timeAt reads the time at the beginning of b, in any of the layouts found before lines,
// and returns its length. near is a time that came before it; a date without a year is
// put into the year nearest to it. It is zero when there was none.
//
//	Nov 19 12:37:15.123              syslog
//	2026 Nov 19 12:37:15             syslog with a year
//	2026-11-19T12:37:15.123+01:00    RFC 3339; also with a blank or _ for the T,
//	                                 and a zone apart: 2026-11-19 12:37:15 +0100
//	2026/11/19 12:37:15              Go's log
//	2026:11:19-12:37:15              Sophos
//	Thu Nov 19 12:37:15 2026         ctime(3): logread, clamd
//	Thu Nov 19 12:37:15 UTC 2026     date(1)
//	Thu 2026-11-19 12:37:15.123 CET  journalctl -o short-full
//	Nov 19, 2026 @ 12:37:15.123      Kibana
//	1795091835.123456                seconds; also milli-, micro- and nanoseconds
//	@400000006a1f0d3f0757a1c4        TAI64N of multilog, svlogd and s6-log
func (r *Reader) timeAt(b []byte, near time.Time) (t time.Time, n int) {
	if len(b) < 10 {
		return t, 0
	}
	switch c := b[0]; {
	case c == '@':
		return tai64n(b)
	case parsers.IsDigit(c):
		return r.digitTime(b)
	case c < 'A' || c > 'Z':
		return t, 0
	case weekday(b):
		return r.weekdayTime(b)
	}
	month, mday, n := monthDay(b)
	if n == 0 {
		return r.kibanaTime(b)
	}
	second, nano, m := timeOfDay(b[n:])
	if m == 0 {
		return r.yearThird(b, month, mday, n)
	}
	day, ok := r.dayOf(month, mday, near)
	if !ok {
		return t, 0
	}
	return r.instant(day, second, nano), n + m
}

// dayOf returns the day number of a date without a year.
func (r *Reader) dayOf(month, mday int, near time.Time) (int, bool) {
	if near.IsZero() {
		return r.year.day(month, mday)
	}
	return nearest(month, mday, near)
}

// instant returns the instant of a wall-clock time.
func (r *Reader) instant(day, second int, nano int64) time.Time {
	r.stamp[0] = 0
	return time.Unix(r.clock.Instant(day, second), nano).UTC()
}

// digitTime reads the layouts that begin with a digit.
func (r *Reader) digitTime(b []byte) (t time.Time, n int) {
	if parsers.IsDigit(b[4]) {
		return epoch(b)
	}
	if b[4] == ' ' {
		return r.yearFirst(b)
	}
	if t, n, ok := r.isoTime(b); ok {
		if n+1 < len(b) && b[n] == ' ' && (b[n+1] == '+' || b[n+1] == '-') {
			if offset, z := zone(b[n+1:]); z >= 5 {
				day, _ := dateOf(b)
				second, nano, _ := timeOfDay(b[11:])
				return zoned(day, second, nano, offset), n + 1 + z
			}
		}
		return t, n
	}
	if len(b) < 19 {
		return t, 0
	}
	sep, gap := b[4], b[10]
	if sep != b[7] || !(sep == '/' && gap == ' ' || sep == ':' && gap == '-' || sep == '-' && gap == '_') {
		return t, 0
	}
	day, ok := dateOf(b)
	second, nano, n := timeOfDay(b[11:])
	if !ok || n == 0 {
		return t, 0
	}
	return r.instant(day, second, nano), 11 + n
}

// yearThird reads a time with the year after the day, "Nov 19 2026 12:37:15", whose month
// and day have been read.
func (r *Reader) yearThird(b []byte, month, mday, n int) (time.Time, int) {
	if len(b) < n+5 || b[n+4] != ' ' {
		return time.Time{}, 0
	}
	year, ok1 := parsers.Digits(b[n : n+4])
	day, ok2 := parsers.DayNumber(year, month, mday)
	second, nano, m := timeOfDay(b[n+5:])
	if !ok1 || !ok2 || m == 0 {
		return time.Time{}, 0
	}
	return r.instant(day, second, nano), n + 5 + m
}

// yearFirst reads "2013 Jun 10 06:27:30[.123]".
func (r *Reader) yearFirst(b []byte) (t time.Time, n int) {
	year, ok := parsers.Digits(b[:4])
	month, mday, n := monthDay(b[5:])
	if !ok || n == 0 {
		return t, 0
	}
	day, ok := parsers.DayNumber(year, month, mday)
	second, nano, m := timeOfDay(b[5+n:])
	if !ok || m == 0 {
		return t, 0
	}
	return r.instant(day, second, nano), 5 + n + m
}

// dateOf reads the day of "2026-11-19", with any characters between the numbers.
func dateOf(b []byte) (day int, ok bool) {
	year, ok1 := parsers.Digits(b[:4])
	month, ok2 := parsers.Digits(b[5:7])
	mday, ok3 := parsers.Digits(b[8:10])
	day, ok4 := parsers.DayNumber(year, month, mday)
	return day, ok1 && ok2 && ok3 && ok4
}

// isoTime reads an RFC 3339 time, or one like it (a blank for the T, a comma
// before the fraction, +0000, no zone), and returns its length.
func (r *Reader) isoTime(b []byte) (t time.Time, n int, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' {
		return t, 0, false
	}
	day, ok := dateOf(b)
	second, nano, n := timeOfDay(b[11:])
	if !ok || n == 0 {
		return t, 0, false
	}
	n += 11
	offset, z := zone(b[n:])
	if z == 0 {
		return r.instant(day, second, nano), n, true
	}
	return zoned(day, second, nano, offset), n + z, true
}

func zoned(day, second int, nano int64, offset int) time.Time {
	return time.Unix(int64(day)*86400+int64(second-offset), nano).UTC()
}

// weekday reports whether b begins with "Thu " or "Thu, ".
func weekday(b []byte) bool {
	switch string(b[:3]) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return b[3] == ' ' || b[3] == ',' && b[4] == ' '
	}
	return false
}

// weekdayTime reads the layouts that begin with a day of the week.
func (r *Reader) weekdayTime(b []byte) (t time.Time, n int) {
	start := bytes.IndexByte(b, ' ') + 1
	rest := b[start:]
	if len(rest) < 19 {
		return t, 0
	}
	if parsers.IsDigit(rest[0]) { // short-full
		day, ok := dateOf(rest)
		second, nano, n := timeOfDay(rest[11:])
		if !ok || n == 0 || rest[10] != ' ' {
			return t, 0
		}
		return r.namedZone(rest, 11+n, day, second, nano, start)
	}
	month, mday, n := monthDay(rest)
	if n == 0 {
		return t, 0
	}
	second, nano, m := timeOfDay(rest[n:])
	if m == 0 {
		return t, 0
	}
	n += m
	offset, name := 0, 0
	if len(rest) > n+1 && !parsers.IsDigit(rest[n+1]) { // a zone before the year
		if offset, name = zoneName(rest[n+1:]); name == 0 {
			return t, 0
		}
		n += 1 + name
	}
	if len(rest) < n+5 || rest[n] != ' ' {
		return t, 0
	}
	year, ok := parsers.Digits(rest[n+1 : n+5])
	day, ok2 := parsers.DayNumber(year, month, mday)
	if !ok || !ok2 {
		return t, 0
	}
	n += 5
	if name > 0 && offset != unknownZone {
		return zoned(day, second, nano, offset), start + n
	}
	return r.instant(day, second, nano), start + n
}

// namedZone ends a time whose zone may follow after a blank, as a name or a number.
func (r *Reader) namedZone(b []byte, n, day, second int, nano int64, start int) (time.Time, int) {
	if len(b) > n+1 && b[n] == ' ' {
		if offset, z := zone(b[n+1:]); z > 0 && z < len(b)-n-1 {
			return zoned(day, second, nano, offset), start + n + 1 + z
		}
		if offset, z := zoneName(b[n+1:]); z > 0 {
			if offset != unknownZone {
				return zoned(day, second, nano, offset), start + n + 1 + z
			}
			n += 1 + z
		}
	}
	return r.instant(day, second, nano), start + n
}

// unknownZone is the offset of a zone whose name is not in zoneNames: such a time is read
// in the zone of the log.
const unknownZone = 1 << 20

// zoneNames are the abbreviations that date(1) and journalctl print, if they have only
// one meaning; in hours east of UTC.
var zoneNames = map[string]int{
	"UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3,
	"EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9,
	"AKDT": -8, "HST": -10,
	"JST": 9, "KST": 9, "AWST": 8, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "SAST": 2,
}

// zoneName reads the name of a zone, two to five capitals before a blank.
func zoneName(b []byte) (offset, n int) {
	for n < len(b) && n < 6 && b[n] >= 'A' && b[n] <= 'Z' {
		n++
	}
	if n < 2 || n > 5 || n == len(b) || b[n] != ' ' {
		return 0, 0
	}
	hours, ok := zoneNames[string(b[:n])]
	if !ok {
		return unknownZone, n
	}
	return hours * 3600, n
}

// kibanaTime reads "Nov 19, 2026 @ 12:37:15.123".
func (r *Reader) kibanaTime(b []byte) (t time.Time, n int) {
	if len(b) < 22 || b[3] != ' ' {
		return t, 0
	}
	comma := bytes.IndexByte(b[:8], ',')
	if comma < 5 || len(b) < comma+17 || string(b[comma+6:comma+9]) != " @ " {
		return t, 0
	}
	mday, ok1 := parsers.Digits(b[4:comma])
	year, ok2 := parsers.Digits(b[comma+2 : comma+6])
	day, ok3 := parsers.DayNumber(year, monthNumber(b), mday)
	second, nano, m := timeOfDay(b[comma+9:])
	if !ok1 || !ok2 || !ok3 || m == 0 {
		return t, 0
	}
	return r.instant(day, second, nano), comma + 9 + m
}

// epoch reads the time since 1970 in seconds, with a fraction, or in milli-,
// micro- or nanoseconds, distinguished by the number of digits.
func epoch(b []byte) (t time.Time, n int) {
	for n < len(b) && n < 20 && parsers.IsDigit(b[n]) {
		n++
	}
	v := parsers.Number(b[:min(n, 16)])
	switch n {
	case 10:
		nano := int64(0)
		if len(b) > n+1 && b[n] == '.' && parsers.IsDigit(b[n+1]) {
			scale := int64(100_000_000)
			for n++; n < len(b) && parsers.IsDigit(b[n]); n++ {
				nano += int64(b[n]-'0') * scale
				scale /= 10
			}
		}
		return time.Unix(v, nano).UTC(), n
	case 13:
		return time.UnixMilli(v).UTC(), n
	case 16:
		return time.UnixMicro(v).UTC(), n
	case 19:
		return time.UnixMicro(v).UTC(), n
	}
	return t, 0
}

// tai64n reads a TAI64N label. Like multilog, it takes the leap seconds to be ten.
func tai64n(b []byte) (t time.Time, n int) {
	if len(b) < 25 {
		return t, 0
	}
	var raw [12]byte
	if _, err := hex.Decode(raw[:], b[1:25]); err != nil || raw[0] != 0x40 {
		return t, 0
	}
	seconds, nano := int64(0), int64(0)
	for _, c := range raw[1:8] {
		seconds = seconds<<8 | int64(c)
	}
	for _, c := range raw[8:] {
		nano = nano<<8 | int64(c)
	}
	if seconds > 1<<40 || nano > 999_999_999 {
		return t, 0
	}
	return time.Unix(seconds-10, nano).UTC(), 25
}

// zone reads Z, +02:00, +0200 or +02 and returns the seconds east of UTC and
// its length.
func zone(b []byte) (offset, n int) {
	if len(b) > 0 && b[0] == 'Z' {
		return 0, 1
	}
	if len(b) < 3 || b[0] != '+' && b[0] != '-' {
		return 0, 0
	}
	hours, ok := parsers.Digits(b[1:3])
	if !ok {
		return 0, 0
	}
	minutes, n := 0, 3
	rest := b[3:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) >= 2 {
		if m, ok := parsers.Digits(rest[:2]); ok {
			minutes, n = m, len(b)-len(rest)+2
		}
	}
	offset = hours*3600 + minutes*60
	if b[0] == '-' {
		offset = -offset
	}
	return offset, n
}

// timeOfDay reads 06:27:30 with or without a fraction.
func timeOfDay(b []byte) (second int, nano int64, n int) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, 0, 0
	}
	h, ok1 := parsers.Digits(b[:2])
	m, ok2 := parsers.Digits(b[3:5])
	s, ok3 := parsers.Digits(b[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0, 0, 0
	}
	n = 8
	if len(b) > 9 && (b[8] == '.' || b[8] == ',') && parsers.IsDigit(b[9]) {
		scale := int64(100_000_000)
		for n = 9; n < len(b) && parsers.IsDigit(b[n]); n++ {
			nano += int64(b[n]-'0') * scale
			scale /= 10
		}
	}
	return h*3600 + m*60 + s, nano, n
}

// monthDay reads "Nov  2 ", "Nov 12 " or "Nov 2 " and returns its length.
func monthDay(b []byte) (month, day, n int) {
	if len(b) < 7 || b[3] != ' ' {
		return 0, 0, 0
	}
	month = monthNumber(b)
	n = 4
	if b[n] == ' ' {
		n++
	}
	start := n
	for n < len(b) && n < start+2 && parsers.IsDigit(b[n]) {
		day = day*10 + int(b[n]-'0')
		n++
	}
	if month == 0 || n == start || n >= len(b) || b[n] != ' ' {
		return 0, 0, 0
	}
	return month, day, n + 1
}

// monthNumber returns the number of the month whose English abbreviation begins b, or 0.
func monthNumber(b []byte) int {
	switch string(b[:3]) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}
