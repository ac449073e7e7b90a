package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers says what the packages of a folder may import of ours, besides those
// of the folder itself: data flows one way. cmd may import everything.
var layers = map[string][]string{
	"ingest/source": {},
	"ingest/track":  {"parsers", "store", "registry"},
	"ingest":        {"ingest/source", "ingest/track", "parsers", "parsers/detect", "store", "registry"},
	"parsers":       {"registry"},
	// What stands before the lines, and whose they are; formats know neither.
	"parsers/syslog": {"parsers"},
	"parsers/detect": {"parsers", "parsers/syslog"},
	"registry":       {},
	"report":         {"store", "registry", "templates"},
	// A reply that somebody pastes is taken apart as one in a log is.
	"report/explain": {"parsers", "registry", "templates"},
	"report/web":     {"report", "report/explain", "store", "registry", "templates"},
	"store":          {"registry"},
	"store/sqlite":   {"store", "registry"},
	// What many hosts send, and a view of it: the same answers as from their files.
	"store/clickhouse": {"store", "store/sqlite"},
	"templates":        {"registry"},
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "mailfail/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	// folder returns the layer of a package: the longest that is listed.
	folder := func(path string) string {
		path = strings.TrimPrefix(path, "mailfail/")
		for path != "" {
			if _, ok := layers[path]; ok {
				return path
			}
			path = path[:max(0, strings.LastIndexByte(path, '/'))]
		}
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	const all = "mailfail/parsers/all" // imports the formats, and alone does
	formats := lines[slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, all+" ") })]
	checked := 0
	for _, line := range lines {
		words := strings.Fields(line)
		if strings.HasPrefix(words[0], "mailfail/cmd/") {
			continue
		}
		from := folder(words[0])
		if from == "" {
			t.Errorf("%s is in no layer", words[0])
			continue
		}
		for _, path := range words[1:] {
			if !strings.HasPrefix(path, "mailfail/") {
				continue
			}
			checked++
			if to := folder(path); to != from && !slices.Contains(layers[from], to) {
				t.Errorf("%s imports %s", words[0], path)
			}
			if words[0] != all && strings.Contains(formats+" ", " "+path+" ") {
				t.Errorf("%s imports the format %s", words[0], path)
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d imports were seen", checked)
	}
}

// Only this command wires an engine to the rest: what reads logs and what makes
// reports link none.
func TestEngineIsWiredHere(t *testing.T) {
	takesLong(t)
	out, err := exec.Command("go", "list", "-deps", "mailfail/store", "mailfail/report/...", "mailfail/ingest/...", "mailfail/templates/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if strings.Contains(path, "sqlite") || path == "database/sql" {
			t.Errorf("%s is linked", path)
		}
	}
}
