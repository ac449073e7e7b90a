package parsers

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stream reads the lines of one source: it strips the prefix of each, finds
// out whose format it is, and lets that format's parser read it. A source may
// hold the lines of several programs and change its format in the middle.
type Stream struct {
	opts    Options
	forced  int // index of the format every line is taken for, or -1
	readers []reader

	prefixes prefixes
	export   export
	repeated repeats

	time   time.Time // in the last line that had one
	native int       // index of the format of the last line without a prefix, or -1
	bound  int       // index of the format whose header was seen, or -1

	entry    Entry
	emit     func(*Record)
	current  *Format
	deliver  func(*Record) // s.stamp, bound once so that no line allocates it
	stranger lookalikes
}

// A reader is a format and the parser that reads its lines of this source.
type reader struct {
	format *Format
	parser Parser // nil until its first line
	keeper Keeper // the parser, when it is one
	seen   Seen
}

// begin makes the parser of a reader.
func (r *reader) begin(opts Options) {
	r.parser = r.format.New(opts)
	r.keeper, _ = r.parser.(Keeper)
}

// isOpen reports whether the parser waits for the rest of a row.
func (r *reader) isOpen() bool { return r.keeper != nil && r.keeper.Open() }

// Seen says how many lines of a source were taken for a format, how many of them
// the format understood or knew to be of no interest, and how many of those it
// understood were of a header.
type Seen struct {
	Format                *Format
	Lines, Known, Headers int64
}

// NewStream returns a Stream that detects the format of each line, or takes
// every line for the named one unless format is "auto". year is used for
// times without one; 0 infers it from modified, the time the source was last
// written, and from the order of the lines.
func NewStream(opts Options, format string, year int, modified time.Time) (*Stream, error) {
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	if modified.Year() < 1980 { // not known, or the clock of a machine that had none
		modified = time.Now()
	}
	s := &Stream{opts: opts, forced: -1, native: -1, bound: -1}
	s.prefixes.clock = NewClock(opts.Location)
	s.prefixes.year = newYearGuess(year, modified, opts.Location)
	s.deliver = s.stamp
	for i := range formats {
		s.readers = append(s.readers, reader{format: &formats[i], seen: Seen{Format: &formats[i]}})
	}
	if format == "" || format == "auto" {
		return s, nil
	}
	if s.forced = s.index(format); s.forced < 0 {
		return nil, fmt.Errorf("unknown log format %q: use auto or one of %s", format, strings.Join(formatNames(), ", "))
	}
	return s, nil
}

func formatNames() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	return names
}

// mtaNames returns the servers whose logs are known, each once.
func mtaNames() []string {
	var names []string
	for _, f := range formats {
		if !slices.Contains(names, f.MTA) {
			names = append(names, f.MTA)
		}
	}
	return names
}

// index returns the index of the reader of the named format, or -1.
func (s *Stream) index(format string) int {
	for i := range s.readers {
		if s.readers[i].format.Name == format {
			return i
		}
	}
	return -1
}

// stamp passes a record on with its format, and with the time and the host of
// the line where the parser knew no better.
func (s *Stream) stamp(r *Record) {
	r.Format = s.current
	if r.Time.IsZero() {
		r.Time = s.entry.Time
	}
	if r.Host == nil {
		r.Host = s.entry.Host
	}
	s.time = r.Time
	s.emit(r)
}

// Time returns the time in the last line that had one; zero before the first.
func (s *Stream) Time() time.Time { return s.time }

// Parse reads one line without its newline and passes on the records it
// completes, their Format set. They are valid only during emit.
func (s *Stream) Parse(line []byte, emit func(*Record)) Result {
	s.emit = emit
	result := s.parse(line)
	s.emit = nil
	return result
}

// parse finds out what kind of line it is: one under a header, one of a
// journal entry of many lines, one with a prefix, or one without.
func (s *Stream) parse(line []byte) Result {
	switch {
	case s.native >= 0 && s.readers[s.native].isOpen():
		return s.parseNative(s.native, line)
	case s.bound >= 0:
		return s.parseBound(line)
	}
	if s.export.open && s.export.accepts(line) || s.export.begins(line) {
		return s.parseExport(line)
	}
	s.export.open = false
	if s.native >= 0 {
		switch s.claim(s.native, line).whose {
		case mine:
			return s.parseNative(s.native, line)
		case mineFromHereOn:
			s.bound = s.native
			return s.parseHeader(s.native, line, true)
		}
	}
	if s.strip(line) {
		return s.parseEntry()
	}
	return s.parseBare(line)
}

// strip reads the prefix of line into s.entry. When there is none it looks
// behind what crashes (NUL bytes), editors (a byte order mark), grep (the file's
// name) and docker compose (the service and a bar) put before it.
func (s *Stream) strip(line []byte) bool {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if s.stripAt(line) {
		return true
	}
	if len(line) == 0 {
		return false
	}
	if c := line[0]; c == 0 || c == 0xef || c == 0x1e {
		if rest := bytes.TrimPrefix(bytes.TrimLeft(line, "\x00\x1e"), byteOrderMark); s.stripAt(rest) {
			return true
		}
	}
	head := line[:min(len(line), 256)]
	if i := bytes.IndexByte(head, ':'); i > 0 && bytes.IndexByte(line[:i], ' ') < 0 && s.stripAt(line[i+1:]) {
		return true
	}
	i := bytes.Index(head, []byte(" | "))
	return i > 0 && s.stripAt(line[i+len(" | "):])
}

func (s *Stream) stripAt(line []byte) bool {
	s.entry = Entry{}
	return s.prefixes.strip(line, &s.entry)
}

// parseBound reads a line below a header: it is of the header's format unless
// it is itself the header of another. No header begins with a digit, as nearly
// all rows do.
func (s *Stream) parseBound(line []byte) Result {
	header := false
	if len(line) > 0 && !IsDigit(line[0]) {
		header = s.claim(s.bound, line) == MineFromHereOn
		for i := 0; i < len(s.readers) && !header; i++ {
			if s.allowed(i) && s.claim(i, line) == MineFromHereOn {
				s.native, s.bound, header = i, i, true
			}
		}
	}
	result := s.parseHeader(s.bound, line, header)
	if result != Unparsed {
		return result
	}
	refused := s.refuse(line)
	if refused || s.isOther(line) {
		s.native, s.bound = -1, -1 // another log from here on
	}
	if refused || s.bound >= 0 {
		return result
	}
	return s.parse(line)
}

// isOther reports whether a line that is not of the format whose header was
// seen is of another one: logs are given one after the other.
func (s *Stream) isOther(line []byte) bool {
	prefixed := s.strip(line)
	for i := range s.readers {
		if i == s.bound || !s.allowed(i) {
			continue
		}
		if prefixed && s.readers[i].format.Claim(&s.entry) == Mine || !prefixed && s.claim(i, line) == Mine {
			return true
		}
	}
	return false
}

// claim asks format i about a line without a prefix.
func (s *Stream) claim(i int, line []byte) Claim {
	s.entry = Entry{Message: line}
	return s.readers[i].format.Claim(&s.entry)
}

// refuse reports whether line is of a log that a format knows by name not to
// be its own.
func (s *Stream) refuse(line []byte) bool {
	for i := range s.readers {
		if !s.allowed(i) {
			continue
		}
		if name := s.claim(i, line).Stranger(); name != "" {
			if s.stranger.refused == "" {
				s.stranger.refused = name
			}
			return true
		}
	}
	return false
}

// parseBare reads a line that has no prefix and is not of the format of the
// last such line. One that is of no format at all is left to the last one's
// parser, which knows the continuation lines of its log.
func (s *Stream) parseBare(line []byte) Result {
	for i := range s.readers {
		if !s.allowed(i) {
			continue
		}
		switch claim := s.claim(i, line); claim.whose {
		case mineFromHereOn:
			s.native, s.bound = i, i
			return s.parseHeader(i, line, true)
		case mine:
			s.native = i
			return s.parseNative(i, line)
		}
	}
	if s.refuse(line) {
		s.native = -1
		return Unparsed
	}
	if s.forced >= 0 {
		return s.parseNative(s.forced, line)
	}
	if s.native >= 0 {
		return s.parseNative(s.native, line)
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return Irrelevant
	}
	s.stranger.bare(line)
	return Unparsed
}

// allowed reports whether lines may be taken for format i.
func (s *Stream) allowed(i int) bool { return s.forced < 0 || s.forced == i }

// parseHeader lets format i read a line that may be of its header.
func (s *Stream) parseHeader(i int, line []byte, header bool) Result {
	result := s.parseNative(i, line)
	if header && result == Understood {
		s.readers[i].seen.Headers++
	}
	return result
}

// parseNative lets format i read a line without a prefix.
func (s *Stream) parseNative(i int, line []byte) Result {
	s.entry = Entry{Message: line}
	return s.read(i, &s.entry)
}

// parseExport reads a line of the journal export format. The result of an
// entry is that of its last line; the others are of no interest by themselves.
func (s *Stream) parseExport(line []byte) Result {
	s.entry = Entry{}
	last, ok := s.export.add(line, &s.entry)
	switch {
	case !last:
		return Irrelevant
	case !ok:
		return Unparsed
	}
	return s.parseEntry()
}

// parseEntry reads s.entry, a line with a prefix.
func (s *Stream) parseEntry() Result {
	e := &s.entry
	if !e.Time.IsZero() {
		s.time = e.Time
	}
	if e.Host == nil {
		e.Host = []byte(s.opts.Host)
	}
	if n, inner := repeatedMessage(e.Message); n > 0 {
		e.Message = inner
		return s.parseTimes(n)
	}
	if e.Program == nil || string(e.Program) == "syslogd" {
		n := repeatedLine(e.Message)
		if n == 0 || !s.repeated.last(e) {
			return Irrelevant
		}
		return s.parseTimes(n)
	}
	s.repeated.keep(e)
	return s.parseProgram(e)
}

// parseTimes reads s.entry n times.
func (s *Stream) parseTimes(n int) Result {
	result := Irrelevant
	for range n {
		e := s.entry
		result = s.parseProgram(&e)
	}
	return result
}

// parseProgram lets the format whose program wrote e read it.
func (s *Stream) parseProgram(e *Entry) Result {
	for i := range s.readers {
		if s.readers[i].format.Claim(e) != Mine {
			continue
		}
		if !s.allowed(i) {
			return Irrelevant
		}
		return s.read(i, e)
	}
	if s.forced < 0 {
		s.stranger.program(e.Program)
		return Irrelevant
	}
	if result := s.read(s.forced, e); result != Unparsed {
		return result
	}
	return Irrelevant // of another program, most likely
}

// read lets the parser of format i read e.
func (s *Stream) read(i int, e *Entry) Result {
	r := &s.readers[i]
	if r.parser == nil {
		r.begin(s.opts)
	}
	s.current = r.format
	result := r.parser.Parse(e, s.deliver)
	r.seen.Lines++
	if result != Unparsed {
		r.seen.Known++
	}
	return result
}

// End says that the source has ended for good, and passes on the records of what
// was kept until then. It returns Unparsed when one of the lines that counted
// as Understood was not.
func (s *Stream) End(emit func(*Record)) Result {
	s.emit = emit
	result := Understood
	for i := range s.readers {
		if k := s.readers[i].keeper; k != nil {
			s.current = s.readers[i].format
			if k.End(s.deliver) == Unparsed {
				s.readers[i].seen.Known--
				result = Unparsed
			}
		}
	}
	s.emit = nil
	return result
}

// Redact returns what may be shown of a line that was not understood.
func (s *Stream) Redact(line []byte) []byte {
	if s.native >= 0 && s.readers[s.native].format.Redact != nil {
		return s.readers[s.native].format.Redact(line)
	}
	return line
}

// Seen returns the formats of the lines read so far, by name.
func (s *Stream) Seen() []Seen {
	var seen []Seen
	for i := range s.readers {
		if s.readers[i].seen.Lines > 0 {
			seen = append(seen, s.readers[i].seen)
		}
	}
	return seen
}

// Refusal says what a source in which no line was of a known format seems to
// be, and what was expected.
func (s *Stream) Refusal() string {
	expected := "expected a log of one of " + strings.Join(mtaNames(), ", ")
	if s.forced >= 0 {
		expected = "expected a log of the format " + s.readers[s.forced].format.Name
	}
	if kind := s.stranger.kind(); kind != "" {
		return "this looks like " + kind + "; " + expected
	}
	for i := range s.readers {
		if s.readers[i].seen.Headers > 0 {
			return "it has the header of " + s.nameOf(i) + ", but no row was understood (--verbose shows some)"
		}
	}
	return "no line was understood; " + expected
}

// stateVersion is the first byte of a state. States of other versions are
// refused.
const stateVersion = 1

// AppendBinary appends the state of the stream and of its parsers to b.
func (s *Stream) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, stateVersion)
	y := &s.prefixes.year
	for _, v := range []int{y.year, y.month, y.mday} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	b = binary.AppendVarint(b, s.prefixes.clock.last)
	b = binary.AppendVarint(b, s.time.UnixMicro())
	b = AppendBytes(b, []byte(s.nameOf(s.native)))
	b = AppendBytes(b, []byte(s.nameOf(s.bound)))
	b = s.export.appendState(b)
	b = s.repeated.appendState(b)
	for i := range s.readers {
		state, err := s.readers[i].state()
		if err != nil {
			return nil, fmt.Errorf("save the state of the %s parser: %w", s.nameOf(i), err)
		}
		if len(state) > 0 {
			b = AppendBytes(b, []byte(s.nameOf(i)))
			b = AppendBytes(b, state)
		}
	}
	return b, nil
}

// nameOf returns the name of format i, "" for -1.
func (s *Stream) nameOf(i int) string {
	if i < 0 {
		return ""
	}
	return s.readers[i].format.Name
}

// state returns what the parser keeps, nil for nothing.
func (r *reader) state() ([]byte, error) {
	if r.keeper == nil {
		return nil, nil
	}
	return r.keeper.AppendBinary(nil)
}

// UnmarshalBinary sets a new stream to a state that AppendBinary wrote.
func (s *Stream) UnmarshalBinary(state []byte) error {
	if len(state) == 0 || state[0] != stateVersion {
		return fmt.Errorf("the state of this log was saved by another version of mailfail: %w", ErrState)
	}
	r := ReadState(state[1:])
	d := &r
	y := &s.prefixes.year
	y.year, y.month, y.mday = int(d.Uvarint()), int(d.Uvarint()), int(d.Uvarint())
	if y.year != 0 {
		var ok bool
		if y.number, ok = DayNumber(y.year, y.month, y.mday); !ok {
			d.Fail()
		}
	}
	s.prefixes.clock.last = d.Varint()
	s.time = time.UnixMicro(d.Varint())
	s.native = s.index(string(d.Bytes()))
	s.bound = s.index(string(d.Bytes()))
	s.export.setState(d)
	s.repeated.setState(d)
	for d.Err() == nil && d.More() {
		if err := s.setParser(string(d.Bytes()), d.Bytes()); err != nil {
			return err
		}
	}
	return d.Err()
}

// setParser makes the parser of the named format and sets its state.
func (s *Stream) setParser(format string, state []byte) error {
	i := s.index(format)
	if i < 0 {
		return fmt.Errorf("the state of this log names the unknown format %q: %w", format, ErrState)
	}
	r := &s.readers[i]
	r.begin(s.opts)
	if r.keeper == nil {
		return fmt.Errorf("the %s parser keeps no state, but one was saved: %w", format, ErrState)
	}
	if err := r.keeper.UnmarshalBinary(state); err != nil {
		return fmt.Errorf("restore the state of the %s parser: %w", format, err)
	}
	return nil
}
