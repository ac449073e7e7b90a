// Package sendmail reads the syslog lines of sendmail 8.9 to 8.18.
//
// The sources of the facts are the Sendmail Installation and Operation Guide
// (section "The System Log"), known messages of sendmail, public logs, and runs of
// Debian's sendmail against a server whose answers are known.
//
// # Lines
//
// A line has a queue id, a colon, and fields of the form NAME=VALUE separated by
// commas ("to=<a@x>,<b@x>, delay=00:00:01, …, stat=Sent (ok)"), or free text.
// sendmail cuts a line that is too long for syslog in pieces, see pieces. It writes a
// list of recipients that is too long in several whole lines, each but the last with
// the word "[more]".
//
// # Missing from the log
//
// At its usual log level (9) sendmail does not log the end of a message, which ends
// with its last recipient. It never logs the stage at which a server answered, and
// before version 8.16 (reply=) it logs its own summary ("User unknown", "Service
// unavailable") instead of a server's permanent reply.
//
// # The submission hop
//
// The submission program (sendmail, sm-msp-queue) passes mail of local users to the
// daemon on the same host, which gives it another id. That hop is not a delivery: the
// recipient is handed over.
package sendmail

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:  "sendmail",
		MTA:   "sendmail",
		Claim: claim,
		New:   New,
	})
}

// claim returns Mine for the lines of sendmail's programs.
func claim(e *parsers.Entry) parsers.Claim {
	switch string(e.Program) {
	case "sendmail", "sm-mta", "sm-msp", "sm-msp-queue", "sm-client", "sendmail-client",
		"sm-acceptingconnections", "sm-queue":
		return parsers.Mine
	}
	return parsers.NotMine
}

// A parser reads the lines of sendmail. It keeps the pieces of incomplete lines.
type parser struct {
	pieces pieces
	rec    parsers.Record
	emit   func(*parsers.Record)
}

// New returns a parser of sendmail's lines.
func New(parsers.Options) parsers.Parser { return &parser{} }

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	id, part, text := splitID(e.Message)
	if part == 0 {
		return p.line(id, text)
	}
	whole, result := p.pieces.add(id, part, text)
	if whole == nil {
		return result
	}
	return p.line(id, whole)
}

// noQueue stands in place of the queue id in lines that concern no message.
const noQueue = "NOQUEUE"

// splitID splits "ID: text", and "ID[2]: text", the second part of a long line. part
// is 0 for a whole line; id is nil for a line without a queue id.
func splitID(b []byte) (id []byte, part int, text []byte) {
	n := 0
	for n < len(b) && n < 24 && parsers.IsAlnum(b[n]) {
		n++
	}
	switch rest := b[n:]; {
	case !isID(b[:n]):
	case parsers.Has(rest, ": "):
		return b[:n], 0, rest[2:]
	case parsers.Has(rest, "["):
		i := bytes.IndexByte(rest, ']')
		if i < 2 || i > 4 || !parsers.Has(rest[i:], "]: ") {
			break
		}
		if part, ok := parsers.Digits(rest[1:i]); ok && part > 0 {
			return b[:n], part, rest[i+3:]
		}
	}
	return nil, 0, bytes.TrimPrefix(b, []byte(noQueue+": "))
}

// isID reports whether b is a queue id: jA9J1UvC004306 since 8.10 (the time, and
// the process id in six digits or more), SAA01234 before.
func isID(b []byte) bool {
	digits := 0
	for i := len(b) - 1; i >= 0 && parsers.IsDigit(b[i]); i-- {
		digits++
	}
	return len(b) >= 8 && digits >= 5 && digits < len(b)
}

// line reads a whole line about the message with the given id, or about no message
// when id is nil.
func (p *parser) line(id, text []byte) parsers.Result {
	p.rec.Reset()
	p.rec.ID = id
	switch {
	case id != nil && parsers.Has(text, "to="):
		return p.delivery(text)
	case id != nil && parsers.Has(text, "from="):
		return p.arrival(text)
	case parsers.Has(text, "ruleset="):
		return p.ruleset(text)
	case parsers.Has(text, "Milter"), parsers.Has(text, "milter="):
		return p.milter(text)
	case parsers.Has(text, "AUTH=server, "):
		return p.login(text)
	case parsers.Has(text, "STARTTLS=client, "), parsers.Has(text, "STARTTLS=server, "):
		return p.encrypted(text)
	case parsers.Has(text, "AUTH failure ("):
		p.rec.ID, p.rec.Direction = nil, registry.DirectionIncoming
		p.send(parsers.Noted)
		return parsers.Understood
	case parsers.Has(text, "SYSERR"):
		return p.syserr(text)
	}
	if id != nil && p.aboutMessage(text) || p.refused(text) || p.warned(text) {
		return parsers.Understood
	}
	if id != nil {
		return parsers.Understood // sendmail writes many remarks about messages
	}
	return parsers.Irrelevant
}

// encrypted reads "STARTTLS=client, relay=mx.x., version=TLSv1.3, verify=OK, cipher=…",
// and the same line with STARTTLS=server for incoming mail.
func (p *parser) encrypted(text []byte) parsers.Result {
	_, version, ok := bytes.Cut(text, []byte(", version="))
	if !ok {
		return understoodIf(p.warned(text) || p.rec.ID != nil)
	}
	p.rec.ID, p.rec.Direction, p.rec.TLS = nil, registry.DirectionOutgoing, version
	if parsers.Has(text, "STARTTLS=server") {
		p.rec.Direction = registry.DirectionIncoming
	}
	p.send(parsers.Noted)
	return parsers.Understood
}

// understoodIf returns Understood or Irrelevant.
func understoodIf(is bool) parsers.Result {
	if is {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// send emits the record as one of the given kind.
func (p *parser) send(kind parsers.Kind) {
	p.rec.Kind = kind
	p.emit(&p.rec)
}

// settle emits the record as Settled with a final state.
func (p *parser) settle(state registry.State) {
	p.rec.Settle(state)
	p.emit(&p.rec)
}

// aboutMessage reads the lines without fields that change a message:
//
//	NEWID: DSN: User unknown
//	NEWID: return to sender: Cannot send message for 5 days
//	NEWID: sender notify: Warning: could not send message for past 4 hours
//	NEWID: clone: owner=list-owner
//	discarded
//	done; delay=00:00:01, ntries=1     (from log level 11 on)
func (p *parser) aboutMessage(text []byte) bool {
	switch {
	case string(text) == "discarded":
		p.settle(registry.StateRemoved)
		p.end()
		return true
	case parsers.Has(text, "done; "):
		p.end()
		return true
	}
	id, part, why := splitID(text)
	if id == nil || part != 0 || !parsers.HasAny(why, notices) {
		return false
	}
	r := &p.rec
	if bytes.Contains(why, []byte(": Cannot send message for ")) {
		r.Reply.Text = why
		p.settle(registry.StateExpired)
		r.Reply.Text, r.Final = nil, 0
	}
	r.ID, r.BounceOf, r.Own = id, r.ID, true
	p.send(parsers.Arrival)
	return true
}

// notices are the beginnings of the texts about a message that sendmail generated to
// report on another message.
var notices = []string{"DSN: ", "return to sender: ", "sender notify: ", "postmaster notify: ",
	"Postmaster notify: "}

// end emits the end of the message, without the other fields of the record.
func (p *parser) end() {
	id := p.rec.ID
	p.rec.Reset()
	p.rec.ID = id
	p.send(parsers.End)
}
