package report

import (
	"fmt"
	htmltemplate "html/template"
	"io"
	"path/filepath"
	"strings"
	"text/template"

	"mailfail/templates"
)

// TemplateData is the data of a user's template. Text of strangers is safe to print in
// it: it is made safe for a terminal, and an HTML template escapes it.
type TemplateData struct {
	*View          // .Subject .Title .Verdict .Only .Notes .Problems .Sections
	Report *Report // the numbers: .Report.Totals.Delivered, .Report.Messages, .Report.Domains …
}

// Section returns the section with an id (figures, problems, reasons, waiting,
// failed, sender, provider, domain, incoming …), nil when the report has none.
func (d TemplateData) Section(id string) *Section { return d.View.section(id) }

// templateFuncs are the functions of a user's template.
var templateFuncs = map[string]any{
	// a number with commas: count .Report.Messages
	"count": templates.Count,
	// a share: percent .Report.Totals.Bounced .Report.Totals.Recipients
	"percent": templates.Percent,
	// text of strangers for a terminal
	"printable": func(s any) string { return templates.Printable(fmt.Sprint(s)) },
	"markdown":  templates.Text.Markdown,
	"wrap":      func(width int, s any) string { return templates.Wrap(fmt.Sprint(s), 0, width) },
	"fit":       func(width int, s any) string { return templates.Fit(fmt.Sprint(s), width) },
	"spark":     templates.Spark, // numbers as a line of characters
	"join":      func(between string, list []string) string { return strings.Join(list, between) },
	// Where a verb does not fit, Sprintf prints the bytes of a text without its String.
	"printf": func(format string, args ...any) string {
		return printableLines(fmt.Sprintf(format, args...))
	},
}

// printableLines returns s as templates.Printable does, with its newlines and tabs.
func printableLines(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexAny(s, "\n\t")
		if i < 0 {
			b.WriteString(templates.Printable(s))
			return b.String()
		}
		b.WriteString(templates.Printable(s[:i]))
		b.WriteByte(s[i])
		s = s[i+1:]
	}
}

// WriteTemplate renders the report with a user's template. The ending of name selects
// the engine: html/template for .html and .htm, else text/template.
func (r *Report) WriteTemplate(w io.Writer, v *View, name, text string) error {
	data := TemplateData{v, r}
	var err error
	switch strings.ToLower(filepath.Ext(name)) {
	case ".html", ".htm":
		var t *htmltemplate.Template
		if t, err = htmltemplate.New(filepath.Base(name)).Funcs(templateFuncs).Parse(text); err == nil {
			err = t.Execute(w, data)
		}
	default:
		var t *template.Template
		if t, err = template.New(filepath.Base(name)).Funcs(templateFuncs).Parse(text); err == nil {
			err = t.Execute(w, data)
		}
	}
	return err
}
