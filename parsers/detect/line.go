package detect

import (
	"encoding/binary"
	"math/bits"
	"time"

	"mailfail/parsers"
)

// Line identifies the line that a record was read from, whichever log it is in.
type Line struct {
	Hash uint64 // of host, second, program, pid and text; 0: the line has no prefix with a time
	Host []byte
	Time time.Time
}

// Line returns the line of the record that is being passed on, and whether the
// record is its first. It is valid during emit.
func (s *Stream) Line() (line Line, first bool) {
	if s.lineRead {
		return s.line, false
	}
	s.lineRead, s.line = true, Line{}
	if e := &s.entry; e.Program != nil && !e.Time.IsZero() {
		s.line = Line{hashOf(e), e.Host, e.Time}
	}
	return s.line, true
}

// hashOf returns the hash of an entry. It is stored, so that it must be the same on
// all machines. Of the time it takes the second: one log has fractions of it, another
// has none, and of the journal they are those of another clock.
func hashOf(e *parsers.Entry) uint64 {
	h := mix(uint64(e.Time.Unix()), 0)
	for _, b := range [...][]byte{e.Host, e.Program, e.PID, e.Message} {
		h = mix(h, uint64(len(b)))
		for ; len(b) >= 8; b = b[8:] {
			h = mix(h, binary.LittleEndian.Uint64(b))
		}
		if len(b) > 0 {
			var rest [8]byte
			copy(rest[:], b)
			h = mix(h, binary.LittleEndian.Uint64(rest[:]))
		}
	}
	return max(h, 1)
}

// mix is the step of wyhash: both halves of a product depend on all bits.
func mix(h, v uint64) uint64 {
	high, low := bits.Mul64(h^0xa0761d6478bd642f, v^0xe7037ed1a0b428db)
	return high ^ low
}
