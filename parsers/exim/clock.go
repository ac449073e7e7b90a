package exim

import (
	"encoding/binary"
	"time"

	"mailfail/parsers"
)

// clock turns Exim's times into instants. It keeps the last day, because most
// lines have the day of the line before.
type clock struct {
	loc   *time.Location
	local parsers.Clock // for times without a zone

	date [10]byte // "2006-01-02"
	day  int      // the number of that day, see parsers.DayNumber
}

func newClock(loc *time.Location) clock {
	return clock{loc: loc, local: parsers.NewClock(loc)}
}

// The forms of a time, eight bytes each, and the masks that keep the upper half of
// each digit and the whole of each separator.
const (
	dateMask, dateForm = 0xfff0f0fff0f0f0f0, 0x2d30302d30303030 // 0000-00-
	timeMask, timeForm = 0xf0f0fff0f0fff0f0, 0x30303a3030203030 // 00 00:00
	clockForm          = 0x30303a30303a3030                     // 00:00:00
)

// stampLen returns the length of a text like "2006-01-02 15:04:05[.000]" at the
// beginning of b, 0 when there is none. Every line is tested, so stampLen compares
// eight bytes at a time, and accepts :;<=>? as digits as well; parse does not.
func stampLen(b []byte) int {
	const n = len("0000-00-00 00:00:00")
	if len(b) < n || binary.LittleEndian.Uint64(b)&dateMask != dateForm ||
		binary.LittleEndian.Uint64(b[8:])&timeMask != timeForm ||
		binary.LittleEndian.Uint64(b[11:])&timeMask != clockForm {
		return 0
	}
	if len(b) <= n+1 || b[n] != '.' || !parsers.IsDigit(b[n+1]) {
		return n
	}
	i := n + 1
	for i < len(b) && parsers.IsDigit(b[i]) {
		i++
	}
	return i
}

// zoneAfter reads the " +0100" that log_timezone adds to the time, which ends at
// n. It returns the zone in seconds east of UTC and the offset where the zone ends;
// that is n when there is no zone.
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

// parse returns the time at the beginning of b and the offset where it ends, 0 when
// there is no valid time. Times without a zone are in the clock's location.
func (c *clock) parse(b []byte) (time.Time, int) {
	n := stampLen(b)
	if n == 0 {
		return time.Time{}, 0
	}
	if string(b[:10]) != string(c.date[:]) && !c.setDate(b[:10]) {
		return time.Time{}, 0
	}
	hour, minute, sec := two(b[11:]), two(b[14:]), two(b[17:])
	if uint(hour) > 23 || uint(minute) > 59 || uint(sec) > 60 {
		return time.Time{}, 0
	}
	sec += hour*3600 + minute*60
	nano, scale := int64(0), int64(100_000_000)
	for i := 20; i < n; i++ {
		nano += int64(b[i]-'0') * scale
		scale /= 10
	}
	zone, end := zoneAfter(b, n)
	if end > n {
		return time.Unix(int64(c.day)*86400+int64(sec-zone), nano).In(c.loc), end
	}
	return time.Unix(c.local.Instant(c.day, sec), nano).In(c.loc), end
}

func (c *clock) setDate(b []byte) bool {
	day, ok := parsers.DayNumber(two(b)*100+two(b[2:]), two(b[5:]), two(b[8:]))
	if ok {
		copy(c.date[:], b)
		c.day = day
	}
	return ok
}

// two reads two digits; it returns a negative number for other characters.
func two(b []byte) int {
	if !parsers.IsDigit(b[0]) || !parsers.IsDigit(b[1]) {
		return -1000
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}
