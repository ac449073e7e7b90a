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
	of   func(*Detail) string
}{
	{"sender", func(d *Detail) string { return d.Sender }},
	{"account", func(d *Detail) string { return d.Account }},
	{"client", func(d *Detail) string { return d.Client }},
	{"ip", func(d *Detail) string { return d.IP }},
}

// mostDetails is how many failures are looked at one by one.
const mostDetails = 500

// look returns what is known alone of some of the events that are wanted, spread
// evenly over the list.
func (m *model) look(list []int32, wanted func(*Event) bool) (found []Detail) {
	if m.data.Details == nil {
		return nil
	}
	var ids []int64
	for _, i := range list {
		if e := m.events[i].from; e.ID != 0 && wanted(e) {
			ids = append(ids, e.ID)
		}
	}
	if n := len(ids); n > mostDetails {
		for i := range mostDetails {
			ids[i] = ids[i*n/mostDetails]
		}
		ids = ids[:mostDetails]
	}
	if len(ids) == 0 {
		return nil
	}
	for _, d := range m.data.Details(ids) {
		found = append(found, d)
	}
	return found
}

// common finds what the failures of a finding have in common beyond its slice
// and others there do not: an account, a client, a relay.
func (m *model) common(f *finding, mine []Detail) (list []Common) {
	members := map[int32]bool{}
	for _, i := range m.membersOf(f) {
		members[i] = true
	}
	var rest []int32
	relays, others := map[string]int{}, map[string]int{}
	for i := range m.events {
		e := &m.events[i]
		relay := m.data.Places[e.from.Place].Relay
		switch {
		case members[int32(i)]:
			relays[relay]++
		case !e.taken && f.in(&m.leaves[e.leaf]):
			rest = append(rest, int32(i))
			others[relay]++
		}
	}
	other := m.look(rest, func(*Event) bool { return true })
	for _, d := range details {
		in, out := map[string]int{}, map[string]int{}
		for i := range mine {
			in[d.of(&mine[i])]++
		}
		for i := range other {
			out[d.of(&other[i])]++
		}
		if v, ok := only(in, out); ok {
			list = append(list, Common{d.name, v})
		}
	}
	if v, ok := only(relays, others); ok {
		list = append(list, Common{"relay", v})
	}
	return list
}

// only returns the value that nearly all of one side have, and few of the other.
func only(in, out map[string]int) (value string, ok bool) {
	delete(in, "")
	delete(out, "")
	inSum, outSum := 0, 0
	for _, n := range in {
		inSum += n
	}
	for _, n := range out {
		outSum += n
	}
	value, ok = top(in)
	return value, ok && inSum >= leastEvents && float64(in[value]) >= shared*float64(inSum) &&
		outSum >= leastOther && float64(out[value]) <= elsewhere*float64(outSum)
}
