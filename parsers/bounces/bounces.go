// Package bounces reads bounce messages as they lie in a mailbox: mbox files, the
// files of a Maildir, saved messages. What is in a message is found by the code that
// explain reads it with (package dsn).
//
// # What a message becomes
//
// Each recipient that the message reports as failed is a failed attempt at the time
// of the message's Date, in the words of the server that refused it. One that is
// reported as delayed is a deferral. The host is the one that reports: the server
// that sent the mail, or, when that had handed the mail over, one behind it that
// could not deliver what it had accepted. No log of the sending server has that.
//
// A message is known by the Message-ID of what was returned, so that a bounce that
// lies in two folders counts once. What a log has too counts there.
//
// A complaint (ARF, RFC 5965) is a complaint of its recipient.
//
// # What a mailbox does not say
//
// What was delivered. A bounce that is plain text, without parts, and returns no
// header, ends only where the next message of the mbox begins, or with the last file
// of a report.
package bounces

import (
	"bytes"
	"hash/fnv"
	"mime"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/dsn"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:   "bounces",
		MTA:    "bounces",
		Native: true,
		Scope:  "bounces",
		Claim:  claim,
		New:    New,
		Overlaps: []parsers.Overlap{
			{Kind: parsers.Attempt, Format: parsers.AnyLog},
		},
	})
}

// claim recognises the line that begins a message: that of an mbox, or the first
// field that a delivery agent or a mail program writes.
func claim(e *parsers.Entry) parsers.Claim {
	if e.Host == nil && begins(e.Message) {
		return parsers.MineFromHereOn
	}
	return parsers.NotMine
}

// firsts are fields, in lower case, with which messages begin when they are stored.
var firsts = [][]byte{
	[]byte("return-path: <"), []byte("delivered-to: "), []byte("x-original-to: "), []byte("received: from "),
	[]byte("received: by "),
}

func begins(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if c := line[0] | 0x20; c != 'f' && c != 'r' && c != 'd' && c != 'x' {
		return false
	}
	if isEnvelope(line) {
		return true
	}
	for _, first := range firsts {
		if len(line) > len(first) && bytes.EqualFold(line[:len(first)], first) {
			return true
		}
	}
	return false
}

// isEnvelope recognises the line between two messages of an mbox:
//
//	From MAILER-DAEMON  Sun Nov 22 06:40:00 2026
func isEnvelope(line []byte) bool {
	return parsers.Has(line, "From ") && !envelopeTime(line).IsZero()
}

// envelopeTime returns the time in such a line, zero when there is none.
func envelopeTime(line []byte) time.Time {
	_, date, _ := bytes.Cut(line[len("From "):], []byte(" "))
	date = bytes.TrimSpace(date)
	if len(date) < len(time.ANSIC) || len(date) > len(time.ANSIC)+12 || date[3] != ' ' || date[13] != ':' {
		return time.Time{}
	}
	t, err := time.Parse(time.ANSIC, string(date[:len(time.ANSIC)]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// maxHeld bounds what is kept of a message. Reports stand before what is returned.
const maxHeld = 256 << 10

// phase says where in a message the last line was.
type phase uint8

const (
	between phase = iota // of an mbox, or after the last part
	header
	body
	copied // the header of the message that a bounce without parts returns
	rest   // of a bounce that was reported
	numPhases
)

// A parser puts messages together.
type parser struct {
	phase    phase
	held     []byte // the message, up to maxHeld
	blank    bool   // the last line was blank
	boundary []byte // line that ends the last part, nil for a message without parts
	rec      parsers.Record
}

// New returns a parser of mailboxes.
func New(parsers.Options) parsers.Parser { return &parser{} }

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	line := bytes.TrimSuffix(e.Message, []byte("\r"))
	if (p.phase < body || p.blank) && isEnvelope(line) {
		p.end(emit)
		p.phase = header
		p.hold(line)
		return parsers.Understood
	}
	switch p.phase {
	case between:
		return p.begin(line)
	case header:
		return p.field(line)
	case copied:
		p.copy(line, emit)
		return parsers.Understood
	case rest:
		p.blank = len(line) == 0
		return parsers.Understood
	}
	p.hold(line)
	p.blank = len(line) == 0
	if p.boundary == nil && dsn.IsReturned(line) {
		p.phase, p.blank = copied, true
	}
	if p.boundary != nil && bytes.Equal(bytes.TrimRight(line, " \t"), p.boundary) {
		p.end(emit)
	}
	return parsers.Understood
}

// begin reads a line outside of messages.
func (p *parser) begin(line []byte) parsers.Result {
	switch {
	case len(line) == 0:
		return parsers.Irrelevant
	case !begins(line):
		return parsers.Unparsed
	}
	p.phase = header
	p.hold(line)
	return parsers.Understood
}

// field reads a line of a header. Where one is not, this was no message, but a line
// of some log that looks like a field.
func (p *parser) field(line []byte) parsers.Result {
	switch {
	case len(line) == 0:
		p.hold(line)
		p.phase, p.blank, p.boundary = body, true, boundaryOf(p.held)
		return parsers.Understood
	case line[0] != ' ' && line[0] != '\t' && !isField(line):
		p.release()
		return parsers.Unparsed
	}
	p.hold(line)
	return parsers.Understood
}

// isField reports whether a line begins with the name of a field and a colon.
func isField(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && i < 80 && bytes.IndexByte(line[:i], ' ') < 0
}

// copy reads a line of a returned message. Its header ends what a bounce without
// parts reports: nothing may follow in the file.
func (p *parser) copy(line []byte, emit func(*parsers.Record)) {
	p.hold(line)
	if len(line) > 0 {
		p.blank = false
		return
	}
	if p.blank {
		return // before the header
	}
	p.report(emit)
	p.release()
	p.phase, p.blank = rest, true
}

func (p *parser) hold(line []byte) {
	if len(p.held)+len(line) < maxHeld {
		p.held = append(append(p.held, line...), '\n')
	}
}

func (p *parser) release() {
	p.held, p.phase, p.blank, p.boundary = p.held[:0], between, false, nil
}

// boundaryOf returns the line that ends the last part of a message, nil for one
// without parts.
func boundaryOf(head []byte) []byte {
	m := readHeader(head)
	if m == nil {
		return nil
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		return nil
	}
	return []byte("--" + params["boundary"] + "--")
}

// readHeader reads the header of a held message, nil when it is broken.
func readHeader(held []byte) *mail.Message {
	if parsers.Has(held, "From ") {
		_, held, _ = bytes.Cut(held, []byte("\n"))
	}
	m, err := mail.ReadMessage(bytes.NewReader(held))
	if err != nil {
		return nil
	}
	return m
}

// end ends the message that is held, and emits what it reports.
func (p *parser) end(emit func(*parsers.Record)) {
	if p.phase == body || p.phase == copied {
		p.report(emit)
	}
	p.release()
}

// report emits the recipients that the held message reports.
func (p *parser) report(emit func(*parsers.Record)) {
	head := readHeader(p.held)
	if head == nil {
		return
	}
	m := dsn.Read(p.held)
	r := &p.rec
	r.Reset()
	if r.Time = p.timeOf(head); r.Time.IsZero() {
		return
	}
	r.MessageID = []byte(m.OriginalID())
	r.ID = p.nameOf(head, m)
	if host := m.Reporter(); host != "" {
		r.Host = []byte(strings.ToLower(host))
	}
	if f := m.Feedback(); f != nil {
		p.complain(head, f)
		emit(r)
		return
	}
	if !isBounce(head, m) {
		return
	}
	r.Kind, r.Nth = parsers.Attempt, 1
	r.QueueIDs = []byte(strings.Join(m.QueueIDs(), " "))
	if to, err := mail.ParseAddress(head.Header.Get("To")); err == nil {
		r.HasSender, r.Sender = true, []byte(to.Address)
	}
	for _, f := range m.Recipients() {
		if p.recipient(f) {
			emit(r)
		}
	}
}

// complain makes the record a complaint. Who reports it is the domain of its sender.
func (p *parser) complain(head *mail.Message, f *dsn.Feedback) {
	r := &p.rec
	r.Kind = parsers.Complaint
	r.HasSender, r.Sender = f.HasSender, []byte(f.Sender)
	r.Address, r.Reply.Text = []byte(f.Recipient), []byte(f.Type)
	if from, err := mail.ParseAddress(head.Header.Get("From")); err == nil {
		_, domain, _ := strings.Cut(from.Address, "@")
		r.Relay = []byte(strings.ToLower(domain))
	}
	if len(r.Host) == 0 {
		r.Host = r.Relay
	}
}

// timeOf returns the time of a message: its Date, else that of the mbox. Anybody may
// have written the Date; the mbox was written here, in an unknown zone.
func (p *parser) timeOf(head *mail.Message) time.Time {
	var arrived time.Time
	first, _, _ := bytes.Cut(p.held, []byte("\n"))
	if isEnvelope(first) {
		arrived = envelopeTime(first)
	}
	if t, err := head.Header.Date(); err == nil && (arrived.IsZero() || t.Before(arrived.AddDate(0, 0, 1))) {
		return t.UTC()
	}
	return arrived
}

// nameOf returns what the returned message is known by: its Message-ID, else that of
// the bounce, else a hash.
func (p *parser) nameOf(head *mail.Message, m *dsn.Message) []byte {
	id := m.OriginalID()
	if id == "" {
		id = head.Header.Get("Message-ID")
	}
	if id = strings.Trim(id, "<> "); id != "" {
		return []byte(id)
	}
	h := fnv.New64a()
	_, _ = h.Write(p.held)
	return strconv.AppendUint(nil, h.Sum64(), 36)
}

// recipient sets what is reported of a recipient. It reports false when nothing
// failed.
func (p *parser) recipient(f dsn.Recipient) bool {
	r := &p.rec
	r.Outcome, r.Final = registry.OutcomeFailed, registry.StatePending
	switch f.Action {
	case "failed", "":
	case "delayed":
		r.Outcome = registry.OutcomeDeferred
	default:
		return false
	}
	if f.Address == "" || strings.ContainsAny(f.Address, " \t\n") {
		return false
	}
	r.Address, r.Original, r.Relay = []byte(f.Address), []byte(f.Final), []byte(f.Remote)
	r.Reply = registry.ParseReply(
		[]byte(dsn.Quoted(withoutType(strings.Join(strings.Fields(f.Diagnostic), " ")))))
	r.MTAStatus, _ = registry.ParseEnhanced(f.Status)
	r.Source = registry.SourceUnknown
	if r.Reply.Code != 0 {
		r.Source = registry.SourceRemote
	}
	if status := r.MTAStatus; r.Outcome == registry.OutcomeFailed &&
		(status.Class == 4 || status.Subject == 4 && status.Detail == 7) {
		r.Final = registry.StateExpired
	}
	return true
}

// withoutType returns a diagnostic without its type, where that says that it is the
// reply of a server.
func withoutType(s string) string {
	if kind, reply, ok := strings.Cut(s, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "smtp") {
		return strings.TrimSpace(reply)
	}
	return s
}

// isBounce reports whether a message reports a failure: it has a report, or no
// sender, or a subject and a sender that such messages have. People quote replies in
// other mail.
func isBounce(head *mail.Message, m *dsn.Message) bool {
	kind, params, _ := mime.ParseMediaType(head.Header.Get("Content-Type"))
	if kind == "multipart/report" {
		return params["report-type"] == "" || strings.EqualFold(params["report-type"], "delivery-status")
	}
	if m.Reporter() != "" || head.Header.Get("X-Failed-Recipients") != "" ||
		head.Header.Get("Return-Path") == "<>" {
		return true
	}
	from := strings.ToLower(head.Header.Get("From"))
	return strings.Contains(from, "mailer-daemon") || strings.Contains(from, "postmaster@")
}
