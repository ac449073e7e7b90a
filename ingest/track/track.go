// Package track follows messages through the queue: it combines the records of log lines
// into messages and recipients, finds the final state of each recipient, and writes the
// data that reports count to the store.
//
// Records carry a queue id; a message lives from the first line with its id to the line
// that ends it. The state of messages that have not ended is kept in memory and, with
// every commit, in the store, so that a log may be read in any number of pieces.
package track

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

const (
	// keepInMemory is how many messages that have not ended are kept in
	// memory, at about 1 KB each; others are read back when a line names them.
	keepInMemory = 15_000

	// maxDirty is how many messages may change in a batch.
	maxDirty = 20_000

	// maxFree is how many unused message structures are kept for reuse.
	maxFree = 4096

	// forgetAfter is how long after its last line, in the log's time, a message that
	// never ended is still expected to continue. Queues give up after days; a line of a
	// message can be lost.
	forgetAfter = 30 * 24 * time.Hour
)

// Tracker writes the messages, recipients and attempts in the records of logs to a store.
// Between two commits, its memory and the uncommitted batch of the store.Writer belong
// together: after a failed commit, call Reset.
type Tracker struct {
	// Observe, if not nil, is called for every attempt and rejection, before
	// they are committed.
	Observe func(*store.Event)

	// Warn, if not nil, receives errors about stored state that cannot be read.
	Warn func(error)

	// FailuresOnly makes Observe skip deliveries: they are most of the attempts, and an
	// event is costly.
	FailuresOnly bool

	w       store.Writer
	meaning *classifier

	operator func(relay []byte) string // meaning.provider, bound once
	open     map[uint64]*message       // by the hashes of their keys
	free     []*message
	ids      map[uint64]*message // open messages in memory by the hash of host and Message-ID

	seed   maphash.Seed
	stored map[uint64]struct{} // hashes of the keys of messages that are in the store
	listed map[int64]int       // how many of those have the Message-ID with a hash

	scratch  message
	probe    message // the message for which namesake is asked
	finished agenda  // messages that are in the store and finished

	twins   twins
	touched []*message // messages changed since the last commit
	dirty   int        // how many of touched have not ended
	ended   [][]byte   // keys to remove from the store
	batch   int
	newest  int64 // time of the newest record

	key, idkey, address, text []byte // scratch
	series                    store.SeriesKey
	row                       row
	domain, relay             []byte
	err                       error // first one since the last commit
}

// New returns a tracker that writes through w, with the causes that c classifies.
func New(w store.Writer, c store.Classifier) *Tracker {
	t := &Tracker{
		w:       w,
		meaning: newClassifier(c),
		open:    map[uint64]*message{},
		ids:     map[uint64]*message{},
		seed:    maphash.MakeSeed(),
		stored:  map[uint64]struct{}{},
		listed:  map[int64]int{},
	}
	t.operator = t.meaning.provider
	return t
}

// Reset forgets everything in memory. It is called at the beginning of a batch when
// another process has written to the store, and after a failed batch.
func (t *Tracker) Reset() error {
	clear(t.open)
	clear(t.ids)
	t.meaning.forget()
	t.touched, t.ended, t.dirty, t.err = t.touched[:0], t.ended[:0], 0, nil
	t.stored, t.listed = map[uint64]struct{}{}, map[int64]int{}
	t.finished = t.finished[:0]
	return t.w.OpenMessages(func(key []byte, messageID int64, state []byte) {
		t.stored[maphash.Bytes(t.seed, key)] = struct{}{}
		t.list(messageID, 1)
		if !isFinishedState(state) {
			return
		}
		if t.scratch.reset(key); t.scratch.restore(state) == nil {
			t.finished.push(bytes.Clone(key), t.scratch.due())
		}
	})
}

// list notes with n = 1 that a message with this Message-ID hash came into the store,
// with n = -1 that it left.
func (t *Tracker) list(messageID int64, n int) {
	if messageID == 0 {
		return
	}
	if t.listed[messageID] += n; t.listed[messageID] <= 0 {
		delete(t.listed, messageID)
	}
}

// Record takes in one record. It returns only errors of the store.
func (t *Tracker) Record(r *parsers.Record) error {
	if t.err == nil {
		t.err = t.record(r)
	}
	return t.err
}

func (t *Tracker) record(r *parsers.Record) error {
	now := r.Time.UnixMicro()
	t.newest = max(t.newest, now)
	switch r.Kind {
	case parsers.Rejection:
		return t.reject(r, now)
	case parsers.Connection:
		return t.connection(r, now)
	case parsers.Trouble:
		t.trouble(r, now)
		return nil
	case parsers.Noted:
		t.noted(r, now)
		return nil
	case parsers.Complaint:
		return t.complain(r, now)
	case parsers.Placed:
		return t.placed(r, now)
	}
	if len(r.ID) == 0 {
		return nil
	}
	if r.Kind == parsers.End {
		return t.end(r)
	}
	m, err := t.message(r)
	if err != nil {
		return err
	}
	t.touch(m)
	if m.first == 0 {
		m.first = now
	}
	if now < m.first { // a record of another log: the message begins on another server
		m.first, m.host, m.stale = now, append(m.host[:0], r.Host...), m.stale || m.row != 0
	}
	m.last = max(m.last, now)
	if r.Kind != parsers.Arrival && r.Kind != parsers.Expected {
		t.hear(m)
	}
	switch r.Kind {
	case parsers.Arrival:
		return t.arrive(m, r, now)
	case parsers.Expected:
		rcpt, _, err := t.recipient(m, r, now)
		if err == nil && r.Kept {
			rcpt.kept = true
		}
		return err
	case parsers.Attempt:
		if r.Format.IsRepeated(parsers.Attempt) {
			m.known(r)
		}
		return t.attempt(m, r, now)
	case parsers.Suspended:
		return t.suspend(m, r, now)
	case parsers.Settled:
		return t.settled(m, r, now)
	}
	return fmt.Errorf("record of unknown kind %d", r.Kind)
}

// settled takes in a final state that did not come from an attempt.
func (t *Tracker) settled(m *message, r *parsers.Record, now int64) error {
	switch r.Final {
	case registry.StateHandedOver:
		if m.isDropped(r) {
			return t.finish(m, r, registry.StateRemoved, now)
		}
		return t.handOver(m, r, now)
	case registry.StateReplaced:
		return t.replace(m, r, now)
	}
	return t.finish(m, r, r.Final, now)
}

// isReplacement reports whether r records that its recipient was replaced.
func isReplacement(r *parsers.Record) bool {
	return r.Kind == parsers.Settled && r.Final == registry.StateReplaced
}

// setKey sets t.key to the key of a record's message.
func (t *Tracker) setKey(r *parsers.Record) {
	k := t.key[:0]
	if r.Format.Scope != "" {
		k = append(append(k, 0), r.Format.Scope...)
	} else {
		k = append(k, r.Host...)
	}
	t.key = append(append(k, 0), r.ID...)
}

// lookup returns the open message with a key, or nil.
func (t *Tracker) lookup(key []byte) (*message, error) {
	m, err := t.find(key)
	if m != nil && m.over(t.newest) {
		return nil, t.drop(m)
	}
	return m, err
}

// find returns the message with a key from memory or from the store, or nil.
func (t *Tracker) find(key []byte) (*message, error) {
	hash := maphash.Bytes(t.seed, key)
	for m := t.open[hash]; m != nil; m = m.next {
		if bytes.Equal(m.key, key) {
			return m, nil
		}
	}
	if _, ok := t.stored[hash]; !ok {
		return nil, nil
	}
	state, err := t.w.OpenMessage(key)
	if err != nil || state == nil {
		return nil, err
	}
	m := t.add(key)
	if err := m.restore(state); err != nil {
		t.discard(m, err)
		return nil, nil
	}
	t.index(m)
	return m, nil
}

// discard removes a message whose stored state cannot be read: its former state is lost,
// and its further lines make a new message.
func (t *Tracker) discard(m *message, err error) {
	if t.Warn != nil {
		host, id, _ := bytes.Cut(m.key, []byte{0})
		t.Warn(fmt.Errorf("go on with message %q of host %q: %w: what was known of it is lost",
			store.Clean(string(id)), store.Clean(string(host)), err))
	}
	delete(t.stored, m.hash)
	t.w.DeleteOpenMessage(m.key)
	m.messageID = m.messageID[:0] // it is not indexed
	t.forget(m)
}

// message returns the open message of a record, and creates it if necessary.
func (t *Tracker) message(r *parsers.Record) (*message, error) {
	t.setKey(r)
	m, err := t.lookup(t.key)
	if err != nil {
		return nil, err
	}
	if m != nil && r.Kind == parsers.Arrival && !m.roaming && begins(m, r) {
		// The id is used again, and the log has no end of the former message.
		if err := t.drop(m); err != nil {
			return nil, err
		}
		m = nil
	}
	if m == nil {
		m = t.add(t.key)
		m.format = r.Format
		m.roaming = r.Format.Scope != ""
		m.host = append(m.host, r.Host...)
		m.id = append(m.id, r.ID...)
	}
	if len(m.instance) == 0 {
		m.instance = append(m.instance, r.Instance...)
	}
	return m, nil
}

func (t *Tracker) add(key []byte) *message {
	var m *message
	if n := len(t.free); n > 0 {
		m, t.free = t.free[n-1], t.free[:n-1]
	} else {
		m = new(message)
	}
	m.reset(key)
	m.hash = maphash.Bytes(t.seed, key)
	m.next = t.open[m.hash]
	t.open[m.hash] = m
	return m
}

// touch notes that m has changed.
func (t *Tracker) touch(m *message) {
	if !m.dirty {
		m.dirty, m.place = true, len(t.touched)
		t.dirty++
		t.touched = append(t.touched, m)
	}
	m.batch = t.batch
}

// recipient returns the recipient of a record and the series to count it in. With the
// first recipient it counts the message, unless that roams: see countRoaming.
func (t *Tracker) recipient(m *message, r *parsers.Record, now int64) (rcpt *recipient,
	series int64, err error) {
	t.address = appendAddress(t.address[:0], r.Address)
	rcpt = m.recipient(t.address, now)
	rcpt.dirty = true
	stands := rcpt.stands(m, r, now)
	if series = rcpt.series; stands || r.Kind == parsers.Attempt {
		if series, err = t.seriesOf(m, r); err != nil {
			return nil, 0, err
		}
	}
	if stands {
		rcpt.series, rcpt.seriesAt = series, now
		rcpt.tried, rcpt.blind = r.Kind == parsers.Attempt, !r.HasSender
	}
	if !m.roaming && !m.counted && !isReplacement(r) {
		m.counted, m.countedIn, m.countedAt = true, series, now
		t.w.Count(series, now, store.Counts{Messages: 1})
	}
	return rcpt, series, nil
}

// seriesOf returns the series of t.address, the host of r and, if r is an attempt, its
// relay.
func (t *Tracker) seriesOf(m *message, r *parsers.Record) (int64, error) {
	t.domain = appendDomain(t.domain[:0], t.address)
	t.relay = t.relay[:0]
	if r.Kind == parsers.Attempt || !m.roaming {
		t.relay = appendLower(t.relay, r.Relay)
	}
	t.series = store.SeriesKey{
		Format:    m.format.Name,
		Host:      r.Host,
		Instance:  m.instance,
		Sender:    m.senderDomain,
		Domain:    t.domain,
		Relay:     t.relay,
		Operator:  t.operator,
		Direction: r.Direction,
		Own:       m.own && !m.roaming || r.Own,
	}
	return t.w.Series(&t.series)
}

// end ends a message on its host: its id may be used again.
func (t *Tracker) end(r *parsers.Record) error {
	t.setKey(r)
	m, err := t.lookup(t.key)
	if err != nil || m == nil || m.roaming {
		return err
	}
	t.hear(m)
	return t.drop(m)
}

// drop writes the rows of m and forgets it.
func (t *Tracker) drop(m *message) error {
	if err := t.writeRows(m); err != nil {
		return err
	}
	if m.inStore {
		t.ended = append(t.ended, bytes.Clone(m.key))
		t.list(m.listed, -1)
	}
	t.forget(m)
	return nil
}

func (t *Tracker) forget(m *message) {
	if len(m.messageID) > 0 {
		if key := t.idKey(m); t.ids[key] == m {
			delete(t.ids, key)
		}
	}
	t.close(m)
	if m.dirty {
		t.touched[m.place] = nil
		t.dirty--
	}
	if len(t.free) < maxFree {
		t.free = append(t.free, m)
	}
}

// close removes m from the open messages.
func (t *Tracker) close(m *message) {
	first := t.open[m.hash]
	switch {
	case first != m: // another message has the same hash, which practically never happens
		for ; first.next != m; first = first.next {
		}
		first.next = m.next
	case m.next != nil:
		t.open[m.hash] = m.next
	default:
		delete(t.open, m.hash)
	}
	m.next = nil
}

// Flush writes the state of all changed messages to the store, before a commit.
func (t *Tracker) Flush() error {
	if t.err != nil {
		return t.err
	}
	if err := t.compact(); err != nil {
		return err
	}
	for _, m := range t.touched {
		if m != nil && (m.over(t.newest) || m.done()) {
			if err := t.drop(m); err != nil {
				return err
			}
		}
	}
	for _, key := range t.ended {
		t.w.DeleteOpenMessage(key)
		delete(t.stored, maphash.Bytes(t.seed, key))
	}
	t.ended = t.ended[:0]
	for _, m := range t.touched {
		if m == nil { // it has ended
			continue
		}
		m.dirty = false
		if err := t.writeRows(m); err != nil {
			return err
		}
		t.text = m.appendTo(t.text[:0])
		t.list(m.listed, -1)
		m.listed = hashID(m)
		t.list(m.listed, 1)
		t.w.PutOpenMessage(m.key, m.last, m.listed, t.text)
		if isFinishedState(t.text) {
			t.finished.push(bytes.Clone(m.key), m.due())
		}
		m.inStore = true
		t.stored[m.hash] = struct{}{}
	}
	t.touched, t.dirty = t.touched[:0], 0
	t.batch++
	t.trim()
	t.meaning.trim()
	return nil
}

// trim keeps the memory bounded: it drops the messages that were not touched for the
// longest time. They are in the store.
func (t *Tracker) trim() {
	for age := 64; len(t.open) > keepInMemory && age >= 0; age /= 2 {
		for _, m := range t.open {
			for m != nil {
				next := m.next
				if m.batch <= t.batch-1-age {
					t.forget(m)
				}
				m = next
			}
		}
		if age == 0 {
			break
		}
	}
}

// Newest returns the time of the newest record.
func (t *Tracker) Newest() time.Time { return time.UnixMicro(t.newest) }

// Sweep forgets messages whose end will never be seen. It is called at most once a day,
// after Flush, because it resets the tracker.
func (t *Tracker) Sweep() error {
	if t.newest == 0 {
		return nil
	}
	newest := min(t.newest, time.Now().UnixMicro()) // a wrong year must not end everything
	t.w.ForgetOpenMessages(newest - forgetAfter.Microseconds())
	return t.Reset()
}
