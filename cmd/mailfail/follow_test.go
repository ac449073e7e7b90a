package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/report/live"
	"mailfail/store"
)

// failing returns a log line of a failure at this moment.
func failing(i int) string {
	return fmt.Sprintf("%s mx1 postfix/smtp[2]: 4d%07d: to=<u%d@example.org>, relay=mx.example.org[192.0.2.2]:25, delay=2, delays=0/0/0/2, dsn=5.1.1, "+
		"status=bounced (host mx.example.org[192.0.2.2] said: 550 5.1.1 gone (in reply to RCPT TO command))\n", time.Now().UTC().Format(time.RFC3339), i, i)
}

// follower starts mailfail follow. It is killed when the test takes too long.
func follower(t *testing.T, args ...string) *process {
	t.Helper()
	p := newProcess(append([]string{"follow"}, args...)...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	context.AfterFunc(ctx, func() {
		if p.Process != nil {
			_ = p.Process.Kill()
		}
	})
	return p
}

// followLines starts follow; next returns the lines that it prints, one after the other.
func followLines(t *testing.T, args ...string) (p *process, next func() string) {
	t.Helper()
	p = follower(t, args...)
	p.Stdout = nil
	stdout, err := p.StdoutPipe()
	next = lineReader(t, stdout, err)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p, next
}

func lineReader(t *testing.T, r io.Reader, err error) func() string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(r)
	return func() string {
		t.Helper()
		if !s.Scan() {
			t.Fatalf("the output ends: %v", s.Err())
		}
		return s.Text()
	}
}

// Failures are printed while the log grows, and a signal ends it well with all
// of them in the database.
func TestFollowUntilSignal(t *testing.T) {
	takesLong(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := t.TempDir()
		log := filepath.Join(dir, "mail.log")
		p := follower(t, "--plain", "--from-start", "--db", dir+"/db", log)
		p.Stdout = nil
		out, err := p.StdoutPipe()
		line := lineReader(t, out, err)
		write(t, log, []byte(failing(0)))
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if want := fmt.Sprintf(" u%d@example.org ", i); !strings.Contains(line(), want) {
				t.Fatalf("line %d is not of%s", i, want)
			}
			if i < 9 {
				extend(t, log, []byte(failing(i+1)))
			}
		}
		if err := p.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		p.check(t, p.Wait())
		data, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if content(t, dir+"/db") != atOnce(t, data) {
			t.Errorf("%v: the database differs from one that was filled at once", sig)
		}
	}
}

// A log that is new is followed from its end, which is said.
func TestFollowFromEnd(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	write(t, log, []byte(failing(0)))
	p := follower(t, "--db", dir+"/db", "--anonymize", log)
	p.Stdout, p.Stderr = nil, nil
	out, err := p.StdoutPipe()
	line := lineReader(t, out, err)
	errs, err := p.StderrPipe()
	remark := lineReader(t, errs, err)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	want := "mailfail: " + log + " is new to the database: what is in it so far is not read (--from-start reads it)"
	if got := remark(); got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	extend(t, log, []byte(failing(1)))
	if got := line(); !strings.Contains(got, " user-") || !strings.Contains(got, "@example.org ") {
		t.Errorf("printed %q, want the failure of somebody", got)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if len(rest) > 0 || err != nil {
		t.Errorf("also printed %q, %v", rest, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// recalled is a database that has counted some failures of a sender.
type recalled struct {
	store.Database
	n     int64
	asked []store.Filter
}

func (r *recalled) Recent(_ context.Context, w store.Window, f store.Filter, each func(*store.Event, int64)) error {
	r.asked = append(r.asked, f)
	each(&store.Event{Time: w.Until.Add(-time.Minute), Outcome: "failed"}, r.n)
	return nil
}

func (r *recalled) Events(context.Context, store.Window, store.Filter, []string, int, func(*store.Event) error) (store.LeftOut, error) {
	return store.LeftOut{}, nil
}

// Counters of what passes a typed filter begin with what the database holds, and
// go on with what is read and passes.
func TestNarrowing(t *testing.T) {
	now := time.Now()
	db := &recalled{n: 40}
	n := narrowing{f: &follow{now: func() time.Time { return now }, filter: store.Filter{Hosts: []string{"mx1"}}}, db: db}
	n.begin()
	n.add(&store.Event{Time: now, Outcome: "failed"}, now) // nobody has asked
	n.end()
	stats, err := n.to(t.Context(), store.Filter{Senders: []string{"x.example"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sender := range []registry.Foreign{"a@x.example", "b@y.example", "c@X.example"} {
		n.begin()
		n.add(&store.Event{Time: now, Outcome: "failed", HasSender: true, Sender: sender}, now)
	}
	n.end()
	v := stats.View(live.Query{Window: time.Hour, Outcomes: []live.Outcome{live.Failed}, Newest: 9}, now)
	if got := v.Totals[live.Failed].Count; got != 42 || len(v.Newest) != 2 {
		t.Errorf("counted %d failures and kept %d, want 42 and 2", got, len(v.Newest))
	}
	if f := db.asked[0]; len(db.asked) != 1 || live.FormatFilter(f) != "sender=x.example host=mx1" {
		t.Errorf("asked the database for %q", live.FormatFilter(f))
	}
}

// A reader that closes the pipe has seen enough.
func TestFollowClosedPipe(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	write(t, log, []byte(failing(0)))
	p := follower(t, "--from-start", "--db", dir+"/db", log)
	p.Stdout = nil
	out, err := p.StdoutPipe()
	line := lineReader(t, out, err)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	line()
	out.Close()
	extend(t, log, []byte(failing(1)))
	p.check(t, p.Wait())
}

// An alert is told once to people and programs.
func TestFollowAlert(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page")
	if err := os.WriteFile(page, []byte("#!/bin/sh\ncat >> "+dir+"/paged\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := follower(t, "--db", dir+"/db", "--alert", "domain=example.org failures>=3 for 1m", "--alert-exec", page, "-")
	p.Stderr = nil
	errs, err := p.StderrPipe()
	line := lineReader(t, errs, err)
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := io.WriteString(in, failing(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := line(), " ALERT domain=example.org failures>=3 for 1m: "; !strings.Contains(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	in.Close()
	if rest, _ := io.ReadAll(errs); len(rest) > 0 {
		t.Errorf("also told %q", rest)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(dir + "/paged")
	if err != nil {
		t.Fatal(err)
	}
	var alert struct {
		Schema, State string
		Counted       int
	}
	if err := json.Unmarshal(body, &alert); err != nil || alert.Schema != "mailfail/alert/1" || alert.State != "started" || alert.Counted < 3 {
		t.Errorf("paged with %s: %+v, %v", body, alert, err)
	}
}

// That failures of send logs are left out is said once, when no tracking log seems to
// be followed.
func TestSendLogsAlone(t *testing.T) {
	for name, test := range map[string]struct {
		events, want string // one a minute: of a send log, a tracking log, postfix
		quiet        bool
	}{
		"alone":            {events: "sssssssss", want: ".....!..."},
		"with another":     {events: "spspspspss", want: "......!..."},
		"together":         {events: "ssstssssts", want: ".........."},
		"a tracking log":   {events: "tttttttttt", want: ".........."},
		"it comes back":    {events: "sssstssssss", want: "..........!"},
		"nobody wants it":  {events: "sssssssss", want: ".........", quiet: true},
		"after a long day": {events: "ts", want: ".."},
	} {
		s := sendLogs{said: test.quiet}
		now, got := time.Now(), ""
		for _, c := range test.events {
			now = now.Add(time.Minute)
			e := &store.Event{Format: map[rune]string{'s': "exchange-smtpsend", 't': "exchange-tracking", 'p': "postfix"}[c]}
			if s.see(e, c == 's', now) {
				got += "!"
			} else {
				got += "."
			}
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}
