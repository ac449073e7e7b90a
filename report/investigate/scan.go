package investigate

import (
	"cmp"
	"math"
	"slices"

	"mailfail/registry"
)

// combinations lists the dimensions of slices. Of slices that explain the same, the one
// listed first is preferred.
var combinations = [][]dim{
	{},
	{dimProvider}, {dimPlatform}, {dimDomain}, {dimSender}, {dimHost}, {dimInstance},
	{dimProvider, dimHost}, {dimProvider, dimSender}, {dimDomain, dimHost}, {dimDomain, dimSender}, {dimHost, dimSender},
	{dimPlatform, dimHost}, {dimPlatform, dimSender},
	{dimProvider, dimHost, dimSender}, {dimDomain, dimHost, dimSender},
}

// candidate is a slice and a reason of failures, and how unusual they are.
type candidate struct {
	at     key
	dims   []dim
	reason int32
	events []int32 // of model.events, in order of time

	others []float64 // recipients of each bin without an event
	quiet  []float64 // −Σ ln(1−p) of others
	mu     []float64 // expected events of each bin
	all    float64   // expected events of the window

	stale bool    // events were taken since the last scan
	left  float64 // events that nothing explains yet
	wave  float64 // events of the second worst day before; -1 not known
	window
}

// window is the span of bins in which a candidate is most unusual: f of n recipients
// failed there, with the log likelihood ratio llr. score is llr less the price of the
// slice.
type window struct {
	from, to int // bins, half-open
	f, n     float64
	expected float64
	excess   float64 // over the whole of the slice, not only in the span
	llr      float64
	score    float64
}

// strength returns the score that is compared with the threshold. It is lower where
// failures are expected: a rate above 0 varies within a day by about two fifths without
// a cause.
func (m *model) strength(c *candidate) float64 {
	if !m.data.has(partDispersion) {
		return c.score
	}
	return c.score / (1 + overDispersion*c.expected)
}

// The thresholds of an alarm.
const (
	overDispersion = 0.16
	threshold      = 25
	leastEvents    = 8
	leastRatio     = 2.5
	leastShare     = 0.003 // of the recipients of the window
	overWaves      = 1.5   // times the second worst of the days before
)

// floor is the least excess that is worth an alarm.
func (m *model) floor() float64 { return max(6, leastShare*m.total) }

func (m *model) alarms(c *candidate) bool {
	return c.f >= leastEvents && c.excess >= m.floor() && c.f >= leastRatio*c.expected &&
		m.strength(c) >= threshold && !m.isWave(c)
}

// isWave reports whether failures have a reason about addresses, mailboxes or content,
// and two of the days before had nearly as many in the same place. Spam that mailboxes
// here forward comes in waves, and so do the bad addresses of a mailing list.
func (m *model) isWave(c *candidate) bool {
	switch registry.Reason(m.reasons[c.reason]).Info().Group {
	case "address", "mailbox", "content":
	default:
		return false
	}
	if c.wave < 0 {
		c.wave = m.waveOf(c)
	}
	return m.data.has(partWaves) && c.left <= overWaves*c.wave
}

// waveOf returns the events that a candidate had on the second worst day before.
func (m *model) waveOf(c *candidate) float64 {
	days := make([]float64, max(2, len(m.data.Days)))
	for _, f := range m.data.failures {
		if m.reason[f.cause] == c.reason && c.in(&m.leaves[m.leafOf[f.place]]) {
			days[f.day] += float64(f.n)
		}
	}
	slices.Sort(days)
	return days[len(days)-2]
}

// in reports whether a leaf is in the slice.
func (c *candidate) in(leaf *key) bool {
	for _, d := range c.dims {
		if leaf[d] != c.at[d] {
			return false
		}
	}
	return true
}

// candidates returns the slices and reasons with more events than usual.
func (m *model) candidates() (list []*candidate) {
	floor := 0.7 * m.floor()
	byReason := make([][]int32, len(m.reasons))
	for i := range m.events {
		r := m.events[i].reason
		byReason[r] = append(byReason[r], int32(i))
	}
	for r, events := range byReason {
		if m.weight(events) >= floor {
			list = append(list, m.ofReason(int32(r), events, floor)...)
		}
	}
	slices.SortStableFunc(list, func(a, b *candidate) int { return a.compare(b) })
	return list
}

// ofReason returns the candidates of one reason.
func (m *model) ofReason(reason int32, events []int32, floor float64) (list []*candidate) {
	often := m.often(events, floor)
	for _, dims := range combinations {
		if !m.useful(dims) {
			continue
		}
		want := uint8(0)
		for _, d := range dims {
			want |= 1 << d
		}
		slicesOf := map[key][]int32{}
		for i, e := range events {
			if often[i]&want != want {
				continue
			}
			var k key
			leaf := &m.leaves[m.events[e].leaf]
			for _, d := range dims {
				k[d] = leaf[d]
			}
			slicesOf[k] = append(slicesOf[k], e)
		}
		for k, events := range slicesOf {
			c := &candidate{at: k, dims: dims, reason: reason, events: events, stale: true, wave: -1}
			if f := m.weight(events); f >= floor && !m.redundant(k, dims) && f-m.expectedOf(c) >= floor {
				list = append(list, c)
			}
		}
	}
	return list
}

// often returns for each event a bit for each dimension, set when the event's value has
// at least floor events. A slice by any other of its values cannot have so many.
func (m *model) often(events []int32, floor float64) []uint8 {
	bits := make([]uint8, len(events))
	for d := range numDims {
		sums := make([]float64, len(m.names[d].names))
		for _, e := range events {
			sums[m.leaves[m.events[e].leaf][d]] += m.events[e].n
		}
		for i, e := range events {
			if sums[m.leaves[m.events[e].leaf][d]] >= floor {
				bits[i] |= 1 << d
			}
		}
	}
	return bits
}

// expectedOf finds how many events a candidate usually has.
func (m *model) expectedOf(c *candidate) float64 {
	m.eachLeaf(c, func(leaf int32) { c.all += m.today[leaf] * m.rateOf(c, leaf) })
	return c.all
}

// compare orders candidates by their dimensions and values, so that two runs agree.
func (c *candidate) compare(o *candidate) int {
	if n := len(c.dims) - len(o.dims); n != 0 {
		return n
	}
	if n := slices.Compare(c.at[:], o.at[:]); n != 0 {
		return n
	}
	return cmp.Compare(c.reason, o.reason)
}

// useful reports whether every dimension in dims has more than one value, platforms more
// than providers, and whether the parts of the method that are used include dims.
func (m *model) useful(dims []dim) bool {
	if len(dims) > 1 && !m.data.has(partPairs) || len(dims) > 2 && !m.data.has(partTriples) {
		return false
	}
	for _, d := range dims {
		if d == dimPlatform && !m.data.has(partPlatforms) || m.names[d].len() < 2 ||
			d == dimPlatform && m.names[d].len() == m.names[dimProvider].len() {
			return false
		}
	}
	return true
}

// redundant reports whether a slice has a simpler name: a provider with one domain is
// named by the domain, a platform with all mail of a provider by the provider.
func (m *model) redundant(k key, dims []dim) bool {
	for _, d := range dims {
		if d == dimProvider && m.single[k[d]] {
			return true
		}
		if d == dimPlatform {
			if m.names[dimProvider].has(m.names[d].names[k[d]]) {
				return true
			}
		}
	}
	return false
}

func (m *model) weight(events []int32) (sum float64) {
	for _, i := range events {
		sum += m.events[i].n
	}
	return sum
}

// spread fills the bins of a candidate.
func (m *model) spread(c *candidate) {
	c.others, c.quiet, c.mu = make([]float64, m.bins), make([]float64, m.bins), make([]float64, m.bins)
	m.eachLeaf(c, func(leaf int32) {
		p := m.rateOf(c, leaf)
		odds := logOdds(p)
		for _, r := range m.rowsAt(leaf) {
			n := float64(r.n)
			c.others[r.bin] += n
			c.quiet[r.bin] += n * odds
			c.mu[r.bin] += n * p
		}
	})
	for _, i := range c.events {
		if e := &m.events[i]; !e.late {
			c.others[e.bin] = max(0, c.others[e.bin]-e.n)
			c.quiet[e.bin] = max(0, c.quiet[e.bin]-e.n*logOdds(m.rateOf(c, e.leaf)))
		}
	}
}

// scan finds the span in which the events of a candidate are least likely by
// chance: Kulldorff's scan statistic ("A spatial scan statistic", 1997) over
// time, with a binomial likelihood at the leaves. For a given rate q the best
// span is the maximum subarray of the bins' gains, as in Page's CUSUM.
func (m *model) scan(c *candidate) {
	if !c.stale {
		return
	}
	c.stale, c.window = false, window{}
	if c.others == nil {
		m.spread(c)
	}
	f, b := make([]float64, m.bins), make([]float64, m.bins)
	left := 0.0
	for _, i := range c.events {
		if e := &m.events[i]; !e.taken {
			f[e.bin] += e.n
			b[e.bin] -= e.n * math.Log(m.rateOf(c, e.leaf))
			left += e.n
		}
	}
	if c.left = left; left < leastEvents {
		return
	}
	gain := func(i int, lnQ, lnNot float64) float64 {
		return f[i]*lnQ + b[i] + c.others[i]*lnNot + c.quiet[i]
	}
	for _, q := range []float64{0.1, 0.35, 0.8} {
		for range 6 {
			from, to := best(m.bins, math.Log(q), math.Log1p(-q), gain)
			if !m.data.has(partSpans) {
				from, to = 0, m.bins
			}
			w := window{from: from, to: to}
			for i := from; i < to; i++ {
				w.f, w.n, w.expected = w.f+f[i], w.n+f[i]+c.others[i], w.expected+c.mu[i]
			}
			if w.f == 0 {
				break
			}
			next := min(0.995, w.f/w.n)
			for i := from; i < to; i++ {
				w.llr += gain(i, math.Log(next), math.Log1p(-next))
			}
			if w.llr > c.llr {
				c.window = w
			}
			if math.Abs(next-q) < 1e-3 {
				break
			}
			q = next
		}
	}
	if c.f > 0 {
		m.trim(c, f)
		c.excess = left - c.all
		c.score = c.llr - m.price(c)
	}
}

// best returns the maximum subarray.
func best(n int, lnQ, lnNot float64, gain func(int, float64, float64) float64) (from, to int) {
	sum, most, start := 0.0, 0.0, 0
	for i := range n {
		if sum <= 0 {
			sum, start = 0, i
		}
		if sum += gain(i, lnQ, lnNot); sum > most {
			most, from, to = sum, start, i+1
		}
	}
	return from, to
}

// trim cuts off what is before the first event.
func (m *model) trim(c *candidate, f []float64) {
	for c.from < c.to && f[c.from] == 0 {
		c.n, c.expected = c.n-c.others[c.from], c.expected-c.mu[c.from]
		c.from++
	}
}

// price returns by how much a slice has to be better: there are many slices, most of
// them with little mail, and of two that explain the same the general one has to win.
func (m *model) price(c *candidate) (sum float64) {
	if !m.data.has(partPrice) {
		return 0
	}
	for _, d := range c.dims {
		sum += min(math.Log(float64(m.names[d].len())), m.rarity(d, c.at[d])) + 2
		if d == dimProvider {
			sum--
		}
	}
	return sum
}

// rarity is −ln of the share of the mail that a value of a dimension has.
func (m *model) rarity(d dim, value int32) float64 {
	if m.mail[d] == nil {
		m.mail[d] = make([]float64, len(m.names[d].names))
		for l, n := range m.all {
			m.mail[d][m.leaves[l][d]] += n
		}
	}
	return math.Log((sum(m.mail[d]) + 1) / (m.mail[d][value] + 1))
}
