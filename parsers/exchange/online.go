package exchange

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// isNames reports whether a line contains only names of columns, so that no row
// with an address or a time is taken for a header.
func isNames(line []byte) bool {
	for _, c := range line {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '"', c == ',', c == ';',
			c == '\t', c == '\r':
		default:
			return false
		}
	}
	return true
}

// isTraceHeader recognizes the first line of Get-MessageTrace or Get-MessageTraceV2
// piped to Export-Csv: the #TYPE line or the names of the columns.
func isTraceHeader(line []byte) bool {
	line = bytes.TrimSuffix(bytes.TrimPrefix(line, byteOrderMark), []byte("\r"))
	if bytes.HasPrefix(line, []byte("#TYPE ")) {
		return contains(line, "MessageTrace")
	}
	return isNames(line) && contains(line, "RecipientAddress") && contains(line, "SenderAddress") &&
		contains(line, "Status")
}

// isSummaryHeader recognizes the header of the summary report of the admin centre.
func isSummaryHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, byteOrderMark)
	return isNames(line) && contains(line, "recipient_status") && contains(line, "sender_address") &&
		!contains(line, "event_id")
}

// matchTraceJSON recognizes a trace in JSON: an object, or an array of objects on one
// line.
func matchTraceJSON(line []byte) bool {
	return len(line) > 0 && (line[0] == '{' || line[0] == '[') &&
		contains(line, `"RecipientAddress"`) && contains(line, `"MessageTraceId"`)
}

// trace is a row of a message trace.
type trace struct {
	id, messageID, received, sender, recipient, status, fromIP, toIP, size []byte
}

// traceColumns are the names of Get-MessageTrace's columns, in the order of trace.
var traceColumns = [...]string{"MessageTraceId", "MessageId", "Received", "SenderAddress",
	"RecipientAddress", "Status", "FromIP", "ToIP", "Size"}

// onlineTrace reads the rows of a message trace: one recipient each, with its state
// at the time of the query.
type onlineTrace struct {
	at    [len(traceColumns)]int // positions of the columns, -1 for absent ones
	width int
	rec   parsers.Record
	onlineClock
}

// find sets at to where the columns stand among the names of a header, -1 for absent
// ones.
func find(at []int, columns []string, names [][]byte) {
	for i, column := range columns {
		at[i] = -1
		for j, name := range names {
			if string(name) == column {
				at[i] = j
			}
		}
	}
}

func (t *onlineTrace) header(names [][]byte) bool {
	t.order = unknownOrder // every file has its own
	find(t.at[:], traceColumns[:], names)
	t.width = len(names)
	return t.at[2] >= 0 && t.at[4] >= 0 && t.at[5] >= 0 && (t.at[0] >= 0 || t.at[1] >= 0)
}

func (t *onlineTrace) row(fields [][]byte, emit func(*parsers.Record)) parsers.Result {
	if t.width == 0 || len(fields) != t.width {
		return parsers.Unparsed
	}
	get := func(i int) []byte {
		if t.at[i] < 0 {
			return nil
		}
		return fields[t.at[i]]
	}
	return t.read(trace{get(0), get(1), get(2), get(3), get(4), get(5), get(6), get(7), get(8)}, emit)
}

// read emits the records of a row: an Arrival for the message, and one for the state
// of the recipient.
func (t *onlineTrace) read(row trace, emit func(*parsers.Record)) parsers.Result {
	when, ok := t.onlineClock.read(row.received)
	if !ok || len(row.recipient) == 0 {
		return parsers.Unparsed
	}
	r := &t.rec
	r.Reset()
	r.Time = when
	if r.ID = row.id; len(r.ID) == 0 {
		r.ID = row.messageID
	}
	if len(r.ID) == 0 {
		return parsers.Unparsed
	}
	kind, outcome := parsers.Attempt, registry.OutcomeDelivered
	switch string(row.status) {
	case "Delivered", "FilteredAsSpam":
	case "Failed":
		outcome = registry.OutcomeFailed
	case "Pending", "GettingStatus", "Quarantined", "None":
		kind, outcome = parsers.Expected, 0
	case "Expanded", "Resolved":
		kind, outcome = parsers.Settled, 0
	default:
		return parsers.Unparsed
	}
	r.HasSender, r.Sender, r.MessageID, r.Size = true, withoutBrackets(row.sender), row.messageID,
		size(row.size)
	r.Kind, r.ClientIP = parsers.Arrival, row.fromIP
	emit(r)
	r.Kind, r.Outcome, r.Address, r.ClientIP = kind, outcome, row.recipient, nil
	switch kind {
	case parsers.Attempt:
		r.RelayIP, r.Nth = row.toIP, 1
	case parsers.Settled:
		r.Final = registry.StateReplaced
	}
	emit(r)
	return parsers.Understood
}

// onlineClock reads the times of Exchange Online, which are in UTC, in three forms:
// ISO 8601, the form of ConvertTo-Json in Windows PowerShell
// (/Date(1795133651000)/), and the forms of other PowerShell commands (culture).
type onlineClock struct {
	clock
	culture
}

func (c *onlineClock) read(b []byte) (time.Time, bool) {
	if t, ok := c.clock.read(b); ok {
		return t, true
	}
	if bytes.HasPrefix(b, []byte("/Date(")) {
		ms, err := strconv.ParseInt(string(bytes.TrimSuffix(b[len("/Date("):], []byte(")/"))), 10, 64)
		return time.UnixMilli(ms).UTC(), err == nil
	}
	c.zone = time.UTC
	return c.culture.read(b)
}

// onlineParser reads a message trace as CSV or as JSON: objects anywhere, an array,
// or the answer of the reporting web service, on one line or over many. For JSON over
// many lines (ConvertTo-Json) the user must name the format: its first lines are
// those of any JSON, and a lone brace in another log must not claim the lines after
// it.
type onlineParser struct {
	parser
	trace *onlineTrace

	// The innermost JSON object that is open, from its brace on.
	object   []byte
	inString bool // the scan of the line is inside a string
}

// Open reports whether a row or an object is open.
func (p *onlineParser) Open() bool { return len(p.object) > 0 || p.parser.Open() }

// Parse reads one line.
func (p *onlineParser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	line := bytes.TrimSuffix(e.Message, []byte("\r"))
	if len(p.object) > 0 || !p.parser.Open() && isJSON(bytes.TrimPrefix(line, byteOrderMark)) {
		return p.json(line, emit)
	}
	return p.parser.Parse(e, emit)
}

// isJSON reports whether a line outside objects is JSON: it begins with a bracket or
// a comma, or ends with the opening bracket of a list ("value": [).
func isJSON(line []byte) bool {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return false
	}
	return bytes.IndexByte([]byte("{}[],"), line[0]) >= 0 || line[len(line)-1] == '['
}

// json reads a line of JSON. An object that opens inside another one replaces it, so
// the innermost objects are the rows. For an object on many lines only the last line
// is Understood, because the lines before may belong to any JSON.
func (p *onlineParser) json(line []byte, emit func(*parsers.Record)) parsers.Result {
	result, escaped := parsers.Irrelevant, false
	for _, c := range line {
		if len(p.object) > 0 {
			p.object = append(p.object, c)
		}
		switch {
		case escaped:
			escaped = false
		case p.inString:
			escaped, p.inString = c == '\\', c != '"'
		case c == '"':
			p.inString = true
		case c == '{':
			p.object = append(p.object[:0], c)
		case c == '}' && len(p.object) > 0:
			if !p.readObject(emit) {
				result = parsers.Unparsed
			} else if result == parsers.Irrelevant {
				result = parsers.Understood
			}
			p.object = p.object[:0]
		}
	}
	p.inString = false // JSON strings do not span lines
	if len(p.object) > maxRowBytes {
		p.object = nil
		return parsers.Unparsed
	}
	return result
}

// readObject reads p.object as a row and reports whether it is one.
func (p *onlineParser) readObject(emit func(*parsers.Record)) bool {
	var o struct {
		MessageTraceID, MessageID, Received, SenderAddress, RecipientAddress, Status, FromIP, ToIP string

		Size json.RawMessage
	}
	if json.Unmarshal(p.object, &o) != nil {
		return false
	}
	row := trace{
		id: []byte(o.MessageTraceID), messageID: []byte(o.MessageID), received: []byte(o.Received),
		sender: []byte(o.SenderAddress), recipient: []byte(o.RecipientAddress), status: []byte(o.Status),
		fromIP: []byte(o.FromIP), toIP: []byte(o.ToIP), size: bytes.Trim(o.Size, `"`),
	}
	return p.trace.read(row, emit) == parsers.Understood
}

// summaryColumns are the columns of the summary report that the parser reads.
var summaryColumns = [...]string{"origin_timestamp_utc", "sender_address", "recipient_status", "total_bytes",
	"message_id", "network_message_id", "original_client_ip"}

// onlineSummary reads the rows of the summary report: one message each, with the
// events of every recipient:
//
//	a@example.com##Receive, Defer, Send;b@example.com##Receive, Fail
//
// Events have no time, so all records have the time of the message.
type onlineSummary struct {
	at    [len(summaryColumns)]int
	width int
	key   []byte
	rec   parsers.Record
	onlineClock
}

func (t *onlineSummary) header(names [][]byte) bool {
	t.order = unknownOrder // every file has its own
	find(t.at[:], summaryColumns[:], names)
	t.width = len(names)
	return t.at[0] >= 0 && t.at[2] >= 0 && (t.at[4] >= 0 || t.at[5] >= 0)
}

func (t *onlineSummary) get(fields [][]byte, i int) []byte {
	if t.at[i] < 0 {
		return nil
	}
	return fields[t.at[i]]
}

func (t *onlineSummary) row(fields [][]byte, emit func(*parsers.Record)) parsers.Result {
	if t.width == 0 || len(fields) != t.width {
		return parsers.Unparsed
	}
	when, ok := t.onlineClock.read(t.get(fields, 0))
	if !ok {
		return parsers.Unparsed
	}
	r := &t.rec
	r.Reset()
	r.Time = when
	t.key = t.key[:0]
	if id := t.get(fields, 5); len(id) == 32 {
		t.key = appendGUID(t.key, id)
	} else {
		t.key = append(t.key, id...)
	}
	r.MessageID = t.get(fields, 4)
	if r.ID = t.key; len(t.key) == 0 {
		r.ID = r.MessageID
	}
	if len(r.ID) == 0 {
		return parsers.Unparsed // all such rows would be one message
	}
	r.HasSender, r.Sender, r.Size = true, withoutBrackets(t.get(fields, 1)), size(t.get(fields, 3))
	r.Kind, r.ClientIP = parsers.Arrival, t.get(fields, 6)
	emit(r)
	r.ClientIP = nil
	return t.recipients(t.get(fields, 2), emit)
}

// recipients reads the recipient_status column. The row is Unparsed when any
// part of it is not a recipient with known events.
func (t *onlineSummary) recipients(list []byte, emit func(*parsers.Record)) parsers.Result {
	result := parsers.Understood
	for len(list) > 0 {
		member := list[:endOfMember(list)]
		list = list[min(len(member)+1, len(list)):]
		i := bytes.LastIndex(member, []byte("##"))
		if i <= 0 {
			result = parsers.Unparsed
			continue
		}
		t.rec.Address = member[:i]
		if !t.events(member[i+2:], emit) {
			result = parsers.Unparsed
		}
	}
	return result
}

// endOfMember returns the length of the first member of recipient_status. It ends at
// the first semicolon after ##: an address may contain a semicolon, events may not.
func endOfMember(list []byte) int {
	hash := bytes.Index(list, []byte("##"))
	if hash < 0 {
		return len(list)
	}
	if i := bytes.IndexByte(list[hash:], ';'); i >= 0 {
		return hash + i
	}
	return len(list)
}

// events emits a record for each event of a recipient, and reports whether it knows
// all of them. Exchange drops a list after expanding it, so that drop is replaced.
func (t *onlineSummary) events(events []byte, emit func(*parsers.Record)) bool {
	known, replaced := true, false
	var nth [registry.OutcomeFailed + 1]int
	for len(events) > 0 {
		var event []byte
		event, events, _ = bytes.Cut(events, []byte(","))
		r := &t.rec
		r.Kind, r.Outcome, r.Nth, r.Final = parsers.Attempt, 0, 0, 0
		switch string(bytes.TrimSpace(event)) {
		case "Send", "SendExternal", "Deliver":
			r.Outcome = registry.OutcomeDelivered
		case "Defer":
			r.Outcome = registry.OutcomeDeferred
		case "Fail":
			r.Outcome = registry.OutcomeFailed
		case "Drop":
			if r.Settle(registry.StateRemoved); replaced {
				r.Settle(registry.StateReplaced)
			}
		case "Expand", "Redirect":
			r.Settle(registry.StateReplaced)
			replaced = true
		case "Receive", "Submit", "Resolve", "Transfer", "Pending", "Quarantine", "Spam", "":
			r.Kind = parsers.Expected
		default:
			known = false
			r.Kind = parsers.Expected
		}
		if r.Kind == parsers.Attempt {
			nth[r.Outcome]++
			r.Nth = nth[r.Outcome]
		}
		emit(r)
	}
	return known
}
