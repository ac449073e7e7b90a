package explain

import (
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"

	"mailfail/registry"
	"mailfail/templates"
)

// WriteJSON writes the answer as JSON. Text of strangers is escaped as in the other
// JSON outputs.
func (a *Answer) WriteJSON(w io.Writer) error {
	return templates.WriteJSON(w, a, "  ")
}

// WriteText writes the answer for people, no line wider than width. Nothing
// from the input reaches the terminal unescaped.
func (a *Answer) WriteText(w io.Writer, width int) error {
	l := layout{width: max(width, 40)}
	t, err := template.New("explain").Funcs(template.FuncMap{
		"field": l.field, "title": l.title, "verdict": l.verdict,
		"short": short, "decided": decided, "tag": tagText,
		"list": func(words []string) string { return strings.Join(words, ", ") },
		"trace": func(id string) string {
			return "What became of it here: mailfail trace " + templates.Printable(id)
		},
		"wrap": func(s string) string { return l.wrap(templates.Printable(s), "", "") },
	}).Parse(templates.Explain)
	if err != nil {
		return fmt.Errorf("template of explain: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, a.view()); err != nil {
		return fmt.Errorf("template of explain: %w", err)
	}
	_, err = io.WriteString(w, strings.TrimLeft(b.String(), "\n"))
	return err
}

// view is an answer prepared for the template.
type view struct {
	Notes      []string
	Recipients []recipientView
	Reason     *Reason
	Contains   *Contains
	Tags       []Tag
	Trace      string
	Codes      []codeView
	Nothing    string
}

type recipientView struct {
	Heading    string
	Diagnostic string
	Reason     *Reason
	Contains   *Contains
	Tags       []Tag
	Codes      []codeView
}

type codeView struct {
	Code      Code
	Whole     bool   // with causes and advice
	Short     string // the advice in a line
	Brief     bool   // in a line, below a verdict
	Text      string // text of that line
	State     string // temporary, permanent
	Reference string
	Vendors   []vendorView
	More      string
}

type vendorView struct{ Vendor, Text string }

// maxVendors is how many vendors' meanings are shown when it is not known which vendor
// sent the reply.
const maxVendors = 6

func (a *Answer) view() view {
	v := view{Notes: a.Notes, Trace: a.Trace}
	if len(a.Recipients) > 0 {
		for i := range a.Recipients {
			v.Recipients = append(v.Recipients, a.Recipients[i].view(i))
		}
		return v
	}
	bare := a.Reason == nil || a.bare() && strings.HasPrefix(a.Reason.Rule, "code ") ||
		a.Reason.Reason == "unknown"
	if !bare {
		v.Reason = a.Reason
	}
	v.Contains, v.Tags = a.Contains, a.Tags
	v.Codes = codeViews(a.Codes, bare, a.Reason)
	if len(a.Codes) == 0 && len(a.Tags) == 0 && v.Reason == nil {
		v.Nothing = "No code and no known phrase in it. Give a code (550, 5.1.1, 4.7.x), the whole reply " +
			"of a server in quotes, or a bounce message as a file or on standard input (-). mailfail " +
			"codes lists what is known."
	}
	return v
}

// bare reports whether the input was nothing but a code.
func (a *Answer) bare() bool {
	return a.Contains == nil && len(a.Tags) == 0 && a.Reason.Disagreement == ""
}

func (r *Recipient) view(i int) recipientView {
	what := r.Address
	if what == "" {
		what = "a recipient that the message does not name"
	}
	heading := fmt.Sprintf("%d. %s", i+1, what)
	if r.Action != "" {
		heading += ": " + r.Action
	}
	if r.Status != "" {
		heading += ", status " + r.Status
	}
	if r.RemoteMTA != "" {
		heading += ", by " + r.RemoteMTA
	}
	diagnostic := r.Diagnostic
	if utf8.RuneCountInString(diagnostic) > 600 {
		diagnostic = string([]rune(diagnostic)[:600]) + " …"
	}
	return recipientView{Heading: heading, Diagnostic: diagnostic, Reason: r.Reason, Contains: r.Contains,
		Tags: r.Tags, Codes: codeViews(r.Codes, false, r.Reason)}
}

// codeViews shows the first codes whole, or all in a line each when a verdict gives the
// advice. When the vendor that sent the reply is known, only its meaning is shown.
func codeViews(codes []Code, bare bool, reason *Reason) []codeView {
	var list []codeView
	provider := ""
	if reason != nil {
		provider = reason.Provider
	}
	for i, c := range codes {
		if !bare && c.Kind == registry.KindPseudo {
			continue // the verdict says it
		}
		cv := codeView{
			Code:      c,
			Whole:     i < 2,
			Short:     shortCode(&c, i, reason),
			Brief:     !bare,
			State:     state(&c),
			Reference: c.Reference,
		}
		cv.Text = c.Name + " (" + cv.State + "). " + c.Meaning
		if c.Registered != "" && c.Registered != c.Name {
			cv.Reference += fmt.Sprintf(", registered as %q", c.Registered)
		}
		cv.vendors(c.Vendors, provider)
		list = append(list, cv)
	}
	return list
}

// shortCode returns the advice about a code in a line: that of the verdict when this
// code decided it.
func shortCode(c *Code, i int, reason *Reason) string {
	if i == 0 && reason != nil && reason.Reason == string(c.entry.Reason) {
		return reason.Advice
	}
	return c.entry.Brief
}

// state describes the kind of a code in a word or two.
func state(c *Code) string {
	var words []string
	if c.Class != "" {
		words = append(words, c.Class)
	}
	switch {
	case c.Unconfirmed:
		words = append(words, "unconfirmed")
	case c.Standing == "folk", c.Standing == "vendor":
		words = append(words, "no standard")
	}
	return strings.Join(words, ", ")
}

func (cv *codeView) vendors(all []Vendor, provider string) {
	known := hasVendor(all, provider)
	for i, v := range all {
		if (known || cv.Brief) && registry.VendorProvider(v.Vendor) != provider ||
			cv.Brief && provider == "" {
			continue
		}
		if len(cv.Vendors) == maxVendors {
			cv.More = fmt.Sprintf("and %d more, see --format json", len(all)-i)
			break
		}
		cv.Vendors = append(cv.Vendors, vendorView{v.Vendor, vendorText(v)})
	}
}

func hasVendor(list []Vendor, provider string) bool {
	for _, v := range list {
		if provider != "" && registry.VendorProvider(v.Vendor) == provider {
			return true
		}
	}
	return false
}

func vendorText(v Vendor) string {
	text := v.Code + ": " + strings.TrimSuffix(v.Meaning, ".") + "."
	if v.Action != "" && v.Action != "None" {
		text += " " + strings.TrimSuffix(v.Action, ".") + "."
	}
	if v.Unconfirmed {
		text += " (unconfirmed)"
	}
	return text
}

// short returns the verdict in a sentence or two.
func short(r *Reason) string { return r.Name + ". " + r.Advice }

// decided describes what a verdict is based on, and how far to trust it.
func decided(r *Reason) string {
	if r.DecidedBy == "" && r.Rule == "" || r.Confidence == "" {
		return ""
	}
	if r.DecidedBy == "" {
		return "nothing: neither the words nor the codes are known"
	}
	return fmt.Sprintf("%s (confidence: %s)", ruleText(r), r.Confidence)
}

// ruleText names the rule or the code that decided on the reason.
func ruleText(r *Reason) string {
	what := "rule " + r.Rule
	if strings.HasPrefix(r.Rule, "code ") || strings.HasPrefix(r.Rule, "phrase ") ||
		strings.HasPrefix(r.Rule, "tag ") {
		what = "the meaning of " + r.Rule
	}
	if r.DecidedBy == "stage" {
		what += ", and the stage at which it failed"
	}
	return what
}

// tagText explains an operator's tag in a line.
func tagText(t Tag) string {
	text := t.Vendor + ": " + t.Meaning
	if t.Action != "" {
		text += " " + t.Action
	}
	return text
}

// layout writes text within a width, in characters.
type layout struct{ width int }

const labelWidth = 16

func (l layout) field(label, text string) string {
	if text == "" {
		return ""
	}
	label = templates.Printable(label)
	first := "  " + label + strings.Repeat(" ", max(1, labelWidth-utf8.RuneCountInString(label)))
	return l.wrap(templates.Printable(text), first, strings.Repeat(" ", 2+labelWidth))
}

func (l layout) title(code, name, state string) string {
	code = templates.Printable(code) + "  "
	line := name
	if state != "" {
		line += " (" + state + ")"
	}
	return l.wrap(line, code, "  ")
}

func (l layout) verdict(r *Reason) string {
	line := "Reason: " + r.Name + " (" + r.Reason + ")"
	if r.Provider != "" {
		line += ", at " + templates.Printable(r.Provider)
	}
	return l.wrap(line, "", "  ")
}

// wrap breaks text at blanks. A word that is wider than the line is left whole,
// so that addresses and links can be copied.
func (l layout) wrap(text, first, rest string) string {
	var b strings.Builder
	b.WriteString(first)
	column, begin := utf8.RuneCountInString(first), true
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case begin:
		case column+1+n > l.width:
			b.WriteString("\n" + rest)
			column = utf8.RuneCountInString(rest)
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
		begin = false
	}
	return b.String()
}
