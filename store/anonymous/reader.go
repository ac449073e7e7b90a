package anonymous

import (
	"context"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// New returns a database that answers as db does, with pseudonyms. Questions contain the
// real names, as db knows them: Trace takes a real address.
func New(db store.Database, n *Names) store.Database { return &database{reader{db, n}, db} }

type database struct {
	reader
	db store.Database
}

func (d *database) Unsent(ctx context.Context) (store.Unsent, error) {
	return store.UnsentOf(ctx, d.db)
}

func (d *database) Snapshot(ctx context.Context, f func(store.Reader) error) error {
	return d.db.Snapshot(ctx, func(r store.Reader) error { return f(&reader{r, d.n}) })
}

// reader passes on answers without names unchanged, such as Covered, Usual and Repeats.
type reader struct {
	store.Reader
	n *Names
}

func (r *reader) text(f *registry.Foreign) {
	r.n.foreign(f, func(s string) string { return r.n.Text(s) })
}

func (r *reader) hosts(list ...*registry.Foreign) {
	for _, f := range list {
		r.n.foreign(f, r.n.Name)
	}
}

func (r *reader) Numbers(ctx context.Context, w store.Window, f store.Filter,
	by []store.Dimension) (*store.Numbers, error) {
	n, err := r.Reader.Numbers(ctx, w, f, by)
	if err != nil {
		return nil, err
	}
	for _, groups := range [][]store.Group{n.Domains, n.Groups, n.Senders, n.Providers, n.Hosts} {
		for _, g := range groups {
			r.values(g.Values)
		}
	}
	for _, rows := range [][]store.CodeRow{n.Codes, n.Rejections, n.Uncoded, n.UncodedRejections} {
		for i := range rows {
			r.hosts(&rows[i].Provider, &rows[i].TopDomain)
			r.text(&rows[i].Example)
		}
	}
	for _, rows := range [][]store.CauseRow{n.Failed, n.PutOff} {
		for i := range rows {
			r.hosts(&rows[i].Provider, &rows[i].TopDomain)
		}
	}
	for i := range n.Unknown {
		r.text(&n.Unknown[i].Signature)
		r.text(&n.Unknown[i].Example)
	}
	for i := range n.Hops {
		r.hosts(&n.Hops[i].Name, &n.Hops[i].Provider)
		r.text(&n.Hops[i].Example)
	}
	return n, nil
}

// values puts pseudonyms into values of any dimensions. It skips codes, which have dots
// too.
func (r *reader) values(list []registry.Foreign) {
	for i, v := range list {
		if v != "" && v[0] >= '0' && v[0] <= '9' && store.CheckCode(v.Raw()) == nil {
			continue
		}
		list[i] = registry.Foreign(r.n.Name(v.Raw()))
	}
}

func (r *reader) Timeline(ctx context.Context, w store.Window, f store.Filter, by []store.Dimension,
	step time.Duration) (*store.Timeline, error) {
	t, err := r.Reader.Timeline(ctx, w, f, by, step)
	if err == nil {
		for _, s := range t.Slices {
			r.values(s.Values)
		}
	}
	return t, err
}

// flow puts pseudonyms into places and causes before it passes them to a sink.
type flow struct {
	store.FlowSink
	r *reader
}

func (s flow) AddPlace(p *store.FlowPlace) {
	q := *p
	s.r.hosts(&q.Host, &q.Sender, &q.Domain, &q.Relay, &q.Provider)
	s.FlowSink.AddPlace(&q)
}

func (s flow) AddCause(c *store.FlowCause) {
	q := *c
	s.r.text(&q.Signature)
	s.FlowSink.AddCause(&q)
}

func (r *reader) Flow(ctx context.Context, windows []store.Window, f store.Filter, to store.FlowSink) error {
	if sums, ok := to.(store.FlowSummer); ok {
		return r.Reader.Flow(ctx, windows, f, flowSums{flow{to, r}, sums})
	}
	return r.Reader.Flow(ctx, windows, f, flow{to, r})
}

// flowSums does the same for a FlowSummer.
type flowSums struct {
	flow
	to store.FlowSummer
}

func (s flowSums) AddSums(places []int32, recipients []int64) {
	s.to.AddSums(places, recipients)
}

func (s flowSums) AddMail(m *store.FlowMail) {
	q := *m
	s.r.hosts(&q.Host, &q.Sender)
	s.to.AddMail(&q)
}

func (s flowSums) AddQuarters(q *store.FlowQuarters) { s.to.AddQuarters(q) }

func (r *reader) Replies(ctx context.Context, ids []int64) ([]store.Reply, error) {
	list, err := r.Reader.Replies(ctx, ids)
	for i := range list {
		p := &list[i]
		r.n.foreign(&p.Text, func(s string) string { return r.n.Text(s, p.Sender.Raw(), p.Account.Raw()) })
		r.n.foreign(&p.Sender, r.n.Address)
		r.n.foreign(&p.Recipient, r.n.Address)
		r.n.foreign(&p.Account, r.n.Address)
		r.hosts(&p.IP, &p.Client)
	}
	return list, err
}

func (r *reader) Affected(ctx context.Context, w store.Window, f store.Filter,
	each func(*store.Affected) error) error {
	var real, known *store.Destination
	return r.Reader.Affected(ctx, w, f, func(a *store.Affected) error {
		b := *a
		if a.Destination != real {
			to := *a.Destination
			r.hosts(&to.Host, &to.Sender, &to.Domain, &to.Provider)
			real, known = a.Destination, &to
		}
		b.Destination = known
		return each(&b)
	})
}

func (r *reader) Persons(ctx context.Context, ids []int64, before time.Time) ([]store.Person, error) {
	list, err := r.Reader.Persons(ctx, ids, before)
	for i := range list {
		p := &list[i]
		r.n.foreign(&p.Text, func(s string) string {
			return r.n.Text(s, p.Address.Raw(), p.Sender.Raw(), p.Account.Raw())
		})
		r.n.foreign(&p.Address, r.n.Address)
		r.n.foreign(&p.Sender, r.n.Address)
		r.n.foreign(&p.Account, r.n.Address)
	}
	return list, err
}

func (r *reader) Troubles(ctx context.Context, w store.Window, f store.Filter) ([]store.TroubleRow, error) {
	list, err := r.Reader.Troubles(ctx, w, f)
	for i := range list {
		r.hosts(&list[i].Host)
		r.text(&list[i].Text)
		list[i].Signature = r.n.Text(list[i].Signature)
	}
	return list, err
}

func (r *reader) Submissions(ctx context.Context, w store.Window,
	f store.Filter) ([]store.SubmissionRow, error) {
	list, err := r.Reader.Submissions(ctx, w, f)
	for i := range list {
		r.n.foreign(&list[i].Account, r.n.Address)
		r.hosts(&list[i].Host, &list[i].Sender, &list[i].Client)
	}
	return list, err
}

func (r *reader) Feedback(ctx context.Context, w store.Window, f store.Filter) ([]store.FeedbackRow, error) {
	list, err := r.Reader.Feedback(ctx, w, f)
	for i := range list {
		r.hosts(&list[i].Host, &list[i].Sender, &list[i].Domain, &list[i].Provider)
		r.text(&list[i].Example)
	}
	return list, err
}

func (r *reader) Events(ctx context.Context, w store.Window, f store.Filter, outcomes []string, newest int,
	each func(*store.Event) error) (store.LeftOut, error) {
	return r.Reader.Events(ctx, w, f, outcomes, newest, func(e *store.Event) error {
		r.event(e)
		return each(e)
	})
}

func (r *reader) event(e *store.Event) { r.n.Event(e) }

// Event puts pseudonyms into an event.
func (n *Names) Event(e *store.Event) {
	known := []string{e.Recipient.Raw(), e.Sender.Raw(), e.Account.Raw()}
	for _, f := range []*registry.Foreign{&e.Text, &e.Signature, &e.Line} {
		n.foreign(f, func(s string) string { return n.Text(s, known...) })
	}
	for _, f := range []*registry.Foreign{&e.Recipient, &e.Sender, &e.Account} {
		n.foreign(f, n.Address)
	}
	n.foreign(&e.MessageID, n.messageID)
	for _, f := range []*registry.Foreign{&e.Host, &e.Domain, &e.Relay, &e.IP, &e.Provider, &e.Client,
		&e.ClientIP} {
		n.foreign(f, n.Name)
	}
}

func (r *reader) Trace(ctx context.Context, what string) ([]*store.Story, []*store.Event, error) {
	stories, rejections, err := r.Reader.Trace(ctx, what)
	for _, s := range stories {
		for i := range s.Recipients {
			for _, e := range s.Recipients[i].Attempts {
				r.event(e)
			}
			r.n.foreign(&s.Recipients[i].Address, r.n.Address)
		}
		r.n.foreign(&s.Sender, r.n.Address)
		r.n.foreign(&s.Account, r.n.Address)
		r.n.foreign(&s.MessageID, r.n.messageID)
		r.hosts(&s.Host, &s.Client, &s.ClientIP)
	}
	for _, e := range rejections {
		r.event(e)
	}
	return stories, rejections, err
}

func (r *reader) Delivered(ctx context.Context, what string) (store.Delivered, error) {
	d, err := r.Reader.Delivered(ctx, what)
	for i := range d.Rows {
		r.n.foreign(&d.Rows[i].Recipient, r.n.Address)
		r.n.foreign(&d.Rows[i].Place, r.n.place)
		r.hosts(&d.Rows[i].Host, &d.Rows[i].SenderDomain, &d.Rows[i].Relay)
	}
	return d, err
}

func (r *reader) Recent(ctx context.Context, w store.Window, f store.Filter,
	each func(e *store.Event, n int64)) error {
	return r.Reader.Recent(ctx, w, f, func(e *store.Event, n int64) {
		q := *e
		r.event(&q)
		each(&q, n)
	})
}
