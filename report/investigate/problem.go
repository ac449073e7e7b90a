package investigate

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"mailfail/registry"
	"mailfail/templates"
)

// where names a slice.
func (m *model) where(c *candidate) (w Where) {
	for _, d := range c.dims {
		name := m.data.texts[m.names[d].names[c.at[d]]]
		switch d {
		case dimHost:
			w.Host = name
		case dimInstance:
			w.Instance = name
		case dimSender:
			w.SenderDomain = name
		case dimDomain:
			w.Domain = name
		case dimProvider, dimPlatform:
			m.nameProvider(&w, d, name)
		}
	}
	return w
}

func (m *model) nameProvider(w *Where, d dim, name registry.Foreign) {
	switch {
	case name == localProvider:
		w.Direction = "local"
	case d == dimPlatform:
		w.Provider, w.Platform = "Microsoft", name
	default:
		w.Provider = name
	}
}

// noiseFloor returns how many recipients would have to fail in one place to be
// reported.
func (m *model) noiseFloor() int {
	price := math.Log(float64(m.names[dimDomain].len())) + 2
	rate := 0.005
	if m.total > 0 && m.usual > 0 {
		rate = min(0.3, max(leastRate, m.usual/m.total/max(1, float64(len(m.reasons)))))
	}
	return int(math.Ceil(max(leastEvents, m.floor(), (threshold+price)/-math.Log(rate))))
}

// problem describes a finding.
func (m *model) problem(f *finding) Problem {
	w := f.window
	p := Problem{Kind: Failures, Where: m.where(f.candidate), Reason: m.reasons[f.reason], Score: f.score,
		Tried: int(w.n), Expected: w.expected, Excess: w.f - w.expected, Severity: Warning}
	for _, i := range f.members {
		e := m.events[i].from
		p.Recipients += int(e.N)
		switch e.State {
		case Waiting:
			p.Waiting += int(e.N)
		case Failed:
			p.Failed += int(e.N)
		}
	}
	p.Tried = max(p.Tried, p.Recipients)
	if p.Tried > 0 {
		p.RateNow, p.RateBefore = float64(p.Recipients)/float64(p.Tried), p.Expected/float64(p.Tried)
	}
	m.times(f, &p)
	m.facts(f, &p)
	p.Addresses = m.fewAddresses(f)
	p.Severity = m.severity(&p)
	return p
}

// severity rates failures. It rates as remarks those that were delivered in the end,
// when they were greylisting, or were few and have ended, and those of a few mailboxes
// that get much mail.
func (m *model) severity(p *Problem) string {
	healed := 10*(p.Recipients-p.Failed-p.Waiting) >= 8*p.Recipients
	small := float64(p.Recipients) < max(25, 0.01*m.total)
	switch {
	case p.Addresses > 0, healed && (p.Reason == "greylisted" || small && !p.Ended.IsZero()):
		return Remark
	case float64(p.Recipients) >= 0.1*m.total:
		return Critical
	}
	return Warning
}

// mostFew is the greatest number of addresses that count as few.
const mostFew = 3

// fewAddresses returns how many addresses the failures of a finding have, when its
// reason is about an address and they are few, else 0. Repeated mail to one full
// mailbox is evidence of one full mailbox only.
func (m *model) fewAddresses(f *finding) int {
	if group := registry.Reason(m.reasons[f.reason]).Info().Group; group != "address" && group != "mailbox" {
		return 0
	}
	addresses := map[registry.Foreign]bool{}
	for _, d := range m.look(m.triedOf(f), mostDetails) {
		addresses[d.Recipient] = true
	}
	if n := len(addresses); n <= mostFew && !addresses[""] {
		return n
	}
	return 0
}

// times finds when a finding began, and whether it goes on.
func (m *model) times(f *finding, p *Problem) {
	w := f.window
	q := min(0.995, w.f/w.n)
	cost := -math.Log1p(-q)
	first := m.data.Since + int64(w.from)*m.bin
	if len(f.members) > 0 {
		first = m.events[f.members[0]].from.Minute
	}
	half, ninety := m.back(f, w.from, math.Ln2/cost), m.back(f, w.from, 3/cost)
	p.BeganEarliest, p.BeganLatest = m.time(ninety), m.time(first+1)
	p.Began = m.time(max((half+first)/2, first-9)) // the first failed some time within its minute
	after := 0.0
	for i := w.to; i < m.bins; i++ {
		after += f.others[i] * cost
	}
	if last := m.data.Since + int64(w.to)*m.bin; after > 3 && last < m.data.Until {
		p.Ended = m.time(last)
	}
}

// back returns the latest minute for which at least so many recipients of the slice,
// from then until a bin, did not fail.
func (m *model) back(f *finding, bin int, recipients float64) int64 {
	seen := 0.0
	for i := bin - 1; i >= 0; i-- {
		if seen += f.others[i]; seen >= recipients {
			return m.data.Since + int64(i)*m.bin
		}
	}
	return m.data.Since
}

// facts fills in what else the events of a finding have in common.
func (m *model) facts(f *finding, p *Problem) {
	members := f.members
	causes, texts := map[int32]int{}, map[registry.Foreign]int{}
	for _, i := range members {
		if e := m.events[i].from; e.Cause >= 0 && m.data.Causes[e.Cause].Reason == p.Reason {
			causes[e.Cause]++
		}
	}
	cause, ok := top(causes)
	if ok {
		k := &m.data.Causes[cause]
		p.Code, p.Stage, p.Source = k.Code, k.Stage, k.Source
		p.New, p.NewCode = m.isNew(f, func(c *Cause) bool {
			return c.Signature == k.Signature
		}), m.isNew(f, func(c *Cause) bool { return c.Code == k.Code })
		p.New, p.NewCode = p.New && k.Signature != "", p.NewCode && k.Code != ""
	}
	var like []oneFailure
	for _, i := range members {
		if e := m.events[i].from; e.Cause == cause && ok {
			like = append(like, oneFailure{e.ID, e.Place})
		}
	}
	for _, d := range m.look(like, mostDetails) {
		if d.Text != "" {
			texts[d.Text]++
		}
	}
	if text, ok := top(texts); ok {
		p.Examples = append(p.Examples, text)
	}
	m.listed(f, p)
	p.Where.Relay = m.oneRelay(f)
	p.Common = p.Where.narrow(m.common(f))
}

// oneRelay returns the relay of nearly all failures of a finding whose slice does not
// name a destination: a smarthost, or a content filter. It returns "" without one.
func (m *model) oneRelay(f *finding) registry.Foreign {
	for _, d := range f.dims {
		if d == dimProvider || d == dimPlatform || d == dimDomain {
			return ""
		}
	}
	relays, n := map[registry.Foreign]int{}, 0
	for _, i := range f.members {
		if e := m.events[i].from; e.Cause >= 0 {
			relays[m.data.texts[m.data.places[e.Place].relay]]++
			n++
		}
	}
	if relay, ok := top(relays); ok && float64(relays[relay]) >= shared*float64(n) {
		return relay
	}
	return ""
}

// isNew reports whether no failure before a finding had such a cause.
func (m *model) isNew(f *finding, like func(*Cause) bool) bool {
	if len(m.data.Days) == 0 {
		return false
	}
	alike := make([]bool, len(m.data.Causes))
	for i := range alike {
		alike[i] = like(&m.data.Causes[i])
	}
	began := m.data.Since + int64(f.window.from)*m.bin
	return !slices.ContainsFunc(m.data.failures, func(f failure) bool { return alike[f.cause] }) &&
		!slices.ContainsFunc(m.data.Events, func(e Event) bool {
			return e.Minute < began && e.Cause >= 0 && alike[e.Cause]
		})
}

// ruledOut describes what is as usual.
func (m *model) ruledOut(r *Result, found []*finding, v *volume) (list []string) {
	n, events, usual := 0.0, 0.0, 0.0
	covers := func(leaf int32) bool {
		return slices.ContainsFunc(found, func(f *finding) bool { return f.in(&m.leaves[leaf]) })
	}
	for l, x := range m.today {
		if x > 0 && !covers(int32(l)) {
			n += x
			for reason := range m.p {
				usual += x * float64(m.p[reason][l])
			}
		}
	}
	for i := range m.events {
		if e := &m.events[i]; !covers(e.leaf) {
			events += e.n
		}
	}
	if len(found) > 0 && n > 0 && events < 1.5*usual+10 {
		list = append(list, fmt.Sprintf(
			"everything else as usual: %s of %s recipients failed at a first attempt (usual %s)",
			percent(events/n), templates.Count(int64(n)), percent(usual/n)))
	}
	for _, f := range found[:min(1, len(found))] {
		list = append(list, m.evenly(f, dimHost, "hosts")...)
		list = append(list, m.evenly(f, dimSender, "senders")...)
		list = append(list, m.evenly(f, dimProvider, "providers")...)
	}
	if seen, expected := v.totals(0); expected > 0 && seen > 0.85*expected && seen < 1.2*expected {
		list = append(list, fmt.Sprintf("as much mail came in as usual (%s, usual %s)",
			templates.Count(int64(seen)), templates.Count(int64(math.Round(expected)))))
	}
	return list
}

// evenly returns a sentence when the rate of a finding is the same at all values of a
// dimension with enough mail.
func (m *model) evenly(f *finding, d dim, name string) []string {
	if slices.Contains(f.dims, d) || m.names[d].len() < 2 {
		return nil
	}
	n, failed := make([]float64, len(m.names[d].names)), make([]float64, len(m.names[d].names))
	m.eachLeaf(f.candidate, func(leaf int32) {
		n[m.leaves[leaf][d]] += m.recipients(leaf, f.window.from, f.window.to)
	})
	for _, i := range f.members {
		failed[m.leaves[m.events[i].leaf][d]] += m.events[i].n
	}
	rate := f.window.f / f.window.n
	values := 0
	for v := range n {
		if n[v] < 5 {
			continue
		}
		if values++; failed[v] < 0.5*rate*n[v] {
			return nil
		}
	}
	if values < 2 {
		return nil
	}
	return []string{fmt.Sprintf("it is the same at all %s (%d with enough mail)", name, values)}
}

// top returns the key with the greatest count, of several the smallest.
func top[K cmp.Ordered](counts map[K]int) (best K, ok bool) {
	for k, n := range counts {
		if !ok || n > counts[best] || n == counts[best] && k < best {
			best, ok = k, true
		}
	}
	return best, ok
}

// ofHole describes a hole in the mail that came or in the mail that was tried.
func (m *model) ofHole(kind string, h *hole) Problem {
	p := Problem{
		Kind:          kind,
		Where:         Where{Host: h.host, SenderDomain: h.sender},
		Tried:         int(h.observed),
		Expected:      h.expected,
		Excess:        h.expected - h.observed,
		Recipients:    int(h.expected - h.observed),
		Score:         h.llr,
		Severity:      Warning,
		Began:         m.time(h.began),
		BeganEarliest: m.time(h.earliest),
		BeganLatest:   m.time(h.latest),
	}
	if h.holiday || h.moved {
		p.Severity = Remark
	}
	if end := m.data.Since + int64(h.to)*quarter; h.over && end < m.data.Until-2*quarter {
		p.Ended = m.time(end)
	}
	return p
}
