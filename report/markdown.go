package report

import (
	"fmt"
	"io"
	"strings"

	"mailfail/templates"
)

// WriteMarkdown writes the view as Markdown with tables, as GitHub and most
// trackers show it. Text of strangers is in code spans.
func (v *View) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n**%s**\n", v.Title.Markdown(), v.Verdict.Markdown())
	if v.Only != nil {
		fmt.Fprintf(&b, "\n%s\n", v.Only.Markdown())
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "\n> %s\n", n.Markdown())
	}
	for i := range v.Sections {
		markdownSection(&b, &v.Sections[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownSection(b *strings.Builder, s *Section) {
	if s.Title != "" {
		fmt.Fprintf(b, "\n## %s\n", s.Title)
	}
	for _, t := range s.Text {
		fmt.Fprintf(b, "\n%s\n", t.Markdown())
	}
	for i := range s.Problems {
		markdownProblem(b, i+1, &s.Problems[i])
	}
	if s.Chart != nil {
		markdownTable(b, s.Chart.table())
	}
	if s.Table != nil {
		markdownTable(b, s.Table)
	}
	if s.More != nil {
		fmt.Fprintf(b, "\n%s\n", strings.TrimSpace(s.More.Markdown()+" "+templates.Markdown(s.See)))
	}
}

func markdownProblem(b *strings.Builder, n int, p *Problem) {
	fmt.Fprintf(b, "\n### %d. %s\n\n", n, p.Title.Markdown())
	for _, f := range p.Facts {
		fmt.Fprintf(b, "- %s\n", f.Markdown())
	}
	for _, q := range p.Quote {
		fmt.Fprintf(b, "- Reply: %s\n", templates.Markdown(q))
	}
	if p.Do != "" {
		fmt.Fprintf(b, "- Do: %s\n", templates.Words(p.Do).Markdown())
	}
	if p.See != "" {
		fmt.Fprintf(b, "- See: %s\n", templates.Markdown(p.See))
	}
}

func markdownTable(b *strings.Builder, t *Table) {
	b.WriteByte('\n')
	var titles, lines []string
	for _, c := range t.Columns {
		titles = append(titles, c.Title)
		if c.Number {
			lines = append(lines, "---:")
		} else {
			lines = append(lines, "---")
		}
	}
	fmt.Fprintf(b, "| %s |\n| %s |\n", strings.Join(titles, " | "), strings.Join(lines, " | "))
	for _, r := range t.Rows {
		var cells []string
		for _, c := range r.Cells {
			cells = append(cells, strings.TrimSpace(c.Markdown()))
		}
		last := len(cells) - 1
		for _, q := range r.Quote {
			cells[last] += "<br>" + templates.Markdown(q)
		}
		for _, t := range r.Below {
			cells[last] += "<br>" + t.Markdown()
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
}

// table returns the chart as a table, for formats that cannot draw.
func (c *Chart) table() *Table {
	t := &Table{Columns: []Column{{Title: "From"}}}
	for _, s := range c.Series {
		t.Columns = append(t.Columns, Column{Title: s.Name, Number: true})
	}
	for i, label := range c.Labels {
		row := Row{Cells: []templates.Text{templates.Words(label)}}
		for _, s := range c.Series {
			row.Cells = append(row.Cells, templates.Number(s.Values[i]))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
