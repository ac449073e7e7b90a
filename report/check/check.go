// Package check summarizes the last hours of a database in one line and an exit code
// for a monitoring system, by the conventions of Nagios plugins.
package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

// State is the result of a check, and the exit code of its command.
type State int

// The states, by their exit codes.
const (
	OK       State = 0
	Warning  State = 1
	Critical State = 2
	Unknown  State = 3
)

func (s State) String() string {
	return [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[s]
}

// rank orders states by how bad they are: a known failure is worse than Unknown.
func (s State) rank() int { return [...]int{0, 2, 3, 1}[s] }

// Options are the input of Run.
type Options struct {
	Window     store.Window // Until is now
	Filter     store.Filter
	Thresholds []Threshold // nil: an investigation and DefaultThresholds decide
	Location   *time.Location
}

// Problem is a problem that an investigation found and that still goes on.
type Problem struct {
	State State
	Text  templates.Text
}

// Result is the outcome of a check.
type Result struct {
	State    State
	Window   store.Window
	Metrics  []Metric
	Problems []Problem
	exceeded []exceeded
}

// Metric is a checked number with its limits. Value is nil when there is nothing to
// compute it from, as for a rate without recipients.
type Metric struct {
	Name     string
	Unit     Unit
	Value    *float64
	Warning  *Threshold
	Critical *Threshold
}

// exceeded is a threshold that a metric is beyond, and the metric's value.
type exceeded struct {
	Threshold
	value float64
}

// untilLate is how long a recipient may stay untried before it counts as waiting.
const untilLate = 10 * time.Minute

// errNothing is the error for a database without lines.
var errNothing = errors.New("the database holds no lines of a log: run `mailfail ingest`")

// Run checks a window. An error means that the check could not be made; callers report
// it as Unknown.
func Run(ctx context.Context, db store.Database, opt Options) (r *Result, err error) {
	unsent, err := store.UnsentOf(ctx, db)
	if err != nil {
		return nil, err
	}
	err = db.Snapshot(ctx, func(q store.Reader) error {
		r, err = run(ctx, q, unsent, opt)
		return err
	})
	return r, err
}

func run(ctx context.Context, q store.Reader, unsent store.Unsent, opt Options) (*Result, error) {
	_, last, err := q.Covered(ctx)
	if err != nil {
		return nil, err
	}
	if last.IsZero() {
		return nil, errNothing
	}
	n, err := q.Numbers(ctx, opt.Window, opt.Filter, nil)
	if err != nil {
		return nil, err
	}
	waiting, untried, err := queue(ctx, q, opt)
	if err != nil {
		return nil, err
	}
	t := &n.Totals
	failed := t.Bounced + t.Expired
	values := map[string]*float64{
		"failure-rate":  percent(failed, t.Delivered+failed),
		"deferral-rate": percent(t.Deferred, t.Recipients),
		"recipients":    number(t.Recipients),
		"failed":        number(failed),
		"waiting":       number(waiting),
		"untried":       number(untried),
		"rejected":      number(t.Rejected + t.RejectedTemporary),
		// The last minute counts as read to its end, since lines are counted by the
		// minute.
		"age": seconds(max(0, opt.Window.Until.Sub(last.Add(time.Minute)))),
	}
	if unsent.Target != "" {
		values["unsent"] = number(unsent.Rows)
	}
	r := &Result{Window: opt.Window}
	if opt.Thresholds == nil {
		opt.Thresholds = DefaultThresholds()
		if r.Problems, err = investigated(ctx, q, opt); err != nil {
			return nil, err
		}
	}
	r.judge(values, t.Recipients, opt.Thresholds)
	return r, nil
}

// investigated returns the problems that an investigation of the last day finds and
// that still go on.
func investigated(ctx context.Context, q store.Reader, opt Options) (problems []Problem, err error) {
	found, err := investigate.Run(ctx, q, investigate.Options{
		Window:   store.Window{Since: opt.Window.Until.Add(-24 * time.Hour), Until: opt.Window.Until},
		Filter:   opt.Filter,
		Location: opt.Location,
		Now:      opt.Window.Until,
	})
	if err != nil {
		return nil, err
	}
	states := map[string]State{investigate.Critical: Critical, investigate.Warning: Warning}
	for _, p := range found.GoingOn() {
		problems = append(problems, Problem{states[p.Severity], p.Title()})
	}
	return problems, nil
}

// longestSilence is how long a recipient without a new record still counts as waiting:
// mail servers retry at least every few hours.
const longestSilence = 24 * time.Hour

// queue counts the recipients that wait at the end of the window, and how many of them
// were never tried. When more messages than recipients are untried, it counts the
// messages, since a log may not name a recipient before the first attempt.
func queue(ctx context.Context, q store.Reader, opt Options) (waiting, untried int64, err error) {
	w := opt.Window
	if earliest := w.Until.Add(-longestSilence); w.Since.IsZero() || earliest.Before(w.Since) {
		w.Since = earliest
	}
	err = q.Affected(ctx, w, opt.Filter, func(a *store.Affected) error {
		late := opt.Window.Until.Sub(a.FirstSeen) >= untilLate
		if a.State != registry.StatePending || !a.Tried && !late {
			return nil
		}
		waiting++
		if !a.Tried {
			untried++
		}
		return nil
	})
	if err != nil || opt.Filter.OfCause() {
		return waiting, untried, err
	}
	messages, err := untriedMessages(ctx, q, store.Window{Since: w.Since, Until: w.Until.Add(-untilLate)},
		opt.Filter)
	more := max(0, messages-untried)
	return waiting + more, untried + more, err
}

// untriedMessages counts the messages that came into the queue in a window and have
// no record since.
func untriedMessages(ctx context.Context, q store.Reader, w store.Window,
	f store.Filter) (n int64, err error) {
	if !w.Since.Before(w.Until) {
		return 0, nil
	}
	t, err := q.Timeline(ctx, w, f, nil, time.Hour)
	if err != nil {
		return 0, err
	}
	for _, s := range t.Slices {
		for _, p := range s.Points {
			n += p.Untried
		}
	}
	return n, nil
}

// judge compares the values with the thresholds and the problems.
func (r *Result) judge(values map[string]*float64, recipients int64, thresholds []Threshold) {
	for _, m := range metrics {
		metric := Metric{Name: m.name, Unit: m.unit, Value: values[m.name]}
		for i := range thresholds {
			t := &thresholds[i]
			if t.Metric != m.name {
				continue
			}
			if t.State == Critical {
				metric.Critical = t
			} else {
				metric.Warning = t
			}
			if metric.Value != nil && recipients >= t.Min && t.holds(*metric.Value) {
				r.exceeded = append(r.exceeded, exceeded{*t, *metric.Value})
				r.worsen(t.State)
			}
		}
		if metric.Value == nil && m.ofFleet && metric.Warning == nil && metric.Critical == nil {
			continue
		}
		r.Metrics = append(r.Metrics, metric)
	}
	for _, p := range r.Problems {
		r.worsen(p.State)
	}
	slices.SortStableFunc(r.exceeded, func(a, b exceeded) int {
		return cmp.Compare(b.State.rank(), a.State.rank())
	})
}

func (r *Result) worsen(s State) {
	if s.rank() > r.State.rank() {
		r.State = s
	}
}

func number(n int64) *float64 {
	f := float64(n)
	return &f
}

func percent(n, of int64) *float64 {
	if of == 0 {
		return nil
	}
	f := 100 * float64(n) / float64(of)
	return &f
}

func seconds(d time.Duration) *float64 {
	f := d.Seconds()
	return &f
}

// Text returns the problems, the exceeded thresholds and the figures in one line.
func (r *Result) Text() string {
	var parts []templates.Text
	for _, p := range r.Problems {
		if p.State != OK {
			parts = append(parts, p.Text)
		}
	}
	for i, e := range r.exceeded {
		if slices.ContainsFunc(r.exceeded[:i], func(o exceeded) bool { return o.Metric == e.Metric }) {
			continue // the worse one is there already
		}
		parts = append(parts, templates.Words(e.text()))
	}
	parts = append(parts, templates.Words(r.figures()))
	return templates.Join(parts, "; ").String()
}

// figures returns the main counts in words.
func (r *Result) figures() string {
	return fmt.Sprintf("%s of %s recipients failed, %s waiting in %s", r.shown("failed"),
		r.shown("recipients"),
		r.shown("waiting"),
		span(r.Window.Until.Sub(r.Window.Since)))
}

func (r *Result) shown(name string) string {
	for _, m := range r.Metrics {
		if m.Name == name && m.Value != nil {
			return templates.Count(int64(*m.Value))
		}
	}
	return "an unknown number"
}

// span formats a duration in the largest unit that suits it.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour || d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d d", d.Round(24*time.Hour)/(24*time.Hour))
	case d >= 10*time.Hour || d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%d h", d.Round(time.Hour)/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
