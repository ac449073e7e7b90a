// Package powermta reads the accounting files of PowerMTA 4 to 6, in CSV.
//
// The authors could not run a server: the sources of the facts are the user's guide
// (Accounting Records) and files that users published.
//
// # Files
//
// The first line names the columns; acct-file selects them, in any order, and a
// file that was joined from several has a header for each. A row is an event of a
// recipient:
//
//	type,timeLogged,timeQueued,orig,rcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,vmta,jobId
//	b,2026-11-22 06:40:00+0100,2026-11-22 06:39:58+0100,a@snd.example,b@far.example,failed,5.1.1 (bad destination mailbox address),"smtp;550 5.1.1 no such user",mx.far.example (192.0.2.25),bad-mailbox,vmta1,job7
//
//	d   delivered          b   failed permanently  t   failed for now
//	r   received           tq  a queue has trouble
//	rb  a bounce came in for mail that was delivered (rs: another report)
//	f   a complaint
//
// By the user's guide of 5.0 (Remote Bounce, Feedback Loop), orig and rcpt of rb and f
// are those of the original mail, dsnMta is the server that refused it, and
// dsnReportingMta the server that sent the bounce. Only the Message-ID, in
// header_Message-Id, identifies the mail. The guide lists the headers of the original
// mail for f, but not for rb, though published configurations log them there. Without
// this column in both d and rb, the parser cannot assign a bounce to mail of a log. It
// does not use envId, because the guide does not say that one message has one ENVID.
//
// In f all columns but the type may be empty, and files that contain only f may have
// no rcpt: then the complainant is unknown. feedbackType is the type of ARF; reports in
// another format (jmrp: of Outlook.com) have none, so the parser uses the format.
//
// # Missing from the files
//
// Rows do not name a message, so each recipient counts as a message. A file contains
// "d" and "b" only, unless the configuration adds others: retries are in "t". PowerMTA
// does not log the stage of a failure. The parser cannot read rows without the header.
package powermta

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"mailfail/parsers"
	"mailfail/parsers/table"
	"mailfail/registry"
)

func init() {
	parsers.Register(parsers.Format{
		Name:       "powermta",
		MTA:        "powermta",
		Native:     true,
		Claim:      claim,
		New:        New,
		HasBounces: true,
	})
}

// claim recognizes the header. Haraka's accounting plugin uses the same first names,
// but no file of PowerMTA has dsnMsg or srcIp.
func claim(e *parsers.Entry) parsers.Claim {
	line := e.Message
	if !bytes.Contains(line, []byte("type")) || !bytes.Contains(line, []byte("time")) {
		return parsers.NotMine
	}
	if !table.IsHeader(line, "type") || !hasOne(line, "rcpt", "feedbackType", "reportedDomain") ||
		table.IsHeader(line, "dsnMsg") || table.IsHeader(line, "srcIp") {
		return parsers.NotMine
	}
	if !table.IsHeader(line, "timeLogged") && !table.IsHeader(line, "timeQueued") {
		return parsers.NotMine
	}
	return parsers.MineFromHereOn
}

// hasOne reports whether a header has one of several columns.
func hasOne(line []byte, names ...string) bool {
	for _, name := range names {
		if table.IsHeader(line, name) {
			return true
		}
	}
	return false
}

// The columns that are read.
const (
	kind = iota
	logged
	queued
	sender
	rcpt
	status
	diagnostic
	mta
	category
	destination
	size
	vmta
	job
	envelope
	messageID
	account
	source
	queue
	original
	reporter
	complaint
	complainer
	complainerIP
	format
)

// columns are their names.
var columns = []string{
	kind:         "type",
	logged:       "timeLogged",
	queued:       "timeQueued",
	sender:       "orig",
	rcpt:         "rcpt",
	status:       "dsnStatus",
	diagnostic:   "dsnDiag",
	mta:          "dsnMta",
	category:     "bounceCat",
	destination:  "dlvDestinationIp",
	size:         "dlvSize",
	vmta:         "vmta",
	job:          "jobId",
	envelope:     "envId",
	messageID:    "header_Message-Id",
	account:      "authUser",
	source:       "rcvSourceIp",
	queue:        "queue",
	original:     "orcpt",
	reporter:     "dsnReportingMta",
	complaint:    "feedbackType",
	complainer:   "reportingMta",
	complainerIP: "dlvSourceIp",
	format:       "format",
}

// A parser reads the rows of an accounting file. It keeps the header.
type parser struct {
	table *table.Table
	clock parsers.Clock
	id    []byte
	host  []byte // the server that sent a bounce, in lower case
	rec   parsers.Record
	emit  func(*parsers.Record)

	arrival parsers.Record
}

// New returns a parser of accounting files.
func New(o parsers.Options) parsers.Parser {
	return &parser{table: table.New(columns...), clock: parsers.NewClock(o.Location)}
}

// Parse reads one line.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	p.emit = emit
	line := bytes.TrimSuffix(e.Message, []byte("\r"))
	switch {
	case len(line) == 0:
		return parsers.Irrelevant
	case claim(e) == parsers.MineFromHereOn:
		if !p.table.SetHeader(line) {
			return parsers.Unparsed
		}
		return parsers.Understood
	case !p.table.Row(line):
		return parsers.Unparsed
	}
	return p.row(line)
}

// row reads the current row of the table; line is its text.
func (p *parser) row(line []byte) parsers.Result {
	r, f := &p.rec, p.table.Field
	r.Reset()
	if r.Time = table.Time(f(logged), &p.clock); r.Time.IsZero() {
		r.Time = table.Time(f(queued), &p.clock)
	}
	if r.Time.IsZero() {
		return parsers.Unparsed
	}
	switch string(f(kind)) {
	case "d", "delivery":
		return p.attempt(registry.OutcomeDelivered)
	case "b", "bounce":
		return p.attempt(registry.OutcomeFailed)
	case "t", "transient":
		return p.attempt(registry.OutcomeDeferred)
	case "r", "receipt", "received":
		return p.received()
	case "tq", "transient-queue":
		return p.trouble()
	case "rb", "remote-bounce":
		return p.cameBack(line)
	case "f", "feedback-loop":
		return p.complain(line)
	case "rs", "remote-status":
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

// attempt reads the result of an attempt for a recipient.
func (p *parser) attempt(outcome registry.Outcome) parsers.Result {
	r, f := &p.rec, p.table.Field
	if !p.message() {
		return parsers.Unparsed
	}
	r.Kind, r.Outcome = parsers.Attempt, outcome
	r.Relay, r.RelayIP = hop(f(mta))
	if len(r.RelayIP) == 0 {
		r.RelayIP = f(destination)
	}
	p.reply()
	if at := table.Time(f(queued), &p.clock); !at.IsZero() && len(f(logged)) > 0 {
		r.Delay = max(0, r.Time.Sub(at))
	}
	if outcome != registry.OutcomeDelivered {
		r.Stage, r.Source = origin(r, f(category))
	}
	if outcome == registry.OutcomeFailed && isExpired(r, f(category)) {
		r.Final = registry.StateExpired
	}
	p.cameIn()
	p.emit(r)
	return parsers.Understood
}

// cameIn emits the Arrival of the message of an attempt, at the time of queueing: few
// files have a separate row for it.
func (p *parser) cameIn() {
	from := &p.rec
	r := &p.arrival
	r.Reset()
	r.Kind, r.ID, r.Recipients = parsers.Arrival, from.ID, 1
	r.HasSender, r.Sender, r.MessageID = from.HasSender, from.Sender, from.MessageID
	if r.Time = table.Time(p.table.Field(queued), &p.clock); r.Time.IsZero() {
		r.Time = from.Time
	}
	if r.HasSender {
		p.emit(r)
	}
}

// received reads that a recipient came into the queue. A row without timeQueued is
// Irrelevant: that time is part of the id, so the row could not be matched with the
// recipient's other rows.
func (p *parser) received() parsers.Result {
	r, f := &p.rec, p.table.Field
	if len(f(queued)) == 0 {
		return parsers.Irrelevant
	}
	if !p.message() {
		return parsers.Unparsed
	}
	address := r.Address
	r.Address, r.Recipients = nil, 1
	r.ClientIP, r.Account, r.Size = f(source), f(account), parsers.Number(f(size))
	r.Kind = parsers.Arrival
	p.emit(r)
	r.ClientIP, r.Account, r.Size, r.Recipients = nil, nil, 0, 0
	r.Kind, r.Address = parsers.Expected, address
	p.emit(r)
	return parsers.Understood
}

// trouble reads that a queue could not reach its next hop.
func (p *parser) trouble() parsers.Result {
	r, f := &p.rec, p.table.Field
	if r.Relay, r.RelayIP = hop(f(mta)); len(r.Relay) == 0 {
		r.Relay, _, _ = bytes.Cut(f(queue), []byte("/"))
	}
	p.reply()
	r.Stage, r.Source = origin(r, f(category))
	r.Kind, r.Outcome, r.MTAStatus = parsers.Connection, registry.OutcomeDeferred, registry.Enhanced{}
	p.emit(r)
	return parsers.Understood
}

// cameBack reads a bounce that came in.
func (p *parser) cameBack(line []byte) parsers.Result {
	r, f := &p.rec, p.table.Field
	r.Address = bytes.Trim(f(rcpt), "<>")
	if len(r.Address) == 0 || bytes.ContainsAny(r.Address, " \t") {
		return parsers.Irrelevant // PowerMTA could not read the recipient
	}
	if r.Original = typed(f(original)); bytes.Equal(r.Original, r.Address) {
		r.Original = nil
	}
	p.returned(line)
	r.Relay, r.RelayIP = hop(f(mta))
	if host, _ := hop(f(reporter)); len(host) > 0 {
		p.host = parsers.AppendLower(p.host[:0], host)
		r.Host = p.host
	}
	p.reply()
	r.ReportedByBounce()
	p.emit(r)
	return parsers.Understood
}

// complain reads a complaint of a recipient.
func (p *parser) complain(line []byte) parsers.Result {
	r, f := &p.rec, p.table.Field
	p.returned(line)
	r.Address = bytes.Trim(f(rcpt), "<>")
	r.Relay, _ = hop(typed(f(complainer)))
	r.RelayIP, r.Reply.Text = f(complainerIP), f(complaint)
	if len(r.Reply.Text) == 0 {
		r.Reply.Text = f(format)
	}
	r.Kind = parsers.Complaint
	p.emit(r)
	return parsers.Understood
}

// returned sets the message that a report concerns. Its id is the Message-ID, else a
// hash of the row, which identifies the report.
func (p *parser) returned(line []byte) {
	r, f := &p.rec, p.table.Field
	r.HasSender, r.Sender = len(f(sender)) > 0, bytes.Trim(f(sender), "<>")
	r.MessageID = f(messageID)
	if r.ID = bytes.Trim(r.MessageID, "<> "); len(r.ID) == 0 {
		p.id = strconv.AppendUint(p.id[:0], hashOf(offset, line), 36)
		r.ID, r.MessageID = p.id, nil
	}
}

// typed returns a value without its type ("rfc822;b@far.example", "dns; mx.far.example").
func typed(b []byte) []byte {
	if _, rest, ok := bytes.Cut(b, []byte(";")); ok {
		b = bytes.TrimLeft(rest, " ")
	}
	return b
}

// message sets the message and the recipient of a row, and returns false when the row
// names no recipient.
func (p *parser) message() bool {
	r, f := &p.rec, p.table.Field
	if r.Address = f(rcpt); len(r.Address) == 0 {
		return false
	}
	r.ID = p.messageOf()
	r.HasSender, r.Sender = len(f(sender)) > 0, bytes.Trim(f(sender), "<>")
	r.MessageID = f(messageID)
	r.Service = f(vmta)
	return true
}

// The constants of FNV-1a.
const (
	offset uint64 = 14695981039346656037
	prime  uint64 = 1099511628211
)

// hashOf continues the hash h with b.
func hashOf(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * prime
	}
	return h
}

// messageOf returns an id for the recipient's message: the job, and a hash of the
// columns that are the same in all of its rows.
func (p *parser) messageOf() []byte {
	h := offset
	for _, column := range [...]int{envelope, queued, sender, rcpt, messageID} {
		h = (hashOf(h, p.table.Field(column)) ^ 0xff) * prime
	}
	p.id = p.id[:0]
	if name := p.table.Field(job); len(name) > 0 {
		p.id = append(append(p.id, name...), '-')
	}
	p.id = strconv.AppendUint(p.id, h, 36)
	return p.id
}

// reply sets the reply and PowerMTA's own status. dsnDiag begins with the protocol
// when it is the reply of a server ("smtp;550 5.1.1 …"). Without dsnDiag the words
// after the status describe the failure ("4.4.1 (no answer from host)").
func (p *parser) reply() {
	r, f := &p.rec, p.table.Field
	r.MTAStatus, _ = registry.ScanEnhanced(f(status))
	text := f(diagnostic)
	if protocol, rest, ok := bytes.Cut(text, []byte(";")); ok && len(protocol) < 12 &&
		bytes.IndexByte(protocol, ' ') < 0 {
		text = bytes.TrimLeft(rest, " ")
	}
	if len(text) == 0 && (r.MTAStatus.Class != 2) {
		text = f(status)
	}
	r.Reply = registry.ParseReply(text)
	if r.Reply.Code == 0 {
		r.Reply.Enhanced = registry.Enhanced{}
	}
}

// hop reads "mx.far.example (192.0.2.25)".
func hop(b []byte) (name, ip []byte) {
	name, ip, _ = bytes.Cut(b, []byte(" ("))
	return name, bytes.TrimSuffix(ip, []byte(")"))
}

// isExpired reports whether PowerMTA gave a recipient up after retries.
func isExpired(r *parsers.Record, category []byte) bool {
	return string(category) == "message-expired" || r.MTAStatus.Subject == 4 && r.MTAStatus.Detail == 7
}

// origin returns the stage and the source of a failure: by the reply, else by
// PowerMTA's category and status.
func origin(r *parsers.Record, category []byte) (registry.Stage, registry.Source) {
	if r.Reply.Code != 0 {
		return registry.StageUnknown, registry.SourceRemote
	}
	status := r.MTAStatus
	switch string(category) {
	case "no-answer-from-host":
		return registry.StageConnect, registry.SourceNetwork
	case "bad-connection":
		return registry.StageUnknown, registry.SourceNetwork
	case "bad-domain":
		return registry.StageDNS, registry.SourceDNS
	case "routing-errors":
		return registry.StageRoute, registry.SourceLocal
	}
	switch {
	case status.Subject == 4 && status.Detail == 1:
		return registry.StageConnect, registry.SourceNetwork
	case status.Subject == 4 && status.Detail == 2:
		return registry.StageUnknown, registry.SourceNetwork
	case status.Subject == 4 && (status.Detail == 3 || status.Detail == 4),
		status.Subject == 1 && status.Detail == 2:
		return registry.StageDNS, registry.SourceDNS
	}
	return registry.StageUnknown, registry.SourceLocal
}

const stateVersion = 1

// Open reports false: each line is a row.
func (p *parser) Open() bool { return false }

// End emits nothing: no row is incomplete.
func (p *parser) End(func(*parsers.Record)) parsers.Result { return parsers.Understood }

// AppendBinary appends the header that is in force, and the clock.
func (p *parser) AppendBinary(b []byte) ([]byte, error) {
	if len(p.table.Header()) == 0 {
		return b, nil
	}
	return parsers.AppendBytes(binary.AppendVarint(append(b, stateVersion), p.clock.Last()),
		p.table.Header()), nil
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *parser) UnmarshalBinary(state []byte) error {
	if len(state) == 0 {
		return nil
	}
	r := parsers.ReadState(state)
	if r.Byte() != stateVersion {
		return parsers.ErrState
	}
	p.clock.SetLast(r.Varint())
	if !p.table.SetHeader(r.Bytes()) {
		return parsers.ErrState
	}
	return r.End()
}
