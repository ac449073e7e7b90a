package report

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// trouble is what is known of the recipients that failed or wait. It answers
// every question about causes: the cause of a row is that of the people in it.
type trouble struct {
	leaves  map[place]*leaf
	order   []*leaf // see sorted
	failed  []one   // no more than maxOnes
	waiting []one   // the oldest ones, no more than maxOnes
	nFailed, nWaiting,
	nUntried int64
	oldest  time.Time // of those that wait
	persons map[int64]*store.Person
	piles   map[string]map[string]*pile // by dimensions and their values
}

// place is where a recipient is in trouble, and why.
type place struct {
	reason, code                   string
	sender, provider, domain, host string
	ended                          bool
	direction                      registry.Direction
}

// leaf counts the recipients of a place.
type leaf struct {
	place
	state       registry.State // of the last one
	n           int64
	first, last time.Time
	hours       []hourCount // none twice
	lastID      int64
}

// hourCount counts recipients in an hour since 1970. There may be as many leaves
// as recipients, so that each has a short list instead of a map.
type hourCount struct{ hour, n int64 }

// countHour counts a recipient. Most come by time, so the last hours are tried
// first.
func (l *leaf) countHour(hour int64) {
	for i := range slices.Backward(l.hours) {
		if l.hours[i].hour == hour {
			l.hours[i].n++
			return
		}
	}
	l.hours = append(l.hours, hourCount{hour, 1})
}

// one is a recipient of a list.
type one struct {
	id    int64
	place place
	at    time.Time // since when it waits, or when it failed
	state registry.State
}

const (
	maxOnes   = 5000
	untilLate = 10 * time.Minute // after which an untried recipient waits
)

// troubleOf reads who failed in a window and who waits at its end.
func troubleOf(ctx context.Context, q store.Reader, w store.Window, f store.Filter, end time.Time) (*trouble, error) {
	t := &trouble{leaves: map[place]*leaf{}, persons: map[int64]*store.Person{}}
	err := q.Affected(ctx, w, f, func(r *store.Affected) error {
		t.add(r, end)
		return nil
	})
	return t, err
}

func (t *trouble) add(r *store.Affected, end time.Time) {
	if !inTrouble(r, end) {
		return
	}
	ended := r.State != registry.StatePending
	at := r.LastSeen
	if !ended {
		at = r.FirstSeen
	}
	p := place{reason: reasonOf(r), code: r.Code(), sender: r.Sender, provider: r.Provider, domain: r.Domain, host: r.Host, ended: ended, direction: r.Direction}
	l := t.leaves[p]
	if l == nil {
		l = &leaf{place: p, first: at}
		t.leaves[p] = l
	}
	l.n++
	l.countHour(r.LastSeen.Unix() / 3600)
	if at.Before(l.first) {
		l.first = at
	}
	if !r.LastSeen.Before(l.last) {
		l.last, l.lastID, l.state = r.LastSeen, r.ID, r.State
	}
	t.list(r, one{r.ID, p, at, r.State})
}

// inTrouble reports whether a recipient failed or waits: what came in a moment
// ago and has not been tried does neither.
func inTrouble(r *store.Affected, end time.Time) bool {
	return r.State != registry.StatePending || r.Tried || end.Sub(r.FirstSeen) >= untilLate
}

// list remembers the recipient itself.
func (t *trouble) list(r *store.Affected, o one) {
	switch {
	case o.state != registry.StatePending:
		t.nFailed++
		if t.failed = append(t.failed, o); len(t.failed) >= 2*maxOnes {
			t.failed = latest(t.failed)
		}
	default:
		t.nWaiting++
		if !r.Tried {
			t.nUntried++
		}
		if t.oldest.IsZero() || o.at.Before(t.oldest) {
			t.oldest = o.at
		}
		if t.waiting = append(t.waiting, o); len(t.waiting) >= 2*maxOnes {
			t.waiting = oldest(t.waiting)
		}
	}
}

func latest(list []one) []one {
	slices.SortFunc(list, func(a, b one) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.id, b.id)) })
	return list[:min(len(list), maxOnes)]
}

func oldest(list []one) []one {
	slices.SortFunc(list, func(a, b one) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	return list[:min(len(list), maxOnes)]
}

// reasonOf returns the reason of the last failure. Without one the recipient
// was given up, or has not been tried.
func reasonOf(r *store.Affected) string {
	switch {
	case r.Reason != "":
		return r.Reason
	case r.State == registry.StateExpired:
		return "expired"
	case r.State == registry.StateBounced:
		return "unknown"
	}
	return ""
}

// dimension returns where a place stands in a dimension.
func (p *place) dimension(d store.Dimension) string {
	switch d {
	case store.BySender:
		return p.sender
	case store.ByProvider:
		return p.provider
	case store.ByDomain:
		return p.domain
	case store.ByHost:
		return p.host
	case store.ByReason:
		return p.reason
	case store.ByCode:
		return p.code
	case store.ByDirection:
		return p.direction.String()
	}
	return ""
}

// pile is a number of recipients that have something in common.
type pile struct {
	name            string
	failed, waiting int64
	leaves          []*leaf
}

func (p *pile) add(l *leaf) {
	if l.ended {
		p.failed += l.n
	} else {
		p.waiting += l.n
	}
	p.leaves = append(p.leaves, l)
}

func (p *pile) all() int64 { return p.failed + p.waiting }

// piles sorts leaves by a property: the pile with the most trouble first, ties
// by name.
func piles(leaves []*leaf, by func(*leaf) string) []*pile {
	byName := map[string]*pile{}
	var list []*pile
	for _, l := range leaves {
		name := by(l)
		p := byName[name]
		if p == nil {
			p = &pile{name: name}
			byName[name] = p
			list = append(list, p)
		}
		p.add(l)
	}
	slices.SortFunc(list, func(a, b *pile) int {
		return cmp.Or(cmp.Compare(b.all(), a.all()), cmp.Compare(b.failed, a.failed), cmp.Compare(a.name, b.name))
	})
	return list
}

// sorted returns the leaves in an order that does not depend on the map. All
// leaves must have been added.
func (t *trouble) sorted() []*leaf {
	if t.order == nil {
		t.order = slices.SortedFunc(maps.Values(t.leaves), compareLeaves)
	}
	return t.order
}

// compareLeaves stops at the first difference: there may be as many leaves as
// recipients.
func compareLeaves(a, b *leaf) int {
	if a.n != b.n {
		return cmp.Compare(b.n, a.n)
	}
	for _, s := range [...][2]*string{{&a.reason, &b.reason}, {&a.code, &b.code}, {&a.domain, &b.domain}, {&a.sender, &b.sender}, {&a.provider, &b.provider}, {&a.host, &b.host}} {
		if *s[0] != *s[1] {
			return strings.Compare(*s[0], *s[1])
		}
	}
	return cmp.Or(compareBool(a.ended, b.ended), cmp.Compare(a.direction, b.direction))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// cause returns the leaf that stands for a pile: of the most frequent reason of
// those that failed, or, where none did, of those that wait.
func (p *pile) cause() *leaf {
	counted := p.leaves
	if p.failed > 0 {
		counted = nil
		for _, l := range p.leaves {
			if l.ended {
				counted = append(counted, l)
			}
		}
	}
	if len(counted) == 0 {
		return nil
	}
	reason := piles(counted, func(l *leaf) string { return l.reason })[0]
	return piles(reason.leaves, func(l *leaf) string { return l.code })[0].largest()
}

func (p *pile) largest() *leaf {
	return slices.MaxFunc(p.leaves, func(a, b *leaf) int { return cmp.Compare(a.n, b.n) })
}

// span returns when the trouble of a pile was seen first and last.
func (p *pile) span() (first, last time.Time) {
	for _, l := range p.leaves {
		if first.IsZero() || l.first.Before(first) {
			first = l.first
		}
		if l.last.After(last) {
			last = l.last
		}
	}
	return first, last
}

// by returns piles by some dimensions; their names are the values, with NUL
// between them.
func (t *trouble) by(dims []store.Dimension) map[string]*pile {
	key := strings.Join(dimensionStrings(dims), ",")
	if t.piles[key] != nil {
		return t.piles[key]
	}
	byName := map[string]*pile{}
	for _, p := range piles(t.sorted(), func(l *leaf) string {
		var values []string
		for _, d := range dims {
			values = append(values, l.dimension(d))
		}
		return placeKey(values)
	}) {
		byName[p.name] = p
	}
	if t.piles == nil {
		t.piles = map[string]map[string]*pile{}
	}
	t.piles[key] = byName
	return byName
}
