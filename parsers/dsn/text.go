package dsn

import (
	"strings"
)

// The texts that mail systems write for humans have few shapes:
//
//	<a@b>: host mx.b[192.0.2.1] said: 550 5.1.1 no      Postfix: one paragraph,
//	    such user (in reply to RCPT TO command)          its other lines indented
//
//	  a@b                                               Exim: the address alone,
//	    SMTP error from remote mail server after …:     the cause indented more
//	    host mx.b [192.0.2.1]: 550 no such user
//
//	<a@b>:                                              qmail: the cause below,
//	192.0.2.1 does not like recipient.                  up to a blank line
//	Remote host said: 550 no such user
//
//	   ----- Transcript of session follows -----        sendmail: the dialogue
//	>>> RCPT To:<a@b>
//	<<< 550 5.1.1 no such user
//
//	a@b                                                 Exchange
//	Remote Server returned '550 5.1.1 RESOLVER.ADR.RecipNotFound; not found'
//	#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##
//
// readText finds the recipients of all of them in one go: a line that begins
// with an address opens a recipient, and what follows belongs to it until a
// blank line behind some text, or the next address.

var (
	// addressLine is an address that opens a recipient: alone, or with a colon
	// and the beginning of the cause, and an expansion note of Postfix or Exim.
	addressLine = lazy(`^\s*(?:\*\s+)?<?([^\s<>:;,()]+@[^\s<>:;,()]+[^\s<>:;,().])>?\s*(?:\((?:expanded|generated|ultimately)[^)]{0,400}\)|\(reason:[^)]*\))?\s*(:|$|\.\.\.|\(reason|\s+Error,|\s+on\s+|\s+#|\s+\d{3}[ -])(.*)$`)
	smtpAnswer  = lazy(`^\s*<<<\s+(.*)$`)
	smtpRcpt    = lazy(`(?i)^\s*>>>\s+RCPT TO:\s*<?([^\s<>]+@[^\s<>]+?)>?\s*$`)
	// sentence names the recipient in the middle: DragonFly, IMail, Zoho.
	sentence = lazy(`(?i)(?:error delivering your mail to|undeliverable to|delivery userid:|\[Status: Error, Address:)\s*<?([^\s<>,]+@[^\s<>,]+[^\s<>,.])`)
	// recipientField is one of Office 365's list of facts.
	recipientField = lazy(`^Recipient Address:\s*<?([^\s<>,]+@[^\s<>,]+)`)
	// following announces the recipients; an address before it is the sender's.
	following = lazy(`(?i)\bfollowing (?:address|recipient|destination)|^address\(es\) failed:`)
	replyLine = lazy(`^\s*[#'"(]{0,2}[45][0-9][0-9][ -].*$`)
	replyTo   = lazy(`^\s*[45][0-9][0-9] (?:[45]\.[0-9]{1,3}\.[0-9]{1,3} )?<?([^\s<>]+@[^\s<>.]+\.[^\s<>]+?)>?\.\.\. .*$`)
)

// textReader reads the recipients out of a text.
type textReader struct {
	list    []Recipient
	open    bool // the last recipient may get more text
	session string
	answers string // of the SMTP dialogue, for the last RCPT
	loose   string // replies outside of any recipient
}

func readText(text string) []Recipient {
	var tr textReader
	n := 0
	for line := range strings.Lines(text) {
		if n++; n > 5000 {
			break
		}
		line = strings.TrimRight(line, "\r\n")
		if returned().MatchString(line) && (len(tr.list) > 0 || tr.loose != "") {
			break // the returned message, whose header is full of addresses
		}
		tr.line(line)
	}
	return tr.done()
}

var returned = lazy(`(?i)^(?:Received:|Return-Path:|X-[a-z-]+:|Reporting-MTA:|-+ ?(?:Original|Message header|Unsent|Header|Copy|Returned|This is a copy)|.*(?:message headers? follows?|original message (?:headers )?follows?|copy of (?:the|your) (?:original )?message).*)`)

func (tr *textReader) line(line string) {
	if m := smtpRcpt().FindStringSubmatch(line); m != nil {
		tr.open, tr.session, tr.answers = false, m[1], ""
		return
	}
	if m := smtpAnswer().FindStringSubmatch(line); m != nil {
		tr.answer(m[1])
		return
	}
	if strings.TrimSpace(line) == "" {
		if tr.open && tr.last().Diagnostic != "" && !strings.HasSuffix(tr.last().Diagnostic, ":") {
			tr.open = false
		}
		return
	}
	if m := sentence().FindStringSubmatch(line); m != nil {
		tr.add(m[1], sentenceCause(line))
		return
	}
	if m := recipientField().FindStringSubmatch(line); m != nil && tr.loose != "" {
		tr.add(m[1], tr.loose) // Office 365 gives the error first
		tr.open = false
		return
	}
	if following().MatchString(line) && !tr.caused() {
		tr.list, tr.open = nil, false
		return
	}
	if m := replyTo().FindStringSubmatch(line); m != nil && !tr.continues(line) { // sendmail
		tr.add(m[1], strings.TrimSpace(line))
		return
	}
	if m := addressLine().FindStringSubmatch(line); m != nil && len(tr.list) < MaxRecipients &&
		!tr.continues(line) {
		rest := strings.TrimSpace(m[3])
		if m[2] == "(reason" {
			rest = strings.TrimLeft(rest, ": ")
		} else if strings.TrimSpace(m[2]) != ":" && strings.TrimSpace(m[2]) != "" {
			rest = strings.TrimSpace(m[2] + rest)
		}
		tr.add(m[1], rest)
		return
	}
	switch {
	case tr.open && len(tr.last().Diagnostic) < maxDiagnostic:
		tr.last().Diagnostic = strings.TrimSpace(tr.last().Diagnostic + " " + cleanLine(line))
	case tr.loose == "" && (replyLine().MatchString(line) || code(line)):
		tr.loose = strings.TrimSpace(line)
	}
}

// sentenceCause returns the cause when the sentence itself is it.
func sentenceCause(line string) string {
	if strings.Contains(line, "delivering your mail") {
		return ""
	}
	return strings.TrimSpace(line)
}

// caused reports whether a cause with a code was found.
func (tr *textReader) caused() bool {
	for _, f := range tr.list {
		if code(f.Diagnostic) {
			return true
		}
	}
	return false
}

// continues reports whether a line is part of a paragraph that a recipient
// opened (Postfix), although it begins with an address.
func (tr *textReader) continues(line string) bool {
	return tr.open && tr.last().Diagnostic != "" && (line[0] == ' ' || line[0] == '\t')
}

// answer adds a reply in a dialogue. A multi-line reply has several lines.
func (tr *textReader) answer(text string) {
	if tr.session == "" {
		if tr.loose == "" && replyLine().MatchString(text) {
			tr.loose = text
		}
		return
	}
	if len(tr.answers) < maxDiagnostic {
		tr.answers = strings.TrimSpace(tr.answers + " " + text)
	}
	if len(text) > 3 && text[3] != '-' && text[0] > '3' {
		tr.add(tr.session, tr.answers)
		tr.open, tr.answers = false, ""
	}
}

func (tr *textReader) last() *Recipient { return &tr.list[len(tr.list)-1] }

// add opens a recipient, or goes on with it when it has been named before: the
// longer text with a code counts.
func (tr *textReader) add(address, text string) {
	if len(address) > maxAddress {
		return
	}
	for i := range tr.list {
		if !strings.EqualFold(tr.list[i].Address, address) {
			continue
		}
		f := tr.list[i]
		if f.Diagnostic == "" || (code(text) || text == "") && !code(f.Diagnostic) {
			f.Diagnostic = text
		}
		tr.list = append(append(tr.list[:i], tr.list[i+1:]...), f)
		tr.open = f.Diagnostic == text
		return
	}
	tr.list = append(tr.list, Recipient{Address: address, Diagnostic: text})
	tr.open = true
}

// done returns the recipients with a cause. A reply that belongs to nobody is
// the cause of those without one, or of a recipient without an address.
func (tr *textReader) done() []Recipient {
	var list []Recipient
	for _, f := range tr.list {
		if tr.loose != "" && (f.Diagnostic == "" || len(tr.list) == 1 && !code(f.Diagnostic)) {
			f.Diagnostic = tr.loose
		}
		if f.Diagnostic = Cut(f.Diagnostic); f.Diagnostic != "" && failing(f.Diagnostic) {
			list = append(list, f)
		}
	}
	if len(list) == 0 && tr.loose != "" {
		list = append(list, Recipient{Diagnostic: Cut(tr.loose)})
	}
	return list
}

// cleanLine takes the frame from a line of a cause: Exchange's quotes, Exim's
// and sendmail's "(reason: …)".
func cleanLine(line string) string {
	line = strings.TrimSpace(line)
	for _, prefix := range []string{"(reason: ", "Remote Server returned ", "Remote server returned "} {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.Trim(rest, "')")
		}
	}
	return line
}

// failing distinguishes a cause from the greeting and other sentences with an address
// in front.
func failing(text string) bool {
	return code(text) || words().MatchString(text)
}
