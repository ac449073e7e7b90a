package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// The refusals of hosts that were not the last to be tried come before the outcome:
//
//	4A5B6C7D8E: host mx1[192.0.2.1] refused to talk to me: 554 no
//	4A5B6C7D8E: to=<a@b>, …, status=deferred (connect to mx2[2001:db8::2]:25: Network is unreachable)

// refusal reads the reply of one of several hosts: "mx[192.0.2.1] said: 450 later (in
// reply to RCPT TO command)". Other texts about a host are irrelevant.
func (l *line) refusal(b []byte) parsers.Result {
	if _, _, rest, ok := host(b); ok &&
		(parsers.Has(rest, " said: ") || parsers.Has(rest, " refused to talk to me: ")) {
		l.earlier.Put(l.entry.Host, l.ID, b)
	}
	return parsers.Understood
}

// refusedBefore makes the refusal of an earlier host the cause of an attempt if the last
// host was not reached. If the last host was reached but sent no greeting, it does so
// only if the other one refused the whole session: a reply to one recipient need not
// apply to another.
func (l *line) refusedBefore(text []byte) {
	silent := l.Stage == registry.StageBanner && l.Source == registry.SourceNetwork
	if l.Stage != registry.StageConnect && !silent {
		return
	}
	said := l.earlier.Find(l.entry.Host, l.ID)
	if said == nil || silent && !bytes.Contains(said, []byte(" refused to talk to me: ")) {
		return
	}
	l.Relay, l.RelayIP = nil, nil
	l.remote(said, len(said) < parsers.MaxRefusal)
	l.Then = text
}

const stateVersion = 1

// Open returns false: every line is complete.
func (p *parser) Open() bool { return false }

// End has no kept lines to read.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the refusals of messages that are being delivered.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if p.line.earlier.Len() == 0 {
		return b, nil
	}
	return p.line.earlier.Append(append(b, stateVersion)), nil
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
	p.line.earlier.Read(&r)
	return r.End()
}
