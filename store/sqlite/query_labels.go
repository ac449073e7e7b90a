package sqlite

import "slices"

// labelled is a list of failures, each with its place and label.
type labelled []placeLabel

type placeLabel struct{ place, label int32 }

// cellsPerFailure bounds the cells that eachPart clears and walks through for a failure.
const cellsPerFailure = 16

// eachPart calls each with the different labels at the places of a part; n[label] is how
// often each occurred. Both lists are valid until each returns. Parts come in their order.
func (l labelled) eachPart(g *grouping, each func(part int32, labels []int32, n []int64)) {
	parts, labels := max(1, len(g.combos.list)), len(g.cat.labels)
	if parts*labels > cellsPerFailure*len(l) {
		l.eachSorted(g, each)
		return
	}
	cells := make([]int64, parts*labels) // by part and label
	for _, e := range l {
		cells[int(g.parts[e.place])*labels+int(e.label)]++
	}
	found := make([]int32, 0, labels)
	for part := range int32(parts) {
		n := cells[int(part)*labels:][:labels]
		found = found[:0]
		for label, n := range n {
			if n > 0 {
				found = append(found, int32(label))
			}
		}
		if len(found) > 0 {
			each(part, found, n)
		}
	}
}

// eachSorted is eachPart for few failures in many parts.
func (l labelled) eachSorted(g *grouping, each func(part int32, labels []int32, n []int64)) {
	keys := make([]int64, len(l))
	for i, e := range l {
		keys[i] = int64(g.parts[e.place])<<32 | int64(e.label)
	}
	slices.Sort(keys)
	n := make([]int64, len(g.cat.labels))
	var found []int32
	for i := 0; i < len(keys); {
		part := keys[i] >> 32
		found = found[:0]
		for ; i < len(keys) && keys[i]>>32 == part; i++ {
			label := int32(keys[i])
			if n[label] == 0 {
				found = append(found, label)
			}
			n[label]++
		}
		each(int32(part), found, n)
		for _, label := range found {
			n[label] = 0
		}
	}
}

// tops holds the most frequent code, reason and label of a group; among equals, the one
// that sorts first.
type tops struct {
	n                   int64 // 0: the group has no failures
	code, reason, label int32
}

// findTops finds the most frequent code, reason and label of the groups of g. It also calls
// also, unless it is nil, with the parts of g as eachPart does.
func (g *grouping) findTops(l labelled, also func(part int32, labels []int32, n []int64)) {
	codes, reasons := make([]int64, len(g.cat.codes)), make([]int64, len(g.cat.reasons))
	var keys []int64
	l.eachPart(g, func(part int32, labels []int32, n []int64) {
		if also != nil {
			also(part, labels, n)
		}
		if len(g.ofLabel) == 0 {
			g.at(part).tops = g.cat.topsOf(labels, n, codes, reasons)
			return
		}
		keys = keys[:0]
		for _, label := range labels {
			keys = append(keys, int64(g.group(part, label))<<32|int64(label))
		}
		slices.Sort(keys)
		for i := 0; i < len(keys); {
			group, first := keys[i]>>32, i
			for ; i < len(keys) && keys[i]>>32 == group; i++ {
				labels[i] = int32(keys[i])
			}
			g.at(int32(group)).tops = g.cat.topsOf(labels[first:i], n, codes, reasons)
		}
	})
}

// topsOf returns the most frequent of some labels; n[label] is how often each occurred.
// codes and reasons are buffers that are 0 before and after the call.
func (c *catalog) topsOf(labels []int32, n, codes, reasons []int64) tops {
	for _, i := range labels {
		codes[c.labels[i].nCode] += n[i]
		reasons[c.labels[i].nReason] += n[i]
	}
	t := tops{label: labels[0], code: c.labels[labels[0]].nCode, reason: c.labels[labels[0]].nReason}
	for _, i := range labels {
		l, best := &c.labels[i], &c.labels[t.label]
		t.n += n[i]
		if n[i] > n[t.label] || n[i] == n[t.label] && l.both < best.both {
			t.label = i
		}
		if m := codes[l.nCode]; m > codes[t.code] || m == codes[t.code] && l.code < c.codes[t.code] {
			t.code = l.nCode
		}
		if m := reasons[l.nReason]; m > reasons[t.reason] ||
			m == reasons[t.reason] && l.reason < c.reasons[t.reason] {
			t.reason = l.nReason
		}
	}
	for _, i := range labels {
		codes[c.labels[i].nCode], reasons[c.labels[i].nReason] = 0, 0
	}
	return t
}

// spread counts the domains in which something occurred, and holds the domain with the most
// of it.
type spread struct {
	domains int64
	top     string
	n       int64
}

func (s *spread) add(domain string, n int64) {
	s.domains++
	if n > s.n || n == s.n && domain < s.top {
		s.top, s.n = domain, n
	}
}

// spreads returns the spread of each label.
func (c *counter) spreads(l labelled) []spread {
	list := make([]spread, len(c.cat.labels))
	l.eachPart(c.domains, func(part int32, labels []int32, n []int64) {
		spreadOver(list, c.domains.firstOf(part), labels, n)
	})
	return list
}

// spreadOver adds the labels of one domain to a list by label.
func spreadOver(list []spread, domain string, labels []int32, n []int64) {
	for _, label := range labels {
		list[label].add(domain, n[label])
	}
}
