package exim

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

var update = flag.Bool("update", false, "write the golden files")

// show writes a record in one line: what it has, not what it lacks.
func show(r *parsers.Record) string {
	kinds := [...]string{"", "arrival", "expected", "attempt", "suspended", "handed-over", "discarded", "expired", "replaced", "end", "rejection"}
	var b strings.Builder
	b.WriteString(kinds[r.Kind])
	add := func(name string, v []byte) {
		if len(v) > 0 {
			fmt.Fprintf(&b, " %s=%s", name, v)
		}
	}
	when := func(name string, v bool) {
		if v {
			b.WriteString(" " + name)
		}
	}
	when(r.Outcome.String(), r.Outcome != 0)
	when("given-up", r.GivenUp)
	when("reinjected", r.Reinjected)
	when("copy", r.Copy)
	when(fmt.Sprintf("from=<%s>", r.Sender), r.HasSender)
	add("to", r.Recipient)
	add("orig", r.Original)
	add("client", r.Client)
	add("clientip", r.ClientIP)
	add("id", r.MessageID)
	when(fmt.Sprintf("size=%d", r.Size), r.Size > 0)
	add("relay", r.Relay)
	add("ip", r.RelayIP)
	add("service", r.Service)
	when(fmt.Sprintf("at=%s/%s", r.Stage, r.Source), r.Stage != 0 || r.Source != 0)
	when(fmt.Sprintf("code=%d/%s", r.Reply.Code, r.Reply.Enhanced), r.Reply.Code != 0 || !r.Reply.Enhanced.IsZero())
	add("next", r.NextID)
	when(fmt.Sprintf("delay=%s", r.Delay), r.Delay >= 0)
	when(fmt.Sprintf("%q", r.Reply.Text), len(r.Reply.Text) > 0)
	return b.String()
}

var results = [...]string{"understood", "irrelevant", "unparsed"}

// TestLines reads a line of each flag and wording. What each means is in the
// golden file, to be looked at when it changes.
func TestLines(t *testing.T) {
	lines, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		got.Write(line)
		got.WriteByte('\n')
		if line[0] == '#' {
			continue
		}
		p := New(parsers.Options{Location: time.UTC})
		n := 0
		result := p.Parse(&parsers.Entry{Message: line}, func(r *parsers.Record) {
			n++
			fmt.Fprintf(&got, "\t%s\n", show(r))
			if (r.Kind == parsers.Rejection) != (r.LineHash != 0) {
				t.Errorf("%s: LineHash %x", line, r.LineHash)
			}
			if r.Time.Unix() < 1795328891 || r.Time.Unix() > 1795328892 {
				t.Errorf("%s: time %s", line, r.Time)
			}
		})
		if n == 0 {
			fmt.Fprintf(&got, "\t%s\n", results[result])
		} else if result != parsers.Understood {
			t.Errorf("%s: %s with a record", line, results[result])
		}
	}
	golden(t, "testdata/lines.golden", got.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Fatalf("%s:%d (run with -update to accept):\ngot  %s\nwant %s", name, i+1, g[i], w[i])
		}
	}
	if len(g) != len(w) {
		t.Fatalf("%s: %d lines, want %d", name, len(g), len(w))
	}
}
