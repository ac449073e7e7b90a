package store

import (
	"fmt"
	"hash/fnv"
	"mailfail/registry"
	"strings"
	"time"
)

// Event describes a failing attempt or a rejection.
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
	Client   registry.Foreign // the client that brought the message in, or that was refused
	ClientIP registry.Foreign

	Outcome    string // "deferred", "failed", "rejected"
	Stage      registry.Stage
	Source     registry.Source
	Reply      int    // 0 none
	Enhanced   string // "" none
	MTAStatus  string // "" none
	Reason     string
	Rule       string
	DecidedBy  registry.DecidedBy  `json:",omitempty"` // the evidence for the reason
	Confidence registry.Confidence `json:",omitempty"` // how certain the reason is
	Signature  registry.Foreign
	Text       registry.Foreign
	Delay      time.Duration    // since arrival, negative unknown
	Times      int64            // how often the line was logged; 1 for an attempt
	Line       registry.Foreign // as logged; set only while the log is followed
}

// Code returns the reply code and the enhanced code of e.
func (e *Event) Code() string { return Code(e.Reply, e.Enhanced) }

// OutcomeNames lists the outcomes of failing attempts and rejections.
var OutcomeNames = []string{"deferred", "failed", "rejected"}

// Code joins a reply code (0 none) and an enhanced code ("" none), as in "550 5.1.1".
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

// Contact identifies the contact with a next hop that e was part of: a refused connection,
// greeting, EHLO, STARTTLS, AUTH, MAIL or message is logged for each recipient, with the
// same text within the same second. Each refused RCPT counts as a separate contact, since
// the log does not report which ones shared a contact.
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

// SenderDomain returns the domain under which the sender of e is counted, as in SeriesKey:
// "<>" for the null sender, "" unknown.
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
