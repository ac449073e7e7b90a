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

// phrases finds in one pass which phrases a text contains. Phrases are lower case. A
// phrase stands for whole words: "full" is not found in "fully", unless it is written
// "full*"; "*full" is found in "overfull".
//
// Phrases are a sorted list. One binary search finds the last phrase that does not sort
// after the text. Every phrase with which the text begins is that one, or a prefix of it.
// So the program builds no tables when it starts, which would cost more than most
// queries.
type phrases struct {
	words sortedPhrases // phrases that begin where a word does
	open  sortedPhrases // phrases that may begin within a word
}

// sortedPhrases are phrases sorted by their texts.
type sortedPhrases struct {
	list  []phrase
	heads []uint64                         // the first bytes of each, see headOf
	first [256][2]uint16                   // byte → range of the phrases that begin with it
	pairs [pairBytes * pairBytes][2]uint16 // two common bytes → range
	short bool                             // some phrases have one byte
}

// pairBytes is the number of byte classes in pairOf: letters, digits and the blank from
// 1; 0 stands for all others.
const pairBytes = 38

var pairOf = func() (of [256]uint8) {
	for i, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789 ") {
		of[c] = uint8(i + 1)
	}
	return of
}()

// phrase is one phrase and how it may end.
type phrase struct {
	text    string
	index   uint16
	words   uint16 // number of words
	shorter int16  // the longest other phrase that is a prefix of it, none -1
	openEnd bool   // may end within a word
}

// maxPhrases and maxText bound the memory that a search needs on the stack.
const (
	maxPhrases = 8192
	maxText    = 2048
)

// phraseSet is a set of phrases, by index.
type phraseSet [maxPhrases / 64]uint64

func (s *phraseSet) add(i uint16)      { s[i/64] |= 1 << (i % 64) }
func (s *phraseSet) has(i uint16) bool { return s[i/64]&(1<<(i%64)) != 0 }

// found holds the phrases that a text contains, and their positions.
type found struct {
	phraseSet
	hits [maxHits]hit
	n    int // number of hits; more than maxHits are not kept
}

// hit is a phrase in a text, with the numbers of its first and last word. Words are
// counted from the beginning of the text; a comma counts as several words, and the end of
// a sentence as many.
type hit struct{ phrase, first, last uint16 }

// maxHits is more than a reply of a few lines has. sentenceWords is how many words apart
// the subject of a sentence and its predicate may be.
const (
	maxHits       = 160
	nextSentence  = 64
	nextPart      = 3
	sentenceWords = 6
)

// near reports whether one sentence contains a phrase of each set, with few words between
// them.
func (f *found) near(a, b *phraseSet) bool {
	for i, x := range f.hits[:f.n] {
		inA, inB := a.has(x.phrase), b.has(x.phrase)
		if !inA && !inB {
			continue
		}
		for _, y := range f.hits[i+1 : f.n] { // hits are in the order of their first words
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

// headOf returns the first bytes of a text as a number with the same order.
func headOf[T string | []byte](text T) uint64 {
	if len(text) >= 8 {
		return uint64(text[0])<<56 | uint64(text[1])<<48 | uint64(text[2])<<40 | uint64(text[3])<<32 |
			uint64(text[4])<<24 | uint64(text[5])<<16 | uint64(text[6])<<8 | uint64(text[7])
	}
	var head [8]byte
	copy(head[:], text)
	return binary.BigEndian.Uint64(head[:])
}

// sort sorts the phrases by their texts. Most differ in their heads, and only the heads
// are moved while sorting: every start of the program waits for this.
func (s *sortedPhrases) sort() {
	type place struct {
		head  uint64
		index int
	}
	places := make([]place, len(s.list))
	for i := range s.list {
		places[i] = place{headOf(s.list[i].text), i}
	}
	slices.SortFunc(places, func(a, b place) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(s.list[a.index].text, s.list[b.index].text)
	})
	sorted := make([]phrase, len(s.list))
	s.heads = make([]uint64, len(s.list))
	for i, p := range places {
		sorted[i], s.heads[i] = s.list[p.index], p.head
	}
	s.list = sorted
	s.index()
}

// index notes the range of phrases for each first byte and pair, and which phrases are
// prefixes of others.
func (s *sortedPhrases) index() {
	before := int16(-1)
	for i := range s.list {
		text := s.list[i].text
		for before >= 0 && !s.begins(int(before), i) {
			before = s.list[before].shorter
		}
		s.list[i].shorter, before = before, int16(i)
		extend(&s.first[text[0]], i)
		s.short = s.short || len(text) == 1
		if len(text) > 1 {
			if pair := pairNumber(pairOf[text[0]], pairOf[text[1]]); pair != 0 {
				extend(&s.pairs[pair], i)
			}
		}
	}
}

// begins reports whether phrase j begins with phrase i.
func (s *sortedPhrases) begins(i, j int) bool {
	n, differ := len(s.list[i].text), s.heads[i]^s.heads[j]
	if n < 8 {
		return differ>>(64-8*n) == 0
	}
	return differ == 0 && strings.HasPrefix(s.list[j].text, s.list[i].text)
}

// extend adds i, which follows the range, to it.
func extend(r *[2]uint16, i int) {
	if r[1] == 0 {
		r[0] = uint16(i)
	}
	r[1] = uint16(i + 1)
}

// pairNumber returns the number of a pair of bytes, 0 unless pairOf numbers both.
func pairNumber(a, b uint8) int {
	if a == 0 || b == 0 {
		return 0
	}
	return int(a)*pairBytes + int(b)
}

// find adds the phrases in text to f.
func (p *phrases) find(text []byte, f *found) {
	within, words := false, uint16(0)
	for i, c := range text {
		pair, word := 0, isWordByte(c)
		if i+1 < len(text) {
			pair = pairNumber(pairOf[c], pairOf[text[i+1]])
		}
		if word && !within {
			words++
			masked := i > 0 && text[i-1] == '{' // a placeholder is not a word
			if r := p.words.beginning(c, pair); r[0] < r[1] && !masked {
				p.words.at(r, text[i:], words, f)
			}
		} else if endsSentence(text, i) {
			words += nextSentence
		} else if c == ',' || c == '(' {
			words += nextPart
		}
		if r := p.open.beginning(c, pair); r[0] < r[1] {
			p.open.at(r, text[i:], words, f)
		}
		within = word
	}
}

// endsSentence reports whether a sentence ends at i. Three points do not end one:
// sendmail puts them between an address and the text about it.
func endsSentence(text []byte, i int) bool {
	c := text[i]
	return (c == '.' || c == ';' || c == '!') && i+1 < len(text) && text[i+1] == ' ' &&
		(i == 0 || text[i-1] != '.')
}

// beginning returns the range of the phrases that begin with a pair of bytes, or with the
// first byte if the pair has no number.
func (s *sortedPhrases) beginning(c byte, pair int) [2]uint16 {
	if pair != 0 && !s.short {
		return s.pairs[pair]
	}
	return s.first[c]
}

// at adds to f the phrases of a range with which text begins. word is the number of the
// current word.
func (s *sortedPhrases) at(r [2]uint16, text []byte, word uint16, f *found) {
	for i := s.behind(r, text) - 1; i >= int(r[0]); i = int(s.list[i].shorter) {
		if ph := s.list[i].text; len(ph) <= len(text) && string(text[:len(ph)]) == ph {
			s.add(i, text, word, f)
			return
		}
	}
}

// behind returns the first phrase of a range that sorts after text.
func (s *sortedPhrases) behind(r [2]uint16, text []byte) int {
	low, high, head := int(r[0]), int(r[1]), headOf(text)
	for low < high {
		m := int(uint(low+high) / 2)
		after := s.heads[m] > head
		if s.heads[m] == head {
			ph := s.list[m].text
			after = ph > string(text[:min(len(ph), len(text))])
		}
		if after {
			high = m
		} else {
			low = m + 1
		}
	}
	return low
}

// add adds a phrase with which text begins, and the phrases that are prefixes of it,
// shortest first.
func (s *sortedPhrases) add(i int, text []byte, word uint16, f *found) {
	ph := &s.list[i]
	if ph.shorter >= 0 {
		s.add(int(ph.shorter), text, word, f)
	}
	if n := len(ph.text); !ph.openEnd && n < len(text) && isWordByte(text[n]) {
		return
	}
	f.phraseSet.add(ph.index)
	if f.n < maxHits {
		f.hits[f.n] = hit{ph.index, word, word + max(ph.words, 1) - 1}
		f.n++
	}
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// appendFolded appends text in lower case, with Latin letters without accents and with
// plain apostrophes, so that phrases need only one spelling.
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

// folded returns the text as appendFolded does, without a copy if nothing changes.
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
