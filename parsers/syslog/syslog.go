// Package syslog strips the headers and envelopes of the messages of a mail server: the
// headers of syslog and journald, and the envelopes that containers, log shippers, grep
// and similar programs put around whole lines.
//
// # Headers and envelopes
//
// Nearly every line begins with a syslog header: time, host, program, process id. Read
// only strips this header, so that envelopes cost such a line nothing. If a header names
// no program that a format reads, or if there is no header, Inner and Unwrap strip
// envelopes in layers, in any nesting, until they reach a line that a format reads. The
// kinds of envelopes are a table, see envelopes.
//
// The time, host and program of the innermost envelope that has one are used. If a line
// is unknown, but an envelope of it names a service or a container, it belongs to another
// program.
//
// # Entries of many lines
//
// journalctl -o export, verbose and json-pretty, and other JSON that is printed over many
// lines, give one entry for many lines. Octet counts or an array of JSON give several
// entries for one line; see Rest.
package syslog

import (
	"bytes"
	"encoding/binary"
	"time"

	"mailfail/parsers"
)

// An Answer is the kind of a line.
type Answer uint8

// The answers of a Reader.
const (
	Bare Answer = iota // no header and no known envelope: the whole line may belong to a format
	Line               // an entry of a program
	// part of an entry of many lines, or between entries (a heading of tail): irrelevant
	// by itself
	Part
	Other  // written by another program or service, according to its envelope
	Beside // irrelevant if other lines are of a mail server: services in the same container write so
	Broken // the last line of an entry of many lines that lacks required fields
	Hollow // a JSON object that contains no line, but arrays that may, see Rest
	Odd    // written by another program, but it looks like the line of a known one
)

// A Reader strips the headers and envelopes of one source. It keeps the data that it
// needs to find the years of dates without one, and entries that are not yet complete.
type Reader struct {
	known func(*parsers.Entry) bool

	clock    parsers.Clock
	year     yearGuess
	modified time.Time
	last     time.Time // time of the last line that had one

	// "Nov  2 06:27:30 " of the line before, and its instant; 0 when a time was read since:
	// most lines have the second of the line before.
	stamp   [16]byte
	stamped time.Time

	journal journal
	doc     document
	pieces  pieces // pieces of lines that a container runtime cut
	line    []byte // the line that is unwrapped
	name    []byte // name of the writer of a piece

	json     jsonScanner
	plain    []byte        // a line without colours, or a field without quotes
	rest     []byte        // rest of the line, to be read next
	probe    parsers.Entry // argument for known
	steps    int           // steps left for the line
	lost     int           // see Lost
	descents int           // number of descents into arrays of the line
	extent   int           // length of the first element of an array, 0 for other lines
	resting  bool          // Rest returned the line that is read
	piece    bool          // the line is a piece of a longer one
	layers   [maxLayers]parsers.Entry
	objects  [maxLayers]object
}

// NewReader returns a Reader of a source. known reports whether an entry belongs to a
// format: by its program, or, without a program, by its whole message. year is used for
// times without one; 0 infers it from modified, the time the source was last written, and
// from the order of the lines.
func NewReader(loc *time.Location, year int, modified time.Time, known func(*parsers.Entry) bool) *Reader {
	r := &Reader{
		known:    known,
		clock:    parsers.NewClock(loc),
		year:     newYearGuess(year, modified, loc),
		modified: modified,
	}
	return r
}

// Open reports whether an entry of many lines has begun: the next line belongs to it if
// possible.
func (r *Reader) Open() bool { return r.journal.open || r.doc.open }

// Rest returns the part of the last line that must be read as a line of its own, or nil.
// If it is not nil, the last line must stay valid.
func (r *Reader) Rest() []byte {
	rest := r.rest
	r.rest, r.resting = nil, rest != nil
	if rest == nil {
		r.descents = 0
	}
	return rest
}

// Several reports whether the entry that was read last is one of several entries of a
// line.
func (r *Reader) Several() bool { return r.rest != nil || r.resting }

// Read reads the header of a line into e. Its answers are Line, Part, Broken and
// Bare.
func (r *Reader) Read(line []byte, e *parsers.Entry) Answer {
	*e = parsers.Entry{}
	if r.Open() && !r.resting {
		if answer := r.more(line, e); answer != Bare {
			return answer
		}
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	if r.strip(line, e) {
		if line[0] == '{' && !r.joined(r.json.piece, e) {
			return Part
		}
		r.last = e.Time
		return Line
	}
	*e = parsers.Entry{}
	if r.begins(line) {
		return Part
	}
	return Bare
}

// begins reports whether line is the first of an entry of many lines.
func (r *Reader) begins(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	switch c := line[0]; {
	case c == '_':
		return r.journal.beginExport(line)
	case c >= 'A' && c <= 'Z':
		return r.beginVerbose(line)
	case c == '{', c == '[':
		return r.doc.begin(line)
	}
	return false
}

// more reads a line of the open entry. It returns Bare for a line that does not belong to
// it.
func (r *Reader) more(line []byte, e *parsers.Entry) Answer {
	if r.doc.open {
		return r.nextOfDocument(line, e)
	}
	return r.nextOfJournal(line, e)
}

// Lost returns how many lines that were Part belong to an entry without the required
// fields, not counting the line that was Broken.
func (r *Reader) Lost() int {
	n := r.lost
	r.lost = 0
	return n
}

// End reads the entry that was not yet complete when the source ended; it returns false
// when there is none.
func (r *Reader) End(e *parsers.Entry) bool {
	*e = parsers.Entry{}
	return r.journal.open && r.journal.verbose && r.journal.entry(e) && r.joined(r.journal.piece(), e)
}

// Unwrap strips the envelopes of a line for which Read returned Bare and which no format
// reads as it is.
func (r *Reader) Unwrap(line []byte, e *parsers.Entry) Answer {
	r.reset()
	line = r.clean(line)
	r.line = line
	*e = parsers.Entry{}
	if r.find(line, e, place{}) {
		r.finish(e)
		return Line
	}
	if r.piece {
		return Part
	}
	if answer := r.other(line[:len(line)-r.after(line)]); answer != Bare || r.descents == 0 {
		return answer
	}
	return Hollow
}

// after returns the length of the part of a line after its first element.
func (r *Reader) after(line []byte) int {
	if r.extent == 0 {
		return 0
	}
	return max(0, len(line)-r.extent)
}

// Inner strips the envelopes within an entry whose program no format reads. It returns
// Line, Other or Odd.
func (r *Reader) Inner(e *parsers.Entry) Answer {
	if tells(e.Program) {
		return Other
	}
	r.reset()
	program, outer := e.Program, *e
	if unit := unitOf(program); unit != nil {
		if r.isKnown(unit, nil) {
			e.Program = unit
			return Line
		}
	}
	// "lmtp(ann)<7><x>:" is in the place of the host
	if isDovecotLevel(program) && bytes.HasSuffix(e.Host, []byte(":")) {
		if r.dovecot(bytes.TrimSuffix(outer.Host, []byte(":")), outer.Message, e) {
			return Line
		}
		*e = outer
		return Other
	}
	at := place{quoted: true}
	if program == nil {
		at = place{timed: true, hosted: e.Host != nil}
	}
	e.Program, e.PID = nil, nil
	if r.find(withoutLevel(program, outer.Message), e, at) {
		r.finish(e)
		return Line
	}
	*e = outer
	if r.mentions(e.Message) {
		return Odd
	}
	return Other
}

// reset forgets the state of the previous line.
func (r *Reader) reset() {
	r.piece, r.extent = false, 0
	r.steps, r.rest, r.plain, r.json.buf = maxSteps, nil, r.plain[:0], r.json.buf[:0]
}

// finish completes an entry that was found in envelopes.
func (r *Reader) finish(e *parsers.Entry) {
	if e.Time.IsZero() && e.Program != nil {
		e.Time = r.Likely()
	}
	if !e.Time.IsZero() {
		r.last = e.Time
	}
}

// Likely returns the time to use for a line without one: that of the last line with a
// time, else the time the source was last written.
func (r *Reader) Likely() time.Time {
	if !r.last.IsZero() {
		return r.last
	}
	return r.modified
}

// clean returns a line without the additions of crashes (NUL bytes), editors (a byte
// order mark), journalctl -o json-seq (a record separator) and terminals (colours).
func (r *Reader) clean(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > 0 && (line[0] == 0 || line[0] == 0xef || line[0] == 0x1e) {
		line = bytes.TrimPrefix(bytes.TrimLeft(line, "\x00\x1e"), byteOrderMark)
	}
	if bytes.IndexByte(line, 0x1b) < 0 {
		return line
	}
	for len(line) > 0 {
		i := bytes.IndexByte(line, 0x1b)
		if i < 0 {
			i = len(line)
		}
		r.plain = append(r.plain, line[:i]...)
		line = line[i:]
		line = line[colour(line):]
	}
	return r.plain
}

// colour returns the length of the control sequence at the beginning of b (ECMA-48
// section 5.4), at least 1 for the escape byte itself.
func colour(b []byte) int {
	if len(b) < 2 || b[1] != '[' {
		return min(len(b), 1)
	}
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			return i + 1
		}
	}
	return len(b)
}

// AppendTimes appends the data that r needs to find times to a state; AppendEntry appends
// the entry that is not yet complete.
func (r *Reader) AppendTimes(b []byte) []byte {
	for _, v := range []int{r.year.year, r.year.month, r.year.mday} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return binary.AppendVarint(b, r.clock.Last())
}

// AppendEntry appends the entry that is not yet complete to a state.
func (r *Reader) AppendEntry(b []byte) []byte {
	b = r.journal.appendState(b)
	b = r.doc.appendState(b)
	return r.pieces.appendTo(b)
}

// SetTimes sets a new Reader to the output of AppendTimes.
func (r *Reader) SetTimes(d *parsers.StateReader) {
	y := &r.year
	y.year, y.month, y.mday = int(d.Uvarint()), int(d.Uvarint()), int(d.Uvarint())
	if y.year != 0 {
		var ok bool
		if y.number, ok = parsers.DayNumber(y.year, y.month, y.mday); !ok {
			d.Fail()
		}
	}
	r.clock.SetLast(d.Varint())
}

// SetEntry sets a new Reader to the output of AppendEntry. States of version 1 contain
// only entries of journalctl -o export. last is the time of the last line.
func (r *Reader) SetEntry(d *parsers.StateReader, version byte, last time.Time) {
	r.last = last
	r.journal.setState(d, version)
	if version > 1 {
		r.doc.setState(d)
		r.pieces.set(d)
	}
}

// unixMicro returns t in microseconds since 1970, 0 for the zero time.
func unixMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
