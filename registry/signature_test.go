package registry

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

var signatureTests = []struct{ text, want string }{
	{"", ""},
	{"550", "550"},
	{"550 User unknown", "550 User unknown"},
	{"550 5.1.1 <bob@example.com>... User unknown", "550 5.1.1 <{email}>... User unknown"},
	{"550 5.1.1 <SRS0=x1=y=z.example=bob@example.com>: no", "550 5.1.1 <{email}>: no"},

	// The three ways of joining lines give one signature.
	{"550-5.1.1 No such 550-5.1.1 user here. 550 5.1.1 Bye", "550 5.1.1 No such user here. Bye"},
	{`550-5.1.1 No such\n550-5.1.1 user here.\n550 5.1.1 Bye`, "550 5.1.1 No such user here. Bye"},
	{"550-5.1.1 No such\r\n550-5.1.1 user here.\r\n550 5.1.1 Bye", "550 5.1.1 No such user here. Bye"},
	{"550-Requested action not taken: mailbox unavailable 550 For explanation visit https://postmaster.gmz.test/error?c=r0103&i=ip&v=127.0.0.1&r=ce69f7880ff",
		"550 Requested action not taken: mailbox unavailable For explanation visit https://postmaster.gmz.test/error?c=r0103&i=ip&v={id}&r={id}"},
	{"550 Unknown user bob@example.com", "550 Unknown user {email}"},
	{"554-Transaction failed 554-Error:554 delivery error: dd 554 Transaction failed", "554 Transaction failed Error:554 delivery error: dd Transaction failed"},

	// Addresses, hosts, numbers, ids.
	{"550-5.7.1 [192.0.2.222      13] Our system has detected", "550 5.7.1 [{ip} {n}] Our system has detected"},
	{"450 4.7.1 <c135.kyoto.example.ne.jp[192.0.2.56]>: Client host rejected", "450 4.7.1 <{host}[{ip}]>: Client host rejected"},
	{"550 [2401:2500:102:3032::1] is listed, also 2001:db8::2, at 10:15:20", "550 [{ip}] is listed, also {ip}, at {n}:{n}:{n}"},
	{"552 5.3.4 Message size 12345678 exceeds fixed limit 10,240,000", "552 5.3.4 Message size {n} exceeds fixed limit {n},{n},{n}"},
	{"550 on 2024-07-31 by mx1.example.com (Postfix)", "550 on {n} by {host} (Postfix)"},
	{"451 4.3.0 id=2a1be9cd017 try later", "451 4.3.0 id={id} try later"},
	{"550 no p=NoSuchUser a1-20si5501234qko.550 - gsmtp", "550 no p=NoSuchUser {id} - gsmtp"},
	{`550 5.1.1 unknown user: "bob"`, `550 5.1.1 unknown user: "{name}"`},
	{"/var/mail/bob: Disk quota exceeded", "{path}: Disk quota exceeded"},
	{"connect to mx.example.com[192.0.2.1]:25: Connection refused", "connect to {host}[{ip}]:{n}: Connection refused"},

	// What rules need.
	{"550 5.7.26 See https://support.google.com/mail/answer/81126#authentication and ?p=NotAuthorizedError x1si2qko.1 - gsmtp",
		"550 5.7.26 See https://support.google.com/mail/answer/{id}#authentication and ?p=NotAuthorizedError {id} - gsmtp"},
	{"452 4.2.2 https://support.google.com/mail/?p=OverQuotaTemp c2-202229zmZBNM3agi23.222 - gsmtp", "452 4.2.2 https://support.google.com/mail/?p=OverQuotaTemp {id} - gsmtp"},
	{"421 4.7.0 [TSS04] Messages from 192.0.2.192 temporarily deferred - 4.16.55.1; see https://postmaster.example/error-codes",
		"421 4.7.0 [TSS04] Messages from {ip} temporarily deferred - {ip}; see https://postmaster.example/error-codes"},
	{"550 5.1.1 Invalid recipient. OFR_416 [416]", "550 5.1.1 Invalid recipient. OFR_416 [{n}]"},
	{"550 5.5.0 LPN007_416", "550 5.5.0 LPN007_416"},
	{"550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required"},
	{"554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/192.0.2.1", "554 5.7.1 Client host [{ip}] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/{id}"},
	{"554 blocked using abcdefgh1234567890.zen.dq.spamhaus.net", "554 blocked using {id}.zen.dq.spamhaus.net"},
	{"554 blocked using bl.example.org", "554 blocked using bl.example.org"},
	{"450 lookup of gaebl.example, blockhaus.example and playlist.example failed", "450 lookup of {host}, {host} and {host} failed"},
	{"450 see http://postgrey.example/help/alder.example.html", "450 see http://postgrey.example/help/{id}"},
	{"554 listed in dnsbl-1.lists.example", "554 listed in dnsbl-1.lists.example"},
	{"550 5.7.1 a IPv6 address", "550 5.7.1 a IPv6 address"},
	{`451 4.4.0 responded with: "421 4.7.0 Try later"`, `451 4.4.0 responded with: "421 4.7.0 Try later"`},
	{"550 5.7.350 detected as spam -> 554 5.7.1 Service unavailable", "550 5.7.350 detected as spam -> 554 5.7.1 Service unavailable"},
	{"421 4.7.0 a and/or b", "421 4.7.0 a and/or b"},

	// Controls and bytes of no encoding.
	{"550 a\x00b\tc\x1b[2J", "550 a b c [{id}"},
	{"550 Empfänger\xff unbekannt", "550 Empfänger\xff unbekannt"},
}

func TestAppendSignature(t *testing.T) {
	for _, test := range signatureTests {
		if got := string(AppendSignature(nil, []byte(test.text))); got != test.want {
			t.Errorf("AppendSignature(%q)\n got %q\nwant %q", test.text, got, test.want)
		}
	}
}

func TestAppendSignatureAppends(t *testing.T) {
	got := string(AppendSignature([]byte("before "), []byte("550 bob@example.com")))
	if want := "before 550 {email}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSignatureMerges checks that signatures do what they are for: replies of
// a kind fall together.
func TestSignatureMerges(t *testing.T) {
	f, err := os.Open("../../shared/corpus-real/postfix-plain-rsyslog/mail.rfc3339.log")
	if err != nil {
		t.Skip("no real logs beside the checkout")
	}
	defer f.Close()
	texts, signatures := map[string]bool{}, map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if _, text, ok := strings.Cut(lines.Text(), " said: "); ok {
			texts[text] = true
			signatures[string(AppendSignature(nil, []byte(text)))]++
		}
	}
	t.Logf("%d texts, %d signatures", len(texts), len(signatures))
	for signature, n := range signatures {
		t.Logf("%4d %s", n, signature)
	}
	if len(texts) == 0 || len(signatures)*2 > len(texts) {
		t.Errorf("%d texts have %d signatures", len(texts), len(signatures))
	}
}

func TestAppendSignatureAllocatesNothing(t *testing.T) {
	var buf [1024]byte
	text := []byte(signatureTests[len(signatureTests)-8].text)
	if n := testing.AllocsPerRun(100, func() { AppendSignature(buf[:0], text) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSignature(f *testing.F) {
	for _, test := range signatureTests {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := AppendSignature([]byte("x"), text)
		if got[0] != 'x' || len(got) > 2*maxSignature+len(text) {
			t.Errorf("%d bytes from %d", len(got), len(text))
		}
		for _, c := range got {
			if c < ' ' || c == 0x7f {
				t.Errorf("%q has a control", got)
			}
		}
	})
}

func BenchmarkSignature(b *testing.B) {
	text := []byte(`550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. 550 5.1.1 Learn more at https://support.google.com/mail/?p=NoSuchUser a1-20si550qko.1 - gsmtp`)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	var buf []byte
	for b.Loop() {
		buf = AppendSignature(buf[:0], text)
	}
}
