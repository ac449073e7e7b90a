// Package detect detects the format of each line of a log, and lets the parser of that
// format read it.
package detect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/syslog"
)

// Stream reads the lines of one source: it strips the prefix of each, detects its format,
// and lets that format's parser read it. A source may contain the lines of several
// programs and change its format in the middle.
type Stream struct {
	opts    parsers.Options
	forced  int // index of the format that the user named, or -1
	readers []reader

	lines      *syslog.Reader
	repeated   repeats
	seenBefore bool // an earlier run has read a line of a format
	hollow     bool // the last object contained no line
	beside     int  // lines of other services before the first line of a mail server

	time   time.Time // of the last line that had one
	native int       // index of the format of the last line without a prefix, or -1
	bound  int       // index of the format whose header was seen, or -1

	// logging contains the formats that come through syslog; the first is that of the
	// last line with a program.
	logging []logging

	entry    parsers.Entry
	line     Line // the line whose records are passed on
	lineRead bool // line is set
	emit     func(*parsers.Record)
	current  *parsers.Format
	// the format of records that a bounce reports, nil when it is not registered
	bounces  *parsers.Format
	deliver  func(*parsers.Record) // s.stamp, bound once so that no line allocates it
	stranger lookalikes
	emitted  bool // a record was passed on
}

// A reader is a format with its parser for this source.
type reader struct {
	format *parsers.Format
	parser parsers.Parser // nil until its first line
	keeper parsers.Keeper // the parser, if it is a Keeper
	seen   Seen
}

// A logging is a format that comes through syslog: its claim, which is called for each
// line of another program, and the index of its reader.
type logging struct {
	claim func(*parsers.Entry) parsers.Claim
	index int
}

// begin makes the parser of a reader.
func (r *reader) begin(opts parsers.Options) {
	r.parser = r.format.New(opts)
	r.keeper, _ = r.parser.(parsers.Keeper)
}

// isOpen reports whether the parser waits for the rest of a row.
func (r *reader) isOpen() bool { return r.keeper != nil && r.keeper.Open() }

// TimeOf returns the time of a line, the zero time if it has none; the other parameters
// are those of NewStream.
func TimeOf(line []byte, loc *time.Location, year int, modified time.Time) time.Time {
	if loc == nil {
		loc = time.UTC
	}
	return syslog.TimeOf(line, loc, year, modified)
}

// Seen counts the lines of a source that were taken for a format, those of them that the
// format understood or knew to be irrelevant, and those of the understood ones that
// belong to a header.
type Seen struct {
	Format                *parsers.Format
	Lines, Known, Headers int64
}

// NewStream returns a Stream that detects the format of each line, or takes every line
// for the named format unless format is "auto". year is used for times without one; 0
// infers it from modified, the time the source was last written, and from the order of
// the lines. NewStream returns an error for an unknown format.
func NewStream(opts parsers.Options, format string, year int, modified time.Time) (*Stream, error) {
	if opts.Location == nil {
		opts.Location = time.UTC
	}
	if modified.Year() < 1980 { // unknown, or the time of a machine without a clock
		modified = time.Now()
	}
	s := &Stream{opts: opts, forced: -1, native: -1, bound: -1}
	s.lines = syslog.NewReader(opts.Location, year, modified, s.known)
	s.deliver = s.stamp
	formats := parsers.Formats()
	for i := range formats {
		s.readers = append(s.readers, reader{format: &formats[i], seen: Seen{Format: &formats[i]}})
		if formats[i].IsRepeated(parsers.Attempt) {
			s.bounces = &formats[i]
		}
		if !formats[i].Native {
			s.logging = append(s.logging, logging{formats[i].Claim, i})
		}
	}
	if format == "" || format == "auto" {
		return s, nil
	}
	if s.forced = s.index(format); s.forced < 0 {
		return nil, fmt.Errorf("unknown log format %q: use auto or one of %s", format,
			strings.Join(formatNames(), ", "))
	}
	return s, nil
}

func formatNames() []string {
	var names []string
	for _, f := range parsers.Formats() {
		names = append(names, f.Name)
	}
	return names
}

// mtaNames returns the servers whose logs can be read, each once.
func mtaNames() []string {
	var names []string
	for _, f := range parsers.Formats() {
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

// stamp passes a record on with its format, and with the time and the host of the line
// unless the parser has set them.
func (s *Stream) stamp(r *parsers.Record) {
	s.emitted = true
	r.Format = s.current
	if r.FromBounce && s.bounces != nil {
		r.Format = s.bounces
	}
	if r.Time.IsZero() {
		if r.Time = s.entry.Time; r.Time.IsZero() {
			r.Time = s.lines.Likely() // lines of journalctl -o cat
		}
	}
	if r.Host == nil {
		if r.Host = s.entry.Host; r.Host == nil {
			r.Host = []byte(s.opts.Host)
		}
	}
	s.time = r.Time
	s.emit(r)
}

// Time returns the time of the last line that had one; zero before the first.
func (s *Stream) Time() time.Time { return s.time }

// Parse reads one line without its newline and passes on the records that it completes,
// their Format set. They are valid only during emit. If a line contains several entries,
// Parse returns the worst of their results.
func (s *Stream) Parse(line []byte, emit func(*parsers.Record)) parsers.Result {
	s.emit = emit
	s.hollow = false
	result := s.parse(line)
	if rest := s.lines.Rest(); rest != nil {
		result = s.parseRest(result, rest)
	}
	s.emit = nil
	return result
}

// parseRest reads the other entries of a line. Objects that only contain others do not
// count, unless there is nothing else.
func (s *Stream) parseRest(result parsers.Result, rest []byte) parsers.Result {
	empty := s.hollow
	for ; rest != nil; rest = s.lines.Rest() {
		s.hollow = false
		next := s.parse(rest)
		switch {
		case s.hollow:
		case empty:
			result, empty = next, false
		default:
			result = worse(result, next)
		}
	}
	if empty {
		return parsers.Unparsed
	}
	return result
}

// worse returns the result to report for two entries: Unparsed if one is, else Understood
// if one is.
func worse(a, b parsers.Result) parsers.Result {
	if a == parsers.Unparsed || b == parsers.Irrelevant {
		return a
	}
	return b
}

// parse distinguishes the kinds of lines: below a header, within an entry of many lines,
// with a syslog header, and without one.
func (s *Stream) parse(line []byte) parsers.Result {
	switch {
	case s.native >= 0 && s.readers[s.native].isOpen():
		return s.parseNative(s.native, line)
	case s.bound >= 0:
		return s.parseBound(line)
	}
	if s.native >= 0 && !s.lines.Open() {
		switch s.claim(s.native, line) {
		case parsers.Mine:
			return s.parseNative(s.native, line)
		case parsers.MineFromHereOn:
			s.bound = s.native
			return s.parseHeader(s.native, line, true)
		}
	}
	return s.answered(s.lines.Read(line, &s.entry), line)
}

// answered reads a line whose kind the reader of headers has determined.
func (s *Stream) answered(answer syslog.Answer, line []byte) parsers.Result {
	switch answer {
	case syslog.Line:
		return s.parseEntry()
	case syslog.Part:
		return parsers.Irrelevant
	case syslog.Other:
		s.stranger.bare(line)
		return parsers.Irrelevant
	case syslog.Beside:
		if s.anySeen() {
			return parsers.Irrelevant
		}
		if s.hollow = s.lines.Several(); !s.hollow {
			s.beside++
		}
		s.stranger.bare(line)
		return parsers.Unparsed
	case syslog.Hollow:
		s.hollow = true
		s.stranger.bare(line)
		return parsers.Unparsed
	case syslog.Broken, syslog.Odd:
		return parsers.Unparsed
	}
	return s.parseBare(line)
}

// anySeen reports whether this run or an earlier one has read a line of a format.
func (s *Stream) anySeen() bool {
	if s.seenBefore {
		return true
	}
	for i := range s.readers {
		if s.readers[i].seen.Lines > 0 {
			return true
		}
	}
	return false
}

// Lost returns a correction for the results of earlier lines, once. A positive number is
// the number of lines that were Irrelevant, as parts of an entry of many lines, but are
// Unparsed, because the entry lacks required fields. A negative number stands for lines
// that were Unparsed but are Irrelevant: they come from services beside the mail server
// whose first line has been read now.
func (s *Stream) Lost() int {
	n := s.lines.Lost()
	if s.beside > 0 && s.anySeen() {
		n -= s.beside
		s.beside = 0
	}
	return n
}

// known reports whether a format reads an entry, by its program or by its message.
func (s *Stream) known(e *parsers.Entry) bool { return s.claimant(e) >= 0 }

// parseBound reads a line below a header. It belongs to the header's format unless it is
// the header of another. No header begins with a digit, as nearly all rows do.
func (s *Stream) parseBound(line []byte) parsers.Result {
	header := false
	if len(line) > 0 && !parsers.IsDigit(line[0]) {
		header = s.claim(s.bound, line) == parsers.MineFromHereOn
		for i := 0; i < len(s.readers) && !header; i++ {
			if s.allowed(i) && s.claim(i, line) == parsers.MineFromHereOn {
				s.native, s.bound, header = i, i, true
			}
		}
	}
	result := s.parseHeader(s.bound, line, header)
	if result != parsers.Unparsed {
		return result
	}
	refused := s.refuse(line)
	if refused || s.isOther(line) {
		s.native, s.bound = -1, -1 // another log begins here
	}
	if refused || s.bound >= 0 {
		return result
	}
	return s.parse(line)
}

// isOther reports whether a line belongs to another format than the header that was seen:
// logs may be given one after the other.
func (s *Stream) isOther(line []byte) bool {
	answer := s.lines.Read(line, &s.entry)
	if answer == syslog.Bare {
		answer = s.lines.Unwrap(line, &s.entry)
	}
	if answer == syslog.Line {
		i := s.claimant(&s.entry)
		return i >= 0 && i != s.bound && s.allowed(i)
	}
	for i := range s.readers {
		if i != s.bound && s.allowed(i) && s.claim(i, line).IsMine() {
			return true
		}
	}
	return false
}

// claim asks format i about a line without a prefix.
func (s *Stream) claim(i int, line []byte) parsers.Claim {
	s.entry = parsers.Entry{Message: line}
	return s.readers[i].format.Claim(&s.entry)
}

// refuse reports whether a format recognizes line as one of another log that is not read,
// and notes the name of that log.
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

// parseBare reads a line that has no prefix and does not belong to the format of the last
// such line. A line that no format claims is left to the parser of the last one, which
// recognizes the continuation lines of its log.
func (s *Stream) parseBare(line []byte) parsers.Result {
	for i := range s.readers {
		if !s.allowed(i) {
			continue
		}
		switch s.claim(i, line) {
		case parsers.MineFromHereOn:
			s.native, s.bound = i, i
			return s.parseHeader(i, line, true)
		case parsers.Mine:
			s.native = i
			return s.parseNative(i, line)
		}
	}
	answer := s.lines.Unwrap(line, &s.entry)
	if answer == syslog.Line {
		return s.parseEntry()
	}
	if s.refuse(line) {
		s.native = -1
		return parsers.Unparsed
	}
	if s.forced < 0 && s.native < 0 && answer != syslog.Bare {
		return s.answered(answer, line)
	}
	if s.forced >= 0 {
		return s.parseNative(s.forced, line)
	}
	if s.native >= 0 {
		return s.parseNative(s.native, line)
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return parsers.Irrelevant
	}
	s.stranger.bare(line)
	return parsers.Unparsed
}

// allowed reports whether lines may be read as format i.
func (s *Stream) allowed(i int) bool { return s.forced < 0 || s.forced == i }

// parseHeader lets format i read a line that may belong to its header.
func (s *Stream) parseHeader(i int, line []byte, header bool) parsers.Result {
	result := s.parseNative(i, line)
	if header && result == parsers.Understood {
		s.readers[i].seen.Headers++
	}
	return result
}

// parseNative lets format i read a line without a prefix.
func (s *Stream) parseNative(i int, line []byte) parsers.Result {
	s.entry = parsers.Entry{Message: line}
	return s.read(i, &s.entry)
}

// parseEntry reads s.entry, a line with a prefix.
func (s *Stream) parseEntry() parsers.Result {
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
		if n := repeatedLine(e.Message); n > 0 {
			if !s.repeated.last(e) {
				return parsers.Irrelevant
			}
			return s.parseTimes(n)
		}
		return s.parseProgram(e)
	}
	s.repeated.keep(e)
	return s.parseProgram(e)
}

// parseTimes reads s.entry n times.
func (s *Stream) parseTimes(n int) parsers.Result {
	result := parsers.Irrelevant
	e := s.entry
	for range n {
		s.entry = e
		result = s.parseProgram(&s.entry)
	}
	return result
}

// parseProgram lets the format that claims the program of e read it. If no format does,
// it reads the line that the program passed on.
func (s *Stream) parseProgram(e *parsers.Entry) parsers.Result {
	if result, ok := s.parseClaimed(e); ok {
		return result
	}
	program := e.Program
	switch s.lines.Inner(e) {
	case syslog.Line:
		if !e.Time.IsZero() {
			s.time = e.Time
		}
		if result, ok := s.parseClaimed(e); ok {
			return result
		}
	case syslog.Odd:
		return parsers.Unparsed
	}
	if s.forced < 0 {
		s.stranger.program(program)
		return parsers.Irrelevant
	}
	if result := s.read(s.forced, e); result != parsers.Unparsed {
		return result
	}
	return parsers.Irrelevant // most likely written by another program
}

// parseClaimed lets the format that claims e read it; ok is false when there is none.
func (s *Stream) parseClaimed(e *parsers.Entry) (parsers.Result, bool) {
	i := s.claimant(e)
	switch {
	case i < 0:
		return 0, false
	case !s.allowed(i):
		return parsers.Irrelevant, true
	}
	return s.read(i, e), true
}

// claimant returns the index of the format that claims e, -1 for none. Most lines with a
// program have the format of the line before, so that is tried first; no two formats
// claim the same program.
func (s *Stream) claimant(e *parsers.Entry) int {
	if e.Program == nil {
		for i := range s.readers {
			if s.readers[i].format.Claim(e).IsMine() {
				return i
			}
		}
		return -1
	}
	for i, f := range s.logging {
		if f.claim(e).IsMine() {
			s.logging[0], s.logging[i] = f, s.logging[0]
			return f.index
		}
	}
	return -1
}

// read lets the parser of format i read e.
func (s *Stream) read(i int, e *parsers.Entry) parsers.Result {
	r := &s.readers[i]
	if r.parser == nil {
		r.begin(s.opts)
	}
	s.current, s.lineRead = r.format, false
	result := r.parser.Parse(e, s.deliver)
	r.seen.Lines++
	if result != parsers.Unparsed {
		r.seen.Known++
	}
	return result
}

// End is called when the source will not grow any more. It passes on the records of the
// lines that were kept until then. If a last entry whose lines were Part is read only
// now, last is its result, and one line less is Irrelevant; without such an entry last is
// Irrelevant. kept is Unparsed when one of the lines that counted as Understood was not
// understood.
func (s *Stream) End(emit func(*parsers.Record)) (last, kept parsers.Result) {
	s.emit = emit
	last, kept = parsers.Irrelevant, parsers.Understood
	if s.lines.End(&s.entry) {
		last = s.parseEntry()
	}
	s.entry.Program, s.lineRead = nil, false // these records do not belong to a single line
	for i := range s.readers {
		if k := s.readers[i].keeper; k != nil {
			s.current = s.readers[i].format
			if k.End(s.deliver) == parsers.Unparsed {
				s.readers[i].seen.Known--
				kept = parsers.Unparsed
			}
		}
	}
	s.emit = nil
	return last, kept
}

// Redact returns a line that was not understood without the parts that must not be shown.
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

// Lacks reports whether a parser knows why no line made a record; Refusal then returns
// the reason.
func (s *Stream) Lacks() bool {
	if s.emitted || s.seenBefore {
		return false
	}
	for i := range s.readers {
		if lacker, ok := s.readers[i].parser.(parsers.Lacker); ok && lacker.Lacks() != "" {
			s.stranger.refused = lacker.Lacks()
			return true
		}
	}
	return false
}

// Refusal describes a source in which no line of a known format was read: what it seems
// to be, and what was expected.
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
			return "it has the header of " + s.nameOf(i) +
				", but no row was understood (--verbose shows some)"
		}
	}
	return "no line was understood; " + expected
}

// stateVersion is the first byte of a state. UnmarshalBinary reads older versions too:
// version 1 lacks later state of syslog.Reader, version 2 the container of a half-read
// journal entry.
const stateVersion = 3

// AppendBinary appends the state of the stream and of its parsers to b.
func (s *Stream) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, stateVersion)
	b = s.lines.AppendTimes(b)
	b = binary.AppendVarint(b, s.time.UnixMicro())
	b = parsers.AppendBytes(b, []byte(s.nameOf(s.native)))
	b = parsers.AppendBytes(b, []byte(s.nameOf(s.bound)))
	b = s.lines.AppendEntry(b)
	b = parsers.AppendBool(b, s.anySeen())
	b = s.repeated.appendState(b)
	for i := range s.readers {
		state, err := s.readers[i].state()
		if err != nil {
			return nil, fmt.Errorf("save the state of the %s parser: %w", s.nameOf(i), err)
		}
		if len(state) > 0 {
			b = parsers.AppendBytes(b, []byte(s.nameOf(i)))
			b = parsers.AppendBytes(b, state)
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

// state returns the state of the parser, nil if it keeps none.
func (r *reader) state() ([]byte, error) {
	if r.keeper == nil {
		return nil, nil
	}
	return r.keeper.AppendBinary(nil)
}

// UnmarshalBinary sets a new stream to a state that AppendBinary wrote.
func (s *Stream) UnmarshalBinary(state []byte) error {
	if len(state) == 0 || state[0] > stateVersion || state[0] == 0 {
		return fmt.Errorf("the state of this log was saved by another version of mailfail: %w",
			parsers.ErrState)
	}
	r := parsers.ReadState(state[1:])
	d := &r
	s.lines.SetTimes(d)
	s.time = time.UnixMicro(d.Varint())
	s.native = s.index(string(d.Bytes()))
	s.bound = s.index(string(d.Bytes()))
	s.lines.SetEntry(d, state[0], s.time)
	s.seenBefore = state[0] == 1 || d.Bool()
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
		return fmt.Errorf("the state of this log names the unknown format %q: %w", format, parsers.ErrState)
	}
	r := &s.readers[i]
	r.begin(s.opts)
	if r.keeper == nil {
		return fmt.Errorf("the %s parser keeps no state, but one was saved: %w", format, parsers.ErrState)
	}
	if err := r.keeper.UnmarshalBinary(state); err != nil {
		return fmt.Errorf("restore the state of the %s parser: %w", format, err)
	}
	return nil
}
