package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Affected calls each with the recipients that failed in a window, and those
// that are pending at its end.
func (q *reader) Affected(ctx context.Context, w store.Window, f store.Filter,
	each func(*store.Affected) error) error {
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

// affectedRow is a recipient that failed or is pending.
type affectedRow struct {
	id, first, last int64
	place           int32
	bits            uint32 // 16 * cause of the last failure + state, and 8 when it was tried
}

func (r *affectedRow) state() registry.State { return registry.State(r.bits & stateBits) }
func (r *affectedRow) tried() bool           { return r.bits&troubledBit != 0 }
func (r *affectedRow) cause() int64          { return int64(r.bits / 16) }

// affected calls each with the recipients that live in the window, by destination.
func (c *counter) affected(each func(*store.Affected) error) error {
	rows, err := c.affectedRows()
	if err != nil {
		return err
	}
	causes := c.lastFailures()
	var r store.Affected // reused for each recipient
	return c.cat.eachByDestination(rows, func(p *affectedRow, number int64, to *store.Destination) error {
		r = store.Affected{
			ID:          p.id,
			State:       p.state(),
			Tried:       p.tried(),
			FirstSeen:   time.UnixMicro(p.first),
			LastSeen:    time.UnixMicro(p.last),
			Place:       number,
			Cause:       p.cause(),
			Destination: to,
			LastFailure: causes[p.cause()],
		}
		return each(&r)
	})
}

// affectedRows returns the recipients that the filter selects.
func (c *counter) affectedRows() (rows []affectedRow, err error) {
	_, until := c.window.Micros()
	err = c.eachRecipients(c.window, allColumns, func(b *block) error {
		rows = grown(rows, b.rows)
		var p livingRecipient
		for i, place := range c.placesOf(b.cols[recipientSeries]) {
			if place < 0 {
				continue
			}
			b.recipient(i, &p)
			state := p.at(until)
			if state != registry.StatePending && state != registry.StateBounced &&
				state != registry.StateExpired || c.cause(int64(p.cause)) == nil {
				continue
			}
			last := min(p.last, until)
			if state != registry.StatePending {
				last = p.final
			}
			bits := uint32(p.cause)*16 + uint32(state)
			if p.cause != 0 || p.troubled {
				bits |= troubledBit
			}
			rows = append(rows, affectedRow{p.id, p.first, last, place, bits})
		}
		return nil
	})
	return rows, err
}

// destinationKey identifies the destination of a place, by numbers. The least significant
// part comes first.
type destinationKey [6]int32

func (c *catalog) destinationKey(place int32) destinationKey {
	s := &c.series[place]
	return destinationKey{c.mtaOf[s.format], int32(s.direction), s.host, c.provider(s), s.sender, s.domain}
}

// eachByDestination calls each with recipients, grouped by destination, and with the number
// of the destination.
func (c *catalog) eachByDestination(rows []affectedRow,
	each func(r *affectedRow, number int64, to *store.Destination) error) error {
	ranks := make([]int32, len(c.series))
	var places []int32
	for i := range rows {
		if rank := &ranks[rows[i].place]; *rank == 0 {
			*rank, places = 1, append(places, rows[i].place)
		}
	}
	keys, sorted := make([]destinationKey, len(places)), make([]int32, len(places))
	for i, place := range places {
		keys[i], sorted[i] = c.destinationKey(place), int32(i)
	}
	for part := range len(destinationKey{}) {
		sorted = sortedBy(sorted, func(i int32) int32 { return keys[i][part] })
	}
	for rank, i := range sorted {
		ranks[places[i]] = int32(rank)
	}
	order := byRank(rows, ranks, len(places))
	var free []store.Destination // allocated in chunks
	var to *store.Destination
	number, last := int64(0), int32(-1)
	var batch [512]affectedRow // copy rows in batches: their cache misses overlap
	for some := range slices.Chunk(order, len(batch)) {
		for i, row := range some {
			batch[i] = rows[row]
		}
		for i := range some {
			r := &batch[i]
			if rank := ranks[r.place]; rank != last {
				if to == nil || keys[sorted[rank]] != keys[sorted[last]] {
					if len(free) == 0 {
						free = make([]store.Destination, 256)
					}
					to, free = &free[0], free[1:]
					*to = c.destination(r.place)
					number++
				}
				last = rank
			}
			if err := each(r, number, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// byRank returns the numbers of rows in the order of the ranks of their places; there are n
// ranks.
func byRank(rows []affectedRow, ranks []int32, n int) []int32 {
	ends := make([]int32, n+1)
	for i := range rows {
		ends[ranks[rows[i].place]+1]++
	}
	for i := range n {
		ends[i+1] += ends[i]
	}
	order := make([]int32, len(rows))
	for i := range rows {
		end := &ends[ranks[rows[i].place]]
		order[*end] = int32(i)
		*end++
	}
	return order
}

// sortedBy sorts a list by numbers that are not negative. It keeps the order of elements
// with the same number.
func sortedBy(list []int32, number func(int32) int32) []int32 {
	numbers, most := make([]int32, len(list)), int32(0)
	for i, v := range list {
		numbers[i] = number(v)
		most = max(most, numbers[i])
	}
	ends := make([]int32, most+2)
	for _, n := range numbers {
		ends[n+1]++
	}
	for n := range ends[1:] {
		ends[n+1] += ends[n]
	}
	sorted := make([]int32, len(list))
	for i, n := range numbers {
		sorted[ends[n]] = list[i]
		ends[n]++
	}
	return sorted
}

// destination returns the destination of a place.
func (c *catalog) destination(place int32) store.Destination {
	s := &c.series[place]
	name := func(by store.Dimension) registry.Foreign { return registry.Foreign(c.valueText(s, by)) }
	return store.Destination{
		Names:     [...]int32{s.host, s.sender, s.domain, c.provider(s)},
		MTA:       c.valueText(s, store.ByMTA),
		Host:      name(store.ByHost),
		Sender:    name(store.BySender),
		Domain:    name(store.ByDomain),
		Provider:  name(store.ByProvider),
		Direction: s.direction,
	}
}

// lastFailures returns the failures of the causes that the filter selects, by id.
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

// Persons returns the addresses of recipients, and the text of their last failure before a
// time; the zero time sets no limit.
func (q *reader) Persons(ctx context.Context, ids []int64,
	before time.Time) (persons []store.Person, err error) {
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
			first, last = time.UnixMicro(a.Int64*store.MinuteMicros),
				time.UnixMicro(b.Int64*store.MinuteMicros)
		}
		return nil
	})
	return first, last, err
}
