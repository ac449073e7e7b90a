// Package ses reads the events of Amazon SES, one JSON object each.
//
// SES is a service: the source of the facts is its developer guide (contents and
// examples of notifications and of event data).
//
// # Events
//
//	{"eventType":"Bounce","mail":{"timestamp":"2026-11-22T06:40:00.012Z","messageId":"0100…-000000",
//	 "source":"a@snd.example","destination":["b@far.example"],"commonHeaders":{"messageId":"<1@snd.example>"}},
//	 "bounce":{"bounceType":"Permanent","bounceSubType":"General","timestamp":"2026-11-22T06:40:02.669Z",
//	 "bouncedRecipients":[{"emailAddress":"b@far.example","action":"failed","status":"5.1.1",
//	 "diagnosticCode":"smtp; 550 5.1.1 user unknown"}],"reportingMTA":"dns; a8-70.smtp-out.amazonses.com"}}
//
// Notifications have notificationType instead. Events may be on a line each (Data
// Firehose), over many lines, in an array, in the Message of SNS, in the Body of an
// SQS message, or in the detail of EventBridge. They come in any order.
//
// # Missing from the events
//
// SES publishes only the kinds that the configuration selects: without Send and
// Delivery no rate of failures can be computed. It does not send DeliveryDelay for each
// attempt. Of the next hop only the IP address is known, if at all, and the stage of a
// failure is unknown.
package ses

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/jsonline"
	"mailfail/parsers/table"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:   "ses",
		MTA:    "ses",
		Native: true,
		Scope:  "ses",
		Claim:  claim,
		New:    New,
	})
}

// claim returns Mine for JSON that contains the fields of an event: an event, or a list
// of events.
func claim(e *parsers.Entry) parsers.Claim {
	line := e.Message
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return parsers.NotMine
	}
	if bytes.Contains(line, []byte(`"mail"`)) && bytes.Contains(line, []byte(`"messageId"`)) &&
		(bytes.Contains(line, []byte(`"eventType"`)) || bytes.Contains(line, []byte(`"notificationType"`))) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// A parser reads events. It keeps nothing between them.
type parser struct {
	list  jsonline.Scanner
	json  jsonline.Scanner
	item  jsonline.Scanner // for a recipient
	event event
	rec   parsers.Record
	emit  func(*parsers.Record)

	arrival parsers.Record
}

// New returns a parser of events.
func New(parsers.Options) parsers.Parser { return &parser{} }

// event holds the values of an event.
type event struct {
	kind []byte

	// From the object mail.
	sent, id, source, sourceIP, caller, messageID []byte
	destination                                   []byte // JSON of an array of addresses

	// From the object with the name of the event.
	at, recipients      []byte // recipients is the JSON of an array
	reply, text         []byte
	bounceType, subType []byte
	reporter, remoteIP  []byte
	millis              int64
}

// Parse reads one event, or an array of events; it returns the worst of their results.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	if !parsers.Has(e.Message, "[") {
		return p.one(e.Message)
	}
	p.list.Reset(e.Message)
	return p.list.Each(p.one)
}

// one reads an event.
func (p *parser) one(line []byte) parsers.Result {
	p.event = event{}
	p.json.Reset(line)
	p.object()
	if !p.json.OK() || len(p.event.kind) == 0 || len(p.event.id) == 0 {
		return parsers.Unparsed
	}
	return p.record()
}

// object reads the event, or the object of EventBridge around it.
func (p *parser) object() {
	s := &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "eventType", "notificationType":
			p.event.kind = s.Text()
		case "mail":
			p.mail()
		case "bounce", "delivery", "deliveryDelay", "reject", "failure", "complaint":
			p.details()
		case "detail":
			p.object()
		default:
			s.Skip()
		}
	}
}

func (p *parser) mail() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "timestamp":
			v.sent = s.Text()
		case "messageId":
			v.id = s.Text()
		case "source":
			v.source = addressOf(s.Text())
		case "sourceIp":
			v.sourceIP = s.Text()
		case "callerIdentity":
			v.caller = s.Text()
		case "destination":
			v.destination = s.Raw()
		case "commonHeaders":
			for key := s.Object(); key != nil; key = s.Key() {
				if string(key) == "messageId" {
					v.messageID = s.Text()
				} else {
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
}

// details reads the object with the name of the event.
func (p *parser) details() {
	v, s := &p.event, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "timestamp":
			v.at = s.Text()
		case "bouncedRecipients", "delayedRecipients", "complainedRecipients", "recipients":
			v.recipients = s.Raw()
		case "smtpResponse":
			v.reply = s.Text()
		case "reason", "errorMessage", "complaintFeedbackType":
			v.text = s.Text()
		case "bounceType", "delayType":
			v.bounceType = s.Text()
		case "bounceSubType":
			v.subType = s.Text()
		case "reportingMTA":
			v.reporter = s.Text()
		case "remoteMtaIp":
			v.remoteIP = s.Text()
		case "processingTimeMillis":
			v.millis = s.Number()
		default:
			s.Skip()
		}
	}
}

// record emits the records of an event.
func (p *parser) record() parsers.Result {
	switch string(p.event.kind) {
	case "Send":
		return p.send()
	case "Delivery":
		p.begin()
		p.rec.Outcome, p.rec.Reply = registry.OutcomeDelivered, registry.ParseReply(p.event.reply)
		return p.each(p.event.recipients)
	case "DeliveryDelay":
		p.begin()
		p.rec.Outcome = registry.OutcomeDeferred
		return p.each(p.event.recipients)
	case "Bounce":
		p.begin()
		p.rec.Outcome = registry.OutcomeFailed
		return p.each(p.event.recipients)
	case "Reject", "Rendering Failure":
		p.begin()
		r := &p.rec
		r.Outcome, r.Reply.Text = registry.OutcomeFailed, p.event.text
		r.Stage, r.Source = registry.StageRoute, registry.SourceLocal
		return p.each(p.event.destination)
	case "Complaint":
		return p.complaint()
	case "Open", "Click", "Subscription":
		return parsers.Irrelevant
	case "AmazonSnsSubscriptionSucceeded":
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

// complaint reads a complaint that the provider of recipients passed on. The event
// names all recipients of the message at that provider.
func (p *parser) complaint() parsers.Result {
	p.begin()
	s, r := &p.json, &p.rec
	r.Kind, r.Delay, r.Reply.Text = parsers.Complaint, -1, p.event.text
	result := parsers.Unparsed
	s.Enter(p.event.recipients)
	for more := len(p.event.recipients) > 0 && s.Array(); more; more = s.Element() {
		p.item.Reset(s.Raw())
		for key := p.item.Object(); key != nil; key = p.item.Key() {
			if string(key) != "emailAddress" {
				p.item.Skip()
				continue
			}
			r.Address = addressOf(p.item.Text())
			p.emit(r)
			result = parsers.Understood
		}
	}
	return result
}

// begin resets the record to an attempt and sets the fields that all records of an
// event have.
func (p *parser) begin() {
	v, r := &p.event, &p.rec
	r.Reset()
	r.Kind = parsers.Attempt
	sent := table.Time(v.sent, nil)
	if r.Time = table.Time(v.at, nil); r.Time.IsZero() {
		r.Time = sent
	} else if !sent.IsZero() {
		r.Delay = max(0, r.Time.Sub(sent))
	}
	if v.millis > 0 {
		r.Delay = time.Duration(v.millis) * time.Millisecond
	}
	r.ID, r.MessageID, r.RelayIP = v.id, v.messageID, v.remoteIP
	r.HasSender, r.Sender = len(v.source) > 0, v.source
}

// send reads that SES accepted a message.
func (p *parser) send() parsers.Result {
	p.begin()
	p.rec.Kind, p.rec.Delay = parsers.Expected, -1
	return p.each(p.event.destination)
}

// cameIn emits the Arrival of the message: every event contains its fields, and other
// events may come before Send.
func (p *parser) cameIn() {
	v, s, r := &p.event, &p.json, &p.arrival
	r.Reset()
	r.Kind, r.ID, r.MessageID = parsers.Arrival, v.id, v.messageID
	r.HasSender, r.Sender, r.ClientIP, r.Account = len(v.source) > 0, v.source, v.sourceIP, v.caller
	if r.Time = table.Time(v.sent, nil); r.Time.IsZero() || !r.HasSender {
		return
	}
	s.Enter(v.destination)
	for more := len(v.destination) > 0 && s.Array(); more; more = s.Element() {
		s.Skip()
		r.Recipients++
	}
	p.emit(r)
}

// each emits the record for each recipient of an array: addresses, or objects with the
// reply of the remote server.
func (p *parser) each(recipients []byte) parsers.Result {
	s, r := &p.json, &p.rec
	if len(recipients) == 0 {
		return parsers.Unparsed
	}
	result := parsers.Unparsed
	p.cameIn()
	at := r.Reply
	s.Enter(recipients)
	for more := s.Array(); more; more = s.Element() {
		r.Reply = at
		p.recipient()
		if len(r.Address) > 0 {
			p.emit(r)
			result = parsers.Understood
		}
	}
	return result
}

// recipient reads an address, or an object.
func (p *parser) recipient() {
	s, r := &p.json, &p.rec
	raw := s.Raw()
	if len(raw) == 0 || raw[0] != '{' {
		p.item.Reset(raw)
		r.Address = addressOf(p.item.Text())
		return
	}
	var status, diagnostic []byte
	r.Address = nil
	p.item.Reset(raw)
	for key := p.item.Object(); key != nil; key = p.item.Key() {
		switch string(key) {
		case "emailAddress":
			r.Address = addressOf(p.item.Text())
		case "status":
			status = p.item.Text()
		case "diagnosticCode":
			diagnostic = p.item.Text()
		default:
			p.item.Skip()
		}
	}
	p.failure(status, diagnostic)
}

// failure sets the reply and the cause for a recipient that failed.
func (p *parser) failure(status, diagnostic []byte) {
	v, r := &p.event, &p.rec
	r.MTAStatus, _ = registry.ScanEnhanced(status)
	r.Stage, r.Source = registry.StageUnknown, registry.SourceRemote
	r.Reply = registry.ParseReply(withoutType(diagnostic))
	switch {
	case bytes.HasPrefix(v.subType, []byte("Suppressed")),
		bytes.HasPrefix(v.subType, []byte("OnAccountSuppressionList")):
		r.Stage, r.Source, r.Reply = registry.StageRoute, registry.SourceLocal,
			registry.Reply{Text: diagnostic}
	case r.Reply.Code == 0:
		r.Stage, r.Source = originOf(diagnostic, v.bounceType)
	}
	if len(r.Reply.Text) == 0 {
		r.Reply.Text = v.bounceType
		if len(v.subType) > 0 && string(v.subType) != "General" {
			r.Reply.Text = v.subType
		}
	}
	if r.Outcome == registry.OutcomeFailed {
		r.Final = registry.StatePending
		if string(v.bounceType) == "Transient" && r.MTAStatus.Class != 5 && r.Reply.Code/100 != 5 {
			r.Final = registry.StateExpired
		}
	}
}
