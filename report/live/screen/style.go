package screen

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"mailfail/templates"
)

// Look is what the terminal can show. No information is in colour alone.
type Look struct {
	Color   bool // obeys NO_COLOR
	Unicode bool // the locale is UTF-8; otherwise nothing but ASCII is written
}

// Styles, as parameters of the SGR control (ECMA-48 section 8.3.117). Colours
// are of the terminal's own palette, so that they fit its background.
const (
	plain   = ""
	bold    = "1"
	dim     = "2"
	reverse = "7"
	alarm   = "1;7"
	red     = "1;31"
	yellow  = "33"
	cyan    = "36"
)

func (l Look) style(style, s string) string {
	if !l.Color && (style == red || style == alarm) {
		style = bold
	}
	if style == plain || !l.Color && style != bold && style != reverse && style != dim {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

// widths counts ambiguous characters as narrow, as most terminals do.
var widths = &runewidth.Condition{}

// maxMarks is how many combining marks one character may carry. No living script has
// more, and a pile of them would cover the lines around.
const maxMarks = 2

// text makes s, which may come from a stranger, fit for n columns: it cuts off the
// rest, with a mark. The result is never wider.
func (l Look) text(s string, n int) string {
	s, _ = l.cut(s, n)
	return s
}

// cut is text, and also returns how many columns the result takes.
func (l Look) cut(s string, n int) (string, int) {
	// A rune has at most 4 bytes and may be followed by marks. Later bytes are not
	// read, so that the cost of a line does not grow with s.
	cutOff := len(s) > 16*n+16
	if cutOff {
		s = strings.ToValidUTF8(s[:16*n+16], "")
	}
	s = templates.Printable(s)
	var b strings.Builder
	used, marks, kept, keptWidth := 0, 0, 0, 0
	for _, r := range s {
		if !l.Unicode && r >= utf8.RuneSelf {
			r = '?'
		}
		w := widths.RuneWidth(r)
		if w == 0 {
			if marks++; marks > maxMarks || used == 0 {
				continue
			}
		} else {
			marks = 0
		}
		if used+w > n {
			cutOff = true
			break
		}
		b.WriteRune(r)
		used += w
		if used <= n-1 {
			kept, keptWidth = b.Len(), used
		}
	}
	if !cutOff {
		return b.String(), used
	}
	if n <= 0 {
		return "", 0
	}
	return b.String()[:kept] + l.glyph("…", "~"), keptWidth + 1
}

func (l Look) glyph(unicode, ascii string) string {
	if l.Unicode {
		return unicode
	}
	return ascii
}

// left pads or cuts s to n columns.
func (l Look) left(s string, n int) string {
	s, used := l.cut(s, n)
	return s + strings.Repeat(" ", max(0, n-used))
}

// wrap breaks s into lines of n columns, at blanks where it can. It measures only as
// many bytes as a line can have: widths are measured by grapheme, and measuring the
// rest of a 64 kB word of zero-width characters for every line takes 40 s.
func (l Look) wrap(s string, n int) []string {
	n = max(n, 8)
	var lines []string
	for _, word := range strings.Fields(l.text(s, len(s)*len(`\x00`)+1)) {
		for {
			last, most := len(lines)-1, n*bytesPerColumn
			if last >= 0 && len(lines[last])+len(word) < most && l.width(lines[last])+1+l.width(word) <= n {
				lines[last] += " " + word
				break
			}
			head := word
			if len(head) > most {
				for most > 0 && !utf8.RuneStart(head[most]) {
					most--
				}
				head = head[:most]
			}
			head = widths.Truncate(head, n, "")
			lines = append(lines, head)
			if word = word[len(head):]; word == "" || head == "" {
				break
			}
		}
	}
	return lines
}

// bytesPerColumn is how many bytes a column may have.
const bytesPerColumn = 16

func (l Look) width(s string) int { return widths.StringWidth(s) }

var blocks = [2][]rune{[]rune(" .:-=+*#"), []rune(" ▁▂▃▄▅▆▇█")}

// spark draws numbers as a line of bars; the highest bar is full.
func (l Look) spark(n []uint64) string {
	bars := blocks[0]
	if l.Unicode {
		bars = blocks[1]
	}
	var highest uint64
	for _, v := range n {
		highest = max(highest, v)
	}
	s := make([]rune, len(n))
	for i, v := range n {
		s[i] = bars[0]
		if v > 0 {
			s[i] = bars[1+int(float64(v)/float64(highest)*float64(len(bars)-2)+0.5)]
		}
	}
	return string(s)
}

// count writes a number in at most 6 columns.
func count(n uint64) string {
	switch {
	case n < 100_000:
		return fmt.Sprint(n)
	case n < 10_000_000:
		return fmt.Sprintf("%dk", n/1000)
	case n < 10_000_000_000:
		return fmt.Sprintf("%dM", n/1_000_000)
	}
	return fmt.Sprintf("%dG", n/1_000_000_000)
}

// rate writes a number per minute.
func rate(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f < 0.1:
		return "<0.1"
	case f < 10:
		return fmt.Sprintf("%.1f", f)
	}
	return count(uint64(math.Round(f)))
}

func percent(f float64) string {
	switch {
	case f == 0:
		return "0%"
	case f < 0.001:
		return "<0.1%"
	case f < 0.0995:
		return fmt.Sprintf("%.1f%%", 100*f)
	case f < 1 && f >= 0.995:
		return "99%"
	}
	return fmt.Sprintf("%.0f%%", 100*f)
}

// span describes a duration in words.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
