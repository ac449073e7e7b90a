package exchange

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"mailfail/parsers"
	"mailfail/registry"
)

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		``:                            ``,
		`a@x`:                         `a@x`,
		`a@x;b@y;c@z`:                 `a@x|b@y|c@z`,
		`'o''neill@x';b@y`:            `o'neill@x|b@y`,
		`a@x;'b;c@y'`:                 `a@x|b;c@y`,
		`"a;b"@x;c@y`:                 `"a;b"@x|c@y`,
		`'"a;''b"@x';c@y`:             `"a;'b"@x|c@y`,
		`'not@closed;b@y`:             `'not@closed|b@y`,
		`'a'@x;b@y`:                   `'a'@x|b@y`,
		`IMCEAEX-_o=Corp_cn=a+20b@x;`: `IMCEAEX-_o=Corp_cn=a+20b@x`,
	} {
		var c collection
		if got := string(bytes.Join(c.addresses([]byte(in)), []byte("|"))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestStatuses(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{`250 OK;250 OK`, 2, `250 OK|250 OK`},
		{`550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized`, 1, `550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized`},
		{`550 5.7.1 A.B; not; so;550 5.1.1 C`, 2, `550 5.7.1 A.B; not; so|550 5.1.1 C`},
		{`'550 5.7.1 A; b';'550 it''s'`, 2, `550 5.7.1 A; b|550 it's`},
		{`'550 5.7.1 A; b'`, 1, `550 5.7.1 A; b`},
		{`550 x;'451 y; z';550-5.1.1 w`, 3, `550 x|451 y; z|550-5.1.1 w`},
		{`[{LED=550 a;b};{MSG=}];[{LED=450 c};{MSG=}]`, 2, `[{LED=550 a;b};{MSG=}]|[{LED=450 c};{MSG=}]`},
		{`'[{LED=550 a''s};{MSG=}]';'[{LED=450 c};{MSG=}]'`, 2, `[{LED=550 a's};{MSG=}]|[{LED=450 c};{MSG=}]`},
		{`[{LED=550 a}]`, 2, `[{LED=550 a}]|[{LED=550 a}]`},
		{`250 OK;;250 OK`, 3, `250 OK||250 OK`},
		{`To;Cc;Bcc`, 1, `To;Cc;Bcc`},
		{``, 1, ``},
		{``, 2, ``},
	} {
		var c collection
		if got := string(bytes.Join(c.statuses([]byte(test.in), test.n), []byte("|"))); got != test.want {
			t.Errorf("%q for %d: got %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

func TestReadStatus(t *testing.T) {
	for _, test := range []struct{ in, reply, fqdn, ip string }{
		{`550 5.1.1 User unknown`, `550 5.1.1 User unknown`, ``, ``},
		{`[{LED=501 5.1.4 Reserved};{MSG=};{FQDN=mx.example};{IP=192.0.2.1};{LRT=12/22/2020 2:28:06 AM}]`, `501 5.1.4 Reserved`, `mx.example`, `192.0.2.1`},
		{`[{LRT=20.11.2026 21:05:41};{LED=550 5.1.1 x};{FQDN=mx.example};{IP=192.0.2.1}]`, `550 5.1.1 x`, `mx.example`, `192.0.2.1`},
		{`[{LRT=};{LED=550 4.4.7 QUEUE.Expired; message expired};{FQDN=};{IP=}]`, `550 4.4.7 QUEUE.Expired; message expired`, ``, ``},
		{`[{LRT=};{LED=550 5.1.1 x};{FQDN=mx.example};{IP=192.0.2.7}] [Stage: CreateMessage]`, `550 5.1.1 x`, `mx.example`, `192.0.2.7`},
		{`[{LED=550 {a};{b}};c]};{MSG=};{FQDN=};{IP=}]`, `550 {a};{b}};c]`, ``, ``},
		{`[{LED=550 no};{LED=250 2.0.0 yes};{FQDN=a};{FQDN=b}]`, `550 no`, `a`, ``},
		{`[{LED=550 cut off`, `550 cut off`, ``, ``},
		{`[{}]`, ``, ``, ``},
		{`[{LED=}]`, ``, ``, ``},
		{``, ``, ``, ``},
	} {
		s := readStatus([]byte(test.in))
		if string(s.reply) != test.reply || string(s.fqdn) != test.fqdn || string(s.ip) != test.ip {
			t.Errorf("%q: got %q %q %q", test.in, s.reply, s.fqdn, s.ip)
		}
	}
}

func TestSetReply(t *testing.T) {
	for _, test := range []struct{ in, want, mta string }{
		{`550 5.1.1 User unknown`, `550 5.1.1`, ``},
		{`451 4.4.0 Primary target IP address responded with: "421 4.7.0 Try again later." Attempted failover to alternate host`, `421 4.7.0`, `4.4.0`},
		{`450 4.7.0 Proxy session setup failed on Frontend with '451 4.4.0 Primary target IP address responded with: "421 4.7.28 Slow down." Attempted failover'`, `421 4.7.28`, `4.7.0`},
		{`550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 Service unavailable`, `554 5.7.1`, `5.7.350`},
		{`441 4.4.1 Error encountered while communicating with primary target IP address: "Failed to connect. Winsock error code: 10060, Win32 error code: 10060." Attempted failover`, `441 4.4.1`, ``},
		{`451 4.4.0 Primary outbound frontend IP address responded with:   "421 4.7.0 Too many connections."   Attempted failover to alternate frontend address, but that did not succeed.`, `421 4.7.0`, `4.4.0`},
		{`451 4.4.395 Target host responded with error. -> 452 4.2.2 Mailbox full`, `452 4.2.2`, `4.4.395`},
		{`451 4.4.397 Error communicating with target host. -> 421 4.2.1 Unable to connect -> SocketConnectionRefused: Socket error code 10061`, `421 4.2.1`, `4.4.397`},
		{`550 5.1.1 the other one said "450 4.2.2 full"`, `550 5.1.1`, ``},
		{`550 #5.1.0 Address rejected`, `550 5.1.0`, ``},
		{`554 192.0.2.1 is listed, 5.7.1 is what we would say`, `554`, ``},
		{``, ``, ``},
	} {
		var r parsers.Record
		setReply(&r, []byte(test.in))
		if got := registry.Code(r.Reply.Code, r.Reply.Enhanced); got != test.want || r.MTAStatus.String() != test.mta {
			t.Errorf("%q: got %q, own status %q", test.in, got, r.MTAStatus)
		}
	}
}

// TestRealStatuses reads the values that were found in the open.
func TestRealStatuses(t *testing.T) {
	data, err := os.ReadFile("../../../shared/corpus/exchange/msqa-recipientstatus.txt")
	if err != nil {
		t.Skip("the shared corpus is not here")
	}
	want := []string{"501 5.1.4", "550 4.3.2", "550 5.7.51", "550 5.1.8"}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "{[{"), "}]}") // an array, as PowerShell prints it
		if !strings.HasPrefix(line, "[{") {
			line = "[{" + line + "}]"
		}
		var r parsers.Record
		setReply(&r, readStatus([]byte(line)).reply)
		if got := registry.Code(r.Reply.Code, r.Reply.Enhanced); got != want[i] {
			t.Errorf("%q: got %q, want %q", line, got, want[i])
		}
	}
}

func TestHostOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:25": "192.0.2.1", "[2001:db8::1]:25": "2001:db8::1", "2001:db8::1": "2001:db8::1",
		"192.0.2.1": "192.0.2.1", "": "", ":25": "", "x.x.x.x:25": "x.x.x.x", "[::1]": "::1",
	} {
		if got := string(hostOf([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
