package investigate

import (
	"math"
	"slices"
	"strings"

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
	leafOf []int32        // by place
	single map[int32]bool // providers with one domain
	local  map[int32]bool // providers that stand for mailboxes on a host

	reasons []string // that occur in the window
	classes []class
	reason  []int32            // by cause, -1 when the reason does not occur in the window
	p       [][]float64        // by reason and leaf: the usual rate of failure
	today   []float64          // recipients of the window by leaf
	all     []float64          // recipients of the window and the days before by leaf
	mail    [numDims][]float64 // of all, by value; filled when asked for
	events  []event            // of the window, in order of time
	rows    []row              // recipients of the window
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
type row struct {
	bin, leaf int32
	n         float64
}

// interner numbers strings from 1.
type interner struct {
	ids   map[string]int32
	names []string
}

func (in *interner) id(s string) int32 {
	if in.ids == nil {
		in.ids, in.names = map[string]int32{}, []string{""}
	}
	id, ok := in.ids[s]
	if !ok {
		id = int32(len(in.names))
		in.ids[s] = id
		in.names = append(in.names, s)
	}
	return id
}

// len returns the number of values.
func (in *interner) len() int { return max(1, len(in.names)-1) }

// localProvider is the provider of mailboxes on a host.
const localProvider = "\x00local"

// finest is the most bins a window is divided into, about two days of minutes.
const finest = 3000

func newModel(d *Data) *model {
	m := &model{data: d, bin: max(1, (d.Until-d.Since+finest-1)/finest), single: map[int32]bool{}, local: map[int32]bool{}}
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
			m.usual += n * m.p[r][l]
		}
	}
}

// inWindow returns the bin of a minute.
func (m *model) inWindow(minute int64) (bin int32, ok bool) {
	d := m.data
	return int32((minute - d.Since) / m.bin), minute >= d.Since && minute < d.Until
}

// day returns the day of a minute, -1 when it lies in none.
func (m *model) day(minute int64) int {
	days := m.data.Days
	i, _ := slices.BinarySearchFunc(days, minute, func(s Span, t int64) int {
		if s.Until <= t {
			return -1
		}
		return 1
	})
	if i < len(days) && days[i].Since <= minute {
		return i
	}
	return -1
}

// place finds the leaf of every place. The provider of a leaf is the operator
// of the relay that took most of the mail of the domain from the host, so it is
// known also when there was no relay.
func (m *model) place() {
	d := m.data
	owner := newOwners(d)
	byKey := map[key]int32{}
	domains := map[int32]map[int32]bool{}
	for i := range d.Places {
		p := &d.Places[i]
		provider, platform := owner.of(p)
		var k key
		k[dimHost] = m.names[dimHost].id(p.Host)
		k[dimInstance] = m.names[dimInstance].id(p.Instance)
		k[dimSender] = m.names[dimSender].id(p.Sender)
		k[dimDomain] = m.names[dimDomain].id(p.Domain)
		k[dimProvider] = m.names[dimProvider].id(provider)
		k[dimPlatform] = m.names[dimPlatform].id(platform)
		leaf, ok := byKey[k]
		if !ok {
			leaf = int32(len(m.leaves))
			byKey[k] = leaf
			m.leaves = append(m.leaves, k)
			of := domains[k[dimProvider]]
			if of == nil {
				of = map[int32]bool{}
				domains[k[dimProvider]] = of
			}
			of[k[dimDomain]] = true
		}
		m.leafOf = append(m.leafOf, leaf)
	}
	for provider, of := range domains {
		name := m.names[dimProvider].names[provider]
		m.single[provider] = len(of) == 1 && !registry.IsProvider(name) && name != localProvider && !owner.smart[name]
	}
}

// owners knows the operator of each domain.
type owners struct {
	at       map[[2]string]string // by host and domain: a relay
	relay    map[string]string    // by domain: a relay
	provider map[string]string    // by relay
	hosts    map[string]string    // smarthost by host
	smart    map[string]bool      // smarthosts
}

func newOwners(d *Data) *owners {
	o := &owners{map[[2]string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]bool{}}
	at, all := map[[2]string]map[string]int64{}, map[string]map[string]int64{}
	weigh := func(place int32, n int64) {
		p := &d.Places[place]
		if p.Relay == "" || p.Provider == "" || p.Local {
			return
		}
		o.provider[p.Relay] = p.Provider
		addTo(at, [2]string{p.Host, p.Domain}, p.Relay, n)
		addTo(all, p.Domain, p.Relay, n)
	}
	for i := range d.Arrivals {
		weigh(d.Arrivals[i].Place, 16*int64(d.Arrivals[i].N))
	}
	for i := range d.Events {
		weigh(d.Events[i].Place, int64(d.Events[i].N))
	}
	o.smarthosts(at)
	for k, relays := range at {
		o.at[k] = o.most(relays)
	}
	for k, relays := range all {
		o.relay[k] = o.most(relays)
	}
	return o
}

func addTo[K comparable](m map[K]map[string]int64, k K, relay string, n int64) {
	if m[k] == nil {
		m[k] = map[string]int64{}
	}
	m[k][relay] += n
}

// most returns the relay with most mail of the provider with most mail.
func (o *owners) most(relays map[string]int64) string {
	sum := map[string]int64{}
	for r, n := range relays {
		sum[o.provider[r]] += n
	}
	best := ""
	for r, n := range relays {
		a, b := sum[o.provider[r]], sum[o.provider[best]]
		if best == "" || a > b || a == b && (n > relays[best] || n == relays[best] && r < best) {
			best = r
		}
	}
	return best
}

// smarthosts finds hosts that pass most of their mail to one relay, whatever
// its domain.
func (o *owners) smarthosts(at map[[2]string]map[string]int64) {
	type use struct{ mail, domains int64 }
	uses, sum := map[string]map[string]*use{}, map[string]int64{}
	for k, relays := range at {
		for r, n := range relays {
			if uses[k[0]] == nil {
				uses[k[0]] = map[string]*use{}
			}
			if uses[k[0]][r] == nil {
				uses[k[0]][r] = &use{}
			}
			u := uses[k[0]][r]
			u.mail, u.domains, sum[k[0]] = u.mail+n, u.domains+1, sum[k[0]]+n
		}
	}
	for host, relays := range uses {
		for r, u := range relays {
			if 10*u.mail > 6*sum[host] && u.domains > 30 && !registry.IsProvider(o.provider[r]) {
				o.hosts[host], o.smart[r] = r, true
			}
		}
	}
}

// of returns provider and platform of a place. A provider that is not known
// goes by the domain.
func (o *owners) of(p *Place) (provider, platform string) {
	if p.Local {
		return localProvider, localProvider
	}
	if smart := o.hosts[p.Host]; smart != "" {
		return smart, smart
	}
	relay := o.at[[2]string{p.Host, p.Domain}]
	if relay == "" {
		relay = o.relay[p.Domain]
	}
	if provider = o.provider[relay]; provider == "" {
		if provider = p.Provider; provider == "" {
			return p.Domain, p.Domain
		}
	}
	return provider, platformOf(provider, relay)
}

// platformOf returns the part of a provider's service that a relay belongs to.
// Outlook.com's mailboxes and the tenants of Microsoft 365 are filtered and
// limited apart.
func platformOf(provider, relay string) string {
	if provider != "Microsoft" {
		return provider
	}
	host := strings.TrimSuffix(strings.ToLower(relay), ".")
	if strings.HasSuffix(host, "mail.protection.outlook.com") || strings.HasSuffix(host, "mx.microsoft") {
		return "Microsoft 365"
	}
	return "Outlook.com"
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
		e := &d.Events[i]
		if _, ok := m.inWindow(e.Minute); ok && e.Cause >= 0 {
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
		if len(of) > 1 && len(of) < len(all) {
			m.classes = append(m.classes, class{group, of})
		}
	}
	slices.SortStableFunc(m.classes[len(all):], func(a, b class) int { return strings.Compare(a.name, b.name) })
	if len(all) > 1 {
		m.classes = append(m.classes, class{"", all})
	}
}

// window sorts the rows of the window.
func (m *model) window() {
	d := m.data
	m.today = make([]float64, len(m.leaves))
	for i := range d.Arrivals {
		a := &d.Arrivals[i]
		if bin, ok := m.inWindow(a.Minute); ok {
			leaf := m.leafOf[a.Place]
			m.rows = append(m.rows, row{bin, leaf, float64(a.N)})
			m.today[leaf] += float64(a.N)
		}
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
		m.events = append(m.events, event{bin, m.leafOf[e.Place], reason, float64(e.N), !here || arrived != bin, false, e})
	}
	slices.SortStableFunc(m.events, func(a, b event) int { return int(a.from.Minute - b.from.Minute) })
	m.infer()
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
			if l.minute > 0 && e.from.Minute-l.minute <= inferWithin {
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
	days   int
	n      [][]float64   // by leaf and day
	events [][][]float64 // by reason, leaf and day; nil without any
}

func (m *model) history() *history {
	d := m.data
	h := &history{days: max(1, len(d.Days)), n: make([][]float64, len(m.leaves)), events: make([][][]float64, len(m.reasons))}
	for r := range h.events {
		h.events[r] = make([][]float64, len(m.leaves))
	}
	add := func(to *[]float64, minute int64, n float64) {
		day := m.day(minute)
		if len(d.Days) == 0 && minute >= d.Since && minute < d.Since+(d.Until-d.Since)/3 {
			day = 0 // nothing is older: the rest of the window is compared with its first third
		}
		if day < 0 {
			return
		}
		if *to == nil {
			*to = make([]float64, h.days)
		}
		(*to)[day] += n
	}
	for i := range d.Arrivals {
		a := &d.Arrivals[i]
		add(&h.n[m.leafOf[a.Place]], a.Minute, float64(a.N))
	}
	for i := range d.Events {
		e := &d.Events[i]
		if e.Cause >= 0 && m.reason[e.Cause] >= 0 {
			add(&h.events[m.reason[e.Cause]][m.leafOf[e.Place]], e.Minute, float64(e.N))
		}
	}
	return h
}

// rates finds the usual rate of every reason at every leaf.
func (m *model) rates() {
	h := m.history()
	m.all = slices.Clone(m.today)
	for l := range h.n {
		m.all[l] += sum(h.n[l])
	}
	m.p = make([][]float64, len(m.reasons))
	for r := range m.reasons {
		m.p[r] = m.rate(h, h.events[r], ofAddress(m.reasons[r]))
	}
}

// tally is what was seen of one value of a dimension.
type tally struct {
	n, f, expected float64
	days           []float64 // f by day
}

func (t *tally) at(days int) []float64 {
	if t.days == nil {
		t.days = make([]float64, days)
	}
	return t.days
}

// ofAddress reports whether a reason is about single addresses. Lists that are
// sent once a week stay dirty.
func ofAddress(reason string) bool {
	group := registry.Reason(reason).Info().Group
	return group == "address" || group == "mailbox"
}

func (m *model) rate(h *history, events [][]float64, ofAddress bool) []float64 {
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
	for l := range m.leaves {
		k := &m.leaves[l]
		skip := providers[k[dimProvider]].skip
		n, f := sumBut(h.n[l], skip), sumBut(events[l], skip)
		expected := n * pProvider[k[dimProvider]]
		for _, t := range []*tally{&senders[k[dimSender]], &hosts[k[dimHost]], &domains[k[dimDomain]]} {
			t.n, t.f, t.expected = t.n+n, t.f+f, t.expected+expected
		}
		if f > 0 {
			days := domains[k[dimDomain]].at(h.days)
			for day, f := range events[l] {
				if day != skip {
					days[day] += f
				}
			}
		}
	}
	p := make([]float64, len(m.leaves))
	sum, scaled := make([]float64, len(providers)), make([]float64, len(providers))
	for l := range m.leaves {
		k := &m.leaves[l]
		s, o, d := &senders[k[dimSender]], &hosts[k[dimHost]], &domains[k[dimDomain]]
		p[l] = pProvider[k[dimProvider]] * (s.f + weightSender) / (s.expected + weightSender) *
			(o.f + weightHost) / (o.expected + weightHost) * domainFactor(d, h.days, ofAddress)
		sum[k[dimProvider]] += p[l] * sumBut(h.n[l], providers[k[dimProvider]].skip)
	}
	for i := range scaled {
		scaled[i] = 1
		if sum[i] > 0 {
			scaled[i] = min(3, max(1, providers[i].f/sum[i]))
		}
	}
	for l := range p {
		p[l] = min(mostRate, max(leastRate, p[l]*scaled[m.leaves[l][dimProvider]]))
	}
	return p
}

// domainFactor is how much worse a domain is than its provider. What failed on
// one day only does not make it bad, unless it was for its addresses; dead
// domains stay dead.
func domainFactor(t *tally, days int, ofAddress bool) float64 {
	if t.n == 0 || t.expected == 0 {
		return 1
	}
	f := t.f
	if days > 1 && t.days != nil && !ofAddress {
		f = (f - slices.Max(t.days)) * float64(days) / float64(days-1)
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
func (m *model) quietProviders(h *history, events [][]float64) []provider {
	of := make([]provider, len(m.names[dimProvider].names))
	n, f := make([][]float64, len(of)), make([][]float64, len(of))
	for i := range of {
		n[i], f[i] = make([]float64, h.days), make([]float64, h.days)
	}
	for l := range m.leaves {
		i := m.leaves[l][dimProvider]
		for day := range h.n[l] {
			n[i][day] += h.n[l][day]
		}
		for day := range events[l] {
			f[i][day] += events[l][day]
		}
	}
	for i := range of {
		of[i].skip = -1
		if len(f[i]) > 2 {
			sorted := slices.Sorted(slices.Values(f[i]))
			if worst := sorted[len(sorted)-1]; worst > 4*sorted[len(sorted)-2]+8 {
				of[i].skip = slices.Index(f[i], worst)
			}
		}
		of[i].n, of[i].f = sumBut(n[i], of[i].skip), sumBut(f[i], of[i].skip)
	}
	return of
}

func sumBut(v []float64, skip int) (sum float64) {
	for i, x := range v {
		if i != skip {
			sum += x
		}
	}
	return sum
}

// rateOf returns the usual rate of a class at a leaf.
func (m *model) rateOf(c *class, leaf int32) float64 {
	p := 0.0
	for _, r := range c.reasons {
		p += m.p[r][leaf]
	}
	return min(mostRate, p)
}

func logOdds(p float64) float64 { return -math.Log1p(-p) }
