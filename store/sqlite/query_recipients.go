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

// The flags of an attempt in its segment: the two lowest bits are the outcome.
const (
	outcomeBits = 3
	firstBit    = 4
	exactBit    = 8
)

// eachAttempts calls each with the failing attempts of a window, some thousand at a time
// and in no order. All wanted columns of the block have as many rows as the block. each may
// change them.
func (t *tx) eachAttempts(w store.Window, wanted columns, each func(b *block) error) error {
	if err := t.need(w, fleet.Attempts); err != nil {
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
		b.keep(skip, attemptRecipient, t.only, func(i int) bool {
			return times[i] >= since && times[i] < until
		})
		return each(b)
	})
}

// eachAttempt calls each with the failing attempts of a window, in no order.
func (t *tx) eachAttempt(w store.Window, each func(a *failingAttempt) error) error {
	return t.eachAttempts(w, allColumns, func(b *block) error {
		var a failingAttempt // reused: each must not keep it
		for i := range b.rows {
			a.id, a.time, a.recipient = b.cols[attemptID][i], b.cols[attemptTime][i],
				b.cols[attemptRecipient][i]
			a.series, a.cause, a.flags = int32(b.cols[attemptSeries][i]), int32(b.cols[attemptCause][i]),
				int32(b.cols[attemptFlags][i])
			if err := each(&a); err != nil {
				return err
			}
		}
		return nil
	})
}

// fill adds the wanted columns that are 0 throughout, which blocks do not store. It returns
// an error if b has fewer than n columns and any rows.
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

// keep removes rows from b, and moves the others up. It keeps the rows whose ids are not in
// skip (sorted; these rows have changed since the segment was written), whose recipients
// are in only, unless it is nil, and for which right returns true.
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

// ofAccounts limits t to the recipients of messages that some accounts submitted, and hides
// all rejections. Without accounts it does nothing.
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

// The columns of a segment of recipients. Segments store recipientLast and recipientFinal
// as differences; eachRecipients turns them into times.
const (
	recipientID = iota
	recipientFirst
	recipientLast  // less recipientFirst
	recipientFinal // recipientLast less the final time; 0 if pending
	recipientFlags
	recipientSeries
	recipientCause
	recipientColumns
)

// The flags of a recipient in its segment: the three lowest bits are the state.
const (
	stateBits   = 7
	troubledBit = 8
)

// eachRecipients calls each with the recipients that live in a window, like
// eachAttempts.
func (t *tx) eachRecipients(w store.Window, wanted columns, each func(b *block) error) error {
	if err := t.need(w, fleet.Recipients); err != nil {
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
				if final[i] = last[i] - final[i]; registry.State(
					flags[i]&stateBits) == registry.StatePending {
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
		var r livingRecipient // reused: each must not keep it
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
	r.id, r.first, r.last, r.final = b.cols[recipientID][i], b.cols[recipientFirst][i],
		b.cols[recipientLast][i], b.cols[recipientFinal][i]
	r.state, r.troubled = registry.State(flags&stateBits), flags&troubledBit != 0
	r.series, r.cause = int32(b.cols[recipientSeries][i]), int32(b.cols[recipientCause][i])
}

// sharedRecipients returns the recipients of the window. A report asks for them twice, to
// count them and to name them: the first answer of a snapshot reads them, the second one
// takes them.
func (c *counter) sharedRecipients() ([]recipientRow, error) {
	if c.shared == nil || c.only != nil {
		return c.readRecipients()
	}
	s := c.shared
	s.Lock() // whoever comes second waits for the first
	defer s.Unlock()
	since, until := c.window.Micros()
	if rows := s.recipients; rows != nil && s.window == [2]int64{since, until} {
		s.recipients = nil
		return rows, nil
	}
	rows, err := c.readRecipients()
	s.window, s.recipients = [2]int64{since, until}, rows
	return rows, err
}

func (c *counter) readRecipients() (rows []recipientRow, err error) {
	n, err := c.most(recipients, c.window)
	if err != nil {
		return nil, err
	}
	_, until := c.window.Micros()
	rows = make([]recipientRow, 0, n)
	err = c.eachRecipients(c.window, allColumns, func(b *block) error {
		rows = appendRecipients(rows, b, until)
		return nil
	})
	return rows, err
}

// livingRecipients indexes the recipients of the window, and finds for each whether it was
// deferred within the window. It calls each with blocks of their failing attempts, and with
// the index in the list of the recipient of each attempt.
func (c *counter) livingRecipients(rows []recipientRow, each func(b *block, recipients []int32)) (
	list recipientList, deferred []bool, err error) {
	most, err := c.most(attempts, c.window)
	if err != nil {
		return list, nil, err
	}
	list.index(rows)
	c.reserve(len(rows), most)
	deferred = make([]bool, len(list.rows))
	var found []int32
	err = c.eachAttempts(c.window, allColumns, func(b *block) error {
		found = list.find(found[:0], b.cols[attemptRecipient])
		for i, r := range found {
			if b.cols[attemptFlags][i]&outcomeBits == attemptDeferred && int(r) < len(deferred) {
				deferred[r] = true
			}
		}
		each(b, found)
		return nil
	})
	return list, deferred, err
}

// placesOf returns the places of some series in the catalog, -1 for those that are not
// wanted. The result is valid until the next call. The loop does nothing else, so that the
// CPU need not wait for one lookup before it starts the next.
func (c *counter) placesOf(series []int64) []int32 {
	c.room = slices.Grow(c.room[:0], len(series))[:len(series)]
	places, wanted := c.room, c.wantedAt
	for i, id := range series {
		places[i] = -1
		if uint64(id) < uint64(len(wanted)) {
			places[i] = wanted[id] - 1
		}
	}
	return places
}

// recipients counts recipients together with their attempts.
func (c *counter) recipients() error {
	rows, err := c.sharedRecipients()
	if err != nil {
		return err
	}
	list, deferred, err := c.livingRecipients(rows, c.attempts)
	if err != nil {
		return err
	}
	series := make([]int64, 0, 4096)
	for from := 0; from < len(list.rows); from += cap(series) {
		rows := list.rows[from:min(from+cap(series), len(list.rows))]
		series = series[:0]
		for i := range rows {
			series = append(series, int64(rows[i].series))
		}
		for i, place := range c.placesOf(series) {
			c.recipient(&rows[i], place, deferred[from+i])
		}
	}
	if c.shared != nil && c.minutes != nil {
		c.shared.Lock()
		c.shared.minutes = c.minutes
		c.shared.Unlock()
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
	dense []denseIDs // by origin, see viewID; nil: rows are sorted by id

	others map[int64]int32 // indexes for recipients of attempts that are not in the window
}

// denseIDs finds rows by their ids.
type denseIDs struct {
	first, last int64
	at          []int32 // index in rows plus 1, by id less first
}

// recipientRow is a recipient of a window. end is the time of its state at the window's end
// or, if that is pending, its last time in the window.
type recipientRow struct {
	id, first, end int64
	series         int32
	// the state at the window's end, 8 when it was tried, 16 * the latest state, and 128 * the
	// cause of the last failure
	bits uint32
}

func (r *recipientRow) state() registry.State  { return registry.State(r.bits & stateBits) }
func (r *recipientRow) tried() bool            { return r.bits&troubledBit != 0 }
func (r *recipientRow) latest() registry.State { return registry.State(r.bits / 16 & stateBits) }
func (r *recipientRow) cause() int64           { return int64(r.bits / 128) }

// appendRecipients adds the recipients of a block, with their states at a time.
func appendRecipients(rows []recipientRow, b *block, until int64) []recipientRow {
	rows = grown(rows, b.rows)
	ids, first, last := b.cols[recipientID], b.cols[recipientFirst], b.cols[recipientLast]
	final, flags := b.cols[recipientFinal], b.cols[recipientFlags]
	series, causes := b.cols[recipientSeries], b.cols[recipientCause]
	for i, id := range ids {
		state, end := registry.StatePending, min(last[i], until)
		if final[i] != 0 && final[i] < until {
			state, end = registry.State(flags[i]&stateBits), final[i]
		}
		f := uint32(flags[i])
		bits := uint32(state) | f&troubledBit | f&stateBits*16 | uint32(causes[i])*128
		if causes[i] != 0 {
			bits |= troubledBit
		}
		rows = append(rows, recipientRow{id, first[i], end, int32(series[i]), bits})
	}
	return rows
}

// grown returns a list with room for n more elements. It grows by at least half: a list may
// have a million elements, which must not be copied often.
func grown[T any](list []T, n int) []T {
	if cap(list)-len(list) < n {
		list = slices.Grow(list, max(n, len(list)/2))
	}
	return list
}

// index prepares l to find recipients. Ids are assigned in sequence, so that the recipients
// of a window lie close together.
func (l *recipientList) index(rows []recipientRow) {
	l.rows = rows
	var dense []denseIDs
	for i := range rows {
		id := rows[i].id
		d := at(&dense, id>>originBits)
		if d.last == 0 {
			d.first = id
		}
		d.first, d.last = min(d.first, id), max(d.last, id)
	}
	span := int64(0)
	for _, d := range dense {
		span += d.last - d.first + 1
	}
	if span > 16*int64(len(rows))+1<<16 {
		l.rows = slices.Clone(rows) // another answer may use them too
		slices.SortFunc(l.rows, func(a, b recipientRow) int { return cmp.Compare(a.id, b.id) })
		return
	}
	for i := range dense {
		dense[i].at = make([]int32, dense[i].last-dense[i].first+1)
	}
	for i := range rows {
		id := rows[i].id
		d := &dense[id>>originBits]
		d.at[id-d.first] = int32(i) + 1
	}
	l.dense = dense
}

// find appends the indexes of recipients in rows. A recipient that is not in rows gets a
// number after them.
func (l *recipientList) find(found []int32, ids []int64) []int32 {
	found = slices.Grow(found, len(ids))
	for _, id := range ids {
		i := int32(0)
		if o := id >> originBits; uint64(o) < uint64(len(l.dense)) {
			if d := &l.dense[o]; uint64(id-d.first) < uint64(len(d.at)) {
				i = d.at[id-d.first]
			}
		}
		if i--; i < 0 {
			i = l.findOther(id)
		}
		found = append(found, i)
	}
	return found
}

func (l *recipientList) findOther(id int64) int32 {
	if l.dense == nil {
		if i, ok := slices.BinarySearchFunc(l.rows, id, func(r recipientRow, id int64) int {
			return cmp.Compare(r.id, id)
		}); ok {
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

// reserve allocates what attempts fills, for a number of recipients and attempts.
func (c *counter) reserve(recipients, attempts int) {
	if c.failing != nil {
		c.failing.met.only = make([]pair, recipients)
		c.labels = make(labelled, 0, attempts)
	}
}

// attempts counts failing attempts of recipients.
func (c *counter) attempts(b *block, recipients []int32) {
	c.labels = grown(c.labels, b.rows)
	for i, place := range c.placesOf(b.cols[attemptSeries]) {
		id, flags := b.cols[attemptCause][i], b.cols[attemptFlags][i]
		k := c.cause(id)
		if place < 0 || k == nil || id == 0 {
			continue
		}
		if flags&exactBit != 0 && c.numbers.SendLogsLeftOut {
			c.numbers.Exact++
		}
		deferred := flags&outcomeBits == attemptDeferred
		t := c.failing.add(k, 1, b.cols[attemptTime][i], b.cols[attemptID][i])
		if deferred {
			c.places.deferrals[place]++
			t.deferrals++
		} else {
			c.places.failures[place]++
		}
		c.minutes.attempt(b.cols[attemptTime][i], flags)
		c.failing.meet(k, recipients[i])
		c.labels = append(c.labels, placeLabel{place, k.label})
		for _, g := range c.groupings {
			if g.ofCause {
				g.attempt(int(place), k.label, recipients[i], deferred)
			}
		}
	}
}

// The values of attempts.outcome.
const (
	attemptDeferred = 2
	attemptFailed   = 3
)

// recipient counts a recipient once its attempts are counted.
func (c *counter) recipient(r *recipientRow, place int32, deferred bool) {
	state := r.state()
	if place < 0 {
		if i, known := c.cat.place(int64(r.series)); known && c.own[i] {
			c.numbers.OwnBounces.AddRecipient(state, deferred)
		}
		return
	}
	c.places.addRecipient(int(place), state, deferred)
	c.minutes.recipient(r.first, r.latest())
	if k := c.cause(r.cause()); k.failed(state) {
		c.failed[k.id]++
		c.failedAt = append(grown(c.failedAt, 1), placeLabel{place, k.label})
	}
}

// failed reports whether a recipient with a state counts as failed for k, its last failure;
// k is nil if the filter excludes it.
func (k *cause) failed(state registry.State) bool {
	return k != nil && (state == registry.StateExpired || state == registry.StateBounced && k.id != 0)
}
