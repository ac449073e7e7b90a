package investigate

// Common is a value that nearly all failures of a problem share, and others do
// not.
type Common struct {
	Dimension string `json:"dimension"`
	Value     string `json:"value"`
}

// shared is how much of a problem's failures must have the same value, and
// otherwise how much of the other failures in its slice may have it.
const (
	shared     = 0.95
	elsewhere  = 0.5
	leastOther = 5
)

// details are what is known of failures only, so that no rates are known.
var details = []struct {
	name string
	of   func(*model, *Event) string
}{
	{"sender", func(_ *model, e *Event) string { return e.Detail.Sender }},
	{"account", func(_ *model, e *Event) string { return e.Detail.Account }},
	{"client", func(_ *model, e *Event) string { return e.Detail.Client }},
	{"relay", func(m *model, e *Event) string { return m.data.Places[e.Place].Relay }},
	{"ip", func(_ *model, e *Event) string { return e.Detail.IP }},
}

// common finds what the failures of a finding have in common beyond its slice:
// an account, a client, a relay.
func (m *model) common(f *finding) (list []Common) {
	mine := map[int32]bool{}
	for _, i := range m.membersOf(f) {
		mine[i] = true
	}
	for _, d := range details {
		in, out := map[string]int{}, map[string]int{}
		inSum, outSum := 0, 0
		for i := range m.events {
			e := &m.events[i]
			v := d.of(m, e.from)
			switch {
			case v == "":
			case mine[int32(i)]:
				in[v]++
				inSum++
			case !e.taken && f.in(&m.leaves[e.leaf]):
				out[v]++
				outSum++
			}
		}
		v, ok := top(in)
		if ok && inSum >= leastEvents && float64(in[v]) >= shared*float64(inSum) && outSum >= leastOther && float64(out[v]) <= elsewhere*float64(outSum) {
			list = append(list, Common{d.name, v})
		}
	}
	return list
}
