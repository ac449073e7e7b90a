package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func randomEvent(r *rand.Rand, t time.Time) *store.Event {
	d := registry.Foreign(fmt.Sprintf("d%d.example", r.IntN(6)))
	e := &store.Event{Time: t, Outcome: outcomeNames[r.IntN(4)], Provider: registry.Foreign(fmt.Sprintf("p%d", r.IntN(3))), Domain: d, Recipient: "x@" + d}
	if e.Outcome != "delivered" {
		e.Reply, e.Enhanced, e.Reason = 550+r.IntN(2), fmt.Sprintf("5.1.%d", r.IntN(2)), fmt.Sprintf("reason%d", r.IntN(3))
	}
	return e
}

// seen is an event as a straightforward counter remembers it.
type seen struct {
	*store.Event
	at int64
}

// brute counts what View has to show.
func brute(events []seen, head int64, q Query) (totals [outcomes]uint64, tables [4]map[string][2]uint64, newest []string) {
	for i := range tables {
		tables[i] = map[string][2]uint64{}
	}
	failing := func(e *store.Event) bool {
		for _, o := range q.Outcomes {
			if o.String() == e.Outcome {
				return true
			}
		}
		return false
	}
	var all uint64
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i].Event
		if !q.Filter.Match(e) {
			continue
		}
		if failing(e) && len(newest) < q.Newest {
			newest = append(newest, string(e.Text))
		}
		if events[i].at > head || events[i].at <= head-int64(q.Window/Step) {
			continue
		}
		o, _ := outcomeOf(e.Outcome)
		totals[o]++
		for j, name := range []string{string(e.Provider), string(e.Domain), e.Code(), e.Reason} {
			n := tables[j][name]
			if failing(e) {
				n[0]++
			}
			if j < 2 && (failing(e) || e.Outcome != "rejected" && q.Outcomes[0] != Rejected) {
				n[1]++
			}
			tables[j][name] = n
		}
		if failing(e) {
			all++
		}
	}
	for j := range tables {
		for name, n := range tables[j] {
			if j >= 2 {
				n[1] = all
			}
			tables[j][name] = n
			if n[0] == 0 {
				delete(tables[j], name)
			}
		}
	}
	return totals, tables, newest
}

func sum(n []uint64) (s uint64) {
	for _, v := range n {
		s += v
	}
	return s
}

// The counters agree with counting everything anew, while time passes slowly,
// fast and in jumps, and events come late or from the future.
func TestAgainstBruteForce(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 7))
		s := NewStats()
		wall := noon.Add(time.Duration(r.IntN(100)) * time.Second)
		var events []seen
		for i := range 3000 {
			wall = wall.Add(time.Duration(r.IntN(8000)) * time.Millisecond)
			if r.IntN(500) == 0 {
				wall = wall.Add(time.Duration(r.IntN(90)) * time.Minute)
			}
			at := wall.Add(-time.Duration(r.IntN(300)*r.IntN(300)*r.IntN(2)) * time.Second / 60)
			switch r.IntN(20) {
			case 0:
				at = wall.Add(time.Hour)
			case 1:
				at = wall.Add(-2 * time.Hour)
			}
			e := randomEvent(r, at)
			e.Text = registry.Foreign(fmt.Sprint(i))
			s.Add(e, wall)
			if at.After(wall) {
				at = wall
			}
			if step(at) > step(wall)-buckets {
				events = append(events, seen{e, step(at)})
			} else {
				events = append(events, seen{e, -1})
			}
			if i%100 != 99 || i < 200 {
				continue
			}
			q := Query{Window: []time.Duration{5, 10, 30, 60}[r.IntN(4)] * time.Minute, Rows: 100, Newest: 20, Columns: []int{0, 10, 20, 7}[r.IntN(4)],
				Outcomes: [][]Outcome{{Deferred, Failed}, {Failed}, {Rejected}}[r.IntN(3)]}
			switch r.IntN(4) {
			case 0:
				q.Filter.Providers = []string{"P1"}
			case 1:
				q.Filter.Codes = []string{"550"}
			case 2:
				q.Filter.Reasons, q.Filter.Domains = []string{"reason1"}, []string{"d1.example", "d2.example"}
			}
			compareView(t, s, events, q, wall)
		}
	}
}

func compareView(t *testing.T, s *Stats, events []seen, q Query, wall time.Time) {
	t.Helper()
	v := s.View(q, wall)
	totals, tables, newest := brute(events, step(v.Clock), q)
	for o, want := range totals {
		if got := v.Totals[o].Count; got != want {
			t.Fatalf("%v: %d %s, want %d", q, got, Outcome(o), want)
		}
		if q.Columns > 0 && sum(v.Totals[o].History) != want {
			t.Fatalf("%v: history of %s is %v, want a sum of %d", q, Outcome(o), v.Totals[o].History, want)
		}
	}
	for i, table := range v.Tables {
		got := map[string][2]uint64{}
		for _, row := range table.Rows {
			got[row.Name] = [2]uint64{row.Count, row.Of}
			if q.Columns > 0 && sum(row.History) != row.Count {
				t.Fatalf("%v: history of %s is %v, want a sum of %d", q, row.Name, row.History, row.Count)
			}
		}
		if !reflect.DeepEqual(got, tables[i]) {
			t.Fatalf("%v: by %s: %v, want %v", q, Dimensions[i], got, tables[i])
		}
	}
	var texts []string
	for _, f := range v.Newest {
		texts = append(texts, string(f.Text))
	}
	if !reflect.DeepEqual(texts, newest) {
		t.Fatalf("%v: newest %v, want %v", q, texts, newest)
	}
}

// A backlog is shown as it was, with how far behind it is.
func TestBehind(t *testing.T) {
	s := NewStats()
	e := randomEvent(rand.New(rand.NewPCG(1, 1)), noon.Add(-3*time.Hour))
	e.Outcome = "failed"
	q := Query{Window: 10 * time.Minute, Outcomes: []Outcome{Failed}, Rows: 9}
	if v := s.View(q, noon); !v.Empty || v.Behind != 0 || v.Window != 0 {
		t.Errorf("before anything came in: %+v", v)
	}
	s.Add(e, noon)
	if v := s.View(q, noon); v.Behind != 3*time.Hour || v.Totals[Failed].Count != 1 {
		t.Errorf("behind %v with %d failures, want 3 h with 1", v.Behind, v.Totals[Failed].Count)
	}
	if v := s.View(q, noon.Add(time.Hour)); v.Behind != 3*time.Hour || v.Totals[Failed].Count != 0 {
		t.Errorf("an hour later: behind %v with %d failures, want 3 h with 0", v.Behind, v.Totals[Failed].Count)
	}
	e.Time = noon.Add(time.Hour)
	s.Add(e, noon.Add(time.Hour))
	if v := s.View(q, noon.Add(time.Hour)); v.Behind != 0 || v.Totals[Failed].Count != 1 {
		t.Errorf("when caught up: behind %v with %d failures, want 0 with 1", v.Behind, v.Totals[Failed].Count)
	}
	e.Time = noon.Add(-3 * time.Hour)
	s.Add(e, noon.Add(time.Hour))
	if v := s.View(q, noon.Add(time.Hour)); v.Late != 1 || v.Totals[Failed].Count != 1 {
		t.Errorf("%d late and %d in time, want 1 and 1", v.Late, v.Totals[Failed].Count)
	}
}

// What was counted before is there from the beginning.
func TestRemember(t *testing.T) {
	s := NewStats()
	e := &store.Event{Outcome: "failed", Provider: "p", Domain: "d", Reply: 550, Reason: "r"}
	for i, n := range []uint64{1000, 100, 10, 1} { // 70, 30, 4, 0 minutes ago
		e.Time = noon.Add(-time.Duration([]int{70, 30, 4, 0}[i]) * time.Minute)
		s.Remember(e, n, noon.Add(20*time.Second))
		s.Keep(e)
	}
	for _, test := range []struct{ minutes, want uint64 }{{5, 11}, {10, 11}, {60, 111}} {
		v := s.View(Query{Window: time.Duration(test.minutes) * time.Minute, Outcomes: []Outcome{Failed}, Rows: 9, Newest: 9, Columns: 10}, noon.Add(20*time.Second))
		if v.Totals[Failed].Count != test.want || sum(v.Totals[Failed].History) != test.want || v.Behind != 0 || len(v.Newest) != 4 {
			t.Errorf("last %d minutes: %+v, behind %v, %d newest, want %d, 0 and 4", test.minutes, v.Totals[Failed], v.Behind, len(v.Newest), test.want)
		}
	}
}

// Whatever comes in, the number of combinations is bounded, and none of the
// events is lost from the totals.
func TestBounded(t *testing.T) {
	s := NewStats()
	n := 30_000 // more than are kept
	if testing.Short() {
		n = 10_000
	}
	for i := range n {
		e := &store.Event{
			Time:      noon,
			Outcome:   outcomeNames[i%4],
			Domain:    registry.Foreign(fmt.Sprintf("d%d.example", i)),
			Provider:  registry.Foreign(fmt.Sprintf("p%d", i)),
			Reply:     i % 1000,
			Enhanced:  fmt.Sprintf("5.%d.%d", i%1000, i),
			Reason:    strings.Repeat("r", i%3000),
			Text:      registry.Foreign(strings.Repeat("t", 10*maxText)),
			Recipient: registry.Foreign(strings.Repeat("x", 10*maxText)),
		}
		s.Add(e, noon)
	}
	if len(s.series) > limits[len(limits)-1]+int(outcomes) {
		t.Errorf("%d combinations are kept", len(s.series))
	}
	v := s.View(Query{Window: 10 * time.Minute, Outcomes: []Outcome{Deferred, Failed}, Rows: 10, Newest: 2000}, noon)
	for o, total := range v.Totals {
		if total.Count != uint64(n/4) {
			t.Errorf("%d %s, want %d", total.Count, Outcome(o), n/4)
		}
	}
	if r := v.Tables[1].Rows[0]; r.Name != Other || r.Count == 0 {
		t.Errorf("the first domain is %q with %d, want %q", r.Name, r.Count, Other)
	}
	if len(v.Newest) != 2*newest {
		t.Errorf("%d newest failures, want %d", len(v.Newest), 2*newest)
	}
	for _, f := range v.Newest {
		if len(f.Text) > maxText || len(f.Recipient) > 2*maxName {
			t.Fatalf("a failure with a text of %d bytes is kept", len(f.Text))
		}
	}
	// When they are old, there is room again.
	later := noon.Add(2 * Reach)
	s.Add(&store.Event{Time: later, Outcome: "failed", Domain: "new.example"}, later)
	if len(s.series) != 1 {
		t.Errorf("%d combinations are kept of which 1 is not old", len(s.series))
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []string
	}{{"", nil}, {` a  b `, []string{"a", "b"}}, {`code="550 5.1.1" x`, []string{"code=550 5.1.1", "x"}}, {`provider=""`, []string{"provider="}}, {`"a"b`, []string{"ab"}}} {
		if got, err := Words(test.in); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("Words(%q) = %q, %v, want %q", test.in, got, err, test.want)
		}
	}
	if _, err := Words(`a "b`); err == nil {
		t.Error("an open quote is no error")
	}
}

func TestFilterRoundTrip(t *testing.T) {
	const text = `provider=google provider=microsoft domain=*.example.org code="550 5.1.1" reason=dns sender=<> host=mx1 mta=exim`
	var f store.Filter
	words, err := Words(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if err := AddCondition(&f, w, FilterKeys); err != nil {
			t.Fatal(err)
		}
	}
	if got := FormatFilter(f); got != text {
		t.Errorf("%q becomes %q", text, got)
	}
	for _, bad := range []string{"x=y", "domain", "=a", "code=55"} {
		if AddCondition(&f, bad, FilterKeys) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestLine(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, test := range []struct {
		e    store.Event
		want string
	}{
		{store.Event{Time: noon, Outcome: "failed", Provider: "Google", Domain: "gmail.com", Recipient: "a@gmail.com", Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown", HasSender: true, Account: "bob", Text: "550 5.1.1 gone"},
			"2026-11-20T13:00:00+01:00  failed    Google          gmail.com               a@gmail.com                     550 5.1.1  user-unknown      <>                              bob       550 5.1.1 gone\n"},
		{store.Event{Time: noon, Outcome: "deferred", Text: "a\n\x1b[2J\u202eb"},
			"2026-11-20T13:00:00+01:00  deferred  -               -                       -                               -          -                 -                               -         a\\n\\x1b[2J\\u202eb\n"},
	} {
		if got := string(AppendLine(nil, &test.e, berlin)); got != test.want {
			t.Errorf("line is\n%q, want\n%q", got, test.want)
		}
	}
}

// timelines answers with one timeline after the other.
type timelines struct {
	store.Reader
	list  []store.Timeline
	asked []store.Window
}

func (r *timelines) Timeline(_ context.Context, w store.Window, _ store.Filter, _ []store.Dimension, _ time.Duration) (*store.Timeline, error) {
	r.asked = append(r.asked, w)
	t := &r.list[len(r.asked)-1]
	return t, nil
}

// The usual rate of a provider is the median over the days on which it got mail.
func TestUsualShare(t *testing.T) {
	google := func(delivered, deferred, failed, rejected int64) store.Slice {
		half := store.Point{Delivered: delivered, Deferrals: deferred}
		return store.Slice{Values: []registry.Foreign{"Google"}, Points: []store.Point{half, {Failures: failed, Rejected: rejected}}}
	}
	r := &timelines{list: []store.Timeline{
		{Slices: []store.Slice{google(90, 4, 6, 9)}},
		{},
		{Slices: []store.Slice{google(99, 0, 1, 0)}},
		{Slices: []store.Slice{google(50, 30, 20, 0), {Values: []registry.Foreign{"Yahoo"}, Points: []store.Point{{Rejected: 3}}}}},
	}}
	days, err := ReadDays(t.Context(), r, noon, len(r.list), store.Filter{})
	if err != nil || len(days) != 3 {
		t.Fatalf("%d days, %v", len(days), err)
	}
	if w := r.asked[2]; w.Since != noon.AddDate(0, 0, -3).Add(-30*time.Minute) || w.Until != noon.AddDate(0, 0, -3).Add(30*time.Minute) {
		t.Errorf("the third day is %v", w)
	}
	for _, test := range []struct {
		provider string
		failures []Outcome
		share    float64
		ok       bool
	}{
		{"Google", []Outcome{Deferred, Failed}, 0.1, true},
		{"Google", []Outcome{Failed}, 0.06, true},
		{"Google", []Outcome{Rejected}, 0, false},
		{"Yahoo", []Outcome{Failed}, 0, false},
		{"Microsoft", []Outcome{Failed}, 0, false},
	} {
		if share, ok := days.Share(test.provider, test.failures); share != test.share || ok != test.ok {
			t.Errorf("%s, %v: got %v, %v", test.provider, test.failures, share, ok)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	s := NewStats()
	var events []*store.Event
	for range 1000 {
		events = append(events, randomEvent(r, noon))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.Add(events[i%1000], noon)
		i++
	}
}
