package parsers

import (
	"bytes"
	"time"
)

// prefixes strips what syslog and journald put before a message. The layouts
// it knows, told apart by their first byte:
//
//	Nov  2 06:27:30 host prog[1]: message              RFC 3164 section 4.1; postlogd; journalctl -o short
//	Nov  2 06:27:30.123 host prog[1]: message          with a fraction; journalctl -o short-precise
//	2013 Jun 10 06:27:30.123 host prog[1]: message     year first
//	2026-11-22T06:25:52.174071+00:00 host prog[1]: …   RFC 3339, rsyslog's default; journalctl -o short-iso(-precise)
//	2026-11-22 06:25:52 host prog[1]: message          only with a pid, as Exim's own lines begin alike
//	<22>1 2026-11-22T06:25:52Z host prog 1 - - message RFC 5424
//	<22>Nov  2 06:27:30 host prog[1]: message          as on the wire
//	{"__REALTIME_TIMESTAMP":"…","MESSAGE":"…",…}       journalctl -o json
//
// journalctl -o export, whose entries are of many lines, is read by export.
type prefixes struct {
	clock Clock
	year  yearGuess
	json  jsonScanner
}

// strip reads the prefix of line into e and reports whether it has one.
func (p *prefixes) strip(line []byte, e *Entry) bool {
	if len(line) < 16 {
		return false
	}
	switch c := line[0]; {
	case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return p.stripTime(line, e, false)
	case c == '<':
		return p.stripPriority(line, e)
	case c == '{':
		return p.json.entry(line, e)
	}
	return false
}

// stripTime reads a prefix that begins with a time of any layout. inner says
// that a container runtime's time was before it.
func (p *prefixes) stripTime(line []byte, e *Entry, inner bool) bool {
	if line[0] >= 'A' {
		return p.stripClassic(line, e)
	}
	if line[4] == ' ' {
		return p.stripYearFirst(line, e)
	}
	t, n, ok := p.isoTime(line)
	if !ok || n >= len(line) || line[n] != ' ' {
		return false
	}
	if line[10] == 'T' && !inner && p.stripContained(line[n+1:], e) {
		return true
	}
	e.Time = t
	if !splitHost(line[n+1:], e) {
		return false
	}
	return line[10] == 'T' || e.PID != nil && e.Host != nil
}

// stripContained reads the prefix of a line that a container runtime has put
// its own time before ("kubectl logs --timestamps", "docker logs -t") and, in
// its log files, the stream ("stdout F "). A program's line has a host there,
// which is not followed by a time.
func (p *prefixes) stripContained(b []byte, e *Entry) bool {
	if bytes.HasPrefix(b, []byte("stdout F ")) || bytes.HasPrefix(b, []byte("stderr F ")) {
		b = b[len("stdout F "):]
	}
	return len(b) >= 16 && (b[3] == ' ' && monthNumber(b) > 0 || b[4] == '-' && b[7] == '-') && p.stripTime(b, e, true)
}

// stripClassic reads "Nov  2 06:27:30[.123] host …".
func (p *prefixes) stripClassic(line []byte, e *Entry) bool {
	month, mday, n := monthDay(line)
	if n == 0 {
		return false
	}
	second, nano, ok := splitTime(line[n:], e)
	if !ok {
		return false
	}
	day, ok := p.year.day(month, mday) // last, because it remembers the day
	if !ok {
		return false
	}
	e.Time = time.Unix(p.clock.Instant(day, second), nano).UTC()
	return true
}

// stripYearFirst reads "2013 Jun 10 06:27:30[.123] host …".
func (p *prefixes) stripYearFirst(line []byte, e *Entry) bool {
	year, ok := Digits(line[:4])
	month, mday, n := monthDay(line[5:])
	if !ok || n == 0 {
		return false
	}
	day, ok := DayNumber(year, month, mday)
	if !ok {
		return false
	}
	second, nano, ok := splitTime(line[5+n:], e)
	if !ok {
		return false
	}
	e.Time = time.Unix(p.clock.Instant(day, second), nano).UTC()
	return true
}

// splitTime reads a time of day without a zone and the host, program and
// message behind it.
func splitTime(b []byte, e *Entry) (second int, nano int64, ok bool) {
	second, nano, n := timeOfDay(b)
	return second, nano, n > 0 && n < len(b) && b[n] == ' ' && splitHost(b[n+1:], e)
}

// stripPriority reads "<22>" and the RFC 5424 or RFC 3164 header after it.
func (p *prefixes) stripPriority(line []byte, e *Entry) bool {
	i := bytes.IndexByte(line[:6], '>')
	if i < 2 {
		return false
	}
	if _, ok := Digits(line[1:i]); !ok {
		return false
	}
	rest := line[i+1:]
	if len(rest) >= 16 && rest[0] == '1' && rest[1] == ' ' {
		return p.strip5424(rest[2:], e)
	}
	return len(rest) >= 16 && (IsDigit(rest[0]) || rest[0] >= 'A' && rest[0] <= 'Z') && p.stripTime(rest, e, false)
}

// strip5424 reads the header of RFC 5424 section 6 after its version:
// TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG].
func (p *prefixes) strip5424(b []byte, e *Entry) bool {
	stamp, b, _ := bytes.Cut(b, blank)
	e.Host, b, _ = bytes.Cut(b, blank)
	e.Program, b, _ = bytes.Cut(b, blank)
	e.PID, b, _ = bytes.Cut(b, blank)
	_, b, ok := bytes.Cut(b, blank)
	if !ok {
		return false
	}
	t, n, ok := p.isoTime(stamp)
	if !ok || n != len(stamp) {
		return false
	}
	e.Time = t
	e.Host, e.Program, e.PID = notNil(e.Host), notNil(e.Program), notNil(e.PID)
	n = structuredData(b)
	if n == 0 {
		return false
	}
	e.Message = bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(b[n:], " "), byteOrderMark), " ")
	return true
}

var (
	blank         = []byte(" ")
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// notNil returns nil for RFC 5424's NILVALUE "-".
func notNil(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// structuredData returns the length of the STRUCTURED-DATA at the beginning
// of b, 0 when there is none.
func structuredData(b []byte) int {
	if len(b) > 0 && b[0] == '-' {
		return 1
	}
	i := 0
	for i < len(b) && b[i] == '[' {
		n := sdElement(b[i:])
		if n == 0 {
			return 0
		}
		i += n
	}
	return i
}

// sdElement returns the length of an SD-ELEMENT, whose quoted values escape
// '"', '\' and ']' with a backslash.
func sdElement(b []byte) int {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			quoted = !quoted
		case quoted && b[i] == '\\':
			i++
		case !quoted && b[i] == ']':
			return i + 1
		}
	}
	return 0
}

// splitHost reads "host prog[pid]: message" after the time. Some writers
// leave out the host, the pid, or the colon; FreeBSD's syslogd -v puts
// "<mail.info>" before the host, Solaris "[ID 197553 mail.info]" after the
// program.
func splitHost(b []byte, e *Entry) bool {
	if len(b) > 0 && b[0] == '<' {
		if i := bytes.Index(b, []byte("> ")); i > 0 && i < 32 {
			b = b[i+2:]
		}
	}
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return false
	}
	if b[i-1] == ':' && i > 1 && b[i-2] == ']' {
		e.Host = nil
	} else {
		e.Host, b = b[:i], bytes.TrimLeft(b[i+1:], " ")
	}
	splitProgram(b, e)
	return true
}

// splitProgram reads "prog[pid]: message". Without a program, as in "last
// message repeated 3 times", all of b is the message.
func splitProgram(b []byte, e *Entry) {
	e.Program, e.PID, e.Message = nil, nil, b
	i := 0
	for i < len(b) && b[i] != '[' && b[i] != ':' && b[i] != ' ' {
		i++
	}
	if i == 0 || i == len(b) || b[i] == ' ' {
		return
	}
	program, rest := b[:i], b[i+1:]
	if b[i] == '[' {
		n := bytes.IndexByte(rest, ']')
		if n < 0 || n > 32 {
			return
		}
		e.PID, rest = rest[:n], rest[n+1:]
		if len(rest) > 0 && rest[0] == ':' {
			rest = rest[1:]
		}
	}
	e.Program = program
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	if bytes.HasPrefix(rest, []byte("[ID ")) {
		if n := bytes.Index(rest, []byte("] ")); n > 0 && n < 48 {
			rest = rest[n+2:]
		}
	}
	e.Message = rest
}

// isoTime reads an RFC 3339 time, or one like it (a blank for the T, a comma
// before the fraction, +0000, no zone), and returns its length.
func (p *prefixes) isoTime(b []byte) (t time.Time, n int, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' {
		return t, 0, false
	}
	year, ok1 := Digits(b[:4])
	month, ok2 := Digits(b[5:7])
	mday, ok3 := Digits(b[8:10])
	day, ok4 := DayNumber(year, month, mday)
	second, nano, n := timeOfDay(b[11:])
	if !ok1 || !ok2 || !ok3 || !ok4 || n == 0 {
		return t, 0, false
	}
	n += 11
	offset, z := zone(b[n:])
	if z == 0 {
		return time.Unix(p.clock.Instant(day, second), nano).UTC(), n, true
	}
	return time.Unix(int64(day)*86400+int64(second-offset), nano).UTC(), n + z, true
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
	hours, ok := Digits(b[1:3])
	if !ok {
		return 0, 0
	}
	minutes, n := 0, 3
	rest := b[3:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) >= 2 {
		if m, ok := Digits(rest[:2]); ok {
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
	h, ok1 := Digits(b[:2])
	m, ok2 := Digits(b[3:5])
	s, ok3 := Digits(b[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0, 0, 0
	}
	n = 8
	if len(b) > 9 && (b[8] == '.' || b[8] == ',') && IsDigit(b[9]) {
		scale := int64(100_000_000)
		for n = 9; n < len(b) && IsDigit(b[n]); n++ {
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
	for n < len(b) && n < start+2 && IsDigit(b[n]) {
		day = day*10 + int(b[n]-'0')
		n++
	}
	if month == 0 || n == start || n >= len(b) || b[n] != ' ' {
		return 0, 0, 0
	}
	return month, day, n + 1
}

// monthNumber returns the number of the month whose English abbreviation b
// begins with, or 0.
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
