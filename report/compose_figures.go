package report

import (
	"fmt"
	"strings"
	"time"

	"mailfail/store"
	"mailfail/templates"
)

// Period holds the numbers of an earlier time for comparison.
type Period struct {
	Name string // heading of its column: day before, usual
	Days int    // how many days the median covers; 0 for a single time
	store.Tally
	Messages   int64
	Accepted   int64            // messages that came into the queue
	OwnBounces int64            // recipients
	Reasons    map[string]int64 // recipients that failed, by reason
}

// Failed is how many recipients failed.
func (p *Period) Failed() int64 { return p.Bounced + p.Expired }

// refused is how often incoming mail was refused.
func (p *Period) refused() int64 { return p.Rejected + p.RejectedTemporary }

// figure is a row of the figures.
type figure struct {
	name   string
	of     func(*store.Tally) int64
	note   templates.Text
	always bool // also when it is zero
}

// figures are the numbers, beside those of the time before and the usual ones.
func (c *composer) figures() Section {
	s := Section{ID: "figures", Title: "Figures"}
	if c.Totals == (store.Tally{}) && c.Messages+c.Accepted+c.OwnBounces.Recipients == 0 &&
		len(c.Hops) == 0 {
		return s
	}
	t := &Table{Columns: []Column{{Title: ""}, {Title: c.ownColumn(), Number: true}}}
	periods := c.periods()
	for _, p := range periods {
		t.Columns = append(t.Columns, Column{Title: p.Name, Number: true})
	}
	t.Columns = append(t.Columns, Column{Flex: true})
	row := func(name string, n int64, of func(*Period) int64, note templates.Text) {
		cells := []templates.Text{templates.Words(name), templates.Number(n)}
		for _, p := range periods {
			if n := of(p); n >= 0 {
				cells = append(cells, templates.Number(n))
			} else {
				cells = append(cells, templates.Words("-"))
			}
		}
		t.Rows = append(t.Rows, Row{Cells: append(cells, note)})
	}
	switch {
	case c.ofCause(nil):
	case c.Accepted > 0:
		row("Accepted", c.Accepted, acceptedThen, c.acceptedNote())
	case c.Totals.Recipients+c.Totals.HandedOver > 0:
		row("Messages", c.Messages, func(p *Period) int64 { return p.Messages }, nil)
	}
	for _, f := range c.tallyFigures() {
		if n := f.of(&c.Totals); n != 0 || f.always {
			row(f.name, n, func(p *Period) int64 { return f.of(&p.Tally) }, f.note)
		}
		if f.name == failedName && c.Totals.Bounced+c.Totals.Expired > 0 && !c.ofCause(nil) {
			t.Rows = append(t.Rows, c.rateRow(periods))
		}
	}
	if r, ok := c.delayRow(len(periods)); ok {
		t.Rows = append(t.Rows, r)
	}
	if n := c.OwnBounces.Recipients; n > 0 && !c.ofCause(nil) {
		row("Own bounces", n, func(p *Period) int64 {
			return p.OwnBounces
		}, templates.Words("sent by this server, in no rate"))
	}
	for _, f := range c.feedbackFigures() {
		t.Rows = append(t.Rows, Row{Cells: append(append([]templates.Text{templates.Words(f.name),
			templates.Number(f.n)}, make([]templates.Text, len(periods))...), f.note)})
	}
	if f, ok := c.connected(); ok {
		t.Rows = append(t.Rows, Row{Cells: append(append([]templates.Text{templates.Words("Connections"),
			templates.Number(f.n)}, make([]templates.Text, len(periods))...), f.note)})
	}
	s.Table = t
	if u := c.Usual; u != nil && u.Days < 4 {
		s.More = templates.Say("Usual is the median of %v %v only: there is little history yet.", u.Days,
			templates.Plural(int64(u.Days), "day"))
	}
	return s
}

// ownColumn is the heading of the report's own numbers.
func (c *composer) ownColumn() string {
	if day, ok := c.day(); ok {
		return day.Format("Mon 2 Jan")
	}
	return "number"
}

func (c *composer) periods() (list []*Period) {
	for _, p := range []*Period{c.Before, c.Usual} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

func (c *composer) tallyFigures() []figure {
	if c.ofCause(nil) {
		return c.causeFigures()
	}
	failed := func(t *store.Tally) int64 { return t.Bounced + t.Expired }
	any := c.Totals.Recipients+c.Totals.Attempts > 0
	return []figure{
		{"Recipients", func(t *store.Tally) int64 { return t.Recipients }, nil, any},
		{"  delivered", func(t *store.Tally) int64 { return t.Delivered },
			templates.Words(templates.Percent(c.Totals.Delivered, c.Totals.Recipients)), any},
		{failedName, failed, c.failedNote(), any},
		{"  pending", func(t *store.Tally) int64 { return t.Pending }, c.waitingNote(), any},
		{"  removed", func(t *store.Tally) int64 { return t.Removed }, templates.Words("deleted or discarded here"), false},
		{"Deferred", func(t *store.Tally) int64 { return t.Deferred }, templates.Words("at least once"), false},
		{"Handed over", func(t *store.Tally) int64 { return t.HandedOver },
			templates.Words("to a filter or server here"), false},
		{"Attempts", func(t *store.Tally) int64 { return t.Attempts }, nil, false},
		{"  temporary", func(t *store.Tally) int64 { return t.Deferrals }, templates.Words("temporary failures"), false},
		{"  permanent", func(t *store.Tally) int64 { return t.Failures }, templates.Words("permanent failures"), false},
		{"Suspended", func(t *store.Tally) int64 { return t.Suspended },
			templates.Words("deferred without an attempt"), false},
		{"Rejected", func(t *store.Tally) int64 { return t.Rejected }, templates.Words("incoming, permanently"), false},
		{"Rejected", func(t *store.Tally) int64 { return t.RejectedTemporary },
			templates.Words("incoming, temporarily"), false},
	}
}

// causeFigures returns the figures of a report filtered by cause. Such a filter
// excludes deliveries, so only failures are known.
func (c *composer) causeFigures() []figure {
	n := &c.Totals
	attempts := templates.Say("failed: %v temporarily, %v permanently", n.Deferrals, n.Failures)
	return []figure{
		{"Attempts", func(t *store.Tally) int64 { return t.Attempts }, attempts, true},
		{"Recipients", func(t *store.Tally) int64 { return t.Recipients },
			templates.Words("met such a failure. Of these"), true},
		{"  delivered", func(t *store.Tally) int64 { return t.Delivered }, templates.Words("in the end"), true},
		{"  failed", func(t *store.Tally) int64 { return t.Bounced + t.Expired }, templates.Words("in the end"), true},
		{"  pending", func(t *store.Tally) int64 { return t.Pending }, templates.Words("at the end of this time"), true},
		{"  removed", func(t *store.Tally) int64 { return t.Removed }, templates.Words("deleted"), false},
		{"Rejected", func(t *store.Tally) int64 { return t.Rejected }, templates.Words("incoming, permanently"), false},
		{"Rejected", func(t *store.Tally) int64 { return t.RejectedTemporary },
			templates.Words("incoming, temporarily"), false},
	}
}

const failedName = "  failed"

// rateRow returns the failure rate beside that of other times.
func (c *composer) rateRow(periods []*Period) Row {
	rate := func(t *store.Tally) templates.Text {
		return templates.Words(templates.Percent(t.Bounced+t.Expired, t.Delivered+t.Bounced+t.Expired))
	}
	row := Row{Cells: []templates.Text{templates.Words("  failure rate"), rate(&c.Totals)}}
	for _, p := range periods {
		row.Cells = append(row.Cells, rate(&p.Tally))
	}
	row.Cells = append(row.Cells, nil)
	return row
}

// acceptedThen returns how many messages came into the queue in a period, -1 for a
// database of an earlier version, which did not keep the number.
func acceptedThen(p *Period) int64 {
	if p.Accepted == 0 && p.Messages > 0 {
		return -1
	}
	return p.Accepted
}

// acceptedNote describes how many of the accepted messages were not tried.
func (c *composer) acceptedNote() templates.Text {
	if c.Untried == 0 {
		return templates.Say("messages%v", c.acceptedBytes())
	}
	return templates.Say("messages%v, %v not tried yet", c.acceptedBytes(), c.Untried)
}

// acceptedBytes describes the size of the accepted messages, nil when it is not known.
func (c *composer) acceptedBytes() templates.Text {
	if _, all := c.measured(store.AcceptedMail); all.Bytes > 0 {
		return templates.Say(", %v", templates.Bytes(all.Bytes))
	}
	return nil
}

func (c *composer) failedNote() templates.Text {
	n := &c.Totals
	if n.Expired == 0 {
		return nil
	}
	return templates.Say("%v bounced, %v expired", n.Bounced, n.Expired)
}

func (c *composer) waitingNote() templates.Text {
	if c.trouble == nil || c.Totals.Pending == 0 {
		return nil
	}
	t := c.trouble
	if t.nWaiting == 0 {
		return templates.Words("none has failed yet")
	}
	var parts []string
	if t.nWaiting != c.Totals.Pending {
		parts = append(parts, fmt.Sprintf("%s %s", templates.Count(t.nWaiting), waitWord(t.nWaiting)))
	}
	parts = append(parts, "oldest "+c.clock(t.oldest))
	if t.nUntried > 0 {
		parts = append(parts, templates.Count(t.nUntried)+" untried")
	}
	return templates.Words(strings.Join(parts, ", "))
}

type connected struct {
	n    int64
	note templates.Text
}

// connected sums up the connections to next hops.
func (c *composer) connected() (connected, bool) {
	var all, failed, messages int64
	for _, h := range c.Hops {
		all, failed, messages = all+h.Connections, failed+h.Failed, messages+h.Messages
	}
	hops := int64(len(c.Hops))
	if c.ofCause(nil) {
		hops = int64(len(c.failingHops()))
		return connected{failed, templates.Say("to %v next %v met such a failure", hops,
			templates.Plural(hops, "hop"))}, failed > 0
	}
	return connected{all, templates.Say("%v next %v, %v failed, %v %v", hops, templates.Plural(hops, "hop"),
		failed, messages, templates.Plural(messages, "message"))}, all > 0
}

// chart shows deliveries and failures over the window.
func (c *composer) chart() Section {
	s := Section{ID: "hours", Title: "Over the time"}
	if c.Line != nil && len(c.Line.points) > 1 {
		s.Chart = c.chartOf(c.Line)
	}
	return s
}

// trendChart shows deliveries and failures by day over the weeks until the window's
// end.
func (c *composer) trendChart() Section {
	s := Section{ID: "trend"}
	if c.Trend != nil {
		s.Title = fmt.Sprintf("The last %d days", len(c.Trend.points))
		s.Chart = c.chartOf(c.Trend)
	}
	return s
}

// chartOf draws a line.
func (c *composer) chartOf(l *Line) *Chart {
	layout := "15:04"
	if l.step >= 24*time.Hour {
		layout = "Jan 2"
	}
	chart := &Chart{
		Title:  "Delivered, deferred and failed attempts by " + stepName(l.step),
		Series: []Series{{Name: "delivered"}, {Name: "deferred"}, {Name: "failed"}},
	}
	for _, p := range l.points {
		chart.Labels = append(chart.Labels, p.at.In(c.location).Format(layout))
		for i, n := range []int64{p.delivered, p.deferred, p.failed} {
			chart.Series[i].Values = append(chart.Series[i].Values, n)
		}
	}
	return chart
}

func stepName(d time.Duration) string {
	if d >= 24*time.Hour {
		return "day"
	}
	return "hour"
}
