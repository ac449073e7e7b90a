package haraka

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/parserstest"
)

const id = "080C45BD-B367-4666-9646-345B23FDFC5B"

// story is a connection with a message for three recipients in two domains, of which
// one is put off and then given up, and a transaction that is refused.
var story = []string{
	"[NOTICE] [" + id + "] [core] connect ip=192.0.2.1 port=49972 local_ip=192.0.2.9 local_port=25",
	"[NOTICE] [" + id + `.1] [core] sender <a@snd.example> code=OK msg=""`,
	"[NOTICE] [" + id + `.1] [core] recipient <b@far.example> code=OK msg="" sender=a@snd.example`,
	"[NOTICE] [" + id + `.1] [core] recipient <"d> x"@far.example> code=OK msg="" sender=a@snd.example`,
	"[NOTICE] [" + id + `.1] [core] recipient <c@other.example> code=OK msg="" sender=a@snd.example`,
	"[NOTICE] [" + id + `.1] [core] recipient <no@far.example> code=DENY msg="we do not \"like\" it" sender=a@snd.example`,
	"[NOTICE] [" + id + `.1] [core] message mid=<1@snd.example> size=82 rcpts=3/0/1 delay=0 code=CONT msg=""`,
	"[NOTICE] [" + id + `.1] [core] queue code=CONT msg="Message Queued (` + id + `.1)"`,
	"[INFO] [-] [outbound] Transaction delivery for domain: far.example",
	"[NOTICE] [" + id + `.1] [core] queue code=OK msg="Message Queued (` + id + `.1)"`,
	"[NOTICE] [" + id + `.2] [core] sender <x@snd.example> code=DENYSOFT msg="later"`,
	"[NOTICE] [" + id + `.2] [core] disconnect ip=192.0.2.1 rdns=app.snd.example msgs=1/0/0`,
	"[NOTICE] [" + id + ".1.1] [outbound] recipient <\"d> x\"@far.example> deferred: 452 4.2.2 mailbox is full",
	"[NOTICE] [" + id + `.1.1] [outbound]  delivered file=17_vm domain=far.example host=mx.far.example ip=192.0.2.25 port=25 mode=SMTP tls=N auth=N response="2.0.0 queued as 4F2A" delay=0.476 fails=0 rcpts=1/1/0`,
	"[INFO] [" + id + `.1.1] [outbound] Temp failing 17_vm for 60 seconds: Some recipients temp failed: <"d> x"@far.example>`,
	"[INFO] [" + id + ".1.2] [outbound] bouncing mail: No Such Domain: other.example",
	"[INFO] [" + id + ".1.1] [outbound] Temp failing 17_vm for 60 seconds: Upstream error: 421 4.7.0 busy",
	"[NOTICE] [" + id + ".1.1] [outbound] recipient <\"d> x\"@far.example> deferred: 452 4.2.2 mailbox is full",
	"[INFO] [" + id + `.1.1] [outbound] bouncing mail: Too many failures (Some recipients temp failed: <"d> x"@far.example>)`,
	"[INFO] [" + id + ".1.1] [outbound] bouncing mail: of a transaction that is over",
	"    at Server.setupListenHandle [as _listen2] (node:net:1908:16)",
}

const of = id + ".1 from=<a@snd.example> "

var told = []string{
	`rejection from=<a@snd.example> to=no@far.example clientip=192.0.2.1 at=rcpt/local code=550/ "we do not \\\"like\\\" it"`,
	"arrival " + of + "clientip=192.0.2.1 id=<1@snd.example> size=82 recipients=3",
	"expected " + of + "to=b@far.example",
	"expected " + of + `to="d> x"@far.example`,
	"expected " + of + "to=c@other.example",
	`rejection from=<x@snd.example> clientip=192.0.2.1 at=mail/local code=450/ "later"`,
	"attempt " + id + ".1 deferred from=<a@snd.example> to=\"d> x\"@far.example at=rcpt/remote code=452/4.2.2 \"452 4.2.2 mailbox is full\"",
	"attempt " + id + ".1 delivered from=<a@snd.example> to=b@far.example relay=mx.far.example ip=192.0.2.25 code=0/2.0.0 next=4F2A delay=476ms \"2.0.0 queued as 4F2A\"",
	"attempt " + id + ".1 failed from=<a@snd.example> to=c@other.example at=dns/dns \"No Such Domain: other.example\"",
	"attempt " + id + ".1 deferred from=<a@snd.example> to=\"d> x\"@far.example at=/remote code=421/4.7.0 \"421 4.7.0 busy\"",
	"attempt " + id + ".1 deferred from=<a@snd.example> to=\"d> x\"@far.example at=rcpt/remote code=452/4.2.2 \"452 4.2.2 mailbox is full\"",
	"expired " + of + `to="d> x"@far.example "Too many failures (Some recipients temp failed: <\"d> x\"@far.example>)"`,
}

func TestStory(t *testing.T) {
	var got []string
	p := New(parsers.Options{})
	for _, l := range story {
		e := &parsers.Entry{Message: []byte(l)}
		if claim(e) == parsers.NotMine && l[0] == '[' {
			t.Errorf("not claimed: %s", l)
		}
		if p.Parse(e, func(r *parsers.Record) {
			parserstest.Check(t, l, r)
			got = append(got, parserstest.Show(r))
		}) == parsers.Unparsed {
			t.Errorf("not understood: %s", l)
		}
	}
	for i := range max(len(got), len(told)) {
		if i >= len(got) || i >= len(told) || got[i] != told[i] {
			t.Fatalf("record %d:\ngot  %q\nwant %q", i, got[i:], told[min(i, len(told)):])
		}
	}
	if n := len(p.(*parser).open.list); n != 0 {
		t.Errorf("%d transactions are kept", n)
	}
}

// TestRun reads the log of a run of Haraka 3.3.4 against a server on loopback with
// scripted answers, and compares every reply with what that server gave. Recipients
// of Haraka's own bounces are not logged.
func TestRun(t *testing.T) {
	want := map[string]int{
		"deferred x@closed.example 0": 2, "failed x@closed.example 0": 1, // nothing listens there
		"failed x@nowhere.example 0": 1,
	}
	outcomes := map[string]string{"250": "delivered", "550": "failed", "554": "failed", "451": "deferred", "452": "deferred"}
	for line := range bytes.Lines(readFile(t, "testdata/sink.jsonl")) {
		var answer [2]string
		if err := json.Unmarshal(line, &answer); err != nil {
			t.Fatal(err)
		}
		if answer[0] != "a@snd.example" {
			want[outcomes[answer[1]]+" "+answer[0]+" "+answer[1][:1]]++
		}
	}
	want["deferred busy1@far.example 4"]-- // the last try ends the message
	want["failed busy1@far.example 4"]++
	got, kinds := map[string]int{}, map[string]int{}
	p := New(parsers.Options{})
	for line := range bytes.Lines(readFile(t, "testdata/run.log")) {
		p.Parse(&parsers.Entry{Message: bytes.TrimSpace(line)}, func(r *parsers.Record) {
			kinds[r.Kind.String()+" "+r.Final.String()]++
			if r.Kind != parsers.Attempt {
				return
			}
			class := r.Reply.Code / 100
			if r.Outcome.String() == "delivered" {
				class = 2
			}
			got[r.Outcome.String()+" "+string(r.Address)+" "+string('0'+rune(class))]++
		})
	}
	if !maps.Equal(got, want) {
		t.Errorf("attempts\ngot  %v\nwant %v", got, want)
	}
	if kinds["settled expired"] != 2 || kinds["attempt expired"] != 2 || kinds["rejection pending"] != 1 || kinds["arrival pending"] != 11 {
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

// TestHost gives a line as the reader of headers leaves it: with the level for the
// host.
func TestHost(t *testing.T) {
	at := time.Date(2026, 11, 29, 22, 9, 39, 0, time.UTC)
	line := "[" + id + `.1] [core] sender <x@snd.example> code=DENY msg="no"`
	p := New(parsers.Options{Host: "mx1"})
	p.Parse(&parsers.Entry{Time: at, Host: []byte("[NOTICE]"), Message: []byte(line)}, func(r *parsers.Record) {
		if string(r.Host) != "mx1" || !r.Time.Equal(at) {
			t.Errorf("host %s at %s", r.Host, r.Time)
		}
	})
	p.Parse(&parsers.Entry{Message: []byte("2026-11-29T22:09:39.250Z [NOTICE] " + line)}, func(r *parsers.Record) {
		if string(r.Host) != "mx1" || !r.Time.Equal(at.Add(250*time.Millisecond)) {
			t.Errorf("host %s at %s", r.Host, r.Time)
		}
	})
	for _, e := range []parsers.Entry{
		{Message: []byte("2026-11-29T22:09:39.250Z [NOTICE] hello")},
		{Host: []byte("[fe80::1]"), Message: []byte(line)},
		{Program: []byte("app"), Message: []byte("[INFO] [x] [core] hello")},
	} {
		if claim(&e) != parsers.NotMine {
			t.Errorf("claimed: %s", e.Message)
		}
	}
}

var accounts = []string{
	"type\ttimeLogged\ttimeQueued\trcpt\tsrcMta\tsrcIp\tvmta\tjobId\tdsnStatus\tdsnMsg\tbounceCat\t\r",
	"d\t2026-11-22 06:40:10\t2026-11-22 06:40:00\tb@far.example\tapp\t192.0.2.9\t - \t" + id + ".1.1\t250\t250 queued\t - \t\r",
	"df\t2026-11-22 06:40:11\t2026-11-22 06:40:00\tc@far.example\tapp\t192.0.2.9\t - \t" + id + ".1.1\t452\tmailbox is full\t - \t\r",
	"b\t2026-11-22 06:40:12\t2026-11-22 06:40:00\tc@far.example\tapp\tundefined\t - \t" + id + ".1.1\t5.1.1\t550 5.1.1 no\t550 5.1.1 no\t\r",
	"b\tnever\t\r",
}

func TestAccounting(t *testing.T) {
	want := []string{
		"attempt " + id + `.1 delivered to=b@far.example code=250/ "250 queued"`,
		"attempt " + id + `.1 deferred to=c@far.example at=/remote code=452/ "mailbox is full"`,
		"attempt " + id + `.1 failed to=c@far.example at=/remote code=550/5.1.1 dsn=5.1.1 "550 5.1.1 no"`,
	}
	var got []string
	a := newAccounting(parsers.Options{Location: time.UTC})
	for i, l := range accounts {
		result := a.Parse(&parsers.Entry{Message: []byte(l)}, func(r *parsers.Record) {
			parserstest.Check(t, l, r)
			got = append(got, parserstest.Show(r))
		})
		if (result == parsers.Unparsed) != (i == len(accounts)-1) {
			t.Errorf("%s: result %d", l, result)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if claimHeader(&parsers.Entry{Message: []byte(accounts[0])}) != parsers.MineFromHereOn {
		t.Error("the header is not claimed")
	}
	parserstest.Split(t, "haraka-accounting", "", accounts...)
}

func TestSplit(t *testing.T) { parserstest.Split(t, "haraka", "", story...) }

func TestNoAllocations(t *testing.T) {
	parserstest.NoAlloc(t, "haraka", "", story...)
	logfmt, objects := inOtherFormats(t)
	parserstest.NoAlloc(t, "haraka", "haraka", logfmt...)
	parserstest.NoAlloc(t, "haraka", "haraka", objects...)
	parserstest.NoAllocFile(t, "haraka-accounting", accounts...)
}

// inOtherFormats returns the story in logfmt and in JSON.
func inOtherFormats(t testing.TB) (logfmt, objects []string) {
	t.Helper()
	for _, l := range story[:len(story)-1] {
		a, b := otherFormats(t, l)
		logfmt, objects = append(logfmt, a), append(objects, b)
	}
	return logfmt, objects
}

func BenchmarkLines(b *testing.B) { parserstest.Bench(b, "haraka", "", story...) }

func BenchmarkAccounting(b *testing.B) {
	parserstest.Bench(b, "haraka-accounting", "", accounts[:len(accounts)-1]...)
}

func FuzzLines(f *testing.F) {
	logfmt, objects := inOtherFormats(f)
	parserstest.Fuzz(f, "haraka", "", strings.Join(story, "\n"), strings.Join(logfmt, "\n"), strings.Join(objects, "\n"))
}

func FuzzAccounting(f *testing.F) {
	parserstest.Fuzz(f, "haraka-accounting", "", strings.Join(accounts, "\n"))
}

// otherFormats returns a line as Haraka writes it with format=logfmt and json. In the
// fields of the default format what stands behind the last word of the message is a
// field.
func otherFormats(t testing.TB, text string) (logfmt, object string) {
	t.Helper()
	level, rest, _ := strings.Cut(strings.TrimPrefix(text, "["), "] [")
	uuid, rest, _ := strings.Cut(rest, "] [")
	origin, message, _ := strings.Cut(rest, "] ")
	message, fields := strings.TrimSpace(message), ""
	for _, first := range []string{" code=", " ip=", " mid=", "delivered file="} {
		if i := strings.Index(message, first); i >= 0 && origin == "core" || i == 0 {
			message, fields = message[:i], strings.TrimSpace(message[i:])
		}
	}
	logfmt = strings.TrimSpace("level=" + level + " uuid=" + uuid + " origin=" + origin + " message=" + quoted(message) + " " + fields)
	object = `{"level":` + text2json(level) + `,"uuid":` + text2json(uuid) + `,"origin":` + text2json(origin) + `,"message":` + text2json(message)
	for _, f := range fieldsOf(fields) {
		object += "," + text2json(f[0]) + ":" + text2json(f[1])
	}
	return logfmt, object + "}"
}

func text2json(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s)
	return strings.TrimSpace(b.String())
}

// quoted quotes a value as Haraka does.
func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " =\"\\") {
		return s
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(s) + `"`
}

// fieldsOf takes fields apart. A key may be two words.
func fieldsOf(s string) (list [][2]string) {
	for s != "" {
		key, rest, _ := strings.Cut(s, "=")
		value := rest
		if strings.HasPrefix(rest, `"`) {
			n := parsers.SkipQuoted([]byte(rest))
			value, s = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(rest[1:n-1]), strings.TrimSpace(rest[n:])
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		list = append(list, [2]string{key, value})
	}
	return list
}

// TestFormats: the three formats of the log report the same.
func TestFormats(t *testing.T) {
	logfmt, objects := inOtherFormats(t)
	for name, lines := range map[string][]string{"logfmt": logfmt, "json": objects} {
		var got []string
		p := New(parsers.Options{Location: time.UTC})
		for _, l := range lines {
			e := &parsers.Entry{Program: []byte("haraka"), Message: []byte(l)}
			if claim(e) != parsers.Mine {
				t.Errorf("not claimed: %s", l)
			}
			p.Parse(e, func(r *parsers.Record) { got = append(got, parserstest.Show(r)) })
		}
		if !slices.Equal(got, told) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(told, "\n"))
		}
		parserstest.Split(t, "haraka", "haraka", lines...)
	}
}
