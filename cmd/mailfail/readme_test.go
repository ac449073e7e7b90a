package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"mailfail/report/live"
)

var update = flag.Bool("update", false, "write what the commands print into README.md and docs")

// TestPages runs the commands of the console blocks in README.md and docs, and
// compares what they print with what the page shows. A page has a database of its own.
func TestPages(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the examples of the pages are for a shell, and there is none")
	}
	t.Chdir("../..")
	t.Setenv("COLUMNS", "80")
	t.Setenv("TZ", "UTC")
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	for _, page := range pages(t) {
		if testing.Short() && page != "README.md" {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Setenv("MAILFAIL_DB", filepath.Join(t.TempDir(), "mailfail.db"))
			testPage(t, page)
		})
	}
}

// pages lists what users read, from the root of the project.
func pages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("docs/*.md")
	if err != nil || len(list) == 0 {
		t.Fatalf("docs has no pages: %v", err)
	}
	return append(list, "README.md")
}

func testPage(t *testing.T, path string) {
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "```console\n", "```\n"
	var out strings.Builder
	rest := string(page)
	for {
		before, block, ok := strings.Cut(rest, begin)
		if !ok {
			break
		}
		block, after, ok := strings.Cut(block, end)
		if !ok {
			t.Fatal("a console block has no end")
		}
		printed := consoles(t, block)
		if printed != block && !*update {
			t.Errorf("%s shows\n%s\nbut it is (go test ./cmd/mailfail -run Pages -update changes it)\n%s", path, block, printed)
		}
		out.WriteString(before + begin + printed + end)
		rest = after
	}
	if out.Len() == 0 && path != "docs/reasons.md" { // which has nothing to run
		t.Errorf("%s has no console block", path)
	}
	if *update && out.Len() > 0 {
		if err := os.WriteFile(path, []byte(out.String()+rest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// consoles runs the commands of a block, lines that begin with "$ ", and returns it
// with what they print now. A command goes on behind a backslash.
func consoles(t *testing.T, block string) string {
	t.Helper()
	var out strings.Builder
	lines := strings.SplitAfter(block, "\n")
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "$ ") {
			continue
		}
		command := lines[i]
		for strings.HasSuffix(command, "\\\n") && i+1 < len(lines) {
			i++
			command += lines[i]
		}
		out.WriteString(command + console(t, strings.TrimPrefix(command, "$ ")))
	}
	return out.String()
}

// console runs a command of the shell and returns what it prints. It has to be content.
func console(t *testing.T, command string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("sh", "-ec", strings.Replace(command, "go run ./cmd/mailfail", "mailfail", 1)) // TestMain puts it into PATH
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("%s: %v, %s", command, err, stderr.String())
	}
	return strings.ReplaceAll(stdout.String(), "\r\n", "\n") // of CSV: editors drop it from pages
}

// TestPagesCommands parses the commands that pages name without running them: there
// is no flag in the docs that the program does not have.
func TestPagesCommands(t *testing.T) {
	t.Chdir("../..")
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(text), "\\\n", " ")
		for _, m := range append(indented.FindAllStringSubmatch(plain, -1), quoted.FindAllStringSubmatch(plain, -1)...) {
			found++
			if err := parseCommand(m[1]); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
			}
		}
	}
	if found < 90 {
		t.Errorf("only %d commands were found", found)
	}
}

// Commands in a page: on a line of their own or behind a pipe, and in backquotes. They
// end before a comment, a pipe or a redirection that is not within quotes.
var (
	indented = regexp.MustCompile(`(?m)^(?: {4}|\$ )(?:[^\n]*\| )?(mailfail (?:'[^'\n]*'|"[^"\n]*"|[^#|<>'"\n])*)`)
	quoted   = regexp.MustCompile("`(mailfail [^`|…]*)`")
)

// parseCommand returns an error when there is no such command, or it has no such flag.
func parseCommand(command string) error {
	words, err := live.Words(regexp.MustCompile(`'([^'"]*)'`).ReplaceAllString(command, `"$1"`))
	if err != nil {
		return err
	}
	cmd, rest, err := rootCommand().Find(words[1:])
	if err != nil {
		return err
	}
	err = cmd.ParseFlags(rest)
	var anyValue *pflag.ValueRequiredError // `report --by`: the page means the flag
	if errors.Is(err, pflag.ErrHelp) || errors.As(err, &anyValue) {
		return nil
	}
	return err
}

// TestPagesLinks checks that the links between pages lead somewhere.
func TestPagesLinks(t *testing.T) {
	t.Chdir("../..")
	top, _ := filepath.Glob("*.md")
	for _, page := range append(pages(t), top...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, after := range strings.Split(string(text), "](")[1:] {
			link, _, _ := strings.Cut(after, ")")
			link, _, _ = strings.Cut(link, "#")
			if link == "" || strings.Contains(link, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link)); err != nil {
				t.Errorf("%s: a link leads nowhere: %s", page, link)
			}
		}
	}
}
