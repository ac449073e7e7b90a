package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// phrases finds which of many phrases a text holds, in one pass over it.
// Phrases are lower case. A phrase stands for whole words: "full" is not found
// in "fully", unless it is written "full*"; "*full" is found in "overfull".
//
// They are a sorted list: from where a word begins, each further byte of the
// text narrows the range of phrases that begin so. That needs no tables to be
// built when the program starts, which costs more than most questions to it.
type phrases struct {
	words sortedPhrases // that begin where a word does
	open  sortedPhrases // that may begin within a word
}

// sortedPhrases are phrases in the order of their texts.
type sortedPhrases struct {
	list  []phrase
	first [256][2]uint16 // byte → range of the phrases that begin with it
}

// phrase is one phrase with its ends.
type phrase struct {
	text    string
	index   uint16
	openEnd bool // may end within a word
}

// maxPhrases and maxText bound what a search needs on the stack.
const (
	maxPhrases = 8192
	maxText    = 2048
)

// phraseSet is a set of phrases, by index.
type phraseSet [maxPhrases / 64]uint64

func (s *phraseSet) add(i uint16)      { s[i/64] |= 1 << (i % 64) }
func (s *phraseSet) has(i uint16) bool { return s[i/64]&(1<<(i%64)) != 0 }

// newPhrases compiles a list of phrases.
func newPhrases(texts []string) (*phrases, error) {
	if len(texts) > maxPhrases {
		return nil, errors.New("too many phrases")
	}
	p := &phrases{}
	for i, text := range texts {
		ph := phrase{text: text, index: uint16(i)}
		list := &p.words
		if rest, ok := strings.CutPrefix(ph.text, "*"); ok {
			ph.text, list = rest, &p.open
		}
		ph.text, ph.openEnd = strings.CutSuffix(ph.text, "*")
		if ph.text == "" || strings.Contains(ph.text, "*") {
			return nil, fmt.Errorf("phrase %q: want words, with * at most at the ends", text)
		}
		if !isWordByte(ph.text[0]) {
			list = &p.open
		}
		ph.openEnd = ph.openEnd || !isWordByte(ph.text[len(ph.text)-1])
		list.list = append(list.list, ph)
	}
	p.words.sort()
	p.open.sort()
	return p, nil
}

func (s *sortedPhrases) sort() {
	slices.SortFunc(s.list, func(a, b phrase) int { return strings.Compare(a.text, b.text) })
	for i := range s.list {
		r := &s.first[s.list[i].text[0]]
		if r[1] == 0 {
			r[0] = uint16(i)
		}
		r[1] = uint16(i + 1)
	}
}

// find adds the phrases in text to set.
func (p *phrases) find(text []byte, set *phraseSet) {
	within := false
	for i, c := range text {
		p.open.at(text, i, set)
		word := isWordByte(c)
		if word && !within {
			p.words.at(text, i, set)
		}
		within = word
	}
}

// at adds the phrases that begin at start.
func (s *sortedPhrases) at(text []byte, start int, set *phraseSet) {
	low, high := int(s.first[text[start]][0]), int(s.first[text[start]][1])
	for n := 1; low < high; n++ {
		// All phrases in the range agree with the text so far, so that one of
		// n bytes is a hit, and is the first of them.
		for low < high && len(s.list[low].text) == n {
			if ph := &s.list[low]; ph.openEnd || start+n == len(text) || !isWordByte(text[start+n]) {
				set.add(ph.index)
			}
			low++
		}
		if low == high || start+n == len(text) {
			return
		}
		low, high = s.narrow(low, high, n, text[start+n])
	}
}

// narrow returns the part of a range whose byte n is c.
func (s *sortedPhrases) narrow(low, high, n int, c byte) (int, int) {
	if s.list[low].text[n] == c && s.list[high-1].text[n] == c {
		return low, high
	}
	from, to := low, high
	for from < to { // the first that is not less
		if m := (from + to) / 2; s.list[m].text[n] < c {
			from = m + 1
		} else {
			to = m
		}
	}
	low, to = from, high
	for from < to { // the first that is more
		if m := (from + to) / 2; s.list[m].text[n] <= c {
			from = m + 1
		} else {
			to = m
		}
	}
	return low, from
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// appendFolded appends text with ASCII letters in lower case and typographic
// apostrophes as plain ones, so that phrases need one spelling.
func appendFolded(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == 0xe2 && i+2 < len(text) && text[i+1] == 0x80 && text[i+2] == 0x99:
			c = '\''
			i += 2
		}
		dst = append(dst, c)
	}
	return dst
}
