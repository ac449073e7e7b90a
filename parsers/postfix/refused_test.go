package postfix

import (
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// TestEarlierHost reads deliveries whose last host could not be reached, while one
// before it gave a reply.
func TestEarlierHost(t *testing.T) {
	const (
		active = "4A5B6C7D8E: from=<a@b>, size=5, nrcpt=1 (queue active)"
		queued = "arrival 4A5B6C7D8E from=<a@b> size=5 recipients=1 service=qmgr"
		begin  = "4A5B6C7D8E: to=<c@d>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred ("
		then   = "connect to mx2[2001:db8::2]:25: Network is unreachable"
	)
	lines := []parserstest.Line{
		{Program: "postfix/qmgr", Text: active, Want: queued},
		{Program: "postfix/smtp", Text: "4A5B6C7D8E: host mx0[192.0.2.9] said: 451 4.3.0 busy (in reply to MAIL FROM command)", Want: ""},
		{Program: "postfix/smtp", Text: "4A5B6C7D8E: host mx1[192.0.2.1] refused to talk to me: 554 5.7.1 not you", Want: ""},
		{Program: "postfix/smtp", Text: begin + then + ")",
			Want: `attempt 4A5B6C7D8E deferred to=c@d relay=mx1 ip=192.0.2.1 service=smtp at=banner/remote code=554/5.7.1 dsn=4.4.1 delay=1s "554 5.7.1 not you" then "` + then + `"`},
		{Program: "postfix/smtp", Text: begin + "lost connection with mx2[192.0.2.2] while receiving the initial server greeting)",
			Want: `attempt 4A5B6C7D8E deferred to=c@d relay=mx1 ip=192.0.2.1 service=smtp at=banner/remote code=554/5.7.1 dsn=4.4.1 delay=1s "554 5.7.1 not you" then "lost connection with mx2[192.0.2.2] while receiving the initial server greeting"`},
		{Program: "postfix/smtp", Text: begin + "lost connection with mx2[192.0.2.2] while sending MAIL FROM)",
			Want: `attempt 4A5B6C7D8E deferred to=c@d relay=mx2 ip=192.0.2.2 service=smtp at=mail/network dsn=4.4.1 delay=1s "lost connection with mx2[192.0.2.2] while sending MAIL FROM"`},
		{Program: "postfix/smtp", Text: "4A5B6C7D8F: to=<c@d>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (" + then + ")",
			Want: `attempt 4A5B6C7D8F deferred to=c@d relay=mx2 ip=2001:db8::2 service=smtp at=connect/network dsn=4.4.1 delay=1s "` + then + `"`},
		{Program: "postfix/qmgr", Text: active, Want: queued},
		{Program: "postfix/smtp", Text: begin + then + ")",
			Want: `attempt 4A5B6C7D8E deferred to=c@d relay=mx2 ip=2001:db8::2 service=smtp at=connect/network dsn=4.4.1 delay=1s "` + then + `"`},
	}
	p := New(parsers.Options{Location: time.UTC})
	for _, l := range lines {
		var got string
		p.Parse(&parsers.Entry{Host: []byte("mx"), Program: []byte(l.Program), Message: []byte(l.Text)}, func(r *parsers.Record) { got = parserstest.Show(r) })
		if got != l.Want {
			t.Errorf("%s\ngot  %s\nwant %s", l.Text, got, l.Want)
		}
	}
}
