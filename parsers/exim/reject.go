package exim

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// A refusal is mail that Exim refused: by any ACL of the connection, HELO, AUTH,
// STARTTLS, MAIL, RCPT, DATA, MIME, DKIM or PRDR, by local_scan(), for the size, by
// a limit on connections, because the client spoke too soon, or from programs of
// this host (non-SMTP ACL).
//
// These lines do not count: refused VRFY, EXPN, ETRN, ATRN, XCLIENT and the like,
// which bring no mail; failed logins; syntax errors, which the main log contains
// only with +smtp_syntax_error, so that the count would depend on the log that is
// read; sessions dropped after many errors; "sender verify fail", which the refusal
// that follows repeats; "discarded by RCPT ACL", for which the client received a
// positive reply.
//
// Exim logs the answer to the client only if log_message does not replace it. When
// the logged text has no code, the parser sets Exim's default (spec 44.2,
// acl_wherecodes in smtp_in.c).
type refusal struct {
	stage     registry.Stage
	code      uint16 // used when the text has none
	text      []byte
	recipient []byte
}

// rejected emits a Rejection for a line that reports refused mail. It returns false
// for other lines.
func (p *parser) rejected(l *line, emit func(*parsers.Record)) bool {
	var f refusal
	if !p.refused(l.text, &f) {
		return false
	}
	r := &p.rec
	r.Kind, r.Stage, r.Source = parsers.Rejection, f.stage, registry.SourceLocal
	r.Address, p.scratch = octal(p.scratch, f.recipient)
	p.setReply(f.text)
	if r.Reply.Code == 0 {
		r.Reply.Code = f.code
	}
	r.LineHash = hashOf(l, nil)
	r.Copy = p.role == rejectLog || l.copied || l.syslog && p.twins.second(hashOf(l, l.pid))
	if l.copied {
		p.twins.forget(hashOf(l, l.pid))
	}
	emit(r)
	return true
}

// refused reads a refusal into f and the record, and returns false for other lines.
// The forms are:
//
//	H=name (helo) [ip] F=<sender> rejected RCPT <recipient>: text      and all other ACLs
//	rejected EHLO from name [ip]: text
//	rejected MAIL FROM:<sender> H=name [ip]: text
//	rejected from <sender> H=name [ip]: text
//	refused connection from name [ip] (host_reject_connection)
//	Connection from [ip] refused: too many connections
//	SMTP protocol synchronization error (…): rejected connection from H=[ip] input="…"
//	PRDR R=<recipient> refusal
//	Error while reading message with no usable sender address (…): rejected by non-SMTP ACL: text
func (p *parser) refused(s []byte, f *refusal) bool {
	switch {
	case len(s) < 2:
		return false
	case s[1] == '=': // H=, U=, F=: most lines, so these come first
		return p.byACL(s, f)
	case bytes.HasPrefix(s, []byte("rejected ")):
		return p.rejectedEarly(s[len("rejected "):], f)
	case bytes.HasPrefix(s, []byte("refused connection from ")):
		return p.refusedConnection(s[len("refused connection from "):], 554, f)
	case bytes.HasPrefix(s, []byte("temporarily refused connection from ")):
		return p.refusedConnection(s[len("temporarily refused connection from "):], 421, f)
	case bytes.HasPrefix(s, []byte("Connection from ")):
		return p.tooMany(s[len("Connection from "):], f)
	case bytes.HasPrefix(s, []byte("SMTP protocol synchronization error ")):
		return p.spokeTooSoon(s, f)
	case bytes.HasPrefix(s, []byte("PRDR R=<")):
		return prdr(s[len("PRDR R="):], f)
	case bytes.HasPrefix(s, []byte("Error while reading message with no usable sender address")):
		i := bytes.Index(s, []byte(": rejected "))
		return i >= 0 && p.verdict(s[i+len(": rejected "):], false, f)
	}
	return p.byACL(s, f)
}

// byACL reads "H=… F=<…> [temporarily] rejected WHAT". The fields before may contain
// any word; a sender may call himself "rejected RCPT <x>".
func (p *parser) byACL(s []byte, f *refusal) bool {
	r := &p.rec
	for n := 0; len(s) > 0 && n < 40; n++ {
		switch {
		case s[0] == ' ':
			s = s[1:]
			continue
		case bytes.HasPrefix(s, []byte("H=")):
			r.Client, r.ClientIP, s = client(s[2:])
			continue
		case bytes.HasPrefix(s, []byte("rejected ")):
			return p.verdict(s[len("rejected "):], false, f)
		case bytes.HasPrefix(s, []byte("temporarily rejected ")):
			return p.verdict(s[len("temporarily rejected "):], true, f)
		case bytes.HasPrefix(s, []byte("tmp-reject from cutthrough after DATA:")):
			return p.cutthrough(s[len("tmp-reject from cutthrough after DATA:"):], 451, f)
		case bytes.HasPrefix(s, []byte("dropped by ")): // 'connect' ACL
			return p.dropped(s, f)
		}
		if w, rest, ok := p.recipientBefore(s); ok {
			f.recipient, s = w, rest
			continue
		}
		var w []byte
		w, s = word(s)
		if len(w) > 2 && w[0] == 'F' && w[1] == '=' {
			r.HasSender, r.Sender = true, bare(w[2:])
			continue
		}
		if bytes.IndexByte(w, '=') <= 0 && len(w) > 4 || len(s) > 0 && s[0] == ':' {
			return false // "Warning:", "sender verify fail", "RCPT <a@b>: discarded"
		}
	}
	return false
}

// recipientBefore splits off the address of a cutthrough delivery.
func (p *parser) recipientBefore(s []byte) (recipient, rest []byte, ok bool) {
	end := endWord(s, 0)
	if at := bytes.IndexByte(s[:end], '@'); at <= 0 || bytes.IndexByte(s[:at], '=') >= 0 {
		return nil, nil, false
	}
	addr, top, rest := address(s)
	recipient, _ = p.recipient(addr, top)
	return recipient, rest, true
}

// bare removes the angle brackets of an address.
func bare(b []byte) []byte {
	if addr, _, ok := angle(b); ok {
		return addr
	}
	return b
}

// verdict reads the text after "rejected": the command or the moment, and the text
// after a colon.
func (p *parser) verdict(s []byte, temporary bool, f *refusal) bool {
	f.code = 550
	if temporary {
		f.code = 451
	}
	for i := range moments {
		m := &moments[i]
		if !bytes.HasPrefix(s, m.begin) {
			continue
		}
		f.stage = m.stage
		s = s[len(m.begin):]
		var arg []byte
		if m.address {
			arg, s = argument(s)
		} else if m.word {
			_, s = argument(s)
		}
		switch m.stage {
		case registry.StageRcpt:
			f.recipient = arg
		case registry.StageMail:
			p.rec.HasSender, p.rec.Sender = true, arg
		}
		if m.local {
			f.code = 0 // no client received it in SMTP
		}
		if m.code != 0 && !temporary {
			f.code = m.code
		}
		f.text = afterColon(s)
		if bytes.HasPrefix(f.text, []byte("R=")) {
			// rejected after DATA: R=router T=transport H=host [ip] C="550 …"
			return p.cutthrough(f.text, 550, f)
		}
		return true
	}
	return false
}

// moments are the names of the parts of a session in smtp_in.c and receive.c.
var moments = [...]struct {
	begin   []byte
	stage   registry.Stage
	address bool   // an address follows
	word    bool   // some argument follows
	local   bool   // not by SMTP
	code    uint16 // of a permanent refusal, where it is not 550
}{
	{begin: []byte("RCPT "), stage: registry.StageRcpt, address: true},
	{begin: []byte("MAIL "), stage: registry.StageMail, address: true},
	{begin: []byte("after DATA"), stage: registry.StageEndOfData},
	{begin: []byte("DATA"), stage: registry.StageData},
	{begin: []byte("connection in \"connect\" ACL"), stage: registry.StageConnect},
	{begin: []byte("connection in 'connect' ACL"), stage: registry.StageConnect},
	{begin: []byte("EHLO or HELO"), stage: registry.StageEHLO, word: true},
	{begin: []byte("STARTTLS"), stage: registry.StageSTARTTLS, word: true},
	{begin: []byte("AUTH"), stage: registry.StageAuth, word: true, code: 503},
	{begin: []byte("during MIME ACL checks"), stage: registry.StageEndOfData},
	{begin: []byte("DKIM"), stage: registry.StageEndOfData, word: true},
	{begin: []byte("PRDR"), stage: registry.StageEndOfData, word: true},
	{begin: []byte("by local_scan()"), stage: registry.StageEndOfData},
	{begin: []byte("by non-SMTP ACL"), stage: registry.StageEndOfData, local: true},
	{begin: []byte("by non-SMTP-start ACL"), stage: registry.StageEndOfData, local: true},
}

// argument splits off the argument of a command: an address in brackets with its
// options, or a word. rest begins at the colon.
func argument(s []byte) (arg, rest []byte) {
	s = bytes.TrimLeft(s, " ")
	if addr, rest, ok := angle(s); ok {
		if i := bytes.Index(rest, []byte(": ")); i >= 0 {
			rest = rest[i:]
		}
		return addr, rest
	}
	i := bytes.Index(s, []byte(": "))
	if i < 0 {
		i = len(s)
	}
	return bytes.TrimRight(s[:i], " "), s[i:]
}

func afterColon(s []byte) []byte {
	s = bytes.TrimLeft(s, " ")
	if len(s) == 0 || s[0] != ':' {
		return nil
	}
	return bytes.TrimLeft(s[1:], " ")
}

// cutthrough reads the fields that delivery_log in deliver.c writes when the next
// server refused a message that Exim passed on while receiving it.
func (p *parser) cutthrough(s []byte, code uint16, f *refusal) bool {
	r := &p.rec
	name, ip := r.Client, r.ClientIP
	var g fields
	p.readFields(s, &g)
	r.Client, r.ClientIP, r.TLS = name, ip, nil // they are those of the next hop
	f.stage, f.code, f.text = registry.StageEndOfData, code, nil
	if g.reply != nil {
		f.text, p.scratch = unquoted(p.scratch, g.reply)
	}
	return true
}

// dropped reads "dropped by 'connect' ACL: text".
func (p *parser) dropped(s []byte, f *refusal) bool {
	if !bytes.HasPrefix(s, []byte("dropped by 'connect' ACL")) {
		return false
	}
	f.stage, f.code = registry.StageConnect, 550
	f.text = afterColon(s[len("dropped by 'connect' ACL"):])
	return true
}

// rejectedEarly reads refusals that Exim decided on without an ACL.
func (p *parser) rejectedEarly(s []byte, f *refusal) bool {
	r := &p.rec
	switch {
	case bytes.HasPrefix(s, []byte("HELO from ")), bytes.HasPrefix(s, []byte("EHLO from ")):
		f.stage, f.code = registry.StageEHLO, 501
		s = s[len("HELO from "):]
	case bytes.HasPrefix(s, []byte("MAIL from ")): // without HELO
		f.stage, f.code = registry.StageMail, 503
		s = s[len("MAIL from "):]
	case bytes.HasPrefix(s, []byte("MAIL command ")): // too many messages in one connection
		f.stage, f.code = registry.StageMail, 421
		s = s[len("MAIL command "):]
	case bytes.HasPrefix(s, []byte("MAIL FROM:<")):
		f.stage, f.code = registry.StageMail, 552
		r.Sender, s, r.HasSender = angle(s[len("MAIL FROM:"):])
	case bytes.HasPrefix(s, []byte("from <")):
		f.stage, f.code = registry.StageEndOfData, 552
		r.Sender, s, r.HasSender = angle(s[len("from "):])
	default:
		return false
	}
	s = bytes.TrimPrefix(bytes.TrimLeft(s, " "), []byte("H="))
	if bytes.HasPrefix(s, []byte("U=")) {
		_, s = word(s)
	} else {
		r.Client, r.ClientIP, s = client(s)
	}
	if i := bytes.Index(s, []byte(": ")); i >= 0 {
		f.text = s[i+2:]
	}
	return true
}

func (p *parser) refusedConnection(s []byte, code uint16, f *refusal) bool {
	p.rec.Client, p.rec.ClientIP, s = client(s)
	f.stage, f.code = registry.StageConnect, code
	f.text = bytes.TrimLeft(s, " ")
	return true
}

// tooMany reads "[ip] refused: too many connections" and similar lines (daemon.c).
func (p *parser) tooMany(s []byte, f *refusal) bool {
	i := bytes.Index(s, []byte("refused: "))
	if i < 0 {
		return false
	}
	p.rec.Client, p.rec.ClientIP, _ = client(s)
	f.stage, f.code = registry.StageConnect, 421
	f.text = s[i+len("refused: "):]
	return true
}

// spokeTooSoon reads a refusal of a client that did not wait for its turn.
func (p *parser) spokeTooSoon(s []byte, f *refusal) bool {
	i := bytes.Index(s, []byte("): rejected "))
	if i < 0 {
		return false
	}
	text, s := s[:i+1], s[i+len("): rejected "):]
	f.stage, f.code, f.text = registry.StageBanner, 554, text
	if len(s) > 0 && s[0] == '"' {
		n := parsers.SkipQuoted(s)
		if n == 0 {
			return true
		}
		f.stage = commandFold(s[1:n])
		s = s[n:]
	}
	if j := bytes.Index(s, []byte("H=")); j >= 0 {
		p.rec.Client, p.rec.ClientIP, _ = client(s[j+2:])
	}
	return true
}

// commandFold returns the stage of a command that a client wrote, in any case.
func commandFold(s []byte) registry.Stage {
	for i := range commands {
		c := &commands[i]
		if len(s) >= len(c.begin) && equalFold(s[:len(c.begin)], c.begin) {
			return c.stage
		}
	}
	return registry.StageUnknown
}

// prdr reads "<recipient> refusal", "<recipient> temporary refusal".
func prdr(s []byte, f *refusal) bool {
	addr, rest, ok := angle(s)
	if !ok {
		return false
	}
	f.stage, f.recipient, f.text = registry.StageEndOfData, addr, nil
	switch string(rest) {
	case " refusal":
		f.code = 550
	case " temporary refusal":
		f.code = 450
	default:
		return false
	}
	return true
}
