package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/parsers/parserstest"
)

// hostileLine is what a specimen of a log is filled with. One of the strings is
// hostile at a time.
type hostileLine struct {
	First, Even bool   // the first of the log; of every second text
	N           string // five digits
	Clock       string
	Unix        int64

	Sender, Rcpt, Relay, Reply, Client, MessageID, Service, Host, Subject logged
}

// logged is a text in a log.
type logged string

// String returns the text without newlines: a log of lines has none in a line.
func (l logged) String() string { return strings.ReplaceAll(string(l), "\n", " ") }

// Diagnostic is the reply in the form of RFC 3464.
func (l hostileLine) Diagnostic() logged { return "smtp; " + l.Reply }

// hostileFields puts a text into each field that a stranger controls.
var hostileFields = map[string]func(l *hostileLine, evil logged){
	"sender":  func(l *hostileLine, evil logged) { l.Sender = evil + "@evil.example" },
	"rcpt":    func(l *hostileLine, evil logged) { l.Rcpt = evil + "@evil.example" },
	"domain":  func(l *hostileLine, evil logged) { l.Rcpt = "rcpt@" + evil },
	"relay":   func(l *hostileLine, evil logged) { l.Relay = evil },
	"reply":   func(l *hostileLine, evil logged) { l.Reply = "550 5.7.1 " + evil },
	"client":  func(l *hostileLine, evil logged) { l.Client = evil },
	"id":      func(l *hostileLine, evil logged) { l.MessageID = "<" + evil + "@evil.example>" },
	"service": func(l *hostileLine, evil logged) { l.Service = "smtp" + word(evil) },
	"subject": func(l *hostileLine, evil logged) { l.Subject = evil },
	"host":    func(l *hostileLine, evil logged) { l.Host = word(evil) },
}

// word returns a text without blanks.
func word(l logged) logged { return logged(strings.ReplaceAll(l.String(), " ", "")) }

// specimenFuncs quote a text as the log would.
var specimenFuncs = template.FuncMap{
	"quoted": doubled,
	"csv":    func(l logged) string { return `"` + doubled(l) + `"` },
	"json":   quoteJSON,
}

// doubled returns a text as it is within quotes in CSV.
func doubled(l logged) string { return strings.ReplaceAll(l.String(), `"`, `""`) }

// quoteJSON quotes a text, but leaves invalid UTF-8, as careless writers do.
func quoteJSON(s logged) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ':
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// hostileLogs writes a log of every format with every hostile text in every
// field that a stranger controls, and returns their names by format. The
// specimen of a format is testdata/hostile/NAME in the folder of its parser.
func hostileLogs(t *testing.T, dir string) map[string]string {
	t.Helper()
	logs := map[string]string{}
	for _, f := range parsers.Formats() {
		found, _ := filepath.Glob("../../parsers/*/testdata/hostile/" + f.Name)
		if len(found) != 1 {
			t.Fatalf("format %s: no specimen parsers/*/testdata/hostile/%s", f.Name, f.Name)
		}
		text, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		logs[f.Name] = filepath.Join(dir, f.Name+".log")
		var out bytes.Buffer
		specimen := template.Must(template.New(f.Name).Funcs(specimenFuncs).Parse(string(text)))
		for _, l := range hostileLines() {
			if err := specimen.Execute(&out, l); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(logs[f.Name], out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return logs
}

// hostileLines returns what specimens are filled with: each text in each field,
// and a reply of 100 kB.
func hostileLines() (lines []hostileLine) {
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	add := func(i int, field, text string) {
		n := len(lines)
		at := midnight.Add(time.Duration(n) * time.Second)
		l := hostileLine{
			First: n == 0, Even: i%2 == 0, N: fmt.Sprintf("%05d", n), Clock: at.Format(time.TimeOnly), Unix: at.Unix(),
			Sender: "sender@far.example", Rcpt: "rcpt@near.example", Relay: "mx.near.example",
			Reply: "550 5.1.1 no such user", Client: "client.example", MessageID: "<id@far.example>",
			Service: "smtp", Host: "mx1", Subject: "hi",
		}
		hostileFields[field](&l, logged(fmt.Sprintf(text, fmt.Sprintf("hm%s%dx", field, n))))
		lines = append(lines, l)
	}
	for i, text := range hostileTexts {
		for _, field := range slices.Sorted(maps.Keys(hostileFields)) {
			add(i, field, text)
		}
	}
	add(0, "reply", "%s"+strings.Repeat("x", 100<<10))
	return lines
}

// hostileIncidents writes logs in which, after two quiet weeks, mail of some hours fails,
// and returns their paths. Each text stands in one of them wherever a stranger can put it,
// in another as the domain of the recipients that fail: findings tell of it.
func hostileIncidents(t *testing.T, dir string) (logs []string) {
	t.Helper()
	for i, text := range hostileTexts {
		evil := logged(fmt.Sprintf(text, fmt.Sprintf("hm%dx", i)))
		for kind, names := range map[string][4]logged{ // host, sender's domain, recipients' domain, relay
			"all": {word(evil), evil, evil, evil}, "domain": {"mx1", "from.example", evil, "mx.near.example"}} {
			path := filepath.Join(dir, fmt.Sprintf("incident-%s-%d.log", kind, i))
			if err := os.WriteFile(path, incident(names, evil), 0o644); err != nil {
				t.Fatal(err)
			}
			logs = append(logs, path)
		}
	}
	return logs
}

// incident returns a log of two weeks up to now. In its last hours all mail to one domain
// fails, and that to another goes on.
func incident(names [4]logged, evil logged) []byte {
	var log bytes.Buffer
	id, now := 0, time.Now()
	for at := now.Add(-14 * 24 * time.Hour); at.Before(now); at = at.Add(20 * time.Minute) {
		failed, times := fmt.Sprintf("dsn=5.7.1, status=bounced (host %s[192.0.2.1] said: 550 5.7.1 %s (in reply to RCPT TO command))", names[3], evil), 10
		if now.Sub(at) > 3*time.Hour {
			failed, times = sentLine, 1
		}
		for n := range 2 * times {
			domain, status := names[2], failed
			if n%2 == 1 {
				domain, status = "good.example", sentLine
			}
			id++
			line := fmt.Sprintf("%s %s postfix/", at.UTC().Format("2006-01-02T15:04:05.000000+00:00"), names[0])
			fmt.Fprintf(&log, "%sqmgr[12]: B%09d: from=<u@%s>, size=100, nrcpt=1 (queue active)\n", line, id, names[1])
			fmt.Fprintf(&log, "%ssmtp[13]: B%09d: to=<u%d@%s>, relay=%s[192.0.2.1]:25, delay=1, delays=0/0/1/0, %s\n", line, id, id, domain, names[3], status)
			fmt.Fprintf(&log, "%sqmgr[12]: B%09d: removed\n", line, id)
		}
	}
	return log.Bytes()
}

const sentLine = "dsn=2.0.0, status=sent (250 ok)"

// TestSpecimens reads the specimen of each format: its lines have to be understood,
// and who wrote to whom, and what was answered, has to be in records.
func TestSpecimens(t *testing.T) {
	takesLong(t)
	logs := hostileLogs(t, t.TempDir()) // fails when a format has none
	for format, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 2026, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		results, arrived := map[parsers.Result]int{}, map[string]int{}
		for line := range strings.Lines(string(text)) {
			results[s.Parse([]byte(strings.TrimSuffix(line, "\n")), func(r *parsers.Record) {
				if r.Format.Name != format && !r.FromBounce {
					t.Errorf("%s: read as %s", format, r.Format.Name)
				}
				for _, mark := range marks.FindAllStringSubmatch(parserstest.Show(r)+string(r.Host), -1) {
					arrived[mark[1]]++
				}
			})]++
		}
		for _, field := range []string{"sender", "rcpt", "relay", "reply"} {
			used := strings.Contains(string(text), "hm"+field)
			want := len(hostileTexts) / 3
			switch {
			case used && format == "exchange-smtpsend" && field == "relay": // takes nothing but names of hosts
				if arrived[field] > 0 {
					t.Errorf("%s: %d records hold the hostile %s", format, arrived[field], field)
				}
			case used && arrived[field] < want:
				t.Errorf("%s: %d records hold the hostile %s, want %d", format, arrived[field], field, want)
			}
		}
		if all := results[parsers.Understood]; results[parsers.Unparsed] > all/50 {
			t.Errorf("%s: %d lines are not understood, %d are", format, results[parsers.Unparsed], all)
		}
	}
}

var marks = regexp.MustCompile("hm([a-z]+)[0-9]+x")
