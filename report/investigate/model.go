package investigate

import (
	"cmp"
	"math"
	"slices"
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

// model holds the places and how often mail usually fails there.
type model struct {
	data   *Data
	bin    int64 // minutes
	bins   int
	names  [numDims]interner
	leaves []key
	leafOf []int32            // by place
	with   [numDims][][]int32 // leaves with recipients in the window, by value; filled when asked for
	single []bool             // providers with one domain

	reasons []string           // that occur in the window
	reason  []int32            // by cause, -1 when the reason does not occur in the window
	p       [][]float32        // by reason and leaf: the usual rate of failure
	came    []int64            // recipients of the window by place
	today   []float64          // recipients of the window by leaf
	all     []float64          // recipients of the window and the days before by leaf
	mail    [numDims][]float64 // of all, by value; filled when asked for
	events  []event            // of the window, in order of time
	rows    []row              // recipients of the window, by leaf; filled when asked for
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
	late   bool // the recipient came in another bin: one more trial in this bin
	taken  bool // a cause explains it
	from   *Event
}

// row counts the recipients of a leaf that arrived in a bin.
type row struct{ bin, n int32 }

// interner numbers names from 1.
type interner struct {
	ids   []int32 // by name
	names []name
}

func (in *interner) id(n name) int32 {
	id := at(&in.ids, int(n))
	if *id == 0 {
		if in.names == nil {
			in.names = []name{noName}
		}
		*id = int32(len(in.names))
		in.names = append(in.names, n)
	}
	return *id
}

// has reports whether a name has a number.
func (in *interner) has(n name) bool { return int(n) < len(in.ids) && in.ids[n] != 0 }

// len returns the number of values.
func (in *interner) len() int { return max(1, len(in.names)-1) }

// finest is the greatest number of bins in a window, about two days of minutes.
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

// expect adds up the recipients and the expected events of the window.
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

// placed is a place and its values.
type placed struct {
	key
	place int32
}

// place finds the leaf of every place. The provider of a leaf is the operator
// of the relay that took most of the mail of the domain from the host, so it is
// known also when there was no relay.
func (m *model) place() {
	d := m.data
	m.came = make([]int64, len(d.places))
	copy(m.came, d.untimed)
	d.arrivals.each(func(a *arrival) { m.came[a.place] += int64(a.n) })
	owner := newOwners(d, m.came)
	m.names[dimHost], m.names[dimDomain] = owner.hosts, owner.domains
	list := make([]placed, 0, len(d.places))
	singles := singles{owners: owner}
	for i := range d.places {
		p, u := &d.places[i], &owner.uses[i]
		if u.n == 0 { // a place without recipients
			continue
		}
		provider, platform := owner.of(int32(i))
		k := placed{place: int32(i)}
		k.key[dimHost], k.key[dimDomain] = u.host, u.domain
		k.key[dimInstance] = m.names[dimInstance].id(p.instance)
		k.key[dimSender] = m.names[dimSender].id(p.sender)
		k.key[dimProvider] = m.names[dimProvider].id(provider)
		k.key[dimPlatform] = m.names[dimPlatform].id(platform)
		list = append(list, k)
		singles.add(provider, &k.key)
	}
	m.single = singles.is
	m.leaf(list)
}

// leaf numbers the values that places have. Leaves of one domain are neighbours.
func (m *model) leaf(list []placed) {
	by := []func(*placed) int32{}
	for _, d := range [...]dim{dimDomain, dimHost, dimProvider, dimPlatform, dimSender, dimInstance} {
		if m.names[d].len() > 1 {
			by = append(by, func(p *placed) int32 { return p.key[d] })
		}
	}
	m.leafOf = make([]int32, len(m.data.places))
	m.leaves = make([]key, 0, len(list))
	for _, p := range sortBy(list, by...) {
		if n := len(m.leaves); n == 0 || m.leaves[n-1] != p.key {
			m.leaves = append(m.leaves, p.key)
		}
		m.leafOf[p.place] = int32(len(m.leaves) - 1)
	}
}

// singles finds the providers with one domain.
type singles struct {
	owners *owners
	is     []bool  // by provider
	first  []int32 // domain, by provider
}

func (s *singles) add(provider name, k *key) {
	is, first := at(&s.is, int(k[dimProvider])), at(&s.first, int(k[dimProvider]))
	switch domain := k[dimDomain]; {
	case *first == 0:
		*first = domain
		*is = !registry.IsProvider(s.owners.data.texts[provider].Raw()) && provider != localName &&
			!s.owners.smart[provider]
	case *first != domain:
		*is = false
	}
}

// classify finds the reasons of the window.
func (m *model) classify() {
	d := m.data
	m.reason = make([]int32, len(d.Causes))
	seen := make([]bool, len(d.Causes))
	for i := range d.Events {
		if e := &d.Events[i]; e.Cause >= 0 && !seen[e.Cause] {
			seen[e.Cause] = true
			m.reasons = append(m.reasons, d.Causes[e.Cause].Reason)
		}
	}
	slices.Sort(m.reasons)
	m.reasons = slices.Compact(m.reasons)
	for i := range d.Causes {
		m.reason[i] = int32(slices.Index(m.reasons, d.Causes[i].Reason))
	}
}

// window adds up the recipients and the events of the window.
func (m *model) window() {
	d := m.data
	m.today = make([]float64, len(m.leaves))
	for place, n := range m.came {
		m.today[m.leafOf[place]] += float64(n)
	}
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
		m.events = append(m.events, event{bin, m.leafOf[e.Place], reason, float64(e.N), !here ||
			arrived != bin, false, e})
	}
	slices.SortStableFunc(m.events, func(a, b event) int {
		return cmp.Or(cmp.Compare(a.from.Minute, b.from.Minute),
			cmp.Compare(one(a.reason < 0), one(b.reason < 0)))
	})
	m.infer()
}

// rowsAt returns the rows of a leaf.
func (m *model) rowsAt(leaf int32) []row {
	if m.rowsOf == nil {
		m.sortRows()
	}
	return m.rows[m.rowsOf[leaf]:m.rowsOf[leaf+1]]
}

func (m *model) sortRows() {
	m.data.times()
	arrivals := m.data.arrivals
	m.rowsOf = make([]int32, len(m.leaves)+1)
	arrivals.each(func(a *arrival) { m.rowsOf[m.leafOf[a.place]+1]++ })
	for l := range m.leaves {
		m.rowsOf[l+1] += m.rowsOf[l]
	}
	m.rows = make([]row, arrivals.len())
	next := slices.Clone(m.rowsOf)
	arrivals.each(func(a *arrival) {
		at := &next[m.leafOf[a.place]]
		m.rows[*at] = row{int32(int64(a.minute) / m.bin), a.n}
		*at++
	})
}

// index lists the leaves of each value.
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
	if m.with[dimHost] == nil {
		m.index()
	}
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

// inferWithin is how many minutes after a failure recipients that were deferred without
// an attempt are attributed to it.
const inferWithin = 60

// infer gives a suspended event the cause of the last failure before it, or in the same
// minute, that concerned the other site as a whole. Without this most of an outage
// would not be seen: the MTA tries a dead site only now and then.
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
				byDomain[domain], byProvider[provider] = last{e.reason, e.from.Minute},
					last{e.reason, e.from.Minute}
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

// The rate of failure of a leaf is a product of factors, one for each of its
// dimensions, as in Adtributor and Squeeze. Each factor is estimated from what was
// observed and from this many prior observations, so that little mail has little
// influence.
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
	n      []float64 // by leaf
	events [][]past  // by reason
}

// past counts the events of a leaf.
type past struct {
	leaf int32
	n    float64
}

func (m *model) history() *history {
	d := m.data
	h := &history{n: make([]float64, len(m.leaves)), events: make([][]past, len(m.reasons))}
	for place, n := range d.before {
		h.n[m.leafOf[place]] += float64(n)
	}
	add := func(cause, place, n int32) {
		if reason := m.reason[cause]; reason >= 0 {
			h.events[reason] = append(h.events[reason], past{m.leafOf[place], float64(n)})
		}
	}
	many := make([]int, len(m.reasons)+1)
	for _, f := range d.failures {
		many[m.reason[f.cause]+1]++
	}
	for reason := range h.events {
		h.events[reason] = make([]past, 0, many[reason+1])
	}
	for _, f := range d.failures {
		add(f.cause, f.place, f.n)
	}
	if len(d.Days) == 0 {
		m.firstThird(h, add)
	}
	return h
}

// firstThird makes a history of the first third of the window when there is nothing
// older: the rest of the window is compared with it.
func (m *model) firstThird(h *history, add func(cause, place, n int32)) {
	third := (m.data.Until - m.data.Since) / 3
	m.data.arrivals.each(func(a *arrival) {
		if int64(a.minute) < third {
			h.n[m.leafOf[a.place]] += float64(a.n)
		}
	})
	for i := range m.data.Events {
		if e := &m.data.Events[i]; e.Minute < m.data.Since+third && e.Cause >= 0 {
			add(e.Cause, e.Place, e.N)
		}
	}
}

// rates finds the usual rate of every reason at every leaf.
func (m *model) rates() {
	h := m.history()
	m.all = slices.Clone(m.today)
	for l := range m.all {
		m.all[l] += h.n[l]
	}
	var of [numDims][]float64
	for _, d := range rateDims {
		of[d] = m.sums(d, h.n)
	}
	m.p = make([][]float32, len(m.reasons))
	var each sync.WaitGroup
	for r := range m.reasons {
		each.Go(func() { m.p[r] = m.rate(h.n, &of, h.events[r]) })
	}
	each.Wait()
}

// rateDims are the dimensions that usual rates depend on.
var rateDims = []dim{dimProvider, dimSender, dimHost, dimDomain}

// sums adds up the numbers of leaves by their value of a dimension.
func (m *model) sums(d dim, n []float64) []float64 {
	sums := make([]float64, len(m.names[d].names))
	for l, n := range n {
		sums[m.leaves[l][d]] += n
	}
	return sums
}

// rate finds the usual rate of a reason at every leaf, from the recipients n of the
// leaves, their sums by value, and the events of the days before.
func (m *model) rate(n []float64, of *[numDims][]float64, events []past) []float32 {
	var f [numDims][]float64
	for _, d := range rateDims {
		f[d] = make([]float64, len(of[d]))
	}
	all := 0.0
	for _, e := range events {
		all += e.n
		for _, d := range rateDims {
			f[d][m.leaves[e.leaf][d]] += e.n
		}
	}
	provider := f[dimProvider]
	pSite := (all + 0.5) / (sum(n) + 100)
	for i := range provider {
		provider[i] = (provider[i] + weightProvider*pSite) / (of[dimProvider][i] + weightProvider)
	}
	expected := m.expected(n, provider)
	for _, d := range rateDims[1:] {
		for v := range f[d] {
			f[d][v] = m.factor(d, f[d][v], expected[d][v], of[d][v])
		}
	}
	p := make([]float32, len(m.leaves))
	for l := range m.leaves {
		k := &m.leaves[l]
		rate := provider[k[dimProvider]] *
			(f[dimSender][k[dimSender]] * f[dimHost][k[dimHost]] * f[dimDomain][k[dimDomain]])
		p[l] = float32(min(mostRate, max(leastRate, rate)))
	}
	return p
}

// expected returns how many failures are expected of senders, hosts and domains from
// the rates of the providers that their mail goes to.
func (m *model) expected(n, provider []float64) (e [numDims][]float64) {
	for _, d := range rateDims[1:] {
		e[d] = make([]float64, len(m.names[d].names))
	}
	for l, n := range n {
		k := &m.leaves[l]
		failing := n * provider[k[dimProvider]]
		e[dimSender][k[dimSender]] += failing
		e[dimHost][k[dimHost]] += failing
		e[dimDomain][k[dimDomain]] += failing
	}
	return e
}

// factor returns how much worse a value of a dimension is than the providers of its
// mail, with prior failures added. f of n recipients failed.
func (m *model) factor(d dim, f, expected, n float64) float64 {
	weight := 0.0
	switch {
	case !m.data.has(partFactors):
		return 1
	case d == dimSender:
		weight = weightSender
	case d == dimHost:
		weight = weightHost
	case n == 0 || expected == 0:
		return 1
	default: // dead domains stay dead
		weight = weightDomain * expected / n
	}
	return (f + weight) / (expected + weight)
}

// rateOf returns the usual rate of a candidate's reason at a leaf.
func (m *model) rateOf(c *candidate, leaf int32) float64 { return float64(m.p[c.reason][leaf]) }

func logOdds(p float64) float64 { return -math.Log1p(-p) }
