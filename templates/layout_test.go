package templates

import (
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -1: "-1", -999: "-999", -1000: "-1,000", -123456: "-123,456"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1152: "1.2 kB", 99_949: "99.9 kB", 99_950: "100 kB", 999_499: "999 kB", 999_500: "1.0 MB", 25_894_000: "25.9 MB", 3_000_000_000: "3.0 GB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	for _, test := range []struct {
		n, of int64
		want  string
	}{{0, 0, "-"}, {0, 5, "0%"}, {5, 5, "100%"}, {1, 3, "33.3%"}, {1, 100_000, "<0.1%"}, {99_999, 100_000, ">99.9%"}, {1, 2000, "0.1%"}, {9994, 10000, "99.9%"}} {
		if got := Percent(test.n, test.of); got != test.want {
			t.Errorf("Percent(%d, %d) = %q, want %q", test.n, test.of, got, test.want)
		}
	}
}

func TestMiddle(t *testing.T) {
	for _, test := range []struct {
		in    string
		width int
		want  string
	}{{"short", 10, "short"}, {"invoices@billing.harborline.example", 15, "invoice…example"}, {"日本語日本語日本語", 8, "日本…語"}} {
		if got := Middle(test.in, test.width); got != test.want || Width(got) > test.width {
			t.Errorf("Middle(%q, %d) = %q, want %q", test.in, test.width, got, test.want)
		}
	}
}

// Own words go on in the line below; names are cut in their middle.
func TestTableGivesWay(t *testing.T) {
	tab := Table{
		Columns: []Column{{Title: "Domain", Name: true}, {Title: "Failed", Right: true}, {Title: "Cause", Flex: true}},
		Rows: []TableRow{
			{Cells: []string{"invoices.billing.harborline.example", "12", "550 5.7.1 Your server or domain is on a blocklist"}, Below: []string{"> 550"}},
			{Cells: []string{"a.example", "1", "Loop"}},
		},
	}
	const want = `Domain                            Failed  Cause
invoices.billing…borline.example      12  550 5.7.1 Your
                                          server or domain is
                                          on a blocklist
    > 550
a.example                              1  Loop`
	if got := tab.Render(61); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzTable(f *testing.F) {
	f.Add("example.org", "550 5.1.1 user-unknown", "日本語", 80)
	f.Add("=cmd|' /C calc'!A0 \x1b[2J\u202egnp.exe {{.Totals}}", "\xff\xfe", "🧑‍🤝‍🧑 e\u0301", 72)
	f.Fuzz(func(t *testing.T, a, b, c string, width int) {
		width = min(max(width, 72), 120)
		tab := Table{Columns: []Column{{Title: "A", Flex: true}, {Title: "Number", Right: true}, {Title: "B", Flex: true}},
			Rows: []TableRow{{Cells: []string{Printable(a), "1,234", Printable(b)}, Below: []string{Printable(c)}}, {Cells: []string{Printable(c), "5", Printable(a)}}}}
		for line := range strings.Lines(tab.Render(width)) {
			if n := Width(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d cells of %d: %q", n, width, line)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "",
		"  one   two three":            "  one two\n  three",
		"a-word-that-does-not-fit so":  "  a-word-that-does-not-fit\n  so",
		"usual is 6.5 % now":           "  usual is\n  6.5 % now",
		"failed: 6.5 %, as usual":      "  failed:\n  6.5 %, as\n  usual",
		"% alone is no reason to fail": "  % alone is\n  no reason\n  to fail",
	} {
		if got := Wrap(text, 2, 12); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
