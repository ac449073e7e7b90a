package postfix

import (
	"testing"

	"mailfail/parsers/parserstest"
)

var kitLines = []string{
	"4A5B6C7D8E: client=mail.example.org[192.0.2.1], sasl_method=PLAIN, sasl_username=joe",
	"4A5B6C7D8E: from=<a@b>, size=5, nrcpt=1 (queue active)",
	"4A5B6C7D8E: to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx[192.0.2.1] said: 550 no (in reply to RCPT TO command))",
	"4A5B6C7D8E: to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (delivery temporarily suspended: x)",
	"4A5B6C7D8E: sender non-delivery notification: 4A5B6C7D8F",
	"4A5B6C7D8E: removed",
	"NOQUEUE: reject: RCPT from m[192.0.2.1]: 451 4.3.0 <a@b>: Temporary lookup failure; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
	"4A5B6C7D8E: milter-reject: END-OF-MESSAGE from m[192.0.2.1]: 5.7.1 no; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
	"4A5B6C7D90: host mx1[192.0.2.1] refused to talk to me: 554 5.7.1 not you",
	"4A5B6C7D90: to=<a@b>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mx2[2001:db8::2]:25: Network is unreachable)",
	"warning: connect to Milter service inet:127.0.0.1:8891: Connection refused",
	"TLSRPT: status=failure, domain=b.example, receiving_mx=mx[192.0.2.1], failure_type=validation_failure",
}

func TestSplit(t *testing.T) { parserstest.Split(t, "postfix", "postfix/smtp", kitLines...) }

func TestNoAllocation(t *testing.T) { parserstest.NoAlloc(t, "postfix", "postfix/smtp", kitLines...) }

func FuzzContract(f *testing.F) { parserstest.Fuzz(f, "postfix", "postfix/smtp", kitLines...) }
