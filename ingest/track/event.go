package track

import (
	"time"

	"mailfail/parsers"
	"mailfail/store"
)

// Event is an attempt or a rejection, for those who watch.
type Event struct {
	Time                      time.Time
	Format, Host, Instance    string
	Service, Message          string
	MessageID                 string // of the header
	Sender, Recipient, Domain string
	HasSender                 bool
	Relay, IP, Provider       string
	Client, ClientIP          string // of a rejection, or that brought the message in
	Outcome                   string // delivered, deferred, failed, rejected
	Stage, Source             string
	Reply                     uint16
	Enhanced, MTAStatus       string
	Reason, Rule              string
	Signature, Text           string
	Delay                     time.Duration // negative when unknown
	Line                      string        // of the log, its last if there are several; set by package ingest
}

// observe tells the observer of an attempt of m, or of a rejection when m is
// nil. t.address is the recipient; cause is nil for what was delivered.
func (t *Tracker) observe(m *message, r *parsers.Record, cause *store.Cause) {
	if t.Observe == nil {
		return
	}
	e := &Event{Time: r.Time, Format: r.Format.Name, Host: store.Clean(string(r.Host)), Instance: store.Clean(string(r.Instance)),
		Service: store.Clean(string(r.Service)), Message: store.Clean(string(r.Message)), Recipient: store.Clean(string(t.address)),
		Domain: store.Clean(string(appendDomain(nil, t.address))), Relay: store.Clean(string(appendLower(nil, r.Relay))), IP: store.Clean(string(r.RelayIP)),
		Outcome: r.Outcome.String(), Stage: r.Stage.String(), Source: r.Source.String(), Reply: r.Reply.Code, Enhanced: r.Reply.Enhanced.String(),
		MTAStatus: r.MTAStatus.String(), Text: store.Clean(string(r.Reply.Text)), Delay: r.Delay}
	sender, client, clientIP := r.Sender, r.Client, r.ClientIP
	e.HasSender = r.HasSender
	if m == nil {
		e.Outcome = "rejected"
	} else {
		sender, client, clientIP, e.HasSender = m.sender, m.client, m.clientIP, m.hasSender
		e.MessageID = store.Clean(string(m.messageID))
	}
	e.Sender, e.Client, e.ClientIP = store.Clean(string(sender)), store.Clean(string(client)), store.Clean(string(clientIP))
	if cause != nil {
		e.Provider, e.Signature, e.Reason, e.Rule = cause.Provider, cause.Signature, string(cause.Reason), cause.Rule
	} else {
		e.Provider = t.w.ProviderName(e.Relay)
	}
	t.Observe(e)
}
