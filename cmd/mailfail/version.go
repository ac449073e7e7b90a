package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// Set by the release (-ldflags -X). A build without them reports what Go recorded about
// the checkout.
var version, commit, date string

// versionText returns the text of --version.
func versionText() string {
	version, commit, date := version, commit, date
	if info, ok := debug.ReadBuildInfo(); ok && version == "" {
		version, commit, date = builtFrom(info)
	}
	sqlite, _, _ := sqlite3.Version()
	var s strings.Builder
	fmt.Fprintf(&s, "mailfail %s\n", or(version, "(development)"))
	fmt.Fprintf(&s, "commit   %s\n", or(commit, "unknown"))
	fmt.Fprintf(&s, "date     %s\n", or(date, "unknown"))
	fmt.Fprintf(&s, "SQLite   %s\n", sqlite)
	fmt.Fprintf(&s, "Go       %s %s/%s\n", strings.TrimPrefix(runtime.Version(), "go"), runtime.GOOS,
		runtime.GOARCH)
	return s.String()
}

// builtFrom returns what Go recorded about a build: the module's version, and commit
// and date of the checkout.
func builtFrom(info *debug.BuildInfo) (version, commit, date string) {
	if v := info.Main.Version; v != "(devel)" {
		version = v
	}
	modified := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.time":
			date = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				modified = " with changes"
			}
		}
	}
	if commit != "" {
		commit += modified
	}
	return version, commit, date
}

// or returns s, or other when s is empty.
func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
