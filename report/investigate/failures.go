package investigate

import "math"

// finding is a candidate that raised an alarm, with the events that it explains.
type finding struct {
	*candidate
	window          // a copy: later scans overwrite that of the candidate
	members []int32 // events that it explains in the span, the first of each recipient
}

// rounds is how often the engine looks for another cause among the events that the
// causes before do not explain.
const rounds = 6

// A cause also explains events this many minutes before and after its span.
const (
	explainBefore = 10
	explainAfter  = 20
)

// failures finds the causes of failures, strongest first, and the strongest candidate
// that did not raise an alarm.
func (m *model) failures() (found []*finding, strongest *candidate) {
	list := m.candidates()
	for range rounds {
		var top *candidate
		strongest = nil
		for _, c := range list {
			m.scan(c)
			if m.alarms(c) && (top == nil || c.score > top.score) {
				top = c
			}
			if c.f > 0 && (strongest == nil || m.strength(c) > m.strength(strongest)) {
				strongest = c
			}
		}
		if top == nil {
			break
		}
		top = m.narrower(top, list)
		f := &finding{candidate: top, window: top.window}
		m.take(f)
		found = append(found, f)
		for _, c := range list {
			c.stale = true
		}
	}
	return found, strongest
}

// narrower returns the slice that names the failures of a candidate better. When hardly
// any other mail came in the span, a general slice scores the same as the one domain
// that all failures have. The smaller the domain's share of the general slice's mail,
// the less likely do all failures have that domain by chance.
func (m *model) narrower(top *candidate, list []*candidate) *candidate {
	best, most, all := top, 0.0, m.mailOf(top)
	for _, c := range list {
		if len(c.dims) != 1 || c.reason != top.reason || c == top || !m.alarms(c) {
			continue
		}
		f := m.within(c, &top.window)
		if f < shared*top.f || top.n-c.n > 1 && (top.f-f)/(top.n-c.n) > elsewhere*top.f/top.n {
			continue
		}
		if gain := f*math.Log(all/m.mailOf(c)) + c.score - top.score; gain > most {
			best, most = c, gain
		}
	}
	return best
}

// mailOf returns the mail of a slice in the window and on the days before.
func (m *model) mailOf(c *candidate) (sum float64) {
	m.eachLeaf(c, func(leaf int32) { sum += m.all[leaf] })
	return sum
}

// within counts the events of a candidate in a span that no finding explains yet.
func (m *model) within(c *candidate, w *window) (sum float64) {
	for _, i := range c.events {
		if e := &m.events[i]; !e.taken && int(e.bin) >= w.from && int(e.bin) < w.to {
			sum += e.n
		}
	}
	return sum
}

// take marks the events that a finding explains: those of its reason, and those
// of other reasons that are more than usual in its slice and span.
func (m *model) take(f *finding) {
	from := f.window.from - int((explainBefore+m.bin-1)/m.bin)
	to := f.window.to + int((explainAfter+m.bin-1)/m.bin)
	counts := make([]float64, len(m.reasons))
	var inside []int32
	for i := range m.events {
		e := &m.events[i]
		if e.taken || int(e.bin) < from || int(e.bin) >= to || !f.in(&m.leaves[e.leaf]) {
			continue
		}
		inside = append(inside, int32(i))
		counts[e.reason] += e.n
	}
	usual := m.usualIn(f, from, to)
	seen := map[int64]bool{}
	for _, i := range inside {
		e := &m.events[i]
		if e.reason != f.reason && (!m.data.has(partReasons) || counts[e.reason] <= 3*usual[e.reason]+4) {
			continue
		}
		e.taken = true
		if id := e.from.Recipient; int(e.bin) >= f.window.from && int(e.bin) < f.window.to && !seen[id] {
			seen[id] = id != 0
			f.members = append(f.members, i)
		}
	}
}

// usualIn returns the expected events of every reason in a slice and a span.
func (m *model) usualIn(f *finding, from, to int) []float64 {
	usual := make([]float64, len(m.reasons))
	m.eachLeaf(f.candidate, func(leaf int32) {
		n := m.recipients(leaf, from, to)
		for reason := range usual {
			usual[reason] += n * float64(m.p[reason][leaf])
		}
	})
	return usual
}

// recipients returns how many recipients of a leaf arrived between two bins.
func (m *model) recipients(leaf int32, from, to int) (sum float64) {
	for _, r := range m.rowsAt(leaf) {
		if int(r.bin) >= from && int(r.bin) < to {
			sum += float64(r.n)
		}
	}
	return sum
}
