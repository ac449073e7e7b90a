package registry

import (
	_ "embed"
	"strings"
	"sync"
)

// suffixes holds the rules of publicsuffix.org (Mozilla Public License 2.0), sorted, one
// a line. They are those of golang.org/x/net/publicsuffix, which is not imported
// because it brings an HTTP client into every program that only reads logs.
//
//go:embed suffixes.txt
var suffixes string

// registrable returns the part of a host name that somebody registered: "example.co.uk"
// of "mx.example.co.uk". It returns "" for a public suffix, and for a name that has
// an empty label. host is in lower case.
func registrable(host string) string {
	if host == "" || host[0] == '.' || host[len(host)-1] == '.' || strings.Contains(host, "..") {
		return ""
	}
	rules := suffixRules()
	longer := "" // suffix with one more label
	for suffix := host; ; {
		_, parent, ok := strings.Cut(suffix, ".")
		switch {
		case rules.exceptions.has(suffix):
			return suffix
		case !ok, rules.plain.has(suffix), rules.wildcards.has(parent):
			return longer
		}
		longer, suffix = suffix, parent
	}
}

// suffixRules are the three kinds of suffixes; "!" and "*" sort before all names.
var suffixRules = sync.OnceValue(func() (r struct{ exceptions, wildcards, plain sortedLines }) {
	wild := strings.Index(suffixes, "\n*") + 1
	plain := strings.LastIndex(suffixes, "\n*") + 1
	plain += strings.IndexByte(suffixes[plain:], '\n') + 1
	r.exceptions = sortedLines{suffixes[:wild], len("!")}
	r.wildcards = sortedLines{suffixes[wild:plain], len("*.")}
	r.plain = sortedLines{suffixes[plain:], 0}
	return r
})

// sortedLines is a text of sorted lines, which begin with as many bytes that all share.
type sortedLines struct {
	text  string
	share int
}

// has reports whether there is a line with the rest line.
func (l sortedLines) has(line string) bool {
	for sorted := l.text; sorted != ""; {
		middle := strings.LastIndexByte(sorted[:len(sorted)/2], '\n') + 1
		found, after, _ := strings.Cut(sorted[middle:], "\n")
		switch strings.Compare(found[l.share:], line) {
		case 0:
			return true
		case -1:
			sorted = after
		default:
			sorted = sorted[:middle]
		}
	}
	return false
}
