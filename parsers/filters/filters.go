// Package filters reads what filters and mailbox servers behind an MTA say of mail
// that it handed to them: which folder it is in, that it was discarded or
// quarantined, or that it was forwarded.
//
// The lines are those of Dovecot's lmtp and lda with Sieve or without (lib-lda,
// Pigeonhole's sieve_action_…), of amavis ("Blocked SPAM {DiscardedInbound,…}"),
// of rspamd's rspamd_task_write_log, and of Proxmox Mail Gateway's pmg-smtp-filter.
// All other lines of these programs are of no interest.
//
// # What the logs do not contain
//
// They know a message by its Message-ID, amavis and rspamd by its queue id too.
// Mail without a Message-ID cannot be found in Dovecot's lines.
package filters

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{Name: "filters", MTA: "filters", Claim: claim, New: New})
}

// claim takes the lines that say where mail went, and leaves all others of the
// programs to nobody: they are those of other services. Without a message it is asked
// for the program alone.
func claim(e *parsers.Entry) parsers.Claim {
	if programOf(e.Program) != nil && (e.Message == nil || isOfMail(e)) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// A reader reads the message of an entry of its program.
type reader func(p *parser, b []byte) bool

// programOf returns what reads the lines of a program, nil for other programs.
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

// isOfMail reports whether a line of a program may say where mail went.
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

// A parser keeps which message the Mail Gateway has under which id.
type parser struct {
	rec    parsers.Record
	emit   func(*parsers.Record)
	place  []byte // scratch
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

// put passes on where mail for an address went, in the words of its program: what
// it did and, if any, with what. Mail that was thrown away or is kept back has
// the state removed.
func (p *parser) put(address []byte, state registry.State, did string, with []byte) {
	p.place = append(append(append(p.place[:0], p.rec.Service...), ": "...), did...)
	p.place = append(p.place, with...)
	p.rec.Kind, p.rec.Address, p.rec.Final, p.rec.Place = parsers.Placed, address, state, p.place
	p.emit(&p.rec)
}

// between returns what stands between two strings, and what follows the second.
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
