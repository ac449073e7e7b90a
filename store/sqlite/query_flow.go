package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"math/bits"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// Flow passes the counts and failures of some windows to a sink.
func (q *reader) Flow(ctx context.Context, windows []store.Window, f store.Filter, to store.FlowSink) error {
	if len(windows) == 0 {
		return nil
	}
	fl := &flow{to: to}
	for _, w := range windows {
		w = w.Minutes()
		fl.windows = append(fl.windows, w)
		since, until := w.Micros()
		fl.spans = append(fl.spans, [2]int64{since, until})
	}
	fl.all = store.Window{Since: fl.windows[0].Since, Until: fl.windows[len(windows)-1].Until}
	fl.read = func(do func() error) error {
		return q.read(ctx, func(t *tx) error {
			fl.tx = t
			return do()
		})
	}
	return q.read(ctx, func(t *tx) (err error) {
		fl.tx = t
		if err := fl.needAll(); err != nil {
			return err
		}
		if fl.cat, err = t.catalog(); err != nil {
			return err
		}
		if fl.filter, err = t.leaveOut(fl.all, f); err != nil {
			return err
		}
		fl.wanted = fl.filter.wanted(fl.cat)
		for i := range fl.wanted {
			fl.wanted[i] = fl.wanted[i] && (!fl.cat.series[i].own || len(f.Directions) > 0)
		}
		fl.numbers, fl.places = make([]int32, len(fl.cat.places)), newFlowKeys(len(fl.cat.series))
		if err := t.ofAccounts(f.Accounts); err != nil { // counts are not by account
			return err
		}
		if err := t.settled(); err != nil {
			return err
		}
		for _, report := range []func() error{fl.readCauses, fl.counts, fl.recipients} {
			if err := report(); err != nil {
				return err
			}
		}
		return nil
	})
}

// needAll loads the failures and recipients, and the series of all places: the catalog must
// have those of the minutes that pass to the sink as they arrive.
func (f *flow) needAll() error {
	if f.view != nil {
		if err := f.view.readAll(f.ctx); err != nil {
			return err
		}
	}
	return f.need(f.all, fleet.Attempts, fleet.Recipients)
}

// flow passes rows to a sink as they are read.
type flow struct {
	*tx
	cat     *catalog
	windows []store.Window
	spans   [][2]int64   // the same in microseconds
	all     store.Window // from the first to the last
	filter  filter
	to      store.FlowSink
	wanted  []bool
	numbers []int32 // of places by series, plus 1; 0 unknown
	places  *flowKeys
	causes  []int32         // number by id, plus 1; 0 none
	span    int             // index of the span of the last time
	told    store.FlowPlace // passed to the sink, reused
	failed  store.FlowFailure
	rows    store.FlowRows
	series  []int64                  // buffer for the series of some rows
	room    []int32                  // buffer for their places
	ones    []int64                  // all elements are 1
	read    func(func() error) error // runs a function in a transaction of its own
}

// notWanted marks a series that the filter excludes.
const notWanted = -1

// within reports whether a time lies in one of the windows.
func (f *flow) within(time int64) bool {
	if s := f.spans[f.span]; s[0] <= time && time < s[1] { // most lie in the last one's window
		return true
	}
	i := spanOf(f.spans, time)
	if i < 0 {
		return false
	}
	f.span = i
	return true
}

// spanOf returns the index of the span in which a time lies, -1 if there is none. The spans
// are sorted.
func spanOf(spans [][2]int64, time int64) int {
	i, _ := slices.BinarySearchFunc(spans, time, func(s [2]int64, t int64) int {
		if s[1] <= t {
			return -1
		}
		return 1
	})
	if i == len(spans) || spans[i][0] > time {
		return -1
	}
	return i
}

// place returns the number of the place of a series, and whether the filter selects it.
func (f *flow) place(series int64) (int32, bool) {
	if uint64(series) >= uint64(len(f.numbers)) {
		return 0, false
	}
	n := f.numbers[series]
	if n == 0 {
		n = f.find(series)
	}
	return n - 1, n != notWanted
}

// find sets and returns the number of a series, plus 1.
func (f *flow) find(series int64) int32 {
	n := int32(notWanted)
	if i, ok := f.cat.place(series); ok && f.wanted[i] {
		n = f.number(&f.cat.series[i]) + 1
	}
	f.numbers[series] = n
	return n
}

// flowKey is a place by the ids of its names.
type flowKey struct{ host, instance, sender, domain, relay int32 }

// flowKeys numbers keys. There are hundreds of thousands, each looked up once or twice.
type flowKeys struct {
	keys  []flowKey
	slots []int32 // number plus 1; 0: free
}

// newFlowKeys returns a table for n keys.
func newFlowKeys(n int) *flowKeys {
	return &flowKeys{keys: make([]flowKey, 0, n), slots: make([]int32, 1<<bits.Len(uint(2*n+1)))}
}

// number returns the number of a key, and whether the key was known.
func (t *flowKeys) number(k flowKey) (n int32, known bool) {
	slot := t.slot(k)
	if n := t.slots[slot]; n > 0 {
		return n - 1, true
	}
	t.keys = append(t.keys, k)
	t.slots[slot] = int32(len(t.keys))
	return int32(len(t.keys)) - 1, false
}

// slot returns the slot of a key, or the free slot for it.
func (t *flowKeys) slot(k flowKey) uint64 {
	h := uint64(k.domain)
	for _, v := range [...]int32{k.sender, k.relay, k.host, k.instance} {
		h = h*mixer + uint64(v)
	}
	mask := uint64(len(t.slots) - 1)
	for i := (h * mixer) >> 32 & mask; ; i = (i + 1) & mask {
		if n := t.slots[i]; n == 0 || t.keys[n-1] == k {
			return i
		}
	}
}

func (s *series) flowKey() flowKey { return flowKey{s.host, s.instance, s.sender, s.domain, s.relay} }

func (f *flow) number(s *series) int32 {
	n, known := f.places.number(s.flowKey())
	if !known {
		name := func(id int32) registry.Foreign { return registry.Foreign(f.cat.names[id]) }
		provider := f.cat.provider(s)
		f.told = store.FlowPlace{
			Host:     name(s.host),
			Instance: name(s.instance),
			Sender:   name(s.sender),
			Domain:   name(s.domain),
			Relay:    name(s.relay),
			Provider: name(provider),
			Names:    [...]int32{s.host, s.instance, s.sender, s.domain, s.relay, provider},
		}
		f.to.AddPlace(&f.told)
	}
	return n
}

// readCauses passes the wanted causes to the sink. Their order depends only on their
// content. Merged databases have the same cause several times.
func (f *flow) readCauses() error {
	wanted := f.filter.wantedCauses(f.cat)
	var ids []int32
	causes := map[int32]store.FlowCause{}
	err := f.each("SELECT id, stage, source, signature FROM causes", nil, func(r *sql.Rows) error {
		var id int64
		var c store.FlowCause
		if err := r.Scan(&id, &c.Stage, &c.Source, &c.Signature); err != nil {
			return err
		}
		if id < int64(len(wanted)) && wanted[id] != nil {
			c.Reason, c.Code = wanted[id].reason, wanted[id].code
			ids, causes[int32(id)] = append(ids, int32(id)), c
		}
		return nil
	})
	slices.SortFunc(ids, func(a, b int32) int { return compareCauses(causes[a], causes[b]) })
	n := int32(-1)
	for i, id := range ids {
		c := causes[id]
		if i == 0 || c != causes[ids[i-1]] {
			n++
			f.to.AddCause(&c)
		}
		*at(&f.causes, int64(id)) = n + 1
	}
	return err
}

func compareCauses(a, b store.FlowCause) int {
	return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Source, b.Source),
		cmp.Compare(a.Signature, b.Signature))
}

// counts passes counts to the sink, at most a day at a time: all blocks of a query are in
// memory before the first is decompressed.
func (f *flow) counts() (err error) {
	if f.view != nil {
		return f.viewedMinutes()
	}
	windows := f.windows
	if to, ok := f.to.(store.FlowSummer); ok {
		if windows, err = f.summarize(to); err != nil {
			return err
		}
	}
	for _, w := range windows {
		since, until, err := f.minutes(w)
		for ; since < until && err == nil; since += minutesPerDay {
			day := store.Window{
				Since: time.UnixMicro(since * store.MinuteMicros),
				Until: time.UnixMicro(min(until, since+minutesPerDay) * store.MinuteMicros),
			}
			err = f.eachMinute([]store.Window{day}, f.numbers, f.to.AddCounts)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// block passes the wanted rows of a block to report. It moves them to the front of the
// columns. numbers holds the places by series, plus 1.
func (f *flow) block(b *block, first, since, until int64, numbers []int32, report func(*store.FlowRows)) {
	series, minutes := b.cols[countSeries], b.cols[countMinute]
	if minutes == nil {
		minutes = make([]int64, len(series))
	}
	columns := [...][]int64{b.cols[countFields+fieldAccepted], b.cols[countFields+fieldRecipients],
		b.cols[countFields+fieldDelivered], b.cols[countFields+fieldSuspended]}
	filled := make([][]int64, 0, len(columns))
	for _, c := range columns {
		if c != nil {
			filled = append(filled, c)
		}
	}
	places, n := slices.Grow(f.rows.Place[:0], len(series))[:len(series)], 0
	for i, id := range series {
		m := first + minutes[i]
		if m < since || m >= until || uint64(id) >= uint64(len(numbers)) {
			continue
		}
		place := numbers[id]
		if place == 0 && anyOf(filled, i) {
			place = f.find(id)
		}
		if place <= 0 {
			continue
		}
		places[n], minutes[n] = place-1, m
		for _, c := range filled {
			c[n] = c[i]
		}
		n++
	}
	for i, c := range columns {
		if c != nil {
			columns[i] = c[:n]
		}
	}
	f.rows = store.FlowRows{
		Place:      places[:n],
		Minute:     minutes[:n],
		Accepted:   columns[0],
		Recipients: columns[1],
		Delivered:  columns[2],
		Suspended:  columns[3],
	}
	if n > 0 {
		report(&f.rows)
	}
}

// anyOf reports whether a row is not 0 in any of some columns.
func anyOf(columns [][]int64, row int) bool {
	for _, c := range columns {
		if c[row] != 0 {
			return true
		}
	}
	return false
}

// recipients passes to the sink the recipients that are stored one by one, and their first
// failures.
func (f *flow) recipients() error {
	list, err := f.firsts()
	if err != nil {
		return err
	}
	_, until := f.all.Micros()
	starts := startsOf(list)
	err = f.eachRecipients(f.all, allColumns, func(b *block) error {
		if len(list) > 0 {
			f.failuresOf(b, list, starts, until)
		}
		f.arrivals(b)
		return nil
	})
	for i := range list { // those whose recipient is not in the window
		if a := &list[i]; a.cause != 0 {
			f.failure(a, a.time, registry.StatePending)
		}
	}
	return err
}

// failuresOf passes the failures in list of the recipients of a block to the sink.
func (f *flow) failuresOf(b *block, list []failingAttempt, starts *starts, until int64) {
	var r livingRecipient
	for row, id := range b.cols[recipientID] {
		i := starts.first(id)
		if i == len(list) || list[i].recipient != id {
			continue
		}
		b.recipient(row, &r)
		for ; i < len(list) && list[i].recipient == id; i++ {
			f.failure(&list[i], r.first, r.at(until))
			list[i].cause = 0
		}
	}
}

// arrivals passes the recipients of a block whose first record lies in a window to the
// sink.
func (f *flow) arrivals(b *block) {
	rows := &f.rows
	rows.Accepted, rows.Delivered, rows.Suspended, rows.Minute = nil, nil, nil, rows.Minute[:0]
	rows.Failed, rows.Waiting, rows.Untried = rows.Failed[:0], rows.Waiting[:0], rows.Untried[:0]
	series, until := f.series[:0], f.spans[len(f.spans)-1][1]
	for i, first := range b.cols[recipientFirst] {
		state := registry.State(b.cols[recipientFlags][i] & stateBits)
		if state == registry.StateReplaced || state == registry.StateHandedOver || !f.within(first) {
			continue
		}
		series, rows.Minute = append(series, b.cols[recipientSeries][i]),
			append(rows.Minute, store.Minute(first))
		final := b.cols[recipientFinal][i]
		over := final != 0 && final < until
		troubled := b.cols[recipientFlags][i]&troubledBit != 0
		rows.Failed = append(rows.Failed,
			isTrue(over && (state == registry.StateBounced || state == registry.StateExpired)))
		rows.Waiting = append(rows.Waiting, isTrue(!over || state == registry.StatePending))
		rows.Untried = append(rows.Untried, isTrue((!over || state == registry.StatePending) && !troubled))
	}
	f.series = series
	places, n := f.placesOf(series), 0
	for i, place := range places {
		if place >= 0 {
			places[n], rows.Minute[n] = place, rows.Minute[i]
			rows.Failed[n], rows.Waiting[n], rows.Untried[n] = rows.Failed[i], rows.Waiting[i],
				rows.Untried[i]
			n++
		}
	}
	for len(f.ones) < n {
		f.ones = append(f.ones, 1)
	}
	rows.Failed, rows.Waiting, rows.Untried = rows.Failed[:n], rows.Waiting[:n], rows.Untried[:n]
	if rows.Place, rows.Minute, rows.Recipients = places[:n], rows.Minute[:n], f.ones[:n]; n > 0 {
		f.to.AddCounts(rows)
	}
	rows.Failed, rows.Waiting, rows.Untried = rows.Failed[:0], rows.Waiting[:0], rows.Untried[:0]
}

func isTrue(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// placesOf returns the numbers of the places of some series, less than 0 for those that are
// not wanted. The result is valid until the next call. The loop does nothing else, so that
// the CPU need not wait for one lookup before it starts the next.
func (f *flow) placesOf(series []int64) []int32 {
	f.room = slices.Grow(f.room[:0], len(series))[:len(series)]
	places := f.room
	for i, id := range series {
		n := int32(notWanted)
		if uint64(id) < uint64(len(f.numbers)) {
			if n = f.numbers[id]; n == 0 {
				n = f.find(id)
			}
		}
		if places[i] = n - 1; n == notWanted {
			places[i] = notWanted
		}
	}
	return places
}

// starts finds the first attempt of a recipient in a sorted list.
type starts struct {
	list  []failingAttempt
	dense []int32 // by recipient less that of the first attempt
}

// startsOf indexes a list that is sorted by recipient. Ids are assigned in sequence, so
// that the recipients of a window lie close together.
func startsOf(list []failingAttempt) *starts {
	s := &starts{list: list}
	if len(list) == 0 {
		return s
	}
	span := list[len(list)-1].recipient - list[0].recipient + 1
	if span > 16*int64(len(list))+1<<16 {
		return s
	}
	s.dense = make([]int32, span)
	for i := len(list) - 1; i >= 0; i-- {
		s.dense[list[i].recipient-list[0].recipient] = int32(i) + 1
	}
	return s
}

func (s *starts) first(recipient int64) int {
	if s.dense != nil {
		n := recipient - s.list[0].recipient
		if n < 0 || n >= int64(len(s.dense)) || s.dense[n] == 0 {
			return len(s.list)
		}
		return int(s.dense[n]) - 1
	}
	i, _ := slices.BinarySearchFunc(s.list, recipient, func(a failingAttempt, id int64) int {
		return cmp.Compare(a.recipient, id)
	})
	return i
}

// firsts returns the first failures by recipient. It passes those to the sink directly for
// which the sink needs only place and time.
func (f *flow) firsts() (list []failingAttempt, err error) {
	_, sums := f.to.(store.FlowSummer)
	err = f.eachAttempts(f.all, allColumns, func(b *block) error {
		n := 0
		for i, flags := range b.cols[attemptFlags] {
			cause := b.cols[attemptCause][i]
			if flags&firstBit == 0 || uint64(cause) >= uint64(len(f.causes)) || f.causes[cause] == 0 ||
				!f.within(b.cols[attemptTime][i]) {
				continue
			}
			if sums && f.span < len(f.spans)-1 {
				b.cols[attemptID][n], b.cols[attemptTime][n], b.cols[attemptRecipient][n] =
					b.cols[attemptID][i], b.cols[attemptTime][i], b.cols[attemptRecipient][i]
				b.cols[attemptSeries][n], b.cols[attemptCause][n] = b.cols[attemptSeries][i], cause
				n++
				continue
			}
			if len(list) == cap(list) {
				list = slices.Grow(list, len(list)+1) // twice as much: there are many
			}
			list = append(list, failingAttempt{b.cols[attemptTime][i], b.cols[attemptID][i],
				b.cols[attemptRecipient][i], int32(b.cols[attemptSeries][i]), int32(cause), int32(flags)})
		}
		for i, place := range f.placesOf(b.cols[attemptSeries][:n]) {
			if place >= 0 {
				at := time.UnixMicro(b.cols[attemptTime][i])
				f.failed = store.FlowFailure{
					ID:        b.cols[attemptID][i],
					Recipient: b.cols[attemptRecipient][i],
					Place:     place,
					Cause:     f.causes[b.cols[attemptCause][i]] - 1,
					Time:      at,
					Arrived:   at,
				}
				f.to.AddFailure(&f.failed)
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b failingAttempt) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.time, b.time),
			cmp.Compare(a.id, b.id))
	})
	return list, err
}

func (f *flow) failure(a *failingAttempt, arrived int64, state registry.State) {
	if place, ok := f.place(int64(a.series)); ok {
		f.failed = store.FlowFailure{
			ID:        a.id,
			Recipient: a.recipient,
			Place:     place,
			Cause:     f.causes[a.cause] - 1,
			Time:      time.UnixMicro(a.time),
			Arrived:   time.UnixMicro(arrived),
			State:     state,
		}
		f.to.AddFailure(&f.failed)
	}
}

// Replies returns the replies, addresses and clients of failing attempts.
func (q *reader) Replies(ctx context.Context, ids []int64) (replies []store.Reply, err error) {
	err = q.read(ctx, func(t *tx) error {
		r := &eventReader{tx: t}
		if r.cat, err = t.catalog(); err != nil {
			return err
		}
		replies = nil
		for batch := range slices.Chunk(ids, batchSize) {
			events := map[int64]*store.Event{}
			for _, id := range batch {
				events[id] = &store.Event{}
			}
			if err := r.readAttempts(events); err != nil {
				return err
			}
			for id, e := range events {
				if e.Times > 0 {
					replies = append(replies, store.Reply{
						ID:        id,
						Text:      e.Text,
						IP:        e.IP,
						Sender:    e.Sender,
						Recipient: e.Recipient,
						Account:   e.Account,
						Client:    e.Client,
					})
				}
			}
		}
		return nil
	})
	return replies, err
}
