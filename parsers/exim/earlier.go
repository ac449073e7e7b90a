package exim

import (
	"bytes"

	"mailfail/registry"
)

// Exim logs the result of each host that it tried in a separate line, the last one
// too; then comes the outcome, which reports the last (write_logs in smtp.c):
//
//	1xV… H=mx1.example [192.0.2.1]: SMTP error from remote mail server after initial connection: 554 no
//	1xV… H=mx2.example [2001:db8::2] Network is unreachable
//	1xV… == a@b.example R=dnslookup T=remote_smtp defer (101): Network is unreachable H=mx2.example [2001:db8::2]

// ofHost keeps what a host said when it refused the whole session: what it said to a
// recipient need not be about another. A host that is tried again begins a new
// delivery, so that what was said before is forgotten.
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

// refusedBefore makes the refusal of an earlier host the cause of an attempt at which
// the last was not reached, or did not say a word. text is what came of the last. A
// message to several domains is delivered to them side by side, so the two hosts must
// be of one site.
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
