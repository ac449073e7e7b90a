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

// twins finds lines that were observed in another log before, as Copy tells.
type twins map[uint64]int // how often a line was seen in the main log more than in the copy

// maxTwins is more lines than are on their way between two logs.
const maxTwins = 10_000

// has reports whether the line of r was observed in the other log.
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
