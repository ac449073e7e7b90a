// Package storetest is the test suite that every engine of package store must pass: the
// same rows in, byte-identical answers out.
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"mailfail/store"
)

// Engine is a database that is under test.
type Engine interface {
	store.Database
	store.Writable
}

// Run tests an engine; open returns a new, empty database of it. golden is the path of the
// expected answers, testdata/answers.json in the folder of this package; update rewrites
// it.
func Run(t *testing.T, golden string, update bool, open func(testing.TB) Engine) {
	rows := someRows(rand.New(rand.NewSource(1)))
	t.Run("answers", func(t *testing.T) {
		e := open(t)
		rows.write(t, e, 1)
		compare(t, golden, update, answers(t, e))
	})
	t.Run("order", func(t *testing.T) {
		takesLong(t)
		for seed := range int64(2) {
			e := open(t)
			rows.shuffled(rand.New(rand.NewSource(seed))).write(t, e, 4)
			compare(t, golden, false, answers(t, e))
		}
	})
	t.Run("snapshot", func(t *testing.T) { snapshot(t, open(t), rows) })
	t.Run("together", func(t *testing.T) {
		takesLong(t)
		together(t, open(t), rows)
	})
	t.Run("content", func(t *testing.T) { content(t, open(t)) })
	t.Run("feedback", func(t *testing.T) { feedback(t, open) })
	t.Run("rollback", func(t *testing.T) {
		takesLong(t)
		rollback(t, open(t), rows)
	})
}

// takesLong skips a test in runs with -short.
func takesLong(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
}

func compare(t *testing.T, golden string, update bool, got []byte) {
	t.Helper()
	if update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	a, b := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			n := 0
			for n < min(len(a[i]), len(b[i])) && a[i][n] == b[i][n] {
				n++
			}
			t.Fatalf("line %d at %d:\n%.100s … %.300s\nwant\n%.300s", i+1, n, a[i], a[i][max(0, n-50):],
				b[i][max(0, n-50):])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("%d lines, want %d", len(a), len(b))
	}
}

// minute returns the time n minutes after the first hour of the test rows, in UTC.
func minute(n int) time.Time { return time.Unix(1_700_000_000/3600*3600+60*int64(n), 0).UTC() }

func micros(n int) int64 { return minute(n).UnixMicro() }

var (
	windows = []store.Window{
		{},
		{Since: minute(30), Until: minute(150)},
		{Until: minute(61)},
	}
	filters = []store.Filter{
		{},
		{Domains: []string{"*.a.test", "b.test"}},
		{Providers: []string{"google"}, Hosts: []string{"H1"}},
		{Senders: []string{"<>", "s.test"}},
		{Codes: []string{"550", "4.7.x"}},
		{Reasons: []string{"unknown"}, MTAs: []string{"exchange", "postfix"}},
		{MTAs: []string{"exchange-smtpsend"}},
	}
	groupings = [][]store.Dimension{
		{store.ByDomain, store.ByProvider},
		{store.ByCode},
		{store.ByReason, store.ByHost},
		{store.BySender, store.ByRelay},
		{store.ByMTA, store.ByInstance},
		nil,
	}
)

// answers asks all questions and returns the answers as JSON, one a line.
func answers(t *testing.T, db store.Database) []byte {
	t.Helper()
	var b bytes.Buffer
	err := db.Snapshot(t.Context(), func(r store.Reader) error {
		for i, w := range windows {
			for j, f := range filters {
				ask(t, &b, r, w, f, groupings[(i+j)%len(groupings)])
			}
		}
		return trace(t, &b, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func say(t *testing.T, b io.Writer, what string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "%s %s\n", what, text)
}

func ask(t *testing.T, b io.Writer, r store.Reader, w store.Window, f store.Filter, by []store.Dimension) {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	n, err := r.Numbers(ctx, w, f, by)
	check(err)
	utc(n)
	say(t, b, "numbers", n)
	sums, err := r.Sums(ctx, w, f)
	check(err)
	if want := n.Sums(); !reflect.DeepEqual(sums, want) {
		t.Errorf("sums of %v, %+v: %+v, want %+v", w, f, sums, want)
	}
	line, err := r.Timeline(ctx, w, f, by, time.Hour)
	check(err)
	for i := range line.Slices {
		for j := range line.Slices[i].Points {
			p := &line.Slices[i].Points[j]
			p.Time = p.Time.UTC()
		}
	}
	say(t, b, "timeline", line)
	checkFlow(t, r, w, f)
	checkAffected(t, r, w, f)
	events := 0
	left, err := r.Events(ctx, w, f, store.OutcomeNames, 2, func(e *store.Event) error {
		events++
		e.Time = e.Time.UTC()
		say(t, b, "event", e)
		return nil
	})
	check(err)
	say(t, b, "events", []any{events, left})
	var recent []string
	check(r.Recent(ctx, w, f, func(e *store.Event, n int64) {
		recent = append(recent,
			fmt.Sprint(e.Time.UTC(), e.Outcome, e.Format, e.Host, e.Provider, e.Domain, e.Reply, e.Enhanced,
				e.Reason, " ", n))
	}))
	slices.Sort(recent)
	say(t, b, "recent", recent[:min(len(recent), 2)])
	u, err := r.Usual(ctx, minute(24*60+60), 3, f)
	check(err)
	say(t, b, "usual", u)
	repeats, err := r.Repeats(ctx, w, f)
	check(err)
	say(t, b, "repeats", repeats.Has(&store.Event{Format: store.SendFormat}))
}

// utc puts the times of numbers into UTC: the zone is not part of an engine's contract.
func utc(n *store.Numbers) {
	n.FirstLine, n.LastLine = n.FirstLine.UTC(), n.LastLine.UTC()
	for _, rows := range [][]store.CodeRow{n.Codes, n.Uncoded, n.Rejections, n.UncodedRejections} {
		for i := range rows {
			rows[i].First, rows[i].Last = rows[i].First.UTC(), rows[i].Last.UTC()
		}
	}
	for i := range n.Hops {
		n.Hops[i].First, n.Hops[i].Last = n.Hops[i].First.UTC(), n.Hops[i].Last.UTC()
	}
}

func trace(t *testing.T, b io.Writer, r store.Reader) error {
	for _, what := range []string{"Q3", "<5@x.test>", "5@x.test", "u7@b.test", "U8@A.test",
		"nobody@x.test"} {
		stories, rejections, err := r.Trace(context.Background(), what)
		if err != nil {
			return err
		}
		for _, s := range stories {
			s.FirstSeen = s.FirstSeen.UTC()
			for i := range s.Recipients {
				p := &s.Recipients[i]
				p.FirstSeen, p.LastSeen, p.Final = p.FirstSeen.UTC(), p.LastSeen.UTC(), p.Final.UTC()
				for _, e := range p.Attempts {
					e.Time = e.Time.UTC()
				}
			}
		}
		for _, e := range rejections {
			e.Time = e.Time.UTC()
		}
		say(t, b, "trace "+what, []any{stories, rejections})
	}
	return nil
}

// snapshot checks that the answers of a snapshot are of one moment.
func snapshot(t *testing.T, e Engine, rows *rows) {
	rows.write(t, e, 1)
	err := e.Snapshot(t.Context(), func(r store.Reader) error {
		before, err := r.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		if err != nil {
			return err
		}
		rows.write(t, e, 1)
		after, err := r.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
		if err == nil && before.Totals != after.Totals {
			t.Errorf("totals became %+v within a snapshot, were %+v", after.Totals, before.Totals)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	n, err := e.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, r := range rows.counts {
		want += 2 * r.counts.Delivered
	}
	if got := n.Totals.Attempts - n.Totals.Deferrals - n.Totals.Failures; got != want &&
		len(n.Domains) > 0 &&
		!n.SendLogsLeftOut {
		t.Errorf("%d deliveries after a second writing, want %d", got, want)
	}
}

// rollback checks that a batch that was rolled back leaves nothing behind.
func rollback(t *testing.T, e Engine, rows *rows) {
	rows.write(t, e, 1)
	want := answers(t, e)
	w, err := e.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows.put(t, w)
	w.Rollback()
	if got := answers(t, e); !bytes.Equal(got, want) {
		t.Error("a batch that was rolled back changed the answers")
	}
}
