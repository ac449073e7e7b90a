package exim

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
)

const (
	corpus = "../../../shared/corpus/exim"
	real   = "../../../shared/corpus-real"
	small  = "../../testdata/exim" // pieces of real
)

// needs skips a test whose logs are not part of the repository, and are many.
func needs(t *testing.T, dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the collected logs are not here: ", err)
	}
}

var flagLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* ([-+]\d{4} )?(\[\d+\] )?\w{6}-(\w{6}-\w\w|\w{11}-\w{4}) (<=|\(=|=>|->|>>|\*>|\*\*|==) `)

// foreign are lines of the collection that no Exim wrote: comments of the
// collectors, the headings and the notes of Exim's test harness, and what
// scripts wrote that the harness ran. They are not counted.
var foreign = regexp.MustCompile(`^(#|\*\*\*|\*\*NOTE)`)

// TestCorpus reads every collected log: no line with a flag may remain
// unparsed, and of all lines less than one in 200. Told that it is Exim's, the
// parser reads them all but the blank ones; left to find out, it misses the
// lines before the first that can only be Exim's, which in the logs of a test
// suite may be many.
func TestCorpus(t *testing.T) {
	needs(t, corpus)
	for _, format := range []string{"exim", "auto"} {
		t.Run(format, func(t *testing.T) {
			lines, unparsed := readCorpus(t, format)
			t.Logf("%d lines, %d unparsed", lines, unparsed)
			if limit := map[string]int{"exim": 200, "auto": 50}[format]; unparsed*limit > lines {
				t.Errorf("%d of %d lines are unparsed", unparsed, lines)
			}
		})
	}
}

func readCorpus(t *testing.T, format string) (lines, unparsed int) {
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := detect.NewStream(parsers.Options{Location: time.UTC, Path: path}, format, 0, time.Time{})
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if foreign.Match(line) {
				continue
			}
			lines++
			if s.Parse(line, func(*parsers.Record) {}) != parsers.Unparsed {
				continue
			}
			unparsed++
			t.Logf("%s: unparsed: %.200s", filepath.Base(path), line)
			if flagLine.Match(line) {
				t.Errorf("%s: a line with a flag: %s", path, line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, unparsed
}
