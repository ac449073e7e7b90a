package exim

import "time"

// clock turns Exim's times into instants. Most lines have a time of the same
// minute as the one before, so the last minute is remembered.
type clock struct {
	loc *time.Location

	minute [16]byte // "2006-01-02 15:04"
	naive  int64    // that minute as if it were UTC
	unix   int64    // that minute in loc, unless it is ambiguous
	unsure bool     // the minute occurs twice in loc

	// last is the instant of the last line whose time had no zone, in
	// seconds. In the hour that clocks repeat it tells the second round.
	last int64
}

// slack is how far back a line's time may lie behind that of the line before
// without a change of the clocks: lines of several processes are not in order.
const slack = 5 * 60

// stampLen returns the length of the "2006-01-02 15:04:05[.000]" that begins
// b, 0 when none does.
func stampLen(b []byte) int {
	const form = "0000-00-00 00:00:00"
	if len(b) < len(form) {
		return 0
	}
	for i := range len(form) {
		if form[i] == '0' && !isDigit(b[i]) || form[i] != '0' && b[i] != form[i] {
			return 0
		}
	}
	n := len(form)
	if n+1 < len(b) && b[n] == '.' && isDigit(b[n+1]) {
		for n++; n < len(b) && isDigit(b[n]); n++ {
		}
	}
	return n
}

// zoneAfter reads the " +0100" that log_timezone puts behind the time, which
// ends at n, and returns it in seconds together with the offset behind it, n
// when there is none.
func zoneAfter(b []byte, n int) (seconds, end int) {
	if len(b) < n+7 || b[n] != ' ' || b[n+1] != '+' && b[n+1] != '-' || b[n+6] != ' ' {
		return 0, n
	}
	h, m := two(b[n+2:]), two(b[n+4:])
	if h < 0 || m < 0 {
		return 0, n
	}
	seconds = h*3600 + m*60
	if b[n+1] == '-' {
		seconds = -seconds
	}
	return seconds, n + 6
}

// parse reads the time at the beginning of b and returns the offset behind
// it, 0 when there is none.
func (c *clock) parse(b []byte) (time.Time, int) {
	n := stampLen(b)
	if n == 0 {
		return time.Time{}, 0
	}
	if string(b[:16]) != string(c.minute[:]) && !c.setMinute(b[:16]) {
		return time.Time{}, 0
	}
	sec := two(b[17:])
	if sec > 60 {
		return time.Time{}, 0
	}
	nano, scale := int64(0), int64(100_000_000)
	for i := 20; i < n; i++ {
		nano += int64(b[i]-'0') * scale
		scale /= 10
	}
	zone, end := zoneAfter(b, n)
	if end > n {
		return time.Unix(c.naive+int64(sec-zone), nano).In(c.loc), end
	}
	unix := c.unix + int64(sec)
	if c.unsure {
		unix = c.resolve(c.naive + int64(sec))
	}
	c.last = unix
	return time.Unix(unix, nano).In(c.loc), end
}

func (c *clock) setMinute(b []byte) bool {
	year, month, day := two(b)*100+two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute := two(b[11:]), two(b[14:])
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 {
		return false
	}
	copy(c.minute[:], b)
	c.naive = time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.UTC).Unix()
	first, second := c.instants(c.naive)
	c.unix, c.unsure = first, first != second
	return true
}

// instants returns the instants at which the clocks in loc show naive. There
// are two in the hour that is repeated when they are set back, and none in the
// one that is left out; then the time is read as if they had not been changed.
func (c *clock) instants(naive int64) (first, second int64) {
	const day = 24 * 3600
	_, before := time.Unix(naive-day, 0).In(c.loc).Zone()
	_, after := time.Unix(naive+day, 0).In(c.loc).Zone()
	first, second = naive-int64(before), naive-int64(after)
	if before == after {
		return first, first
	}
	if _, off := time.Unix(second, 0).In(c.loc).Zone(); off != after {
		return first, first
	}
	if _, off := time.Unix(first, 0).In(c.loc).Zone(); off != before {
		return second, second
	}
	return first, second
}

// resolve picks the instant of a time that occurs twice: the earlier one,
// unless the log has gone on beyond it.
func (c *clock) resolve(naive int64) int64 {
	first, second := c.instants(naive)
	if first < c.last-slack {
		return second
	}
	return first
}

// two reads two digits; it returns a negative number when they are none.
func two(b []byte) int {
	if !isDigit(b[0]) || !isDigit(b[1]) {
		return -1000
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}
