package exchange

import (
	"bytes"
	"time"

	"mailfail/parsers"
)

// order is the order of day and month in a date whose year is last, and how the
// parser knows it.
type order uint8

const (
	unknownOrder order = iota
	guessedDay
	guessedMonth
	dayFirst
	monthFirst
	mixed // a row contradicts the order in which earlier rows were read
)

// culture reads times as PowerShell and spreadsheets write them in the culture of
// a country:
//
//	11/20/2026 12:14:11 AM   20.11.2026 00:14:11   2026/11/20 0:14   20. 11. 2026 0:14:11
//	20/11/2026 12:14:11 a.m.  20.11.2026 0.14.11   2026-11-20T00:14:11.666+01:00
//
// Where the year is last, a row shows the order when one of the other numbers is
// above 12, when points separate them (the day is first), or when only the month has
// a leading zero (5/06/2026, as in Australia). Other rows take the order of the rows
// before them. The first ones take a guess: with AM or PM and slashes the month is
// first, else the day. When a later row contradicts the order in use, that row and the
// rows after it are Unparsed, so that the error is noticed.
type culture struct {
	zone  *time.Location // of times without an offset
	order order
}

// appendState and setState implement keeper.
func (c *culture) appendState(b []byte) []byte { return append(b, byte(c.order)) }

func (c *culture) setState(d *decoder) {
	if d.version > 1 {
		c.order = order(d.Byte())
	}
}

func (c *culture) read(b []byte) (time.Time, bool) {
	var s stamp
	if !s.scan(bytes.TrimSpace(b)) {
		return time.Time{}, false
	}
	n := s.n[:]
	year, month, day := n[0], n[1], n[2]
	if s.width[0] != 4 {
		first, ok := c.which(&s)
		if !ok {
			return time.Time{}, false
		}
		if year, month, day = n[2], n[1], n[0]; first == monthFirst {
			month, day = day, month
		}
	}
	hour := n[3]
	if s.half != 0 {
		if hour == 0 || hour > 12 {
			return time.Time{}, false
		}
		if hour %= 12; s.half == 'p' {
			hour += 12
		}
	}
	zone := c.zone
	if s.offset != nil {
		zone = s.offset
	}
	if _, ok := parsers.DayNumber(year, month, day); !ok || hour > 23 || n[4] > 59 || n[5] > 60 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, n[4], n[5], int(s.fraction), zone), true
}

// which returns the order of day and month in a date whose year is last. ok is false
// when the order is mixed or the last number is not a year.
func (c *culture) which(s *stamp) (first order, ok bool) {
	a, b := s.n[0], s.n[1]
	switch {
	case s.width[2] != 4 || c.order == mixed:
		return 0, false
	case a > 12, s.separator == '.', s.separator == '/' && s.width[0] == 1 && s.width[1] == 2 && b < 10:
		first = dayFirst
	case b > 12:
		first = monthFirst
	}
	guess := guessedDay
	if s.half != 0 && s.separator == '/' {
		guess = guessedMonth
	}
	if first == 0 {
		if c.order == unknownOrder && a != b {
			c.order = guess
		}
		if c.order == guessedMonth || c.order == monthFirst {
			return monthFirst, true
		}
		return dayFirst, true
	}
	if c.order != unknownOrder &&
		(c.order == guessedMonth || c.order == monthFirst) != (first == monthFirst) {
		c.order = mixed
		return 0, false
	}
	c.order = first
	return first, true
}

// stamp is a time taken apart.
type stamp struct {
	n         [6]int // the three numbers of the date in their order, hour, minute, second
	width     [6]int // digits of each number
	separator byte   // of the date
	fraction  time.Duration
	half      byte           // 'a' for AM, 'p' for PM, 0 for neither
	offset    *time.Location // nil when there is none
}

func (s *stamp) scan(b []byte) bool {
	for i := range s.n {
		n := 0
		for n < len(b) && n < 4 && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		if n == 0 {
			return false
		}
		s.n[i], s.width[i] = digits(b[:n]), n
		b = b[n:]
		switch {
		case i < 2: // 20/11/2026, 20. 11. 2026
			if len(b) == 0 || bytes.IndexByte([]byte("/.-"), b[0]) < 0 || i == 1 && b[0] != s.separator {
				return false
			}
			s.separator = b[0]
			b = bytes.TrimLeft(b[1:], " ")
		case i == 2: // 2026-11-20T00:14, 2026. 11. 20. 0:14
			rest := bytes.TrimLeft(b, ". T")
			if len(rest) == len(b) {
				return false
			}
			b = rest
		case i < 5 && len(b) > 1 && (b[0] == ':' || b[0] == '.') && b[1] >= '0' && b[1] <= '9':
			b = b[1:]
		case i == 3:
			return false
		case i == 4: // without seconds
			return s.end(b)
		}
	}
	return s.end(b)
}

// end reads the text after the seconds: a fraction, AM or PM, an offset from UTC.
func (s *stamp) end(b []byte) bool {
	if len(b) > 1 && (b[0] == '.' || b[0] == ',') {
		n := 1
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		fraction, ok := fraction(append([]byte("."), b[1:min(n, 10)]...))
		if !ok {
			return false
		}
		s.fraction, b = fraction, b[n:]
	}
	// Since 2022 a narrow no-break space stands before AM.
	b = bytes.TrimSpace(bytes.ReplaceAll(b, []byte("\u202f"), nil))
	switch string(bytes.ToLower(b)) {
	case "":
		return true
	case "z":
		s.offset = time.UTC
		return true
	case "am", "a.m.", "a. m.":
		s.half = 'a'
		return true
	case "pm", "p.m.", "p. m.":
		s.half = 'p'
		return true
	}
	t, err := time.Parse("-07:00", string(b))
	s.offset = t.Location()
	return err == nil
}
