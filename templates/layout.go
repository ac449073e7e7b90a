package templates

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// cells measures text in terminal cells, the same wherever it runs.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// Width returns how many cells of a terminal s takes.
func Width(s string) int { return cells.StringWidth(s) }

// Fit cuts s to a width, with "..." in the place of the rest.
func Fit(s string, width int) string {
	if cells.StringWidth(s) <= width {
		return s
	}
	return cells.Truncate(s, max(width, 3), "...")
}

// Middle cuts s to a width in its middle, so that both ends of an address, a
// domain or an id stay readable.
func Middle(s string, width int) string {
	if cells.StringWidth(s) <= width {
		return s
	}
	width = max(width, 3)
	runes := []rune(s)
	head, tail := 0, len(runes)
	for used, back := 1, false; head < tail; back = !back {
		r := runes[head]
		if back {
			r = runes[tail-1]
		}
		if used += cells.RuneWidth(r); used > width {
			break
		}
		if back {
			tail--
		} else {
			head++
		}
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

// Wrap breaks text at spaces into lines no wider than width, all indented. A
// word that does not fit stays whole, so that it can be copied; a number and the
// "%" behind it stay on one line.
func Wrap(text string, indent, width int) string {
	space := strings.Repeat(" ", indent)
	var b strings.Builder
	used := 0
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		word := words[i]
		if i+1 < len(words) && strings.HasPrefix(words[i+1], "%") {
			i++
			word += " " + words[i]
		}
		n := cells.StringWidth(word)
		switch {
		case used == 0:
			b.WriteString(space)
			used = indent
		case used+1+n > width:
			b.WriteString("\n" + space)
			used = indent
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
}

// Count formats a number with commas between thousands.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := len(s) % 3
	if n < 0 {
		start = 1 + (len(s)-1)%3
	}
	b := []byte(s[:start])
	for i := start; i < len(s); i += 3 {
		if len(b) > 0 && b[len(b)-1] != '-' {
			b = append(b, ',')
		}
		b = append(b, s[i:i+3]...)
	}
	return string(b)
}

// Size formats a number of bytes.
func Size(n int64) string {
	const k = 1000
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	v, unit := float64(n), 0
	for v >= k-0.5 && unit < len(units)-1 {
		v, unit = v/k, unit+1
	}
	if unit == 0 || v >= 99.95 {
		return fmt.Sprintf("%.0f %s", v, units[unit])
	}
	return fmt.Sprintf("%.1f %s", v, units[unit])
}

// Percent formats a share. Only the whole is 100%, and only nothing is 0%.
func Percent(n, of int64) string {
	if of == 0 {
		return "-"
	}
	p := 1000 * float64(n) / float64(of)
	switch {
	case n == of:
		return "100%"
	case n == 0:
		return "0%"
	case p < 0.5:
		return "<0.1%"
	case p >= 999.5:
		return ">99.9%"
	}
	return fmt.Sprintf("%.1f%%", p/10)
}

// Plural returns word for one, and its plural for any other number.
func Plural(n int64, word string) string {
	switch {
	case n == 1:
		return word
	case strings.HasSuffix(word, "ss"):
		return word + "es"
	case strings.HasSuffix(word, "y") && !strings.HasSuffix(word, "ay"):
		return word[:len(word)-1] + "ies"
	}
	return word + "s"
}

// Table lays out rows in columns.
type Table struct {
	Columns []Column
	Rows    []TableRow
}

// Column is a column of a Table.
type Column struct {
	Title string
	Right bool // numbers
	Flex  bool // gives way when there is not enough room: wraps into the line below
	Name  bool // gives way after those, and is cut in its middle
}

// TableRow is a row of cells, and lines below it.
type TableRow struct {
	Cells []string
	Below []string // indented; cut to the width
}

const (
	columnGap = 2
	goodFlex  = 22 // width that such a column keeps while another is wider
	goodName  = 32 // the same for names, which people copy
	minFlex   = 12
)

// Render returns the table, no line wider than width unless the columns that
// do not give way need more.
func (t *Table) Render(width int) string {
	widths := t.widths(width)
	var b strings.Builder
	if t.titled() {
		t.line(&b, widths, func(i int) string { return t.Columns[i].Title })
		b.WriteByte('\n')
	}
	for i, r := range t.Rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		t.row(&b, widths, r.Cells)
		for _, s := range r.Below {
			b.WriteByte('\n')
			b.WriteString("    " + Fit(s, width-4))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// titled reports whether a column has a title.
func (t *Table) titled() bool {
	for _, c := range t.Columns {
		if c.Title != "" {
			return true
		}
	}
	return false
}

func (t *Table) widths(width int) []int {
	widths := make([]int, len(t.Columns))
	total := (len(widths) - 1) * columnGap
	for i, c := range t.Columns {
		widths[i] = cells.StringWidth(c.Title)
		for _, r := range t.Rows {
			widths[i] = max(widths[i], cells.StringWidth(r.Cells[i]))
		}
		total += widths[i]
	}
	flex, name := func(c *Column) bool { return c.Flex }, func(c *Column) bool { return c.Name }
	total = t.shrink(widths, total, width, goodFlex, flex)
	total = t.shrink(widths, total, width, goodName, name)
	total = t.shrink(widths, total, width, minFlex, flex)
	t.shrink(widths, total, width, minFlex, name)
	return widths
}

// shrink narrows the widest of some columns until the table fits.
func (t *Table) shrink(widths []int, total, width, least int, may func(*Column) bool) int {
	for ; total > width; total-- {
		widest := -1
		for i := range t.Columns {
			if may(&t.Columns[i]) && widths[i] > least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return total
}

// row writes cells; cells that have to wrap take several lines.
func (t *Table) row(b *strings.Builder, widths []int, row []string) {
	lines, most := make([][]string, len(row)), 1
	for i, s := range row {
		lines[i] = t.Columns[i].lines(s, widths[i])
		most = max(most, len(lines[i]))
	}
	for n := range most {
		if n > 0 {
			b.WriteByte('\n')
		}
		t.line(b, widths, func(i int) string {
			if n < len(lines[i]) {
				return lines[i][n]
			}
			return ""
		})
	}
}

// lines returns a cell as lines no wider than width. Numbers are never cut.
func (c *Column) lines(s string, width int) []string {
	switch {
	case cells.StringWidth(s) <= width:
		return []string{s}
	case c.Name:
		return []string{Middle(s, width)}
	}
	lines := strings.Split(Wrap(s, 0, width), "\n")
	for i := range lines {
		lines[i] = Fit(lines[i], width)
	}
	return lines
}

func (t *Table) line(b *strings.Builder, widths []int, cell func(int) string) {
	var line strings.Builder
	for i, c := range t.Columns {
		s := Fit(cell(i), widths[i])
		space := strings.Repeat(" ", widths[i]-cells.StringWidth(s))
		if i > 0 {
			line.WriteString(strings.Repeat(" ", columnGap))
		}
		if c.Right {
			s = space + s
		} else {
			s += space
		}
		line.WriteString(s)
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
}

// Spark draws numbers as a line of characters, the highest of them full; "" when all
// are zero. Every mail program and font shows plain letters.
func Spark(values []int64) string {
	var most int64
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		return ""
	}
	const bars = ".:-=+*#@"
	s := make([]byte, len(values))
	for i, v := range values {
		s[i] = ' '
		if v > 0 {
			s[i] = bars[(v*int64(len(bars))-1)/most]
		}
	}
	return string(s)
}
