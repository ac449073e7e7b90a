// Package alert watches rates and numbers of failures, and reports when one of them
// exceeds its limit and when that has ended.
//
// # Rules
//
// A rule is a list of words in any order, except that a span follows "for" and a number
// follows "min":
//
//	provider=google failure-rate>20% for 5m min 50
//	domain=example.org code="421 4.7.0" deferral-rate>=0.5 for 15m
//	rejected>1000 for 1m
//
// Conditions KEY=VALUE select events, as the flags of the same names do: provider,
// domain, code, reason, sender, host, mta. The same key twice accepts either of the
// values. A value with blanks needs double quotes.
//
// One comparison, > or >=, of:
//
//	failure-rate   failed / (delivered + failed), by attempts
//	deferral-rate  deferred / all attempts
//	failures       permanent failures
//	deferrals      temporary failures
//	rejected       mail this host refused to take in
//
// A rate is compared with a share (20% or 0.2), the others with a number. Conditions on
// code and reason apply to failures only: the rate is the share of these failures in
// all attempts that the other conditions select.
//
// "for" is the span of time that the rule looks at, from 10s to 24h; the default is 5m.
// "min" is the least number of attempts within it, so that two failures in three
// attempts at night do not raise an alert; the default is 20 for a rate and 0 for a
// number.
//
// # When
//
// An alert starts as soon as the value within the span exceeds the limit. It ends when
// the value has stayed within the limit for as long as the span, so a rate that swings
// around its threshold is one alert. Start and end are each reported once.
//
// The span ends at the current time of this host, and events count at their time in the
// log, so yesterday's failures in a backlog do not raise an alert. Events with a time
// in the future count as now. When the times of a log are read wrong (see --log-tz) by more
// than the span, the rule sees none of its events; Watch.Behind reports that.
package alert

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"mailfail/report/live"
	"mailfail/store"
)

// Metric is the number that a rule compares.
type Metric string

// The metrics.
const (
	FailureRate  Metric = "failure-rate"
	DeferralRate Metric = "deferral-rate"
	Failures     Metric = "failures"
	Deferrals    Metric = "deferrals"
	Rejections   Metric = "rejected"
)

var metrics = []Metric{FailureRate, DeferralRate, Failures, Deferrals, Rejections}

// IsRate reports whether m is a share of attempts.
func (m Metric) IsRate() bool { return m == FailureRate || m == DeferralRate }

// Rule is a rule that was read by Parse.
type Rule struct {
	Text      string
	Filter    store.Filter
	Metric    Metric
	OrEqual   bool
	Threshold float64
	For       time.Duration
	Min       uint64 // attempts
}

const (
	defaultFor = 5 * time.Minute
	defaultMin = 20
	shortest   = 10 * time.Second
	longest    = 24 * time.Hour
)

// Parse reads a rule.
func Parse(text string) (*Rule, error) {
	r, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("alert %q: %w (for example: provider=google failure-rate>20%% for 5m min 50)",
			text, err)
	}
	return r, nil
}

func parse(text string) (*Rule, error) {
	words, err := live.Words(text)
	if err != nil {
		return nil, err
	}
	r := &Rule{Text: strings.Join(strings.Fields(text), " "), For: defaultFor}
	minSet := false
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "for" || w == "min":
			if i++; i == len(words) {
				return nil, fmt.Errorf("%q needs a value after it (for 5m, min 50)", w)
			}
			if w == "for" {
				err = r.setFor(words[i])
			} else {
				minSet = true
				r.Min, err = strconv.ParseUint(words[i], 10, 32)
			}
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", w, words[i], bare(err))
			}
		case strings.Contains(w, ">"):
			if err := r.compare(w); err != nil {
				return nil, err
			}
		default:
			if err := live.AddCondition(&r.Filter, w, live.FilterKeys); err != nil {
				return nil, err
			}
		}
	}
	if r.Metric == "" {
		return nil, fmt.Errorf(
			"the rule has no comparison; want one of %s, > or >=, and a number, without blanks", list())
	}
	if !minSet && r.Metric.IsRate() {
		r.Min = defaultMin
	}
	return r, nil
}

// bare returns the cause in an error of strconv, without the name of the function.
func bare(err error) error {
	if n, ok := err.(*strconv.NumError); ok {
		return n.Err
	}
	return err
}

func (r *Rule) setFor(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("cannot read it as a span of time (try 90s, 5m, 1h)")
	}
	if d < shortest || d > longest {
		return fmt.Errorf("the span must be from %v to %vh", shortest, longest.Hours())
	}
	r.For = d
	return nil
}

func (r *Rule) compare(w string) error {
	if r.Metric != "" {
		return fmt.Errorf("%q: a rule has one comparison; put the other into a second --alert", w)
	}
	name, value, _ := strings.Cut(w, ">")
	for _, m := range metrics {
		if name == string(m) {
			r.Metric = m
		}
	}
	if r.Metric == "" {
		return fmt.Errorf("unknown metric %q; want one of %s", name, list())
	}
	value, r.OrEqual = strings.CutPrefix(value, "=")
	number, isPercent := strings.CutSuffix(value, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return fmt.Errorf(
			"%q: the comparison needs a number of 0 or more (failure-rate>20%%, rejected>1000)", w)
	}
	if isPercent {
		f /= 100
	}
	switch {
	case r.Metric.IsRate() && (f > 1 || f == 1 && !r.OrEqual):
		return fmt.Errorf(
			"%q: the limit of a rate must be below 100%%, or >=100%% (try %s>20%%)", w, r.Metric)
	case !r.Metric.IsRate() && isPercent:
		return fmt.Errorf("%q: %s is compared with a number, not with a percentage", w, r.Metric)
	}
	r.Threshold = f
	return nil
}

func list() string {
	var names []string
	for _, m := range metrics {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// sides reports whether the rule counts an event, and whether the event is one of the
// attempts that the count is compared with.
func (r *Rule) sides(e *store.Event) (counted, attempt bool) {
	base := r.Filter
	base.Codes, base.Reasons = nil, nil
	if !base.Match(e) {
		return false, false
	}
	switch r.Metric {
	case FailureRate:
		counted, attempt = e.Outcome == "failed", e.Outcome == "failed" || e.Outcome == "delivered"
	case DeferralRate:
		counted, attempt = e.Outcome == "deferred", e.Outcome != "rejected"
	case Failures:
		counted, attempt = e.Outcome == "failed", e.Outcome != "rejected"
	case Deferrals:
		counted, attempt = e.Outcome == "deferred", e.Outcome != "rejected"
	case Rejections:
		counted, attempt = e.Outcome == "rejected", e.Outcome == "rejected"
	}
	return counted && r.Filter.Match(e), attempt
}

// exceeded reports whether so many counted events among so many attempts exceed the
// limit.
func (r *Rule) exceeded(counted, attempts uint64) bool {
	if attempts < r.Min {
		return false
	}
	v := r.value(counted, attempts)
	return v > r.Threshold || r.OrEqual && v == r.Threshold && attempts > 0
}

func (r *Rule) value(counted, attempts uint64) float64 {
	switch {
	case !r.Metric.IsRate():
		return float64(counted)
	case attempts == 0:
		return 0
	}
	return float64(counted) / float64(attempts)
}
