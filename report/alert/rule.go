// Package alert watches rates of failures and reports when one of them begins to
// be out of bounds, and when that has ended.
//
// # Rules
//
// A rule is written in words, in any order but for "for 5m" and "min 50":
//
//	provider=google failure-rate>20% for 5m min 50
//	domain=example.org code="421 4.7.0" deferral-rate>=0.5 for 15m
//	rejected>1000 for 1m
//
// Conditions KEY=VALUE choose what is looked at, as the flags of the same names
// do: provider, domain, code, reason, sender, host, mta. The same key twice asks
// for either of the values. A value with blanks is put into double quotes.
//
// One comparison, > or >=, of:
//
//	failure-rate   failed / (delivered + failed), by attempts
//	deferral-rate  deferred / all attempts
//	failures       permanent failures
//	deferrals      temporary failures
//	rejected       mail this host refused to take in
//
// with a share (20% or 0.2) for rates and a number for the others. A code or a
// reason is asked for in failures only: the rate is their part of all attempts
// that the other conditions choose.
//
// "for" is the span of time that is looked at, from 10s to 24h; without it 5m.
// "min" is how many attempts there must be within it, so that two failures of
// three at night wake nobody; without it 20 for a rate and 0 for a number.
//
// # When
//
// A rule begins to hold as soon as what happened within the span is out of
// bounds, and has ended when it was not so for as long as the span: a rate that
// swings around its threshold is one alert. Its begin and its end are reported once.
//
// The span ends now, on the clock of the wall, and events are taken by the time
// in the log. So yesterday's failures in a backlog alert nobody. Events that
// claim to be from the future count as now. Logs whose times are read wrong
// (see --tz) by more than the span are not seen; Watch.Behind reports that.
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

// Metric is what a rule compares.
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
				return nil, fmt.Errorf("nothing follows %q", w)
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
			"nothing is compared: one of %s, with > or >= and a number, without blanks between them", list())
	}
	if !minSet && r.Metric.IsRate() {
		r.Min = defaultMin
	}
	return r, nil
}

// bare returns what strconv has found wrong, without the name of its function.
func bare(err error) error {
	if n, ok := err.(*strconv.NumError); ok {
		return n.Err
	}
	return err
}

func (r *Rule) setFor(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("no span of time like 90s, 5m, 1h")
	}
	if d < shortest || d > longest {
		return fmt.Errorf("from %v to %v", shortest, longest)
	}
	r.For = d
	return nil
}

func (r *Rule) compare(w string) error {
	if r.Metric != "" {
		return fmt.Errorf("%q: a rule compares one number, give a second rule", w)
	}
	name, value, _ := strings.Cut(w, ">")
	for _, m := range metrics {
		if name == string(m) {
			r.Metric = m
		}
	}
	if r.Metric == "" {
		return fmt.Errorf("%q is none of %s", name, list())
	}
	value, r.OrEqual = strings.CutPrefix(value, "=")
	number, isPercent := strings.CutSuffix(value, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f < 0 || math.IsInf(f, 0) || math.IsNaN(f) {
		return fmt.Errorf("%q: no number to compare with", w)
	}
	if isPercent {
		f /= 100
	}
	switch {
	case r.Metric.IsRate() && (f > 1 || f == 1 && !r.OrEqual):
		return fmt.Errorf("%q: a rate is never above 100%%", w)
	case !r.Metric.IsRate() && isPercent:
		return fmt.Errorf("%q: %s is a number, not a share", w, r.Metric)
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

// sides returns what an event is to the rule: one of the things that are counted,
// one of the attempts they are compared with, both or neither.
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

// exceeded reports whether so many counted of so many attempts are out of
// bounds.
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
