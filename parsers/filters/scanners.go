package filters

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// amavis reads the line about a message that amavis blocked:
//
//	(10410-08) Blocked SPAM {DiscardedInbound,Quarantined}, [192.0.2.1]:4 [192.0.2.1] <a@x> -> <b@y>,<c@y>, quarantine: s/spam-x.gz, Queue-ID: 4F5C, Message-ID: <m@x>, …
//
// It emits records only for discarded mail: the MTA reports the mail that amavis
// refused or sent back.
func (p *parser) amavis(b []byte) bool {
	_, fate, ok := between(b, ") Blocked ", "{")
	if !ok {
		return false
	}
	fate, rest, ok := bytes.Cut(fate, []byte("}, "))
	if !ok || !bytes.Contains(fate, []byte("Discarded")) {
		return ok
	}
	i := bytes.IndexByte(rest, '<')
	if i < 0 {
		return false
	}
	_, rest, ok = path(rest[i:])
	if !ok || !parsers.Has(rest, " -> ") {
		return false
	}
	first := rest[len(" -> "):]
	for rest = first; ok; {
		if _, rest, ok = path(rest); ok && !parsers.Has(rest, ",<") {
			break
		}
		rest = bytes.TrimPrefix(rest, []byte(","))
	}
	if !ok {
		return false
	}
	p.rec.ID, _, _ = between(rest, ", Queue-ID: ", ",")
	p.rec.MessageID, _, _ = between(rest, ", Message-ID: ", ",")
	did := "discarded"
	if bytes.Contains(fate, []byte("Quarantined")) {
		did = "quarantined"
	}
	for len(first) > len(rest) {
		var address []byte
		address, first, _ = path(first)
		first = bytes.TrimPrefix(first, []byte(","))
		if len(address) > 0 {
			p.put(address, registry.StateRemoved, did, nil)
		}
	}
	return true
}

// path splits off the address in angle brackets at the beginning of b.
func path(b []byte) (address, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return nil, nil, false
	}
	b = b[1:]
	n := parsers.SkipQuoted(b)
	i := bytes.IndexByte(b[n:], '>')
	if i < 0 {
		return nil, nil, false
	}
	return b[:n+i], b[n+i+1:], true
}

// rspamd reads the line about a message that rspamd marked as spam:
//
//	<a1b2c3>; task; rspamd_task_write_log: id: <m@x>, qid: <3A3D>, ip: 192.0.2.1, from: <a@x>, (default: T (add header): [8.10/15.00] […]), len: 9, …, rcpts: <b@y,c@y>, …
//
// The MTA's log contains the mail that rspamd refused, deferred or discarded.
func (p *parser) rspamd(b []byte) bool {
	_, b, ok := between(b, "rspamd_task_write_log: ", "id: ")
	if !ok {
		return false
	}
	id, rest, ok := bytes.Cut(b, []byte(">, "))
	queueID, rest, ok2 := between(rest, "qid: <", ">")
	_, rest, ok3 := between(rest, "(default: ", " (")
	action, rest, ok4 := bytes.Cut(rest, []byte("): ["))
	if !ok || !ok2 || !ok3 || !ok4 || string(action) != "add header" && string(action) != "rewrite subject" {
		return true
	}
	score, _, _ := bytes.Cut(rest, []byte("]"))
	recipients, _, ok := between(rest, ", rcpts: <", ">")
	if !ok {
		return true
	}
	p.rec.ID = queueID
	if p.rec.MessageID = b[:len(id)+1]; string(p.rec.MessageID) == "<undef>" {
		p.rec.MessageID = nil
	}
	for len(recipients) > 0 {
		var address []byte
		address, recipients, _ = bytes.Cut(recipients, []byte(","))
		if len(address) > 0 {
			p.put(address, registry.StatePending, "marked as spam, ", score)
		}
	}
	return true
}
