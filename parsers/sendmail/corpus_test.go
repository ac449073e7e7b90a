package sendmail

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
	"mailfail/registry"
)

var programAndPID = regexp.MustCompile(`\b(sendmail|sm-[a-z]+)\[\d+\]: `)

// TestCorpus reads public lines of sendmail: none stays unread, and each that
// says "reject=" or "stat=Deferred" gives what it says.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("../../../shared/corpus/sendmail/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if files == nil {
		t.Skip("no logs of sendmail in ../shared/corpus")
	}
	rejected, deferred := 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			at := programAndPID.FindIndex(line)
			if at == nil {
				continue
			}
			message := bytes.TrimRight(line[at[1]:], "\r\n")
			rejects, defers := 0, 0
			p := New(parsers.Options{})
			result := p.Parse(&parsers.Entry{Program: []byte("sendmail"), Message: message}, func(r *parsers.Record) {
				parserstest.Check(t, string(message), r)
				switch {
				case r.Kind == parsers.Rejection:
					rejects++
				case r.Outcome == registry.OutcomeDeferred:
					defers++
				}
			})
			if result == parsers.Unparsed {
				t.Errorf("not understood: %s", message)
			}
			if bytes.Contains(message, []byte("reject=")) && rejects != 1 || bytes.Contains(message, []byte("stat=Deferred")) && defers != 1 {
				t.Errorf("%d rejections, %d deferrals: %s", rejects, defers, message)
			}
			rejected, deferred = rejected+rejects, deferred+defers
		}
	}
	t.Logf("%d rejections, %d deferrals", rejected, deferred)
	if rejected == 0 || deferred == 0 {
		t.Error("nothing was read")
	}
}

// TestRun reads the log of a run of sendmail 8.17.1 against a server on loopback
// with scripted answers, and compares every attempt with what that server did: it
// kept a line for each recipient.
func TestRun(t *testing.T) {
	want := map[string]int{}
	for line := range bytes.Lines(readFile(t, "testdata/sink.jsonl")) {
		var answer [2]string
		if err := json.Unmarshal(line, &answer); err != nil {
			t.Fatal(err)
		}
		want[answer[0]+" "+outcomes[answer[1]]]++
	}
	got, rejected, expired := map[string]int{}, 0, 0
	p := New(parsers.Options{})
	for line := range bytes.Lines(readFile(t, "testdata/run.log")) {
		at := programAndPID.FindIndex(line)
		result := p.Parse(&parsers.Entry{Program: []byte("sm-mta"), Message: bytes.TrimSpace(line[at[1]:])}, func(r *parsers.Record) {
			switch {
			case r.Kind == parsers.Rejection:
				rejected++
			case r.Kind == parsers.Settled && r.Final == registry.StateExpired:
				expired++
			case r.Kind == parsers.Attempt && r.Direction == registry.DirectionOutgoing:
				got[string(r.Address)+" "+r.Outcome.String()]++
			}
		})
		if result == parsers.Unparsed {
			t.Errorf("not understood: %s", line)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("attempts\ngot  %v\nwant %v", got, want)
	}
	if rejected != 4 || expired != 2 {
		t.Errorf("%d rejections and %d messages given up, want 4 and 2", rejected, expired)
	}
}

// outcomes are the outcomes of what the server answered.
var outcomes = map[string]string{
	"250": "delivered", "550": "failed", "554": "failed", "451": "deferred", "452": "deferred", "drop": "deferred",
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
