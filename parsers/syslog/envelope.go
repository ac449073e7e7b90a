package syslog

import (
	"bytes"
	"math/bits"
	"strings"

	"mailfail/parsers"
)

// An envelope is a kind of layer before a line.
type envelope struct {
	name    string
	example string // "LINE" stands for the line within

	// quoted means that the envelope may be at the beginning of the message of an unknown
	// program. Others may not: strangers can write into the messages of many programs.
	quoted bool

	// first are the bytes with which the envelope may begin; "" for any.
	first string

	// open strips the layer from b, and reports whether the rest contains a line of a
	// format; then e is that line.
	open func(r *Reader, b []byte, e *parsers.Entry, at place) bool
}

// envelopes are the kinds of layers, in the order in which they are tried.
var envelopes []envelope

// mayOpen has, for each first byte, a bit for each of the envelopes: for all of them, and
// for those that may be quoted. Most lines come from other programs, and would have to
// try all envelopes.
var mayOpen [2][256]uint32

func init() { // in init, because the functions below and the table refer to each other
	const letters, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	envelopes = []envelope{
		{"syslog", "Nov 19 12:37:15 docker1 e8d820bf982c[2136]: LINE", true, letters + digits + "<", (*Reader).openHeader},
		{"time", "2026-11-19T11:37:15.123456789Z stdout F LINE", true, letters + digits + "@", (*Reader).openTime},
		{"JSON", `{"log":"LINE\n","stream":"stdout","time":"2026-11-19T11:37:15.123456789Z"}`, true, "{[ \t", (*Reader).openJSON},
		{"Loki's streams", `{"streams":[{"stream":{"app":"mail"},"values":[["1795091835000000000","LINE"]]}]}`, false, "[", (*Reader).openPair},
		{"Fluent Bit's output", `[0] tail.0: [[1795091835.123000000, {}], {"log"=>"LINE"}]`, false, "[", (*Reader).openRuby},
		{"macOS", "2026-11-19 12:37:15.123456+0100  localhost smtp[1234]: (smtp) MESSAGE", false, digits, (*Reader).openApple},
		{"octet count", "215 <22>1 2026-11-19T11:37:15Z mx postfix/smtp 58 - - MESSAGE", true, digits, (*Reader).openOctets},
		{"priority", "<22>LINE", true, "<1", (*Reader).openPriority},
		{"group", "[pod/mail-0/postfix] LINE", false, "[{", (*Reader).openGroup},
		{"bar", "mail_postfix.1.k2j3h4@node1  | LINE", false, "", (*Reader).openBar},
		{"conmon", "conmon e8d820bf982c51a4 <ninfo>: LINE", true, "c", (*Reader).openConmon},
		{"Papertrail", "7125\t2026-11-19T12:37:15Z\t2026-11-19T12:37:16Z\t12\tmx\t203.0.113.7\tMail\tInfo\tpostfix/smtp\tMESSAGE", false, digits, (*Reader).openPapertrail},
		{"line number", "    12\tLINE", false, digits + " ", (*Reader).openNumber},
		{"event stream", "data: LINE", false, "d", (*Reader).openEvent},
		{"CSV", `"2026-11-19T11:37:15.123Z","mx","LINE"`, false, `"`, (*Reader).openCSV},
		{"AIX", "Nov 19 12:37:15 Message forwarded from aix1: LINE", false, "Mf", (*Reader).openForwarded},
		{"Dovecot", "2026-11-19 12:37:15 lmtp(ann)<7><x>: Info: MESSAGE", true, "", (*Reader).openDovecot},
		{"file name", "/var/log/mail.log:12:LINE", false, "", (*Reader).openFile},
		{"program", "Thu 2026-11-19 12:37:15 UTC docker1 docker.service[2136]: LINE", false, "", (*Reader).openProgram},
		{"logfmt", `time="2026-11-19T11:37:15Z" level=info msg="LINE"`, true, "", (*Reader).openLogfmt},
		{"words", "mail-0 postfix LINE", false, "", (*Reader).openWord},
	}
	for i, v := range envelopes {
		for c := range mayOpen[0] {
			if v.first != "" && strings.IndexByte(v.first, byte(c)) < 0 {
				continue
			}
			mayOpen[0][c] |= 1 << i
			if v.quoted {
				mayOpen[1][c] |= 1 << i
			}
		}
	}
}

// A place describes the position that find has reached in a line.
type place struct {
	timed  bool // after a time of this layer
	hosted bool // and after a host
	quoted bool // within the message of a program
	words  int  // number of words that were skipped
	depth  int  // depth of the layer
}

const (
	maxSteps  = 96 // bounds the positions that are tried in one line
	maxLayers = 8  // bounds the nesting
	maxWords  = 4  // bounds the words between a time and a program, or before a time
	maxLead   = 256
)

// find looks for the line of a format in b, the rest of a line after its outer envelopes.
func (r *Reader) find(b []byte, e *parsers.Entry, at place) bool {
	if r.steps--; r.steps < 0 || len(b) < 4 || at.depth >= maxLayers {
		return false
	}
	if r.tag(b, e, at) || r.bare(b, e, at) {
		return true
	}
	set := mayOpen[0][b[0]]
	if at.quoted {
		set = mayOpen[1][b[0]]
	}
	for ; set != 0; set &= set - 1 {
		if envelopes[bits.TrailingZeros32(set)].open(r, b, e, at) {
			return true
		}
	}
	return false
}

// inner returns the entry for the layer that is being stripped, set to the values known
// outside it. Entries on the stack would be allocated.
func (r *Reader) inner(e *parsers.Entry, at place) *parsers.Entry {
	inner := &r.layers[at.depth]
	*inner = *e
	return inner
}

// try looks for a line in b, with the values known so far in inner, and sets e to inner
// when there is one.
func (r *Reader) try(b []byte, inner, e *parsers.Entry, at place) bool {
	at.depth++
	if !r.find(b, inner, at) {
		return false
	}
	*e = *inner
	return true
}

// tag reads "prog[pid]: message" of a known program, after a time. Postfix's tag cannot
// be mistaken for another word. Without the process id, the name of a program may be any
// word.
func (r *Reader) tag(b []byte, e *parsers.Entry, at place) bool {
	// after the pod and the container of stern
	if e.Time.IsZero() && !at.timed && (at.words > 2 || !parsers.Has(b, "postfix/")) {
		return false
	}
	var t parsers.Entry
	splitProgram(b, &t)
	if len(t.Program) < 2 || t.PID == nil && bytes.IndexByte(t.Program, '/') < 0 {
		return false
	}
	program := t.Program
	if unit := unitOf(program); unit != nil {
		program = unit
	}
	if len(program) > 64 || !r.isKnown(program, nil) {
		return false
	}
	e.Program, e.PID, e.Message = program, t.PID, t.Message
	return true
}

// bare reads a line that needs no header. After words, and in the message of a program,
// it must begin with its own time.
func (r *Reader) bare(b []byte, e *parsers.Entry, at place) bool {
	if (at.words > 0 || at.quoted) && !(len(b) > 10 && parsers.IsDigit(b[0]) && b[4] == '-') ||
		!r.isKnown(nil, b) {
		return false
	}
	e.Program, e.PID, e.Message = nil, nil, b
	return true
}

// isKnown reports whether a program, or a line without one, belongs to a format.
func (r *Reader) isKnown(program, message []byte) bool {
	r.probe = parsers.Entry{Program: program, Message: message}
	return r.known(&r.probe)
}

// openHeader reads a syslog header. If the program is not known, the line may be in its
// message.
func (r *Reader) openHeader(b []byte, e *parsers.Entry, at place) bool {
	if len(b) < 16 || b[0] == '{' {
		return false
	}
	inner := r.inner(e, at)
	*inner = parsers.Entry{Time: e.Time}
	if !r.strip(b, inner) {
		return false
	}
	if inner.Host == nil {
		inner.Host = e.Host
	}
	program := inner.Program
	if program == nil {
		return false
	}
	if r.isKnown(program, nil) {
		return keep(e, inner)
	}
	if tells(program) {
		return false
	}
	message := withoutLevel(program, inner.Message)
	inner.Program, inner.PID = nil, nil
	return r.try(message, inner, e, place{quoted: true, depth: at.depth})
}

// openTime reads a time. A line may follow directly, or after a few words, the first of
// which may be a host.
func (r *Reader) openTime(b []byte, e *parsers.Entry, at place) bool {
	t, n := r.timeAt(b, e.Time)
	if n == 0 || n >= len(b) || b[n] != ' ' && b[n] != '\t' && b[n] != ':' && !parsers.Has(b[n:], `,"`) {
		return false
	}
	inner := r.inner(e, at)
	inner.Time = t
	at = place{timed: true, quoted: at.quoted, depth: at.depth}
	rest := bytes.TrimLeft(b[n:], " \t:,")
	if stream, whole := containerStream(rest); stream > 0 {
		return r.openStream(r.writer(b, rest[:len("stdout")]), rest[stream:], whole, inner, e, at)
	}
	return r.try(rest, inner, e, at) || at.quoted && r.openWord(rest, inner, at) && keep(e, inner)
}

// keep sets e to inner.
func keep(e, inner *parsers.Entry) bool {
	*e = *inner
	return true
}

// containerStream returns the length of "stdout F " in the log files of CRI (containerd,
// CRI-O), and whether the line is complete.
func containerStream(b []byte) (n int, whole bool) {
	if len(b) < 9 || !parsers.Has(b, "stdout ") && !parsers.Has(b, "stderr ") || b[8] != ' ' && b[8] != ':' {
		return 0, false
	}
	switch b[7] {
	case 'F':
		return 9, true
	case 'P':
		return 9, false
	}
	return 0, false
}

// openStream reads a line, or a piece of one, that a container wrote.
func (r *Reader) openStream(writer, b []byte, whole bool, inner, e *parsers.Entry, at place) bool {
	if !whole {
		r.keepPiece(writer, b)
		return false
	}
	return r.try(r.pieces.take(writer, b), inner, e, at)
}

// writer returns the name of the writer of a piece: the text of the line before b (a pod,
// a service, the name of a file; nothing if that is a time), and the stream.
func (r *Reader) writer(b, stream []byte) []byte {
	before, _ := bytes.CutSuffix(r.line, b)
	if len(before) == len(r.line) {
		before = nil
	}
	if i := bytes.IndexByte(before, ' '); i >= 0 {
		before = before[:i]
	}
	if _, n := r.timeAt(before, r.last); n > 0 || len(before) > maxLead || parsers.Has(before, "[{") {
		before = nil // a time, or the rest of an array
	}
	r.name = append(append(r.name[:0], before...), stream...)
	return r.name
}

// keepPiece keeps a piece of a line until its last piece arrives.
func (r *Reader) keepPiece(writer, b []byte) {
	r.pieces.add(writer, b)
	r.steps, r.piece = 0, true
}

// openOctets reads the octet count of syslog over TCP (RFC 6587 section 3.4.1). Two
// frames may follow each other directly.
func (r *Reader) openOctets(b []byte, e *parsers.Entry, at place) bool {
	i := 0
	for i < len(b) && i < 6 && parsers.IsDigit(b[i]) {
		i++
	}
	if i == 0 || i+1 >= len(b) || b[i] != ' ' || b[i+1] != '<' {
		return false
	}
	frame := b[i+1:]
	if n := int(parsers.Number(b[:i])); n < len(frame) {
		if next := bytes.TrimLeft(frame[n:], "\n"); len(next) > 0 && parsers.IsDigit(next[0]) {
			r.rest, frame = next, frame[:n]
		}
	}
	inner := r.inner(e, at)
	return r.try(frame, inner, e, at)
}

// openPriority reads "<22>" before a line without a time, or the version of RFC 5424 if a
// relay has removed the priority.
func (r *Reader) openPriority(b []byte, e *parsers.Entry, at place) bool {
	inner := r.inner(e, at)
	if parsers.Has(b, "1 20") && r.strip5424(b[2:], inner) && inner.Program != nil &&
		r.isKnown(inner.Program, nil) {
		return keep(e, inner)
	}
	n := priority(b)
	if n == 0 {
		return false
	}
	*inner = *e
	at.words = maxWords
	return r.try(b[n:], inner, e, at)
}

// openGroup reads "[pod/mail-0/postfix] " of kubectl, or the labels of Loki.
func (r *Reader) openGroup(b []byte, e *parsers.Entry, at place) bool {
	n := group(b)
	if n == 0 {
		return false
	}
	inner := r.inner(e, at)
	if !parsers.Has(b, "[pod/") { // strangers cannot write this
		at.words++
	}
	if t, ok := r.timeOf(b[1:n-1], e.Time); ok {
		inner.Time, at.timed, at.words = t, true, 0
	} else if c := bytes.TrimLeft(b[1:n-1], " "); len(c) > 0 && parsers.IsDigit(c[0]) {
		at.timed = true // a time of journalctl -o short-monotonic, without a date
	}
	return r.try(bytes.TrimLeft(b[n:], " \t"), inner, e, at)
}

// group returns the length of a bracketed text at the beginning of b that is followed by
// a blank, 0 when there is none.
func group(b []byte) int {
	var end byte
	switch {
	case parsers.Has(b, "["):
		end = ']'
	case parsers.Has(b, "{"):
		end = '}'
	default:
		return 0
	}
	n := bytes.IndexByte(b[:min(len(b), maxLead)], end) + 1
	if n < 2 || n >= len(b) || b[n] != ' ' && b[n] != '\t' {
		return 0
	}
	return n
}

// openBar reads "mail-1  | " of docker compose, and "postfix stdout | " of
// supervisord's listeners.
func (r *Reader) openBar(b []byte, e *parsers.Entry, at place) bool {
	n := bar(b)
	if n == 0 {
		return false
	}
	inner := r.inner(e, at)
	return r.try(bytes.TrimLeft(b[n:], " "), inner, e, at)
}

// bar returns the length of a service's name with a bar after it. pm2 puts the number of
// the process before the name: "0|mail  | ".
func bar(b []byte) int {
	start := 0
	if n := digitsLen(b[:min(len(b), 6)]); n > 0 && n+1 < len(b) && b[n] == '|' && b[n+1] != ' ' {
		start = n + 1
	}
	i := start + bytes.IndexByte(b[start:min(len(b), 128)], '|')
	if i < start+2 || b[i-1] != ' ' || i+1 < len(b) && b[i+1] != ' ' {
		return 0
	}
	for _, c := range b[start:i] {
		if c != ' ' && c != '@' && c != '/' && !isNameByte(c) {
			return 0
		}
	}
	return i + 1
}

// openConmon reads the prefix of conmon, which reads the output of a container for podman
// and CRI-O: the container and the level.
func (r *Reader) openConmon(b []byte, e *parsers.Entry, at place) bool {
	rest, ok := bytes.CutPrefix(b, []byte("conmon "))
	container, rest, ok2 := bytes.Cut(rest, []byte(" <"))
	level, rest, ok3 := bytes.Cut(rest, []byte(">: "))
	if !ok || !ok2 || !ok3 || !isName(container) || len(level) > 8 {
		return false
	}
	inner := r.inner(e, at)
	return r.try(rest, inner, e, place{timed: at.timed, quoted: at.quoted, depth: at.depth})
}

// openPapertrail reads a row of an archive of Papertrail: the number of the event, when
// it was made and received, the number, name and address of the source, facility,
// severity, program and message.
func (r *Reader) openPapertrail(b []byte, e *parsers.Entry, at place) bool {
	n := digitsLen(b)
	if n == 0 || n == len(b) || b[n] != '\t' {
		return false
	}
	var fields [9][]byte
	rest := b
	for i := range fields {
		var ok bool
		if fields[i], rest, ok = bytes.Cut(rest, []byte{'\t'}); !ok {
			return false
		}
	}
	t, ok := r.timeOf(fields[1], e.Time)
	if !ok {
		return false
	}
	inner := r.inner(e, at)
	*inner = parsers.Entry{Time: t, Host: fields[4]}
	var tag parsers.Entry
	if splitProgram(fields[8], &tag); tag.Program == nil {
		tag.Program = fields[8]
	}
	if len(tag.Program) > 0 && r.isKnown(tag.Program, nil) {
		inner.Program, inner.PID, inner.Message = tag.Program, tag.PID, rest
		return keep(e, inner)
	}
	return !tells(tag.Program) && r.try(rest, inner, e, place{quoted: true, depth: at.depth})
}

// openNumber reads the number that cat -n and nl put before a line.
func (r *Reader) openNumber(b []byte, e *parsers.Entry, at place) bool {
	rest := bytes.TrimLeft(b, " ")
	n := digitsLen(rest)
	if n == 0 || n > 9 || n >= len(rest) || rest[n] != '\t' && !parsers.Has(rest[n:], "  ") {
		return false
	}
	inner := r.inner(e, at)
	return r.try(bytes.TrimLeft(rest[n:], " \t"), inner, e, at)
}

// openEvent reads "data: " of journalctl -o json-sse.
func (r *Reader) openEvent(b []byte, e *parsers.Entry, at place) bool {
	rest, ok := bytes.CutPrefix(b, []byte("data:"))
	if !ok {
		return false
	}
	inner := r.inner(e, at)
	return r.try(bytes.TrimLeft(rest, " "), inner, e, at)
}

// openFile reads the name of a file that grep puts before a line, with the number of the
// line for -n. Context lines have dashes in place of the colons.
func (r *Reader) openFile(b []byte, e *parsers.Entry, at place) bool {
	if at.timed {
		return false
	}
	inner := r.inner(e, at)
	for i, c := range b[:min(len(b), maxLead)] {
		switch {
		case c == ':' && i == 1 && len(b) > 2 && b[2] == '\\': // C:\logs\mail.log
		case c == ':', c == '-' && i+1 < len(b) && startsLine(b[i+1]):
			rest := b[i+1:]
			if i == 0 || len(rest) == 0 {
				return false
			}
			// a host, as pdsh and similar programs print it
			if after := bytes.TrimLeft(rest, " \t"); len(after) < len(rest) && c == ':' {
				return len(after) > 0 && startsLine(after[0]) && r.try(after, inner, e, at)
			}
			if (startsLine(rest[0]) || parsers.Has(rest, "postfix/")) && r.try(rest, inner, e, at) {
				return true
			}
			if d := digitsLen(rest); d > 0 && d < len(rest) && rest[d] == c &&
				r.try(rest[d+1:], inner, e, at) {
				return true
			}
			if c == ':' {
				return false
			}
		case c == '\\':
		case !isNameByte(c) && c != '/' && c != '~' && c != '+' && c != '=' && c != '@':
			return false
		}
	}
	return false
}

// startsLine reports whether a line after a file name may begin with c.
func startsLine(c byte) bool {
	return c >= 'A' && c <= 'Z' || parsers.IsDigit(c) || c == '<' || c == '{' || c == '['
}

// digitsLen returns the number of digits at the beginning of b.
func digitsLen(b []byte) (n int) {
	for n < len(b) && parsers.IsDigit(b[n]) {
		n++
	}
	return n
}

// openForwarded reads the prefix that AIX's syslogd puts before the line of another host.
// The word "Message", in the place of the line's host, may already be stripped.
func (r *Reader) openForwarded(b []byte, e *parsers.Entry, at place) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(b, []byte("Message ")), []byte("forwarded from "))
	host, rest, ok2 := bytes.Cut(rest, []byte(": "))
	if !ok || !ok2 || !isName(host) {
		return false
	}
	inner := r.inner(e, at)
	inner.Host = host
	var t parsers.Entry
	splitProgram(rest, &t)
	rest = withoutLevel(t.Program, rest)
	return r.try(rest, inner, e, place{timed: at.timed, hosted: true, depth: at.depth})
}

// openDovecot reads a line of Dovecot's own file (log_path): the service, with the user
// and the session if it has them, and the level in words.
func (r *Reader) openDovecot(b []byte, e *parsers.Entry, at place) bool {
	if !at.timed {
		return false
	}
	service, rest, ok := bytes.Cut(b[:min(len(b), maxLead)], []byte(": "))
	level, _, ok2 := bytes.Cut(rest, []byte(": "))
	if !ok || !ok2 || bytes.IndexByte(service, ' ') >= 0 || !isDovecotLevel(level) {
		return false
	}
	inner := r.inner(e, at)
	return r.dovecot(service, b[len(service)+len(": ")+len(level)+len(": "):], inner) && keep(e, inner)
}

var dovecotName = []byte("dovecot")

// dovecot makes an entry of a line of Dovecot, as it would come through syslog, from the
// service and the message in its own file. It reports whether a format reads it.
func (r *Reader) dovecot(service, message []byte, e *parsers.Entry) bool {
	start := len(r.plain)
	r.plain = append(append(append(r.plain, service...), ": "...), message...)
	e.Host = nil // the file does not name the host
	e.Program, e.PID, e.Message = dovecotName, nil, r.plain[start:len(r.plain):len(r.plain)]
	return r.isKnown(e.Program, e.Message)
}

// isDovecotLevel reports whether a word is the level of a line in Dovecot's own file.
func isDovecotLevel(word []byte) bool {
	switch string(word) {
	case "Info", "Warning", "Error", "Debug", "Fatal", "Panic":
		return true
	}
	return false
}

// openProgram reads the tag of an unknown program after a time, and looks for a line in
// its message. Without a time it reads a pod of kail: "default/mail-0[postfix]:".
func (r *Reader) openProgram(b []byte, e *parsers.Entry, at place) bool {
	var t parsers.Entry
	splitProgram(b, &t)
	if t.Program == nil || t.PID == nil || tells(t.Program) ||
		!at.timed && bytes.IndexByte(t.Program, '/') < 0 {
		return false
	}
	inner := r.inner(e, at)
	inner.Program, inner.PID = nil, nil
	return r.try(t.Message, inner, e, place{quoted: true, depth: at.depth})
}

// logfmtMessages and logfmtTimes are the names of the values that contain a line and a
// time, in pairs of a name and a value.
var (
	logfmtMessages = []string{"msg=\"", "message=\"", "log=\"", "line=\""}
	logfmtTimes    = []string{"time=", "ts=", "timestamp=", "t="}
)

// openLogfmt reads pairs of a name and a value; one of the values is a line. In the
// message of a program such as dockerd, they begin with a time or a level.
func (r *Reader) openLogfmt(b []byte, e *parsers.Entry, at place) bool {
	if at.quoted && !parsers.Has(b, "level=") && !parsers.HasAny(b, logfmtTimes) {
		return false
	}
	inner := r.inner(e, at)
	for _, name := range logfmtTimes {
		if rest, ok := bytes.CutPrefix(b, []byte(name)); ok {
			if t, n := r.timeAt(bytes.TrimPrefix(rest, []byte{'"'}), e.Time); n > 0 {
				inner.Time, at.timed = t, true
			}
		}
	}
	head := b[:min(len(b), maxLead)]
	for _, name := range logfmtMessages {
		i := bytes.Index(head, []byte(name))
		if i < 0 || i > 0 && b[i-1] != ' ' {
			continue
		}
		s := &r.json
		s.b = b[i+len(name):]
		raw, ok := s.raw()
		if !ok {
			return false
		}
		line, ok := s.unescape(raw)
		return ok && r.try(trimLine(line), inner, e, place{
			timed:  at.timed,
			quoted: at.quoted,
			depth:  at.depth,
		})
	}
	return false
}

// openWord skips a word: after a time, a host, or the facility and level; before a time,
// a prefix of stern, kubetail and similar programs.
func (r *Reader) openWord(b []byte, e *parsers.Entry, at place) bool {
	if at.words >= maxWords || at.quoted && !at.timed {
		return false
	}
	n := group(b)
	if n == 0 {
		if n = bytes.IndexAny(b[:min(len(b), maxLead)], " \t"); n <= 0 {
			return false
		}
	}
	word, rest := b[:n], bytes.TrimLeft(b[n:], " \t")
	inner := r.inner(e, at)
	at.words++
	switch level := isLevel(word); {
	case len(word) == 1 && (word[0] == '|' || word[0] == '-'):
	case level && (at.hosted || !facilities[string(word)]), word[0] == '[', word[0] == '{':
	case at.timed && parsers.Has(rest, "{") && word[n-1] == ':': // the tag of Fluentd
	case !isName(word):
		return false
	case at.timed && !at.hosted:
		inner.Host, at.hosted = word, true
	}
	return r.try(rest, inner, e, at)
}

// isName reports whether a word may be the name of a host, a pod, or a service.
func isName(word []byte) bool {
	for _, c := range word {
		if !isNameByte(c) && c != '/' && c != ':' || c == ':' && word[len(word)-1] == ':' {
			return false
		}
	}
	return true
}

func isNameByte(c byte) bool { return parsers.IsAlnum(c) || c == '-' || c == '_' || c == '.' }

// facilities and levels are the words of syslog(3), with those of other writers.
var (
	facilities = words("auth authpriv cron daemon ftp kern lpr mail news security syslog user uucp " +
		"local0 local1 local2 local3 local4 local5 local6 local7")
	levels = words("emerg panic alert crit critical err error warning warn notice info information debug")
)

func words(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range bytes.Fields([]byte(list)) {
		set[string(w)] = true
	}
	return set
}

// isLevel reports whether a word is the facility, the level or both: "mail.info",
// "mail:info", "mail:warn|warning", "<mail.info>", "mail.info:", "INFO", "2.6".
func isLevel(word []byte) bool {
	word = bytes.Trim(word, "<>()[]{}:,")
	if len(word) < 3 || len(word) > 20 {
		return false
	}
	var low [20]byte
	for i, c := range word {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	word = low[:len(word)]
	i := bytes.IndexAny(word, ".:/|")
	if i < 0 {
		return facilities[string(word)] || levels[string(word)]
	}
	facility, level := word[:i], beforeBar(word[i+1:])
	return (facilities[string(facility)] || digitsLen(facility) == i && i > 0 && i < 3) &&
		(levels[string(level)] || len(level) == 1 && parsers.IsDigit(level[0]))
}

// beforeBar returns a level without its second name: "warn|warning" of AIX.
func beforeBar(level []byte) []byte {
	level, _, _ = bytes.Cut(level, []byte("|"))
	return level
}

// withoutLevel removes the level from a message: AIX writes "mail:info" before the
// program, which looks like a program with a message.
func withoutLevel(program, message []byte) []byte {
	if !facilities[string(program)] {
		return message
	}
	level, rest, ok := bytes.Cut(message, blank)
	if !ok || !levels[string(beforeBar(bytes.TrimSuffix(level, []byte(":"))))] {
		return message
	}
	return rest
}

// unitOf returns the name of the program that a systemd unit runs, as journalctl -o
// with-unit prints it ("postfix@-.service"), nil for other names.
func unitOf(program []byte) []byte {
	name, ok := bytes.CutSuffix(program, []byte(".service"))
	if !ok {
		return nil
	}
	name = name[bytes.LastIndexByte(name, '/')+1:] // after the unit of the system
	if i := bytes.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	return name
}

// mentions reports whether the tag of a known program, or a line that needs none, is near
// the beginning of a message: such a line is in an unknown envelope.
func (r *Reader) mentions(b []byte) bool {
	head := b[:min(len(b), maxLead)]
	for i := 4; i+7 < len(head); i++ {
		n := bytes.IndexByte(head[i:], '-')
		if n < 0 {
			break
		}
		if i += n; i+7 < len(head) && beginsDate(head[i-4:]) && head[i+6] == ' ' && r.isKnown(nil, b[i-4:]) {
			return true
		}
	}
	for i := 0; ; {
		n := bytes.Index(head[i:], []byte("]: "))
		if n < 0 {
			return false
		}
		i += n
		open := bytes.LastIndexByte(head[:i], '[')
		if open > 0 && digitsLen(head[open+1:i]) == i-open-1 {
			start := bytes.LastIndexAny(head[:open], " \t\"'|") + 1
			if start < open && r.isKnown(head[start:open], nil) {
				return true
			}
		}
		i += 3
	}
}

// beginsDate reports whether b begins with a date of ISO 8601.
func beginsDate(b []byte) bool {
	return len(b) >= 10 && b[4] == '-' && b[7] == '-' &&
		parsers.IsDigit(b[0]) && parsers.IsDigit(b[3]) && parsers.IsDigit(b[9])
}

// tells reports whether a program logs text that strangers send to it: nothing in its
// messages may be taken for a line.
func tells(program []byte) bool {
	switch string(program) { // faster than a set: called for every line of another program
	case "sshd", "sshd-session", "sudo", "su", "login", "ftpd", "vsftpd", "proftpd", "named", "httpd",
		"apache", "apache2", "nginx",
		"cron", "CRON", "crond", "dovecot", "kernel", "saslauthd", "fail2ban", "fail2ban-server", "rspamd",
		"amavis", "spamd",
		"opendkim", "opendmarc", "imapd", "pop3d":
		return true
	}
	return false
}

// appleDaemons are the programs whose names macOS writes without the "postfix/".
var appleDaemons = words("anvil bounce cleanup discard dnsblog error flush lmtp local master pickup pipe " +
	"postscreen proxymap qmgr scache showq smtp smtpd tlsmgr tlsproxy trivial-rewrite verify virtual " +
	"postfix-script")

// openApple reads the output of macOS's log(1): in the style of syslog
//
//	2026-11-19 12:37:15.123456+0100  localhost smtp[1234]: (smtp) message
//
// and in its own, with the thread, type, activity, process and TTL after the time
//
//	2026-11-19 12:37:15.123456+0100 0x1234     Default     0x0                  1234   0    smtp: (smtp) message
func (r *Reader) openApple(b []byte, e *parsers.Entry, at place) bool {
	t, n, ok := r.isoTime(b)
	if !ok || b[10] != ' ' || n < 24 || n >= len(b) || b[n] != ' ' {
		return false
	}
	rest := bytes.TrimLeft(b[n:], " ")
	inner := r.inner(e, at)
	inner.Time, inner.PID = t, nil
	fields := 1
	if parsers.Has(rest, "0x") {
		fields = 5
	}
	for i := range fields {
		word, after, ok := bytes.Cut(rest, blank)
		if !ok {
			return false
		}
		rest = bytes.TrimLeft(after, " ")
		switch {
		case fields == 1:
			inner.Host = word
		case i == 3:
			inner.PID = word
		}
	}
	var p parsers.Entry
	splitProgram(rest, &p)
	if !appleDaemons[string(p.Program)] {
		return false
	}
	if p.PID != nil {
		inner.PID = p.PID
	}
	start := len(r.plain)
	r.plain = append(append(r.plain, "postfix/"...), p.Program...)
	inner.Program, inner.Message = r.plain[start:len(r.plain):len(r.plain)], p.Message
	if n := bytes.IndexByte(inner.Message, ')') + 1; n > 0 && inner.Message[0] == '(' {
		inner.Message = bytes.TrimLeft(inner.Message[n:], " ")
	}
	return r.isKnown(inner.Program, nil) && keep(e, inner)
}
