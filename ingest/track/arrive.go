package track

import (
	"bytes"
	"hash/maphash"
	"strconv"

	"mailfail/parsers"
	"mailfail/store"
)

func (t *Tracker) arrive(m *message, r *parsers.Record, now int64) error {
	t.arrivedVolume(r, now)
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
	case brings && (m.broughtAt == 0 || now < m.broughtAt): // each server reports it again
		m.client, m.clientIP = append(m.client[:0], r.Client...), append(m.clientIP[:0], r.ClientIP...)
		m.size, m.broughtAt, changed = r.Size, now, true
	}
	m.reinjected = m.reinjected || r.Reinjected
	m.own = m.own || r.Own || len(r.BounceOf) > 0
	set(&m.account, r.Account)
	if len(r.MessageID) > 0 && string(m.messageID) != string(r.MessageID) {
		set(&m.messageID, r.MessageID)
		if err := t.link(m); err != nil {
			return err
		}
	}
	m.stale = m.stale || changed && m.row != 0
	if r.HasSender {
		m.own = m.own || m.madeHere()
		return t.accept(m, r, now)
	}
	return nil
}

// madeHere reports whether the server made a message itself. It may report that only
// after the message has left the queue: Postfix's bounce(8) logs "sender non-delivery
// notification" for a message that is already in the queue. Such a message has the sender
// <>, no client, and a Message-ID that contains its queue id.
func (m *message) madeHere() bool {
	if !m.hasSender || len(m.sender) > 0 || len(m.client) > 0 || len(m.clientIP) > 0 ||
		m.reinjected || m.roaming {
		return false
	}
	local, _, ok := bytes.Cut(m.messageID, []byte("@"))
	rest, of := bytes.CutSuffix(local, m.id)
	return ok && of && len(m.id) > 0 && (string(rest) == "<" || bytes.HasSuffix(rest, []byte(".")))
}

// known notes the sender and Message-ID that a report gives of its message, which has no
// arrival.
func (m *message) known(r *parsers.Record) {
	if r.HasSender && !m.hasSender {
		m.hasSender, m.sender = true, append(m.sender[:0], r.Sender...)
		m.setSenderDomain()
	}
	m.messageID = append(m.messageID[:0], r.MessageID...)
}

// accept counts that a message came into the queue, at the first line with its sender:
// Postfix's "queue active", Exim's "<=", Exchange's RECEIVE. For a roaming message the
// earliest such line counts. Two kinds are not counted: a message that a content filter
// handed back came into the queue before, and one with records before its first such line
// came into the queue before the log began.
func (t *Tracker) accept(m *message, r *parsers.Record, now int64) error {
	switch {
	case m.refiltered:
		return nil
	case !m.accepted && m.heard && !m.roaming:
		return nil
	case m.accepted && !(m.roaming && now < m.acceptedAt):
		return nil
	}
	t.countAccepted(m, -1)
	own := m.own && !m.roaming || r.Own || len(r.BounceOf) > 0
	t.series = store.SeriesKey{
		Format:   m.format.Name,
		Host:     r.Host,
		Instance: m.instance,
		Sender:   m.senderDomain,
		Own:      own,
	}
	series, err := t.w.Series(&t.series)
	if err != nil {
		return err
	}
	m.accepted, m.acceptedIn, m.acceptedAt, m.expects = true, series, now, int64(r.Recipients)
	m.submission = m.submission[:0]
	if !own {
		m.submission = appendSubmission(m.submission, m, r)
	}
	t.countAccepted(m, 1)
	return nil
}

// countAccepted adds a message to the accepted ones, or with n = -1 takes it back.
func (t *Tracker) countAccepted(m *message, n int64) {
	if !m.accepted {
		return
	}
	c := store.Counts{Accepted: n, Expected: n * m.expects}
	if m.heard {
		c.Heard = n
	}
	t.w.Count(m.acceptedIn, m.acceptedAt, c)
	if len(m.submission) > 0 {
		var by [5][]byte // the fifth field, the size, exists since schema 5
		rest := m.submission
		for i := range by {
			by[i], rest, _ = bytes.Cut(rest, []byte{0})
		}
		size := parsers.Number(by[4])
		t.volume(m.acceptedAt, by[0], store.Volume{Measure: store.AcceptedMail, N: n, Bytes: n * size})
		t.row.submission = store.Submission{
			Time:       m.acceptedAt,
			Host:       by[0],
			Sender:     by[1],
			Account:    by[2],
			Client:     by[3],
			Messages:   n,
			Recipients: n * m.expects,
			Bytes:      n * size,
			Address:    m.sender,
		}
		t.w.AddSubmission(&t.row.submission)
	}
}

// appendSubmission appends who submitted a message: the host that took it, the sender's
// domain, the account, the client and the size, separated by NUL bytes. For a roaming
// message, it takes the values of the record.
func appendSubmission(b []byte, m *message, r *parsers.Record) []byte {
	account, client, ip, size := m.account, m.client, m.clientIP, m.size
	if m.roaming {
		account, client, ip, size = r.Account, r.Client, r.ClientIP, r.Size
	}
	if len(client) == 0 {
		client = ip
	}
	for _, s := range [...][]byte{r.Host, m.senderDomain, account} {
		b = append(append(b, s...), 0)
	}
	return strconv.AppendInt(append(append(b, client...), 0), size, 10)
}

// hear notes that a further record of an accepted message has arrived.
func (t *Tracker) hear(m *message) {
	if m.heard {
		return
	}
	m.heard = true
	if m.accepted {
		t.w.Count(m.acceptedIn, m.acceptedAt, store.Counts{Heard: 1})
	}
}

// link finds, when m came from this host itself, the message with the same Message-ID
// from which a content filter made m.
func (t *Tracker) link(m *message) error {
	if m.roaming {
		return nil
	}
	if !m.reinjected {
		t.index(m)
		return nil
	}
	before, err := t.namesake(m)
	if err != nil {
		return err
	}
	if before != nil {
		before.filtered, m.refiltered = true, true
		t.touch(before)
	}
	t.index(m)
	return nil
}

// namesake returns another open message with the Message-ID of m on the same host, or
// nil.
func (t *Tracker) namesake(m *message) (*message, error) {
	if other := t.ids[t.idKey(m)]; other != nil && other != m && sameID(other, m) && !other.over(t.newest) {
		return other, nil
	}
	if t.listed[hashID(m)] == 0 {
		return nil, nil
	}
	keys, err := t.w.OpenMessagesWith(hashID(m))
	if err != nil {
		return nil, err
	}
	var found *message
	for _, k := range keys {
		other, err := t.lookup(k)
		if err != nil {
			return nil, err
		}
		if other != nil && other != m && sameID(other, m) {
			found = other
		}
	}
	return found, nil
}

// hashID returns the hash by which the store finds messages with a Message-ID (FNV-1a of
// host and id); 0 without a Message-ID.
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

// sameID reports whether two messages have the same Message-ID on the same host.
func sameID(a, b *message) bool {
	return bytes.Equal(a.messageID, b.messageID) && bytes.Equal(a.host, b.host)
}

// idKey returns the key of t.ids for m's Message-ID. Two different Message-IDs have the
// same key once in 2^64 times; then the older message is not found.
func (t *Tracker) idKey(m *message) uint64 {
	t.idkey = append(append(append(t.idkey[:0], m.host...), 0), m.messageID...)
	return maphash.Bytes(t.seed, t.idkey)
}

func (t *Tracker) index(m *message) {
	if len(m.messageID) > 0 && !m.roaming {
		t.ids[t.idKey(m)] = m
	}
}

// begins reports whether an Arrival is the first line of another message than m: a client
// submits a message once, before any attempt.
func begins(m *message, r *parsers.Record) bool {
	return len(m.recipients) > 0 && (len(r.Client) > 0 || len(r.ClientIP) > 0 || r.Reinjected)
}
