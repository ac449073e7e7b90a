package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

var packageDir = flag.String("package-files", "", "write man pages, completions and the configuration of the packages into this folder")

// TestPackageFiles makes the files of a package that come from the commands. With
// -package-files it leaves them in a folder; $SOURCE_DATE_EPOCH is their date.
func TestPackageFiles(t *testing.T) {
	dir := cmp.Or(*packageDir, t.TempDir())
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	root.DisableAutoGenTag = true

	man := filepath.Join(dir, "man")
	if err := os.MkdirAll(man, 0o755); err != nil {
		t.Fatal(err)
	}
	date := sourceDate(t)
	header := &doc.GenManHeader{Section: "1", Source: "mailfail", Manual: "User Commands", Date: &date}
	if err := doc.GenManTree(root, header, man); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range root.Commands() {
		if _, err := os.Stat(filepath.Join(man, "mailfail-"+cmd.Name()+".1")); err != nil && cmd.IsAvailableCommand() {
			t.Error(err)
		}
	}
	for name, write := range map[string]func(string) error{
		"mailfail.bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"_mailfail":     root.GenZshCompletionFile,
		"mailfail.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := write(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	config := packagedConfig(root)
	if err := os.WriteFile(filepath.Join(dir, "mailfail.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	checkConfig(t, root, config)
}

// sourceDate returns the date that a build is made for.
func sourceDate(t *testing.T) time.Time {
	seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0).UTC()
}

const configHead = `# Settings of mailfail. Every flag of a command is a key here; man pages and
# "mailfail COMMAND --help" describe them. The command line wins over the
# environment (--log-tz is $MAILFAIL_LOG_TZ), and both over this file. A key may
# stand several times where a flag may. Keys before the first section hold for
# all commands that have them, those in a section for its command.

db = /var/lib/mailfail/mailfail.db

# What is older is removed once a day: addresses, replies and messages, and then
# the numbers too. Without these keys everything is kept.
keep = 90d
keep-counts = 2y
`

// packagedConfig returns a configuration in which every flag is a comment: those
// of several commands first, then each command's own.
func packagedConfig(root *cobra.Command) string {
	own := map[string]int{} // flags by the number of commands that have them
	for _, keys := range keysOf(root) {
		for key := range keys {
			own[key]++
		}
	}
	const shared = 3 // "" has each key once more
	var common, sections strings.Builder
	written := map[string]bool{"db": true, "keep": true, "keep-counts": true}
	for _, cmd := range root.Commands() {
		var section strings.Builder
		for _, f := range flagsOf(cmd) {
			switch {
			case own[f.Name] < shared:
				writeSetting(&section, f)
			case !written[f.Name]:
				writeSetting(&common, f)
				written[f.Name] = true
			}
		}
		if section.Len() > 0 {
			fmt.Fprintf(&sections, "\n[%s]\n%s", cmd.Name(), section.String())
		}
	}
	return configHead + common.String() + sections.String()
}

// flagsOf returns the flags of a command and of those below it that a
// configuration may set, by name.
func flagsOf(cmd *cobra.Command) (flags []*pflag.Flag) {
	if name := cmd.Name(); name == "help" || name == "completion" {
		return nil
	}
	for _, c := range append([]*cobra.Command{cmd}, cmd.Commands()...) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if configurable(f) && !f.Hidden && !slices.ContainsFunc(flags, func(o *pflag.Flag) bool { return o.Name == f.Name }) {
				flags = append(flags, f)
			}
		})
	}
	return flags
}

// writeSetting writes a flag as a comment: what it does, and its default.
func writeSetting(s *strings.Builder, f *pflag.Flag) {
	_, usage := pflag.UnquoteUsage(f)
	value := f.DefValue
	if strings.HasSuffix(f.Value.Type(), "Slice") || strings.HasSuffix(f.Value.Type(), "Array") {
		value = strings.Trim(value, "[]")
	}
	line := "\n#"
	for _, word := range strings.Fields(usage) {
		if len(line)+len(word) > 80 {
			s.WriteString(line)
			line = "\n#"
		}
		line += " " + word
	}
	fmt.Fprintf(s, "%s\n#%s = %s\n", line, f.Name, value)
}

// checkConfig reads a configuration with all its keys switched on.
func checkConfig(t *testing.T, root *cobra.Command, config string) {
	t.Helper()
	keys := keysOf(root)
	if _, err := parseConfig(strings.NewReader(config), keys); err != nil {
		t.Errorf("mailfail.conf:%v", err)
	}
	var on strings.Builder
	for line := range strings.Lines(config) {
		if key, _, ok := strings.Cut(strings.TrimPrefix(line, "#"), " = "); ok && !strings.Contains(key, " ") {
			line = line[strings.Index(line, key):]
		}
		on.WriteString(line)
	}
	settings, err := parseConfig(strings.NewReader(on.String()), keys)
	if err != nil {
		t.Errorf("mailfail.conf with all keys:%v", err)
	}
	for key := range keys[""] {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.key == key }) {
			t.Errorf("mailfail.conf lacks %s", key)
		}
	}
}
