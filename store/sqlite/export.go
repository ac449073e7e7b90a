package sqlite

import (
	"context"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// EachCount calls each with the counts of a window, by minute, series and cause, in no
// order. The views of the database show everything else.
func (db *DB) EachCount(ctx context.Context, w store.Window, each func(*store.CountRow) error) error {
	return db.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		return t.eachCounts(w, true, allColumns, func(b *block, first, since, until int64) error {
			for i := range b.rows {
				m := first + b.at(countMinute, i)
				place, ok := cat.place(b.at(countSeries, i))
				if m < since || m >= until || !ok {
					continue
				}
				r := cat.countRow(&cat.series[place], cat.causes[b.at(countCause, i)])
				r.Time = time.UnixMicro(m * store.MinuteMicros).UTC()
				r.Counts = countsAt(b, i)
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (c *catalog) countRow(s *series, k *cause) *store.CountRow {
	r := &store.CountRow{
		SeriesID:  s.id,
		Format:    c.names[s.format],
		Host:      registry.Foreign(c.names[s.host]),
		Instance:  registry.Foreign(c.names[s.instance]),
		Sender:    registry.Foreign(c.names[s.sender]),
		Domain:    registry.Foreign(c.names[s.domain]),
		Relay:     registry.Foreign(c.names[s.relay]),
		Provider:  registry.Foreign(c.names[c.relays[s.relay]]),
		Direction: s.direction,
		Own:       s.own,
	}
	if k != nil {
		r.Code, r.Reason = k.code, k.reason
	}
	return r
}

func countsAt(b *block, i int) store.Counts {
	n := func(field int) int64 { return b.at(countFields+field, i) }
	return store.Counts{
		Delivered:  n(fieldDelivered),
		Recipients: n(fieldRecipients),
		Suspended:  n(fieldSuspended),
		Handed:     n(fieldHanded),
		Messages:   n(fieldMessages),
		Accepted:   n(fieldAccepted),
		Expected:   n(fieldExpected),
		Heard:      n(fieldHeard),
	}
}
