package opensmtpd

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"testing"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
	"mailfail/registry"
)

const id = "ce1d1902d46b42fc"

func TestDelivery(t *testing.T) {
	const head = id + " mta delivery evpid=c16fec780cb25ae1 from=<a@snd.example> to=<b@far.example> rcpt=<-> "
	const hop = `source="192.0.2.9" relay="192.0.2.25 (mx.far.example)" delay=4m3s `
	const want = " from=<a@snd.example> to=b@far.example relay=mx.far.example ip=192.0.2.25 "
	parserstest.Lines(t, "opensmtpd", []parserstest.Line{
		{Program: "smtpd", Text: head + hop + `result="Ok" stat="250 2.0.0 Ok: queued as 4F2A"`,
			Want: "attempt c16fec78 delivered" + want + `code=250/2.0.0 delay=4m3s "250 2.0.0 Ok: queued as 4F2A"`},
		{Program: "smtpd", Text: head + hop + `result="TempFail" stat="451 4.7.1 <b@far.example>: "later" result="Ok""`,
			Want: "attempt c16fec78 deferred" + want + `at=/remote code=451/4.7.1 delay=4m3s "451 4.7.1 <b@far.example>: \"later\" result=\"Ok\""`},
		{Program: "smtpd", Text: head + hop + `result="PermFail" stat="550 5.1.1 No such user"`,
			Want: "attempt c16fec78 failed" + want + `at=/remote code=550/5.1.1 delay=4m3s "550 5.1.1 No such user"`},
		{Program: "smtpd", Text: head + hop + `result="TempFail" stat="Connection closed unexpectedly"`,
			Want: "attempt c16fec78 deferred" + want + `at=/network delay=4m3s "Connection closed unexpectedly"`},
		{Program: "smtpd", Text: head + `source="-" relay="far.example" delay=1s result="TempFail" stat="Network error on destination MXs"`,
			Want: `attempt c16fec78 deferred from=<a@snd.example> to=b@far.example ip=far.example at=connect/network delay=1s "Network error on destination MXs"`},
		{Program: "smtpd", Text: id + ` mta event=delivery evpid=c16fec780cb25ae1 from=<> to=<b@far.example> rcpt=<-> source="-" relay="-" delay=1s result="PermFail" stat="No MX found for domain"`,
			Want: `attempt c16fec78 failed from=<> to=b@far.example ip=- at=dns/dns delay=1s "No MX found for domain"`},
		{Program: "smtpd", Text: id + ` mda delivery evpid=c16fec780cb25ae1 from=<a@snd.example> to=<joe@h.example> rcpt=<list@h.example> user=joe method=mbox delay=1d2h result="Ok" stat="Delivered"`,
			Want: "replaced c16fec78 to=list@h.example\nattempt c16fec78 delivered from=<a@snd.example> to=joe@h.example orig=list@h.example local service=mbox delay=26h0m0s \"Delivered\""},
		{Program: "smtpd", Text: "relay: Expire for c16fec780cb25ae1: from=<a@snd.example>, to=<b@far.example>, rcpt=<->, delay=4d, stat=Envelope expired",
			Want: `expired c16fec78 from=<a@snd.example> to=b@far.example delay=96h0m0s "Envelope expired"`},
		{Program: "smtpd", Text: id + " mta connecting address=smtp://192.0.2.25:25 host=mx.far.example", Result: parsers.Irrelevant},
		{Program: "smtpd", Text: id + ` mta delivery evpid=c16fec780cb25ae1 from=<a@snd.example> to=<b@far`, Result: parsers.Unparsed},
		{Program: "smtpd", Text: "info: OpenSMTPD 7.4.0 starting", Result: parsers.Irrelevant},
		{Program: "smtpd", Text: "fatal: queue_fs: No space left on device", Want: `trouble disk/fatal "queue_fs: No space left on device"`},
	})
}

// dialogue is a session in which a client that logged in brings a message for two, and
// asks for a mailbox that is not there.
var dialogue = []string{
	id + " smtp connected address=192.0.2.1 host=pc.snd.example",
	id + " smtp authentication user=joe result=ok",
	id + ` smtp failed-command command="RCPT TO:<x@h.example> NOTIFY=NEVER" result="550 Invalid recipient: <x@h.example>"`,
	id + " smtp envelope evpid=c16fec780cb25ae1 from=<a@snd.example> to=<b@far.example>",
	id + " smtp envelope evpid=c16fec78101510eb from=<a@snd.example> to=<\"c> to=<d\"@far.example>",
	id + " smtp message msgid=c16fec78 size=364 nrcpt=2 proto=ESMTP",
	id + ` smtp failed-command command="AUTH PLAIN (...)" result="535 Authentication failed"`,
	id + " smtp disconnected reason=quit",
	"ce1d1902d46b42fd smtp connected address=local host=h",
	"ce1d1902d46b42fd smtp envelope evpid=2925691b26fa79be from=<> to=<a@snd.example>",
	"ce1d1902d46b42fd smtp message msgid=2925691b size=1589 nrcpt=1 proto=ESMTP",
}

func TestSession(t *testing.T) {
	var got []string
	p := New(parsers.Options{})
	for _, l := range dialogue {
		p.Parse(&parsers.Entry{Program: []byte("smtpd"), Message: []byte(l)}, func(r *parsers.Record) {
			parserstest.Check(t, l, r)
			got = append(got, parserstest.Show(r))
		})
	}
	want := []string{
		`rejection to=x@h.example client=pc.snd.example clientip=192.0.2.1 at=rcpt/local code=550/ "550 Invalid recipient: <x@h.example>"`,
		"arrival c16fec78 from=<a@snd.example> account=joe client=pc.snd.example clientip=192.0.2.1",
		"expected c16fec78 from=<a@snd.example> to=b@far.example",
		`expected c16fec78 from=<a@snd.example> to="c> to=<d"@far.example`,
		"arrival c16fec78 size=364 recipients=2",
		"arrival 2925691b reinjected own from=<>",
		"expected 2925691b from=<> to=a@snd.example",
		"arrival 2925691b size=1589 recipients=1",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("record %d:\ngot  %q\nwant %q", i, got, want)
		}
	}
	parserstest.Split(t, "opensmtpd", "smtpd", dialogue...)
}

func TestClaim(t *testing.T) {
	for text, want := range map[string]parsers.Claim{
		id + " smtp connected address=local host=h": parsers.Mine,
		"connect from mail.snd.example[192.0.2.1]":  parsers.NotMine, // Postfix without its name
	} {
		if got := claim(&parsers.Entry{Program: []byte("smtpd"), Message: []byte(text)}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestRun reads the log of a run of OpenSMTPD 6.8 against a server on loopback with
// scripted answers, and compares every attempt with what that server did.
func TestRun(t *testing.T) {
	outcomes := map[string]string{
		"250": "delivered", "550": "failed", "554": "failed", "451": "deferred", "452": "deferred", "drop": "deferred",
	}
	want := map[string]int{}
	for line := range bytes.Lines(readFile(t, "testdata/sink.jsonl")) {
		var answer [2]string
		if err := json.Unmarshal(line, &answer); err != nil {
			t.Fatal(err)
		}
		want[answer[0]+" "+outcomes[answer[1]]]++
	}
	got, kinds := map[string]int{}, map[string]int{}
	p, message := New(parsers.Options{}), regexp.MustCompile(`smtpd\[\d+\]: `)
	for line := range bytes.Lines(readFile(t, "testdata/run.log")) {
		at := message.FindIndex(line)
		result := p.Parse(&parsers.Entry{Program: []byte("smtpd"), Message: bytes.TrimSpace(line[at[1]:])}, func(r *parsers.Record) {
			kinds[r.Kind.String()]++
			if r.Kind == parsers.Attempt {
				got[string(r.Address)+" "+r.Outcome.String()]++
			}
			if r.Kind == parsers.Settled {
				kinds[r.Final.String()]++
			}
		})
		if result == parsers.Unparsed {
			t.Errorf("not understood: %s", line)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("attempts\ngot  %v\nwant %v", got, want)
	}
	if kinds["rejection"] != 3 || kinds[registry.StateExpired.String()] != 2 {
		t.Errorf("kinds: %v", kinds)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestNoAllocations(t *testing.T) { parserstest.NoAlloc(t, "opensmtpd", "smtpd", dialogue...) }

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "opensmtpd", "smtpd", dialogue...) }

func FuzzLines(f *testing.F) {
	seeds := append(dialogue, id+` mta delivery evpid=c16fec780cb25ae1 from=<a@x> to=<b@y> rcpt=<c@z> relay="1 (m)" delay=1s result="Ok" stat="250 "`)
	parserstest.Fuzz(f, "opensmtpd", "smtpd", seeds...)
}
