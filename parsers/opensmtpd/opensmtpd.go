// Package opensmtpd reads the syslog lines of OpenSMTPD 5.4 to 7.x.
//
// The sources of the facts are smtpd(8) and the lines of a run of OpenSMTPD 6.8
// against a server on loopback whose answers are known.
//
// # Lines
//
// A line has a session id of 16 hexadecimal digits, the part of the server, an event,
// and fields; until version 6.0 the event is a field too (event=delivery):
//
//	ce1d1902d46b42fc smtp connected address=192.0.2.1 host=mail.snd.example
//	ce1d1902d46b42fc smtp envelope evpid=c16fec780cb25ae1 from=<a@snd.example> to=<b@h.example>
//	ce1d1902d46b42fc smtp message msgid=c16fec78 size=364 nrcpt=1 proto=ESMTP
//	ce1d1902d46b42fc mta delivery evpid=c16fec780cb25ae1 from=<a@snd.example> to=<b@far.example> rcpt=<-> source="192.0.2.9" relay="192.0.2.25 (mx.far.example)" delay=1s result="Ok" stat="250 2.0.0 Ok"
//
// The first half of an envelope's id is the id of the message.
//
// # Missing from the log
//
// OpenSMTPD does not log the end of a message, which ends with its last recipient, nor
// the stage at which a server answered, nor the Message-ID.
package opensmtpd

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:  "opensmtpd",
		MTA:   "opensmtpd",
		Claim: claim,
		New:   New,
	})
}

// claim returns Mine for the lines of smtpd that have OpenSMTPD's form: other servers
// have a program of that name too.
func claim(e *parsers.Entry) parsers.Claim {
	if string(e.Program) != "smtpd" && string(e.Program) != "opensmtpd" {
		return parsers.NotMine
	}
	if id, _ := sessionID(e.Message); id != nil || parsers.HasAny(e.Message, remarks) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// remarks are the beginnings of lines without a session.
var remarks = []string{
	"info: ", "warn: ", "fatal: ", "smtp-in: ", "smtp-out: ", "mta: ", "queue: ", "scheduler: ",
	"lookup: ", "control: ",
	"relay: ", "route: ", "debug: ", "delivery: ", "pony express: ", "OpenSMTPD ",
}

// sessionID splits off the id at the beginning of a line of a session; id is nil when
// there is none.
func sessionID(b []byte) (id, rest []byte) {
	const n = 16
	if len(b) < n+2 || b[n] != ' ' {
		return nil, nil
	}
	for _, c := range b[:n] {
		if !parsers.IsDigit(c) && (c < 'a' || c > 'f') {
			return nil, nil
		}
	}
	return b[:n], b[n+1:]
}

// A parser reads the lines of OpenSMTPD. It keeps the clients of open sessions.
type parser struct {
	sessions sessions
	rec      parsers.Record
	emit     func(*parsers.Record)
}

// New returns a parser of OpenSMTPD's lines.
func New(parsers.Options) parsers.Parser { return &parser{} }

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	p.rec.Reset()
	id, rest := sessionID(e.Message)
	if id == nil {
		return p.remark(e.Message)
	}
	part, rest := nextWord(rest)
	event, rest := nextWord(rest)
	event = bytes.TrimPrefix(event, []byte("event="))
	switch string(part) {
	case "smtp":
		return p.smtp(id, event, rest)
	case "mta", "mda", "bounce":
		if string(event) == "delivery" {
			return p.delivery(part, rest)
		}
		return parsers.Irrelevant // connections
	}
	return parsers.Irrelevant
}

// smtp reads a line about a session with incoming mail.
func (p *parser) smtp(id, event, rest []byte) parsers.Result {
	switch string(event) {
	case "connected":
		s := p.sessions.open(id)
		s.ip, s.host = append(s.ip, value(rest, "address=")...), append(s.host, value(rest, "host=")...)
	case "authentication":
		if string(value(rest, "result=")) == "ok" {
			s := p.sessions.get(id)
			s.account = append(s.account[:0], value(rest, "user=")...)
		}
	case "envelope":
		return p.envelope(id, rest)
	case "message":
		return p.message(id, rest)
	case "failed-command":
		return p.refused(id, rest)
	case "disconnected", "closed":
		p.sessions.close(id)
	}
	return parsers.Irrelevant
}

// envelope reads a recipient that OpenSMTPD accepted. With the first recipient of a
// message it also emits the Arrival of the message, with its client.
func (p *parser) envelope(id, rest []byte) parsers.Result {
	r := &p.rec
	address := bracketed(rest, "to=")
	if r.ID = messageOf(value(rest, "evpid=")); r.ID == nil || len(address) == 0 {
		return parsers.Unparsed
	}
	r.HasSender, r.Sender = true, bracketed(rest, "from=")
	if s := p.sessions.get(id); string(s.message) != string(r.ID) {
		s.message = append(s.message[:0], r.ID...)
		p.broughtBy(s)
		r.Own = r.Reinjected && len(r.Sender) == 0
		p.send(parsers.Arrival)
		r.Client, r.ClientIP, r.Account, r.Reinjected, r.Own = nil, nil, nil, false, false
	}
	r.Address = address
	p.send(parsers.Expected)
	return parsers.Understood
}

// broughtBy sets the client of a session. Its address is "local" for a user of this
// host.
func (p *parser) broughtBy(s *session) {
	r := &p.rec
	if string(s.ip) == "local" {
		r.Reinjected = true
	} else {
		r.Client, r.ClientIP = s.host, s.ip
		r.Reinjected = string(s.ip) == "127.0.0.1" || string(s.ip) == "::1"
	}
	r.Account = s.account
}

// message reads the size and the number of recipients of a message.
func (p *parser) message(_, rest []byte) parsers.Result {
	r := &p.rec
	if r.ID = value(rest, "msgid="); len(r.ID) != messageLen {
		return parsers.Unparsed
	}
	r.Size = parsers.Number(value(rest, "size="))
	n := value(rest, "nrcpt=")
	if n == nil {
		n = value(rest, "ndest=")
	}
	r.Recipients = int(parsers.Number(n))
	p.send(parsers.Arrival)
	return parsers.Understood
}

// refused reads
//
//	command="RCPT TO:<b@h.example>" result="550 Invalid recipient: <b@h.example>"
//
// A command that brings no mail (AUTH) is Irrelevant.
func (p *parser) refused(id, rest []byte) parsers.Result {
	r := &p.rec
	command, reply := quoted(rest, "command="), last(rest, "result=")
	verb, arg, _ := bytes.Cut(command, []byte(" "))
	switch {
	case bytes.EqualFold(verb, []byte("RCPT")):
		r.Stage, r.Address = registry.StageRcpt, bracketed(arg, ":")
	case bytes.EqualFold(verb, []byte("MAIL")):
		r.Stage, r.HasSender, r.Sender = registry.StageMail, true, bracketed(arg, ":")
	case bytes.EqualFold(verb, []byte("DATA")):
		r.Stage = registry.StageData
	case string(verb) == ".", string(verb) == "":
		r.Stage = registry.StageEndOfData
	default:
		return parsers.Irrelevant
	}
	if s := p.sessions.get(id); string(s.ip) != "local" {
		r.Client, r.ClientIP = s.host, s.ip
	}
	r.Source, r.Reply = registry.SourceLocal, registry.ParseReply(reply)
	p.send(parsers.Rejection)
	return parsers.Understood
}

// delivery reads the result of an attempt, or the end of a recipient without one.
// rcpt= is the address that the address in to= replaced.
func (p *parser) delivery(part, rest []byte) parsers.Result {
	r := &p.rec
	result, stat := quoted(rest, "result="), last(rest, "stat=")
	address := bracketed(rest, "to=")
	if r.ID = messageOf(value(rest, "evpid=")); r.ID == nil || result == nil || len(address) == 0 {
		return parsers.Unparsed
	}
	p.replaced(bracketed(rest, "rcpt="), address)
	r.HasSender, r.Sender, r.Address = true, bracketed(rest, "from="), address
	r.Delay = duration(value(rest, "delay="))
	if string(part) == "mda" {
		r.Direction = registry.DirectionLocal
		r.Service = value(rest, "method=")
	}
	r.RelayIP, r.Relay = relay(quoted(rest, "relay="))
	r.Reply = registry.ParseReply(stat)
	switch string(result) {
	case "Ok":
		r.Outcome = registry.OutcomeDelivered
	case "TempFail":
		r.Outcome = registry.OutcomeDeferred
	case "PermFail", "Loop":
		r.Outcome = registry.OutcomeFailed
	case "Expire":
		p.settle(registry.StateExpired)
		return parsers.Understood
	case "Remove":
		p.settle(registry.StateRemoved)
		return parsers.Understood
	default:
		return parsers.Unparsed
	}
	if r.Outcome != registry.OutcomeDelivered {
		r.Stage, r.Source = p.origin(stat)
	}
	p.send(parsers.Attempt)
	return parsers.Understood
}

// replaced emits that an address replaced an alias; alias is "-" when none did.
func (p *parser) replaced(alias, address []byte) {
	if len(alias) == 0 || string(alias) == "-" || bytes.EqualFold(alias, address) {
		return
	}
	p.rec.Address = alias
	p.settle(registry.StateReplaced)
	p.rec.Final, p.rec.Original = registry.StatePending, alias
}

// origin returns the stage and the source of a failure, by OpenSMTPD's words where
// there is no reply.
func (p *parser) origin(text []byte) (registry.Stage, registry.Source) {
	switch {
	case p.rec.Direction == registry.DirectionLocal:
		return registry.StageLocal, registry.SourceLocal
	case p.rec.Reply.Code != 0:
		return registry.StageUnknown, registry.SourceRemote
	case bytes.Contains(text, []byte("MX")) && !parsers.Has(text, "Network error"),
		bytes.Contains(text, []byte("lookup")):
		return registry.StageDNS, registry.SourceDNS
	case bytes.Contains(text, []byte("TLS")), bytes.Contains(text, []byte("ertificate")):
		return registry.StageSTARTTLS, registry.SourceTLS
	case parsers.HasAny(text, []string{"Network error", "Could not connect", "Connection refused",
		"Connection timeout"}):
		return registry.StageConnect, registry.SourceNetwork
	case parsers.HasAny(text, []string{"Connection ", "IO Error", "Timeout"}):
		return registry.StageUnknown, registry.SourceNetwork
	}
	return registry.StageRoute, registry.SourceLocal
}

// remark reads a line without a session: the end of a recipient, or trouble of the
// server.
func (p *parser) remark(text []byte) parsers.Result {
	r := &p.rec
	if p.gaveUp(text) {
		return parsers.Understood
	}
	problem := parsers.Problem("")
	switch {
	case bytes.Contains(text, []byte("No space left on device")), bytes.Contains(text, []byte("disk space")):
		problem = parsers.ProblemDisk
	case bytes.Contains(text, []byte("Too many open files")),
		bytes.Contains(text, []byte("annot allocate memory")):
		problem = parsers.ProblemMemory
	case parsers.Has(text, "fatal: "):
		problem = parsers.ProblemOther
	default:
		return parsers.Irrelevant
	}
	r.Problem, r.Severity, r.Reply.Text = problem, parsers.SeverityWarning, text
	if rest, ok := bytes.CutPrefix(text, []byte("fatal: ")); ok {
		r.Severity, r.Reply.Text = parsers.SeverityFatal, rest
	}
	p.send(parsers.Trouble)
	return parsers.Understood
}

// gaveUp reads the end of a recipient without an attempt, and returns false for other
// lines:
//
//	relay: Expire for 2862c67598f645dc: from=<a@x>, to=<b@y>, rcpt=<->, delay=1m, stat=Envelope expired
func (p *parser) gaveUp(text []byte) bool {
	_, what, ok := bytes.Cut(text, []byte(": "))
	state := registry.StateExpired
	switch {
	case !ok:
		return false
	case parsers.Has(what, "Expire for "):
		what = what[len("Expire for "):]
	case parsers.Has(what, "Remove for "):
		what, state = what[len("Remove for "):], registry.StateRemoved
	default:
		return false
	}
	r := &p.rec
	envelope, fields, _ := bytes.Cut(what, []byte(": "))
	if r.ID = messageOf(envelope); r.ID == nil {
		return false
	}
	r.HasSender, r.Sender, r.Address = true, bracketed(fields, "from="), bracketed(fields, "to=")
	r.Delay = duration(bytes.TrimSuffix(value(fields, "delay="), []byte{','}))
	r.Reply.Text = find(fields, "stat=")
	p.settle(state)
	return true
}

func (p *parser) send(kind parsers.Kind) {
	p.rec.Kind = kind
	p.emit(&p.rec)
}

func (p *parser) settle(state registry.State) {
	p.rec.Settle(state)
	p.emit(&p.rec)
}

// messageLen is the length of the id of a message, half the length of an envelope's.
const messageLen = 8

// messageOf returns the message of an envelope's id, nil when it is not such an id.
func messageOf(envelope []byte) []byte {
	if len(envelope) != 2*messageLen {
		return nil
	}
	return envelope[:messageLen]
}

// nextWord splits off the first word of b.
func nextWord(b []byte) (word, rest []byte) {
	word, rest, _ = bytes.Cut(b, []byte(" "))
	return word, rest
}

// duration reads 1s, 4m3s and 1d2h; it is negative for anything else.
func duration(b []byte) time.Duration {
	if len(b) == 0 {
		return -1
	}
	var d, n time.Duration
	for _, c := range b {
		switch {
		case parsers.IsDigit(c):
			n = n*10 + time.Duration(c-'0')
			continue
		case n > 1<<20:
			return -1
		case c == 's':
			d += n * time.Second
		case c == 'm':
			d += n * time.Minute
		case c == 'h':
			d += n * time.Hour
		case c == 'd':
			d += n * 24 * time.Hour
		default:
			return -1
		}
		n = 0
	}
	return d
}
