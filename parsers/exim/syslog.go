package exim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"mailfail/parsers"
)

// Exim sends the lines of the log file to syslog, without the time when
// syslog_timestamp is off, and without the process id when syslog_pid is off. It
// cuts an entry that is longer than 870 bytes or contains a newline in pieces
// (write_syslog in log.c), which it numbers:
//
//	[1/3] …   the first of three, cut for its length
//	[1\3] …   the first of three, which ended at a newline
//
// The first line of an entry ends with the first piece that has a backslash; the
// pieces after it are the rest of a reject-log entry, the headers.

const (
	maxOpen  = 32      // entries in pieces at a time: at most one for each process
	maxEntry = 1 << 14 // bytes of an entry; Exim's own limit is half of it
)

// pieces are the entries with pieces that have not come yet, oldest first.
type pieces []pieceOf

// pieceOf is an entry that Exim cut in pieces.
type pieceOf struct {
	pid     string
	time    time.Time
	host    string
	program string
	next    int    // the number of the next piece, from 1
	total   int    // pieces in all
	whole   bool   // the first line has been read; headers follow
	text    []byte // the first line as far as it has come
}

// pieceMark reads "[2/3] ". newline is true for "[2\3] ".
func pieceMark(b []byte) (number, total int, newline bool, rest []byte, ok bool) {
	if len(b) < 6 || b[0] != '[' {
		return
	}
	number, i := count(b[1:])
	i++
	if i < 2 || i >= len(b) || b[i] != '/' && b[i] != '\\' {
		return
	}
	newline = b[i] == '\\'
	total, n := count(b[i+1:])
	i += 1 + n
	if n == 0 || i+1 >= len(b) || b[i] != ']' || b[i+1] != ' ' || number < 1 || number > total {
		return
	}
	return number, total, newline, b[i+2:], true
}

// count reads a number of up to four digits and returns its length.
func count(b []byte) (v, n int) {
	for n < len(b) && n < 4 && parsers.IsDigit(b[n]) {
		v = v*10 + int(b[n]-'0')
		n++
	}
	return v, n
}

// piece reads a line that came through syslog.
func (p *parser) piece(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	number, total, newline, text, ok := pieceMark(e.Message)
	if !ok {
		return p.entry(e, e.Message, false, emit)
	}
	i := p.pieces.find(e)
	if number > 1 && (i < 0 || p.pieces[i].next != number || p.pieces[i].total != total) {
		return parsers.Unparsed // the log does not contain its beginning
	}
	if number == 1 {
		if i >= 0 {
			p.pieces.remove(i)
		}
		if newline || total == 1 {
			p.pieces.add(pieceOf{next: 2, total: total, whole: true}, e, nil)
			return p.entry(e, text, newline, emit)
		}
		p.pieces.add(pieceOf{next: 2, total: total}, e, text)
		return parsers.Understood
	}
	return p.nextPiece(i, newline, text, e, emit)
}

// nextPiece adds a piece to the entry at i.
func (p *parser) nextPiece(i int, newline bool, text []byte, e *parsers.Entry,
	emit func(*parsers.Record)) parsers.Result {
	o := &p.pieces[i]
	o.next++
	last := o.next > o.total
	if o.whole {
		if last {
			p.pieces.remove(i)
		}
		return parsers.Irrelevant
	}
	if len(o.text)+len(text) <= maxEntry {
		o.text = append(o.text, text...)
	}
	if !newline && !last {
		return parsers.Understood
	}
	whole := *e
	whole.Time = o.time
	msg := o.text
	if last {
		p.pieces.remove(i)
	} else {
		o.whole, o.text = true, nil
	}
	return p.entry(&whole, msg, newline, emit)
}

func (s pieces) find(e *parsers.Entry) int {
	for i := range s {
		if s[i].pid == string(e.PID) && s[i].host == string(e.Host) && s[i].program == string(e.Program) {
			return i
		}
	}
	return -1
}

// add appends an entry. When there are too many, it drops the oldest: the process
// that wrote it has most likely ended.
func (s *pieces) add(o pieceOf, e *parsers.Entry, text []byte) {
	if o.total == 1 {
		return
	}
	if len(*s) == maxOpen {
		s.remove(0)
	}
	o.pid, o.host, o.program = string(e.PID), string(e.Host), string(e.Program)
	o.time, o.text = e.Time, bytes.Clone(text)
	*s = append(*s, o)
}

func (s *pieces) remove(i int) { *s = append((*s)[:i], (*s)[i+1:]...) }

// twins finds the lines that one syslog stream contains twice. Exim writes a line
// that belongs to two of its logs once for each of them, at different priorities,
// unless syslog_duplication is off. Only lines of other processes come between the
// two. So twins takes an identical line for the second one, unless none of the first
// refusals had a twin.
//
// It compares only lines that count: refusals, and the deferrals and failures that
// Exim also writes to the panic log.
type twins struct {
	waiting []uint64 // hashes of lines whose twin may follow, oldest first
	mode    twinMode
}

type twinMode uint8

const (
	twinsUnknown twinMode = iota
	twinsFound            // lines are written twice
	twinsNone             // they are not
)

// maxWaiting is the number of other lines that may come between a line and its
// twin. That many lines without a twin prove that Exim writes none.
const maxWaiting = 32

// second reports whether the line with this hash repeats an earlier one.
func (t *twins) second(hash uint64) bool {
	if t.mode == twinsNone {
		return false
	}
	if t.forget(hash) {
		t.mode = twinsFound
		return true
	}
	if len(t.waiting) == maxWaiting {
		if t.mode == twinsUnknown {
			t.mode, t.waiting = twinsNone, nil
			return false
		}
		t.waiting = t.waiting[:copy(t.waiting, t.waiting[1:])]
	}
	t.waiting = append(t.waiting, hash)
	return false
}

// forget stops waiting for a twin of the line with this hash.
func (t *twins) forget(hash uint64) bool {
	i := slices.Index(t.waiting, hash)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// hashOf hashes the parts of a line that are the same in every log that contains
// it: the time in seconds (syslog's precision), the message id and the text. more
// distinguishes equal lines that are not copies of each other, by the process. The
// store keeps the hash, so its algorithm must never change. It is never 0.
func hashOf(l *line, more []byte) uint64 {
	h := mix(0, uint64(l.time.Unix()))
	h = hashBytes(h, l.id)
	h = hashBytes(h, l.text)
	if more != nil {
		h = hashBytes(h, more)
	}
	return max(h, 1) // 0 means none
}

func hashBytes(h uint64, b []byte) uint64 {
	h = mix(h, uint64(len(b)))
	for len(b) >= 8 {
		h = mix(h, binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var last uint64
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return mix(h, last)
}

// mix is a round of MurmurHash64A.
func mix(h, v uint64) uint64 {
	const m = 0xc6a4a7935bd1e995
	v *= m
	v ^= v >> 47
	return (h ^ v*m) * m
}

// stateVersion is the first byte of the state and the version of its layout. The
// state holds the facts of earlier lines that later lines need.
const stateVersion = 1

var errState = errors.New("exim: the stored state of this log is damaged or of another version; read the " +
	"log again from its beginning")

// Open reports false: an entry never needs the next line to be understood.
func (p *parser) Open() bool { return false }

// End emits nothing: the parser cannot read an entry whose pieces did not all come.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the state of p to b.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if p.clock.local.Last() == 0 && p.continued == 0 && len(p.pieces) == 0 && len(p.twins.waiting) == 0 &&
		p.twins.mode == twinsUnknown &&
		p.earlier.Len() == 0 {
		return b, nil
	}
	b = append(b, stateVersion)
	b = binary.AppendVarint(b, p.clock.local.Last())
	b = binary.AppendUvarint(b, uint64(p.continued))
	b = append(b, byte(p.twins.mode))
	b = binary.AppendUvarint(b, uint64(len(p.twins.waiting)))
	for _, h := range p.twins.waiting {
		b = binary.LittleEndian.AppendUint64(b, h)
	}
	b = binary.AppendUvarint(b, uint64(len(p.pieces)))
	for i := range p.pieces {
		o := &p.pieces[i]
		for _, s := range [...]string{o.pid, o.host, o.program, string(o.text)} {
			b = parsers.AppendBytes(b, []byte(s))
		}
		b = binary.AppendVarint(b, o.time.UnixNano())
		b = binary.AppendUvarint(b, uint64(o.next))
		b = binary.AppendUvarint(b, uint64(o.total))
		b = parsers.AppendBool(b, o.whole)
	}
	return p.earlier.Append(b), nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	r := parsers.ReadState(state)
	if r.Byte() != stateVersion {
		return errState
	}
	p.clock.local.SetLast(r.Varint())
	p.continued = r.Count(maxContinued)
	p.twins.mode = twinMode(r.Byte())
	for range r.Count(maxWaiting) {
		p.twins.waiting = append(p.twins.waiting, r.Uint64())
	}
	for range r.Count(maxOpen) {
		o := pieceOf{pid: string(r.Bytes()), host: string(r.Bytes()), program: string(r.Bytes())}
		o.text = bytes.Clone(r.Bytes())
		o.time = time.Unix(0, r.Varint()).In(p.clock.loc)
		o.next, o.total = r.Count(1<<14), r.Count(1<<14)
		o.whole = r.Bool()
		p.pieces = append(p.pieces, o)
	}
	p.earlier.Read(&r)
	if r.End() != nil {
		return errState
	}
	return nil
}
