package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into README.md and docs")

// TestPages runs the commands of the console blocks in README.md and docs, and
// compares what they print with what the page shows.
func TestPages(t *testing.T) {
	t.Chdir("../..")
	t.Setenv("COLUMNS", "80")
	t.Setenv("TZ", "UTC")
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs has no pages: %v", err)
	}
	for _, page := range append(pages, "README.md") {
		t.Run(filepath.Base(page), func(t *testing.T) { testPage(t, page) })
	}
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
		command, shown, _ := strings.Cut(block, "\n")
		printed := console(t, command)
		if printed != shown && !*update {
			t.Errorf("%s\nprints\n%s\n%s shows (go test ./cmd/mailfail -run Pages -update changes it)\n%s", command, printed, path, shown)
		}
		out.WriteString(before + begin + command + "\n" + printed + end)
		rest = after
	}
	if path == "README.md" && out.Len() == 0 {
		t.Error("README.md has no console block")
	}
	if *update && out.Len() > 0 {
		if err := os.WriteFile(path, []byte(out.String()+rest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// console runs a line "$ mailfail …" and returns what it prints. Behind it may
// stand "| head -n N".
func console(t *testing.T, line string) string {
	t.Helper()
	line, head, cut := strings.Cut(line, " | head -n ")
	words := strings.Fields(strings.TrimPrefix(strings.Replace(line, "go run ./cmd/mailfail", "mailfail", 1), "$ "))
	if len(words) == 0 || words[0] != "mailfail" {
		t.Fatalf("not a command of ours: %s", line)
	}
	var stdout, stderr bytes.Buffer
	if code := run(words[1:], strings.NewReader(""), &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("%s: exit code %d, %s", line, code, stderr.String())
	}
	text := strings.ReplaceAll(stdout.String(), "\r\n", "\n") // of CSV: editors drop it from pages
	if lines := strings.SplitAfter(text, "\n"); cut {
		n, err := strconv.Atoi(head)
		if err != nil {
			t.Fatalf("head -n %s: %v", head, err)
		}
		return strings.Join(lines[:min(n, len(lines))], "")
	}
	return text
}

// TestPagesLinks checks that the links between pages lead somewhere.
func TestPagesLinks(t *testing.T) {
	t.Chdir("../..")
	pages, _ := filepath.Glob("docs/*.md")
	top, _ := filepath.Glob("*.md")
	for _, page := range append(pages, top...) {
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
