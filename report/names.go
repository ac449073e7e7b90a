package report

import (
	"context"
	"fmt"
	"strings"

	"mailfail/registry"
	"mailfail/store"
)

// CheckNames returns an error when a filter names a domain, sender, provider, host or
// account that is in no line read so far: a typing error must not look like a time
// without mail.
func CheckNames(ctx context.Context, q store.Reader, f store.Filter) error {
	asked := store.Filter{Domains: f.Domains, Senders: f.Senders, Providers: f.Providers, Hosts: f.Hosts}
	if !asked.Any() {
		return checkAccounts(ctx, q, f.Accounts)
	}
	n, err := q.Numbers(ctx, store.Window{}, store.Filter{}, nil)
	if err != nil {
		return err
	}
	for _, list := range []struct {
		what   string
		names  []string
		groups []store.Group
		match  func(list []string, s string) bool
	}{
		{"domain", f.Domains, n.Domains, store.MatchDomain[string]},
		{"sender", f.Senders, n.Senders, store.MatchDomain[string]},
		{"provider", f.Providers, n.Providers, store.MatchName[string]},
		{"host", f.Hosts, n.Hosts, store.MatchName[string]},
	} {
		var known []string
		for _, g := range list.groups {
			known = append(known, g.Values[0].Raw())
		}
		for _, name := range list.names {
			if !matchesAny(name, known, list.match) {
				return unknownName(list.what, name, known)
			}
		}
	}
	return checkAccounts(ctx, q, f.Accounts)
}

// checkAccounts returns an error when an account never submitted anything.
func checkAccounts(ctx context.Context, q store.Reader, accounts []string) error {
	if len(accounts) == 0 {
		return nil
	}
	rows, err := q.Submissions(ctx, store.Window{}, store.Filter{})
	if err != nil {
		return err
	}
	var known []string
	for i := range rows {
		known = append(known, rows[i].Account.Raw())
	}
	for _, name := range accounts {
		if !matchesAny(name, known, store.MatchName[string]) {
			return unknownName("account", name, known)
		}
	}
	return nil
}

func matchesAny(pattern string, known []string, match func([]string, string) bool) bool {
	for _, k := range known {
		if match([]string{pattern}, k) {
			return true
		}
	}
	return false
}

func unknownName(what, name string, known []string) error {
	if near := Nearest(name, known); near != "" {
		return fmt.Errorf("no %s %q in these logs; did you mean %s?", what, registry.Foreign(name),
			registry.Foreign(near))
	}
	return fmt.Errorf("no %s %q in these logs", what, registry.Foreign(name))
}

// Unknown returns the error about a value that is not in known. It suggests the nearest
// known value, or lists them all. what names the kind of value, such as "reason".
func Unknown(what, value string, known []string) error {
	if near := Nearest(value, known); near != "" {
		return fmt.Errorf("unknown %s %q; did you mean %s?", what, registry.Foreign(value), near)
	}
	return fmt.Errorf("unknown %s %q; want one of %s", what, registry.Foreign(value),
		strings.Join(known, ", "))
}

// Nearest returns the known value that a word most likely means, "" when none is near
// enough.
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	best, least := "", min(max(1, len(word)/3)+1, len(word)) // at least one letter has to match
	for _, k := range known {
		if k == "" {
			continue
		}
		if d := distance(word, strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to change, add, leave out or exchange with their
// neighbour to turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
