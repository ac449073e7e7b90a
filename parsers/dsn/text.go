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
// readText finds the recipients of all of them in one pass: a line that begins
// with an address opens a recipient, and the text after it belongs to that recipient
// until a blank line after some text, or the next address.

var (
	// addressLine is an address that opens a recipient: alone, or with a colon
	// and the beginning of the cause, and an expansion note of Postfix or Exim.
	addressLine = lazy(`^\s*(?:\*\s+)?<?([^\s<>:;,()]+@[^\s<>:;,()]+[^\s<>:;,().])>?\s*(?:\((?:expanded|generated|ultimately)[^)]{0,400}\)|\(reason:[^)]*\))?\s*(:|$|\.\.\.|\(reason|\s+Error,|\s+on\s+|\s+#|\s+\d{3}[ -])(.*)$`)
	smtpAnswer  = lazy(`^\s*<<<\s+(.*)$`)
	smtpRcpt    = lazy(`(?i)^\s*>>>\s+RCPT TO:\s*<?([^\s<>]+@[^\s<>]+?)>?\s*$`)
	// sentence names the recipient in the middle: DragonFly, IMail, Zoho.
	sentence = lazy(`(?i)(?:error delivering your mail to|undeliverable to|delivery userid:|\[Status: Error, Address:)\s*<?([^\s<>,]+@[^\s<>,]+[^\s<>,.])`)
	// recipientField is a line in the list of facts of Office 365.
	recipientField = lazy(`^Recipient Address:\s*<?([^\s<>,]+@[^\s<>,]+)`)
	// following announces the recipients; an address before it belongs to the sender.
	following = lazy(`(?i)\bfollowing (?:address|recipient|destination)|^address\(es\) failed:`)
	// expansion is a line below an address that says from which one it came.
	expansion = lazy(`^\s*\((?:expanded|generated|ultimately) [^)]{0,400}\)\s*$`)
	// heading is a line above a part of the text: "----- Transcript of session follows -----".
	heading   = lazy(`^\s*-{3,} .* -{3,}\s*$`)
	replyLine = lazy(`^\s*[#'"(]{0,2}[45][0-9][0-9][ -].*$`)
	replyTo   = lazy(`^\s*[45][0-9][0-9] (?:[45]\.[0-9]{1,3}\.[0-9]{1,3} )?<?([^\s<>]+@[^\s<>.]+\.[^\s<>]+?)>?\.\.\. .*$`)
)

// textReader reads the recipients out of a text.
type textReader struct {
	list    []Recipient
	open    bool   // more text for the last recipient may follow
	session string // address of the last RCPT in the SMTP dialogue
	answers string // replies in that dialogue to the last RCPT
	loose   string // the first reply that belongs to no recipient
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
			break // the returned message begins, with other addresses in its header
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
	if heading().MatchString(line) {
		tr.open = false
		return
	}
	if expansion().MatchString(line) {
		return
	}
	if m := sentence().FindStringSubmatch(line); m != nil {
		tr.add(m[1], sentenceCause(line))
		return
	}
	if m := recipientField().FindStringSubmatch(line); m != nil && tr.loose != "" {
		tr.add(m[1], tr.loose) // Office 365 writes the error first
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

// sentenceCause returns the sentence when it contains the cause, else "".
func sentenceCause(line string) string {
	if strings.Contains(line, "delivering your mail") {
		return ""
	}
	return strings.TrimSpace(line)
}

// caused reports whether a recipient has a cause with a code.
func (tr *textReader) caused() bool {
	for _, f := range tr.list {
		if code(f.Diagnostic) {
			return true
		}
	}
	return false
}

// continues reports whether a line that begins with an address continues the
// paragraph of the open recipient (Postfix).
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

// add opens a recipient. When the text named the recipient before, add moves it to the
// end. It replaces an empty cause by any text, and a cause without a code by a text with
// a code or an empty one.
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

// done returns the recipients with a cause. A reply that belongs to no recipient is
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

// cleanLine removes the frame around a line of a cause: Exchange's quotes, Exim's
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

// failing reports whether a text can be a cause: it has a code or words.
func failing(text string) bool {
	return code(text) || words().MatchString(text)
}
