package detect

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"testing"
	"time"

	"mailfail/parsers"
)

// Hashes are stored: they stay what they were, whatever the lengths of the parts.
func TestLineHash(t *testing.T) {
	mixed := func(h, v uint64) uint64 {
		high, low := bits.Mul64(h^0xa0761d6478bd642f, v^0xe7037ed1a0b428db)
		return high ^ low
	}
	text := []byte("postfix/smtp[12]: 4ABC: to=<u@x.example>")
	at := time.Date(2026, 11, 22, 10, 0, 0, 999, time.UTC)
	for n := range len(text) {
		e := parsers.Entry{Time: at, Host: text[:n%9], Program: text[:n/2], PID: text[n:min(len(text), n+3)], Message: text[len(text)-n:]}
		want := mixed(uint64(at.Unix()), 0)
		for _, part := range [][]byte{e.Host, e.Program, e.PID, e.Message} {
			want = mixed(want, uint64(len(part)))
			padded := append(bytes.Clone(part), make([]byte, (8-len(part)%8)%8)...)
			for ; len(padded) > 0; padded = padded[8:] {
				want = mixed(want, binary.LittleEndian.Uint64(padded))
			}
		}
		if got := hashOf(&e); got != want {
			t.Errorf("with %d bytes: %x, want %x", n, got, want)
		}
	}
}
