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
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := t.TempDir()
		log := filepath.Join(dir, "mail.log")
		p := follower(t, "--plain", "--db", dir+"/db", log)
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

// A reader that closes the pipe has seen enough.
func TestFollowClosedPipe(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	write(t, log, []byte(failing(0)))
	p := follower(t, "--db", dir+"/db", log)
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
