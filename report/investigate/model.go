package investigate

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"

	"mailfail/registry"
)

// dim is a dimension of a place that causes are looked for in.
type dim int

const (
	dimHost dim = iota
	dimInstance
	dimSender
	dimDomain
	dimProvider
	dimPlatform
	numDims
)

// key holds a value of each dimension. In a slice 0 stands for all values.
type key [numDims]int32

// model is what is usual: places, and how often mail fails there.
type model struct {
	data   *Data
	bin    int64 // minutes
	bins   int
	names  [numDims]interner
	leaves []key
	leafOf []int32            // by place
	with   [numDims][][]int32 // leaves with recipients in the window, by value
	single []bool             // providers with one domain

	reasons []string // that occur in the window
	classes []class
	reason  []int32            // by cause, -1 when the reason does not occur in the window
	p       [][]float32        // by reason and leaf: the usual rate of failure
	today   []float64          // recipients of the window by leaf
	all     []float64          // recipients of the window and the days before by leaf
	mail    [numDims][]float64 // of all, by value; filled when asked for
	events  []event            // of the window, in order of time
	rows    []row              // recipients of the window, by leaf
	rowsOf  []int32            // where the rows of a leaf begin
	total   float64            // recipients of the window
	usual   float64            // expected events of any reason in the window
}

// event is an Event of the window as the scan sees it.
type event struct {
	bin    int32
	leaf   int32
	reason int32
	n      float64
	late   bool // it is one more trial in its bin
	taken  bool // a cause explains it
	from   *Event
}

// row counts the recipients of a leaf that arrived in a bin.
type row struct{ bin, n int32 }

// interner numbers strings from 1.
type interner struct {
	ids    map[string]int32
	names  []string
	last   string // places come in order: many values are that of the place before
	lastID int32
}

func (in *interner) id(s string) int32 {
	if in.ids == nil {
		in.ids, in.names = map[string]int32{}, []string{""}
	} else if s == in.last && in.lastID > 0 {
		return in.lastID
	}
	id, ok := in.ids[s]
	if !ok {
		id = int32(len(in.names))
		in.ids[s] = id
		in.names = append(in.names, s)
	}
	in.last, in.lastID = s, id
	return id
}

// len returns the number of values.
func (in *interner) len() int { return max(1, len(in.names)-1) }

// localProvider is the provider of mailboxes on a host.
const localProvider = "\x00local"

// finest is the most bins a window is divided into, about two days of minutes.
const finest = 3000

func newModel(d *Data) *model {
	m := &model{data: d, bin: max(1, (d.Until-d.Since+finest-1)/finest)}
	m.bins = int((d.Until - d.Since + m.bin - 1) / m.bin)
	m.place()
	m.classify()
	m.window()
	m.rates()
	m.expect()
	return m
}

// expect adds up what is usual in the window.
func (m *model) expect() {
	for l, n := range m.today {
		m.total += n
		for r := range m.p {
			m.usual += n * float64(m.p[r][l])
		}
	}
}

// inWindow returns the bin of a minute.
func (m *model) inWindow(minute int64) (bin int32, ok bool) {
	d := m.data
	return int32((minute - d.Since) / m.bin), minute >= d.Since && minute < d.Until
}

// place finds the leaf of every place. The provider of a leaf is the operator
// of the relay that took most of the mail of the domain from the host, so it is
// known also when there was no relay.
func (m *model) place() {
	d := m.data
	owner := newOwners(d)
	m.names[dimHost], m.names[dimDomain] = owner.hosts, owner.domains
	byKey := make(map[key]int32, len(d.Places))
	m.leafOf = make([]int32, len(d.Places))
	var first []int32 // domain, by provider
	for i := range d.Places {
		p, u := &d.Places[i], &owner.uses[i]
		if u.n == 0 { // nobody was to receive anything there
			continue
		}
		provider, platform := owner.of(int32(i))
		var k key
		k[dimHost], k[dimDomain] = u.host, u.domain
		k[dimInstance] = m.names[dimInstance].id(string(p.Instance))
		k[dimSender] = m.names[dimSender].id(string(p.Sender))
		k[dimProvider] = m.names[dimProvider].id(string(provider))
		k[dimPlatform] = m.names[dimPlatform].id(string(platform))
		leaf, ok := byKey[k]
		if !ok {
			leaf = int32(len(m.leaves))
			byKey[k] = leaf
			m.leaves = append(m.leaves, k)
		}
		m.leafOf[i] = leaf
		for len(first) <= int(k[dimProvider]) {
			first, m.single = append(first, 0), append(m.single, false)
		}
		switch of := &first[k[dimProvider]]; {
		case *of == 0:
			*of = k[dimDomain]
			m.single[k[dimProvider]] = !registry.IsProvider(string(provider)) && provider != localProvider && !owner.smart[provider]
		case *of != k[dimDomain]:
			m.single[k[dimProvider]] = false
		}
	}
}

// class is a set of reasons that are looked at together.
type class struct {
	name    string // reason or group, "" for all
	reasons []int32
}

// classify finds the reasons of the window, and which of them go together.
func (m *model) classify() {
	d := m.data
	ids, groups := map[string]int32{}, map[string][]int32{}
	seen := make([]bool, len(d.Causes))
	for i := range d.Events {
		if e := &d.Events[i]; e.Cause >= 0 {
			seen[e.Cause] = true
		}
	}
	m.reason = make([]int32, len(d.Causes))
	for i := range d.Causes {
		m.reason[i] = -1
		if seen[i] {
			ids[d.Causes[i].Reason] = 0
		}
	}
	for r := range ids {
		m.reasons = append(m.reasons, r)
	}
	slices.Sort(m.reasons)
	var all []int32
	for i, r := range m.reasons {
		ids[r] = int32(i)
		all = append(all, int32(i))
		m.classes = append(m.classes, class{r, []int32{int32(i)}})
		group := registry.Reason(r).Info().Group
		groups[group] = append(groups[group], int32(i))
	}
	for i := range d.Causes {
		if id, ok := ids[d.Causes[i].Reason]; ok {
			m.reason[i] = id
		}
	}
	for group, of := range groups {
		if len(of) > 1 && len(of) < len(all) && d.has(partGroups) {
			m.classes = append(m.classes, class{group, of})
		}
	}
	slices.SortStableFunc(m.classes[len(all):], func(a, b class) int { return strings.Compare(a.name, b.name) })
	if len(all) > 1 && d.has(partGroups) {
		m.classes = append(m.classes, class{"", all})
	}
}

// window sorts the rows of the window.
func (m *model) window() {
	d := m.data
	m.today = make([]float64, len(m.leaves))
	m.rowsOf = make([]int32, len(m.leaves)+1)
	for _, a := range d.arrivals {
		m.rowsOf[m.leafOf[a.place]+1]++
		m.today[m.leafOf[a.place]] += float64(a.n)
	}
	for l := range m.leaves {
		m.rowsOf[l+1] += m.rowsOf[l]
	}
	m.rows = make([]row, len(d.arrivals))
	next := slices.Clone(m.rowsOf)
	for _, a := range d.arrivals {
		leaf := m.leafOf[a.place]
		m.rows[next[leaf]] = row{int32(int64(a.minute) / m.bin), a.n}
		next[leaf]++
	}
	m.index()
	for i := range d.Events {
		e := &d.Events[i]
		bin, ok := m.inWindow(e.Minute)
		if !ok {
			continue
		}
		arrived, here := m.inWindow(e.Arrived)
		reason := int32(-1)
		if e.Cause >= 0 {
			reason = m.reason[e.Cause]
		}
		m.events = append(m.events, event{bin, m.leafOf[e.Place], reason, float64(e.N), !here || arrived != bin, false, e})
	}
	slices.SortStableFunc(m.events, func(a, b event) int { return cmp.Compare(a.from.Minute, b.from.Minute) })
	m.infer()
}

// index notes the leaves of each value.
func (m *model) index() {
	for d := range m.with {
		m.with[d] = make([][]int32, len(m.names[d].names))
	}
	for l := range m.leaves {
		if m.today[l] == 0 {
			continue
		}
		m.with[dimHost][0] = append(m.with[dimHost][0], int32(l)) // all
		for d, value := range m.leaves[l] {
			m.with[d][value] = append(m.with[d][value], int32(l))
		}
	}
}

// eachLeaf calls f with the leaves of a slice that have recipients in the window.
func (m *model) eachLeaf(c *candidate, f func(leaf int32)) {
	list := m.with[dimHost][0]
	for _, d := range c.dims {
		if of := m.with[d][c.at[d]]; len(of) < len(list) {
			list = of
		}
	}
	for _, l := range list {
		if c.in(&m.leaves[l]) {
			f(l)
		}
	}
}

// inferWithin is how long, in minutes, after a failure the recipients that were
// put off untried are put down to it.
const inferWithin = 60

// infer gives events without a cause of their own that of the last failure
// before them that concerned the other site as a whole. Without this most of an
// outage is not seen: the MTA tries a dead site once in a while.
func (m *model) infer() {
	type last struct {
		reason int32
		minute int64
	}
	byDomain, byProvider := map[[2]int32]last{}, map[[2]int32]last{}
	keep := m.events[:0]
	for _, e := range m.events {
		k := &m.leaves[e.leaf]
		domain, provider := [2]int32{k[dimHost], k[dimDomain]}, [2]int32{k[dimHost], k[dimProvider]}
		if e.reason >= 0 {
			if c := &m.data.Causes[e.from.Cause]; ofSite(c) {
				byDomain[domain], byProvider[provider] = last{e.reason, e.from.Minute}, last{e.reason, e.from.Minute}
			}
			keep = append(keep, e)
			continue
		}
		for _, l := range []last{byDomain[domain], byProvider[provider]} {
			if m.data.has(partSuspended) && l.minute > 0 && e.from.Minute-l.minute <= inferWithin {
				e.reason = l.reason
				keep = append(keep, e)
				break
			}
		}
	}
	m.events = keep
}

// ofSite reports whether a failure concerned the other site, not a message.
func ofSite(c *Cause) bool {
	switch c.Stage {
	case "connect", "banner", "ehlo", "starttls":
		return true
	}
	return c.Source == "network" || c.Source == "dns" || c.Source == "tls"
}

// The rate of failure of a leaf is a product, as in Adtributor and Squeeze the
// change of a leaf is that of its attributes. What was seen is joined with as
// many made-up observations, so that little mail proves little.
const (
	weightProvider = 100 // recipients at the rate of the site
	weightSender   = 5   // expected failures
	weightHost     = 10  // expected failures
	weightDomain   = 20  // recipients at the rate of the provider
	leastRate      = 2e-6
	mostRate       = 0.95
)

// history holds the recipients and events before the window.
type history struct {
	days       int
	n          []float32 // by leaf and day
	all        []float64 // by leaf
	byProvider []float32 // by provider and day
	events     [][]past  // by reason, sorted by leaf and day
}

// past counts the events of a leaf on a day.
type past struct {
	leaf, day int32
	n         float64
}

// at returns the recipients of a leaf by day.
func (h *history) at(leaf int) []float32 { return h.n[leaf*h.days : (leaf+1)*h.days] }

// but returns the recipients of a leaf on all days but one, -1 for none.
func (h *history) but(leaf, skip int) float64 {
	if skip < 0 {
		return h.all[leaf]
	}
	return h.all[leaf] - float64(h.n[leaf*h.days+skip])
}

func (m *model) history() *history {
	d := m.data
	h := &history{days: max(1, len(d.Days)), events: make([][]past, len(m.reasons))}
	h.n = make([]float32, len(m.leaves)*h.days)
	for day, recipients := range d.before {
		for place, n := range recipients {
			if n != 0 {
				h.n[int(m.leafOf[place])*h.days+day] += float32(n)
			}
		}
	}
	add := func(cause, place, day, n int32) {
		if reason := m.reason[cause]; reason >= 0 {
			h.events[reason] = append(h.events[reason], past{m.leafOf[place], day, float64(n)})
		}
	}
	for _, f := range d.failures {
		add(f.cause, f.place, f.day, f.n)
	}
	if len(d.Days) == 0 {
		m.firstThird(h, add)
	}
	for _, list := range h.events {
		slices.SortFunc(list, func(a, b past) int { return comparePairs(a.leaf, a.day, b.leaf, b.day) })
	}
	h.all = make([]float64, len(m.leaves))
	h.byProvider = make([]float32, len(m.names[dimProvider].names)*h.days)
	for l := range m.leaves {
		h.all[l] = sumBut(h.at(l), -1)
		days := h.byProvider[int(m.leaves[l][dimProvider])*h.days:]
		for day, x := range h.at(l) {
			days[day] += x
		}
	}
	return h
}

// firstThird makes a history of the first third of the window, when nothing is
// older: the rest of the window is compared with it.
func (m *model) firstThird(h *history, add func(cause, place, day, n int32)) {
	third := (m.data.Until - m.data.Since) / 3
	for _, a := range m.data.arrivals {
		if int64(a.minute) < third {
			h.n[m.leafOf[a.place]] += float32(a.n)
		}
	}
	for i := range m.data.Events {
		if e := &m.data.Events[i]; e.Minute < m.data.Since+third && e.Cause >= 0 {
			add(e.Cause, e.Place, 0, e.N)
		}
	}
}

// rates finds the usual rate of every reason at every leaf.
func (m *model) rates() {
	h := m.history()
	m.all = slices.Clone(m.today)
	for l := range m.all {
		m.all[l] += h.all[l]
	}
	m.p = make([][]float32, len(m.reasons))
	var each sync.WaitGroup
	for r := range m.reasons {
		each.Go(func() { m.p[r] = m.rate(h, h.events[r], ofAddress(m.reasons[r])) })
	}
	each.Wait()
}

// tally is what was seen of one value of a dimension.
type tally struct{ n, f, expected float64 }

// ofAddress reports whether a reason is about single addresses. Lists that are
// sent once a week stay dirty.
func ofAddress(reason string) bool {
	group := registry.Reason(reason).Info().Group
	return group == "address" || group == "mailbox"
}

func (m *model) rate(h *history, events []past, ofAddress bool) []float32 {
	providers := m.quietProviders(h, events)
	site := tally{}
	for i := range providers {
		site.n += providers[i].n
		site.f += providers[i].f
	}
	pSite := (site.f + 0.5) / (site.n + 100)
	pProvider := make([]float64, len(providers))
	for i := range providers {
		pProvider[i] = (providers[i].f + weightProvider*pSite) / (providers[i].n + weightProvider)
	}
	senders := make([]tally, len(m.names[dimSender].names))
	hosts := make([]tally, len(m.names[dimHost].names))
	domains := make([]tally, len(m.names[dimDomain].names))
	each := func(k *key, add func(*tally)) {
		add(&senders[k[dimSender]])
		add(&hosts[k[dimHost]])
		add(&domains[k[dimDomain]])
	}
	for l := range m.leaves {
		k := &m.leaves[l]
		n := h.but(l, providers[k[dimProvider]].skip)
		each(k, func(t *tally) { t.n, t.expected = t.n+n, t.expected+n*pProvider[k[dimProvider]] })
	}
	var days []past // by domain
	for _, e := range events {
		if k := &m.leaves[e.leaf]; int(e.day) != providers[k[dimProvider]].skip {
			each(k, func(t *tally) { t.f += e.n })
			days = append(days, past{k[dimDomain], e.day, e.n})
		}
	}
	worst := worstDays(days, len(domains))
	p := make([]float32, len(m.leaves))
	sum := make([]float64, len(providers))
	for l := range m.leaves {
		k := &m.leaves[l]
		s, o, d := &senders[k[dimSender]], &hosts[k[dimHost]], &domains[k[dimDomain]]
		rate := pProvider[k[dimProvider]] * (s.f + weightSender) / (s.expected + weightSender) *
			(o.f + weightHost) / (o.expected + weightHost)
		if !m.data.has(partFactors) {
			rate = pProvider[k[dimProvider]]
		} else if ofAddress || !m.data.has(partWorstDay) {
			rate *= domainFactor(d, 0, h.days)
		} else {
			rate *= domainFactor(d, worst[k[dimDomain]], h.days)
		}
		p[l] = float32(rate)
		sum[k[dimProvider]] += rate * h.but(l, providers[k[dimProvider]].skip)
	}
	for l := range p {
		scaled, of := 1.0, m.leaves[l][dimProvider]
		if sum[of] > 0 && m.data.has(partScaling) {
			scaled = min(3, max(1, providers[of].f/sum[of]))
		}
		p[l] = float32(min(mostRate, max(leastRate, float64(p[l])*scaled)))
	}
	return p
}

// worstDays returns the events of the day with most of them, by leaf of days.
func worstDays(days []past, size int) []float64 {
	slices.SortFunc(days, func(a, b past) int { return comparePairs(a.leaf, a.day, b.leaf, b.day) })
	worst := make([]float64, size)
	sum := 0.0
	for i, d := range days {
		if i > 0 && (days[i-1].leaf != d.leaf || days[i-1].day != d.day) {
			sum = 0
		}
		sum += d.n
		worst[d.leaf] = max(worst[d.leaf], sum)
	}
	return worst
}

// domainFactor is how much worse a domain is than its provider. What failed on
// one day only does not make it bad, unless it was for its addresses, where worst
// is 0; dead domains stay dead.
func domainFactor(t *tally, worst float64, days int) float64 {
	if t.n == 0 || t.expected == 0 {
		return 1
	}
	f := t.f
	if days > 1 && worst > 0 {
		f = (f - worst) * float64(days) / float64(days-1)
	}
	mean := t.expected / t.n
	return (f + weightDomain*mean) / ((t.n + weightDomain) * mean)
}

// provider is what was seen of a provider but on the day that is left out.
type provider struct {
	n, f float64
	skip int // -1 none
}

// quietProviders adds up by provider. A day with far more failures than any
// other was an incident, and not what is usual.
func (m *model) quietProviders(h *history, events []past) []provider {
	of := make([]provider, len(m.names[dimProvider].names))
	f := make([]float32, len(of)*h.days)
	for _, e := range events {
		f[int(m.leaves[e.leaf][dimProvider])*h.days+int(e.day)] += float32(e.n)
	}
	for i := range of {
		n, f := h.byProvider[i*h.days:(i+1)*h.days], f[i*h.days:(i+1)*h.days]
		of[i].skip = -1
		if len(f) > 2 && m.data.has(partOldIncidents) {
			sorted := slices.Sorted(slices.Values(f))
			if worst := sorted[len(sorted)-1]; worst > 4*sorted[len(sorted)-2]+8 {
				of[i].skip = slices.Index(f, worst)
			}
		}
		of[i].n, of[i].f = sumBut(n, of[i].skip), sumBut(f, of[i].skip)
	}
	return of
}

func sumBut(v []float32, skip int) (sum float64) {
	for i, x := range v {
		if i != skip {
			sum += float64(x)
		}
	}
	return sum
}

// rateOf returns the usual rate of a class at a leaf.
func (m *model) rateOf(c *class, leaf int32) float64 {
	p := 0.0
	for _, r := range c.reasons {
		p += float64(m.p[r][leaf])
	}
	return min(mostRate, p)
}

func logOdds(p float64) float64 { return -math.Log1p(-p) }
