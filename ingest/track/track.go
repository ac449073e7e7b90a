// Package track follows messages through the queue: it puts the records of the
// log lines together to messages and recipients, finds the final state of each
// recipient, and writes what reports count to the store.
//
// Records carry a queue id; a message lives from the first line with its id to
// the line that ends it. What is known of messages that have not ended is kept
// in memory and, with every commit, in the store, so that a log may be read in
// any number of pieces.
package track

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

const (
	// keepInMemory is how many messages that have not ended are kept in
	// memory; others are read back when a line names them.
	keepInMemory = 100_000

	// forgetAfter is how long, in the log's time, after its last line a
	// message that never ended is still expected to go on. Queues give up
	// after days; a line of a message can be lost.
	forgetAfter = 30 * 24 * time.Hour
)

// Tracker writes what the records of logs mean to a store. Between two commits
// its memory and the uncommitted batch of the store.Writer go together: after
// a failed commit, Reset.
type Tracker struct {
	// Observe, if not nil, is called for every attempt and rejection, before
	// they are committed.
	Observe func(*Event)

	// FailuresOnly leaves deliveries out of what is observed: most of the
	// attempts, and costly to tell.
	FailuresOnly bool

	w    *store.Writer
	open map[string]*message
	free []*message
	ids  map[string]*message // open messages in memory by host and Message-ID

	seed   maphash.Seed
	stored map[uint64]struct{} // hashes of the keys of messages that are in the store

	twins   twins
	touched []*message // since the last commit
	ended   [][]byte   // keys to remove from the store
	batch   int
	newest  int64 // time of the newest record

	key, idkey, address, text []byte // scratch
	series                    store.SeriesKey
	domain, relay             []byte
	err                       error // first one since the last commit
}

// New returns a tracker that writes through w.
func New(w *store.Writer) *Tracker {
	return &Tracker{w: w, open: map[string]*message{}, ids: map[string]*message{}, seed: maphash.MakeSeed()}
}

// Reset forgets everything in memory. It is called at the beginning of a batch
// when the store was written to by somebody else, and after a failed one.
func (t *Tracker) Reset() error {
	clear(t.open)
	clear(t.ids)
	t.touched, t.ended, t.err = t.touched[:0], t.ended[:0], nil
	t.stored = map[uint64]struct{}{}
	return t.w.OpenMessages(func(key []byte) { t.stored[maphash.Bytes(t.seed, key)] = struct{}{} })
}

// Record takes in one record. Errors are those of the store.
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
	}
	if len(r.Message) == 0 {
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
	if now < m.first { // of another log: it begins on another server
		m.first, m.host, m.stale = now, append(m.host[:0], r.Host...), m.stale || m.row != 0
	}
	m.last = max(m.last, now)
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
		return t.attempt(m, r, now)
	case parsers.Suspended:
		return t.suspend(m, r, now)
	case parsers.HandedOver:
		return t.handOver(m, r, now)
	case parsers.Discarded:
		return t.finish(m, r, store.Removed, now)
	case parsers.Expired:
		return t.finish(m, r, store.Expired, now)
	case parsers.Replaced:
		return t.replace(m, r, now)
	}
	return fmt.Errorf("record of unknown kind %d", r.Kind)
}

// setKey sets t.key to the key of a record's message.
func (t *Tracker) setKey(r *parsers.Record) {
	k := t.key[:0]
	if r.Roaming {
		name := r.Format.Messages
		if name == "" {
			name = r.Format.Name
		}
		k = append(append(k, 0), name...)
	} else {
		k = append(k, r.Host...)
	}
	t.key = append(append(k, 0), r.Message...)
}

// lookup returns the open message with a key, nil when there is none.
func (t *Tracker) lookup(key []byte) (*message, error) {
	if m := t.open[string(key)]; m != nil {
		return m, nil
	}
	if _, ok := t.stored[maphash.Bytes(t.seed, key)]; !ok {
		return nil, nil
	}
	state, err := t.w.OpenMessage(key)
	if err != nil || state == nil {
		return nil, err
	}
	m := t.add(key)
	if err := m.restore(state); err != nil {
		return nil, fmt.Errorf("message %q: %w", m.id, err)
	}
	t.index(m)
	return m, nil
}

// message returns the open message of a record, which is new if need be.
func (t *Tracker) message(r *parsers.Record) (*message, error) {
	t.setKey(r)
	m, err := t.lookup(t.key)
	if err != nil {
		return nil, err
	}
	if m != nil && r.Kind == parsers.Arrival && !m.roaming && begins(m, r) {
		// The id is used again, and the end of its former user was not seen.
		if err := t.drop(m); err != nil {
			return nil, err
		}
		m = nil
	}
	if m == nil {
		m = t.add(t.key)
		m.format = r.Format
		m.roaming = r.Roaming
		m.host = append(m.host, r.Host...)
		m.id = append(m.id, r.Message...)
	}
	if len(m.instance) == 0 {
		m.instance = append(m.instance, r.Instance...)
	}
	return m, nil
}

// begins reports whether an Arrival is the first line of another message than
// m: a client brings a message in once, before anything is tried.
func begins(m *message, r *parsers.Record) bool {
	return len(m.recipients) > 0 && (len(r.Client) > 0 || len(r.ClientIP) > 0 || r.Reinjected)
}

func (t *Tracker) add(key []byte) *message {
	var m *message
	if n := len(t.free); n > 0 {
		m, t.free = t.free[n-1], t.free[:n-1]
	} else {
		m = new(message)
	}
	m.reset(key)
	t.open[string(key)] = m
	return m
}

// touch notes that m has changed.
func (t *Tracker) touch(m *message) {
	if !m.dirty {
		m.dirty, m.place = true, len(t.touched)
		t.touched = append(t.touched, m)
	}
	m.batch = t.batch
}

// idKey returns the key of t.ids for m's Message-ID; valid until the next call.
func (t *Tracker) idKey(m *message) []byte {
	t.idkey = append(append(append(t.idkey[:0], m.host...), 0), m.messageID...)
	return t.idkey
}

func (t *Tracker) index(m *message) {
	if len(m.messageID) > 0 && !m.roaming {
		t.ids[string(t.idKey(m))] = m
	}
}

func (t *Tracker) arrive(m *message, r *parsers.Record, now int64) error {
	changed := false
	set := func(dst *[]byte, src []byte) {
		if len(src) > 0 && string(*dst) != string(src) {
			*dst, changed = append((*dst)[:0], src...), true
		}
	}
	if r.HasSender && (!m.hasSender || string(m.sender) != string(r.Sender)) {
		m.hasSender, changed = true, true
		m.sender = append(m.sender[:0], r.Sender...)
		m.setSenderDomain()
	}
	switch brings := len(r.Client) > 0 || len(r.ClientIP) > 0 || r.Size != 0; {
	case !m.roaming:
		set(&m.client, r.Client)
		set(&m.clientIP, r.ClientIP)
		if r.Size != 0 && m.size != r.Size {
			m.size, changed = r.Size, true
		}
	case brings && (m.broughtAt == 0 || now < m.broughtAt): // on each server it is told again
		m.client, m.clientIP = append(m.client[:0], r.Client...), append(m.clientIP[:0], r.ClientIP...)
		m.size, m.broughtAt, changed = r.Size, now, true
	}
	m.reinjected = m.reinjected || r.Reinjected
	if len(r.MessageID) > 0 && string(m.messageID) != string(r.MessageID) {
		set(&m.messageID, r.MessageID)
		if err := t.link(m); err != nil {
			return err
		}
	}
	m.stale = m.stale || changed && m.row != 0
	return nil
}

// link looks, when m came from this host itself, for the message with the same
// Message-ID that a content filter made it from.
func (t *Tracker) link(m *message) error {
	if m.roaming {
		return nil
	}
	if !m.reinjected {
		t.index(m)
		return nil
	}
	before := t.ids[string(t.idKey(m))]
	if before == nil && len(t.stored) > 0 {
		keys, err := t.w.OpenMessagesWith(hashID(m))
		if err != nil {
			return err
		}
		for _, k := range keys {
			other, err := t.lookup(k)
			if err != nil {
				return err
			}
			if other != nil && other != m && string(other.messageID) == string(m.messageID) && string(other.host) == string(m.host) {
				before = other
			}
		}
	}
	if before != nil && before != m {
		before.filtered = true
		t.touch(before)
	}
	t.index(m)
	return nil
}

// hashID returns what the store finds a message by its Message-ID with (FNV-1a
// of host and id); 0 for none.
func hashID(m *message) int64 {
	if len(m.messageID) == 0 || m.roaming {
		return 0
	}
	h := uint64(14695981039346656037)
	for _, s := range [...][]byte{m.host, {0}, m.messageID} {
		for _, c := range s {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	return int64(h)
}

// recipient returns the recipient of a record and the series to count it
// under, and counts the message with its first one, unless it roams: see
// countRoaming.
func (t *Tracker) recipient(m *message, r *parsers.Record, now int64) (rcpt *recipient, series int64, err error) {
	t.address = appendAddress(t.address[:0], r.Recipient)
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
	if !m.roaming && !m.counted && r.Kind != parsers.Replaced {
		m.counted, m.countedIn, m.countedAt = true, series, now
		t.w.Count(series, now, store.Counts{Messages: 1})
	}
	return rcpt, series, nil
}

// stands reports whether a recipient is to stand under the series of a record:
// of the last attempt, and before there is one of the first record. Logs of
// several servers tell of a roaming message in any order: there the earliest
// record is the first, of those that tell the sender if there are such.
func (rcpt *recipient) stands(m *message, r *parsers.Record, now int64) bool {
	switch {
	case r.Kind == parsers.Attempt:
		return !rcpt.tried || now >= rcpt.seriesAt
	case rcpt.tried:
		return false
	}
	return rcpt.series == 0 || m.roaming && isEarlier(r, now, rcpt.blind, rcpt.seriesAt)
}

// isEarlier reports whether r comes before another record. One that tells the
// sender comes before one that is blind; else their times decide.
func isEarlier(r *parsers.Record, now int64, blind bool, at int64) bool {
	if sees := r.HasSender; sees == blind {
		return sees
	}
	return now < at
}

// countRoaming counts a roaming message at the earliest time of a recipient, in
// the series of the one whose address sorts first: that depends on what its logs
// tell, not on the order in which they are read.
func (t *Tracker) countRoaming(m *message) {
	var at int64
	var of *recipient
	for i := range m.recipients {
		r := &m.recipients[i]
		switch {
		case r.isReplaced():
			continue
		case of == nil:
			of, at = r, r.first
		case bytes.Compare(r.address, of.address) < 0:
			of = r
		}
		at = min(at, r.first)
	}
	if m.counted && (of == nil || m.countedIn != of.series || m.countedAt != at) {
		m.counted = false
		t.w.Count(m.countedIn, m.countedAt, store.Counts{Messages: -1})
	}
	if of != nil && !m.counted {
		m.counted, m.countedIn, m.countedAt = true, of.series, at
		t.w.Count(of.series, at, store.Counts{Messages: 1})
	}
}

// seriesOf returns the series of t.address, the host of r, and the relay of r if
// it was tried.
func (t *Tracker) seriesOf(m *message, r *parsers.Record) (int64, error) {
	t.domain = appendDomain(t.domain[:0], t.address)
	t.relay = t.relay[:0]
	if r.Kind == parsers.Attempt || !m.roaming {
		t.relay = appendLower(t.relay, r.Relay)
	}
	t.series = store.SeriesKey{Format: m.format.Name, Host: r.Host, Instance: m.instance, Sender: m.senderDomain, Domain: t.domain, Relay: t.relay}
	return t.w.Series(&t.series)
}

func (t *Tracker) attempt(m *message, r *parsers.Record, now int64) error {
	if r.Outcome == parsers.Delivered {
		if filtered, err := t.isFilter(m, r); err != nil {
			return err
		} else if filtered {
			return t.handOver(m, r, now)
		}
	}
	rcpt, series, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	if r.Nth > 0 && rcpt.toldBefore(r) {
		return nil
	}
	if r.Outcome != parsers.Deferred || now >= rcpt.final {
		t.strengthen(rcpt)
	}
	if r.Outcome == parsers.Delivered {
		t.w.Count(series, now, store.Counts{Delivered: 1})
		t.settle(rcpt, store.Delivered, now, series)
		if !t.FailuresOnly {
			t.observe(m, r, nil)
		}
		return nil
	}
	if err := t.store(m, rcpt); err != nil {
		return err
	}
	cause, err := t.cause(r)
	if err != nil {
		return err
	}
	if now >= rcpt.causeAt {
		rcpt.cause, rcpt.causeAt = cause.ID, now
	}
	a := store.Attempt{Format: m.format.Name, MessageID: m.idOf(r), Address: t.address, Replied: r.Reply.Code != 0, Time: now, Recipient: rcpt.row, Series: series, Outcome: uint8(r.Outcome), Cause: cause.ID,
		Service: r.Service, IP: store.Clean(string(r.RelayIP)), Delay: r.Delay, Text: store.Clean(string(r.Reply.Text))}
	if err := t.w.AddAttempt(&a); err != nil {
		return err
	}
	t.observe(m, r, cause)
	switch {
	case r.Outcome == parsers.Deferred:
	case r.Removed:
		t.settle(rcpt, store.Removed, now, series)
	case r.GivenUp:
		t.settle(rcpt, store.Expired, now, series)
	default:
		t.settle(rcpt, store.Bounced, now, series)
	}
	return nil
}

// idOf returns the Message-ID that comes with an attempt. A row of a tracking log
// has its own: what the message knows of other rows depends on which were read
// before. A send log tells it before anything is tried, and knows the message by it.
func (m *message) idOf(r *parsers.Record) []byte {
	if len(r.MessageID) == 0 && string(m.messageID) == string(m.id) {
		return m.messageID
	}
	return r.MessageID
}

// cause returns what a failing record is filed under.
func (t *Tracker) cause(r *parsers.Record) (*store.Cause, error) {
	t.relay = appendLower(t.relay[:0], r.Relay)
	return t.w.Cause(registry.Failure{Reply: r.Reply.Code, Enhanced: r.Reply.Enhanced, MTAStatus: r.MTAStatus,
		Stage: r.Stage, Source: r.Source}, t.relay, r.Reply.Text)
}

// isFilter reports whether what looks like a delivery handed the message to a
// content filter on this host, from where it came back under another queue id.
func (t *Tracker) isFilter(m *message, r *parsers.Record) (bool, error) {
	if m.roaming || len(r.RelayIP) > 0 && !isThisHost(r.Relay, r.RelayIP) || string(r.Relay) == "local" || string(r.Relay) == "virtual" {
		return false, nil
	}
	if m.filtered {
		return true, nil
	}
	if len(r.NextID) == 0 || len(r.RelayIP) == 0 {
		return false, nil
	}
	t.key = append(append(append(t.key[:0], m.host...), 0), r.NextID...)
	next, err := t.lookup(t.key)
	return next != nil && next != m, err
}

// settle sets the final state of a recipient; the latest one counts.
func (t *Tracker) settle(r *recipient, state store.State, now, series int64) {
	if r.state != store.Pending && (now < r.final || now == r.final && state == r.state) {
		return
	}
	t.count(r, -1)
	r.state, r.final, r.finalSeries = state, now, series
	t.count(r, 1)
}

// count adds a recipient with no rows of its own for good to the counts, or with
// -1 takes it back.
func (t *Tracker) count(r *recipient, n int64) {
	if r.problem || r.weak || r.replaced != 0 {
		return
	}
	switch r.state {
	case store.Delivered:
		t.w.Count(r.finalSeries, r.final, store.Counts{Recipients: n})
	case store.HandedOver:
		t.w.Count(r.finalSeries, r.final, store.Counts{Handed: n})
	}
}

// strengthen makes a recipient that may have been handed over pending again:
// more was heard of it.
func (t *Tracker) strengthen(r *recipient) {
	if r.weak {
		r.weak, r.state, r.final = false, store.Pending, 0
	}
}

// store makes sure that a recipient has rows of its own for good: something
// went wrong with it.
func (t *Tracker) store(m *message, r *recipient) error {
	if !r.problem {
		t.count(r, -1)
		r.problem = true
	}
	return t.write(m, r)
}

// write makes sure that a recipient has rows.
func (t *Tracker) write(m *message, r *recipient) (err error) {
	if m.row == 0 {
		if m.row, err = t.w.AddMessage(m.stored()); err != nil {
			return err
		}
	}
	if r.row == 0 {
		r.row = t.w.AddRecipient(r.stored(m))
	}
	return err
}

func (m *message) stored() *store.Message {
	return &store.Message{Format: m.format.Name, Host: store.Clean(string(m.host)), Instance: store.Clean(string(m.instance)),
		QueueID: store.Clean(string(m.id)), MessageID: store.Clean(string(m.messageID)), Sender: store.Clean(string(m.sender)), HasSender: m.hasSender,
		Client: store.Clean(string(m.client)), ClientIP: store.Clean(string(m.clientIP)), Size: m.size, FirstSeen: m.first}
}

func (r *recipient) stored(m *message) *store.Recipient {
	state, since := r.standing()
	return &store.Recipient{Message: m.row, Series: r.series, Address: store.Clean(string(r.address)), State: state,
		FirstSeen: r.first, LastSeen: r.last, FinalAt: since, Cause: r.cause}
}

func (t *Tracker) suspend(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	t.w.Count(rcpt.series, now, store.Counts{Suspended: 1})
	return t.store(m, rcpt)
}

// handOver notes that a recipient's fate is reported elsewhere. On one host
// that is certain; of a roaming message something else may yet be heard.
func (t *Tracker) handOver(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	if !m.roaming {
		t.settle(rcpt, store.HandedOver, now, rcpt.series)
		return nil
	}
	if rcpt.state == store.Pending {
		rcpt.weak, rcpt.state, rcpt.final = true, store.HandedOver, now
	}
	return nil
}

// finish ends a recipient, or all of the message that are pending, without an
// attempt.
func (t *Tracker) finish(m *message, r *parsers.Record, state store.State, now int64) error {
	if len(r.Recipient) > 0 {
		rcpt, _, err := t.recipient(m, r, now)
		if err != nil {
			return err
		}
		return t.finishOne(m, rcpt, state, now)
	}
	for i := range m.recipients {
		rcpt := &m.recipients[i]
		if rcpt.state != store.Pending || rcpt.isReplaced() {
			continue
		}
		rcpt.last, rcpt.dirty = max(rcpt.last, now), true
		if err := t.finishOne(m, rcpt, state, now); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) finishOne(m *message, r *recipient, state store.State, now int64) error {
	t.strengthen(r)
	t.settle(r, state, now, r.series)
	return t.store(m, r)
}

// replace notes that an address was none of a recipient.
func (t *Tracker) replace(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	if !m.roaming && rcpt.state != store.Pending {
		return nil // an alias that keeps a copy: it has its own end too
	}
	t.count(rcpt, -1)
	rcpt.replaced = max(rcpt.replaced, now)
	if !m.roaming && m.counted && !slices.ContainsFunc(m.recipients, func(r recipient) bool { return !r.isReplaced() }) {
		m.counted = false // until it has a recipient
		t.w.Count(m.countedIn, m.countedAt, store.Counts{Messages: -1})
	}
	return nil
}

// end is the end of a message on its host: its id may be used again.
func (t *Tracker) end(r *parsers.Record) error {
	t.setKey(r)
	m, err := t.lookup(t.key)
	if err != nil || m == nil || m.roaming {
		return err
	}
	return t.drop(m)
}

// drop writes what is known of m and forgets it.
func (t *Tracker) drop(m *message) error {
	if err := t.writeRows(m); err != nil {
		return err
	}
	if m.inStore {
		t.ended = append(t.ended, bytes.Clone(m.key))
	}
	t.forget(m)
	return nil
}

func (t *Tracker) forget(m *message) {
	if len(m.messageID) > 0 && t.ids[string(t.idKey(m))] == m {
		delete(t.ids, string(t.idkey))
	}
	delete(t.open, string(m.key))
	if m.dirty {
		t.touched[m.place] = nil
	}
	t.free = append(t.free, m)
}

// writeRows brings the rows of m in the tables messages and recipients up to
// date. A recipient has one if something went wrong, or while it is pending or
// may have been handed over.
func (t *Tracker) writeRows(m *message) error {
	if m.roaming {
		t.countRoaming(m)
	}
	rows := 0
	for i := range m.recipients {
		r := &m.recipients[i]
		wanted := (r.problem || r.replaced != 0 || r.state == store.Pending || r.weak) && !r.isReplaced()
		var err error
		switch {
		case wanted && r.row == 0:
			err = t.write(m, r)
		case wanted && r.dirty:
			t.w.UpdateRecipient(r.row, r.stored(m))
		case !wanted && r.row != 0 && !r.problem:
			t.w.DeleteRecipient(r.row)
			r.row = 0
		case r.row != 0 && r.dirty:
			t.w.UpdateRecipient(r.row, r.stored(m))
		}
		if err != nil {
			return err
		}
		if r.respelled && r.row != 0 {
			t.w.RespellRecipient(r.row, store.Clean(string(r.address)))
		}
		r.dirty, r.respelled = false, false
		if r.row != 0 {
			rows++
		}
	}
	switch {
	case m.row == 0:
	case rows == 0:
		t.w.DeleteMessage(m.row)
		m.row = 0
	case m.stale:
		if err := t.w.UpdateMessage(m.row, m.stored()); err != nil {
			return err
		}
	}
	m.stale = false
	return nil
}

func (t *Tracker) reject(r *parsers.Record, now int64) error {
	t.domain = appendDomain(t.domain[:0], r.Recipient)
	t.series = store.SeriesKey{Format: r.Format.Name, Host: r.Host, Instance: r.Instance, Domain: t.domain}
	series, err := t.w.Series(&t.series)
	if err != nil {
		return err
	}
	cause, err := t.cause(r)
	if err != nil {
		return err
	}
	t.address = appendAddress(t.address[:0], r.Recipient)
	if t.Observe != nil && !t.twins.has(r) {
		t.observe(nil, r, cause)
	}
	return t.w.AddRejection(&store.Rejection{Time: now, Series: series, Cause: cause.ID, Service: r.Service, QueueID: store.Clean(string(r.Message)),
		Client: store.Clean(string(r.Client)), ClientIP: store.Clean(string(r.ClientIP)), Sender: store.Clean(string(r.Sender)), HasSender: r.HasSender,
		Recipient: store.Clean(string(t.address)), Text: store.Clean(string(r.Reply.Text)), LineHash: r.LineHash, Copy: r.Copy})
}

// connection counts a connection to a next hop.
func (t *Tracker) connection(r *parsers.Record, now int64) (err error) {
	hop := r.Relay
	if len(hop) == 0 {
		hop = r.RelayIP
	}
	t.relay = appendLower(t.relay[:0], hop)
	t.series = store.SeriesKey{Format: r.Format.Name, Host: r.Host, Instance: r.Instance, Relay: t.relay}
	c := store.Connection{Time: now, Messages: r.Messages}
	if c.Series, err = t.w.Series(&t.series); err != nil {
		return err
	}
	if r.Outcome != parsers.Delivered {
		cause, err := t.cause(r)
		if err != nil {
			return err
		}
		c.Cause, c.Text, c.Session = cause.ID, store.Clean(string(r.Reply.Text)), store.Clean(string(r.Session))
	}
	t.w.AddConnection(&c)
	return nil
}

// Flush writes all that is known to the store, before it is committed.
func (t *Tracker) Flush() error {
	if t.err != nil {
		return t.err
	}
	for _, key := range t.ended {
		t.w.DeleteOpenMessage(key)
		delete(t.stored, maphash.Bytes(t.seed, key))
	}
	t.ended = t.ended[:0]
	for _, m := range t.touched {
		if m == nil { // ended since
			continue
		}
		m.dirty = false
		if err := t.writeRows(m); err != nil {
			return err
		}
		t.text = m.appendTo(t.text[:0])
		t.w.PutOpenMessage(m.key, m.last, hashID(m), t.text)
		m.inStore = true
		t.stored[maphash.Bytes(t.seed, m.key)] = struct{}{}
	}
	t.touched = t.touched[:0]
	t.batch++
	t.trim()
	return nil
}

// trim keeps the memory bounded: what was not touched for longest goes; it is
// in the store.
func (t *Tracker) trim() {
	for age := 64; len(t.open) > keepInMemory && age >= 0; age /= 2 {
		for _, m := range t.open {
			if m.batch <= t.batch-1-age {
				t.forget(m)
			}
		}
		if age == 0 {
			break
		}
	}
	if len(t.free) > keepInMemory {
		t.free = t.free[:keepInMemory]
	}
}

// Sweep forgets messages whose end will never be seen. It is called now and
// then, in a batch of its own.
func (t *Tracker) Sweep() error {
	if t.newest == 0 {
		return nil
	}
	newest := min(t.newest, time.Now().UnixMicro()) // a wrong year must not end everything
	t.w.ForgetOpenMessages(newest - forgetAfter.Microseconds())
	return t.Reset()
}
