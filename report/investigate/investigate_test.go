package investigate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// world is a small site: two hosts, three senders, two large providers and
// forty domains of their own, eight days of history and one day to look at.
type world struct {
	data   *Data
	r      *rand.Rand
	places map[Place]int32
	next   int64
}

const (
	day   = 24 * 60
	begin = 29_700_000 - 29_700_000%day // a midnight in UTC
	noon  = begin + day/2
)

// newWorld makes a site. fails says whether a recipient of the last day has the
// failure of Causes[1]; others fail by chance with Causes[0].
func newWorld(fails func(minute int64, p *Place) bool) *world {
	w := &world{r: rand.New(rand.NewPCG(1, 2)), places: map[Place]int32{}}
	w.data = &Data{Since: begin, Until: begin + day, Causes: []Cause{{Reason: "user-unknown", Stage: "rcpt", Source: "remote"},
		{Reason: "blocklist", Code: "550 5.7.1", Stage: "rcpt", Source: "remote"}, {Reason: "connection", Stage: "connect", Source: "network"}}}
	for i := range int64(8) {
		w.data.Days = append(w.data.Days, Span{begin - (8-i)*day, begin - (7-i)*day})
	}
	for minute := w.data.Days[0].Since; minute < w.data.Until; minute++ {
		p := w.place()
		w.arrive(minute, p)
		switch {
		case fails != nil && minute >= begin && fails(minute, &p):
			w.fail(minute, p, 1)
		case w.r.IntN(200) == 0:
			w.fail(minute, p, 0)
		}
	}
	return w
}

func (w *world) place() Place {
	p := Place{Host: fmt.Sprint("mx", w.r.IntN(2)), Sender: []string{"shop.test", "office.test", "news.test"}[w.r.IntN(3)]}
	switch x := w.r.IntN(10); {
	case x < 3:
		p.Provider, p.Domain = "Google", []string{"gmail.com", "a.example", "b.example"}[w.r.IntN(3)]
		p.Relay = "aspmx.l.google.com"
	case x < 5:
		p.Provider, p.Domain, p.Relay = "Yahoo", "yahoo.com", "mta5.am0.yahoodns.net"
	default:
		p.Domain = fmt.Sprintf("firm%d.example", w.r.IntN(40))
		p.Relay, p.Provider = "mail."+p.Domain, p.Domain
	}
	return p
}

func (w *world) id(p Place) int32 {
	id, ok := w.places[p]
	if !ok {
		id = int32(len(w.places))
		w.places[p] = id
		w.data.Places = append(w.data.Places, p)
	}
	return id
}

func (w *world) arrive(minute int64, p Place) {
	w.data.Arrivals = append(w.data.Arrivals, Arrival{minute, w.id(p), 1})
}

func (w *world) fail(minute int64, p Place, cause int32) {
	w.next++
	w.data.Events = append(w.data.Events, Event{Minute: minute, Arrived: minute, Place: w.id(p), Cause: cause, N: 1, Recipient: w.next, State: Failed, Text: "550 no"})
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
			r := Analyze(newWorld(tt.fails).data)
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
		})
	}
}

// A day like the others has no problem, but names its strongest candidate.
func TestQuiet(t *testing.T) {
	r := Analyze(newWorld(nil).data)
	if len(r.Problems) != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
	if r.NoiseFloor < leastEvents || r.NoiseFloor > 20 {
		t.Errorf("noise floor %d", r.NoiseFloor)
	}
}

// Recipients that were only put off count with the failure before them.
func TestSuspended(t *testing.T) {
	w := newWorld(nil)
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
	w := newWorld(nil)
	kept := w.data.Arrivals[:0]
	for _, a := range w.data.Arrivals {
		if a.Minute < noon || w.data.Places[a.Place].Sender != "shop.test" {
			kept = append(kept, a)
		}
	}
	w.data.Arrivals = kept
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
	w := newWorld(nil)
	kept := w.data.Arrivals[:0]
	for _, a := range w.data.Arrivals {
		p := &w.data.Places[a.Place]
		w.data.Accepted = append(w.data.Accepted, Accepted{a.Minute, p.Host, p.Sender, 1})
		if a.Minute < noon || p.Host != "mx1" {
			kept = append(kept, a)
		}
	}
	w.data.Arrivals = kept
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
	w := newWorld(func(minute int64, p *Place) bool { return minute >= noon && p.Provider == "Google" })
	w.data.Days = nil
	if r := Analyze(w.data); len(r.Problems) == 0 || r.Problems[0].Where.Provider != "Google" || r.Baseline.Days != 0 {
		t.Errorf("problems: %+v", r.Problems)
	}
}

func TestEmpty(t *testing.T) {
	if r := Analyze(&Data{Since: begin, Until: begin + day}); len(r.Problems) != 0 || r.Recipients != 0 {
		t.Errorf("%+v", r)
	}
}
