package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"mailfail/parsers"
)

// TestOrderOfFiles reports on the files of a rotated log in every order of the
// arguments.
func TestOrderOfFiles(t *testing.T) {
	t.Setenv("TZ", "UTC")
	logs := []string{"../../testdata/postfix/plain/mail.log", "../../testdata/exim/outbound/mainlog"}
	for _, log := range logs {
		t.Run(filepath.Base(filepath.Dir(log)), func(t *testing.T) { sameInEveryOrder(t, rotated(t, log)) })
		t.Run(filepath.Base(filepath.Dir(log))+", names of their own", func(t *testing.T) {
			takesLong(t)
			sameInEveryOrder(t, named(t, log))
		})
		t.Run(filepath.Base(filepath.Dir(log))+", into a database", func(t *testing.T) {
			takesLong(t)
			sameIngested(t, named(t, log))
		})
		t.Run(filepath.Base(filepath.Dir(log))+", into a database with lines", func(t *testing.T) {
			takesLong(t)
			before := filepath.Join(t.TempDir(), "before.log")
			write(t, before, []byte("2020-01-01T00:00:00Z mx1 postfix/qmgr[1]: 3F0A21C4: removed\n"))
			sameIngested(t, named(t, log), before)
		})
	}
}

// TestOrderOfRealFiles reports on the files of large logs in some orders, and on all
// Exchange logs of a set in every order of up to four and in some orders of more.
func TestOrderOfRealFiles(t *testing.T) {
	takesLong(t)
	t.Setenv("TZ", "UTC")
	logs, _ := filepath.Glob("../../../shared/corpus-real/*/*log")
	for _, log := range logs {
		name := filepath.Base(filepath.Dir(log)) + " " + filepath.Base(log)
		t.Run(name+", shuffled", func(t *testing.T) { sameShuffled(t, rotated(t, log)) })
		t.Run(name+", shuffled, names of their own", func(t *testing.T) { sameShuffled(t, named(t, log)) })
	}
	sets, _ := filepath.Glob("../../testdata/exchange/*-20*")
	shared, _ := filepath.Glob("../../../shared/corpus-real/exchange/*-20*")
	for _, set := range append(sets, shared...) {
		if files := exchangeLogs(t, set); len(files) > 1 {
			t.Run(filepath.Base(set), func(t *testing.T) { sameInEveryOrder(t, files) })
		}
	}
}

// rotated divides a log into four files as logrotate leaves them.
func rotated(t *testing.T, log string) (files []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	now, dir := time.Now(), t.TempDir()
	const generations = 4
	for age := range generations {
		part := lines[len(lines)*(generations-1-age)/generations : len(lines)*(generations-age)/generations]
		name := filepath.Join(dir, filepath.Base(log))
		if age > 0 {
			name += fmt.Sprintf(".%d", age)
		}
		write(t, name, bytes.Join(part, nil))
		if age > 1 {
			compress(t, name, name+".gz")
			os.Remove(name)
			name += ".gz"
		}
		stamp := now.Add(-time.Duration(age) * 24 * time.Hour)
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	return files
}

// named divides a log into five files whose names do not tell which is older.
func named(t *testing.T, log string) (files []string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	return pieces(t, bytes.SplitAfter(text, []byte("\n")), 5)
}

// pieces writes lines to n files whose names do not tell which is older. All have the
// header of the log.
func pieces(t *testing.T, lines [][]byte, n int) (files []string) {
	t.Helper()
	now, dir := time.Now(), t.TempDir()
	var header []byte
	if bytes.HasPrefix(lines[0], []byte("type,")) {
		header = lines[0]
	}
	for i := range n {
		text := bytes.Join(lines[len(lines)*i/n:len(lines)*(i+1)/n], nil)
		if i > 0 {
			text = slices.Concat(header, text)
		}
		name := filepath.Join(dir, fmt.Sprintf("piece-%c.log", 'a'+i*3%7))
		write(t, name, text)
		stamp := now.Add(time.Duration(i-n) * time.Hour)
		if err := os.Chtimes(name, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	return files
}

// sameShuffled compares the reports on files in some orders by chance.
func sameShuffled(t *testing.T, files []string) {
	t.Helper()
	random := rand.New(rand.NewSource(int64(len(files))))
	want := countsOf(t, files...)
	for range 3 {
		order := slices.Clone(files)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		if got := countsOf(t, order...); got != want {
			t.Fatalf("%v:\n%s\nwant, for %v:\n%s", order, got, files, want)
		}
	}
}

// sameIngested compares what new databases hold of files that were given in different
// orders.
func sameIngested(t *testing.T, files []string, before ...string) {
	t.Helper()
	want := ""
	for _, order := range append(orders(files), files) {
		db := filepath.Join(t.TempDir(), "m.db")
		for _, logs := range [][]string{before, order} {
			if len(logs) == 0 {
				continue
			}
			var errs bytes.Buffer
			if code := run(append([]string{"ingest", "--quiet", "--log-host", "mx1", "--db", db}, logs...), strings.NewReader(""), io.Discard, &errs); code != 0 {
				t.Fatal(&errs)
			}
		}
		got := content(t, db)
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("%v:\n%s\nwant\n%s", order, got, want)
		}
	}
}

// countsOf returns the report on files as JSON, without what tells of their lines.
func countsOf(t *testing.T, files ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	run(append([]string{"report", "--format", "json", "--tz", "UTC", "--log-host", "mx1"}, files...), strings.NewReader(""), &out, &errs)
	var report map[string]any
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %v: %s", files, err, &errs)
	}
	delete(report["totals"].(map[string]any), "lines")
	return asText(t, report)
}

// TestOrderOfFormats reports on the pieces of a log of every format, in every order.
// Exchange's have tests of their own, and a bounce is one piece.
func TestOrderOfFormats(t *testing.T) {
	takesLong(t)
	t.Setenv("TZ", "UTC")
	for _, f := range parsers.Formats() {
		if strings.HasPrefix(f.Name, "exchange") || f.Name == "bounces" || f.Name == "filters" {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			found, _ := filepath.Glob("../../parsers/*/testdata/hostile/" + f.Name)
			if len(found) != 1 {
				t.Fatal("no specimen")
			}
			specimen := template.Must(template.New(filepath.Base(found[0])).Funcs(specimenFuncs).ParseFiles(found[0]))
			var log bytes.Buffer
			for i := range 9 {
				at := time.Date(2026, 11, 20, 1, i*5, 0, 0, time.UTC)
				l := hostileLine{
					First: i == 0, Even: i%2 == 0, N: fmt.Sprintf("%05d", i), Clock: at.Format(time.TimeOnly), Unix: at.Unix(),
					Sender: "sender@far.example", Rcpt: logged(fmt.Sprintf("rcpt%d@near.example", i)), Relay: "mx.near.example",
					Reply: "550 5.1.1 no such user", Client: "client.example", MessageID: logged(fmt.Sprintf("<%d@far.example>", i)),
					Service: "smtp", Host: "mx1", Subject: "hello",
				}
				if err := specimen.Execute(&log, l); err != nil {
					t.Fatal(err)
				}
			}
			files := pieces(t, bytes.SplitAfter(log.Bytes(), []byte("\n")), 4)
			want := countsOf(t, files...)
			for _, order := range orders(files) {
				if got := countsOf(t, order...); got != want {
					t.Fatalf("%v:\n%s\nwant, for %v:\n%s", order, got, files, want)
				}
			}
		})
	}
}

// sameInEveryOrder compares the reports on files in different orders.
func sameInEveryOrder(t *testing.T, files []string) {
	t.Helper()
	want := asText(t, eximJSON(t, files...))
	for _, order := range orders(files) {
		if got := asText(t, eximJSON(t, order...)); got != want {
			t.Fatalf("%v:\n%s\nwant, for %v:\n%s", order, got, files, want)
		}
	}
}

// orders returns every order of up to four files; of more, each rotation and its
// reverse. In a quick run it is the reverse only.
func orders(files []string) (list [][]string) {
	if testing.Short() {
		list = append(list, slices.Clone(files))
		slices.Reverse(list[0])
		return list
	}
	if len(files) > 4 {
		for i := range files {
			order := slices.Concat(files[i:], files[:i])
			list = append(list, order)
			if order = slices.Clone(order); i%2 == 0 {
				slices.Reverse(order)
				list = append(list, order)
			}
		}
		return list
	}
	if len(files) == 1 {
		return [][]string{files}
	}
	for i, first := range files {
		for _, rest := range orders(slices.Concat(files[:i], files[i+1:])) {
			list = append(list, append([]string{first}, rest...))
		}
	}
	return list
}
