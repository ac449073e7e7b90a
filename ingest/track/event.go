package track

import (
	"mailfail/parsers"
	"mailfail/registry"
	"mailfail/store"
)

// twins finds lines that were already observed in another log with the same lines, see
// Record.Copy.
type twins map[uint64]int // by line hash: occurrences in the main log minus those in the copy

// maxTwins is more than the number of lines on their way between two logs.
const maxTwins = 10_000

// has reports whether the line of r was already observed in the other log.
func (t *twins) has(r *parsers.Record) bool {
	if r.LineHash == 0 {
		return false
	}
	if *t == nil || len(*t) > maxTwins {
		*t = twins{}
	}
	ahead, step := (*t)[r.LineHash], 1
	if r.Copy {
		step = -1
	}
	if ahead+step == 0 {
		delete(*t, r.LineHash)
	} else {
		(*t)[r.LineHash] = ahead + step
	}
	return ahead*step < 0
}

// observe passes an attempt of m to the observer, or a rejection when m is nil. t.address
// is the recipient; k is nil for a delivery.
func (t *Tracker) observe(m *message, r *parsers.Record, k *cause) {
	if t.Observe == nil {
		return
	}
	e := &store.Event{
		Time:      r.Time,
		Format:    r.Format.Name,
		MTA:       r.Format.MTA,
		Host:      foreign(r.Host),
		Instance:  foreign(r.Instance),
		Service:   foreign(r.Service),
		Message:   foreign(r.ID),
		Recipient: foreign(t.address),
		Domain:    foreign(appendDomain(nil, t.address)),
		Direction: r.Direction.String(),
		Relay:     foreign(appendLower(nil, r.Relay)),
		IP:        foreign(r.RelayIP),
		Outcome:   r.Outcome.String(),
		Stage:     r.Stage,
		Source:    r.Source,
		Reply:     int(r.Reply.Code),
		Enhanced:  r.Reply.Enhanced.String(),
		MTAStatus: r.MTAStatus.String(),
		Text:      registry.Foreign(said(r)),
		Delay:     r.Delay,
		Times:     1,
	}
	if e.Message == "NOQUEUE" {
		e.Message = ""
	}
	sender, client, clientIP := r.Sender, r.Client, r.ClientIP
	e.HasSender = r.HasSender
	if m == nil {
		e.Outcome, e.Direction = "rejected", registry.DirectionIncoming.String()
	} else {
		sender, client, clientIP, e.HasSender = m.sender, m.client, m.clientIP, m.hasSender
		e.MessageID, e.Account = foreign(m.messageID), foreign(m.account)
		if m.own && !m.roaming || r.Own {
			e.Direction = store.OwnDirection
		}
	}
	e.Sender, e.Client, e.ClientIP = foreign(sender), foreign(client), foreign(clientIP)
	if k != nil {
		e.Provider, e.Signature = registry.Foreign(k.Provider), registry.Foreign(k.Signature)
		e.Reason, e.Rule = string(k.Reason), k.Rule
		e.DecidedBy, e.Confidence = k.DecidedBy, k.Confidence
	} else {
		e.Provider = registry.Foreign(t.meaning.provider([]byte(e.Relay.Raw())))
	}
	t.Observe(e)
}

// foreign returns text of a log in the form in which it is shown and stored.
func foreign(text []byte) registry.Foreign { return registry.Foreign(store.Clean(string(text))) }
