package sqlite

import (
	"context"
	"database/sql"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Affected calls each with the recipients that failed in a window, and those
// that are pending at its end.
func (q *reader) Affected(ctx context.Context, w store.Window, f store.Filter, each func(*store.Affected) error) error {
	return q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		w = w.Minutes()
		c := &counter{tx: t, cat: cat, window: w, asked: f, numbers: &store.Numbers{}}
		if err := c.choose(); err != nil {
			return err
		}
		return c.affected(each)
	})
}

// affected walks through the recipients that live in the window.
func (c *counter) affected(each func(*store.Affected) error) error {
	_, until := c.window.Micros()
	places, causes := newDestinations(c.cat), c.lastFailures()
	var r store.Affected // of one recipient after the other
	return c.eachRecipient(c.window, func(p *livingRecipient) error {
		s, ok := c.place(int64(p.series))
		state := p.at(until)
		if !ok || state != registry.StatePending && state != registry.StateBounced && state != registry.StateExpired {
			return nil
		}
		failure := lastFailure(causes, p.cause)
		if failure == nil {
			return nil
		}
		last := min(p.last, until)
		if state != registry.StatePending {
			last = p.final
		}
		r = store.Affected{
			ID:          p.id,
			State:       state,
			Tried:       p.cause != 0 || p.troubled,
			FirstSeen:   time.UnixMicro(p.first),
			LastSeen:    time.UnixMicro(last),
			Place:       int64(p.series),
			Cause:       int64(p.cause),
			Destination: places.at(s),
			LastFailure: failure,
		}
		return each(&r)
	})
}

// lastFailures returns what is said of the causes that are asked for, by id.
func (c *counter) lastFailures() []*store.LastFailure {
	list := make([]*store.LastFailure, len(c.causes))
	for id, k := range c.causes {
		if k != nil {
			list[id] = &store.LastFailure{}
			if id != 0 {
				*list[id] = store.LastFailure{Reply: k.reply, Enhanced: k.enhanced, Reason: k.reason}
			}
		}
	}
	return list
}

func lastFailure(causes []*store.LastFailure, id int32) *store.LastFailure {
	if uint32(id) >= uint32(len(causes)) {
		return nil
	}
	return causes[id]
}

// destinations are the places of an answer, each made when it is first met.
type destinations struct {
	cat  *catalog
	list []*store.Destination // by place in catalog.series
	free []store.Destination  // room for some more
}

func newDestinations(cat *catalog) *destinations {
	return &destinations{cat: cat, list: make([]*store.Destination, len(cat.series))}
}

func (d *destinations) at(place int) *store.Destination {
	if known := d.list[place]; known != nil {
		return known
	}
	if len(d.free) == 0 {
		d.free = make([]store.Destination, 256)
	}
	to, s := &d.free[0], &d.cat.series[place]
	d.free, d.list[place] = d.free[1:], to
	name := func(by store.Dimension) registry.Foreign { return registry.Foreign(d.cat.valueText(s, by)) }
	*to = store.Destination{
		Names:     [...]int32{s.host, s.sender, s.domain, d.cat.provider(s)},
		MTA:       d.cat.valueText(s, store.ByMTA),
		Host:      name(store.ByHost),
		Sender:    name(store.BySender),
		Domain:    name(store.ByDomain),
		Provider:  name(store.ByProvider),
		Direction: s.direction,
	}
	return to
}

// Persons returns who recipients are, and what their last failure before a time
// said; the zero time is none.
func (q *reader) Persons(ctx context.Context, ids []int64, before time.Time) (persons []store.Person, err error) {
	_, until := store.Window{Until: before}.Micros()
	err = q.read(ctx, func(t *tx) error {
		const query = `SELECT r.id, r.address, m.sender, m.account, m.queue_id,
			(SELECT count(*) FROM attempts AS a WHERE a.recipient = r.id AND a.time < ?),
			(SELECT a.text FROM attempts AS a WHERE a.recipient = r.id AND a.time < ? ORDER BY a.time DESC, a.id DESC LIMIT 1)
			FROM recipients AS r JOIN messages AS m ON m.id = r.message WHERE r.id IN (SELECT value FROM json_each(?)) ORDER BY r.id`
		if err := t.needPersons(ids); err != nil {
			return err
		}
		return t.each(query, []any{until, until, list(ids)}, func(r *sql.Rows) error {
			var p store.Person
			var sender, text sql.NullString
			err := r.Scan(&p.ID, &p.Address, &sender, &p.Account, &p.Message, &p.Tries, &text)
			p.Sender, p.HasSender = registry.Foreign(sender.String), sender.Valid
			p.Text = registry.Foreign(text.String)
			persons = append(persons, p)
			return err
		})
	})
	return persons, err
}

// Covered returns the minutes of the first and the last line that was read,
// zero when there is none.
func (q *reader) Covered(ctx context.Context) (first, last time.Time, err error) {
	err = q.read(ctx, func(t *tx) error {
		var a, b sql.NullInt64
		if _, err := t.one("SELECT (SELECT minute FROM lines WHERE minute > 0 ORDER BY minute LIMIT 1), (SELECT minute FROM lines WHERE minute > 0 ORDER BY minute DESC LIMIT 1)", nil, &a, &b); err != nil {
			return err
		}
		if a.Valid {
			first, last = time.UnixMicro(a.Int64*store.MinuteMicros), time.UnixMicro(b.Int64*store.MinuteMicros)
		}
		return nil
	})
	return first, last, err
}
