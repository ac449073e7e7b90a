package exim

import (
	"bytes"

	"mailfail/registry"
)

// Exim logs the result of each host that it tried, including the last, in a separate
// line. The line of the outcome follows and repeats the last result (write_logs in
// smtp.c):
//
//	1xV… H=mx1.example [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 no
//	1xV… H=mx2.example [2001:db8::2] Network is unreachable
//	1xV… == a@b.example R=dnslookup T=remote_smtp defer (101): Network is unreachable H=mx2.example [2001:db8::2]

// ofHost keeps the reply with which a host refused the whole session; a reply to one
// recipient may not apply to others. When Exim tries that host again, a new delivery
// has begun, so ofHost forgets the reply.
func (p *parser) ofHost(l *line) {
	at := l.text[len("H="):]
	if bytes.Contains(at, []byte(": SMTP error from remote mail server after initial connection: ")) {
		p.earlier.Put(p.rec.Host, l.id, at)
		return
	}
	said := p.earlier.Find(p.rec.Host, l.id)
	if end := bytes.IndexByte(said, ']'); end >= 0 && bytes.HasPrefix(at, said[:end+1]) {
		p.earlier.Forget(p.rec.Host, l.id)
	}
}

// refusedBefore makes the refusal of an earlier host the cause of an attempt whose last
// host was not reached, or sent no greeting. text is the result of the last host. Exim
// delivers a message to several domains in parallel, so both hosts must belong to one
// site.
func (p *parser) refusedBefore(text []byte) {
	r := &p.rec
	if r.Source != registry.SourceNetwork || r.Stage != registry.StageConnect &&
		r.Stage != registry.StageBanner {
		return
	}
	said := p.earlier.Find(r.Host, r.ID)
	name, _, _ := bytes.Cut(said, []byte(" "))
	if len(name) == 0 || !bytes.EqualFold(site(name), site(r.Relay)) {
		return
	}
	r.Relay, r.RelayIP = nil, nil
	var f fields
	p.readFields(relay(r, said), &f)
	p.contact(f.message)
	r.Then = text
}

// site returns the last two labels of a host's name.
func site(name []byte) []byte {
	if i := bytes.LastIndexByte(name, '.'); i > 0 {
		return name[bytes.LastIndexByte(name[:i], '.')+1:]
	}
	return name
}
