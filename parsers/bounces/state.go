package bounces

import (
	"bytes"

	"mailfail/parsers"
)

const stateVersion = 1

// Open reports whether the last line was inside the body of a message.
func (p *parser) Open() bool { return p.phase >= body }

// End ends the held message, and emits the recipients that it reports.
func (p *parser) End(emit func(*parsers.Record)) parsers.Result {
	p.end(emit)
	return parsers.Understood
}

// AppendBinary appends the held message.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if p.phase == between {
		return b, nil
	}
	b = parsers.AppendBool(append(b, stateVersion, byte(p.phase)), p.blank)
	return parsers.AppendBytes(b, p.held), nil
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
	p.phase = phase(r.Byte())
	p.blank = r.Bool()
	p.held = bytes.Clone(r.Bytes())
	if p.phase == between || p.phase >= numPhases {
		return parsers.ErrState
	}
	if p.phase == body {
		p.boundary = boundaryOf(p.held)
	}
	return r.End()
}
