package all_test

import (
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	_ "mailfail/parsers/all"
	"mailfail/parsers/detect"
)

// TestLogsOneAfterTheOther reads the logs of all servers as cat gives them: the
// header of one does not claim the lines of the next.
func TestLogsOneAfterTheOther(t *testing.T) {
	const (
		tracking = "#Software: Microsoft Exchange Server\n#Log-type: Message Tracking Log\n#Fields: date-time,event-id,recipient-address,recipient-status,message-id,source,message-subject\n" +
			"2026-11-20T00:00:00.000Z,DELIVER,a@exchange.example,,<m@x>,STOREDRIVER,\"two\nNov 20 06:27:30 mx1 postfix/smtp[12]: 4505511A2B: to=<victim@x>, relay=mx[192.0.2.1]:25, delay=1, status=bounced (550 no)\"\n"
		send    = "#Software: Microsoft Exchange Server\n#Log-type: SMTP Send Protocol Log\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n2026-11-20T00:00:00.000Z,Out,08DE0000003A0001,1,10.0.0.1:1,192.0.2.1:25,>,RCPT TO:<a@send.example>,\n2026-11-20T00:00:00.000Z,Out,08DE0000003A0001,2,10.0.0.1:1,192.0.2.1:25,<,550 5.1.1 no,\n"
		postfix = "Nov 20 06:27:30 mx1 postfix/smtp[12]: 4505511A2B: to=<a@postfix.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
		exim    = "2026-11-20 06:27:30 1vLxyz-0000AB-CD => a@exim.example R=dnslookup T=remote_smtp H=mx.example [192.0.2.1] C=\"250 OK\"\n"
	)
	for _, order := range [][]string{{tracking, postfix, send, exim}, {postfix, tracking, exim, send}, {exim, send, tracking, postfix}, {send, postfix, exim, tracking}} {
		s, err := detect.NewStream(parsers.Options{Location: time.UTC}, "auto", 2026, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		domains := map[string]int{}
		for line := range strings.SplitSeq(strings.TrimSpace(strings.Join(order, "")), "\n") {
			result := s.Parse([]byte(line), func(r *parsers.Record) {
				if r.Kind == parsers.Attempt {
					domains[string(r.Address)]++
				}
			})
			if result == parsers.Unparsed {
				t.Errorf("not understood: %s", line)
			}
		}
		for _, a := range []string{"a@exchange.example", "a@send.example", "a@postfix.example", "a@exim.example"} {
			if domains[a] != 1 {
				t.Errorf("%s: %d attempts", a, domains[a])
			}
		}
		if len(domains) != 4 {
			t.Errorf("recipients: %v", domains)
		}
	}
}

// TestWithoutHeader reads lines of Postfix that have lost their header, as journalctl
// -o cat prints them and JSON of shippers may hold them.
func TestWithoutHeader(t *testing.T) {
	const delivery = "4505511A2B: to=<a@postfix.example>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (550 no)"
	for _, test := range []struct{ line, want string }{
		{delivery, "2026-11-22T12:00:00Z"},
		{`{"@timestamp":"2026-11-20T06:27:30Z","message":"` + delivery + `"}`, "2026-11-20T06:27:30Z"},
		{"Thu 2026-11-20 06:27:30 UTC mx1 postfix@-.service[12]: " + delivery, "2026-11-20T06:27:30Z"},
		{"Nov 20 06:27:30 mx1 filter[12]: " + delivery, ""}, // another program's
		// A container may have the name of the mail server in it.
		{"Nov 20 07:00:00 docker1 postfix[7]: Nov 20 06:27:30 mx1 postfix/smtp[12]: " + delivery, "2026-11-20T06:27:30Z"},
		{"Nov 20 06:27:30 docker1 postfix-out[7]: postfix/smtp[12]: " + delivery, "2026-11-20T06:27:30Z"},
		{"Nov 20 07:00:00 docker1 exim-relay[7]: Nov 20 06:27:30 mx1 exim[12]: 1tiuyz-000000007Xh-0r9J ** a@far.example R=dnslookup T=remote_smtp: 550 no", "2026-11-20T06:27:30Z"},
	} {
		s, err := detect.NewStream(parsers.Options{Location: time.UTC, Host: "h"}, "auto", 2026, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		s.Parse([]byte(test.line), func(r *parsers.Record) { got = r.Time.Format(time.RFC3339) })
		if got != test.want {
			t.Errorf("%s\ngot %q, want %q", test.line, got, test.want)
		}
	}
}
