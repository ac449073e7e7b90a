package investigate

import (
	"slices"
	"strings"

	"mailfail/registry"
)

// owners holds the operator of each domain, as a place whose relay belongs to the
// operator.
type owners struct {
	data    *Data
	at      pairList // place by host and domain, plus 1; 0 none
	any     []int32  // likewise by domain
	uses    []use    // by place
	hosts   interner // of uses
	domains interner
	smartOf []name        // smarthost by host
	smart   map[name]bool // smarthosts
}

// use is how much mail of a host and a domain a relay took.
type use struct {
	host, domain, provider, relay, place int32
	n                                    int64
}

// newOwners finds the operators. came are the recipients of the window by place.
func newOwners(d *Data, came []int64) *owners {
	o := &owners{data: d, smart: map[name]bool{}}
	o.weigh(came)
	o.at = newPairList(len(o.hosts.names), len(o.domains.names))
	uses := o.byRelay()
	most(uses, func(u *use) { o.at.put(u.host, u.domain, u.place+1) })
	o.smartOf = make([]name, len(o.hosts.names))
	uses = sortBy(uses, useHost, useRelay, useDomain)
	o.smarthosts(uses)
	for i := range uses {
		uses[i].host = 0
	}
	o.any = make([]int32, len(o.domains.names))
	most(sortBy(uses, useDomain, useProvider, useRelay), func(u *use) { o.any[u.domain] = u.place + 1 })
	return o
}

// pairList maps a pair of numbers to a number. For few enough pairs it is a list, which
// takes a fraction of the time of a map.
type pairList struct {
	width int32
	list  []int32
	pairs map[[2]int32]int32
}

const mostPairs = 1 << 22

func newPairList(a, b int) pairList {
	if a*b <= mostPairs {
		return pairList{width: int32(b), list: make([]int32, a*b)}
	}
	return pairList{pairs: map[[2]int32]int32{}}
}

func (p *pairList) put(a, b, n int32) {
	if p.list == nil {
		p.pairs[[2]int32{a, b}] = n
	} else {
		p.list[a*p.width+b] = n
	}
}

func (p *pairList) at(a, b int32) int32 {
	if p.list == nil {
		return p.pairs[[2]int32{a, b}]
	}
	return p.list[a*p.width+b]
}

func useHost(u *use) int32     { return u.host }
func useDomain(u *use) int32   { return u.domain }
func useProvider(u *use) int32 { return u.provider }
func useRelay(u *use) int32    { return u.relay }

// byRelay adds up the mail to other servers by host, domain, provider and relay, and
// sorts it by them.
func (o *owners) byRelay() (uses []use) {
	list := make([]use, 0, len(o.uses))
	for i := range o.uses {
		if p := &o.data.places[i]; o.uses[i].n > 0 && p.relay != noName && p.provider != noName && !p.local {
			list = append(list, o.uses[i])
		}
	}
	list = sortBy(list, useHost, useDomain, useProvider, useRelay)
	uses = list[:0]
	for _, u := range list {
		if n := len(uses); n > 0 && u.sameRelay(&uses[n-1]) {
			uses[n-1].n += u.n
		} else {
			uses = append(uses, u)
		}
	}
	return uses
}

func (u *use) sameRelay(o *use) bool {
	return u.host == o.host && u.domain == o.domain && u.provider == o.provider && u.relay == o.relay
}

// weigh finds how much mail each place has. Mail that was only counted weighs more
// than failures.
func (o *owners) weigh(came []int64) {
	d := o.data
	o.uses = make([]use, len(d.places))
	for place, n := range came {
		o.uses[place].n += 16 * n
	}
	for place, n := range d.before {
		o.uses[place].n += 16 * n
	}
	for i := range d.Events {
		o.uses[d.Events[i].Place].n += int64(d.Events[i].N)
	}
	for _, f := range d.failures {
		o.uses[f.place].n += int64(f.n)
	}
	var providers, relays interner
	for i := range o.uses {
		if p, u := &d.places[i], &o.uses[i]; u.n > 0 {
			*u = use{o.hosts.id(p.host), o.domains.id(p.domain), providers.id(p.provider),
				relays.id(p.relay), int32(i), u.n}
		}
	}
}

// most calls found, for each host and domain, with a place of the relay with
// most mail of the provider with most mail. The list is sorted.
func most(uses []use, found func(*use)) {
	for len(uses) > 0 {
		var domain, provider []use
		var best use
		most := int64(0)
		for domain, uses = run(uses, func(u *use) [2]int32 {
			return [2]int32{u.host, u.domain}
		}); len(domain) > 0; {
			provider, domain = run(domain, func(u *use) [2]int32 { return [2]int32{u.provider} })
			if sum, top := topRelay(provider); sum > most {
				most, best = sum, top
			}
		}
		found(&best)
	}
}

// sortBy sorts a list by numbers that are not negative, by the first one first, and
// keeps the order of equal elements. Counting takes a tenth of the time of comparing
// hundreds of thousands. The list itself is left in some order.
func sortBy[T any](list []T, numbers ...func(*T) int32) []T {
	spare, keys := make([]T, len(list)), make([]int32, len(list))
	for _, number := range slices.Backward(numbers) {
		most, sorted := int32(0), true
		for i := range list {
			keys[i] = number(&list[i])
			sorted = sorted && keys[i] >= most
			most = max(most, keys[i])
		}
		if sorted {
			continue
		}
		begins := make([]int32, most+2)
		for _, key := range keys {
			begins[key+1]++
		}
		for i := 1; i < len(begins); i++ {
			begins[i] += begins[i-1]
		}
		for i, key := range keys {
			to := &begins[key]
			spare[*to] = list[i]
			*to++
		}
		list, spare = spare, list
	}
	return list
}

// topRelay returns the mail of all uses, and the relay with most of it.
func topRelay(uses []use) (sum int64, top use) {
	for len(uses) > 0 {
		var relay []use
		relay, uses = run(uses, func(u *use) [2]int32 { return [2]int32{u.relay} })
		u := relay[0]
		for _, other := range relay[1:] {
			u.n += other.n
		}
		if sum += u.n; u.n > top.n {
			top = u
		}
	}
	return sum, top
}

// run splits the first elements, those with the same key, off a sorted list.
func run(uses []use, key func(*use) [2]int32) (same, rest []use) {
	n, first := 1, key(&uses[0])
	for n < len(uses) && key(&uses[n]) == first {
		n++
	}
	return uses[:n], uses[n:]
}

// smarthosts finds hosts that pass most of their mail to one relay, whatever
// its domain. The list is sorted by host, relay and domain.
func (o *owners) smarthosts(uses []use) {
	for len(uses) > 0 {
		var host, relay []use
		host, uses = run(uses, func(u *use) [2]int32 { return [2]int32{u.host} })
		all := mailOf(host)
		for len(host) > 0 {
			relay, host = run(host, func(u *use) [2]int32 { return [2]int32{u.relay} })
			domains := 1
			for i := range relay[1:] {
				domains += one(relay[i].domain != relay[i+1].domain)
			}
			if p := &o.data.places[relay[0].place]; 10*mailOf(relay) > 6*all && domains > 30 &&
				!registry.IsProvider(o.data.texts[p.provider].Raw()) {
				o.smartOf[relay[0].host], o.smart[p.relay] = p.relay, true
			}
		}
	}
}

func mailOf(uses []use) (sum int64) {
	for i := range uses {
		sum += uses[i].n
	}
	return sum
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// of returns the provider and the platform of a place. The domain stands for an unknown
// provider.
func (o *owners) of(place int32) (provider, platform name) {
	p, u := &o.data.places[place], &o.uses[place]
	if p.local {
		return localName, localName
	}
	if smart := o.smartOf[u.host]; smart != noName {
		return smart, smart
	}
	at := o.at.at(u.host, u.domain)
	if at == 0 {
		at = o.any[u.domain]
	}
	if at > 0 {
		owner := &o.data.places[at-1]
		return owner.provider, o.platformOf(owner.provider, owner.relay)
	}
	if p.provider == noName {
		return p.domain, p.domain
	}
	return p.provider, o.platformOf(p.provider, noName)
}

// platformOf returns the part of a provider's service that a relay belongs to.
// Outlook.com's mailboxes and the tenants of Microsoft 365 have separate filters and
// limits.
func (o *owners) platformOf(provider, relay name) name {
	if provider != microsoft {
		return provider
	}
	host := strings.TrimSuffix(strings.ToLower(o.data.texts[relay].Raw()), ".")
	if strings.HasSuffix(host, "mail.protection.outlook.com") || strings.HasSuffix(host, "mx.microsoft") {
		return microsoft365
	}
	return outlook
}
