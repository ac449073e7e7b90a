// Package mailgun reads the events of Mailgun, one JSON object each.
//
// Mailgun is a service: the source of the facts is its documentation (event structure,
// event types, webhook payloads).
//
// # Events
//
//	{"event":"failed","severity":"permanent","reason":"bounce","timestamp":1795329600.25,
//	 "recipient":"b@far.example","envelope":{"sender":"a@snd.example","sending-ip":"192.0.2.9"},
//	 "message":{"headers":{"message-id":"1@snd.example"},"size":341},
//	 "delivery-status":{"code":550,"enhanced-code":"5.1.1","message":"5.1.1 no such user",
//	 "mx-host":"mx.far.example","attempt-no":1}}
//
// Webhooks have the event as event-data beside a signature; the events API has many as
// items of an object. Events may come in any order. The Message-ID identifies the
// message.
//
// # Missing from the events
//
// Mailgun sends only the kinds that a webhook or a query selects. It does not report
// the stage of a failure.
package mailgun

import (
	"bytes"
	"strconv"

	"mailfail/parsers"
	"mailfail/parsers/jsonline"
	"mailfail/parsers/table"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:   "mailgun",
		MTA:    "mailgun",
		Native: true,
		Scope:  "mailgun",
		Claim:  claim,
		New:    New,
	})
}

// claim returns Mine for JSON that contains the fields of every event: an event, an
// event as event-data, or a list of events.
func claim(e *parsers.Entry) parsers.Claim {
	line := e.Message
	if len(line) == 0 || line[0] != '{' && line[0] != '[' || !bytes.Contains(line, []byte(`"event"`)) {
		return parsers.NotMine
	}
	if bytes.Contains(line, []byte(`"log-level"`)) && bytes.Contains(line, []byte(`"timestamp"`)) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// A parser reads events. It keeps nothing between them.
type parser struct {
	list  jsonline.Scanner
	json  jsonline.Scanner
	event event
	text  []byte // memory of the reply
	id    []byte
	rec   parsers.Record
	emit  func(*parsers.Record)

	arrival parsers.Record
}

// New returns a parser of events.
func New(parsers.Options) parsers.Parser { return &parser{} }

// event holds the values of an event; at is its time.
type event struct {
	kind, severity, reason, at        []byte
	recipient, sender, clientIP, user []byte
	messageID, host                   []byte
	size, code                        int64
	enhanced, words, description      []byte
}

// Parse reads one event, or a list of events.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	if parsers.Has(e.Message, "[") {
		p.list.Reset(e.Message)
		return p.list.Each(p.one)
	}
	result := p.one(e.Message)
	if result == parsers.Unparsed && p.answer(e.Message) {
		return p.list.Each(p.one)
	}
	return result
}

// answer sets p.list to the events in an answer of the API, and returns false when line
// is not such an answer.
func (p *parser) answer(line []byte) bool {
	p.list.Reset(line)
	for key := p.list.Object(); key != nil; key = p.list.Key() {
		if string(key) == "items" {
			items := p.list.Raw()
			p.list.Reset(items)
			return parsers.Has(items, "[")
		}
		p.list.Skip()
	}
	return false
}

// one reads an event.
func (p *parser) one(line []byte) parsers.Result {
	p.event = event{}
	p.json.Reset(line)
	p.object()
	if !p.json.OK() || len(p.event.kind) == 0 {
		return parsers.Unparsed
	}
	return p.record()
}

// object reads the event, or the object of a webhook around it.
func (p *parser) object() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "event-data":
			p.object()
		case "event":
			v.kind = s.Text()
		case "severity":
			v.severity = s.Text()
		case "reason":
			v.reason = s.Text()
		case "timestamp":
			v.at = s.Text()
		case "recipient":
			v.recipient = s.Text()
		case "envelope":
			p.envelope()
		case "originating-ip":
			v.clientIP = s.Text()
		case "authenticated-as":
			v.user = s.Text()
		case "message":
			p.message()
		case "delivery-status":
			p.status()
		case "reject":
			p.reject()
		default:
			s.Skip()
		}
	}
}

func (p *parser) envelope() {
	s := &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		if string(key) == "sender" {
			p.event.sender = s.Text()
		} else {
			s.Skip()
		}
	}
}

func (p *parser) message() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "headers":
			for key := s.Object(); key != nil; key = s.Key() {
				if string(key) == "message-id" {
					v.messageID = bytes.Trim(s.Text(), "<> ")
				} else {
					s.Skip()
				}
			}
		case "size":
			v.size = s.Number()
		default:
			s.Skip()
		}
	}
}

func (p *parser) status() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "code":
			v.code = s.Number()
		case "enhanced-code":
			v.enhanced = s.Text()
		case "message":
			v.words = s.Text()
		case "description":
			v.description = s.Text()
		case "mx-host":
			v.host = s.Text()
		default:
			s.Skip()
		}
	}
}

func (p *parser) reject() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "reason":
			v.words = s.Text()
		case "description":
			v.description = s.Text()
		default:
			s.Skip()
		}
	}
}

// record emits the record of an event.
func (p *parser) record() parsers.Result {
	v, r := &p.event, &p.rec
	r.Reset()
	if r.Time = table.Time(v.at, nil); r.Time.IsZero() {
		return parsers.Unparsed
	}
	switch string(v.kind) {
	case "accepted":
		r.Kind = parsers.Expected
		return p.send()
	case "delivered":
		r.Outcome, r.Reply = registry.OutcomeDelivered, p.reply()
		return p.attempt()
	case "failed":
		r.Outcome = registry.OutcomeFailed
		if string(v.severity) == "temporary" {
			r.Outcome = registry.OutcomeDeferred
		}
		p.failure()
		return p.attempt()
	case "rejected":
		return p.rejection()
	case "complained":
		return p.complaint()
	case "opened", "clicked", "unsubscribed", "stored", "list_member_uploaded",
		"list_member_upload_error", "list_uploaded", "email_validation":
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

// send emits the record of the event's recipient, after the Arrival of the message.
// Mailgun has an event for each recipient.
func (p *parser) send() parsers.Result {
	v, r := &p.event, &p.rec
	if len(v.recipient) == 0 || len(v.messageID) == 0 {
		return parsers.Unparsed
	}
	p.id = append(append(append(p.id[:0], '<'), v.messageID...), '>')
	r.ID, r.MessageID, r.Address = v.messageID, p.id, v.recipient
	r.HasSender, r.Sender = len(v.sender) > 0, v.sender
	p.cameIn()
	p.emit(r)
	return parsers.Understood
}

// cameIn emits the Arrival of the message: its event may come later, or not at all.
func (p *parser) cameIn() {
	v, from, r := &p.event, &p.rec, &p.arrival
	r.Reset()
	r.Kind, r.Time, r.ID, r.MessageID = parsers.Arrival, from.Time, from.ID, from.MessageID
	r.HasSender, r.Sender = from.HasSender, from.Sender
	r.ClientIP, r.Account, r.Size = v.clientIP, v.user, v.size
	if r.HasSender {
		p.emit(r)
	}
}

// complaint reads that a recipient marked the mail as spam.
func (p *parser) complaint() parsers.Result {
	v, r := &p.event, &p.rec
	if len(v.recipient) == 0 || len(v.messageID) == 0 {
		return parsers.Unparsed
	}
	p.id = append(append(append(p.id[:0], '<'), v.messageID...), '>')
	r.Kind, r.ID, r.MessageID, r.Address, r.Reply.Text = parsers.Complaint, v.messageID, p.id,
		v.recipient, abuse
	r.HasSender, r.Sender = len(v.sender) > 0, v.sender
	p.emit(r)
	return parsers.Understood
}

// abuse is the type of complaints (RFC 5965).
var abuse = []byte("abuse")

func (p *parser) attempt() parsers.Result {
	r := &p.rec
	r.Kind, r.Relay = parsers.Attempt, p.event.host
	if e, n := registry.ScanEnhanced(p.event.enhanced); n == len(p.event.enhanced) {
		r.MTAStatus = e
	}
	return p.send()
}

// failure sets the reply, the stage and the source of a failure. Codes that SMTP does
// not have, and 498 and 499, are Mailgun's own.
func (p *parser) failure() {
	v, r := &p.event, &p.rec
	if string(v.reason) == "old" {
		r.Final = registry.StateExpired
	}
	if v.code >= 200 && v.code < 600 && v.code != 498 && v.code != 499 {
		r.Source, r.Reply = registry.SourceRemote, p.reply()
		return
	}
	r.Reply.Text = v.words
	if len(r.Reply.Text) == 0 {
		r.Reply.Text = v.description
	}
	r.Stage, r.Source = originOf(r.Reply.Text, v.reason)
	if len(r.Reply.Text) == 0 {
		r.Reply.Text = v.reason
	}
}

// reply joins the code, the enhanced code and the message: the message seldom contains
// the code.
func (p *parser) reply() registry.Reply {
	v := &p.event
	words := v.words
	if len(words) == 0 {
		words = v.description
	}
	if v.code < 200 || v.code > 599 {
		return registry.Reply{Text: words}
	}
	p.text = strconv.AppendInt(p.text[:0], v.code, 10)
	if bytes.HasPrefix(words, p.text) {
		return registry.ParseReply(words)
	}
	b := append(p.text, ' ')
	if len(v.enhanced) > 0 && !bytes.HasPrefix(words, v.enhanced) {
		b = append(append(b, v.enhanced...), ' ')
	}
	p.text = append(b, words...)
	return registry.ParseReply(p.text)
}

// rejection reads that Mailgun refused a message.
func (p *parser) rejection() parsers.Result {
	v, r := &p.event, &p.rec
	r.Kind, r.Address = parsers.Rejection, v.recipient
	r.HasSender, r.Sender, r.ClientIP = len(v.sender) > 0, v.sender, v.clientIP
	r.Stage, r.Source, r.Reply.Text = registry.StageEndOfData, registry.SourceLocal, v.words
	if len(v.description) > 0 {
		r.Reply.Text = v.description
	}
	p.emit(r)
	return parsers.Understood
}

// originOf returns the stage and the source of a failure without a reply.
func originOf(text, reason []byte) (registry.Stage, registry.Source) {
	has := func(words string) bool { return bytes.Contains(text, []byte(words)) }
	switch {
	case bytes.HasPrefix(reason, []byte("suppress")):
		return registry.StageRoute, registry.SourceLocal
	case has("MX"), has("DNS"), has("resolve"):
		return registry.StageDNS, registry.SourceDNS
	case has("TLS"), has("ertificate"):
		return registry.StageSTARTTLS, registry.SourceTLS
	case has("onnect"), has("timed out"), has("imeout"):
		return registry.StageConnect, registry.SourceNetwork
	}
	return registry.StageRoute, registry.SourceLocal
}
