// Package kumomta reads the log records of KumoMTA, one JSON object a line.
//
// KumoMTA writes them in segments compressed with zstd, without a suffix; the
// reader of files recognizes these by their first bytes. The authors could not run a
// server: the sources of the facts are the documentation (docs.kumomta.com, "Log
// Record") and the definition of the record in KumoMTA's source. The parser cannot
// read records that a template of log_parameters formats, because they are not JSON.
//
// # Lines
//
//	{"type":"Bounce","id":"1d98076abbbc11ed940250ebf67f93bd","sender":"a@snd.example",
//	 "recipient":"b@far.example","queue":"campaign:tenant@far.example","site":"src->mx.far.example",
//	 "size":1047,"response":{"code":550,"enhanced_code":{"class":5,"subject":1,"detail":1},
//	 "content":"no such user","command":"RCPT TO:<b@far.example>"},
//	 "peer_address":{"name":"mx.far.example.","addr":"192.0.2.25"},
//	 "timestamp":1795329600,"created":1795329590,"num_attempts":0, …}
//
// A message has one recipient, or several with batching, and keeps its id in all of
// its records. meta and headers contain the values that the configuration selects: the
// parser reads the Message-ID and the account (authn_id) from them.
//
// # Missing from the log
//
// The log of a node whose per_record settings disable a type lacks these events.
// A record without a peer does not show how far an attempt came.
//
// # Bounces that came in
//
// KumoMTA writes OOB for each recipient that a report of RFC 3464 calls failed, where
// log_oob accepts such mail. By KumoMTA's source the fields are those of the report: id
// is the report's own, sender is its recipient (the sender of the returned message),
// recipient the original one, the peer's name the server that reports, timestamp the
// time of that server's last attempt. So only the headers In-Reply-To and References of
// the report name the returned message, where its writer set them and the configuration
// of the log selects them. Without them the parser cannot assign the bounce to mail of a
// log. Where the report has no diagnostic of SMTP, KumoMTA writes the code 550 itself,
// and the parser ignores it; before a diagnostic without a code the parser cannot
// distinguish it from the code of a server.
package kumomta

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/jsonline"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:       "kumomta",
		MTA:        "kumomta",
		Native:     true,
		Claim:      claim,
		New:        New,
		HasBounces: true,
	})
}

// claim returns Mine for an object with KumoMTA's fields.
func claim(e *parsers.Entry) parsers.Claim {
	line := e.Message
	if len(line) == 0 || line[0] != '{' {
		return parsers.NotMine
	}
	for _, field := range claimed {
		if !bytes.Contains(line, field) {
			return parsers.NotMine
		}
	}
	return parsers.Mine
}

// claimed are fields that every version writes. No other log has all of them.
var claimed = [][]byte{[]byte(`"queue"`), []byte(`"num_attempts"`), []byte(`"bounce_classification"`),
	[]byte(`"site"`)}

// A parser reads the records of KumoMTA. It keeps nothing between them.
type parser struct {
	json jsonline.Scanner
	line line
	text []byte // memory of the reply
	host []byte // the server that sent a bounce, in lower case
	rec  parsers.Record
	emit func(*parsers.Record)

	arrival parsers.Record
}

// New returns a parser of KumoMTA's records.
func New(parsers.Options) parsers.Parser { return &parser{} }

// line is a log record as it was written.
type line struct {
	kind, id, sender             []byte
	recipient                    []byte // JSON of a string or an array
	messageID, account, protocol []byte
	repliesTo, references        []byte // headers of a report: Message-IDs
	peer, peerIP                 []byte
	tls                          []byte
	code, size, created          int64
	enhanced                     registry.Enhanced
	content, command, timestamp  []byte

	complaint, reporter []byte // type of the complaint, and the server that reports it
	complainedOf        []byte // sender of the message
	complainedID        []byte // Message-ID of the message
	complainants        []byte // JSON of an array of recipients
}

// Parse reads one record.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	p.json.Reset(e.Message)
	p.line = line{}
	for key := p.json.Object(); key != nil; key = p.json.Key() {
		p.field(key)
	}
	if !p.json.OK() || len(p.line.kind) == 0 {
		return parsers.Unparsed
	}
	return p.record()
}

// field reads the value of a field of the record.
func (p *parser) field(key []byte) {
	l, s := &p.line, &p.json
	switch string(key) {
	case "type":
		l.kind = s.Text()
	case "id":
		l.id = s.Text()
	case "sender":
		l.sender = s.Text()
	case "recipient":
		l.recipient = s.Raw()
	case "size":
		l.size = s.Number()
	case "response":
		p.response()
	case "peer_address":
		p.peer()
	case "timestamp":
		l.timestamp = s.Text()
	case "created":
		l.created = s.Number()
	case "tls_protocol_version":
		l.tls = s.Text()
	case "reception_protocol":
		l.protocol = s.Text()
	case "feedback_report":
		p.report()
	case "headers", "meta":
		p.extra()
	default:
		s.Skip()
	}
}

func (p *parser) response() {
	l, s := &p.line, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "code":
			l.code = s.Number()
		case "enhanced_code":
			l.enhanced = p.enhanced()
		case "content":
			l.content = s.Text()
		case "command":
			l.command = s.Text()
		default:
			s.Skip()
		}
	}
}

// enhanced reads the parts of an enhanced code; it returns zero for a code that RFC
// 3463 does not allow.
func (p *parser) enhanced() (code registry.Enhanced) {
	s := &p.json
	var class, subject, detail int64
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "class":
			class = s.Number()
		case "subject":
			subject = s.Number()
		case "detail":
			detail = s.Number()
		default:
			s.Skip()
		}
	}
	if class != 2 && class != 4 && class != 5 || subject > 999 || detail > 999 {
		return registry.Enhanced{}
	}
	return registry.Enhanced{Class: uint8(class), Subject: uint16(subject), Detail: uint16(detail)}
}

func (p *parser) peer() {
	l, s := &p.line, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "name":
			l.peer = bytes.TrimSuffix(s.Text(), []byte("."))
		case "addr":
			l.peerIP = s.Text()
		default:
			s.Skip()
		}
	}
}

// report reads the complaint in a record of the type Feedback (RFC 5965).
func (p *parser) report() {
	l, s := &p.line, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch string(key) {
		case "feedback_type":
			l.complaint = s.Text()
		case "original_mail_from":
			l.complainedOf = s.Text()
		case "original_rcpt_to", "original_rcpto_to": // as the documentation spells it
			l.complainants = s.Raw()
		case "reporting_mta":
			for key := s.Object(); key != nil; key = s.Key() {
				if string(key) == "name" {
					l.reporter = s.Text()
				} else {
					s.Skip()
				}
			}
		case "original_message":
			l.complainedID = messageIDOf(s.Text())
		default:
			s.Skip()
		}
	}
}

// messageIDOf returns the Message-ID in the header of a message, nil for none.
func messageIDOf(message []byte) []byte {
	for len(message) > 0 {
		line, rest, _ := bytes.Cut(message, []byte("\n"))
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			return nil
		}
		const name = "message-id:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name):])
		}
		message = rest
	}
	return nil
}

// extra reads the headers and meta values that the configuration selects.
func (p *parser) extra() {
	l, s := &p.line, &p.json
	for key := s.Object(); key != nil; key = s.Key() {
		switch {
		case bytes.EqualFold(key, []byte("Message-ID")):
			l.messageID = bytes.TrimSpace(s.Text())
		case bytes.EqualFold(key, []byte("In-Reply-To")):
			l.repliesTo = s.Text()
		case bytes.EqualFold(key, []byte("References")):
			l.references = s.Text()
		case string(key) == "authn_id":
			l.account = s.Text()
		default:
			s.Skip()
		}
	}
}

// record emits the record of a line.
func (p *parser) record() parsers.Result {
	l, r := &p.line, &p.rec
	r.Reset()
	r.Time = timeOf(l.timestamp)
	if string(l.protocol) == "LogRecord" {
		return parsers.Irrelevant // a record on its way to a webhook
	}
	switch string(l.kind) {
	case "Reception", "XferIn":
		return p.reception()
	case "Rejection":
		return p.rejection()
	case "Delivery":
		return p.attempt(registry.OutcomeDelivered)
	case "TransientFailure":
		return p.attempt(registry.OutcomeDeferred)
	case "Bounce":
		return p.attempt(registry.OutcomeFailed)
	case "Delay", "Delayed":
		return p.delay()
	case "Expiration":
		return p.settle(registry.StateExpired)
	case "AdminBounce":
		return p.settle(registry.StateRemoved)
	case "XferOut": // to another node, which logs the outcome
		return p.settle(registry.StateHandedOver)
	case "Feedback":
		return p.feedback()
	case "OOB":
		return p.outOfBand()
	case "AdminRebind", "DeferredInjectionRebind":
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

// outOfBand reads a bounce that came in. The id of the message is the Message-ID of the
// returned message, as in package bounces, else the id of the report.
func (p *parser) outOfBand() parsers.Result {
	l, r := &p.line, &p.rec
	if len(l.id) == 0 {
		return parsers.Unparsed
	}
	if r.MessageID = lastID(l.repliesTo); r.MessageID == nil {
		r.MessageID = lastID(l.references)
	}
	if r.ID = l.id; r.MessageID != nil {
		r.ID = bytes.Trim(r.MessageID, "<>")
	}
	r.HasSender, r.Sender = len(l.sender) > 0, bare(l.sender)
	if host, _, _ := bytes.Cut(l.peer, []byte(" ")); len(host) > 0 {
		p.host = parsers.AppendLower(p.host[:0], host)
		r.Host = p.host
	}
	p.diagnostic()
	r.ReportedByBounce()
	result := parsers.Irrelevant // until the record names a recipient
	p.eachRecipient(func(p *parser, address []byte) {
		if bytes.ContainsAny(address, " \t\n") {
			return
		}
		p.rec.Address, result = address, parsers.Understood
		p.emit(&p.rec)
	})
	return result
}

// diagnostic sets the reply that a bounce quotes, and its status. KumoMTA separates the
// code from the words of a reply of one line; for several lines the words contain both.
func (p *parser) diagnostic() {
	l, r := &p.line, &p.rec
	r.MTAStatus, l.enhanced = l.enhanced, registry.Enhanced{}
	switch {
	case len(l.content) == 0:
	case len(l.content) > 3 && l.content[3] == '-' && registry.ParseReply(l.content).Code != 0:
		r.Reply = registry.ParseReply(l.content)
	default:
		r.Reply = p.reply()
	}
}

// feedback reads a complaint of recipients. The peer is the server that sent the report.
func (p *parser) feedback() parsers.Result {
	l, r := &p.line, &p.rec
	if len(l.id) == 0 || len(l.complaint) == 0 {
		return parsers.Irrelevant // KumoMTA could not read the report
	}
	r.ID, r.MessageID = l.id, l.complainedID
	r.HasSender, r.Sender = len(l.complainedOf) > 0, bare(l.complainedOf)
	r.Relay, r.RelayIP, r.Reply.Text = l.reporter, l.peerIP, l.complaint
	if len(r.Relay) == 0 {
		r.Relay = l.peer
	}
	sent := false
	l.recipient = l.complainants
	p.eachRecipient(func(p *parser, address []byte) {
		p.rec.Address = address
		p.send(parsers.Complaint)
		sent = true
	})
	if !sent {
		p.send(parsers.Complaint)
	}
	return parsers.Understood
}

// reception reads a message that came in.
func (p *parser) reception() parsers.Result {
	l, r := &p.line, &p.rec
	if len(l.id) == 0 {
		return parsers.Unparsed
	}
	p.message()
	r.Account, r.Client, r.ClientIP, r.Size = l.account, l.peer, l.peerIP, l.size
	r.Reinjected = parsers.IsLoopback(l.peerIP) && string(l.protocol) != "HTTP"
	p.eachRecipient(func(p *parser, _ []byte) { p.rec.Recipients++ })
	r.Own = r.Reinjected && len(l.sender) == 0
	p.send(parsers.Arrival)
	at := r.Time
	r.Reset()
	r.Time = at
	p.message()
	p.eachRecipient(func(p *parser, address []byte) {
		p.rec.Address = address
		p.send(parsers.Expected)
	})
	return parsers.Understood
}

// rejection reads that the listener refused a command.
func (p *parser) rejection() parsers.Result {
	l, r := &p.line, &p.rec
	r.Client, r.ClientIP, r.Account = l.peer, l.peerIP, l.account
	r.HasSender, r.Sender = len(l.sender) > 0, bare(l.sender)
	r.Source, r.Stage = registry.SourceLocal, stageOf(l.command)
	r.Reply = p.reply()
	sent := false
	p.eachRecipient(func(p *parser, address []byte) {
		p.rec.Address = address
		p.send(parsers.Rejection)
		sent = true
	})
	if !sent {
		p.send(parsers.Rejection)
	}
	return parsers.Understood
}

// attempt reads the result of an attempt for the recipients.
func (p *parser) attempt(outcome registry.Outcome) parsers.Result {
	l, r := &p.line, &p.rec
	if len(l.id) == 0 {
		return parsers.Unparsed
	}
	p.queued()
	r.Outcome, r.Relay, r.RelayIP, r.TLS = outcome, l.peer, l.peerIP, l.tls
	p.failure(outcome != registry.OutcomeDelivered)
	return p.each(parsers.Attempt)
}

// delay reads that KumoMTA queued a message without an attempt.
func (p *parser) delay() parsers.Result {
	if len(p.line.id) == 0 {
		return parsers.Unparsed
	}
	p.queued()
	p.failure(true)
	return p.each(parsers.Suspended)
}

// settle reads the end of the recipients without an attempt.
func (p *parser) settle(state registry.State) parsers.Result {
	if len(p.line.id) == 0 {
		return parsers.Unparsed
	}
	p.queued()
	p.rec.Reply.Text = p.line.content
	p.rec.Final = state
	return p.each(parsers.Settled)
}

// message sets the fields that all records of a message have.
func (p *parser) message() {
	l, r := &p.line, &p.rec
	r.ID, r.HasSender, r.Sender, r.MessageID = l.id, true, bare(l.sender), l.messageID
}

// queued is message, and also sets the time since the message was created, in whole
// seconds.
func (p *parser) queued() {
	p.message()
	if r := &p.rec; p.line.created > 0 && !r.Time.IsZero() {
		r.Delay = max(0, r.Time.Sub(time.Unix(p.line.created, 0)).Truncate(time.Second))
	}
}

// internal begins the texts that KumoMTA writes instead of a reply.
const internal = "KumoMTA internal: "

// failure sets the reply, and the stage and the source when the attempt failed.
func (p *parser) failure(failed bool) {
	l, r := &p.line, &p.rec
	text, own := bytes.CutPrefix(l.content, []byte(internal))
	if !own {
		if r.Reply = p.reply(); failed && r.Reply.Code != 0 && len(l.peerIP) > 0 {
			r.Stage, r.Source = stageOf(l.command), registry.SourceRemote
		} else if failed {
			r.Stage, r.Source = originOf(l.content)
		}
		return
	}
	r.Reply.Text, r.MTAStatus = text, l.enhanced
	if failed {
		r.Stage, r.Source = originOf(text)
	}
}

// reply joins the parts of a server's reply.
func (p *parser) reply() registry.Reply {
	l := &p.line
	if l.code < 200 || l.code > 599 {
		return registry.Reply{Text: l.content}
	}
	b := append(p.text[:0], byte('0'+l.code/100), byte('0'+l.code/10%10), byte('0'+l.code%10), ' ')
	if !l.enhanced.IsZero() {
		b = append(appendEnhanced(b, l.enhanced), ' ')
	}
	p.text = append(b, l.content...)
	return registry.ParseReply(p.text)
}

// each emits the record for each recipient.
func (p *parser) each(kind parsers.Kind) parsers.Result {
	p.rec.Kind = kind
	result := parsers.Unparsed
	s := &p.json
	s.Enter(p.line.recipient)
	for more := s.Array(); more; more = s.Element() {
		if p.rec.Address = bare(s.Text()); len(p.rec.Address) > 0 {
			if result == parsers.Unparsed {
				p.cameIn()
			}
			p.emit(&p.rec)
			result = parsers.Understood
		}
	}
	return result
}

// cameIn emits the Arrival of the message: Reception may be in other files.
func (p *parser) cameIn() {
	from, r := &p.rec, &p.arrival
	r.Reset()
	r.Kind, r.ID, r.Time = parsers.Arrival, from.ID, from.Time
	r.HasSender, r.Sender, r.MessageID = true, from.Sender, from.MessageID
	if created := p.line.created; created > 0 {
		r.Time = time.Unix(created, 0).UTC()
	}
	p.emit(r)
}

// eachRecipient calls do with each recipient.
func (p *parser) eachRecipient(do func(p *parser, address []byte)) {
	s := &p.json
	if len(p.line.recipient) == 0 {
		return
	}
	s.Enter(p.line.recipient)
	for more := s.Array(); more; more = s.Element() {
		if address := bare(s.Text()); len(address) > 0 {
			do(p, address)
		}
	}
}

func (p *parser) send(kind parsers.Kind) {
	p.rec.Kind = kind
	p.emit(&p.rec)
}
