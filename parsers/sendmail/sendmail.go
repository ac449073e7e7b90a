// Package sendmail reads the syslog lines of sendmail 8.9 to 8.18.
//
// The sources of the facts are the Sendmail Installation and Operation Guide
// (section "The System Log"), the messages sendmail is known to write, public
// logs, and runs of Debian's sendmail against a server whose answers are known.
//
// # What a line is
//
// A queue id, a colon, and fields of the form NAME=VALUE that commas part
// ("to=<a@x>,<b@x>, delay=00:00:01, …, stat=Sent (ok)"), or free text. A line
// that is too long for syslog comes in pieces, see pieces; a list of recipients
// that is too long comes in several whole lines, each but the last with the word
// "[more]".
//
// # What a log does not say
//
// At its usual log level (9) sendmail does not say that a message has ended: it
// ends with its last recipient. Nor does it say at which stage a server answered,
// and before version 8.16 (reply=) it keeps its own summary ("User unknown",
// "Service unavailable") of a server's permanent reply.
//
// # The submission hop
//
// Mail of local users goes from the submission program (sendmail, sm-msp-queue)
// to the daemon on the same host, where it gets another id. That hop is not a
// delivery: the recipient is handed over.
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

// claim takes the lines of sendmail's programs.
func claim(e *parsers.Entry) parsers.Claim {
	switch string(e.Program) {
	case "sendmail", "sm-mta", "sm-msp", "sm-msp-queue", "sm-client", "sendmail-client",
		"sm-acceptingconnections", "sm-queue":
		return parsers.Mine
	}
	return parsers.NotMine
}

// A parser reads the lines of sendmail. It keeps the pieces of lines that are
// not yet whole.
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

// noQueue stands where the queue id is for what concerns no message.
const noQueue = "NOQUEUE"

// splitID divides "ID: text" and "ID[2]: text", the second part of a long line.
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

// line reads a whole line about the message id, or about none.
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
	case parsers.Has(text, "SYSERR"):
		return p.syserr(text)
	}
	if id != nil && p.aboutMessage(text) || p.refused(text) || p.warned(text) {
		return parsers.Understood
	}
	if id != nil {
		return parsers.Understood // one of the many remarks about a message
	}
	return parsers.Irrelevant
}

// encrypted reads "STARTTLS=client, relay=mx.x., version=TLSv1.3, verify=OK, cipher=…",
// and the same of a server.
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

// understoodIf returns the result of a line that is of interest or not.
func understoodIf(is bool) parsers.Result {
	if is {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// send passes the record on.
func (p *parser) send(kind parsers.Kind) {
	p.rec.Kind = kind
	p.emit(&p.rec)
}

// settle passes the record on as one that reports a final state.
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

// notices are the beginnings of the lines about a message that sendmail made to
// report another.
var notices = []string{"DSN: ", "return to sender: ", "sender notify: ", "postmaster notify: ",
	"Postmaster notify: "}

// end emits the end of the message, and nothing else of it.
func (p *parser) end() {
	id := p.rec.ID
	p.rec.Reset()
	p.rec.ID = id
	p.send(parsers.End)
}
