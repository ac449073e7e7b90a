package live

import (
	"fmt"
	"slices"
	"strings"

	"mailfail/registry"
	"mailfail/report"
	"mailfail/store"
)

// FilterKeys are the keys of conditions, named as the flags.
var FilterKeys = []string{"provider", "domain", "code", "reason", "sender", "host", "mta", "account"}

// Counted splits a filter into the conditions that Stats count by, and the rest. The
// rest needs separate Stats, which count only the events that pass it.
func Counted(f store.Filter) (counted, rest store.Filter) {
	rest = f
	for i := range Dimensions {
		key := string(Dimensions[i])
		*FilterList(&counted, key), *FilterList(&rest, key) = *FilterList(&f, key), nil
	}
	return counted, rest
}

// Words splits a typed text at blanks. A part in double quotes keeps its blanks:
// code="550 5.1.1".
func Words(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, begun := false, false
	for _, r := range s {
		switch {
		case r == '"':
			quoted, begun = !quoted, true
		case (r == ' ' || r == '\t' || r == '\n') && !quoted:
			if begun {
				words = append(words, word.String())
				word.Reset()
				begun = false
			}
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("cannot read %q: the closing quote is missing", s)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// AddCondition adds a condition KEY=VALUE to a filter, with one of keys. The same key
// twice accepts either of the values.
func AddCondition(f *store.Filter, word string, keys []string) error {
	key, value, found := strings.Cut(word, "=")
	list := FilterList(f, key)
	if !found || list == nil || !slices.Contains(keys, key) {
		return fmt.Errorf("%q is not a condition; want KEY=VALUE with one of %s", word,
			strings.Join(keys, ", "))
	}
	switch key {
	case "code":
		if err := store.CheckCode(value); err != nil {
			return err
		}
	case "reason":
		if err := checkReason(value); err != nil {
			return err
		}
	}
	if !slices.Contains(*list, value) {
		*list = append(slices.Clip(*list), value)
	}
	return nil
}

// checkReason returns an error for a name that is not a reason.
func checkReason(name string) error {
	known := registry.ReasonNames()
	if slices.Contains(known, strings.ToLower(name)) {
		return nil
	}
	if near := report.Nearest(name, known); near != "" {
		return fmt.Errorf("unknown reason %q; did you mean %s?", name, near)
	}
	return fmt.Errorf("unknown reason %q: mailfail codes --kind reason lists them", name)
}

// FilterList returns the list of a filter with a key of FilterKeys, nil for
// another key.
func FilterList(f *store.Filter, key string) *[]string {
	switch key {
	case "provider":
		return &f.Providers
	case "domain":
		return &f.Domains
	case "code":
		return &f.Codes
	case "reason":
		return &f.Reasons
	case "sender":
		return &f.Senders
	case "host":
		return &f.Hosts
	case "mta":
		return &f.MTAs
	case "account":
		return &f.Accounts
	}
	return nil
}

// FormatFilter writes a filter in the form that AddCondition reads.
func FormatFilter(f store.Filter) string {
	var words []string
	for _, key := range FilterKeys {
		for _, v := range *FilterList(&f, key) {
			if strings.ContainsAny(v, " \t") || v == "" {
				v = `"` + v + `"`
			}
			words = append(words, key+"="+v)
		}
	}
	return strings.Join(words, " ")
}
