package parsers

import (
	"bytes"
	"encoding/binary"
)

// An export reads the journal export format (journalctl -o export): a field a
// line, KEY=VALUE, and an empty line after each entry. A value with control
// characters comes as KEY, newline, its length in eight bytes (little endian),
// the value, newline; it may hold newlines, so that it spans several lines
// (systemd.io/JOURNAL_EXPORT_FORMATS).
type export struct {
	open   bool // within an entry
	fields [numExportFields][]byte

	// While a value with a length is read:
	key    int    // its field, or -1 when it is not wanted
	binary bool   // the value has begun
	length []byte // of the eight bytes those that are read
	left   uint64 // bytes of the value still to come
}

// The fields that are kept, in the order of journalFields.
const numExportFields = 6

// maxExportValue bounds what is kept of a value; a message of Postfix or Exim
// that is longer was cut by syslog anyway.
const maxExportValue = 64 << 10

// begins reports whether line is the first of an entry.
func (x *export) begins(line []byte) bool {
	return bytes.HasPrefix(line, []byte("__CURSOR=")) || bytes.HasPrefix(line, []byte("__REALTIME_TIMESTAMP="))
}

// accepts reports whether line can be one of an entry that has begun.
func (x *export) accepts(line []byte) bool {
	if x.binary || len(line) == 0 {
		return true
	}
	key, _, _ := bytes.Cut(line, []byte("="))
	for _, c := range key {
		if c != '_' && !IsDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(key) > 0 && len(key) <= 64
}

// add reads a line of an entry and reports whether it was its last; then e is
// what the entry says, and ok that it says enough.
func (x *export) add(line []byte, e *Entry) (last, ok bool) {
	switch {
	case x.binary:
		x.value(line)
		return false, false
	case len(line) == 0:
		f := journalFields{x.fields[0], x.fields[1], x.fields[2], x.fields[3], x.fields[4], x.fields[5]}
		ok = f.entry(e)
		x.open = false
		return true, ok
	}
	if !x.open {
		x.reset()
		x.open = true
	}
	if key, value, ok := bytes.Cut(line, []byte("=")); ok {
		x.keep(x.index(key), value, true)
	} else {
		x.key, x.binary, x.length = x.index(key), true, x.length[:0]
		x.keep(x.key, nil, true)
	}
	return false, false
}

// reset forgets the entry that was read.
func (x *export) reset() {
	for i := range x.fields {
		x.fields[i] = x.fields[i][:0]
	}
}

// index returns the number of a field, or -1.
func (x *export) index(key []byte) int {
	var f journalFields
	p := f.field(key)
	if p == nil {
		return -1
	}
	for i, q := range []*[]byte{&f.message, &f.host, &f.identifier, &f.comm, &f.pid, &f.time} {
		if p == q {
			return i
		}
	}
	return -1
}

// keep stores a value or adds to it.
func (x *export) keep(field int, value []byte, first bool) {
	if field < 0 {
		return
	}
	kept := x.fields[field]
	if first {
		kept = kept[:0]
	}
	x.fields[field] = append(kept, value[:min(len(value), maxExportValue-len(kept))]...)
}

// value reads a line of a value with a length. The newline that ended the
// line is part of the value unless the value is whole.
func (x *export) value(line []byte) {
	for len(line) > 0 && len(x.length) < 8 {
		x.length = append(x.length, line[0])
		line = line[1:]
		if len(x.length) == 8 {
			x.left = binary.LittleEndian.Uint64(x.length)
		}
	}
	if len(x.length) < 8 { // one of the eight bytes is a newline
		x.length = append(x.length, '\n')
		if len(x.length) == 8 {
			x.left = binary.LittleEndian.Uint64(x.length)
		}
		return
	}
	n := min(uint64(len(line)), x.left)
	x.keep(x.key, line[:n], false)
	x.left -= n
	if x.left == 0 {
		x.binary = false
		return
	}
	x.left--
	x.keep(x.key, []byte("\n"), false)
}

// appendState writes the state of a half-read entry.
func (x *export) appendState(b []byte) []byte {
	b = AppendBool(b, x.open)
	if !x.open {
		return b
	}
	for _, f := range x.fields {
		b = AppendBytes(b, f)
	}
	b = AppendBool(b, x.binary)
	b = binary.AppendVarint(b, int64(x.key))
	b = AppendBytes(b, x.length)
	return binary.AppendUvarint(b, x.left)
}

// setState reads what appendState wrote.
func (x *export) setState(d *StateReader) {
	if x.open = d.Bool(); !x.open {
		return
	}
	for i := range x.fields {
		x.fields[i] = bytes.Clone(d.Bytes())
	}
	x.binary = d.Bool()
	x.key = int(d.Varint())
	x.length = bytes.Clone(d.Bytes())
	x.left = d.Uvarint()
	if x.key < -1 || x.key >= numExportFields || len(x.length) > 8 {
		d.Fail()
	}
}
