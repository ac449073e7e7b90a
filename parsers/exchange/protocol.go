package exchange

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// The columns of SMTP protocol logs ("Protocol logging in Exchange Server").
const (
	protoTime = iota
	protoConnector
	protoSession
	protoSequence
	protoLocal
	protoRemote
	protoEvent
	protoData
	protoContext
	protoWidth
)

const protocolFields = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"

// protocol reads the rows of SMTP protocol logs. In a send log this server is
// the client (>) and the other server answers (<); in a receive log the other side
// is the client (<).
type protocol struct {
	sessions
	ownHost  []byte
	receives bool // it is a receive log

	clock clock
	rec   parsers.Record

	// The session of the row being read, and the function for its records.
	x    *session
	emit func(*parsers.Record)
}

// withoutData returns a row of a protocol log up to the data column, which may
// contain a password; nil for a line that does not begin like a row.
func withoutData(line []byte) []byte {
	if !isTime(line) {
		return nil
	}
	end := 0
	for range protoData {
		i := bytes.IndexByte(line[end:], ',')
		if i < 0 {
			return line
		}
		end += i + 1
	}
	return line[:end]
}

// withoutSecret returns the part of an open row that may be kept; its last line begins
// at start. When the data of a client may be a password, that is the row up to the
// data, and the verb if it is AUTH. Later lines that look like rows or headers stay,
// because they may be separate rows.
func (p *protocol) withoutSecret(row []byte, start int) []byte {
	begin := withoutData(row)
	said := bytes.TrimPrefix(row[len(begin):], []byte(`"`))
	event := field(row, protoEvent)
	if len(event) != 1 || !p.isClient(event[0]) {
		return row
	}
	for _, verb := range [...]string{"MAIL", "RCPT", "EHLO", "HELO", "DATA", "BDAT", "RSET", "STARTTLS",
		"XPROXY", "XPROXYFROM"} {
		if hasVerb(said, verb) {
			return row
		}
	}
	if line := row[start:]; start > 0 {
		if isTime(line) || bytes.HasPrefix(line, []byte{'#'}) {
			return row
		}
		return row[:start]
	}
	if begin == nil {
		begin = append(bytes.Repeat([]byte{','}, protoEvent), event[0], ',')
	}
	begin = append(begin[:len(begin):len(begin)], '"')
	if hasVerb(said, "AUTH") {
		begin = append(begin, "AUTH "...)
	}
	return begin
}

func (p *protocol) header(names [][]byte) bool {
	return string(bytes.Join(names, []byte(","))) == protocolFields
}

func (p *protocol) row(fields [][]byte, emit func(*parsers.Record)) parsers.Result {
	if len(fields) != protoWidth || len(fields[protoEvent]) != 1 || len(fields[protoSession]) == 0 {
		return parsers.Unparsed
	}
	when, ok := p.clock.read(fields[protoTime])
	if !ok || bytes.IndexByte([]byte("+-><*"), fields[protoEvent][0]) < 0 {
		return parsers.Unparsed
	}
	p.reach(p.clock.day())
	p.rec.Reset()
	p.rec.Time = when
	if p.x = p.session(fields); p.x == nil {
		if !p.receives {
			p.notConnected(fields, emit)
		}
		return parsers.Understood
	}
	p.emit = emit
	p.about(fields)
	p.event(fields)
	p.x, p.emit = nil, nil
	return parsers.Understood
}

// session returns the session of a row. A new session begins with the row of the
// connection or, when that is in another file, with a command of the client; it
// returns nil for an answer when the session is unknown.
func (p *protocol) session(fields [][]byte) *session {
	event, id := fields[protoEvent][0], fields[protoSession]
	if event == '+' {
		return p.get(id)
	}
	if p.isClient(event) || event == '*' && len(messageID(fields[protoContext])) > 0 {
		x := p.get(id)
		x.greeted = x.greeted || p.isClient(event)
		return x
	}
	return p.find(id)
}

// isClient reports whether an event is a line that the client of the session sent.
func (p *protocol) isClient(event byte) bool {
	return event == '<' && p.receives || event == '>' && !p.receives
}

// about sets the record's fields that every row of a session has.
func (p *protocol) about(fields [][]byte) {
	r, x, connector := &p.rec, p.x, fields[protoConnector]
	r.Host, r.Service = p.ownHost, connector
	ip := hostOf(fields[protoRemote])
	if !p.receives {
		r.RelayIP = ip
		x.hop = x.hop || isInternalConnector(connector)
		return
	}
	if r.ClientIP = ip; len(x.client) > 0 {
		r.ClientIP = x.client
	}
	if i := bytes.IndexByte(connector, '\\'); i > 0 {
		r.Host = connector[:i] // EX01\Default Frontend EX01
		x.hop = x.hop || bytes.HasPrefix(connector[i+1:], []byte("Outbound Proxy Frontend"))
	}
}

func (p *protocol) event(fields [][]byte) {
	x, data := p.x, fields[protoData]
	switch event := fields[protoEvent][0]; {
	case event == '+':
		x.greeted = false
	case event == '*':
		p.remark(fields[protoContext])
	case event == '-':
		x.endReply(p)
		p.lost()
		p.ended()
		p.close(x)
	case p.isClient(event):
		x.endReply(p)
		p.command(data, fields[protoSequence])
	default:
		x.hear(data, p)
	}
}

// remark reads a row in which Exchange comments on the session.
func (p *protocol) remark(context []byte) {
	if id := messageID(context); len(id) > 0 {
		p.x.coming = append(p.x.coming[:0], id...)
	}
	if contains(context, "TLS negotiation failed") || contains(context, "ertificate validation fail") {
		p.x.fail(registry.StageSTARTTLS, registry.SourceTLS, context)
	}
}

// notConnected emits a Connection for a failure to connect, which has no session:
//
//	Failed to connect. Winsock error code: 10061, …, Destination domain: example.org, Error Message: …
//	Failed connection to 198.51.100.157:25. Winsock error code: 10065
func (p *protocol) notConnected(fields [][]byte, emit func(*parsers.Record)) {
	context := fields[protoContext]
	if !bytes.HasPrefix(context, []byte("Failed to connect. ")) &&
		!bytes.HasPrefix(context, []byte("Failed connection to ")) {
		return
	}
	r := &p.rec
	r.Kind, r.Host, r.Service, r.RelayIP = parsers.Connection, p.ownHost, fields[protoConnector],
		hostOf(fields[protoRemote])
	r.Session = fields[protoSession]
	if _, domain, ok := bytes.Cut(context, []byte("Destination domain: ")); ok {
		r.Relay, _, _ = bytes.Cut(domain, []byte(","))
	}
	(&failure{registry.StageConnect, registry.SourceNetwork, context}).set(r)
	emit(r)
}

// ended emits the Connection of a session that has ended, in a send log.
func (p *protocol) ended() {
	if p.receives {
		return
	}
	r, x := &p.rec, p.x
	row := *r
	r.Reset() // the record holds the last recipient
	r.Kind, r.Time, r.Host, r.Service, r.RelayIP = parsers.Connection, row.Time, row.Host,
		row.Service, row.RelayIP
	r.Relay, r.Outcome, r.Messages = x.peer, registry.OutcomeDelivered, x.messages
	if !x.greeted {
		x.fail(registry.StageBanner, registry.SourceNetwork, nil)
	}
	if !x.used && x.failure.stage != registry.StageUnknown {
		r.Session = []byte(x.id)
		x.failure.set(r)
	}
	p.emit(r)
}

// messageID returns the id in "sending message with RecordId 1 and
// InternetMessageId <a@b>".
func messageID(context []byte) []byte {
	const begin, mark = "sending message", "InternetMessageId "
	if !bytes.HasPrefix(context, []byte(begin)) {
		return nil
	}
	_, id, _ := bytes.Cut(context, []byte(mark))
	return id
}

// command reads a line that the client of the session sent.
func (p *protocol) command(data, sequence []byte) {
	x := p.x
	if p.full() && p.open[x.id] != x {
		return
	}
	switch {
	case hasVerb(data, "MAIL"), hasVerb(data, "RSET"):
		p.lost()
		p.begin(x)
	case p.receives && (hasVerb(data, "EHLO") || hasVerb(data, "HELO")):
		x.peer = peerName(data)
	case p.receives && hasVerb(data, "XPROXYFROM"):
		x.hop = true // the frontend server has it in its own log
	case p.receives && hasVerb(data, "XPROXY"):
		x.submits(data)
	}
	switch p.say(x, data) {
	case cmdMail:
		p.setMessage(sequence)
	case cmdRcpt:
		if len(x.message) == 0 { // MAIL is in another file
			p.setMessage(sequence)
		}
	}
}

// setMessage sets the id of the transaction's message: the InternetMessageId, else
// the session and the number of the row.
func (p *protocol) setMessage(sequence []byte) {
	x := p.x
	x.message, x.named = append(x.message[:0], x.coming...), len(x.coming) > 0
	x.coming = x.coming[:0]
	if !x.named { // 2007 and 2010 do not log it
		x.message = append(append(append(x.message, x.id...), '/'), sequence...)
	}
}

func hasVerb(data []byte, verb string) bool {
	return len(data) >= len(verb) && isVerb(data[:len(verb)], verb) &&
		(len(data) == len(verb) || data[len(verb)] == ' ')
}

// answer reads a reply to the oldest command without one.
func (p *protocol) answer(text []byte) {
	x := p.x
	if !x.greeted {
		x.greeted = true
		p.greeting(text)
		return
	}
	command, ok := p.answered(x)
	if !ok {
		return // a server that closes the connection announces it without a command
	}
	refused := outcomeOf(text) != registry.OutcomeDelivered
	if !p.receives {
		p.note(command.command, text, refused)
	}
	switch command.command {
	case cmdHello:
		if !p.receives && !refused && len(x.peer) == 0 {
			x.peer = serverName(text)
		}
	case cmdMail:
		if refused {
			p.refuseMail(text)
		}
	case cmdRcpt:
		p.answerRcpt(command.index, text)
	case cmdData:
		if text[0] == '3' {
			p.ask(x, cmdLast, 0) // the message, and its answer
			return
		}
		p.answerMessage(text, registry.StageData)
	case cmdChunk:
		if refused {
			p.answerMessage(text, registry.StageData)
		}
	case cmdLast:
		p.answerMessage(text, registry.StageEndOfData)
	}
}

// greeting reads the first reply of a session. A refusal here concerns no recipient:
// a receive log counts it as a rejection, a send log as a failed connection.
func (p *protocol) greeting(text []byte) {
	switch welcome := outcomeOf(text) == registry.OutcomeDelivered; {
	case welcome && !p.receives:
		p.x.peer = serverName(text)
	case welcome:
	case p.receives:
		p.report(nil, text, registry.StageConnect)
	default:
		p.x.fail(registry.StageBanner, registry.SourceRemote, text)
	}
}

// note keeps a refusal in a send log that may be the reason why the connection ends.
// A success at the same stage clears it: HELO may work where EHLO did not (RFC 5321
// section 3.2).
func (p *protocol) note(c command, text []byte, refused bool) {
	x, stage := p.x, registry.StageUnknown
	switch {
	case c == cmdHello:
		stage = registry.StageEHLO
	case c == cmdTLS:
		stage = registry.StageSTARTTLS
	case c == cmdAuth, c == cmdOther && isAuthReply(text):
		stage = registry.StageAuth
	case c == cmdMail:
		stage = registry.StageMail
	}
	switch {
	case stage == registry.StageUnknown:
	case refused:
		if stage == registry.StageAuth { // the text may repeat the credentials
			reply := registry.ParseReply(text)
			text = []byte(registry.Code(reply.Code, reply.Enhanced))
		}
		x.fail(stage, registry.SourceRemote, text)
	case x.failure.stage == stage:
		x.failure = failure{}
	}
}

// isAuthReply reports whether a reply refuses the credentials that follow AUTH
// (RFC 4954 section 6).
func isAuthReply(text []byte) bool {
	return len(text) >= 3 && (string(text[:3]) == "535" || string(text[:3]) == "534" ||
		string(text[:3]) == "538")
}

// refuseMail reports that MAIL was refused: a send log has a failure of every
// recipient that the client sent without waiting (pipelining), a receive log one
// rejection.
func (p *protocol) refuseMail(text []byte) {
	p.x.refused = true
	if p.receives {
		p.report(nil, text, registry.StageMail)
		return
	}
	for i := range p.x.recipients {
		p.settle(&p.x.recipients[i], text, registry.StageMail)
	}
}

func (p *protocol) answerRcpt(index int, text []byte) {
	x := p.x
	if x.refused || index < 0 || index >= len(x.recipients) {
		return // 503 5.5.2 Need mail command
	}
	r := &x.recipients[index]
	switch {
	case r.state != asked:
	case outcomeOf(text) != registry.OutcomeDelivered:
		p.settle(r, text, registry.StageRcpt)
	default:
		r.state = accepted
	}
}

// answerMessage settles every accepted recipient with the answer to the message.
func (p *protocol) answerMessage(text []byte, stage registry.Stage) {
	taken := false
	for i := range p.x.recipients {
		if r := &p.x.recipients[i]; r.state == accepted {
			taken = outcomeOf(text) == registry.OutcomeDelivered
			p.settle(r, text, stage)
		}
	}
	if taken {
		p.x.messages++
	}
}

// lost settles the recipients of a transaction that ends without an answer: in a
// send log each is a temporary failure without a reply.
func (p *protocol) lost() {
	if p.receives {
		return
	}
	for i := range p.x.recipients {
		p.settle(&p.x.recipients[i], nil, registry.StageUnknown)
	}
}

// settle reports the outcome for a recipient, once.
func (p *protocol) settle(r *recipient, text []byte, stage registry.Stage) {
	if r.state == settled {
		return
	}
	r.state = settled
	if !p.receives || outcomeOf(text) != registry.OutcomeDelivered {
		p.report(r.address, text, stage)
	}
}

// report emits an attempt in a send log, a rejection in a receive log. text is nil
// when there was no reply.
func (p *protocol) report(address, text []byte, stage registry.Stage) {
	r, x := &p.rec, p.x
	if x.hop {
		return
	}
	r.HasSender, r.Sender = x.hasSender, x.sender
	if p.receives {
		r.Kind, r.Client, r.Source = parsers.Rejection, x.peer, registry.SourceLocal
	} else {
		p.tell()
		r.Kind, r.Relay, r.Source = parsers.Attempt, x.peer, registry.SourceRemote
	}
	r.Address, r.Outcome, r.Stage = address, outcomeOf(text), stage
	r.Reply = registry.ParseReply(text)
	switch {
	case text == nil:
		r.Source = registry.SourceNetwork
	case r.Outcome == registry.OutcomeDelivered:
		r.Stage, r.Source, r.Reply = 0, 0, registry.Reply{}
	}
	p.emit(r)
}

// tell sets the record's message, and emits its Arrival once.
func (p *protocol) tell() {
	r, x := &p.rec, p.x
	r.ID = x.message
	if x.told {
		return
	}
	x.told = true
	r.Kind, r.Size, r.MessageID = parsers.Arrival, x.size, nil
	if x.named {
		r.MessageID = x.message
	}
	relay := r.RelayIP
	r.RelayIP = nil
	p.emit(r)
	r.RelayIP = relay
}
