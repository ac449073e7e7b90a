package investigate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Options are the input of Run.
type Options struct {
	Window   store.Window // a zero Until is the end of what was read, a zero Since a day before
	Silent   bool         // the logs were read to the end of the window: silence there is real
	Baseline Compare
	Filter   store.Filter
	Location *time.Location // of days; nil: local
	Now      time.Time      // zero: the end of what was read
}

// Compare selects the time that a window is compared with. The zero value selects the
// days before it, as many as there are up to two weeks.
type Compare struct {
	Days     int          // before the window
	Previous bool         // the period of the same length before the window
	Window   store.Window // these days
}

// usualDays is how many days before a window are read.
const usualDays = 14

// ErrEmpty reports that nothing was read yet.
var ErrEmpty = errors.New("no lines of logs were read; run `mailfail ingest` first, or name a FILE that contains some")

// Run finds what changed in the mail of a store. It returns ErrEmpty when nothing was
// read yet.
func Run(ctx context.Context, r store.Reader, opt Options) (*Result, error) {
	d, err := read(ctx, r, opt)
	if err != nil {
		return nil, err
	}
	var failed error
	d.Details = func(ids []int64) map[int64]Detail {
		replies, err := r.Replies(ctx, ids)
		failed = errors.Join(failed, err)
		details := make(map[int64]Detail, len(replies))
		for _, a := range replies {
			details[a.ID] = Detail{
				Text:      a.Text,
				Sender:    a.Sender,
				Recipient: a.Recipient,
				Account:   a.Account,
				Client:    a.Client,
				IP:        a.IP,
			}
		}
		return details
	}
	if d.Until <= d.Since {
		m := model{data: d}
		return &Result{Since: m.time(d.Since), Until: m.time(d.Since), LogsEnd: m.time(d.Until - 1)}, nil
	}
	result := Analyze(d)
	if failed = errors.Join(failed, d.failed); failed != nil {
		return nil, failed
	}
	for i := range result.Problems {
		for j, command := range result.Problems[i].Next {
			result.Problems[i].Next[j] = Narrow(command, &opt.Filter)
		}
	}
	result.asked(&opt.Filter)
	if asked := opt.Window.Minutes().Until; result.Until.Before(asked) {
		result.LogsEnd = result.Until.Add(-time.Minute)
	}
	return result, nil
}

// asked adds the values of a filter to the places of a result: all data that was read
// has them.
func (r *Result) asked(f *store.Filter) {
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Kind != MissingMail || p.Severity != Remark {
			p.Where.asked(f)
		}
	}
	if r.Strongest != nil {
		r.Strongest.Where.asked(f)
	}
}

func (w *Where) asked(f *store.Filter) {
	name := func(to *registry.Foreign, list []string, known ...registry.Foreign) {
		if len(list) == 1 && !strings.HasPrefix(list[0], "*.") && cmp.Or(append(known, *to)...) == "" {
			*to = registry.Foreign(list[0])
		}
	}
	name(&w.SenderDomain, f.Senders)
	name(&w.Provider, f.Providers, w.Domain)
	name(&w.Domain, f.Domains)
	name(&w.Host, f.Hosts)
	name(&w.Account, f.Accounts)
}

// read asks a store for the data of an investigation.
func read(ctx context.Context, r store.Reader, opt Options) (*Data, error) {
	first, last, err := r.Covered(ctx)
	if err != nil {
		return nil, err
	}
	if last.IsZero() {
		return nil, ErrEmpty
	}
	w := opt.window(last)
	if known := first.Truncate(quarter * time.Minute); w.Since.Before(known) && known.Before(w.Until) {
		w.Since = known // no log covers the time before, so it was not necessarily quiet
	}
	if !w.Since.Before(w.Until) { // what was read ends before
		return &Data{Since: w.Since.Unix() / 60, Until: w.Until.Unix() / 60, Location: opt.location()}, nil
	}
	d := &Data{
		NoCounts: len(opt.Filter.Accounts) > 0,
		Since:    w.Since.Unix() / 60,
		Until:    w.Until.Unix() / 60,
		Location: opt.location(),
	}
	days := opt.days(w, first)
	for _, day := range days {
		d.Days = append(d.Days, Span{day.Since.Unix() / 60, day.Until.Unix() / 60})
	}
	c := &collector{data: d, suspended: map[mailbox]*suspension{}}
	if err := r.Flow(ctx, append(days, w), opt.Filter, c); err != nil {
		return nil, err
	}
	c.finish()
	return d, nil
}

func (o *Options) location() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

// window fills in the ends of the window, without a time that no log covers.
func (o *Options) window(last time.Time) store.Window {
	w := o.Window
	end := last.Add(time.Minute)
	if o.Now.After(end) && o.Now.Sub(end) < 30*time.Minute {
		end = o.Now // the silence since then counts
	}
	if w.Until.IsZero() || w.Until.After(end) && end.After(w.Since) && !o.Silent {
		w.Until = end
	}
	if w.Since.IsZero() {
		w.Since = w.Until.In(o.location()).AddDate(0, 0, -1)
	}
	w.Since = o.onQuarter(w)
	return w.Minutes()
}

// onQuarter moves the begin of a window to a quarter of an hour, so that stores can
// answer from sums of quarters: to the quarter before or, when the window would then
// need more days, to the quarter after.
func (o *Options) onQuarter(w store.Window) time.Time {
	before := w.Since.Truncate(quarter * time.Minute)
	if o.lengthOf(store.Window{Since: before, Until: w.Until}) > o.lengthOf(w) {
		return before.Add(quarter * time.Minute)
	}
	return before
}

// lengthOf returns how many days a period needs to contain a window.
func (o *Options) lengthOf(w store.Window) int {
	length, since := 1, w.Since.In(o.location())
	for since.AddDate(0, 0, length).Before(w.Until) {
		length++
	}
	return length
}

// days returns the periods that the window is compared with, oldest first.
func (o *Options) days(w store.Window, first time.Time) (list []store.Window) {
	read := first
	first = first.Add(-time.Hour) // nights may be without a line
	length, since := o.lengthOf(w), w.Since.In(o.location())
	n := cmp.Or(o.Baseline.Days, usualDays)
	switch b := o.Baseline.Window; {
	case o.Baseline.Previous:
		n = 1
	case !b.Since.IsZero():
		n = 400
		if b.Since.After(first) {
			first = b.Since
		}
		for !b.Until.IsZero() && since.After(b.Until) {
			since = since.AddDate(0, 0, -1)
		}
	}
	partial := store.Window{}
	for range n {
		day := store.Window{Since: since.AddDate(0, 0, -length), Until: since}
		if day.Since.Before(first) {
			if partial = day; !day.Until.After(read) {
				partial = store.Window{}
			}
			break
		}
		list = append(list, day)
		since = day.Since
	}
	if len(list) == 0 && !partial.Since.IsZero() {
		list = append(list, partial)
	}
	slices.Reverse(list)
	return list
}

// collector builds Data from the rows of a store.
type collector struct {
	data      *Data
	suspended map[mailbox]*suspension
	putOff    []bool  // by domain: some were suspended
	mail      []int32 // flows by number of the store
	names     []name  // plus 1, by number of the store; 0 unknown
	locals    []int8  // by name of a relay: 1 elsewhere, 2 on the host; 0 unknown
}

// mailbox holds the parts of a recipient's place that are the same for every relay, and
// the minute of the window in which the recipient was first seen.
type mailbox struct {
	host, sender, domain name
	minute               int32
}

// suspension counts the recipients that mailboxes had in a minute.
type suspension struct {
	place                                             int32
	suspended, recipients, delivered, failed, waiting int64
}

// AddPlace adds a place.
func (c *collector) AddPlace(p *store.FlowPlace) {
	relay := c.name(p.Names[4], p.Relay)
	c.data.addSpot(spot{
		host:     c.name(p.Names[0], p.Host),
		instance: c.name(p.Names[1], p.Instance),
		sender:   c.name(p.Names[2], p.Sender),
		domain:   c.name(p.Names[3], p.Domain),
		relay:    relay,
		provider: c.name(p.Names[5], p.Provider),
		local:    c.local(relay),
	})
}

// name returns the number of a text. stored is its number in the store, 0 for none.
func (c *collector) name(stored int32, text registry.Foreign) name {
	if stored <= 0 {
		return c.data.name(text)
	}
	known := at(&c.names, int(stored))
	if *known == 0 {
		*known = c.data.name(text) + 1
	}
	return *known - 1
}

// local reports whether a relay is a mailbox on the host.
func (c *collector) local(relay name) bool {
	known := at(&c.locals, int(relay))
	if *known == 0 {
		*known = 1 + int8(one(isLocal(c.data.texts[relay].Raw())))
	}
	return *known == 2
}

// isLocal reports whether the relay in a log is a mailbox on the host.
func isLocal(relay string) bool {
	switch name, _, _ := strings.Cut(relay, "["); name {
	case "local", "virtual", "dovecot", "maildrop", "cyrus", "lmtp", "mailstore":
		return true
	}
	return strings.HasPrefix(relay, "/") || strings.HasPrefix(relay, "private/")
}

// AddCause adds a cause.
func (c *collector) AddCause(k *store.FlowCause) {
	c.data.Causes = append(c.data.Causes, Cause{
		Reason:    k.Reason,
		Code:      k.Code,
		Stage:     k.Stage.String(),
		Source:    k.Source.String(),
		Signature: k.Signature,
	})
}

// AddCounts adds recipients and accepted messages.
func (c *collector) AddCounts(rows *store.FlowRows) {
	tried := rows.Recipients
	if rows.Untried != nil { // they neither succeeded nor failed
		tried = slices.Clone(tried)
		for i, n := range rows.Untried {
			tried[i] -= n
		}
	}
	c.data.AddRows(rows.Place, rows.Minute, tried, rows.Accepted)
	c.addSuspended(rows)
}

func (c *collector) addSuspended(rows *store.FlowRows) {
	if rows.Suspended == nil && len(c.suspended) == 0 {
		return
	}
	for i, minute := range rows.Minute {
		if minute < c.data.Since {
			continue
		}
		off := at(&c.putOff, int(c.data.places[rows.Place[i]].domain))
		n := number(rows.Suspended, i)
		if *off = *off || n != 0; !*off {
			continue
		}
		key := c.mailboxOf(rows.Place[i], minute)
		s := c.suspended[key]
		switch {
		case s == nil && n == 0:
			continue
		case s == nil:
			s = &suspension{place: rows.Place[i]}
			c.suspended[key] = s
		}
		s.suspended, s.recipients, s.delivered = s.suspended+n, s.recipients+number(rows.Recipients, i),
			s.delivered+number(rows.Delivered, i)
		s.failed, s.waiting = s.failed+number(rows.Failed, i), s.waiting+number(rows.Waiting, i)
	}
}

func (c *collector) mailboxOf(place int32, minute int64) mailbox {
	p := &c.data.places[place]
	return mailbox{p.host, p.sender, p.domain, int32(minute - c.data.Since)}
}

// AddSums adds recipients of the days before the window.
func (c *collector) AddSums(places []int32, recipients []int64) {
	for i, place := range places {
		c.data.addBefore(place, recipients[i])
	}
}

// AddLast adds recipients of the window. Their minutes are read when they are needed.
func (c *collector) AddLast(places []int32, recipients []int64,
	more func(each func(*store.FlowRows)) error) {
	for i, place := range places {
		*at(&c.data.untimed, int(place)) += recipients[i]
	}
	c.data.more = func() error {
		return more(func(rows *store.FlowRows) {
			c.data.addTimes(rows.Place, rows.Minute, rows.Recipients, rows.Accepted)
		})
	}
}

// AddSuspended adds the recipients that were deferred without an attempt, from rows
// that AddLast counted.
func (c *collector) AddSuspended(rows *store.FlowRows) { c.addSuspended(rows) }

// AddMail adds the mail of a sender at a host.
func (c *collector) AddMail(m *store.FlowMail) {
	c.mail = append(c.mail, c.data.mail.number(c.data, c.data.name(m.Host), c.data.name(m.Sender)))
}

// AddQuarters adds mail of the days before.
func (c *collector) AddQuarters(q *store.FlowQuarters) {
	d := c.data
	day := d.dayOf(q.Minute)
	if day < 0 {
		return
	}
	at, ok := d.quarterOf(day, q.Minute-d.span(day).Since)
	if !ok {
		return
	}
	quarter := d.mail.quarter(at)
	for i, mail := range q.Mail {
		quarter.add(c.mail[mail], int32(number(q.Recipients, i)), int32(number(q.Accepted, i)))
	}
}

// AddFailure adds a first failure.
func (c *collector) AddFailure(f *store.FlowFailure) {
	e := Event{
		ID:        f.ID,
		Minute:    f.Time.Unix() / 60,
		Arrived:   f.Arrived.Unix() / 60,
		Place:     f.Place,
		Cause:     f.Cause,
		N:         1,
		Recipient: f.Recipient,
	}
	switch f.State {
	case registry.StatePending:
		e.State = Waiting
	case registry.StateBounced, registry.StateExpired:
		e.State = Failed
	default:
		e.State = Delivered
	}
	c.data.Fail(e)
}

// finish adds recipients that were neither delivered nor tried when they came. A
// recipient that was deferred then without an attempt, and failed later because of the
// other site, counts as failed when it came.
func (c *collector) finish() {
	d := c.data
	seen := map[int64]bool{}
	for i := range d.Events {
		if len(c.suspended) > 0 {
			c.join(&d.Events[i], seen)
		}
	}
	for key, s := range c.suspended {
		left := min(s.suspended, s.recipients-s.delivered)
		add := func(n int64, state State) {
			if n = min(n, left); n > 0 {
				minute := d.Since + int64(key.minute)
				d.Fail(Event{
					Minute:  minute,
					Arrived: minute,
					Place:   s.place,
					Cause:   Suspended,
					N:       int32(n),
					State:   state,
				})
				left -= n
			}
		}
		add(s.failed, Failed)
		add(s.waiting, Waiting)
		add(left, Delivered)
	}
	slices.SortFunc(d.Events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Place, b.Place),
			cmp.Compare(a.ID, b.ID))
	})
}

// join removes a recipient with its own failure from those that were suspended in the
// minute of its arrival.
func (c *collector) join(e *Event, seen map[int64]bool) {
	s := c.suspended[c.mailboxOf(e.Place, e.Arrived)]
	if s == nil || e.Arrived < c.data.Since || seen[e.Recipient] {
		return
	}
	seen[e.Recipient] = e.Recipient != 0
	s.recipients--
	switch e.State {
	case Failed:
		s.failed--
	case Waiting:
		s.waiting--
	}
	if e.Minute > e.Arrived && s.suspended > 0 && ofSite(&c.data.Causes[e.Cause]) {
		s.suspended--
		e.Minute = e.Arrived
	}
}
