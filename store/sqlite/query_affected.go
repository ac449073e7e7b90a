package sqlite

import (
	"context"
	"database/sql"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// Affected calls each with the recipients that failed in a window, and those
// that are pending at its end.
func (q *reader) Affected(ctx context.Context, w store.Window, f store.Filter,
	each func(*store.Affected) error) error {
	return q.read(ctx, func(t *tx) error {
		w := w.Minutes()
		if err := t.need(w, fleet.Recipients); err != nil { // before the catalog: it has their series
			return err
		}
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		c := &counter{tx: t, cat: cat, window: w, asked: f, numbers: &store.Numbers{}}
		if err := c.choose(); err != nil {
			return err
		}
		return c.affected(each)
	})
}

// affected calls each with the recipients that live in the window, by destination.
func (c *counter) affected(each func(*store.Affected) error) error {
	rows, err := c.sharedRecipients()
	if err == nil {
		err = c.settled()
	}
	if err == nil {
		c.release()
	}
	if err != nil {
		return err
	}
	causes := c.lastFailures()
	var r store.Affected // reused for each recipient
	return c.eachByDestination(rows, func(p *recipientRow, number int64, to *store.Destination) error {
		r = store.Affected{
			ID:          p.id,
			State:       p.state(),
			Tried:       p.tried(),
			FirstSeen:   time.UnixMicro(p.first),
			LastSeen:    time.UnixMicro(p.end),
			Place:       number,
			Cause:       p.cause(),
			Destination: to,
			LastFailure: causes[p.cause()],
		}
		return each(&r)
	})
}

// affects returns the place of a recipient that failed or is pending, and that the filter
// selects, plus 1; 0 for any other.
func (c *counter) affects(r *recipientRow) int32 {
	const states = 1<<registry.StatePending | 1<<registry.StateBounced | 1<<registry.StateExpired
	if 1<<r.state()&states == 0 || uint32(r.series) >= uint32(len(c.wantedAt)) || c.cause(r.cause()) == nil {
		return 0
	}
	return c.wantedAt[r.series]
}

// destinationKey identifies the destination of a place, by numbers. The least significant
// part comes first.
type destinationKey [6]int32

func (c *catalog) destinationKey(place int32) destinationKey {
	s := &c.series[place]
	return destinationKey{c.mtaOf[s.format], int32(s.direction), s.host, c.provider(s), s.sender, s.domain}
}

// eachByDestination calls each with the recipients that affects selects, grouped by
// destination, and with the number of the destination.
func (c *counter) eachByDestination(rows []recipientRow,
	each func(r *recipientRow, number int64, to *store.Destination) error) error {
	ranks, at := make([]int32, len(c.cat.series)), make([]int32, len(rows)) // at: places plus 1
	var places []int32
	for i := range rows {
		if at[i] = c.affects(&rows[i]); at[i] == 0 {
			continue
		}
		if rank := &ranks[at[i]-1]; *rank == 0 {
			*rank, places = 1, append(places, at[i]-1)
		}
	}
	keys, sorted := make([]destinationKey, len(places)), make([]int32, len(places))
	for i, place := range places {
		keys[i], sorted[i] = c.cat.destinationKey(place), int32(i)
	}
	for part := range len(destinationKey{}) {
		sorted = sortedBy(sorted, func(i int32) int32 { return keys[i][part] })
	}
	for rank, i := range sorted {
		ranks[places[i]] = int32(rank)
	}
	order, ends := byRank(at, ranks, len(places))
	var last, to = &store.Destination{}, &store.Destination{} // used in turns
	var key destinationKey
	number, begin := int64(0), int32(0)
	var batch [512]recipientRow // copy rows in batches: their cache misses overlap
	for rank, end := range ends {
		if k := keys[sorted[rank]]; number == 0 || k != key {
			last, to, key = to, last, k
			*to = c.cat.destination(&key)
			number++
		}
		for ; begin < end; begin++ {
			if begin%int32(len(batch)) == 0 {
				for i, row := range order[begin:min(begin+int32(len(batch)), int32(len(order)))] {
					batch[i] = rows[row]
				}
			}
			if err := each(&batch[begin%int32(len(batch))], number, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// byRank returns the numbers of rows in the order of the ranks of their places, and for each
// of the n ranks where its rows end. at holds the place of each row, plus 1; 0 leaves it out.
func byRank(at, ranks []int32, n int) (order, ends []int32) {
	ends = make([]int32, n+1)
	for i, place := range at {
		if place > 0 {
			at[i] = ranks[place-1] + 1
			ends[at[i]]++
		}
	}
	for i := range n {
		ends[i+1] += ends[i]
	}
	order = make([]int32, ends[n])
	for i, rank := range at {
		if rank > 0 {
			end := &ends[rank-1]
			order[*end] = int32(i)
			*end++
		}
	}
	return order, ends[:n]
}

// sortedBy sorts a list by numbers that are not negative. It keeps the order of elements
// with the same number.
func sortedBy(list []int32, number func(int32) int32) []int32 {
	numbers, most, inOrder := make([]int32, len(list)), int32(0), true
	for i, v := range list {
		numbers[i] = number(v)
		inOrder = inOrder && numbers[i] >= most
		most = max(most, numbers[i])
	}
	if inOrder {
		return list
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

// destination returns the destination with a key.
func (c *catalog) destination(k *destinationKey) store.Destination {
	mta, direction, host, provider, sender, domain := k[0], k[1], k[2], k[3], k[4], k[5]
	return store.Destination{
		Names:     [...]int32{host, sender, domain, provider},
		MTA:       c.text(store.ByMTA, mta-1),
		Host:      registry.Foreign(c.names[host]),
		Sender:    registry.Foreign(c.names[sender]),
		Domain:    registry.Foreign(c.names[domain]),
		Provider:  registry.Foreign(c.names[provider]),
		Direction: registry.Direction(direction),
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
