package opensmtpd

import (
	"bytes"

	"mailfail/parsers"
)

// maxSessions limits the state: a busy server has some hundred sessions open.
const maxSessions = 1024

// sessions are the open sessions, the oldest first.
type sessions struct {
	list []*session
	free []*session // memory for reuse
}

// session holds the facts about a client.
type session struct {
	id, ip, host, account []byte
	message               []byte // id of the last message whose Arrival was emitted
}

// open begins a session. It forgets an earlier one with the same id.
func (s *sessions) open(id []byte) *session {
	s.close(id)
	return s.get(id)
}

// get returns the session of an id, and creates it when the log lacks its beginning.
func (s *sessions) get(id []byte) *session {
	for i := len(s.list) - 1; i >= 0; i-- {
		if bytes.Equal(s.list[i].id, id) {
			return s.list[i]
		}
	}
	if len(s.list) == maxSessions {
		s.remove(0)
	}
	var x *session
	if n := len(s.free); n > 0 {
		x, s.free = s.free[n-1], s.free[:n-1]
		x.ip, x.host, x.account, x.message = x.ip[:0], x.host[:0], x.account[:0], x.message[:0]
	} else {
		x = new(session)
	}
	x.id = append(x.id[:0], id...)
	s.list = append(s.list, x)
	return x
}

// close forgets the session of an id.
func (s *sessions) close(id []byte) {
	for i := range s.list {
		if bytes.Equal(s.list[i].id, id) {
			s.remove(i)
			return
		}
	}
}

func (s *sessions) remove(i int) {
	s.free = append(s.free, s.list[i])
	s.list = append(s.list[:i], s.list[i+1:]...)
}

const stateVersion = 1

// Open reports false: each line is complete.
func (p *parser) Open() bool { return false }

// End emits nothing: open sessions stay in the state.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the open sessions.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if len(p.sessions.list) == 0 {
		return b, nil
	}
	b = append(b, stateVersion)
	for _, s := range p.sessions.list {
		for _, v := range [...][]byte{s.id, s.ip, s.host, s.account, s.message} {
			b = parsers.AppendBytes(b, v)
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
	for r.More() && r.Err() == nil && len(p.sessions.list) < maxSessions {
		s := &session{}
		for _, v := range [...]*[]byte{&s.id, &s.ip, &s.host, &s.account, &s.message} {
			*v = append(*v, r.Bytes()...)
		}
		p.sessions.list = append(p.sessions.list, s)
	}
	return r.End()
}
