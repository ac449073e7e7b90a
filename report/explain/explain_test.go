package explain

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"

	"mailfail/parsers/dsn"
	"mailfail/registry"
)

var x = Explainer{registry.DefaultRules()}

// has reports whether an answer explains a code as what it is.
func has(a *Answer, kind, code string) bool {
	for _, c := range a.Codes {
		if c.Kind == kind && (c.Code == code || kind == "enhanced" && c.entry.Code == code) {
			return true
		}
	}
	return false
}

// TestExplainEverything walks all codes of the standards and of five lists
// that people use, as they are spelled there.
func TestExplainEverything(t *testing.T) {
	data, err := os.ReadFile("testdata/codes.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		n++
		a := x.Text(f[0])
		if f[1] == "none" {
			if len(a.Codes) != 0 {
				t.Errorf("%q holds no code, but %s is found", f[0], a.Codes[0].Code)
			}
			continue
		}
		if !has(a, f[1], f[2]) {
			var got []string
			for _, c := range a.Codes {
				got = append(got, c.Kind+" "+c.Code)
			}
			t.Errorf("explain %q lacks %s %s: %v", f[0], f[1], f[2], got)
		}
		for _, c := range a.Codes {
			if c.Name == "" || c.Meaning == "" || c.Cause == "" || c.Action == "" || c.Recipient == "" || c.Reference == "" {
				t.Errorf("explain %q: %s is not explained", f[0], c.Code)
			}
		}
	}
	if n < 250 {
		t.Errorf("%d spellings", n)
	}
}

func TestTypos(t *testing.T) {
	tests := []struct{ in, kind, code string }{
		{"571", "enhanced", "5.7.1"},
		{"571", "reply", "571"},
		{"5.71", "enhanced", "5.7.1"},
		{"57.1", "enhanced", "5.7.1"},
		{"5,7,1", "enhanced", "5.7.1"},
		{"5-7-1", "enhanced", "5.7.1"},
		{"5 7 1", "enhanced", "5.7.1"},
		{"5..7.1", "enhanced", "5.7.1"},
		{"5.07.01", "enhanced", "5.7.1"},
		{"5.7.l", "enhanced", "5.7.1"},
		{"x.1.1", "enhanced", "X.1.1"},
		{"X.1.1", "enhanced", "X.1.1"},
		{"#5.1.1", "enhanced", "5.1.1"},
		{"(#5.1.1)", "enhanced", "5.1.1"},
		{"5.1.1.", "enhanced", "5.1.1"},
		{"550-5.1.1", "enhanced", "5.1.1"},
		{"550-5.1.1", "reply", "550"},
		{"550 5.1.1", "reply", "550"},
		{"5505.1.1", "reply", "550"},
		{"55O", "reply", "550"},
		{"SMTP error 550", "reply", "550"},
		{"error code: 5.7.26", "enhanced", "5.7.26"},
		{"Status: 5.1.1", "enhanced", "5.1.1"},
		{"dsn=4.4.1", "enhanced", "4.4.1"},
		{"5.7.999", "enhanced", "5.7.999"},
		{"599", "reply", "599"},
		{"5xx", "reply", "5xx"},
		{"5.7.x", "enhanced", "X.7.X"},
		{"4.x.x", "enhanced", "4.X.X"},
		{"1.1.1", "pseudo", "111"},
	}
	for _, test := range tests {
		if a := x.Text(test.in); !has(a, test.kind, test.code) {
			t.Errorf("explain %q lacks %s %s: %+v", test.in, test.kind, test.code, a.Codes)
		}
	}
	for _, in := range []string{"", "hello", "1.2.3.4", "999", "5.1.1.1", "123456", "2024-07-31", "12:30"} {
		if a := x.Text(in); len(a.Codes) != 0 {
			t.Errorf("explain %q finds %s", in, a.Codes[0].Code)
		}
	}
}

func TestNotes(t *testing.T) {
	tests := []struct{ in, note string }{
		{"450 5.2.3 Msg Size greater than allowed", "The codes disagree: 450 is temporary, 5.2.3 is permanent."},
		{"5.71", "was read as 5.7.1"},
		{"451 4.4.0 Primary target IP address responded with: \"421 4.7.0 Try later\"", "another server's reply: 421 4.7.0"},
	}
	for _, test := range tests {
		if a := x.Text(test.in); !strings.Contains(strings.Join(a.Notes, " "), test.note) {
			t.Errorf("explain %q notes %q", test.in, a.Notes)
		}
	}
	if a := x.Text("== bob@example.com R=r T=t defer (-53): retry time not reached for any host"); !has(a, "pseudo", "Exim defer (-53)") {
		t.Errorf("defer (-53): %+v", a.Codes)
	}
	if a := x.Text("4.7.650"); a.Codes[0].Name != "Sending IP rate limited for reputation (S775)" {
		t.Errorf("4.7.650 is %q", a.Codes[0].Name)
	}
}

func TestReplies(t *testing.T) {
	tests := []struct {
		in       string
		code     string
		reason   string
		provider string
	}{
		{"550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550 5.7.26 https://support.google.com/mail/answer/81126", "5.7.26", "authentication", "Google"},
		{"550 5.1.1 <bob@example.com> 192.0.2.1 has sent to too many recipients this hour", "5.1.1", "rate-limited", ""},
		{`Nov 20 06:27:30 mx postfix/smtp[123]: 4505511A2B: to=<bob@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 <bob@example.com>: User unknown (in reply to RCPT TO command))`, "5.1.1", "user-unknown", ""},
		{`postfix/smtp[1]: 4505511A2B: to=<b@example.com>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to mx.example.com[192.0.2.1]:25: Connection refused)`, "4.4.1", "connection", ""},
		{`2026-11-20 06:27:30 1xV11L-00001R-1E ** bob@example.com R=dnslookup T=remote_smtp H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<bob@example.com>: 550 5.1.1 No such user`, "5.1.1", "user-unknown", ""},
		{`450 4.1.1 <a@b.example>: Recipient address rejected: unverified address: host mx.b.example[192.0.2.1] said: 451 4.3.0 Busy (in reply to RCPT TO command)`, "4.3.0", "system", ""},
		{"Connection refused", "4.4.1", "connection", ""},
	}
	for _, test := range tests {
		a := x.Text(test.in)
		if !has(a, "enhanced", test.code) || a.Reason == nil || a.Reason.Reason != test.reason || a.Reason.Provider != test.provider {
			t.Errorf("%q: %+v, codes %d", test.in, a.Reason, len(a.Codes))
		}
	}
}

const qmailBounce = "From: MAILER-DAEMON@mx.example.org\nTo: a@example.org\nSubject: failure notice\n\n" +
	"Hi. This is the qmail-send program at mx.example.org.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\n" +
	"<bob@example.com>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 no such user\nGiving up on 192.0.2.1.\n\n" +
	"--- Below this line is a copy of the message.\n\nTo: <eve@example.net>\nSubject: 554 5.7.1 spam\n"

const eximBounce = "From: Mailer-Daemon@mx.example.org\nTo: a@example.org\nX-Failed-Recipients: bob@example.com\nSubject: Mail delivery failed\n\n" +
	"This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n" +
	"  bob@example.com\n    SMTP error from remote mail server after RCPT TO:<bob@example.com>:\n    host mx.example.com [192.0.2.1]: 552 5.2.2 Mailbox full\n\n" +
	"------ This is a copy of the message, including all the headers. ------\n\nTo: <eve@example.net>\n"

const postfixBounce = "From: MAILER-DAEMON@mx.example.org\nTo: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n" +
	"--b\nContent-Type: text/plain\n\nThis is the mail system at host mx.example.org.\n\n<bob@example.com>: host mx.example.com[192.0.2.1] said: 550 5.7.1\n    <bob@example.com>: blocked using zen.spamhaus.org (in reply to RCPT TO command)\n\n" +
	"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; bob@example.com\nAction: failed\nStatus: 5.7.1\nRemote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; 550 5.7.1 <bob@example.com>: blocked using zen.spamhaus.org\n\n" +
	"Final-Recipient: rfc822; eve@example.com\nAction: failed\nStatus: 4.4.7\n\n--b--\n"

const exchangeBounce = "From: postmaster@example.com\nTo: a@example.org\nSubject: Undeliverable: hello\n\n" +
	"Delivery has failed to these recipients or groups:\n\nbob@example.com\nThe email address you entered couldn't be found.\n\n" +
	"Diagnostic information for administrators:\n\nGenerating server: EX1.example.com\n\nbob@example.com\nRemote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'\n\nOriginal message headers:\n\nReceived: from x\nTo: <eve@example.net>\n"

const office365Bounce = `From: Microsoft Outlook <MicrosoftExchange329@birch.example>
To: a@birch.example
Subject: Undeliverable: hello
Content-Type: text/plain

Your message to lena@far.example couldn't be delivered.
lena wasn't found at far.example.

Error Details
Error:  550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient lena@far.example not found by SMTP address lookup
Message rejected by:  AM9PR02MB0002.eurprd01.prod.exchangelabs.com

How to Fix It
The address may be misspelled or may not exist.

More Info for Email Admins
Status code: 550 5.1.10

This error occurs because the sender sent a message to an email address hosted by Office 365 but the address is incorrect.

Original Message Details
Created Date:   11/20/2026 10:00:00 AM
Sender Address: a@birch.example
Recipient Address:      lena@far.example
Subject:        hello
Error Details
Reported error: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient lena@far.example not found by SMTP address lookup
DSN generated by:       AM9PR02MB0002.eurprd01.prod.outlook.com
`

const expiredBounce = `From: postmaster@far.example
To: a@birch.example
Subject: Undeliverable: hello

Delivery has failed to these recipients or groups:

lena@far.example
Diagnostic information for administrators:

Generating server: EX1.birch.example

lena@far.example
Remote Server returned '550 4.4.7 QUEUE.Expired; message expired'
Remote Server at far.example (192.0.2.1) returned '451 4.4.0 SMTPSEND.SuspiciousRemoteServerError; remote server disconnected abruptly'

Original message headers:

Received: from x
`

const workMailBounce = `From: MAILER-DAEMON@amazonses.com
To: a@birch.example
Subject: Delivery Status Notification (Failure)
Content-Type: multipart/report; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: quoted-printable

Your message couldn't be delivered=2E

Technical report:

Reporting-MTA: dns; a1-2.smtp-out.eu-west-1.amazonses.com

Action: failed
Final-Recipient: rfc822; lena@far.example
Diagnostic-Code: smtp; 550 5.1.1 <lena@far.example>: user unk=
nown
Status: 5.1.1

--b--
`

const sendmailBounce = `From: MAILER-DAEMON@mx.birch.example
To: a@birch.example
Subject: Warning: could not send message for past 4 hours
Content-Type: multipart/report; boundary="b"

--b

The original message was received at Fri, 20 Nov 2026 10:00:00 +0000

   ----- Transcript of session follows -----
<lena@far.example>... Deferred: Connection refused by mx.far.example.
Message could not be delivered for 5 days
Message will be deleted from queue

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.birch.example

Final-Recipient: RFC822; lena@far.example
Action: failed
Status: 4.4.7
Last-Attempt-Date: Fri, 20 Nov 2026 10:00:00 +0000

--b--
`

// expandedBounce names the recipient in a list, with the alias from which it came.
var expandedBounce = strings.Replace(sendmailBounce, "   ----- Transcript", "   ----- The following addresses had permanent fatal errors -----\n"+
	"<lena@far.example>\n    (expanded from: <all@birch.example>)\n\n   ----- Transcript", 1)

// bareWorkMailBounce has no sentence that a reader of texts takes for a recipient.
var bareWorkMailBounce = strings.Replace(workMailBounce, "<lena@far.example>: user unk=", "the user is unk=", 1)

// brokenBounce has its boundaries indented, so that the report is in the text.
const brokenBounce = `From: MAILER-DAEMON@mx.shop.example
Subject: Returned mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="AA11"

--AA11
Content-Type: text/plain

Your message came to nothing.

 --AA11
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example

Final-Recipient: rfc822;lena@far.example
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 550 nobody here
 is called lena, user unknown

Final-Recipient: rfc822;otto@slow.example
Action: delayed
Status: 4.0.0 (slow.example: host name lookup failure)

 --AA11
`

// sentOnBounce is a bounce in a bounce that says nothing.
const sentOnBounce = `From: gateway@far.example
Subject: Returned
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="GW"

--GW
Content-Type: text/plain

The original message was received at noon.

--GW
Content-Type: message/rfc822

From: MAILER-DAEMON@mx.shop.example
Subject: Returned mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="IN"

--IN
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.shop.example

Final-Recipient: rfc822; lena@far.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--IN--
--GW--
`

// qmailHelo is about the name in HELO, whatever the server says of domains.
const qmailHelo = `From: MAILER-DAEMON@shop.example
Subject: failure notice

Hi. This is the qmail-send program at shop.example.

<lena@far.example>:
Connected to 192.0.2.9 but my name was rejected.
Remote host said: 501 5.0.0 Invalid domain name
`

func TestMessages(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string // address, code, reason
	}{
		{"qmail", qmailBounce, []string{"bob@example.com 5.1.1 user-unknown"}},
		{"exim", eximBounce, []string{"bob@example.com 5.2.2 mailbox-full"}},
		{"postfix", postfixBounce, []string{"bob@example.com 5.7.1 blocklist", "eve@example.com 4.4.7 expired"}},
		{"exchange", exchangeBounce, []string{"bob@example.com 5.1.10 user-unknown"}},
		{"office 365", office365Bounce, []string{"lena@far.example 5.1.10 user-unknown"}},
		{"expired", expiredBounce, []string{"lena@far.example 4.4.7 connection-lost"}},
		{"workmail", workMailBounce, []string{"lena@far.example 5.1.1 user-unknown"}},
		{"workmail without an address in the reply", bareWorkMailBounce, []string{"lena@far.example 5.1.1 user-unknown"}},
		{"sendmail with an alias", expandedBounce, []string{"lena@far.example 4.4.7 connection"}},
		{"sendmail", sendmailBounce, []string{"lena@far.example 4.4.7 connection"}},
		{"a broken structure", brokenBounce, []string{"lena@far.example 550 user-unknown", "otto@slow.example 4.0.0 dns"}},
		{"a bounce sent on", sentOnBounce, []string{"lena@far.example 5.1.1 user-unknown"}},
		{"qmail at HELO", qmailHelo, []string{"lena@far.example 5.0.0 reverse-dns"}},
		{"crlf", strings.ReplaceAll(eximBounce, "\n", "\r\n"), []string{"bob@example.com 5.2.2 mailbox-full"}},
		{"mbox", "From MAILER-DAEMON Fri Feb 13 02:45:58 2015\n" + eximBounce, []string{"bob@example.com 5.2.2 mailbox-full"}},
		{"a reply", "550 5.1.1 no such user\n", nil},
		{"empty", "", nil},
	}
	for _, test := range tests {
		a, err := x.Message(test.name, strings.NewReader(test.text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range a.Recipients {
			code, reason := "", ""
			if len(r.Codes) > 0 {
				code = r.Codes[0].Code
			}
			if r.Reason != nil {
				reason = r.Reason.Reason
			}
			got = append(got, r.Address+" "+code+" "+reason)
		}
		if strings.Join(got, "; ") != strings.Join(test.want, "; ") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := x.Text("550 5.1.1 User unknown").WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Schema, Input string
		Codes         []map[string]any
		Reason        map[string]any
	}
	if err := json.Unmarshal(b.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Schema != "mailfail/explain/1" || m.Input != "550 5.1.1 User unknown" || len(m.Codes) < 2 || m.Reason["reason"] != "user-unknown" {
		t.Errorf("%s", b.String())
	}
	for _, key := range []string{"code", "kind", "name", "class", "meaning", "cause", "action", "reference", "vendors", "notes"} {
		if m.Codes[0][key] == nil {
			t.Errorf("no %s in a code", key)
		}
	}
	b.Reset()
	if err := x.Text("nonsense").WriteJSON(&b); err != nil || !strings.Contains(b.String(), `"codes": []`) {
		t.Errorf("%v: %s", err, b.String())
	}
}

// printable checks that nothing a stranger wrote reaches the terminal as a
// command.
func printable(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Fatalf("%U in %q", r, s)
		}
	}
}

func TestTextIsSafe(t *testing.T) {
	for _, in := range []string{
		"550 5.1.1 \x1b[2Jgone\x07 \u202e",
		"To: a@b\nSubject: x\n\n<evil\x1b]0;x\x07@example.com>: 550 5.1.1 \x9b2J no\n",
	} {
		a, err := x.Message("x\x1b", strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := a.WriteText(&b, 80); err != nil {
			t.Fatal(err)
		}
		printable(t, b.String())
		for line := range strings.Lines(b.String()) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
				t.Errorf("wide line %q", line)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range []string{qmailBounce, eximBounce, postfixBounce, exchangeBounce, "550 5.1.1 x", "5.71", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := x.Message("fuzz", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Recipients) > dsn.MaxRecipients {
			t.Errorf("%d recipients", len(a.Recipients))
		}
		var b strings.Builder
		if err := a.WriteText(&b, 80); err != nil {
			t.Fatal(err)
		}
		printable(t, b.String())
		if err := a.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNamed explains reasons and operators' tags by name.
func TestNamed(t *testing.T) {
	tests := []struct{ in, reason, tag, advice string }{
		{"mailbox-full", "mailbox-full", "", "drop the address"},
		{"Greylisted", "greylisted", "", "try for longer"},
		{"unknown", "unknown", "", "Read the reply"},
		{"TSS04", "rate-limited", "TSS04", "Slow down"},
		{"AS(201806281)", "rate-limited", "AS(201806281)", "Slow down"},
		{"AS(4711)", "", "AS(4711)", ""},
		{"OFR_506", "spam-content", "OFR_506", "Look at the message"},
		{"ofr_777", "", "ofr_777", ""},
	}
	for _, test := range tests {
		a := x.Text(test.in)
		reason, advice, tag := "", "", ""
		if a.Reason != nil {
			reason, advice = a.Reason.Reason, a.Reason.Advice
		}
		if len(a.Tags) > 0 {
			tag = a.Tags[0].Tag
		}
		if reason != test.reason || tag != test.tag || !strings.Contains(advice, test.advice) {
			t.Errorf("%s: %s, tag %s, %q", test.in, reason, tag, advice)
		}
		if !IsCode(test.in) {
			t.Errorf("%s might be a file", test.in)
		}
	}
}

// TestLift looks at what is taken out of replies.
func TestLift(t *testing.T) {
	tests := []struct {
		in                     string
		list, refused, contact string
		links                  int
	}{
		{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", "zen.spamhaus.org", "192.0.2.1", "", 1},
		{"550 5.7.1 2001:db8::7 is listed at bl.example.net.", "bl.example.net", "2001:db8::7", "", 0},
		{"554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.example to clarify.) (BL)", "", "192.0.2.1", "tosa@rx.t-online.example", 0},
		{"550 5.1.1 <bob@example.com>: User unknown", "", "bob@example.com", "", 0},
		{"553 5.3.0 DNSBL: 192.0.2.1 is blocked. For assistance forward this error to abuse_rbl@abuse.example", "", "192.0.2.1", "abuse_rbl@abuse.example", 0},
		{"421 too busy", "", "", "", 0},
	}
	for _, test := range tests {
		c := x.Text(test.in).Contains
		if c == nil {
			c = &Contains{}
		}
		if c.List != test.list || c.Refused != test.refused || c.Contact != test.contact || len(c.Links) != test.links {
			t.Errorf("%q: %+v", test.in, *c)
		}
	}
}

func TestDisagreement(t *testing.T) {
	for in, want := range map[string]string{
		"550 5.1.1 rate limit exceeded":                                 "the words of the reply hold",
		"550 5.1.1 user unknown":                                        "",
		"550 5.1.1 mailbox unavailable (in reply to MAIL FROM command)": "the stage at which it failed holds",
	} {
		if got := x.Text(in).Reason.Disagreement; !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestTrace(t *testing.T) {
	for text, want := range map[string]string{
		postfixBounce: "",
		strings.Replace(postfixBounce, "Reporting-MTA: dns; mx.example.org\n", "Reporting-MTA: dns; mx.example.org\nX-Postfix-Queue-ID: 4505511A2B\n", 1):                       "4505511A2B",
		eximBounce + "Received: from a by mx.example.org with esmtp (Exim 4.98)\n\t(envelope-from <a@example.org>)\n\tid 1x6mUX-00000006Pyv-1AAT\n\tfor bob@example.com; Fri\n": "1x6mUX-00000006Pyv-1AAT",
	} {
		a, err := x.Message("x", strings.NewReader(text))
		if err != nil || a.Trace != want {
			t.Errorf("trace %q, want %q (%v)", a.Trace, want, err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	for b.Loop() {
		x.Text("550 5.1.1 <bob@example.com>: User unknown in local recipient table")
	}
}
