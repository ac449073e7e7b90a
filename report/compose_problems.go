package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

const (
	maxProblems   = 3
	leastTogether = 5 // recipients that make a problem
)

// problems returns what to act on: the findings of an investigation or, without earlier
// days to compare with, the largest groups in trouble.
func (c *composer) problems() Section {
	s := Section{ID: "problems", Title: "Problems"}
	if c.Found != nil {
		for i := range c.Found.Problems {
			if p := &c.Found.Problems[i]; p.Severity != investigate.Remark {
				problem, leaves := InvestigationProblem(p), c.leavesOf(p)
				problem.Hours, problem.See = c.hoursOf(leaves), c.here(problem.See)
				if people := c.people(leaves); people != nil {
					problem.Facts = append(problem.Facts, people)
				}
				s.Problems = append(s.Problems, problem)
			}
		}
		s.Problems = append(s.Problems, c.stuck()...)
		return s
	}
	if c.trouble == nil {
		return s
	}
	c.cluster()
	s.Problems = c.stuck()
	for _, k := range c.clusters {
		s.Problems = append(s.Problems, c.problem(k))
	}
	if len(c.clusters) > 0 {
		s.More = templates.Words(
			"The largest groups of recipients in trouble, without comparison: there is no history of " +
				"this time yet.")
	}
	return s
}

// leavesOf returns the recipients in trouble that belong to a problem.
func (c *composer) leavesOf(p *investigate.Problem) (leaves []*leaf) {
	if c.trouble == nil {
		return nil
	}
	for _, l := range c.trouble.leaves {
		if belongs(&l.place, p) {
			leaves = append(leaves, l)
		}
	}
	return leaves
}

// belongs reports whether recipients at a place are part of a problem, as far as the
// place alone shows it.
func belongs(l *place, p *investigate.Problem) bool {
	w := &p.Where
	is := func(asked registry.Foreign, have string) bool {
		return asked == "" || asked.Raw() == have
	}
	return p.Kind == investigate.Failures && (p.Reason == "" || p.Reason == l.reason) &&
		is(w.Provider, l.provider) && is(w.Domain, l.domain) &&
		is(w.SenderDomain, l.sender) && is(w.Host, l.host)
}

// cluster finds the largest groups in trouble.
func (c *composer) cluster() {
	c.clusters = c.trouble.clusters(c.Totals.Recipients)
	if c.isStuck() { // the gravest problem
		slices.SortStableFunc(c.clusters, func(a, b *cluster) int {
			return compareBool(a.untried(), b.untried())
		})
	}
	c.clustered = map[place]bool{}
	for _, k := range c.clusters {
		for _, l := range k.leaves {
			c.clustered[l.place] = true
		}
	}
}

// inProblem reports whether a place belongs to a problem.
func (c *composer) inProblem(l *place) bool {
	if c.Found == nil {
		return c.clustered[*l]
	}
	return slices.ContainsFunc(c.Found.Problems, func(p investigate.Problem) bool {
		return p.Severity != investigate.Remark && belongs(l, &p)
	})
}

// cluster is a group of recipients in trouble for the same reason that have
// something else in common too.
type cluster struct {
	*pile
	where []narrowed
}

// narrowed is a dimension in which nearly all recipients of a cluster have the same
// value.
type narrowed struct {
	dimension store.Dimension
	value     string
}

// clusters returns the largest groups in trouble, the largest first: all recipients
// with the same reason, narrowed down to the values that nearly all of them share.
func (t *trouble) clusters(recipients int64) []*cluster {
	var list []*cluster
	least := max(leastTogether, recipients/100, (t.nFailed+t.nWaiting)/20)
	for _, p := range t.allBy(store.ByReason) {
		if p.all() < least || len(list) == maxProblems {
			break
		}
		if k := t.narrow(p); k.all() >= least {
			list = append(list, k)
		}
	}
	return list
}

// narrow keeps the recipients of a pile that share a value in a dimension, for each
// dimension in which at least eight in ten do.
func (t *trouble) narrow(p *pile) *cluster {
	k := &cluster{pile: p}
	for _, d := range []store.Dimension{store.BySender, store.ByProvider, store.ByDomain, store.ByHost} {
		parts := t.pilesBy(k.leaves, d)
		if len(parts) == 0 || parts[0].name == "" || parts[0].all()*10 < k.all()*8 {
			continue
		}
		k.pile = parts[0]
		k.where = append(k.where, narrowed{d, parts[0].name})
	}
	return k
}

func (c *composer) problem(k *cluster) Problem {
	cause := k.cause()
	p := Problem{Severity: "warning", Title: c.problemTitle(k), Do: c.whatToDo(k),
		See: c.command(k, cause.reason), Hours: c.hoursOf(k.leaves)}
	p.Facts = append(p.Facts, c.extent(k))
	for _, d := range k.spreadOver() {
		p.Facts = append(p.Facts, spread(k, d))
	}
	if people := c.people(k.leaves); people != nil {
		p.Facts = append(p.Facts, people)
	}
	who := c.trouble.persons[cause.lastID]
	if who != nil && who.Text != "" {
		p.Quote = []registry.Foreign{who.Text}
	}
	if k.untried() {
		p.See = "" // no failure is on record
		if who != nil && who.Message != "" {
			p.See = c.here("mailfail trace " + investigate.Quote(who.Message.Raw()))
		}
		if c.isStuck() {
			c.tellStuck(&p)
		}
	}
	return p
}

// untried reports whether the recipients of a cluster wait without an attempt.
func (k *cluster) untried() bool { return k.cause().reason == "" }

func (c *composer) problemTitle(k *cluster) templates.Text {
	title := templates.Words(reasonName(k.cause().reason))
	if code := k.cause().code; code != "" {
		title = templates.Say("%v (%v)", title, code)
	}
	words := map[store.Dimension]string{store.BySender: "mail from %v", store.ByProvider: "at %v",
		store.ByDomain: "to %v", store.ByHost: "on %v"}
	var places []templates.Text
	for _, n := range k.where {
		if n.dimension == store.ByHost && len(c.Hosts) < 2 || n.dimension == store.ByDomain &&
			k.in(store.ByProvider) == n.value {
			continue
		}
		places = append(places, templates.Say(words[n.dimension], dimensionValue(n.dimension, n.value)))
	}
	if len(places) == 0 {
		return title
	}
	return templates.Say("%v: %v", title, templates.Join(places, ", "))
}

// in returns the value of a dimension that a cluster is narrowed down to.
func (k *cluster) in(d store.Dimension) string {
	for _, n := range k.where {
		if n.dimension == d {
			return n.value
		}
	}
	return ""
}

// extent describes how many recipients a cluster has, and since when.
func (c *composer) extent(k *cluster) templates.Text {
	said := fmt.Sprintf("%s %s", templates.Count(k.all()), templates.Plural(k.all(), "recipient"))
	switch {
	case k.waiting == 0:
		said += " failed, "
	case k.failed == 0:
		said += " " + waitWord(k.waiting) + ", "
	default:
		said += fmt.Sprintf(": %s failed, %s %s, ", templates.Count(k.failed), templates.Count(k.waiting),
			waitWord(k.waiting))
	}
	first, last := k.span()
	from, to := c.clock(first), c.clock(last)
	if from == to {
		return templates.Words(said + "at " + from + ".")
	}
	return templates.Say("%vfrom %v to %v.", said, from, to)
}

// spreadOver returns the dimensions in which a cluster has several values. Of providers
// and domains it returns only one: providers when they are fewer, else domains.
func (k *cluster) spreadOver() (dims []store.Dimension) {
	places := map[store.Dimension]int{}
	for _, d := range []store.Dimension{store.BySender, store.ByProvider, store.ByDomain} {
		places[d] = len(piles(k.leaves, func(l *leaf) string { return l.dimension(d) }))
	}
	if p := places[store.ByProvider]; p > 1 && p < places[store.ByDomain] {
		dims = append(dims, store.ByProvider)
	} else if places[store.ByDomain] > 1 {
		dims = append(dims, store.ByDomain)
	}
	if places[store.BySender] > 1 {
		dims = append(dims, store.BySender)
	}
	return dims
}

// spread describes how the recipients of a cluster are spread over a dimension.
func spread(k *cluster, d store.Dimension) templates.Text {
	parts := piles(k.leaves, func(l *leaf) string { return l.dimension(d) })
	const shown = 4
	var names []templates.Text
	for _, p := range top(parts, shown) {
		names = append(names, templates.Say("%v %v", dimensionValue(d, p.name), p.all()))
	}
	if left := len(parts) - shown; left > 0 {
		names = append(names, templates.Say("%v more", left))
	}
	return templates.Say("%v: %v.", titleOfDimension(d), templates.Join(names, ", "))
}

// command returns the command that lists the failures of a cluster.
func (c *composer) command(k *cluster, reason string) string {
	var words []string
	if reason != "" {
		words = append(words, "--reason "+reason)
	}
	for _, n := range k.where {
		if n.value == "" || n.dimension == store.ByHost && len(c.Hosts) < 2 {
			continue
		}
		words = append(words, "--"+string(n.dimension)+" "+investigate.Quote(n.value))
	}
	return c.events(words...)
}

// events returns a command that lists failures of the report's time and files.
func (c *composer) events(flags ...string) string {
	words := []string{"mailfail events"}
	if day, ok := c.day(); ok {
		words = append(words, "--day "+day.Format(time.DateOnly))
	} else {
		const layout = "2006-01-02T15:04"
		if since := c.Window.Since; !since.IsZero() {
			words = append(words, "--since "+since.In(c.location).Format(layout))
		}
		if until := c.Window.Until; !until.IsZero() {
			words = append(words, "--until "+until.In(c.location).Format(layout))
		}
	}
	words = append(words, flags...)
	return c.here(investigate.Narrow(strings.Join(words, " "), &c.Filter))
}

// here adds to a command the flags and files for reading the report's logs in the
// report's zone.
func (c *composer) here(command string) string {
	if command == "" {
		return ""
	}
	return investigate.Here(command, c.end().In(c.location), c.Files)
}

// fewestHours is the least number of hours that make a useful picture.
const fewestHours = 6

// hours returns the hours of the report's time since 1970, half-open; ok is false
// for a time of a few hours, or of more than two days.
func (r *Report) hours() (from, to int64, ok bool) {
	since, until := r.Window.Since, r.end()
	if since.IsZero() {
		since = r.FirstLine
	}
	from, to = since.Unix()/3600, (until.Unix()+3599)/3600
	return from, to, !since.IsZero() && to-from <= 49 && to-from >= fewestHours
}

// hoursOf returns the recipients in trouble by hour of the window, nil for a
// window of a few hours or of more than two days.
func (c *composer) hoursOf(leaves []*leaf) []int64 {
	from, to, ok := c.hours()
	if !ok {
		return nil
	}
	hours := make([]int64, to-from)
	for _, l := range leaves {
		if l.hours == nil {
			continue
		}
		for _, h := range *l.hours {
			if i := h.hour - from; i >= 0 && i < int64(len(hours)) {
				hours[i] += h.n
			}
		}
	}
	return hours
}

// whatToDo returns the advice for a cluster, for those that wait when they are more.
// What is scattered over many domains while other mail is delivered is not explained by a
// port or the resolver of this host.
func (c *composer) whatToDo(k *cluster) string {
	cause := *k.cause()
	if k.waiting > k.failed {
		cause.state = registry.StatePending
	}
	if c.scattered(k) && cause.reason != "" {
		return advice(registry.Reason(cause.reason),
			registry.Situation{Direction: cause.direction, State: cause.state, Scattered: true})
	}
	return c.advice(&cause)
}

// scattered reports whether a cluster is spread over many domains, with few recipients at
// each, while at least twice as many recipients got their mail.
func (c *composer) scattered(k *cluster) bool {
	const many = 10
	domains := c.trouble.pilesBy(k.leaves, store.ByDomain)
	return len(domains) >= many && domains[0].all()*many <= k.all() && c.Totals.Delivered >= 2*k.all()
}

// advice returns what to do about the failures of a place.
func (c *composer) advice(l *leaf) string {
	if l.reason == "" {
		return "Look at the queue: this mail has not been tried."
	}
	return advice(registry.Reason(l.reason),
		registry.Situation{Provider: l.provider, Direction: l.direction, State: l.state})
}
