package all_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
)

// stack is what a whole mail stack writes: service, a bar, the line.
const stack = `redis|1:M 19 Nov 2026 12:37:15.123 * Ready to accept connections tcp
rspamd|2026-11-19 12:37:16 #12(normal) <a1b2c3>; task; rspamd_task_write_log: id: <x@y>, qid: <3A3D26C44C>, ip: 203.0.113.5
nginx|10.0.0.1 - - [19/Nov/2026:12:37:15 +0000] "GET / HTTP/1.1" 200 1 "-" "curl"
nginx|2026/11/19 12:37:15 [notice] 1#1: start worker processes
clamd|Thu Nov 19 12:37:15 2026 -> SelfCheck: Database status OK.
watchdog|Thu Nov 19 12:37:15 UTC 2026 Nginx health level: 100% (5/5), health trend: 0
dovecot|Nov 19 12:37:15 3f2a dovecot: imap-login: Login: user=<a@hosted.example>, method=PLAIN, rip=10.0.0.1
mysql|2026-11-19 12:37:15 0 [Note] mariadbd: ready for connections.
postfix|2026-11-19 12:37:15,123 INFO spawned: 'postfix' with pid 12
postfix|Nov 19 12:37:15 mail postfix/master[1]: daemon started -- version 3.9.0, configuration /etc/postfix
postfix|Nov 19 12:37:15 mail postfix/smtpd[58]: connect from unknown[203.0.113.5]
postfix|Nov 19 12:37:15 mail postfix/smtpd[58]: 3A3D26C44C: client=unknown[203.0.113.5]
postfix|Nov 19 12:37:15 mail postfix/smtp[60]: 3A3D26C44C: to=<user@far.example>, relay=mx.far.example[198.51.100.9]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.far.example[198.51.100.9] said: 550 5.1.1 "User" unknown (in reply to RCPT TO command))
postfix|Nov 19 12:37:15 mail postfix/qmgr[59]: 3A3D26C44C: removed`

// TestMailStack reads the lines of a whole stack in the envelopes of what collects
// them: the bounce is found, and no line is not understood.
func TestMailStack(t *testing.T) {
	const stamp = "2026-11-19T12:37:15.123456789Z"
	asJSON := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, wrap := range map[string]func(service, line string) string{
		"docker compose":   func(s, l string) string { return s + "-1  | " + l },
		"compose, colours": func(s, l string) string { return "\x1b[36m" + s + "-1  |\x1b[0m " + l },
		"kubectl":          func(s, l string) string { return "[pod/mail-0/" + s + "] " + l },
		"stern":            func(s, l string) string { return "mail-7c9f5d8b6d-x2x9k " + s + " " + l },
		"CRI":              func(_, l string) string { return stamp + " stdout F " + l },
		"docker logs":      func(_, l string) string { return l },
		"syslog":           func(s, l string) string { return "Nov 19 12:37:15 docker1 docker/" + s + "[2136]: " + l },
		"json-file": func(_, l string) string {
			return asJSON(map[string]any{"log": l + "\n", "stream": "stdout", "time": stamp})
		},
		"Vector": func(s, l string) string {
			return asJSON(map[string]any{"container_name": s, "message": l, "timestamp": stamp})
		},
		"journald": func(s, l string) string {
			return asJSON(map[string]any{"__REALTIME_TIMESTAMP": "1795091835000000", "_HOSTNAME": "d", "CONTAINER_NAME": s, "SYSLOG_IDENTIFIER": "e8d8", "MESSAGE": l})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 2026, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			unparsed := 0
			for row := range strings.SplitSeq(stack, "\n") {
				service, line, _ := strings.Cut(row, "|")
				result := s.Parse([]byte(wrap(service, line)), func(r *parsers.Record) {
					if r.Kind == parsers.Attempt {
						got = append(got, fmt.Sprintf("%s %s %s %s", r.Time.Format(time.RFC3339), r.Host, r.ID, r.Address))
					}
				})
				if result == parsers.Unparsed {
					unparsed++
				}
				unparsed += s.Lost()
			}
			if want := "2026-11-19T12:37:15Z mail 3A3D26C44C user@far.example"; strings.Join(got, "\n") != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if unparsed != 0 {
				t.Errorf("%d lines are not understood", unparsed)
			}
		})
	}
}
