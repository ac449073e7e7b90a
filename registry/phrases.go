package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// phrases finds which of many phrases a text holds, all in one pass over it
// (Aho and Corasick 1975). Phrases are lower case. A phrase stands for whole
// words: "full" is not found in "fully", unless it is written "full*"; "*full"
// is found in "overfull".
type phrases struct {
	classes [256]uint8 // of bytes; 0 are those in no phrase
	width   int        // number of classes
	next    []uint16   // state × class → state
	hit     []uint16   // state → index of its phrase + 1
	suffix  []uint16   // state → the longest proper suffix that has a hit
	list    []phrase
}

// phrase is one phrase with its ends.
type phrase struct {
	length             int
	openStart, openEnd bool   // may begin or end within a word
	same               uint16 // index + 1 of another phrase of the same letters
}

// maxPhrases and maxText bound what a search needs on the stack.
const (
	maxPhrases = 4096
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
	p, letters := &phrases{width: 1}, 1
	for _, text := range texts {
		letters += len(text)
		for i := range len(text) {
			if c := text[i]; c != '*' && p.classes[c] == 0 {
				p.classes[c] = uint8(p.width)
				p.width++
			}
		}
	}
	p.next = make([]uint16, 0, letters*p.width) // more than is needed: beginnings are shared
	p.addState()
	for i, text := range texts {
		if err := p.insert(uint16(i), text); err != nil {
			return nil, err
		}
	}
	p.next = slices.Clone(p.next)
	p.link()
	return p, nil
}

func (p *phrases) addState() uint16 {
	p.next = p.next[:len(p.next)+p.width]
	p.hit = append(p.hit, 0)
	p.suffix = append(p.suffix, 0)
	return uint16(len(p.hit) - 1)
}

func (p *phrases) insert(index uint16, text string) error {
	var ph phrase
	if len(text) > 0 && text[0] == '*' {
		ph.openStart, text = true, text[1:]
	}
	if len(text) > 0 && text[len(text)-1] == '*' {
		ph.openEnd, text = true, text[:len(text)-1]
	}
	if text == "" || strings.Contains(text, "*") {
		return fmt.Errorf("phrase %q: want words, with * at most at the ends", text)
	}
	ph.length = len(text)
	ph.openStart = ph.openStart || !isWordByte(text[0])
	ph.openEnd = ph.openEnd || !isWordByte(text[len(text)-1])
	state := uint16(0)
	for i := range len(text) {
		at := int(state)*p.width + int(p.classes[text[i]])
		if p.next[at] == 0 {
			if len(p.hit) == 1<<16-1 {
				return errors.New("too many phrases")
			}
			n := p.addState()
			p.next[at] = n
		}
		state = p.next[at]
	}
	p.list = append(p.list, ph)
	p.list[index].same = p.hit[state]
	p.hit[state] = index + 1
	return nil
}

// link turns the tree of phrases into an automaton, level by level.
func (p *phrases) link() {
	fail := make([]uint16, len(p.hit))
	var queue []uint16
	for c := range p.width {
		if s := p.next[c]; s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		f := fail[s]
		if p.hit[f] != 0 {
			p.suffix[s] = f
		} else {
			p.suffix[s] = p.suffix[f]
		}
		for c := range p.width {
			at := int(s)*p.width + c
			to := p.next[int(f)*p.width+c]
			if n := p.next[at]; n != 0 {
				fail[n] = to
				queue = append(queue, n)
			} else {
				p.next[at] = to
			}
		}
	}
}

// find adds the phrases in text to set.
func (p *phrases) find(text []byte, set *phraseSet) {
	state := uint16(0)
	for i, c := range text {
		state = p.next[int(state)*p.width+int(p.classes[c])]
		s := state
		if p.hit[s] == 0 {
			s = p.suffix[s]
		}
		for s != 0 {
			for hit := p.hit[s]; hit != 0; hit = p.list[hit-1].same {
				if p.list[hit-1].bounded(text, i+1) {
					set.add(hit - 1)
				}
			}
			s = p.suffix[s]
		}
	}
}

// bounded reports whether the phrase that ends at end begins and ends where
// words do.
func (ph *phrase) bounded(text []byte, end int) bool {
	start := end - ph.length
	return (ph.openStart || start == 0 || !isWordByte(text[start-1])) &&
		(ph.openEnd || end == len(text) || !isWordByte(text[end]))
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
