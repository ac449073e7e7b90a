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
	"mailfail/parsers/parserstest"
	"mailfail/registry"
)

var update = flag.Bool("update", false, "write the golden files")

// show writes a record in one line, without the message it is about: the line
// that is read shows that.
func show(r *parsers.Record) string {
	if wrong := parserstest.Fields(r); wrong != "" {
		panic(wrong + ": " + parserstest.Show(r))
	}
	without := *r
	without.ID, without.Instance, without.MTAStatus = nil, nil, registry.Enhanced{}
	return parserstest.Show(&without)
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
