package exchange

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		in    string
		shape shape
		want  string // fields parted by |
	}{
		{``, whole, ``},
		{`a,b`, whole, `a|b`},
		{`a,,`, whole, `a||`},
		{`a,"b,c",d`, whole, `a|b,c|d`},
		{`"a ""b"" c",d`, whole, `a "b" c|d`},
		{`"""a""",""""`, whole, `"a"|"`},
		{`"",x`, whole, `|x`},
		{`a,b"c"`, whole, `a|b"c"`},
		{"\"a\nb\",c", whole, "a\nb|c"},
		{`a,"b`, open, ``},
		{`a,"b""`, open, ``},
		{`a,"b"c`, malformed, ``},
		{`a,"b" ,c`, malformed, ``},
		{strings.Repeat(",", maxFields+1), malformed, ``},
	} {
		var r row
		shape := r.split([]byte(test.in), ',')
		if shape != test.shape {
			t.Errorf("%q: got shape %d, want %d", test.in, shape, test.shape)
		}
		if got := string(bytes.Join(r.fields, []byte("|"))); shape == whole && got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}

// FuzzSplit holds what split says against encoding/csv.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{`a,"b ""c""",d`, `"a`, `a,"b"c`, "\"x\ny\",z", `,,`, `""""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// encoding/csv ends a record at a line break, normalises CRLF and has
		// no limit of fields.
		if strings.ContainsAny(s, "\r\n") || strings.Count(s, ",") >= maxFields || s == "" {
			return
		}
		want, err := csv.NewReader(strings.NewReader(s)).Read()
		var r row
		shape := r.split([]byte(s), ',')
		if err != nil {
			return // bare quotes, which Exchange's own rows have
		}
		if shape != whole {
			t.Fatalf("%q: shape %d, encoding/csv has %q", s, shape, want)
		}
		var got []string
		for _, f := range r.fields {
			got = append(got, string(f))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", s, got, want)
		}
	})
}

func TestField(t *testing.T) {
	line := []byte(`a,"b,""c",,d`)
	for n, want := range []string{`a`, `"b,""c"`, ``, `d`, ``} {
		if got := string(field(line, n)); got != want {
			t.Errorf("field %d: got %q, want %q", n, got, want)
		}
	}
	if got := field([]byte(`"a`), 0); got != nil {
		t.Errorf("open quote: got %q", got)
	}
}

func TestClock(t *testing.T) {
	var c clock
	for in, want := range map[string]string{
		"2026-11-20T00:05:36.460Z":     "2026-11-20T00:05:36.46Z",
		"2026-11-20T23:59:59Z":         "2026-11-20T23:59:59Z",
		"2026-11-20T00:14:11.6662828":  "2026-11-20T00:14:11.6662828Z",
		"2026-11-20T00:14:11.6662828Z": "2026-11-20T00:14:11.6662828Z",
		"2024-02-29T12:00:00.000Z":     "2024-02-29T12:00:00Z",
		"2026-02-29T12:00:00.000Z":     "",
		"2026-13-01T12:00:00.000Z":     "",
		"2026-00-01T12:00:00.000Z":     "",
		"0001-01-01T00:00:00.000Z":     "",
		"2026-11-20T24:00:00.000Z":     "",
		"2026-11-20 00:05:36.460Z":     "",
		"2026-11-20T00:05:36.460+01":   "",
		"2026-11-20T00:05":             "",
		"":                             "",
	} {
		got := ""
		if when, ok := c.read([]byte(in)); ok {
			got = when.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestCulture reads times one behind the other, as the rows of a file.
func TestCulture(t *testing.T) {
	const midnight = "2026-11-20T00:14:11Z"
	for _, test := range []struct{ in, want string }{
		{"2026-11-20T00:14:11.6662828", midnight},
		{"2026-11-20T01:14:11+01:00", midnight},
		{"2026-11-19T19:14:11.5-05:00", midnight},
		{"2026-11-20 12:14:11 AM", midnight},
		{"2026/11/20 0:14:11", midnight},
		{"2026. 11. 20. 0:14:11", midnight},
		{"11/20/2026 12:14:11 AM", midnight},
		{"11/20/2026 12:14:11\u202fAM", midnight},
		{"20/11/2026 12:14:11 a.m.", midnight},
		{"20/11/2026 00:14:11", midnight},
		{"20/11/2026 00:14", "2026-11-20T00:14:00Z"},
		{"20.11.2026 00:14:11", midnight},
		{"20.11.2026 0.14.11", midnight},
		{"20. 11. 2026 0:14:11", midnight},
		{"20-11-2026 00:14:11", midnight},
		{"/Date(1795133651000)/", midnight},
		{"1/2/2026 12:00:00 PM", "2026-01-02T12:00:00Z"},
		{"1/2/2026 12:00:00", "2026-02-01T12:00:00Z"},
		{"1.2.2026 12:00:00", "2026-02-01T12:00:00Z"},
		{"1/02/2026 12:00:00 PM", "2026-02-01T12:00:00Z"},
		{"13/13/2026 12:00:00", ""},
		{"31/11/2026 12:00:00", ""},
		{"20/0/2026 12:00:00", ""},
		{"2026-00-20 12:00:00", ""},
		{"0001-01-01 00:00:00", ""},
		{"20/11/2026 13:14:11 PM", ""},
		{"20/11/2026 0:14:11 AM", ""},
		{"20/11/26 00:14:11", ""},
		{"20/11.2026 00:14:11", ""},
		{"20/11/2026", ""},
		{"20/11/2026 00", ""},
		{"20/11/2026 24:00:00", ""},
		{"20/11/2026 00:14:11 x", ""},
		{"20/11/2026 00:14:11.", ""},
		{"yesterday", ""},
		{"", ""},
		// The first row tells, or a later one.
		{"20/11/2026 1:00:00 PM; 5/11/2026 1:00:00 PM", "2026-11-20T13:00:00Z; 2026-11-05T13:00:00Z"},
		{"11/20/2026 13:00:00; 11/5/2026 13:00:00", "2026-11-20T13:00:00Z; 2026-11-05T13:00:00Z"},
		{"1/1/2026 1:00:00 PM; 20/11/2026 1:00:00 PM", "2026-01-01T13:00:00Z; 2026-11-20T13:00:00Z"},
		{"5/11/2026 1:00:00 PM; 20/11/2026 1:00:00 PM; 6/11/2026 1:00:00 PM", "2026-05-11T13:00:00Z; ; "},
		{"5/11/2026 13:00:00; 11/20/2026 13:00:00; 6/11/2026 13:00:00", "2026-11-05T13:00:00Z; ; "},
	} {
		var c onlineClock
		var got []string
		for in := range strings.SplitSeq(test.in, "; ") {
			when, ok := c.read([]byte(in))
			if !ok {
				got = append(got, "")
				continue
			}
			got = append(got, when.UTC().Format("2006-01-02T15:04:05Z"))
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
}
