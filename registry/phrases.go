package registry

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
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
	first [256][2]uint16                   // byte → range of the phrases that begin with it
	pairs [pairBytes * pairBytes][2]uint16 // two common bytes → range
	short bool                             // there are phrases of one byte
}

// pairBytes is how many bytes pairOf numbers: letters, digits and the blank,
// from 1; 0 stands for all others.
const pairBytes = 38

var pairOf = func() (of [256]uint8) {
	for i, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789 ") {
		of[c] = uint8(i + 1)
	}
	return of
}()

// phrase is one phrase with its ends.
type phrase struct {
	text    string
	index   uint16
	words   uint16 // how many it has
	openEnd bool   // may end within a word
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

// found is what of a list of phrases a text holds, and where.
type found struct {
	phraseSet
	hits [maxHits]hit
	n    int // how many hits there are; more than maxHits are not kept
}

// hit is a phrase in a text, with its first and last word. Words are counted
// from the beginning; a comma counts as some, and a new sentence begins far away.
type hit struct{ phrase, first, last uint16 }

// maxHits is more than a reply of a few lines has. sentenceWords is how far
// apart the subject of a sentence and what is said of it may stand.
const (
	maxHits       = 160
	nextSentence  = 64
	nextPart      = 3
	sentenceWords = 6
)

// near reports whether a phrase of each set stands in one sentence, with few
// words between them.
func (f *found) near(a, b *phraseSet) bool {
	for i, x := range f.hits[:f.n] {
		inA, inB := a.has(x.phrase), b.has(x.phrase)
		if !inA && !inB {
			continue
		}
		for _, y := range f.hits[i+1 : f.n] { // they are in the order of their first words
			if y.first > x.last+sentenceWords {
				break
			}
			if y.first > x.last && (inA && b.has(y.phrase) || inB && a.has(y.phrase)) {
				return true
			}
		}
	}
	return false
}

// newPhrases compiles a list of phrases.
func newPhrases(texts []string) (*phrases, error) {
	if len(texts) > maxPhrases {
		return nil, errors.New("too many phrases")
	}
	p := &phrases{}
	p.words.list = make([]phrase, 0, len(texts))
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
		for j := range ph.text {
			if isWordByte(ph.text[j]) && (j == 0 || !isWordByte(ph.text[j-1])) {
				ph.words++
			}
		}
		list.list = append(list.list, ph)
	}
	p.words.sort()
	p.open.sort()
	return p, nil
}

// inOrder returns phrases in the order of their texts. Most are told apart by their
// first bytes, compared as one number, and only those move while sorting: every start
// of the program waits for this.
func inOrder(list []phrase) []phrase {
	type place struct {
		head  uint64
		index int
	}
	places := make([]place, len(list))
	for i := range list {
		var head [8]byte
		copy(head[:], list[i].text)
		places[i] = place{binary.BigEndian.Uint64(head[:]), i}
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(list[a.index].text, list[b.index].text)
	})
	sorted := make([]phrase, len(list))
	for i, p := range places {
		sorted[i] = list[p.index]
	}
	return sorted
}

func (s *sortedPhrases) sort() {
	s.list = inOrder(s.list)
	for i := range s.list {
		r := &s.first[s.list[i].text[0]]
		if r[1] == 0 {
			r[0] = uint16(i)
		}
		r[1] = uint16(i + 1)
		s.short = s.short || len(s.list[i].text) == 1
		if pair := pairAt(s.list[i].text, 0); pair != 0 {
			r := &s.pairs[pair]
			if r[1] == 0 {
				r[0] = uint16(i)
			}
			r[1] = uint16(i + 1)
		}
	}
}

// pairAt returns the number of the two bytes at i, 0 unless both are common.
func pairAt[T string | []byte](text T, i int) int {
	if i+1 >= len(text) || pairOf[text[i]] == 0 || pairOf[text[i+1]] == 0 {
		return 0
	}
	return int(pairOf[text[i]])*pairBytes + int(pairOf[text[i+1]])
}

// find adds the phrases in text to f.
func (p *phrases) find(text []byte, f *found) {
	within, words := false, uint16(0)
	for i, c := range text {
		word := isWordByte(c)
		if word && !within {
			words++
			if i == 0 || text[i-1] != '{' { // what is masked is no word
				p.words.at(text, i, words, f)
			}
		} else if endsSentence(text, i) {
			words += nextSentence
		} else if c == ',' || c == '(' {
			words += nextPart
		}
		p.open.at(text, i, words, f)
		within = word
	}
}

// endsSentence reports whether a sentence ends at i. Three points are those that
// sendmail puts between an address and what is said of it.
func endsSentence(text []byte, i int) bool {
	c := text[i]
	return (c == '.' || c == ';' || c == '!') && i+1 < len(text) && text[i+1] == ' ' && (i == 0 || text[i-1] != '.')
}

// at adds the phrases that begin at start, in the word of that number.
func (s *sortedPhrases) at(text []byte, start int, word uint16, f *found) {
	r, n := s.first[text[start]], 1
	if r[1] == 0 {
		return
	}
	if pair := pairAt(text, start); pair != 0 && !s.short {
		r, n = s.pairs[pair], 2
	}
	for low, high := int(r[0]), int(r[1]); low < high; n++ {
		// All phrases in the range agree with the text so far, so that one of
		// n bytes is a hit, and is the first of them.
		for low < high && len(s.list[low].text) == n {
			if ph := &s.list[low]; ph.openEnd || start+n == len(text) || !isWordByte(text[start+n]) {
				f.add(ph.index)
				if f.n < maxHits {
					f.hits[f.n] = hit{ph.index, word, word + max(ph.words, 1) - 1}
					f.n++
				}
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

// appendFolded appends text in lower case, with Latin letters without their
// accents and typographic apostrophes as plain ones, so that phrases need one
// spelling.
func appendFolded(dst []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 0x80:
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			dst = append(dst, foldRune(r)...)
			i += n - 1
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

// folded returns a text as appendFolded does, itself where nothing changes.
func folded(text string) string {
	for i := range len(text) {
		if c := text[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return string(appendFolded(nil, text))
		}
	}
	return text
}

// foldedLatin are the letters from U+00C0 to U+017F without their accents.
const foldedLatin = "aaaaaaaceeeeiiiidnooooo×ouuuuyþsaaaaaaaceeeeiiiidnooooo÷ouuuuyþy" +
	"aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

// foldRune folds one letter that is not ASCII.
func foldRune(r rune) string {
	switch {
	case r == '’':
		return "'"
	case r == 'ß':
		return "ss"
	case r == 'ё' || r == 'Ё':
		return "е"
	case r >= 0xc0 && r < 0x180:
		return latinFolds()[r-0xc0]
	}
	return string(unicode.ToLower(r))
}

// latinFolds is foldedLatin, letter by letter.
var latinFolds = sync.OnceValue(func() []string { return strings.Split(foldedLatin, "") })
