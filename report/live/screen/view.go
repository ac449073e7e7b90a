package screen

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"mailfail/registry"
	"mailfail/report"
	"mailfail/report/live"
	"mailfail/store"
	"mailfail/templates"
)

// layout is how the lines of the screen are divided.
type layout struct {
	totals  bool // the lines of totals are shown
	across  int  // tables side by side, 0 none
	rows    int  // of each table
	newest  int  // failures
	tall    int  // lines of a failure
	columns int  // of each history
}

const (
	totalLines = 5
	totalWidth = 48  // without the history
	wide       = 160 // columns from which all tables stand side by side
)

func (m *Model) layout() layout {
	l := layout{columns: 10, tall: 2} // every window has a multiple of 10 steps
	if m.width >= 100 && windows[m.window] >= 20*live.Step {
		l.columns = 20
	}
	if m.width >= senderFrom {
		l.tall = 1
	}
	rest := m.height - 2 // title, keys
	if rest >= totalLines+4 && m.width >= totalWidth+l.columns {
		l.totals = true
		rest -= totalLines
	}
	rest -= len(m.status.alerts) + len(m.status.changes) + 1 // the heading of the failures
	switch {
	case m.width >= wide && rest >= 8:
		l.across, l.rows = 4, rest/3
		rest -= l.rows + 1
	case m.width >= 70 && rest >= 12:
		l.across, l.rows = 2, rest/4
		rest -= 2 * (l.rows + 1)
	}
	l.newest = max(0, rest/l.tall)
	return l
}

// View draws the screen.
func (m *Model) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

// draw returns the lines of the screen.
func (m *Model) draw() string {
	if m.width < 20 || m.height < 5 {
		return m.opt.Look.text("too small", max(m.width, 1))
	}
	var lines []string
	switch m.mode {
	case helping:
		lines = m.help()
	case opened:
		lines = m.failure()
	case telling:
		lines = m.told()
	default:
		lines = m.watch()
	}
	return strings.Join(m.fill(lines), "\n")
}

// fill makes the screen exactly as high as the terminal, with the keys last.
func (m *Model) fill(lines []string) []string {
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:m.height-1], m.footer())
}

func (m *Model) watch() []string {
	l := m.layout()
	lines := []string{m.title()}
	if l.totals {
		lines = append(lines, m.totals(l)...)
	}
	for _, a := range m.status.alerts {
		lines = append(lines, m.opt.Look.style(alarm, m.opt.Look.left(" ALERT "+a, m.width)))
	}
	for _, c := range m.status.changes {
		lines = append(lines, m.opt.Look.style(alarm, m.opt.Look.left(" CHANGED "+c, m.width)))
	}
	for i := 0; l.across > 0 && i < failures; i += l.across {
		lines = append(lines, m.tables(l, i)...)
	}
	return append(lines, m.newest(l)...)
}

// title returns the window and the filter, and on the right how the log is read.
func (m *Model) title() string {
	look := m.opt.Look
	left := " mailfail  last " + span(windows[m.window])
	if f := strings.TrimSpace(m.opt.Filter + " " + live.FormatFilter(m.filter)); f != "" {
		left += "  only " + f
	}
	if m.show > 0 {
		left += "  only " + shows[m.show].name
	}
	right := m.state() + "  " + m.view.Clock.In(m.opt.Location).Format("15:04:05") + " "
	n := look.width(right)
	if n > m.width-20 {
		return look.style(reverse, look.left(left, m.width))
	}
	return look.style(reverse, look.left(left, m.width-n)+look.text(right, n))
}

// state describes in words what the program is doing.
func (m *Model) state() string {
	switch {
	case m.paused:
		return "PAUSED (p goes on)"
	case m.asking != m.narrowed:
		return "counting"
	case m.status.ended:
		return "END OF INPUT"
	case m.view.Behind > 2*time.Minute:
		return fmt.Sprintf("%s lines/s  %s behind", rate(m.speed), span(m.view.Behind))
	}
	return rate(m.speed) + " lines/s"
}

// totals shows the rates now against the usual ones.
func (m *Model) totals(l layout) []string {
	look := m.opt.Look
	columns := l.columns
	usual := [...]float64{m.usual.Delivered, m.usual.Deferred, m.usual.Failed, m.usual.Rejected}
	known := m.usual.Usual.Days > 0 && m.usualFor == live.FormatFilter(m.filter)
	heading := fmt.Sprintf("%-11s%8s%9s%8s%8s  %s", "", "a minute", "usual", "share", "usual",
		look.left("history", columns+2))
	switch {
	case m.view.Empty:
		heading += "no event yet"
	case !known && !m.usualAt.IsZero():
		heading += "no history yet"
	case known:
		heading += fmt.Sprintf("usual: %d days", m.usual.Usual.Days)
	}
	lines := []string{look.style(dim, look.text(heading, m.width))}
	now := shares(m.view.Totals)
	for i, t := range m.view.Totals {
		o := live.Outcome(i)
		usually, usualShare, mark := "-", "-", ""
		if known {
			usually = rate(usual[i])
			usualShare = shareText(usualShares(usual)[i])
			mark = m.compare(o, t, usual[i])
		}
		style := plain
		if t.Count > 0 {
			style = [...]string{plain, yellow, red, cyan}[o]
		}
		line := look.style(style, fmt.Sprintf(" %-10s%8s", o, rate(t.PerMinute))) +
			fmt.Sprintf("%9s%8s%8s  ", usually, shareText(now[i]), usualShare) +
			look.style(style, look.left(look.spark(t.History), columns+2))
		room := m.width - totalWidth - columns
		if room > 0 {
			line += look.style(bold, look.text(mark, room))
		}
		lines = append(lines, line)
	}
	return lines
}

// shares returns the deferral and the failure rate by attempts; negative without
// attempts.
func shares(t [4]live.Total) [4]float64 {
	var n [4]float64
	for i := range t {
		n[i] = float64(t[i].Count)
	}
	return usualShares(n)
}

func usualShares(n [4]float64) [4]float64 {
	s := [4]float64{-1, -1, -1, -1}
	if ended := n[live.Delivered] + n[live.Failed]; ended > 0 {
		s[live.Delivered], s[live.Failed] = n[live.Delivered]/ended, n[live.Failed]/ended
	}
	if all := n[live.Delivered] + n[live.Failed] + n[live.Deferred]; all > 0 {
		s[live.Deferred] = n[live.Deferred] / all
	}
	return s
}

func shareText(f float64) string {
	if f < 0 {
		return "-"
	}
	return percent(f)
}

// compare describes a number that is not usual. Chance explains others: the count has
// to be five standard deviations away, as of independent events.
func (m *Model) compare(o live.Outcome, t live.Total, usual float64) string {
	minutes := m.view.Window.Minutes()
	if minutes < 0.5 {
		return ""
	}
	expected := usual * minutes
	d := float64(t.Count) - expected
	switch {
	case d*d < 25*max(expected, 4):
		return ""
	case d > 0 && expected == 0:
		return "HIGH"
	case d > 0 && float64(t.Count) > 1.5*expected:
		return fmt.Sprintf("HIGH: %s times", rate(float64(t.Count)/expected))
	case d < 0 && o == live.Delivered && float64(t.Count) < expected/1.5:
		return "LOW: " + percent(float64(t.Count)/expected)
	}
	return ""
}

// tables draws tables side by side; first is the index of the leftmost one.
func (m *Model) tables(l layout, first int) []string {
	gap := 2
	width := (m.width - gap*(l.across-1)) / l.across
	var columns [][]string
	for i := first; i < first+l.across; i++ {
		columns = append(columns, m.table(i, width, l))
	}
	lines := make([]string, l.rows+1)
	for i := range lines {
		for j, c := range columns {
			if j > 0 {
				lines[i] += strings.Repeat(" ", gap)
			}
			lines[i] += c[i]
		}
	}
	return lines
}

var headings = [...]string{"PROVIDERS", "DOMAINS", "CODES", "REASONS"}

// table draws a heading and l.rows lines of exactly width columns.
func (m *Model) table(i, width int, l layout) []string {
	look := m.opt.Look
	t := m.view.Tables[i]
	name, usual, history := m.columns(i, width, l)
	of := "rate"
	if live.Dimensions[i].OfCause() {
		of = "part"
	}
	mark, style := " ", bold
	if m.focus == i {
		mark, style = ">", reverse
	}
	heading := m.sorted(headings[i], live.ByName)
	if t.More > 0 {
		heading += fmt.Sprintf(" +%d", t.More)
	}
	head := mark + look.left(heading, name) +
		fmt.Sprintf(" %6s %5s ", m.sorted("count", live.ByCount), m.sorted(of, live.ByShare))
	if usual > 0 {
		head += fmt.Sprintf("%5s ", "usual")
	}
	lines := []string{look.style(style, head+look.left(m.sorted("history", live.ByRise), history))}
	for j, r := range t.Rows {
		mark, style := " ", plain
		if m.focus == i && m.row == j {
			mark, style = look.glyph("▸", ">"), reverse
		}
		row := mark + look.left(named(r.Name), name) +
			fmt.Sprintf(" %6s %5s ", count(r.Count), percent(r.Share()))
		if usual > 0 {
			row += fmt.Sprintf("%5s ", m.usually(r.Name))
		}
		lines = append(lines, look.style(style, row)+look.spark(r.History[len(r.History)-history:]))
	}
	if len(t.Rows) == 0 {
		lines = append(lines, look.style(dim, look.left(" none", width)))
	}
	for len(lines) < l.rows+1 {
		lines = append(lines, strings.Repeat(" ", width))
	}
	return lines[:l.rows+1]
}

// columns returns the widths of the name, of the usual rate (0 without it), and of the
// history in a table. A code is never cut, and the usual rate is always shown: the
// history gets less room.
func (m *Model) columns(table, width int, l layout) (name, usual, history int) {
	const least = 11 // columns of a name that has a shorter history instead
	history = l.columns
	if live.Dimensions[table] == store.ByProvider {
		usual = 6
	}
	name = width - 1 - 1 - 6 - 1 - 5 - 1 - usual - history
	want := least
	if live.Dimensions[table] == store.ByCode {
		for _, r := range m.view.Tables[table].Rows {
			want = max(want, m.opt.Look.width(templates.Printable(named(r.Name))))
		}
	}
	if more := min(want-name, history); more > 0 {
		name, history = name+more, history-more
	}
	return name, usual, history
}

// usually returns the usual rate of a provider.
func (m *Model) usually(provider string) string {
	if m.usualFor == live.FormatFilter(m.filter) {
		if share, ok := m.usual.Days.Share(provider, shows[m.show].outcomes); ok {
			return percent(share)
		}
	}
	return "-"
}

// sorted marks the heading of the column that rows are sorted by.
func (m *Model) sorted(heading string, s live.Sort) string {
	if m.sort == s {
		return heading + m.opt.Look.glyph("↓", "v")
	}
	return heading
}

func named(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// newest lists the newest failures.
func (m *Model) newest(l layout) []string {
	look := m.opt.Look
	mark, style := " ", bold
	if m.focus == failures {
		mark, style = ">", reverse
	}
	heading := mark + "NEWEST: " + shows[m.show].name
	lines := []string{look.style(style, look.left(heading, m.width))}
	if len(m.view.Newest) == 0 {
		return append(lines, look.style(dim, " none"))
	}
	for i, f := range m.view.Newest[:min(len(m.view.Newest), l.newest)] {
		lines = append(lines, m.short(f.Event, l, m.focus == failures && m.row == i)...)
	}
	return lines
}

// short draws a failure on one or two lines.
func (m *Model) short(e *store.Event, l layout, selected bool) []string {
	look := m.opt.Look
	mark, style := " ", plain
	if selected {
		mark, style = look.glyph("▸", ">"), reverse
	}
	name, _ := m.explain(e)
	recipient := e.Recipient.String()
	if recipient == "" {
		recipient = "(no recipient)"
	}
	head := mark + e.Time.In(m.opt.Location).Format("15:04:05") + " " + look.left(e.Outcome, 9)
	code := e.Code()
	if code == "" {
		code = "(no code)"
	}
	width := max(codeWidth, look.width(templates.Printable(code))) // a code is never cut
	if l.tall == 1 {
		r, n, from := max(24, m.width/6), max(20, m.width/6), m.width/7
		head += look.left(submitter(e), from) + " " + look.left(recipient, r) + " " +
			look.left(code, width) + " " +
			look.left(name, n) + " "
		room := m.width - (1 + 9 + 9 + from + 1 + r + 1 + width + 1 + n + 1)
		return []string{look.style(style, head) + look.text(e.Text.String(), max(0, room))}
	}
	from := "   from " + look.text(submitter(e), m.width/3) + ": "
	room := m.width - (1 + 9 + 9)
	n := min(28, room*2/5)
	r := room - n - 1 - width - 1
	if r < 10 {
		return []string{look.style(style, look.text(head+recipient, m.width)),
			look.text("   "+code+" "+e.Text.String(), m.width)}
	}
	return []string{
		look.style(style, head+look.left(recipient, r)+" "+look.left(code, width)+" "+look.left(name, n)),
		look.style(dim, look.text(from+e.Text.String(), m.width)),
	}
}

const (
	codeWidth  = 11
	senderFrom = 150 // columns from which a failure, with its sender, has room on one line
)

// submitter returns the sender of a failure, and the account that submitted its
// message.
func submitter(e *store.Event) string {
	if e.Account != "" && e.Account != e.Sender {
		return report.SenderOf(e) + " (" + e.Account.String() + ")"
	}
	return report.SenderOf(e)
}

func (m *Model) explain(e *store.Event) (name, advice string) {
	if m.opt.Explain == nil {
		return e.Reason, ""
	}
	enhanced, _ := registry.ParseEnhanced(e.Enhanced)
	return m.opt.Explain(uint16(e.Reply), enhanced, e.Provider.Raw(), registry.Reason(e.Reason))
}

// failure shows all known fields of one failure.
func (m *Model) failure() []string {
	look, e := m.opt.Look, m.opened.Event
	lines := []string{look.style(reverse,
		look.left(" "+e.Outcome+" "+e.Code()+"  "+e.Recipient.String(), m.width)), ""}
	name, advice := m.explain(e)
	body := look.field("meaning", name, m.width)
	body = append(body, look.field("advice", advice, m.width)...)
	if info := registry.Reason(e.Reason).Info(); e.Reason != "" {
		body = append(body, look.field("usual cause", info.Cause, m.width)...)
		body = append(body, look.field("what to do", info.Action, m.width)...)
	}
	delay := ""
	if e.Delay >= 0 {
		delay = e.Delay.String()
	}
	for _, f := range [][2]string{
		{"text", e.Text.String()},
		{"time", e.Time.In(m.opt.Location).Format("2006-01-02 15:04:05.999 -0700")},
		{"recipient", e.Recipient.String()},
		{"sender", report.SenderOf(e)},
		{"account", e.Account.String()},
		{"provider", e.Provider.String()},
		{"domain", e.Domain.String()},
		{"relay", e.Relay.String()},
		{"ip", e.IP.String()},
		{"client", strings.TrimSpace(e.Client.String() + " " + e.ClientIP.String())},
		{"code", e.Code()},
		{"mta_status", e.MTAStatus},
		{"stage", e.Stage.String()},
		{"source", e.Source.String()},
		{"reason", e.Reason},
		{"rule", e.Rule},
		{"signature", e.Signature.String()},
		{"delay", delay},
		{"message", e.Message.String()},
		{"host", e.Host.String()},
		{"mta", e.MTA},
		{"instance", e.Instance.String()},
		{"service", e.Service.String()},
		{"line", e.Line.String()},
	} {
		body = append(body, look.field(f[0], f[1], m.width)...)
	}
	m.scroll = min(m.scroll, max(0, len(body)-(m.height-3)))
	return append(lines, body[m.scroll:]...)
}

// told draws the story of a message.
func (m *Model) told() []string {
	look := m.opt.Look
	lines := []string{look.style(reverse,
		look.left(" the story of "+m.opened.Event.Message.String(), m.width)), ""}
	var body []string
	for _, s := range m.story {
		body = append(body, look.wrap(s, m.width-2)...)
	}
	m.scroll = min(m.scroll, max(0, len(body)-(m.height-3)))
	for _, s := range body[m.scroll:] {
		lines = append(lines, " "+s)
	}
	return lines
}

// field draws a name and a value, wrapped; nothing when there is no value.
func (l Look) field(name, value string, width int) []string {
	if value == "" {
		return nil
	}
	const indent = 13
	lines := l.wrap(value, width-indent-1)
	for i := range lines {
		if i == 0 {
			lines[i] = " " + l.style(bold, l.left(name, indent-1)) + lines[i]
		} else {
			lines[i] = strings.Repeat(" ", indent) + lines[i]
		}
	}
	return lines
}

func (m *Model) help() []string {
	lines := []string{m.opt.Look.style(reverse, m.opt.Look.left(" mailfail: keys", m.width)), ""}
	for _, h := range [][2]string{
		{"tab, left, right", "go to the next table, or to the failures"},
		{"up, down", "select a row"},
		{"enter", "on a row: show only these; on a failure: all about it"},
		{"esc", "take the last filter back"},
		{"e", "explain: the code and reason of the newest failure of a row, and what to do"},
		{"t", "the story of its message"},
		{"/", "type a filter: " + strings.Join(live.FilterKeys, "= ") + "=, or just a word"},
		{"s", "sort by count, share, rise within the window, name"},
		{"w", "last 5, 10, 30, 60 minutes"},
		{"o", "deferred and failed; failed; deferred; rejected"},
		{"p, space", "pause the screen; reading goes on"},
		{"q, ctrl-c", "quit; what was read is kept"},
	} {
		lines = append(lines, m.opt.Look.text(fmt.Sprintf(" %-18s%s", h[0], h[1]), m.width))
	}
	lines = append(lines, "")
	for _, s := range m.opt.Look.wrap(
		"Rate: failures of the attempts to that provider or domain. Part: of all failures shown. Usual "+
			"of a provider: the median rate. The share of what failed is "+
			"failed / (delivered + failed), of what was deferred: deferred / all attempts. Usual: the "+
			"median of the hour around this time of day on the last days.", m.width-2) {
		lines = append(lines, " "+s)
	}
	return lines
}

// footer returns the last line: the keys, the typed text, or a warning.
func (m *Model) footer() string {
	look := m.opt.Look
	switch {
	case m.mode == typing:
		s := " filter: " + m.typed + "_"
		if m.problem != "" {
			s += "   " + m.problem
		}
		return look.text(s, m.width)
	case m.status.warning != "" && m.opt.Now().Sub(m.status.warned) < warnFor:
		return look.style(bold, look.text(" ! "+m.status.warning, m.width))
	case m.mode == helping:
		return look.style(dim, look.text(" any key goes back", m.width))
	case m.mode == telling:
		return look.style(dim, look.text(" up, down scroll   any other key goes back", m.width))
	case m.mode == opened:
		return look.style(dim,
			look.text(" up, down scroll   t story of the message   any other key goes back",
				m.width))
	}
	return look.style(dim,
		look.text(" q quit  ? help  tab go  enter open  e explain  t story  / filter  s w o p", m.width))
}
