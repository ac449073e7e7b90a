package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"mailfail/store/sqlite"
)

var hostile = []string{`'`, `\`, `\'; DROP TABLE attempts; --`, "a\uFFFDb", "line\nbreak\r\t", `{p:String}`, "`", `" OR 1=1`, "日本\u202e", "%_*?", `\x00\`}

// What servers and clients write is text, whatever it is made of.
func TestHostileText(t *testing.T) {
	c := newClient(t)
	for _, s := range append(hostile, "a\x00b") {
		got := ""
		err := c.eachRow(t.Context(), "SELECT "+quote(s)+" FORMAT RowBinary", []fleet.Type{fleet.Text}, func(r fleet.Row) error {
			got = r[0].Text
			return nil
		})
		if err != nil || got != s {
			t.Errorf("%q came back as %q, %v", s, got, err)
		}
	}
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	for i, text := range hostile {
		s.add(t, i, text)
	}
	if _, err := Send(t.Context(), c, s.db, PushOptions{Host: hostile[0]}); err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range hostile {
		for _, what := range []string{text, text + "@a.test"} {
			want, _, err := s.db.Trace(t.Context(), what)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := db.Trace(t.Context(), what)
			if err != nil || len(want) == 0 || asJSON(t, got) != asJSON(t, want) {
				t.Errorf("%q: %s, %v, want %s", what, asJSON(t, got), err, asJSON(t, want))
			}
		}
		f := store.Filter{Accounts: []string{text}}
		if got, want := eventsOf(t, db, f), eventsOf(t, s.db, f); got != want || len(want) < 5 {
			t.Errorf("account %q: %s, want %s", text, got, want)
		}
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func eventsOf(t testing.TB, db store.Reader, f store.Filter) string {
	t.Helper()
	var list []*store.Event
	if _, err := db.Events(t.Context(), store.Window{}, f, store.OutcomeNames, 0, func(e *store.Event) error {
		list = append(list, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return asJSON(t, list)
}

// stateOf returns all that a database says.
func stateOf(t testing.TB, db store.Database) string {
	t.Helper()
	text := ""
	err := db.Snapshot(t.Context(), func(r store.Reader) error {
		n, err := r.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		text = asJSON(t, n) + eventsOf(t, r, store.Filter{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// spool is a database of one host.
type spool struct {
	path string
	db   *sqlite.DB
}

func newSpool(t testing.TB, path string) *spool {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &spool{path, db}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes a batch.
func (s *spool) write(t testing.TB, f func(w store.Writer)) {
	t.Helper()
	w, err := s.db.Writer()
	must(t, err)
	defer w.Close()
	_, err = w.Begin(t.Context())
	must(t, err)
	f(w)
	must(t, w.Commit())
}

// add adds a message with a failing attempt, which text is everywhere in, and counts,
// and returns the recipient.
func (s *spool) add(t testing.TB, i int, text string) (id int64, r store.Recipient) {
	t.Helper()
	at := int64(i+1) * store.MinuteMicros
	s.write(t, func(w store.Writer) {
		series, err := w.Series(&store.SeriesKey{Format: "postfix", Host: []byte("h1"), Sender: []byte(text), Domain: []byte("a.test"), Relay: []byte("mx.test"), Provider: "P"})
		must(t, err)
		cause, err := w.Cause(&store.Cause{Failure: registry.Failure{Reply: 550, Signature: text}, Verdict: registry.Verdict{Reason: "unknown"}})
		must(t, err)
		message, err := w.AddMessage(&store.Message{Format: "postfix", Host: "h1", QueueID: text, Sender: text, HasSender: true, Account: text, FirstSeen: at})
		must(t, err)
		r = store.Recipient{Message: message, Series: series, Address: text + "@a.test", FirstSeen: at, LastSeen: at, Cause: cause, Troubled: true}
		id = w.AddRecipient(&r)
		must(t, w.AddAttempt(&store.Attempt{Format: "postfix", Time: at, Recipient: id, Series: series, Outcome: 2, Cause: cause, Text: text, First: true}))
		w.Count(series, at, store.Counts{Delivered: 3, Recipients: 3, Messages: 2})
		w.CountLines(at, store.Lines{Read: 5, Understood: 5})
	})
	return id, r
}

// More places than one question names are asked for as bits.
func TestManySeries(t *testing.T) {
	c := newClient(t)
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	const many = 7_000
	s.write(t, func(w store.Writer) {
		cause, err := w.Cause(&store.Cause{Failure: registry.Failure{Reply: 550}, Verdict: registry.Verdict{Reason: "unknown"}})
		must(t, err)
		for i := range int64(many) {
			at := (1 + i) * 1_000_000
			series, err := w.Series(&store.SeriesKey{Format: "postfix", Host: []byte("h1"), Sender: fmt.Appendf(nil, "s%d.test", i%7), Domain: fmt.Appendf(nil, "d%d.test", i)})
			must(t, err)
			if i%3 == 0 { // of the others there are only counts
				message, err := w.AddMessage(&store.Message{Format: "postfix", Host: "h1", QueueID: fmt.Sprint(i), FirstSeen: at})
				must(t, err)
				id := w.AddRecipient(&store.Recipient{Message: message, Series: series, Address: "a@d.test", FirstSeen: at, LastSeen: at, Cause: cause, Troubled: true})
				must(t, w.AddAttempt(&store.Attempt{Format: "postfix", Time: at, Recipient: id, Series: series, Outcome: 2, Cause: cause, Text: "no", First: true}))
			}
			w.Count(series, at, store.Counts{Delivered: 1, Recipients: 1})
		}
	})
	_, err := Send(t.Context(), c, s.db, PushOptions{})
	must(t, err)
	db, err := Open(t.Context(), c)
	must(t, err)
	for _, f := range []store.Filter{{}, {Domains: []string{"d33.test", "d34.test"}}} {
		want, err := s.db.Numbers(t.Context(), store.Window{}, f, nil)
		must(t, err)
		got, err := db.Numbers(t.Context(), store.Window{}, f, nil)
		must(t, err)
		if asJSON(t, got) != asJSON(t, want) || len(f.Domains) == 0 && len(got.Domains) != many {
			t.Errorf("%+v: %.1000s\nwant\n%.1000s", f, asJSON(t, got), asJSON(t, want))
		}
	}
}

// change changes rows that were sent: a recipient fails, one without attempts goes,
// counts vanish.
func (s *spool) change(t testing.TB, id int64, r store.Recipient) {
	t.Helper()
	var going int64
	s.write(t, func(w store.Writer) {
		r.State, r.FinalAt, r.LastSeen = registry.StateBounced, r.LastSeen+1, r.LastSeen+1
		w.UpdateRecipient(id, &r)
		w.Count(r.Series, r.FirstSeen, store.Counts{Delivered: -3, Recipients: -3, Messages: -2})
		going = w.AddRecipient(&store.Recipient{Message: r.Message, Series: r.Series, Address: "going@a.test", FirstSeen: r.FirstSeen, LastSeen: r.LastSeen})
	})
	s.write(t, func(w store.Writer) { w.DeleteRecipient(going) })
}

// breaking is a transport that fails one request: before the server has it, or after
// it has done what was asked.
type breaking struct {
	http.RoundTripper
	at, n int
	after bool
}

var errBroken = errors.New("the line is broken")

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	b.n++
	if b.n-1 != b.at {
		return b.RoundTripper.RoundTrip(r)
	}
	if b.after {
		answer, err := b.RoundTripper.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		answer.Body.Close()
	}
	return nil, errBroken
}

// Wherever a push breaks off, the numbers are right after the next one that does
// not, with all that was written meanwhile.
func TestSendBroken(t *testing.T) {
	c := newClient(t)
	db, err := Open(t.Context(), c)
	must(t, err)
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	line := c.http.Transport
	opt := PushOptions{BodyRows: 2}
	broken := 0
	for at := 0; ; at++ {
		id, r := s.add(t, at, fmt.Sprint("text ", at))
		c.http.Transport = &breaking{line, at, 0, at%2 == 1}
		_, err := Send(t.Context(), c, s.db, opt)
		c.http.Transport = line
		if err == nil {
			break
		}
		if broken++; !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		s.change(t, id, r)
		if at%3 == 0 {
			_, err := Send(t.Context(), c, s.db, opt)
			must(t, err)
			if got, want := stateOf(t, db), stateOf(t, s.db); got != want {
				t.Fatalf("after request %d broke:\n%s\nwant\n%s", at, got, want)
			}
		}
	}
	if broken < 8 {
		t.Errorf("only %d requests broke", broken)
	}
	if got, want := stateOf(t, db), stateOf(t, s.db); got != want {
		t.Fatalf("in the end:\n%s\nwant\n%s", got, want)
	}
	// Once all has arrived, nothing is sent but that.
	n, err := Send(t.Context(), c, s.db, opt)
	if waiting, e := s.db.Unsent(t.Context()); err != nil || e != nil || n.Rows != 0 || waiting.Rows != 0 || waiting.Target != c.String() {
		t.Errorf("%d rows were sent again, %+v, %v, %v", n.Rows, waiting, err, e)
	}
}

// recording is a transport that keeps the requests that insert rows.
type recording struct {
	http.RoundTripper
	inserts []insert
}

type insert struct {
	query url.Values
	body  []byte
}

func (r *recording) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Header.Get("Content-Encoding") == "gzip" {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		r.inserts = append(r.inserts, insert{request.URL.Query(), body})
	}
	return r.RoundTripper.RoundTrip(request)
}

// Requests of several pushes that arrive in any order, and some of them again, make
// the same numbers.
func TestSendOutOfOrder(t *testing.T) {
	c := newClient(t)
	log := &recording{RoundTripper: c.http.Transport}
	c.http.Transport = log
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	for i := range 5 {
		id, r := s.add(t, i, fmt.Sprint("text ", i))
		_, err := Send(t.Context(), c, s.db, PushOptions{BodyRows: 3})
		must(t, err)
		s.change(t, id, r)
	}
	_, err := Send(t.Context(), c, s.db, PushOptions{})
	must(t, err)
	want := stateOf(t, s.db)
	for seed := range uint64(3) {
		late := newClient(t)
		random := rand.New(rand.NewPCG(seed, 1))
		order := append(random.Perm(len(log.inserts)), random.Perm(len(log.inserts))[:len(log.inserts)/2]...)
		for _, i := range order {
			query := url.Values{"query": {strings.ReplaceAll(log.inserts[i].query.Get("query"), quoteName(c.database), quoteName(late.database))}}
			answer, err := late.post(t.Context(), query, bytes.NewReader(log.inserts[i].body), true)
			must(t, err)
			answer.Close()
		}
		db, err := Open(t.Context(), late)
		must(t, err)
		if got := stateOf(t, db); got != want {
			t.Errorf("order %v:\n%s\nwant\n%s", order, got, want)
		}
	}
	if len(log.inserts) < 30 {
		t.Errorf("only %d requests", len(log.inserts))
	}
}

// A database that was put back to an earlier state is sent anew, and what came after
// that state counts no more; so is one whose server was.
func TestPutBack(t *testing.T) {
	c := newClient(t)
	db, err := Open(t.Context(), c)
	must(t, err)
	dir := t.TempDir()
	s := newSpool(t, filepath.Join(dir, "spool.db"))
	send := func(s *spool, c *Client) {
		t.Helper()
		_, err := Send(t.Context(), c, s.db, PushOptions{})
		must(t, err)
		if got, want := stateOf(t, db), stateOf(t, s.db); got != want {
			t.Fatalf("%s\nwant\n%s", got, want)
		}
	}
	s.add(t, 1, "one")
	send(s, c)
	back := filepath.Join(dir, "backup.db")
	must(t, s.db.Backup(t.Context(), back))
	for i := range 5 {
		id, r := s.add(t, 2+i, fmt.Sprint("lost ", i))
		s.change(t, id, r)
		send(s, c)
	}
	restored := newSpool(t, back)
	restored.add(t, 20, "other")
	send(restored, c)
	send(restored, c)
	restored.add(t, 21, "more")
	send(restored, c)

	other := newClient(t) // a server that has nothing
	if db, err = Open(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	send(restored, other)
}

// Without a target nothing is noted; with one, only what changes rows that were sent.
func TestNotedChanges(t *testing.T) {
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	noted := func() (n int64) {
		t.Helper()
		must(t, s.db.SQL().QueryRow("SELECT count(*) FROM changes").Scan(&n))
		return n
	}
	id, r := s.add(t, 1, "one")
	s.change(t, id, r)
	if n := noted(); n != 0 {
		t.Errorf("%d changes without a target", n)
	}
	if w, err := s.db.Unsent(t.Context()); err != nil || w != (store.Unsent{}) {
		t.Errorf("%+v, %v", w, err)
	}
	p, err := s.db.BeginPush(t.Context(), sqlite.PushedTo{Target: "x"})
	must(t, err)
	must(t, p.Done(t.Context()))
	if w, err := s.db.Unsent(t.Context()); err != nil || w.Rows != 0 || w.Since.IsZero() {
		t.Errorf("%+v, %v", w, err)
	}
	id, r = s.add(t, 2, "two")
	if n := noted(); n != 3 { // a block of counts in the place of another, and a minute of lines
		t.Errorf("%d changes for new rows", n)
	}
	s.change(t, id, r)
	w, err := s.db.Unsent(t.Context())
	if err != nil || w.Rows < 5 || w.Rows > 10 {
		t.Errorf("%+v, %v", w, err)
	}
}

// Persons do not leave a host that hides them.
func TestSendHidden(t *testing.T) {
	c := newClient(t)
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	s.add(t, 1, "joe")
	_, err := Send(t.Context(), c, s.db, PushOptions{Hide: func(t *fleet.Table, row fleet.Row) bool {
		for i := range row {
			row[i].Text = strings.ReplaceAll(row[i].Text, "joe", "user-1")
		}
		return true
	}})
	must(t, err)
	db, err := Open(t.Context(), c)
	must(t, err)
	if got := stateOf(t, db); strings.Contains(got, "joe") || !strings.Contains(got, "user-1") {
		t.Error(got)
	}
}

// A server that does not answer does not keep anybody who is told to end.
func TestSendEnds(t *testing.T) {
	c := newClient(t)
	s := newSpool(t, filepath.Join(t.TempDir(), "spool.db"))
	s.add(t, 1, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Send(ctx, c, s.db, PushOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
