package syslog

import (
	"bytes"

	"mailfail/parsers"
)

// strip reads the header of syslog or journald at the beginning of line into e and
// reports whether there is one. It reads these layouts, distinguished by their first
// byte:
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
// Nearly every line has one of these; Unwrap handles the others.
func (r *Reader) strip(line []byte, e *parsers.Entry) bool {
	if len(line) < 16 {
		return false
	}
	switch c := line[0]; {
	case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return r.stripTime(line, e, false)
	case c == '<':
		return r.stripPriority(line, e)
	case c == '{':
		return r.json.entry(line, e)
	}
	return false
}

// stripTime reads a header that begins with a time of any layout. inner means that a
// container runtime's time was before it.
func (r *Reader) stripTime(line []byte, e *parsers.Entry, inner bool) bool {
	if line[0] >= 'A' {
		return r.stripClassic(line, e)
	}
	if line[4] == ' ' {
		return r.stripYearFirst(line, e)
	}
	t, n, ok := r.isoTime(line)
	if !ok || n >= len(line) || line[n] != ' ' {
		return false
	}
	e.Time = t
	if line[10] == 'T' && !inner {
		if stream, _ := containerStream(line[n+1:]); stream > 0 || n+1 < len(line) && line[n+1] == '{' {
			return false
		}
		if r.stripContained(line[n+1:], e) {
			return true
		}
		if _, _, ok := r.isoTime(line[n+1:]); ok {
			return false
		}
		e.Time = t
	}
	if !splitHost(line[n+1:], e) {
		return false
	}
	apple := n == len("2026-11-19 12:37:15.123456+0100") && appleDaemons[string(e.Program)]
	return line[10] == 'T' || e.PID != nil && e.Host != nil && !apple
}

// stripContained reads the header of a line before which a container runtime has put its
// own time ("kubectl logs --timestamps", "docker logs -t"). A line without that has a
// host in this place, which does not look like a time.
func (r *Reader) stripContained(b []byte, e *parsers.Entry) bool {
	return len(b) >= 16 && (b[3] == ' ' && monthNumber(b) > 0 || b[4] == '-' && b[7] == '-') &&
		r.stripTime(b, e, true)
}

// stripClassic reads "Nov  2 06:27:30[.123] host …".
func (r *Reader) stripClassic(line []byte, e *parsers.Entry) bool {
	outermost := e.Time.IsZero()
	if outermost && len(line) >= len(r.stamp) && [16]byte(line) == r.stamp {
		if !splitHost(line[len(r.stamp):], e) {
			return false
		}
		e.Time = r.stamped
		return true
	}
	month, mday, n := monthDay(line)
	if n == 0 {
		return false
	}
	second, nano, m := timeOfDay(line[n:])
	n += m
	if m == 0 || n >= len(line) || line[n] != ' ' || !splitHost(line[n+1:], e) {
		return false
	}
	day, ok := r.dayOf(month, mday, e.Time) // last, because it remembers the day
	if !ok {
		return false
	}
	e.Time = r.instant(day, second, nano)
	if outermost && n+1 == len(r.stamp) {
		r.stamp, r.stamped = [16]byte(line), e.Time
	}
	return true
}

// stripYearFirst reads "2013 Jun 10 06:27:30[.123] host …".
func (r *Reader) stripYearFirst(line []byte, e *parsers.Entry) bool {
	t, n := r.yearFirst(line)
	if n == 0 || n >= len(line) || line[n] != ' ' || !splitHost(line[n+1:], e) {
		return false
	}
	e.Time = t
	return true
}

// stripPriority reads "<22>" and the RFC 5424 or RFC 3164 header after it.
func (r *Reader) stripPriority(line []byte, e *parsers.Entry) bool {
	n := priority(line)
	rest := line[n:]
	if n == 0 || len(rest) < 16 {
		return false
	}
	if rest[0] == '1' && rest[1] == ' ' {
		return r.strip5424(rest[2:], e)
	}
	return (parsers.IsDigit(rest[0]) || rest[0] >= 'A' && rest[0] <= 'Z') && r.stripTime(rest, e, false)
}

// priority returns the length of "<22>" at the beginning of b, 0 without one.
func priority(b []byte) int {
	if len(b) < 3 || b[0] != '<' {
		return 0
	}
	i := bytes.IndexByte(b[:min(len(b), 6)], '>')
	if i < 2 {
		return 0
	}
	if _, ok := parsers.Digits(b[1:i]); !ok {
		return 0
	}
	return i + 1
}

// strip5424 reads the header of RFC 5424 section 6 after its version:
// TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG].
func (r *Reader) strip5424(b []byte, e *parsers.Entry) bool {
	stamp, b, _ := bytes.Cut(b, blank)
	e.Host, b, _ = bytes.Cut(b, blank)
	e.Program, b, _ = bytes.Cut(b, blank)
	e.PID, b, _ = bytes.Cut(b, blank)
	_, b, ok := bytes.Cut(b, blank)
	if !ok {
		return false
	}
	if len(stamp) == 1 && stamp[0] == '-' { // NILVALUE: the sender has no clock
		if e.Time.IsZero() {
			e.Time = r.Likely()
		}
	} else if t, n, ok := r.isoTime(stamp); ok && n == len(stamp) {
		e.Time = t
	} else {
		return false
	}
	e.Host, e.Program, e.PID = notNil(e.Host), notNil(e.Program), notNil(e.PID)
	n := structuredData(b)
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

// sdElement returns the length of an SD-ELEMENT, 0 if it does not end. Its quoted values
// escape '"', '\' and ']' with a backslash.
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

// splitHost reads "host prog[pid]: message" after the time. Some writers leave out the
// host, the pid, or the colon; FreeBSD's syslogd -v puts "<mail.info>" before the host,
// Solaris "[ID 197553 mail.info]" after the program.
func splitHost(b []byte, e *parsers.Entry) bool {
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
		if parsers.Has(e.Host, "mail.") && isLevel(e.Host) {
			e.Host = nil
		}
	}
	splitProgram(b, e)
	return !beginsDate(e.Host) && !beginsDate(e.Program) // then another header follows
}

// splitProgram reads "prog[pid]: message". Without a program, as in "last
// message repeated 3 times", all of b is the message.
func splitProgram(b []byte, e *parsers.Entry) {
	e.Program, e.PID, e.Message = nil, nil, b
	i := 0
	for i < len(b) && !endsProgram[b[i]] {
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

// endsProgram is the set of bytes that end the name of a program.
var endsProgram = [256]bool{'[': true, ':': true, ' ': true}
