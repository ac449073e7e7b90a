package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// Values for the top of Report.View that are not a number of rows.
const (
	PageRows = 0  // as many as suit a page
	AllRows  = -1 // all
)

// View returns the report as data, with at most top rows a table, or PageRows or
// AllRows. Build must have got the same value as Options.Top.
func (r *Report) View(top int) *View {
	c := &composer{Report: r, top: top}
	return c.view()
}

// composer puts words around the numbers.
type composer struct {
	*Report
	top       int
	clusters  []*cluster
	clustered map[place]bool // the places of the clusters' recipients
	nOutside  int64          // recipients that failed outside the clusters
}

// rows returns how many rows of a table are shown.
func (c *composer) rows(usual int) int {
	switch {
	case c.top == PageRows:
		return usual
	case c.top == AllRows:
		return 0
	}
	return c.top
}

func (c *composer) view() *View {
	v := &View{Title: c.title(), Only: c.only()}
	for _, n := range c.Notes {
		v.Notes = append(v.Notes, templates.Words(n))
	}
	problems := c.problems()
	v.Problems = len(problems.Problems)
	v.Subject, v.Verdict = c.verdict(v.Problems)
	v.Alarm = v.Problems > 0 || c.systemAlarms() || c.unusual() || c.Unread() != ""
	sections := []Section{problems, c.systemTrouble(), c.figures(), c.chart(), c.trendChart(), c.reasons(),
		c.waiting(), c.failedAddresses(), c.refused(), c.complaints()}
	sections = append(sections, c.tables()...)
	sections = append(sections, c.volumes()...)
	sections = append(sections, c.accounts(), c.refusedClients(), c.codes(), c.rejections(), c.hops(),
		c.unknown(), c.lines())
	for _, s := range sections {
		if s.any() {
			v.Sections = append(v.Sections, s)
		}
	}
	return v
}

func (s *Section) any() bool {
	return len(s.Text)+len(s.Problems)+len(s.More) > 0 || s.Chart != nil || s.Table != nil &&
		len(s.Table.Rows) > 0
}

// title returns the hosts and the time that the report covers.
func (c *composer) title() templates.Text {
	when := c.when()
	if host := c.host(); host != nil {
		return templates.Say("%v, %v", host, when)
	}
	return templates.Say("Mail report: %v", when)
}

// when returns the time that the report covers, in words.
func (c *composer) when() string {
	if day, ok := c.day(); ok {
		return day.Format("Monday 2006-01-02") + ", " + zoneName(day, c.location)
	}
	return formatWindow(c.Window, c.FirstLine, c.LastLine, c.location)
}

// day returns the calendar day that the window covers, false when the window is not
// exactly one day.
func (c *composer) day() (time.Time, bool) {
	if c.Window.Since.IsZero() || c.Window.Until.IsZero() {
		return time.Time{}, false
	}
	since := c.Window.Since.In(c.location)
	y, m, d := since.Date()
	day := store.Window{Since: startOfDay(y, m, d, c.location), Until: startOfDay(y, m, d+1, c.location)}
	return since, day.Since.Equal(since) && day.Until.Equal(c.Window.Until)
}

// host returns the host names in the logs, nil when the logs do not name a host.
func (c *composer) host() templates.Text {
	var names []registry.Foreign
	for _, h := range c.Hosts {
		if name := h.Values[0]; name != "" {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		return templates.Name(names[0])
	}
	return templates.Say("%v hosts", len(names))
}

// only describes the filter in words.
func (c *composer) only() templates.Text {
	var parts []templates.Text
	for _, f := range c.Filter.Lists() {
		if len(*f.List) == 0 {
			continue
		}
		var values []templates.Text
		for _, v := range *f.List {
			values = append(values, templates.Name(v))
		}
		parts = append(parts, templates.Say("%v %v", f.Name, templates.Join(values, " or ")))
	}
	if parts == nil {
		return nil
	}
	return templates.Say("Only %v.", templates.Join(parts, ", "))
}

// verdict returns the verdict as the subject of a mail and as a sentence.
func (c *composer) verdict(problems int) (subject string, sentence templates.Text) {
	short := c.short(problems)
	subject = short
	if host := c.host(); host != nil {
		subject = host.String() + ": " + subject
	}
	if when := c.shortWhen(); when != "" {
		subject += " - " + when
	}
	return subject, templates.Words(strings.ToUpper(short[:1]) + short[1:] + ".")
}

func (c *composer) shortWhen() string {
	if day, ok := c.day(); ok {
		return day.Format("Mon 2 Jan")
	}
	if c.Window.Since.IsZero() {
		return ""
	}
	return "since " + c.Window.Since.In(c.location).Format("Mon 2 Jan 15:04")
}

// short returns the verdict in a few words: the gravest finding.
func (c *composer) short(problems int) string {
	n := &c.Totals
	gap := c.unread()
	switch {
	case c.Lines.Read == 0 && gap != "":
		return gap
	case c.ofCause(nil):
		return fmt.Sprintf("%s %s met such a failure", templates.Count(n.Recipients),
			templates.Plural(n.Recipients, "recipient"))
	case n.Recipients+n.Attempts+n.Suspended+n.HandedOver == 0 && c.Untried == 0:
		return c.nothing() + c.refusals()
	}
	said := c.share(problems)
	if c.systemAlarms() {
		said += ", trouble of the mail system"
	}
	if c.isStuck() {
		said = fmt.Sprintf("accepted %s %s, %s not tried yet; ", templates.Count(c.Accepted),
			templates.Plural(c.Accepted, "message"), templates.Count(c.Untried)) + said
	}
	if problems > 0 {
		said += fmt.Sprintf(", %d %s", problems, templates.Plural(int64(problems), "problem"))
	}
	if gap != "" {
		said = gap + "; " + said
	}
	return said
}

// nothing returns the verdict for a time in which no recipient was found.
func (c *composer) nothing() string {
	if len(c.Hops) > 0 {
		return "the logs of this time name no recipients"
	}
	return "no mail went out in this time"
}

// A report is quiet when at most 1/quietShare of all recipients is in trouble. Without
// a history of usual days the limit is 1/quietUnknown as soon as the recipients in
// trouble are enough for a problem. The verdict shows a percentage only for
// fewForAPercent recipients or more; fewer are shown as counts.
const (
	quietShare     = 10 // a tenth
	quietUnknown   = 50 // a fiftieth
	fewForAPercent = 20
)

// few reports whether the number of recipients in trouble is too small to matter.
func (c *composer) few(n int64) bool {
	share := int64(quietShare)
	if c.Usual == nil && n > leastTogether {
		share = quietUnknown
	}
	return n*share <= c.Totals.Recipients
}

// share describes how many recipients failed and how many wait.
func (c *composer) share(problems int) string {
	n := &c.Totals
	failed, waiting := n.Bounced+n.Expired, c.waits()
	refused := c.refusals()
	quiet := problems == 0 && refused == "" && !c.unusual() && !c.systemAlarms() && c.few(failed+waiting)
	var said string
	switch ended := n.Delivered + failed; {
	case n.Recipients == 0:
		said = "no delivery was tried"
	case failed == 0:
		said = "none of " + templates.Count(n.Recipients) + " failed"
	case quiet || ended < fewForAPercent:
		said = fmt.Sprintf("%s of %s failed", templates.Count(failed), templates.Count(n.Recipients))
	default:
		said = templates.Percent(failed, ended) + " failed"
	}
	if u := c.Usual; u != nil && !quiet {
		said += fmt.Sprintf(" (usual %s)", templates.Percent(u.Failed(), u.Delivered+u.Failed()))
	}
	if waiting > 0 {
		said += fmt.Sprintf(", %s %s", templates.Count(waiting), waitWord(waiting))
	}
	said += refused
	if quiet {
		return "all quiet, " + said
	}
	return said
}

// refusals describes how much incoming mail was refused, "" when it is little or as
// usual.
func (c *composer) refusals() string {
	n := c.Totals.Rejected + c.Totals.RejectedTemporary
	switch u := c.Usual; {
	case n < leastTogether || u == nil && n*quietShare <= c.Totals.Recipients:
		return ""
	case u == nil:
		return fmt.Sprintf(", %s incoming refused", templates.Count(n))
	case n <= 2*u.refused()+leastTogether:
		return ""
	default:
		return fmt.Sprintf(", %s incoming refused (usual %s)", templates.Count(n),
			templates.Count(u.refused()))
	}
}

// unusual reports whether clearly more recipients failed than usual.
func (c *composer) unusual() bool {
	return c.Usual != nil && c.Totals.Bounced+c.Totals.Expired > 2*c.Usual.Failed()+leastTogether
}

func waitWord(n int64) string {
	if n == 1 {
		return "waits"
	}
	return "wait"
}

// unread describes the part of the window that was not read, "" when all of it was.
func (c *composer) unread() string {
	const layout = "Mon 2006-01-02 15:04"
	first, last := c.Covered.First, c.Covered.Last
	switch {
	case last.IsZero():
		return "nothing was read: there is no line of a log with a time"
	case !c.Window.Since.IsZero() && last.Before(c.Window.Since):
		return "nothing was read since " + last.In(c.location).Format(layout)
	case !c.Window.Until.IsZero() && !first.Before(c.Window.Until):
		return "nothing was read of this time: the logs begin " + first.In(c.location).Format(layout)
	case c.stale():
		return "nothing was read since " + last.In(c.location).Format(layout)
	}
	return ""
}

// patience is how long a mail server may log nothing before the report warns that its
// log is not being read: a quarter of the window, at least two hours.
func (c *composer) patience() time.Duration {
	return max(2*time.Hour, c.end().Sub(c.Window.Since)/4)
}

// stale reports whether the lines end well before the window does.
func (c *composer) stale() bool {
	if c.Window.Since.IsZero() || c.FromFiles {
		return false
	}
	return c.end().Sub(c.Covered.Last) > c.patience()
}

// end returns the end of the window or, when it is open or in the future, the time of
// the report; for a report from files, the end of the last line's minute.
func (r *Report) end() time.Time {
	if u := r.Window.Until; !u.IsZero() && (r.Now.IsZero() || u.Before(r.Now)) {
		return u
	}
	if r.Now.IsZero() || r.FromFiles {
		return r.LastLine.Add(time.Minute)
	}
	return r.Now
}

// endIsKnown reports whether end does not depend on the lines that were read.
func (r *Report) endIsKnown() bool {
	u := r.Window.Until
	return !u.IsZero() && (r.Now.IsZero() || u.Before(r.Now)) || !r.Now.IsZero() && !r.FromFiles
}

// Unread describes the part of the window that was not read, "" when all of it was.
func (r *Report) Unread() string {
	c := &composer{Report: r}
	if r.Lines.Read == 0 || c.stale() {
		return c.unread()
	}
	return ""
}

// waits returns how many recipients wait: those in trouble when they are known, else
// all pending ones.
func (c *composer) waits() int64 {
	if c.trouble == nil {
		return c.Totals.Pending
	}
	return c.trouble.nWaiting
}

// reasonName returns a reason as a headline.
func reasonName(reason string) string {
	if reason == "" {
		return "Not tried yet"
	}
	return registry.Reason(reason).Info().Name
}

// dimensionValue returns a value of a dimension as text, with words for an empty one.
func dimensionValue[S ~string](d store.Dimension, value S) templates.Text {
	switch {
	case value == "<>" && d == store.BySender:
		return templates.Words("<> (bounces)")
	case value != "":
		return templates.Name(value)
	case d == store.ByInstance:
		return templates.Words("(default)")
	case d == store.BySender || d == store.ByHost:
		return templates.Words("(unknown)")
	case d == store.ByCode:
		return templates.Words("(no code)")
	}
	if d == store.ByProvider || d == store.ByRelay {
		return templates.Words("(no next hop)")
	}
	return templates.Words("(none)")
}

// more returns the line that counts the rows not shown, nil when all are shown.
func more(left int, what string) templates.Text {
	if left <= 0 {
		return nil
	}
	return templates.Say("… %v more %v (--top 0 shows all)", left, templates.Plural(int64(left), what))
}

// clock formats a time of day, with the day when the window is longer than about a day.
func (c *composer) clock(t time.Time) string {
	local := t.In(c.location)
	if since := c.Window.Since; !since.IsZero() && c.end().Sub(since) <= 26*time.Hour && !t.Before(since) {
		return local.Format("15:04")
	}
	if c.Window.Since.IsZero() &&
		local.Format(time.DateOnly) == c.LastLine.In(c.location).Format(time.DateOnly) &&
		c.LastLine.Sub(c.FirstLine) < 24*time.Hour {
		return local.Format("15:04")
	}
	return local.Format("01-02 15:04")
}

// isBy reports whether the report is grouped by exactly these dimensions.
func (r *Report) isBy(dims ...store.Dimension) bool { return slices.Equal(r.By, dims) }
