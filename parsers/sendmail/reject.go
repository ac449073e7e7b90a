package sendmail

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// ruleset reads the line of a ruleset that refused a command,
//
//	ruleset=check_rcpt, arg1=<a@x>, relay=mail.x [192.0.2.1] (may be forged), reject=550 5.7.1 <a@x>... Relaying denied
//	ruleset=check_relay, arg1=mail.x, arg2=192.0.2.1, relay=mail.x [192.0.2.1], reject=421 4.3.2 Too many open connections.
//
// discarded mail (discard) or kept it (quarantine=). Rulesets about servers to which
// this host connects (tls_server, try_tls) refuse no mail: the line of the delivery
// reports the same failure.
func (p *parser) ruleset(text []byte) parsers.Result {
	r := &p.rec
	var set, arg, reject []byte
	discarded := false
	for f := (fields{text}); ; {
		name, value, ok := f.next()
		if !ok {
			discarded = bytes.HasPrefix(f.rest, []byte("discard"))
			break
		}
		switch string(name) {
		case "ruleset":
			set = value
		case "arg1":
			arg = bare(value)
		case "relay":
			r.Client, r.ClientIP = relay(value)
		case "reject":
			reject = rest(text, value, &f)
		}
	}
	stage, refuses := stageOf(set)
	switch {
	case discarded && r.ID != nil:
		r.Client, r.ClientIP = nil, nil
		p.settle(registry.StateRemoved)
		return parsers.Understood
	case reject == nil || !refuses:
		return parsers.Understood
	case stage == registry.StageRcpt:
		r.Address = arg
	case stage == registry.StageMail:
		r.HasSender, r.Sender = true, arg
	}
	p.reject(stage, reject)
	return parsers.Understood
}

// rest returns all of text from value on, which is the last field: a reply may contain
// text that looks like another field.
func rest(text, value []byte, f *fields) []byte {
	n := len(value)
	if len(f.rest) > 0 {
		n += len(comma) + len(f.rest)
	}
	f.rest = nil
	return text[len(text)-n:]
}

// reject emits a rejection with a reply.
func (p *parser) reject(stage registry.Stage, reply []byte) {
	r := &p.rec
	r.Stage, r.Source = stage, registry.SourceLocal
	r.Reply = registry.ParseReply(reply)
	p.send(parsers.Rejection)
}

// stageOf returns the stage at which sendmail calls a ruleset, and whether it refuses
// mail. Rulesets with other names check headers.
func stageOf(ruleset []byte) (stage registry.Stage, refuses bool) {
	switch string(ruleset) {
	case "check_relay":
		return registry.StageConnect, true
	case "check_mail":
		return registry.StageMail, true
	case "check_rcpt", "check_compat":
		return registry.StageRcpt, true
	case "check_data":
		return registry.StageData, true
	case "check_etrn", "check_vrfy", "check_expn", "tls_server", "tls_rcpt", "try_tls", "srv_features",
		"clt_features",
		"tls_clt_features", "tls_srv_features", "queuegroup", "authinfo", "trust_auth", "Local_trust_auth":
		return 0, false
	case "tls_client":
		return registry.StageSTARTTLS, true
	}
	return registry.StageEndOfData, true // check_eoh, check_eom, CheckSubject
}

// milter reads the action of a milter:
//
//	Milter: to=<a@x>, reject=451 4.7.1 Greylisting in action, please come back later
//	Milter: data, reject=554 5.7.1 Blocked by SpamAssassin
//	Milter: connect: host=mail.x, addr=192.0.2.1, reject=550 5.7.1 Command rejected
//	Milter: data, discard
//	milter=clamav, action=body, reject=550 5.7.1 virus
//	Milter (clamav): error connecting to filter: Connection refused by /run/clamav.ctl
//
// Only a rejection, a discard and trouble produce records.
func (p *parser) milter(text []byte) parsers.Result {
	r := &p.rec
	if parsers.Has(text, "Milter (") {
		p.warned(text)
		return parsers.Understood
	}
	what := bytes.TrimPrefix(text, []byte("Milter: "))
	if i := bytes.Index(text, []byte(", action=")); i >= 0 {
		what = text[i+len(", action="):]
	}
	stage := registry.StageEndOfData
	switch {
	case parsers.Has(what, "to="), parsers.Has(what, "rcpt"):
		stage = registry.StageRcpt
		r.Address = address(what, "to=")
	case parsers.Has(what, "from="), parsers.Has(what, "mail"):
		stage = registry.StageMail
		if sender := address(what, "from="); sender != nil {
			r.HasSender, r.Sender = true, sender
		}
	case parsers.Has(what, "connect"):
		stage = registry.StageConnect
	case parsers.Has(what, "helo"):
		stage = registry.StageEHLO
	}
	switch i := bytes.LastIndex(what, []byte(", reject=")); {
	case i >= 0:
		p.reject(stage, what[i+len(", reject="):])
	case bytes.HasSuffix(what, []byte(", tempfail")):
		p.reject(stage, []byte("451 4.3.2 Please try again later"))
	case bytes.HasSuffix(what, []byte("discard")) && r.ID != nil:
		r.HasSender, r.Sender = false, nil
		p.settle(registry.StateRemoved)
	}
	return parsers.Understood
}

// address returns the address after name at the beginning of b, nil when b begins
// otherwise.
func address(b []byte, name string) []byte {
	if !parsers.Has(b, name) {
		return nil
	}
	f := fields{b}
	_, value, _ := f.next()
	return bare(value)
}

// refused reads refusals in lines without fields, and returns false for other lines:
//
//	rejecting commands from mail.x [192.0.2.1] due to pre-greeting traffic after 0 seconds
//	tcpwrappers (mail.x, 192.0.2.1) rejection
//	<joe@x>... User unknown
//
// The last is of a recipient, in the words of the configuration (virtusertable's
// "error:nouser 550 No such user here"), without the code.
func (p *parser) refused(text []byte) bool {
	r := &p.rec
	switch {
	case parsers.Has(text, "rejecting commands from "):
		client, _, _ := bytes.Cut(text[len("rejecting commands from "):], []byte(" due to "))
		r.Client, r.ClientIP = relay(bytes.TrimLeft(client, " "))
		p.rejectWith(registry.StageConnect, text)
	case parsers.Has(text, "tcpwrappers (") && bytes.HasSuffix(text, []byte(" rejection")):
		_, ip, _ := bytes.Cut(text, comma)
		r.ClientIP, _, _ = bytes.Cut(ip, []byte(")"))
		p.rejectWith(registry.StageConnect, text)
	case r.ID != nil && parsers.Has(text, "<"):
		i := bytes.Index(text, []byte(">... "))
		if i < 0 {
			return false
		}
		r.Address = text[1:i]
		p.rejectWith(registry.StageRcpt, text)
	default:
		return false
	}
	return true
}

// rejectWith emits a rejection with the text of the line, because the log does not
// contain the reply.
func (p *parser) rejectWith(stage registry.Stage, text []byte) {
	r := &p.rec
	r.Stage, r.Source, r.Reply.Text = stage, registry.SourceLocal, text
	p.send(parsers.Rejection)
}
