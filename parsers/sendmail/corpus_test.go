package sendmail

import (
	"bytes"
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
				if wrong := parserstest.Fields(r); wrong != "" {
					t.Errorf("%s: %s", message, wrong)
				}
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
