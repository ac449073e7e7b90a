package registry

import (
	"bytes"
	"cmp"
	_ "embed"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:embed lexicon.txt
var lexiconText string

// lexicon is what words of other languages are in English, and rare English words in
// common ones. It knows no grammar: the rules ask which words stand close together, in any
// order.
type lexicon struct {
	entries map[uint16][]entry   // by the first bytes, longest first
	begin   [1 << 16 / 64]uint64 // the first bytes of entries, as numbers: most words have none
	signs   *strings.Replacer    // of languages that put no blanks between words
}

// entry is a word, or several in a row. A word that ends in "*" is the beginning of one.
type entry struct {
	words   []string
	english string
}

// letters returns the number of bytes of the first word that are given.
func (e *entry) letters() int { return len(strings.TrimSuffix(e.words[0], "*")) }

// firstSign is the first letter of the scripts that put no blanks between words. All of
// Latin, Greek and Cyrillic is before it.
const firstSign = '\u1100'

var defaultLexicon = sync.OnceValue(func() *lexicon { return parseLexicon(lexiconText) })

// parseLexicon reads "english: word | beginning* | several words" from each line.
func parseLexicon(text string) *lexicon {
	l := &lexicon{entries: map[uint16][]entry{}}
	var signs [][2]string
	for line := range strings.Lines(text) {
		english, list, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || line[0] == '#' {
			continue
		}
		for word := range strings.SplitSeq(list, "|") {
			word = strings.TrimSpace(word)
			if r, _ := utf8.DecodeRuneInString(word); r >= firstSign {
				signs = append(signs, [2]string{strings.TrimSuffix(word, "*"), " " + english + " "})
				continue
			}
			e := entry{strings.Fields(word), english}
			head := headOfEntry(word)
			l.entries[head] = append(l.entries[head], e)
			l.begin[head/64] |= 1 << (head % 64)
		}
	}
	for _, list := range l.entries {
		slices.SortStableFunc(list, func(a, b entry) int {
			return cmp.Or(len(b.words)-len(a.words), b.letters()-a.letters())
		})
	}
	slices.SortStableFunc(signs, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	var pairs []string
	for _, s := range signs {
		pairs = append(pairs, s[0], s[1])
	}
	l.signs = strings.NewReplacer(pairs...)
	return l
}

// translate returns a folded text with the words that the lexicon has in English, nil when
// it has none of them.
func (l *lexicon) translate(text []byte) []byte {
	if !l.mayKnow(text) {
		return nil
	}
	found := false
	if slices.ContainsFunc(text, isSign) {
		signs := []byte(l.signs.Replace(string(text)))
		found, text = !bytes.Equal(signs, text), signs
	}
	out := make([]byte, 0, 2*len(text))
	for i := 0; i < len(text); {
		n := wordEnd(text, i) - i
		if n == 0 || i > 0 && text[i-1] == '{' { // a placeholder is not a word
			n = max(n, 1)
		} else if english, length := l.lookup(text[i:]); length > 0 {
			out, found = append(out, english...), true
			i += length
			continue
		}
		out = append(out, text[i:i+n]...)
		i += n
	}
	if !found {
		return nil
	}
	return out
}

// mayKnow reports whether a word of the text begins as one of the lexicon does. It is all
// that most English texts cost.
func (l *lexicon) mayKnow(text []byte) bool {
	within := false
	for i, c := range text {
		switch {
		case isSign(c):
			return true
		case !isWordByte(c):
			within = false
		case !within:
			if l.begins(text[i:]) {
				return true
			}
			within = true
		}
	}
	return false
}

// isSign reports whether c begins a letter from U+1000 on.
func isSign(c byte) bool { return c > 0xe0 }

// begins reports whether an entry has the first two bytes of text.
func (l *lexicon) begins(text []byte) bool {
	if len(text) < 2 {
		return false
	}
	head := headOfEntry(text)
	return l.begin[head/64]&(1<<(head%64)) != 0
}

// headOfEntry returns the first two bytes of a text as a number. The words of an entry
// have blanks between them, those of a text may have an apostrophe.
func headOfEntry[T string | []byte](text T) uint16 {
	second := text[1]
	if second == '\'' {
		second = ' '
	}
	return uint16(text[0])<<8 | uint16(second)
}

// lookup returns the English of the longest entry with which text begins, and the length
// of what it stands for.
func (l *lexicon) lookup(text []byte) (english string, length int) {
	if !l.begins(text) {
		return "", 0
	}
	for _, e := range l.entries[headOfEntry(text)] {
		if length = e.begins(text); length > 0 {
			return e.english, length
		}
	}
	return "", 0
}

// begins returns the length of the words of text that are those of e, 0 if they are not.
func (e *entry) begins(text []byte) int {
	end := 0
	for i, word := range e.words {
		if i > 0 {
			if end == len(text) || text[end] != ' ' && text[end] != '\'' && text[end] != '-' {
				return 0
			}
			end++
		}
		next := wordEnd(text, end)
		stem, open := strings.CutSuffix(word, "*")
		if !bytes.HasPrefix(text[end:next], []byte(stem)) || !open && next-end != len(stem) {
			return 0
		}
		end = next
	}
	return end
}

// wordEnd returns the end of the word at i, i if there is none.
func wordEnd(text []byte, i int) int {
	for i < len(text) && isWordByte(text[i]) {
		i++
	}
	return i
}
