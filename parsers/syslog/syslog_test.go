package syslog

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

// known is a format of these tests: it reads the programs echo/* and postfix/*,
// and by themselves lines like those of Exim.
func known(e *parsers.Entry) bool {
	if e.Program != nil {
		return parsers.Has(e.Program, "echo") || string(e.Program) == "dovecot" && parsers.Has(e.Message, "lmtp(") || parsers.Has(e.Program, "postfix/") || string(e.Program) == "postfix"
	}
	return len(e.Message) > 44 && e.Message[10] == ' ' && e.Message[4] == '-' && e.Message[26] == '-' && e.Message[20] != '['
}

func newReader(t testing.TB) *Reader {
	t.Helper()
	return NewReader(time.UTC, 0, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), known)
}

// read reads lines as a stream does, to the end of the source, and shows what
// became of each.
func read(r *Reader, lines ...string) []string {
	got := readLines(r, lines...)
	var e parsers.Entry
	if r.End(&e) {
		got = append(got, show(&e))
	}
	return got
}

func show(e *parsers.Entry) string {
	stamp := "-"
	if !e.Time.IsZero() {
		stamp = e.Time.Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return fmt.Sprintf("%s %s %s[%s] %s", stamp, e.Host, e.Program, e.PID, e.Message)
}

func readLines(r *Reader, lines ...string) (got []string) {
	var e parsers.Entry
	for _, line := range lines {
		for text := []byte(line); text != nil; text = r.Rest() {
			answer := r.Read(text, &e)
			if answer == Bare && known(&parsers.Entry{Message: text}) {
				e.Message = text
				answer = Line
			}
			if answer == Bare {
				answer = r.Unwrap(text, &e)
			}
			if answer == Line && !known(&e) {
				answer = r.Inner(&e)
			}
			switch answer {
			case Line:
				got = append(got, show(&e))
			case Part:
			case Other:
				got = append(got, "other")
			case Hollow:
			case Beside:
				got = append(got, "beside")
			case Odd:
				got = append(got, "odd")
			case Broken:
				got = append(got, "broken")
			default:
				got = append(got, "bare")
			}
		}
	}
	return got
}

const (
	msg    = "3A3D26C44C: to=<user@far.example>, dsn=5.1.1, status=bounced (host mx said: 550 no)"
	tagged = "postfix/smtp[58]: " + msg
	inner  = "Nov 19 11:37:15 mail " + tagged
	exim   = "2026-11-14 18:12:57 1tiuyz-000000007Xh-0r9J ** bob@far.example R=dnslookup T=remote_smtp: 550 5.1.1 no"
)

func TestEnvelopes(t *testing.T) {
	const (
		full   = "2026-11-19T11:37:15Z mail postfix/smtp[58] " + msg // of an inner header
		docker = "2026-11-19T12:37:15Z docker1 postfix/smtp[58] " + msg
		nohost = "2026-11-19T12:37:15Z  postfix/smtp[58] " + msg
		mx     = "2026-11-19T12:37:15Z mx postfix/smtp[58] " + msg
	)
	quote := func(s string) string { return strings.ReplaceAll(s, `"`, `\"`) }
	tests := []struct{ name, line, want string }{
		{"docker's syslog driver", "Nov 19 12:37:15 docker1 e8d820bf982c[2136]: " + inner, full},
		{"docker/ID as tag", "Nov 19 12:37:15 docker1 docker/e8d820bf982c[1]: " + inner, full},
		{"podman", "2026-11-19T12:37:15+00:00 docker1 podman[1]: " + inner, full},
		{"a name as tag, 5424 outside", "<30>1 2026-11-19T12:37:15Z docker1 mail-stack 2136 mail-stack - " + inner, full},
		{"inner text begins with the tag", "Nov 19 12:37:15 docker1 e8d820bf982c[2136]: " + tagged, docker},
		{"inner RFC 3339", "Nov 19 12:37:15 docker1 conmon[7]: 2026-11-19T11:37:15+00:00 mail " + tagged, full},
		{"kubectl, no time", "[pod/mail-0/postfix] " + tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"stern, no time", "mail-0 postfix " + tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"three deep", "Nov 19 12:37:20 loghost relay[1]: Nov 19 12:37:15 docker1 e8d820bf982c[2136]: " + inner, full},
		{"year of the outer time", "2019-01-01T00:00:01Z docker1 mail[1]: Dec 31 23:59:59 mail " + tagged, "2018-12-31T23:59:59Z mail postfix/smtp[58] " + msg},
		{"busybox", "Nov 19 12:37:15 docker1 mail.info " + tagged, docker},
		{"busybox, no host", "Nov 19 12:37:15 mail.info " + tagged, nohost},
		{"rsyslog template", "Nov 19 12:37:15 docker1 mail.info: " + tagged, docker},
		{"AIX", "Nov 19 12:37:15 docker1 mail:info " + tagged, docker},
		{"AIX, two names", "Nov 19 12:37:15 docker1 mail:warn|warning " + tagged, docker},
		{"AIX, forwarded", "Nov 19 12:37:15 Message forwarded from docker1: " + tagged, docker},
		{"AIX, forwarded with a level", "Nov 19 12:37:15 Message forwarded from docker1: mail:info " + tagged, docker},
		{"a year behind the day", "Nov 19 2026 12:37:15 mx " + tagged, mx},
		{"5424 without its priority", "Nov 19 12:37:20 10.0.0.5 1 2026-11-19T12:37:15Z mx postfix/smtp 58 - - " + msg, mx},
		{"Dovecot's own file", "Nov 19 12:37:15 lmtp(ann@far.example)<7><x>: Info: sieve: msgid=<m@y>: stored", "2026-11-19T12:37:15Z  dovecot[] lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: stored"},
		{"Dovecot's own file, ISO", "2026-11-19 12:37:15 lmtp(ann)<7><x>: Warning: sieve: x", "2026-11-19T12:37:15Z  dovecot[] lmtp(ann)<7><x>: sieve: x"},
		{"kail", "default/mail-0[postfix]: " + inner, full},
		{"Fluentd's output with a file as tag", "2026-11-19 12:37:15.000000000 +0000 var.log.mail: " + `{"host":"mx","ident":"postfix/smtp","pid":"58","message":"` + msg + `"}`, mx},
		{"Azure", `{"TimeGenerated":"2026-11-19T12:37:15Z","Computer":"mx","ProcessName":"postfix/smtp","ProcessID":58,"SyslogMessage":"` + msg + `"}`, mx},
		{"Azure's containers", `{"TimeGenerated":"2026-11-19T12:37:16Z","LogEntry":"` + inner + `"}`, full},
		{"Splunk", `{"time":1795091836.1,"host":"docker1","event":"` + inner + `"}`, full},
		{"an element of an array", ` {"time":"2026-11-19T12:37:16Z","message":"` + inner + `"},`, full},
		{"gcloud's CSV", `2026-11-19T12:37:16Z,"` + inner + `"`, full},
		{"level and facility apart", "Nov 19 12:37:15 docker1 mail info " + tagged, docker},
		{"capital level", "2026-11-19T12:37:15Z docker1 [MAIL.INFO] " + tagged, docker},
		{"logread", "Thu Nov 19 12:37:15 2026 mail.info " + tagged, nohost},
		{"logread with a host", "Thu Nov 19 12:37:15 2026 mx mail.info " + tagged, mx},
		{"short-full", "Thu 2026-11-19 12:37:15 UTC mx " + tagged, mx},
		{"short-full, CET", "Thu 2026-11-19 13:37:15 CET mx " + tagged, mx},
		{"short-full, numbered zone", "Thu 2026-11-19 15:37:15 +03 mx " + tagged, mx},
		{"short-unix", "1795091835.000000 mx " + tagged, mx},
		{"short-monotonic", "[   12.345678] mx " + tagged, "2026-11-22T12:00:00Z mx postfix/smtp[58] " + msg},
		{"with-unit", "Thu 2026-11-19 12:37:15 UTC mx postfix@-.service[58]: " + msg, "2026-11-19T12:37:15Z mx postfix[58] " + msg},
		{"json-sse", `data: {"_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"58","__REALTIME_TIMESTAMP":"1795091835000000","MESSAGE":"` + msg + `"}`, mx},
		{"json-seq", "\x1e" + `{"_HOSTNAME":"mx","SYSLOG_IDENTIFIER":"postfix/smtp","_PID":"58","__REALTIME_TIMESTAMP":"1795091835000000","MESSAGE":"` + msg + `"}`, mx},
		{"journald, a container", `{"_HOSTNAME":"docker1","SYSLOG_IDENTIFIER":"e8d820bf982c","CONTAINER_NAME":"mail","__REALTIME_TIMESTAMP":"1795091835000000","MESSAGE":"` + inner + `"}`, full},
		{"json-file", `{"log":"` + inner + `\n","stream":"stdout","time":"2026-11-19T12:37:15.000000000Z"}`, full},
		{"json-file, inner tag", `{"log":"` + tagged + `\n","stream":"stdout","time":"2026-11-19T12:37:15.000000000Z"}`, nohost},
		{"Logstash", `{"@timestamp":"2026-11-19T12:37:15.000Z","@version":"1","host":{"name":"mx"},"program":"postfix/smtp","pid":"58","message":"` + msg + `"}`, mx},
		{"Filebeat", `{"@timestamp":"2026-11-19T12:37:16.000Z","log":{"offset":7,"file":{"path":"/var/log/mail.log"}},"message":"` + inner + `","agent":{"hostname":"a1"},"host":{"name":"docker1"}}`, full},
		{"Vector", `{"appname":"postfix/smtp","facility":"mail","host":"10.0.0.1","hostname":"mx","message":"` + msg + `","procid":58,"severity":"info","source_type":"syslog","timestamp":"2026-11-19T12:37:15Z"}`, mx},
		{"Fluent Bit", `{"date":1795091836.5,"log":"` + inner + `","stream":"stdout","kubernetes":{"pod_name":"mail-0","host":"node1"}}`, full},
		{"Fluent Bit with a parser", `{"date":1795091835.0,"pri":"22","host":"mx","ident":"postfix/smtp","pid":"58","message":"` + msg + `"}`, mx},
		{"fluentd's files", "2026-11-19T12:37:15+00:00\tmail.info\t" + `{"host":"mx","ident":"postfix/smtp","pid":"58","message":"` + msg + `"}`, mx},
		{"logcli", `{"labels":{"app":"mail"},"line":"` + inner + `","timestamp":"2026-11-19T12:37:15.1Z"}`, full},
		{"Loki's labels", `2026-11-19T12:37:15Z {app="mail", pod="mail-0"} ` + inner, full},
		{"GELF", `{"version":"1.1","host":"mx","short_message":"` + tagged + `","timestamp":1795091835.0,"level":6}`, mx},
		{"Graylog's CSV", `"2026-11-19T12:37:15.000Z","mx","` + tagged + `"`, mx},
		{"rsyslog", `{"msg":" ` + msg + `","rawmsg":"","timereported":"2026-11-19T12:37:15+00:00","hostname":"mx","syslogtag":"postfix\/smtp[58]:","programname":"postfix"}`, mx},
		{"syslog-ng", `{"PROGRAM":"postfix/smtp","PID":"58","MESSAGE":"` + msg + `","HOST":"mx","ISODATE":"2026-11-19T12:37:15+00:00"}`, mx},
		{"Elasticsearch", `{"_index":"mail","_source":{"message":"` + inner + `","@timestamp":"2026-11-19T12:37:15Z"}}`, full},
		{"JSON in JSON", `{"log":"{\"message\":\"` + quote(inner) + `\",\"time\":\"2026-11-19T12:37:15Z\"}\n","stream":"stdout","time":"2026-11-19T12:37:16Z"}`, full},
		{"CRI", "2026-11-19T12:37:15.000000000Z stdout F " + tagged, nohost},
		{"CRI, inner header", "2026-11-19T12:37:15.000000000Z stdout F " + inner, full},
		{"docker logs -t", "2026-11-19T12:37:15.000000000Z " + tagged, nohost},
		{"kubectl logs --prefix", "[pod/mail-0/postfix] " + inner, full},
		{"kubectl logs --prefix --timestamps", "[pod/mail-0/postfix] 2026-11-19T12:37:15Z " + tagged, nohost},
		{"stern", "mail-0 postfix " + inner, full},
		{"stern -t", "mail-0 postfix 2026-11-19T12:37:15.000000000Z " + tagged, nohost},
		{"stern -A", "mail mail-7c9f5d8b6d-x2x9k postfix " + inner, full},
		{"docker compose", "mail-1  | " + inner, full},
		{"docker service logs", "mail_postfix.1.k2j3h4@node1    | " + inner, full},
		{"cat -n", "    12\t" + inner, full},
		{"nl", "     3  2026-11-19T11:37:15.000000+00:00 mail " + tagged, full},
		{"pdsh", "mx1: " + inner, full},
		{"CloudWatch, tail", "2026-11-19T12:37:15.000000+00:00 mail/mail/abc 2026-11-19T11:37:15+00:00 mail " + tagged, full},
		{"VictoriaLogs", `{"_msg":"` + inner + `","_time":"2026-11-19T12:37:15Z","_stream":"{}"}`, full},
		{"no time at all", tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"no time, compose", "mail-1  | " + tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"docker compose, colours", "\x1b[36mmail-1  |\x1b[0m " + inner, full},
		{"supervisord's listener", "postfix stdout | " + inner, full},
		{"grep -n", "mail.log:123:" + inner, full},
		{"grep -C", "/var/log/mail.log-" + inner, full},
		{"grep, no time", "/var/log/mail.log:" + tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"grep -n, no time", "mail.log:123:" + tagged, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"octets", fmt.Sprint(len("<22>"+inner)) + " <22>" + inner, full},
		{"octets, 5424", "200 <22>1 2026-11-19T12:37:15Z mx postfix/smtp 58 - - " + msg, mx},
		{"priority", "<22>1 2026-11-19T12:37:15Z docker1 x - - - <22>" + tagged, docker},
		{"macOS", "2026-11-19 12:37:15.000000+0000  mx " + tagged, mx},
		{"macOS, one blank", "2026-11-19 13:37:15.000000+0100 mx smtp[58]: " + msg, mx},
		{"macOS, its own style", "2026-11-19 12:37:15.000000+0000 0x1a2b3c   Default     0x0                  58     0    smtp: (smtp) " + msg, nohost},
		{"macOS, style syslog", "2026-11-19 13:37:15.000000+0100  mx smtp[58]: (smtp) " + msg, mx},
		{"Loki's API", `{"status":"success","data":{"resultType":"streams","result":[{"stream":{"app":"mail"},"values":[["1795091836000000000","` + inner + `"]]}]}}`, full},
		{"Loki's push", `{"streams":[{"stream":{"app":"mail"},"values":[["1795091835000000000","` + tagged + `",{"a":"b"}]]}]}`, nohost},
		{"Fluent Bit's output", `[0] tail.0: [1795091836.123000000, {"log"=>"` + inner + `"}]`, full},
		{"Fluent Bit's newer output", `[3] mail: [[1795091835.000000000, {}], {"stream"=>"stdout", "log"=>"` + tagged + `"}]`, nohost},
		{"OpenTelemetry", `{"timeUnixNano":"1795091836000000000","body":{"stringValue":"` + inner + `"}}`, full},
		{"OTLP", `{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":"x"}}]},"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"1795091835000000000","body":{"stringValue":"` + tagged + `"}}]}]}]}`, nohost},
		{"CloudWatch", `{"events":[{"timestamp":1795091835000,"message":"` + tagged + `"}]}`, nohost},
		{"a time in brackets", "[Thu Nov 19 12:37:15 2026] mx " + tagged, mx},
		{"bar behind a time", "2026-11-19T12:37:15Z mail-1 | " + inner, full},
		{"fluentd's output", "2026-11-19 12:37:15.000000000 +0000 mail.info: " + `{"host":"mx","ident":"postfix/smtp","pid":"58","message":"` + msg + `"}`, mx},
		{"logfmt", `time="2026-11-19T12:37:15Z" level=info msg="` + tagged + `"`, nohost},
		{"pm2", "0|mail     | " + inner, full},
		{"pm2 with a time", "12|mail-in | 2026-11-19T12:37:15: " + tagged, nohost},
		{"conmon", "Nov 19 12:37:15 docker1 conmon[7]: conmon e8d820bf982c51a4 <ninfo>: " + inner, full},
		{"conmon, inner tag", "Nov 19 12:37:15 docker1 conmon[7]: conmon e8d820bf982c51a4 <nwarn>: " + tagged, docker},
		{"dockerd", `Nov 19 12:37:15 docker1 dockerd[812]: time="2026-11-19T12:37:15Z" level=info msg="` + inner + `" container=e8d8`, full},
		{"dockerd, msg last", `Nov 19 12:37:15 docker1 dockerd[812]: level=info container=e8d8 msg="` + tagged + `"`, docker},
		{"dockerd in JSON", `{"log":"Nov 19 12:37:15 docker1 dockerd[812]: time=\"2026-11-19T12:37:15Z\" level=info msg=\"` + inner + `\"\n","stream":"stdout","time":"2026-11-19T12:37:16Z"}`, full},
		{"Papertrail", "1234567890123456789\t2026-11-19T12:37:15Z\t2026-11-19T12:37:16Z\t12345678\tmx\t203.0.113.7\tMail\tInfo\tpostfix/smtp[58]\t" + msg, mx},
		{"Papertrail, a container", "1234567890123456789\t2026-11-19T12:37:16Z\t2026-11-19T12:37:16Z\t12345678\tdocker1\t203.0.113.7\tDaemon\tInfo\te8d820bf982c\t" + inner, full},
		{"Papertrail in grep", "2026-11-19.tsv:1234567890123456789\t2026-11-19T12:37:15Z\t2026-11-19T12:37:16Z\t12345678\tmx\t203.0.113.7\tMail\tInfo\tpostfix/smtp[58]\t" + msg, mx},
		{"5424 without a time", "<22>1 - mx postfix/smtp 58 - - " + msg, "2026-11-22T12:00:00Z mx postfix/smtp[58] " + msg},
		{"5424 without time and host", "<22>1 - - postfix/smtp 58 - [a@1 b=\"c\"] " + msg, "2026-11-22T12:00:00Z  postfix/smtp[58] " + msg},
		{"5424 without a time, a container", "<30>1 - docker1 e8d820bf982c 58 - - " + inner, full},
		{"5424 without a time in another", "<30>1 2026-11-19T12:37:15Z docker1 relay 58 - - <22>1 - mx postfix/smtp 58 - - " + msg, mx},
		{"grep on Windows", `C:\logs\mail.log:` + inner, full},
		{"with-unit, a container", "Thu 2026-11-19 12:37:15 UTC docker1 docker.service[7]: " + inner, full},
		{"journald without a name", `{"_HOSTNAME":"mx","_COMM":"smtp","_SYSTEMD_UNIT":"postfix@-.service","_PID":"58","__REALTIME_TIMESTAMP":"1795091835000000","MESSAGE":"` + msg + `"}`, "2026-11-19T12:37:15Z mx postfix[58] " + msg},
		{"svlogd", "2026-11-19_12:37:15.00000 mail.info: " + inner, full},
		{"TAI64N", "@400000006afeed850000000a mail " + tagged, "2026-11-19T12:37:15Z mail postfix/smtp[58] " + msg},
		{"Kiwi", "2026-11-19 12:37:15\tMail.Info\t10.0.0.1\t" + inner, full},
		{"an unknown word", "Nov 19 12:37:15 mx 7f3a " + tagged, mx},
		{"Exim, grep", "/var/log/exim_mainlog:" + exim, "-  [] " + exim},
		{"Exim, compose", "exim-1  | " + exim, "-  [] " + exim},
		{"Exim, docker logs -t", "2026-11-14T18:12:55.123456789Z " + exim, "2026-11-14T18:12:55.123456Z  [] " + exim},
		{"Exim, a time before", "Nov 14 18:12:55 " + exim, "2026-11-14T18:12:55Z  [] " + exim},
		{"Exim, cat -n", "     1\t" + exim, "-  [] " + exim},
		{"Exim, CRI", "2026-11-14T18:12:55.123456789Z stdout F " + exim, "2026-11-14T18:12:55.123456Z  [] " + exim},
		{"Exim, docker's syslog driver", "Nov 14 18:12:58 docker1 e8d820bf982c[1]: " + exim, "2026-11-14T18:12:58Z docker1 [] " + exim},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := strings.Join(read(newReader(t), test.line), "\n")
			if got != test.want {
				t.Errorf("line %s\ngot  %q\nwant %q", test.line, got, test.want)
			}
		})
	}
}

// TestExamples reads the example of every kind of envelope.
func TestExamples(t *testing.T) {
	for _, v := range envelopes {
		line := strings.ReplaceAll(v.example, "LINE", "Nov 19 12:37:15 mx echo[1]: hello")
		got := slices.DeleteFunc(read(newReader(t), line), func(s string) bool { return s == "other" })
		if len(got) != 1 || !strings.HasSuffix(got[0], "hello") && !strings.HasSuffix(got[0], "MESSAGE") {
			t.Errorf("%s: %q gives %q", v.name, line, got)
		}
	}
}

// TestOtherServices reads the lines of what runs beside a mail server.
func TestOtherServices(t *testing.T) {
	tests := []struct{ line, want string }{
		{"redis-1  | 1:M 19 Nov 2026 12:37:15.123 * Ready to accept connections", "other"},
		{"[pod/mail-0/rspamd] 2026-11-19 12:37:15 #12(normal) <abc>; task; rspamd_message_parse: loaded", "other"},
		{"rspamd-7c9f5d8b6d-x2x9k rspamd loaded module", "other"},
		{"2026-11-19T12:37:15.1Z stderr F 2026/11/19 12:37:15 [notice] 1#1: start worker", "other"},
		{`{"log":"started\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}`, "other"},
		{"1:M 19 Nov 2026 12:37:15.123 * Ready to accept connections", "beside"},
		{"2026-11-19 12:37:15,123 INFO spawned: 'postfix' with pid 12", "beside"},
		{"Thu Nov 19 12:37:15 2026 -> Listening daemon: PID: 1", "beside"},
		{"Thu Nov 19 12:37:15 UTC 2026 Nginx health level: 100%", "beside"},
		{`10.0.0.1 - - [19/Nov/2026:12:37:15 +0000] "GET / HTTP/1.1" 200 1`, "beside"},
		{"Nov 19 12:37:15 mx dovecot: imap-login: Login: user=<a@b>", "other"},
		{`{"time":"2026-11-19T12:37:15Z","kind":"remote","text":"554 no"}`, "beside"},
		{"2015-07-09 15:41:40 [13707] foi SMTP connection from x", "beside"},
		{"==> /var/log/mail.log <==", ""},
		{"-- Boot 0123456789abcdef --", ""},
		{"Attaching to mail-1, redis-1", ""},
		{`"timestamp","source","message"`, ""},
		{"Thu 2026-11-19 12:37:15 UTC mx sshd[9]: Nov 19 12:37:15 mail postfix/smtp[58]: " + msg, "odd"},
		{"mail-1 exited with code 0", ""},
		{"+ mail-0 › postfix", ""},
		{"what", "bare"},
		{"Nov 19 12:37:15 imap-login: Info: Login: user=<a@b>, method=PLAIN", "other"},
		{"2026-11-19 12:37:15 imap(ann)<7><x>: Info: Logged out in=1 out=2", "beside"},
		{`{"a":1}`, "bare"},
		// What only looks like a line of a known program is counted as not understood.
		{"Nov 19 12:37:15 mx proxy: (4) postfix/smtp[58]: " + msg, "odd"},
		{"mail-1  | (4) Nov 19 12:37:15 mx postfix/smtp[58]: " + msg, "odd"},
		{"2026-11-19T12:37:15Z app[1781] ams (4)" + exim, "odd"},
		// Strangers choose what these programs log.
		{"Nov 19 12:37:15 mx sshd[9]: Nov 19 12:37:15 mail postfix/smtp[58]: " + msg, "other"},
		{"Nov 19 12:37:15 mx sshd[9]: Invalid user Nov 19 12:37:15 mail postfix/smtp[58]: " + msg, "other"},
		{"Nov 19 12:37:15 mx login: invalid user Nov 19 12:37:15 mail postfix/smtp[58]: " + msg, "other"},
	}
	for _, test := range tests {
		if got := strings.Join(read(newReader(t), test.line), "\n"); got != test.want {
			t.Errorf("%s\ngot  %q\nwant %q", test.line, got, test.want)
		}
	}
}

const (
	verboseLog = "Thu 2026-11-19 12:37:15.000000 UTC [s=6b;i=1;b=2;m=3;t=4;x=5]\n    _TRANSPORT=syslog\n    _HOSTNAME=mx\n    SYSLOG_IDENTIFIER=postfix/smtp\n    MESSAGE=" + msg + "\n    _PID=58\n" +
		"Thu 2026-11-19 12:37:16.000000 UTC [s=6b;i=2;b=2;m=3;t=4;x=5]\n    MESSAGE=hello\n            world\n    _COMM=echo\n    _HOSTNAME=mx"
	prettyLog = "{\n\t\"_HOSTNAME\" : \"mx\",\n\t\"SYSLOG_IDENTIFIER\" : \"echo\",\n\t\"MESSAGE\" : [\n\t\t104,\n\t\t105\n\t],\n\t\"__REALTIME_TIMESTAMP\" : \"1795091835000000\"\n}\n"
	arrayLog  = "[\n  {\n    \"message\": \"" + tagged + "\",\n    \"host\": {\n      \"name\": \"mx\"\n    },\n    \"@timestamp\": \"2026-11-19T12:37:15Z\"\n  },\n  {\n    \"message\": \"x {\",\n    \"time\": \"2026-11-19T12:37:15Z\"\n  }\n]\n" + inner
	seqLog    = "\x1e" + prettyLog
	exportLog = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795091835000000\n_HOSTNAME=mx\nMESSAGE\n\x05\x00\x00\x00\x00\x00\x00\x00hi\nho\nSYSLOG_IDENTIFIER=echo\n\n"
)

// Docker's journald driver cuts lines in pieces, and marks all but the last.
var (
	piecesJSON = `{"__REALTIME_TIMESTAMP":"1795091835000000","CONTAINER_ID":"a1","CONTAINER_PARTIAL_MESSAGE":"true","SYSLOG_IDENTIFIER":"postfix","_PID":"1","_HOSTNAME":"mx","MESSAGE":"echo[1]: he"}` + "\n" +
		`{"__REALTIME_TIMESTAMP":"1795091835000000","CONTAINER_ID":"b2","SYSLOG_IDENTIFIER":"postfix","_PID":"1","_HOSTNAME":"mx","MESSAGE":"echo[1]: whole"}` + "\n" +
		`{"__REALTIME_TIMESTAMP":"1795091835000000","CONTAINER_ID":"a1","CONTAINER_PARTIAL_LAST":"true","SYSLOG_IDENTIFIER":"postfix","_PID":"1","_HOSTNAME":"mx","MESSAGE":"llo"}`
	piecesExport = "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795091835000000\n_HOSTNAME=mx\nCONTAINER_ID=a1\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=he\nSYSLOG_IDENTIFIER=echo\n_PID=1\n\n" +
		"__CURSOR=s=2\n__REALTIME_TIMESTAMP=1795091835000000\n_HOSTNAME=mx\nCONTAINER_ID=a1\nMESSAGE=llo\nSYSLOG_IDENTIFIER=echo\n_PID=1\n"
	piecesVerbose = "Thu 2026-11-19 12:37:15.000000 UTC [s=6b;i=1;b=2;m=3;t=4;x=5]\n    _HOSTNAME=mx\n    SYSLOG_IDENTIFIER=echo\n    CONTAINER_ID=a1\n    CONTAINER_PARTIAL_MESSAGE=true\n    MESSAGE=he\n    _PID=1\n" +
		"Thu 2026-11-19 12:37:15.000000 UTC [s=6b;i=2;b=2;m=3;t=4;x=5]\n    MESSAGE=llo\n    SYSLOG_IDENTIFIER=echo\n    CONTAINER_ID=a1\n    _HOSTNAME=mx\n    _PID=1"
)

// mixedPieces are pieces that two containers wrote at once.
const mixedPieces = "[pod/mail-0/postfix] 2026-11-19T12:37:15Z stdout P echo[1]: he\n[pod/web-0/nginx] 2026-11-19T12:37:16Z stdout P echo[2]: w\n" +
	"[pod/web-0/nginx] 2026-11-19T12:37:16Z stdout F eb\n[pod/mail-0/postfix] 2026-11-19T12:37:15Z stdout F llo"

func TestManyLines(t *testing.T) {
	hi := "2026-11-19T12:37:15Z mx echo[] hi"
	tests := []struct {
		name, log string
		want      []string
	}{
		{"verbose", verboseLog, []string{"2026-11-19T12:37:15Z mx postfix/smtp[58] " + msg, "2026-11-19T12:37:16Z mx echo[] hello"}},
		{"json-pretty", prettyLog + prettyLog, []string{hi, hi, "bare"}},
		{"array", arrayLog, []string{"2026-11-19T12:37:15Z mx postfix/smtp[58] " + msg, "beside", "2026-11-19T11:37:15Z mail postfix/smtp[58] " + msg}},
		{"array, an object a line", "[\n {\"message\":\"echo[1]: a\",\"time\":1795091835},\n {\"message\":\"echo[1]: b\",\"time\":1795091835}\n]",
			[]string{"2026-11-19T12:37:15Z  echo[1] a", "2026-11-19T12:37:15Z  echo[1] b"}},
		{"export", exportLog, []string{hi + "\nho", "bare"}},
		{"array on one line", `[{"message":"echo[1]: a","time":"2026-11-19T12:37:15Z"},{"message":"b","time":"2026-11-19T12:37:15Z"},{"message":"echo[1]: c","time":"2026-11-19T12:37:15Z"}]`,
			[]string{"2026-11-19T12:37:15Z  echo[1] a", "beside", "2026-11-19T12:37:15Z  echo[1] c"}},
		{"arrays in an array", "[\n{\n\"events\": [\n{\"message\": \"echo[1]: a\", \"time\": 1795091835},\n{\"message\": \"echo[1]: b\", \"time\": 1795091835}\n]\n}\n]",
			[]string{"2026-11-19T12:37:15Z  echo[1] a", "2026-11-19T12:37:15Z  echo[1] b"}},
		{"frames", "49 <22>1 2026-11-19T12:37:15Z mx echo 58 - - one two49 <22>1 2026-11-19T12:37:15Z mx echo 58 - - one two",
			[]string{"2026-11-19T12:37:15Z mx echo[58] one two", "2026-11-19T12:37:15Z mx echo[58] one two"}},
		{"pieces", "2026-11-19T12:37:15Z stdout P echo[1]: he\n2026-11-19T12:37:15Z stdout F llo", []string{"2026-11-19T12:37:15Z  echo[1] hello"}},
		{"pieces of two containers", mixedPieces, []string{"2026-11-19T12:37:16Z  echo[2] web", "2026-11-19T12:37:15Z  echo[1] hello"}},
		{"pieces of both streams", "2026-11-19T12:37:15Z stdout P echo[1]: he\n2026-11-19T12:37:15Z stderr F echo[1]: oh\n2026-11-19T12:37:15Z stdout F llo",
			[]string{"2026-11-19T12:37:15Z  echo[1] oh", "2026-11-19T12:37:15Z  echo[1] hello"}},
		{"pieces of two files", "/var/log/containers/a.log:2026-11-19T12:37:15Z stdout P echo[1]: he\n/var/log/containers/b.log:2026-11-19T12:37:15Z stdout F echo[2]: b\n" +
			"/var/log/containers/a.log:2026-11-19T12:37:15Z stdout F llo", []string{"2026-11-19T12:37:15Z  echo[2] b", "2026-11-19T12:37:15Z  echo[1] hello"}},
	}
	long := strings.Repeat("x", pieceSize-len("echo[1]: "))
	tests = append(tests, []struct {
		name, log string
		want      []string
	}{
		{"pieces of Docker's json-file", `{"log":"echo[1]: ` + long + `","stream":"stdout","time":"2026-11-19T12:37:15Z"}` + "\n" + `{"log":"llo\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}` +
			"\n" + `{"log":"echo[1]: a\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}`, []string{"2026-11-19T12:37:15Z  echo[1] " + long + "llo", "2026-11-19T12:37:15Z  echo[1] a"}},
		{"pieces of both streams of Docker's json-file", `{"log":"echo[1]: ` + long + `","stream":"stdout","time":"2026-11-19T12:37:15Z"}` + "\n" + `{"log":"echo[2]: oh\n","stream":"stderr","time":"2026-11-19T12:37:15Z"}` +
			"\n" + `{"log":"llo\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}`, []string{"2026-11-19T12:37:15Z  echo[2] oh", "2026-11-19T12:37:15Z  echo[1] " + long + "llo"}},
		{"pieces of two json-files", `/a-json.log:{"log":"echo[1]: ` + long + `","stream":"stdout","time":"2026-11-19T12:37:15Z"}` + "\n" + `/b-json.log:{"log":"echo[2]: oh\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}` +
			"\n" + `/a-json.log:{"log":"llo\n","stream":"stdout","time":"2026-11-19T12:37:15Z"}`, []string{"2026-11-19T12:37:15Z  echo[2] oh", "2026-11-19T12:37:15Z  echo[1] " + long + "llo"}},
		{"pieces of two containers in objects", `{"log":"echo[1]: ` + long + `","container_name":"/a","stream":"stdout","time":"2026-11-19T12:37:15Z"}` + "\n" + `{"log":"echo[2]: oh\n","container_name":"/b","stream":"stdout","time":"2026-11-19T12:37:15Z"}` +
			"\n" + `{"log":"llo\n","container_name":"/a","stream":"stdout","time":"2026-11-19T12:37:15Z"}`, []string{"2026-11-19T12:37:15Z  echo[2] oh", "2026-11-19T12:37:15Z  echo[1] " + long + "llo"}},
		{"pieces in a journal as JSON", piecesJSON, []string{"2026-11-19T12:37:15Z mx postfix[1] echo[1]: whole", "2026-11-19T12:37:15Z mx postfix[1] echo[1]: hello"}},
		{"pieces in a journal as export", piecesExport, []string{"2026-11-19T12:37:15Z mx echo[1] hello"}},
		{"pieces in a verbose journal", piecesVerbose, []string{"2026-11-19T12:37:15Z mx echo[1] hello"}},
		{"whole lines without a newline", `{"log":"echo[1]: a","stream":"stdout","time":"2026-11-19T12:37:15Z"}` + "\n" + `{"log":"echo[1]: b","stream":"stdout","time":"2026-11-19T12:37:15Z"}`,
			[]string{"2026-11-19T12:37:15Z  echo[1] a", "2026-11-19T12:37:15Z  echo[1] b"}},
	}...)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := read(newReader(t), strings.Split(test.log, "\n")...)
			if strings.Join(got, "\n") != strings.Join(test.want, "\n") {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// TestSplitAnywhere saves and restores the state between any two lines.
func TestSplitAnywhere(t *testing.T) {
	lines := strings.Split(verboseLog+"\n"+prettyLog+exportLog+piecesExport+"\n"+arrayLog+"\n"+mixedPieces+"\n2026-11-19T12:37:15Z stdout P echo[1]: he\n2026-11-19T12:37:15Z stdout F llo\nDec 31 23:59:59 mx echo: x\nJan  1 00:00:00 mx echo: y", "\n")
	want := read(newReader(t), lines...)
	for i := range lines {
		first, second := newReader(t), newReader(t)
		var got []string
		for _, line := range lines[:i] {
			got = append(got, readLines(first, line)...)
		}
		state := first.AppendEntry(first.AppendTimes(nil))
		d := parsers.ReadState(state)
		second.SetTimes(&d)
		second.SetEntry(&d, 3, first.last)
		if err := d.End(); err != nil {
			t.Fatal(err)
		}
		got = append(got, read(second, lines[i:]...)...)
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("split before line %d %q:\ngot  %q\nwant %q", i, lines[i], got, want)
		}
		for n := range state { // a damaged state is an error, or harmless
			d := parsers.ReadState(state[:n])
			setState(newReader(t), &d)
		}
	}
}

func setState(r *Reader, d *parsers.StateReader) {
	r.SetTimes(d)
	r.SetEntry(d, 3, time.Time{})
}

func TestNoAllocations(t *testing.T) {
	for _, line := range []string{
		inner, "Nov 19 12:37:15 docker1 e8d820bf982c[2136]: " + inner, "2026-11-19T12:37:15.000000000Z stdout F " + inner,
		`{"log":"` + inner + `\n","stream":"stdout","time":"2026-11-19T12:37:15.000000000Z"}`, "mail-0 postfix " + inner, "redis-1  | x",
		"Nov 19 12:37:15 mx dovecot: imap-login: Login: user=<a@b>", `"2026-11-19T12:37:15.000Z","mx","` + tagged + `"`,
	} {
		r, text := newReader(t), []byte(line)
		var e parsers.Entry
		if n := testing.AllocsPerRun(100, func() { readOne(r, text, &e) }); n > 0 {
			t.Errorf("%v allocations: %s", n, line)
		}
	}
}

func readOne(r *Reader, text []byte, e *parsers.Entry) Answer {
	answer := r.Read(text, e)
	if answer == Bare {
		answer = r.Unwrap(text, e)
	}
	if answer == Line && !known(e) {
		answer = r.Inner(e)
	}
	return answer
}

func FuzzReader(f *testing.F) {
	for _, v := range envelopes {
		f.Add(strings.ReplaceAll(v.example, "LINE", inner))
	}
	f.Add(verboseLog + "\n" + prettyLog + exportLog + arrayLog)
	f.Fuzz(func(t *testing.T, log string) {
		r := newReader(t)
		var e parsers.Entry
		for _, line := range bytes.Split([]byte(log), []byte("\n")) {
			n := 0
			for text := line; text != nil; text = r.Rest() {
				_ = readOne(r, text, &e)
				if n++; n > len(line)+2 {
					t.Fatalf("%q does not end", line)
				}
			}
		}
		d := parsers.ReadState(r.AppendEntry(r.AppendTimes(nil)))
		setState(newReader(t), &d)
		if err := d.End(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for _, bench := range []struct{ name, line string }{
		{"classic", inner},
		{"rfc3339", "2026-11-22T06:25:52.174071+00:00 mx1 " + tagged},
		{"rfc5424", "<22>1 2026-11-22T06:25:52.174071+00:00 mx1 echo 12345 - -  " + msg},
		{"other", "Nov 19 12:37:15 mx dovecot: imap-login: Login: user=<a@b>, method=PLAIN"},
		{"docker", "Nov 19 12:37:15 docker1 e8d820bf982c[2136]: " + inner},
		{"cri", "2026-11-19T12:37:15.000000000Z stdout F " + inner},
		{"json-file", `{"log":"` + inner + `\n","stream":"stdout","time":"2026-11-19T12:37:15.000000000Z"}`},
		{"compose", "mail-1  | " + inner},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r, text := newReader(b), []byte(bench.line)
			var e parsers.Entry
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				readOne(r, text, &e)
			}
		})
	}
}

// TestDocumented looks for the example of every kind of envelope in the docs.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/containers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range envelopes {
		if example := "`" + strings.ReplaceAll(v.example, "|", `\|`) + "` |"; !strings.Contains(string(page), example) {
			t.Errorf("docs/containers.md lacks the envelope %q with the example %s", v.name, example)
		}
	}
}
