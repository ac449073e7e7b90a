package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"mailfail/report"
	"mailfail/store"
	"mailfail/templates"
)

var pageFuncs = template.FuncMap{
	"say":  templates.Text.HTML,
	"bars": barsOf,
	"json": func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	},
	"last": func(s []string) string { return s[len(s)-1] },
}

// frame holds the fields that every page has.
type frame struct {
	Title   string
	Path    string
	Spans   []choice
	By      []choice
	Filters []choice
	Hidden  []choice // parameters that the form of filters keeps; here Name is the key and URL the value
	Failed  string   // the address of the failures of this page
	Keys    []string // of filters
}

func (s *server) frame(path, title string, q *query) frame {
	f := frame{
		Title:   title,
		Path:    path,
		Spans:   q.spans(),
		By:      q.dimensions(),
		Filters: q.filters(),
		Failed:  q.with("/events"),
		Keys:    filterKeys[:5],
	}
	for key, values := range q.values {
		for _, v := range values {
			f.Hidden = append(f.Hidden, choice{Name: key, URL: v})
		}
	}
	slices.SortFunc(f.Hidden, func(a, b choice) int {
		return strings.Compare(a.Name+"\x00"+a.URL, b.Name+"\x00"+b.URL)
	})
	return f
}

// show renders the whole page before it sends any of it.
func (s *server) show(w http.ResponseWriter, name string, data any) error {
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := page.WriteTo(w)
	return ignoreGone(err)
}

// ignoreGone drops the error of a browser that closed the connection.
func ignoreGone(error) error { return nil }

// build makes the report for a page.
func (s *server) build(r *http.Request, q *query, top int) (*report.Report, error) {
	return report.Build(r.Context(), s.DB, report.Options{
		Window:   q.window,
		Filter:   q.filter,
		By:       q.by,
		Location: s.Location,
		Now:      s.Now(),
		Top:      top,
	})
}

type dashboardPage struct {
	frame
	View     *report.View
	Sections []section
}

// section is a section of a report whose table contains links.
type section struct {
	report.Section
	Rows [][]cell
}

// cell is a cell of a table; URL is the page about the name in it.
type cell struct {
	Text templates.Text
	URL  string
}

// dashboard is the report of a window, with links to other pages.
func (s *server) dashboard(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.URL.Query(), s.Now(), s.Location)
	if err != nil {
		return err
	}
	if q.by == nil {
		q.by = []store.Dimension{store.ByProvider}
	}
	built, err := s.build(r, &q, report.PageRows)
	if err != nil {
		return err
	}
	view := built.View(report.PageRows)
	page := dashboardPage{frame: s.frame("/", view.Subject, &q), View: view}
	for _, part := range view.Sections {
		page.Sections = append(page.Sections, q.section(part))
	}
	return s.show(w, "dashboard.html", page)
}

// section gives the names in a table by dimensions links to the page about them.
func (q *query) section(part report.Section) section {
	s := section{Section: part}
	if part.Table == nil {
		return s
	}
	dims := strings.Split(part.ID, "-")
	for _, row := range part.Table.Rows {
		var cells []cell
		for i, text := range row.Cells {
			c := cell{Text: text}
			if i < len(dims) && slices.Contains(filterKeys, dims[i]) && len(text) > 0 {
				c.URL = q.with("/", dims[i], text.String())
			}
			cells = append(cells, c)
		}
		s.Rows = append(s.Rows, cells)
	}
	return s
}

type eventsPage struct {
	frame
	Newest  int
	Events  []eventRow
	LeftOut bool
	Removed string // describes what is missing
}

type eventRow struct {
	store.Event
	At      string
	Message string // addresses of pages
	Explain string
}

const (
	usualEvents = 100
	mostEvents  = 1000
)

// events lists the newest failures of a window.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	q, err := parse(r.URL.Query(), s.Now(), s.Location)
	if err != nil {
		return err
	}
	page := eventsPage{frame: s.frame("/events", "Failures", &q),
		Newest: rows(r.URL.Query(), usualEvents, mostEvents)}
	left, err := s.DB.Events(r.Context(), q.window, q.filter, []string{"deferred", "failed"}, page.Newest,
		func(e *store.Event) error {
			row := eventRow{Event: *e, At: e.Time.In(s.Location).Format("2006-01-02 15:04:05")}
			if e.Message != "" {
				row.Message = (&query{}).with("/message", "id", e.Message.Raw())
			}
			row.Explain = (&query{}).with("/explain", "q", e.Text.Raw())
			page.Events = append(page.Events, row)
			return nil
		})
	if err != nil {
		return err
	}
	page.LeftOut, page.Removed = left.Any(), report.RemovedRemark(left, s.Location)
	slices.Reverse(page.Events) // on a page the newest is read first
	return s.show(w, "events.html", page)
}

type textPage struct {
	frame
	Text string
}

// message shows the story of a message or a recipient.
func (s *server) message(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("id")
	if id == "" || len(id) > maxInput {
		return requestError{errorString("id must be a queue id, a Message-ID or an address")}
	}
	t, err := report.NewTrace(r.Context(), s.DB, id, s.Location)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.WriteText(&text); err != nil {
		return err
	}
	return s.show(w, "text.html",
		textPage{s.frame("/message", "Story of "+templates.Printable(id), &query{}),
			text.String()})
}

const (
	maxInput  = 8 << 10 // bytes of an input
	textWidth = 100
)

// explanation explains a code or a text.
func (s *server) explanation(w http.ResponseWriter, r *http.Request) error {
	input := r.URL.Query().Get("q")
	if len(input) > maxInput {
		return requestError{fmt.Errorf("q must be %d bytes or less", maxInput)}
	}
	page := textPage{s.frame("/explain", "Explain", &query{}), ""}
	if input != "" {
		var text bytes.Buffer
		if err := s.explain.Text(input).WriteText(&text, textWidth); err != nil {
			return err
		}
		page.Text = text.String()
	}
	return s.show(w, "text.html", page)
}

// api returns the JSON report.
func (s *server) api(w http.ResponseWriter, r *http.Request) error {
	if err := checkNames(r.URL.Query()); err != nil {
		return err
	}
	q, err := parse(r.URL.Query(), s.Now(), s.Location)
	if err != nil {
		return err
	}
	built, err := s.build(r, &q, report.AllRows)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := built.WriteJSON(&out, rows(r.URL.Query(), 0, 1<<30)); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = out.WriteTo(w)
	return ignoreGone(err)
}

// chartBars is a series as bars, for pages without scripts.
type chartBars struct {
	Name  string
	Width int
	Most  string
	Bars  []struct{ X, Y, Height int }
}

const barHeight = 40

// barsOf draws numbers as bars, nil when all are zero.
func barsOf(name string, values []int64) *chartBars {
	var most int64
	for _, v := range values {
		most = max(most, v)
	}
	if most == 0 {
		return nil
	}
	b := &chartBars{Name: name, Width: 10 * len(values), Most: templates.Count(most)}
	for i, v := range values {
		if v > 0 {
			height := int(max(2, v*barHeight/most))
			b.Bars = append(b.Bars, struct{ X, Y, Height int }{10*i + 1, 43 - height, height})
		}
	}
	return b
}

// maxLive is how many pages get updates at the same time.
const maxLive = 50

// stream sends a page an event when the database has changed (server-sent events).
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.live <- struct{}{}:
		defer func() { <-s.live }()
	default:
		http.Error(w, "too many pages are kept up to date", http.StatusServiceUnavailable)
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	seen := time.Time{}
	lines := int64(-1)
	tick := time.NewTicker(s.Interval)
	defer tick.Stop()
	for first := true; ; first = false {
		last, n, err := s.newest(r)
		switch {
		case err != nil:
			return // the page asks again
		case first:
			fmt.Fprint(w, "retry: 5000\n\n")
		case !last.Equal(seen) || n != lines:
			fmt.Fprintf(w, "event: update\ndata: %d\n\n", last.Unix())
		default:
			fmt.Fprint(w, ": nothing new\n\n")
		}
		seen, lines = last, n
		_ = out.SetWriteDeadline(time.Now().Add(30 * time.Second))
		if out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// newest returns the time of the last line, and the number of lines of the last
// minutes.
func (s *server) newest(r *http.Request) (last time.Time, lines int64, err error) {
	if _, last, err = s.DB.Covered(r.Context()); err != nil || last.IsZero() {
		return last, 0, err
	}
	window := store.Window{Since: last.Add(-time.Minute), Until: last.Add(time.Minute)}
	err = s.DB.Recent(r.Context(), window, store.Filter{}, func(_ *store.Event, n int64) { lines += n })
	return last, lines, err
}
