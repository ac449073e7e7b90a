package store

import (
	"fmt"
	"hash/fnv"
	"mailfail/registry"
	"strings"
	"time"
)

// Event is a failing attempt or a rejection with all that is known of it.
type Event struct {
	Time     time.Time
	Format   string
	MTA      string
	Host     registry.Foreign
	Instance registry.Foreign
	Service  registry.Foreign

	Message   registry.Foreign // queue id, "" when the message got none
	MessageID registry.Foreign // of the header, "" unknown
	Sender    registry.Foreign // "" is the null sender
	HasSender bool             // Sender is known
	Recipient registry.Foreign
	Domain    registry.Foreign
	Direction string // of DirectionNames

	Relay    registry.Foreign // next hop; a rejection has none
	IP       registry.Foreign // its address
	Provider registry.Foreign
	Account  registry.Foreign // who submitted the message: SASL login, local user; "" unknown
	Client   registry.Foreign // that brought the message in, or was refused
	ClientIP registry.Foreign

	Outcome    string // "deferred", "failed", "rejected"
	Stage      registry.Stage
	Source     registry.Source
	Reply      int    // 0 none
	Enhanced   string // "" none
	MTAStatus  string // "" none
	Reason     string
	Rule       string
	DecidedBy  registry.DecidedBy  `json:",omitempty"` // what the reason rests on
	Confidence registry.Confidence `json:",omitempty"` // how sure it is
	Signature  registry.Foreign
	Text       registry.Foreign
	Delay      time.Duration    // since arrival, negative unknown
	Times      int64            // that the line was logged; of attempts 1
	Line       registry.Foreign // as the log has it; known only while it is followed
}

// Code returns the reply code and the enhanced code of e.
func (e *Event) Code() string { return Code(e.Reply, e.Enhanced) }

// OutcomeNames lists what Event.Outcome may be.
var OutcomeNames = []string{"deferred", "failed", "rejected"}

// Code returns the code that a reply code, 0 for none, and an enhanced code make.
func Code(reply int, enhanced string) string {
	switch {
	case reply == 0:
		return enhanced
	case enhanced == "":
		return fmt.Sprint(reply)
	}
	return fmt.Sprint(reply) + " " + enhanced
}

// IsTemporary reports whether a rejection with these codes asked the client to try
// again later: by the reply code, or without one by the class of the enhanced code.
func IsTemporary(reply int, enhanced string) bool {
	if reply == 0 {
		return len(enhanced) > 0 && enhanced[0] == '4'
	}
	return reply/100 == 4
}

// Contact identifies the contact with a next hop that e was part of: a refused
// connection, greeting, EHLO, STARTTLS, AUTH, MAIL or message is logged for
// each recipient, with the same text within the same second. A refused RCPT
// is a contact of its own, since the log does not say.
func (e *Event) Contact() string {
	key := []string{
		fmt.Sprint(e.Time.Unix()), e.Format, e.Host.Raw(), e.Instance.Raw(), e.Message.Raw(),
		e.Relay.Raw(), e.IP.Raw(), e.Stage.String(), e.Outcome, e.Text.Raw(),
	}
	if e.Stage == registry.StageRcpt || e.Outcome == "rejected" {
		key = append(key, e.Recipient.Raw())
	}
	h := fnv.New64a()
	h.Write([]byte(strings.Join(key, "\x00")))
	return fmt.Sprintf("%016x", h.Sum64())
}

// SenderDomain is what the sender of e is counted under, see SeriesKey.
func (e *Event) SenderDomain() string {
	switch {
	case !e.HasSender:
		return ""
	case e.Sender == "":
		return "<>"
	}
	sender := e.Sender.Raw()
	return strings.ToLower(sender[strings.LastIndexByte(sender, '@')+1:])
}
