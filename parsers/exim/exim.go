// Package exim reads the logs of the Exim mail transfer agent: the main log,
// the reject log and the panic log of Exim 4.80 to 4.99, native or through
// syslog.
//
// The sources of the facts are chapter 52, "Log files", of the Exim
// specification (cited as "spec 52"), the wordings in Exim's deliver.c,
// smtp.c, receive.c, smtp_in.c, retry.c and log.c, the logs of Exim's own test
// suite, and logs of real runs whose truth is known.
//
// # Lines
//
// A line has a time, which may have a fraction (log_selector +millisec) and a
// zone (log_timezone), the process id in brackets (+pid), the id of the
// message it is about, if any, and text. Two characters at the beginning of
// the text, the flag, show the event (spec 52.7):
//
//	<=  a message arrived               **  delivery failed
//	(=  the same, refused to the client ==  delivery deferred
//	=>  a delivery succeeded            *>  delivery suppressed by -N
//	->  an additional address of it     >>  cutthrough delivery succeeded
//
// Lines without a flag repeat a flag line ("H=host [ip] Connection refused"),
// report a refusal (see reject.go), or are Irrelevant. Administrators can log
// any text in them, so few of them are Unparsed: those that seem to report
// failed mail. A line with a flag that the parser cannot read is Unparsed.
//
// # Recipients
//
// A flag is followed by the address Exim worked on and, where it differs, by
// the address the message was sent to in angle brackets (string_log_address in
// deliver.c). A successful local delivery shows the local part alone, a
// deferred one the address, and "retry timeout exceeded" the address as it was
// before Exim lower-cased it, so the parser combines both:
//
//	=> info <info@example.org>             info@example.org
//	== a.b@example.org <A.B@example.org>   A.B@example.org
//	=> joe <postmaster@example.org>        joe@example.org, for postmaster@example.org
//	** |/bin/false <list@example.org>      list@example.org: a pipe has no address
//
// An address that became another one is reported as a recipient that was
// replaced.
//
// # Retries
//
// The parser decides by the text of a deferral whether Exim made a contact: the
// numbers in "defer (-52)" changed between versions. A deferral is Suspended when
// a retry time, a queueing option or a limit kept Exim from trying. With two
// texts Exim gives a recipient up without another attempt: "ADDRESS: retry
// timeout exceeded", which follows the deferral that was the last attempt, and
// "all hosts for … have been failing for a long time".
package exim

import (
	"bytes"
	"path/filepath"
	"strings"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:  "exim",
		MTA:   "exim",
		Ends:  true,
		Claim: claim,
		New:   New,
	})
}

// claim returns Mine for the lines of Exim's programs in syslog, and for native lines.
func claim(e *parsers.Entry) parsers.Claim {
	if e.Program != nil && isProgram(e.Program) && !parsers.IsWrapped(e.Message, "exim") ||
		e.Program == nil && match(e.Message) {
		return parsers.Mine
	}
	return parsers.NotMine
}

// isProgram reports whether a program name of syslog is Exim's: "exim", or with a
// suffix where syslog_processname or the name of the binary has one ("exim4",
// "exim-out").
func isProgram(program []byte) bool {
	rest, ok := bytes.CutPrefix(program, []byte("exim"))
	return ok && (len(rest) == 0 || !parsers.IsAlnum(rest[0]) || parsers.IsDigit(rest[0]))
}

// instanceOf returns the part of a program name that distinguishes one of several
// MTAs on a host from the others, "" for the usual names.
func instanceOf(program []byte) []byte {
	if string(program) == "exim" || string(program) == "exim4" {
		return nil
	}
	return program
}

// match recognizes a native line of Exim: a time and then a message id, or one of
// the beginnings of a line without an id. Many programs begin a line with such
// a time, so the time alone proves nothing.
func match(line []byte) bool {
	n := stampLen(line)
	if n == 0 {
		return false
	}
	_, n = zoneAfter(line, n)
	if n >= len(line) || line[n] != ' ' {
		return false
	}
	s := skipPID(line[n+1:])
	return idLen(s) > 0 || startsKnown(s)
}

// role is the kind of log in a file. Lines of the three logs look the same, but
// Exim usually writes those of the reject log and of the panic log to the main
// log too.
type role uint8

const (
	mainLog role = iota
	rejectLog
	panicLog
)

// roleOf decides by the base name: "rejectlog", "exim_rejectlog", "reject.log";
// "paniclog", "exim_paniclog", "panic.log", all of them with any suffix.
func roleOf(path string) role {
	name := filepath.Base(path)
	switch {
	case strings.Contains(name, "reject"):
		return rejectLog
	case strings.Contains(name, "panic"):
		return panicLog
	}
	return mainLog
}

// maxContinued limits the lines without a time that are taken for the rest of an
// entry. A reject-log entry holds the headers of the message. Exim accepts a
// megabyte of them, but logs at most 8 KiB (LOG_BUFFER_SIZE).
const maxContinued = 1000

type parser struct {
	host  []byte
	role  role
	clock clock

	continued int // how many more lines may belong to the last entry
	pieces    pieces
	twins     twins
	earlier   parsers.Refusals

	rec     parsers.Record
	scratch []byte // memory for values of the current line that are not slices of it
}

// New returns a parser of one source.
func New(o parsers.Options) parsers.Parser {
	return &parser{host: []byte(o.Host), role: roleOf(o.Path), clock: newClock(o.Location)}
}

// line is an entry split into its parts.
type line struct {
	time   time.Time
	id     []byte // of the message; nil when there is none
	text   []byte // after the id
	syslog bool   // the entry came through syslog
	pid    []byte // of the process that wrote the entry, from syslog
	copied bool   // the entry belongs to the reject log, so it is a copy
}

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.scratch = p.scratch[:0]
	if e.Program == nil {
		return p.entry(e, e.Message, false, emit)
	}
	return p.piece(e, emit)
}

// entry reads a whole line, which Exim may have sent to syslog in pieces.
func (p *parser) entry(e *parsers.Entry, msg []byte, copied bool,
	emit func(*parsers.Record)) parsers.Result {
	l := line{syslog: e.Program != nil, pid: e.PID, copied: copied}
	if !p.header(&l, e, msg) {
		return p.continuation(msg)
	}
	p.continued = maxContinued
	p.rec.Reset()
	p.rec.Time, p.rec.ID = l.time, l.id
	p.rec.Host, p.rec.Instance = e.Host, instanceOf(e.Program)
	if e.Host == nil {
		p.rec.Host = p.host
	}
	if p.role == panicLog {
		return p.panicked(l.text, emit)
	}
	return p.dispatch(&l, emit)
}

// header reads the time, the process id and the message id before the text. It
// returns false for a line that has no time, neither its own nor one of syslog's.
func (p *parser) header(l *line, e *parsers.Entry, msg []byte) bool {
	t, n := p.clock.parse(msg)
	switch {
	case n > 0 && n < len(msg) && msg[n] == ' ':
		l.time, msg = t, msg[n+1:]
	case !e.Time.IsZero():
		l.time = e.Time
	default:
		return false
	}
	msg = skipPID(msg)
	l.text = msg
	if n = idLen(msg); n > 0 {
		l.id, l.text = msg[:n], msg[min(n+1, len(msg)):]
	}
	return true
}

// continuation returns the result of a line without a time: Irrelevant for the rest
// of the entry before it (the headers in the reject log, a configuration error),
// Unparsed for a line that Exim did not write.
func (p *parser) continuation(msg []byte) parsers.Result {
	if len(bytes.TrimSpace(msg)) == 0 {
		return parsers.Irrelevant
	}
	if p.continued == 0 {
		return parsers.Unparsed
	}
	p.continued--
	return parsers.Irrelevant
}

func (p *parser) dispatch(l *line, emit func(*parsers.Record)) parsers.Result {
	if l.id == nil || p.role == rejectLog {
		return p.unflagged(l, emit)
	}
	if len(l.text) > 2 && l.text[2] == ' ' {
		s := l.text[3:]
		switch string(l.text[:2]) {
		case "=>", "->", ">>":
			return p.delivered(s, emit)
		case "==":
			return p.deferred(l, s, emit)
		case "**":
			return p.failed(l, s, emit)
		case "<=", "(=":
			return p.arrived(s, emit)
		case "*>":
			return parsers.Understood
		}
	}
	if string(l.text) == "Completed" || bytes.HasPrefix(l.text, []byte("Completed QT=")) {
		p.earlier.Forget(p.rec.Host, l.id)
		p.rec.Kind = parsers.End
		emit(&p.rec)
		return parsers.Understood
	}
	if r, done := p.administered(l.text, emit); done {
		return r
	}
	return p.unflagged(l, emit)
}

// unflagged reads a line that is not about one delivery.
func (p *parser) unflagged(l *line, emit func(*parsers.Record)) parsers.Result {
	if p.rejected(l, emit) || p.role == mainLog && !l.copied && p.troubled(l.text, emit) {
		return parsers.Understood
	}
	switch {
	case l.id != nil && p.role == mainLog && bytes.HasPrefix(l.text, []byte("H=")):
		p.ofHost(l)
		return parsers.Understood
	case l.id != nil && len(l.text) > 0 && len(bytes.TrimSpace(l.text)) == 0:
		return parsers.Unparsed // Exim 4.98.2 writes some lines blank
	case l.id == nil && p.role == mainLog && loginFailed(l.text):
		p.fresh(parsers.Noted)
		p.rec.Direction = registry.DirectionIncoming
		emit(&p.rec)
		return parsers.Understood
	case startsKnown(l.text), l.id != nil && (parsers.HasAny(l.text, ofMessage) || ofOldHost(l.text)):
		return parsers.Understood
	case l.id == nil && flagged(l.text), p.role == mainLog && tellsOfFailure(l.text):
		return parsers.Unparsed
	}
	return parsers.Irrelevant
}

// tellsOfFailure reports whether an unknown line may report mail that failed: it
// names a host or an address as Exim does, and contains a word of failure.
func tellsOfFailure(s []byte) bool {
	named := parsers.HasAny(s, failureFields[:])
	for i := 0; i < len(s) && !named; i++ {
		switch s[i] {
		case ' ':
			named = parsers.HasAny(s[i+1:], failureFields[:])
		case '[':
			named = i+2 < len(s) && parsers.IsDigit(s[i+1]) && bytes.IndexByte(s[i:], ']') > 0
		case '<':
			addr, _, ok := angle(s[i:])
			named = ok && bytes.IndexByte(addr, '@') > 0 && bytes.IndexByte(addr, ' ') < 0
		}
	}
	if !named {
		return false
	}
	for _, word := range failureWords {
		if bytes.Contains(s, []byte(word)) {
			return true
		}
	}
	return false
}

var (
	failureFields = []string{"H=", "F=", "R=", "T="}
	failureWords  = [...]string{"reject", "refuse", "fail", "defer", "denied", "timed out", "timeout",
		"lost", "discard", "frozen", "unable to", "cannot ", "Reject", "Refuse", "Fail"}
)

// flagged reports whether the second word of s is a flag: then the first is
// likely a message id in a form that this parser does not know yet.
func flagged(s []byte) bool {
	i := bytes.IndexByte(s, ' ')
	if i < 10 || len(s) < i+4 || s[i+3] != ' ' {
		return false
	}
	switch string(s[i+1 : i+3]) {
	case "<=", "(=", "=>", "->", ">>", "*>", "**", "==":
		return true
	}
	return string(s[i+1:]) == "Completed"
}

// administered reads the lines about an administrator's action on a queued message
// (queue.c), and those about a message that was frozen for too long: Exim bounces
// it (timeout_frozen_after), so its state is Expired. It returns false for others.
func (p *parser) administered(s []byte, emit func(*parsers.Record)) (parsers.Result, bool) {
	r := &p.rec
	switch {
	case len(s) == 0 || s[0] < 'a': // "H=…", the most common by far
		return 0, false
	case bytes.HasPrefix(s, []byte("cancelled by timeout_frozen_after")):
		r.Settle(registry.StateExpired)
		r.Reply.Text = s
	case bytes.HasPrefix(s, []byte("removed by ")), bytes.HasPrefix(s, []byte("cancelled by ")):
		r.Settle(registry.StateRemoved)
	case bytes.HasPrefix(s, []byte("address <")):
		addr, rest, ok := angle(s[len("address "):])
		if !ok || !bytes.HasPrefix(rest, []byte(" marked delivered by ")) {
			return 0, false
		}
		r.Address = addr
		r.Settle(registry.StateRemoved)
	case bytes.HasPrefix(s, []byte("recipient <")):
		addr, rest, ok := angle(s[len("recipient "):])
		if !ok || !bytes.HasPrefix(rest, []byte(" added by ")) {
			return 0, false
		}
		r.Kind, r.Address = parsers.Expected, addr
	default:
		return 0, false
	}
	emit(r)
	return parsers.Understood, true
}

// The beginnings of the lines without a message id that Exim itself writes (grep
// for log_write), in no order. Most lines have an id and are not compared with them.
var known = [][]byte{
	[]byte("H="), []byte("U="), []byte("F="),
	[]byte("SMTP "), []byte("Start queue run"), []byte("End queue run"), []byte("exim "),
	[]byte("no host name found for"), []byte("no IP address found for"), []byte("no MAIL in "),
	[]byte("rejected "), []byte("refused connection from"), []byte("temporarily refused connection from"),
	[]byte("Connection from "), []byte("connection from "), []byte("unexpected disconnection"),
	[]byte("TLS error"), []byte("TLS session"), []byte("TLS ALPN"), []byte("cwd="), []byte("daemon "),
	[]byte("unqualified "), []byte("Warning: "), []byte("Exim configuration error"), []byte("pid "),
	[]byte("SIGHUP received"), []byte("Could not complete sender verify"), []byte("list matching forced"),
	[]byte("DKIM: "), []byte("DNS list lookup"), []byte("ident connection"), []byte("SPF: "),
	[]byte("ignoring AUTH="), []byte("failed to "), []byte("Failed to "), []byte("invalid "),
	[]byte("ACL "), []byte("PRDR "), []byte("VRFY "), []byte("EXPN "), []byte("ETRN "), []byte("ATRN "),
	[]byte("sender verify "), []byte("configured error code"), []byte("warn: "), []byte("socket bind()"),
	[]byte("EHLO/HELO response must not"), []byte("\"discard\" verb not allowed"), []byte("WARNING: "),
	[]byte("timed out while reading"), []byte("Start ODMR"), []byte("queue run"),
	[]byte("Error while reading message"), []byte("exec of "), []byte("listen backlog"),
}

// ofMessage are the beginnings of the lines that Exim writes about a message, but
// not about one delivery. Other texts after a message id are Irrelevant (logwrite in
// an ACL or a filter may write anything), unless they seem to report failed mail.
var ofMessage = []string{
	"Frozen", "Message is frozen", "Unfrozen", "Spool file is locked", "Sender identified as",
	"Error message sent to",
	"retry timeout exceeded", "no immediate delivery", "no recipients found", "PDKIM: ", "DANE ",
	"Remote host ",
	"frozen by ", "Spool file for ", "remote host address is the local host", "original recipients ignored",
	"Error in system filter", "sender address changed to ", "bind of [", "Required TLS certificate ",
	"Server certificate ", "OCSP ", "re-exec of ", "moved from ",
}

// ofOldHost reports whether s names a host that Exim could not use, in the form before
// 4.88: "name [ip] Connection refused".
func ofOldHost(s []byte) bool {
	i := bytes.Index(s, []byte(" ["))
	if i <= 0 || bytes.IndexByte(s[:i], ' ') >= 0 || bytes.IndexByte(s[:i], '=') >= 0 {
		return false
	}
	j := bytes.IndexByte(s[i:], ']')
	return j > 2 && parsers.IsDigit(s[i+2]) && len(s) > i+j+1 && (s[i+j+1] == ' ' || s[i+j+1] == ':')
}

func startsKnown(s []byte) bool {
	for _, k := range known {
		if bytes.HasPrefix(s, k) {
			return true
		}
	}
	return loginFailed(s) || len(s) > 0 && s[0] == '[' && bytes.Contains(s, []byte("] SSL verify error: "))
}

// loginFailed reports whether s is "login authenticator failed for host [ip]: 535 …",
// with or without a message of the administrator before it.
func loginFailed(s []byte) bool {
	name, _, ok := bytes.Cut(s, []byte(" authenticator failed "))
	return ok && bytes.Count(name, []byte(" ")) <= 1
}

// idLen returns the length of the message id that is the first word of b, 0 when
// b begins with another word: 16 characters up to Exim 4.96 (6-6-2), 23 since
// (6-11-4).
func idLen(b []byte) int {
	if len(b) < 16 || b[6] != '-' {
		return 0
	}
	n, mid := 16, 13
	if b[13] != '-' {
		n, mid = 23, 18
		if len(b) < n || b[mid] != '-' {
			return 0
		}
	}
	if len(b) > n && b[n] != ' ' {
		return 0
	}
	if !allAlnum(b[:6]) || !allAlnum(b[7:mid]) || !allAlnum(b[mid+1:n]) {
		return 0
	}
	return n
}

func allAlnum(b []byte) bool {
	for _, c := range b {
		if !parsers.IsAlnum(c) {
			return false
		}
	}
	return true
}

// skipPID skips the "[123] " that log_selector +pid puts before the id.
func skipPID(b []byte) []byte {
	if len(b) < 3 || b[0] != '[' {
		return b
	}
	i := 1
	for i < len(b) && parsers.IsDigit(b[i]) {
		i++
	}
	if i == 1 || i+1 >= len(b) || b[i] != ']' || b[i+1] != ' ' {
		return b
	}
	return b[i+2:]
}

// local sets r to a failure that this host decided on.
func local(r *parsers.Record, s registry.Stage) { r.Stage, r.Source = s, registry.SourceLocal }
