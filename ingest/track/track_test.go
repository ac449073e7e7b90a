package track

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

var (
	testFormat = &parsers.Format{Name: "postfix", MTA: "postfix", Ends: true}
	roaming    = &parsers.Format{Name: "exchange-tracking", MTA: "exchange", Scope: "exchange-tracking"}
)

// records turns a story into records, one a line, one second apart:
//
//	MESSAGE arrive [sender] [id=MESSAGE-ID] [client=IP] [account=NAME] [nrcpt=N] [own] [again]
//	MESSAGE expect|kept|sent|deferred|failed|givenup|deleted|suspended|handed|discarded|expired|replaced RECIPIENT [relay=HOST[IP]] [next=ID] [nth=N]
//	MESSAGE end
//	reject RECIPIENT
//
// "@N" before a line sets the second; "*" before a message makes it roam.
func records(t testing.TB, story string) (rs []*parsers.Record) {
	t.Helper()
	second := 0
	for _, line := range strings.Split(strings.TrimSpace(story), "\n") {
		words := strings.Fields(line)
		if strings.HasPrefix(words[0], "@") {
			fmt.Sscanf(words[0], "@%d", &second)
			words = words[1:]
		}
		r := new(parsers.Record)
		r.Reset()
		r.Format, r.Time, r.Host = testFormat, time.Date(2026, 11, 22, 6, 0, second, 0, time.UTC), []byte("mx1")
		second++
		if words[0] == "reject" {
			r.Kind, r.Address = parsers.Rejection, []byte(words[1])
			rs = append(rs, r)
			continue
		}
		if id, ok := strings.CutPrefix(words[0], "*"); ok {
			r.Format, words[0] = roaming, id
		}
		r.ID = []byte(words[0])
		verb := words[1]
		for _, w := range words[2:] {
			switch key, value, _ := strings.Cut(w, "="); key {
			case "id":
				r.MessageID = []byte(value)
			case "client":
				r.ClientIP = []byte(value)
			case "again":
				r.Reinjected = true
			case "own":
				r.Own = true
			case "account":
				r.Account = []byte(value)
			case "nrcpt":
				fmt.Sscan(value, &r.Recipients)
			case "relay":
				host, ip, _ := strings.Cut(value, "[")
				r.Relay, r.RelayIP = []byte(host), []byte(strings.TrimSuffix(ip, "]"))
			case "next":
				r.NextID = []byte(value)
			case "nth":
				fmt.Sscan(value, &r.Nth)
			default:
				if verb == "arrive" {
					r.HasSender, r.Sender = true, []byte(strings.Trim(w, "<>"))
				} else {
					r.Address = []byte(w)
				}
			}
		}
		fail := func(o registry.Outcome) {
			r.Kind, r.Outcome, r.Stage, r.Source = parsers.Attempt, o, registry.StageRcpt, registry.SourceRemote
			r.Reply = registry.Reply{Code: 450, Text: []byte("450 no")}
		}
		switch verb {
		case "arrive":
			r.Kind = parsers.Arrival
		case "expect":
			r.Kind = parsers.Expected
		case "kept":
			r.Kind, r.Kept = parsers.Expected, true
		case "sent":
			r.Kind, r.Outcome = parsers.Attempt, registry.OutcomeDelivered
		case "deferred":
			fail(registry.OutcomeDeferred)
		case "failed":
			fail(registry.OutcomeFailed)
		case "givenup":
			fail(registry.OutcomeFailed)
			r.Final = registry.StateExpired
		case "deleted":
			fail(registry.OutcomeFailed)
			r.Final = registry.StateRemoved
		case "suspended":
			r.Kind = parsers.Suspended
		case "handed":
			r.Settle(registry.StateHandedOver)
		case "discarded":
			r.Settle(registry.StateRemoved)
		case "expired":
			r.Settle(registry.StateExpired)
		case "replaced":
			r.Settle(registry.StateReplaced)
		case "end":
			r.Kind = parsers.End
		default:
			t.Fatalf("line %q: unknown verb", line)
		}
		rs = append(rs, r)
	}
	return rs
}

// play writes records to a new store, with a commit before every record for
// which cut returns true, and a new tracker after it.
func play(t testing.TB, rs []*parsers.Record, cut func(i int) bool) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.Writer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); db.Close() })
	tr := New(w, registry.DefaultRules())
	begin := func() {
		if _, err := w.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := tr.Reset(); err != nil {
			t.Fatal(err)
		}
	}
	commit := func() {
		if err := tr.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	for i, r := range rs {
		if cut(i) {
			commit()
			tr = New(w, registry.DefaultRules())
			begin()
		}
		if err := tr.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	commit()
	return db
}

var stories = []struct {
	name, story string
	want        sqlitetest.Totals
}{
	{"delivered", `
		A arrive news@list.example id=<1@x> client=192.0.2.1
		A sent u@one.example relay=mx.one.example[192.0.2.5]
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 1}},
	{"deferred, then delivered", `
		A arrive s@x.example
		A deferred u@one.example relay=mx.one.example[192.0.2.5]
		A deferred u@ONE.example relay=mx2.one.example[192.0.2.6]
		A sent u@one.example relay=mx.one.example[192.0.2.5]
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 3, Deferrals: 2, Deferred: 1}},
	{"three fates", `
		A arrive s@x.example
		A sent a@one.example
		A failed b@one.example
		A deferred c@one.example
		B arrive <>
		B sent s@x.example
		B end
		A suspended c@one.example
		A expired
		A end`,
		sqlitetest.Totals{Messages: 2, Recipients: 4, Delivered: 2, Bounced: 1, Expired: 1, Attempts: 4, Deferrals: 1, Failures: 1, Deferred: 1, Suspended: 1}},
	{"pending", `
		A arrive s@x.example
		A deferred a@one.example
		A suspended b@one.example
		A expect c@one.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 3, Pending: 3, Attempts: 1, Deferrals: 1, Deferred: 1, Suspended: 1}},
	{"given up and deleted", `
		A arrive s@x.example
		A givenup a@one.example
		A deleted b@one.example
		A discarded c@one.example
		A deferred d@one.example
		A discarded
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 4, Expired: 1, Removed: 3, Attempts: 3, Failures: 2, Deferrals: 1, Deferred: 1}},
	{"the same recipient twice", `
		A arrive s@x.example
		A sent a@one.example
		A sent a@one.example
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 2}},
	{"queue id used again", `
		A arrive s@x.example client=192.0.2.1
		A sent a@one.example
		A end
		A arrive s@x.example client=192.0.2.1
		A sent a@one.example
		A end`,
		sqlitetest.Totals{Messages: 2, Recipients: 2, Delivered: 2, Attempts: 2}},
	{"queue id used again, end not seen", `
		A arrive s@x.example client=192.0.2.1
		A deferred a@one.example
		A arrive t@x.example client=192.0.2.1
		A sent a@one.example
		A end`,
		sqlitetest.Totals{Messages: 2, Recipients: 2, Delivered: 1, Pending: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"content filter over SMTP", `
		A arrive s@x.example id=<1@x> client=192.0.2.1
		B arrive client=127.0.0.1 again
		B arrive id=<1@x>
		B arrive s@x.example
		A sent a@one.example relay=localhost[127.0.0.1] next=B
		A end
		B deferred a@one.example relay=mx.one.example[192.0.2.5]
		B sent a@one.example relay=mx.one.example[192.0.2.5]
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"content filter that changes the Message-ID", `
		A arrive s@x.example id=<1@x> client=192.0.2.1
		B arrive client=127.0.0.1 id=<2@y> again
		A sent a@one.example relay=localhost[127.0.0.1] next=B
		A end
		B sent a@one.example relay=mx.one.example[192.0.2.5]
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 1}},
	{"content filter that was down", `
		A arrive s@x.example id=<1@x> client=192.0.2.1
		A deferred a@one.example relay=localhost[127.0.0.1]
		B arrive client=127.0.0.1 id=<1@x> again
		A sent a@one.example relay=localhost[127.0.0.1]
		A end
		B sent a@one.example relay=mx.one.example[192.0.2.5]
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"local mailbox server on loopback is no filter", `
		A arrive s@x.example id=<1@x> client=192.0.2.1
		A sent a@one.example relay=localhost[127.0.0.1] next=nobody
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 1}},
	{"local delivery is no filter, whatever the Message-ID", `
		A arrive s@x.example id=<1@x> client=127.0.0.1 again
		B arrive s@x.example id=<1@x> client=127.0.0.1 again
		A sent a@one.example relay=local
		B sent b@one.example relay=local
		A end
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 2, Delivered: 2, Attempts: 2}},
	{"two messages of a program with one Message-ID, to different recipients", `
		A arrive s@x.example id=<1@x> client=127.0.0.1 again
		A expect a@one.example
		B arrive s@x.example id=<1@x> client=127.0.0.1 again
		B expect b@one.example
		A sent a@one.example
		B sent b@one.example
		A end
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 2, Delivered: 2, Attempts: 2}},
	{"content filter behind a pipe", `
		A arrive s@x.example id=<1@x> client=192.0.2.1
		A expect a@one.example
		B arrive s@x.example id=<1@x> again
		B expect a@one.example
		A sent a@one.example
		A end
		B sent a@one.example relay=mx.one.example[192.0.2.5]
		B end`,
		sqlitetest.Totals{Messages: 2, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 1}},
	{"mail sent by this host itself", `
		A arrive s@x.example id=<1@x> client=127.0.0.1 again
		A sent a@one.example relay=mx.one.example[192.0.2.5]
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 1}},
	{"an alias, and one that keeps a copy", `
		A arrive s@x.example
		A expect all@one.example
		A deferred all@one.example
		A replaced all@one.example
		A sent a@two.example
		A sent joe@one.example
		A replaced joe@one.example
		A sent joe@three.example
		A replaced ann@one.example
		A sent ann@three.example
		A replaced ann@one.example
		A sent ann@one.example
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 5, Delivered: 5, Attempts: 6, Deferrals: 1, Deferred: 1}},
	{"rejections", `
		reject a@one.example
		reject b@one.example`,
		sqlitetest.Totals{Rejected: 2}},
	{"roaming: an expanded list", `
		*M expect list@corp.example
		*M replaced list@corp.example
		*M expect a@corp.example
		*M expect b@corp.example
		*M sent a@corp.example
		*M failed b@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 2, Delivered: 1, Bounced: 1, Attempts: 2, Failures: 1}},
	{"roaming: a list that had to wait", `
		*M handed list@corp.example
		*M deferred list@corp.example
		*M replaced list@corp.example
		*M sent a@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"roaming: delivered and forwarded", `
		*M expect a@corp.example
		*M kept a@corp.example
		*M replaced a@corp.example
		*M expect b@one.example
		*M handed a@corp.example
		*M sent a@corp.example
		*M sent b@one.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 2, Delivered: 2, Attempts: 2}},
	{"roaming: deferred and forwarded", `
		*M expect a@corp.example
		*M kept a@corp.example
		*M replaced a@corp.example
		*M deferred a@corp.example
		*M sent b@one.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 2, Delivered: 1, Pending: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"roaming: handed over and forwarded", `
		*M kept a@corp.example
		*M replaced a@corp.example
		*M handed a@corp.example
		*M sent b@one.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 1}},
	{"roaming: forwarded, and tried all the same", `
		*M replaced a@corp.example
		*M deferred a@corp.example
		*M failed a@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Bounced: 1, Attempts: 2, Deferrals: 1, Failures: 1, Deferred: 1}},
	{"roaming: an address in two cases", `
		*M expect Joe.Doe@corp.example
		*M deferred joe.doe@corp.example
		*M sent joe.doe@CORP.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"roaming: told by two exports of a trace and a summary", `
		@0 *M deferred a@one.example nth=1
		@0 *M deferred a@one.example nth=2
		@0 *M sent a@one.example nth=1
		@0 *M sent a@one.example nth=1
		@0 *M failed b@one.example nth=1
		@0 *M failed b@one.example nth=1`,
		sqlitetest.Totals{Messages: 1, Recipients: 2, Delivered: 1, Bounced: 1, Attempts: 4, Deferrals: 2, Failures: 1, Deferred: 1}},
	{"an address in two cases", `
		A arrive s@x.example
		A sent Joe@one.example
		A failed joe@one.example
		A end`,
		sqlitetest.Totals{Messages: 1, Recipients: 2, Delivered: 1, Bounced: 1, Attempts: 2, Failures: 1}},
	{"roaming: handed over and delivered there", `
		*M expect a@corp.example
		*M expect b@corp.example
		*M handed a@corp.example
		*M handed b@corp.example
		*M sent a@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Handed: 1, Attempts: 1}},
	{"roaming: deferred on a hop, handed over, delivered", `
		*M deferred a@corp.example
		*M handed a@corp.example
		*M sent a@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Delivered: 1, Attempts: 2, Deferrals: 1, Deferred: 1}},
	{"roaming: handed over by a server, deferred by the next", `
		*M handed a@corp.example
		*M deferred a@corp.example`,
		sqlitetest.Totals{Messages: 1, Recipients: 1, Pending: 1, Attempts: 1, Deferrals: 1, Deferred: 1}},
	{"all addresses marked delivered by an administrator", `
		A arrive s@x.example
		A sent a@y.example
		A failed b@y.example
		A deferred c@y.example
		A discarded a@y.example
		A discarded b@y.example
		A discarded c@y.example
		A end`,
		sqlitetest.Totals{
			Messages: 1, Recipients: 3, Delivered: 1, Bounced: 1, Removed: 1,
			Attempts: 3, Deferrals: 1, Failures: 1, Deferred: 1,
		}},
}

func TestStories(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			db := play(t, records(t, s.story), func(int) bool { return false })
			if got := sqlitetest.Sum(t, db); got != s.want {
				t.Errorf("got  %+v\nwant %+v", got, s.want)
			}
		})
	}
}

// A server whose log says no ends leaves no open message when all is delivered.
func TestEndWithLastRecipient(t *testing.T) {
	rs := records(t, `
		A arrive s@x.example
		A sent a@y.example
		B arrive s@x.example
		B sent a@y.example
		B deferred b@y.example
		C arrive s@x.example`)
	for _, r := range rs {
		r.Format = &parsers.Format{Name: "sendmail", MTA: "sendmail"}
		if r.Kind == parsers.Arrival {
			r.Recipients = len(r.ID)
		}
	}
	db := play(t, rs, func(int) bool { return false })
	if sum := sqlitetest.Sum(t, db); sum.Delivered != 2 || sum.Pending != 1 {
		t.Errorf("counts: %+v", sum)
	}
	if n := sqlitetest.Int(t, db, "SELECT count(*) FROM open"); n != 2 { // B waits, of C nothing was heard
		t.Errorf("%d open messages, want 2", n)
	}
}

// A story told in any number of pieces is the same story.
func TestPieces(t *testing.T) {
	for i, s := range stories {
		if testing.Short() && i%15 > 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			rs := records(t, s.story)
			want := sqlitetest.Dump(t, play(t, rs, func(int) bool { return false }))
			if got := sqlitetest.Dump(t, play(t, rs, func(int) bool { return true })); got != want {
				t.Errorf("in single pieces:\n%s\nat once:\n%s", got, want)
			}
		})
	}
}

// The rows of a roaming message, which several servers wrote, may come in any
// order.
func TestAnyOrder(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	for _, s := range stories {
		if !strings.HasPrefix(s.name, "roaming") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			rs := records(t, s.story)
			for i, x := range rs {
				if x.Nth == 0 { // a report is of no server
					x.Host = []byte{'e', 'x', '1' + byte(i%2)}
				}
			}
			want := sqlitetest.Dump(t, play(t, rs, func(int) bool { return false }))
			r := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				r.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
				db := play(t, rs, func(int) bool { return r.IntN(3) == 0 })
				if got := sqlitetest.Sum(t, db); got != s.want {
					var order []string
					for _, x := range rs {
						order = append(order, fmt.Sprintf("%d %s %d", x.Kind, x.Address, x.Time.Second()))
					}
					t.Fatalf("order %s\ngot  %+v\nwant %+v", strings.Join(order, "; "), got, s.want)
				}
				if got := sqlitetest.Dump(t, db); got != want {
					t.Fatalf("content\ngot\n%s\nwant\n%s", got, want)
				}
			}
		})
	}
}

// What expired carries the last known reply as its cause.
func TestExpiredHasCause(t *testing.T) {
	db := play(t, records(t, "A deferred a@one.example\nA expired a@one.example\nA end"), func(int) bool { return true })
	if n := sqlitetest.Int(t, db, "SELECT count(*) FROM recipients r JOIN causes c ON c.id = r.cause WHERE r.state = 3 AND c.reply = 450"); n != 1 {
		t.Errorf("%d recipients with the cause, want 1", n)
	}
}

func TestManyRecipients(t *testing.T) {
	var b strings.Builder
	b.WriteString("A arrive s@x.example\n")
	for i := range 500 {
		fmt.Fprintf(&b, "A deferred u%d@one.example\n", i)
	}
	for i := range 500 {
		fmt.Fprintf(&b, "A sent u%d@one.example\n", i)
	}
	b.WriteString("A end")
	db := play(t, records(t, b.String()), func(i int) bool { return i%333 == 0 })
	want := sqlitetest.Totals{Messages: 1, Recipients: 500, Delivered: 500, Attempts: 1000, Deferrals: 500, Deferred: 500}
	if got := sqlitetest.Sum(t, db); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAddress(t *testing.T) {
	for _, test := range []struct{ in, address, domain string }{
		{"User@Example.ORG", "User@example.org", "example.org"},
		{"a@b@C.example.", "a@b@c.example", "c.example"},
		{"root", "root", ""},
		{"x@BÜCHER.example", "x@bücher.example", "bücher.example"},
		{`"a@b"@D.example`, `"a@b"@d.example`, "d.example"},
		{"", "", ""},
		{"@", "@", ""},
	} {
		if got := string(appendAddress(nil, []byte(test.in))); got != test.address {
			t.Errorf("address of %q is %q, want %q", test.in, got, test.address)
		}
		if got := string(appendDomain(nil, []byte(test.in))); got != test.domain {
			t.Errorf("domain of %q is %q, want %q", test.in, got, test.domain)
		}
	}
}

// A damaged state is an error, never a panic.
func FuzzState(f *testing.F) {
	m := &message{format: testFormat, host: []byte("mx1"), id: []byte("A"), hasSender: true, sender: []byte("s@x"), row: 1 << 40}
	m.recipient([]byte("a@b"), 5).state = registry.StateBounced
	f.Add(m.appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(message)
		if err := m.restore(b); err == nil {
			if row := MessageRow(b); row != m.row {
				t.Errorf("row %d of the table, want %d", row, m.row)
			}
			again := new(message)
			if err := again.restore(m.appendTo(nil)); err != nil {
				t.Errorf("what was restored cannot be restored again: %v", err)
			} else if !bytes.Equal(again.appendTo(nil), m.appendTo(nil)) {
				t.Error("restored to something else")
			}
		}
	})
}

// A line that two logs have is observed once, in whatever order they come.
func TestTwins(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"m", "1"}, {"mm", "11"}, {"mc", "1."}, {"cm", "1."}, {"mmcc", "11.."}, {"mcmc", "1.1."}, {"ccm", "11."}, {"mccm", "1.1."}, {"nn", "11"},
	} {
		var w twins
		got := ""
		for _, c := range test.lines {
			r := &parsers.Record{Twin: parsers.Twin{LineHash: 7, Copy: c == 'c'}}
			if c == 'n' {
				r.LineHash = 0
			}
			got += map[bool]string{true: ".", false: "1"}[w.has(r)]
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.lines, got, test.want)
		}
	}
}

// What nobody watches is no twin of what is observed later, and is not kept.
func TestTwinsAreThoseObserved(t *testing.T) {
	db, err := sqlite.OpenTemporary()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w, err := db.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	tr := New(w, registry.DefaultRules())
	observed := 0
	for _, watch := range []func(*store.Event){nil, func(*store.Event) { observed++ }} {
		tr.Observe = watch
		r := &parsers.Record{
			Kind:      parsers.Rejection,
			Format:    testFormat,
			Time:      time.Unix(1, 0),
			Recipient: parsers.Recipient{Address: []byte("u@x.example")},
			Twin:      parsers.Twin{LineHash: 7, Copy: watch != nil},
		}
		if err := tr.Record(r); err != nil {
			t.Fatal(err)
		}
	}
	if observed != 1 {
		t.Errorf("observed %d rejections, want 1", observed)
	}
}

// A message whose recipients are all done ends without a line that says so, some time
// later; where it is read in pieces, in between or not at all.
func TestOver(t *testing.T) {
	story := func(gap time.Duration) []*parsers.Record {
		rs := records(t, "A sent a@one.example\nA failed b@one.example\nB sent c@one.example\nA sent a@one.example")
		rs[3].Time = rs[3].Time.Add(gap)
		return rs
	}
	for _, test := range []struct {
		gap  time.Duration
		want int64 // messages
	}{{time.Minute, 2}, {2 * time.Hour, 3}} {
		rs := story(test.gap)
		db := play(t, rs, func(int) bool { return false })
		if got := sqlitetest.Sum(t, db).Messages; got != test.want {
			t.Errorf("%v later: %d messages, want %d", test.gap, got, test.want)
		}
		want := sqlitetest.Dump(t, db)
		if got := sqlitetest.Dump(t, play(t, rs, func(int) bool { return true })); got != want {
			t.Errorf("%v later, in single pieces:\n%s\nat once:\n%s", test.gap, got, want)
		}
	}
}

// What is stored of messages that are done without a line that says so does not grow.
func TestOverIsNotKept(t *testing.T) {
	var rs []*parsers.Record
	for i := range 100 {
		r := records(t, fmt.Sprintf("M%d sent a@one.example", i))[0]
		r.Time = r.Time.Add(time.Duration(i) * 5 * time.Minute)
		rs = append(rs, r)
	}
	db := play(t, rs, func(i int) bool { return i%7 == 0 })
	if n := sqlitetest.Int(t, db, "SELECT count(*) FROM open"); n != 12 { // of the last hour
		t.Errorf("%d messages are open, want 12", n)
	}
}
