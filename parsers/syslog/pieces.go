package syslog

import (
	"bytes"
	"encoding/binary"

	"mailfail/parsers"
)

// pieces are the beginnings of lines that container runtimes cut, each with the name of
// its writer: pieces of several containers may be mixed in one stream.
type pieces []begunLine

type begunLine struct{ of, text []byte }

const (
	maxPartial = 64 << 10 // bounds a line that comes in pieces, in bytes
	maxBegun   = 16       // bounds the number of such lines
)

// add keeps a piece of a line until its last piece arrives.
func (p *pieces) add(of, text []byte) {
	l := p.find(of)
	if l == nil {
		l = p.free()
		l.of = append(l.of[:0], of...)
	}
	if len(l.text)+len(text) <= maxPartial {
		l.text = append(l.text, text...)
	}
}

// take returns the last piece of a line joined to those before it.
func (p *pieces) take(of, text []byte) []byte {
	l := p.find(of)
	if l == nil {
		return text
	}
	whole := append(l.text, text...)
	l.text = whole[:0] // reused when the line has been read
	return whole
}

// find returns the line that was begun by a writer, nil for none.
func (p *pieces) find(of []byte) *begunLine {
	for i := range *p {
		if l := &(*p)[i]; len(l.text) > 0 && bytes.Equal(l.of, of) {
			return l
		}
	}
	return nil
}

// free returns a place for a line: the oldest line's if there are too many.
func (p *pieces) free() *begunLine {
	for i := range *p {
		if len((*p)[i].text) == 0 {
			return &(*p)[i]
		}
	}
	if len(*p) == maxBegun {
		oldest := (*p)[0]
		oldest.text = oldest.text[:0]
		copy(*p, (*p)[1:])
		(*p)[maxBegun-1] = oldest
		return &(*p)[maxBegun-1]
	}
	*p = append(*p, begunLine{})
	return &(*p)[len(*p)-1]
}

// appendTo appends the pieces to a state: the text alone if there is one piece without a
// writer, as in states of older versions, else a NUL and all of them.
func (p pieces) appendTo(b []byte) []byte {
	var begun []begunLine
	for _, l := range p {
		if len(l.text) > 0 {
			begun = append(begun, l)
		}
	}
	if len(begun) == 0 {
		return parsers.AppendBytes(b, nil)
	}
	if len(begun) == 1 && len(begun[0].of) == 0 && begun[0].text[0] != 0 {
		return parsers.AppendBytes(b, begun[0].text)
	}
	list := binary.AppendUvarint([]byte{0}, uint64(len(begun)))
	for _, l := range begun {
		list = parsers.AppendBytes(parsers.AppendBytes(list, l.of), l.text)
	}
	return parsers.AppendBytes(b, list)
}

// set sets pieces to the output of appendTo.
func (p *pieces) set(d *parsers.StateReader) {
	*p = nil
	b := d.Bytes()
	if len(b) == 0 || b[0] != 0 {
		p.add(nil, b)
		return
	}
	list := parsers.ReadState(b[1:])
	for range list.Count(maxBegun) {
		of := list.Bytes()
		p.add(of, list.Bytes())
	}
	if list.End() != nil {
		d.Fail()
	}
}
