package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGolden compares reports over real logs, and over large ones of two hosts, in
// every form with what they were when somebody last looked at them (-update writes
// them anew).
func TestGolden(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Setenv("COLUMNS", "80")
	t.Chdir("../..")
	for name, args := range map[string][]string{
		"postfix": {"--year", "2026", "testdata/postfix/plain/mail.log"},
		"day":     {"--day", "2026-12-11", "docs/examples/day"},
		"exim":    {"--year", "2026", "--log-host", "mx1", "testdata/exim/inbound"},
	} {
		for form, ending := range map[string]string{"text": "txt", "html": "html", "markdown": "md", "json": "json", "csv": "csv"} {
			t.Run(name+"/"+form, func(t *testing.T) {
				if name == "day" {
					takesLong(t) // to read; the small logs have every form
				}
				var out, errs bytes.Buffer
				if code := run(append([]string{"report", "--format", form}, args...), strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
					t.Fatalf("exit code %d, %s", code, errs.String())
				}
				path := filepath.Join("cmd/mailfail/testdata/golden", name+"."+ending)
				if *update {
					if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(out.Bytes(), want) {
					t.Errorf("%s differs (go test ./cmd/mailfail -run TestGolden -update writes it):\n%s", path, out.String())
				}
			})
		}
	}
}
