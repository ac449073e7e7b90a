package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

const (
	shownRows = 10
	fewRows   = 5
)

// tables returns the tables by the dimensions that were asked for, or else by sender,
// provider and domain. Rows with the most recipients in trouble come first.
func (c *composer) tables() (list []Section) {
	if c.By != nil {
		if c.isBy(store.ByCode) || slices.ContainsFunc(Alone, func(d store.Dimension) bool {
			return c.isBy(d)
		}) {
			return nil // codes and Alone have their own tables
		}
		return []Section{c.table(c.By, c.Groups, DefaultTop)}
	}
	domains := c.table([]store.Dimension{store.ByDomain}, c.Domains, shownRows)
	senders := c.table([]store.Dimension{store.BySender}, c.Senders, fewRows)
	providers := c.table([]store.Dimension{store.ByProvider}, c.Providers, fewRows)
	if senders.Table != nil && len(senders.Table.Rows) == 1 &&
		c.Totals.Recipients == c.Senders[0].Recipients {
		senders = Section{} // all mail has the same sender
	}
	if len(troubled(c.Providers)) == len(troubled(c.Domains)) {
		providers = Section{} // every domain has its own provider
	}
	return []Section{senders, providers, domains}
}

// inTrouble counts the recipients of a group that failed or wait.
func (r *Report) inTrouble(dims []store.Dimension, g *store.Group) (failed, waiting int64) {
	failed = g.Bounced + g.Expired
	if r.ofCause(dims) || !r.knowsPeople(dims) {
		return failed, g.Pending
	}
	if p := r.trouble.by(dims)[placeKey(g.Values)]; p != nil {
		return failed, p.waiting
	}
	return failed, 0
}

// knowsPeople reports whether the recipients in trouble can be counted by dims.
func (r *Report) knowsPeople(dims []store.Dimension) bool {
	return r.trouble != nil && !slices.ContainsFunc(dims, func(d store.Dimension) bool {
		return !slices.Contains([]store.Dimension{store.BySender, store.ByProvider, store.ByDomain,
			store.ByHost, store.ByDirection}, d)
	})
}

// table returns the table of groups by some dimensions.
func (c *composer) table(dims []store.Dimension, groups []store.Group, rows int) Section {
	s := Section{ID: strings.Join(dimensionStrings(dims), "-"), Title: titleOf(dims)}
	shown := slices.Clone(groups)
	if c.By == nil { // by default only rows with trouble are shown
		shown = troubled(groups)
	}
	if len(shown) == 0 {
		return s
	}
	c.byTrouble(dims, shown)
	s.Table = c.groupTable(dims, top(shown, c.rows(rows)))
	s.More = left(len(shown)-len(s.Table.Rows), len(groups)-len(shown))
	return s
}

// troubled returns the groups in which something failed or waits.
func troubled(groups []store.Group) []store.Group {
	return slices.DeleteFunc(slices.Clone(groups), func(g store.Group) bool {
		return g.Deferrals+g.Failures+g.Bounced+g.Expired+g.Pending == 0
	})
}

func titleOf(dims []store.Dimension) string {
	title := "By "
	for i, d := range dims {
		switch {
		case i > 0 && i == len(dims)-1:
			title += " and "
		case i > 0:
			title += ", "
		}
		if d == store.ByMTA {
			title += titleOfDimension(d)
		} else {
			title += string(d)
		}
	}
	return title
}

// left counts the rows that are not shown.
func left(more, fine int) templates.Text {
	var parts []string
	if more > 0 {
		parts = append(parts, fmt.Sprintf("%s more in trouble (--top 0 shows all)",
			templates.Count(int64(more))))
	}
	if fine > 0 {
		parts = append(parts, templates.Count(int64(fine))+" without failures")
	}
	if parts == nil {
		return nil
	}
	return templates.Words("… " + strings.Join(parts, ", "))
}

// byTrouble sorts groups: those with the most people in trouble first, then those with
// the most failed attempts, then by name.
func (c *composer) byTrouble(dims []store.Dimension, groups []store.Group) {
	type ranked struct {
		*store.Group
		trouble int64
	}
	list := make([]ranked, len(groups))
	for i := range groups {
		failed, waiting := c.inTrouble(dims, &groups[i])
		list[i] = ranked{&groups[i], failed + waiting}
	}
	slices.SortStableFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.trouble, a.trouble),
			cmp.Compare(b.Deferrals+b.Failures, a.Deferrals+a.Failures), slices.Compare(a.Values, b.Values))
	})
	sorted := make([]store.Group, len(groups))
	for i := range list {
		sorted[i] = *list[i].Group
	}
	copy(groups, sorted)
}

func (c *composer) groupTable(dims []store.Dimension, groups []store.Group) *Table {
	t := &Table{}
	for _, d := range dims {
		t.Columns = append(t.Columns, Column{Title: titleOfDimension(d), Name: !d.OfCause()})
	}
	ofCause := c.ofCause(dims)
	titles := []string{"Recipients", "Failed", "Waiting", "Trouble"}
	if ofCause {
		titles = []string{"Attempts", "Recipients", "Failed", "Waiting"}
	}
	for _, title := range titles {
		t.Columns = append(t.Columns, Column{Title: title, Number: true})
	}
	if !ofCause {
		t.Columns = append(t.Columns, Column{Title: "Cause", Flex: true})
	}
	for _, g := range groups {
		failed, waiting := c.inTrouble(dims, &g)
		numbers := map[string]string{
			"Recipients": templates.Count(g.Recipients), "Failed": templates.Count(failed),
			"Waiting":  templates.Count(waiting),
			"Trouble":  templates.Percent(failed+waiting, g.Recipients),
			"Attempts": templates.Count(g.Attempts),
		}
		var row Row
		for i, d := range dims {
			row.Cells = append(row.Cells, dimensionValue(d, g.Values[i]))
		}
		for _, title := range titles {
			row.Cells = append(row.Cells, templates.Words(numbers[title]))
		}
		if !ofCause {
			row.Cells = append(row.Cells, c.causeText(dims, &g))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// causeText returns the cause of a row: that of its recipients in trouble or, without
// any, that of its failing attempts.
func (c *composer) causeText(dims []store.Dimension, g *store.Group) templates.Text {
	if l := c.causeOf(dims, g.Values); l != nil {
		return reasonAndCode(l.why)
	}
	if g.TopReason == "" {
		return nil
	}
	return reasonAndCode(&why{whyKey: whyKey{reason: g.TopReason, code: g.TopCode}})
}

// causeOf returns the leaf that stands for the recipients in trouble of a row; nil when
// there are none, or when they are not known by these dimensions.
func (r *Report) causeOf(dims []store.Dimension, values []registry.Foreign) *leaf {
	if !r.knowsPeople(dims) {
		return nil
	}
	if p := r.trouble.by(dims)[placeKey(values)]; p != nil {
		return p.cause()
	}
	return nil
}

// placeKey returns the key of a pile of recipients in trouble: its values, with NUL
// between them.
func placeKey[S ~string](values []S) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteByte(0)
		}
		b.WriteString(registry.Foreign(v).Raw())
	}
	return b.String()
}

func dimensionStrings(dims []store.Dimension) (names []string) {
	for _, d := range dims {
		names = append(names, string(d))
	}
	return names
}

func titleOfDimension(d store.Dimension) string {
	if d == store.ByMTA {
		return "MTA"
	}
	return strings.ToUpper(string(d[:1])) + string(d[1:])
}

// codes returns the table of failing attempts by code, for a report by code.
func (c *composer) codes() Section {
	s := Section{ID: "codes", Title: "Failing attempts by code"}
	if !c.isBy(store.ByCode) {
		return s
	}
	t := &Table{Columns: []Column{{Title: "Code"}, {Title: "Attempts", Number: true},
		{Title: "Recipients", Number: true}, {Title: "Domains", Number: true}, {Title: "Meaning", Flex: true}}}
	codes := split(c.Codes, c.Uncoded)
	for _, k := range top(codes, c.rows(DefaultTop)) {
		name, advice := meaningOf(&k, false)
		row := Row{Cells: []templates.Text{dimensionValue(store.ByCode, k.Code),
			templates.Number(k.Attempts), templates.Number(k.Recipients), templates.Number(k.Domains),
			templates.Words(name)}}
		row.Below = []templates.Text{templates.Words(k.Reason + ": " + advice)}
		row.Quote = quote(k.Example)
		t.Rows = append(t.Rows, row)
	}
	s.Table, s.More = t, more(len(codes)-len(t.Rows), "row")
	return s
}

func quote(text registry.Foreign) []registry.Foreign {
	if text == "" {
		return nil
	}
	return []registry.Foreign{text}
}

// split replaces the row without a code by the rows by reason.
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

// rejections is the table of incoming mail that was refused.
func (c *composer) rejections() Section {
	s := Section{ID: "incoming", Title: "Incoming mail refused"}
	codes := split(c.Rejections, c.UncodedRejections)
	if len(codes) == 0 {
		return s
	}
	t := &Table{Columns: []Column{{Title: "Reason", Flex: true}, {Title: "Code"},
		{Title: "Times", Number: true},
		{Title: "Recipients", Number: true}, {Title: "Clients", Number: true}}}
	for _, k := range top(codes, c.rows(shownReasons)) {
		t.Rows = append(t.Rows, Row{
			Cells: []templates.Text{templates.Words(registry.Reason(k.Reason).Info().Incoming),
				dimensionValue(store.ByCode, k.Code), templates.Number(k.Attempts),
				templates.Number(k.Recipients),
				templates.Number(k.Clients)},
			Quote: quote(k.Example),
		})
	}
	s.Table, s.More = t, more(len(codes)-len(t.Rows), "row")
	return s
}

// hops returns the table of the next hops to which connections failed. When the report
// is filtered by cause, connections that worked are not counted.
func (c *composer) hops() Section {
	s := Section{ID: "next-hops", Title: "Connections that failed, by next hop"}
	failing := c.failingHops()
	if len(failing) == 0 {
		return s
	}
	titles := []string{"Connections", "Failed", "Rate"}
	if c.ofCause(nil) {
		titles = []string{"Failed"}
	}
	t := &Table{Columns: []Column{{Title: "Next hop", Name: true}}}
	for _, title := range titles {
		t.Columns = append(t.Columns, Column{Title: title, Number: true})
	}
	t.Columns = append(t.Columns, Column{Title: "Cause", Flex: true})
	for _, h := range top(failing, c.rows(shownRows)) {
		numbers := map[string]string{"Connections": templates.Count(h.Connections),
			"Failed": templates.Count(h.Failed), "Rate": templates.Percent(h.Failed, h.Connections)}
		row := Row{Cells: []templates.Text{dimensionValue(store.ByRelay, h.Name)}, Quote: quote(h.Example)}
		for _, title := range titles {
			row.Cells = append(row.Cells, templates.Words(numbers[title]))
		}
		row.Cells = append(row.Cells, reasonAndCode(&why{whyKey: whyKey{reason: h.Reason, code: h.Code}}))
		t.Rows = append(t.Rows, row)
	}
	s.Table, s.More = t, left(len(failing)-len(t.Rows), len(c.Hops)-len(failing))
	return s
}

func (c *composer) failingHops() []store.Hop {
	return slices.DeleteFunc(slices.Clone(c.Hops), func(h store.Hop) bool { return h.Failed == 0 })
}

// unknownShown is the number of texts without a reason that are shown: enough
// to write a rule, too few to hide the report.
const unknownShown = 5

// unknown lists texts that no rule matches, when they are a considerable part of all.
func (c *composer) unknown() Section {
	s := Section{ID: "unknown", Title: "Texts that no rule knows"}
	// Failures that were logged without a text give nothing to write a rule from.
	texts := slices.DeleteFunc(slices.Clone(c.Unknown), func(u store.SignatureRow) bool {
		return u.Example == ""
	})
	var attempts int64
	for _, u := range texts {
		attempts += u.Attempts
	}
	if len(texts) == 0 || attempts*20 < c.Totals.Deferrals+c.Totals.Failures {
		return s
	}
	t := &Table{Columns: []Column{{Title: "Attempts", Number: true}, {Title: "Code"},
		{Title: "Text", Flex: true}}}
	for _, u := range top(texts, unknownShown) {
		t.Rows = append(t.Rows, Row{Cells: []templates.Text{templates.Number(u.Attempts),
			dimensionValue(store.ByCode, u.Code), templates.Name(u.Example)}})
	}
	s.Table, s.More = t, more(len(texts)-len(t.Rows), "text")
	return s
}

// lines describes how much of the logs was read and understood.
func (c *composer) lines() Section {
	s := Section{ID: "log"}
	l := &c.Lines
	if l.Read == 0 {
		s.Text = []templates.Text{templates.Words("No lines of this time were read.")}
		return s
	}
	s.Text = []templates.Text{templates.Say("%v %v read: %v understood, %v ignored, %v not understood (%v).",
		l.Read, templates.Plural(l.Read, "log line"),
		l.Understood, l.Irrelevant, l.Unparsed, templates.Percent(l.Unparsed, l.Read))}
	return s
}
