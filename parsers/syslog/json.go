package syslog

import (
	"bytes"
	"time"
	"unicode/utf8"

	"mailfail/parsers"
)

// A jsonScanner reads the objects that journalctl -o json prints, one a line. Their
// values are strings, arrays of byte values for data that is not UTF-8, arrays of these
// if a field occurs several times, or null for values that are too long
// (systemd.io/JOURNAL_EXPORT_FORMATS). Its buffer is reused for each line.
type jsonScanner struct {
	piece journalPiece // the fields of the last journal entry that mark it as a piece

	b   []byte // rest of the line
	buf []byte // decoded values; entries point into it
}

// entry reads an entry of journalctl -o json, and returns false for any other JSON.
func (s *jsonScanner) entry(line []byte, e *parsers.Entry) bool {
	s.b, s.buf = line[1:], s.buf[:0]
	var f journalFields
	for {
		key, ok := s.key()
		if !ok {
			return false
		}
		if field := f.field(key); field == nil {
			ok = s.skip()
		} else {
			*field, ok = s.value()
		}
		if !ok {
			return false
		}
		switch s.next() {
		case ',':
		case '}':
			s.piece = f.piece
			return len(bytes.TrimSpace(s.b)) == 0 && f.entry(e)
		default:
			return false
		}
	}
}

// next returns the next byte that is not white space, 0 at the end.
func (s *jsonScanner) next() byte {
	for i, c := range s.b {
		if c != ' ' && c != '\t' && c != '\r' {
			s.b = s.b[i+1:]
			return c
		}
	}
	s.b = nil
	return 0
}

// key reads `"KEY":`, or `"KEY"=>` as Ruby prints it.
func (s *jsonScanner) key() ([]byte, bool) {
	if s.next() != '"' {
		return nil, false
	}
	raw, ok := s.raw()
	if !ok {
		return nil, false
	}
	c := s.next()
	if c == '=' && len(s.b) > 0 && s.b[0] == '>' {
		c, s.b = ':', s.b[1:]
	}
	return raw, c == ':'
}

// raw reads the rest of a string after its opening quote, and returns it with its
// escapes.
func (s *jsonScanner) raw() ([]byte, bool) {
	for i := 0; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			raw := s.b[:i]
			s.b = s.b[i+1:]
			return raw, true
		}
	}
	return nil, false
}

// skip reads a value and drops it.
func (s *jsonScanner) skip() bool {
	depth := 0
	for {
		switch c := s.next(); c {
		case 0:
			return false
		case '"':
			if _, ok := s.raw(); !ok {
				return false
			}
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case ',', ':':
		default:
			s.word()
		}
		if depth == 0 {
			return true
		}
		if depth < 0 {
			return false
		}
	}
}

// word reads the rest of a number, true, false or null.
func (s *jsonScanner) word() {
	i := 0
	for i < len(s.b) && s.b[i] != ',' && s.b[i] != ']' && s.b[i] != '}' {
		i++
	}
	s.b = s.b[i:]
}

// value reads a string, the byte array that stands for one, the first of several of
// these, or null.
func (s *jsonScanner) value() ([]byte, bool) {
	switch s.next() {
	case '"':
		raw, ok := s.raw()
		if !ok {
			return nil, false
		}
		return s.unescape(raw)
	case '[':
		return s.array()
	case 'n':
		s.word()
		return nil, true
	}
	return nil, false
}

// array reads the rest of an array.
func (s *jsonScanner) array() ([]byte, bool) {
	rest := bytes.TrimLeft(s.b, " \t")
	if len(rest) > 0 && !parsers.IsDigit(rest[0]) && rest[0] != ']' {
		first, ok := s.value()
		for ok {
			switch s.next() {
			case ',':
				ok = s.skip()
			case ']':
				return first, true
			default:
				ok = false
			}
		}
		return nil, false
	}
	start, v := len(s.buf), 0
	for {
		switch c := s.next(); {
		case parsers.IsDigit(c):
			if v = v*10 + int(c-'0'); v > 255 {
				return nil, false
			}
		case c == ',', c == ']' && len(s.buf) >= start:
			s.buf = append(s.buf, byte(v))
			v = 0
			if c == ']' {
				return s.buf[start:len(s.buf):len(s.buf)], true
			}
		default:
			return nil, false
		}
	}
}

// unescape decodes a string.
func (s *jsonScanner) unescape(raw []byte) ([]byte, bool) {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw, true
	}
	start := len(s.buf)
	for i >= 0 {
		s.buf = append(s.buf, raw[:i]...)
		n := s.escape(raw[i:])
		if n == 0 {
			return nil, false
		}
		raw = raw[i+n:]
		i = bytes.IndexByte(raw, '\\')
	}
	s.buf = append(s.buf, raw...)
	return s.buf[start:len(s.buf):len(s.buf)], true
}

// escape decodes one escape sequence and returns its length.
func (s *jsonScanner) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != 'u' {
		const names, values = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
		i := bytes.IndexByte([]byte(names), b[1])
		if i < 0 {
			return 0
		}
		s.buf = append(s.buf, values[i])
		return 2
	}
	r, n := parsers.EscapedRune(b)
	if n > 0 {
		s.buf = utf8.AppendRune(s.buf, r)
	}
	return n
}

// journalFields are the fields of a journal entry that are used
// (systemd.journal-fields(7)).
type journalFields struct {
	message, host, identifier, comm, pid, time []byte

	unit  []byte // used only if the program did not give its name
	piece journalPiece
}

// A journalPiece marks an entry as a piece of a line that a container wrote: Docker and
// podman cut lines at 16 KiB, and mark all pieces but the last.
type journalPiece struct {
	container []byte
	partial   []byte // "true"
}

// joined joins the last piece of a container's line to those before it. It returns false
// for a piece that is not the last.
func (r *Reader) joined(p journalPiece, e *parsers.Entry) bool {
	if len(p.container) == 0 {
		return true
	}
	if string(p.partial) == "true" {
		r.keepPiece(p.container, e.Message)
		return false
	}
	e.Message = r.pieces.take(p.container, e.Message)
	return true
}

// field returns a pointer to the field named key, or nil.
func (f *journalFields) field(key []byte) *[]byte {
	switch string(key) {
	case "MESSAGE":
		return &f.message
	case "_HOSTNAME":
		return &f.host
	case "SYSLOG_IDENTIFIER":
		return &f.identifier
	case "_COMM":
		return &f.comm
	case "_SYSTEMD_UNIT":
		return &f.unit
	case "_PID":
		return &f.pid
	case "__REALTIME_TIMESTAMP":
		return &f.time
	case "CONTAINER_ID":
		return &f.piece.container
	case "CONTAINER_PARTIAL_MESSAGE":
		return &f.piece.partial
	}
	return nil
}

// entry fills in e; it returns false when the fields do not come from a journal.
func (f *journalFields) entry(e *parsers.Entry) bool {
	if len(f.time) == 0 || digitsLen(f.time) != len(f.time) {
		return false
	}
	return f.fill(e, time.UnixMicro(parsers.Number(f.time)).UTC())
}

// fill fills in e.
func (f *journalFields) fill(e *parsers.Entry, t time.Time) bool {
	e.Time = t
	e.Host, e.Program, e.PID, e.Message = f.host, f.identifier, f.pid, f.message
	if len(e.Host) == 0 {
		e.Host = nil // the same as an entry without the field
	}
	if len(e.Program) == 0 {
		e.Program = f.comm
		if unit := unitOf(f.unit); appleDaemons[string(f.comm)] && parsers.Has(unit, "postfix") {
			e.Program = unit
		}
	}
	return true
}
