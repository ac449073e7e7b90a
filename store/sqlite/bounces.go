package sqlite

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// The log of the server that sent the mail may report the same recipient as a bounce, as
// failed or as delivered. The Writer compares the two when a batch ends, whichever was read
// first. When a log reports the failure, that is final; when a log reports a delivery, the
// log of another server may still report the failure. So the result depends on the content
// of the logs, not on their order.

// bounces holds the bounces that a log may still report.
type bounces struct {
	byID      map[int64][]*bounce  // by idHash of Message-ID and queue ids
	unsettled map[*bounce]struct{} // to be compared with the rows of messages when the batch ends
	unsought  []*bounce            // likewise with deliveries
}

// bounce is a row of the table feedback.
type bounce struct {
	id, time, attempt int64
	kind              store.FeedbackKind
	sentAt, sent      int64    // time and series of the latest delivery; 0: none
	messageID         string   // "" unknown
	ids, addresses    []string // ids: the Message-ID and the queue ids
}

// newBounce returns a bounce. ids and addresses are as in the table: separated by spaces,
// a Message-ID first.
func newBounce(ids, addresses string) *bounce {
	b := &bounce{ids: strings.Fields(ids), addresses: strings.Fields(addresses)}
	if len(b.ids) > 0 && b.ids[0][0] == '<' {
		b.messageID = b.ids[0]
	}
	return b
}

// isAbout reports whether b is about a message, given by the idHash of its Message-ID, 0
// for none, and its queue id. Servers use queue ids again, and two servers may use the same
// one: queue ids are compared only where one of the two Message-IDs is unknown.
func (b *bounce) isAbout(messageID int64, queueID string) bool {
	if messageID != 0 && b.messageID != "" {
		return messageID == idHash([]byte(b.messageID))
	}
	return slices.Contains(b.ids, queueID)
}

// Mail comes back within days: a bounce is about mail that was sent at most bounceWithin
// before it. maxWaiting bounds the bounces that loadBounces reads.
const (
	bounceWithin = 32 * 24 * time.Hour
	bounceSkew   = time.Hour // the most by which clocks of servers may differ
	maxWaiting   = 50_000
)

// isOf reports whether b can be about mail to an address that a log reports at a time.
func (b *bounce) isOf(address string, time int64) bool {
	return time >= b.time-bounceWithin.Microseconds() && time <= b.time+bounceSkew.Microseconds() &&
		slices.ContainsFunc(b.addresses, func(a string) bool { return strings.EqualFold(a, address) })
}

func (s *bounces) add(b *bounce) {
	if s.byID == nil {
		s.byID, s.unsettled = map[int64][]*bounce{}, map[*bounce]struct{}{}
	}
	for _, id := range b.ids {
		h := idHash([]byte(id))
		s.byID[h] = append(s.byID[h], b)
	}
	s.unsettled[b] = struct{}{}
}

// heardOf marks the bounces that may be about a message for the next comparison, because
// the message has a row.
func (s *bounces) heardOf(m *store.Message) {
	if len(s.byID) == 0 || m.Format == store.BouncesFormat {
		return
	}
	for _, id := range [...]string{m.MessageID, m.QueueID} {
		for _, b := range s.byID[idHash([]byte(id))] {
			s.unsettled[b] = struct{}{}
		}
	}
}

// loadBounces reads the bounces that a log may still report.
func (w *Writer) loadBounces() error {
	w.bounces = bounces{}
	return w.each(`SELECT id, time, attempt, kind, IFNULL(sent_at, 0), IFNULL(sent, 0), ids, addresses FROM feedback
		WHERE kind IN (?1, ?2) AND attempt IS NOT NULL AND time > (SELECT max(time) FROM feedback) - ?3 ORDER BY time DESC LIMIT ?4`,
		func(r *sql.Rows) error {
			var id, time, attempt, sentAt, sent int64
			var kind store.FeedbackKind
			var ids, addresses string
			err := r.Scan(&id, &time, &attempt, &kind, &sentAt, &sent, &ids, &addresses)
			b := newBounce(ids, addresses)
			b.id, b.time, b.attempt, b.kind, b.sentAt, b.sent = id, time, attempt, kind, sentAt, sent
			w.bounces.add(b)
			return err
		}, store.FeedbackUnmatched, store.FeedbackRefused, bounceWithin.Microseconds(), maxWaiting)
}

// searchAll adds all unsettled bounces to those that are looked for among the deliveries.
func (w *Writer) searchAll() {
	for b := range w.bounces.unsettled {
		w.bounces.unsought = append(w.bounces.unsought, b)
	}
}

// addBounce stores the bounce that reported an attempt. attempt is the id of its row.
func (w *Writer) addBounce(a *store.Attempt, attempt int64) {
	b := newBounce(store.Clean(string(a.MessageID)+" "+string(a.Bounce.QueueIDs)),
		strings.ToLower(store.Clean(string(a.Address)+" "+string(a.Bounce.Original))))
	b.id, b.time, b.attempt, b.kind = w.nextID("feedback"), a.Time, attempt, store.FeedbackUnmatched
	w.sink.exec("INSERT INTO feedback (id, kind, time, series, cause, attempt, ids, addresses, text) VALUES (?,?,?,?,?,?,?,?,?)",
		b.id, int64(b.kind), a.Time, a.Series, a.Cause, attempt, strings.Join(b.ids, " "),
		strings.Join(b.addresses, " "), a.Text)
	w.note(fleet.Feedback, b.id)
	w.bounces.add(b)
	w.bounces.unsought = append(w.bounces.unsought, b)
}

// AddComplaint stores a complaint, unless one with its Message-ID and address is stored.
func (w *Writer) AddComplaint(c *store.Complaint) {
	id, address := store.Clean(string(c.MessageID)), strings.ToLower(store.Clean(string(c.Address)))
	w.note(fleet.Feedback, w.lastID["feedback"]+1)
	w.sink.exec("INSERT INTO feedback (id, kind, time, series, cause, ids, addresses, text, hash) VALUES (?,?,?,?,0,?,?,?,?) ON CONFLICT (hash) DO NOTHING",
		w.nextID("feedback"), int64(store.FeedbackComplaint), c.Time, c.Series, id, address,
		store.Clean(c.Type), int64(hash64(id+"\x00"+address)))
}

// deliveredBefore passes a delivery to accepted for each bounce that is about it.
func (w *Writer) deliveredBefore(d *store.Delivery) {
	if len(w.bounces.byID) == 0 {
		return
	}
	messageID := idHash(d.MessageID)
	for _, h := range [...]int64{messageID, idHash(d.QueueID)} {
		for _, b := range w.bounces.byID[h] {
			if b.isAbout(messageID, string(d.QueueID)) && b.isOf(string(d.Address), d.Time) {
				w.accepted(b, d.Series, d.Time)
			}
		}
	}
}

// accepted stores that a log reports a delivery of the mail that b reports as failed. The
// latest delivery counts, and none does when a log has reported the failure.
func (w *Writer) accepted(b *bounce, series, time int64) {
	time = floor(time, 1_000_000) * 1_000_000 // whole seconds, as in blocks of deliveries
	if b.kind == store.FeedbackRepeated || b.sent != 0 &&
		(time < b.sentAt || time == b.sentAt && series <= b.sent) {
		return
	}
	b.kind, b.sent, b.sentAt = store.FeedbackRefused, series, time
	w.note(fleet.Feedback, b.id)
	w.sink.exec("UPDATE feedback SET kind = ?, sent = ?, sent_at = ? WHERE id = ?", int64(b.kind), series, time, b.id)
}

// failed stores that a log reports the failure in b, for a recipient. When the log has no
// reply, the failing attempt gets the reply of the bounce.
func (w *Writer) failed(b *bounce, recipient int64) error {
	b.kind = store.FeedbackRepeated
	w.note(fleet.Feedback, b.id)
	w.sink.exec("UPDATE feedback SET kind = ?, sent = NULL, sent_at = NULL WHERE id = ?", int64(b.kind), b.id)
	attempt, ok, err := w.find(`SELECT a.id FROM attempt_rows AS a JOIN causes AS k ON k.id = a.cause
		WHERE a.recipient = ? AND a.outcome = ? AND a.exact IS NULL AND k.reply = 0 AND k.enhanced = '' AND EXISTS (SELECT 1 FROM attempt_rows AS o
		JOIN causes AS c ON c.id = o.cause WHERE o.id = ? AND c.reply <> 0) ORDER BY a.time DESC, a.id DESC LIMIT 1`, recipient, registry.OutcomeFailed, b.attempt)
	if err != nil || !ok {
		return err
	}
	w.sink.exec("UPDATE attempt_rows SET exact = ? WHERE id = ?", b.attempt, attempt)
	w.takeWords([]int64{attempt})
	return nil
}

// settleBounces compares the bounces with the deliveries and the rows of logs. It is called
// when a batch ends.
func (w *Writer) settleBounces() error {
	if len(w.bounces.unsettled) == 0 {
		return nil
	}
	if err := w.searchDeliveries(w.bounces.unsought); err != nil {
		return err
	}
	w.bounces.unsought = w.bounces.unsought[:0]
	return w.searchRows()
}

// told is a recipient of a message that a bounce may be about.
type told struct {
	bounce, recipient, series int64
	messageID, queueID        string
	address                   string
	state                     registry.State
	at                        int64 // of the final state, or first_seen before there is one
}

// findTold finds the recipients of messages that bounces may be about. Parameters: a list
// of [bounce, message], and the format of bounces, whose messages are left out.
const findTold = `SELECT j.value ->> 0, r.id, r.series, m.message_id, m.queue_id, IFNULL(t.text, r.address), r.state, IFNULL(r.final_at, r.first_seen)
	FROM json_each(?) AS j CROSS JOIN message_rows AS m ON m.id = j.value ->> 1 CROSS JOIN recipient_rows AS r ON r.message = m.id LEFT JOIN texts AS t ON t.id = r.address
	WHERE m.format <> (SELECT id FROM names WHERE text = ?)`

// searchRows compares the unsettled bounces with the rows of messages. A bounce whose
// message has a row, but is not reported as failed, is compared again when the next
// batch ends.
func (w *Writer) searchRows() error {
	byID := map[int64]*bounce{}
	var ids []int64 // of the bounce of each range
	var ranges []lookupRange
	for b := range w.bounces.unsettled {
		byID[b.id] = b
		for _, id := range b.ids {
			hash := int64(lookupHash(id))
			ids = append(ids, b.id)
			ranges = append(ranges, lookupRange{hash, hash, dayOf(b.time - bounceWithin.Microseconds()),
				dayOf(b.time + bounceSkew.Microseconds())})
		}
	}
	refs, err := findLookups(func(query string, args []any, row func(*sql.Rows) error) error {
		return w.each(query, row, args...)
	}, ranges)
	if err != nil {
		return err
	}
	var pairs [][2]int64
	for i := range refs {
		for _, ref := range refs[i] {
			if ref%2 == 0 {
				pairs = append(pairs, [2]int64{ids[i], ref / 2})
			}
		}
	}
	var found []told
	err = w.each(findTold, func(r *sql.Rows) error {
		var f told
		err := r.Scan(&f.bounce, &f.recipient, &f.series, &f.messageID, &f.queueID, &f.address,
			&f.state, &f.at)
		if byID[f.bounce].isAbout(idHash([]byte(f.messageID)), f.queueID) {
			found = append(found, f)
		}
		return err
	}, list(pairs), store.BouncesFormat)
	if err != nil {
		return err
	}
	clear(w.bounces.unsettled)
	for _, f := range found {
		b := byID[f.bounce]
		if b.kind != store.FeedbackRepeated {
			w.bounces.unsettled[b] = struct{}{}
		}
		if !b.isOf(f.address, f.at) {
			continue
		}
		switch f.state {
		case registry.StateBounced, registry.StateExpired:
			if b.kind != store.FeedbackRepeated {
				err = w.failed(b, f.recipient)
			}
			delete(w.bounces.unsettled, b)
		case registry.StateDelivered:
			w.accepted(b, f.series, f.at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// searchDeliveries looks for the mail of bounces among the stored deliveries.
func (w *Writer) searchDeliveries(list []*bounce) error {
	if len(list) == 0 {
		return nil
	}
	first, last := list[0].time, list[0].time
	wanted := map[int64][]*bounce{}
	var hashes []uint64
	for _, b := range list {
		first, last = min(first, b.time), max(last, b.time)
		for _, id := range b.ids {
			h := idHash([]byte(id))
			wanted[h] = append(wanted[h], b)
			hashes = append(hashes, uint64(h)*mixer, hashOf([]byte(id)))
		}
	}
	hour := func(t int64) int64 { return floor(t, time.Hour.Microseconds()) }
	var blocks []int64
	err := w.each("SELECT id, filter FROM deliveries WHERE id >= ? AND id < ? ORDER BY id", func(r *sql.Rows) error {
		var id int64
		var filter sql.RawBytes
		err := r.Scan(&id, &filter)
		if slices.ContainsFunc(hashes, func(h uint64) bool { return isIn(filter, h) }) {
			blocks = append(blocks, id)
		}
		return err
	}, hour(first-bounceWithin.Microseconds())*blocksPerHour,
		(hour(last+bounceSkew.Microseconds())+1)*blocksPerHour)
	for _, id := range blocks {
		if err == nil {
			err = w.searchBlock(id, wanted)
		}
	}
	return err
}

// searchBlock looks for the mail of bounces in a block of deliveries. wanted has the
// bounces by idHash.
func (w *Writer) searchBlock(id int64, wanted map[int64][]*bounce) error {
	var l deliveries
	var rows []delivered
	err := w.each("SELECT data FROM deliveries WHERE id = ?", func(r *sql.Rows) error {
		var data sql.RawBytes
		err := r.Scan(&data)
		if err == nil {
			rows, err = l.read(nil, (id-mod(id, blocksPerHour))/blocksPerHour, data)
		}
		return err
	}, id)
	if err != nil {
		return fmt.Errorf("look for bounces among deliveries: %w", err)
	}
	for i := range rows {
		r := &rows[i]
		queueID := l.queueID(r)
		for _, b := range slices.Concat(wanted[r.id], wanted[idHash(queueID)]) {
			if !b.isAbout(r.id, string(queueID)) {
				continue
			}
			address, err := w.addressOf(&l, r)
			if err != nil {
				return err
			}
			if at := (r.hour*3600 + int64(r.second)) * 1_000_000; b.isOf(address, at) {
				w.accepted(b, r.series, at)
			}
		}
	}
	return nil
}

// addressOf returns the address of a delivery. It adds the domain of the series where the
// block leaves that out.
func (w *Writer) addressOf(l *deliveries, r *delivered) (string, error) {
	address := string(l.local(r))
	if !strings.HasSuffix(address, "@") {
		return address, nil
	}
	var domain string
	err := w.each("SELECT n.text FROM series AS s JOIN names AS n ON n.id = s.domain WHERE s.id = ?", func(rows *sql.Rows) error { return rows.Scan(&domain) }, r.series)
	return address + domain, err
}
