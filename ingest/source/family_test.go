package source

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseName(t *testing.T) {
	for _, test := range []struct{ name, family string }{
		{"mail.log", "mail.log"},
		{"mail.log.1", "mail.log"},
		{"mail.log.12.gz", "mail.log"},
		{"mail.log.old", "mail.log"},
		{"mail.log.1.zst", "mail.log"},
		{"mail.log-20261120.gz", "mail.log"},
		{"mail.log-20261120-1763600000", "mail.log"},
		{"mail.log.2026-11-20.xz", "mail.log"},
		{"maillog-20261120", "maillog"},
		{"mainlog.01", "mainlog"},
		{"mainlog.2.gz", "mainlog"},
		{"mainlog-20261120", "mainlog"},
		{"mail-2.log.1", "mail-2.log"},
		{"mail-2.log", "mail-2.log"},
		{"mail2", "mail2"},
		{"mx-1", "mx-1"},
		{"mail-20261120.log.gz", "mail-#.log"},
		{"MSGTRK2026112000-1.LOG", "MSGTRK#-#.LOG"},
		{"MSGTRKMD2026112000-1.LOG", "MSGTRKMD#-#.LOG"},
		{"20261120.log", "#.log"},
		{"20261120", "#"},
		{"1", "1"},
		{".1", ".1"},
		{"mail.log.gz", "mail.log"},
		{"mail.err", "mail.err"},
		{"mail.log.bak", "mail.log.bak"},
		{"mail.log.", "mail.log."},
		{"mail.log-", "mail.log-"},
	} {
		if family, _ := parseName(test.name); family != test.family {
			t.Errorf("parseName(%q): family %q, want %q", test.name, family, test.family)
		}
	}
}

func TestGenerationsAreOrderedByAge(t *testing.T) {
	for _, names := range []string{
		"mail.log.10.gz mail.log.2.gz mail.log.1 mail.log",
		"mail.log.2 mail.log.1 mail.log.1.gz mail.log.0 mail.log",
		"mail.log-20251231.gz mail.log-20260101 mail.log-20260101-1763600000 mail.log",
		"mail.log-20251231.gz mail.log.3 mail.log",
		"MSGTRK2026112000-1.LOG MSGTRK2026112000-2.LOG MSGTRK2026112000-12.LOG MSGTRK2026112001-1.LOG",
		"mainlog.02.gz mainlog.01 mainlog",
		"maillog.old maillog",
	} {
		want := strings.Fields(names)
		for range 20 {
			var files []File
			for _, i := range rand.Perm(len(want)) {
				_, g := parseName(want[i])
				files = append(files, File{Path: want[i], key: g})
			}
			sortFiles(files)
			for i := range files {
				if files[i].Path != want[i] {
					t.Fatalf("got %v, want %v", files, want)
				}
			}
		}
	}
}

// The names in a directory are read once, until it changes.
func TestGenerationsAreListedAnew(t *testing.T) {
	dir := t.TempDir() + "/"
	names := func() (list []string) {
		for _, f := range generations(dir + "mail.log") {
			list = append(list, strings.TrimPrefix(f.Path, dir))
		}
		return list
	}
	write := func(name string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(dir+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(dir, when, when); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want ...string) {
		t.Helper()
		if got := names(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	write("mail.log", time.Hour)
	check("mail.log")
	if lastListing.info == nil {
		t.Error("nothing is remembered of a directory that changed an hour ago")
	}
	write("mail.log.1", time.Minute)
	check("mail.log.1", "mail.log")
	write("mail.log.2", 0) // another change may have the same time
	check("mail.log.2", "mail.log.1", "mail.log")
	if lastListing.info != nil {
		t.Error("a directory that has just changed is relied on")
	}
}
