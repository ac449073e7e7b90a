package syslog

import (
	"bytes"
	"encoding/binary"
	"time"

	"mailfail/parsers"
)

// A journal reads the entries of many lines that journalctl prints.
//
// With -o verbose an entry is a line with the time and the cursor, and below it
// a field a line, KEY=VALUE, indented; it ends where the next begins.
//
// With -o export it is a field a line, and an empty line ends it. A value with control
// characters comes as KEY, newline, its length in eight bytes (little endian),
// the value, newline; it may hold newlines, so that it spans several lines
// (systemd.io/JOURNAL_EXPORT_FORMATS).
type journal struct {
	open    bool      // within an entry
	verbose bool      // of -o verbose
	time    time.Time // in the heading of a verbose entry
	fields  [numExportFields][]byte

	// While a value with a length is read:
	key    int    // its field, or -1 when it is not wanted
	binary bool   // the value has begun
	length []byte // of the eight bytes those that are read
	left   uint64 // bytes of the value still to come
}

// The fields that are kept, in the order of journalFields.
const numExportFields = 8

// maxExportValue bounds what is kept of a value; a message of Postfix or Exim
// that is longer was cut by syslog anyway.
const maxExportValue = 64 << 10

// beginExport reports whether line is the first of an entry of -o export, and
// reads it.
func (x *journal) beginExport(line []byte) bool {
	if !parsers.Has(line, "__CURSOR=") && !parsers.Has(line, "__REALTIME_TIMESTAMP=") {
		return false
	}
	x.start(false)
	x.field(line)
	return true
}

// start begins an entry.
func (x *journal) start(verbose bool) {
	for i := range x.fields {
		x.fields[i] = x.fields[i][:0]
	}
	x.open, x.verbose, x.binary = true, verbose, false
}

// beginVerbose reads the heading of an entry of -o verbose:
// "Thu 2026-11-19 12:37:15.123456 CET [s=…;i=…]".
func (r *Reader) beginVerbose(line []byte) bool {
	if len(line) < 32 || !weekday(line) || !bytes.Contains(line, []byte(" [s=")) {
		return false
	}
	t, n := r.timeAt(line, time.Time{})
	if n == 0 || !parsers.Has(line[n:], " [s=") {
		return false
	}
	r.journal.start(true)
	r.journal.time = t
	return true
}

// nextOfJournal reads a line while an entry is open.
func (r *Reader) nextOfJournal(line []byte, e *parsers.Entry) Answer {
	x := &r.journal
	if x.verbose {
		return r.nextOfVerbose(line, e)
	}
	if !x.accepts(line) {
		x.open = false
		return Bare
	}
	switch {
	case x.binary:
		x.value(line)
	case len(line) > 0:
		x.field(line)
	case x.entry(e):
		if !r.joined(x.piece(), e) {
			return Part
		}
		r.last = e.Time
		return Line
	default:
		return Broken
	}
	return Part
}

// nextOfVerbose reads a field, or ends the entry at the heading of the next.
func (r *Reader) nextOfVerbose(line []byte, e *parsers.Entry) Answer {
	x := &r.journal
	if field, ok := bytes.CutPrefix(line, []byte("    ")); ok {
		if key, value, ok := bytes.Cut(field, []byte("=")); ok && len(key) > 0 && key[0] != ' ' {
			x.keep(x.index(key), value, true)
		}
		return Part
	}
	whole := x.entry(e)
	r.rest = line
	if !whole {
		return Broken
	}
	if !r.joined(x.piece(), e) {
		return Part
	}
	r.last = e.Time
	return Line
}

// entry ends the entry and fills in e; it reports false when the entry says too
// little.
func (x *journal) entry(e *parsers.Entry) bool {
	x.open = false
	f := journalFields{
		message:    x.fields[0],
		host:       x.fields[1],
		identifier: x.fields[2],
		comm:       x.fields[3],
		pid:        x.fields[4],
		time:       x.fields[5],
	}
	if x.verbose {
		return f.fill(e, x.time) && len(f.message) > 0
	}
	return f.entry(e)
}

// piece says whether the entry is a piece of a line.
func (x *journal) piece() journalPiece { return journalPiece{x.fields[6], x.fields[7]} }

// accepts reports whether line can be one of an entry that has begun.
func (x *journal) accepts(line []byte) bool {
	if x.binary || len(line) == 0 {
		return true
	}
	key, _, _ := bytes.Cut(line, []byte("="))
	for _, c := range key {
		if c != '_' && !parsers.IsDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(key) > 0 && len(key) <= 64
}

// field reads a line with a field, or with the name of one whose value follows.
func (x *journal) field(line []byte) {
	if key, value, ok := bytes.Cut(line, []byte("=")); ok {
		x.keep(x.index(key), value, true)
		return
	}
	x.key, x.binary, x.length = x.index(line), true, x.length[:0]
	x.keep(x.key, nil, true)
}

// index returns the number of a field, or -1.
func (x *journal) index(key []byte) int {
	var f journalFields
	p := f.field(key)
	if p == nil {
		return -1
	}
	for i, q := range []*[]byte{&f.message, &f.host, &f.identifier, &f.comm, &f.pid, &f.time,
		&f.piece.container, &f.piece.partial} {
		if p == q {
			return i
		}
	}
	return -1
}

// keep stores a value or adds to it.
func (x *journal) keep(field int, value []byte, first bool) {
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
func (x *journal) value(line []byte) {
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
func (x *journal) appendState(b []byte) []byte {
	b = parsers.AppendBool(b, x.open)
	if !x.open {
		return b
	}
	b = parsers.AppendBool(b, x.verbose)
	b = binary.AppendVarint(b, unixMicro(x.time))
	for _, f := range x.fields {
		b = parsers.AppendBytes(b, f)
	}
	b = parsers.AppendBool(b, x.binary)
	b = binary.AppendVarint(b, int64(x.key))
	b = parsers.AppendBytes(b, x.length)
	return binary.AppendUvarint(b, x.left)
}

// setState reads what appendState wrote.
func (x *journal) setState(d *parsers.StateReader, version byte) {
	if x.open = d.Bool(); !x.open {
		return
	}
	if version > 1 {
		x.verbose = d.Bool()
		x.time = time.UnixMicro(d.Varint()).UTC()
	}
	kept := numExportFields
	if version < 3 {
		kept = 6 // those before CONTAINER_ID
	}
	for i := range kept {
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
