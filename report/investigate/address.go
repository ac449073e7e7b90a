package investigate

import (
	"net/netip"
	"regexp"
	"sync"

	"mailfail/registry"
)

// addressPattern finds what may be an IP address in a reply: in brackets, or after a
// word for it. Version numbers look like addresses too.
var addressPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:\[|\b(?:from|ip|ips|client|host|address|server)[ :=(/\[]+)([0-9a-f:.]*[0-9a-f])`)
})

// addressIn returns the IP address that a reply names besides that of the server which
// sent it, "" when it names none or several.
func addressIn(d *Detail) registry.Foreign {
	var found netip.Addr
	for _, m := range addressPattern().FindAllStringSubmatch(d.Text.Raw(), -1) {
		a, err := netip.ParseAddr(m[1])
		switch {
		case err != nil, a.IsLoopback(), a.String() == d.IP.Raw(), a == found:
		case found.IsValid():
			return ""
		default:
			found = a
		}
	}
	if !found.IsValid() {
		return ""
	}
	return registry.Foreign(found.String())
}

// listed finds the address of this site that the replies of a finding name, and the
// list it is on, when the reason of the finding is about the sender.
func (m *model) listed(f *finding, p *Problem) {
	switch registry.Reason(p.Reason).Info().Group {
	case "reputation", "rate", "authentication":
	default:
		return
	}
	addresses, lists := map[registry.Foreign]int{}, map[registry.Foreign]int{}
	all, named := 0, 0
	for _, d := range m.look(m.triedOf(f), mostDetails) {
		all++
		if a := addressIn(&d); a != "" {
			named++
			addresses[a]++
			lists[registry.Foreign(registry.ListIn(d.Text.Raw()))]++
		}
	}
	address, ok := top(addresses)
	if !ok || 2*named < all || float64(addresses[address]) < shared*float64(named) {
		return
	}
	p.Address = address
	if list, _ := top(lists); float64(lists[list]) >= shared*float64(named) {
		p.List = list
	}
}
