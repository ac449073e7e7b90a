// Package haraka reads the log of Haraka 2.8 to 3.3 in its three formats, and the
// files of its accounting_files plugin.
//
// The sources of the facts are Haraka's source and a run of Haraka 3.3.4 against a
// server on loopback whose answers are known. The form of accounting files is from the
// source of the plugin (1.0.7).
//
// # Lines
//
// A line has a time if log.ini enables timestamps, a level, the id of the connection,
// transaction or outbound message, the part of the server, and text:
//
//	2026-11-29T22:09:39.3Z [NOTICE] [080C45BD-….1] [core] recipient <b@far.example> code=OK msg="" sender=a@snd.example
//	2026-11-29T22:09:39.4Z [NOTICE] [080C45BD-….1] [core] queue code=CONT msg="Message Queued (080C45BD-….1)"
//	2026-11-29T22:09:39.5Z [NOTICE] [080C45BD-….1.1] [outbound] recipient <b@far.example> rejected: 550 5.1.1 no such user
//	2026-11-29T22:09:39.6Z [INFO] [080C45BD-….1.1] [outbound] bouncing mail: Some recipients failed: <b@far.example>
//	2026-11-29T22:09:39.6Z [NOTICE] [080C45BD-….1.1] [outbound]  delivered file=… domain=far.example host=mx.far.example ip=192.0.2.25 … rcpts=1/0/0
//
// The id of a transaction is that of its connection and a number. Haraka makes one
// outbound message for each domain of the recipients, and numbers them in the order of
// the domains. It reports deliveries for the domain, so the parser keeps the
// recipients of transactions that are not finished.
//
// # Missing from the log
//
// The log level must be info. Haraka does not log the recipients of its own bounces,
// nor the next hop of a failure. With always_split or without the beginning of a
// transaction, the parser cannot assign deliveries to recipients.
package haraka

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/table"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:  "haraka",
		MTA:   "haraka",
		Claim: claim,
		New:   New,
	})
}

// claim returns Mine for lines of Haraka's form, from any program: without Haraka's
// syslog plugin the name of the program can be anything.
func claim(e *parsers.Entry) parsers.Claim {
	if _, ok := split(e, nil); ok {
		return parsers.Mine
	}
	return parsers.NotMine
}

// line is a line of the log in its parts.
type line struct {
	time            time.Time
	native          bool // without a header of syslog
	id, origin, msg []byte
}

var levels = []string{
	"[NOTICE]", "[INFO]", "[WARN]", "[ERROR]", "[CRIT]", "[ALERT]", "[EMERG]", "[DEBUG]",
	"[PROTOCOL]", "[DATA]",
}

// split splits a line into its parts; ok is false for a line that Haraka did not
// write. In a line that begins with a time, the reader of syslog takes the level for
// the host. Without s, split checks only the beginning of a line in logfmt or JSON.
func split(e *parsers.Entry, s *structured) (l line, ok bool) {
	b := e.Message
	switch {
	case e.Program == nil && len(e.Host) > 0 && e.Host[0] == '[':
		if !parsers.HasAny(e.Host, levels) {
			return l, false
		}
		l.native, l.time = true, e.Time
	case isLevelAsHost(e):
		l.native, l.time = true, e.Time
		return l, s == nil || s.read(b, &l) && isID(l.id)
	case len(b) > 25 && parsers.IsDigit(b[0]):
		stamp, rest, _ := bytes.Cut(b, []byte(" "))
		if l.time = stampOf(stamp); l.time.IsZero() {
			return l, false
		}
		l.native, b = e.Program == nil, rest
		fallthrough
	default:
		if isStructured(b) {
			l.native = e.Program == nil
			return l, s == nil || s.read(b, &l) && isID(l.id)
		}
		if len(b) == 0 || b[0] != '[' || !parsers.HasAny(b, levels) {
			return l, false
		}
		_, b, _ = bracketed(b)
	}
	var ok1, ok2 bool
	l.id, b, ok1 = bracketed(b)
	l.origin, b, ok2 = bracketed(b)
	l.msg = bytes.TrimSpace(b)
	return l, ok1 && ok2 && isID(l.id)
}

func isID(id []byte) bool { return string(id) == "-" || connectionLen(id) > 0 }

// bracketed splits off "[WORD] ".
func bracketed(b []byte) (word, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return nil, b, false
	}
	i := bytes.IndexByte(b, ']')
	if i < 0 {
		return nil, b, false
	}
	return b[1:i], bytes.TrimPrefix(b[i+1:], []byte(" ")), true
}

// stampOf reads 2026-11-29T22:09:39.526Z; it is zero for anything else.
func stampOf(b []byte) time.Time {
	if len(b) != len("2026-11-29T22:09:39.526Z") || b[10] != 'T' || b[19] != '.' || b[23] != 'Z' {
		return time.Time{}
	}
	return table.Time(b, nil)
}

const uuidLen = len("080C45BD-B367-4666-9646-345B23FDFC5B")

// connectionLen returns the length of the connection's id at the beginning of b, 0
// when there is none.
func connectionLen(b []byte) int {
	if len(b) < uuidLen || b[8] != '-' || b[13] != '-' || b[18] != '-' || b[23] != '-' {
		return 0
	}
	if len(b) > uuidLen && b[uuidLen] != '.' {
		return 0
	}
	return uuidLen
}

// transactionOf splits the id of an outbound message into the id of its transaction
// and its number, from 1; 0 for a bounce that Haraka generated.
func transactionOf(id []byte) (transaction []byte, n int) {
	if connectionLen(id) == 0 || len(id) == uuidLen {
		return id, 0
	}
	i := bytes.IndexByte(id[uuidLen+1:], '.')
	if i < 0 {
		return id, 0
	}
	i += uuidLen + 1
	n, ok := parsers.Digits(id[i+1:])
	if !ok {
		n = 0
	}
	return id[:i], n
}

// A parser reads Haraka's log.
type parser struct {
	host []byte // of native lines
	open transactions
	line line
	rec  parsers.Record
	emit func(*parsers.Record)

	structured
}

// New returns a parser of Haraka's log.
func New(o parsers.Options) parsers.Parser { return &parser{host: []byte(o.Host)} }

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	var ok bool
	if p.line, ok = split(e, &p.structured); !ok {
		return parsers.Irrelevant // a stack trace, or the output of a library
	}
	p.reset()
	switch string(p.line.origin) {
	case "core":
		return p.core()
	case "outbound":
		return p.outbound()
	}
	return parsers.Irrelevant
}

// reset begins a record.
func (p *parser) reset() {
	p.rec.Reset()
	p.rec.Time = p.line.time
	if p.line.native {
		p.rec.Host = p.host
	}
}

// core reads a line about incoming mail.
func (p *parser) core() parsers.Result {
	word, rest, _ := bytes.Cut(p.line.msg, []byte(" "))
	id := p.line.id
	switch string(word) {
	case "connect":
		p.open.get(id).client = append(p.open.get(id).client[:0], value(rest, "ip=")...)
	case "disconnect":
		p.open.disconnect(id[:min(len(id), uuidLen)])
	case "sender":
		return p.sender(rest)
	case "recipient":
		return p.recipient(rest)
	case "message":
		return p.message(rest)
	case "queue":
		return p.queue(rest)
	}
	return parsers.Irrelevant
}

// begin returns the transaction of the line, with the client of its connection.
func (p *parser) begin() *transaction {
	id := p.line.id
	x := p.open.get(id)
	if len(x.client) == 0 && len(id) > uuidLen {
		if c := p.open.find(id[:uuidLen]); c != nil {
			x.client = append(x.client, c.client...)
		}
	}
	return x
}

// sender reads: <a@snd.example> code=OK msg=""
func (p *parser) sender(b []byte) parsers.Result {
	address, rest := addressOf(b)
	if address == nil {
		return parsers.Unparsed
	}
	if isRefused(value(rest, "code=")) {
		return p.refused(registry.StageMail, address, nil, rest)
	}
	x := p.begin()
	x.sender = append(x.sender[:0], address...)
	x.recipients, x.queued = x.recipients[:0], false
	return parsers.Irrelevant
}

// recipient reads: <b@far.example> code=OK msg="" sender=a@snd.example
func (p *parser) recipient(b []byte) parsers.Result {
	address, rest := addressOf(b)
	if len(address) == 0 {
		return parsers.Unparsed
	}
	x := p.begin()
	if isRefused(value(rest, "code=")) {
		return p.refused(registry.StageRcpt, x.sender, address, rest)
	}
	x.add(address)
	return parsers.Irrelevant
}

// message reads: mid=<1@snd.example> size=82 rcpts=1/0/0 delay=0 code=CONT msg=""
func (p *parser) message(b []byte) parsers.Result {
	x := p.begin()
	x.messageID = append(x.messageID[:0], value(b, "mid=")...)
	x.size = parsers.Number(value(b, "size="))
	if isRefused(value(b, "code=")) {
		return p.refused(registry.StageEndOfData, x.sender, nil, b)
	}
	return parsers.Irrelevant
}

// queue reads the result of queueing: CONT passes the message to outbound, and a line
// with OK follows. With OK alone a plugin took the message.
func (p *parser) queue(b []byte) parsers.Result {
	code := value(b, "code=")
	x := p.open.find(p.line.id)
	switch {
	case isRefused(code):
		return p.refused(registry.StageEndOfData, p.begin().sender, nil, b)
	case x == nil || len(x.recipients) == 0 || x.queued:
		return parsers.Irrelevant
	}
	x.queued = true
	p.about(x)
	r := &p.rec
	r.ClientIP, r.MessageID, r.Size, r.Recipients = x.client, x.messageID, x.size, len(x.recipients)
	p.send(parsers.Arrival)
	p.reset()
	p.about(x)
	for i := range x.recipients {
		r.Address = x.recipients[i].address
		p.send(parsers.Expected)
	}
	if string(code) == "OK" {
		p.reset()
		r.ID = x.id
		r.Settle(registry.StateHandedOver)
		p.emit(r)
		p.open.close(p.line.id)
	}
	return parsers.Understood
}

// about sets the message of a record.
func (p *parser) about(x *transaction) {
	p.rec.ID, p.rec.HasSender, p.rec.Sender = x.id, true, x.sender
}

// isRefused reports whether the code of a hook is a refusal.
func isRefused(code []byte) bool { return parsers.Has(code, "DENY") }

// refused emits a Rejection by this server.
func (p *parser) refused(stage registry.Stage, sender, address, fields []byte) parsers.Result {
	r := &p.rec
	r.Stage, r.Source = stage, registry.SourceLocal
	r.HasSender, r.Sender, r.Address = true, sender, address
	if x := p.begin(); len(x.client) > 0 {
		r.ClientIP = x.client
	}
	r.Reply = registry.ParseReply(value(fields, "msg="))
	if r.Reply.Code == 0 {
		r.Reply.Code = 550
		if parsers.Has(value(fields, "code="), "DENYSOFT") {
			r.Reply.Code = 450
		}
	}
	p.send(parsers.Rejection)
	return parsers.Understood
}

func (p *parser) send(kind parsers.Kind) {
	p.rec.Kind = kind
	p.emit(&p.rec)
}
