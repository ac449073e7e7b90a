package track

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
)

// ledger is a Writer that adds up what came into the queue.
type ledger struct {
	store.Writer
	keys map[int64]store.SeriesKey
	sums map[string]store.Counts
	subs map[string][2]int64 // messages and recipients
}

func (l *ledger) Series(k *store.SeriesKey) (int64, error) {
	id, err := l.Writer.Series(k)
	l.keys[id] = store.SeriesKey{Host: slices.Clone(k.Host), Sender: slices.Clone(k.Sender), Own: k.Own}
	return id, err
}

func (l *ledger) Count(series, time int64, c store.Counts) {
	if k := l.keys[series]; c.Accepted != 0 || c.Heard != 0 {
		name := fmt.Sprintf("%s from %s at %d", k.Host, k.Sender, time/1e6%60)
		if k.Own {
			name += " own"
		}
		sum := l.sums[name]
		sum.Add(c)
		l.sums[name] = sum
	}
	l.Writer.Count(series, time, c)
}

func (l *ledger) AddSubmission(s *store.Submission) {
	name := fmt.Sprintf("%s %s %s %s", s.Host, s.Sender, s.Account, s.Client)
	sum := l.subs[name]
	sum[0], sum[1] = sum[0]+s.Messages, sum[1]+s.Recipients
	l.subs[name] = sum
	l.Writer.AddSubmission(s)
}

// lines returns all that is not zero, sorted.
func (l *ledger) lines() (lines []string) {
	for name, c := range l.sums {
		if c != (store.Counts{}) {
			lines = append(lines, fmt.Sprintf("%s: %d for %d, heard %d", name, c.Accepted, c.Expected, c.Heard))
		}
	}
	for name, n := range l.subs {
		if n != [2]int64{} {
			lines = append(lines, fmt.Sprintf("by %s: %d for %d", name, n[0], n[1]))
		}
	}
	slices.Sort(lines)
	return lines
}

// keep writes records as play does, and returns what came into the queue.
func keep(t *testing.T, rs []*parsers.Record, cut func(i int) bool) []string {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w, err := db.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l := &ledger{w, map[int64]store.SeriesKey{}, map[string]store.Counts{}, map[string][2]int64{}}
	var tr *Tracker
	do := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := func() {
		tr = New(l, registry.DefaultRules())
		_, err := w.Begin(t.Context())
		do(err, tr.Reset())
	}
	begin()
	for i, r := range rs {
		if cut(i) {
			do(tr.Flush(), w.Commit())
			begin()
		}
		do(tr.Record(r))
	}
	do(tr.Flush(), w.Commit())
	return l.lines()
}

func TestAccepted(t *testing.T) {
	for _, test := range []struct {
		name, story string
		want        []string
	}{
		{"tried, and not yet", `
			A arrive client=192.0.2.1 account=joe
			A arrive s@x.example nrcpt=2
			B arrive t@x.example nrcpt=1
			A deferred a@one.example
			A arrive s@x.example nrcpt=2
			A sent a@one.example`,
			[]string{"by mx1 x.example  : 1 for 1", "by mx1 x.example joe 192.0.2.1: 1 for 2",
				"mx1 from x.example at 1: 1 for 2, heard 1", "mx1 from x.example at 2: 1 for 1, heard 0"}},
		{"refused after it got its id", `
			A arrive client=192.0.2.1
			A arrive id=<1@x>`,
			nil},
		{"the log begins between two tries", `
			A suspended a@one.example
			A arrive s@x.example nrcpt=1`,
			nil},
		{"removed from the queue", `
			A arrive s@x.example nrcpt=1
			A end`,
			[]string{"by mx1 x.example  : 1 for 1", "mx1 from x.example at 0: 1 for 1, heard 1"}},
		{"own bounce", `
			A arrive own
			A arrive <> nrcpt=1
			A sent s@x.example`,
			[]string{"mx1 from <> at 1 own: 1 for 1, heard 1"}},
		{"own bounce that is said to be one when it has left", `
			A arrive id=<A@mx1>
			A arrive <> nrcpt=1
			A sent s@x.example
			A end
			A arrive own
			B arrive id=<20261122060000.B@mx1>
			B arrive <> nrcpt=1`,
			[]string{"mx1 from <> at 1 own: 1 for 1, heard 1", "mx1 from <> at 6 own: 1 for 1, heard 0"}},
		{"bounces that others bring, without a Message-ID", `
			A arrive client=192.0.2.1
			A arrive id=<A@mx1>
			A arrive <> nrcpt=1
			A sent s@x.example
			B arrive <> again id=<B@mx1>
			B arrive <> nrcpt=1
			B sent s@x.example
			C arrive id=<AC@mx1>
			C arrive <> nrcpt=1
			C sent s@x.example`,
			[]string{"by mx1 <>  192.0.2.1: 1 for 1", "by mx1 <>  : 2 for 1", "mx1 from <> at 2: 1 for 1, heard 1",
				"mx1 from <> at 4: 1 for 0, heard 1", "mx1 from <> at 8: 1 for 1, heard 1"}},
		{"content filter", `
			A arrive id=<1@x> client=192.0.2.1
			A arrive s@x.example nrcpt=1
			B arrive id=<1@x> client=127.0.0.1 again
			B arrive s@x.example nrcpt=1
			A sent a@one.example relay=localhost[127.0.0.1] next=B
			A end
			B sent a@one.example
			B end`,
			[]string{"by mx1 x.example  192.0.2.1: 1 for 1", "mx1 from x.example at 1: 1 for 1, heard 1"}},
		{"roaming", `
			*M arrive s@x.example nrcpt=2 client=192.0.2.1 account=joe
			*M arrive s@x.example nrcpt=1 client=10.0.0.1
			*M sent a@corp.example`,
			[]string{"by mx1 x.example joe 192.0.2.1: 1 for 2", "mx1 from x.example at 0: 1 for 2, heard 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rs := records(t, test.story)
			if got := keep(t, rs, func(int) bool { return false }); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if rs[0].Format == roaming {
				rand.New(rand.NewPCG(1, 3)).Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
			}
			if got := keep(t, rs, func(int) bool { return true }); !slices.Equal(got, test.want) {
				t.Errorf("in pieces: got  %q\nwant %q", got, test.want)
			}
		})
	}
}
