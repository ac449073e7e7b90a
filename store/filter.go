package store

import (
	"fmt"
	"mailfail/registry"
	"slices"
	"strings"
)

// MTA returns the mail server that writes logs of a format. The name of a format is that of
// the server, with the kind of log behind a hyphen when there are several.
func MTA(format string) string {
	name, _, _ := strings.Cut(format, "-")
	return name
}

// Filter selects what is counted or listed: at least one entry of every list that is not
// empty must match. Case does not matter.
type Filter struct {
	Domains   []string // of the recipient; "*.example.org" for those below it
	Senders   []string // domains, likewise; "<>" for bounces
	Providers []string
	Hosts     []string
	MTAs      []string // or formats
	Codes     []string // "550", "5.1.1", "550 5.1.1", "5xx", "5.7.x", "none"
	Reasons   []string
	Accounts  []string // that submitted the message; deliveries are not counted by them

	// Directions are "outgoing", "local", "incoming", and "own" for messages that a server
	// made itself to report failures. Numbers leave those out unless they are asked for
	// here.
	Directions []string
}

// OwnDirection is the direction of messages that a server made itself to report
// failures.
const OwnDirection = "own"

// DirectionNames lists the values of Filter.Directions.
var DirectionNames = []string{registry.DirectionOutgoing.String(), registry.DirectionLocal.String(),
	registry.DirectionIncoming.String(), OwnDirection}

// OfCause reports whether f selects by code, reason or account, which are kept with
// failures alone.
func (f *Filter) OfCause() bool { return len(f.Codes)+len(f.Reasons)+len(f.Accounts) > 0 }

// MatchFormat reports whether f selects logs of a format.
func (f *Filter) MatchFormat(format string) bool {
	return MatchName(f.MTAs, MTA(format)) || MatchName(f.MTAs, format)
}

// MatchCause reports whether f selects failures with a code and a reason.
func (f *Filter) MatchCause(reply int, enhanced, reason string) bool {
	return MatchName(f.Reasons, reason) &&
		(len(f.Codes) == 0 || slices.ContainsFunc(f.Codes, func(p string) bool {
			return MatchCode(p, reply, enhanced)
		}))
}

// FilterList is a list of a Filter and the name of its flag.
type FilterList struct {
	Name string
	List *[]string
}

// Lists returns the lists of f.
func (f *Filter) Lists() []FilterList {
	return []FilterList{
		{"domain", &f.Domains}, {"sender", &f.Senders}, {"provider", &f.Providers}, {"host", &f.Hosts},
		{"direction", &f.Directions}, {"mta", &f.MTAs}, {"code", &f.Codes}, {"reason", &f.Reasons},
		{"account", &f.Accounts},
	}
}

// Any reports whether any list of f has an entry.
func (f *Filter) Any() bool {
	return f.OfCause() || len(f.Domains)+len(f.Senders)+len(f.Providers)+len(f.Hosts)+len(f.MTAs)+len(
		f.Directions) > 0
}

// MatchName reports whether a list of a Filter is empty or contains a name.
func MatchName[S ~string](list []string, s S) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool {
		return strings.EqualFold(p, registry.Foreign(s).Raw())
	})
}

// MatchDomain reports whether a list of a Filter is empty or one of its
// patterns matches a domain.
func MatchDomain[S ~string](list []string, s S) bool {
	name := registry.Foreign(s).Raw()
	return len(list) == 0 || slices.ContainsFunc(list, func(p string) bool {
		if parent, ok := strings.CutPrefix(p, "*."); ok {
			n := len(name) - len(parent) - 1
			return n > 0 && name[n] == '.' && strings.EqualFold(name[n+1:], parent)
		}
		return strings.EqualFold(p, name)
	})
}

// MatchCode reports whether a pattern of Filter.Codes matches a code.
func MatchCode(pattern string, reply int, enhanced string) bool {
	p := strings.ToLower(pattern)
	if p == "none" || p == "" {
		return reply == 0 && enhanced == ""
	}
	for _, part := range strings.FieldsFunc(p, func(r rune) bool { return r == ' ' || r == '-' }) {
		have := fmt.Sprint(reply)
		if strings.Contains(part, ".") {
			have = enhanced
		}
		if !matchPattern(part, have) {
			return false
		}
	}
	return true
}

// matchPattern compares a reply code or an enhanced code with a pattern, in
// which x or * stands for any digit of the one and any number of the other.
func matchPattern(pattern, s string) bool {
	if !strings.Contains(pattern, ".") {
		return slices.EqualFunc([]byte(pattern), []byte(s), func(p, c byte) bool {
			return p == c || p == 'x' || p == '*'
		})
	}
	return slices.EqualFunc(strings.Split(pattern, "."), strings.Split(s, "."), func(p, n string) bool {
		return p == n || p == "x" || p == "*"
	})
}

// CheckCode returns an error if pattern is not a valid entry of Filter.Codes.
func CheckCode(pattern string) error {
	if strings.EqualFold(pattern, "none") {
		return nil
	}
	parts := strings.FieldsFunc(pattern, func(r rune) bool { return r == ' ' || r == '-' })
	ok := len(parts) == 1 || len(parts) == 2 && !strings.Contains(parts[0], ".") &&
		strings.Contains(parts[1], ".")
	for _, p := range parts {
		numbers := strings.Split(p, ".")
		ok = ok && (len(numbers) == 3 || len(numbers) == 1 && len(p) == 3)
		for _, n := range numbers {
			ok = ok && n != "" && len(n) <= 3 && strings.Trim(strings.ToLower(n), "0123456789x*") == ""
			// In an enhanced code x is the whole of a number: 5.7.2x would match nothing.
			ok = ok && (len(numbers) == 1 || len(n) == 1 || strings.Trim(n, "0123456789") == "")
		}
	}
	if !ok {
		return fmt.Errorf("no code: %q (try 550, 5.1.1, \"550 5.1.1\", 5xx, 5.7.x or none)", pattern)
	}
	return nil
}

// Match reports whether f selects an event. A delivery has no code and no reason: Match
// ignores those lists for it.
func (f *Filter) Match(e *Event) bool {
	return MatchDomain(f.Domains, e.Domain) &&
		MatchName(f.Providers, e.Provider) &&
		MatchName(f.Hosts, e.Host) &&
		MatchName(f.Directions, e.Direction) &&
		MatchName(f.Accounts, e.Account) &&
		(MatchName(f.MTAs, e.MTA) || MatchName(f.MTAs, e.Format)) &&
		(len(f.Senders) == 0 || MatchDomain(f.Senders, e.SenderDomain())) &&
		(e.Outcome == "delivered" || !f.OfCause() || f.MatchCause(e.Reply, e.Enhanced, e.Reason))
}
