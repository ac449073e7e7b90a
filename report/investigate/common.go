package investigate

import (
	"slices"

	"mailfail/registry"
)

// Common is a value that nearly all failures of a problem share, and others do
// not.
type Common struct {
	Dimension string           `json:"dimension"`
	Value     registry.Foreign `json:"value"`
}

// shared is the least share of a problem's failures that must have the same value,
// elsewhere the greatest share of the other failures in its slice that may have it, and
// leastOther how many others there have to be.
const (
	shared     = 0.95
	elsewhere  = 0.5
	leastOther = 5
)

// detail is a dimension that only failures have. Deliveries are not counted by it, so
// its rates are not known.
type detail struct {
	name  string
	of    func(*Detail) registry.Foreign
	where func(*Where) *registry.Foreign
}

var details = []detail{
	{"account", func(d *Detail) registry.Foreign { return d.Account }, func(w *Where) *registry.Foreign { return &w.Account }},
	{"sender", func(d *Detail) registry.Foreign { return d.Sender }, func(w *Where) *registry.Foreign { return &w.Sender }},
	{"client", func(d *Detail) registry.Foreign { return d.Client }, func(w *Where) *registry.Foreign { return &w.Client }},
	{"relay", func(d *Detail) registry.Foreign { return d.relay }, func(w *Where) *registry.Foreign { return &w.Relay }},
	{"ip", func(d *Detail) registry.Foreign { return d.IP }, func(w *Where) *registry.Foreign { return &w.IP }},
}

// How many failures are read one by one: of a problem, and of others.
const (
	mostDetails = 500
	mostOthers  = 200
)

// oneFailure is a failure whose details are to be read.
type oneFailure struct {
	id    int64
	place int32
}

// look returns the details of at most most failures, spread evenly over the list.
func (m *model) look(list []oneFailure, most int) (found []Detail) {
	if m.data.Details == nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(f oneFailure) bool { return f.id == 0 })
	if n := len(list); n > most {
		for i := range most {
			list[i] = list[i*n/most]
		}
		list = list[:most]
	}
	if len(list) == 0 {
		return nil
	}
	ids := make([]int64, len(list))
	for i, f := range list {
		ids[i] = f.id
	}
	known := m.data.Details(ids)
	for _, f := range list {
		if d, ok := known[f.id]; ok {
			d.relay = m.data.texts[m.data.places[f.place].relay]
			found = append(found, d)
		}
	}
	return found
}

// triedOf returns the failures of a finding that were tried.
func (m *model) triedOf(f *finding) (list []oneFailure) {
	for _, i := range f.members {
		if e := m.events[i].from; e.Cause >= 0 {
			list = append(list, oneFailure{e.ID, e.Place})
		}
	}
	return list
}

// beside returns other failures in the slice of a finding: those of the window that no
// finding explains, and the newest of the days before.
func (m *model) beside(f *finding) (list []oneFailure) {
	members := map[int32]bool{}
	for _, i := range f.members {
		members[i] = true
	}
	for i := range m.events {
		if e := &m.events[i]; !members[int32(i)] && !e.taken && f.in(&m.leaves[e.leaf]) {
			list = append(list, oneFailure{e.from.ID, e.from.Place})
		}
	}
	for _, e := range slices.Backward(m.data.failures) {
		if len(list) >= mostOthers {
			break
		}
		if f.in(&m.leaves[m.leafOf[e.place]]) {
			list = append(list, oneFailure{e.id, e.place})
		}
	}
	return list
}

// common finds the values that the failures of a finding share beyond its slice and
// that other failures there do not have: an account, a client, a relay.
func (m *model) common(f *finding) (list []Common) {
	mine, other := m.look(m.triedOf(f), mostDetails), m.look(m.beside(f), mostOthers)
	for _, d := range details {
		in, out := map[registry.Foreign]int{}, map[registry.Foreign]int{}
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
	return list
}

// only returns the value that nearly all failures of one side have, and few of the
// other.
func only(in, out map[registry.Foreign]int) (value registry.Foreign, ok bool) {
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

// narrow adds to a place the common values that name who sent the mail and which host
// took it. It returns the other common values.
func (w *Where) narrow(list []Common) (rest []Common) {
	who, to := false, w.Relay != ""
	for _, c := range list {
		i := slices.IndexFunc(details, func(d detail) bool { return d.name == c.Dimension })
		named := &who
		if c.Dimension == "relay" || c.Dimension == "ip" {
			named = &to
		}
		if *named {
			rest = append(rest, c)
			continue
		}
		*named, *details[i].where(w) = true, c.Value
	}
	return rest
}
