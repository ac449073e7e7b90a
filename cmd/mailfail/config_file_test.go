package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What is no configuration is refused in words.
func TestNoConfiguration(t *testing.T) {
	for path, want := range map[string]string{
		"/dev/zero":   "/dev/zero: cannot read it as a configuration",
		t.TempDir():   "cannot read it as a configuration: read ",
		"/dev/nobody": "cannot read the configuration",
	} {
		var out, errs strings.Builder
		code := run([]string{"report", "--config", path}, strings.NewReader(""), &out, &errs)
		if code != 2 || !strings.Contains(errs.String(), want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d: %s", path, code, &errs)
		}
	}
}

// FuzzConfig checks that what is read of a configuration, written out again, is read as
// the same settings, and that an error is one printable line.
func FuzzConfig(f *testing.F) {
	f.Add("db = /var/lib/mailfail/mailfail.db\nkeep=90d\n\n[report]\n# a comment\ntop = 5\n")
	f.Add("[report]\nby = = x\n[ingest]\r\nkeep = \"a\x1b\"\n")
	f.Add("[rep\u202eort\nnothing\n")
	keys := map[string]map[string]bool{"": {"db": true, "keep": true, "top": true}, "report": {"top": true, "by": true}, "ingest": {"keep": true}}
	f.Fuzz(func(t *testing.T, text string) {
		settings, err := parseConfig(strings.NewReader(text), keys)
		if err != nil {
			if said := err.Error(); strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x202e }) {
				t.Errorf("error %q", said)
			}
			return
		}
		var out strings.Builder
		section := ""
		for i := range settings {
			s := &settings[i]
			if !keys[s.command][s.key] {
				t.Errorf("setting %+v of no command", *s)
			}
			if s.command != section {
				section = s.command
				fmt.Fprintf(&out, "[%s]\n", section)
			}
			fmt.Fprintf(&out, "%s = %s\n", s.key, s.value)
			s.line = 0
		}
		again, err := parseConfig(strings.NewReader(out.String()), keys)
		for i := range again {
			again[i].line = 0
		}
		if err != nil || !slices.Equal(again, settings) {
			t.Errorf("%+v, written out %+v, %v", settings, again, err)
		}
	})
}
