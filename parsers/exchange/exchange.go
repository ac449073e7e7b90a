// Package exchange reads the logs of Microsoft Exchange Server (2007 to 2019
// and Subscription Edition) and of Exchange Online:
//
//	exchange-tracking       message tracking, MSGTRK*.LOG; what Get-MessageTrackingLog gives to
//	                        Export-Csv and Format-List; the extended report of Exchange Online
//	exchange-smtpsend       SMTP send protocol log
//	exchange-smtpreceive    SMTP receive protocol log
//	exchange-connectivity   transport connectivity log
//	exchange-online-trace   Get-MessageTrace as CSV or JSON, a row a recipient
//	exchange-online-summary the summary report of the admin centre, a row a message
//
// # Rows
//
// All but the JSON and the lists are CSV, so a line need not be a row: a quoted
// field may hold line breaks. A row that ends inside quotes is kept as state until a line
// closes it. When the result is not a row (a server that stops tears the last
// one) its first line is given up and the others are read again by themselves,
// so that a torn row costs one row. Columns are known by the names in the
// header, which comes again when the service restarts within a file.
//
// In a list of PowerShell's Format-List an object is a row, and the names of its
// properties are the header. An object counts once its end was seen: the last
// one before Exchange 2016, or with chosen properties, waits for a blank line, or
// for the end of a log that nothing can be added to.
//
// # Counting
//
// What an event counts for follows these rules:
//
//  1. A message is its network-message-id, before 2013 its Message-ID, on
//     whatever number of servers and however often it forks. In a send log it
//     is the InternetMessageId, in 2010 the transaction.
//  2. A recipient is an address of a message, whatever its case. One that EXPAND,
//     RESOLVE or REDIRECT replaced is none; its replacements are. A mailbox that
//     forwards and keeps a copy (REDIRECT to itself) stays one.
//  3. SENDEXTERNAL, SEND to the outside and DELIVER are attempts that
//     delivered, DEFER that deferred, FAIL that failed, whatever the class of
//     the code, one for each recipient of the row.
//  4. SEND inside the organisation is not an attempt; DEFER and FAIL on such a hop
//     are, because nothing else reports them. The hop is a HandedOver record,
//     weaker than any other: without the logs of the server that delivers, its
//     recipients are handed over, not pending for ever.
//  5. DUPLICATEDELIVER counts nothing.
//  6. A delivery status notification is a message of its own.
//  7. FAIL with QUEUE.Expired is given up, with QUEUE.Admin removed; DROP, but
//     for that of an expanded list, is removed and no attempt.
//  8. The code is that at the beginning of the status or of its LED part.
//     Inside Exchange's own wrappers (see setReply) the inner reply counts.
//  9. BADMAIL is a failed attempt without a code. POISONMESSAGE is not an attempt.
//     Shadow copies (HA*), agents, submission and TRANSFER count nothing.
//  10. In a send log a 4xx or 5xx to RCPT decides, else the answer to the
//     message, else that to MAIL for every pipelined RCPT. A session that is
//     lost before is a deferral without a code. Internal connectors count
//     nothing. Refusals before a recipient is named are of the connection.
//  11. In a receive log a 4xx or 5xx to the connection, to MAIL (once), to RCPT
//     (each) and to the message (each accepted recipient) is a rejection, its
//     Outcome Deferred or Failed; reports count the former apart. A failed AUTH
//     is none, and no word of it is kept. Sessions that a frontend server passes on (XPROXYFROM) count
//     nothing, because the frontend logs them too; submissions (XPROXY) count,
//     because it does not.
//  12. A connectivity log names no recipients, so nothing in it is an attempt.
//     Each SMTP row "-" is a connection to a next hop, on internal connectors
//     too; in a send log each session and each failure to connect is.
//  13. Of Exchange Online, Delivered and FilteredAsSpam are deliveries, Failed a
//     failure without a code; Pending, GettingStatus and Quarantined are
//     pending; Expanded is not a recipient. In the summary every Defer, Send,
//     Deliver and Fail is an attempt. What a later export or the other report
//     repeats is not a new one.
//
// Logs of the same traffic report it twice: whoever counts attempts takes
// exchange-tracking where there is one, and exchange-smtpsend only for the
// stage and the exact reply; for connections, exchange-connectivity comes before
// exchange-smtpsend.
//
// Not read: edge and hybrid routing, moderation, journaling. Before Exchange
// 2016 hops are recognized by the English name of the internal connector.
//
// The format facts are from Microsoft's documentation: "Message tracking",
// "Transport logs in Exchange Server", "Protocol logging", "Connectivity
// logging in Exchange Server", "Get-MessageTrace", "Message trace in the new
// Exchange admin center in Exchange Online", and for 2007 "Description of
// Message Tracking Log Fields".
package exchange

import (
	"bytes"
	"strings"

	"mailfail/parsers"
)

const (
	typeTracking     = "Message Tracking Log"
	typeSend         = "SMTP Send Protocol Log"
	typeReceive      = "SMTP Receive Protocol Log"
	typeConnectivity = "Transport Connectivity Log"
)

// Where the messages of a log are known by their id alone: on the servers of an
// organisation, and in Exchange Online, whose two reports share theirs.
const (
	scopeTracking = "exchange-tracking"
	scopeSend     = "exchange-smtpsend"
	scopeReceive  = "exchange-smtpreceive"
	scopeOnline   = "exchange-online"
)

func init() {
	parsers.Register(parsers.Format{
		Name:   "exchange-tracking",
		MTA:    "exchange",
		Native: true,
		Scope:  scopeTracking,
		Claim:  claim(isTrackingHeader, matchTracking, LookAlike),
		New:    func(o parsers.Options) parsers.Parser { return newTrackingParser(o) },
	})
	parsers.Register(parsers.Format{
		Name:   "exchange-smtpsend",
		MTA:    "exchange",
		Native: true,
		Scope:  scopeSend,
		Overlaps: []parsers.Overlap{
			{Kind: parsers.Attempt, Format: "exchange-tracking"},
			{Kind: parsers.Connection, Format: "exchange-connectivity"},
		},
		Claim:  claim(headerOf(typeSend), func(line []byte) bool { return matchProtocol(line, false) }, nil),
		Redact: withoutData,
		New: func(o parsers.Options) parsers.Parser {
			return newParser(&protocol{ownHost: []byte(o.Host)}, typeSend)
		},
	})
	parsers.Register(parsers.Format{
		Name:   "exchange-smtpreceive",
		MTA:    "exchange",
		Native: true,
		Scope:  scopeReceive,
		Claim: claim(headerOf(typeReceive), func(line []byte) bool {
			return matchProtocol(line, true)
		}, nil),
		Redact: withoutData,
		New: func(o parsers.Options) parsers.Parser {
			return newParser(&protocol{ownHost: []byte(o.Host), receives: true}, typeReceive)
		},
	})
	parsers.Register(parsers.Format{
		Name:   "exchange-connectivity",
		MTA:    "exchange",
		Native: true,
		Claim:  claim(headerOf(typeConnectivity), matchConnectivity, nil),
		New: func(o parsers.Options) parsers.Parser {
			return newParser(&connectivity{ownHost: []byte(o.Host)}, typeConnectivity)
		},
	})
	parsers.Register(parsers.Format{
		Name:   "exchange-online-trace",
		MTA:    "exchange",
		Native: true,
		Scope:  scopeOnline,
		Claim:  claim(isTraceHeader, matchTraceJSON, nil),
		New: func(parsers.Options) parsers.Parser {
			p := &onlineParser{parser: parser{
				table:     &onlineTrace{},
				isHeader:  isTraceHeader,
				delimiter: ',',
			}}
			p.trace = p.table.(*onlineTrace)
			return p
		},
	})
	parsers.Register(parsers.Format{
		Name:   "exchange-online-summary",
		MTA:    "exchange",
		Native: true,
		Scope:  scopeOnline,
		Claim:  claim(isSummaryHeader, nil, nil),
		New: func(parsers.Options) parsers.Parser {
			return &parser{table: &onlineSummary{}, isHeader: isSummaryHeader, delimiter: ','}
		},
	})
}

// claim returns the Claim of a log of rows from functions that recognize its header, its rows
// where the header is in another file, and the names of logs that look like it.
// Each but the first may be nil.
func claim(header, row func(line []byte) bool,
	lookAlike func(line []byte) string) func(*parsers.Entry) parsers.Claim {
	return func(e *parsers.Entry) parsers.Claim {
		switch {
		case header(e.Message):
			return parsers.MineFromHereOn
		case row != nil && row(e.Message):
			return parsers.Mine
		case lookAlike != nil:
			if name := lookAlike(e.Message); name != "" {
				return parsers.Stranger(name)
			}
		}
		return parsers.NotMine
	}
}

// headerOf returns a function that recognises the header of a log of one type.
func headerOf(logType string) func(line []byte) bool {
	return func(line []byte) bool { return isHeader(line, logType) }
}

func isTrackingHeader(line []byte) bool {
	return isHeader(line, typeTracking) || isExtendedHeader(line) || isListHeader(line)
}

func newParser(t table, logType string) *parser {
	return &parser{table: t, logType: logType, delimiter: ','}
}

// isHeader reports whether line is of the header of the log of that type: its
// #Log-type or #Fields line, or, for the log that is met most, the first ones,
// which say only that it is one of Exchange's.
func isHeader(line []byte, logType string) bool {
	line = bytes.TrimSuffix(bytes.TrimPrefix(line, byteOrderMark), []byte("\r"))
	if len(line) == 0 || line[0] != '#' {
		return false
	}
	switch {
	case isLogType(line):
		return string(afterName(line)) == logType
	case bytes.HasPrefix(line, []byte("#Fields:")):
		return typeOfFields(afterName(line)) == logType
	}
	return logType == typeTracking && bytes.HasPrefix(line, []byte("#Software: Microsoft Exchange"))
}

// isLogType reports whether a line of a header names the log: #Log-type, in
// Microsoft's documentation #Log-Type.
func isLogType(line []byte) bool {
	const name = "#Log-type:"
	return len(line) >= len(name) && bytes.EqualFold(line[:len(name)], []byte(name))
}

// typeOfFields returns the type of the log that has these columns, "" for
// others.
func typeOfFields(names []byte) string {
	switch {
	case string(names) == protocolFields:
		return protocolType
	case bytes.EqualFold(names, []byte(connectivityFields)):
		return typeConnectivity
	case contains(names, "date-time") && contains(names, "event-id") && contains(names, "recipient-status"):
		return typeTracking
	}
	return ""
}

// protocolType stands for both protocol logs, whose columns are the same.
const protocolType = "protocol"

// isExtendedHeader reports whether line is the header of tracking rows as CSV:
// of the extended report, or of Get-MessageTrackingLog and Export-Csv.
func isExtendedHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, byteOrderMark)
	if first := bytes.TrimPrefix(line, []byte{'"'}); len(first) == 0 || parsers.IsDigit(first[0]) {
		return false // a row, at little cost
	}
	if contains(line, "event_id") && contains(line, "recipient_status") && contains(line, "message_info") {
		return len(line) > 60 && isNames(line)
	}
	return isShellHeader(line) && len(lackingColumns(line)) == 0
}

// isShellHeader reports whether line is the header that Export-Csv writes for rows
// of Get-MessageTrackingLog, in whatever choice of columns. A column that was made
// from an expression is named after it ($_.Recipients).
func isShellHeader(line []byte) bool {
	if !contains(line, "EventId") && !contains(line, "RecipientStatus") {
		return false
	}
	for _, name := range headerNames(line) {
		if !isNames(columnName(name)) {
			return false
		}
	}
	return true
}

// headerNames divides a header at the delimiters that are not in quotes.
func headerNames(line []byte) (names [][]byte) {
	quoted, start := false, 0
	for i, c := range line {
		switch c {
		case '"':
			quoted = !quoted
		case ',', ';', '\t', '\r':
			if !quoted {
				names, start = append(names, line[start:i]), i+1
			}
		}
	}
	return append(names, line[start:])
}

// columnName returns the name of a column without what an expression adds to it:
// $_.Recipients, $_.Recipients -join ';', [string]$_.RecipientStatus.
func columnName(name []byte) []byte {
	name = bytes.Trim(name, `"{} `)
	i := bytes.Index(name, []byte("$_."))
	if i < 0 {
		return name
	}
	name = name[i+len("$_."):]
	n := 0
	for n < len(name) && parsers.IsAlnum(name[n]) {
		n++
	}
	return name[:n]
}

// columnOf returns the column of a name in a header; PowerShell does not care for
// the case of those in expressions.
func columnOf(name []byte) (column, bool) {
	plain := columnName(name)
	col, ok := trackingColumns[string(plain)]
	if ok || len(plain) == len(name) {
		return col, ok
	}
	for known, col := range trackingColumns {
		if bytes.EqualFold([]byte(known), plain) {
			return col, true
		}
	}
	return 0, false
}

// lackingColumns returns which of the columns that make a row of the tracking log
// readable are not in a header.
func lackingColumns(line []byte) []string { return lackingOf(headerNames(line)) }

// lackingOf is lackingColumns for names that are known.
func lackingOf(names [][]byte) (lacking []string) {
	var has [nColumns]bool
	for _, name := range names {
		if col, ok := columnOf(name); ok {
			has[col] = true
		}
	}
	has[colMessageID] = has[colMessageID] || has[colNetworkID] || has[colInternalID]
	for _, c := range []struct {
		col  column
		name string
	}{
		{colTime, "Timestamp"}, {colEvent, "EventId"}, {colMessageID, "MessageId"},
		{colRecipient, "Recipients"}, {colStatus, "RecipientStatus"},
	} {
		if !has[c.col] {
			lacking = append(lacking, c.name)
		}
	}
	return lacking
}

// isShellTable recognises the headings of what Format-Table prints of the tracking log,
// which it does when nothing else is asked for.
func isShellTable(line []byte) bool {
	if !parsers.Has(line, "EventId ") && !parsers.Has(line, "Timestamp ") {
		return false
	}
	known := 0
	for name := range bytes.FieldsSeq(line) {
		if _, ok := trackingColumns[string(name)]; ok {
			known++
		}
	}
	return known >= 3
}

// matchTracking recognises a row of the tracking log without its header: a
// time, a known source, a known event and the number of fields of a version.
func matchTracking(line []byte) bool {
	if !isTime(line) || effects[string(field(line, 8))] == 0 || len(field(line, 7)) == 0 {
		return false
	}
	var r row
	r.fields = make([][]byte, 0, maxFields)
	return r.split(bytes.TrimSuffix(line, []byte("\r")), ',') != whole || trackingOf(len(r.fields)) != ""
}

// matchProtocol recognises a row of a protocol log: a time, a session id of 16
// hexadecimal digits, a number, and the event. Receive connectors are named
// with their server, SERVER\Name; send connectors are not.
func matchProtocol(line []byte, receives bool) bool {
	event := field(line, protoEvent)
	return isTime(line) && len(event) == 1 && bytes.IndexByte([]byte("+-><*"), event[0]) >= 0 &&
		isSessionID(field(line, protoSession)) && allDigits(field(line, protoSequence)) &&
		(bytes.IndexByte(field(line, protoConnector), '\\') >= 0) == receives
}

// matchConnectivity recognises a row of the connectivity log: a time, a
// session id, source and destination, and the direction.
func matchConnectivity(line []byte) bool {
	direction := field(line, 4)
	return isTime(line) && len(direction) == 1 && bytes.IndexByte([]byte("+->"), direction[0]) >= 0 &&
		isSessionID(field(line, 1))
}

func isSessionID(b []byte) bool {
	if len(b) != 16 {
		return false
	}
	for _, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'F') {
			return false
		}
	}
	return true
}

// LookAlike returns what a line is that looks like one of these logs and is
// not: the logs of other parts of Exchange and of Windows, which lie beside
// them and have the same header, and those of Exchange before 2007.
func LookAlike(line []byte) string {
	line = bytes.TrimSuffix(bytes.TrimPrefix(line, byteOrderMark), []byte("\r"))
	switch {
	case len(line) == 0:
		return ""
	case line[0] == '#':
		return commentLookAlike(line)
	case isTime(line):
		return ""
	case line[0] >= '0' && line[0] <= '9' && contains(line[:min(len(line), 200)], ", SMTPSVC"):
		return "the log of the IIS SMTP service or of Exchange 2003"
	case statusPart(bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("{")), []byte("["))) >= 0:
		return "statuses of recipients without the rows they are from (give them to mailfail explain, or " +
			"the whole log)"
	case isShellHeader(line):
		return "rows of Get-MessageTrackingLog without " + strings.Join(lackingColumns(line), ", ") +
			" (add that to Select-Object)"
	case isShellTable(line):
		return "a table of Get-MessageTrackingLog, which leaves out what does not fit (use Format-List " +
			"or Export-Csv instead of Format-Table)"
	case isOtherList(line):
		return "what a PowerShell command prints with Format-List (only Get-MessageTrackingLog is read; " +
			"of others give Export-Csv)"
	case bytes.HasPrefix(bytes.TrimLeft(line, " "), []byte(`"RecipientAddress": `)):
		return "a message trace as JSON over many lines (read it with --log-format exchange-online-trace)"
	case bytes.HasPrefix(line, []byte("DateTime,RequestId,")):
		return "an Exchange HttpProxy log"
	}
	return ""
}

func commentLookAlike(line []byte) string {
	value := afterName(line)
	switch {
	case bytes.HasPrefix(line, []byte("# Message Tracking Log File")),
		bytes.HasPrefix(line, []byte("# Exchange System Attendant")):
		return "the message tracking log of Exchange 2003"
	case bytes.HasPrefix(line, []byte("#Software: Microsoft Internet Information")):
		return "an IIS log (W3C)"
	case bytes.HasPrefix(line, []byte("#Software: Microsoft HTTP")):
		return "an HTTP.sys log"
	case isLogType(line):
		switch string(value) {
		case typeTracking, typeSend, typeReceive, typeConnectivity:
			return ""
		}
		return "the Exchange " + quotedType(value)
	case bytes.HasPrefix(line, []byte("#Fields:")) && typeOfFields(value) == "":
		return "another log with a #Fields header (columns " + clip(value, 40) + " …)"
	}
	return ""
}

// quotedType returns the name of a log as its header says it, fit for a
// message.
func quotedType(value []byte) string {
	if name := clip(value, 60); name != "" {
		return name
	}
	return "log of an unknown type"
}

// clip returns the first n printable ASCII characters of b.
func clip(b []byte, n int) string {
	var out []byte
	for _, c := range b[:min(n, len(b))] {
		if c >= ' ' && c <= '~' {
			out = append(out, c)
		}
	}
	return string(out)
}
