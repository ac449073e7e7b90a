package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into README.md")

// TestReadme runs the commands of the console blocks in README.md and compares
// what they print with what the page shows.
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	t.Setenv("COLUMNS", "80")
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "```console\n", "```\n"
	var out strings.Builder
	rest, blocks := string(page), 0
	for {
		before, block, ok := strings.Cut(rest, begin)
		if !ok {
			break
		}
		block, after, ok := strings.Cut(block, end)
		if !ok {
			t.Fatal("a console block has no end")
		}
		command, shown, _ := strings.Cut(block, "\n")
		printed := console(t, command)
		if printed != shown && !*update {
			t.Errorf("%s\nprints\n%s\nREADME.md shows (go test ./cmd/mailfail -update changes it)\n%s", command, printed, shown)
		}
		out.WriteString(before + begin + command + "\n" + printed + end)
		rest = after
		blocks++
	}
	if blocks == 0 {
		t.Error("README.md has no console block")
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(out.String()+rest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// console runs a line "$ mailfail …" and returns what it prints.
func console(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(strings.Replace(line, "go run ./cmd/mailfail", "mailfail", 1), "$ "))
	if len(words) == 0 || words[0] != "mailfail" {
		t.Fatalf("not a command of ours: %s", line)
	}
	var stdout, stderr bytes.Buffer
	if code := run(words[1:], strings.NewReader(""), &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("%s: exit code %d, %s", line, code, stderr.String())
	}
	return stdout.String()
}
