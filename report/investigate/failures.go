package investigate

import "math"

// finding is a candidate that alarmed, with what else it explains.
type finding struct {
	*candidate
	window          // as it was found: later scans of the candidate overwrite theirs
	members []int32 // events that it explains in the span, of a recipient the first
}

// rounds is how often a cause is looked for among what the last ones left.
const rounds = 6

// Around its span a cause also explains what happened there in these minutes.
const (
	explainBefore = 10
	explainAfter  = 20
)

// failures finds the causes of failures, strongest first, and the strongest
// candidate that is none.
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

// narrower returns the slice that a candidate's failures are better named by. When
// hardly any other mail came in its span, a general slice explains the same as the
// domain that all of its failures are of. That so much by chance is mail of that
// domain is as unlikely as the domain's share of the general slice's mail is small.
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

// mailOf returns the mail that a slice has in the window and on the days before.
func (m *model) mailOf(c *candidate) (sum float64) {
	m.eachLeaf(c, func(leaf int32) { sum += m.all[leaf] })
	return sum
}

// within returns the events of a candidate in a span that nothing explains yet.
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
