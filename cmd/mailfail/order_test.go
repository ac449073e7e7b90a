package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestOrderOfFiles reports on the files of a rotated log in every order of the
// arguments, and on all Exchange logs of a set in every order of up to four and in
// some orders of more.
func TestOrderOfFiles(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for _, log := range []string{"../../testdata/postfix/plain/mail.log", "../../testdata/exim/outbound/mainlog"} {
		t.Run(filepath.Base(filepath.Dir(log)), func(t *testing.T) { sameInEveryOrder(t, rotated(t, log)) })
	}
	sets, _ := filepath.Glob("../../testdata/exchange/*-20*")
	if shared, _ := filepath.Glob("../../../shared/corpus-real/exchange/*-20*"); !testing.Short() {
		sets = append(sets, shared...)
	}
	for _, set := range sets {
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
