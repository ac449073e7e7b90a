package postfix

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

// kindName returns the kind of a record, and of one that settles a recipient the
// state in a word.
func kindName(r *parsers.Record) string {
	name, _, _ := strings.Cut(parserstest.Show(r), " ")
	return name
}

// brief writes what a record says, leaving out what it does not say.
func brief(r *parsers.Record) string {
	var b strings.Builder
	b.WriteString(kindName(r))
	field := func(name string, value any) {
		if s := fmt.Sprintf("%s", value); s != "" {
			fmt.Fprintf(&b, " %s=%s", name, s)
		}
	}
	field("id", r.ID)
	if r.HasSender {
		fmt.Fprintf(&b, " from=<%s>", r.Sender)
	}
	field("client", r.Client)
	field("ip", r.ClientIP)
	if r.Reinjected {
		b.WriteString(" reinjected")
	}
	field("account", r.Account)
	field("bounceof", r.BounceOf)
	if r.Own {
		b.WriteString(" own")
	}
	field("msgid", r.MessageID)
	if r.Size != 0 {
		fmt.Fprintf(&b, " size=%d", r.Size)
	}
	if r.Recipients != 0 {
		fmt.Fprintf(&b, " recipients=%d", r.Recipients)
	}
	if r.Direction != 0 {
		field("direction", r.Direction)
	}
	field("to", r.Address)
	field("orig", r.Original)
	if r.Outcome != 0 {
		field("outcome", r.Outcome)
	}
	field("relay", r.Relay)
	field("relayip", r.RelayIP)
	field("stage", r.Stage)
	field("source", r.Source)
	if r.Reply.Code != 0 {
		fmt.Fprintf(&b, " code=%d", r.Reply.Code)
	}
	field("enh", r.Reply.Enhanced)
	field("dsn", r.MTAStatus)
	if r.Delay >= 0 {
		field("delay", r.Delay)
	}
	field("next", r.NextID)
	field("text", r.Reply.Text)
	return b.String()
}

// parse reads one message of a program and returns its records and result.
func parse(program, message string) (records []string, result parsers.Result) {
	p := New(parsers.Options{Location: time.UTC})
	result = p.Parse(&parsers.Entry{Program: []byte(program), Message: []byte(message)}, func(r *parsers.Record) {
		if wrong := parserstest.Fields(r); wrong != "" {
			panic(message + ": " + wrong)
		}
		records = append(records, brief(r))
	})
	return records, result
}

// A wording is a line and the records it makes, one a line.
type wording struct{ program, message, want string }

func checkWordings(t *testing.T, wordings []wording) {
	t.Helper()
	for _, w := range wordings {
		for _, program := range []string{w.program, "postfix"} { // rsyslog's RFC 5424 layout loses the service
			if program == "postfix" && strings.HasSuffix(w.program, "!") {
				continue
			}
			records, result := parse(strings.TrimSuffix(program, "!"), w.message)
			if got := strings.Join(records, "\n"); got != w.want || result != parsers.Understood {
				t.Errorf("%s: %s\ngot  %q (%d)\nwant %q", program, w.message, got, result, w.want)
			}
		}
	}
}

func TestArrival(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/smtpd", "4jXJzW6c5Zz8tZV: client=mail.example.org[192.0.2.1]", "arrival id=4jXJzW6c5Zz8tZV client=mail.example.org ip=192.0.2.1"},
		{"postfix/smtpd", "C6E0DDB74006: client=mail.example.org[2001:db8::1]:4711, sasl_method=PLAIN, sasl_username=joe", "arrival id=C6E0DDB74006 client=mail.example.org ip=2001:db8::1 account=joe"},
		{"postfix/smtpd", "C6E0DDB74006: client=mail.example.org[192.0.2.1], sasl_method=LOGIN, sasl_username=joe, blow@x, sasl_sender=a@b, orig_queue_id=AB12CD34EF", "arrival id=C6E0DDB74006 client=mail.example.org ip=192.0.2.1 account=joe, blow@x"},
		{"postfix/bounce", "C6E0DDB74006: sender delay notification: AB12CD34EF", "arrival id=AB12CD34EF bounceof=C6E0DDB74006 own"},
		{"postfix/smtpd", "C6E0DDB74006: client=localhost[127.0.0.1], orig_queue_id=AB12CD34EF, orig_client=unknown[198.51.100.7]", "arrival id=C6E0DDB74006 client=localhost ip=127.0.0.1 reinjected"},
		{"postfix/smtpd", "C6E0DDB74006: client=localhost[::1]", "arrival id=C6E0DDB74006 client=localhost ip=::1 reinjected"},
		{"postfix/smtpd", "NOQUEUE: client=mail.example.org[192.0.2.1]", ""},
		{"postfix/pickup", "AAB4D259B1: uid=1000 from=<joe>", "arrival id=AAB4D259B1 from=<joe> reinjected account=uid=1000"},
		{"postfix/pickup", "AAB4D259B1: uid=0 from=<root> orig_id=BBB4D259B1", "arrival id=AAB4D259B1 from=<root> reinjected account=uid=0"},
		{"postfix/cleanup", "C6E0DDB74006: message-id=<A40CF64D@example.com>", "arrival id=C6E0DDB74006 msgid=<A40CF64D@example.com>"},
		{"postfix/cleanup", "C6E0DDB74006: message-id=", "arrival id=C6E0DDB74006"},
		{"postfix/cleanup", "C6E0DDB74006: resent-message-id=<A40CF64D@example.com>", ""},
		{"postfix/qmgr", "C6E0DDB74006: from=<test@example.com>, size=309891, nrcpt=1 (queue active)", "arrival id=C6E0DDB74006 from=<test@example.com> size=309891 recipients=1"},
		{"postfix/qmgr", "C6E0DDB74006: from=<>, size=2666, nrcpt=2 (queue active)", "arrival id=C6E0DDB74006 from=<> size=2666 recipients=2"},
		{"postfix/qmgr", `C6E0DDB74006: from=<"a> b, size=1"@example.com>, size=5, nrcpt=1 (queue active)`, `arrival id=C6E0DDB74006 from=<"a> b, size=1"@example.com> size=5 recipients=1`},
		{"postfix/qmgr", "ED373F8043E: from=rory@rory-dev.localdomain, size=270, nrcpt=1 (queue active)", "arrival id=ED373F8043E from=<rory@rory-dev.localdomain> size=270 recipients=1"},
	})
}

func TestEnd(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/qmgr", "C2032259E6: removed", "end id=C2032259E6"},
		{"postfix/postsuper!", "C2032259E6: removed", "discarded id=C2032259E6\nend id=C2032259E6"},
		{"postfix/cleanup", "C2032259E6: canceled", "discarded id=C2032259E6\nend id=C2032259E6"},
		{"postfix/qmgr", "BACE842E72: from=<noreply@domain.com>, status=expired, returned to sender", "expired id=BACE842E72"},
		{"postfix/qmgr", "BACE842E73: from=<noreply@domain.com>, status=force-expired, returned to sender", "expired id=BACE842E73"},
		{"postfix/qmgr", "BACE842E73: from=<user@example.com>>, status=expired, returned to sender", "expired id=BACE842E73"},
		{"postfix/postsuper", "C2032259E6: placed on hold", ""},
		{"postfix/postsuper", "C2032259E6: released from hold", ""},
		{"postfix/postsuper", "C2032259E6: requeued", ""},
		{"postfix/qmgr", "C2032259E6: skipped, still being delivered", ""},
		{"postfix/bounce", "C2032259E6: sender non-delivery notification: AA1BB2CC3D", "arrival id=AA1BB2CC3D bounceof=C2032259E6 own"},
		{"postfix/bounce", "C2032259E6: postmaster non-delivery notification: AA1BB2CC3D", "arrival id=AA1BB2CC3D bounceof=C2032259E6 own"},
	})
}

func TestDelivered(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/smtp", "3bZLDk1V50z37Dv: to=<liska@fg.cz>, relay=hermes.fg.cz[193.86.74.5]:25, delay=0.16, delays=0.01/0/0.05/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 5058FBC3A)",
			"attempt id=3bZLDk1V50z37Dv to=liska@fg.cz outcome=delivered relay=hermes.fg.cz relayip=193.86.74.5 code=250 enh=2.0.0 dsn=2.0.0 delay=160ms next=5058FBC3A text=250 2.0.0 Ok: queued as 5058FBC3A"},
		{"postfix/smtp", "4F64840DFC: to=<bb@yahoo.co.jp>, orig_to=<b>, relay=mx2.mail.yahoo.co.jp[124.83.142.119]:25, conn_use=3, delay=13, delays=0.05/0/0.03/13, dsn=2.0.0, status=sent (250 ok dirdel)",
			"attempt id=4F64840DFC to=bb@yahoo.co.jp orig=b outcome=delivered relay=mx2.mail.yahoo.co.jp relayip=124.83.142.119 code=250 dsn=2.0.0 delay=13s text=250 ok dirdel"},
		{"postfix/smtp", "4F64840DFC: to=<a@example.org>, relay=mx.example.org[192.0.2.1], delay=3, status=sent (250 Ok)", // before 2.3
			"attempt id=4F64840DFC to=a@example.org outcome=delivered relay=mx.example.org relayip=192.0.2.1 code=250 delay=3s text=250 Ok"},
		{"postfix/smtp", "4F64840DFC: to=<a@example.org>, relay=[192.0.2.1]:25, delay=3, dsn=2.0.0, status=sent (250 Ok)",
			"attempt id=4F64840DFC to=a@example.org outcome=delivered relayip=192.0.2.1 code=250 dsn=2.0.0 delay=3s text=250 Ok"},
		{"postfix/lmtp", "8EF04546C0: to=<a@example.org>, relay=mail.example.org[private/dovecot-lmtp], delay=0.2, delays=0.1/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 <a@example.org> wq8 Saved)",
			"attempt id=8EF04546C0 direction=local to=a@example.org outcome=delivered relay=mail.example.org relayip=private/dovecot-lmtp code=250 enh=2.0.0 dsn=2.0.0 delay=200ms text=250 2.0.0 <a@example.org> wq8 Saved"},
		{"postfix/local", "8EF04546C0: to=<joe@example.org>, relay=local, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (delivered to mailbox)",
			"attempt id=8EF04546C0 direction=local to=joe@example.org outcome=delivered relay=local dsn=2.0.0 delay=20ms text=delivered to mailbox"},
		{"postfix/local", "8EF04546C0: to=<joe@example.org>, relay=local, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (delivered to file: /dev/null)",
			"discarded id=8EF04546C0 direction=local to=joe@example.org outcome=delivered relay=local dsn=2.0.0 delay=20ms text=delivered to file: /dev/null"},
		{"postfix/pipe", "8EF04546C0: to=<joe@example.org>, relay=dovecot, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (delivered via dovecot service)",
			"attempt id=8EF04546C0 direction=local to=joe@example.org outcome=delivered relay=dovecot dsn=2.0.0 delay=20ms text=delivered via dovecot service"},
		{"postfix/pipe", "8EF04546C0: to=<joe@example.org>, relay=spamassassin, delay=0.02, delays=0/0/0/0.01, dsn=2.0.0, status=sent (delivered via spamassassin service)",
			"handed-over id=8EF04546C0 direction=local to=joe@example.org outcome=delivered relay=spamassassin dsn=2.0.0 delay=20ms text=delivered via spamassassin service"},
		{"postfix/smtp", "8EF04546C0: to=<joe@example.org>, relay=mx.example.org[192.0.2.7]:25, delay=2, delays=0/0/0/2, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as A0320E00C3)",
			"attempt id=8EF04546C0 to=joe@example.org outcome=delivered relay=mx.example.org relayip=192.0.2.7 code=250 enh=2.0.0 dsn=2.0.0 delay=2s next=A0320E00C3 text=250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as A0320E00C3"},
		{"postfix/smtp", "8EF04546C0: to=<joe@example.org>, relay=127.0.0.1[127.0.0.1]:10024, delay=2, delays=0/0/0/2, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as A0320E00C3)",
			"handed-over id=8EF04546C0 to=joe@example.org outcome=delivered relay=127.0.0.1 relayip=127.0.0.1 code=250 enh=2.0.0 dsn=2.0.0 delay=2s next=A0320E00C3 text=250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as A0320E00C3"},
		{"postfix/smtp", "8EF04546C0: to=<joe@example.org>, relay=127.0.0.1[127.0.0.1]:10024, delay=2, delays=0/0/0/2, dsn=2.7.0, status=sent (250 2.7.0 Ok, discarded, id=15018-01 - spam)",
			"discarded id=8EF04546C0 to=joe@example.org outcome=delivered relay=127.0.0.1 relayip=127.0.0.1 code=250 enh=2.7.0 dsn=2.7.0 delay=2s text=250 2.7.0 Ok, discarded, id=15018-01 - spam"},
		{"postfix/discard", "8EF04546C0: to=<joe@example.org>, relay=none, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (silently)",
			"discarded id=8EF04546C0 to=joe@example.org outcome=delivered dsn=2.0.0 delay=0s text=silently"},
		{"postfix/smtp", "8EF04546C0: to=<joe@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=2, delays=0/0/0/2, dsn=2.1.5, status=deliverable (250 2.1.5 Ok)", ""},
		{"postfix/smtp", "8EF04546C0: to=<joe@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=2, delays=0/0/0/2, dsn=5.1.1, status=undeliverable (host mx.example.org[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))", ""},
	})
}

// wordingsOfFailures are the texts of failures, and what they say of the
// stage, the source and the reply.
var wordingsOfFailures = []struct{ relay, text, want string }{
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] said: 550 5.1.1 <a@example.org>: User unknown (in reply to RCPT TO command)", "relay=mx.example.org relayip=192.0.2.1 stage=rcpt source=remote code=550 enh=5.1.1 text=550 5.1.1 <a@example.org>: User unknown"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] said: 451 4.7.1 Greylisted (in reply to DATA command)", "relay=mx.example.org relayip=192.0.2.1 stage=data source=remote code=451 enh=4.7.1 text=451 4.7.1 Greylisted"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] said: 554 No (in reply to end of DATA command)", "relay=mx.example.org relayip=192.0.2.1 stage=end-of-data source=remote code=554 text=554 No"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] said: 451 4.1.8 x (in reply to MAIL FROM command)", "relay=mx.example.org relayip=192.0.2.1 stage=mail source=remote code=451 enh=4.1.8 text=451 4.1.8 x"},
	{"mx.example.org[2001:db8::1]:25", "host mx.example.org[2001:db8::1]:2525 said: 550 x (in reply to EHLO command)", "relay=mx.example.org relayip=2001:db8::1 stage=ehlo source=remote code=550 text=550 x"},
	{"mail.example.org[private/dovecot-lmtp]", "host mail.example.org[private/dovecot-lmtp] said: 552 5.2.2 Quota exceeded (in reply to end of DATA command)", "relay=mail.example.org relayip=private/dovecot-lmtp stage=end-of-data source=remote code=552 enh=5.2.2 text=552 5.2.2 Quota exceeded"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] refused to talk to me: 421 4.3.2 Service not available", "relay=mx.example.org relayip=192.0.2.1 stage=banner source=remote code=421 enh=4.3.2 text=421 4.3.2 Service not available"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] said: 550-5.7.1 one 550 5.7.1 two (in reply to (x) (in reply to RCPT TO command) (in reply to end of DATA command)", "relay=mx.example.org relayip=192.0.2.1 stage=end-of-data source=remote code=550 enh=5.7.1 text=550-5.7.1 one 550 5.7.1 two (in reply to (x) (in reply to RCPT TO command)"},
	{"none", "connect to mx.example.org[192.0.2.1]:25: Connection refused", "relay=mx.example.org relayip=192.0.2.1 stage=connect source=network text=connect to mx.example.org[192.0.2.1]:25: Connection refused"},
	{"none", "connect to mx.example.org[192.0.2.1]: Connection refused (port 25)", "relay=mx.example.org relayip=192.0.2.1 stage=connect source=network text=connect to mx.example.org[192.0.2.1]: Connection refused (port 25)"},
	{"none", "connect to mail.example.org[private/dovecot-lmtp]: No such file or directory", "relay=mail.example.org relayip=private/dovecot-lmtp stage=connect source=network text=connect to mail.example.org[private/dovecot-lmtp]: No such file or directory"},
	{"mx.example.org[192.0.2.1]:25", "lost connection with mx.example.org[192.0.2.1] while receiving the initial server greeting", "relay=mx.example.org relayip=192.0.2.1 stage=banner source=network text=lost connection with mx.example.org[192.0.2.1] while receiving the initial server greeting"},
	{"mx.example.org[192.0.2.1]:25", "lost connection with mx.example.org[192.0.2.1] while performing the EHLO handshake", "relay=mx.example.org relayip=192.0.2.1 stage=ehlo source=network text=lost connection with mx.example.org[192.0.2.1] while performing the EHLO handshake"},
	{"mx.example.org[192.0.2.1]:25", "conversation with mx.example.org[192.0.2.1] timed out while sending RCPT TO", "relay=mx.example.org relayip=192.0.2.1 stage=rcpt source=network text=conversation with mx.example.org[192.0.2.1] timed out while sending RCPT TO"},
	{"mx.example.org[192.0.2.1]:25", "lost connection with mx.example.org[192.0.2.1] while sending message body", "relay=mx.example.org relayip=192.0.2.1 stage=end-of-data source=network text=lost connection with mx.example.org[192.0.2.1] while sending message body"},
	{"mx.example.org[192.0.2.1]:25", "lost connection with mx.example.org[192.0.2.1] while sending end of data -- message may be sent more than once", "relay=mx.example.org relayip=192.0.2.1 stage=end-of-data source=network text=lost connection with mx.example.org[192.0.2.1] while sending end of data -- message may be sent more than once"},
	{"none", "Host or domain name not found. Name service error for name=example.org type=MX: Host not found, try again", "stage=dns source=dns text=Host or domain name not found. Name service error for name=example.org type=MX: Host not found, try again"},
	{"none", "Name service error for name=example.org type=MX: Malformed or unexpected name server reply", "stage=dns source=dns text=Name service error for name=example.org type=MX: Malformed or unexpected name server reply"},
	{"none", "Domain example.com does not accept mail (nullMX)", "stage=dns source=dns text=Domain example.com does not accept mail (nullMX)"},
	{"none", "mail for example.org loops back to myself", "stage=route source=local text=mail for example.org loops back to myself"},
	{"mx.example.org[192.0.2.1]:25", "mail for example.org loops back to myself", "relay=mx.example.org relayip=192.0.2.1 stage=route source=local text=mail for example.org loops back to myself"},
	{"mx.example.org[192.0.2.1]:25", "TLS is required, but was not offered by host mx.example.org[192.0.2.1]", "relay=mx.example.org relayip=192.0.2.1 stage=starttls source=tls text=TLS is required, but was not offered by host mx.example.org[192.0.2.1]"},
	{"mx.example.org[192.0.2.1]:25", "TLS is required, but host mx.example.org[192.0.2.1] refused to start TLS: 454 4.7.0 TLS not available", "relay=mx.example.org relayip=192.0.2.1 stage=starttls source=tls code=454 enh=4.7.0 text=454 4.7.0 TLS not available"},
	{"mx.example.org[192.0.2.1]:25", "Cannot start TLS: handshake failure", "relay=mx.example.org relayip=192.0.2.1 stage=starttls source=tls text=Cannot start TLS: handshake failure"},
	{"mx.example.org[192.0.2.1]:25", "Server certificate not trusted", "relay=mx.example.org relayip=192.0.2.1 stage=starttls source=tls text=Server certificate not trusted"},
	{"mx.example.org[192.0.2.1]:25", "SASL authentication failed; server mx.example.org[192.0.2.1] said: 535 5.7.8 Error: authentication failed", "relay=mx.example.org relayip=192.0.2.1 stage=auth source=remote code=535 enh=5.7.8 text=535 5.7.8 Error: authentication failed"},
	{"mx.example.org[192.0.2.1]:25", "SASL authentication failed; cannot authenticate to server mx.example.org[192.0.2.1]: no mechanism available", "relay=mx.example.org relayip=192.0.2.1 stage=auth source=local text=SASL authentication failed; cannot authenticate to server mx.example.org[192.0.2.1]: no mechanism available"},
	{"mx.example.org[192.0.2.1]:25", "message size 3001 exceeds size limit 3000 of server mx.example.org[192.0.2.1]", "relay=mx.example.org relayip=192.0.2.1 stage=mail source=local text=message size 3001 exceeds size limit 3000 of server mx.example.org[192.0.2.1]"},
	{"mx.example.org[192.0.2.1]:25", "SMTPUTF8 is required, but was not offered by host mx.example.org[192.0.2.1]", "relay=mx.example.org relayip=192.0.2.1 stage=mail source=local text=SMTPUTF8 is required, but was not offered by host mx.example.org[192.0.2.1]"},
	{"local", `unknown user: "joe"`, `relay=local stage=local source=local text=unknown user: "joe"`},
	{"virtual", "maildir delivery failed: create maildir file /var/mail/joe/tmp/1: Permission denied", "relay=virtual stage=local source=local text=maildir delivery failed: create maildir file /var/mail/joe/tmp/1: Permission denied"},
	{"local", `Command died with status 255: "procmail -a "$EXTENSION""`, `relay=local stage=local source=local text=Command died with status 255: "procmail -a "$EXTENSION""`},
	{"dovecot", "temporary failure. Command output: 451 4.3.0 host mx[1.2.3.4] said: 550 no", "relay=dovecot stage=local source=local text=temporary failure. Command output: 451 4.3.0 host mx[1.2.3.4] said: 550 no"},
	{"none", "bad address syntax", "stage=route source=local text=bad address syntax"},
	{"none", "User unknown in virtual alias table", "stage=route source=local text=User unknown in virtual alias table"},
	{"mx.example.org[192.0.2.1]:25", "550 5.1.1 no such user", "relay=mx.example.org relayip=192.0.2.1 source=remote code=550 enh=5.1.1 text=550 5.1.1 no such user"},
	{"mx.example.org[192.0.2.1]:25", "something new", "relay=mx.example.org relayip=192.0.2.1 text=something new"},
	{"mx.example.org[192.0.2.1]:25", "host mx.example.org[192.0.2.1] did something new", "relay=mx.example.org relayip=192.0.2.1 text=host mx.example.org[192.0.2.1] did something new"},
}

// direction returns what is expected of a failure with a relay and a text.
func direction(relay, text string) string {
	isLocal := relay != "none" && !strings.Contains(relay, "[") || strings.Contains(relay, "[private/")
	if isLocal || strings.HasPrefix(text, "User unknown in ") {
		return " direction=local"
	}
	return ""
}

func TestFailures(t *testing.T) {
	for _, w := range wordingsOfFailures {
		for status, outcome := range map[string]string{"deferred": "deferred", "bounced": "failed", "SOFTBOUNCE": "deferred"} {
			if status == "deferred" && strings.HasPrefix(w.want, "stage=route") && !strings.Contains(w.want, "loops") {
				continue // error(8) defers without a contact, see TestSuspended
			}
			line := fmt.Sprintf("3bZLDk1V50z37Dv: to=<a@example.org>, relay=%s, delay=1, delays=0/0/0/1, dsn=4.0.0, status=%s (%s)", w.relay, status, w.text)
			head, tail, _ := strings.Cut("attempt id=3bZLDk1V50z37Dv"+direction(w.relay, w.text)+" to=a@example.org outcome="+outcome+" "+w.want, " text=")
			source, code, ok := strings.Cut(head, " code=") // brief puts dsn and delay between code and text
			want := source + " dsn=4.0.0 delay=1s text=" + tail
			if ok {
				want = source + " code=" + code + " dsn=4.0.0 delay=1s text=" + tail
			}
			checkWordings(t, []wording{{"postfix/smtp", line, want}})
		}
	}
}

func TestSuspended(t *testing.T) {
	const head = "3bZLDk1V50z37Dv: to=<a@example.org>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred "
	const want = "suspended id=3bZLDk1V50z37Dv to=a@example.org outcome=deferred dsn=4.4.1 delay=1s text="
	for program, text := range map[string]string{
		"postfix/error":  "delivery temporarily suspended: host mx[192.0.2.1] refused to talk to me: 421 4.7.0 no",
		"postfix/retry":  "delivery temporarily suspended: connect to mx[192.0.2.1]:25: Connection refused",
		"postfix/qmgr":   "deferred transport",
		"postfix/retry ": "any words of an admin",
	} {
		checkWordings(t, []wording{{strings.TrimSpace(program), head + "(" + text + ")", want + text}})
	}
	checkWordings(t, []wording{{"postfix/qmgr", "BBB4D259B1: to=<a@example.org>, relay=none, delay=1, status=deferred (deferred transport)", "suspended id=BBB4D259B1 to=a@example.org outcome=deferred delay=1s text=deferred transport"}})
}

func TestRejections(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from client1.partner.test[127.0.3.1]: 554 5.7.1 <d@bigmail.test>: Relay access denied; from=<user0@partner.test> to=<d@bigmail.test> proto=ESMTP helo=<client1.partner.test>",
			"rejection from=<user0@partner.test> client=client1.partner.test ip=127.0.3.1 to=d@bigmail.test stage=rcpt source=local code=554 enh=5.7.1 text=554 5.7.1 <d@bigmail.test>: Relay access denied"},
		{"postfix/smtpd", "AB12CD34EF: reject: RCPT from unknown[192.0.2.1]:4711: 450 4.1.8 <a@b>: Sender address rejected: Domain not found; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
			"rejection id=AB12CD34EF from=<a@b> client=unknown ip=192.0.2.1 to=c@d stage=rcpt source=local code=450 enh=4.1.8 text=450 4.1.8 <a@b>: Sender address rejected: Domain not found"},
		{"postfix/smtpd", "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@b>: Sender address rejected: blocked; see https://x.test/why?; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
			"rejection from=<a@b> client=unknown ip=192.0.2.1 to=c@d stage=rcpt source=local code=554 enh=5.7.1 text=554 5.7.1 <a@b>: Sender address rejected: blocked; see https://x.test/why?"},
		{"postfix/smtpd", "NOQUEUE: reject: CONNECT from unknown[192.0.2.1]: 554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied; proto=SMTP",
			"rejection client=unknown ip=192.0.2.1 stage=connect source=local code=554 enh=5.7.1 text=554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied"},
		{"postfix/smtpd", "NOQUEUE: reject: EHLO from unknown[192.0.2.1]: 504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname; proto=SMTP helo=<x>",
			"rejection client=unknown ip=192.0.2.1 stage=ehlo source=local code=504 enh=5.5.2 text=504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname"},
		{"postfix/smtpd", "NOQUEUE: reject: MAIL from unknown[192.0.2.1]: 552 5.3.4 Message size exceeds fixed limit; from=<> proto=ESMTP helo=<x>",
			"rejection from=<> client=unknown ip=192.0.2.1 stage=mail source=local code=552 enh=5.3.4 text=552 5.3.4 Message size exceeds fixed limit"},
		{"postfix/smtpd", "NOQUEUE: reject: VRFY from unknown[192.0.2.1]: 550 5.1.1 <x>: Recipient address rejected: User unknown; to=<x> proto=SMTP helo=<y>",
			"rejection client=unknown ip=192.0.2.1 to=x source=local code=550 enh=5.1.1 text=550 5.1.1 <x>: Recipient address rejected: User unknown"},
		{"postfix/smtpd", "AB12CD34EF: reject: DATA from unknown[192.0.2.1]: 550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce; from=<> proto=ESMTP helo=<x>",
			"rejection id=AB12CD34EF from=<> client=unknown ip=192.0.2.1 stage=data source=local code=550 enh=5.5.3 text=550 5.5.3 <DATA>: Data command rejected: Multi-recipient bounce\nend id=AB12CD34EF"},
		{"postfix/smtpd", "AB12CD34EF: milter-reject: RCPT from unknown[192.0.2.1]: 451 4.7.1 later; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
			"rejection id=AB12CD34EF from=<a@b> client=unknown ip=192.0.2.1 to=c@d stage=rcpt source=local code=451 enh=4.7.1 text=451 4.7.1 later"},
		{"postfix/cleanup", "AB12CD34EF: milter-reject: END-OF-MESSAGE from mail.partner.test[127.0.3.2]: 5.7.1 Spam score 15.2 (limit 6.0), status=sent; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
			"rejection id=AB12CD34EF from=<a@b> client=mail.partner.test ip=127.0.3.2 to=c@d stage=end-of-data source=local enh=5.7.1 text=5.7.1 Spam score 15.2 (limit 6.0), status=sent\nend id=AB12CD34EF"},
		{"postfix/cleanup", "AB12CD34EF: reject: header Subject: x from evil[1.1.1.1]; from=<v@v> to=<v@v> proto=ESMTP helo=<v>: 5.0.0 no from mail.partner.test[127.0.3.2]; from=<a@b> to=<c@d> proto=ESMTP helo=<x>: 5.7.1 message content rejected",
			"rejection id=AB12CD34EF from=<a@b> client=mail.partner.test ip=127.0.3.2 to=c@d stage=end-of-data source=local enh=5.7.1 text=5.7.1 message content rejected\nend id=AB12CD34EF"},
		{"postfix/cleanup", "AB12CD34EF: reject: body x from local; from=<a@b> to=<c@d>: 5.7.1 no",
			"rejection id=AB12CD34EF from=<a@b> to=c@d stage=end-of-data source=local enh=5.7.1 text=5.7.1 no\nend id=AB12CD34EF"},
		{"postfix/smtpd", "proxy-reject: END-OF-MESSAGE: 554 5.7.0 Reject, id=1 - SPAM; from=<a@b> to=<c@d> proto=ESMTP helo=<x>",
			"rejection from=<a@b> to=c@d stage=end-of-data source=local code=554 enh=5.7.0 text=554 5.7.0 Reject, id=1 - SPAM"},
		{"postfix/postscreen", "NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.example.test; from=<a@b>, to=<c@d>, proto=ESMTP, helo=<x>",
			"rejection from=<a@b> ip=192.0.2.1 to=c@d stage=rcpt source=local code=550 enh=5.7.1 text=550 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.example.test"},
		{"postfix/postscreen", "NOQUEUE: reject: CONNECT from [192.0.2.1]:4711: all screening ports busy",
			"rejection ip=192.0.2.1 stage=connect source=local code=421 text=all screening ports busy\ntrouble text=all screening ports busy"},
		{"postfix/cleanup", "warning: AB12CD34EF: message rejected: hopcount exceeded",
			"rejection id=AB12CD34EF stage=end-of-data source=local text=message rejected: hopcount exceeded\nend id=AB12CD34EF"},
		{"postfix/smtpd", "warning: AB12CD34EF: queue file size limit exceeded",
			"rejection id=AB12CD34EF stage=end-of-data source=local text=queue file size limit exceeded\nend id=AB12CD34EF"},
		{"postfix/smtpd", "warning: Illegal address syntax from unknown[192.0.2.1] in RCPT command: <not an address>",
			"rejection client=unknown ip=192.0.2.1 stage=rcpt source=local text=Illegal address syntax from unknown[192.0.2.1] in RCPT command: <not an address>"},
	})
}

// TestNoRejection reads actions that refuse nothing.
func TestNoRejection(t *testing.T) {
	const tail = " from unknown[192.0.2.1]: <a@b>: Sender address triggers an action; from=<a@b> to=<c@d> proto=ESMTP helo=<x>"
	for _, action := range []string{"reject_warning: RCPT", "filter: RCPT", "hold: RCPT", "redirect: RCPT", "milter-hold: END-OF-MESSAGE", "warn: RCPT", "info: RCPT", "prepend: RCPT", "bcc: RCPT", "discard: RCPT"} {
		want := ""
		if action == "discard: RCPT" {
			want = "discarded id=AB12CD34EF to=c@d"
		}
		checkWordings(t, []wording{{"postfix/smtpd", "AB12CD34EF: " + action + tail, want}, {"postfix/smtpd", "NOQUEUE: " + action + tail, ""}})
	}
	checkWordings(t, []wording{
		{"postfix/cleanup", "AB12CD34EF: milter-discard: END-OF-MESSAGE from mail[192.0.2.1]: milter triggers DISCARD action; from=<a@b> to=<c@d> proto=ESMTP helo=<x>", "discarded id=AB12CD34EF to=c@d\nend id=AB12CD34EF"},
		{"postfix/cleanup", "AB12CD34EF: discard: header X: y from mail[192.0.2.1]; from=<a@b> to=<c@d> proto=ESMTP helo=<x>", "discarded id=AB12CD34EF to=c@d\nend id=AB12CD34EF"},
		{"postfix/cleanup", "AB12CD34EF: replace: header Subject: x from mail[192.0.2.1]; from=<a@b> to=<c@d> proto=ESMTP helo=<x>: Subject: y", ""},
	})
}

// TestHostile reads lines in which strangers' text looks like Postfix's.
func TestHostile(t *testing.T) {
	const tail = ", delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx[192.0.2.1] said: 550 no (in reply to RCPT TO command))"
	const rest = " outcome=failed relay=mx relayip=192.0.2.1 stage=rcpt source=remote code=550 dsn=5.0.0 delay=1s text=550 no"
	checkWordings(t, []wording{
		{"postfix/smtp", `AB12CD34EF: to=<"x> y"@d>, relay=mx[192.0.2.1]:25` + tail, `attempt id=AB12CD34EF to="x> y"@d` + rest},
		{"postfix/smtp", `AB12CD34EF: to=<"x>, relay=none, status=sent (x)"@d>, relay=mx[192.0.2.1]:25` + tail, `attempt id=AB12CD34EF to="x>, relay=none, status=sent (x)"@d` + rest},
		{"postfix/smtp", `AB12CD34EF: to=<"a\">, relay=none"@d>, orig_to=<"b>, relay=x"@d>, relay=mx[192.0.2.1]:25` + tail, `attempt id=AB12CD34EF to="a\">, relay=none"@d orig="b>, relay=x"@d` + rest},
		{"postfix/smtp", `AB12CD34EF: to=<x> y, status=sent@d>, relay=mx[192.0.2.1]:25` + tail, `attempt id=AB12CD34EF to=x> y, status=sent@d` + rest},
		{"postfix/smtp", `AB12CD34EF: to=<"x@d>, relay=mx[192.0.2.1]:25` + tail, `attempt id=AB12CD34EF to="x@d` + rest},
		{"postfix/smtp", "AB12CD34EF: to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx[192.0.2.1] said: 550 to=<victim@c>, relay=x[1.1.1.1]:25, dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command))",
			"attempt id=AB12CD34EF to=a@b outcome=failed relay=mx relayip=192.0.2.1 stage=rcpt source=remote code=550 dsn=5.0.0 delay=1s text=550 to=<victim@c>, relay=x[1.1.1.1]:25, dsn=2.0.0, status=sent (250 ok)"},
		{"postfix/smtp", "AB12CD34EF: host mx[192.0.2.1] said: 450 to=<victim@c>, relay=x[1.1.1.1]:25, dsn=2.0.0, status=sent (250 ok) (in reply to RCPT TO command)", ""},
		{"postfix/smtpd", `NOQUEUE: reject: RCPT from unknown[127.0.3.6]: 550 5.1.1 <a b, status=sent@sender.test>: Recipient address rejected: User unknown; from=<a@b> to=<a b, status=sent@sender.test> proto=ESMTP helo=<x>`,
			"rejection from=<a@b> client=unknown ip=127.0.3.6 to=a b, status=sent@sender.test stage=rcpt source=local code=550 enh=5.1.1 text=550 5.1.1 <a b, status=sent@sender.test>: Recipient address rejected: User unknown"},
		{"postfix/smtpd", `NOQUEUE: reject: RCPT from unknown[127.0.3.6]: 550 5.1.1 <"a; from=<v> to=<v> proto=x"@d>: no; from=<"b> to=<v"@b> to=<"a; from=<v> to=<v> proto=x"@d> proto=ESMTP helo=<x; from=<v> to=<v>>`,
			`rejection from=<"b> to=<v"@b> client=unknown ip=127.0.3.6 to="a; from=<v> to=<v> proto=x"@d stage=rcpt source=local code=550 enh=5.1.1 text=550 5.1.1 <"a; from=<v> to=<v> proto=x"@d>: no`},
	})
}

// TestCut reads lines that syslog cut off.
func TestCut(t *testing.T) {
	checkWordings(t, []wording{
		{"postfix/smtp", "AB12CD34EF: to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx[192.0.2.1] said: 550-5.7.1 a very long text (in reply to DATA command) and on",
			"attempt id=AB12CD34EF to=a@b outcome=failed relay=mx relayip=192.0.2.1 source=remote code=550 enh=5.7.1 dsn=5.0.0 delay=1s text=550-5.7.1 a very long text (in reply to DATA command) and on"},
	})
	const whole = "AB12CD34EF: to=<a@b>, orig_to=<c@d>, relay=mx[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (host mx[192.0.2.1] said: 550 no (in reply to RCPT TO command))"
	for i := range whole {
		records, result := parse("postfix/smtp", whole[:i])
		if cut := i <= strings.Index(whole, "bounced (")+len("bounced"); cut && (result != parsers.Unparsed || len(records) > 0) {
			t.Errorf("%q: got %q, %d", whole[:i], records, result)
		}
	}
}

func TestOtherLines(t *testing.T) {
	for message, want := range map[string]parsers.Result{
		"connect from unknown[192.0.2.1]":                             parsers.Irrelevant,
		"disconnect from unknown[192.0.2.1] ehlo=1 quit=1 commands=2": parsers.Irrelevant,
		"warning: 199.249.24.179.list.dsbl.org: RBL lookup error":     parsers.Irrelevant,
		"statistics: max connection rate 1/60s for (smtp:192.0.2.1)":  parsers.Irrelevant,
		"PREGREET 16 after 2.6 from [192.0.2.1]:41323: EHLO x\\r\\n":  parsers.Irrelevant,
		"AB12CD34EF: enabling PIX workarounds: disable_esmtp for x":   parsers.Understood,
		"NOQUEUE: lost connection after CONNECT from x[192.0.2.1]":    parsers.Understood,
		"NOQUEUE: reject: Unsupported":                                parsers.Unparsed,
		"AB12CD34EF: something new":                                   parsers.Unparsed,
		"AB12CD34EF: from=<x":                                         parsers.Unparsed,
		"AB12CD34EF: client=nobody":                                   parsers.Unparsed,
		"something new":                                               parsers.Unparsed,
		"":                                                            parsers.Unparsed,
	} {
		if records, result := parse("postfix/smtp", message); result != want || len(records) > 0 {
			t.Errorf("%q: got %d, want %d; records %q", message, result, want, records)
		}
	}
}

func TestProgram(t *testing.T) {
	for program, want := range map[string]string{
		"postfix":                        " ",
		"postfix/smtp":                   " smtp",
		"postfix/relay/smtp":             " relay/smtp",
		"postfix/submission/smtpd":       " submission/smtpd",
		"postfix-out/smtp":               "postfix-out smtp",
		"postfix-10.20.30.40/smtp":       "postfix-10.20.30.40 smtp",
		"postfix-10.20.30.40/smtps/smtp": "postfix-10.20.30.40 smtps/smtp",
		"mx-out/qmgr":                    "mx-out qmgr",
	} {
		if !isPostfix([]byte(program)) {
			t.Errorf("%s is taken for another program", program)
		}
		if instance, service := splitProgram([]byte(program)); string(instance)+" "+string(service) != want {
			t.Errorf("%s: got %q, %q, want %q", program, instance, service, want)
		}
	}
	for _, program := range []string{"", "postfix1", "postfixadmin", "postgrey", "dovecot", "dovecot/lmtp", "cyrus/master", "smtp", "kernel"} {
		if isPostfix([]byte(program)) {
			t.Errorf("%s is taken for Postfix", program)
		}
	}
}

// TestForeign reads lines of programs that only sound like Postfix.
func TestForeign(t *testing.T) {
	for _, program := range []string{"postfix/policy-spf", "postfix-policyd-spf-python", "postfix-local", "postfix-out"} {
		if _, result := parse(program, "something of its own"); result != parsers.Irrelevant {
			t.Errorf("%s: got %d", program, result)
		}
	}
	if records, _ := parse("postfix-out", "C2032259E6: removed"); len(records) != 1 {
		t.Errorf("an instance without its service: got %q", records)
	}
}

func TestQueueID(t *testing.T) {
	for message, want := range map[string]int{
		"AB12CD34EF: x": 10, "4jXJzW6c5Zz8tZV: x": 15, "BBBBBBBBBBB: x": 11, "0C8803FC061XXXX: x": 15, "3bZLDu1V55z37Dv: x": 15,
		"warning: x": 0, "fatal: x": 0, "NOQUEUE: x": 0, "AB12: x": 0, "AB12CD34EF:x": 0, "AB12CD34EF": 0, "AB12CD-34EF: x": 0,
		strings.Repeat("A1", 40) + ": x": 0,
	} {
		if got := queueID([]byte(message)); got != want {
			t.Errorf("%q: got %d, want %d", message, got, want)
		}
	}
}

func FuzzParser(f *testing.F) {
	for _, w := range wordingsOfFailures {
		f.Add("postfix/smtp", "3bZLDk1V50z37Dv: to=<a@example.org>, relay="+w.relay+", delay=1.5, dsn=4.0.0, status=deferred ("+w.text+")")
	}
	f.Add("postfix/smtpd", `NOQUEUE: reject: RCPT from unknown[127.0.3.6]: 550 5.1.1 <"a; from=<v>"@d>: no; from=<"b> to=<v"@b> to=<c> proto=ESMTP helo=<x>`)
	f.Add("postfix/cleanup", "AB12CD34EF: reject: header X: y from m[192.0.2.1]; from=<a@b> to=<c@d> proto=ESMTP helo=<x>: 5.7.1 no")
	f.Add("postfix", "warning: Illegal address syntax from unknown[192.0.2.1] in RCPT command: <x>")
	f.Fuzz(func(t *testing.T, program, message string) {
		first, result := parse(program, message)
		if len(first) > 0 && result != parsers.Understood {
			t.Errorf("%d records of a line with the result %d", len(first), result)
		}
		if second, _ := parse(program, message); strings.Join(first, "\n") != strings.Join(second, "\n") {
			t.Errorf("read twice: %q and %q", first, second)
		}
	})
}

// TestStages reads what Postfix calls the steps of a session.
func TestStages(t *testing.T) {
	stage := func(text string) string {
		var got string
		p := New(parsers.Options{Location: time.UTC})
		p.Parse(&parsers.Entry{Program: []byte("postfix/smtp"), Message: []byte("AB12CD34EF: to=<a@b>, relay=mx[192.0.2.1]:25, delay=1, status=deferred (" + text + ")")},
			func(r *parsers.Record) { got = r.Stage.String() })
		return got
	}
	for command, want := range map[string]string{
		"EHLO command": "ehlo", "HELO command": "ehlo", "LHLO command": "ehlo", "STARTTLS command": "starttls", "AUTH command": "auth",
		"XFORWARD NAME command": "mail", "MAIL FROM command": "mail", "RSET command": "mail", "RCPT TO command": "rcpt", "DATA command": "data",
		"end of DATA command": "end-of-data", "BDAT command": "end-of-data", "QUIT command": "quit", "NEW command": "",
	} {
		if got := stage("host mx[192.0.2.1] said: 450 no (in reply to " + command + ")"); got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
	for doing, want := range map[string]string{
		"receiving the initial server greeting": "banner", "performing the initial protocol handshake": "ehlo", "performing the LHLO handshake": "ehlo",
		"receiving the STARTTLS response": "starttls", "performing the SASL authentication": "auth", "authenticating": "auth", "sending MAIL FROM": "mail",
		"sending XFORWARD name/address": "mail", "sending RCPT TO": "rcpt", "sending DATA command": "data", "sending message body": "end-of-data",
		"sending QUIT command": "quit", "doing something new": "",
	} {
		for _, text := range []string{"lost connection with mx[192.0.2.1] while " + doing, "conversation with mx[192.0.2.1] timed out while " + doing} {
			if got := stage(text); got != want {
				t.Errorf("%s: got %q, want %q", text, got, want)
			}
		}
	}
}

func TestSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "13": 13 * time.Second, "0.16": 160 * time.Millisecond, "151541.5": 151541*time.Second + 500*time.Millisecond, "1.2x": 1200 * time.Millisecond,
		"": -1, "x": -1, "-1": -1, "99999999999999999999": (1 << 32) * time.Second, "0.1234567891234": 123456789 * time.Nanosecond,
	} {
		if got := seconds([]byte(text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
