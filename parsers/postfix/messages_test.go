package postfix

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// values stand for the conversions in testdata/messages.txt.
var values = strings.NewReplacer("{id}", "3A3D26C44C", "{host}", "mail.snd.example[203.0.113.5]", "{s}", "thing", "{d}", "7")

// TestMessages reads every message that Postfix can log, and expects what
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
		daemon, want, message := parts[0], parts[1], values.Replace(parts[2])
		if daemon == "any" {
			daemon = "smtpd"
		}
		if got := becomes("postfix/"+daemon, message); got != want {
			t.Errorf("%s: %s\ngot %s, want %s", daemon, message, got, want)
		}
		count++
	}
	if count < 300 {
		t.Errorf("only %d messages", count)
	}
}

// becomes says what becomes of a message, in the words of testdata/messages.txt.
func becomes(program, message string) string {
	var kinds []string
	e := parsers.Entry{Time: time.Unix(1, 0), Host: []byte("mx"), Program: []byte(program), Message: []byte(message)}
	result := New(parsers.Options{}).Parse(&e, func(r *parsers.Record) {
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
