package haraka

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/parsers/jsonline"
)

// Besides its default format Haraka has two others (format=logfmt or json in
// log.ini). They contain the same: level, connection, part and message, and then the
// fields that the default format appends to the message.
//
//	level=NOTICE uuid=080C45BD-….1 origin=core message="recipient <b@far.example>" code=OK msg="" sender=a@snd.example
//	{"level":"NOTICE","uuid":"080C45BD-….1","origin":"core","message":"recipient <b@far.example>","code":"OK","msg":"","sender":"a@snd.example"}

// structured reads lines in these formats.
type structured struct {
	json jsonline.Scanner
	msg  []byte // the message in the default format
}

// isStructured reports whether a line, without its time, is in one of these formats.
func isStructured(b []byte) bool {
	rest, ok := bytes.CutPrefix(b, []byte("level="))
	if !ok {
		if rest, ok = bytes.CutPrefix(b, []byte(`{"level":"`)); !ok {
			return false
		}
	}
	after := afterLevel(rest)
	return parsers.Has(after, " uuid=") || parsers.Has(after, `","uuid":"`)
}

// afterLevel returns the text after the name of a level, nil when b does not begin
// with one.
func afterLevel(b []byte) []byte {
	for _, level := range levels {
		if name := level[1 : len(level)-1]; parsers.Has(b, name) {
			return b[len(name):]
		}
	}
	return nil
}

// isLevelAsHost reports whether the host of an entry is the level of a line in logfmt:
// the reader of syslog takes the word after the time for the host.
func isLevelAsHost(e *parsers.Entry) bool {
	level, ok := bytes.CutPrefix(e.Host, []byte("level="))
	if !ok || e.Program != nil || !parsers.Has(e.Message, "uuid=") {
		return false
	}
	after := afterLevel(level)
	return after != nil && len(after) == 0
}

// read splits such a line into its parts, and returns false for other lines. The parts
// are valid until the next call.
func (s *structured) read(b []byte, l *line) bool {
	s.msg = s.msg[:0]
	if b[0] == '{' {
		return s.object(b, l)
	}
	_, b, _ = bytes.Cut(b, []byte("uuid="))
	var ok bool
	l.id, b, _ = bytes.Cut(b, []byte(" "))
	if b, ok = bytes.CutPrefix(b, []byte("origin=")); !ok {
		return false
	}
	l.origin, b, _ = bytes.Cut(b, []byte(" "))
	if b, ok = bytes.CutPrefix(b, []byte("message=")); !ok {
		return false
	}
	if len(b) == 0 || b[0] != '"' {
		message, rest, _ := bytes.Cut(b, []byte(" "))
		s.msg = append(append(append(s.msg, message...), ' '), rest...)
	} else {
		n := parsers.SkipQuoted(b)
		if n < 2 || b[n-1] != '"' {
			return false
		}
		s.unescape(b[1 : n-1])
		s.msg = append(append(s.msg, ' '), bytes.TrimPrefix(b[n:], []byte(" "))...)
	}
	l.msg = bytes.TrimSpace(s.msg)
	return true
}

// unescape appends a quoted message to s.msg.
func (s *structured) unescape(b []byte) {
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
			switch b[i] {
			case 'n', 'r':
				s.msg = append(s.msg, ' ')
				continue
			}
		}
		s.msg = append(s.msg, b[i])
	}
}

// object reads a line in JSON. It appends the other fields to the message.
func (s *structured) object(b []byte, l *line) bool {
	s.json.Reset(b)
	for key := s.json.Object(); key != nil; key = s.json.Key() {
		switch string(key) {
		case "level":
			s.json.Skip()
		case "uuid":
			l.id = s.json.Text()
		case "origin":
			l.origin = s.json.Text()
		case "message":
			s.msg = append(s.msg, s.json.Text()...)
		default:
			s.msg = append(append(append(s.msg, ' '), key...), '=')
			s.value()
		}
	}
	l.msg = bytes.TrimSpace(s.msg)
	return s.json.OK()
}

// value appends a value as Haraka writes it in the other formats.
func (s *structured) value() {
	v := s.json.Text()
	if string(v) == "null" {
		v = nil
	}
	if len(v) > 0 && !bytes.ContainsAny(v, " =\"\\\r\n") {
		s.msg = append(s.msg, v...)
		return
	}
	s.msg = append(s.msg, '"')
	for _, c := range v {
		switch c {
		case '"', '\\':
			s.msg = append(s.msg, '\\')
		case '\n':
			s.msg, c = append(s.msg, '\\'), 'n'
		case '\r':
			s.msg, c = append(s.msg, '\\'), 'r'
		}
		s.msg = append(s.msg, c)
	}
	s.msg = append(s.msg, '"')
}
