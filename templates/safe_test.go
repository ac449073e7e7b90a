package templates

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mailfail/registry"
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
		{"hangul filler \u3164.", `hangul filler \u3164.`},
		{"braille\u2800blank", `braille\u2800blank`},
		{"heart \u2764\ufe0f", "heart \u2764" + `\ufe0f`},
		{"grapheme\u034fjoiner", `grapheme\u034fjoiner`},
		{"e\u0301\u0302\u0303\u0304\u0305x\u0301", "e\u0301\u0302\u0303" + `\u0304\u0305` + "x\u0301"},
		{"\u0301leading", `\u0301leading`},
	}
	for _, test := range tests {
		if got := Printable(test.in); got != test.want {
			t.Errorf("Printable(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"plain", "`plain`"},
		{"a|b", "`a\\|b`"},
		{"`x` and ``y``", "``` `x` and ``y`` ```"},
		{"<script>alert(1)</script>", "`<script>alert(1)</script>`"},
		{"a\nb", "`a\\nb`"},
	}
	for _, test := range tests {
		if got := Markdown(test.in); got != test.want {
			t.Errorf("Markdown(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestCSV(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"550 5.1.1 a; b", "550 5.1.1 a; b"},
		{"=cmd", "'=cmd"},
		{"+1", "'+1"},
		{"@a", "'@a"},
		{"a;=cmd", "a;'=cmd"},
		{`a;"=cmd"`, `a;'"=cmd"`},
		{"a; -1", "a;' -1"},
		{"\uff1dcmd", "'\uff1dcmd"},
		{"\t=1", `\t=1`},
	}
	for _, test := range tests {
		if got := CSV(test.in); got != test.want {
			t.Errorf("CSV(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	type pair struct {
		Plain   string           `json:"plain"`
		Foreign registry.Foreign `json:"foreign"`
	}
	for _, s := range []string{"a\u202eb", "\u009b31m", "del\x7f", "zero\u200bwidth", "\u0301mark", "e\u0301\u0302\u0303\u0304", "\U000e0041", "\u3164", `quote " back \ slash`, "a\xffb"} {
		var b bytes.Buffer
		if err := WriteJSON(&b, pair{s, registry.Foreign(s)}, ""); err != nil {
			t.Fatal(err)
		}
		if got := Printable(strings.TrimSuffix(b.String(), "\n")); got != strings.TrimSuffix(b.String(), "\n") {
			t.Errorf("JSON of %q is not safe to look at: %q", s, b.String())
		}
		var back struct{ Plain, Foreign string }
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		want := strings.ToValidUTF8(s, "\ufffd")
		if back.Plain != want || back.Foreign != want {
			t.Errorf("%q is %+v after JSON", s, back)
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
