// Package bounces reads bounce messages in a mailbox: mbox files, the files of a
// Maildir, saved messages. Package dsn reads the contents of a message, as for the
// command explain.
//
// # Records of a message
//
// Each recipient that the message reports as failed is a failed attempt at the time
// of the message's Date, in the words of the server that refused it. A recipient that
// it reports as delayed is a deferral. The host is the server that reports: the server
// that sent the mail, or, when that had handed the mail over, a server behind it that
// could not deliver the mail it had accepted. No log of the sending server contains
// the latter.
//
// The Message-ID of the returned message identifies it, so a bounce in two folders
// counts once. An attempt that a log contains too counts there.
//
// A complaint (ARF, RFC 5965) is a complaint of its recipient.
//
// # Missing from a mailbox
//
// A mailbox does not contain the delivered mail. A bounce that is plain text, without
// parts, and returns no header, ends only where the next message of the mbox begins,
// or with the last file of a report.
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

// claim recognizes the first line of a message: the From line of an mbox, or the first
// field that a delivery agent or a mail program writes.
func claim(e *parsers.Entry) parsers.Claim {
	if e.Host == nil && begins(e.Message) {
		return parsers.MineFromHereOn
	}
	return parsers.NotMine
}

// firsts are the fields, in lower case, with which stored messages begin.
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

// isEnvelope recognizes the line before each message of an mbox:
//
//	From MAILER-DAEMON  Sun Nov 22 06:40:00 2026
func isEnvelope(line []byte) bool {
	return parsers.Has(line, "From ") && !envelopeTime(line).IsZero()
}

// envelopeTime returns the time in such a line, read as UTC because the line has no
// zone; it is zero when there is none.
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

// maxHeld limits how many bytes of a message the parser keeps. Reports come before the
// returned message, so they are within it.
const maxHeld = 256 << 10

// phase is the part of a message that contains the last line.
type phase uint8

const (
	between phase = iota // between messages, or after the last part
	header
	body
	copied // the header of the message that a bounce without parts returns
	rest   // the rest of a bounce whose recipients were reported
	numPhases
)

// A parser joins lines to messages.
type parser struct {
	phase    phase
	held     []byte // the message, up to maxHeld bytes
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

// begin reads a line outside messages.
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

// field reads a line of a header. When the line is not a field, the lines before were
// not a message, but lines of a log that look like fields.
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

// copy reads a line of a returned message. At the end of its header copy reports the
// recipients of a bounce without parts, because the file may end there.
func (p *parser) copy(line []byte, emit func(*parsers.Record)) {
	p.hold(line)
	if len(line) > 0 {
		p.blank = false
		return
	}
	if p.blank {
		return // a blank line before the header
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

// boundaryOf returns the line that ends the last part of a message, nil for a message
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

// readHeader reads the header of a held message; it returns nil when the header is
// malformed.
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

// end ends the held message, and emits the recipients that it reports.
func (p *parser) end(emit func(*parsers.Record)) {
	if p.phase == body || p.phase == copied {
		p.report(emit)
	}
	p.release()
}

// report emits an attempt for each recipient that the held message reports, or its
// complaint. Other messages emit nothing.
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

// complain sets the fields of a complaint. The domain of the report's sender is the
// relay.
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

// timeOf returns the time of a message: its Date, else the time of the mbox. A stranger
// may have written the Date, so a Date more than a day after the time of the mbox, which
// this host wrote in an unknown zone, does not count.
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

// nameOf returns the id of the returned message: its Message-ID, else the Message-ID of
// the bounce, else a hash of the bounce.
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

// recipient sets the attempt for a recipient. It returns false when the report is not
// about a failure or a delay, or names no valid address.
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

// withoutType returns a diagnostic without the type smtp, which marks the reply of a
// server.
func withoutType(s string) string {
	if kind, reply, ok := strings.Cut(s, ";"); ok && strings.EqualFold(strings.TrimSpace(kind), "smtp") {
		return strings.TrimSpace(reply)
	}
	return s
}

// isBounce reports whether a message reports a failure: it has a report, the field
// X-Failed-Recipients, a null sender, or the From of such messages. Other mail does not
// count, because people quote replies in it.
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
