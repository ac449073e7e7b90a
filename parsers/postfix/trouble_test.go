package postfix

import (
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// TestTrouble reads what Postfix says of its own troubles, and warnings that are
// about others.
func TestTrouble(t *testing.T) {
	for _, test := range []struct{ program, message, want string }{
		{"postfix/qmgr", "fatal: write active/4F2AB1C3D: No space left on device", "disk/fatal"},
		{"postfix/smtpd", "NOQUEUE: reject: MAIL from m[192.0.2.1]: 452 4.3.1 Insufficient system storage; from=<a@b> proto=ESMTP helo=<x>", "disk/error"},
		{"postfix/cleanup", "warning: connect to Milter service inet:127.0.0.1:8891: Connection refused", "milter/warning"},
		{"postfix/smtpd", "warning: milter inet:localhost:11332: can't read SMFIC_OPTNEG reply packet header: Connection timed out", "milter/warning"},
		{"postfix/smtpd", "warning: problem talking to server private/policy-spf: Connection timed out", "policy-service/warning"},
		{"postfix/smtpd", "warning: SASL: Connect to private/auth failed: No such file or directory", "authentication/warning"},
		{"postfix/trivial-rewrite", "warning: connect to mysql server 127.0.0.1: Can't connect to MySQL server", "lookup/warning"},
		{"postfix/smtp", "warning: TLS policy lookup for es.example/mx3.es.example: Temporary lookup error", "lookup/warning"},
		{"postfix/smtpd", "error: open database /etc/aliases.db: No such file or directory", "other/error"},
		{"postfix/smtpd", "warning: cannot get RSA certificate from file \"/etc/ssl/mail.pem\": disabling TLS support", "tls/warning"},
		{"postfix/master", "warning: process /usr/lib/postfix/sbin/smtpd pid 4711 exit status 1", "process/warning"},
		{"postfix/master", "warning: /usr/lib/postfix/sbin/smtpd: bad command startup -- throttling", "process/warning"},
		{"postfix/master", "warning: service \"smtp\" (25) has reached its process limit \"100\": new clients may experience noticeable delays", "limit/warning"},
		{"postfix/smtpd", "panic: vstring_alloc: bad length -1", "other/fatal"},
		{"postfix/trivial-rewrite", "warning: do not list domain a.example in BOTH mydestination and virtual_mailbox_domains", "configuration/warning"},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from m[192.0.2.1]: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.list.example; Error: open resolver; https://list.example/returnc/pub/192.0.2.53/; from=<a@b> to=<c@d> proto=ESMTP helo=<x>", "open-resolver/error"},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from m[192.0.2.1]: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.example; excessive number of queries (127.255.255.255); from=<a@b> to=<c@d> proto=ESMTP helo=<x>", "open-resolver/error"},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from m[192.0.2.1]: 451 4.3.0 <a@b>: Temporary lookup failure; from=<a@b> to=<c@d> proto=ESMTP helo=<x>", "lookup/error"},
		{"postfix/smtp", "TLSRPT: status=failure, domain=bad.example, receiving_mx=mx01.bad.example[198.51.100.41], failure_type=validation_failure, failure_reason=unable to get local issuer certificate",
			`tlsrpt/warning domain=bad.example relay=mx01.bad.example ip=198.51.100.41 at=starttls/tls "validation_failure, failure_reason=unable to get local issuer certificate"`},
		{"postfix/smtp", "TLSRPT: status=success, domain=far.example, receiving_mx=mx01.far.example[198.51.100.40]", ""},

		{"postfix/smtpd", "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: corrupt", ""},
		{"postfix/smtpd", "warning: hostname a.example does not resolve to address 192.0.2.1: Name or service not known", ""},
		{"postfix/smtpd", "warning: 1.2.0.192.list.example: RBL lookup error: Host or domain name not found", ""},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from m[192.0.2.1]: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.list.example; from=<a@b> to=<c@d> proto=ESMTP helo=<x>", ""},
	} {
		var got string
		p := New(parsers.Options{Location: time.UTC})
		result := p.Parse(&parsers.Entry{Program: []byte(test.program), Message: []byte(test.message)}, func(r *parsers.Record) {
			if r.Kind == parsers.Trouble {
				without := *r
				without.Service = nil
				got = strings.TrimPrefix(parserstest.Show(&without), "trouble ")
			}
		})
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" || result == parsers.Unparsed {
			t.Errorf("%s: got %q (%d), want %q", test.message, got, result, test.want)
		}
	}
}

// TestNewer reads lines of Postfix 3.9 to 3.11, and refusals that were not counted.
func TestNewer(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/cleanup", "4A5B6C7D90: reject: mime-error improper use of 8-bit data in message header: Subject: xx from mail.far.example[203.0.113.6]; from=<a@far.example> to=<b@hosted.example>",
			"rejection id=4A5B6C7D90 from=<a@far.example> client=mail.far.example ip=203.0.113.6 to=b@hosted.example stage=end-of-data source=local text=improper use of 8-bit data in message header\nend id=4A5B6C7D90"},
		{"postfix/smtpd", "4A5B6C7D91: reject: DATA from m[192.0.2.1]: 452 4.3.1 Insufficient system storage; from=<a@b> proto=ESMTP helo=<x>",
			"rejection id=4A5B6C7D91 from=<a@b> client=m ip=192.0.2.1 stage=data source=local code=452 enh=4.3.1 text=452 4.3.1 Insufficient system storage\ntrouble text=452 4.3.1 Insufficient system storage\nend id=4A5B6C7D91"},
		{"postfix/postscreen", "reject: connect from [192.0.2.1]:4711: all screening ports busy", "rejection ip=192.0.2.1 stage=connect source=local code=421 text=all screening ports busy\ntrouble text=all screening ports busy"},
		{"postfix/smtpd", "4A5B6C7D8E: lost connection after DATA (1234 bytes) from unknown[203.0.113.5]", ""},
		{"postfix/smtpd", "4A5B6C7D8F: timeout after END-OF-MESSAGE from unknown[203.0.113.5]", ""},
		{"postfix/smtpd", "NOQUEUE: timeout after AUTH from unknown[203.0.113.5]", ""},
		{"postfix/smtpd", "NOQUEUE: too many errors after AUTH from unknown[203.0.113.5]", ""},
		{"postfix/smtpd", "NOQUEUE: abort: TLS from unknown[203.0.113.5]", ""},
		{"postfix/bounce", "5A5B6C7D03: sender notification failed to b@hosted.example: queue file write error", ""},
		{"postfix/qmgr", "5A5B6C7D03: status=deferred (bounce failed)", ""},
		{"postfix/smtp", "5A5B6C7D03: to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=undeliverable-but-not-cached (no)", ""},
		{"postfix/smtpd", "proxy-reject: END-OF-MESSAGE: ; from=<a@snd.example> to=<b@far.example> proto=ESMTP helo=<x>", "rejection from=<a@snd.example> to=b@far.example stage=end-of-data source=local"},
	})
	for _, message := range []string{
		"bare <LF> received after DATA from h.example[192.0.2.9]",
		"using backwards-compatible default setting append_dot_mydomain=yes to rewrite \"x\" to \"x.y\"",
		"CA certificate verification failed for mx.far.example[192.0.2.1]:25: num=62",
		"entering STRESS mode with 90 connections",
		"host mx.far.example[192.0.2.1] offers SMTPUTF8 support, but not 8BITMIME",
	} {
		if records, result := parse("postfix/smtpd", message); result != parsers.Irrelevant || len(records) > 0 {
			t.Errorf("%s: %d, %q", message, result, records)
		}
	}
}
