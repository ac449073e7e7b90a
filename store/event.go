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
	Host     string
	Instance string
	Service  string

	Message   string // queue id, "" when the message got none
	MessageID string // of the header, "" unknown
	Sender    string // "" is the null sender
	HasSender bool   // Sender is known
	Recipient string
	Domain    string
	Direction string // of DirectionNames

	Relay    string // next hop; a rejection has none
	IP       string // its address
	Provider string
	Account  string // who submitted the message: SASL login, local user; "" unknown
	Client   string // that brought the message in, or was refused
	ClientIP string

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
	Signature  string
	Text       string
	Delay      time.Duration // since arrival, negative unknown
	Times      int64         // that the line was logged; of attempts 1
	Line       string        // as the log has it; known only while it is followed
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

// Contact identifies the contact with a next hop that e was part of: a refused
// connection, greeting, EHLO, STARTTLS, AUTH, MAIL or message is logged for
// each recipient, with the same text within the same second. A refused RCPT
// is a contact of its own, since the log does not tell.
func (e *Event) Contact() string {
	key := []string{fmt.Sprint(e.Time.Unix()), e.Format, e.Host, e.Instance, e.Message, e.Relay, e.IP, e.Stage.String(), e.Outcome, e.Text}
	if e.Stage == registry.StageRcpt || e.Outcome == "rejected" {
		key = append(key, e.Recipient)
	}
	h := fnv.New64a()
	h.Write([]byte(strings.Join(key, "\x00")))
	return fmt.Sprintf("%016x", h.Sum64())
}

// senderDomain is what the sender of e is counted under, see SeriesKey.
func (e *Event) senderDomain() string {
	switch {
	case !e.HasSender:
		return ""
	case e.Sender == "":
		return "<>"
	}
	return strings.ToLower(e.Sender[strings.LastIndexByte(e.Sender, '@')+1:])
}
