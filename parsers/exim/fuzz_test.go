package exim

import (
	"bytes"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"mailfail/parsers"
	"mailfail/registry"
)

// FuzzParse reads arbitrary lines, natively and through syslog, stops in the
// middle, and goes on from the stored state.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		f.Add(line)
	}
	f.Add([]byte("2026-11-22 06:28:12 1xV13b-00001M-2y H=c.test [192.0.2.9] F=<a@b.test> rejected after DATA: R=all T=smtp H=mx.test [192.0.2.3] X=TLS1.3 C=\"554 5.7.1 never\""))
	f.Add([]byte("[1/3] 2026-11-22 06:28:12 1xV13b-00001M-2y == a@b: \n[2\\3] c\n[3/3] d"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := parsers.Options{Location: time.UTC}
		for _, program := range []string{"", "exim"} {
			whole, split := New(o).(*parser), New(o).(*parser)
			lines := bytes.Split(text, []byte("\n"))
			for i, line := range lines {
				if i == len(lines)/2 {
					state, err := split.AppendBinary(nil)
					if err != nil {
						t.Fatal(err)
					}
					split = New(o).(*parser)
					if err := split.UnmarshalBinary(state); err != nil {
						t.Fatal(err)
					}
				}
				a, ra := fuzzLine(t, whole, program, line)
				b, rb := fuzzLine(t, split, program, line)
				if a != b || ra != rb {
					t.Fatalf("line %d:\n%s\n%s", i, a, b)
				}
			}
		}
	})
}

// fuzzLine parses a line and checks what holds of every record.
func fuzzLine(t *testing.T, p *parser, program string, line []byte) (records string, result parsers.Result) {
	e := parsers.Entry{Message: line}
	if program != "" {
		e.Program, e.PID, e.Time = []byte(program), []byte("1"), time.Unix(1795328752, 0)
	}
	result = p.Parse(&e, func(r *parsers.Record) {
		records += show(r) + "\n"
		if r.Kind == 0 || r.Time.IsZero() {
			t.Errorf("an incomplete record: %s", show(r))
		}
		if r.Kind == parsers.Attempt && (r.Outcome == 0 || len(r.Address) == 0) {
			t.Errorf("an incomplete attempt: %s", show(r))
		}
		if (r.Kind == parsers.Expected || r.Kind == parsers.Settled && r.Final == registry.StateReplaced) && len(r.Address) == 0 {
			t.Errorf("no recipient: %s", show(r))
		}
		if utf8.Valid(line) && bytes.IndexByte(line, '\\') < 0 && !bytes.Contains(line, []byte("id=")) && program == "" {
			for _, field := range [][]byte{r.Reply.Text, r.Relay, r.Sender} {
				if !bytes.Contains(line, field) {
					t.Errorf("%q is not of the line %q", field, line)
				}
			}
		}
	})
	return records, result
}
