package track

import (
	"bytes"
	"hash/fnv"
	"slices"

	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

func (t *Tracker) attempt(m *message, r *parsers.Record, now int64) error {
	if r.Outcome == registry.OutcomeDelivered {
		if m.isDropped(r) {
			return t.finish(m, r, registry.StateRemoved, now)
		}
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
	if r.Outcome != registry.OutcomeDeferred || now >= rcpt.final {
		t.strengthen(rcpt)
	}
	if r.Outcome == registry.OutcomeDelivered {
		t.w.Count(series, now, store.Counts{Delivered: 1})
		t.deliveredVolume(m, r, now)
		if !rcpt.problem && rcpt.state != registry.StateDelivered {
			t.step(m, store.StepDelivered, now, series)
		}
		t.settle(rcpt, registry.StateDelivered, now, series)
		if !t.FailuresOnly {
			t.observe(m, r, nil)
		}
		return nil
	}
	rcpt.troubled = true
	if err := t.store(m, rcpt); err != nil {
		return err
	}
	cause, text, err := t.cause(r)
	if err != nil {
		return err
	}
	if now >= rcpt.causeAt {
		rcpt.cause, rcpt.causeAt = cause.id, now
	}
	t.row.attempt = store.Attempt{
		Format:    m.format.Name,
		MessageID: m.idOf(r),
		Address:   t.address,
		Replied:   r.Reply.Code != 0,
		Time:      now,
		Recipient: rcpt.row,
		Series:    series,
		Outcome:   uint8(r.Outcome),
		Cause:     cause.id,
		Service:   r.Service,
		IP:        t.row.ip.clean(r.RelayIP),
		Delay:     r.Delay,
		Text:      text,
		First:     rcpt.firstFor(cause.Reason),
	}
	if r.Format.IsRepeated(parsers.Attempt) {
		t.row.attempt.Bounce = &store.Bounce{QueueIDs: r.QueueIDs, Original: r.Original}
	}
	if err := t.w.AddAttempt(&t.row.attempt); err != nil {
		return err
	}
	t.observe(m, r, cause)
	switch {
	case r.Outcome == registry.OutcomeDeferred:
	case r.Final != registry.StatePending:
		t.settle(rcpt, r.Final, now, series)
	default:
		t.settle(rcpt, registry.StateBounced, now, series)
	}
	return nil
}

// said returns the text about the end of an attempt: the reply and, if another host was
// tried after the one that gave it, the result there.
func said(r *parsers.Record) string {
	if len(r.Then) == 0 {
		return store.CleanReply(r.Reply.Text)
	}
	return store.CleanReply(r.Reply.Text) + "; then " + store.CleanReply(r.Then)
}

// firstFor reports whether this failing attempt is the first of r for a reason.
func (r *recipient) firstFor(reason registry.Reason) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(reason))
	hash := uint16(h.Sum32() ^ h.Sum32()>>16)
	if slices.Contains(r.reasons, hash) {
		return false
	}
	r.reasons = append(r.reasons, hash)
	return true
}

// idOf returns the Message-ID of an attempt. A row of a tracking log carries its own: the
// Message-ID of other rows of m depends on which were read before. A send log gives it
// before any attempt, and uses it as the id of the message.
func (m *message) idOf(r *parsers.Record) []byte {
	if len(r.MessageID) == 0 && string(m.messageID) == string(m.id) {
		return m.messageID
	}
	return r.MessageID
}

// isFilter reports whether an apparent delivery handed the message to a content filter on
// this host, from which it came back under another queue id.
func (t *Tracker) isFilter(m *message, r *parsers.Record) (bool, error) {
	if m.roaming || len(r.RelayIP) > 0 && !isThisHost(r.Relay, r.RelayIP) || string(r.Relay) == "local" ||
		string(r.Relay) == "virtual" {
		return false, nil
	}
	if m.filtered {
		return t.cameBack(m, r)
	}
	if len(r.NextID) == 0 || len(r.RelayIP) == 0 {
		return false, nil
	}
	t.key = append(append(append(t.key[:0], m.host...), 0), r.NextID...)
	next, err := t.lookup(t.key)
	return next != nil && next != m, err
}

// cameBack is called when another message with the Message-ID of m came from this host.
// It reports whether the delivery r produced that other message. A transport to a mailbox
// is not a filter. Neither is a transport between two messages that a program sent to
// different recipients.
func (t *Tracker) cameBack(m *message, r *parsers.Record) (bool, error) {
	if len(r.RelayIP) > 0 {
		return true, nil
	}
	if isMailbox(r.Service) {
		return false, nil
	}
	next, err := t.namesake(m)
	if err != nil || next == nil || len(next.recipients) == 0 {
		return true, err
	}
	t.address = appendAddress(t.address[:0], r.Address)
	return next.find(t.address) != nil, nil
}

// mailboxes are parts of the names of transports that write to mailboxes: these are not
// filters.
var mailboxes = [][]byte{[]byte("maildir"), []byte("mailbox"), []byte("mbox"), []byte("spool"),
	[]byte("local_delivery"), []byte("lmtp"), []byte("dovecot"), []byte("cyrus"), []byte("address_file"),
	[]byte("address_directory"), []byte("userdelivery"), []byte("virtual_delivery")}

// isMailbox reports whether a transport writes to mailboxes.
func isMailbox(service []byte) bool {
	return slices.ContainsFunc(mailboxes, func(name []byte) bool { return bytes.Contains(service, name) })
}

// settle sets the final state of a recipient; the latest one counts.
func (t *Tracker) settle(r *recipient, state registry.State, now, series int64) {
	if r.state != registry.StatePending && (now < r.final || now == r.final && state == r.state) {
		return
	}
	t.count(r, -1)
	r.state, r.final, r.finalSeries = state, now, series
	t.count(r, 1)
}

// count adds a recipient to the counts, or with n = -1 takes it back. Recipients with a
// failure (problem) are counted by their rows instead.
func (t *Tracker) count(r *recipient, n int64) {
	if r.problem || r.weak || r.replaced != 0 {
		return
	}
	switch r.state {
	case registry.StateDelivered:
		t.w.Count(r.finalSeries, r.final, store.Counts{Recipients: n})
	case registry.StateHandedOver:
		t.w.Count(r.finalSeries, r.final, store.Counts{Handed: n})
	}
}

func (t *Tracker) suspend(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	cause := rcpt.cause
	if cause == 0 && len(r.Reply.Text) > 0 {
		c, _, err := t.cause(r)
		if err != nil {
			return err
		}
		cause = c.id
	}
	t.w.Suspend(rcpt.series, cause, now)
	rcpt.troubled = true
	return t.store(m, rcpt)
}

// handOver notes that the outcome of a recipient is reported elsewhere. On one host that
// is final; for a roaming message it is provisional, because another record may arrive.
func (t *Tracker) handOver(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	if !m.roaming {
		if rcpt.state != registry.StateHandedOver {
			t.step(m, store.StepHandedOver, now, rcpt.series)
		}
		t.settle(rcpt, registry.StateHandedOver, now, rcpt.series)
		return nil
	}
	if deferredSince := rcpt.tried && rcpt.seriesAt >= now; rcpt.state == registry.StatePending &&
		!deferredSince {
		rcpt.weak, rcpt.state, rcpt.final = true, registry.StateHandedOver, now
	}
	return nil
}

// finish ends the recipient of r, or without an address all pending recipients of the
// message, without an attempt.
func (t *Tracker) finish(m *message, r *parsers.Record, state registry.State, now int64) error {
	if len(r.Address) > 0 {
		rcpt, _, err := t.recipient(m, r, now)
		if err != nil {
			return err
		}
		if !m.roaming && rcpt.state != registry.StatePending {
			return nil // it has a final state: Exim's -Mmad marks all addresses, whatever their outcome
		}
		return t.finishOne(m, rcpt, state, now)
	}
	for i := range m.recipients {
		rcpt := &m.recipients[i]
		if rcpt.state != registry.StatePending || rcpt.isReplaced() {
			continue
		}
		rcpt.last, rcpt.dirty = max(rcpt.last, now), true
		if err := t.finishOne(m, rcpt, state, now); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) finishOne(m *message, r *recipient, state registry.State, now int64) error {
	t.strengthen(r)
	t.settle(r, state, now, r.series)
	return t.store(m, r)
}

// replace notes that other addresses replaced a recipient.
func (t *Tracker) replace(m *message, r *parsers.Record, now int64) error {
	rcpt, _, err := t.recipient(m, r, now)
	if err != nil {
		return err
	}
	if !m.roaming && rcpt.state != registry.StatePending {
		return nil // an alias that keeps a copy has an end of its own too
	}
	t.count(rcpt, -1)
	rcpt.replaced = max(rcpt.replaced, now)
	if !m.roaming && m.counted && !slices.ContainsFunc(m.recipients, func(r recipient) bool {
		return !r.isReplaced()
	}) {
		m.counted = false // counted again with its first recipient
		t.w.Count(m.countedIn, m.countedAt, store.Counts{Messages: -1})
	}
	return nil
}

func (t *Tracker) reject(r *parsers.Record, now int64) error {
	t.domain = appendDomain(t.domain[:0], r.Address)
	t.series = store.SeriesKey{
		Format:    r.Format.Name,
		Host:      r.Host,
		Instance:  r.Instance,
		Domain:    t.domain,
		Direction: registry.DirectionIncoming,
	}
	series, err := t.w.Series(&t.series)
	if err != nil {
		return err
	}
	cause, text, err := t.cause(r)
	if err != nil {
		return err
	}
	if len(r.Then) > 0 { // Then is not part of the refusal
		text = store.CleanReply(r.Reply.Text)
	}
	t.address = appendAddress(t.address[:0], r.Address)
	if t.Observe != nil && !t.twins.has(r) {
		t.observe(nil, r, cause)
	}
	return t.w.AddRejection(&store.Rejection{
		Time:      now,
		Series:    series,
		Cause:     cause.id,
		Service:   r.Service,
		QueueID:   store.Clean(string(r.ID)),
		Client:    store.Clean(string(r.Client)),
		ClientIP:  store.Clean(string(r.ClientIP)),
		Sender:    store.Clean(string(r.Sender)),
		HasSender: r.HasSender,
		Recipient: store.Clean(string(t.address)),
		Text:      text,
		LineHash:  r.LineHash,
		Copy:      r.Copy,
	})
}

// complain adds a complaint. Its Relay is the host that reports it.
func (t *Tracker) complain(r *parsers.Record, now int64) error {
	t.address = appendAddress(t.address[:0], r.Address)
	t.domain = appendDomain(t.domain[:0], t.address)
	t.relay = appendLower(t.relay[:0], r.Relay)
	sender := message{hasSender: r.HasSender, sender: r.Sender}
	sender.setSenderDomain()
	series, err := t.w.Series(&store.SeriesKey{
		Format:    r.Format.Name,
		Host:      r.Host,
		Instance:  r.Instance,
		Sender:    sender.senderDomain,
		Domain:    t.domain,
		Relay:     t.relay,
		Operator:  t.operator,
		Direction: r.Direction,
	})
	if err != nil {
		return err
	}
	id := r.MessageID
	if len(id) == 0 {
		id = r.ID
	}
	t.w.AddComplaint(&store.Complaint{
		Time:      now,
		Series:    series,
		Type:      store.CleanReply(r.Reply.Text),
		MessageID: id,
		Address:   t.address,
	})
	return nil
}

// trouble counts a line in which the mail system reports a problem of its own.
func (t *Tracker) trouble(r *parsers.Record, now int64) {
	t.text = registry.AppendSignature(t.text[:0], r.Reply.Text)
	t.w.AddTrouble(&store.Trouble{
		Time:      now,
		Format:    r.Format.Name,
		Host:      r.Host,
		Service:   r.Service,
		Kind:      string(r.Problem),
		Text:      store.CleanReply(r.Reply.Text),
		Signature: store.Clean(string(t.text)),
	})
}

// connection counts a connection to a next hop.
func (t *Tracker) connection(r *parsers.Record, now int64) (err error) {
	hop := r.Relay
	if len(hop) == 0 {
		hop = r.RelayIP
	}
	t.relay = appendLower(t.relay[:0], hop)
	t.series = store.SeriesKey{
		Format:   r.Format.Name,
		Host:     r.Host,
		Instance: r.Instance,
		Relay:    t.relay,
		Operator: t.operator,
	}
	c := store.Connection{Time: now, Messages: r.Messages}
	if c.Series, err = t.w.Series(&t.series); err != nil {
		return err
	}
	if r.Outcome != registry.OutcomeDelivered {
		cause, _, err := t.cause(r)
		if err != nil {
			return err
		}
		c.Cause, c.Text, c.Session = cause.id, store.CleanReply(r.Reply.Text), store.Clean(string(r.Session))
	}
	t.w.AddConnection(&c)
	return nil
}
