package exim

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	_ "mailfail/parsers/postfix" // for files of both
)

// inbound returns the run in testdata, as log files and as syslog.
func inbound(t testing.TB) (main, reject, syslog []byte) {
	t.Helper()
	main, err := os.ReadFile(small + "/inbound/mainlog")
	if err != nil {
		t.Fatal(err)
	}
	if reject, err = os.ReadFile(small + "/inbound/rejectlog"); err != nil {
		t.Fatal(err)
	}
	return main, reject, syslogOf(main, reject, shape{stamp: true, pid: true})
}

// TestSplitAnywhere stops at every line, stores the state, and goes on with a
// new parser: nothing changes.
func TestSplitAnywhere(t *testing.T) {
	main, reject, syslog := inbound(t)
	step := 1
	if testing.Short() {
		step = 11
	}
	for name, text := range map[string][]byte{"mainlog": main, "rejectlog": reject, "syslog": syslog} {
		t.Run(name, func(t *testing.T) {
			lines := bytes.SplitAfter(text, []byte("\n"))
			lines = lines[:min(len(lines), 400)]
			want, results := parsed(t, name, lines, 0)
			for at := 1; at < len(lines); at += step {
				got, r := parsed(t, name, lines, at)
				if r != results {
					t.Fatalf("split at %d: results %v, whole %v", at, r, results)
				}
				if len(got) != len(want) {
					t.Fatalf("split at %d: %d records, whole %d", at, len(got), len(want))
				}
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("split at %d: record %d is\n%+v\nnot\n%+v", at, i, got[i], want[i])
					}
				}
			}
		})
	}
}

// seen tells two records apart as far as these tests need it; it is cheaper
// than show.
type seen struct {
	kind      parsers.Kind
	time      int64
	hash      uint64
	copied    bool
	recipient string
	text      string
}

func parsed(t *testing.T, path string, lines [][]byte, at int) (records []seen, results [3]int) {
	t.Helper()
	o := parsers.Options{Location: time.UTC, Path: path}
	s, err := detect.NewStream(o, "exim", 0, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range lines {
		if i == at && at > 0 {
			state, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if s, err = detect.NewStream(o, "exim", 0, time.Time{}); err != nil {
				t.Fatal(err)
			}
			if err := s.UnmarshalBinary(state); err != nil {
				t.Fatal(err)
			}
		}
		results[s.Parse(bytes.TrimSuffix(l, []byte("\n")), func(r *parsers.Record) {
			records = append(records, seen{r.Kind, r.Time.UnixNano(), r.LineHash, r.Copy, string(r.Address), string(r.Reply.Text)})
		})]++
	}
	return records, results
}

// TestStateIsBounded feeds first pieces of ever new processes.
func TestStateIsBounded(t *testing.T) {
	p := New(parsers.Options{Location: time.UTC}).(*parser)
	long := bytes.Repeat([]byte("x"), 900)
	for i := range 2_000 {
		e := parsers.Entry{Time: time.Unix(1795328752, 0), Host: []byte("h"), Program: []byte("exim"), PID: fmt.Appendf(nil, "%d", i)}
		for n := range 20 {
			e.Message = append(fmt.Appendf(nil, "[%d/99] ", n+1), long...)
			p.Parse(&e, func(*parsers.Record) { t.Fatal("a record") })
		}
		e.Message = fmt.Appendf(nil, "2026-11-22 06:25:52 H=[192.0.2.1] F=<> rejected RCPT <u%d@x.test>: no", i)
		p.Parse(&e, func(*parsers.Record) {})
	}
	state, err := p.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if most := maxOpen*(maxEntry+100) + maxWaiting*8 + 100; len(state) > most {
		t.Errorf("a state of %d bytes, more than %d", len(state), most)
	}
	q := New(parsers.Options{Location: time.UTC}).(*parser)
	if err := q.UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	if again, _ := q.AppendBinary(nil); !bytes.Equal(again, state) {
		t.Error("the state changes when it is restored")
	}
	for n := 97; n < len(state); n += max(97, len(state)/200) {
		if New(parsers.Options{Location: time.UTC}).(*parser).UnmarshalBinary(state[:n]) == nil {
			t.Errorf("a state cut at %d is accepted", n)
		}
	}
}

// TestRepeatedHour reads the night in which clocks are set back: the second
// 02:30 is an hour after the first.
func TestRepeatedHour(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err) // go brings the zones along
	}
	p := New(parsers.Options{Location: berlin})
	var got []string
	for _, at := range []string{"01:59:59", "02:30:00", "02:59:58.250", "02:00:01", "02:30:00", "03:00:00", "03:00:00 +0100"} {
		line := "2026-10-25 " + at + " 1xV13b-00001M-2y Completed"
		p.Parse(&parsers.Entry{Message: []byte(line)}, func(r *parsers.Record) {
			got = append(got, r.Time.UTC().Format("15:04:05.000"))
		})
	}
	want := "[23:59:59.000 00:30:00.000 00:59:58.250 01:00:01.000 01:30:00.000 02:00:00.000 02:00:00.000]"
	if s := fmt.Sprint(got); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

// TestDetection tells Exim's lines from others that begin with a time.
func TestDetection(t *testing.T) {
	for line, want := range map[string]bool{
		"2026-11-22 06:25:50 exim 4.96 daemon started: pid=81, -q6s, listening for SMTP on [127.0.0.1]:{25,587}": true,
		"2026-11-22 06:25:50 Start queue run: pid=82":                                                            true,
		"2026-11-22 06:25:52 1xV11M-00001N-08 Completed":                                                         true,
		"2026-11-22 06:25:52.916 +0000 [81] 1xV14p-0000000001K-294G Completed":                                   true,
		"2026-11-22 06:25:52 H=[127.0.3.8] rejected connection in \"connect\" ACL: no":                           true,
		"2026-11-22 06:25:52 login authenticator failed for (x) [1.2.3.4]: 535 Incorrect":                        true,
		"2026-11-22 06:25:52 +0100 no host name found for IP address 192.0.2.1":                                  true,
		"2026-11-22 06:25:52 10.0.0.1 GET / - 80 - 192.0.2.1 Mozilla/5.0 200 0 0 15":                             false,
		"2026-11-22 06:25:52 imap-login: Info: Login: user=<a>, method=PLAIN":                                    false,
		"2026-11-22 06:25:52,123 INFO root: started":                                                             false,
		"2026-11-22 06:25:52 UTC [1234] LOG:  database system is ready":                                          false,
		"2026-11-22T06:25:52+00:00 mx1 postfix/smtp[1]: 1xV11M-00001N-08 x":                                      false,
		"Nov 22 06:25:52 mx1 exim[90]: 1xV11M-00001N-08 Completed":                                               false,
		"Envelope-from: <a@b.test>":                                                                              false,
		"":                                                                                                       false,
		"2026-11-22 06:25:52":                                                                                    false,
		"2026-11-22 06:25:52 ":                                                                                   false,
	} {
		if match([]byte(line)) != want {
			t.Errorf("match is %v: %s", !want, line)
		}
	}
	for program, want := range map[string]string{"exim": "", "exim4": "", "exim-out": "exim-out"} {
		if !isProgram([]byte(program)) || string(instanceOf([]byte(program))) != want {
			t.Errorf("%s: %v %q", program, isProgram([]byte(program)), instanceOf([]byte(program)))
		}
	}
	for _, program := range []string{"eximstats", "postfix/smtp", "", "Exim"} {
		if isProgram([]byte(program)) {
			t.Errorf("%s is taken for Exim", program)
		}
	}
	for path, want := range map[string]role{
		"": mainLog, "/var/log/exim4/mainlog.2.gz": mainLog, "/var/log/exim4/rejectlog.1": rejectLog, "/rejects/mainlog": mainLog,
		"/var/log/exim_rejectlog": rejectLog, "reject.log-20261120.xz": rejectLog, "paniclog": panicLog, "/var/log/exim_paniclog": panicLog,
	} {
		if got := roleOf(path); got != want {
			t.Errorf("%s: role %d, want %d", path, got, want)
		}
	}
}

// TestPanicLog finds no delivery in a panic log: what it says about deliveries is in
// the main log. What stopped Exim before it could write that is trouble.
func TestPanicLog(t *testing.T) {
	p := New(parsers.Options{Location: time.UTC, Path: "/var/log/exim4/paniclog"})
	for _, test := range []struct {
		line   string
		kinds  []parsers.Kind
		result parsers.Result
	}{
		{"2026-11-22 06:25:52 1xV11M-00001N-08 == a@b.test R=r T=t defer (-1): Malformed value", nil, parsers.Irrelevant},
		{"2026-11-22 06:25:52 Exim configuration error in line 12 of /etc/exim4/exim4.conf:", []parsers.Kind{parsers.Trouble}, parsers.Understood},
		{"  missing quote at end of string value for hold_domains", nil, parsers.Irrelevant},
	} {
		var kinds []parsers.Kind
		result := p.Parse(&parsers.Entry{Message: []byte(test.line)}, func(r *parsers.Record) { kinds = append(kinds, r.Kind) })
		if result != test.result || !slices.Equal(kinds, test.kinds) {
			t.Errorf("%s: %s, %v", test.line, results[result], kinds)
		}
	}
}

// TestMixedFile reads a mail.log of several programs, and one of a host that
// was migrated from Postfix to Exim, first through syslog and then with its
// own log file appended.
func TestMixedFile(t *testing.T) {
	text := `Nov 22 06:25:50 mx1 dovecot: imap-login: Login: user=<a>
Nov 22 06:25:51 mx1 postfix/smtp[70]: 4F2AB1C3D: to=<a@b.test>, relay=mx.b.test[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 OK)
Nov 22 06:25:52 mx1 exim[90]: 1xV11M-00001N-08 <= bob@partner.test H=mail.partner.test [192.0.2.2] P=esmtp S=874
Nov 22 06:25:52 mx1 exim[91]: [1/2] 2026-11-22 06:25:52 1xV11M-00001N-08 == ann@c.test R=dnslookup T=remote_smtp defer (-44) H=mx.c.test [192.0.2.3]: SMTP error from remote mail server after RCPT TO:<ann@c.test>: 450 4.2
Nov 22 06:25:52 mx1 kernel: eth0: link up
Nov 22 06:25:52 mx1 exim[92]: 2026-11-22 06:25:52 1xV11M-00001O-08 ** bob@c.test: Unrouteable address
Nov 22 06:25:52 mx1 exim[91]: [2/2] .0 Greylisted
2026-11-22 06:26:52 1xV11M-00001N-08 => ann@c.test R=dnslookup T=remote_smtp H=mx.c.test [192.0.2.3] C="250 OK"
2026-11-22 06:26:52 1xV11M-00001N-08 Completed
`
	records, _ := stream(t, []byte(text), "mail.log")
	var got bytes.Buffer
	for _, r := range records {
		got.WriteString(r + "\n")
	}
	golden(t, "testdata/mixed.golden", got.Bytes())
}
