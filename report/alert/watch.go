package alert

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// parts is the number of parts that a span is divided into.
const parts = 60

// Alert reports that a rule has started to hold or, without Started, that it no longer
// holds.
type Alert struct {
	Rule            *Rule
	Started         bool // else it has ended
	Since, At       time.Time
	Counted         uint64
	Attempts        uint64
	Example         *store.Event // newest that was counted; nil unless Started
	Value, Greatest float64      // Greatest is the highest since it started
}

// MarshalJSON returns the body for programs and webhooks.
func (a Alert) MarshalJSON() ([]byte, error) {
	type example struct {
		Time     string           `json:"time"`
		Host     registry.Foreign `json:"host"`
		Provider registry.Foreign `json:"provider"`
		Domain   registry.Foreign `json:"domain"`
		Code     string           `json:"code"`
		Reason   string           `json:"reason"`
		Text     registry.Foreign `json:"text"`
	}
	state := "ended"
	if a.Started {
		state = "started"
	}
	operator := ">"
	if a.Rule.OrEqual {
		operator = ">="
	}
	body := struct {
		Schema    string   `json:"schema"`
		State     string   `json:"state"`
		Alert     string   `json:"alert"` // as it was given
		Message   string   `json:"message"`
		Metric    Metric   `json:"metric"`
		Operator  string   `json:"operator"`
		Threshold float64  `json:"threshold"`
		For       float64  `json:"for"` // seconds
		Min       uint64   `json:"min"`
		Since     string   `json:"since"`
		At        string   `json:"at"`
		Value     float64  `json:"value"`
		Greatest  float64  `json:"greatest"`
		Counted   uint64   `json:"counted"`
		Attempts  uint64   `json:"attempts"`
		Example   *example `json:"example"`
	}{"mailfail/alert/1", state, a.Rule.Text, a.String(), a.Rule.Metric, operator, a.Rule.Threshold,
		a.Rule.For.Seconds(), a.Rule.Min,
		a.Since.Format(time.RFC3339), a.At.Format(time.RFC3339), a.Value, a.Greatest, a.Counted,
		a.Attempts, nil}
	if e := a.Example; e != nil {
		body.Example = &example{e.Time.Format(time.RFC3339), e.Host, e.Provider, e.Domain, e.Code(),
			e.Reason, e.Text}
	}
	return json.Marshal(body)
}

// String describes the alert in words. It contains no text from a log.
func (a Alert) String() string {
	now := fmt.Sprintf("%d within %v", a.Counted, a.Rule.For)
	if a.Rule.Metric.IsRate() {
		now = fmt.Sprintf("%.1f %% of %d attempts within %v", 100*a.Value, a.Attempts, a.Rule.For)
	}
	if a.Started {
		return fmt.Sprintf("%s: %s", a.Rule.Text, now)
	}
	greatest := fmt.Sprintf("%.0f", a.Greatest)
	if a.Rule.Metric.IsRate() {
		greatest = fmt.Sprintf("%.1f %%", 100*a.Greatest)
	}
	return fmt.Sprintf("%s: over after %v, at most %s, now %s", a.Rule.Text,
		a.At.Sub(a.Since).Round(time.Second), greatest, now)
}

// Watch applies rules to events. It is safe for use by several goroutines.
type Watch struct {
	mu      sync.Mutex
	rules   []*state
	notify  func(Alert)
	newest  time.Time // time of an event
	heard   time.Time // when the first event came, on this host's clock
	longest time.Duration
	fresh   bool // an event was young enough to be seen
	told    bool // Behind has reported that none was
}

// state is a rule with its counts, by part of the span and modulo parts. head is the
// current part since 1970; exceeded is when the limit was last exceeded.
type state struct {
	*Rule
	step     time.Duration
	head     int64
	counted  [parts]uint64
	attempts [parts]uint64
	example  *store.Event

	on       bool
	since    time.Time
	exceeded time.Time
	greatest float64
}

// NewWatch returns a Watch that calls notify, in the goroutine of Check, when
// a rule begins to hold and when it has ended.
func NewWatch(rules []*Rule, notify func(Alert)) *Watch {
	w := &Watch{notify: notify}
	for _, r := range rules {
		w.rules = append(w.rules, &state{Rule: r, step: r.For / parts})
		w.longest = max(w.longest, r.For)
	}
	return w
}

// Add counts an event.
func (w *Watch) Add(e *store.Event, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := e.Time
	if t.After(now) {
		t = now
	}
	if w.heard.IsZero() {
		w.heard = now
	}
	if t.After(w.newest) {
		w.newest = t
	}
	w.fresh = w.fresh || now.Sub(t) < w.longest
	for _, s := range w.rules {
		s.add(e, t, now)
	}
}

func (s *state) add(e *store.Event, t, now time.Time) {
	s.advance(now)
	at := t.UnixNano() / int64(s.step)
	if s.head-at >= parts || at > s.head { // the latter when the clock was set back
		return
	}
	counted, attempt := s.sides(e)
	if counted {
		s.counted[at%parts]++
		c := *e
		s.example = &c
	}
	if attempt {
		s.attempts[at%parts]++
	}
}

// advance empties the parts that have begun since it was last called.
func (s *state) advance(now time.Time) {
	head := now.UnixNano() / int64(s.step)
	if head-s.head >= parts {
		s.counted, s.attempts = [parts]uint64{}, [parts]uint64{}
		s.head = head
	}
	for s.head < head {
		s.head++
		s.counted[s.head%parts], s.attempts[s.head%parts] = 0, 0
	}
}

// Check applies the rules; it is called about once a second.
func (w *Watch) Check(now time.Time) {
	w.mu.Lock()
	var alerts []Alert
	for _, s := range w.rules {
		if a, ok := s.check(now); ok {
			alerts = append(alerts, a)
		}
	}
	w.mu.Unlock()
	for _, a := range alerts {
		w.notify(a)
	}
}

func (s *state) check(now time.Time) (a Alert, changed bool) {
	a = s.now(now)
	exceeded := s.Rule.exceeded(a.Counted, a.Attempts)
	if exceeded {
		s.exceeded = now
		s.greatest = max(s.greatest, a.Value)
	}
	switch {
	case exceeded && !s.on:
		s.on, s.since, s.greatest = true, now, a.Value
		a.Started, a.Since, a.Greatest, a.Example = true, now, a.Value, s.example
		return a, true
	case s.on && now.Sub(s.exceeded) >= s.For:
		s.on = false
		a.Since, a.Greatest = s.since, s.greatest
		s.example = nil
		return a, true
	}
	return a, false
}

func (s *state) now(now time.Time) Alert {
	s.advance(now)
	a := Alert{Rule: s.Rule, Since: s.since, At: now, Greatest: s.greatest}
	for i := range s.counted {
		a.Counted += s.counted[i]
		a.Attempts += s.attempts[i]
	}
	a.Value = s.value(a.Counted, a.Attempts)
	return a
}

// On returns the alerts that have started and not ended.
func (w *Watch) On(now time.Time) []Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	var on []Alert
	for _, s := range w.rules {
		if s.on {
			a := s.now(now)
			a.Started = true
			on = append(on, a)
		}
	}
	return on
}

// Behind returns, once, how old the newest event is, when events have come in
// for as long as the longest span and all were too old to be seen by any rule.
func (w *Watch) Behind(now time.Time) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told || w.fresh || w.heard.IsZero() || now.Sub(w.heard) < w.longest {
		return 0, false
	}
	w.told = true
	return now.Sub(w.newest), true
}
