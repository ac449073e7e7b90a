package filters

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// dovecot reads the lines of Dovecot's lmtp and lda about a message:
//
//	lmtp(ann@far.example)<7><x>: sieve: msgid=<m@y>: stored mail into mailbox 'Junk'
//	lda(ann)<7><x>: msgid=<m@y>: saved mail to INBOX
//
// Before 2.3 the session is not part of the name: "lmtp(7, ann): x: sieve: msgid=…".
func (p *parser) dovecot(b []byte) bool {
	user, rest, ok := between(b, "(", ")")
	if !ok {
		return false
	}
	if i := bytes.LastIndex(user, []byte(", ")); i >= 0 {
		user = user[i+2:]
	}
	id, text, ok := between(rest, "msgid=", ": ")
	if !ok || len(user) == 0 {
		return false
	}
	p.rec.MessageID = bytes.TrimPrefix(id, []byte("? "))
	if !parsers.Has(p.rec.MessageID, "<") {
		p.rec.MessageID = nil // "unspecified"
	}
	if _, after, ok := bytes.Cut(text, []byte(" action: ")); ok &&
		bytes.IndexByte(text, ' ') == bytes.Index(text, []byte(" action: ")) {
		text = after // since Pigeonhole 0.5.16
	}
	folded := text
	if len(folded) > 0 {
		folded = folded[1:] // the case of the first letter differs between versions
	}
	switch {
	case parsers.Has(folded, "tored mail into mailbox '"):
		p.put(user, registry.StatePending, "stored in ", folder(folded[len("tored mail into mailbox '"):]))
	case parsers.Has(folded, "aved mail to "):
		p.put(user, registry.StatePending, "stored in ", folder(folded[len("aved mail to "):]))
	case parsers.Has(folded, "arked message to be discarded"):
		p.put(user, registry.StateRemoved, "discarded", nil)
	case parsers.Has(folded, "orwarded to <"):
		to, _, _ := bytes.Cut(folded[len("orwarded to "):], []byte(" "))
		p.put(user, registry.StatePending, "forwarded to ", bytes.Trim(to, "<>"))
	default:
		return false
	}
	return true
}

// folder returns the name of a folder that quotes or blanks may follow.
func folder(b []byte) []byte { return bytes.TrimRight(b, " '") }
