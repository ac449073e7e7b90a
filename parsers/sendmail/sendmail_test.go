package sendmail

import (
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

const id = "4AM6SBxY004711"

// mta returns lines of the daemon about one message.
func mta(pairs ...string) (lines []parserstest.Line) {
	for i := 0; i < len(pairs); i += 2 {
		lines = append(lines, parserstest.Line{Program: "sm-mta", Text: id + ": " + pairs[i], Want: pairs[i+1]})
	}
	return lines
}

func TestEncrypted(t *testing.T) {
	parserstest.Lines(t, "sendmail", mta(
		"STARTTLS=client, relay=mx.rcp.example., version=TLSv1.3, verify=OK, cipher=TLS_AES_256_GCM_SHA384, bits=256/256",
		`noted tls=TLSv1.3, verify=OK, cipher=TLS_AES_256_GCM_SHA384, bits=256/256`,
		"STARTTLS=server, relay=pc.snd.example [192.0.2.1], version=TLSv1.2, verify=NO, cipher=ECDHE-RSA-AES256-GCM-SHA384, bits=256/256",
		`noted incoming tls=TLSv1.2, verify=NO, cipher=ECDHE-RSA-AES256-GCM-SHA384, bits=256/256`,
		"STARTTLS=client, error: connect failed=-1, reason=sslv3 alert handshake failure, SSL_error=1, errno=0, retry=-1", "",
	))
}

func TestArrival(t *testing.T) {
	parserstest.Lines(t, "sendmail", mta(
		"from=<a@snd.example>, size=874, class=0, nrcpts=2, msgid=<m1@snd.example>, bodytype=8BITMIME, proto=ESMTPS, daemon=MTA-v4, relay=mail.snd.example [192.0.2.1] (may be forged)",
		"arrival "+id+" from=<a@snd.example> client=mail.snd.example clientip=192.0.2.1 id=<m1@snd.example> size=874 recipients=2",
		"from=<>, size=2212, class=0, nrcpts=1, msgid=<m2@snd.example>, proto=ESMTP, relay=[IPv6:2001:db8::1]",
		"arrival "+id+" from=<> clientip=2001:db8::1 id=<m2@snd.example> size=2212 recipients=1",
		"from=joe, size=33, class=0, nrcpts=1, msgid=<m3@h.example>, relay=joe@localhost",
		"arrival "+id+" reinjected from=<joe> account=joe id=<m3@h.example> size=33 recipients=1",
		"from=<joe@h.example>, size=33, class=0, nrcpts=1, msgid=<m3@h.example>, proto=ESMTP, daemon=MTA, relay=localhost [127.0.0.1]",
		"arrival "+id+" reinjected from=<joe@h.example> client=localhost clientip=127.0.0.1 id=<m3@h.example> size=33 recipients=1",
		`from=<"x, nrcpts=9, relay=evil [192.0.2.9]"@snd.example>, size=1, class=0, nrcpts=1, msgid=<a, relay=evil [192.0.2.9]>, relay=mail.snd.example [192.0.2.1]`,
		"arrival "+id+` from=<"x, nrcpts=9, relay=evil [192.0.2.9]"@snd.example> client=mail.snd.example clientip=192.0.2.1 id=<a size=1 recipients=1`,
		"from=<a@snd.example>, size=0, class=0, nrcpts=0, proto=ESMTP, daemon=MTA, relay=mail.snd.example [192.0.2.1]", "",
		"AUTH=server, relay=pc.snd.example [192.0.2.1], authid=joe@h.example, mech=PLAIN, bits=0",
		"arrival "+id+" account=joe@h.example login",
	))
}

func TestDelivery(t *testing.T) {
	const head = "delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=30874, "
	parserstest.Lines(t, "sendmail", mta(
		"to=<a@far.example>,<b@far.example>, "+head+"relay=mx.far.example. [192.0.2.25], dsn=2.0.0, stat=Sent (2.0.0 Ok: queued as 4F2AB1C3D)",
		"attempt "+id+` delivered to=a@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp code=0/2.0.0 dsn=2.0.0 next=4F2AB1C3D delay=2s "2.0.0 Ok: queued as 4F2AB1C3D"`+
			"\nattempt "+id+` delivered to=b@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp code=0/2.0.0 dsn=2.0.0 next=4F2AB1C3D delay=2s "2.0.0 Ok: queued as 4F2AB1C3D"`,
		"to=<a@far.example>,<b@far.example>, [more], "+head+"relay=mx.far.example. [192.0.2.25], dsn=2.0.0, stat=Sent (ok)",
		"attempt "+id+` delivered to=a@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp dsn=2.0.0 delay=2s "ok"`+
			"\nattempt "+id+` delivered to=b@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp dsn=2.0.0 delay=2s "ok"`,
		"to=<joe@h.example>, ctladdr=<list@h.example> (8/0), delay=4+22:46:57, xdelay=00:00:00, mailer=local, pri=30874, dsn=2.0.0, stat=Sent",
		"attempt "+id+" delivered to=joe@h.example orig=list@h.example local service=local dsn=2.0.0 delay=118h46m57s",
		`to="|/usr/bin/vacation -a x,y joe", ctladdr=<joe@h.example> (1000/1000), delay=00:00:00, xdelay=00:00:00, mailer=prog, pri=30874, dsn=2.0.0, stat=Sent`,
		"attempt "+id+" delivered to=joe@h.example orig=joe@h.example local service=prog dsn=2.0.0 delay=0s",
		"to=joe, ctladdr=root (0/0), delay=00:00:00, xdelay=00:00:00, mailer=relay, pri=30874, relay=[127.0.0.1] [127.0.0.1], dsn=2.0.0, stat=Sent (4AM6SBxZ004712 Message accepted for delivery)",
		"handed-over "+id+` to=joe orig=root relay=[127.0.0.1] ip=127.0.0.1 service=relay dsn=2.0.0 next=4AM6SBxZ004712 delay=0s "4AM6SBxZ004712 Message accepted for delivery"`,
		"to=<a@far.example>, "+head+"dsn=4.0.0, stat=queued", "expected "+id+" to=a@far.example service=esmtp",
		`to=<"a, b>,<"@far.example>,<c@far.example>, `+head+"relay=mx.far.example. [192.0.2.25], dsn=2.0.0, stat=Sent",
		"attempt "+id+` delivered to="a, b>,<"@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp dsn=2.0.0 delay=2s`+
			"\nattempt "+id+` delivered to=c@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp dsn=2.0.0 delay=2s`,
	))
}

// TestFailures reads what may follow stat=, with and without the remote's reply.
func TestFailures(t *testing.T) {
	const head = "to=<a@far.example>, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=30874, "
	const want = " to=a@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp "
	const hop = "relay=mx.far.example. [192.0.2.25], "
	parserstest.Lines(t, "sendmail", mta(
		head+hop+"dsn=4.0.0, stat=Deferred: Connection refused by mx.far.example.",
		"attempt "+id+" deferred"+want+`at=connect/network dsn=4.0.0 delay=2s "Connection refused by mx.far.example."`,
		head+"relay=mx.far.example., dsn=4.0.0, stat=Deferred: Connection timed out with mx.far.example.",
		"attempt "+id+` deferred to=a@far.example relay=mx.far.example service=esmtp at=connect/network dsn=4.0.0 delay=2s "Connection timed out with mx.far.example."`,
		head+hop+"dsn=4.7.1, stat=Deferred: 451 4.7.1 Greylisted, reject=no, try again",
		"attempt "+id+" deferred"+want+`at=/remote code=451/4.7.1 dsn=4.7.1 delay=2s "451 4.7.1 Greylisted, reject=no, try again"`,
		head+hop+"dsn=4.3.2, stat=Deferred: 421 4.3.2 Service not available",
		"attempt "+id+" deferred"+want+`at=/remote code=421/4.3.2 dsn=4.3.2 delay=2s "421 4.3.2 Service not available"`,
		head+hop+"dsn=4.0.0, stat=Deferred: 403 4.7.0 TLS handshake failed.",
		"attempt "+id+" deferred"+want+`at=starttls/tls code=403/4.7.0 dsn=4.0.0 delay=2s "403 4.7.0 TLS handshake failed."`,
		head+hop+"dsn=4.0.0, stat=Deferred: Connection reset by mx.far.example.",
		"attempt "+id+" deferred"+want+`at=/network dsn=4.0.0 delay=2s "Connection reset by mx.far.example."`,
		head+"dsn=4.0.0, stat=Deferred: Name server: far.example.: host name lookup failure",
		"attempt "+id+` deferred to=a@far.example service=esmtp at=dns/dns dsn=4.0.0 delay=2s "Name server: far.example.: host name lookup failure"`,
		head+"dsn=5.1.2, stat=Host unknown (Name server: far.example: host not found)",
		"attempt "+id+` failed to=a@far.example service=esmtp at=dns/dns dsn=5.1.2 delay=2s "Host unknown (Name server: far.example: host not found)"`,
		head+hop+"dsn=5.1.1, stat=User unknown",
		"attempt "+id+" failed"+want+`at=rcpt/remote dsn=5.1.1 delay=2s "User unknown"`,
		head+hop+"dsn=5.1.1, reply=550 5.1.1 <a@far.example>... No such user, stat=User unknown",
		"attempt "+id+" failed"+want+`at=/remote code=550/5.1.1 dsn=5.1.1 delay=2s "550 5.1.1 <a@far.example>... No such user"`,
		head+hop+"dsn=5.0.0, stat=Service unavailable",
		"attempt "+id+" failed"+want+`at=/remote dsn=5.0.0 delay=2s "Service unavailable"`,
		head+hop+"dsn=4.4.2, reply=421 4.4.1 Connection reset by mx.far.example., stat=Deferred",
		"attempt "+id+" deferred"+want+`at=/network dsn=4.4.2 delay=2s "Connection reset by mx.far.example."`,
		"to=joe, ctladdr=<list@h.example> (0/0), delay=00:00:00, mailer=local, pri=1, dsn=5.1.1, reply=550 5.1.1 User unknown, stat=User unknown",
		"attempt "+id+` failed to=joe orig=list@h.example local service=local at=local/local code=550/5.1.1 dsn=5.1.1 delay=0s "550 5.1.1 User unknown"`,
		head+"dsn=5.3.5, stat=Local configuration error",
		"attempt "+id+` failed to=a@far.example service=esmtp at=route/local dsn=5.3.5 delay=2s "Local configuration error"`,
		"to=<joe@h.example>, delay=00:00:00, mailer=local, pri=1, dsn=4.0.0, stat=Deferred: local mailer (/usr/bin/procmail) exited with EX_TEMPFAIL",
		"attempt "+id+` deferred to=joe@h.example local service=local at=local/local dsn=4.0.0 delay=0s "local mailer (/usr/bin/procmail) exited with EX_TEMPFAIL"`,
		"to=<joe@h.example>, delay=00:00:00, mailer=local, pri=1, dsn=5.1.1, stat=User unknown",
		"attempt "+id+` failed to=joe@h.example local service=local at=local/local dsn=5.1.1 delay=0s "User unknown"`,
	))
	parserstest.Lines(t, "sendmail", []parserstest.Line{
		{Program: "sm-mta", Text: id + ": " + head + hop + "dsn=4.0.0", Result: parsers.Unparsed}, // cut off
	})
}

// TestOwn reads what sendmail says of messages it makes, and of ends.
func TestOwn(t *testing.T) {
	const made = "4AM6SBxZ004711"
	parserstest.Lines(t, "sendmail", mta(
		made+": DSN: User unknown", "arrival "+made+" own bounce-of="+id,
		made+": sender notify: Warning: could not send message for past 4 hours", "arrival "+made+" own bounce-of="+id,
		made+": return to sender: Cannot send message for 5 days",
		"expired "+id+` "return to sender: Cannot send message for 5 days"`+"\narrival "+made+" own bounce-of="+id,
		made+": postmaster notify: User unknown", "arrival "+made+" own bounce-of="+id,
		made+": clone: owner=list-owner", "",
		"done; delay=00:00:01, ntries=1", "end "+id,
		"discarded", "discarded "+id+"\nend "+id,
	))
}

func TestRejections(t *testing.T) {
	parserstest.Lines(t, "sendmail", mta(
		"ruleset=check_rcpt, arg1=<b@h.example>, relay=mail.snd.example [192.0.2.1] (may be forged), reject=550 5.7.1 <b@h.example>... Relaying denied. IP name possibly forged [192.0.2.1]",
		"rejection "+id+` to=b@h.example client=mail.snd.example clientip=192.0.2.1 at=rcpt/local code=550/5.7.1 "550 5.7.1 <b@h.example>... Relaying denied. IP name possibly forged [192.0.2.1]"`,
		"ruleset=check_mail, arg1=<a@snd.example>, relay=[192.0.2.1], reject=553 5.1.8 <a@snd.example>... Domain of sender address a@snd.example does not exist",
		"rejection "+id+` from=<a@snd.example> clientip=192.0.2.1 at=mail/local code=553/5.1.8 "553 5.1.8 <a@snd.example>... Domain of sender address a@snd.example does not exist"`,
		`ruleset=CheckSubject, arg1=buy, now, relay=mail.snd.example [192.0.2.1], reject=553 5.7.0 No, thank you, relay=x`,
		"rejection "+id+` client=mail.snd.example clientip=192.0.2.1 at=end-of-data/local code=553/5.7.0 "553 5.7.0 No, thank you, relay=x"`,
		"ruleset=check_rcpt, arg1=<b@h.example>, relay=mail.snd.example [192.0.2.1], discard", "discarded "+id,
		"ruleset=tls_server, arg1=SOFTWARE, relay=mx.far.example, reject=403 4.7.0 TLS handshake failed.", "",
		"Milter: to=<b@h.example>, reject=451 4.7.1 Greylisting in action, please come back later",
		"rejection "+id+` to=b@h.example at=rcpt/local code=451/4.7.1 "451 4.7.1 Greylisting in action, please come back later"`,
		"Milter: from=<a@snd.example>, reject=550 5.7.23 SPF", "rejection "+id+` from=<a@snd.example> at=mail/local code=550/5.7.23 "550 5.7.23 SPF"`,
		"Milter: data, reject=554 5.7.1 Blocked by SpamAssassin", "rejection "+id+` at=end-of-data/local code=554/5.7.1 "554 5.7.1 Blocked by SpamAssassin"`,
		"milter=clamav, action=body, reject=550 5.7.1 virus", "rejection "+id+` at=end-of-data/local code=550/5.7.1 "550 5.7.1 virus"`,
		"Milter: connect: host=mail.snd.example, addr=192.0.2.1, reject=550 5.7.1 Command rejected", "rejection "+id+` at=connect/local code=550/5.7.1 "550 5.7.1 Command rejected"`,
		"Milter: data, discard", "discarded "+id,
		"Milter insert (1): header: X-Spam: no", "",
		"rejecting commands from mail.snd.example [192.0.2.1] due to pre-greeting traffic after 0 seconds",
		"rejection "+id+` client=mail.snd.example clientip=192.0.2.1 at=connect/local "rejecting commands from mail.snd.example [192.0.2.1] due to pre-greeting traffic after 0 seconds"`,
		"<joe@h.example>... User unknown", "rejection "+id+` to=joe@h.example at=rcpt/local "<joe@h.example>... User unknown"`,
		"<joe@h.example>... No such user here", "rejection "+id+` to=joe@h.example at=rcpt/local "<joe@h.example>... No such user here"`,
		"timeout waiting for input from mail.snd.example [192.0.2.1] during server cmd read", "",
		"lost input channel from mail.snd.example [192.0.2.1] to MTA after rcpt", "",
		"AUTH failure (LOGIN): authentication failure (-13) SASL(-13): checkpass failed, user=x, relay=[192.0.2.1]", "noted incoming",
		"SYSERR(root): collect: I/O error on connection from mail.snd.example, from=<a@snd.example>", "",
	))
	parserstest.Lines(t, "sendmail", []parserstest.Line{
		{Program: "sm-mta", Text: "ruleset=check_relay, arg1=mail.snd.example, arg2=192.0.2.1, relay=mail.snd.example [192.0.2.1], reject=421 4.3.2 Too many open connections.",
			Want: `rejection client=mail.snd.example clientip=192.0.2.1 at=connect/local code=421/4.3.2 "421 4.3.2 Too many open connections."`},
		{Program: "sendmail", Text: "NOQUEUE: tcpwrappers (mail.snd.example, 192.0.2.1) rejection", Want: `rejection clientip=192.0.2.1 at=connect/local "tcpwrappers (mail.snd.example, 192.0.2.1) rejection"`},
		{Program: "sm-mta", Text: "NOQUEUE: connect from mail.snd.example [192.0.2.1]", Result: parsers.Irrelevant},
		{Program: "sm-mta", Text: "starting daemon (8.18.1): SMTP+queueing@00:10:00", Result: parsers.Irrelevant},
	})
}

func TestTrouble(t *testing.T) {
	for text, want := range map[string]string{
		"SYSERR(root): collect: Cannot write ./dfw1 (bfcommit, uid=0, gid=25): No space left on device": `trouble disk/error "collect: Cannot write ./dfw1 (bfcommit, uid=0, gid=25): No space left on device"`,
		"low on space (SMTP-DAEMON needs 101 bytes + 100 blocks in /var/spool/mqueue)":                  `trouble disk/warning "low on space (SMTP-DAEMON needs 101 bytes + 100 blocks in /var/spool/mqueue)"`,
		"rejecting connections on daemon MTA: load average: 15":                                         `trouble limit/warning "rejecting connections on daemon MTA: load average: 15"`,
		"Milter (clamav): error connecting to filter: Connection refused by /run/clamav/clamav.ctl":     `trouble milter/warning "Milter (clamav): error connecting to filter: Connection refused by /run/clamav/clamav.ctl"`,
		`SYSERR(root): hash map "Alias0": missing map file /etc/mail/aliases.db: No such file`:          `trouble configuration/error "hash map \"Alias0\": missing map file /etc/mail/aliases.db: No such file"`,
		"My unqualified host name (mx1) unknown; sleeping for retry":                                    `trouble configuration/warning "My unqualified host name (mx1) unknown; sleeping for retry"`,
		"SYSERR(root): something that nobody foresaw":                                                   `trouble other/error "something that nobody foresaw"`,
	} {
		parserstest.Lines(t, "sendmail", []parserstest.Line{{Program: "sm-mta", Text: "NOQUEUE: " + text, Want: want}})
	}
}

// TestPieces reads a line that sendmail cut for its length.
func TestPieces(t *testing.T) {
	lines := []string{
		id + "[1]: to=<a@far.example>,<b@far.example>, delay=00:00:02, xdelay=00:00:01, ...",
		"4AM6SBxY004799: to=<c@far.example>, delay=00:00:01, mailer=esmtp, dsn=2.0.0, stat=Sent",
		id + "[2]: mailer=esmtp, pri=30874, relay=mx.far.example. [192.0.2.25], dsn=5.1.1, ...",
		id + "[3]: stat=User unknown",
		id + "[2]: of a line whose beginning is lost",
	}
	parserstest.Split(t, "sendmail", "sm-mta", lines...)
	var got []string
	p := New(parsers.Options{})
	for _, l := range lines {
		p.Parse(&parsers.Entry{Program: []byte("sm-mta"), Message: []byte(l)}, func(r *parsers.Record) { got = append(got, parserstest.Show(r)) })
	}
	want := []string{
		"attempt 4AM6SBxY004799 delivered to=c@far.example service=esmtp dsn=2.0.0 delay=1s",
		"attempt " + id + ` failed to=a@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp at=rcpt/remote dsn=5.1.1 delay=2s "User unknown"`,
		"attempt " + id + ` failed to=b@far.example relay=mx.far.example ip=192.0.2.25 service=esmtp at=rcpt/remote dsn=5.1.1 delay=2s "User unknown"`,
	}
	if len(got) != len(want) {
		t.Fatalf("got %q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

var hotLines = []string{
	id + ": from=<a@snd.example>, size=874, class=0, nrcpts=2, msgid=<m1@snd.example>, proto=ESMTPS, daemon=MTA-v4, relay=mail.snd.example [192.0.2.1]",
	id + ": to=<a@far.example>,<b@far.example>, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=30874, relay=mx.far.example. [192.0.2.25], dsn=2.0.0, stat=Sent (2.0.0 Ok: queued as 4F2AB1C3D)",
	id + ": to=<a@far.example>, delay=00:00:02, xdelay=00:00:01, mailer=esmtp, pri=30874, relay=mx.far.example. [192.0.2.25], dsn=4.7.1, stat=Deferred: 451 4.7.1 Greylisted",
	id + ": ruleset=check_rcpt, arg1=<b@h.example>, relay=mail.snd.example [192.0.2.1], reject=550 5.7.1 <b@h.example>... Relaying denied",
	"NOQUEUE: connect from mail.snd.example [192.0.2.1]",
}

func TestNoAllocations(t *testing.T) { parserstest.NoAlloc(t, "sendmail", "sm-mta", hotLines...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "sendmail", "sm-mta", hotLines...) }

func FuzzLines(f *testing.F) {
	parserstest.Fuzz(f, "sendmail", "sm-mta", append(hotLines, id+"[1]: to=<a@x>, ...\n"+id+"[2]: stat=Sent", id+": 4AM6SBxZ004711: DSN: User unknown",
		id+": Milter: to=<b@h>, reject=451 no", id+": to=<\"a, b>@x>,,<c>, stat=queued")...)
}
