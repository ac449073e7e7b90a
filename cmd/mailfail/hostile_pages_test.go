package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/report/web"
	"mailfail/store/sqlite"
)

// TestHostilePages looks at the pages, the JSON and the metrics of serve as TestHostileTexts
// does at the output of commands. TestHostile of report/web has all paths.
func TestHostilePages(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	path := filepath.Join(dir, "m.db")
	args := append([]string{"ingest", "--year", "2026", "--log-tz", "UTC", "--db", path}, slices.Sorted(maps.Values(hostileLogs(t, dir)))...)
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatal(&errs)
	}
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	handler, err := web.New(web.Options{DB: db, Rules: registry.DefaultRules(), Location: time.UTC,
		Now:  func() time.Time { return time.Date(2026, 11, 20, 1, 0, 0, 0, time.UTC) },
		Warn: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{"/", "/events", "/events?page=2", "/message?id=4jXJzW00009z", "/message?id=rcpt%40near.example", "/api/report", "/metrics", "/healthz"}
	for _, by := range dimensionNames() {
		pages = append(pages, "/?by="+by)
	}
	for i, text := range hostileTexts {
		evil := url.QueryEscape(fmt.Sprintf(text, fmt.Sprintf("hx%d", i)))
		pages = append(pages, "/explain?q="+evil, "/message?id="+evil, "/?domain="+evil, "/events?sender="+evil, "/?by="+evil, "/?since="+evil, "/?"+evil+"=1")
	}
	arrived := map[string]int{}
	for _, page := range pages {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", page, nil))
		form, body := "text", w.Body.Bytes()
		switch kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";"); kind {
		case "application/json":
			form = "json"
		case "text/html":
			if fault := harmfulPage(body); fault != "" {
				t.Errorf("%s: %s", page, fault)
			}
		}
		if fault := harm(form, body); fault != "" {
			t.Errorf("%s: %s", page, fault)
		}
		for name, values := range w.Header() {
			if fault := harm("text", []byte(name+strings.Join(values, ""))); fault != "" {
				t.Errorf("%s: header: %s", page, fault)
			}
		}
		arrived[page] = bytes.Count(body, []byte("hm"))
	}
	for _, page := range pages[:6] {
		if arrived[page] == 0 {
			t.Errorf("%s: no hostile text arrives", page)
		}
	}
}

// harmfulPage returns what in a page of serve loads from or leads to another place than
// serve itself, or runs, or was no link for html/template.
func harmfulPage(page []byte) string {
	if bytes.Contains(page, []byte("ZgotmplZ")) {
		return "a value that html/template refused"
	}
	return harmfulTag(page, ownLink, "img", "iframe", "object", "embed", "base")
}

// ownLink is a link to a place of the same server.
var ownLink = regexp.MustCompile(`^(#|/$|/?\?|/(static|events|message|explain|api)\b)`)

// A proposed command is for pasting into a shell, which must see one command, whatever the
// names in it are.
func TestHostileCommands(t *testing.T) {
	takesLong(t)
	dir, bin := t.TempDir(), t.TempDir()
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	write(t, filepath.Join(bin, "mailfail"), []byte("#!/bin/sh\necho called\n"))
	must(t, os.Chmod(filepath.Join(bin, "mailfail"), 0o755))
	proposed := regexp.MustCompile(`(?m)"(mailfail (?:[^"\\]|\\.)*)"`)
	commands, named := 0, 0
	for _, log := range hostileIncidents(t, dir) {
		var out, errs bytes.Buffer
		if code := run([]string{"investigate", "--since", "24h", "--format", "json", log}, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatal(&errs)
		}
		for _, m := range proposed.FindAllSubmatch(out.Bytes(), -1) {
			command := unquoteJSON(t, `"`+string(m[1])+`"`)
			sh := exec.Command("/bin/sh", "-c", command)
			sh.Dir, sh.Env = dir, []string{"PATH=" + bin}
			if out, err := sh.CombinedOutput(); err != nil || string(out) != "called\n" {
				t.Errorf("%s: %v, %s", command, err, out)
			}
			commands++
			named += strings.Count(command, "hm")
		}
	}
	if commands < len(hostileTexts) || named < len(hostileTexts) {
		t.Errorf("%d commands, %d hostile names in them", commands, named)
	}
}

func unquoteJSON(t *testing.T, quoted string) (s string) {
	t.Helper()
	must(t, json.Unmarshal([]byte(quoted), &s))
	return s
}
