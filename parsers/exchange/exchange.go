// Package exchange reads the logs of Microsoft Exchange Server (2007 to 2019
// and Subscription Edition) and of Exchange Online:
//
//	exchange-tracking       message tracking, MSGTRK*.LOG; Get-MessageTrackingLog with Export-Csv
//	                        or Format-List; the extended report of Exchange Online
//	exchange-smtpsend       SMTP send protocol log
//	exchange-smtpreceive    SMTP receive protocol log
//	exchange-connectivity   transport connectivity log
//	exchange-online-trace   Get-MessageTrace as CSV or JSON, a row a recipient
//	exchange-online-summary the summary report of the admin centre, a row a message
//
// # Rows
//
// All but the JSON and the lists are CSV, so a line need not be a row: a quoted
// field may contain line breaks. The parser keeps a row that ends inside quotes as
// state until a line closes it. When the lines are not a row (a server that stops
// tears the last one) the parser drops the first line and reads the others again
// separately, so that a torn row costs one row. The parser finds columns by the names
// in the header, which the service writes again when it restarts within a file.
//
// In a list of PowerShell's Format-List an object is a row, and the names of its
// properties are the header. An object counts when the parser has read its end. The
// last object before Exchange 2016, or with chosen properties, waits for a blank line
// or for the end of a log that cannot grow.
//
// # Counting
//
// The parsers count events by these rules:
//
//  1. The network-message-id identifies a message, before 2013 the Message-ID, on
//     any number of servers and however often the message forks. In a send log
//     the InternetMessageId identifies it, in 2010 the transaction.
//  2. A recipient is an address of a message, in upper or lower case. An address
//     that EXPAND, RESOLVE or REDIRECT replaced is not a recipient; its
//     replacements are. A mailbox that forwards and keeps a copy (REDIRECT to
//     itself) stays a recipient.
//  3. SENDEXTERNAL, SEND to the outside and DELIVER are delivered attempts, DEFER
//     is a deferred one and FAIL a failed one, whatever the class of the code: one
//     attempt for each recipient of the row.
//  4. SEND inside the organisation is not an attempt; DEFER and FAIL on such a hop
//     are, because no other row reports them. The hop is a HandedOver record, which
//     any other record overrides: without the logs of the server that delivers, its
//     recipients are handed over instead of pending for ever.
//  5. DUPLICATEDELIVER does not count.
//  6. A delivery status notification is a separate message.
//  7. FAIL with QUEUE.Expired is expired, with QUEUE.Admin removed. DROP is removed
//     and not an attempt, except DROP of an expanded list, which is replaced.
//  8. The code is at the beginning of the status or of its LED part. Inside
//     Exchange's own wrappers (see setReply) the inner reply counts.
//  9. BADMAIL is a failed attempt without a code. POISONMESSAGE is not an attempt.
//     Shadow copies (HA*), agents, submission and TRANSFER do not count.
//  10. In a send log a 4xx or 5xx to RCPT decides, else the answer to the message,
//     else the answer to MAIL for every pipelined RCPT. When a session is lost
//     before, its recipients are deferred without a code. Internal connectors have
//     no attempts. Refusals before the first RCPT belong to the connection.
//  11. In a receive log a 4xx or 5xx to the connection, to MAIL (once), to RCPT
//     (each) and to the message (each accepted recipient) is a rejection, with the
//     Outcome Deferred or Failed; reports count the former separately. A failed
//     AUTH is not a rejection, and the parser keeps no word of it. Sessions that a
//     frontend server passes on (XPROXYFROM) do not count, because the frontend
//     logs them too; submissions (XPROXY) count, because the frontend does not log
//     them.
//  12. A connectivity log names no recipients, so it contains no attempts. Each SMTP
//     row "-" is a connection to a next hop, on internal connectors too; in a send
//     log each session and each failure to connect is a connection.
//  13. In Exchange Online, Delivered and FilteredAsSpam are deliveries, Failed is a
//     failure without a code; Pending, GettingStatus and Quarantined are pending;
//     an Expanded address is not a recipient. In the summary every Defer, Send,
//     Deliver and Fail is an attempt. An attempt that a later export or the other
//     report repeats counts once.
//
// Several logs report the same traffic. Attempts count from exchange-tracking where
// there is such a log; then exchange-smtpsend adds only the stage and the exact
// reply. Connections count from exchange-connectivity before exchange-smtpsend.
//
// The parsers do not read edge and hybrid routing, moderation and journaling. Before
// Exchange 2016 they recognize hops by the English name of the internal connector.
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

// Scopes within which an id alone identifies a message: the servers of an
// organisation, and Exchange Online, whose two reports share their ids.
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

// claim returns the Claim of a log of rows. header recognizes its header, row its rows
// where the header is in another file, and lookAlike returns the name of another log
// that looks like it. row and lookAlike may be nil.
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

// headerOf returns a function that recognizes the header of a log of one type.
func headerOf(logType string) func(line []byte) bool {
	return func(line []byte) bool { return isHeader(line, logType) }
}

func isTrackingHeader(line []byte) bool {
	return isHeader(line, typeTracking) || isExtendedHeader(line) || isListHeader(line)
}

func newParser(t table, logType string) *parser {
	return &parser{table: t, logType: logType, delimiter: ','}
}

// isHeader reports whether line belongs to the header of the log of that type: its
// #Log-type or #Fields line. For the most common log, message tracking, it also
// accepts the #Software line, which is the same in all logs of Exchange.
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

// isLogType reports whether a line of a header names the type of the log: #Log-type,
// in Microsoft's documentation #Log-Type.
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

// isExtendedHeader reports whether line is the header of tracking rows in the CSV of
// the extended report, or of Get-MessageTrackingLog and Export-Csv.
func isExtendedHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, byteOrderMark)
	if first := bytes.TrimPrefix(line, []byte{'"'}); len(first) == 0 || parsers.IsDigit(first[0]) {
		return false // rows are the most common lines
	}
	if contains(line, "event_id") && contains(line, "recipient_status") && contains(line, "message_info") {
		return len(line) > 60 && isNames(line)
	}
	return isShellHeader(line) && len(lackingColumns(line)) == 0
}

// isShellHeader reports whether line is the header that Export-Csv writes for rows
// of Get-MessageTrackingLog, with any selection of columns. PowerShell names a column
// that was made from an expression after the expression ($_.Recipients).
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

// columnName returns the name of a column without the expression around it:
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

// columnOf returns the column of a name in a header. It ignores the case of names in
// expressions, as PowerShell does.
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

// lackingColumns returns the names of the columns that a row of the tracking log
// needs and the header does not have.
func lackingColumns(line []byte) []string { return lackingOf(headerNames(line)) }

// lackingOf is lackingColumns for the names of a header.
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

// isShellTable recognizes the headings that Format-Table, PowerShell's default, prints
// for the tracking log.
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

// matchTracking recognizes a row of the tracking log without its header: a
// time, a source, a known event and the number of fields of a version.
func matchTracking(line []byte) bool {
	if !isTime(line) || effects[string(field(line, 8))] == 0 || len(field(line, 7)) == 0 {
		return false
	}
	var r row
	r.fields = make([][]byte, 0, maxFields)
	return r.split(bytes.TrimSuffix(line, []byte("\r")), ',') != whole || trackingOf(len(r.fields)) != ""
}

// matchProtocol recognizes a row of a protocol log: a time, a session id of 16
// hexadecimal digits, a number, and the event. Receive connectors have the name of
// their server in front, SERVER\Name; send connectors do not.
func matchProtocol(line []byte, receives bool) bool {
	event := field(line, protoEvent)
	return isTime(line) && len(event) == 1 && bytes.IndexByte([]byte("+-><*"), event[0]) >= 0 &&
		isSessionID(field(line, protoSession)) && allDigits(field(line, protoSequence)) &&
		(bytes.IndexByte(field(line, protoConnector), '\\') >= 0) == receives
}

// matchConnectivity recognizes a row of the connectivity log: a time, a session id,
// and the direction in the fifth column.
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

// LookAlike returns a description of a line that looks like one of these logs but is
// not, "" for other lines: the logs of other parts of Exchange and of Windows, which
// lie beside them and have the same header, and those of Exchange before 2007.
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

// quotedType returns the name of a log from its header, safe for a message.
func quotedType(value []byte) string {
	if name := clip(value, 60); name != "" {
		return name
	}
	return "log of an unknown type"
}

// clip returns the printable ASCII characters among the first n bytes of b.
func clip(b []byte, n int) string {
	var out []byte
	for _, c := range b[:min(n, len(b))] {
		if c >= ' ' && c <= '~' {
			out = append(out, c)
		}
	}
	return string(out)
}
