package registry

import (
	_ "embed"
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
)

// suffixes contains the rules of publicsuffix.org (Mozilla Public License 2.0), sorted,
// one a line. They are those of golang.org/x/net/publicsuffix, which is not imported
// because it brings an HTTP client into every program that only reads logs.
//
//go:embed suffixes.txt
var suffixes string

// registrable returns the registered part of a host name: "example.co.uk" for
// "mx.example.co.uk". It returns "" for a public suffix, and for a name with an empty
// label. host must be in lower case.
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
var suffixRules = sync.OnceValue(func() (r struct{ exceptions, wildcards, plain lineSet }) {
	wild := strings.Index(suffixes, "\n*") + 1
	plain := strings.LastIndex(suffixes, "\n*") + 1
	plain += strings.IndexByte(suffixes[plain:], '\n') + 1
	r.exceptions = newLineSet(suffixes[:wild], len("!"))
	r.wildcards = newLineSet(suffixes[wild:plain], len("*."))
	r.plain = newLineSet(suffixes[plain:], 0)
	return r
})

// lineSet finds lines of a text, all of which begin with the same number of bytes that
// are ignored. Building the table of all suffixes takes 2.6 million instructions, once; a
// binary search in the text took 16,000 more for each relay.
type lineSet struct {
	text  string
	seed  maphash.Seed
	slots []uint32 // by hash: offset of a line after its ignored bytes, 0 none
}

func newLineSet(text string, share int) lineSet {
	lines := strings.Count(text, "\n")
	// The text begins with a newline, so that no line begins at 0.
	l := lineSet{"\n" + text, maphash.MakeSeed(), make([]uint32, 1<<bits.Len(uint(2*lines)))}
	for at := 1; at < len(l.text); {
		line, _, _ := strings.Cut(l.text[at+share:], "\n")
		*l.slot(line) = uint32(at + share)
		at += share + len(line) + 1
	}
	return l
}

// slot returns the slot of a line in the table, or the free one where it belongs.
func (l *lineSet) slot(line string) *uint32 {
	for i := maphash.String(l.seed, line); ; i++ {
		slot := &l.slots[i%uint64(len(l.slots))]
		if *slot == 0 || strings.HasPrefix(l.text[*slot:], line) &&
			strings.IndexByte(line, '\n') < 0 && l.text[int(*slot)+len(line)] == '\n' {
			return slot
		}
	}
}

// has reports whether the set contains a line, given without its ignored bytes.
func (l *lineSet) has(line string) bool { return *l.slot(line) != 0 }
