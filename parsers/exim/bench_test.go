package exim

import (
	"bytes"
	"testing"
	"time"

	"mailfail/parsers"
)

// benchmark parses lines over and over, as a log file or through syslog.
func benchmark(b *testing.B, e parsers.Entry, lines ...string) {
	p := New(parsers.Options{Location: time.UTC, Host: "mx1"})
	var text [][]byte
	var size int64
	for _, l := range lines {
		text = append(text, []byte(l))
		size += int64(len(l)) + 1
	}
	records := 0
	emit := func(*parsers.Record) { records++ }
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range text {
			e.Message = l
			p.Parse(&e, emit)
		}
	}
	if records == 0 {
		b.Fatal("no records")
	}
}

const at = "2026-11-22 06:28:12 1xV13b-00001M-2y "

func BenchmarkBounce(b *testing.B) {
	benchmark(b, parsers.Entry{}, at+`** ann@bigmail.test R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.21] X=TLS1.3:ECDHE_RSA:256 CV=yes: SMTP error from remote mail server after RCPT TO:<ann@bigmail.test>: 550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the recipient's email address for typos or\n550 5.1.1  https://support.bigmail.test/mail/?p=NoSuchUser 4fcf6 - gsmtp`)
}

func BenchmarkDeferral(b *testing.B) {
	benchmark(b, parsers.Entry{}, at+`== ann@bigmail.test R=dnslookup T=remote_smtp defer (-46) H=mx.bigmail.test [192.0.2.21]: SMTP error from remote mail server after pipelined DATA: 451 4.7.1 Greylisted, try again in 5 seconds`)
}

func BenchmarkSuspended(b *testing.B) {
	benchmark(b, parsers.Entry{}, at+`== ann@bigmail.test R=dnslookup T=remote_smtp defer (-54): retry time not reached for any host for 'bigmail.test'`)
}

func BenchmarkDelivery(b *testing.B) {
	benchmark(b, parsers.Entry{}, at+`=> ann@bigmail.test R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.21] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C="250 2.0.0 OK  1795328892 a1b2c3d4e5f6.12 - gsmtp"`)
}

func BenchmarkDeliverySyslog(b *testing.B) {
	benchmark(b, parsers.Entry{Time: time.Unix(1795328892, 0), Host: []byte("mx1"), Program: []byte("exim"), PID: []byte("90")},
		at+`=> ann@bigmail.test R=dnslookup T=remote_smtp H=mx.bigmail.test [192.0.2.21] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C="250 2.0.0 OK  1795328892 a1b2c3d4e5f6.12 - gsmtp"`)
}

func BenchmarkRefusal(b *testing.B) {
	benchmark(b, parsers.Entry{}, `2026-11-22 06:28:12 H=mail.partner.test (helo.partner.test) [192.0.2.2] F=<bob@partner.test> rejected RCPT <ann@sender.test>: 192.0.2.2 is listed at zen.example.test`)
}

// BenchmarkLog reads a whole real log.
func BenchmarkLog(b *testing.B) {
	main, _, _ := inbound(b)
	var lines []string
	for l := range bytes.Lines(main) {
		lines = append(lines, string(bytes.TrimSuffix(l, []byte("\n"))))
	}
	benchmark(b, parsers.Entry{}, lines...)
}

// TestParseDoesNotAllocate holds the hot path to it.
func TestParseDoesNotAllocate(t *testing.T) {
	main, _, _ := inbound(t)
	lines := bytes.Split(main, []byte("\n"))
	p := New(parsers.Options{Location: time.UTC})
	emit := func(*parsers.Record) {}
	var e parsers.Entry
	if n := testing.AllocsPerRun(10, func() {
		for _, l := range lines {
			e.Message = l
			p.Parse(&e, emit)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations for %d lines", n, len(lines))
	}
}
