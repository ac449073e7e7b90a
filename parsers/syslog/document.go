package syslog

import (
	"bytes"

	"mailfail/parsers"
)

// A document collects the lines of a JSON object that is printed over many lines:
// journalctl -o json-pretty, jq. Objects may be in an array.
type document struct {
	open   bool
	array  bool // within an array of objects
	text   []byte
	depth  int
	lines  int  // number of lines read of it
	quoted bool // within a string
}

// maxDocument bounds the bytes that are kept of an object.
const maxDocument = 256 << 10

// begin reports whether line is the first of an object or an array over many lines: it
// contains only the bracket.
func (d *document) begin(line []byte) bool {
	switch string(bytes.TrimSpace(line)) {
	case "{":
		d.array = false
	case "[":
		d.open, d.array, d.depth, d.lines, d.text = true, true, 0, 1, d.text[:0]
		return true
	default:
		return false
	}
	d.start(line)
	return true
}

// start begins an object.
func (d *document) start(line []byte) {
	d.open, d.depth, d.lines, d.quoted, d.text = true, 0, 0, false, d.text[:0]
	d.add(line)
}

// add adds a line and reports whether the object is complete.
func (d *document) add(line []byte) bool {
	d.lines++
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			d.quoted = !d.quoted
		case d.quoted && c == '\\':
			i++
		case d.quoted:
		case c == '{', c == '[':
			d.depth++
		case c == '}', c == ']':
			d.depth--
		}
	}
	if len(d.text)+len(line) <= maxDocument {
		d.text = append(append(d.text, line...), ' ')
	}
	return d.depth <= 0
}

// nextOfDocument reads a line while an object or an array is open.
func (r *Reader) nextOfDocument(line []byte, e *parsers.Entry) Answer {
	d := &r.doc
	trimmed := bytes.TrimSpace(line)
	if d.depth == 0 { // between the objects of an array
		return r.between(trimmed, line)
	}
	if len(trimmed) > 0 && !d.continues(trimmed, line) || r.isKnown(nil, line) {
		return r.broken(line)
	}
	if !d.add(trimmed) {
		return Part
	}
	d.open, d.depth = d.array, 0
	if answer := r.Unwrap(bytes.TrimRight(d.text, " ,"), e); answer != Bare {
		return answer
	}
	r.lost = d.lines - 1
	return Broken
}

// broken ends a document at a line that does not belong to it. The lines read of it are
// counted as not understood; the line is read again.
func (r *Reader) broken(line []byte) Answer {
	r.doc.open, r.rest, r.lost = false, line, max(0, r.doc.lines-1)
	return Broken
}

// continues reports whether a line may be part of an object; trimmed is the line without
// blanks around it.
func (d *document) continues(trimmed, line []byte) bool {
	c := trimmed[0]
	if len(d.text) <= 2 { // only the brace was read
		return c == '"' || c == '}'
	}
	return c == '"' || c == '{' || c == '}' || c == '[' || c == ']' || line[0] == ' ' ||
		line[0] == '\t' || d.quoted
}

// between reads a line between two objects of an array.
func (r *Reader) between(trimmed, line []byte) Answer {
	d := &r.doc
	trimmed = bytes.TrimLeft(trimmed, ", ")
	switch {
	case len(trimmed) == 0:
		return Part
	case trimmed[0] == ']':
		d.open = false
		return Part
	case trimmed[0] == '{':
		if d.start(trimmed); d.depth > 0 {
			return Part
		}
		d.lines-- // the object is complete: it is a line of its own
		d.text = d.text[:0]
		return Bare
	}
	return r.broken(line)
}

func (d *document) appendState(b []byte) []byte {
	b = parsers.AppendBool(b, d.open)
	if !d.open {
		return b
	}
	b = parsers.AppendBool(b, d.array)
	return parsers.AppendBytes(b, d.text[:len(d.text)*min(d.depth, 1)])
}

func (d *document) setState(s *parsers.StateReader) {
	if d.open = s.Bool(); !d.open {
		return
	}
	d.array = s.Bool()
	if text := s.Bytes(); len(text) > 0 {
		d.add(text[:len(text)-1])
		// What was kept of an object that is too large need not begin one: it is given up.
		if d.depth < 1 {
			*d = document{}
		}
	}
}
