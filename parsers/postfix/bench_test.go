package postfix

import (
	"path/filepath"
	"testing"
	"time"

	"mailfail/parsers"
)

// benchLines are lines of each kind, with the prefix of classic syslog.
var benchLines = []struct{ name, line string }{
	{"bounce", "Nov 22 06:28:08 mx1 postfix/smtp[295]: 4jXJzW6c5Zz8tZV: to=<lars13@perr.test>, relay=mx.perr.test[127.0.1.57]:25, delay=0.44, delays=0.04/0.3/0.07/0.03, dsn=5.1.1, status=bounced (host mx.perr.test[127.0.1.57] said: 550 5.1.1 <lars13@perr.test>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))"},
	{"sent", "Nov 22 06:28:08 mx1 postfix/smtp[295]: 4jXJzW6c5Zz8tZV: to=<lars13@perr.test>, relay=mx.perr.test[127.0.1.57]:25, delay=0.44, delays=0.04/0.3/0.07/0.03, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4F2C81206A6)"},
	{"queued", "Nov 22 06:28:08 mx1 postfix/qmgr[251]: 4jXJzW6c5Zz8tZV: from=<news@list.sender.test>, size=860, nrcpt=1 (queue active)"},
	{"removed", "Nov 22 06:28:08 mx1 postfix/qmgr[251]: 4jXJzW6c5Zz8tZV: removed"},
	{"reject", "Nov 22 06:25:55 mx1 postfix/smtpd[253]: NOQUEUE: reject: RCPT from client1.partner.test[127.0.3.1]: 554 5.7.1 <dmartinez@bigmail.test>: Relay access denied; from=<user0@partner.test> to=<dmartinez@bigmail.test> proto=ESMTP helo=<client1.partner.test>"},
	{"connect", "Nov 22 06:28:08 mx1 postfix/smtpd[253]: connect from localhost[127.0.0.1]"},
	{"other", "Nov 22 06:28:08 mx1 dovecot: imap-login: Login: user=<joe>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.2, mpid=4711, TLS"},
}

func BenchmarkLine(b *testing.B) {
	for _, l := range benchLines {
		line := []byte(l.line)
		b.Run(l.name, func(b *testing.B) {
			s := newStream(b)
			records := 0
			emit := func(*parsers.Record) { records++ }
			b.ReportAllocs()
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				s.Parse(line, emit)
			}
		})
	}
}

// BenchmarkParser reads the message of a bounce line, without its prefix.
func BenchmarkParser(b *testing.B) {
	for _, l := range benchLines[:2] {
		b.Run(l.name, func(b *testing.B) {
			p := New(parsers.Options{Location: time.UTC})
			e := &parsers.Entry{Program: []byte("postfix/smtp"), Message: []byte(l.line[len("Nov 22 06:28:08 mx1 postfix/smtp[295]: "):])}
			b.ReportAllocs()
			for b.Loop() {
				p.Parse(e, func(*parsers.Record) {})
			}
		})
	}
}

// BenchmarkLog reads a whole real log.
func BenchmarkLog(b *testing.B) {
	files, err := filepath.Glob(filepath.Join(shared, "corpus-real/postfix-plain-rsyslog/mail.classic.log"))
	if err != nil || len(files) == 0 {
		b.Skip("no logs in " + shared)
	}
	lines := readLines(b, files[0])
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		s := newStream(b)
		for _, l := range lines {
			s.Parse(l, func(*parsers.Record) {})
		}
	}
}

// TestNoAllocations holds the hot path to none.
func TestNoAllocations(t *testing.T) {
	for _, l := range benchLines {
		s := newStream(t)
		line := []byte(l.line)
		emit := func(*parsers.Record) {}
		s.Parse(line, emit)
		if n := testing.AllocsPerRun(100, func() { s.Parse(line, emit) }); n != 0 {
			t.Errorf("%s: %v allocations a line", l.name, n)
		}
	}
}
