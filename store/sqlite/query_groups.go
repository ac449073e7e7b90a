package sqlite

import (
	"mailfail/store"
	"slices"
	"strings"
)

// grouping adds numbers up by some dimensions. The key of a group has two
// parts: what follows from the series and what follows from the cause.
type grouping struct {
	cat     *catalog
	dims    []store.Dimension
	ofCause bool // recipients are those that met a failure, see Numbers

	bySeries []*tally // without causes: the group of a series, by place
	series   []int32  // with causes: a part of the key by place, 0 not known yet
	causes   map[int64]int32
	parts    map[string]int32
	values   [][]string // of a part
	groups   map[[2]int32]*tally
	order    []*tally
	labels   map[groupLabel]int64 // failing attempts
}

// groupLabel is a group and a label of the catalog.
type groupLabel struct{ group, label int32 }

// tally is a group that is being counted.
type tally struct {
	store.Tally
	place         int32
	series, cause int32 // parts of the key
}

// group adds a grouping; nil dimensions count everything together.
func (c *counter) group(dims []store.Dimension) *grouping {
	g := &grouping{cat: c.cat, dims: dims,
		ofCause:  c.filter.OfCause() || slices.ContainsFunc(dims, store.Dimension.OfCause),
		bySeries: make([]*tally, len(c.cat.series)), series: make([]int32, len(c.cat.series)), causes: map[int64]int32{},
		parts: map[string]int32{}, values: [][]string{nil},
		groups: map[[2]int32]*tally{}, labels: map[groupLabel]int64{}}
	if dims != nil || c.totals == nil {
		c.groupings = append(c.groupings, g)
	}
	return g
}

// at returns the group of a series and a cause; k may be nil, and means
// nothing to groupings without causes.
func (g *grouping) at(series int, k *cause) *tally {
	if !g.ofCause && g.bySeries[series] != nil {
		return g.bySeries[series]
	}
	if g.series[series] == 0 {
		g.series[series] = g.part(func(d store.Dimension) string { return g.cat.value(&g.cat.series[series], d) })
	}
	t := g.atParts(g.series[series], k)
	if !g.ofCause {
		g.bySeries[series] = t
	}
	return t
}

func (g *grouping) atParts(series int32, k *cause) *tally {
	key := [2]int32{series, 0}
	if k != nil && g.ofCause {
		if g.causes[k.id] == 0 {
			g.causes[k.id] = g.part(k.value)
		}
		key[1] = g.causes[k.id]
	}
	t := g.groups[key]
	if t == nil {
		t = &tally{place: int32(len(g.order)), series: key[0], cause: key[1]}
		g.groups[key] = t
		g.order = append(g.order, t)
	}
	return t
}

func (k *cause) value(d store.Dimension) string {
	switch d {
	case store.ByCode:
		return k.code
	case store.ByReason:
		return k.reason
	}
	return ""
}

// part interns the values that one side, series or cause, has.
func (g *grouping) part(value func(store.Dimension) string) int32 {
	values := make([]string, len(g.dims))
	for i, d := range g.dims {
		values[i] = value(d)
	}
	key := strings.Join(values, "\x00")
	if g.parts[key] == 0 {
		g.parts[key] = int32(len(g.values))
		g.values = append(g.values, values)
	}
	return g.parts[key]
}

// label counts a failing attempt of a group by its label.
func (g *grouping) label(t *tally, k *cause) { g.labels[groupLabel{t.place, k.label}]++ }
