package investigate

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Options say what is investigated.
type Options struct {
	Window   store.Window // a zero Until is the end of what was read, a zero Since a day before
	Silent   bool         // what was read covers the window to its end: silence at the end is real
	Baseline Compare
	Filter   store.Filter
	Location *time.Location // of days; nil: local
	Now      time.Time      // zero: the end of what was read
}

// Compare says with what a window is compared. The zero value is the days
// before it, as many as there are up to two weeks.
type Compare struct {
	Days     int          // before the window
	Previous bool         // the period of the same length before the window
	Window   store.Window // these days
}

// usualDays is how many days before a window are looked at.
const usualDays = 14

// ErrEmpty reports that nothing was read yet.
var ErrEmpty = errors.New("nothing was read yet: there is nothing to investigate")

// Run finds what changed in the mail that r knows of.
func Run(ctx context.Context, r store.Reader, opt Options) (*Result, error) {
	d, err := read(ctx, r, opt)
	if err != nil {
		return nil, err
	}
	result := Analyze(d)
	if asked := opt.Window.Minutes().Until; result.Until.Before(asked) {
		result.LogsEnd = result.Until.Add(-time.Minute)
	}
	return result, nil
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
	c := &collector{
		data:   &Data{Since: w.Since.Unix() / 60, Until: w.Until.Unix() / 60, Location: opt.location()},
		places: map[Place]int32{},
		causes: map[Cause]int32{},
		firsts: map[eventKey]int64{},
		states: map[stateKey][]State{},
	}
	days := opt.days(w, first)
	for _, day := range days {
		c.data.Days = append(c.data.Days, Span{day.Since.Unix() / 60, day.Until.Unix() / 60})
	}
	if len(days) > 0 {
		before := store.Window{Since: days[0].Since, Until: days[len(days)-1].Until}
		if err := c.timeline(ctx, r, before, opt.Filter, quarter*time.Minute); err != nil {
			return nil, err
		}
	}
	if err := c.timeline(ctx, r, w, opt.Filter, time.Minute); err != nil {
		return nil, err
	}
	if err := c.affected(ctx, r, w, opt.Filter); err != nil {
		return nil, err
	}
	return c.data, c.events(ctx, r, w, opt.Filter)
}

func (o *Options) location() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

// window fills in the ends of the window. Nothing is said of a time that no
// log covers.
func (o *Options) window(last time.Time) store.Window {
	w := o.Window
	end := last.Add(time.Minute)
	if o.Now.After(end) && o.Now.Sub(end) < 30*time.Minute {
		end = o.Now // nothing since is part of the picture
	}
	if w.Until.IsZero() || w.Until.After(end) && end.After(w.Since) && !o.Silent {
		w.Until = end
	}
	if w.Since.IsZero() {
		w.Since = w.Until.In(o.location()).AddDate(0, 0, -1)
	}
	return w.Minutes()
}

// days returns the periods that the window is compared with, oldest first.
func (o *Options) days(w store.Window, first time.Time) (list []store.Window) {
	first = first.Add(-time.Hour) // nights may be without a line
	length, since := 1, w.Since.In(o.location())
	for since.AddDate(0, 0, length).Before(w.Until) {
		length++ // days that a period has
	}
	n := cmp.Or(o.Baseline.Days, usualDays)
	switch b := o.Baseline.Window; {
	case o.Baseline.Previous:
		n = 1
	case !b.Since.IsZero():
		first, n = b.Since, 400
		for !b.Until.IsZero() && since.After(b.Until) {
			since = since.AddDate(0, 0, -1)
		}
	}
	partial := store.Window{}
	for range n {
		day := store.Window{Since: since.AddDate(0, 0, -length), Until: since}
		if day.Since.Before(first) {
			if partial = day; !day.Until.After(first) {
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

// collector puts together what a store answers.
type collector struct {
	data   *Data
	places map[Place]int32
	causes map[Cause]int32
	firsts map[eventKey]int64 // first failures of the window
	states map[stateKey][]State
}

// eventKey is what a store knows of first failures.
type eventKey struct {
	minute int64
	place  int32
	reason string
}

// stateKey finds the recipients that have failed or wait.
type stateKey struct {
	minute               int64 // first seen
	host, sender, domain string
}

var placeDimensions = []store.Dimension{store.ByHost, store.ByInstance, store.BySender, store.ByDomain, store.ByRelay, store.ByProvider, store.ByReason}

func (c *collector) place(p Place) int32 {
	id, ok := c.places[p]
	if !ok {
		id = int32(len(c.data.Places))
		c.places[p] = id
		c.data.Places = append(c.data.Places, p)
	}
	return id
}

func (c *collector) cause(k Cause) int32 {
	id, ok := c.causes[k]
	if !ok {
		id = int32(len(c.data.Causes))
		c.causes[k] = id
		c.data.Causes = append(c.data.Causes, k)
	}
	return id
}

// placeOf returns the place of the values of placeDimensions.
func placeOf(v []string) Place {
	p := Place{Host: v[0], Instance: v[1], Sender: v[2], Domain: v[3], Relay: v[4], Provider: v[5]}
	p.Local = isLocal(p.Relay)
	return p
}

// isLocal reports whether what a log names as relay is a mailbox on the host.
func isLocal(relay string) bool {
	switch name, _, _ := strings.Cut(relay, "["); name {
	case "local", "virtual", "dovecot", "maildrop", "cyrus", "lmtp", "mailstore":
		return true
	}
	return strings.HasPrefix(relay, "/") || strings.HasPrefix(relay, "private/")
}

// timeline reads the recipients of a window and, of the days before the
// window, the first failures.
func (c *collector) timeline(ctx context.Context, r store.Reader, w store.Window, f store.Filter, step time.Duration) error {
	line, err := r.Timeline(ctx, w, f, placeDimensions, step)
	if err != nil {
		return err
	}
	inWindow := step == time.Minute
	for i := range line.Slices {
		s := &line.Slices[i]
		p, reason := placeOf(s.Values), s.Values[6]
		for j := range s.Points {
			c.point(&s.Points[j], &p, reason, inWindow)
		}
	}
	return nil
}

func (c *collector) point(at *store.Point, p *Place, reason string, inWindow bool) {
	d, minute := c.data, at.Time.Unix()/60
	if at.Accepted > 0 {
		d.Accepted = append(d.Accepted, Accepted{minute, p.Host, p.Sender, int32(at.Accepted)})
	}
	if at.Recipients+at.First+at.Suspended == 0 {
		return
	}
	place := c.place(*p)
	if at.Recipients > 0 {
		d.Arrivals = append(d.Arrivals, Arrival{minute, place, int32(at.Recipients)})
	}
	switch {
	case at.First == 0:
	case inWindow:
		c.firsts[eventKey{minute, place, reason}] += at.First
	default:
		d.Events = append(d.Events, Event{Minute: minute, Arrived: minute, Place: place, Cause: c.cause(Cause{Reason: reason}), N: int32(at.First)})
	}
	// Recipients that were neither delivered nor tried when they came.
	if n := min(at.Suspended, at.Recipients-at.Delivered); inWindow && n > 0 {
		cause := int32(Suspended)
		if reason != "" {
			cause = c.cause(Cause{Reason: reason})
		}
		d.Events = append(d.Events, Event{Minute: minute, Arrived: minute, Place: place, Cause: cause, N: int32(n)})
	}
}

// affected reads which recipients have failed, or wait, at the end of the window.
func (c *collector) affected(ctx context.Context, r store.Reader, w store.Window, f store.Filter) error {
	return r.Affected(ctx, w, f, func(a *store.Affected) error {
		state := Failed
		if a.State == registry.StatePending {
			state = Waiting
		}
		k := stateKey{a.FirstSeen.Unix() / 60, a.Host, a.Sender, a.Domain}
		c.states[k] = append(c.states[k], state)
		return nil
	})
}

// events reads the first failures of the window.
func (c *collector) events(ctx context.Context, r store.Reader, w store.Window, f store.Filter) error {
	late := map[eventKey][]Event{}
	_, err := r.Events(ctx, w, f, []string{"deferred", "failed"}, 0, func(e *store.Event) error {
		place := c.place(placeOf([]string{
			string(e.Host), string(e.Instance), e.SenderDomain(), string(e.Domain), string(e.Relay), string(e.Provider),
		}))
		minute := e.Time.Unix() / 60
		k := eventKey{minute, place, e.Reason}
		if c.firsts[k] == 0 {
			return nil
		}
		ev := c.event(e, place, minute)
		if ev.Arrived != minute { // those that came in this minute are first for sure
			late[k] = append(late[k], ev)
			return nil
		}
		c.firsts[k]--
		c.data.Events = append(c.data.Events, ev)
		return nil
	})
	for k, list := range late {
		c.data.Events = append(c.data.Events, list[:min(int64(len(list)), c.firsts[k])]...)
	}
	slices.SortStableFunc(c.data.Events, func(a, b Event) int { return cmp.Compare(a.Minute, b.Minute) })
	return err
}

func (c *collector) event(e *store.Event, place int32, minute int64) Event {
	ev := Event{
		Minute:  minute,
		Arrived: minute,
		Place:   place,
		Cause: c.cause(Cause{
			Reason:    e.Reason,
			Code:      e.Code(),
			Stage:     e.Stage.String(),
			Source:    e.Source.String(),
			Signature: string(e.Signature),
		}),
		N:         1,
		Recipient: recipientID(e),
		State:     Delivered,
		Text:      string(e.Text),
		Detail:    Detail{Sender: string(e.Sender), Client: string(e.Client), IP: string(e.IP)},
	}
	if e.Delay > 0 {
		ev.Arrived = e.Time.Add(-e.Delay).Unix() / 60
	}
	if e.Outcome == "failed" {
		ev.State = Failed
	}
	for minute := ev.Arrived; minute <= ev.Arrived+1; minute++ {
		k := stateKey{minute, string(e.Host), e.SenderDomain(), string(e.Domain)}
		if list := c.states[k]; len(list) > 0 {
			ev.State, c.states[k] = list[0], list[1:]
			break
		}
	}
	return ev
}

// recipientID tells the recipients of a window apart.
func recipientID(e *store.Event) int64 {
	h := fnv.New64a()
	for _, s := range []registry.Foreign{e.Host, e.Message, e.Recipient} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return int64(h.Sum64() | 1)
}
