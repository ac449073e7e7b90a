package postfix

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

// shared is where the logs are that are too big, or not ours, to ship.
const shared = "../../../shared"

// readLines returns the lines of a file, which may be gzipped.
func readLines(t testing.TB, name string) [][]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n"))
}

func newStream(t testing.TB) *parsers.Stream {
	t.Helper()
	s, err := parsers.NewStream(parsers.Options{Location: time.UTC}, "auto", 0, time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// corpusFiles returns the files of a folder of the shared corpus, or skips.
func corpusFiles(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(shared, p))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Skip("no logs in " + shared)
	}
	return files
}

func TestCorpus(t *testing.T) {
	files := corpusFiles(t, "corpus/postfix/*.log", "corpus/postfix/*.gz", "corpus/postfix/*maillog", "corpus/postfix/lightmeter-cases/*")
	total, unparsed := 0, 0
	for _, file := range files {
		s := newStream(t)
		for _, line := range readLines(t, file) {
			total++
			if s.Parse(line, func(*parsers.Record) {}) == parsers.Unparsed {
				unparsed++
				t.Logf("%s: %.200q", filepath.Base(file), line)
			}
		}
	}
	t.Logf("%d of %d lines unparsed", unparsed, total)
}
