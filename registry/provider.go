package registry

import (
	_ "embed"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

//go:embed providers.txt
var providersText string

// providers maps the domains of providers.txt to the names of the operators.
var providers = sync.OnceValue(func() map[string]string {
	m, err := parseProviders(providersText)
	if err != nil {
		panic(err) // a test reads the embedded file
	}
	return m
})

func parseProviders(text string) (map[string]string, error) {
	m := map[string]string{}
	for n, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		name, domains, ok := strings.Cut(line, ":")
		if !ok || len(strings.Fields(domains)) == 0 {
			return nil, fmt.Errorf("providers: line %d: want \"name: domain…\"", n+1)
		}
		for _, domain := range strings.Fields(domains) {
			if other, ok := m[domain]; ok {
				return nil, fmt.Errorf("providers: line %d: %s is already %s", n+1, domain, other)
			}
			m[domain] = name
		}
	}
	return m, nil
}

// Provider returns the operator of a relay host ("Google", "Microsoft"), or else the
// relay's registrable domain in lower case; "" for no relay. A port and a final dot are
// ignored. For an IP address it returns the address, for the path of a socket "".
func Provider(relay string) string {
	host := relayHost(relay)
	if host == "" || host[0] == '/' || host == "none" || strings.Contains(host, "/") {
		return ""
	}
	for domain := host; ; {
		if name, ok := providers()[domain]; ok {
			return name
		}
		dot := strings.IndexByte(domain, '.')
		if dot < 0 {
			break
		}
		domain = domain[dot+1:]
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String()
	}
	if domain := registrable(host); domain != "" {
		return domain
	}
	return host
}

// operators is the set of names in providers.txt.
var operators = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, name := range providers() {
		m[name] = true
	}
	return m
})

// Providers returns the names of all known operators, in alphabetical order.
func Providers() []string { return slices.Sorted(maps.Keys(operators())) }

// IsProvider reports whether name is a known operator, not a domain.
func IsProvider(name string) bool { return operators()[name] }

// relayHost removes brackets, port and the final dot from a relay.
func relayHost(relay string) string {
	host := strings.ToLower(strings.TrimSpace(relay))
	if strings.HasPrefix(host, "[") {
		host, _, _ = strings.Cut(host[1:], "]")
		return strings.TrimPrefix(host, "ipv6:")
	}
	host, _, _ = strings.Cut(host, "[")
	if strings.Count(host, ":") == 1 {
		host, _, _ = strings.Cut(host, ":")
	}
	return strings.TrimSuffix(host, ".")
}
