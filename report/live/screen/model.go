// Package screen shows the counters of package live on a terminal.
//
// Everything that comes from a log goes through Look.text, so that the terminal obeys
// nothing that a stranger wrote, and no line is wider than the screen.
package screen

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"mailfail/registry"
	"mailfail/report/live"
	"mailfail/store"
)

const (
	// refresh is the time between two frames; keys are answered at once. When a frame
	// takes more than a hundredth of that time to compute, frames come less often.
	refresh     = 500 * time.Millisecond
	refreshSlow = 3 * time.Second

	// usualEvery is how often the usual numbers are read.
	usualEvery = 5 * time.Minute

	// warnFor is how long a warning is shown.
	warnFor = 15 * time.Second
)

// Options describe the content of the screen, and how to show it.
type Options struct {
	Stats    *live.Stats
	Status   *Status
	Now      func() time.Time // this host's clock
	Location *time.Location
	Look     Look
	Filter   string // applied before counting; the screen only shows it

	// Explain returns the name of a code and a line of advice; registry.Brief.
	Explain func(reply uint16, enhanced registry.Enhanced, provider string,
		reason registry.Reason) (name, advice string)

	// Usual returns the usual numbers around a time of day; nil when they are not
	// known.
	Usual func(ctx context.Context, at time.Time, f store.Filter) (Usual, error)

	// Narrow returns counters of the events that pass a filter that Stats do not count
	// by. It stops counting for those that it returned before. nil when there are none.
	Narrow func(ctx context.Context, f store.Filter) (*live.Stats, error)

	// Story returns the lines of the story of a failure's message; nil when there are
	// no stories.
	Story func(ctx context.Context, e *store.Event) ([]string, error)
}

// Usual holds the usual numbers around a time of day, as a whole and by provider.
type Usual struct {
	store.Usual
	Days live.Days
}

// mode is the current use of the screen.
type mode uint8

const (
	watching mode = iota
	helping
	opened  // a failure
	telling // the story of its message
	typing  // a filter
)

// failures is the number of the list of newest failures, after the tables.
const failures = len(live.Dimensions)

var shows = []struct {
	name     string
	outcomes []live.Outcome
}{
	{"deferred and failed", []live.Outcome{live.Deferred, live.Failed}},
	{"failed", []live.Outcome{live.Failed}},
	{"deferred", []live.Outcome{live.Deferred}},
	{"rejected", []live.Outcome{live.Rejected}},
}

var windows = []time.Duration{5 * time.Minute, 10 * time.Minute, 30 * time.Minute, 60 * time.Minute}

// Model is the screen, as a model of bubbletea.
type Model struct {
	opt           Options
	width, height int

	mode   mode
	paused bool
	window int // of windows
	show   int // of shows
	sort   live.Sort
	filter store.Filter
	undo   []store.Filter // earlier filters

	stats    *live.Stats // the ones that are shown
	narrowed string      // the filter, as text, that they count by
	asking   string      // the filter of the counters that were asked for

	focus   int    // table or failures
	row     int    // selected, 0 first
	named   bool   // a row of a table is selected by its name; else the first row
	name    string // of that row
	seq     uint64 // of the failure selected, 0 the newest
	opened  live.Failure
	story   []string
	scroll  int
	typed   string
	problem string // error in what was typed

	view   *live.View
	took   time.Duration // to make the view
	status status

	speed              float64 // lines a second
	speedAt            time.Time
	speedLines         int64
	usual              Usual
	usualAt            time.Time
	usualAsked         time.Time
	usualFor, askedFor string // filter
}

// New returns a screen.
func New(opt Options) *Model {
	m := &Model{opt: opt, width: 80, height: 24, window: 1, focus: failures, stats: opt.Stats}
	m.look()
	return m
}

type tick time.Time

// usualRead is the message with the usual numbers.
type usualRead struct {
	usual  Usual
	err    error
	at     time.Time
	filter string
}

// narrowRead is the message with the counters of a filter.
type narrowRead struct {
	stats  *live.Stats
	err    error
	filter string
}

// askNarrow asks for counters of the filter, when the shown ones count by another
// filter.
func (m *Model) askNarrow() tea.Cmd {
	_, rest := live.Counted(m.filter)
	filter := live.FormatFilter(rest)
	if filter == m.asking || m.opt.Narrow == nil {
		return nil
	}
	m.asking = filter
	if filter == "" {
		m.count(m.opt.Stats, "")
		return nil
	}
	return func() tea.Msg {
		stats, err := m.opt.Narrow(context.Background(), rest)
		return narrowRead{stats, err, filter}
	}
}

// count shows other counters, whose numbers of events are different.
func (m *Model) count(stats *live.Stats, filter string) {
	m.stats, m.narrowed, m.seq = stats, filter, 0
	m.look()
}

// storyRead is the message with the story of a message.
type storyRead struct {
	lines []string
	err   error
	seq   uint64 // of the failure
}

// askStory reads the story of the message of the failure that is open.
func (m *Model) askStory() tea.Cmd {
	f := m.opened
	if m.opt.Story == nil || f.Event.Message == "" {
		return nil
	}
	return func() tea.Msg {
		lines, err := m.opt.Story(context.Background(), f.Event)
		return storyRead{lines, err, f.Seq}
	}
}

// Init begins the frames.
func (m *Model) Init() tea.Cmd { return tea.Batch(m.next(), m.askUsual()) }

func (m *Model) next() tea.Cmd {
	return tea.Tick(min(max(refresh, 100*m.took), refreshSlow), func(t time.Time) tea.Msg { return tick(t) })
}

// askUsual reads the usual numbers when the present ones are old, or belong to another
// filter.
func (m *Model) askUsual() tea.Cmd {
	if m.opt.Usual == nil || m.view.Empty {
		return nil
	}
	now := m.opt.Now()
	filter := live.FormatFilter(m.filter)
	if filter == m.askedFor && !m.usualAsked.IsZero() && now.Sub(m.usualAsked) < usualEvery {
		return nil
	}
	m.usualAsked, m.askedFor = now, filter
	at, f := m.view.Clock, m.filter
	return func() tea.Msg {
		u, err := m.opt.Usual(context.Background(), at, f)
		return usualRead{u, err, now, filter}
	}
}

// Update handles a message of bubbletea.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.look()
	case tick:
		m.look()
		return m, tea.Batch(m.next(), m.askUsual())
	case usualRead:
		if msg.err != nil {
			m.opt.Status.Warn(msg.err.Error(), m.opt.Now())
		} else {
			m.usual, m.usualAt, m.usualFor = msg.usual, msg.at, msg.filter
		}
	case storyRead:
		switch {
		case msg.err != nil:
			m.opt.Status.Warn(msg.err.Error(), m.opt.Now())
		case m.mode == opened && msg.seq == m.opened.Seq:
			m.mode, m.story, m.scroll = telling, msg.lines, 0
		}
	case narrowRead:
		switch {
		case msg.filter != m.asking: // it is not needed any more
		case msg.err != nil:
			m.opt.Status.Warn(msg.err.Error(), m.opt.Now())
			m.unfilter()
			return m, m.askNarrow()
		default:
			m.count(msg.stats, msg.filter)
		}
	case tea.KeyPressMsg:
		if cmd := m.key(msg); cmd != nil {
			return m, cmd
		}
		m.look()
		return m, tea.Batch(m.askNarrow(), m.askUsual())
	}
	return m, nil
}

// look updates the numbers, unless the screen is paused.
func (m *Model) look() {
	m.status = m.opt.Status.get()
	now := m.opt.Now()
	if d := now.Sub(m.speedAt); d >= 2*time.Second || d < 0 {
		if !m.speedAt.IsZero() && d > 0 {
			m.speed = float64(m.status.lines.Read-m.speedLines) / d.Seconds()
		}
		m.speedAt, m.speedLines = now, m.status.lines.Read
	}
	if m.paused && m.view != nil {
		return
	}
	l := m.layout()
	q := m.query()
	q.Sort, q.Rows, q.Newest, q.Columns = m.sort, l.rows, max(l.newest, 1), l.columns
	m.view = m.stats.View(q, now)
	m.took = m.opt.Now().Sub(now)
	m.follow()
}

// query returns the query for what the screen shows.
func (m *Model) query() live.Query {
	counted, _ := live.Counted(m.filter)
	return live.Query{Window: windows[m.window], Outcomes: shows[m.show].outcomes, Filter: counted}
}

// follow keeps the same row selected while others are added.
func (m *Model) follow() {
	m.row = 0
	if m.focus == failures {
		m.row = max(0, slices.IndexFunc(m.view.Newest, func(f live.Failure) bool { return f.Seq == m.seq }))
		if m.row == 0 {
			m.seq = 0
		}
		return
	}
	m.row = max(0, slices.IndexFunc(m.view.Tables[m.focus].Rows, func(r live.Row) bool {
		return m.named && r.Name == m.name
	}))
}

func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	switch m.mode {
	case helping:
		m.mode = watching
		return nil
	case opened:
		return m.keyOpened(k.String())
	case telling:
		m.keyOpened(k.String())
		return nil
	case typing:
		m.keyTyping(k)
		return nil
	}
	return m.keyWatching(k.String())
}

func (m *Model) keyWatching(k string) tea.Cmd {
	switch k {
	case "q":
		return tea.Quit
	case "?", "h":
		m.mode = helping
	case "p", "space":
		m.paused = !m.paused
	case "s":
		m.sort = m.sort.Next()
	case "w":
		m.window = (m.window + 1) % len(windows)
	case "o":
		m.show = (m.show + 1) % len(shows)
	case "/", "f":
		m.mode, m.typed, m.problem = typing, live.FormatFilter(m.filter), ""
	case "esc", "backspace":
		m.unfilter()
	case "tab", "right", "l":
		m.turn(1)
	case "shift+tab", "left":
		m.turn(failures)
	case "down", "j":
		m.move(1)
	case "up", "k":
		m.move(-1)
	case "enter":
		m.open()
	case "e":
		m.example()
	case "t":
		if m.example(); m.mode == opened {
			return m.askStory()
		}
	}
	if k != "p" && k != "space" && k != "?" && k != "h" && m.paused &&
		slices.Contains([]string{"s", "w", "o", "esc", "backspace", "enter"}, k) && m.mode == watching {
		m.paused = false // the user asked for other numbers
	}
	return nil
}

func (m *Model) turn(by int) {
	m.focus = (m.focus + by) % (failures + 1)
	m.row, m.named, m.seq = 0, false, 0
}

func (m *Model) move(by int) {
	if m.focus == failures {
		m.row = max(0, min(m.row+by, len(m.view.Newest)-1, m.layout().newest-1))
		m.seq = 0
		if m.row > 0 {
			m.seq = m.view.Newest[m.row].Seq
		}
		return
	}
	rows := m.view.Tables[m.focus].Rows
	m.row = max(0, min(m.row+by, len(rows)-1))
	if m.named = m.row > 0; m.named {
		m.name = rows[m.row].Name
	}
}

// open opens the selected failure, or filters by the selected row.
func (m *Model) open() {
	if m.focus == failures {
		if m.row < len(m.view.Newest) {
			m.mode, m.opened, m.scroll = opened, m.view.Newest[m.row], 0
		}
		return
	}
	rows := m.view.Tables[m.focus].Rows
	if m.row >= len(rows) {
		return
	}
	m.setFilter(m.only(m.filter, rows[m.row].Name))
	m.named, m.name = true, rows[m.row].Name
}

// only returns f, narrowed down to the row with a name in the table that has the
// focus.
func (m *Model) only(f store.Filter, name string) store.Filter {
	if live.Dimensions[m.focus] == store.ByCode && name == "" {
		name = "none"
	}
	*live.FilterList(&f, string(live.Dimensions[m.focus])) = []string{name}
	return f
}

// example opens the selected failure, or the newest one of the selected row, which
// explains a code and a reason.
func (m *Model) example() {
	if m.focus == failures {
		m.open()
		return
	}
	rows := m.view.Tables[m.focus].Rows
	if m.row >= len(rows) {
		return
	}
	q := m.query()
	q.Filter, q.Newest = m.only(q.Filter, rows[m.row].Name), 1
	newest := m.stats.View(q, m.opt.Now()).Newest
	if len(newest) == 0 {
		m.opt.Status.Warn("no failure of it is kept: mailfail events lists them", m.opt.Now())
		return
	}
	m.mode, m.opened, m.scroll = opened, newest[0], 0
}

func (m *Model) setFilter(f store.Filter) {
	if live.FormatFilter(f) == live.FormatFilter(m.filter) {
		return
	}
	m.undo = append(m.undo, m.filter)
	m.filter = f
	m.paused = false
}

func (m *Model) unfilter() {
	if n := len(m.undo); n > 0 {
		m.filter, m.undo = m.undo[n-1], m.undo[:n-1]
	}
}

func (m *Model) keyOpened(k string) tea.Cmd {
	switch k {
	case "down", "j":
		m.scroll++
	case "up", "k":
		m.scroll = max(0, m.scroll-1)
	case "t":
		if m.mode == opened {
			return m.askStory()
		}
		m.mode = watching
	default:
		m.mode = watching
	}
	return nil
}

func (m *Model) keyTyping(k tea.KeyPressMsg) {
	switch k.String() {
	case "esc":
		m.mode = watching
	case "enter":
		f, err := m.parseFilter(m.typed)
		if err != nil {
			m.problem = err.Error()
			return
		}
		m.mode = watching
		m.setFilter(f)
	case "backspace":
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.typed = ""
	default:
		if len(m.typed) < 1000 {
			m.typed += k.Text
		}
	}
}

// parseFilter reads a typed filter. meant finds the key of a word without one.
func (m *Model) parseFilter(s string) (f store.Filter, err error) {
	words, err := live.Words(s)
	if err != nil {
		return f, err
	}
	for _, w := range words {
		if strings.Contains(w, "@") {
			return f, fmt.Errorf(
				"%q is an address; filter with sender=DOMAIN or domain=DOMAIN, or run `mailfail trace`", w)
		}
		if !strings.Contains(w, "=") {
			w = m.meant(w) + "=" + w
		}
		if err := live.AddCondition(&f, w, live.FilterKeys); err != nil {
			return f, err
		}
	}
	return f, nil
}

// meant returns the key that a word without a key most likely belongs to.
func (m *Model) meant(word string) string {
	switch {
	case store.CheckCode(word) == nil:
		return "code"
	case registry.Reason(word).Info().Name != registry.Reason("unknown").Info().Name:
		return "reason"
	case slices.ContainsFunc(m.view.Newest, func(f live.Failure) bool {
		return strings.EqualFold(f.Host.Raw(), word)
	}):
		return "host"
	case strings.Contains(word, "."):
		return "domain"
	}
	return "provider"
}
