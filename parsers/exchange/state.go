package exchange

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mailfail/parsers"
	"mailfail/registry"
)

// stateVersion is the first byte of a state. States of version 1 contain nothing about
// connections, those of version 2 no days. UnmarshalBinary refuses later versions.
const stateVersion = 3

var errState = errors.New("the saved state is damaged")

// keeper is a table that keeps state from row to row.
type keeper interface {
	appendState(b []byte) []byte
	setState(d *decoder)
}

// AppendBinary appends the delimiter, the header in force, the row that is open, and
// the state of the table.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, stateVersion, p.delimiter)
	b = parsers.AppendBytes(b, p.names)
	b = parsers.AppendBool(b, p.alien)
	b = binary.AppendUvarint(b, uint64(p.heldLines))
	if p.heldLines > 0 {
		b = parsers.AppendBytes(b, p.held)
	}
	if k, ok := p.table.(keeper); ok {
		b = k.appendState(b)
	}
	return b, nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(b []byte) error {
	d, err := p.setState(b)
	if err == nil && d.More() {
		err = errState
	}
	return err
}

func (p *parser) setState(b []byte) (*decoder, error) {
	if len(b) < 2 || b[0] < 1 || b[0] > stateVersion {
		return nil, fmt.Errorf("it was saved by another version of mailfail: %w", errState)
	}
	d := &decoder{parsers.ReadState(b[2:]), b[0]}
	p.delimiter = b[1]
	names := d.Bytes()
	if len(names) > 0 && d.Err() == nil {
		p.header(names)
	}
	p.alien = d.Bool()
	p.heldLines = int(d.Uvarint())
	if p.heldLines > 0 {
		p.held = append(p.held[:0], d.Bytes()...)
	}
	if k, ok := p.table.(keeper); ok {
		k.setState(d)
	}
	return d, d.Err()
}

// AppendBinary appends the state of the CSV reader and the object that is open.
func (p *onlineParser) AppendBinary(b []byte) ([]byte, error) {
	b, err := p.parser.AppendBinary(b)
	return parsers.AppendBytes(b, p.object), err
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *onlineParser) UnmarshalBinary(b []byte) error {
	d, err := p.setState(b)
	if err != nil {
		return err
	}
	p.object = append(p.object[:0], d.Bytes()...)
	if d.Err() == nil && d.More() {
		return errState
	}
	return d.Err()
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
	if d.version == 1 && !d.More() {
		return // the connectivity log kept no sessions then
	}
	s.next = d.Uvarint()
	if d.version > 2 {
		s.day = d.Varint()
	}
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		x := &session{}
		x.setState(d)
		if d.Err() != nil {
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
	for _, field := range [...][]byte{[]byte(x.id), x.peer, x.coming, x.message, x.sender, x.reply, x.client,
		x.failure.text, x.code[:]} {
		b = parsers.AppendBytes(b, field)
	}
	for _, flag := range [...]bool{x.hop, x.greeted, x.hasSender, x.refused, x.named, x.told, x.used} {
		b = parsers.AppendBool(b, flag)
	}
	b = append(b, byte(x.failure.stage), byte(x.failure.source))
	b = binary.AppendUvarint(b, uint64(x.messages))
	b = binary.AppendUvarint(b, uint64(x.size))
	b = binary.AppendUvarint(b, uint64(len(x.recipients)))
	for _, r := range x.recipients {
		b = append(parsers.AppendBytes(b, r.address), r.state)
	}
	b = binary.AppendUvarint(b, uint64(len(x.unanswered)))
	for _, p := range x.unanswered {
		b = binary.AppendVarint(append(b, byte(p.command)), int64(p.index))
	}
	return b
}

func (x *session) setState(d *decoder) {
	x.started = d.Uvarint()
	if d.version > 2 {
		x.day = d.Varint()
	}
	x.id = string(d.Bytes())
	for _, field := range [...]*[]byte{&x.peer, &x.coming, &x.message, &x.sender, &x.reply} {
		*field = append(*field, d.Bytes()...)
	}
	if d.version > 1 {
		x.client = append(x.client, d.Bytes()...)
		x.failure.text = append(x.failure.text, d.Bytes()...)
	}
	copy(x.code[:], d.Bytes())
	for _, flag := range [...]*bool{&x.hop, &x.greeted, &x.hasSender, &x.refused, &x.named, &x.told} {
		*flag = d.Bool()
	}
	if d.version > 1 {
		x.used = d.Bool()
		x.failure.stage, x.failure.source = registry.Stage(d.Byte()), registry.Source(d.Byte())
		x.messages = int(d.Uvarint())
	}
	x.size = int64(d.Uvarint())
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		address := d.Bytes()
		x.recipients = append(x.recipients, recipient{append([]byte(nil), address...), d.Byte()})
	}
	x.used = x.used || len(x.recipients) > 0
	for n := d.Uvarint(); n > 0 && d.Err() == nil; n-- {
		c := command(d.Byte())
		if d.version == 1 && c > 0 { // version 1 had no commands between cmdOther and cmdMail
			c += cmdMail - 1
		}
		x.unanswered = append(x.unanswered, pending{c, int(d.Varint())})
	}
}

// decoder reads a state and holds its version.
type decoder struct {
	parsers.StateReader
	version byte
}
