// Package templates holds the text and HTML templates of reports, and what
// every output needs to be safe to look at.
package templates

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s fit for a terminal or a mail: whatever would not be
// printed but obeyed or hidden is written as an escape. Replies and addresses
// come from strangers, and an escape sequence in one of them must not move the
// reader's cursor, nor a bidirectional control (CVE-2021-42574) reorder the
// line. That is: control and format characters, line and paragraph separators,
// private-use and unassigned code points and invalid UTF-8 (as \xNN).
// Backslashes stay as they are, since logs are full of them; the result is for
// reading, not for decoding.
func Printable(s string) string {
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] < 0x7f {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:i])
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r):
			b.WriteRune(r)
		case r == 0xa0:
			b.WriteByte(' ')
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}
