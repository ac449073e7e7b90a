package registry

import (
	_ "embed"
	"strings"
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
	longer := "" // suffix with one more label
	for suffix := host; ; {
		_, parent, ok := strings.Cut(suffix, ".")
		switch {
		case hasLine(suffixes, "!"+suffix):
			return suffix
		case !ok, hasLine(suffixes, suffix), hasLine(suffixes, "*."+parent):
			return longer
		}
		longer, suffix = suffix, parent
	}
}

// hasLine reports whether a text of sorted lines contains line.
func hasLine(sorted, line string) bool {
	for sorted != "" {
		middle := strings.LastIndexByte(sorted[:len(sorted)/2], '\n') + 1
		found, after, _ := strings.Cut(sorted[middle:], "\n")
		switch strings.Compare(found, line) {
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
