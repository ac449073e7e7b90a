package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// trouble is what is known of the recipients that failed or wait. It answers
// every question about causes: the cause of a row is that of the people in it.
type trouble struct {
	leaves  []*leaf // in no order
	byPlace map[place]*leaf
	hourly  bool  // leaves count by hour
	failed  []one // no more than maxOnes
	waiting []one // the oldest ones, no more than maxOnes
	nFailed, nWaiting,
	nUntried int64
	oldest  time.Time // of those that wait
	persons map[int64]*store.Person
	piles   map[string]map[string]*pile // by dimensions and their values

	spots   map[spot]*spot // of each one
	reasons map[why]*why
	spotOf  map[int64]*spot // by Affected.Place
	whyOf   map[int64]*why  // by Affected.Cause
}

// place is where a recipient is in trouble, and why. There may be as many as
// recipients: those of one trouble are equal where their pointers are.
type place struct {
	*spot
	*why
	ended bool
}

// spot is where mail goes. Its texts are of strangers, and only compared here: a
// View holds them in types that escape.
type spot struct {
	sender, provider, domain, host string
	direction                      registry.Direction
}

// why is the reason of trouble and its code.
type why struct{ reason, code string }

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
	*leaf
	id int64
	at int64 // microseconds: since when it waits, or when it failed
}

func (o *one) time() time.Time { return time.UnixMicro(o.at) }

const (
	maxOnes   = 5000
	untilLate = 10 * time.Minute // after which an untried recipient waits
)

func newTrouble(hourly bool) *trouble {
	return &trouble{
		byPlace: map[place]*leaf{},
		hourly:  hourly,
		persons: map[int64]*store.Person{},
		spots:   map[spot]*spot{},
		reasons: map[why]*why{},
		spotOf:  map[int64]*spot{},
		whyOf:   map[int64]*why{},
	}
}

func (t *trouble) add(r *store.Affected, end time.Time) {
	if !inTrouble(r, end) {
		return
	}
	at := r.LastSeen
	if r.State == registry.StatePending {
		at = r.FirstSeen
	}
	p := place{t.spot(r), t.why(r), r.State != registry.StatePending}
	l := t.byPlace[p]
	if l == nil {
		l = &leaf{place: p, first: at}
		t.byPlace[p] = l
		t.leaves = append(t.leaves, l)
	}
	l.n++
	if t.hourly {
		l.countHour(r.LastSeen.Unix() / 3600)
	}
	if at.Before(l.first) {
		l.first = at
	}
	if !r.LastSeen.Before(l.last) {
		l.last, l.lastID, l.state = r.LastSeen, r.ID, r.State
	}
	t.list(r, one{l, r.ID, at.UnixMicro()})
}

// spot returns the one spot of all recipients at a place.
func (t *trouble) spot(r *store.Affected) *spot {
	if s := t.spotOf[r.Place]; s != nil {
		return s
	}
	s := unique(t.spots, spot{
		sender:    string(r.Sender),
		provider:  string(r.Provider),
		domain:    string(r.Domain),
		host:      string(r.Host),
		direction: r.Direction,
	})
	if r.Place != 0 {
		t.spotOf[r.Place] = s
	}
	return s
}

// why returns the one why of all recipients with a reason and a code.
func (t *trouble) why(r *store.Affected) *why {
	if r.Reason == "" { // it depends on the state
		return unique(t.reasons, why{reasonOf(r), r.Code()})
	}
	if y := t.whyOf[r.Cause]; y != nil {
		return y
	}
	y := unique(t.reasons, why{r.Reason, r.Code()})
	if r.Cause != 0 {
		t.whyOf[r.Cause] = y
	}
	return y
}

// unique returns the pointer to a value that all its equals share.
func unique[T comparable](known map[T]*T, v T) *T {
	p := known[v]
	if p == nil {
		p = &v
		known[v] = p
	}
	return p
}

// inTrouble reports whether a recipient failed or waits: what came in a moment
// ago and has not been tried does neither.
func inTrouble(r *store.Affected, end time.Time) bool {
	return r.State != registry.StatePending || r.Tried || end.Sub(r.FirstSeen) >= untilLate
}

// list remembers the recipient itself.
func (t *trouble) list(r *store.Affected, o one) {
	switch {
	case o.ended:
		t.nFailed++
		if t.failed = append(t.failed, o); len(t.failed) >= 2*maxOnes {
			t.failed = latest(t.failed)
		}
	default:
		t.nWaiting++
		if !r.Tried {
			t.nUntried++
		}
		if at := o.time(); t.oldest.IsZero() || at.Before(t.oldest) {
			t.oldest = at
		}
		if t.waiting = append(t.waiting, o); len(t.waiting) >= 2*maxOnes {
			t.waiting = oldest(t.waiting)
		}
	}
}

func latest(list []one) []one {
	slices.SortFunc(list, func(a, b one) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.id, b.id)) })
	return list[:min(len(list), maxOnes)]
}

func oldest(list []one) []one {
	slices.SortFunc(list, func(a, b one) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
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

// compareLeaves puts the leaf with the most recipients first, ties by what they
// are.
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
// those that failed, or, where none did, of those that wait, and there of the most
// frequent code the largest.
func (p *pile) cause() (largest *leaf) {
	counted := func(l *leaf) bool { return l.ended || p.failed == 0 }
	n := map[*why]int64{}
	for _, l := range p.leaves {
		if counted(l) {
			n[l.why] += l.n
		}
	}
	reasons, codes := map[string]int64{}, map[string]int64{}
	for y, n := range n {
		reasons[y.reason] += n
	}
	reason := mostFrequent(reasons)
	for y, n := range n {
		if y.reason == reason {
			codes[y.code] += n
		}
	}
	code := mostFrequent(codes)
	for _, l := range p.leaves {
		if counted(l) && l.reason == reason && l.code == code && (largest == nil || compareLeaves(l, largest) < 0) {
			largest = l
		}
	}
	return largest
}

// mostFrequent returns the name with the greatest number, of several the first.
func mostFrequent(n map[string]int64) (best string) {
	most := int64(-1)
	for name, n := range n {
		if n > most || n == most && name < best {
			best, most = name, n
		}
	}
	return best
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
	for _, p := range piles(t.leaves, func(l *leaf) string {
		if len(dims) == 1 {
			return l.dimension(dims[0])
		}
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
