package exim

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// values stand for the names in braces in testdata/messages.txt.
var values = strings.NewReplacer("{id}", "1tiuyz-000000007Xh-0r9J", "{host}", "H=mail.snd.example [203.0.113.5]")

// TestMessages reads every message that Exim can log, and expects what
// testdata/messages.txt says becomes of it.
func TestMessages(t *testing.T) {
	f, err := os.Open("testdata/messages.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if lines.Text() == "" || lines.Text()[0] == '#' {
			continue
		}
		parts := strings.SplitN(lines.Text(), "\t", 3)
		if len(parts) != 3 {
			t.Fatalf("bad line %q", lines.Text())
		}
		message := "2026-11-19 12:37:15 " + values.Replace(parts[2])
		if got := becomes("/var/log/exim/"+parts[0]+"log", message); got != parts[1] {
			t.Errorf("%slog: %s\ngot %s, want %s", parts[0], message, got, parts[1])
		}
		count++
	}
	if count < 100 {
		t.Errorf("only %d messages", count)
	}
}

// becomes says what becomes of a line, in the words of testdata/messages.txt.
func becomes(path, message string) string {
	var kinds []string
	e := parsers.Entry{Message: []byte(message)}
	result := New(parsers.Options{Location: time.UTC, Path: path}).Parse(&e, func(r *parsers.Record) {
		kind, _, _ := strings.Cut(parserstest.Show(r), " ")
		if r.Kind == parsers.Trouble {
			kind += "/" + string(r.Problem)
		}
		kinds = append(kinds, kind)
	})
	switch {
	case result == parsers.Unparsed:
		return "not understood"
	case len(kinds) > 0:
		return strings.Join(kinds, "+")
	case result == parsers.Irrelevant:
		return "-"
	}
	return "+"
}
