package main

import "testing"

// Names of strangers are completed only where no shell sees more than text.
func TestIsPlain(t *testing.T) {
	for name, want := range map[string]bool{
		"example.org":       true,
		"Microsoft 365":     true,
		"müller.example":    true,
		"":                  false,
		"-x":                false,
		"$(reboot).example": false,
		"`id`":              false,
		"a\nb":              false,
		"a\tb":              false,
		"\x1b[2J":           false,
		"a\u202eb":          false,
		"a;b":               false,
		"<>":                false,
		"a\\b":              false,
	} {
		if isPlain(name) != want {
			t.Errorf("isPlain(%q) = %v", name, !want)
		}
	}
}
