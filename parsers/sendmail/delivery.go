package sendmail

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// arrival reads
//
//	from=<a@x>, size=874, class=0, nrcpts=2, msgid=<m@x>, proto=ESMTP, daemon=MTA, relay=mail.x [192.0.2.1]
//	from=joe, size=874, class=0, nrcpts=1, msgid=<m@x>, relay=joe@localhost
//
// With nrcpts=0 no recipient was accepted, and there is no message.
func (p *parser) arrival(text []byte) parsers.Result {
	r := &p.rec
	recipients, seen := 0, false
	for f := (fields{text}); ; {
		name, value, ok := f.next()
		if !ok {
			break
		}
		switch string(name) {
		case "from":
			r.HasSender, r.Sender = true, bare(value)
		case "size":
			r.Size = parsers.Number(value)
		case "nrcpts":
			recipients, seen = int(parsers.Number(value)), true
		case "msgid":
			r.MessageID = value
		case "relay":
			p.broughtBy(value)
		}
	}
	if !seen {
		return parsers.Unparsed // the line is truncated
	}
	if r.Recipients = recipients; recipients > 0 {
		p.send(parsers.Arrival)
	}
	return parsers.Understood
}

// broughtBy sets the submitter of a message from relay=: a client, or a user of this
// host.
func (p *parser) broughtBy(value []byte) {
	r := &p.rec
	if user, ok := bytes.CutSuffix(value, []byte("@localhost")); ok && bytes.IndexByte(user, ' ') < 0 {
		r.Account, r.Reinjected = user, true
		return
	}
	r.Client, r.ClientIP = relay(value)
	r.Reinjected = parsers.IsLoopback(r.ClientIP)
}

// bare removes the angle brackets of an address.
func bare(b []byte) []byte {
	if n := len(b); n > 1 && b[0] == '<' && b[n-1] == '>' {
		return b[1 : n-1]
	}
	return b
}

// login reads "AUTH=server, relay=mail.x [192.0.2.1], authid=joe, mech=PLAIN,
// bits=0", which sendmail writes before the line with the sender.
func (p *parser) login(text []byte) parsers.Result {
	r := &p.rec
	if r.ID == nil {
		return parsers.Understood
	}
	for f := (fields{text}); ; {
		name, value, ok := f.next()
		if !ok {
			break
		}
		if string(name) == "authid" {
			r.Account, r.Login = value, true
		}
	}
	if len(r.Account) > 0 {
		p.send(parsers.Arrival)
	}
	return parsers.Understood
}

// A delivery holds the fields of a line with to= that are not set in the record
// directly.
type delivery struct {
	to, mailer, stat, reply []byte
}

// delivery reads
//
//	to=<a@x>,<b@x>, ctladdr=<list@x> (8/0), delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30874,
//	relay=mx.x. [192.0.2.1], dsn=2.0.0, stat=Sent (ok)
//
// and emits a record for each recipient.
func (p *parser) delivery(text []byte) parsers.Result {
	r := &p.rec
	var d delivery
	for f := (fields{text}); ; {
		name, value, ok := f.next()
		if !ok {
			break
		}
		switch string(name) {
		case "to":
			d.to = value
		case "ctladdr":
			r.Original = controlling(value)
		case "delay":
			r.Delay = duration(value)
		case "mailer":
			d.mailer = value
		case "relay":
			r.Relay, r.RelayIP = relay(value)
		case "dsn":
			r.MTAStatus, _ = registry.ScanEnhanced(value)
		case "reply":
			d.reply = value
		case "stat": // the last field: all text after it belongs to the reply
			d.stat = rest(text, value, &f)
		}
	}
	if len(d.stat) == 0 {
		return parsers.Unparsed // the line is truncated
	}
	kind := p.status(&d)
	p.each(d.to, kind)
	return parsers.Understood
}

// controlling returns the address in ctladdr=, without the user's numbers after it.
func controlling(value []byte) []byte {
	if i := bytes.LastIndex(value, []byte(" (")); i > 0 {
		value = value[:i]
	}
	return bare(value)
}

// each emits the record for each recipient of a list.
func (p *parser) each(list []byte, kind parsers.Kind) {
	list = bytes.TrimSuffix(list, []byte(" [more]"))
	for len(list) > 0 {
		if p.rec.Address, list = nextAddress(list); len(p.rec.Address) == 0 {
			continue
		}
		if isProgram(p.rec.Address) && len(p.rec.Original) > 0 {
			p.rec.Address = p.rec.Original
		}
		p.send(kind)
	}
}

// isProgram reports whether an address is a program, a file or an :include: list. Its
// recipient is the address from which sendmail made it.
func isProgram(address []byte) bool {
	return parsers.HasAny(address, []string{"|", `"|`, "/", `"/`, ":include:"})
}

// status sets the outcome of a delivery and returns the kind of its records.
func (p *parser) status(d *delivery) parsers.Kind {
	r := &p.rec
	r.Service, r.Direction = d.mailer, direction(d.mailer)
	switch {
	case parsers.Has(d.stat, "Sent"):
		return p.sent(d)
	case string(d.stat) == "queued":
		r.Contact = parsers.Contact{Delay: -1}
		return parsers.Expected
	case parsers.Has(d.stat, "Deferred"):
		r.Outcome = registry.OutcomeDeferred
		p.cause(d, bytes.TrimPrefix(bytes.TrimPrefix(d.stat, []byte("Deferred")), []byte(": ")))
	default:
		r.Outcome = registry.OutcomeFailed
		p.cause(d, d.stat)
	}
	return parsers.Attempt
}

// sent reads "Sent (reply)". On the submission hop the daemon of this host accepted
// the message under another id, so the recipient is handed over.
func (p *parser) sent(d *delivery) parsers.Kind {
	r := &p.rec
	text := bytes.TrimPrefix(d.stat, []byte("Sent"))
	text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte(" (")), []byte(")"))
	r.Reply = registry.ParseReply(text)
	r.NextID = nextID(text)
	if parsers.IsLoopback(r.RelayIP) && bytes.HasSuffix(text, accepted) {
		r.Final = registry.StateHandedOver
		return parsers.Settled
	}
	r.Outcome = registry.OutcomeDelivered
	return parsers.Attempt
}

// accepted ends sendmail's own answer to a message.
var accepted = []byte(" Message accepted for delivery")

// nextID returns the id at the next hop: "2.0.0 jA9J1UvC004306 Message accepted for
// delivery", "2.0.0 Ok: queued as 4F2AB1C3D", nil when there is none.
func nextID(text []byte) []byte {
	if i := bytes.Index(text, accepted); i > 0 {
		return text[bytes.LastIndexByte(text[:i], ' ')+1 : i]
	}
	if i := bytes.Index(text, []byte("queued as ")); i >= 0 {
		id := text[i+len("queued as "):]
		n := 0
		for n < len(id) && parsers.IsAlnum(id[n]) {
			n++
		}
		return id[:n]
	}
	return nil
}

// direction returns Local for a mailer that delivers to a mailbox, a program or a
// file of this host. Other mailers connect to a server.
func direction(mailer []byte) registry.Direction {
	switch string(mailer) {
	case "local", "prog", "procmail", "maildrop", "cyrus", "cyrusv2", "cyrusbb", "lmtp", "dovecot", "usenet",
		"*file*", "*include*":
		return registry.DirectionLocal
	}
	return registry.DirectionOutgoing
}

// cause sets the reply, the stage and the source of a failure. text is sendmail's
// description, without "Deferred: "; reply=, where it exists, contains the server's
// own words.
func (p *parser) cause(d *delivery, text []byte) {
	r := &p.rec
	if len(d.reply) > 0 {
		text = d.reply
	}
	r.Reply = registry.ParseReply(text)
	switch words := withoutCodes(text); {
	case isConnection(words): // the codes are sendmail's own
		r.Reply = registry.Reply{Text: words}
		r.Stage, r.Source = p.origin(words)
	case r.Reply.Code == 0, r.Direction == registry.DirectionLocal:
		r.Stage, r.Source = p.origin(words)
	case parsers.Has(text, "403 4.7.0 "): // sendmail's own codes for a failed handshake
		r.Stage, r.Source = registry.StageSTARTTLS, registry.SourceTLS
	default:
		r.Source = registry.SourceRemote
	}
}

// withoutCodes returns the text after the codes of a reply: sendmail adds codes to
// its own findings ("421 4.4.1 Connection reset by mx.example.").
func withoutCodes(text []byte) []byte {
	for {
		word, rest, ok := bytes.Cut(text, []byte(" "))
		if !ok || len(word) == 0 || !parsers.IsDigit(word[0]) || !parsers.IsDigit(word[len(word)-1]) {
			return text
		}
		text = rest
	}
}

// isConnection reports whether words are sendmail's text for a failed connection.
func isConnection(words []byte) bool {
	return parsers.HasAny(words, unconnected) || parsers.HasAny(words, broken)
}

// origin returns the stage and the source of a failure by sendmail's text.
func (p *parser) origin(text []byte) (registry.Stage, registry.Source) {
	switch {
	case bytes.Contains(text, []byte("Name server:")), parsers.Has(text, "Host unknown"):
		return registry.StageDNS, registry.SourceDNS
	case p.rec.Direction == registry.DirectionLocal:
		return registry.StageLocal, registry.SourceLocal
	case parsers.HasAny(text, unconnected), bytes.Contains(text, []byte("No route to host")):
		return registry.StageConnect, registry.SourceNetwork
	case parsers.HasAny(text, broken):
		return registry.StageUnknown, registry.SourceNetwork
	case parsers.HasAny(text, decided), p.rec.RelayIP == nil && !parsers.HasAny(text, answers):
		return registry.StageRoute, registry.SourceLocal
	case parsers.Has(text, "User unknown"):
		return registry.StageRcpt, registry.SourceRemote
	}
	return registry.StageUnknown, registry.SourceRemote
}

// The beginnings of sendmail's texts for failures (mci.c, statusstring of sysexits.c,
// and the errno of the system): no connection, a broken connection, a decision of
// this host, an answer of the server.
var (
	unconnected = []string{
		"Connection refused", "Connection timed out", "Network is unreachable", "Host is down",
		"Operation timed out",
		"Cannot assign requested address", "Permission denied",
	}
	broken = []string{"Connection reset", "Broken pipe", "Connection closed", "host not responding",
		"Remote host is down"}
	decided = []string{
		"Local configuration error", "Too many hops", "Message too large", "Data format error",
		"Cannot send message",
		"Local error", "Mail loop", "unknown mailer error", "Message exceeds",
	}
	answers = []string{"User unknown", "Service unavailable", "Remote protocol error", "Transient",
		"Access denied"}
)
