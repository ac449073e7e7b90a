package all_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/parsers/parserstest"
)

// stack is what a whole mail stack writes: service, a bar, the line.
const stack = `redis|1:M 19 Nov 2026 12:37:15.123 * Ready to accept connections tcp
rspamd|2026-11-19 12:37:16 #12(normal) <a1b2c3>; task; rspamd_task_write_log: id: <x@y>, qid: <3A3D26C44C>, ip: 203.0.113.5
nginx|10.0.0.1 - - [19/Nov/2026:12:37:15 +0000] "GET / HTTP/1.1" 200 1 "-" "curl"
nginx|2026/11/19 12:37:15 [notice] 1#1: start worker processes
clamd|Thu Nov 19 12:37:15 2026 -> SelfCheck: Database status OK.
watchdog|Thu Nov 19 12:37:15 UTC 2026 Nginx health level: 100% (5/5), health trend: 0
dovecot|Nov 19 12:37:15 3f2a dovecot: imap-login: Login: user=<a@hosted.example>, method=PLAIN, rip=10.0.0.1
opendkim|Nov 19 12:37:15 dkim opendkim[7]: 3A3D26C44C: DKIM-Signature field added (s=mail, d=hosted.example)
opendkim|opendkim[7]: OpenDKIM Filter v2.11.0 starting (args: -f -x /etc/opendkim.conf)
unbound|[1795091835] unbound[1:0] info: start of service (unbound 1.19.2).
netfilter|Thu Nov 19 12:37:15 2026 INFO: Watching Redis channel F2B_CHANNEL
sogo|Nov 19 12:37:15 3f2a sogod [55]: SOGoRootPage successful login from '10.0.0.1' for user 'a@hosted.example'
php-fpm|[19-Nov-2026 12:37:15] NOTICE: fpm is running, pid 1
memcached|<28 new auto-negotiating client connection
olefy|2026-11-19 12:37:15,123 INFO olefy listening on 0.0.0.0:10055
acme|Thu Nov 19 12:37:15 UTC 2026 - OK: Waiting for Nginx
clamd|Thu Nov 19 12:37:15 2026 -> instream(172.22.1.5@40000): Win.Test.EICAR_HDB-1 FOUND
dovecot|Nov 19 12:37:15 3f2a dovecot: lmtp(a@hosted.example)<12><x>: sieve: msgid=<m@y>: stored mail into mailbox 'Junk'
dovecot|2026-11-19 12:37:15 lmtp(a@hosted.example)<12><x>: Info: msgid=<m@y>: saved mail to INBOX
rspamd|2026-11-19 12:37:16 #12(main) <main>; main; main: rspamd 3.8 is loading configuration
redis|12:C 19 Nov 2026 12:37:15.123 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo
mysql|2026-11-19 12:37:15 0 [Note] mariadbd: ready for connections.
mongodb|{"t":{"$date":"2026-11-19T12:37:15.000Z"},"s":"I","c":"NETWORK","ctx":"listener","msg":"Connection accepted"}
fail2ban|2026-11-19 12:37:15,123 fail2ban.actions        [1]: NOTICE  [postfix] Ban 203.0.113.9
postgres|2026-11-19 12:37:15.123 UTC [78] FATAL:  password authentication failed for user "mail"
caddy|{"level":"info","ts":1795091835.123,"logger":"tls","msg":"cleaning storage unit"}
postfix|2026-11-19 12:37:15,123 INFO spawned: 'postfix' with pid 12
postfix|Nov 19 12:37:15 mail postfix/master[1]: daemon started -- version 3.9.0, configuration /etc/postfix
postfix|Nov 19 12:37:15 mail postfix/smtpd[58]: connect from unknown[203.0.113.5]
postfix|Nov 19 12:37:15 mail postfix/smtpd[58]: 3A3D26C44C: client=unknown[203.0.113.5]
postfix|Nov 19 12:37:15 mail postfix/smtp[60]: 3A3D26C44C: to=<user@far.example>, relay=mx.far.example[198.51.100.9]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.far.example[198.51.100.9] said: 550 5.1.1 "User" unknown (in reply to RCPT TO command))
postfix|Nov 19 12:37:15 mail postfix/qmgr[59]: 3A3D26C44C: from=<a@hosted.example>, size=321, nrcpt=1 (queue active)
postfix|Nov 19 12:37:15 mail postfix/smtpd[61]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 450 4.2.0 <b@hosted.example>: Recipient address rejected: Greylisted; from=<x@y.example> to=<b@hosted.example> proto=ESMTP helo=<y>
postfix|Nov 19 12:37:15 mail postfix/cleanup[62]: warning: connect to Milter service inet:rspamd:11332: Connection refused
postfix|Nov 19 12:37:15 mail postfix/qmgr[59]: 3A3D26C44C: removed`

// TestMailStack reads the lines of a whole stack in the envelopes of what collects
// them: they give the records of the plain logs of Postfix and Dovecot, and no line is not understood.
func TestMailStack(t *testing.T) {
	const stamp = "2026-11-19T12:37:15.123456789Z"
	asJSON := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want, _ := readStack(t, func(_, line string) string { return line }, func(service string) bool { return service == "postfix" || service == "dovecot" })
	if len(want) < 5 {
		t.Fatalf("the plain log gives %q", want)
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
			got, unparsed := readStack(t, wrap, func(string) bool { return true })
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if unparsed != 0 {
				t.Errorf("%d lines are not understood", unparsed)
			}
		})
	}
}

// readStack returns the records of the lines of the wanted services, and how many
// lines were not understood.
func readStack(t *testing.T, wrap func(service, line string) string, wanted func(service string) bool) (records []string, unparsed int) {
	t.Helper()
	s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 2026, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.SplitSeq(stack, "\n") {
		service, line, _ := strings.Cut(row, "|")
		if !wanted(service) {
			continue
		}
		result := s.Parse([]byte(wrap(service, line)), func(r *parsers.Record) {
			records = append(records, fmt.Sprintf("%s %s %s", r.Time.Format(time.RFC3339), r.Host, parserstest.Show(r)))
		})
		lost := s.Lost()
		if result == parsers.Unparsed {
			lost++
		}
		if unparsed += lost; lost > 0 {
			t.Logf("not understood: %s", line)
		}
	}
	return records, unparsed
}
