package explain

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"mailfail/registry"
	"mailfail/templates"
)

// Row is one line of the registry: a code, a vendor's meaning of a code, a phrase, or a
// reason. Its JSON fields are the columns of the CSV.
type Row struct {
	Code        string `json:"code"`
	Kind        string `json:"kind"`     // enhanced, reply, pseudo, vendor, reason
	Vendor      string `json:"vendor"`   // of kind vendor
	Standing    string `json:"standing"` // of kind reply: standard, extension, folk, vendor
	Name        string `json:"name"`
	Reason      string `json:"reason"`
	Meaning     string `json:"meaning"`
	Cause       string `json:"cause"`
	Action      string `json:"action"`
	Recipient   string `json:"recipient_action"`
	Reference   string `json:"reference"`
	Unconfirmed bool   `json:"unconfirmed"`
}

// Filter chooses rows. An empty field chooses all.
type Filter struct {
	Class   string // 2, 3, 4, 5
	Subject string // 0 to 7, of enhanced codes
	Vendor  string // part of a vendor's name
	Reason  string
	Kind    string
}

// List returns the rows of the registry that pass the filter. It returns reasons only
// when the filter names that kind.
func List(f Filter) []Row {
	rows := []Row{}
	add := func(r Row) {
		if f.pass(&r) {
			rows = append(rows, r)
		}
	}
	for _, e := range registry.Entries() {
		add(Row{Code: e.Code, Kind: e.Kind, Standing: e.Standing, Name: e.Name, Reason: string(e.Reason),
			Meaning: e.Meaning,
			Cause:   e.Cause, Action: e.Action, Recipient: e.Recipient, Reference: e.Reference,
			Unconfirmed: e.Unconfirmed})
	}
	for _, v := range registry.AllVendors() {
		add(Row{Code: v.Code, Kind: "vendor", Vendor: v.Name, Name: v.Meaning, Reason: string(v.Reason),
			Meaning: v.Meaning,
			Cause:   v.Cause, Action: v.Action, Reference: v.Reference, Unconfirmed: v.Unconfirmed})
	}
	if f.Kind == "reason" {
		for _, info := range registry.Reasons() {
			add(Row{Code: string(info.Reason), Kind: "reason", Name: info.Name, Reason: string(info.Reason),
				Meaning: info.Meaning,
				Cause:   info.Cause, Action: info.Action, Recipient: info.Recipient})
		}
	}
	return rows
}

func (f *Filter) pass(r *Row) bool {
	class, subject := digitsOf(r.Code)
	return (f.Kind == "" || f.Kind == r.Kind) &&
		(f.Reason == "" || f.Reason == r.Reason) &&
		(f.Vendor == "" || strings.Contains(strings.ToLower(r.Vendor), strings.ToLower(f.Vendor))) &&
		(f.Class == "" || class == f.Class || class == "X") &&
		(f.Subject == "" || subject == f.Subject)
}

// digitsOf returns the class and the subject of a written code; for "421 4.7.28" those
// of the enhanced code. The class is "X" when the code leaves it open.
func digitsOf(code string) (class, subject string) {
	for word := range strings.FieldsSeq(code) {
		word = strings.Trim(word, "(#)")
		if parts := strings.Split(word, "."); len(parts) == 3 && len(parts[0]) == 1 &&
			strings.Contains("245X", parts[0]) {
			return parts[0], parts[1]
		}
		if class == "" && len(word) == 3 && word[0] >= '1' && word[0] <= '5' {
			class = word[:1]
		}
	}
	return class, ""
}

var columns = []string{"code", "kind", "vendor", "standing", "name", "reason", "meaning", "cause", "action",
	"recipient_action", "reference", "unconfirmed"}

func (r *Row) fields() []string {
	return []string{r.Code, r.Kind, r.Vendor, r.Standing, r.Name, r.Reason, r.Meaning, r.Cause, r.Action,
		r.Recipient, r.Reference, strconv.FormatBool(r.Unconfirmed)}
}

// WriteList writes rows as text, json, csv or markdown.
func WriteList(w io.Writer, rows []Row, format string, width int) error {
	switch format {
	case "json":
		return templates.WriteJSON(w, map[string]any{"schema": "mailfail/codes/1", "codes": rows}, "  ")
	case "csv":
		c := csv.NewWriter(w)
		if err := c.Write(columns); err != nil {
			return err
		}
		for i := range rows {
			if err := c.Write(rows[i].fields()); err != nil {
				return err
			}
		}
		c.Flush()
		return c.Error()
	case "markdown":
		return writeMarkdown(w, rows)
	}
	return writeColumns(w, rows, width)
}

func writeMarkdown(w io.Writer, rows []Row) error {
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ")
	var b strings.Builder
	b.WriteString("| code | meaning | reason | what to do | reference |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		code := r.Code
		if r.Vendor != "" {
			code = r.Vendor + " " + code
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cell.Replace(code),
			cell.Replace(r.title()), r.Reason, cell.Replace(r.Action), cell.Replace(r.Reference))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// title returns the name, with a word about how far to trust it.
func (r *Row) title() string {
	switch {
	case r.Unconfirmed:
		return r.Name + " (unconfirmed)"
	case r.Standing == "folk":
		return r.Name + " (no standard)"
	}
	return r.Name
}

// writeColumns writes code, reason and name in columns, cut to the width.
func writeColumns(w io.Writer, rows []Row, width int) error {
	codes := make([]string, len(rows))
	codeWidth, reasonWidth := len("CODE"), len("REASON")
	for i, r := range rows {
		codes[i] = r.Code
		if r.Vendor != "" {
			codes[i] = r.Vendor + " " + r.Code
		}
		codeWidth = min(max(codeWidth, utf8.RuneCountInString(codes[i])), 34)
		reasonWidth = max(reasonWidth, len(r.Reason))
	}
	var b strings.Builder
	line := func(code, reason, name string) {
		text := fmt.Sprintf("%-*s  %-*s  %s", codeWidth, shorten(code, codeWidth), reasonWidth, reason, name)
		b.WriteString(strings.TrimRight(shorten(templates.Printable(text), max(width, 40)), " ") + "\n")
	}
	line("CODE", "REASON", "NAME")
	for i := range rows {
		line(codes[i], rows[i].Reason, rows[i].title())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shorten(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}
