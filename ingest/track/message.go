package track

import (
	"bytes"
	"encoding/binary"
	"errors"

	"mailfail/parsers"
	"mailfail/registry"
)

// message is the state of a message that has not ended.
type message struct {
	key  []byte   // in Tracker.open and in the store
	hash uint64   // of key
	next *message // another open message with the same hash

	format             *parsers.Format
	host, instance, id []byte
	sender             []byte
	hasSender          bool
	senderDomain       []byte // as used in series
	messageID          []byte
	client, clientIP   []byte
	account            []byte // who submitted it
	size               int64
	// time of the record that gave client, clientIP and size of a roaming message
	broughtAt            int64
	first, last          int64 // microseconds
	counted              bool  // counted in store.Counts.Messages
	countedIn, countedAt int64 // series and time it was counted under
	reinjected           bool  // came from this host itself
	filtered             bool  // it went through a content filter and came back as another message
	refiltered           bool  // it is such another message: it came into the queue before, under another id
	own                  bool  // this server made it to report a failure
	roaming              bool

	accepted               bool // its entry into the queue is counted
	acceptedIn, acceptedAt int64
	expects                int64  // recipients for which it was accepted, 0 unknown
	submission             []byte // who submitted it, see appendSubmission
	heard                  bool   // there was another record since its entry into the queue

	dropped [][]byte // addresses whose mail the filter or mailbox dropped

	row        int64 // in the table messages, 0 none
	recipients []recipient
	index      map[string]int // of recipients by address, when they are many
	// changed since the last commit; its row is out of date; it has a row in the table
	// open
	dirty, stale, inStore bool
	place                 int   // in Tracker.touched, while dirty
	listed                int64 // hash of its Message-ID in the store
	batch                 int   // last batch that touched it
}

// recipient is the state of a recipient of such a message.
type recipient struct {
	address []byte
	state   registry.State
	problem bool // had a failing attempt or a suspension: keeps a row
	// had a failing attempt or a suspension, or was stored by a version that kept no
	// separate flag for these
	troubled    bool
	weak        bool  // provisionally handed over, until another record arrives
	kept        bool  // it stayed a recipient although other addresses replaced it
	row         int64 // in the table recipients, 0 none
	dirty       bool  // row out of date
	respelled   bool  // the address in the row is out of date
	series      int64 // series of the last attempt; without one, see stands
	seriesAt    int64 // time of the record that set series
	tried       bool  // there was an attempt
	blind       bool  // no attempt yet, and the record that set series did not name the sender
	finalSeries int64 // series in which state was counted
	first, last int64
	final       int64    // when state was reached
	replaced    int64    // when other addresses replaced it, 0 never; see isReplaced
	cause       int64    // of the last failing attempt
	causeAt     int64    // its time
	reasons     []uint16 // hashes of the reasons of its failing attempts
	told        int64    // bit set of attempts already reported by Nth, see toldBefore
}

// toldBefore reports whether a report, this one or another, has already reported the
// attempt a. If not, it notes the attempt. Each outcome has 21 bits of told; further
// attempts of a recipient are not distinguished.
func (r *recipient) toldBefore(a *parsers.Record) bool {
	const bits = 21
	bit := int64(1) << (bits*int(a.Outcome-registry.OutcomeDelivered) + min(a.Nth, bits) - 1)
	before := r.told&bit != 0
	r.told |= bit
	return before
}

// isReplaced reports whether other addresses stand for r. An alias may keep a copy:
// attempts and final states after the replacement belong to that copy.
func (r *recipient) isReplaced() bool {
	decided := r.state != registry.StatePending && !r.weak && r.final >= r.replaced
	return r.replaced != 0 && !r.kept && !decided && !(r.tried && r.seriesAt >= r.replaced)
}

// standing returns the state of r, and since when it has it, in microseconds.
func (r *recipient) standing() (registry.State, int64) {
	if r.isReplaced() {
		return registry.StateReplaced, r.replaced
	}
	return r.state, r.final
}

// reset makes m a new message, and reuses its buffers.
func (m *message) reset(key []byte) {
	r := m.recipients[:0]
	*m = message{
		key:          append(m.key[:0], key...),
		host:         m.host[:0],
		instance:     m.instance[:0],
		id:           m.id[:0],
		sender:       m.sender[:0],
		senderDomain: m.senderDomain[:0],
		messageID:    m.messageID[:0],
		client:       m.client[:0],
		clientIP:     m.clientIP[:0],
		account:      m.account[:0],
		submission:   m.submission[:0],
		recipients:   r,
	}
}

// recipient returns the recipient with an address, whose domain is in lower case, and
// creates it if necessary. Some servers that report on roaming messages ignore the case
// of addresses, and change it on the way. There the recipient has the spelling that sorts
// last, which has the most lower case.
func (m *message) recipient(address []byte, time int64) *recipient {
	if r := m.find(address); r != nil {
		r.first, r.last = min(r.first, time), max(r.last, time)
		if bytes.Compare(address, r.address) > 0 {
			r.address, r.respelled = append(r.address[:0], address...), r.row != 0
		}
		return r
	}
	n := len(m.recipients)
	if n < cap(m.recipients) {
		m.recipients = m.recipients[:n+1]
		old := &m.recipients[n]
		*old = recipient{address: old.address[:0], reasons: old.reasons[:0]}
	} else {
		m.recipients = append(m.recipients, recipient{})
	}
	r := &m.recipients[n]
	r.address = append(r.address, address...)
	if m.index != nil {
		m.index[string(m.indexKey(address))] = n
	}
	r.first, r.last = time, time
	return r
}

// manyRecipients is the number from which on a map is cheaper than a linear search.
const manyRecipients = 32

func (m *message) find(address []byte) *recipient {
	if len(m.recipients) >= manyRecipients {
		if m.index == nil {
			m.index = make(map[string]int, 2*manyRecipients)
			for i := range m.recipients {
				m.index[string(m.indexKey(m.recipients[i].address))] = i
			}
		}
		if i, ok := m.index[string(m.indexKey(address))]; ok {
			return &m.recipients[i]
		}
		return nil
	}
	for i := range m.recipients {
		a := m.recipients[i].address
		if string(a) == string(address) || m.roaming && bytes.EqualFold(a, address) {
			return &m.recipients[i]
		}
	}
	return nil
}

func (m *message) indexKey(address []byte) []byte {
	if m.roaming {
		return bytes.ToLower(address)
	}
	return address
}

// An open message is stored as flags, then the fields in the order of appendTo, then the
// recipients.

const stateVersion = 4

// isFinishedState reports whether a stored state belongs to a finished message, without
// restoring it.
func isFinishedState(state []byte) bool {
	return len(state) > 1 && state[0] >= 3 && state[0] <= stateVersion && state[1]&finishedFlag != 0
}

// finishedFlag is the bit of finished in the first flags of a state.
const finishedFlag = 1 << 5

var errState = errors.New("the stored state of a message is damaged")

func flags(bits ...bool) (f byte) {
	for i, b := range bits {
		if b {
			f |= 1 << i
		}
	}
	return f
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTo appends the state of m.
func (m *message) appendTo(b []byte) []byte {
	b = append(b, stateVersion,
		flags(m.hasSender, m.counted, m.reinjected, m.filtered, m.roaming, m.finished(), m.own, m.accepted),
		flags(m.heard, m.refiltered))
	b = appendBytes(b, []byte(m.format.Name))
	for _, s := range [...][]byte{m.host, m.instance, m.id, m.sender, m.messageID, m.client, m.clientIP} {
		b = appendBytes(b, s)
	}
	b = appendBytes(appendBytes(b, m.account), m.submission)
	for _, v := range [...]int64{m.size, m.first, m.last, m.row, m.countedIn, m.countedAt, m.broughtAt,
		m.acceptedIn, m.acceptedAt, m.expects} {
		b = binary.AppendVarint(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(m.recipients)))
	for i := range m.recipients {
		r := &m.recipients[i]
		b = append(b, byte(r.state), flags(r.problem, r.weak, r.tried, r.blind, r.kept, r.troubled))
		b = appendBytes(b, r.address)
		for _, v := range [...]int64{r.row, r.series, r.seriesAt, r.finalSeries, r.first, r.last, r.final,
			r.cause, r.causeAt, r.replaced, r.told} {
			b = binary.AppendVarint(b, v)
		}
		b = binary.AppendUvarint(b, uint64(len(r.reasons)))
		for _, v := range r.reasons {
			b = binary.BigEndian.AppendUint16(b, v)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(m.dropped)))
	for _, a := range m.dropped {
		b = appendBytes(b, a)
	}
	return b
}

// decoder reads the output of appendTo; the first error sticks.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) byte() (v byte) {
	if len(d.b) == 0 {
		d.err = errState
		return 0
	}
	v, d.b = d.b[0], d.b[1:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.err, d.b = errState, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) length() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64(len(d.b)-n) {
		d.err, d.b = errState, nil
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) bytes() []byte {
	n := d.length()
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) reasons(reasons []uint16) []uint16 {
	n := d.length()
	if n > len(d.b)/2 {
		d.err, d.b = errState, nil
		return reasons
	}
	for range n {
		reasons = append(reasons, binary.BigEndian.Uint16(d.b))
		d.b = d.b[2:]
	}
	return reasons
}

// restore sets m, which is new and has only its key, to a stored state.
func (m *message) restore(state []byte) error {
	d := decoder{b: state}
	version := d.byte()
	if version < 1 || version > stateVersion {
		return errState
	}
	f := d.byte()
	m.hasSender, m.counted, m.reinjected, m.filtered, m.roaming = f&1 != 0, f&2 != 0, f&4 != 0,
		f&8 != 0, f&16 != 0
	if version >= 3 {
		m.own, m.accepted = f&64 != 0, f&128 != 0
		f = d.byte()
		m.heard, m.refiltered = f&1 != 0, f&2 != 0
	}
	name := string(d.bytes())
	for _, format := range parsers.Formats() {
		if format.Name == name {
			m.format = &format
		}
	}
	if m.format == nil {
		m.format = &parsers.Format{Name: name}
	}
	for _, s := range [...]*[]byte{&m.host, &m.instance, &m.id, &m.sender, &m.messageID, &m.client,
		&m.clientIP} {
		*s = append((*s)[:0], d.bytes()...)
	}
	fields := []*int64{&m.size, &m.first, &m.last, &m.row, &m.countedIn, &m.countedAt, &m.broughtAt,
		&m.acceptedIn, &m.acceptedAt, &m.expects}
	switch version {
	case 1: // version 1 had no broughtAt
		fields = fields[:6]
	case 2:
		fields = fields[:7]
	default:
		m.account = append(m.account[:0], d.bytes()...)
		m.submission = append(m.submission[:0], d.bytes()...)
	}
	for _, v := range fields {
		*v = d.varint()
	}
	for n := d.length(); n > 0 && d.err == nil; n-- {
		state, f := registry.State(d.byte()), d.byte()
		r := m.recipient(d.bytes(), 0)
		r.state, r.problem, r.weak, r.tried, r.blind, r.kept = state, f&1 != 0, f&2 != 0, f&4 != 0,
			f&8 != 0, f&16 != 0
		r.troubled = f&32 != 0 || version < 3 && r.problem
		fields := []*int64{&r.row, &r.series, &r.seriesAt, &r.finalSeries, &r.first, &r.last, &r.final,
			&r.cause, &r.causeAt, &r.replaced, &r.told}
		if version == 1 {
			fields = fields[:9]
		}
		for _, v := range fields {
			*v = d.varint()
		}
		if version >= 3 {
			r.reasons = d.reasons(r.reasons[:0])
		}
		if version == 1 { // version 1 set seriesAt only for attempts, and had replaced as a state
			r.tried = r.seriesAt != 0
			if r.state == registry.StateReplaced {
				r.state, r.replaced, r.final = registry.StatePending, r.final, 0
			}
		}
	}
	if version >= 4 {
		for n := d.length(); n > 0 && d.err == nil; n-- {
			m.dropped = append(m.dropped, bytes.Clone(d.bytes()))
		}
	}
	m.setSenderDomain()
	m.inStore, m.listed = true, hashID(m)
	return d.err
}

// setSenderDomain derives the sender domain that series use.
func (m *message) setSenderDomain() {
	switch {
	case !m.hasSender:
		m.senderDomain = m.senderDomain[:0]
	case len(m.sender) == 0:
		m.senderDomain = append(m.senderDomain[:0], "<>"...)
	default:
		m.senderDomain = appendDomain(m.senderDomain[:0], m.sender)
	}
}

// MessageRow returns the id of the store's row of the message with a stored state; 0 if
// it has none.
func MessageRow(state []byte) int64 {
	d := decoder{b: state}
	version := d.byte()
	d.byte()
	texts := 8 // the format name, and the fields that restore reads into slices
	if version >= 3 {
		d.byte()
		texts += 2
	}
	for range texts {
		d.bytes()
	}
	for range 3 { // size, first, last
		d.varint()
	}
	row := d.varint()
	if d.err != nil || version < 1 || version > stateVersion {
		return 0
	}
	return row
}
