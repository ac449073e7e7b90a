package registry

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
)

var replyTests = []struct {
	text string
	want string // Code of what is found
}{
	// The greeting that refuses, and what a filter writes before the code.
	{"220-mailhub 421 4.2.1 Service refused, try later", "421 4.2.1"},
	{"450 cuda_nsu 4.7.1 <bob@example.com>: Recipient address rejected", "450 4.7.1"},
	{"smtp;550-SPF check failed: 550 see", "550"},

	// Joined lines.
	{`550-5.1.1 The account does not exist. 550-5.1.1 Check for typos. 550 5.1.1 See https://example.com`, "550 5.1.1"},
	{`said: 550-5.1.1 The account does not exist. 550 5.1.1 See https://example.com (in reply to RCPT TO command)`, "550 5.1.1"},
	{`550-5.1.1 No such user.\n550 5.1.1 gone`, "550 5.1.1"},
	{`host mx.example.com [192.0.2.5]: 550-5.1.1 No such user.\n550 5.1.1 gone`, "550 5.1.1"},
	{"550-5.1.1 No such user.\r\n550 5.1.1 gone", "550 5.1.1"},
	{`554-Transaction failed (id=1) 554-Error:554 delivery error: dd 554 Transaction failed`, "554"},
	{`554-Transaction failed\n554-Error:554 delivery error: dd\n554 5.7.9 Transaction failed`, "554 5.7.9"},
	{"554-Transaction failed (id=1)\n554-Error:554 delivery error: dd\n554 Transaction failed", "554"},
	{"550-Unknown user\n550 5.1.1 gone", "550 5.1.1"},
	{`550-5.7.26 one 550 5.7.1 other`, "550 5.7.26"},
	{`250-234 Text beginning with numbers`, "250"},

	// Classes that disagree.
	{`421 5.7.32 From header not aligned`, "421 5.7.32"},
	{`550 4.4.7 QUEUE.Expired; message expired`, "550 4.4.7"},
	{`450 5.2.3 Msg Size greater than allowed`, "450 5.2.3"},
	{`552 4.2.2 mailbox full`, "552 4.2.2"},

	// Punctuation.
	{`550 5.1.1. No such user`, "550 5.1.1"},
	{`550 5.7.1: Rejected`, "550 5.7.1"},
	{`550 [5.7.1] Rejected`, "550 5.7.1"},
	{`550 (5.7.1) Rejected`, "550 5.7.1"},
	{`550 #5.1.0 Address rejected.`, "550 5.1.0"},
	{`550: 5.1.1 User unknown`, "550 5.1.1"},
	{`550 : User unknown`, "550"},
	{`550 5.1.1=`, "550 5.1.1"},
	{`550 5.1.1`, "550 5.1.1"},
	{`550 5.1.1<a@example.com> unknown`, "550 5.1.1"},
	{`550 5.1.1.User unknown`, "550 5.1.1"},
	{`550 User unknown (5.1.1)`, "550 5.1.1"},
	{`550 User unknown [5.1.1].`, "550 5.1.1"},
	{`550 sorry, no mailbox here by that name. (#5.1.1)`, "550 5.1.1"},
	{`Sorry, no mailbox here by that name. (#5.1.1)`, "5.1.1"},
	{`5.1.1 User unknown`, "5.1.1"},
	{`550`, "550"},
	{`550-`, "550"},
	{``, ""},

	// Wrappers.
	{`host mx refused to talk to me: 554 Blocked`, "554"},
	{`host mx.example.com[192.0.2.5] refused to talk to me: 554 5.7.1 Blocked`, "554 5.7.1"},
	{`host mx.example.com[192.0.2.5] said: 550 5.1.1 <a@example.com>: gone (in reply to RCPT TO command)`, "550 5.1.1"},
	{`host mx.example.com [192.0.2.5]:25: 451 4.7.1 Greylisted`, "451 4.7.1"},
	{`host mx.example.com[192.0.2.5] said something`, ""},
	{`Remote host said: 550 5.1.1 gone`, "550 5.1.1"},
	{`smtp; 550 5.1.1 User unknown`, "550 5.1.1"},
	{`SMTP;550 5.1.1 User unknown`, "550 5.1.1"},
	{`#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##`, "550 5.1.1"},
	{`#<mail.example.com #5.7.1 smtp;530 5.7.1 Client was not authenticated> #SMTP#`, "530 5.7.1"},
	{`<mail.example.com #5.7.1>`, "5.7.1"},
	{`[{LED=554 5.2.2 mailbox full; STOREDRV.Deliver};{MSG=};{FQDN=};{IP=192.0.2.5};{LRT=}]`, "554 5.2.2"},
	{`550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 Service unavailable`, "550 5.7.350"},
	{`5.1.0 - Unknown address error 550-'5.2.2 <a@example.com>... Mailbox Full'`, "550 5.2.2"},
	{`5.3.0 - Other mail system problem 550-'Unknown user a@example.com' (delivery attempts: 0)`, "550 5.3.0"},

	{`X-Postfix; host mx.example.com[192.0.2.2] said: 501 RCPT TO not accepted: 5.7.1 No relaying (in reply to RCPT TO command)`, "501 5.7.1"},

	// Numbers that are no codes.
	{`554 30 Sorry, this mailbox is disabled (554.30)`, "554"},
	{`552 1 Requested mail action aborted`, "552"},
	{`421 4.7.0 [TSS04] Messages from 4.4.2.1 temporarily deferred - 4.16.55.1`, "421 4.7.0"},
	{`421 Messages from 4.4.2.1 temporarily deferred - 4.16.55.1`, "421"},
	{`451 Resources temporarily not available - Please try again later [#4.16.5]`, "451"},
	{`550-5.7.1 [192.0.2.222      13] Our system has detected`, "550 5.7.1"},
	{`521-5.7.1 Service unavailable; client [203.0.113.225] blocked`, "521 5.7.1"},
	{`450 4.4.316 Connection refused [Message=Socket error code 10061]`, "450 4.4.316"},
	{`250 2.0.0 OK 1690812345 a1-20si5501234qko.550 - gsmtp`, "250 2.0.0"},
	{`250 2.0.0 Ok: queued as 4505511A2B`, "250 2.0.0"},
	{`220 mx.example.com ESMTP Postfix (2.7.1)`, "220"},
	{`334 VXNlcm5hbWU6`, "334"},
	{`550 5.01.001 bad`, "550"},
	{`550 05.1.1`, "550"},
	{`550 5.1.1000`, "550"},
	{`550 5.1`, "550"},
	{`550 .1.2`, "550"},
	{`550 5.1.1.4 is listed`, "550"},
	{`550 5.0.192.in-addr.arpa has no name`, "550"},
	{`550 see https://example.com/err/5.7.1.html`, "550"},
	{`550 see https://example.com/?code=554`, "550"},

	// No replies at all. Whole log lines are not given to ParseReply; that it
	// takes nothing from them is a second line of defence.
	{`defer (-53): retry time not reached for any host`, ""},
	{`defer (111): Connection refused`, ""},
	{`X-Unix; 255`, ""},
	{`x-unix; 77`, ""},
	{`<= a@example.com H=mx [192.0.2.5] P=esmtps S=554 id=5.1.1.20240731@example.com`, ""},
	{`from=<a@example.com>, size=550, nrcpt=1 (queue active)`, ""},
	{`delay=450, delays=0.1/0.1/421/28, dsn=2.0.0`, ""}, // dsn= is the MTA's own status
	{`postfix/smtpd[550]: connect from host[5.1.1.1]`, ""},
	{`2024-07-31T10:11:12.550Z,,MBX,5.7.2,...`, ""},
	{`Dovecot 2.3.4, Exim 4.94.2, 15.2.986.5, SMTPSVC(5.0.2195.5600), OpenSSL 1.1.1`, ""},
	{`4.94.2rc1 is a version`, ""},
	{`2.3.4-1`, ""},
	{`2.0.192.in-addr.arpa`, ""},
	{`4.3.2.1.zen.example.org`, ""},
	{`on 4.7.24 at 05:50`, ""},
	{`2024.7.31`, ""},
	{`5.1.2024`, ""},
	{`https://example.com/err/5.7.1.html`, ""},
	{`?code=550`, ""},
	{`HTTP 429 Too Many Requests`, ""},
	{`API returned 503`, ""},
	{`250.1.2.3`, ""},
	{`4505511A2B`, ""},
	{`550abc`, ""},
	{`connect to mx.example.com[192.0.2.5]:25: Connection refused`, ""},
}

func TestParseReply(t *testing.T) {
	for _, test := range replyTests {
		r := ParseReply([]byte(test.text))
		if got := Code(r.Code, r.Enhanced); got != test.want {
			t.Errorf("ParseReply(%q) = %q, want %q", test.text, got, test.want)
		}
		if string(r.Text) != test.text {
			t.Errorf("ParseReply(%q) changed the text to %q", test.text, r.Text)
		}
	}
}

func TestInnerReply(t *testing.T) {
	tests := []struct{ text, want string }{
		{`451 4.4.0 Primary target IP address responded with: "421 4.7.0 Try again later." Attempted failover to alternate host, but that did not succeed.`, `421 4.7.0 Try again later.`},
		{`441 4.4.1 Error encountered while communicating with primary target IP address: "421 4.2.1 Unable to connect." Attempted failover`, `421 4.2.1 Unable to connect.`},
		{`451 4.4.0 Error encountered while communicating with primary outbound frontend IP address:   "421 4.7.0 Slow down."   Attempted failover`, `421 4.7.0 Slow down.`},
		{`550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 Service unavailable`, `554 5.7.1 Service unavailable`},
		{`450 4.7.0 Proxy session setup failed on Frontend with '451 4.4.0 DNS query isn't done'`, `451 4.4.0 DNS query isn't done`},
		{`450 4.1.1 <a@b>: Recipient address rejected: unverified address: host mx.b[192.0.2.1] said: 451 4.3.0 Busy (in reply to RCPT TO command)`, `451 4.3.0 Busy (in reply to RCPT TO command)`},
		{`550-Callback setup failed while verifying <a@b>\n550-The response to RCPT TO was: 550 5.1.1 no`, `550 5.1.1 no`},
		{`554 remote said "550 No such user" (#5.1.1)`, `550 No such user`},
		{`5.1.0 - Unknown address error 550-'5.2.2 <a@example.com>... Mailbox Full'`, `550-'5.2.2 <a@example.com>... Mailbox Full`},
		{`550 5.1.1 User unknown`, ""},
		{`550 5.7.1 a -> b`, ""},
		{`550 he said: nothing`, ""},
		{`"`, ""},
		{``, ""},
	}
	for _, test := range tests {
		if got := InnerReply([]byte(test.text)); string(got) != test.want || (got == nil) != (test.want == "") {
			t.Errorf("InnerReply(%q) = %q, want %q", test.text, got, test.want)
		}
	}
}

func TestParseReplyAllocatesNothing(t *testing.T) {
	texts := make([][]byte, len(replyTests))
	for i, test := range replyTests {
		texts[i] = []byte(test.text)
	}
	allocs := testing.AllocsPerRun(10, func() {
		for _, text := range texts {
			ParseReply(text)
			InnerReply(text)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// TestCorpusReplies compares with the codes Sisimai's authors read out of the
// Diagnostic-Code fields of real bounces. What differs is listed with -v.
func TestCorpusReplies(t *testing.T) {
	f, err := os.Open("../../shared/corpus/replies/sisimai-diagnostics.tsv")
	if err != nil {
		t.Skip("no corpus of replies beside the checkout")
	}
	defer f.Close()
	var texts, replies, enhanced int
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		c := strings.Split(lines.Text(), "\t")
		if len(c) < 8 || c[4] == "" || c[7] == "" || c[0] == "mail" { // without a reason there are no expectations
			continue
		}
		texts++
		r := ParseReply([]byte(c[4]))
		reply := ""
		if r.Code != 0 {
			reply = strconv.Itoa(int(r.Code))
		}
		if reply == c[6] {
			replies++
		} else {
			t.Logf("%s: reply %q, theirs %q: %.150q", c[0], reply, c[6], c[4])
		}
		want, _ := ParseEnhanced(c[5])
		if strings.Contains(c[5], ".0.9") { // Sisimai's own, for "none"
			want = Enhanced{}
		}
		status, _, _ := strings.Cut(c[3], " ")
		if r.Enhanced == want || r.Enhanced.IsZero() && status == c[5] { // theirs is from the Status field
			enhanced++
		} else {
			t.Logf("%s: enhanced %q, theirs %q: %.150q", c[0], r.Enhanced, c[5], c[4])
		}
	}
	t.Logf("%d texts: %d reply codes and %d enhanced codes agree", texts, replies, enhanced)
	if texts < 100 || replies*100 < texts*95 || enhanced*100 < texts*95 {
		t.Errorf("under 95 %% agree")
	}
}

func FuzzParseReply(f *testing.F) {
	for _, test := range replyTests {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := ParseReply(text)
		if r.Code != 0 && (r.Code < 200 || r.Code > 599) {
			t.Errorf("reply code %d", r.Code)
		}
		if e := r.Enhanced; !e.IsZero() {
			if again, ok := ParseEnhanced(e.String()); !ok || again != e {
				t.Errorf("enhanced code %v is not valid", e)
			}
		}
		if inner := InnerReply(text); inner != nil && ParseReply(inner).Code == 0 {
			t.Errorf("inner reply %q has no code", inner)
		}
	})
}

func BenchmarkParseReply(b *testing.B) {
	text := []byte(`550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. 550 5.1.1 Learn more at https://support.google.com/mail/?p=NoSuchUser a1-20si550qko.1 - gsmtp`)
	b.Run("enhanced", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ParseReply(text)
		}
	})
	plain := []byte(`550 Requested action not taken: mailbox unavailable, see https://example.com/help for more information about this`)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ParseReply(plain)
		}
	})
}
