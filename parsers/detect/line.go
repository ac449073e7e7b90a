package detect

import (
	"encoding/binary"
	"math/bits"
	"time"

	"mailfail/parsers"
)

// Line identifies the line from which a record was read, in whichever log it is.
type Line struct {
	Hash uint64 // of host, second, program, pid and text; 0: the line has no prefix with a time
	Host []byte
	Time time.Time
}

// Line returns the line of the record that is being emitted, and whether the record is
// its first. It is valid during emit.
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

// hashOf returns the hash of an entry. It is stored, so it must be the same on all
// machines. It uses only the second of the time: some logs contain fractions, others do
// not, and those of the journal come from another clock.
func hashOf(e *parsers.Entry) uint64 {
	h := mix(uint64(e.Time.Unix()), 0)
	h = mixText(h, e.Host)
	h = mixText(h, e.Program)
	h = mixText(h, e.PID)
	return max(mixText(h, e.Message), 1)
}

// mixText mixes a text into the hash, eight bytes at a time.
func mixText(h uint64, text []byte) uint64 {
	h = mix(h, uint64(len(text)))
	b := text
	for ; len(b) >= 32; b = b[32:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
		h = mix(h, binary.LittleEndian.Uint64(b[8:]))
		h = mix(h, binary.LittleEndian.Uint64(b[16:]))
		h = mix(h, binary.LittleEndian.Uint64(b[24:]))
	}
	for ; len(b) >= 8; b = b[8:] {
		h = mix(h, binary.LittleEndian.Uint64(b))
	}
	switch n := len(b); {
	case n == 0:
		return h
	case len(text) >= 8: // its last bytes are the upper ones of the last eight
		return mix(h, binary.LittleEndian.Uint64(text[len(text)-8:])>>(64-8*n))
	case n >= 4:
		return mix(h, uint64(binary.LittleEndian.Uint32(b))|uint64(
			binary.LittleEndian.Uint32(b[n-4:]))<<(8*n-32))
	default:
		return mix(h, uint64(b[0])|uint64(b[n/2])<<(8*(n/2))|uint64(b[n-1])<<(8*(n-1)))
	}
}

// mix is one step of wyhash: both halves of the product depend on all bits.
func mix(h, v uint64) uint64 {
	high, low := bits.Mul64(h^0xa0761d6478bd642f, v^0xe7037ed1a0b428db)
	return high ^ low
}
