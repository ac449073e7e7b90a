package report

import (
	"fmt"
	"io"
	"strings"

	"mailfail/templates"
)

// TextOptions describe the form of a text report.
type TextOptions struct {
	Width int  // in cells; 0: 80
	Color bool // headings stand out
}

// The least and greatest width of a text report.
const (
	minWidth = 60
	maxWidth = 200
)

// WriteText writes the view for people to read on a terminal or in a mail.
func (v *View) WriteText(w io.Writer, opt TextOptions) error {
	if opt.Width == 0 {
		opt.Width = 80
	}
	t := &texter{color: opt.Color, width: min(max(opt.Width, minWidth), maxWidth)}
	t.view(v)
	_, err := io.WriteString(w, t.b.String())
	return err
}

// texter renders a view as text.
type texter struct {
	b     strings.Builder
	color bool
	width int
}

func (t *texter) line(s string) { t.b.WriteString(s + "\n") }

func (t *texter) para(text templates.Text, indent int) {
	if len(text) > 0 {
		t.line(templates.Wrap(text.String(), indent, t.width))
	}
}

func (t *texter) bold(s string) string {
	if t.color {
		return "\x1b[1m" + s + "\x1b[0m"
	}
	return s
}

func (t *texter) heading(s string) {
	t.line("\n" + t.bold(s))
	if !t.color {
		t.line(strings.Repeat("-", min(templates.Width(s), t.width)))
	}
}

func (t *texter) view(v *View) {
	t.line(t.bold(templates.Fit(v.Title.String(), t.width)))
	t.para(v.Verdict, 0)
	t.para(v.Only, 0)
	for _, n := range v.Notes {
		t.b.WriteByte('\n')
		t.para(templates.Say("Note: %v", n), 0)
	}
	for i := range v.Sections {
		t.section(&v.Sections[i])
	}
}

func (t *texter) section(s *Section) {
	if s.Title != "" && s.ID != "figures" {
		t.heading(s.Title)
	} else {
		t.b.WriteByte('\n')
	}
	for _, p := range s.Text {
		t.para(p, 0)
	}
	for i := range s.Problems {
		t.problem(i+1, &s.Problems[i])
	}
	if s.Chart != nil {
		t.chart(s.Chart)
	}
	if s.Table != nil {
		t.line(t.table(s.Table))
	}
	if s.See == "" {
		t.para(s.More, 0)
	} else {
		t.line(t.command(s.More.String()+" ", s.See))
	}
}

func (t *texter) problem(n int, p *Problem) {
	title := templates.Wrap(fmt.Sprintf("%d. %s", n, p.Title), 3, t.width)
	t.line(t.bold(strings.TrimPrefix(title, "   ")))
	for _, f := range p.Facts {
		t.para(f, 3)
	}
	if hours := templates.Spark(p.Hours); hours != "" {
		t.line("   By hour |" + hours + "|")
	}
	for _, q := range p.Quote {
		t.quote(q.String(), 3)
	}
	if p.Do != "" {
		t.line(hang("   Do: ", p.Do, t.width))
	}
	if p.See != "" {
		t.line(t.command("   See: ", p.See))
	}
}

// command breaks a command that does not fit into lines that a shell still accepts.
func (t *texter) command(label, s string) string {
	text := templates.Wrap(s, templates.Width(label), t.width-2)
	return label + strings.TrimLeft(strings.ReplaceAll(text, "\n", " \\\n"), " ")
}

// hang writes words behind a label, with the lines below the first indented.
func hang(label, s string, width int) string {
	text := templates.Wrap(s, templates.Width(label), width)
	return label + strings.TrimLeft(text, " ")
}

// maxQuote is how many lines of a reply are shown.
const maxQuote = 6

func (t *texter) quote(s string, indent int) {
	space := strings.Repeat(" ", indent)
	var lines []string
	for _, line := range replyLines(s) {
		lines = append(lines, strings.Split(templates.Wrap(line, 0, t.width-indent-2), "\n")...)
	}
	for i, line := range lines {
		if i == maxQuote {
			t.line(space + "> …")
			return
		}
		t.line(space + "> " + templates.Fit(line, t.width-indent-2))
	}
}

// replyLines returns the lines of a reply: Exim logs it with \n between them.
func replyLines(s string) (lines []string) {
	const codeAndMore = 4
	from := 0
	for i := 0; i+2+codeAndMore <= len(s); i++ {
		if next := s[i+2:]; s[i:i+2] == `\n` && isDigits(next[:3]) && (next[3] == '-' || next[3] == ' ') {
			lines, from = append(lines, s[from:i]), i+2
		}
	}
	return append(lines, s[from:])
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// chart draws one line of bars for each failing series. It leaves out deliveries, which
// would hide them.
func (t *texter) chart(c *Chart) {
	t.line(c.Title + ", " + c.Labels[0] + " to " + c.Labels[len(c.Labels)-1])
	for _, s := range c.Series {
		var sum, most int64
		for _, n := range s.Values {
			sum, most = sum+n, max(most, n)
		}
		if sum > 0 {
			t.line(fmt.Sprintf("  %-9s |%s| most %s", s.Name, templates.Spark(s.Values),
				templates.Count(most)))
		}
	}
}

func (t *texter) table(v *Table) string {
	tab := &templates.Table{}
	for _, c := range v.Columns {
		tab.Columns = append(tab.Columns, templates.Column{Title: c.Title, Right: c.Number, Flex: c.Flex,
			Name: c.Name})
	}
	for _, r := range v.Rows {
		row := templates.TableRow{}
		for _, c := range r.Cells {
			row.Cells = append(row.Cells, c.String())
		}
		for _, q := range r.Quote {
			row.Below = append(row.Below, "> "+q.String())
		}
		for _, b := range r.Below {
			row.Below = append(row.Below, strings.Split(templates.Wrap(b.String(), 0, t.width-4), "\n")...)
		}
		tab.Rows = append(tab.Rows, row)
	}
	return tab.Render(t.width)
}
