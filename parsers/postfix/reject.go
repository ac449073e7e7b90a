package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// action reads an action of smtpd, cleanup or postscreen on incoming mail: "reject: RCPT
// from …", "milter-reject: END-OF-MESSAGE from …", "discard: …". ok is false for a line
// of another kind.
func (l *line) action(b []byte) (result parsers.Result, ok bool) {
	i := bytes.IndexByte(b, ':')
	if i < 0 || i+1 >= len(b) || b[i+1] != ' ' {
		return 0, false
	}
	switch string(b[:i]) {
	case "reject", "milter-reject", "proxy-reject":
		return l.rejected(b[i+2:]), true
	case "discard", "milter-discard":
		return l.discarded(b[i+2:]), true
	}
	return 0, false
}

// rejected reads a rejection by smtpd, a milter or postscreen,
//
//	RCPT from name[ip]: 554 5.7.1 <addr>: Relay access denied; from=<a> to=<b> proto=ESMTP helo=<c>
//
// by cleanup's header and body checks,
//
//	header Subject: x from name[ip]; from=<a> to=<b> proto=ESMTP helo=<c>: 5.7.1 text
//
// or by a filter before the queue (smtpd_proxy_filter),
//
//	END-OF-MESSAGE: 550 5.7.1 text; from=<a> to=<b> proto=ESMTP helo=<c>
func (l *line) rejected(b []byte) parsers.Result {
	if len(b) > 0 && b[0] >= 'a' {
		return l.rejectedOtherwise(b)
	}
	i := 0
	for i < len(b) && (b[i] >= 'A' && b[i] <= 'Z' || b[i] == '-') {
		i++
	}
	stage, ok := smtpdStage(b[:i])
	if !ok {
		return parsers.Unparsed
	}
	rest := b[i:]
	if parsers.Has(rest, " from ") {
		if l.Client, l.ClientIP, rest, ok = host(rest[len(" from "):]); !ok {
			return parsers.Unparsed
		}
	}
	if !parsers.Has(rest, ": ") {
		return parsers.Unparsed
	}
	reply, tail := splitReply(rest[2:])
	l.envelope(tail)
	l.Stage = stage
	l.Reply = registry.ParseReply(reply)
	l.sendRejection()
	return parsers.Understood
}

// rejectedOtherwise reads a rejection that names no SMTP stage.
func (l *line) rejectedOtherwise(b []byte) parsers.Result {
	switch {
	case parsers.HasAny(b, contents):
		return l.rejectedContent(b)
	case parsers.Has(b, mimeError):
		return l.rejectedMIME(b)
	case parsers.Has(b, "connect from "): // postscreen: all screening ports busy
		return l.rejectedConnection(b[len("connect from "):])
	}
	return parsers.Unparsed
}

// sendRejection emits a rejection. A rejection at DATA or later also ends the message:
// Postfix deletes the queue file without another line.
func (l *line) sendRejection() {
	l.Source = registry.SourceLocal
	if l.Stage == registry.StageConnect && l.Reply.Code == 0 && parsers.HasAny(l.Reply.Text, overloads) {
		l.Reply.Code = 421
	}
	l.send(parsers.Rejection)
	id, last := l.ID, l.Stage == registry.StageData || l.Stage == registry.StageEndOfData
	l.refusedByFault()
	if id != nil && last {
		l.ID = id
		l.end()
	}
}

// overloads are the reasons for which postscreen refuses a connection with 421; the log
// does not contain the reply (postscreen/postscreen.c, postscreen_send.c).
var overloads = []string{portsBusy, "all server ports busy", "too many connections"}

// refuse emits the rejection of a message for which the log contains only the cause, not
// the reply to the client.
func (l *line) refuse(text []byte) {
	l.Stage = registry.StageEndOfData
	l.Reply.Text = text
	l.sendRejection()
}

// badAddress reads "name[ip] in RCPT command: <the client's text>", which smtpd answers
// with 501.
func (l *line) badAddress(b []byte) parsers.Result {
	name, ip, rest, _ := host(b)
	rest, ok := bytes.CutPrefix(rest, []byte(" in "))
	if !ok {
		return parsers.Irrelevant
	}
	i := bytes.Index(rest, []byte(" command: "))
	stage, ok := smtpdStage(rest[:max(i, 0)])
	if !ok {
		return parsers.Irrelevant
	}
	l.begin(nil)
	l.Client, l.ClientIP, l.Stage = name, ip, stage
	l.Reply.Text = l.entry.Message[len("warning: "):]
	l.sendRejection()
	return parsers.Understood
}

// smtpdStage returns the stage of a command as smtpd names it. VRFY and some others have
// the stage unknown.
func smtpdStage(command []byte) (stage registry.Stage, ok bool) {
	switch string(command) {
	case "CONNECT":
		return registry.StageConnect, true
	case "HELO", "EHLO":
		return registry.StageEHLO, true
	case "STARTTLS":
		return registry.StageSTARTTLS, true
	case "AUTH":
		return registry.StageAuth, true
	case "MAIL":
		return registry.StageMail, true
	case "RCPT":
		return registry.StageRcpt, true
	case "DATA", "BDAT":
		return registry.StageData, true
	case "END-OF-MESSAGE":
		return registry.StageEndOfData, true
	case "VRFY", "ETRN", "UNKNOWN", "XCLIENT", "XFORWARD", "NOOP", "RSET", "QUIT":
		return registry.StageUnknown, true
	}
	return 0, false
}

// Separators of the parts of a rejection.
var (
	contents      = []string{"header ", "body ", "mime-header ", "nested-header ", "content "}
	afterOffender = []string{": "}
	tails         = []string{"; from=<", "; proto=", "; to=<", "; helo=<"}
	afterFrom     = []string{" to=<", ", to=<", " proto=", ", proto=", " helo=<", ": "}
	afterTo       = []string{" proto=", ", proto=", " helo=<", ": "}
	afterHelo     = []string{": "}
)

// splitReply divides "554 5.7.1 <addr>: text; from=<…" at the semicolon. The address is
// the client's, and may itself contain text like that of the rest.
func splitReply(b []byte) (reply, tail []byte) {
	if parsers.HasAny(b, tails) { // a filter that refused without a text
		return nil, b[2:]
	}
	i := 0
	if j := bytes.IndexByte(b, '<'); j >= 0 && j <= len("554 5.7.123 ") {
		if _, rest, ok := address(b[j:], afterOffender); ok {
			i = len(b) - len(rest)
		}
	}
	for {
		j := bytes.IndexByte(b[i:], ';')
		if j < 0 {
			return b, nil
		}
		i += j
		if parsers.HasAny(b[i:], tails) {
			return b[:i], b[i+2:]
		}
		i++
	}
}

// envelope reads "from=<a> to=<b> proto=ESMTP helo=<c>", each part of which may be
// missing, and returns the text after it.
func (l *line) envelope(b []byte) []byte {
	if parsers.Has(b, "from=") {
		if sender, rest, ok := address(b[len("from="):], afterFrom); ok {
			l.HasSender, l.Sender, b = true, sender, skipComma(rest)
		}
	}
	if parsers.Has(b, "to=") {
		if recipient, rest, ok := address(b[len("to="):], afterTo); ok {
			l.Address, b = recipient, skipComma(rest)
		}
	}
	if parsers.Has(b, "proto=") {
		i := 0
		for i < len(b) && b[i] != ' ' && b[i] != ':' && b[i] != ',' {
			i++
		}
		b = skipComma(b[i:])
	}
	if parsers.Has(b, "helo=") {
		if _, rest, ok := address(b[len("helo="):], afterHelo); ok {
			return rest
		}
	}
	return b
}

// skipComma skips the separator of two parts: a blank, with postscreen a comma and a
// blank.
func skipComma(b []byte) []byte {
	if len(b) > 0 && b[0] == ',' {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// content reads the end of "header Subject: x from name[ip]; from=<a> to=<b> proto=ESMTP
// helo=<c>: text" and returns the text. The matched part of the message comes first and
// may contain anything, so the client is searched for from the envelope backwards. For
// mail from this host the client is "local".
func (l *line) content(b []byte) (text []byte, ok bool) {
	i := bytes.LastIndex(b, []byte("; from=<"))
	if i < 0 {
		return nil, false
	}
	if j := bytes.LastIndex(b[:i], []byte(" from ")); j >= 0 {
		l.Client, l.ClientIP, _, _ = host(b[j+len(" from ") : i])
	}
	return bytes.TrimPrefix(l.envelope(b[i+2:]), []byte(": ")), true
}

// rejectedContent reads a rejection by header or body checks.
func (l *line) rejectedContent(b []byte) parsers.Result {
	text, ok := l.content(b)
	if !ok {
		return parsers.Unparsed
	}
	l.Stage = registry.StageEndOfData
	l.Reply = registry.ParseReply(text)
	l.sendRejection()
	return parsers.Understood
}

// mimeError begins cleanup's line about a message that violates MIME.
const mimeError = "mime-error "

// rejectedMIME reads "mime-error improper use of 8-bit data in message header: Subject: x
// from name[ip]; from=<a> to=<b>". The reply to the client is the error.
func (l *line) rejectedMIME(b []byte) parsers.Result {
	if _, ok := l.content(b); !ok {
		return parsers.Unparsed
	}
	l.Stage = registry.StageEndOfData
	l.Reply.Text, _, _ = bytes.Cut(b[len(mimeError):], []byte(": "))
	l.sendRejection()
	return parsers.Understood
}

// rejectedConnection reads "[192.0.2.1]:4711: all screening ports busy".
func (l *line) rejectedConnection(b []byte) parsers.Result {
	var rest []byte
	var ok bool
	if l.Client, l.ClientIP, rest, ok = host(b); !ok || !parsers.Has(rest, ": ") {
		return parsers.Unparsed
	}
	l.Stage, l.Reply.Text = registry.StageConnect, rest[2:]
	l.sendRejection()
	return parsers.Understood
}

// discarded reads an action that accepts mail and drops it.
func (l *line) discarded(b []byte) parsers.Result {
	if l.ID == nil {
		return parsers.Understood
	}
	text, ok := l.content(b)
	if !ok {
		return parsers.Unparsed
	}
	l.HasSender, l.Sender, l.Client, l.ClientIP = false, nil, nil, nil
	l.Reply.Text = text
	l.settle(registry.StateRemoved)
	if parsers.Has(b, "END-OF-MESSAGE") || parsers.HasAny(b, contents) {
		l.end() // cleanup drops the whole message
	}
	return parsers.Understood
}
