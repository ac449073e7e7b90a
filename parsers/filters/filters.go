// Package filters reads the lines of filters and mailbox servers behind an MTA about
// mail that the MTA handed to them: they stored it in a folder, discarded it,
// quarantined it or forwarded it.
//
// The lines are those of Dovecot's lmtp and lda with Sieve or without (lib-lda,
// Pigeonhole's sieve_action_…), of amavis ("Blocked SPAM {DiscardedInbound,…}"),
// of rspamd's rspamd_task_write_log, and of Proxmox Mail Gateway's pmg-smtp-filter.
// The package does not claim other lines of these programs.
//
// # Missing from the logs
//
// The lines identify a message by its Message-ID, those of amavis and rspamd by its
// queue id too. Dovecot's lines do not identify mail without a Message-ID.
package filters

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{Name: "filters", MTA: "filters", Claim: claim, New: New})
}

// claim returns Mine for the lines about mail. All other lines of the programs stay
// unclaimed: they belong to other services. For an entry without a message claim
// decides by the program alone.
func claim(e *parsers.Entry) parsers.Claim {
	if programOf(e.Program) != nil && (e.Message == nil || isOfMail(e)) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// A reader reads the message of an entry of its program. It returns false for a message
// that it does not know.
type reader func(p *parser, b []byte) bool

// programOf returns the reader of a program's lines, nil for other programs.
func programOf(program []byte) reader {
	switch string(program) {
	case "dovecot":
		return (*parser).dovecot
	case "amavis", "amavisd", "amavisd-new":
		return (*parser).amavis
	case "rspamd":
		return (*parser).rspamd
	case "pmg-smtp-filter":
		return (*parser).gateway
	}
	return nil
}

// isOfMail reports whether a line of a known program may be about the fate of mail.
func isOfMail(e *parsers.Entry) bool {
	b := e.Message
	switch e.Program[0] {
	case 'd':
		return (parsers.Has(b, "lmtp(") || parsers.Has(b, "lda(") || parsers.Has(b, "deliver(")) &&
			bytes.Contains(b, []byte("msgid="))
	case 'a':
		return parsers.Has(b, "(") && bytes.Contains(b, []byte(") Blocked "))
	case 'r':
		return bytes.Contains(b, []byte("rspamd_task_write_log: ")) &&
			(bytes.Contains(b, []byte(" (add header): ")) ||
				bytes.Contains(b, []byte(" (rewrite subject): ")))
	}
	_, b, _ = bytes.Cut(b, []byte(": "))
	return parsers.HasAny(b, ofGateway)
}

// ofGateway are the beginnings of the Mail Gateway's lines about a message.
var ofGateway = []string{"new mail message-id=", "moved mail for <", "block mail to <", "processing time: "}

// A parser keeps the Message-IDs of the messages that the Mail Gateway is processing.
type parser struct {
	rec    parsers.Record
	emit   func(*parsers.Record)
	place  []byte // memory of Place
	inHand inHand
}

// New returns a parser of the lines of filters.
func New(parsers.Options) parsers.Parser { return &parser{} }

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	read := programOf(e.Program)
	if read == nil {
		return parsers.Irrelevant
	}
	p.emit = emit
	p.rec.Reset()
	p.rec.Service = e.Program
	if read(p, e.Message) {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// put emits a Placed record for an address. Its Place consists of the program, the
// action (did) and the folder, address or score (with), which may be nil. state is
// Removed for mail that the program discarded or quarantined, else Pending.
func (p *parser) put(address []byte, state registry.State, did string, with []byte) {
	p.place = append(append(append(p.place[:0], p.rec.Service...), ": "...), did...)
	p.place = append(p.place, with...)
	p.rec.Kind, p.rec.Address, p.rec.Final, p.rec.Place = parsers.Placed, address, state, p.place
	p.emit(&p.rec)
}

// between returns the text between two strings, and the text after the second. ok is
// false when b does not contain both.
func between(b []byte, begin, end string) (found, rest []byte, ok bool) {
	i := bytes.Index(b, []byte(begin))
	if i < 0 {
		return nil, nil, false
	}
	b = b[i+len(begin):]
	if i = bytes.Index(b, []byte(end)); i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+len(end):], true
}
