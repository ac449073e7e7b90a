package registry

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed tags.txt
var tagsText string

//go:embed pages.txt
var pagesText string

// Tag is a code that an operator puts into its replies in addition to the standard ones,
// such as Yahoo's TSS04 or Exchange Online's AS(42003).
type Tag struct {
	Pattern string // as in tags.txt, "@" for digits
	Vendor  string
	Reason  Reason // "" when the tag alone does not determine it
	Meaning string
	Action  string // "": the action of the reason
}

var tags = sync.OnceValue(func() []Tag {
	list, err := parseTags(tagsText)
	if err != nil {
		panic(err) // a test reads the embedded file
	}
	return list
})

func parseTags(text string) ([]Tag, error) {
	blocks, err := parseBlocks(text)
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	var list []Tag
	for _, b := range blocks {
		t := Tag{
			Pattern: b.name,
			Vendor:  b.get("vendor"),
			Reason:  Reason(b.get("reason")),
			Meaning: b.get("what"),
			Action:  b.get("action"),
		}
		_, ok := reasonTable()[t.Reason]
		if b.kind != "tag" || t.Vendor == "" || t.Meaning == "" || !ok && t.Reason != "" {
			return nil, fmt.Errorf("tags: line %d: want a tag with vendor, what, and a reason if any",
				b.line)
		}
		list = append(list, t)
	}
	return list, nil
}

// LookupTag returns the operator's tag that matches word, or nil. It ignores case and
// brackets around the word.
func LookupTag(word string) *Tag {
	word = strings.Trim(strings.ToUpper(word), " []<>\"'.,;:")
	for _, w := range [...]string{word, strings.TrimSuffix(strings.TrimPrefix(word, "("), ")")} {
		if t := lookupTag(w); t != nil {
			return t
		}
	}
	return nil
}

// lookupTag prefers an equal tag to a pattern that matches.
func lookupTag(word string) *Tag {
	list := tags()
	for i := range list {
		if list[i].Pattern == word {
			return &list[i]
		}
	}
	for i := range list {
		if matchTag(list[i].Pattern, word) {
			return &list[i]
		}
	}
	return nil
}

// FoundTag is a tag with the word of the text that matches it.
type FoundTag struct {
	*Tag
	Word string
}

// FindTags returns the tags in a reply, each once, in the order of the text. It looks up
// only words that look like a tag, with capitals and digits.
func FindTags(text string) []FoundTag {
	var list []FoundTag
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return strings.ContainsRune(" \t[]<>;,\"'", r)
	}) {
		if i := strings.LastIndexByte(word, '#'); i >= 0 && strings.Contains(word[:i], "://") {
			word = word[i+1:]
		}
		word = strings.TrimRight(word, ".:")
		if len(word) < 4 || len(word) > 24 || word != strings.ToUpper(word) &&
			!strings.HasPrefix(word, "ofr_") {
			continue
		}
		t := LookupTag(word)
		known := t == nil
		for _, other := range list {
			known = known || other.Tag == t
		}
		if !known {
			list = append(list, FoundTag{t, word})
		}
	}
	return list
}

// matchTag reports whether word matches the pattern, in which "@" stands for digits.
func matchTag(pattern, word string) bool {
	for ; pattern != ""; pattern = pattern[1:] {
		n := 1
		if pattern[0] == '@' {
			for n = 0; n < len(word) && kinds[word[n]] == isDigit; {
				n++
			}
		} else if word == "" || word[0] != pattern[0] {
			return false
		}
		if n == 0 {
			return false
		}
		word = word[n:]
	}
	return word == ""
}

var pages = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(pagesText) {
		if name, page, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && line[0] != '#' {
			m[name] = page
		}
	}
	return m
})

// Page returns the URL at which a provider, or the owner of a DNS list, explains its
// replies; "" if none is known.
func Page(name string) string {
	if page, ok := pages()[name]; ok {
		return page
	}
	for domain := strings.ToLower(name); domain != ""; {
		if page, ok := pages()[domain]; ok {
			return page
		}
		_, rest, ok := strings.Cut(domain, ".")
		if !ok {
			return ""
		}
		domain = rest
	}
	return ""
}
