package report

import (
	"fmt"
	"html/template"
	"io"

	"mailfail/registry"
	"mailfail/templates"
)

// HTMLOptions describe the form of an HTML report.
type HTMLOptions struct {
	Mail bool // for mail programs, which show no SVG
}

// page is the data of the HTML report's template.
type page struct {
	*View
	Sections []pageSection
}

type pageSection struct {
	Section
	Chart *pageChart
}

type pageChart struct {
	*Chart
	Table *Table
	Wide  int // in pixels, when a table draws the chart
}

// cellWidth is the width in pixels of a bar and its margins; it has to match the
// template.
const cellWidth = 12

// WriteHTML writes the view as one page that needs nothing else: no script, no
// picture, no style sheet from elsewhere.
func (v *View) WriteHTML(w io.Writer, opt HTMLOptions) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"say":   templates.Text.HTML,
		"bars":  newBars,
		"reply": func(q registry.Foreign) []string { return replyLines(q.String()) },
		"last":  func(s []string) string { return s[len(s)-1] },
		"mail":  func() bool { return opt.Mail },
	}).Parse(templates.ReportHTML)
	if err != nil {
		return fmt.Errorf("template of the HTML report: %w", err)
	}
	p := page{View: v}
	for _, s := range v.Sections {
		ps := pageSection{Section: s}
		if s.Chart != nil {
			ps.Chart = &pageChart{s.Chart, s.Chart.table(), cellWidth * len(s.Chart.Labels)}
		}
		p.Sections = append(p.Sections, ps)
	}
	return t.Execute(w, p)
}

// bars is a row of bars, each series with a scale of its own.
type bars struct {
	Name  string
	Label string // for screen readers
	Width int
	Bars  []bar
}

type bar struct {
	Value        int64
	X, Y, Height int
}

// barHeight is the height of the highest bar, in pixels.
const barHeight = 40

// newBars draws numbers as bars, nil when all are zero.
func newBars(name string, values []int64) *bars {
	var most, sum int64
	for _, v := range values {
		most, sum = max(most, v), sum+v
	}
	if most == 0 {
		return nil
	}
	b := &bars{Name: name, Width: 10 * len(values),
		Label: fmt.Sprintf("%s: %s in all, %s at most", name, templates.Count(sum), templates.Count(most))}
	for i, v := range values {
		height := int(max(2, v*barHeight/most))
		b.Bars = append(b.Bars, bar{v, 10*i + 1, 43 - height, height})
	}
	return b
}
