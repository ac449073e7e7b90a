package report

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

// The rows that suit a page.
const (
	shownReasons   = 8
	advisedReasons = 3
	shownWaiting   = 10
	shownFailed    = 20
)

// reasons is the table of the recipients in trouble by reason.
func (c *composer) reasons() Section {
	s := Section{ID: "reasons", Title: "In trouble, by reason"}
	if c.trouble == nil || len(c.trouble.leaves) == 0 {
		return s
	}
	t := &Table{Columns: []Column{{Title: "Reason", Flex: true}, {Title: "Failed", Number: true},
		{Title: "Waiting", Number: true}}}
	if c.Before != nil {
		t.Columns = append(t.Columns, Column{Title: c.Before.Name, Number: true})
	}
	t.Columns = append(t.Columns, Column{Title: "Codes", Flex: true})
	list := c.trouble.allBy(store.ByReason)
	for i, p := range top(list, c.rows(shownReasons)) {
		row := Row{Cells: []templates.Text{templates.Words(reasonName(p.name)), templates.Number(p.failed),
			templates.Number(p.waiting)}}
		if c.Before != nil {
			row.Cells = append(row.Cells, templates.Number(c.Before.Reasons[p.name]))
		}
		row.Cells = append(row.Cells, c.codesOf(p))
		if i < advisedReasons && !c.isProblem(p.name) {
			c.explain(&row, p)
		}
		t.Rows = append(t.Rows, row)
	}
	s.Table = t
	s.More = more(len(list)-len(t.Rows), "reason")
	return s
}

// isProblem reports whether the problems section already explains a reason.
func (c *composer) isProblem(reason string) bool {
	if c.Found != nil {
		return slices.ContainsFunc(c.Found.Problems, func(p investigate.Problem) bool {
			return p.Reason == reason && p.Severity != investigate.Remark
		})
	}
	return slices.ContainsFunc(c.clusters, func(k *cluster) bool { return k.cause().reason == reason })
}

// explain adds a reply and the advice below a row.
func (c *composer) explain(row *Row, p *pile) {
	cause := p.cause()
	if who := c.trouble.persons[cause.lastID]; who != nil && who.Text != "" {
		row.Quote = append(row.Quote, registry.Foreign(who.Text))
	}
	row.Below = append(row.Below, templates.Words(c.advice(cause)))
}

// codesOf lists the most frequent codes of a pile, as many as there is room for.
func (c *composer) codesOf(p *pile) templates.Text {
	shown := 2
	if c.Before != nil {
		shown = 1
	}
	var codes []string
	for _, c := range c.trouble.pilesBy(p.leaves, store.ByCode) {
		if c.name != "" {
			codes = append(codes, c.name)
		}
	}
	said := strings.Join(top(codes, shown), ", ")
	if left := len(codes) - shown; left > 0 {
		said += fmt.Sprintf(", %d more", left)
	}
	return templates.Words(said)
}

// waiting is the table of who waits, and since when.
func (c *composer) waiting() Section {
	s := Section{ID: "waiting", Title: "Waiting at the end of this time"}
	if c.trouble == nil || c.trouble.nWaiting == 0 {
		return s
	}
	if c.trouble.nWaiting > shownWaiting && c.top >= 0 {
		s.Table, s.More = c.waitingGroups()
		return s
	}
	s.Table = &Table{Columns: []Column{{Title: "Since"}, {Title: "Tries", Number: true},
		{Title: "Recipient", Name: true}, {Title: "Cause", Flex: true}}}
	for _, o := range oldest(c.trouble.waiting) {
		who := c.trouble.persons[o.id]
		if who == nil {
			break
		}
		s.Table.Rows = append(s.Table.Rows,
			Row{Cells: []templates.Text{templates.Words(c.clock(o.time())), templates.Number(who.Tries),
				person(who.Address), reasonAndCode(o.why)}})
	}
	s.More = more(int(c.trouble.nWaiting)-len(s.Table.Rows), "recipient")
	return s
}

// person returns an address as text, with words for a missing one.
func person(address registry.Foreign) templates.Text {
	if address == "" {
		return templates.Words("(no recipient)")
	}
	return templates.Name(address)
}

// reasonAndCode puts the code first, so that a narrow column never cuts it.
func reasonAndCode(y *why) templates.Text {
	return templates.Words(strings.TrimSpace(y.code + " " + reasonName(y.reason)))
}

// briefCause is reasonAndCode for narrow columns: it uses the reason's short name.
func briefCause(y *why) templates.Text {
	if y.reason == "" {
		return templates.Words("not tried")
	}
	return templates.Words(strings.TrimSpace(y.code + " " + y.reason))
}

// waitingGroups lists the waiting recipients by domain, provider and reason, for
// reports in which many wait.
func (c *composer) waitingGroups() (*Table, templates.Text) {
	t := &Table{Columns: []Column{{Title: "Since"}, {Title: "Waiting", Number: true},
		{Title: "Where", Name: true}, {Title: "Cause", Flex: true}}}
	var leaves []*leaf
	for _, l := range c.trouble.leaves {
		if !l.ended {
			leaves = append(leaves, l)
		}
	}
	list := piles(leaves, func(l *leaf) string { return where(l) + "\x00" + l.reason })
	for _, p := range top(list, c.rows(shownWaiting)) {
		first, _ := p.span()
		name, _, _ := strings.Cut(p.name, "\x00")
		t.Rows = append(t.Rows, Row{Cells: []templates.Text{templates.Words(c.clock(first)),
			templates.Number(p.waiting), dimensionValue(store.ByDomain, name),
			reasonAndCode(p.cause().why)}})
	}
	return t, more(len(list)-len(t.Rows), "place")
}

// where returns the provider of a leaf when it is known, else its domain.
func where(l *leaf) string {
	if l.provider != "" {
		return l.provider
	}
	return l.domain
}

// failedAddresses is the table of recipients that failed outside the problems.
func (c *composer) failedAddresses() Section {
	s := Section{ID: "failed", Title: "Failed addresses"}
	if c.trouble == nil || c.trouble.nFailed == 0 {
		return s
	}
	outside := c.outside()
	if c.nOutside < c.trouble.nFailed {
		s.Title += " outside the problems"
	}
	s.Table = &Table{Columns: []Column{{Title: "Time"}, {Title: "Recipient", Name: true},
		{Title: "Sender", Flex: true, Name: true}, {Title: "Cause"}}}
	shown := slices.Clone(top(outside, c.rows(shownFailed)))
	slices.Reverse(shown) // the latest failures, in order of time
	for _, o := range shown {
		who := c.trouble.persons[o.id]
		if who == nil {
			break
		}
		s.Table.Rows = append(s.Table.Rows,
			Row{Cells: []templates.Text{templates.Words(c.clock(o.time())), person(who.Address), sender(who),
				briefCause(o.why)}})
	}
	if left := c.nOutside - int64(len(s.Table.Rows)); left > 0 && len(s.Table.Rows) > 0 {
		s.More, s.See = templates.Say("… %v more:", left), c.events(c.failures()...)
	}
	return s
}

// failures returns the flags with which mailfail events lists all failed recipients. It
// returns none when some expired: these had no attempt that failed permanently.
func (c *composer) failures() []string {
	if c.Totals.Expired > 0 {
		return nil
	}
	return []string{"--outcome failed"}
}

// outside returns the recipients that failed outside the problems, the latest
// first.
func (c *composer) outside() (list []one) {
	c.nOutside = c.trouble.nFailed
	for _, l := range c.trouble.leaves {
		if l.ended && c.inProblem(&l.place) {
			c.nOutside -= int64(l.n)
		}
	}
	for _, o := range latest(c.trouble.failed) {
		if !c.inProblem(&o.place) {
			list = append(list, o)
		}
	}
	return list
}

func sender(p *store.Person) templates.Text {
	switch {
	case !p.HasSender:
		return templates.Words("(unknown)")
	case p.Sender == "":
		return templates.Words("<>")
	}
	if _, err := netip.ParseAddr(p.Account.Raw()); err != nil && p.Account != "" &&
		!strings.EqualFold(p.Account.Raw(), p.Sender.Raw()) {
		return templates.Say("%v (%v)", templates.Name(p.Sender), templates.Name(p.Account))
	}
	return templates.Name(p.Sender)
}

// namedPeople is how many recipients a problem names. It takes them from knownPeople,
// since several recipients may have the same address.
const (
	namedPeople = 3
	knownPeople = 12
)

// peopleAt returns some recipients of places, the latest of those that failed
// first, then those that wait longest.
func (c *composer) peopleAt(leaves []*leaf) (ids []int64) {
	at := map[place]bool{}
	for _, l := range leaves {
		at[l.place] = true
	}
	for _, list := range [][]one{latest(c.trouble.failed), oldest(c.trouble.waiting)} {
		for _, o := range list {
			if len(ids) == knownPeople {
				return ids
			}
			if at[o.place] {
				ids = append(ids, o.id)
			}
		}
	}
	return ids
}

// people names some of the recipients of places, each address once, nil where none
// is known.
func (c *composer) people(leaves []*leaf) templates.Text {
	if len(leaves) == 0 {
		return nil
	}
	var names []templates.Text
	var left int64
	for _, l := range leaves {
		left += int64(l.n)
	}
	named := map[registry.Foreign]bool{}
	for _, id := range c.peopleAt(leaves) {
		who := c.trouble.persons[id]
		switch {
		case who == nil || who.Address == "" || !named[who.Address] && len(names) == namedPeople:
			continue
		case !named[who.Address]:
			named[who.Address] = true
			names = append(names, templates.Name(who.Address))
		}
		left--
	}
	if len(names) == 0 {
		return nil
	}
	if left > 0 {
		names = append(names, templates.Say("%v more", left))
	}
	return templates.Say("Recipients: %v.", templates.Join(names, ", "))
}

// wanted returns the recipients whose details a view shows: those that stand
// for a problem or a reason, and those that are listed.
func (c *composer) wanted() (ids []int64) {
	for _, p := range c.trouble.allBy(store.ByReason) {
		ids = append(ids, p.cause().lastID)
	}
	if c.Found == nil {
		c.cluster()
	}
	for _, k := range c.clusters {
		ids = append(append(ids, k.cause().lastID), c.peopleAt(k.leaves)...)
	}
	if c.Found != nil {
		for i := range c.Found.Problems {
			ids = append(ids, c.peopleAt(c.leavesOf(&c.Found.Problems[i]))...)
		}
	}
	for _, o := range top(oldest(c.trouble.waiting), c.rows(shownWaiting)) {
		ids = append(ids, o.id)
	}
	for _, o := range top(c.outside(), c.rows(shownFailed)) {
		ids = append(ids, o.id)
	}
	return ids
}
