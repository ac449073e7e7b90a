package sqlite

import (
	"cmp"
	"slices"

	"mailfail/registry"
	"mailfail/store"
)

// combos numbers the combinations of values of some dimensions. Number 0 stands for the
// combination without any dimension.
type combos struct {
	first   []int32 // number by the value of a first dimension less noValue
	numbers map[combo]int32
	list    []combo // by number
}

// combo is a combination and the value of one more dimension.
type combo struct{ rest, value int32 }

func (c *combos) add(rest, value int32) int32 {
	if rest == 0 {
		i := int(value) - noValue
		if n := i + 1 - len(c.first); n > 0 {
			c.first = append(c.first, make([]int32, n)...)
		}
		if c.first[i] == 0 {
			c.first[i] = c.append(combo{rest, value})
		}
		return c.first[i]
	}
	k := combo{rest, value}
	n, ok := c.numbers[k]
	if !ok {
		if c.numbers == nil {
			c.numbers = map[combo]int32{}
		}
		n = c.append(k)
		c.numbers[k] = n
	}
	return n
}

func (c *combos) append(k combo) int32 {
	if c.list == nil {
		c.list = []combo{{}}
	}
	c.list = append(c.list, k)
	return int32(len(c.list) - 1)
}

// grouping adds numbers up by some dimensions. A group combines a part, which is the values
// that follow from the series, and the values that follow from the label of the cause.
type grouping struct {
	cat      *catalog
	dims     []store.Dimension
	ofSeries []int // places in dims
	ofLabel  []int
	ofCause  bool // recipients are those with a matching failure, see store.Numbers

	combos combos
	parts  []int32         // by place
	counts [][fields]int64 // by part, unless ofCause
	groups []tally         // by the number of their combination
	met    pairs           // of recipients and groups, with ofCause
}

// tally is a group that is being counted.
type tally struct {
	store.Tally
	used bool
	tops tops
}

func newGrouping(cat *catalog, dims []store.Dimension, ofCause bool) *grouping {
	g := &grouping{
		cat:     cat,
		dims:    dims,
		ofCause: ofCause || slices.ContainsFunc(dims, store.Dimension.OfCause),
		parts:   make([]int32, len(cat.series)),
	}
	for i, d := range dims {
		if d.OfCause() {
			g.ofLabel = append(g.ofLabel, i)
		}
	}
	g.ofSeries = placesOfSeries(dims)
	for _, i := range g.ofSeries {
		for p := range g.parts {
			g.parts[p] = g.combos.add(g.parts[p], cat.value(&cat.series[p], dims[i]))
		}
	}
	return g
}

// partOf returns the part of a series that need not be stored.
func (g *grouping) partOf(s *series) (part int32) {
	for _, i := range g.ofSeries {
		part = g.combos.add(part, g.cat.value(s, g.dims[i]))
	}
	return part
}

// placesOfSeries returns the places of the dimensions that follow from a series.
func placesOfSeries(dims []store.Dimension) (list []int) {
	for i, d := range dims {
		if !d.OfCause() {
			list = append(list, i)
		}
	}
	return list
}

// partOfRejection returns the part of a rejection, whose sender and direction do
// not follow from its series.
func (g *grouping) partOfRejection(place int, sender int32) (part int32) {
	if !slices.Contains(g.dims, store.BySender) && !slices.Contains(g.dims, store.ByDirection) {
		return g.parts[place]
	}
	for _, i := range g.ofSeries {
		value := int32(registry.DirectionIncoming)
		switch d := g.dims[i]; d {
		case store.BySender:
			value = sender
		case store.ByDirection:
		default:
			value = g.cat.value(&g.cat.series[place], d)
		}
		part = g.combos.add(part, value)
	}
	return part
}

// bareGroup returns the number of the group of a part without a cause.
func (g *grouping) bareGroup(part int32) int32 {
	for range g.ofLabel {
		part = g.combos.add(part, noValue)
	}
	return part
}

// group returns the number of the group of a part and a label.
func (g *grouping) group(part, label int32) int32 {
	for _, i := range g.ofLabel {
		part = g.combos.add(part, g.cat.labelValue(label, g.dims[i]))
	}
	return part
}

// at returns a group by its number, valid until at is called again.
func (g *grouping) at(number int32) *tally {
	if n := max(int(number)+1, len(g.combos.list)); n > len(g.groups) {
		g.groups = append(g.groups, make([]tally, n-len(g.groups))...)
	}
	t := &g.groups[number]
	t.used = true
	return t
}

// attempt counts a failing attempt of a recipient, with ofCause.
func (g *grouping) attempt(place int, label, recipient int32, deferred bool) {
	n := g.group(g.parts[place], label)
	t := g.at(n)
	t.Attempts++
	if deferred {
		t.Deferrals++
	} else {
		t.Failures++
	}
	g.met.add(recipient, n, deferred)
}

// valuesOf returns the values of a group.
func (g *grouping) valuesOf(number int32) []registry.Foreign {
	values := make([]registry.Foreign, len(g.dims))
	for _, dims := range [][]int{g.ofLabel, g.ofSeries} {
		for _, i := range slices.Backward(dims) {
			c := g.combos.list[number]
			values[i], number = registry.Foreign(g.cat.text(g.dims[i], c.value)), c.rest
		}
	}
	return values
}

// firstOf returns the value of a part of one dimension.
func (g *grouping) firstOf(part int32) string {
	return g.cat.text(g.dims[0], g.combos.list[part].value)
}

// count adds counts to a part.
func (g *grouping) count(part int32, n *[fields]int64) {
	if g.ofCause {
		return
	}
	sum := at(&g.counts, int64(part))
	for f, v := range n {
		sum[f] += v
	}
}

// foldCounts adds the counts of parts to their groups. It leaves out arrivals, which have
// no recipient and are in no table.
func (g *grouping) foldCounts() {
	for part := range g.counts {
		if n := &g.counts[part]; withoutArrivals(*n) != [fields]int64{} {
			addCounts(&g.at(int32(part)).Tally, n)
		}
	}
}

// rows returns the groups, those with the most failures first, then by name.
func (g *grouping) rows() []store.Group {
	rows := []store.Group{}
	for i := range g.groups {
		t := &g.groups[i]
		if !t.used {
			continue
		}
		row := store.Group{Values: g.valuesOf(int32(i)), Tally: t.Tally, HasTop: t.tops.n > 0}
		if row.HasTop {
			row.TopCode, row.TopReason, row.TopCause = g.cat.codes[t.tops.code],
				g.cat.reasons[t.tops.reason], g.cat.labels[t.tops.label].both
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b store.Group) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), slices.Compare(a.Values, b.Values))
	})
	return rows
}

// pairs counts pairs of a recipient and a number once, however often they occur.
// Most recipients have one number only.
type pairs struct {
	only []pair // by recipient; number 0: none
	more []morePair
}

type pair struct {
	number int32 // plus 1
	flag   bool
}

type morePair struct {
	recipient int32
	pair
}

// add adds a pair. Equal pairs are one, whose flag is set if any of them has it set.
func (p *pairs) add(recipient, number int32, flag bool) {
	if n := int(recipient) + 1 - len(p.only); n > 0 {
		p.only = append(p.only, make([]pair, n)...)
	}
	switch o := &p.only[recipient]; o.number {
	case 0:
		*o = pair{number + 1, flag}
	case number + 1:
		o.flag = o.flag || flag
	default:
		p.more = append(p.more, morePair{recipient, pair{number + 1, flag}})
	}
}

// each calls f with each pair once.
func (p *pairs) each(f func(recipient, number int32, flag bool)) {
	for r, o := range p.only {
		if o.number != 0 {
			f(int32(r), o.number-1, o.flag)
		}
	}
	slices.SortFunc(p.more, func(a, b morePair) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.number, b.number))
	})
	for i := 0; i < len(p.more); {
		m := p.more[i]
		for i++; i < len(p.more) && p.more[i].recipient == m.recipient && p.more[i].number == m.number; i++ {
			m.flag = m.flag || p.more[i].flag
		}
		f(m.recipient, m.number-1, m.flag)
	}
}
