package bounces

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// mailbox returns the lines of testdata/mbox: a report of the sending server, one of
// a server behind the next hop, a delay, a question of a person, a complaint, and a text of qmail.
func mailbox(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/mbox")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

var told = []string{
	"mx1.snd.example 06:40 attempt m0@snd.example failed from=<a@snd.example> to=u0@far.example id=<m0@snd.example> ids=4F2A0 relay=mx.far.example at=/remote code=550/5.1.1 dsn=5.1.1 nth=1",
	"relay.far.example 06:50 attempt m6@snd.example failed from=<a@snd.example> to=v@far.example id=<m6@snd.example> ids=4F2A6 relay=mx.far.example at=/remote code=552/5.2.2 dsn=5.2.2 nth=1",
	"mx1.snd.example 06:51 attempt m7@snd.example deferred from=<a@snd.example> to=w@far.example id=<m7@snd.example> ids=4F2A7 relay=mx.far.example at=/remote code=450/4.2.0 dsn=4.4.1 nth=1",
	"far.example 06:52 complaint m8@snd.example from=<news@snd.example> to=x@far.example id=<m8@snd.example> relay=far.example",
	" 06:53 attempt m9@snd.example failed from=<a@snd.example> to=y@far.example id=<m9@snd.example> code=0/5.1.1 nth=1",
}

// read returns what is told by lines, without the words.
func read(t *testing.T, lines []string) (got []string) {
	t.Helper()
	p := New(parsers.Options{}).(*parser)
	emit := func(r *parsers.Record) {
		parserstest.Check(t, "", r)
		shown, _, _ := strings.Cut(parserstest.Show(r), ` "`)
		got = append(got, string(r.Host)+" "+r.Time.Format("15:04")+" "+shown)
	}
	for _, l := range lines {
		if p.Parse(&parsers.Entry{Message: []byte(l)}, emit) == parsers.Unparsed {
			t.Errorf("not understood: %s", l)
		}
	}
	p.End(emit)
	return got
}

func TestMbox(t *testing.T) {
	lines := mailbox(t)
	if got := read(t, lines); !slices.Equal(got, told) {
		t.Errorf("got  %q\nwant %q", got, told)
	}
	for i, l := range lines {
		lines[i] = l + "\r"
	}
	if got := read(t, lines); !slices.Equal(got, told) {
		t.Errorf("with CRLF: got  %q\nwant %q", got, told)
	}
}

// TestFile reads each message as a file of its own, without the line of the mbox. A
// report is told at its last line, though nothing says that the file has ended.
func TestFile(t *testing.T) {
	var got []string
	for _, text := range strings.Split(strings.Join(mailbox(t), "\n"), "From MAILER-DAEMON  Sun Nov 22 06:40:00 2026\n")[1:] {
		lines := strings.Split(text, "\n")
		if claim(&parsers.Entry{Message: []byte(lines[0])}) != parsers.MineFromHereOn {
			t.Errorf("not claimed: %s", lines[0])
		}
		got = append(got, read(t, lines)...)
		p, n := New(parsers.Options{}), 0
		for _, l := range lines {
			p.Parse(&parsers.Entry{Message: []byte(l)}, func(*parsers.Record) { n++ })
		}
		if (strings.Contains(text, "multipart/report") || strings.Contains(text, "qmail-send")) && n != 1 {
			t.Errorf("%d records before the end of\n%s", n, text)
		}
	}
	if !slices.Equal(got, told) {
		t.Errorf("got  %q\nwant %q", got, told)
	}
}

func TestBegins(t *testing.T) {
	for line, want := range map[string]bool{
		"From MAILER-DAEMON  Sun Nov 22 06:40:00 2026":          true,
		"From a@snd.example Sun Nov  1 06:40:00 2026 +0100":     true,
		"From the beginning Sun Nov 22 we have asked you, 2026": false,
		"Return-path: <>":                 true,
		"Received: by mx1 (Postfix)":      true,
		"Received 5 messages":             false,
		"From: a@snd.example":             false, // may stand in a log
		"2026-11-22 06:40:00 Received: x": false,
		"":                                false,
	} {
		if got := begins([]byte(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// TestNoMessage: a line of a log that looks like a field does not bind those below it.
func TestNoMessage(t *testing.T) {
	p := New(parsers.Options{}).(*parser)
	for i, want := range []parsers.Result{parsers.Understood, parsers.Unparsed} {
		line := []string{"Received: from a by b", "2026-11-22 06:40:00 exim 4.98 daemon started"}[i]
		if got := p.Parse(&parsers.Entry{Message: []byte(line)}, func(*parsers.Record) { t.Error("a record") }); got != want {
			t.Errorf("%s: %d", line, got)
		}
	}
	if p.Open() || len(p.held) > 0 {
		t.Error("a message is held")
	}
}

// TestLong: what is returned may be longer than what is kept of a message.
func TestLong(t *testing.T) {
	lines := mailbox(t)
	at := slices.Index(lines, "hello")
	lines = slices.Concat(lines[:at], slices.Repeat([]string{strings.Repeat("x", 900)}, 1000), lines[at:])
	if got := read(t, lines); !slices.Equal(got, told) {
		t.Errorf("got  %q\nwant %q", got, told)
	}
}

// Anybody writes the Date of a bounce: it is not later than its arrival.
func TestDateOfTheFuture(t *testing.T) {
	for date, want := range map[string]int{"Sun, 22 Nov 2026 06:40:00 +0000": 2026, "Fri, 31 Dec 9999 23:59:59 +0000": 2026, "Sat, 22 Nov 2025 06:40:00 +0000": 2025} {
		p, year := New(parsers.Options{Location: time.UTC}), 0
		emit := func(r *parsers.Record) { year = r.Time.Year() }
		for line := range strings.SplitSeq("From a@x Sun Nov 22 06:50:00 2026\n"+strings.Replace(aBounce, "Sun, 22 Nov 2026 06:40:00 +0000", date, 1), "\n") {
			p.Parse(&parsers.Entry{Message: []byte(line)}, emit)
		}
		p.(parsers.Keeper).End(emit)
		if year != want {
			t.Errorf("Date %s: a record of %d, want %d", date, year, want)
		}
	}
}

const aBounce = "Return-Path: <>\nDate: Sun, 22 Nov 2026 06:40:00 +0000\nTo: a@x\nContent-Type: multipart/report; boundary=b\n\n" +
	"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx1\n\nFinal-Recipient: rfc822; b@y\nAction: failed\n" +
	"Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no\n\n--b--\n"

func TestSplit(t *testing.T) { parserstest.Split(t, "bounces", "", mailbox(t)...) }

func BenchmarkMbox(b *testing.B) {
	lines := mailbox(b)
	emit := func(*parsers.Record) {}
	for b.Loop() {
		p := New(parsers.Options{Location: time.UTC})
		for _, l := range lines {
			p.Parse(&parsers.Entry{Message: []byte(l)}, emit)
		}
	}
	b.ReportMetric(float64(len(lines)), "lines/op")
}

func FuzzMbox(f *testing.F) {
	parserstest.Fuzz(f, "bounces", "", aBounce, "From a@x Sun Nov 22 06:40:00 2026\n"+aBounce,
		"Return-Path: <>\nDate: Sun, 22 Nov 2026 06:40:00 +0000\n\n<b@y>:\nno mailbox here (#5.1.1)\n")
}
