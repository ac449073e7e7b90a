package store

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A reply is kept whole up to MaxReply bytes, and of a longer one the beginning
// and the length, without a character in halves.
func TestCleanReply(t *testing.T) {
	full := strings.Repeat("x", MaxReply)
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"550 5.1.1 User unknown", "550 5.1.1 User unknown"},
		{"550 a\x00b\xff", "550 a\uFFFDb\uFFFD"},
		{full, full},
		{full + "y", full + " [cut: 4097 bytes in all]"},
		{full[1:] + "é", full[1:] + " [cut: 4097 bytes in all]"},
		{full[3:] + "\xffyz", full[3:] + "\uFFFD [cut: 4096 bytes in all]"},
	} {
		if got := CleanReply([]byte(test.text)); got != test.want {
			t.Errorf("%.30q of %d bytes: %q", test.text, len(test.text), got)
		}
	}
	long := []byte(strings.Repeat("日本\u202e\xff", 100_000))
	if got := CleanReply(long); len(got) > MaxReply+40 || !utf8.ValidString(got) || !strings.HasSuffix(got, "[cut: 1000000 bytes in all]") {
		t.Errorf("%d bytes: …%q", len(got), got[len(got)-60:])
	}
}
