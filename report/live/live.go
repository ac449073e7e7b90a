// Package live keeps counters over the last minutes by provider, domain, code and
// reason, and the newest failures, for somebody who watches the logs.
//
// # Time
//
// Counters follow the time in the log. Their clock is the newest time in the log, and
// from there it advances with this host's clock. So a log that is hours behind (a
// backlog, a host whose zone was guessed wrong) is shown as it was then, with a remark
// how far behind it is. The clock is never ahead of this host's: an event from the
// future counts as one of now. Events that are older than the counters reach are only
// counted as late.
//
// # Memory
//
// Memory is bounded for any input. A combination of provider, domain, code and reason
// takes about 700 bytes; when there are too many of them, further domains are counted
// together under Other, then further providers, at last further codes.
package live

import (
	"strings"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Outcome is how an attempt ended, or that mail was refused.
type Outcome uint8

// The outcomes.
const (
	Delivered Outcome = iota
	Deferred
	Failed
	Rejected
	outcomes
)

var outcomeNames = [...]string{"delivered", "deferred", "failed", "rejected"}

// String returns the outcome's name.
func (o Outcome) String() string { return outcomeNames[o] }

func outcomeOf(name string) (Outcome, bool) {
	for i, n := range outcomeNames {
		if n == name {
			return Outcome(i), true
		}
	}
	return 0, false
}

const (
	// Step is the length of a time step, and buckets how many steps are kept.
	Step    = 30 * time.Second
	buckets = int64(time.Hour/Step) + 1 // with the current one

	// Reach is how far back the counters go.
	Reach = time.Duration(buckets-1) * Step

	// Other stands for the names that exceed the limits.
	Other = "(other)"

	maxName = 255 // bytes of a name; a domain is not longer
	maxText = 2048
	newest  = 500 // failures of each outcome that are kept
)

// limits are how many combinations there may be before domains, providers and
// all the rest are counted together.
var limits = [...]int{6000, 7000, 7500}

// key is a combination that is counted.
type key struct {
	outcome          Outcome
	provider, domain string
	reply            int
	enhanced, reason string
}

// coarser returns k with fewer distinctions; level counts from 0.
func (k key) coarser(level int) key {
	k.domain = Other
	if level > 0 {
		k.provider = Other
	}
	if level > 1 {
		k.reply, k.enhanced, k.reason = 0, Other, Other
	}
	return k
}

// series counts the attempts with one key.
type series struct {
	key
	code  string
	total uint64
	count [buckets]uint32 // by step, modulo buckets
}

// Stats are the counters. They are safe for use by several goroutines.
type Stats struct {
	mu     sync.Mutex
	series map[key]*series
	head   int64     // the current step, since 1970
	first  time.Time // of the clock
	newest time.Time // time seen in the log
	seenAt time.Time // on this host's clock, when newest was seen
	events uint64
	late   uint64
	rings  [outcomes]ring
}

// NewStats returns counters without events.
func NewStats() *Stats { return &Stats{series: map[key]*series{}} }

// Add counts an event. Its cost does not depend on what was counted before, except once
// every Step.
func (s *Stats) Add(e *store.Event, wall time.Time) {
	o, ok := outcomeOf(e.Outcome)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events++
	t := e.Time
	if t.After(wall) {
		t = wall
	}
	if s.newest.IsZero() {
		s.first = t
	}
	if s.newest.IsZero() || t.After(s.clock(wall)) {
		s.newest, s.seenAt = t, wall
	}
	s.advance(wall)
	if o != Delivered {
		s.rings[o].add(e, s.events)
	}
	at := step(t)
	if s.head-at >= buckets {
		s.late++
		return
	}
	s.count(o, e, at, 1)
}

// Remember counts n events of the minute that begins at e.Time, which happened before
// the Stats existed. The clock is then this host's.
func (s *Stats) Remember(e *store.Event, n uint64, wall time.Time) {
	o, ok := outcomeOf(e.Outcome)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.empty() {
		s.first, s.newest, s.seenAt = e.Time, wall, wall
	}
	if e.Time.Before(s.first) {
		s.first = e.Time
	}
	s.advance(wall)
	at := step(e.Time)
	half := n / 2
	if at+1 > s.head {
		half = 0
	}
	for i, n := range [...]uint64{n - half, half} {
		if at := at + int64(i); n > 0 && at <= s.head && s.head-at < buckets {
			s.count(o, e, at, n)
		}
	}
}

// Keep lists an event among the newest failures without counting it.
func (s *Stats) Keep(e *store.Event) {
	if o, ok := outcomeOf(e.Outcome); ok && o != Delivered {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events++
		s.rings[o].add(e, s.events)
	}
}

func (s *Stats) count(o Outcome, e *store.Event, at int64, n uint64) {
	k := key{outcome: o, provider: short(e.Provider.Raw()), domain: short(e.Domain.Raw())}
	if o != Delivered { // 250 2.0.0 is not of interest
		k.reply, k.enhanced, k.reason = e.Reply, short(e.Enhanced), short(e.Reason)
	}
	x := s.find(k)
	x.total += n
	x.count[mod(at)] += uint32(n)
}

func step(t time.Time) int64   { return t.Unix() / int64(Step/time.Second) }
func mod(step int64) int64     { return (step%buckets + buckets) % buckets }
func (s *Stats) empty() bool   { return s.newest.IsZero() }
func short(name string) string { return clip(name, maxName) }

// clip cuts s to n bytes.
func clip[S ~string](s S, n int) S {
	if len(s) <= n {
		return s
	}
	return S(strings.ToValidUTF8(strings.Clone(registry.Foreign(s[:n]).Raw()), ""))
}

// clock returns the log's time when this host's clock shows wall.
func (s *Stats) clock(wall time.Time) time.Time {
	if s.empty() {
		return wall
	}
	return s.newest.Add(max(0, wall.Sub(s.seenAt)))
}

// advance begins the steps that have begun since the last call, and drops those that
// are too old.
func (s *Stats) advance(wall time.Time) {
	if s.empty() {
		return // the first event sets the clock
	}
	head := step(s.clock(wall))
	if s.head == 0 || head-s.head >= buckets {
		clear(s.series)
		s.head = head
	}
	for ; s.head < head; s.head++ {
		i := mod(s.head + 1)
		for k, x := range s.series {
			x.total -= uint64(x.count[i])
			x.count[i] = 0
			if x.total == 0 {
				delete(s.series, k)
			}
		}
	}
}

func (s *Stats) find(k key) *series {
	for level, limit := range limits {
		if x := s.series[k]; x != nil {
			return x
		}
		if len(s.series) < limit {
			return s.add(k)
		}
		k = k.coarser(level)
	}
	if x := s.series[k]; x != nil {
		return x
	}
	return s.add(k) // one for each outcome
}

func (s *Stats) add(k key) *series {
	x := &series{key: k, code: (&store.Event{Reply: k.reply, Enhanced: k.enhanced}).Code()}
	s.series[k] = x
	return x
}

// ring keeps the newest events.
type ring struct {
	events []Failure
	next   int
}

// Failure is an event that is kept for the screen.
type Failure struct {
	*store.Event
	Seq uint64 // counts all events
}

func (r *ring) add(e *store.Event, seq uint64) {
	c := *e
	c.Text, c.Signature, c.Line = clip(c.Text, maxText), clip(c.Signature, maxText), clip(c.Line, 2*maxText)
	for _, s := range []*registry.Foreign{
		&c.Host, &c.Instance, &c.Service, &c.Message, &c.MessageID, &c.Sender, &c.Recipient, &c.Domain,
		&c.Relay, &c.IP, &c.Provider, &c.Account, &c.Client, &c.ClientIP,
	} {
		*s = clip(*s, 2*maxName)
	}
	if len(r.events) < newest {
		r.events = append(r.events, Failure{&c, seq})
		return
	}
	r.events[r.next] = Failure{&c, seq}
	r.next = (r.next + 1) % newest
}

// at returns the i-th newest.
func (r *ring) at(i int) Failure { return r.events[(r.next-1-i+2*len(r.events))%len(r.events)] }
