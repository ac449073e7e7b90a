package sqlite

import (
	"cmp"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"slices"
	"strings"
)

// failingAttempt is a row of attempt_rows in the window.
type failingAttempt struct {
	time, id, recipient int64
	series, cause       int32
	flags               int32
}

// The columns of a segment of attempts.
const (
	attemptID = iota
	attemptTime
	attemptRecipient
	attemptSeries
	attemptCause
	attemptFlags
	attemptColumns
)

// The flags of an attempt, as its segment has them: two bits of outcome first.
const (
	outcomeBits = 3
	firstBit    = 4
	exactBit    = 8
)

// eachAttempts calls each with the failing attempts of a window, some thousand at a
// time and in no order: with a block whose columns, but those that are not wanted,
// all have as many rows as it has. They may be changed.
func (t *tx) eachAttempts(w store.Window, wanted columns, each func(b *block) error) error {
	if err := t.need(fleet.Attempts, w); err != nil {
		return err
	}
	since, until := w.Micros()
	wanted |= 1<<attemptID | 1<<attemptTime
	if t.only != nil {
		wanted |= 1 << attemptRecipient
	}
	return t.eachRow(attempts, w, wanted, func(b *block, skip []int64) error {
		if err := b.fill(attemptColumns, wanted); err != nil {
			return err
		}
		times := b.cols[attemptTime]
		b.keep(skip, attemptRecipient, t.only, func(i int) bool { return times[i] >= since && times[i] < until })
		return each(b)
	})
}

// eachAttempt calls each with the failing attempts of a window, in no order.
func (t *tx) eachAttempt(w store.Window, each func(a *failingAttempt) error) error {
	return t.eachAttempts(w, allColumns, func(b *block) error {
		var a failingAttempt // one after the other: each keeps none
		for i := range b.rows {
			a.id, a.time, a.recipient = b.cols[attemptID][i], b.cols[attemptTime][i], b.cols[attemptRecipient][i]
			a.series, a.cause, a.flags = int32(b.cols[attemptSeries][i]), int32(b.cols[attemptCause][i]), int32(b.cols[attemptFlags][i])
			if err := each(&a); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill gives b all columns that are wanted, also those that are 0 throughout. b must
// have so many.
func (b *block) fill(n int, wanted columns) error {
	if len(b.cols) < n && b.rows > 0 {
		return errBlock
	}
	for len(b.cols) < n {
		b.cols = append(b.cols, nil)
	}
	for c := range b.cols {
		if b.cols[c] == nil && wanted>>c&1 != 0 {
			room := at(&b.buffers, int64(c))
			*room = slices.Grow((*room)[:0], b.rows)[:b.rows]
			clear(*room)
			b.cols[c] = *room
		}
	}
	return nil
}

// keep leaves those rows in b that are wanted: not in skip, the sorted ids of rows that
// are not as they are there, of the recipients in only, unless it is nil, and right.
// The others move up.
func (b *block) keep(skip []int64, recipient int, only map[int64]bool, right func(i int) bool) {
	s, n := skipper{skip}, 0
	for i := range b.rows {
		if len(s.ids) > 0 && s.has(b.cols[0][i]) || only != nil && !only[b.cols[recipient][i]] || !right(i) {
			continue
		}
		if n < i {
			for _, c := range b.cols {
				if c != nil {
					c[n] = c[i]
				}
			}
		}
		n++
	}
	b.rows = n
	for c := range b.cols {
		if b.cols[c] != nil {
			b.cols[c] = b.cols[c][:n]
		}
	}
}

// ofAccounts lets t see no recipients but those of messages that some accounts
// submitted, and no rejections; all when there are no accounts.
func (t *tx) ofAccounts(accounts []string) error {
	if len(accounts) == 0 {
		return nil
	}
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = strings.ToLower(a)
	}
	if err := t.needAccounts(names); err != nil {
		return err
	}
	t.only = map[int64]bool{}
	return t.ints(`SELECT r.id FROM message_rows AS m JOIN recipient_rows AS r ON r.message = m.id
		WHERE m.account IN (SELECT id FROM names WHERE lower(text) IN (SELECT value FROM json_each(?)))`, []any{list(names)}, func(v []int64) error {
		t.only[v[0]] = true
		return nil
	})
}

// livingRecipient is a row of recipient_rows.
type livingRecipient struct {
	id, first, last, final int64 // final: 0 pending
	series, cause          int32
	state                  registry.State
	troubled               bool
}

// at returns the state of r at a time.
func (r *livingRecipient) at(until int64) registry.State {
	if r.final != 0 && r.final < until {
		return r.state
	}
	return registry.StatePending
}

// The columns of a segment of recipients. eachRecipients makes times of the last two
// times.
const (
	recipientID = iota
	recipientFirst
	recipientLast  // less the first
	recipientFinal // the last less it; 0 pending
	recipientFlags
	recipientSeries
	recipientCause
	recipientColumns
)

// The flags of a recipient, as its segment has them: its state first.
const (
	stateBits   = 7
	troubledBit = 8
)

// eachRecipients calls each with the recipients that live in a window, like
// eachAttempts.
func (t *tx) eachRecipients(w store.Window, wanted columns, each func(b *block) error) error {
	if err := t.need(fleet.Recipients, w); err != nil {
		return err
	}
	since, until := w.Micros()
	wanted |= 1<<recipientID | 1<<recipientFirst | 1<<recipientLast | 1<<recipientFlags
	return t.eachRow(recipients, w, wanted, func(b *block, skip []int64) error {
		if err := b.fill(recipientColumns, wanted); err != nil {
			return err
		}
		first, last, flags := b.cols[recipientFirst], b.cols[recipientLast], b.cols[recipientFlags]
		for i := range last {
			last[i] += first[i]
		}
		if final := b.cols[recipientFinal]; wanted>>recipientFinal&1 != 0 {
			for i := range final {
				if final[i] = last[i] - final[i]; registry.State(flags[i]&stateBits) == registry.StatePending {
					final[i] = 0
				}
			}
		}
		b.keep(skip, recipientID, t.only, func(i int) bool { return last[i] >= since && first[i] < until })
		return each(b)
	})
}

// eachRecipient calls each with the recipients that live in a window, in no order.
func (t *tx) eachRecipient(w store.Window, each func(r *livingRecipient) error) error {
	return t.eachRecipients(w, allColumns, func(b *block) error {
		var r livingRecipient // one after the other: each keeps none
		for i := range b.rows {
			b.recipient(i, &r)
			if err := each(&r); err != nil {
				return err
			}
		}
		return nil
	})
}

// recipient fills r with a row of recipients.
func (b *block) recipient(i int, r *livingRecipient) {
	flags := b.cols[recipientFlags][i]
	r.id, r.first, r.last, r.final = b.cols[recipientID][i], b.cols[recipientFirst][i], b.cols[recipientLast][i], b.cols[recipientFinal][i]
	r.state, r.troubled = registry.State(flags&stateBits), flags&troubledBit != 0
	r.series, r.cause = int32(b.cols[recipientSeries][i]), int32(b.cols[recipientCause][i])
}

// livingRecipients returns the recipients of the window, and of each whether it was
// deferred within it, and calls each with its failing attempts.
func (c *counter) livingRecipients(each func(a *failingAttempt, recipient int32, deferred bool)) (list recipientList, deferred []bool, err error) {
	_, until := c.window.Micros()
	err = c.eachRecipient(c.window, func(p *livingRecipient) error {
		list.add(p, until)
		return nil
	})
	if err != nil {
		return list, nil, err
	}
	list.index()
	deferred = make([]bool, len(list.rows))
	err = c.eachAttempt(c.window, func(a *failingAttempt) error {
		r := list.find(a.recipient)
		isDeferral := a.flags&outcomeBits == attemptDeferred
		if isDeferral && int(r) < len(deferred) {
			deferred[r] = true
		}
		each(a, r, isDeferral)
		return nil
	})
	return list, deferred, err
}

// recipients counts recipients together with their attempts.
func (c *counter) recipients() error {
	list, deferred, err := c.livingRecipients(c.attempt)
	if err != nil {
		return err
	}
	for i := range list.rows {
		c.recipient(&list.rows[i], deferred[i])
	}
	for _, g := range c.groupings {
		g.met.each(func(r, group int32, deferred bool) {
			if int(r) < len(list.rows) {
				g.at(group).AddRecipient(list.rows[r].state(), deferred)
			}
		})
		g.met = pairs{}
	}
	return nil
}

// recipientList holds the recipients of a window.
type recipientList struct {
	rows  []recipientRow
	first int64   // the smallest id
	dense []int32 // place in rows plus 1, by id less the smallest; nil: rows are sorted by id

	others map[int64]int32 // those of attempts that do not live in the window
}

// recipientRow is a recipient of a window: id, series, and cause and state.
type recipientRow struct {
	id     int64
	series int32
	bits   uint32 // 8 * cause of the last failing attempt + state at the window's end
}

func (r *recipientRow) state() registry.State { return registry.State(r.bits & 7) }
func (r *recipientRow) cause() int64          { return int64(r.bits / 8) }

func (l *recipientList) add(p *livingRecipient, until int64) {
	l.rows = append(l.rows, recipientRow{p.id, p.series, uint32(p.cause)*8 + uint32(p.at(until))})
}

// index prepares l to find recipients. Ids are given one after the other, so that
// those of a window lie close together.
func (l *recipientList) index() {
	if len(l.rows) == 0 {
		return
	}
	byID := func(a, b recipientRow) int { return cmp.Compare(a.id, b.id) }
	l.first = slices.MinFunc(l.rows, byID).id
	span := slices.MaxFunc(l.rows, byID).id - l.first + 1
	if span > 16*int64(len(l.rows))+1<<16 {
		slices.SortFunc(l.rows, byID)
		return
	}
	l.dense = make([]int32, span)
	for i := range l.rows {
		l.dense[l.rows[i].id-l.first] = int32(i) + 1
	}
}

// find returns the place of a recipient in rows; one that is not there gets a
// number behind them.
func (l *recipientList) find(id int64) int32 {
	if n := id - l.first; l.dense != nil && n >= 0 && n < int64(len(l.dense)) && l.dense[n] != 0 {
		return l.dense[n] - 1
	}
	if l.dense == nil {
		if i, ok := slices.BinarySearchFunc(l.rows, id, func(r recipientRow, id int64) int { return cmp.Compare(r.id, id) }); ok {
			return int32(i)
		}
	}
	i, ok := l.others[id]
	if !ok {
		if l.others == nil {
			l.others = map[int64]int32{}
		}
		i = int32(len(l.rows) + len(l.others))
		l.others[id] = i
	}
	return i
}

// attempt counts a failing attempt of a recipient.
func (c *counter) attempt(a *failingAttempt, recipient int32, deferred bool) {
	s, ok := c.place(int64(a.series))
	k := c.cause(int64(a.cause))
	if !ok || k == nil || a.cause == 0 {
		return
	}
	if a.flags&exactBit != 0 && c.numbers.SendLogsLeftOut {
		c.numbers.Exact++
	}
	c.places.used[s] = true
	t := c.failing.add(k, 1, a.time, a.id)
	if deferred {
		c.places.deferrals[s]++
		t.deferrals++
	} else {
		c.places.failures[s]++
	}
	c.failing.meet(k, recipient)
	c.labels = append(c.labels, placeLabel{int32(s), k.label})
	for _, g := range c.groupings {
		if g.ofCause {
			g.attempt(s, k.label, recipient, deferred)
		}
	}
}

// The values of attempts.outcome.
const (
	attemptDeferred = 2
	attemptFailed   = 3
)

// recipient counts a recipient once its attempts are counted.
func (c *counter) recipient(r *recipientRow, deferred bool) {
	state := r.state()
	s, ok := c.place(int64(r.series))
	if !ok {
		if i, known := c.cat.place(int64(r.series)); known && c.own[i] {
			c.numbers.OwnBounces.AddRecipient(state, deferred)
		}
		return
	}
	c.places.used[s] = true
	c.places.addRecipient(s, state, deferred)
	if k := c.cause(r.cause()); k.failed(state) {
		c.failed[k.id]++
		c.failedAt = append(c.failedAt, placeLabel{int32(s), k.label})
	}
}

// failed reports whether a recipient with a state counts as failed for k, its last
// failure; nil is none that is asked for.
func (k *cause) failed(state registry.State) bool {
	return k != nil && (state == registry.StateExpired || state == registry.StateBounced && k.id != 0)
}
