package sendmail

import (
	"encoding/binary"

	"mailfail/parsers"
)

// sendmail cuts a line that is too long for syslog at a blank (sm_syslog in
// conf.c). It numbers the pieces, and all but the last end in dots:
//
//	jA9J1UvC004306[1]: to=<a@x>,<b@x>, delay=00:00:01, … ...
//	jA9J1UvC004306[2]: mailer=esmtp, … stat=Sent (ok)
const (
	maxOpen  = 16      // lines in pieces at a time: at most one for each process
	maxWhole = 1 << 14 // bytes of a line
)

// pieces are the incomplete lines, the oldest first.
type pieces []piece

// piece is the beginning of an incomplete line.
type piece struct {
	id   string
	part int // number of the last part that came
	text []byte
}

// add adds a part of the line of an id. whole is the line with its last part, else
// nil; result is the result of a part that does not complete a line.
func (s *pieces) add(id []byte, part int, text []byte) (whole []byte, result parsers.Result) {
	i := s.find(id)
	switch {
	case part == 1:
		if i >= 0 {
			s.remove(i)
		}
		if len(*s) == maxOpen {
			s.remove(0)
		}
		*s = append(*s, piece{id: string(id)})
		i = len(*s) - 1
	case i < 0 || (*s)[i].part != part-1:
		return nil, parsers.Unparsed // the log does not contain its beginning
	}
	p := &(*s)[i]
	text, more := cutDots(text)
	if len(p.text) > 0 {
		p.text = append(p.text, ' ')
	}
	if len(p.text)+len(text) <= maxWhole {
		p.text = append(p.text, text...)
	}
	if p.part = part; more {
		return nil, parsers.Understood
	}
	whole = p.text
	s.remove(i)
	return whole, parsers.Understood
}

// cutDots removes the dots at the end of a part; more reports whether there were any,
// so that another part follows.
func cutDots(text []byte) (rest []byte, more bool) {
	if n := len(text); n >= 4 && string(text[n-4:]) == " ..." {
		return text[:n-4], true
	}
	return text, false
}

func (s pieces) find(id []byte) int {
	for i := range s {
		if s[i].id == string(id) {
			return i
		}
	}
	return -1
}

func (s *pieces) remove(i int) { *s = append((*s)[:i], (*s)[i+1:]...) }

const stateVersion = 1

// Open reports false: a line never needs the next line to be understood.
func (p *parser) Open() bool { return false }

// End emits nothing: the parser cannot read a line whose last piece did not come.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the incomplete lines.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if len(p.pieces) == 0 {
		return b, nil
	}
	b = append(b, stateVersion, byte(len(p.pieces)))
	for _, s := range p.pieces {
		b = parsers.AppendBytes(b, []byte(s.id))
		b = binary.AppendUvarint(b, uint64(s.part))
		b = parsers.AppendBytes(b, s.text)
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	r := parsers.ReadState(state)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	for n := r.Byte(); n > 0 && r.Err() == nil && len(p.pieces) < maxOpen; n-- {
		s := piece{id: string(r.Bytes()), part: r.Count(999)}
		s.text = append(s.text, r.Bytes()...)
		p.pieces = append(p.pieces, s)
	}
	return r.End()
}
