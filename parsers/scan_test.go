package parsers

import (
	"bytes"
	"strings"
	"testing"
)

func TestLastIndex(t *testing.T) {
	for _, text := range []string{"", "a", "ab", "abab", "aab", "ba", strings.Repeat("ab ", 50) + "a"} {
		for _, words := range []string{"a", "ab", "aba", "b a", "c"} {
			want := bytes.LastIndex([]byte(text), []byte(words))
			if got := LastIndex([]byte(text), []byte(words)); got != want {
				t.Errorf("LastIndex(%q, %q) = %d, want %d", text, words, got, want)
			}
		}
	}
}
