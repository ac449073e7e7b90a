// Package report builds reports from the counts in the store, and renders them as text,
// HTML, Markdown, JSON and CSV.
//
// # What a report counts
//
// The window is half-open, [since, until). Either end may be open. Both are moved down
// to whole minutes, because deliveries are counted by minute; a report shows the window
// it used. Without a window it covers everything that was read.
//
// The recipients are those that were in the system at some time in the window, with
// their state at its end; the attempts are those made in the window. See store.Numbers
// for this, and for the effect of filters by code or reason. Lines of the log are never
// filtered.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/report/investigate"
	"mailfail/store"
	"mailfail/templates"
)

// DefaultTop is the number of rows that a text report shows of each table.
const DefaultTop = 20

// ByNextHop asks for connections by next hop, which every report contains. It cannot be
// combined with dimensions: connections do not name recipients.
const ByNextHop store.Dimension = "next-hop"

// Options are the input of Build.
type Options struct {
	Window    store.Window
	Filter    store.Filter
	By        []store.Dimension // nil: by domain
	Location  *time.Location    // of the times shown; nil is local time
	Now       time.Time         // zero: the end of the logs
	FromFiles bool              // the database was filled for this report
	Files     []string          // as the user named them, after the flags for reading them
	Top       int               // the top that View will get
	Addresses []Sender          // for BySenderAddress
	Alone     bool              // only tables: no comparison, no recipients in trouble
}

// Report holds the numbers that mailfail report shows.
type Report struct {
	*store.Numbers
	By         []store.Dimension
	Filter     store.Filter
	Notes      []string // what the reader has to know about the numbers
	Now        time.Time
	FromFiles  bool
	Files      []string
	Covered    Covered
	Before     *Period             // the time before, nil unknown
	Usual      *Period             // the median of earlier times, nil unknown
	Line       *Line               // over the window, nil when it is too long
	Trend      *Line               // by day over the weeks until its end, nil unknown
	System     []store.TroubleRow  // reports of the mail systems about themselves
	Submitters []Submitter         // accounts that sent mail
	Clients    []Client            // that were refused, or block lists; known only by ByClient or ByList
	Feedback   []store.FeedbackRow // bounces and complaints about mail that was sent earlier
	Volumes    []store.HourVolume  // sums by the hour, when the report is about all mail
	Volumed    []Sender            // domains, known only by ByVolume
	Addresses  []Sender            // known only by BySenderAddress
	Found      *investigate.Result // what changed, nil without earlier days to compare with

	location *time.Location
	trouble  *trouble
}

// Covered is the time between the first and the last line that was read.
type Covered struct{ First, Last time.Time }

// Build makes a report from one snapshot of the database.
func Build(ctx context.Context, db store.Database, opt Options) (r *Report, err error) {
	err = db.Snapshot(ctx, func(q store.Reader) (err error) {
		r, err = build(ctx, q, opt)
		return err
	})
	return r, err
}

func build(ctx context.Context, q store.Reader, opt Options) (*Report, error) {
	if slices.Equal(opt.By, []store.Dimension{store.ByDomain}) {
		opt.By = nil // every report is by domain
	}
	by := opt.By
	if len(by) == 1 && slices.Contains(Alone, by[0]) {
		by = nil
	}
	r := &Report{Numbers: &store.Numbers{Window: opt.Window.Minutes()}, By: opt.By, Filter: opt.Filter,
		Now: opt.Now, FromFiles: opt.FromFiles, Files: opt.Files, Addresses: opt.Addresses,
		location: opt.Location}
	if r.location == nil {
		r.location = time.Local
	}
	var err error
	if r.Covered.First, r.Covered.Last, err = q.Covered(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var a *aside
	if !opt.Alone && r.endIsKnown() {
		a = r.beside(ctx, q)
	}
	defer func() {
		if cancel(); a != nil {
			a.Wait()
		}
	}()
	if r.Numbers, err = q.Numbers(ctx, opt.Window, opt.Filter, by); err != nil {
		return nil, err
	}
	r.note()
	if opt.Alone {
		if r.isBy(ByAccount) {
			err = r.submitters(ctx, q)
		}
		return r, errors.Join(err, r.clients(ctx, q), r.volume(ctx, q), r.feedback(ctx, q))
	}
	if a == nil {
		a = r.beside(ctx, q)
	}
	for _, step := range []func(context.Context, store.Reader) error{r.compare, r.timeline, r.trend,
		r.system, r.submitters, r.clients, r.volume, r.feedback} {
		if err := step(ctx, q); err != nil {
			return nil, err
		}
	}
	a.Wait()
	if err := cmp.Or(a.failed[:]...); err != nil {
		return nil, err
	}
	if r.trouble = a.trouble; r.Usual != nil {
		r.Found = a.found
	}
	return r, r.people(ctx, q, opt.Top)
}

// aside is what a report finds while it counts: the two take about as long.
type aside struct {
	sync.WaitGroup
	trouble *trouble
	found   *investigate.Result
	failed  [2]error
}

// beside begins to find what depends on no number of r but the end of its window.
func (r *Report) beside(ctx context.Context, q store.Reader) *aside {
	a, early := &aside{}, *r // r gets its numbers meanwhile
	if early.Window.Since.IsZero() {
		early.Numbers = &store.Numbers{Window: early.Window, FirstLine: early.Covered.First,
			LastLine: early.LastLine}
	}
	a.Go(func() {
		if a.trouble, a.failed[0] = early.affected(ctx, q); a.failed[0] == nil {
			a.trouble.group(early.By)
		}
	})
	a.Go(func() { a.found, a.failed[1] = early.investigate(ctx, q) })
	return a
}

// system reads the troubles that the mail systems report about themselves.
func (r *Report) system(ctx context.Context, q store.Reader) (err error) {
	r.System, err = q.Troubles(ctx, r.Window, r.Filter)
	return err
}

// note collects what the reader has to know about the numbers.
func (r *Report) note() {
	n := r.Numbers
	if n.SendLogsLeftOut {
		r.Notes = append(r.Notes, sendLogsNote(n))
	}
	if n.Traces {
		r.Notes = append(r.Notes,
			"There are message traces of Exchange Online and message tracking logs, of which one may "+
				"be its "+
				"extended report. Mail that is in both is counted twice.")
	}
	switch f := &r.Filter; {
	case len(f.Accounts) > 0:
		r.Notes = append(r.Notes,
			"With an account asked for, only the recipients that met a failure are counted. Deliveries "+
				"are not "+
				"kept by account, so there are no rates; what it submitted stands under \"By account\".")
	case f.OfCause():
		r.Notes = append(r.Notes,
			"With a code or a reason asked for, only the recipients that met such a failure are counted. "+
				"Deliveries carry no code, so there are no rates.")
	}
	r.noteRemoved()
	if l := n.Lines; l.Unparsed*100 > l.Read {
		r.Notes = append(r.Notes,
			fmt.Sprintf("%s of the lines of the log were not understood, so something may be missing here; "+
				"`mailfail ingest --verbose` shows such lines.", templates.Percent(l.Unparsed, l.Read)))
	}
}

// noteRemoved adds notes about rows and numbers of the window that were removed.
func (r *Report) noteRemoved() {
	const layout = "2006-01-02 15:04"
	gone := func(from time.Time) bool { return r.Window.Since.Before(from) && r.Covered.First.Before(from) }
	if from := r.Kept.Rows; gone(from) {
		r.Notes = append(r.Notes,
			"Messages, addresses and replies of before "+from.In(r.location).Format(layout)+
				" were removed (mailfail prune). What failed then is counted here, without names.")
	}
	// Numbers are removed by whole days, so the first line left is the first of them.
	if from := r.Kept.Counts; r.Window.Since.Before(from) && !from.IsZero() {
		r.Notes = append(r.Notes,
			"Numbers of before "+from.In(r.location).Format(layout)+" were removed (mailfail prune).")
	}
}

// RemovedRemark returns the sentence below a list of failures when failures of its time
// were removed from the database, "" when none were.
func RemovedRemark(l store.LeftOut, loc *time.Location) string {
	if l.Before.IsZero() {
		return ""
	}
	return "failures of before " + l.Before.In(loc).Format("2006-01-02 15:04") +
		" were removed (mailfail prune); mailfail report counts them"
}

// affected reads the recipients that failed in the window or wait at its end.
func (r *Report) affected(ctx context.Context, q store.Reader) (*trouble, error) {
	_, _, hourly := r.hours()
	t, end := newTrouble(hourly), r.end()
	err := q.Affected(ctx, r.Window, r.Filter, func(a *store.Affected) error {
		t.add(a, end)
		return nil
	})
	return t, err
}

// people reads the recipients that the report names.
func (r *Report) people(ctx context.Context, q store.Reader, rows int) error {
	c := &composer{Report: r, top: rows}
	persons, err := q.Persons(ctx, c.wanted(), r.Window.Until)
	for i := range persons {
		r.trouble.persons[persons[i].ID] = &persons[i]
	}
	return err
}

// ConnectionsAlone reports whether the logs of the report's time name no
// recipients, only next hops.
func (r *Report) ConnectionsAlone() bool {
	return r.Totals == (store.Tally{}) && len(r.Hops) > 0 && !r.isBy(ByNextHop)
}

// Alone lists the values of --by that the store has no dimension for. None can be
// combined with another.
var Alone = []store.Dimension{ByNextHop, ByAccount, ByClient, ByList, ByVolume, BySenderAddress, ByFeedback}

// sendLogsNote explains that the numbers leave out SMTP send logs, and what was used of
// them beside message tracking logs.
func sendLogsNote(n *store.Numbers) string {
	note := "SMTP send logs and message tracking logs report the same mail, so the numbers are those of " +
		"the tracking logs alone"
	if n.Exact > 0 {
		note += fmt.Sprintf("; %s failing %s the stage and the reply that the send logs have",
			templates.Count(n.Exact),
			map[bool]string{true: "attempt has", false: "attempts have"}[n.Exact == 1])
	}
	if n.LeftOut.Any() {
		note += ". The send logs " + have(n.LeftOut)
	}
	return note + ". Send logs of other servers can be reported by themselves (--mta exchange-smtpsend)."
}

// SendLogsRemark returns the sentence below a list of failures that leaves out those of
// SMTP send logs. It reports how many are missing for that reason.
func SendLogsRemark(l store.LeftOut) string {
	remark := "SMTP send logs are left out beside message tracking logs, which report the same mail"
	if l.Any() {
		remark += "; they " + have(l)
	}
	return remark + " (--mta exchange-smtpsend shows them alone)"
}

// have describes the failures of send logs that were left out.
func have(l store.LeftOut) string {
	what := fmt.Sprintf("have %s failing %s ", templates.Count(l.Untracked),
		templates.Plural(l.Untracked, "attempt"))
	switch {
	case l.Unnamed == 0:
		return what + "that no tracking log has"
	case l.Untracked > 0:
		return what + fmt.Sprintf(
			"that no tracking log has, and %s without a Message-ID, which cannot be compared",
			templates.Count(l.Unnamed))
	}
	return fmt.Sprintf("have %s failing %s without a Message-ID, which cannot be compared",
		templates.Count(l.Unnamed), templates.Plural(l.Unnamed, "attempt"))
}

// rates returns the failure rate and the deferral rate of a tally; nil when there is
// nothing to divide by, or when a filter selects only failures.
func rates(t *store.Tally, ofCause bool) (failure, deferral *float64) {
	if ofCause {
		return nil, nil
	}
	return ratio(t.Bounced+t.Expired, t.Delivered+t.Bounced+t.Expired), ratio(t.Deferred, t.Recipients)
}

func ratio(n, of int64) *float64 {
	if of == 0 {
		return nil
	}
	f := float64(n) / float64(of)
	return &f
}

// brief names codes and advice returns what to do; they are variables so that tests can
// put fixed words in their place.
var (
	brief  = registry.Brief
	advice = registry.Advice
)

// meaning returns the name of a code and a line of advice.
func meaning(reply int, enhanced string, provider registry.Foreign, reason string) (name, advice string) {
	e, _ := registry.ParseEnhanced(enhanced)
	return brief(uint16(reply), e, provider.Raw(), registry.Reason(reason))
}

// meaningOf returns the same for attempts, or for mail that this server refused. The
// advice depends on whether the attempts are tried again, when that is the same for
// all.
func meaningOf(c *store.CodeRow, incoming bool) (name, line string) {
	name, line = meaning(c.Reply, c.Enhanced, c.Provider, c.Reason)
	s := registry.Situation{Provider: c.Provider.Raw()}
	switch {
	case incoming:
		s.Direction = registry.DirectionIncoming
	case c.Deferrals == 0:
		s.State = registry.StateBounced
	case c.Deferrals < c.Attempts:
		return name, line
	}
	return name, advice(registry.Reason(c.Reason), s)
}

// ofCause reports whether a table by dims shows failures alone.
func (r *Report) ofCause(dims []store.Dimension) bool {
	for _, d := range dims {
		if d.OfCause() {
			return true
		}
	}
	return r.Filter.OfCause()
}

// top returns the first rows of a table; all when top is 0 or less.
func top[T any](rows []T, top int) []T {
	if top <= 0 || top > len(rows) {
		return rows
	}
	return rows[:top]
}
