package report

import (
	"strings"

	"github.com/mattn/go-runewidth"

	"mailfail/templates"
)

// cells measures text in terminal cells, the same wherever it runs.
var cells = &runewidth.Condition{StrictEmojiNeutral: true}

// table lays out rows in columns.
type table struct {
	columns []column
	rows    []tableRow
}

type column struct {
	title string
	right bool // numbers
	flex  bool // gives way when there is not enough room
}

// tableRow is a row of cells, and lines below it.
type tableRow struct {
	cells []string
	below []string // indented; cut to the width
}

const (
	columnGap = 2
	minFlex   = 12
)

// render returns the table, no line wider than width unless the columns that
// do not give way need more.
func (t *table) render(width int) string {
	widths := t.widths(width)
	var b strings.Builder
	t.line(&b, widths, func(i int) string { return t.columns[i].title })
	for _, r := range t.rows {
		b.WriteByte('\n')
		t.line(&b, widths, func(i int) string { return r.cells[i] })
		for _, s := range r.below {
			b.WriteByte('\n')
			b.WriteString("    " + fit(s, width-4))
		}
	}
	return b.String()
}

func (t *table) widths(width int) []int {
	widths := make([]int, len(t.columns))
	total, flexible := (len(widths)-1)*columnGap, 0
	for i, c := range t.columns {
		widths[i] = cells.StringWidth(c.title)
		for _, r := range t.rows {
			widths[i] = max(widths[i], cells.StringWidth(r.cells[i]))
		}
		total += widths[i]
		if c.flex {
			flexible++
		}
	}
	for ; total > width && flexible > 0; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.flex && widths[i] > minFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *table) line(b *strings.Builder, widths []int, cell func(int) string) {
	var line strings.Builder
	for i, c := range t.columns {
		s := fit(cell(i), widths[i])
		space := strings.Repeat(" ", widths[i]-cells.StringWidth(s))
		if i > 0 {
			line.WriteString(strings.Repeat(" ", columnGap))
		}
		if c.right {
			s = space + s
		} else {
			s += space
		}
		line.WriteString(s)
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
}

// fit cuts s to a width.
func fit(s string, width int) string {
	if cells.StringWidth(s) <= width {
		return s
	}
	return cells.Truncate(s, max(width, 3), "...")
}

// safe makes a string from a log fit for a line of a report.
func safe(s string) string { return templates.Printable(s) }

// wrap breaks text at spaces into lines no wider than width, all indented. A
// word that does not fit stays whole.
func wrap(text string, indent, width int) string {
	space := strings.Repeat(" ", indent)
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
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
