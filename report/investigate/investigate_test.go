package investigate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mailfail/registry"
)

// world is a small site: two hosts, three senders, two large providers and
// forty domains of their own, eight days of history and one day to look at.
type world struct {
	data   *Data
	r      *rand.Rand
	places map[Place]int32
	next   int64

	account map[int64]registry.Foreign // of failures
}

const (
	day   = 24 * 60
	begin = 29_700_000 - 29_700_000%day // a midnight in UTC
	noon  = begin + day/2
)

// plan says what is not as usual on the last day; nil is nothing. What fails has
// Causes[1]; others fail by chance with Causes[0].
type plan struct {
	fails   func(minute int64, p *Place) bool
	stays   func(minute int64, p *Place) bool // is not sent
	waits   func(minute int64, p *Place) bool // is accepted and not tried
	moves   func(minute int64, p *Place) bool // is sent by another host
	reports bool                              // what is accepted is logged
	noDays  bool
	shift   int64 // minutes that the window begins before the last day
}

func (w *world) is(what func(int64, *Place) bool, minute int64, p *Place) bool {
	return what != nil && minute >= begin && what(minute, p)
}

// newWorld makes a site.
func newWorld(how plan) *world {
	w := &world{r: rand.New(rand.NewPCG(1, 2)), places: map[Place]int32{}, account: map[int64]registry.Foreign{}}
	w.data = &Data{Since: begin - how.shift, Until: begin + day - how.shift, Causes: []Cause{{Reason: "user-unknown", Stage: "rcpt", Source: "remote"},
		{Reason: "blocklist", Code: "550 5.7.1", Signature: "blocked", Stage: "rcpt", Source: "remote"}, {Reason: "connection", Stage: "connect", Source: "network"}}}
	w.data.Details = func(ids []int64) map[int64]Detail {
		found := map[int64]Detail{}
		for _, id := range ids {
			found[id] = Detail{Text: "550 no", Account: w.account[id], Client: "192.0.2.1"}
		}
		return found
	}
	for i := range int64(8) {
		if !how.noDays {
			w.data.Days = append(w.data.Days, Span{begin - (8-i)*day - how.shift, begin - (7-i)*day - how.shift})
		}
	}
	for minute := int64(begin - 8*day); minute < w.data.Until; minute++ {
		p := w.place()
		if w.is(how.stays, minute, &p) {
			continue
		}
		if w.is(how.moves, minute, &p) {
			p.Host = "new"
		}
		if how.reports {
			w.data.Accept(minute, w.id(Place{Host: p.Host, Sender: p.Sender}), 1)
		}
		if w.is(how.waits, minute, &p) {
			continue
		}
		w.arrive(minute, p)
		switch {
		case w.is(how.fails, minute, &p):
			w.fail(minute, p, 1)
		case w.r.IntN(200) == 0:
			w.fail(minute, p, 0)
		}
	}
	return w
}

func (w *world) place() Place {
	p := Place{Host: registry.Foreign(fmt.Sprint("mx", w.r.IntN(2))), Sender: []registry.Foreign{"shop.test", "office.test", "news.test"}[w.r.IntN(3)]}
	switch x := w.r.IntN(10); {
	case x < 3:
		p.Provider, p.Domain = "Google", []registry.Foreign{"gmail.com", "a.example", "b.example"}[w.r.IntN(3)]
		p.Relay = "aspmx.l.google.com"
	case x < 5:
		p.Provider, p.Domain, p.Relay = "Yahoo", "yahoo.com", "mta5.am0.yahoodns.net"
	default:
		p.Domain = registry.Foreign(fmt.Sprintf("firm%d.example", w.r.IntN(40)))
		p.Relay, p.Provider = "mail."+p.Domain, p.Domain
	}
	return p
}

func (w *world) id(p Place) int32 {
	id, ok := w.places[p]
	if !ok {
		id = w.data.AddPlace(p)
		w.places[p] = id
	}
	return id
}

func (w *world) arrive(minute int64, p Place) {
	w.data.Arrive(minute, w.id(p), 1)
}

func (w *world) fail(minute int64, p Place, cause int32) {
	w.next++
	w.data.Fail(Event{ID: w.next, Minute: minute, Arrived: minute, Place: w.id(p), Cause: cause, N: 1, Recipient: w.next, State: Failed})
}

func TestFailures(t *testing.T) {
	afternoon := func(match func(p *Place) bool) func(int64, *Place) bool {
		return func(minute int64, p *Place) bool { return minute >= noon && match(p) }
	}
	for _, tt := range []struct {
		name  string
		fails func(int64, *Place) bool
		want  Where
	}{
		{"provider", afternoon(func(p *Place) bool { return p.Provider == "Google" }), Where{Provider: "Google"}},
		{"sender", afternoon(func(p *Place) bool { return p.Sender == "news.test" }), Where{SenderDomain: "news.test"}},
		{"host", afternoon(func(p *Place) bool { return p.Host == "mx1" }), Where{Host: "mx1"}},
		{"sender at a provider", afternoon(func(p *Place) bool { return p.Sender == "shop.test" && p.Provider == "Google" }), Where{Provider: "Google", SenderDomain: "shop.test"}},
		{"everything", afternoon(func(*Place) bool { return true }), Where{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Analyze(newWorld(plan{fails: tt.fails}).data)
			if len(r.Problems) != 1 {
				t.Fatalf("%d problems, want one: %+v", len(r.Problems), r.Problems)
			}
			p := &r.Problems[0]
			if p.Where != tt.want || p.Reason != "blocklist" || p.Kind != Failures {
				t.Errorf("%s %+v %s, want %+v", p.Kind, p.Where, p.Reason, tt.want)
			}
			if got := p.Began.Unix() / 60; got < noon-10 || got > noon+10 {
				t.Errorf("began %s", p.Began)
			}
			if !p.Ended.IsZero() {
				t.Errorf("ended %s", p.Ended)
			}
			if !p.New || !p.NewCode || len(p.Examples) != 1 || p.Examples[0] != "550 no" {
				t.Errorf("new %v, code %v, examples %q", p.New, p.NewCode, p.Examples)
			}
		})
	}
}

// Deliveries are not counted by account, but failures tell that it is one account's
// mail that fails, of a sender or of several.
func TestAccount(t *testing.T) {
	shop := func(p *Place) bool { return p.Sender == "shop.test" }
	several := func(p *Place) bool {
		return shop(p) && p.Provider == "Google" || p.Sender == "office.test" && p.Provider == "Yahoo"
	}
	for _, tt := range []struct {
		name  string
		fails func(*Place) bool
		usual registry.Foreign // account of what fails otherwise
		want  Where
	}{
		{"of one sender", shop, "web", Where{SenderDomain: "shop.test", Account: "joe"}},
		{"the usual one", shop, "joe", Where{SenderDomain: "shop.test"}},
		{"at several places", several, "web", Where{Account: "joe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(plan{fails: func(minute int64, p *Place) bool { return minute >= noon && tt.fails(p) }})
			for i := range w.data.failures {
				w.account[w.data.failures[i].id] = tt.usual
			}
			for i := range w.data.Events {
				if e := &w.data.Events[i]; e.Cause == 1 {
					w.account[e.ID] = "joe"
				}
			}
			r := Analyze(w.data)
			if len(r.Problems) != 1 || r.Problems[0].Where != tt.want {
				t.Fatalf("problems: %+v", r.Problems)
			}
		})
	}
}

// Of an account that was asked for no mail can be missing: nobody knows how much it
// sends.
func TestNoCounts(t *testing.T) {
	w := newWorld(plan{stays: func(minute int64, p *Place) bool { return minute >= noon && p.Sender == "shop.test" }})
	w.data.NoCounts = true
	if r := Analyze(w.data); len(r.Problems) != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// A day like the others has no problem, but names its strongest candidate.
func TestQuiet(t *testing.T) {
	r := Analyze(newWorld(plan{}).data)
	if len(r.Problems) != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
	if r.NoiseFloor < leastEvents || r.NoiseFloor > 20 {
		t.Errorf("noise floor %d", r.NoiseFloor)
	}
}

// An outage that grows over hours is named like one that is there at once, and
// its begin lies in the interval.
func TestGradual(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	result := Analyze(newWorld(plan{fails: func(minute int64, p *Place) bool {
		return p.Provider == "Google" && r.Float64() < float64(minute-noon)/(4*60)
	}}).data)
	if len(result.Problems) != 1 || result.Problems[0].Where != (Where{Provider: "Google"}) {
		t.Fatalf("problems: %+v", result.Problems)
	}
	p := &result.Problems[0]
	if first := p.BeganEarliest.Unix() / 60; first > noon+60 || p.BeganLatest.Unix()/60 < noon {
		t.Errorf("began between %s and %s, want from noon on", p.BeganEarliest, p.BeganLatest)
	}
}

// A new application whose addresses are as good as others is no problem.
func TestNewApplication(t *testing.T) {
	w := newWorld(plan{})
	for minute := int64(noon); minute < begin+day; minute += 2 {
		p := w.place()
		p.Sender = "new.test"
		w.arrive(minute, p)
		if minute%100 == 0 {
			w.fail(minute, p, 0)
		}
	}
	if r := Analyze(w.data); len(r.Problems) != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// A window that begins the evening before sees a holiday from midnight on.
func TestHoliday(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	w := newWorld(plan{stays: func(int64, *Place) bool { return r.Float64() < 0.6 }, shift: 5 * 60})
	result := Analyze(w.data)
	if len(result.Problems) != 1 || result.Problems[0].Severity != Remark || result.Alarms() != 0 {
		t.Errorf("problems: %+v", result.Problems)
	}
}

// Of a large site's mail a silent sender is a small part.
func TestSilentSender(t *testing.T) {
	w := newWorld(plan{})
	for minute := int64(begin - 8*day); minute < noon; minute++ {
		p := w.place()
		w.data.Arrive(minute, w.id(p), 8)
		if minute%12 == 0 {
			p.Sender = "small.test"
			w.data.Arrive(minute, w.id(p), 1)
		}
	}
	for minute := int64(noon); minute < begin+day; minute++ {
		w.data.Arrive(minute, w.id(w.place()), 8)
	}
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Kind != MissingMail || r.Problems[0].Where != (Where{SenderDomain: "small.test"}) {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// Recipients that were only put off count with the failure before them.
func TestSuspended(t *testing.T) {
	w := newWorld(plan{})
	for i := range int64(30) {
		p := Place{Host: "mx0", Sender: "shop.test", Domain: "firm1.example"}
		w.arrive(noon+i, p)
		cause := int32(Suspended)
		if i%6 == 0 {
			cause = 2
		}
		w.fail(noon+i, p, cause)
	}
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Recipients != 30 || r.Problems[0].Where.Domain != "firm1.example" || r.Problems[0].Reason != "connection" {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// What a sender does not send leaves no line.
func TestMissingMail(t *testing.T) {
	w := newWorld(plan{stays: func(minute int64, p *Place) bool { return minute >= noon && p.Sender == "shop.test" }})
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Kind != MissingMail || r.Problems[0].Where != (Where{SenderDomain: "shop.test"}) {
		t.Fatalf("problems: %+v", r.Problems)
	}
	if got := r.Problems[0].Began.Unix() / 60; got < noon-10 || got > noon+10 {
		t.Errorf("began %s", r.Problems[0].Began)
	}
}

// A host that accepts mail and tries none has a stuck queue, and no mail is missing.
func TestUntried(t *testing.T) {
	w := newWorld(plan{reports: true, waits: func(minute int64, p *Place) bool { return minute >= noon && p.Host == "mx1" }})
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Kind != UntriedMail || r.Problems[0].Where != (Where{Host: "mx1"}) {
		t.Fatalf("problems: %+v", r.Problems)
	}
	if got := r.Problems[0].Began.Unix() / 60; got < noon-10 || got > noon+10 {
		t.Errorf("began %s", r.Problems[0].Began)
	}
}

// Without days before, a day is compared with itself.
func TestNoHistory(t *testing.T) {
	w := newWorld(plan{noDays: true, fails: func(minute int64, p *Place) bool { return minute >= noon && p.Provider == "Google" }})
	if r := Analyze(w.data); len(r.Problems) == 0 || r.Problems[0].Where.Provider != "Google" || r.Baseline.Days != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
}

func TestEmpty(t *testing.T) {
	if r := Analyze(&Data{Since: begin, Until: begin + day}); len(r.Problems) != 0 || r.Recipients != 0 {
		t.Errorf("%+v", r)
	}
}

// Mail that one host misses and another has more has moved.
func TestMailThatMoved(t *testing.T) {
	w := newWorld(plan{moves: func(minute int64, p *Place) bool { return minute >= noon && p.Host == "mx1" }})
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Severity != Remark || r.Problems[0].Where != (Where{Host: "mx1"}) {
		t.Fatalf("problems: %+v", r.Problems)
	}
	if got, want := r.Problems[0].Headline().String(), "Mail on mx1 goes through other hosts since 12:00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A host whose log names a message or two that were accepted has no stuck queue.
func TestHardlyAnyAccepted(t *testing.T) {
	w := newWorld(plan{})
	w.data.Accept(noon, w.id(Place{Host: "mx1", Sender: "shop.test"}), 1)
	if r := Analyze(w.data); len(r.Problems) != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// A burst to one domain is all the mail of its minute. That it fails says nothing of
// other domains.
func TestBurstToOneDomain(t *testing.T) {
	w := newWorld(plan{})
	p := Place{Host: "mx1", Sender: "shop.test", Domain: "firm1.example", Relay: "mail.firm1.example", Provider: "firm1.example"}
	for range 20 {
		w.arrive(noon, p)
		w.fail(noon, p, 2)
	}
	r := Analyze(w.data)
	if len(r.Problems) != 1 || r.Problems[0].Where.Domain != "firm1.example" || r.Problems[0].Where.SenderDomain != "" {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// Mail that goes to one mailbox again and again shows one mailbox.
func TestFewAddresses(t *testing.T) {
	for addresses, severity := range map[int64]string{1: Remark, 3: Remark, 4: Warning, 20: Warning} {
		w := newWorld(plan{})
		w.data.Details = func(ids []int64) map[int64]Detail {
			found := map[int64]Detail{}
			for _, id := range ids {
				found[id] = Detail{Recipient: registry.Foreign(fmt.Sprintf("u%d@firm1.example", id%addresses))}
			}
			return found
		}
		p := Place{Host: "mx1", Sender: "shop.test", Domain: "firm1.example", Relay: "mail.firm1.example", Provider: "firm1.example"}
		for i := range int64(20) {
			w.arrive(noon+i, p)
			w.fail(noon+i, p, 0)
		}
		r := Analyze(w.data)
		if len(r.Problems) != 1 || r.Problems[0].Severity != severity {
			t.Errorf("%d addresses: problems %+v, want one that is a %s", addresses, r.Problems, severity)
		}
	}
}

// Bad addresses that came with a list on two days before, too, are no change.
func TestWaves(t *testing.T) {
	for _, tt := range []struct {
		name string
		days []int64
		want int
	}{
		{"never before", nil, 1},
		{"once before", []int64{3}, 1},
		{"twice before", []int64{3, 5}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(plan{})
			for _, before := range append(tt.days, 0) {
				for i := range int64(60) {
					p := Place{Host: "mx0", Sender: "news.test", Domain: "gmail.com", Relay: "aspmx.l.google.com", Provider: "Google"}
					w.arrive(noon-before*day+i/2, p)
					w.fail(noon-before*day+i/2, p, 0)
				}
			}
			if r := Analyze(w.data); r.Alarms() != tt.want {
				t.Errorf("%d alarms, want %d: %+v", r.Alarms(), tt.want, r.Problems)
			}
		})
	}
}

// A day on which everybody sends a third less is told as such, not as missing mail.
func TestSlackDay(t *testing.T) {
	r := Analyze(newWorld(plan{stays: func(minute int64, _ *Place) bool { return minute%100 < 33 }}).data)
	if r.Alarms() != 0 || len(r.Problems) != 1 || r.Problems[0].Severity != Remark {
		t.Errorf("problems: %+v", r.Problems)
	}
}

// Of two days of a kind, one had a burst: the other is what is usual.
func TestCalmMean(t *testing.T) {
	if got := calmMean([]float64{1000, 100}, nil); got != 100 {
		t.Errorf("usual are %v", got)
	}
}

// A host that is silent from the morning to noon is no holiday, whoever sends through it.
func TestSilentHostIsNoHoliday(t *testing.T) {
	r := Analyze(newWorld(plan{stays: func(minute int64, p *Place) bool { return minute < noon && p.Host == "mx1" }}).data)
	if len(r.Problems) != 1 || r.Problems[0].Severity == Remark || r.Problems[0].Where.Host != "mx1" {
		t.Errorf("problems: %+v", r.Problems)
	}
	r = Analyze(newWorld(plan{stays: func(minute int64, p *Place) bool { return minute < begin+day/3 }}).data)
	if len(r.Problems) != 1 || r.Problems[0].Severity == Remark {
		t.Errorf("the whole site: %+v", r.Problems)
	}
}
