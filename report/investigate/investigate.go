// Package investigate finds what changed in the delivery of mail: since when,
// where, and because of what.
//
// The engine computes over Data and does not depend on a store. It is a scan statistic
// (Kulldorff, "A spatial scan statistic", 1997) with a binomial likelihood at the level
// of leaves, over slices of dimensions as in Adtributor (Bhagwan et al., 2014), HotSpot
// (Sun et al., 2018) and Squeeze (Li et al., 2019), with causes explained away
// greedily. The unit is the recipient, since retries are not evidence. One number, the
// log likelihood ratio, decides slice, level and begin.
package investigate

import (
	"cmp"
	"slices"
	"time"

	"mailfail/registry"
)

// The kinds of problems.
const (
	Failures    = "failures"
	MissingMail = "missing mail"
	UntriedMail = "untried"
)

// The severities. A remark is not an alarm.
const (
	Critical = "critical"
	Warning  = "warning"
	Remark   = "info"
)

// maxProblems is how many problems a result has at most.
const maxProblems = 3

// Result is the outcome of an investigation.
type Result struct {
	Since, Until time.Time
	LogsEnd      time.Time // when the logs end before the window; else zero
	Baseline     Baseline
	Problems     []Problem // strongest first
	RuledOut     []string
	NoiseFloor   int // recipients failing in one place that would be reported
	MissingFloor int // missing recipients of one sender that would be noticed, roughly

	NoCounts           bool    // deliveries are those of all accounts: no filter on accounts limits them
	Recipients, Events int     // of the window
	Rate, Usual        float64 // of events, in the window and as expected from the days before
	Strongest          *Strongest
}

// Baseline is the time that a window is compared with.
type Baseline struct {
	Since, Until time.Time
	Days         int
}

// Strongest is the candidate nearest to an alarm.
type Strongest struct {
	Where            Where
	Reason           string
	Recipients       int
	Expected         float64
	Score, Threshold float64
}

// Where holds the dimensions that narrow a problem down; "" means all values.
type Where struct {
	Provider     registry.Foreign `json:"provider,omitempty"`
	Platform     registry.Foreign `json:"platform,omitempty"`
	Domain       registry.Foreign `json:"domain,omitempty"`
	Relay        registry.Foreign `json:"relay,omitempty"`
	IP           registry.Foreign `json:"ip,omitempty"`
	SenderDomain registry.Foreign `json:"sender_domain,omitempty"`
	Sender       registry.Foreign `json:"sender,omitempty"`
	Account      registry.Foreign `json:"account,omitempty"`
	Client       registry.Foreign `json:"client,omitempty"`
	Host         registry.Foreign `json:"host,omitempty"`
	Instance     registry.Foreign `json:"instance,omitempty"`
	Direction    string           `json:"direction,omitempty"`
}

// Problem is one change.
type Problem struct {
	Kind     string
	Where    Where
	Common   []Common // other values that its failures share
	Reason   string
	Code     string
	Stage    string
	Source   string
	Severity string
	Score    float64
	New      bool // the reply was not seen on the days before
	NewCode  bool // neither was its code

	Began         time.Time // the best estimate
	BeganEarliest time.Time
	BeganLatest   time.Time
	Ended         time.Time // zero: it goes on

	Recipients int     // that failed at a first attempt, or are missing, or untried
	Failed     int     // of them, bounced or expired at the end of the window
	Waiting    int     // of them, at the end of the window
	Addresses  int     // distinct ones, when the reason is about addresses and they are few; else 0
	Tried      int     // recipients there in that time
	Expected   float64 // recipients that usually fail there in that time; of missing mail, that usually come
	Excess     float64
	Share      float64 // of the excess of the whole window
	RateBefore float64
	RateNow    float64

	Address registry.Foreign // of this site, that nearly all replies name
	List    registry.Foreign // block list that they name

	Examples []registry.Foreign // replies as logged
	Meaning  string
	Action   string
	Next     []string // commands that show the mail

	newest time.Time // of the window
}

// Analyze finds what changed in d.
func Analyze(d *Data) *Result {
	volumes := make(chan *volume)
	go func() { volumes <- newVolume(d) }() // it is independent of the model
	m := newModel(d)
	r := &Result{
		NoCounts:   d.NoCounts,
		Since:      m.time(d.Since),
		Until:      m.time(d.Until),
		Recipients: int(m.total),
	}
	r.Baseline.Days = len(d.Days)
	if n := len(d.Days); n > 0 {
		r.Baseline.Since, r.Baseline.Until = m.time(d.Days[0].Since), m.time(d.Days[n-1].Until)
	}
	for i := range m.events {
		r.Events += int(m.events[i].n)
	}
	if m.total > 0 {
		r.Rate, r.Usual = float64(r.Events)/m.total, m.usual/m.total
	}
	found, strongest := m.failures()
	for _, f := range found {
		r.Problems = append(r.Problems, m.problem(f))
	}
	v := <-volumes
	if !d.NoCounts {
		for _, h := range v.untried(m.total) {
			r.Problems = append(r.Problems, m.ofHole(UntriedMail, h))
		}
		for _, h := range v.missing(m.total) {
			r.Problems = append(r.Problems, m.ofHole(MissingMail, h))
		}
	}
	r.finish()
	r.NoiseFloor = m.noiseFloor()
	r.MissingFloor = int(min(silentVisible, max(missingVisible, holeShare*m.total)))
	r.RuledOut = m.ruledOut(r, found, v)
	if strongest != nil {
		r.Strongest = &Strongest{
			Where:      m.where(strongest),
			Reason:     m.reasons[strongest.reason],
			Recipients: int(strongest.f),
			Expected:   strongest.window.expected,
			Score:      m.strength(strongest),
			Threshold:  threshold,
		}
	}
	return r
}

// GoingOn returns the problems that have not ended and are not remarks.
func (r *Result) GoingOn() (list []*Problem) {
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Ended.IsZero() && p.Severity != Remark {
			list = append(list, p)
		}
	}
	return list
}

// finish sorts the problems and describes them.
func (r *Result) finish() {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return cmp.Compare(b.Score, a.Score) })
	r.Problems = r.Problems[:min(len(r.Problems), maxProblems)]
	excess := 0.0
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Kind == Failures {
			excess += p.Excess
		}
	}
	excess = max(excess, float64(r.Events)-r.Usual*float64(r.Recipients))
	for i := range r.Problems {
		p := &r.Problems[i]
		p.newest = r.Until.Add(-time.Minute)
		if p.Kind == Failures && excess > 0 {
			p.Share = min(1, p.Excess/excess)
		}
		p.Next = p.commands(r.Until)
		p.advise()
	}
}

// advise sets the meaning of a problem, and the action.
func (p *Problem) advise() {
	switch {
	case p.hasMoved():
		p.Meaning = "The same senders send as much more through other hosts: a move, or another host " +
			"stands in for one that is down."
		p.Action = "Nothing, if it was planned; else check that the host is up, and that applications " +
			"can reach it."
	case p.Kind == MissingMail && p.Severity == Remark:
		p.Action = "Nothing, if it is one."
	case p.Kind == MissingMail:
		p.Meaning = "Less mail came into the queues than at the same hours of the days before."
		p.Action = "Check whether the application, or the way from it to this server, still works: its " +
			"own log, its queue, its network, its credentials."
	case p.Kind == UntriedMail:
		p.Meaning = "The mail is in the queue, and no attempt was logged: the queue manager does not " +
			"run, is stopped, or is busy with something else."
		p.Action = "Check that the queue runs (Postfix: postqueue -p, postfix status; Exim: exim -bp, " +
			"the queue runner) and that nothing holds it (hold, freeze, a full disk)."
	default:
		info := registry.Reason(p.Reason).Info()
		p.Meaning, p.Action = info.Meaning, info.Action
	}
}

// time returns the beginning of a minute.
func (m *model) time(minute int64) time.Time {
	loc := m.data.Location
	if loc == nil {
		loc = time.UTC
	}
	return time.Unix(minute*60, 0).In(loc)
}
