package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailfail/parsers/parserstest/sites"
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
				{"check"}, {"check", "--warn", "failure-rate>1%"},
			} {
				want, got := anyhow(append(question, "--db", db)...), anyhow(append(question, "--db", url)...)
				if differs.ReplaceAllString(got, "") != differs.ReplaceAllString(strings.ReplaceAll(want, db, url), "") {
					t.Errorf("%v:\n%.2000s\nwant\n%.2000s", question, got, want)
				}
			}
		})
	}
}

// differs finds what check says of the moment, and of what a host has still to send.
var differs = regexp.MustCompile(`\bage=\S+| unsent=\S+`)

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

var (
	continued = regexp.MustCompile(` \\\n +`)       // a command that takes several lines
	naming    = regexp.MustCompile(` --db [^\s"]+`) // of its database
)

// anyhow returns what a command prints, and how it ends. The commands that it proposes
// stand on one line each and name no database, so that answers about two can be compared.
func anyhow(args ...string) string {
	var out, errs bytes.Buffer
	code := run(args, strings.NewReader(""), &out, &errs)
	said := fmt.Sprint(out.String(), errs.String(), code)
	return naming.ReplaceAllString(continued.ReplaceAllString(said, " "), "")
}

// What ingest reads is sent with it where --push-to, or the configuration, says so.
func TestFleetIngest(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Chdir("../..")
	url, dir := fleetURL(t), t.TempDir()
	db, config := filepath.Join(dir, "host.db"), filepath.Join(dir, "mailfail.conf")
	must(t, os.WriteFile(config, []byte("db = "+db+"\npush-to = "+url+"\n"), 0o600))
	t.Setenv("MAILFAIL_CONFIG", config)
	said(t, "ingest", "-q", "--year", "2026", "testdata/postfix/plain/mail.log")
	if got, want := anyhow("report", "--db", url), anyhow("report", "--db", db); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := said(t, "db", "size"); !strings.Contains(got, "0 rows were not sent yet") {
		t.Error(got)
	}
	got, want := served(t, url, "localhost:0", "api/report", "events"), served(t, db, "localhost:0", "api/report", "events")
	for i := range want {
		if got[i] != want[i] || len(want[i]) < 1000 {
			t.Errorf("serve:\n%.3000s\nwant\n%.3000s", got[i], want[i])
		}
	}
}

// What follow has read is sent when it ends.
func TestFleetFollow(t *testing.T) {
	t.Setenv("TZ", "UTC")
	t.Chdir("../..")
	url, db := fleetURL(t), filepath.Join(t.TempDir(), "host.db")
	p := newProcess("follow", "--from-start", "--year", "2026", "--db", db, "--push-to", url, "testdata/postfix/plain/mail.log")
	p.Stdout = nil
	out, err := p.StdoutPipe()
	must(t, err)
	must(t, p.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	must(t, err)
	must(t, p.Process.Signal(syscall.SIGTERM))
	_, err = io.Copy(io.Discard, out)
	must(t, err)
	p.check(t, p.Wait())
	if got, want := anyhow("report", "--db", url), anyhow("report", "--db", db); got != want || !strings.Contains(want, "bounced") {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// waits finds what was not sent in what commands and metrics say.
var waits = regexp.MustCompile(`(?m)^ +[1-9]\d* rows were not sent yet to clickhouse.*nothing was|\bunsent=[1-9]|^mailfail_unsent_rows [1-9]`)

// A server that is away is no failure of ingest: what was read is kept.
func TestPushToNobody(t *testing.T) {
	takesLong(t)
	t.Setenv("TZ", "UTC")
	t.Chdir("../..")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := l.Addr().String()
	must(t, l.Close())
	db := filepath.Join(t.TempDir(), "host.db")
	var out, errs bytes.Buffer
	code := run([]string{"ingest", "-q", "--year", "2026", "--db", db, "--push-to", "clickhouse+http://" + nobody, "testdata/postfix/plain/mail.log"}, strings.NewReader(""), &out, &errs)
	if code != 0 || !strings.Contains(errs.String(), "sent the next time") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if got := anyhow("report", "--db", db); !strings.Contains(got, "bounced") {
		t.Error(got)
	}
	for _, args := range [][]string{{"db", "size"}, {"check"}} {
		if got := anyhow(append(args, "--db", db)...); !waits.MatchString(got) {
			t.Errorf("%v does not say what waits: %s", args, got)
		}
	}
	if got := served(t, db, "localhost:0", "metrics")[0]; !waits.MatchString(got) {
		t.Error(got)
	}
	for _, command := range []string{"ingest", "follow"} {
		if got := anyhow(command, "--db", db+"2", "--push-to", "http://x", "testdata/postfix/plain/mail.log"); !strings.Contains(got, "want clickhouse://") || !strings.HasSuffix(got, "2") {
			t.Errorf("%s: %s", command, got)
		}
	}
}

// Twenty hosts with three kinds of servers make one report, which is that of their
// merged databases, and an incident at one provider over all of them is named once.
func TestFleetOfHosts(t *testing.T) {
	t.Setenv("TZ", "UTC")
	const hosts = 20
	site := sites.Make(sites.Options{Seed: 2, Kind: "provider-block", Messages: 1200, Hosts: 1, Days: 4})
	spread := site.Hosts[0]
	url, dir := fleetURL(t), t.TempDir()
	var parts []string
	for i := range hosts {
		host, mta := fmt.Sprintf("mx%d", 101+i), sites.MTAs[i%len(sites.MTAs)]
		part := *site
		part.Messages = nil
		for n, m := range site.Messages {
			if n%hosts == i {
				part.Messages = append(part.Messages, m)
			}
		}
		log, db := filepath.Join(dir, host+".log"), filepath.Join(dir, host+".db")
		writeSite(t, &part, log, mta, site.End)
		text, err := os.ReadFile(log)
		must(t, err)
		must(t, os.WriteFile(log, bytes.ReplaceAll(text, []byte(spread), []byte(host)), 0o600))
		said(t, "ingest", "-q", "--year", "2026", "--log-host", host, "--log-tz", "UTC", "--db", db, log)
		said(t, "push", "--db", db, "--to", url)
		parts = append(parts, db)
	}
	merged := filepath.Join(dir, "all.db")
	said(t, append([]string{"db", "merge", "--db", merged}, parts...)...)
	day := site.Last.Format(time.DateOnly)
	for _, question := range [][]string{
		{"report", "--format", "json"}, {"report", "--by", "host", "--format", "json"}, {"report", "--by", "mta"}, {"report", "--host", "mx107"},
		{"report", "--day", day}, {"investigate", "--day", day},
	} {
		want, got := anyhow(append(question, "--db", merged)...), anyhow(append(question, "--db", url)...)
		if got != want {
			t.Errorf("%v:\n%.3000s\nwant\n%.3000s", question, got, want)
		}
	}
	checkHosts(t, url, hosts)
	checkIncident(t, url, day, site.Truth.Where[0])
}

// checkHosts wants a report by host to tell all hosts apart.
func checkHosts(t *testing.T, url string, hosts int) {
	t.Helper()
	var report struct {
		Groups []struct{ Host string }
	}
	must(t, json.Unmarshal([]byte(said(t, "report", "--by", "host", "--format", "json", "--db", url)), &report))
	names := map[string]bool{}
	for _, g := range report.Groups {
		names[g.Host] = true
	}
	if len(names) != hosts {
		t.Errorf("%d hosts, want %d: %v", len(names), hosts, names)
	}
}

// checkIncident wants one cause that names a place, and no other that does.
func checkIncident(t *testing.T, url, day string, place map[string]string) {
	t.Helper()
	var got struct {
		Causes []struct{ Where map[string]string }
	}
	must(t, json.Unmarshal([]byte(said(t, "investigate", "--day", day, "--format", "json", "--db", url)), &got))
	named := 0
	for _, c := range got.Causes {
		is := true
		for key, value := range place {
			is = is && c.Where[key] == value
		}
		if is {
			named++
		}
	}
	if named != 1 {
		t.Errorf("%d causes name %v, want 1: %+v", named, place, got.Causes)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
