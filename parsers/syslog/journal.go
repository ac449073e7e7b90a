package syslog

import (
	"bytes"
	"encoding/binary"
	"time"

	"mailfail/parsers"
)

// A journal reads journalctl entries that have many lines.
//
// With -o verbose an entry is a line with the time and the cursor; below it is one
// indented line for each field, KEY=VALUE. The entry ends where the next one begins.
//
// With -o export it is one line for each field, and an empty line ends it. A value with
// control characters is written as KEY, newline, its length in eight bytes (little
// endian), the value, newline; it may contain newlines, so that it spans several lines
// (systemd.io/JOURNAL_EXPORT_FORMATS).
type journal struct {
	open    bool      // within an entry
	verbose bool      // the entry is of -o verbose
	time    time.Time // from the heading of a verbose entry
	fields  [numExportFields][]byte

	// Set while a value with a length is read:
	key    int    // its field, or -1 for a field that is not kept
	binary bool   // the value has begun
	length []byte // those of the eight bytes that were read
	left   uint64 // bytes of the value still to come
}

// The fields that are kept, in the order of journalFields.
const numExportFields = 8

// maxExportValue bounds the bytes that are kept of a value; syslog would have cut a
// longer message of Postfix or Exim anyway.
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

// nextOfVerbose reads a field, or ends the entry at the heading of the next one.
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

// entry ends the entry and fills in e; it returns false when the entry lacks required
// fields.
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

// piece returns the fields that mark the entry as a piece of a line.
func (x *journal) piece() journalPiece { return journalPiece{x.fields[6], x.fields[7]} }

// accepts reports whether line can belong to an entry that has begun.
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

// field reads a line with a field, or with the name of a field whose value follows.
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

// value reads a line of a value with a length. The newline at the end of the line is part
// of the value unless the value is complete.
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

// setState reads the output of appendState.
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
