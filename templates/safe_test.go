package templates

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{`550 5.1.1 \n gone`, `550 5.1.1 \n gone`},
		{"Postfach unbekannt: müller@bücher.example", "Postfach unbekannt: müller@bücher.example"},
		{"メール", "メール"},
		{"\x1b[2Jgone", `\x1b[2Jgone`},
		{"a\nb\tc\r", `a\nb\tc\r`},
		{"\x9b31m", `\x9b31m`},
		{"\u009b31m", `\u009b31m`},
		{"bad\xff\xfe", `bad\xff\xfe`},
		{"abc\u202Edef", `abc\u202edef`},
		{"a\u2066b", `a\u2066b`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"\ufeffbom", `\ufeffbom`},
		{"a\u2028b", `a\u2028b`},
		{"no\u00a0break", "no break"},
		{"\U000e0041tag", `\U000e0041tag`},
		{"del\x7f\x00", `del\x7f\x00`},
	}
	for _, test := range tests {
		if got := Printable(test.in); got != test.want {
			t.Errorf("Printable(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b]0;title\a")
	f.Add("a\u202eb\xff")
	f.Fuzz(func(t *testing.T, s string) {
		p := Printable(s)
		if !utf8.ValidString(p) {
			t.Fatalf("%q is not valid UTF-8", p)
		}
		for _, r := range p {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
				t.Fatalf("Printable(%q) = %q keeps %U", s, p, r)
			}
		}
		if Printable(p) != p {
			t.Fatalf("Printable(%q) changes what it returned", s)
		}
	})
}
