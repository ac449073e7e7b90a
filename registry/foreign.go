package registry

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Foreign is text that strangers wrote: addresses, host names, replies, and the names of
// files. It may contain escape sequences, bidirectional controls (CVE-2021-42574) and
// markup, so only a renderer turns it into output, each in its own way: see package
// templates.
//
// A missing conversion is safe: a Foreign does not compile in place of a string; package
// fmt and the template packages print it by String; and encoding/json writes it by
// MarshalJSON. Raw returns the raw text. No other package may convert a Foreign, which a
// test of cmd/mailfail checks.
type Foreign string

// Raw returns the unchanged text, for comparing, storing and looking up. It must never be
// printed.
func (f Foreign) Raw() string { return string(f) }

// String returns the text in a form that is safe in a terminal or a mail: a character
// that the terminal would interpret or hide is written as an escape. These are control,
// format and private-use characters, line separators, unassigned code points, letters
// without a shape, invalid UTF-8 (as \xNN), and combining marks beyond the third on one
// letter. Backslashes stay as they are, because logs are full of them: the result is for
// reading, not for decoding.
func (f Foreign) String() string {
	s := string(f)
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
	seen := visible{marks: maxMarks}
	if i > 0 {
		seen.marks = 0
	}
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch shown := seen.shows(r); {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == 0xa0:
			b.WriteByte(' ')
		case shown:
			b.WriteRune(r)
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

// MarshalJSON writes the text as a JSON string. The characters that String escapes are
// escapes of four hex digits there (RFC 8259 section 7).
func (f Foreign) MarshalJSON() ([]byte, error) {
	return AppendJSON(nil, string(f)), nil
}

// AppendJSON appends s as a JSON string that is safe on a terminal: characters that it
// would interpret or hide are escapes of four hex digits, invalid UTF-8 is U+FFFD.
func AppendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	seen := visible{marks: maxMarks}
	for _, r := range s {
		shown := seen.shows(r)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		default:
			b = appendJSONRune(b, r, shown)
		}
	}
	return append(b, '"')
}

// EscapeJSON returns a JSON text in which the characters that a terminal would interpret
// or hide are escapes of four hex digits. Outside of strings JSON has only ASCII, so
// nothing else changes.
func EscapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	var seen visible
	for i := 0; i < len(text); {
		if c := text[i]; c == '\n' || c == '\t' || c >= ' ' && c < 0x7f {
			if seen.marks = 0; c == '"' {
				seen.marks = maxMarks // a mark at the beginning would combine with the quote
			}
			out = append(out, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		out = appendJSONRune(out, r, seen.shows(r))
		i += n
	}
	return out
}

func appendJSONRune(b []byte, r rune, shown bool) []byte {
	switch {
	case shown || r == 0xa0:
		return utf8.AppendRune(b, r)
	case r <= 0xffff:
		return fmt.Appendf(b, `\u%04x`, r)
	}
	hi, lo := utf16.EncodeRune(r)
	return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
}

// maxMarks is how many combining marks a letter may have. Hebrew and Thai need three;
// more of them cover the lines above and below.
const maxMarks = 3

// visible decides character by character which ones may be shown.
type visible struct{ marks int }

// shows reports whether r is displayed as itself, without side effects.
func (v *visible) shows(r rune) bool {
	if r < 0x80 {
		v.marks = 0
		return r >= ' ' && r < 0x7f
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		v.marks++
		return v.marks <= maxMarks && !shapeless(r)
	}
	v.marks = 0
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) && !shapeless(r)
}

// shapeless reports whether r is a letter or a symbol that is drawn as nothing.
func shapeless(r rune) bool {
	const brailleBlank = 0x2800
	return r == brailleBlank ||
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
