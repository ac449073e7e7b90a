package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestAnonymizeEverywhere walks all commands: each that prints what logs say knows
// --anonymize. The others are here, with what they print instead.
func TestAnonymizeEverywhere(t *testing.T) {
	without := map[string]string{
		"mailfail":           "which logs there are",
		"mailfail codes":     "the registry of codes",
		"mailfail explain":   "meanings of a reply or bounce that the user gives, for the user",
		"mailfail prune":     "how many rows were removed",
		"mailfail db":        "its help",
		"mailfail db backup": "nothing",
		"mailfail db check":  "what is damaged, by table",
		"mailfail db init":   "the schema of the database of many hosts",
		"mailfail db merge":  "how many rows were taken over",
		"mailfail db size":   "sizes of tables",
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		_, exempt := without[path]
		delete(without, path)
		if knows := cmd.Flags().Lookup("anonymize") != nil; knows == exempt {
			t.Errorf("%s: --anonymize is a flag: %v, want %v", path, knows, !exempt)
		}
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				walk(c)
			}
		}
	}
	walk(rootCommand())
	if len(without) > 0 {
		t.Errorf("no such commands: %v", without)
	}
}

// TestExamplesAreCommands parses the examples of every command's help: each names a
// command that there is, with flags that it knows.
func TestExamplesAreCommands(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			words := strings.Fields(line)
			i := slices.Index(words, "mailfail")
			if i < 0 {
				continue
			}
			found, rest, err := rootCommand().Find(words[i+1:])
			if err != nil {
				t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
				continue
			}
			for _, word := range rest {
				if word == "|" || word == ">" || strings.HasPrefix(word, "'") || strings.HasPrefix(word, `"`) {
					break // what follows may be text in quotes, or another program's
				}
				name, ok := strings.CutPrefix(word, "--")
				name, _, _ = strings.Cut(name, "=")
				if ok && name != "" && found.Flags().Lookup(name) == nil && found.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: %q: %s has no --%s", cmd.CommandPath(), line, found.CommandPath(), name)
				}
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(rootCommand())
}
