package main

import (
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
