package exim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"mailfail/parsers"
)

// Through syslog Exim writes a line as it is in the log file, less the time
// when syslog_timestamp is off, and less the process id when syslog_pid is
// off. What is longer than 870 bytes or has a newline in it is cut in pieces
// (write_syslog in log.c), numbered so:
//
//	[1/3] …   the first of three, cut for its length
//	[1\3] …   the first of three, which ended at a newline
//
// so the first line of an entry ends at the first backslash; what follows is
// the rest of a reject-log entry, the headers.

const (
	maxOpen  = 32      // entries in pieces at a time: one for a process
	maxEntry = 1 << 14 // bytes of one; Exim's own limit is half of it
)

// pieces are the entries whose first line is not yet whole.
type pieces []pieceOf

// pieceOf is one such entry.
type pieceOf struct {
	pid     string
	time    time.Time
	host    string
	program string
	next    int  // the number of the piece that has to come
	total   int  // of how many
	whole   bool // the first line has been read; headers follow
	text    []byte
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
		return parsers.Unparsed // its beginning was not seen
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

// add puts an entry at the end. When there are too many the oldest goes: its
// process is long dead.
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

// twins finds the lines that one syslog stream holds twice. Exim writes a
// line that belongs in two of its logs once for each of them, at different
// priorities, unless syslog_duplication is off; the second follows the first,
// with lines of other processes in between at most. So an identical line is
// taken for the second one, unless none of the first refusals had a twin.
//
// Only what counts is looked at: refusals, and deferrals for which the panic
// log is used as well.
type twins struct {
	waiting []uint64 // lines whose twin may follow, oldest first
	mode    twinMode
}

type twinMode uint8

const (
	twinsUnknown twinMode = iota
	twinsFound            // lines are written twice
	twinsNone             // they are not
)

// maxWaiting is how many other lines may come between a line and its twin,
// and how many without one prove that there are none.
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

// hashOf hashes what is the same of a line in all the logs it is in: its time
// in seconds (syslog's has no more), the message id, the text. more distinguishes lines
// apart that are not logged twice, however alike they are. The hash is stored,
// so it must never change.
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

// The state is what one line may need of an earlier one. Its first byte is the
// version of its layout.
const stateVersion = 1

var errState = errors.New("exim: the stored state of this log is damaged or of another version; read the " +
	"log again from its beginning")

// Open reports false: no line goes on whatever the next one looks like.
func (p *parser) Open() bool { return false }

// End has nothing to read: a line whose pieces never came is not known.
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
