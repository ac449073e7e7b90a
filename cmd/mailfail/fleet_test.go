package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers/parserstest/loggen"
)

// fleetURL returns the URL of a database of a fleet with empty tables.
func fleetURL(t *testing.T) string {
	t.Helper()
	server := os.Getenv("MAILFAIL_TEST_CLICKHOUSE")
	if server == "" {
		t.Skip("no ClickHouse: set MAILFAIL_TEST_CLICKHOUSE, as .ci/clickhouse does")
	}
	url := fmt.Sprintf("%s/test_%d_%d", server, os.Getpid(), time.Now().UnixNano())
	args := []string{"db", "init", "--to", url}
	if cluster := os.Getenv("MAILFAIL_TEST_CLUSTER"); cluster != "" {
		args = append(args, "--cluster", cluster)
	}
	said(t, args...)
	return url
}

// said runs a command that has to end well, and returns what it prints.
func said(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("mailfail %s: exit code %d, %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// What was sent to a fleet is reported as the database of the host reports it, in
// every form, byte by byte.
func TestFleetReports(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Chdir("../..")
	for name, args := range map[string][]string{
		"postfix":  {"--year", "2026", "testdata/postfix/plain/mail.log"},
		"exim":     {"--year", "2026", "--log-host", "mx1", "testdata/exim/inbound"},
		"exchange": {"testdata/exchange"},
	} {
		t.Run(name, func(t *testing.T) {
			url, db := fleetURL(t), filepath.Join(t.TempDir(), "host.db")
			said(t, append([]string{"ingest", "-q", "--db", db}, args...)...)
			for range 2 {
				said(t, "push", "--quiet", "--db", db, "--to", url)
			}
			for _, question := range [][]string{
				{"report", "--format", "text"}, {"report", "--format", "html"}, {"report", "--format", "markdown"}, {"report", "--format", "csv"}, {"report", "--format", "json"},
				{"report", "--by", "provider,reason"}, {"report", "--code", "5xx"}, {"report", "--by", "host", "--format", "json"},
				{"events"}, {"events", "--format", "json", "--newest", "7"}, {"investigate"}, {"trace", "postmaster@example.org"},
			} {
				want, got := anyhow(append(question, "--db", db)...), anyhow(append(question, "--db", url)...)
				if got != strings.ReplaceAll(want, db, url) {
					t.Errorf("%v:\n%.2000s\nwant\n%.2000s", question, got, want)
				}
			}
		})
	}
}

// Whoever may only read, and may set nothing, gets the same report.
func TestFleetReader(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Chdir("../..")
	reader := os.Getenv("MAILFAIL_TEST_READER")
	if reader == "" {
		t.Skip("no ClickHouse with a user who may only read: .ci/clickhouse has one")
	}
	url, db := fleetURL(t), filepath.Join(t.TempDir(), "host.db")
	said(t, "ingest", "-q", "--year", "2026", "--db", db, "testdata/postfix/plain/mail.log")
	said(t, "push", "-q", "--db", db, "--to", url)
	reader += url[strings.LastIndexByte(url, '/'):]
	if got, want := anyhow("report", "--db", reader), anyhow("report", "--db", db); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, args := range [][]string{{"push", "--db", db, "--to", reader}, {"db", "init", "--to", reader + "x"}} {
		if said := anyhow(args...); args[0] == "db" && !strings.Contains(said, "Code: 164") {
			t.Errorf("%v: %s", args, said)
		}
	}
}

// anyhow returns what a command prints, and how it ends.
func anyhow(args ...string) string {
	var out, errs bytes.Buffer
	code := run(args, strings.NewReader(""), &out, &errs)
	return fmt.Sprint(out.String(), errs.String(), code)
}

// Many hosts make one report, which is that of their merged databases, and an
// incident at one provider is named once for all of them.
func TestFleetOfHosts(t *testing.T) {
	t.Setenv("TZ", "UTC")
	const hosts = 20
	url, dir := fleetURL(t), t.TempDir()
	var parts []string
	for i := range hosts {
		host := fmt.Sprintf("mx%d", 101+i)
		var b bytes.Buffer
		if _, err := loggen.Generate(&b, loggen.Options{Seed: uint64(i) + 1, Messages: 60}); err != nil {
			t.Fatal(err)
		}
		log, db := filepath.Join(dir, host+".log"), filepath.Join(dir, host+".db")
		if err := os.WriteFile(log, bytes.ReplaceAll(b.Bytes(), []byte(" mx1 "), []byte(" "+host+" ")), 0o600); err != nil {
			t.Fatal(err)
		}
		said(t, "ingest", "-q", "--year", "2026", "--db", db, log)
		said(t, "push", "--db", db, "--to", url)
		parts = append(parts, db)
	}
	merged := filepath.Join(dir, "all.db")
	said(t, append([]string{"db", "merge", "--db", merged}, parts...)...)
	for _, question := range [][]string{
		{"report", "--format", "json"}, {"report", "--by", "host", "--format", "json"}, {"report", "--host", "mx107"}, {"investigate", "--format", "json"},
	} {
		want, got := anyhow(append(question, "--db", merged)...), anyhow(append(question, "--db", url)...)
		if got != want {
			t.Errorf("%v:\n%.3000s\nwant\n%.3000s", question, got, want)
		}
	}
	var report struct {
		Groups []struct{ Values []string }
	}
	if err := json.Unmarshal([]byte(said(t, "report", "--by", "host", "--format", "json", "--db", url)), &report); err == nil && report.Groups != nil && len(report.Groups) != hosts {
		t.Errorf("%d hosts, want %d", len(report.Groups), hosts)
	}
}
