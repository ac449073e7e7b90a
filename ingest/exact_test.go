package ingest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// twoLogs writes the message tracking log and the SMTP send log of a server for
// the same traffic.
type twoLogs struct {
	rnd            *rand.Rand
	tracking, send []string // rows with their times, in any order
	sessions       int

	// What events are to tell: of each failing attempt its time, recipient,
	// stage, code, the status the tracking log gave when it was another, text.
	want      []string
	overQuota int64
	exact     int64 // failing attempts whose reply is in the send log
	expired   int64 // recipients given up
}

const logTime = "2006-01-02T15:04:05.000Z"

// track writes a row of the tracking log. Messages that differ only in what is
// behind a # have the same Message-ID.
func (l *twoLogs) track(at time.Time, source, event, message, recipient, status string) {
	l.tracking = append(l.tracking, fmt.Sprintf(`%s,10.0.0.1,EX01,192.0.2.1,mx.example,,Outbound,%s,%s,1,%s,%s,%s,"%s",100,1,,,subject,a@corp.example,a@corp.example,,Originating,,,,,Email,,15.01`,
		at.Format(logTime), source, event, messageID(message), networkID(message), recipient, strings.ReplaceAll(status, `"`, `""`)))
}

func messageID(message string) string {
	id, _, _ := strings.Cut(message, "#")
	return "<" + id + "@corp.example>"
}

func networkID(message string) string { return fmt.Sprintf("%032x", message) }

// session writes a session of the send log about one message.
func (l *twoLogs) session(at time.Time, message string, lines ...string) {
	l.sessions++
	all := append([]string{"+,,", "<,220 mx.example ready,", ">,EHLO ex01.corp.example,", "<,250 mx.example,",
		"*,,sending message with RecordId 1 and InternetMessageId " + messageID(message), ">,MAIL FROM:<a@corp.example>,"}, lines...)
	for i, line := range append(all, "-,,Local") {
		l.send = append(l.send, fmt.Sprintf("%s,Outbound,%016X,%d,10.0.0.1:1,192.0.2.1:25,%s", at.Add(time.Duration(i)*10*time.Millisecond).Format(logTime), l.sessions, i, line))
	}
}

// attempt tries a message at a recipient and reports whether that was the last
// time.
func (l *twoLogs) attempt(at time.Time, message, recipient string) (done bool) {
	rcpt := ">,RCPT TO:<" + strings.ToUpper(recipient[:1]) + recipient[1:] + ">," // case means nothing
	end := at.Add(time.Second)                                                    // the tracking log is written after the session
	fail := func(event, status, stage, code, mtaStatus, text string) {
		l.track(end, "SMTP", event, message, recipient, status)
		l.want = append(l.want, fmt.Sprint(end.Format(logTime), " ", recipient, " ", stage, " ", code, " ", mtaStatus, " ", text))
	}
	switch l.rnd.IntN(9) {
	case 0: // told in the same words
		const reply = "550 5.1.1 User unknown"
		l.session(at, message, rcpt, "<,250 ok,", "<,"+reply+",")
		fail("FAIL", "[{LED="+reply+"};{MSG=};{FQDN=mx.example};{IP=192.0.2.1};{LRT=}]", "rcpt", "550 5.1.1", "", reply)
	case 1: // wrapped
		const reply = "421 4.7.0 Try again later"
		l.session(at, message, rcpt, "<,250 ok,", "<,250 ok,", ">,DATA,", "<,354 go,", "<,"+reply+",")
		fail("DEFER", `451 4.4.0 Primary target IP address responded with: "`+reply+`." Attempted failover to alternate host, but that did not succeed.`, "end-of-data", "421 4.7.0", "4.4.0", reply)
		l.exact++
		return false
	case 2: // summed up in words of Exchange's own
		const reply = "450 4.2.0 Greylisted"
		l.session(at, message, rcpt, "<,250 ok,", "<,"+reply+",")
		fail("DEFER", "400 4.4.7 Message delayed", "rcpt", "450 4.2.0", "4.4.7", reply)
		l.exact++
		return false
	case 3: // refused at MAIL, with a reply of two lines
		l.session(at, message, rcpt, "<,550-5.7.1 Not from you,", "<,550 5.7.1 See example.org,", "<,503 5.5.2 Need MAIL,")
		fail("FAIL", "550-5.7.1 Not from you 550 5.7.1 See example.org", "mail", "550 5.7.1", "", "550-5.7.1 Not from you 550 5.7.1 See example.org")
	case 4: // lost: the send log has no reply
		l.session(at, message, rcpt, "<,250 ok,")
		fail("DEFER", "421 4.4.2 Connection dropped due to SocketError", "", "421 4.4.2", "", "421 4.4.2 Connection dropped due to SocketError")
		return false
	case 5:
		const reply = "552 5.2.2 Over quota"
		l.session(at, message, rcpt, "<,250 ok,", "<,"+reply+",")
		fail("FAIL", "550 5.0.350 Delivery failed", "rcpt", "552 5.2.2", "5.0.350", reply)
		l.overQuota++
	case 6: // given up soon after the last try: the send log has no more than that
		const reply = "451 4.3.2 Busy"
		l.session(at, message, rcpt, "<,250 ok,", "<,"+reply+",")
		fail("DEFER", "400 4.4.7 Message delayed", "rcpt", "451 4.3.2", "4.4.7", reply)
		l.expired++
		end = end.Add(90 * time.Second)
		l.track(end, "QUEUE", "FAIL", message, recipient, "550 4.4.7 QUEUE.Expired; message expired")
		l.want = append(l.want, fmt.Sprint(end.Format(logTime), " ", recipient, "  550 4.4.7  550 4.4.7 QUEUE.Expired; message expired"))
	default:
		l.session(at, message, rcpt, "<,250 ok,", "<,250 ok,", ">,DATA,", "<,354 go,", "<,250 queued,")
		l.track(end, "SMTP", "SENDEXTERNAL", message, recipient, "250 queued")
		return true
	}
	l.exact++
	return true
}

// write writes both logs to a folder.
func (l *twoLogs) write(t *testing.T, dir string) (tracking, send string) {
	tracking, send = filepath.Join(dir, "MSGTRK20261120-1.LOG"), filepath.Join(dir, "SEND20261120-1.LOG")
	slices.Sort(l.tracking)
	slices.SortStableFunc(l.send, func(a, b string) int { return strings.Compare(a[:len(logTime)], b[:len(logTime)]) })
	writeFile(t, tracking, []byte("#Log-type: Message Tracking Log\r\n"+strings.Join(l.tracking, "\r\n")+"\r\n"))
	writeFile(t, send, []byte("#Log-type: SMTP Send Protocol Log\r\n"+strings.Join(l.send, "\r\n")+"\r\n"))
	return tracking, send
}

func newTwoLogs(messages int) *twoLogs {
	l := &twoLogs{rnd: rand.New(rand.NewPCG(5, 6))}
	start := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	for m := range messages {
		for r := range 1 + l.rnd.IntN(3) {
			for try := range 4 {
				at := start.Add(time.Duration(m)*7*time.Second + time.Duration(r)*1100*time.Millisecond + time.Duration(try)*5*time.Minute)
				if l.attempt(at, fmt.Sprintf("m%d", m), fmt.Sprintf("u%d@d%d.example", r, m%9)) {
					break
				}
			}
		}
	}
	slices.Sort(l.want)
	return l
}

func eventsOf(t *testing.T, db *sqlite.DB, f store.Filter) (list []string) {
	t.Helper()
	_, err := db.Events(context.Background(), store.Window{}, f, store.OutcomeNames, 0, func(e *store.Event) error {
		list = append(list, fmt.Sprint(e.Time.UTC().Format(logTime), " ", e.Recipient, " ", e.Stage, " ", e.Code(), " ", e.MTAStatus, " ", e.Text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func numbersOf(t *testing.T, db *sqlite.DB) *store.Numbers {
	t.Helper()
	n, err := db.Numbers(context.Background(), store.Window{}, store.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// failedWith returns how many recipients failed for good with a code.
func failedWith(n *store.Numbers, code string) (sum int64) {
	for _, c := range n.Failed {
		if c.Code == code {
			sum += c.N
		}
	}
	return sum
}

// A tracking log and a send log of the same traffic give the numbers of the
// tracking log, and its failures with the stage and the reply of the send log,
// in whatever order and pieces they are read.
func TestSendLogsBesideTrackingLogs(t *testing.T) {
	takesLong(t)
	l := newTwoLogs(150)
	if l.exact < 50 || int(l.exact) == len(l.want) {
		t.Fatalf("%d of %d failures have a reply: no test", l.exact, len(l.want))
	}
	tracking, send := l.write(t, t.TempDir())

	alone := openStore(t)
	read(t, alone, tracking)
	want := numbersOf(t, alone)

	check := func(name string, db *sqlite.DB) {
		t.Helper()
		got := numbersOf(t, db)
		if !reflect.DeepEqual(got.Totals, want.Totals) || got.Messages != want.Messages {
			t.Errorf("%s: totals %+v, the tracking log alone %+v", name, got.Totals, want.Totals)
		}
		for i, d := range got.Domains {
			if d.Tally != want.Domains[i].Tally {
				t.Errorf("%s: %v, the tracking log alone %v", name, d, want.Domains[i])
			}
		}
		if !got.SendLogsLeftOut || got.Exact != l.exact {
			t.Errorf("%s: send logs left out: %v, %d failures with their reply; want %d", name, got.SendLogsLeftOut, got.Exact, l.exact)
		}
		if got.LeftOut.Any() {
			t.Errorf("%s: %+v, but all of the send log is in the tracking log", name, got.LeftOut)
		}
		if n := failedWith(got, "552 5.2.2"); n != l.overQuota {
			t.Errorf("%s: failed for good: %+v; want %d of 552 5.2.2", name, got.Failed, l.overQuota)
		}
		if n, alone := failedWith(got, "550 4.4.7"), failedWith(want, "550 4.4.7"); n != l.expired || n != alone {
			t.Errorf("%s: %d given up with 550 4.4.7, the tracking log alone has %d; want %d", name, n, alone, l.expired)
		}
		same(t, strings.Join(eventsOf(t, db, store.Filter{}), "\n"), strings.Join(l.want, "\n"))
	}

	both := openStore(t)
	read(t, both, tracking, send)
	check("at once", both)
	if res := read(t, both, send, tracking); res.Lines.Read != 0 {
		t.Errorf("%d lines read again", res.Lines.Read)
	}

	later := openStore(t)
	read(t, later, send)
	read(t, later, tracking)
	check("send log first", later)
	earlier := openStore(t)
	read(t, earlier, tracking)
	read(t, earlier, send)
	check("tracking log first", earlier)
	same(t, sqlitetest.Dump(t, earlier), sqlitetest.Dump(t, later))

	grown, dir := openStore(t), t.TempDir()
	parts := few(5, 20)
	for part := 1; part <= parts; part++ {
		some := twoLogs{
			tracking: l.tracking[:len(l.tracking)*part/parts],
			send:     l.send[:len(l.send)*part/parts],
		}
		some.write(t, dir)
		read(t, grown, dir)
	}
	check("growing", grown)
	same(t, sqlitetest.Dump(t, grown), sqlitetest.Dump(t, later))

	// Alone, or asked for alone, the send log has numbers of its own.
	if n := len(eventsOf(t, both, store.Filter{MTAs: []string{"exchange-smtpsend"}})); n != len(l.want)-int(l.expired) {
		t.Errorf("the send log has %d failures, want %d", n, len(l.want)-int(l.expired))
	}
	if hops := numbersOf(t, both).Hops; len(hops) != 1 || hops[0].Connections != int64(l.sessions) || hops[0].Failed != 0 {
		t.Errorf("connections: %+v, want %d", hops, l.sessions)
	}
}

// Of messages that share a Message-ID and a recipient, as those of a program that
// makes it once, each has the reply that is nearest, however the logs are read.
func TestSharedMessageID(t *testing.T) {
	const messages = 200
	l := &twoLogs{}
	for i := range messages {
		at := time.Date(2026, 11, 20, 8, 0, i*3, 0, time.UTC)
		reply := fmt.Sprint("450 4.2.0 Greylisted ", i)
		l.session(at, "m", ">,RCPT TO:<u@d.example>,", "<,250 ok,", "<,"+reply+",")
		l.track(at.Add(time.Second), "SMTP", "DEFER", fmt.Sprint("m#", i), "u@d.example", "400 4.4.7 Message delayed")
		l.want = append(l.want, fmt.Sprint(at.Add(time.Second).Format(logTime), " u@d.example rcpt 450 4.2.0 4.4.7 ", reply))
	}
	tracking, send := l.write(t, t.TempDir())
	var dump string
	for _, order := range [][]string{{tracking, send}, {send, tracking}} {
		db := openStore(t)
		for _, log := range order {
			read(t, db, log)
		}
		same(t, strings.Join(eventsOf(t, db, store.Filter{}), "\n"), strings.Join(l.want, "\n"))
		if dump != "" {
			same(t, sqlitetest.Dump(t, db), dump)
		}
		dump = sqlitetest.Dump(t, db)
	}
}

// A row of a tracking log without a Message-ID has no reply of a send log, whether
// or not that of the message is known from another row by then.
func TestMessageIDOfAnotherRow(t *testing.T) {
	takesLong(t)
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	l := &twoLogs{}
	l.session(at, "m", ">,RCPT TO:<u@d.example>,", "<,250 ok,", "<,450 4.2.0 Greylisted,")
	l.track(at.Add(time.Second), "SMTP", "DEFER", "m", "u@d.example", "400 4.4.7 Message delayed")
	l.tracking[0] = strings.Replace(l.tracking[0], messageID("m"), "", 1)
	tracking, send := l.write(t, t.TempDir())
	other := &twoLogs{}
	other.track(at.Add(-time.Second), "SMTP", "RECEIVE", "m", "u@d.example", "")
	received, _ := other.write(t, t.TempDir())
	var dump string
	for _, order := range [][]string{{received, tracking, send}, {tracking, received, send}, {send, tracking, received}, {send, received, tracking}} {
		db := openStore(t)
		for _, log := range order {
			read(t, db, log)
		}
		if dump != "" {
			same(t, sqlitetest.Dump(t, db), dump)
		}
		dump = sqlitetest.Dump(t, db)
	}
}

// What a send log tells of a server whose tracking log is missing is left out all
// the same, and counted.
func TestLeftOutOfSendLogs(t *testing.T) {
	at := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	l := &twoLogs{}
	fail := func(minute int, message, recipient string, lines ...string) time.Time {
		at := at.Add(time.Duration(minute) * time.Minute)
		l.session(at, message, append([]string{">,RCPT TO:<" + recipient + ">,", "<,250 ok,"}, lines...)...)
		return at.Add(time.Second)
	}
	const refused, busy = "<,550 5.1.1 User unknown,", "<,450 4.2.0 Busy,"
	l.track(fail(0, "told", "u@d.example", refused), "SMTP", "FAIL", "told", "u@d.example", "550 5.1.1 User unknown")
	l.track(fail(0, "lost", "u@d.example"), "SMTP", "DEFER", "lost", "u@d.example", "421 4.4.2 Connection dropped due to SocketError")
	l.track(fail(0, "later", "u@d.example", busy).Add(5*time.Minute), "SMTP", "DEFER", "later", "u@d.example", "450 4.2.0 Busy")
	fail(1, "elsewhere", "u@d.example", refused)
	fail(1, "elsewhere", "u@e.example", refused)
	fail(20, "elsewhere", "u@e.example", busy)
	unnamed := len(l.send)
	fail(30, "unnamed", "u@e.example", busy)
	for i := range l.send[unnamed:] {
		l.send[unnamed+i] = strings.Replace(l.send[unnamed+i], " and InternetMessageId "+messageID("unnamed"), "", 1)
	}
	tracking, send := l.write(t, t.TempDir())
	db := openStore(t)
	read(t, db, tracking, send)
	q := db
	ctx := context.Background()
	until := func(minute int) store.Window { return store.Window{Until: at.Add(time.Duration(minute) * time.Minute)} }
	for _, test := range []struct {
		name     string
		window   store.Window
		filter   store.Filter
		outcomes []string
		newest   int
		want     store.LeftOut
	}{
		{"all", store.Window{}, store.Filter{}, store.OutcomeNames, 0, store.LeftOut{Untracked: 4, Unnamed: 1}},
		{"a window", until(20), store.Filter{}, store.OutcomeNames, 0, store.LeftOut{Untracked: 3}},
		{"a domain", store.Window{}, store.Filter{Domains: []string{"d.example"}}, store.OutcomeNames, 0, store.LeftOut{Untracked: 2}},
		{"a code", store.Window{}, store.Filter{Codes: []string{"4xx"}}, store.OutcomeNames, 0, store.LeftOut{Untracked: 2, Unnamed: 1}},
		{"an outcome", store.Window{}, store.Filter{}, []string{"failed"}, 0, store.LeftOut{Untracked: 2}},
		{"the newest", store.Window{}, store.Filter{}, store.OutcomeNames, 1, store.LeftOut{Untracked: 1, Unnamed: 1}}, // since 08:05
		{"send logs alone", store.Window{}, store.Filter{MTAs: []string{"exchange-smtpsend"}}, store.OutcomeNames, 0, store.LeftOut{}},
		{"before the tracking log", until(0), store.Filter{}, store.OutcomeNames, 0, store.LeftOut{}},
	} {
		got, err := q.Events(ctx, test.window, test.filter, test.outcomes, test.newest, func(*store.Event) error { return nil })
		if err != nil || got != test.want {
			t.Errorf("%s: events without %+v, %v; want %+v", test.name, got, err, test.want)
		}
		if test.newest > 0 || len(test.outcomes) < len(store.OutcomeNames) {
			continue
		}
		if n, err := q.Numbers(ctx, test.window, test.filter, nil); err != nil || n.LeftOut != test.want {
			t.Errorf("%s: numbers without %+v, %v; want %+v", test.name, n.LeftOut, err, test.want)
		}
	}
}
