package report

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// trouble holds the recipients that failed or wait, and answers every question about
// causes: the cause of a row is that of the recipients in it. There may be a million
// recipients, so places, causes and names have numbers, and no recipient needs a
// look-up by text.
type trouble struct {
	leaves  []*leaf // in no order
	hourly  bool    // leaves count by hour
	failed  []one   // no more than maxOnes
	waiting []one   // the oldest ones, no more than maxOnes
	nFailed, nWaiting,
	nUntried int64
	oldest time.Time // of those that wait
	// times beyond which a recipient has no place in failed and waiting
	leastFailed, mostWaiting int64
	persons                  map[int64]*store.Person
	lists                    map[store.Dimension][]*pile // of all leaves
	piles                    map[string]map[string]*pile // by dimensions and their values

	// For add. The store returns the recipients of one destination one after the other.
	to     *store.Destination
	spot   *spot
	from   int     // the first leaf there
	leafOf []*leaf // those there, by number of the why
	leaf   []leaf  // allocated in advance, see room
	spots  []spot  // likewise
	whys   map[whyKey]*why
	whyOf  [2][]*why // of those that wait and those that ended, by Affected.Cause
	names  names
}

// names numbers texts.
type names struct {
	list    []string
	numbers map[string]int32
	known   []int32 // number plus 1, by the store's number
}

func (n *names) number(text string) int32 {
	i, ok := n.numbers[text]
	if !ok {
		i = int32(len(n.list))
		n.numbers[text] = i
		n.list = append(n.list, text)
	}
	return i
}

// numberOf returns the number of a name that the store numbers too; stored is 0 for a
// name without a number.
func (n *names) numberOf(stored int32, text registry.Foreign) int32 {
	if stored <= 0 {
		return n.number(text.Raw())
	}
	known := at(&n.known, int64(stored))
	if *known == 0 {
		*known = n.number(text.Raw()) + 1
	}
	return *known - 1
}

// at returns the element of a list with index i. It makes the list longer when needed.
func at[T any](list *[]T, i int64) *T {
	if more := int(i) + 1 - len(*list); more > 0 {
		*list = append(*list, make([]T, more)...)
	}
	return &(*list)[i]
}

// place is where a recipient is in trouble, and why. There may be as many places as
// recipients, so the parts are pointers: places of one trouble are equal when their
// pointers are.
type place struct {
	*spot
	*why
}

// spot is a destination of mail. Its texts are from strangers, and only compared here:
// a View holds them in types that escape.
type spot struct {
	sender, provider, domain, host string
	spotKey
}

// spotKey holds the numbers of the names of a spot.
type spotKey struct {
	nHost, nSender, nDomain, nProvider int32
	direction                          registry.Direction
}

// why is the reason of trouble and its code, and whether the trouble has ended.
type why struct {
	whyKey
	nReason, nCode int32
	number         int32
	sum            int64 // used by findCause, which leaves it 0
}

// whyKey is what recipients with one why have in common.
type whyKey struct {
	reason, code string
	ended        bool // else they wait
}

// leaf counts the recipients of a place.
type leaf struct {
	place
	first, last int64 // microseconds since 1970
	lastID      int64
	hours       *[]hourCount // each hour once; nil: they are not counted
	n           int32
	state       registry.State // of the last one
}

// hourCount counts recipients in an hour since 1970. There may be as many leaves
// as recipients, so that each has a short list instead of a map.
type hourCount struct{ hour, n int64 }

// countHour counts a recipient. Most come in order of time, so it tries the last hours
// first.
func (l *leaf) countHour(hour int64) {
	if l.hours == nil {
		l.hours = &[]hourCount{}
	}
	hours := *l.hours
	for i := range slices.Backward(hours) {
		if hours[i].hour == hour {
			hours[i].n++
			return
		}
	}
	*l.hours = append(hours, hourCount{hour, 1})
}

// one is a single recipient, for the tables that name recipients.
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
		hourly:      hourly,
		leastFailed: math.MinInt64,
		mostWaiting: math.MaxInt64,
		persons:     map[int64]*store.Person{},
		lists:       map[store.Dimension][]*pile{},
		piles:       map[string]map[string]*pile{},
		whys:        map[whyKey]*why{},
		names:       names{numbers: map[string]int32{}},
	}
}

func (t *trouble) add(r *store.Affected, end time.Time) {
	if !inTrouble(r, end) {
		return
	}
	last := r.LastSeen.UnixMicro()
	at := last
	if r.State == registry.StatePending {
		at = r.FirstSeen.UnixMicro()
	}
	if r.Destination != t.to {
		t.moveTo(r.Destination)
	}
	l := t.leafHere(t.why(r))
	if l.n == 0 {
		l.first = at
	}
	l.n++
	if t.hourly {
		l.countHour(r.LastSeen.Unix() / 3600)
	}
	l.first = min(l.first, at)
	if last > l.last || last == l.last && r.ID >= l.lastID || l.n == 1 {
		l.last, l.lastID, l.state = last, r.ID, r.State
	}
	t.list(r, one{l, r.ID, at})
}

// moveTo continues with the recipients of another destination. Two destinations may be
// at the same spot, which has fewer fields.
func (t *trouble) moveTo(to *store.Destination) {
	k := spotKey{
		nHost:     t.names.numberOf(to.Names[0], to.Host),
		nSender:   t.names.numberOf(to.Names[1], to.Sender),
		nDomain:   t.names.numberOf(to.Names[2], to.Domain),
		nProvider: t.names.numberOf(to.Names[3], to.Provider),
		direction: to.Direction,
	}
	if t.to = to; t.spot != nil && t.spot.spotKey == k {
		return
	}
	for _, l := range t.leaves[t.from:] {
		t.leafOf[l.number] = nil
	}
	t.spot, t.from = room(&t.spots), len(t.leaves)
	*t.spot = spot{
		sender:   to.Sender.Raw(),
		provider: to.Provider.Raw(),
		domain:   to.Domain.Raw(),
		host:     to.Host.Raw(),
		spotKey:  k,
	}
}

// leafHere returns the leaf of a why at the spot of the last recipient.
func (t *trouble) leafHere(y *why) *leaf {
	l := at(&t.leafOf, int64(y.number))
	if *l == nil {
		*l = room(&t.leaf)
		(*l).place = place{t.spot, y}
		t.leaves = append(t.leaves, *l)
	}
	return *l
}

// room returns an element of a list that was allocated in advance, and allocates
// another list when it is used up.
func room[T any](list *[]T) *T {
	if len(*list) == 0 {
		*list = make([]T, 256)
	}
	v := &(*list)[0]
	*list = (*list)[1:]
	return v
}

// index returns 1 for true and 0 for false, to select from a pair.
func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// why returns the one why of all recipients with a reason and a code.
func (t *trouble) why(r *store.Affected) *why {
	ended := r.State != registry.StatePending
	if r.Cause <= 0 || r.Reason == "" { // without a reason it depends on the state
		return t.newWhy(whyKey{reasonOf(r), r.Code(), ended})
	}
	known := at(&t.whyOf[index(ended)], r.Cause)
	if *known == nil {
		*known = t.newWhy(whyKey{r.Reason, r.Code(), ended})
	}
	return *known
}

func (t *trouble) newWhy(k whyKey) *why {
	y := t.whys[k]
	if y == nil {
		y = &why{
			whyKey:  k,
			nReason: t.names.number(k.reason),
			nCode:   t.names.number(k.code),
			number:  int32(len(t.whys)),
		}
		t.whys[k] = y
	}
	return y
}

// inTrouble reports whether a recipient failed or waits. Mail that came in less than
// untilLate ago and has not been tried does neither.
func inTrouble(r *store.Affected, end time.Time) bool {
	return r.State != registry.StatePending || r.Tried || end.Sub(r.FirstSeen) >= untilLate
}

// list keeps the recipient itself, for the tables that name recipients.
func (t *trouble) list(r *store.Affected, o one) {
	switch {
	case o.ended:
		t.nFailed++
		if o.at < t.leastFailed {
			return
		}
		if t.failed = append(t.failed, o); len(t.failed) >= 2*maxOnes {
			t.failed = first(t.failed, maxOnes, byLatest)
			t.leastFailed = slices.MinFunc(t.failed, byAt).at
		}
	default:
		t.nWaiting++
		if !r.Tried {
			t.nUntried++
		}
		if at := o.time(); t.oldest.IsZero() || at.Before(t.oldest) {
			t.oldest = at
		}
		if o.at > t.mostWaiting {
			return
		}
		if t.waiting = append(t.waiting, o); len(t.waiting) >= 2*maxOnes {
			t.waiting = first(t.waiting, maxOnes, byOldest)
			t.mostWaiting = slices.MaxFunc(t.waiting, byAt).at
		}
	}
}

func byAt(a, b one) int { return cmp.Compare(a.at, b.at) }

func byLatest(a, b one) int { return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.id, b.id)) }

func byOldest(a, b one) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) }

func latest(list []one) []one {
	slices.SortFunc(list, byLatest)
	return list[:min(len(list), maxOnes)]
}

func oldest(list []one) []one {
	slices.SortFunc(list, byOldest)
	return list[:min(len(list), maxOnes)]
}

// first returns the n elements that sort first, in no order: a quicksort that skips the
// parts that do not matter.
func first[T any](list []T, n int, compare func(a, b T) int) []T {
	for from, to := 0, len(list); to-from > 1; {
		pivot, i, j := list[(from+to)/2], from, to-1
		for i <= j {
			for compare(list[i], pivot) < 0 {
				i++
			}
			for compare(list[j], pivot) > 0 {
				j--
			}
			if i <= j {
				list[i], list[j] = list[j], list[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case n <= j:
			to = j + 1
		case n >= i:
			from = i
		default:
			return list[:n]
		}
	}
	return list[:min(n, len(list))]
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

// dimension returns the value of a place in a dimension.
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
	stands          *leaf // see cause
}

func (p *pile) all() int64 { return p.failed + p.waiting }

// piles groups leaves by a property: the pile with the most trouble first, ties by
// name.
func piles(leaves []*leaf, by func(*leaf) string) []*pile {
	n := names{numbers: map[string]int32{}}
	return pileUp(leaves, func(l *leaf) int32 { return n.number(by(l)) }, &n)
}

// allBy returns piles of all leaves by a dimension.
func (t *trouble) allBy(d store.Dimension) []*pile {
	list, ok := t.lists[d]
	if !ok {
		list = t.pilesBy(t.leaves, d)
		t.lists[d] = list
	}
	return list
}

// group makes the piles that a report by some dimensions needs, nil for the usual tables, and
// finds the causes of reasons. It saves time only: what is not made here is made when it is
// asked for.
func (t *trouble) group(dims []store.Dimension) {
	if dims == nil {
		dims = []store.Dimension{store.ByDomain, store.BySender, store.ByProvider}
	}
	dims = append(slices.Clone(dims), store.ByReason)
	slices.Sort(dims)
	dims = slices.DeleteFunc(slices.Compact(dims), func(d store.Dimension) bool {
		return numberIn(d) == nil
	})
	lists := make([][]*pile, len(dims))
	var each sync.WaitGroup
	for i, d := range dims {
		each.Go(func() { lists[i] = t.pilesBy(t.leaves, d) })
	}
	each.Wait()
	for i, d := range dims {
		t.lists[d] = lists[i]
		t.by([]store.Dimension{d})
	}
	for _, p := range t.allBy(store.ByReason) {
		p.cause()
	}
}

// pilesBy groups leaves by a dimension, in the order of piles.
func (t *trouble) pilesBy(leaves []*leaf, d store.Dimension) []*pile {
	number := numberIn(d)
	if number == nil {
		return piles(leaves, func(l *leaf) string { return l.dimension(d) })
	}
	return pileUp(leaves, number, &t.names)
}

// numberIn returns the function that returns the number of a leaf's name in a
// dimension, nil for a dimension whose names are not numbered.
func numberIn(d store.Dimension) func(*leaf) int32 {
	switch d {
	case store.BySender:
		return func(l *leaf) int32 { return l.nSender }
	case store.ByProvider:
		return func(l *leaf) int32 { return l.nProvider }
	case store.ByDomain:
		return func(l *leaf) int32 { return l.nDomain }
	case store.ByHost:
		return func(l *leaf) int32 { return l.nHost }
	case store.ByReason:
		return func(l *leaf) int32 { return l.nReason }
	case store.ByCode:
		return func(l *leaf) int32 { return l.nCode }
	}
	return nil
}

// pileUp groups leaves by the numbers of their names. It looks at each leaf once: there may be
// more of them than fit into the cache.
func pileUp(leaves []*leaf, number func(*leaf) int32, names *names) (list []*pile) {
	type sum struct {
		ended  [2]int64 // recipients that wait and that failed
		leaves int32
		pile   *pile
	}
	numbers, sums := make([]int32, len(leaves)), make([]sum, len(names.list))
	for i, l := range leaves {
		n := number(l)
		s := at(&sums, int64(n))
		s.ended[index(l.ended)] += int64(l.n)
		s.leaves++
		numbers[i] = n
	}
	room := make([]*leaf, len(leaves))
	for i, l := range leaves {
		s := &sums[numbers[i]]
		if s.pile == nil {
			s.pile = &pile{name: names.list[numbers[i]], leaves: room[:0:s.leaves], waiting: s.ended[0],
				failed: s.ended[1]}
			list, room = append(list, s.pile), room[s.leaves:]
		}
		s.pile.leaves = append(s.pile.leaves, l)
	}
	slices.SortFunc(list, func(a, b *pile) int {
		return cmp.Or(cmp.Compare(b.all(), a.all()), cmp.Compare(b.failed, a.failed),
			cmp.Compare(a.name, b.name))
	})
	return list
}

// compareLeaves puts the leaf with the most recipients first, ties by their texts.
func compareLeaves(a, b *leaf) int {
	if a.n != b.n {
		return cmp.Compare(b.n, a.n)
	}
	for _, s := range [...][2]*string{{&a.reason, &b.reason}, {&a.code, &b.code}, {&a.domain, &b.domain},
		{&a.sender, &b.sender}, {&a.provider, &b.provider}, {&a.host, &b.host}} {
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

// cause returns the leaf that stands for a pile. Of the recipients that failed or, when
// none did, of those that wait, it selects the most frequent reason, then the most
// frequent code, then the largest leaf.
func (p *pile) cause() *leaf {
	if p.stands == nil {
		p.stands = p.findCause()
	}
	return p.stands
}

func (p *pile) findCause() (largest *leaf) {
	counted := func(l *leaf) bool { return l.ended || p.failed == 0 }
	var whys []*why
	for _, l := range p.leaves {
		if counted(l) {
			if l.sum == 0 {
				whys = append(whys, l.why)
			}
			l.sum += int64(l.n)
		}
	}
	reasons, codes := map[string]int64{}, map[string]int64{}
	for _, y := range whys {
		reasons[y.reason] += y.sum
	}
	reason := mostFrequent(reasons)
	for _, y := range whys {
		if y.reason == reason {
			codes[y.code] += y.sum
		}
		y.sum = 0
	}
	code := mostFrequent(codes)
	i := slices.IndexFunc(whys, func(y *why) bool { return y.reason == reason && y.code == code })
	for _, l := range p.leaves {
		if counted(l) && l.why == whys[i] && (largest == nil || compareLeaves(l, largest) < 0) {
			largest = l
		}
	}
	return largest
}

// mostFrequent returns the name with the greatest number; of several the first by name.
func mostFrequent(n map[string]int64) (best string) {
	most := int64(-1)
	for name, n := range n {
		if n > most || n == most && name < best {
			best, most = name, n
		}
	}
	return best
}

// span returns when the trouble of a pile was first and last seen.
func (p *pile) span() (first, last time.Time) {
	if len(p.leaves) == 0 {
		return first, last
	}
	from, to := p.leaves[0].first, p.leaves[0].last
	for _, l := range p.leaves {
		from, to = min(from, l.first), max(to, l.last)
	}
	return time.UnixMicro(from), time.UnixMicro(to)
}

// by returns piles by some dimensions; their names are the values, with NUL
// between them.
func (t *trouble) by(dims []store.Dimension) map[string]*pile {
	key := strings.Join(dimensionStrings(dims), ",")
	if t.piles[key] != nil {
		return t.piles[key]
	}
	var list []*pile
	if len(dims) == 1 {
		list = t.allBy(dims[0])
	} else {
		list = piles(t.leaves, func(l *leaf) string {
			var values []string
			for _, d := range dims {
				values = append(values, l.dimension(d))
			}
			return placeKey(values)
		})
	}
	byName := make(map[string]*pile, len(list))
	for _, p := range list {
		byName[p.name] = p
	}
	t.piles[key] = byName
	return byName
}
