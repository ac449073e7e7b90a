// Package syslog takes off what stands before the messages of a mail server:
// the headers of syslog and journald, and the envelopes that containers, log
// shippers, grep and the like put around whole lines.
//
// # Headers and envelopes
//
// Nearly every line begins with a header of syslog: time, host, program, process
// id. Read takes it off and does nothing else; no envelope costs such a line
// anything. Where a header names no program that a format reads, or where there
// is none, Inner and Unwrap take off envelopes in layers, in any nesting, until a
// line stands there that a format reads. The kinds of envelopes are a table,
// see envelopes.
//
// The time of the innermost envelope that has one counts, and so do its host and
// its program. A line of which nothing is known, but that has an envelope which
// names a service or a container, is another program's.
//
// # Entries of many lines
//
// journalctl -o export, verbose and json-pretty, and JSON of others that was
// printed over many lines, give one entry for many lines, and octet counts or
// an array of JSON several entries for one line; see Rest.
package syslog

import (
	"bytes"
	"encoding/binary"
	"time"

	"mailfail/parsers"
)

// An Answer says what a line is.
type Answer uint8

// The answers of a Reader.
const (
	Bare Answer = iota // no header and no known envelope: the whole line may be of a format
	Line               // an entry of a program
	// of an entry of many lines, or between entries (a heading of tail): of no interest by itself
	Part
	Other  // of another program or service: its envelope says so
	Beside // not of a mail server, if others of its log are: services in the same container write so
	Broken // the last line of an entry of many that says too little
	Hollow // an object of JSON that holds no line, but arrays that may, see Rest
	Odd    // of another program, but it looks like the line of a known one
)

// A Reader takes off what stands before the messages of one source. It keeps
// what it needs to find the years of dates without one, and entries that are not
// yet whole.
type Reader struct {
	known func(*parsers.Entry) bool

	clock    parsers.Clock
	year     yearGuess
	modified time.Time
	last     time.Time // in the last line that had one

	journal journal
	doc     document
	pieces  pieces // of lines that a container runtime cut
	line    []byte // that is unwrapped
	name    []byte // of who wrote a piece of it

	json     jsonScanner
	plain    []byte        // a line without colours, or a field without quoting
	rest     []byte        // of the line, to be read next
	probe    parsers.Entry // for the question known
	steps    int           // left for the line
	lost     int           // see Lost
	descents int           // into the arrays of the line
	extent   int           // of the first element of an array, 0 for lines of another kind
	resting  bool          // Rest gave what is read
	piece    bool          // the line is a piece of one
	layers   [maxLayers]parsers.Entry
	objects  [maxLayers]object
}

// NewReader returns a Reader of a source. known reports whether an entry is one
// of a format: by its program, or, without a program, by its whole message. year
// is used for times without one; 0 infers it from modified, the time the source
// was last written, and from the order of the lines.
func NewReader(loc *time.Location, year int, modified time.Time, known func(*parsers.Entry) bool) *Reader {
	r := &Reader{
		known:    known,
		clock:    parsers.NewClock(loc),
		year:     newYearGuess(year, modified, loc),
		modified: modified,
	}
	return r
}

// Open reports whether an entry of many lines has begun: the next line belongs
// to it if it can.
func (r *Reader) Open() bool { return r.journal.open || r.doc.open }

// Rest returns what of the last line has to be read as a line of its own, nil
// for nothing. The line is still needed then.
func (r *Reader) Rest() []byte {
	rest := r.rest
	r.rest, r.resting = nil, rest != nil
	if rest == nil {
		r.descents = 0
	}
	return rest
}

// Several reports whether what was read last is one of several entries of a line.
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

// more reads a line of the open entry. It returns Bare for one that is not.
func (r *Reader) more(line []byte, e *parsers.Entry) Answer {
	if r.doc.open {
		return r.nextOfDocument(line, e)
	}
	return r.nextOfJournal(line, e)
}

// Lost returns how many lines that were Part turned out to be of an entry that says
// nothing, besides the one that was Broken.
func (r *Reader) Lost() int {
	n := r.lost
	r.lost = 0
	return n
}

// End reads the entry that was not yet whole when the source ended; it reports
// false when there is none.
func (r *Reader) End(e *parsers.Entry) bool {
	*e = parsers.Entry{}
	return r.journal.open && r.journal.verbose && r.journal.entry(e) && r.joined(r.journal.piece(), e)
}

// Unwrap takes off the envelopes of a line that Read called Bare and that is not
// of a format as it stands.
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

// after returns how much of a line is behind its first element.
func (r *Reader) after(line []byte) int {
	if r.extent == 0 {
		return 0
	}
	return max(0, len(line)-r.extent)
}

// Inner takes off the envelopes within an entry whose program no format reads.
// Its answers are Line, Other and Odd.
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
	// "lmtp(ann)<7><x>:" stands for the host
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

// reset forgets what was put together for the line before.
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

// Likely returns the time that a line without one is taken to be of: that of the last
// line with one, else that when the source was last written.
func (r *Reader) Likely() time.Time {
	if !r.last.IsZero() {
		return r.last
	}
	return r.modified
}

// clean returns a line without what crashes (NUL bytes), editors (a byte order
// mark), journalctl -o json-seq (a record separator) and terminals (colours) put
// into it.
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

// colour returns the length of the control sequence that b begins with
// (ECMA-48 section 5.4), at least 1 for the byte itself.
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

// AppendTimes and AppendEntry append what r keeps to a state: what it needs to
// find times, and the entry that is not yet whole.
func (r *Reader) AppendTimes(b []byte) []byte {
	for _, v := range []int{r.year.year, r.year.month, r.year.mday} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	return binary.AppendVarint(b, r.clock.Last())
}

// AppendEntry is the second part of AppendTimes.
func (r *Reader) AppendEntry(b []byte) []byte {
	b = r.journal.appendState(b)
	b = r.doc.appendState(b)
	return r.pieces.appendTo(b)
}

// SetTimes sets a new Reader to what AppendTimes wrote.
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

// SetEntry sets a new Reader to what AppendEntry wrote. In states of version 1 there
// are only entries of journalctl -o export. last is the time in the last line.
func (r *Reader) SetEntry(d *parsers.StateReader, version byte, last time.Time) {
	r.last = last
	r.journal.setState(d, version)
	if version > 1 {
		r.doc.setState(d)
		r.pieces.set(d)
	}
}

// unixMicro returns t in microseconds, 0 for no time.
func unixMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
