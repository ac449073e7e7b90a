package haraka

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// outbound reads a line about outgoing mail.
func (p *parser) outbound() parsers.Result {
	b := p.line.msg
	switch {
	case parsers.Has(b, "recipient <"):
		return p.answered(b[len("recipient "):])
	case parsers.Has(b, "delivered file="):
		return p.delivered(b)
	case parsers.Has(b, "Temp failing "):
		return p.failing(b)
	case parsers.Has(b, "bouncing mail: "):
		return p.bouncing(b[len("bouncing mail: "):])
	}
	return parsers.Irrelevant
}

// answered reads the reply to a recipient:
//
//	<b@far.example> rejected: 550 5.1.1 no such user
//	<b@far.example> deferred: 452 4.2.2 mailbox is full
func (p *parser) answered(b []byte) parsers.Result {
	address, rest := addressOf(b)
	outcome := registry.OutcomeDeferred
	reply, ok := bytes.CutPrefix(rest, []byte("deferred: "))
	if !ok {
		outcome = registry.OutcomeFailed
		reply, ok = bytes.CutPrefix(rest, []byte("rejected: "))
	}
	if !ok || len(address) == 0 {
		return parsers.Unparsed
	}
	r := &p.rec
	var x *transaction
	if r.ID, x = p.transaction(); x != nil {
		p.about(x)
		x.settle(address, outcome)
	}
	r.Address, r.Outcome, r.Reply = address, outcome, registry.ParseReply(reply)
	r.Stage, r.Source = registry.StageRcpt, registry.SourceRemote
	p.send(parsers.Attempt)
	return parsers.Understood
}

// transaction returns the id of the transaction of the line's outbound message, and
// the transaction, nil when it is unknown.
func (p *parser) transaction() ([]byte, *transaction) {
	id, _ := transactionOf(p.line.id)
	return id, p.open.find(id)
}

// delivered reads that a server accepted the message for all recipients of a domain
// that it did not refuse.
func (p *parser) delivered(b []byte) parsers.Result {
	r := &p.rec
	r.Relay, r.RelayIP = value(b, "host="), value(b, "ip=")
	r.Reply = registry.ParseReply(value(b, "response="))
	r.Delay = seconds(value(b, "delay="))
	if _, next, ok := bytes.Cut(r.Reply.Text, []byte("queued as ")); ok {
		r.NextID, _, _ = bytes.Cut(next, []byte(" "))
	}
	return p.each(value(b, "domain="), registry.OutcomeDelivered)
}

// failing reads that Haraka will try the message again.
func (p *parser) failing(b []byte) parsers.Result {
	_, b, _ = bytes.Cut(b, []byte(" seconds: "))
	if parsers.Has(b, "Some recipients temp failed") {
		p.tried()
		return parsers.Understood // see answered
	}
	p.cause(b)
	return p.each(nil, registry.OutcomeDeferred)
}

// tried records that a try of the transaction has ended.
func (p *parser) tried() {
	if _, x := p.transaction(); x != nil {
		x.tried()
	}
}

// bouncing reads that the message failed for all recipients that are still waiting.
func (p *parser) bouncing(b []byte) parsers.Result {
	if parsers.Has(b, "Some recipients failed") {
		return parsers.Understood
	}
	last, ok := bytes.CutPrefix(b, []byte("Too many failures ("))
	if !ok {
		p.cause(b)
		return p.each(nil, registry.OutcomeFailed)
	}
	last = bytes.TrimSuffix(last, []byte(")"))
	if parsers.Has(last, "Some recipients temp failed") {
		p.rec.Reply.Text = b
		return p.giveUp()
	}
	p.cause(last)
	p.rec.Final = registry.StateExpired
	return p.each(nil, registry.OutcomeFailed)
}

// cause sets the reply, the stage and the source of a failed try, by the server's
// reply or Haraka's words.
func (p *parser) cause(text []byte) {
	r := &p.rec
	text = bytes.TrimPrefix(text, []byte("Upstream error: "))
	r.Reply = registry.ParseReply(text)
	has := func(words string) bool { return bytes.Contains(text, []byte(words)) }
	switch {
	case r.Reply.Code != 0:
		r.Source = registry.SourceRemote
	case has("No Such Domain"), has("DNS lookup"), has("NULL MX"), has("Nowhere to deliver"):
		r.Stage, r.Source = registry.StageDNS, registry.SourceDNS
	case has("Tried all MXs"):
		r.Stage, r.Source = registry.StageConnect, registry.SourceNetwork
	case has("TLS"):
		r.Stage, r.Source = registry.StageSTARTTLS, registry.SourceTLS
	case has("onnection"), has("timed out"), has("timeout"):
		r.Source = registry.SourceNetwork
	default:
		r.Stage, r.Source = registry.StageRoute, registry.SourceLocal
	}
}

// each emits the attempt for the waiting recipients of the line's outbound message.
// domain is nil when the line does not name the domain of these recipients.
func (p *parser) each(domain []byte, outcome registry.Outcome) parsers.Result {
	_, n := transactionOf(p.line.id)
	_, x := p.transaction()
	if x == nil || n == 0 {
		return parsers.Irrelevant // Haraka's own bounce, or the log lacks the beginning
	}
	p.about(x)
	p.rec.Kind, p.rec.Outcome = parsers.Attempt, outcome
	if domain == nil {
		domain = x.domain(n)
	}
	for i := range x.recipients {
		if y := &x.recipients[i]; y.state == waiting && bytes.EqualFold(domainOf(y.address), domain) {
			p.rec.Address = y.address
			p.emit(&p.rec)
			y.set(outcome)
		}
	}
	if outcome == registry.OutcomeDeferred {
		x.tried()
	}
	if x.finished() {
		p.open.close(x.id)
	}
	return parsers.Understood
}

// giveUp emits that Haraka gave up all recipients of the outbound message that are not
// done.
func (p *parser) giveUp() parsers.Result {
	_, n := transactionOf(p.line.id)
	_, x := p.transaction()
	if x == nil || n == 0 {
		return parsers.Irrelevant
	}
	p.about(x)
	p.rec.Settle(registry.StateExpired)
	domain := x.domain(n)
	for i := range x.recipients {
		if y := &x.recipients[i]; y.state <= deferred && bytes.EqualFold(domainOf(y.address), domain) {
			p.rec.Address = y.address
			p.emit(&p.rec)
			y.state = done
		}
	}
	if x.finished() {
		p.open.close(x.id)
	}
	return parsers.Understood
}

// seconds reads 0.476, to milliseconds; it is negative for anything else.
func seconds(b []byte) time.Duration {
	whole, fraction, _ := bytes.Cut(b, []byte("."))
	n, ok := parsers.Digits(whole)
	if !ok || len(whole) == 0 || len(whole) > 9 {
		return -1
	}
	d, unit := time.Duration(n)*time.Second, 100*time.Millisecond
	for _, c := range fraction {
		if !parsers.IsDigit(c) {
			break
		}
		d, unit = d+time.Duration(c-'0')*unit, unit/10
	}
	return d.Truncate(time.Millisecond)
}

// value returns the value of a field, NAME=value or NAME="value"; nil when there is
// none. It removes the quotes, but not the escapes inside them.
func value(b []byte, name string) []byte {
	for len(b) > 0 {
		found := parsers.Has(b, name)
		n := fieldLen(b)
		if found {
			v := b[len(name):max(n, len(name))]
			if len(v) > 1 && v[0] == '"' {
				v = v[1 : len(v)-1]
			}
			return v
		}
		b = bytes.TrimLeft(b[n:], " ")
	}
	return nil
}

// fieldLen returns the length of the word at the beginning of b, including a value in
// quotes that ends it.
func fieldLen(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case ' ':
			return max(i, 1)
		case '=':
			if i+1 < len(b) && b[i+1] == '"' {
				if n := parsers.SkipQuoted(b[i+1:]); n > 0 {
					return i + 1 + n
				}
			}
		}
	}
	return len(b)
}

// addressOf splits off the address in angle brackets at the beginning of b; it is nil
// when there is none.
func addressOf(b []byte) (address, rest []byte) {
	if len(b) == 0 || b[0] != '<' {
		return nil, b
	}
	from := 1 + parsers.SkipQuoted(b[1:])
	i := bytes.IndexByte(b[from:], '>')
	if i < 0 {
		return nil, b
	}
	return b[1 : from+i : from+i], bytes.TrimLeft(b[from+i+1:], " ")
}
