package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// Where a domain has several hosts, the outcome tells of the last one tried. That the
// others refused is in lines of their own:
//
//	4A5B6C7D8E: host mx1[192.0.2.1] refused to talk to me: 554 no
//	4A5B6C7D8E: to=<a@b>, …, status=deferred (connect to mx2[2001:db8::2]:25: Network is unreachable)
//
// A host that could not even be reached says nothing of the cause, so that the
// refusal is the reply of the attempt.

// earlier holds the last refusals of messages that are being delivered. A place is
// taken over by a message whose id has the same hash.
type earlier struct {
	places [64]refusal
	n      int // that are in use
}

// refusal is what a host said that was not the last.
type refusal struct {
	host, id []byte
	text     []byte // "mx[192.0.2.1] said: …"
}

// maxRefusal is how much of a refusal is kept.
const maxRefusal = 1024

// place returns where the refusal of a message is, or would be.
func (r *earlier) place(id []byte) *refusal {
	h := uint32(2166136261)
	for _, c := range id {
		h = (h ^ uint32(c)) * 16777619
	}
	return &r.places[h%uint32(len(r.places))]
}

// find returns the refusal of a message, nil when there is none.
func (r *earlier) find(host, id []byte) *refusal {
	if r.n == 0 {
		return nil
	}
	if p := r.place(id); bytes.Equal(p.id, id) && bytes.Equal(p.host, host) {
		return p
	}
	return nil
}

// put keeps a refusal of a message, which the next one replaces.
func (r *earlier) put(host, id, text []byte) {
	p := r.place(id)
	if len(p.id) == 0 {
		r.n++
	}
	p.host, p.id = append(p.host[:0], host...), append(p.id[:0], id...)
	p.text = append(p.text[:0], text[:min(len(text), maxRefusal)]...)
}

// forget drops the refusal of a message: it is delivered anew, or has left the queue.
func (r *earlier) forget(host, id []byte) {
	if p := r.find(host, id); p != nil {
		p.id, p.host = p.id[:0], p.host[:0]
		r.n--
	}
}

// refusal reads what one of several hosts said: "mx[192.0.2.1] said: 450 later (in
// reply to RCPT TO command)". Other words about a host are of no interest.
func (l *line) refusal(b []byte) parsers.Result {
	if _, _, rest, ok := host(b); ok && (parsers.Has(rest, " said: ") || parsers.Has(rest, " refused to talk to me: ")) {
		l.earlier.put(l.entry.Host, l.ID, b)
	}
	return parsers.Understood
}

// refusedBefore makes the refusal of an earlier host the cause of an attempt that
// ended without a connection to the last.
func (l *line) refusedBefore(text []byte) {
	if l.Stage != registry.StageConnect {
		return
	}
	p := l.earlier.find(l.entry.Host, l.ID)
	if p == nil {
		return
	}
	l.Relay, l.RelayIP = nil, nil
	l.remote(p.text, len(p.text) < maxRefusal)
	l.Then = text
}

const stateVersion = 1

// Open reports false: no line goes on in the next.
func (p *parser) Open() bool { return false }

// End has nothing to read.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the refusals of messages that are being delivered.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if p.line.earlier.n == 0 {
		return b, nil
	}
	b = append(b, stateVersion)
	for i := range p.line.earlier.places {
		if r := &p.line.earlier.places[i]; len(r.id) > 0 {
			b = parsers.AppendBytes(parsers.AppendBytes(parsers.AppendBytes(b, r.host), r.id), r.text)
		}
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	r := parsers.ReadState(state)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	for r.More() {
		host, id, text := r.Bytes(), r.Bytes(), r.Bytes()
		if r.Err() == nil && isQueueID(id) {
			p.line.earlier.put(host, id, text)
		}
	}
	return r.End()
}
