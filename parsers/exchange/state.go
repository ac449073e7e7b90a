package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mailfail/registry"
)

// stateVersion begins a state. Those of version 1 knew nothing of connections,
// those of version 2 nothing of days; later ones are refused.
const stateVersion = 3

var errState = errors.New("the saved state is damaged")

// keeper is a table that keeps something from row to row.
type keeper interface {
	appendState(b []byte) []byte
	setState(d *decoder)
}

// AppendBinary appends the header in force, the row that is open, and what the
// kind of log keeps. There is no state before the first header or row.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, stateVersion, p.delimiter)
	b = appendBytes(b, p.names)
	b = appendBool(b, p.alien)
	b = binary.AppendUvarint(b, uint64(p.heldLines))
	if p.heldLines > 0 {
		b = appendBytes(b, p.held)
	}
	if k, ok := p.table.(keeper); ok {
		b = k.appendState(b)
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state.
func (p *parser) UnmarshalBinary(b []byte) error {
	d, err := p.setState(b)
	if err == nil && len(d.b) > 0 {
		err = errState
	}
	return err
}

func (p *parser) setState(b []byte) (*decoder, error) {
	if len(b) < 2 || b[0] < 1 || b[0] > stateVersion {
		return nil, fmt.Errorf("it was saved by another version of mailfail: %w", errState)
	}
	d := &decoder{version: b[0], b: b[2:]}
	p.delimiter = b[1]
	names := d.bytes()
	if len(names) > 0 && d.err == nil {
		p.header(names)
	}
	p.alien = d.bool()
	p.heldLines = int(d.uvarint())
	if p.heldLines > 0 {
		p.held = append(p.held[:0], d.bytes()...)
	}
	if k, ok := p.table.(keeper); ok {
		k.setState(d)
	}
	return d, d.err
}

// AppendBinary appends the state of the CSV reader and the object that is open.
func (p *onlineParser) AppendBinary(b []byte) ([]byte, error) {
	b, err := p.parser.AppendBinary(b)
	return appendBytes(b, p.object), err
}

// UnmarshalBinary sets a new parser to a state.
func (p *onlineParser) UnmarshalBinary(b []byte) error {
	d, err := p.setState(b)
	if err != nil {
		return err
	}
	p.object = append(p.object[:0], d.bytes()...)
	if d.err == nil && len(d.b) > 0 {
		return errState
	}
	return d.err
}

// appendState appends the sessions that are open, the oldest first.
func (s *sessions) appendState(b []byte) []byte {
	b = binary.AppendUvarint(b, s.next)
	b = binary.AppendVarint(b, s.day)
	b = binary.AppendUvarint(b, uint64(len(s.open)))
	for _, x := range s.sorted() {
		b = x.appendState(b)
	}
	return b
}

func (s *sessions) setState(d *decoder) {
	if d.version == 1 && len(d.b) == 0 {
		return // of a connectivity log
	}
	s.next = d.uvarint()
	if d.version > 2 {
		s.day = d.varint()
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		x := &session{}
		x.setState(d)
		if d.err != nil {
			return
		}
		if s.open == nil {
			s.open = map[string]*session{}
		}
		s.open[x.id] = x
		s.kept += x.weight()
	}
}

func (x *session) appendState(b []byte) []byte {
	b = binary.AppendUvarint(b, x.started)
	b = binary.AppendVarint(b, x.day)
	for _, field := range [...][]byte{[]byte(x.id), x.peer, x.coming, x.message, x.sender, x.reply, x.client, x.failure.text, x.code[:]} {
		b = appendBytes(b, field)
	}
	for _, flag := range [...]bool{x.hop, x.greeted, x.hasSender, x.refused, x.named, x.told, x.used} {
		b = appendBool(b, flag)
	}
	b = append(b, byte(x.failure.stage), byte(x.failure.source))
	b = binary.AppendUvarint(b, uint64(x.messages))
	b = binary.AppendUvarint(b, uint64(x.size))
	b = binary.AppendUvarint(b, uint64(len(x.recipients)))
	for _, r := range x.recipients {
		b = append(appendBytes(b, r.address), r.state)
	}
	b = binary.AppendUvarint(b, uint64(len(x.unanswered)))
	for _, p := range x.unanswered {
		b = binary.AppendVarint(append(b, byte(p.command)), int64(p.index))
	}
	return b
}

func (x *session) setState(d *decoder) {
	x.started = d.uvarint()
	if d.version > 2 {
		x.day = d.varint()
	}
	x.id = string(d.bytes())
	for _, field := range [...]*[]byte{&x.peer, &x.coming, &x.message, &x.sender, &x.reply} {
		*field = append(*field, d.bytes()...)
	}
	if d.version > 1 {
		x.client = append(x.client, d.bytes()...)
		x.failure.text = append(x.failure.text, d.bytes()...)
	}
	copy(x.code[:], d.bytes())
	for _, flag := range [...]*bool{&x.hop, &x.greeted, &x.hasSender, &x.refused, &x.named, &x.told} {
		*flag = d.bool()
	}
	if d.version > 1 {
		x.used = d.bool()
		x.failure.stage, x.failure.source = registry.Stage(d.byte()), registry.Source(d.byte())
		x.messages = int(d.uvarint())
	}
	x.size = int64(d.uvarint())
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		address := d.bytes()
		x.recipients = append(x.recipients, recipient{append([]byte(nil), address...), d.byte()})
	}
	x.used = x.used || len(x.recipients) > 0
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		c := command(d.byte())
		if d.version == 1 && c > 0 { // there were no kinds of commands before MAIL
			c += cmdMail - 1
		}
		x.unanswered = append(x.unanswered, pending{c, int(d.varint())})
	}
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// decoder reads a state; after an error it returns zeros.
type decoder struct {
	version byte
	b       []byte
	err     error
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	return v * uint64(d.took(n))
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	return v * int64(d.took(n))
}

// took moves n bytes on, and returns 0 after an error, else 1.
func (d *decoder) took(n int) int {
	if d.err != nil || n <= 0 || n > len(d.b) {
		d.err, d.b = errState, nil
		return 0
	}
	d.b = d.b[n:]
	return 1
}

func (d *decoder) byte() byte {
	if d.err != nil || len(d.b) == 0 {
		d.took(0)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.took(0)
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}
