package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"

	"mailfail/store"
	"mailfail/templates"
)

// TextOptions say how a text report looks.
type TextOptions struct {
	Width int  // in cells; 0: 80
	Top   int  // rows a table; 0: all
	Color bool // headings stand out
}

// The least and greatest width of a text report.
const (
	minWidth = 72
	maxWidth = 120
)

// textReport is what the template shows.
type textReport struct {
	Window  string
	Only    string
	Summary []string
	Notes   []string
	Worst   []worst
	PutOff  []worst
	Tables  []section
	Unknown *section
	Lines   string
}

type section struct{ Title, Body, More string }

// worst is one of the failures that matter most.
type worst struct{ Title, Share, Meaning string }

// WriteText writes the report for people to read.
func (r *Report) WriteText(w io.Writer, opt TextOptions) error {
	if opt.Width == 0 {
		opt.Width = 80
	}
	t := &texter{r, opt, min(max(opt.Width, minWidth), maxWidth)}
	tmpl, err := template.New("report").Funcs(template.FuncMap{
		"heading": t.heading,
		"wrap":    func(indent int, s string) string { return templates.Wrap(s, indent, t.width) },
	}).Parse(templates.Report)
	if err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	return tmpl.Execute(w, t.report())
}

// texter puts the words around the numbers.
type texter struct {
	*Report
	opt   TextOptions
	width int
}

func (t *texter) heading(s string) string {
	s = templates.Fit(s, t.width)
	if t.opt.Color {
		return "\x1b[1m" + s + "\x1b[0m"
	}
	return s + "\n" + strings.Repeat("-", min(templates.Width(s), t.width))
}

func (t *texter) report() textReport {
	v := textReport{
		Window: formatWindow(t.Window, t.FirstLine, t.LastLine, t.location), Only: t.only(), Summary: t.summary(), Notes: t.Notes,
		Worst: t.worst(), PutOff: t.putOff(), Lines: t.lines(),
	}
	if s := t.groups(); s != nil {
		v.Tables = append(v.Tables, *s)
	}
	if len(t.Codes) > 0 {
		v.Tables = append(v.Tables, t.codes())
	}
	if len(t.Rejections) > 0 {
		v.Tables = append(v.Tables, t.rejections())
	}
	if s := t.hops(); s != nil {
		v.Tables = append(v.Tables, *s)
	}
	v.Unknown = t.unknown()
	return v
}

// only says in words what the filter lets through.
func (t *texter) only() string {
	var parts []string
	for _, f := range []struct {
		name   string
		values []string
	}{
		{"domain", t.Filter.Domains}, {"sender", t.Filter.Senders}, {"provider", t.Filter.Providers}, {"host", t.Filter.Hosts},
		{"mta", t.Filter.MTAs}, {"code", t.Filter.Codes}, {"reason", t.Filter.Reasons},
	} {
		if len(f.values) > 0 {
			parts = append(parts, f.name+" "+templates.Printable(strings.Join(f.values, " or ")))
		}
	}
	return strings.Join(parts, ", ")
}

// summary is what matters most, the most important first.
func (t *texter) summary() []string {
	n := &t.Totals
	if t.ofCause(nil) {
		return t.causeSummary()
	}
	if n.Recipients+n.Attempts+n.Suspended+n.HandedOver == 0 {
		nothing := "No mail went out in this time."
		if len(t.Hops) > 0 {
			nothing = "The logs of this time name no recipients."
		}
		return append([]string{nothing}, t.figures([]figure{{"Rejected", n.Rejected, rejectedWords}, {"Put off", n.RejectedTemporary, putOffWords}, t.connected()}, 0)...)
	}
	failed := n.Bounced + n.Expired
	return t.figures([]figure{
		{"Delivered", n.Delivered, fmt.Sprintf("of %s %s (%s)", templates.Count(n.Recipients), templates.Plural(n.Recipients, "recipient"), templates.Percent(n.Delivered, n.Recipients))},
		{"Failed", failed, t.failed(n)},
		{"Pending", n.Pending, "still waiting at the end of this time"},
		{"Removed", n.Removed, "deleted or discarded on this side"},
		{"Deferred", n.Deferred, fmt.Sprintf("put off at least once (%s)", templates.Percent(n.Deferred, n.Recipients))},
		{"Handed over", n.HandedOver, "to a content filter or to another server here"},
		{"Attempts", n.Attempts, fmt.Sprintf("in all: %s delivered, %s put off, %s failed", templates.Count(n.Attempts-n.Deferrals-n.Failures), templates.Count(n.Deferrals), templates.Count(n.Failures))},
		{"Suspended", n.Suspended, "put off without an attempt"},
		{"Rejected", n.Rejected, rejectedWords},
		{"Put off", n.RejectedTemporary, putOffWords},
		t.connected(),
	}, 2)
}

// connected sums up the connections to next hops.
func (t *texter) connected() figure {
	var all, failed, messages int64
	for _, h := range t.Hops {
		all, failed, messages = all+h.Connections, failed+h.Failed, messages+h.Messages
	}
	hops := int64(len(t.Hops))
	if t.ofCause(nil) {
		hops = int64(len(t.failingHops()))
		return figure{"Connections", failed, fmt.Sprintf("to %s next %s met such a failure", templates.Count(hops), templates.Plural(hops, "hop"))}
	}
	return figure{"Connections", all, fmt.Sprintf("to %s next %s: %s failed (%s), %s %s sent", templates.Count(hops), templates.Plural(hops, "hop"),
		templates.Count(failed), templates.Percent(failed, all), templates.Count(messages), templates.Plural(messages, "message"))}
}

const (
	rejectedWords = "refused on the way in"
	putOffWords   = "refused on the way in, for now"
)

func (t *texter) failed(n *store.Tally) string {
	if n.Bounced+n.Expired == 0 {
		return "none for good"
	}
	return fmt.Sprintf("for good: %s bounced, %s expired (failure rate %s)", templates.Count(n.Bounced), templates.Count(n.Expired), templates.Percent(n.Bounced+n.Expired, n.Delivered+n.Bounced+n.Expired))
}

func (t *texter) causeSummary() []string {
	n := &t.Totals
	return t.figures([]figure{
		{"Attempts", n.Attempts, fmt.Sprintf("failed: %s for now, %s for good", templates.Count(n.Deferrals), templates.Count(n.Failures))},
		{"Recipients", n.Recipients, "met such a failure. Of these"},
		{"Delivered", n.Delivered, "were delivered in the end"},
		{"Failed", n.Bounced + n.Expired, "failed for good"},
		{"Pending", n.Pending, "were still waiting"},
		{"Removed", n.Removed, "were deleted"},
		{"Rejected", n.Rejected, rejectedWords},
		{"Put off", n.RejectedTemporary, putOffWords},
		t.connected(),
	}, 4)
}

type figure struct {
	name  string
	n     int64
	words string
}

// figures lines up figures; those after the first always ones are left out
// when they are zero.
func (t *texter) figures(list []figure, always int) []string {
	name, digits := 0, 0
	var shown []figure
	for i, f := range list {
		if i < always || f.n != 0 {
			shown = append(shown, f)
			name, digits = max(name, len(f.name)), max(digits, len(templates.Count(f.n)))
		}
	}
	var lines []string
	for _, f := range shown {
		words := templates.Wrap(f.words, name+digits+3, t.width)
		lines = append(lines, fmt.Sprintf("%-*s  %*s %s", name, f.name, digits, templates.Count(f.n), strings.TrimSpace(words)))
	}
	return lines
}

// worst returns what most recipients failed with for good.
func (t *texter) worst() []worst {
	return t.causes(top(t.Failed, 3), t.Totals.Bounced+t.Totals.Expired, "recipient", " that failed for good")
}

// putOff returns the most frequent temporary failures.
func (t *texter) putOff() []worst {
	return t.causes(top(t.PutOff, 2), t.Totals.Deferrals, "temporary failure", "")
}

func (t *texter) causes(rows []store.CauseRow, all int64, what, which string) []worst {
	var list []worst
	for i, c := range rows {
		name, advice := meaning(c.Reply, c.Enhanced, c.Provider, c.Reason)
		list = append(list, worst{
			Title:   templates.Fit(fmt.Sprintf("%d. %s", i+1, titleOf(c.Code, name, c.Reason)), t.width),
			Share:   share(c.N, all, what, which) + ", " + where(c.Domains, c.TopDomain),
			Meaning: advice,
		})
	}
	return list
}

// share says how many of all there are.
func share(n, all int64, what, which string) string {
	switch {
	case all == 1:
		return "the only " + what + which
	case n == all:
		return fmt.Sprintf("all %s %s%s", templates.Count(n), templates.Plural(n, what), which)
	}
	return fmt.Sprintf("%s of the %s %s%s (%s)", templates.Count(n), templates.Count(all), templates.Plural(all, what), which, templates.Percent(n, all))
}

// where says in how many domains something happened, and where most.
func where(domains int64, most string) string {
	name := templates.Fit(unnamed(store.ByDomain, most), 40)
	if domains == 1 {
		return "at " + name
	}
	return fmt.Sprintf("%s domains, most at %s", templates.Count(domains), name)
}

func codeOrNone(code string) string {
	if code == "" {
		return "(no code)"
	}
	return code
}

// titleOf joins a code, its name and the reason.
func titleOf(code, name, reason string) string {
	if code == "" {
		return fmt.Sprintf("%s (%s, no code)", name, reason)
	}
	return fmt.Sprintf("%s %s (%s)", code, name, reason)
}

// unnamed says what an empty value of a dimension means.
func unnamed(d store.Dimension, value string) string {
	switch {
	case value == "<>" && d == store.BySender:
		return "<> (bounces)"
	case value != "":
		return templates.Printable(value)
	case d == store.ByInstance:
		return "(default)"
	case d == store.BySender || d == store.ByHost:
		return "(unknown)"
	}
	return "(none)"
}

// groups is the table by domain, or by the dimensions asked for.
func (t *texter) groups() *section {
	dims, rows := t.By, t.Groups
	title := "By "
	for i, d := range dims {
		switch {
		case i > 0 && i == len(dims)-1:
			title += " and "
		case i > 0:
			title += ", "
		}
		title += nameInTitle(d)
	}
	switch {
	case dims == nil:
		dims, rows, title = []store.Dimension{store.ByDomain}, t.Domains, "By domain"
	case slices.Equal(dims, []store.Dimension{store.ByCode}), isByNextHop(dims):
		return nil // has a table of its own
	}
	failing := rows
	if t.By == nil { // the domains without any trouble are no news
		failing = slices.DeleteFunc(slices.Clone(rows), func(g store.Group) bool {
			return g.Deferrals+g.Failures+g.Bounced+g.Expired+g.Pending == 0
		})
	}
	if len(failing) == 0 {
		return nil
	}
	failing = byImportance(failing)
	s := &section{Title: title, Body: t.groupTable(dims, top(failing, t.opt.Top)).Render(t.width)}
	s.More = t.more(len(failing)-len(top(failing, t.opt.Top)), "more with failures", len(rows)-len(failing))
	return s
}

// byImportance sorts groups for people: first where most recipients failed for
// good, bounced or given up, then where most attempts failed.
func byImportance(groups []store.Group) []store.Group {
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, func(a, b store.Group) int {
		return cmp.Or(cmp.Compare(b.Bounced+b.Expired, a.Bounced+a.Expired), cmp.Compare(b.Deferrals+b.Failures, a.Deferrals+a.Failures), slices.Compare(a.Values, b.Values))
	})
	return groups
}

// more says how many rows were left out.
func (t *texter) more(left int, what string, fine int) string {
	var parts []string
	if left > 0 {
		parts = append(parts, fmt.Sprintf("%s %s (--top 0 shows all)", templates.Count(int64(left)), what))
	}
	if fine > 0 {
		parts = append(parts, fmt.Sprintf("%s without failures", templates.Count(int64(fine))))
	}
	if parts == nil {
		return ""
	}
	return "... and " + strings.Join(parts, ", ")
}

func (t *texter) groupTable(dims []store.Dimension, groups []store.Group) *templates.Table {
	tab := &templates.Table{}
	for _, d := range dims {
		tab.Columns = append(tab.Columns, templates.Column{Title: titleOfDimension(d), Flex: !d.OfCause()})
	}
	ofCause := t.ofCause(dims)
	for _, title := range t.numberTitles(ofCause) {
		tab.Columns = append(tab.Columns, templates.Column{Title: title, Right: true})
	}
	// Names that are cut to a few letters tell less than a cause does.
	withCause := !ofCause && (len(dims) == 1 || t.width >= 100)
	if withCause {
		tab.Columns = append(tab.Columns, templates.Column{Title: "Top cause", Flex: true})
	}
	for _, g := range groups {
		cells := t.groupCells(dims, &g, ofCause)
		if withCause {
			cells = append(cells, g.TopCause)
		}
		tab.Rows = append(tab.Rows, templates.TableRow{Cells: cells})
	}
	return tab
}

// nameInTitle is a dimension within a heading.
func nameInTitle(d store.Dimension) string {
	if d == store.ByMTA {
		return titleOfDimension(d)
	}
	return string(d)
}

func titleOfDimension(d store.Dimension) string {
	if d == store.ByMTA {
		return "MTA"
	}
	return strings.ToUpper(string(d[:1])) + string(d[1:])
}

func (t *texter) groupCells(dims []store.Dimension, g *store.Group, ofCause bool) []string {
	var row []string
	for i, d := range dims {
		row = append(row, unnamed(d, g.Values[i]))
	}
	failed := g.Bounced + g.Expired
	numbers := map[string]string{
		"Recipients": templates.Count(g.Recipients), "Delivered": templates.Count(g.Delivered), "Failed": templates.Count(failed), "Rate": templates.Percent(failed, g.Delivered+failed),
		"Deferred": templates.Count(g.Deferred), "Pending": templates.Count(g.Pending), "Attempts": templates.Count(g.Attempts), "Temporary": templates.Count(g.Deferrals), "Permanent": templates.Count(g.Failures),
	}
	for _, title := range t.numberTitles(ofCause) {
		row = append(row, numbers[title])
	}
	return row
}

// numberTitles are the columns of numbers that there is room for.
func (t *texter) numberTitles(ofCause bool) []string {
	narrow := t.width < 100
	switch {
	case ofCause && narrow:
		return []string{"Attempts", "Permanent", "Recipients", "Delivered"}
	case ofCause:
		return []string{"Attempts", "Temporary", "Permanent", "Recipients", "Delivered", "Failed", "Pending"}
	case narrow:
		return []string{"Recipients", "Failed", "Rate", "Deferred"}
	}
	return []string{"Recipients", "Delivered", "Failed", "Rate", "Deferred", "Pending"}
}

func (t *texter) codes() section {
	tab := &templates.Table{Columns: []templates.Column{{Title: "Code"}, {Title: "Attempts", Right: true}, {Title: "Recipients", Right: true}, {Title: "Domains", Right: true}, {Title: "Meaning", Flex: true}}}
	codes := split(t.Codes, t.Uncoded)
	for _, c := range top(codes, t.opt.Top) {
		name, advice := meaningOf(&c)
		row := templates.TableRow{Cells: []string{codeOrNone(c.Code), templates.Count(c.Attempts), templates.Count(c.Recipients), templates.Count(c.Domains), name}}
		row.Below = strings.Split(templates.Wrap(c.Reason+": "+advice, 0, t.width-4), "\n")
		if c.Example != "" {
			row.Below = append(row.Below, "> "+templates.Printable(c.Example))
		}
		tab.Rows = append(tab.Rows, row)
	}
	return section{"Failing attempts by code", tab.Render(t.width), t.more(len(codes)-len(tab.Rows), "more", 0)}
}

// split puts the rows by reason in the place of the row without a code.
func split(codes, uncoded []store.CodeRow) []store.CodeRow {
	if len(uncoded) == 0 {
		return codes
	}
	rows := slices.DeleteFunc(slices.Clone(codes), func(c store.CodeRow) bool { return c.Code == "" })
	rows = append(rows, uncoded...)
	slices.SortStableFunc(rows, func(a, b store.CodeRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Code, b.Code))
	})
	return rows
}

func (t *texter) rejections() section {
	tab := &templates.Table{Columns: []templates.Column{{Title: "Code"}, {Title: "Times", Right: true}, {Title: "Recipients", Right: true}, {Title: "Clients", Right: true}, {Title: "Reason", Flex: true}}}
	codes := split(t.Rejections, t.UncodedRejections)
	for _, c := range top(codes, t.opt.Top) {
		row := templates.TableRow{Cells: []string{codeOrNone(c.Code), templates.Count(c.Attempts), templates.Count(c.Recipients), templates.Count(c.Clients), c.Reason}}
		if c.Example != "" {
			row.Below = []string{"> " + templates.Printable(c.Example)}
		}
		tab.Rows = append(tab.Rows, row)
	}
	return section{"Refused on the way in", tab.Render(t.width), t.more(len(codes)-len(tab.Rows), "more", 0)}
}

// hops is the table of the next hops to which connections failed. Where only
// failures are asked for, the connections that could be used are not counted.
func (t *texter) hops() *section {
	failing := t.failingHops()
	if len(failing) == 0 {
		return nil
	}
	titles := []string{"Connections", "Failed", "Rate"}
	if t.ofCause(nil) {
		titles = []string{"Failed"}
	}
	tab := &templates.Table{Columns: []templates.Column{{Title: "Next hop", Flex: true}}}
	for _, title := range titles {
		tab.Columns = append(tab.Columns, templates.Column{Title: title, Right: true})
	}
	tab.Columns = append(tab.Columns, templates.Column{Title: "Top cause", Flex: true})
	for _, h := range top(failing, t.opt.Top) {
		numbers := map[string]string{"Connections": templates.Count(h.Connections), "Failed": templates.Count(h.Failed), "Rate": templates.Percent(h.Failed, h.Connections)}
		row := templates.TableRow{Cells: []string{unnamed(store.ByRelay, h.Name)}}
		for _, title := range titles {
			row.Cells = append(row.Cells, numbers[title])
		}
		row.Cells = append(row.Cells, strings.TrimSpace(h.Code+" "+h.Reason))
		if h.Example != "" {
			row.Below = []string{"> " + templates.Printable(h.Example)}
		}
		tab.Rows = append(tab.Rows, row)
	}
	return &section{"Connections that failed, by next hop", tab.Render(t.width), t.more(len(failing)-len(tab.Rows), "more with failures", len(t.Hops)-len(failing))}
}

func (t *texter) failingHops() []store.Hop {
	return slices.DeleteFunc(slices.Clone(t.Hops), func(h store.Hop) bool { return h.Failed == 0 })
}

// unknownShown is the number of texts without a reason that are shown: enough
// to write a rule, too few to hide the report.
const unknownShown = 5

func (t *texter) unknown() *section {
	// Failures that were logged without a word have no text to learn from.
	texts := slices.DeleteFunc(slices.Clone(t.Unknown), func(u store.SignatureRow) bool { return u.Example == "" })
	if len(texts) == 0 {
		return nil
	}
	shown := top(texts, unknownShown)
	tab := &templates.Table{Columns: []templates.Column{{Title: "Attempts", Right: true}, {Title: "Code"}, {Title: "Text", Flex: true}}}
	for _, u := range shown {
		tab.Rows = append(tab.Rows, templates.TableRow{Cells: []string{templates.Count(u.Attempts), codeOrNone(u.Code), templates.Printable(u.Example)}})
	}
	s := &section{Body: tab.Render(t.width)}
	if left := len(texts) - len(shown); left > 0 {
		s.More = fmt.Sprintf("... and %s more (--format json shows all)", templates.Count(int64(left)))
	}
	return s
}

func (t *texter) lines() string {
	l := &t.Lines
	if l.Read == 0 {
		return "No lines of this time were read."
	}
	return fmt.Sprintf("%s %s read: %s understood, %s of no interest, %s not understood (%s).", templates.Count(l.Read), templates.Plural(l.Read, "line"),
		templates.Count(l.Understood), templates.Count(l.Irrelevant), templates.Count(l.Unparsed), templates.Percent(l.Unparsed, l.Read))
}
