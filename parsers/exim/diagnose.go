package exim

import (
	"bytes"

	"mailfail/registry"
)

// contacts are the beginnings of the texts about the end of a session with another
// server. The command at which the session ended follows them.
var contacts = [...]struct {
	begin  []byte
	source registry.Source
	ends   registry.Stage // the stage; StageUnknown when the command shows it
	host   bool           // the name of the server may precede the command
}{
	{begin: []byte("SMTP error from remote mail server after "), source: registry.SourceRemote},
	{begin: []byte("SMTP error from remote mailer after "), source: registry.SourceRemote}, // up to 4.7x
	{begin: []byte("LMTP error after "), source: registry.SourceRemote},
	{begin: []byte("PRDR error after DATA"), source: registry.SourceRemote, ends: registry.StageEndOfData},
	{begin: []byte("SMTP timeout after "), source: registry.SourceNetwork},
	{begin: []byte("SMTP timeout while connected to "), source: registry.SourceNetwork, host: true},
	{begin: []byte("LMTP timeout after "), source: registry.SourceNetwork},
	{begin: []byte("Remote host "), source: registry.SourceNetwork, host: true},
	{begin: []byte("LMTP connection closed after "), source: registry.SourceNetwork},
	{begin: []byte("Malformed SMTP reply "), source: registry.SourceRemote, host: true},
	{begin: []byte("Malformed LMTP response after "), source: registry.SourceRemote},
}

// causes are the beginnings of other texts that determine stage and source.
var causes = [...]struct {
	begin  []byte
	stage  registry.Stage
	source registry.Source
}{
	{[]byte("Connection refused"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Connection timed out"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Operation timed out"), registry.StageConnect, registry.SourceNetwork}, // BSD
	{[]byte("No route to host"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Network is unreachable"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Network unreachable"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Network is down"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Network Error"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Host is down"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Host is unreachable"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Connection reset by peer"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("Cannot assign requested address"), registry.StageConnect, registry.SourceNetwork},
	{[]byte("TLS session"), registry.StageSTARTTLS, registry.SourceTLS},
	{[]byte("TLS error"), registry.StageSTARTTLS, registry.SourceTLS},
	{[]byte("a TLS session is required"), registry.StageSTARTTLS, registry.SourceTLS},
	{[]byte("failure while setting up TLS session"), registry.StageSTARTTLS, registry.SourceTLS},
	{[]byte("DANE error"), registry.StageSTARTTLS, registry.SourceTLS},
	{[]byte("authentication required but"), registry.StageAuth, registry.SourceLocal},
	{[]byte("utf8 support required but not offered"), registry.StageEHLO, registry.SourceLocal},
	{[]byte("host lookup did not complete"), registry.StageDNS, registry.SourceDNS},
	{[]byte("host lookup failed"), registry.StageDNS, registry.SourceDNS},
	{[]byte("lookup of host "), registry.StageDNS, registry.SourceDNS},
	{[]byte("lookup defer for mx_domains"), registry.StageDNS, registry.SourceDNS},
	{[]byte("all relevant MX records point to non-existent hosts"), registry.StageDNS, registry.SourceDNS},
	{[]byte("an MX or SRV record indicated no SMTP service"), registry.StageDNS, registry.SourceDNS},
	{[]byte("no IP address found for host"), registry.StageDNS, registry.SourceDNS},
	{[]byte("Unrouteable address"), registry.StageRoute, registry.SourceLocal},
	{[]byte("unrouteable mail domain"), registry.StageRoute, registry.SourceLocal},
	{[]byte("lowest numbered MX record points to local host"), registry.StageRoute, registry.SourceLocal},
	{[]byte("remote host address is the local host"), registry.StageRoute, registry.SourceLocal},
}

// diagnose sets the stage, the source and the reply from the text of a failure.
func (p *parser) diagnose(f *fields) {
	r := &p.rec
	text := f.message
	if p.contact(text) {
		return
	}
	if errno, at := separateHost(text); at != nil {
		// Connection timed out H=host [ip] DT=2s: SMTP timeout after …
		var g fields
		p.readFields(at, &g)
		text = errno
		if g.message != nil {
			text = g.message
		}
		f.message = text
	}
	if p.contact(text) || p.cause(text) {
		return
	}
	p.setText(text)
	switch {
	case r.RelayIP != nil:
		r.Source = registry.SourceLocal // a limit or a filter of this host
	case r.Service != nil:
		local(r, registry.StageLocal)
	default:
		local(r, registry.StageRoute)
	}
}

// separateHost splits "Connection timed out H=host [ip] DT=5s: …", the form of an
// error of the operating system (defer by errno > 0): fields follow the error, and
// then the text. at is nil for other texts.
func separateHost(text []byte) (errno, at []byte) {
	end := bytes.IndexByte(text, ':')
	if end < 0 {
		end = len(text)
	}
	for _, field := range [...][]byte{[]byte(" H="), []byte(" DT=")} {
		if i := bytes.Index(text[:end], field); i >= 0 {
			return text[:i], text[i:]
		}
	}
	return text, nil
}

func (p *parser) setText(text []byte) {
	text, p.scratch = octal(p.scratch, text)
	p.rec.Reply = registry.Reply{Text: text}
}

func (p *parser) setReply(text []byte) {
	text, p.scratch = octal(p.scratch, text)
	p.rec.Reply = registry.ParseReply(text)
}

// cause handles the texts whose beginning determines the stage and the source. It
// returns false for others.
func (p *parser) cause(text []byte) bool {
	for i := range causes {
		c := &causes[i]
		if !bytes.HasPrefix(text, c.begin) {
			continue
		}
		// Connection timed out: SMTP timeout after initial connection
		if rest := text[len(c.begin):]; c.stage == registry.StageConnect &&
			bytes.HasPrefix(rest, []byte(": ")) && p.contact(rest[2:]) {
			return true
		}
		p.rec.Stage, p.rec.Source = c.stage, c.source
		p.setText(text)
		return true
	}
	return false
}

// contact handles the texts that name the command at which a session ended, and
// returns false for others:
//
//	SMTP error from remote mail server after pipelined RCPT TO:<a@b>: 550 …
//	SMTP error from remote mail server after RCPT TO:<a@b>: host mx.b [192.0.2.1]: 550 …   (up to 4.82)
//	Remote host mx.b [192.0.2.1] closed connection in response to initial connection      (the same)
//	Remote host closed connection in response to HELO me (EHLO response was: 421 …)
//	Malformed SMTP reply in response to end of data: 5.1.1 nothing
func (p *parser) contact(text []byte) bool {
	r := &p.rec
	for i := range contacts {
		c := &contacts[i]
		if !bytes.HasPrefix(text, c.begin) {
			continue
		}
		rest := text[len(c.begin):]
		if c.host {
			rest = p.commandAfter(rest)
		}
		r.Source, r.Stage = c.source, c.ends
		reply := bytes.TrimPrefix(rest, []byte(": "))
		if c.ends == registry.StageUnknown {
			r.Stage, reply = command(rest)
		}
		p.answer(text, rest, reply)
		return true
	}
	return false
}

// commandAfter skips the words before the command, "in response to" and, in old
// versions, the name of the server.
func (p *parser) commandAfter(s []byte) []byte {
	for _, begin := range [...][]byte{[]byte("in response to "), []byte("closed connection in response to "),
		[]byte("(an empty line) in response to ")} {
		if bytes.HasPrefix(s, begin) {
			return s[len(begin):]
		}
	}
	for _, sep := range [...][]byte{[]byte("] closed connection in response to "),
		[]byte("] in response to "), []byte("] after ")} {
		if i := bytes.Index(s, sep); i >= 0 {
			p.hostInText(bytes.TrimPrefix(s[:i+1], []byte("from ")))
			return s[i+len(sep):]
		}
	}
	return s
}

// hostInText sets the relay from "NAME [IP]" when the line has no H=.
func (p *parser) hostInText(s []byte) {
	r := &p.rec
	i := bytes.Index(s, []byte(" ["))
	if i < 0 || r.RelayIP != nil {
		return
	}
	r.Relay = s[:i]
	r.RelayIP = bytes.TrimSuffix(s[i+2:], []byte{']'})
}

// answer sets the reply of a contact to the server's reply, or else to the whole text.
func (p *parser) answer(text, command, reply []byte) {
	r := &p.rec
	if r.Source == registry.SourceRemote && reply != nil {
		if bytes.HasPrefix(reply, []byte("host ")) {
			if i := bytes.Index(reply, []byte("]: ")); i > 0 && bytes.Index(reply[:i], []byte(" [")) > 0 {
				p.hostInText(reply[len("host ") : i+1])
				reply = reply[i+3:]
			}
		}
		p.setReply(reply)
		return
	}
	// The server refused EHLO, and closed the connection at the HELO that
	// followed: the refusal counts.
	const was = "(EHLO response was: "
	if i := bytes.Index(command, []byte(was)); i >= 0 {
		r.Source = registry.SourceRemote
		p.setReply(bytes.TrimSuffix(command[i+len(was):], []byte{')'}))
		return
	}
	p.setText(text)
}

// commands are the beginnings of Exim's names for the command whose answer it awaited.
var commands = [...]struct {
	begin []byte
	stage registry.Stage
}{
	{[]byte("RCPT"), registry.StageRcpt},
	{[]byte("MAIL"), registry.StageMail},
	{[]byte("end of data"), registry.StageEndOfData},
	{[]byte("DATA"), registry.StageData},
	{[]byte("initial connection"), registry.StageBanner},
	{[]byte("EHLO"), registry.StageEHLO},
	{[]byte("HELO"), registry.StageEHLO},
	{[]byte("LHLO"), registry.StageEHLO},
	{[]byte("STARTTLS"), registry.StageSTARTTLS},
	{[]byte("AUTH"), registry.StageAuth},
	{[]byte("BDAT"), registry.StageEndOfData},
	{[]byte("sending data block"), registry.StageEndOfData},
	{[]byte("sending message"), registry.StageEndOfData},
	{[]byte("QUIT"), registry.StageQuit},
	{[]byte("RSET"), registry.StageMail},
	{[]byte("XCLIENT"), registry.StageEHLO},
}

// command returns the stage of the command at the beginning of s, and the text after
// the colon that ends the command, nil when there is none. An address in the command
// may contain a colon.
func command(s []byte) (registry.Stage, []byte) {
	s = bytes.TrimPrefix(s, []byte("pipelined "))
	stage := registry.StageUnknown
	for i := range commands {
		if bytes.HasPrefix(s, commands[i].begin) {
			stage = commands[i].stage
			break
		}
	}
	from := 0
	if stage == registry.StageRcpt || stage == registry.StageMail {
		if i := bytes.IndexByte(s, '<'); i >= 0 {
			if _, rest, ok := angle(s[i:]); ok {
				from = len(s) - len(rest)
			}
		}
	}
	i := bytes.Index(s[from:], []byte(": "))
	if i < 0 {
		return stage, nil
	}
	return stage, s[from+i+2:]
}
