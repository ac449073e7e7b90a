package exchange_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
	"mailfail/parsers/detect"
	"mailfail/parsers/exchange"
	"mailfail/parsers/parserstest"
	"mailfail/registry"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	header2007 = "#Software: Microsoft Exchange Server\n#Version: 8.0.0.0\n#Log-type: Message Tracking Log\n#Date: 2026-11-20T00:00:00.000Z\n#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info\n"
	headerTiny = "#Software: Microsoft Exchange Server\n#Log-type: Message Tracking Log\n#Fields: event-id,date-time,recipient-address,recipient-status,network-message-id,related-recipient-address,source,server-hostname,connector-id,message-subject,schema-version\n"
	headerSend = "#Software: Microsoft Exchange Server\n#Version: 15.0.0.0\n#Log-type: SMTP Send Protocol Log\n#Date: 2026-11-20T00:00:00.000Z\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n"
	headerRecv = "#Software: Microsoft Exchange Server\n#Version: 15.0.0.0\n#Log-type: SMTP Receive Protocol Log\n#Date: 2026-11-20T00:00:00.000Z\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\n"
)

// brief returns what a record counts for: "bounced a@x 550 5.1.1 rcpt remote";
// "" for what a message or a connection that could be used is told of.
func brief(r *parsers.Record) string {
	if wrong := parserstest.Fields(r); wrong != "" {
		panic(wrong + ": " + parserstest.Show(r))
	}
	var words []string
	switch r.Kind {
	case parsers.Arrival:
		return ""
	case parsers.Expected:
		words = append(words, "expected")
		if r.Kept {
			words[0] = "kept"
		}
	case parsers.Attempt:
		words = append(words, r.Outcome.String())
	case parsers.Settled:
		words = append(words, strings.Replace(r.Final.String(), "removed", "discarded", 1))
	case parsers.Rejection:
		words = append(words, "rejected", r.Outcome.String())
	case parsers.Connection:
		if r.Outcome == registry.OutcomeDelivered {
			return ""
		}
		words = append(words, "no connection", string(r.Relay))
	default:
		words = append(words, fmt.Sprint("kind ", r.Kind))
	}
	words = append(words, string(r.Address), registry.Code(r.Reply.Code, r.Reply.Enhanced), r.Stage.String(), r.Source.String())
	switch {
	case r.Kind != parsers.Attempt:
	case r.Final == registry.StateExpired:
		words = append(words, "given up")
	case r.Final == registry.StateRemoved:
		words = append(words, "removed")
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// run reads a log and returns its records in brief, and how many lines had
// each result.
func run(t testing.TB, log string) (records []string, results [3]int) {
	t.Helper()
	return runAs(t, "auto", log)
}

func runAs(t testing.TB, format, log string) (records []string, results [3]int) {
	t.Helper()
	s := newStream(t, format)
	for line := range strings.SplitSeq(strings.TrimSuffix(log, "\n"), "\n") {
		results[s.Parse([]byte(line), func(r *parsers.Record) {
			if b := brief(r); b != "" {
				records = append(records, b)
			}
		})]++
	}
	return records, results
}

func check(t *testing.T, log string, want []string, unparsed int) {
	t.Helper()
	got, results := run(t, log)
	if !slices.Equal(got, want) {
		t.Errorf("records:\n got %q\nwant %q", got, want)
	}
	if results[parsers.Unparsed] != unparsed {
		t.Errorf("unparsed: got %d lines, want %d", results[parsers.Unparsed], unparsed)
	}
}

// TestEvents reads rows of a log with few columns in an odd order.
func TestEvents(t *testing.T) {
	// event, recipients, status, related, source, server, connector
	row := func(event, recipients, status, related, source string) string {
		return event + ",2026-11-20T00:00:00.000Z," + recipients + "," + status + ",m1," + related + "," + source + ",EX01,Out,hi,15.02\n"
	}
	for _, test := range []struct {
		name, row string
		want      []string
	}{
		{"receive", row("RECEIVE", "a@x;b@y", "To;Cc", "", "STOREDRIVER"), []string{"expected a@x", "expected b@y"}},
		{"external", row("SENDEXTERNAL", "a@x;b@y", "250 OK;250 OK", "", "SMTP"), []string{"delivered a@x", "delivered b@y"}},
		{"hop", row("SEND", "a@x", "250 OK", "", "SMTP"), []string{"handed over a@x"}},
		{"deliver", row("DELIVER", "a@x", "", "", "STOREDRIVER"), []string{"delivered a@x"}},
		{"again", row("DUPLICATEDELIVER", "a@x", "", "", "STOREDRIVER"), nil},
		{"defer", row("DEFER", "a@x;b@y", "450 4.7.1 No;451 4.3.0 Busy", "", "SMTP"), []string{"deferred a@x 450 4.7.1 remote", "deferred b@y 451 4.3.0 remote"}},
		{"defer with 5xx", row("DEFER", "a@x", "550 5.7.1 No", "", "SMTP"), []string{"deferred a@x 550 5.7.1 remote"}},
		{"fail", row("FAIL", "a@x", "[{LED=550 5.1.1 No};{MSG=};{FQDN=mx};{IP=};{LRT=}]", "", "SMTP"), []string{"failed a@x 550 5.1.1 remote"}},
		{"fail with 4xx", row("FAIL", "a@x", "450 5.2.3 Too big", "", "ROUTING"), []string{"failed a@x 450 5.2.3 route local"}},
		{"fail of nobody", row("FAIL", "", "550 5.1.1 No", "", "SMTP"), nil},
		{"expired", row("FAIL", "a@x", "'550 4.4.7 QUEUE.Expired; message expired'", "", "QUEUE"), []string{"failed a@x 550 4.4.7 local given up"}},
		{"remote says expired", row("FAIL", "a@x", "'550 4.4.7 QUEUE.Expired; message expired'", "", "SMTP"), []string{"failed a@x 550 4.4.7 remote"}},
		{"deleted", row("FAIL", "a@x", "'550 4.3.2 QUEUE.Admin; message deleted by administrative action'", "", "ADMIN"), []string{"failed a@x 550 4.3.2 local removed"}},
		{"no such domain", row("FAIL", "a@x", "'554 5.4.4 SMTPSEND.DNS.NonExistentDomain; nonexistent domain'", "", "DNS"), []string{"failed a@x 554 5.4.4 dns dns"}},
		{"no connection", row("DEFER", "a@x", `"441 4.4.1 Error encountered while communicating with primary target IP address: ""Failed to connect. Winsock error code: 10060, Win32 error code: 10060."" Attempted failover"`, "", "SMTP"), []string{"deferred a@x 441 4.4.1 connect network"}},
		{"mailbox full", row("FAIL", "a@x", "554 5.2.2 mailbox full", "", "STOREDRIVER"), []string{"failed a@x 554 5.2.2 local local"}},
		{"no status", row("FAIL", "a@x", "", "", "AGENT"), []string{"failed a@x local"}},
		{"badmail", row("BADMAIL", "a@x", "", "", "REPLAY"), []string{"failed a@x local"}},
		{"drop", row("DROP", "a@x", "[{LED=250 2.1.5 TRANSPORT.RULES.DeleteMessage}]", "", "AGENT"), []string{"discarded a@x"}},
		{"drop of an expanded list", row("DROP", "list@x;a@x", "'250 2.1.5 RESOLVER.GRP.Expanded; distribution list expanded';250 2.1.5 gone", "", "ROUTING"), []string{"replaced list@x", "discarded a@x"}},
		{"poison", row("POISONMESSAGE", "a@x", "", "", "STOREDRIVER"), []string{"expected a@x"}},
		{"expand", row("EXPAND", "a@x;b@y", "", "list@x", "ROUTING"), []string{"replaced list@x", "expected a@x", "expected b@y"}},
		{"resolve", row("RESOLVE", "new@x", "", "old@x", "ROUTING"), []string{"replaced old@x", "expected new@x"}},
		{"resolve to itself", row("RESOLVE", "A@x", "", "a@X", "ROUTING"), []string{"expected A@x"}},
		{"redirect", row("REDIRECT", "old@x", "", "new@x", "ROUTING"), []string{"replaced old@x", "expected new@x"}},
		{"forward and keep", row("REDIRECT", "a@x", "", "A@x", "ROUTING") + row("REDIRECT", "a@x", "", "new@x", "ROUTING"), []string{"kept A@x", "replaced a@x", "expected new@x"}},
		{"redirect to another connector", row("REDIRECT", "a@x", "", "", "AGENT"), []string{"expected a@x"}},
		{"dsn", row("DSN", "a@x", "", "", "DSN"), []string{"expected a@x"}},
		{"shadow", row("HARECEIVE", "a@x", "", "", "SMTP"), nil},
		{"agent", row("AGENTINFO", "a@x", "", "", "AGENT"), nil},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, headerTiny+test.row, test.want, 0) })
	}
	t.Run("unknown event", func(t *testing.T) { check(t, headerTiny+row("VANISH", "a@x", "", "", "SMTP"), nil, 1) })
	t.Run("bad time", func(t *testing.T) {
		check(t, headerTiny+strings.Replace(row("DELIVER", "a@x", "", "", "SMTP"), "2026-11-20T", "2026-11-31T", 1), nil, 1)
	})
	t.Run("no id", func(t *testing.T) {
		check(t, headerTiny+strings.Replace(row("FAIL", "a@x", "", "", "SMTP"), ",m1,", ",,", 1), nil, 0)
	})
}

// row2007 is a DELIVER to a recipient, with a subject as it is.
func row2007(recipient, subject string) string {
	return "2026-11-20T01:00:00.000Z,,EX01,,EX02,,,STOREDRIVER,DELIVER,1,<" + recipient + ">," + recipient + ",,1,1,,," + subject + ",s@x,s@x,2026-11-20T00:59:00.000Z\n"
}

// TestEnd ends logs in the middle of a row, of an object, and nowhere.
func TestEnd(t *testing.T) {
	object := "Timestamp : 11/20/2026 9:28:06 AM\nEventId   : FAIL\nMessageId : <m@x>\nRecipients : {a@x}\n"
	for _, test := range []struct {
		name, log, want string
		result          parsers.Result
	}{
		{"whole", header2007 + row2007("a@x", "hi"), "delivered a@x", parsers.Understood},
		{"torn", header2007 + row2007("a@x", "\"hi") + row2007("b@x", "hi") + row2007("c@x", "hi"), "delivered b@x; delivered c@x", parsers.Unparsed},
		{"torn twice", header2007 + row2007("a@x", "\"hi") + row2007("b@x", "hi") + row2007("c@x", "\"hi"), "delivered b@x", parsers.Unparsed},
		{"list", strings.ReplaceAll(object, "Timestamp ", "Timestamp  ") + "RecipientStatus : {550 5.1.1 no}\n", "", parsers.Unparsed},
		{"aligned list", "Timestamp       : 11/20/2026 9:28:06 AM\nEventId         : FAIL\nMessageId       : <m@x>\nRecipients      : {a@x}\nRecipientStatus : {550 5.1.1 no}\n", "failed a@x 550 5.1.1 local", parsers.Understood},
		{"an end of it", "Timestamp       : 11/20/2026 9:28:06 AM\n", "", parsers.Unparsed},
		{"nothing", "", "", parsers.Understood},
	} {
		s := newStream(t, "auto")
		var got []string
		emit := func(r *parsers.Record) {
			if b := brief(r); b != "" {
				got = append(got, b)
			}
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(test.log, "\n"), "\n") {
			s.Parse([]byte(line), emit)
		}
		if _, result := s.End(emit); strings.Join(got, "; ") != test.want || result != test.result {
			t.Errorf("%s: got %q, %v; want %q, %v", test.name, got, result, test.want, test.result)
		}
		if _, result := s.End(emit); result != parsers.Understood {
			t.Errorf("%s: the second end was %v", test.name, result)
		}
	}
}

func TestRowsOfManyLines(t *testing.T) {
	hostile := "2026-11-20T01:00:00.000Z,,EX01,,EX02,,,STOREDRIVER,FAIL,1,<v>,victim@x,550 5.1.1 No,1,1,,,s,s@x,s@x,"
	for _, test := range []struct {
		name, log string
		want      []string
		unparsed  int
	}{
		{"line breaks in a subject", header2007 + row2007("a@x", "\"one\ntwo \"\"2\"\"\n\nthree\"") + row2007("b@x", "plain"),
			[]string{"delivered a@x", "delivered b@x"}, 0},
		{"carriage returns", strings.ReplaceAll(header2007+row2007("a@x", "\"one\ntwo\"")+row2007("b@x", "plain"), "\n", "\r\n"),
			[]string{"delivered a@x", "delivered b@x"}, 0},
		{"a subject that looks like a row", header2007 + row2007("a@x", "\"one\n"+hostile+"\ntwo\"") + row2007("b@x", "plain"),
			[]string{"delivered a@x", "delivered b@x"}, 0},
		{"a subject that looks like a header", header2007 + row2007("a@x", "\"one\n#Software: Microsoft Exchange Server\n#Log-type: SMTP Send Protocol Log\n#Fields: date-time\ntwo\"") + row2007("b@x", "plain"),
			[]string{"delivered a@x", "delivered b@x"}, 0},
		{"a torn row", header2007 + "2026-11-20T01:00:00.000Z,10.20\n" + row2007("b@x", "plain"),
			[]string{"delivered b@x"}, 1},
		{"a row torn inside quotes", header2007 + "2026-11-20T01:00:00.000Z,10.20,\"MDB:0\n" + row2007("b@x", "plain") + row2007("c@x", `"quoted, once"`) + row2007("d@x", "plain"),
			[]string{"delivered b@x", "delivered c@x", "delivered d@x"}, 1},
		{"a row torn inside quotes, then the header", header2007 + "2026-11-20T01:00:00.000Z,10.20,\"MDB:0\n" + row2007("b@x", "plain") + header2007 + row2007("c@x", "plain"),
			[]string{"delivered b@x", "delivered c@x"}, 1},
		{"text behind a quote", header2007 + row2007("a@x", `"one" two`) + row2007("b@x", "plain"),
			[]string{"delivered b@x"}, 1},
		{"quotes that are never closed", header2007 + row2007("a@x", `"one`) + strings.Repeat(row2007("b@x", "plain"), 10_001),
			slices.Repeat([]string{"delivered b@x"}, 10_001), 1},
		{"header again", header2007 + row2007("a@x", "s") + header2007 + row2007("b@x", "s"),
			[]string{"delivered a@x", "delivered b@x"}, 0},
		{"byte order mark", "\ufeff" + header2007 + row2007("a@x", "s"), []string{"delivered a@x"}, 0},
		{"no header", row2007("a@x", "\"two\nlines\"") + row2007("b@x", "s"), []string{"delivered a@x", "delivered b@x"}, 0},
		{"NUL bytes", header2007 + row2007("a@x", "s") + "\x00\x00\x00" + row2007("b@x", "s"), []string{"delivered a@x", "delivered b@x"}, 0},
		{"blank lines", header2007 + "\n" + row2007("a@x", "s") + "\n\r\n" + row2007("b@x", "s"), []string{"delivered a@x", "delivered b@x"}, 0},
		{"other columns from a header on", header2007 + row2007("a@x", "s") + headerTiny + "DELIVER,2026-11-20T00:00:00.000Z,b@x,,m1,,STOREDRIVER,EX01,,hi,15\n",
			[]string{"delivered a@x", "delivered b@x"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) { check(t, test.log, test.want, test.unparsed) })
	}
}

// dialogue makes a protocol log of a session from lines like "> EHLO a".
func dialogue(header, connector, lines string) string {
	b := strings.Builder{}
	b.WriteString(header)
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		line = strings.TrimSpace(line)
		data, context := strings.TrimSpace(line[1:]), ""
		if line[0] == '*' {
			data, context = "", data
		}
		if line[0] == '|' { // a row of another session
			fmt.Fprintf(&b, "2026-11-20T00:00:00.000Z,%s,08DE0000003A0002,%d,10.0.0.1:1,192.0.2.2:25,%c,%q,\n", connector, i, data[0], data[2:])
			continue
		}
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		fmt.Fprintf(&b, "2026-11-20T00:00:00.000Z,%s,08DE0000003A0001,%d,10.0.0.1:1,192.0.2.1:25,%c,%s,%s\n", connector, i, line[0], quote(data), quote(context))
	}
	return b.String()
}

func TestSend(t *testing.T) {
	const start = "* attempting to connect\n+\n< 220 mx.example ESMTP\n> EHLO a\n< 250-mx.example\n< 250 PIPELINING\n* sending message with RecordId 1 and InternetMessageId <m@x>\n"
	for _, test := range []struct {
		name, dialogue string
		want           []string
	}{
		{"delivered", start + "> MAIL FROM:<s@x> SIZE=1\n> RCPT TO:<a@x>\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\n< 250 2.0.0 queued\n> QUIT\n< 221 bye\n-",
			[]string{"delivered a@x"}},
		{"each RCPT its own reply", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n> RCPT TO:<b@x>\n> RCPT TO:<c@x>\n< 250 ok\n< 550 5.1.1 no\n< 250 ok\n< 450 4.2.0 later\n> BDAT 5 LAST\n< 250 ok\n-",
			[]string{"failed a@x 550 5.1.1 rcpt remote", "deferred c@x 450 4.2.0 rcpt remote", "delivered b@x"}},
		{"the message is refused", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n> RCPT TO:<b@x>\n< 250 ok\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\n< 550-5.7.1 Spam\n< 550 5.7.1 Bye\n-",
			[]string{"failed a@x 550 5.7.1 end-of-data remote", "failed b@x 550 5.7.1 end-of-data remote"}},
		{"DATA is refused", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 250 ok\n> DATA\n< 451 4.3.0 no\n-",
			[]string{"deferred a@x 451 4.3.0 data remote"}},
		{"a chunk is refused", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 250 ok\n> BDAT 5\n< 552 5.3.4 big\n> BDAT 5 LAST\n< 503 no\n-",
			[]string{"failed a@x 552 5.3.4 data remote"}},
		{"MAIL is refused, pipelined", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 452 4.3.1 full\n< 503 5.5.2 Need mail command\n> QUIT\n< 221 bye\n-",
			[]string{"deferred a@x 452 4.3.1 mail remote"}},
		{"MAIL is refused alone", start + "> MAIL FROM:<s@x>\n< 550 5.7.1 no\n> RSET\n< 250 ok\n-", []string{"no connection mx.example 550 5.7.1 mail remote"}},
		{"lost before the answer", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n> RCPT TO:<b@x>\n< 250 ok\n< 250 ok\n- Remote",
			[]string{"deferred a@x network", "deferred b@x network"}},
		{"a second message", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 250 ok\n> DATA\n< 354 go\n< 250 ok\n* sending message with RecordId 2 and InternetMessageId <n@x>\n> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550 5.1.1 no\n-",
			[]string{"delivered a@x", "failed a@x 550 5.1.1 rcpt remote"}},
		{"replies in one row", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550-5.1.1 no\\n550 5.1.1 see\n-",
			[]string{"failed a@x 550 5.1.1 rcpt remote"}},
		{"the last row of a reply is missing", start + "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550-5.1.1 no\n> QUIT\n< 221 bye\n-",
			[]string{"failed a@x 550 5.1.1 rcpt remote"}},
		{"sessions interleaved", start + "> MAIL FROM:<s@x>\n| > MAIL FROM:<t@x>\n> RCPT TO:<a@x>\n| > RCPT TO:<z@x>\n< 250 ok\n| < 250 ok\n| < 550 5.1.1 z\n< 450 4.2.1 a\n-",
			[]string{"failed z@x 550 5.1.1 rcpt remote", "deferred a@x 450 4.2.1 rcpt remote"}},
		{"odd addresses", start + `> MAIL FROM:<> SIZE=1` + "\n" + `> RCPT TO:<"a > b"@x> NOTIFY=NEVER` + "\n< 250 ok\n< 550 5.1.1 no\n-",
			[]string{`failed "a > b"@x 550 5.1.1 rcpt remote`}},
		{"no connection", "* attempting to connect\n* Failed to connect. Winsock error code: 10060, Win32 error code: 10060, Destination domain: x, Error Message: No",
			[]string{"no connection x connect network"}},
		{"refused to talk", "+\n< 554 5.7.1 go away\n> QUIT\n< 221 bye\n-", []string{"no connection 554 5.7.1 banner remote"}},
		{"lost before the greeting", "+\n- Remote", []string{"no connection banner network"}},
		{"EHLO refused", "+\n< 220 mx.example\n> EHLO a\n< 501 5.5.4 bad\n> HELO a\n< 550 5.7.1 you again\n-", []string{"no connection mx.example 550 5.7.1 ehlo remote"}},
		{"HELO taken", "+\n< 220 mx\n> EHLO a\n< 501 5.5.4 bad\n> HELO a\n< 250 mx\n> QUIT\n-", nil},
		{"STARTTLS refused", start + "> STARTTLS\n< 454 4.7.0 TLS not available\n> QUIT\n-", []string{"no connection mx.example 454 4.7.0 starttls remote"}},
		{"STARTTLS refused, goes on", start + "> STARTTLS\n< 454 4.7.0 no\n> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550 5.1.1 no\n-",
			[]string{"failed a@x 550 5.1.1 rcpt remote"}},
		{"TLS failed", "+\n< 220 mx.example\n> EHLO a\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n* TLS negotiation failed with error CertUnknown\n- Local",
			[]string{"no connection mx.example starttls tls"}},
		{"AUTH refused", start + "> AUTH LOGIN\n< 334 <authentication response>\n> <Binary Data>\n< 535 5.7.8 no\n> QUIT\n-",
			[]string{"no connection mx.example 535 5.7.8 auth remote"}},
		{"the beginning is in another file", "> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550 5.1.1 no\n-",
			[]string{"failed a@x 550 5.1.1 rcpt remote"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, dialogue(headerSend, "Outbound", test.dialogue), test.want, 0)
		})
	}
	t.Run("internal connector", func(t *testing.T) {
		check(t, dialogue(headerSend, "Intra-Organization SMTP Send Connector", start+"> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550 5.1.1 no\n-"), nil, 0)
	})
}

// TestServerName takes no other words for the name of a server.
func TestServerName(t *testing.T) {
	for greeting, want := range map[string]string{
		"220 mx.birch.example ESMTP":       "mx.birch.example",
		"220-mx1.birch.example Welcome":    "mx1.birch.example",
		"220 ************":                 "",
		"220 **.*****":                     "",
		"220 Welcome to our server":        "",
		"220 ESMTP ready":                  "",
		"220 Go ahead":                     "",
		"220 Hello. Who are you?":          "",
		"220":                              "",
		"250-mx.birch.example Hello [1.2]": "mx.birch.example",
	} {
		if got := string(exchange.ServerName([]byte(greeting))); got != want {
			t.Errorf("%s: got %q, want %q", greeting, got, want)
		}
	}
	const log = "+\n< 220 ************\n> EHLO a\n< 250-mx.birch.example Hello\n< 250 SIZE\n> MAIL FROM:<s@x>\n< 550 5.7.1 no\n-"
	check(t, dialogue(headerSend, "Outbound", log), []string{"no connection mx.birch.example 550 5.7.1 mail remote"}, 0)
}

func TestReceive(t *testing.T) {
	const start = "+\n> 220 mail.example\n< EHLO client.example\n> 250 ok\n"
	for _, test := range []struct {
		name, dialogue string
		want           []string
	}{
		{"accepted", start + "< MAIL FROM:<s@x>\n> 250 ok\n< RCPT TO:<a@x>\n> 250 ok\n< DATA\n> 354 go\n> 250 queued\n-", nil},
		{"connection", "+\n> 421 4.3.2 Service not available\n-", []string{"rejected deferred 421 4.3.2 connect local"}},
		{"MAIL, once", start + "< MAIL FROM:<s@x>\n< RCPT TO:<a@x>\n< RCPT TO:<b@x>\n> 550 5.7.1 no\n> 503 5.5.2 Need mail command\n> 503 5.5.2 Need mail command\n-",
			[]string{"rejected failed 550 5.7.1 mail local"}},
		{"RCPT, each", start + "< MAIL FROM:<s@x>\n< RCPT TO:<a@x>\n< RCPT TO:<b@x>\n> 250 ok\n> 550 5.1.1 no\n> 452 4.3.1 full\n-",
			[]string{"rejected failed a@x 550 5.1.1 rcpt local", "rejected deferred b@x 452 4.3.1 rcpt local"}},
		{"message, each accepted", start + "< MAIL FROM:<s@x>\n< RCPT TO:<a@x>\n< RCPT TO:<b@x>\n< RCPT TO:<c@x>\n> 250 ok\n> 250 ok\n> 550 5.1.1 no\n> 250 ok\n< BDAT 7 LAST\n> 554 5.6.0 bad\n-",
			[]string{"rejected failed b@x 550 5.1.1 rcpt local", "rejected failed a@x 554 5.6.0 end-of-data local", "rejected failed c@x 554 5.6.0 end-of-data local"}},
		{"AUTH", start + "< AUTH LOGIN\n> 334 <authentication response>\n* Inbound AUTH LOGIN failed because of LogonDenied\n> 535 5.7.3 Authentication unsuccessful\n-", nil},
		{"words behind AUTH", start + "< AUTH LOGIN\n> 334 VXNlcm5hbWU6\n< MAIL\n> 334 UGFzc3dvcmQ6\n< c2VjcmV0\n> 535 5.7.3 no\n-", nil},
		{"lost", start + "< MAIL FROM:<s@x>\n> 250 ok\n< RCPT TO:<a@x>\n> 250 ok\n- Remote", nil},
		{"hangs up unasked", start + "> 421 4.4.1 Connection timed out\n-", nil},
		{"passed on by a frontend", start + "< XPROXYFROM SID=1 IP=192.0.2.7 PORT=1 DOMAIN=client.example\n> 250 ok\n< MAIL FROM:<s@x>\n> 250 ok\n< RCPT TO:<a@x>\n> 550 5.1.1 no\n-", nil},
		{"submitted through a frontend", start + "< XPROXY SID=1 IP=192.0.2.7 PORT=1 DOMAIN=client.example SECID=Uy0xLTU\n> 250 XProxy accepted\n< MAIL FROM:<s@x>\n> 250 ok\n< RCPT TO:<a@x>\n> 550 5.7.60 no\n-",
			[]string{"rejected failed a@x 550 5.7.60 rcpt local"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, dialogue(headerRecv, `EX01\Default Frontend EX01`, test.dialogue), test.want, 0)
		})
	}
}

// TestSubmission looks who is told to have submitted what a frontend passed on.
func TestSubmission(t *testing.T) {
	log := dialogue(headerRecv, `EX01\Client Proxy EX01`, "+\n> 220 mail.example\n< EHLO EX01\n> 250 ok\n< XPROXY SID=1 IP=192.0.2.7 PORT=1 DOMAIN=client.example\n> 250 ok\n< MAIL FROM:<s@x>\n> 550 5.7.60 no\n-")
	s := newStream(t, "auto")
	var clients []string
	for line := range strings.SplitSeq(log, "\n") {
		s.Parse([]byte(line), func(r *parsers.Record) { clients = append(clients, fmt.Sprintf("%s[%s]", r.Client, r.ClientIP)) })
	}
	if want := []string{"client.example[192.0.2.7]"}; !slices.Equal(clients, want) {
		t.Errorf("got %q, want %q", clients, want)
	}
}

// TestLogType reads headers in both ways of writing that occur.
func TestLogType(t *testing.T) {
	log := dialogue(headerRecv, `EX01\Client`, "+\n> 220 mail.example\n< EHLO a\n> 250 ok\n< MAIL FROM:<s@x>\n> 550 5.7.60 no\n-")
	check(t, strings.Replace(log, "#Log-type:", "#Log-Type:", 1), []string{"rejected failed 550 5.7.60 mail local"}, 0)
}

func TestConnectivity(t *testing.T) {
	const header = "#Log-type: Transport Connectivity Log\n#Fields: date-time,session,source,Destination,direction,description\n"
	row := func(session, source, destination, rest string) string {
		return "2026-11-20T00:00:00.000Z," + session + "," + source + "," + destination + "," + rest + "\n"
	}
	const a, b = "08DE0000004D0001", "08DE0000004D0002"
	for _, test := range []struct {
		name, rows string
		want       []string
	}{
		{"used", row(a, "SMTP", "x", "+,DnsConnectorDelivery") + row(a, "SMTP", "x", "-,Messages: 1 Bytes: 9 ()"), nil},
		{"refused", row(a, "SMTP", "x", ">,Failed connection to 192.0.2.1:25 (ConnectionRefused:0000274D)[TargetHost:mx.x:25|MarkedUnhealthy]") +
			row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (Retry : Unable to connect)"), []string{"no connection x connect network: Failed connection to 192.0.2.1:25 (ConnectionRefused:0000274D)"}},
		{"the second address answers", row(a, "SMTP", "x", ">,Failed connection to 192.0.2.1:25 (TimedOut:0000274C)") +
			row(a, "SMTP", "x", ">,Established connection to 192.0.2.2") + row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (Retry)"), []string{"no connection x: Retry"}},
		{"no such domain", row(a, "SMTP", "x", ">,DNS server returned InfoDomainNonexistent reported by 192.0.2.53. [Domain:Result] = x:NonexistentDomain;") +
			row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (The DNS query for  'x' failed with error : ErrorRetry)"),
			[]string{"no connection x dns dns: DNS server returned InfoDomainNonexistent reported by 192.0.2.53. [Domain:Result] = x:NonexistentDomain;"}},
		{"no such domain, 2013", row(a, "SMTP", "x", ">,Non-existent domain reported by 192.0.2.53. [Domain:Result] = x") +
			row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (The domain name does not exist. Please correct the address and try again.)"),
			[]string{"no connection x dns dns: Non-existent domain reported by 192.0.2.53. [Domain:Result] = x"}},
		{"aborted", row(a, "SMTP", "x", ">,mx.x[192.0.2.1]") + row(a, "SMTP", "x", "-,Aborted connection to 192.0.2.1"), []string{"no connection x: Aborted connection to 192.0.2.1"}},
		{"TLS", row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (Retry : TLS negotiation failed with error CertUnknown)"),
			[]string{"no connection x starttls tls: Retry : TLS negotiation failed with error CertUnknown"}},
		{"sessions interleaved", row(a, "SMTP", "x", ">,Failed connection to 192.0.2.1:25 (TimedOut:0000274C)") +
			row(b, "SMTP", "y", "-,Messages: 0 Bytes: 0 (Retry : Unable to connect)") + row(a, "SMTP", "x", "-,Messages: 0 Bytes: 0 (Retry : Unable to connect)"),
			[]string{"no connection y connect network: Retry : Unable to connect", "no connection x connect network: Failed connection to 192.0.2.1:25 (TimedOut:0000274C)"}},
		{"cached", row(a, "SMTP", "x", "-,Using Cached Session 08DE0000004DFFFF"), nil},
		{"submission", row(a, "MapiSubmission", "x", "-,RegularSubmissions: 0 ShadowSubmissions: 0 Failures: 1"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			s := newStream(t, "auto")
			for line := range strings.SplitSeq(strings.TrimSuffix(header+test.rows, "\n"), "\n") {
				if result := s.Parse([]byte(line), func(r *parsers.Record) {
					if b := brief(r); b != "" {
						got = append(got, b+": "+string(r.Reply.Text))
					}
				}); result == parsers.Unparsed {
					t.Errorf("not understood: %s", line)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q\nwant %q", got, test.want)
			}
		})
	}
}

// TestSessionAcrossFiles reads a session whose end is in the next file of the
// series, which begins with a header: the same stream reads both.
func TestSessionAcrossFiles(t *testing.T) {
	log := dialogue(headerSend, "Out", "+\n< 220 mx\n> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n> RCPT TO:<b@x>\n< 250 ok\n< 550-5.1.1 no\n< 550 5.1.1 no\n< 250 ok\n> BDAT 3 LAST\n< 250 ok\n-")
	lines := strings.SplitAfter(log, "\n")
	for i := 6; i < len(lines); i++ {
		two := strings.Join(lines[:i], "") + headerSend + strings.Join(lines[i:], "")
		check(t, two, []string{"failed a@x 550 5.1.1 rcpt remote", "delivered b@x"}, 0)
	}
}

// TestQuietSessions looks for sessions that never end: they are kept over midnight,
// and are not dragged along for ever.
func TestQuietSessions(t *testing.T) {
	row := func(day int, session, event, data string) string {
		return fmt.Sprintf("2026-11-%02dT00:00:00.000Z,Out,%s,1,10.0.0.1:1,192.0.2.1:25,%s,%s,", day, session, event, data)
	}
	s := newStream(t, "auto")
	var got []string
	parse := func(lines ...string) {
		for _, line := range lines {
			s.Parse([]byte(line), func(r *parsers.Record) {
				if b := brief(r); b != "" {
					got = append(got, b)
				}
			})
		}
	}
	size := func() int {
		state, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(state)
	}
	parse(strings.Split(strings.TrimSpace(headerSend), "\n")...)
	parse(row(20, "OTHER", "+", ""), row(20, "OTHER", "-", ""))
	got = nil
	empty := size()
	for i := range 200 {
		id := fmt.Sprintf("QUIET%04d", i)
		parse(row(20, id, "+", ""), row(20, id, ">", "MAIL FROM:<s@x>"), row(20, id, ">", "RCPT TO:<a@x>"))
	}
	full := size()
	parse(row(21, "QUIET0007", "<", "250 ok"), row(22, "QUIET0007", "<", "550 5.1.1 no"))
	if want := []string{"failed a@x 550 5.1.1 rcpt remote"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if few := size(); few > empty+(full-empty)/100 {
		t.Errorf("the state has %d bytes; %d with 200 sessions, %d without one", few, full, empty)
	}
	parse(row(22, "QUIET0008", "<", "250 ok"), row(22, "QUIET0008", "<", "550 5.1.1 no"))
	if len(got) > 1 {
		t.Errorf("a session went on after more than a day: %q", got[1:])
	}
	parse(row(24, "OTHER", "+", ""), row(24, "OTHER", "-", ""))
	if end := size(); end > empty+1 { // it counts the sessions
		t.Errorf("the state has %d bytes, about %d as at the beginning", end, empty)
	}
}

// TestStatesOfOlderVersions goes on where other versions of mailfail stopped: in a
// quoted row, in a session, and under headers.
func TestStatesOfOlderVersions(t *testing.T) {
	const begin = "\x01\x00\x00\x00\x00\xff\xff\xdd\xf2\xdf\xff\xdf\xdc\x01"
	tracking := strings.TrimSuffix(header2007[strings.Index(header2007, "date-time"):], "\n")
	send := strings.TrimSuffix(headerSend[strings.Index(headerSend, "date-time"):], "\n")
	for name, test := range map[string]struct{ state, rest, want string }{
		"tracking": {begin + "\x11exchange-tracking\x11exchange-tracking\x00\x00\x00\x11exchange-tracking\xfa\x02\x01,\xa3\x02" + tracking +
			"\x00\x01P2026-11-20T01:00:00.000Z,,EX01,,EX02,,,STOREDRIVER,DELIVER,1,<a@x>,a@x,,1,1,,,\"t", "wo\",s@x,s@x,", "delivered a@x"},
		"send": {begin + "\x11exchange-smtpsend\x11exchange-smtpsend\x00\x00\x00\x11exchange-smtpsend\xb8\x01\x01,c" + send +
			"\x00\x00\x01\x01\x01\x1008DE0000003A0001\x02mx\x00\x1208DE0000003A0001/4\x03s@x\f550-5.1.1 no\x03550\x00\x01\x01\x00\x00\x00\x00\x01\x03a@x\x00\x01\x02\x00" +
			"\x11exchange-tracking\x05\x01,\x00\x00\x00",
			"2026-11-20T00:00:00.000Z,Out,08DE0000003A0001,8,10.0.0.1:1,192.0.2.1:25,<,550 5.1.1 no,\n2026-11-20T00:00:00.000Z,Out,08DE0000003A0001,9,10.0.0.1:1,192.0.2.1:25,-,,",
			"failed a@x 550 5.1.1 rcpt remote"},
		"send 2": {begin + "\x11exchange-smtpsend\x11exchange-smtpsend\x00\x00\x00\x11exchange-smtpsend\xb2\x01\x02,c" + send +
			"\x00\x00\x01\x01\x01\x1008DE0000003A0001\x02mx\x00\x1208DE0000003A0001/2\x03s@x\x00\x00\x00\x03\x00\x00\x00\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03a@x\x00\x01\x05\x00" +
			"\x11exchange-tracking\x06\x02,\x00\x00\x00\x00",
			"2026-11-20T00:00:00.000Z,Out,08DE0000003A0001,8,10.0.0.1:1,192.0.2.1:25,<,550 5.1.1 no,",
			"failed a@x 550 5.1.1 rcpt remote"},
		"connectivity": {begin + "\x15exchange-connectivity\x15exchange-connectivity\x00\x00\x00\x15exchange-connectivity?\x01,:date-time,session,source,Destination,direction,description\x00\x00" +
			"\x11exchange-tracking\x05\x01,\x00\x00\x00", "2026-11-20T00:00:00.000Z,08DE0000003A0001,SMTP,x.example,-,Messages: 0 Bytes: 0 (Unable to connect)", "no connection x.example connect network"},
		"trace": {begin + "\x15exchange-online-trace\x15exchange-online-trace\x00\x00\x00\x15exchange-online-trace>\x01,8Status,RecipientAddress,SenderAddress,Received,MessageId\x00\x00\x00",
			"Failed,a@x,s@x,2026-11-20T00:00:00,<m@x>", "failed a@x"},
	} {
		s := newStream(t, "auto")
		if err := s.UnmarshalBinary([]byte(test.state)); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for line := range strings.SplitSeq(test.rest, "\n") {
			s.Parse([]byte(line), func(r *parsers.Record) {
				if b := brief(r); b != "" {
					got = append(got, b)
				}
			})
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestSecrets looks for what follows AUTH in records, in states, and in what is
// shown of lines that are not understood.
func TestSecrets(t *testing.T) {
	const start = "+\n> 220 mail.example\n< EHLO client.example\n> 250 ok\n"
	const after = "\n< MAIL FROM:<s@x>\n> 530 5.7.1 Client was not authenticated"
	torn := func(said string) string {
		return "2026-11-20T00:00:00.000Z,EX01\\Client,08DE0000003A0001,9,10.0.0.1:1,192.0.2.1:25,<," + said + "\n"
	}
	for name, log := range map[string]string{
		"login":      dialogue(headerRecv, `EX01\Client`, start+"< AUTH LOGIN czNjcmV0\n> 334 x\n< czNjcmV0\n> 500 5.3.3 Unrecognized command 'czNjcmV0'"+after),
		"in a reply": dialogue(headerRecv, `EX01\Client`, start+"< AUTH LOGIN czNjcmV0\n> 535-5.7.3 What is czNjcmV0\n> 535-5.7.3 czNjcmV0\n> 535 5.7.3 czNjcmV0"+after),
		"sent":       dialogue(headerSend, "Out", start[:2]+"< 220 mx\n> EHLO a\n< 250 ok\n> AUTH PLAIN czNjcmV0\n< 535-5.7.3 What is czNjcmV0\n< 535 5.7.3 no\n-"),
		"torn":       dialogue(headerRecv, `EX01\Client`, start) + torn("AUTH PLAIN czNjcmV0") + torn("czNjcmV0") + "czNjcmV0,\n" + torn(`"AUTH PLAIN czNjcmV0`),
		"cut off":    dialogue(headerRecv, `EX01\Client`, start) + torn(`"czNjcmV0`)[len("2026-11-20T"):] + "czNjcmV0\nczNjcmV0\n",
		"torn, blob": dialogue(headerRecv, `EX01\Client`, start) + torn(`"czNjcmV0`) + "czNjcmV0\n",
	} {
		s := newStream(t, "auto")
		var seen strings.Builder
		for line := range strings.SplitSeq(log, "\n") {
			if s.Parse([]byte(line), func(r *parsers.Record) { seen.WriteString(describe(r)) }) == parsers.Unparsed {
				seen.Write(s.Redact([]byte(line)))
			}
			state, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			seen.Write(state)
		}
		if strings.HasSuffix(log, "authenticated") && !strings.Contains(seen.String(), "Client was not authenticated") {
			t.Errorf("%s: the rejection is missing", name)
		}
		if strings.Contains(seen.String(), "czNjcmV0") {
			t.Errorf("%s: what follows AUTH was kept", name)
		}
	}
}

func TestTooManySessions(t *testing.T) {
	s := newStream(t, "exchange-smtpsend")
	failed := 0
	say := func(id int, seq, event, data string) {
		s.Parse(fmt.Appendf(nil, "2026-11-20T00:00:00.000Z,Out,%016X,%s,10.0.0.1:1,192.0.2.1:25,%s,%s,", id, seq, event, data), func(r *parsers.Record) {
			if r.Kind == parsers.Attempt {
				failed++
			}
		})
	}
	const sessions = 8_000
	for id := range sessions {
		say(id, "9", ">", "MAIL FROM:<s@x>")
		say(id, "10", ">", "RCPT TO:<a@x>")
	}
	for id := range sessions {
		say(id, "11", "<", "250 ok")
		say(id, "12", "<", "550 5.1.1 no")
	}
	if failed < 2048 || failed > 4096 {
		t.Errorf("answers to %d sessions found their recipients, want those of the last few thousand", failed)
	}
	endless := 300_000
	if testing.Short() {
		endless = 60_000 // without a bound they take 5 MB
	}
	for range endless { // a client that names recipients for ever
		say(1, "13", ">", "RCPT TO:<a@x>")
	}
	state, err := s.AppendBinary(nil)
	if err != nil || len(state) > 2<<20 {
		t.Errorf("state: %d bytes, %v", len(state), err)
	}
}

func TestOnlineForms(t *testing.T) {
	const object = `"Organization":"x","MessageId":"\u003cm@x\u003e","Received":"2026-11-20T00:00:00.1234567","SenderAddress":"s@x","RecipientAddress":"%s","Subject":"a } \" { b","Status":"%s","ToIP":null,"FromIP":"192.0.2.1","Size":87891,"MessageTraceId":"cf7a249a-5edd-4350-130a-08da8f69e0f6"`
	one := "{" + fmt.Sprintf(object, "a@x", "Delivered") + "}"
	two := "{" + fmt.Sprintf(object, "b@x", "Failed") + "}"
	want := []string{"delivered a@x", "failed b@x"}
	pretty := strings.NewReplacer("{\"", "{\n    \"", `","`, "\",\n    \"", `"}`, "\"\n}", `":"`, `":  "`)
	for name, log := range map[string]string{
		"an object a line":      one + "\n" + two + "\n",
		"an array":              "[" + one + "," + two + "]\n",
		"web service":           `{"odata.metadata":"https://x/$metadata","value":[` + one + "," + two + "]}\n",
		"old web service":       `{"d":{"results":[` + one + "," + two + "]}}\n",
		"array, many lines":     "[\n" + pretty.Replace(one) + ",\n" + pretty.Replace(two) + "\n]\n",
		"service, many lines":   "{\n  \"value\": [\n" + pretty.Replace(one) + ",\n" + pretty.Replace(two) + "\n]\n}\n",
		"CSV":                   "\"MessageId\",\"Received\",\"SenderAddress\",\"RecipientAddress\",\"Subject\",\"Status\",\"MessageTraceId\"\n\"<m@x>\",\"11/20/2026 12:00:00 AM\",\"s@x\",\"a@x\",\"x\ny\",\"Delivered\",\"1\"\n\"<m@x>\",\"11/20/2026 12:00:00 AM\",\"s@x\",\"b@x\",\"x\",\"Failed\",\"1\"\n",
		"CSV with semicolons":   "\"MessageId\";\"Received\";\"SenderAddress\";\"RecipientAddress\";\"Subject\";\"Status\";\"MessageTraceId\"\n\"<m@x>\";\"20.11.2026 00:00:00\";\"s@x\";\"a@x\";\"x, y\";\"Delivered\";\"1\"\n\"<m@x>\";\"20.11.2026 00:00:00\";\"s@x\";\"b@x\";\"x\";\"Failed\";\"1\"\n",
		"summary":               "origin_timestamp_utc,sender_address,recipient_status,message_id,network_message_id\n2026-11-20T00:00:00.0000000Z,s@x,\"a@x##Send;b@x##Fail\",<m@x>,6bbe76a195564f1dbbeec335e7c78520\n",
		"extended report":       "date_time_utc,client_ip,client_hostname,server_ip,server_hostname,source_context,connector_id,source,event_id,internal_message_id,message_id,network_message_id,recipient_address,recipient_status,total_bytes,related_recipient_address,return_path,message_info\n2026-11-20T00:00:00.0000000Z,,a,,b,,,SMTP,SENDEXTERNAL,1,<m@x>,6bbe76a1-9556-4f1d-bbee-c335e7c78520,a@x,,1,,s@x,\n2026-11-20T00:00:00.0000000Z,,a,,b,,,SMTP,FAIL,1,<m@x>,6bbe76a1-9556-4f1d-bbee-c335e7c78520,b@x,,1,,s@x,\n",
		"CSV, order and more":   "Status,Nonsense,RecipientAddress,SenderAddress,Received,MessageId\nDelivered,x,a@x,s@x,2026-11-20T00:00:00,<m@x>\nFailed,x,b@x,s@x,2026-11-20T00:00:00,<m@x>\n",
		"CSV twice, with #TYPE": "#TYPE Deserialized.Microsoft.Exchange.Management.FfoReporting.MessageTrace\nStatus,RecipientAddress,SenderAddress,Received,MessageId\nDelivered,a@x,s@x,2026-11-20T00:00:00,<m@x>\n#TYPE Deserialized.Microsoft.Exchange.Management.FfoReporting.MessageTrace\nRecipientAddress,Status,SenderAddress,Received,MessageId\nb@x,Failed,s@x,2026-11-20T00:00:00,<m@x>\n",
	} {
		t.Run(name, func(t *testing.T) {
			format := "auto"
			if strings.HasSuffix(name, "many lines") {
				format = "exchange-online-trace"
			}
			got, results := runAs(t, format, log)
			for i := range got { // where the tracking log knows more
				got[i] = strings.TrimSuffix(got[i], " remote")
			}
			if !slices.Equal(got, want) || results[parsers.Unparsed] > 0 {
				t.Errorf("got %q, %v\nof %s", got, results, log)
			}
		})
	}
	for status, want := range map[string]string{
		"FilteredAsSpam": "delivered a@x", "Pending": "expected a@x", "GettingStatus": "expected a@x",
		"Quarantined": "expected a@x", "Expanded": "replaced a@x", "Nonsense": "",
	} {
		got, _ := run(t, "{"+fmt.Sprintf(object, "a@x", status)+"}\n")
		if strings.Join(got, "") != want {
			t.Errorf("%s: got %q, want %q", status, got, want)
		}
	}
	const summary = "origin_timestamp_utc,sender_address,recipient_status,message_id,network_message_id\n2026-11-20T00:00:00.0000000Z,s@x,\"a@x##%s\",<m@x>,1\n"
	for events, want := range map[string]string{
		"Receive, Defer, Deliver": "expected a@x; deferred a@x; delivered a@x",
		"Receive, Drop":           "expected a@x; discarded a@x",
		"Receive, Expand, Drop":   "expected a@x; replaced a@x; replaced a@x",
		"Receive, Nonsense":       "expected a@x; expected a@x",
	} {
		got, _ := run(t, fmt.Sprintf(summary, events))
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: got %q, want %q", events, got, want)
		}
	}
}

// TestNothingClaimsTheRest reads lines that look like the beginning of some log
// where they are not: what follows stays what it is.
func TestNothingClaimsTheRest(t *testing.T) {
	const online = "MessageTraceId,Subject,Received,SenderAddress,RecipientAddress,Status\n"
	check(t, "{\n[\n"+row2007("a@x", "s"), []string{"delivered a@x"}, 2)
	check(t, online+"1,\", SMTPSVC1, x\",2026-11-20T00:00:00,s@x,a@x,Delivered\n1,x,2026-11-20T00:00:00,s@x,b@x,Delivered\n",
		[]string{"delivered a@x", "delivered b@x"}, 0)
	check(t, online+"1,\"#Log-type: ECP\n#Log-type: ECP\n\",2026-11-20T00:00:00,s@x,a@x,Delivered\n1,x,2026-11-20T00:00:00,s@x,b@x,Delivered\n",
		[]string{"delivered a@x", "delivered b@x"}, 0)
	check(t, headerTiny+"#Log-type: ECP Activity Context Log\n#Fields: a,b\n2026-11-20T00:00:00Z,x\n"+header2007+row2007("a@x", "s"),
		[]string{"delivered a@x"}, 3)
}

// TestOtherJSON reads JSON that is no message trace: none of it is understood.
func TestOtherJSON(t *testing.T) {
	for _, log := range []string{
		"{\n \"set\": {\"generator\": \"x\"},\n \"list\": [\n  1\n ]\n}\n",
		"[\n{\n\"a\": 1\n}\n]\n",
		`{"RecipientAddress":1,"MessageTraceId":[]}` + "\n",
	} {
		records, results := runAs(t, "exchange-online-trace", log)
		if len(records) > 0 || results[parsers.Understood] > 0 || results[parsers.Unparsed] == 0 {
			t.Errorf("%q: got %q, %v", log, records, results)
		}
	}
}

// TestPowerShell reads what Get-MessageTrackingLog | Export-Csv writes, with
// local times and lists that were joined, or lost.
func TestPowerShell(t *testing.T) {
	const header = "\"Timestamp\",\"ServerHostname\",\"Source\",\"EventId\",\"MessageId\",\"NetworkMessageId\",\"Recipients\",\"RecipientStatus\"\n"
	two := []string{"20:28:06 failed a@x 501 5.1.4 remote", "20:28:06 failed b@x 550 5.1.1 remote"}
	for _, test := range []struct {
		recipients, status string
		want               []string
	}{
		{"a@x;b@x", "[{LED=501 5.1.4 Reserved}];[{LED=550 5.1.1 No}]", two},
		{"a@x, b@x", "501 5.1.4 Reserved, or not, 550 5.1.1 No", two},
		{"a@x,b@x", "501 5.1.4 Reserved,550 5.1.1 No", two},
		{"a@x, b@x", "[{LED=501 5.1.4 1, 550 x}], [{LED=550 5.1.1 No}]", two},
		{"a@x b@x", "501 5.1.4 Reserved, 550 5.1.1 No", two},
		{"{a@x, b@x}", "{501 5.1.4 Reserved, 550 5.1.1 No}", two},
		{"a@x", "501 5.1.4 Reserved, 550 5.1.1 No", two[:1]},
		{"\"\"a, b\"\"@x", "501 5.1.4 Reserved", []string{`20:28:06 failed "a, b"@x 501 5.1.4 remote`}},
		{"a@x;b@x", "System.String[]", []string{"20:28:06 failed a@x remote", "20:28:06 failed b@x remote"}},
		{"System.String[]", "System.String[]", nil},
		{"System.Object[]", "System.Object[]", nil},
		{"Microsoft.Exchange.Data.MultiValuedProperty`1[System.String]", "", nil},
		{"{a@x, b@x...}", "{501 5.1.4 Reserved, 550 5.1.1 No...}", nil},
	} {
		s, err := detect.NewStream(parsers.Options{Location: time.FixedZone("", 3600)}, "auto", 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var result parsers.Result
		row := fmt.Sprintf(`"11/20/2026 9:28:06 PM","EX1","SMTP","FAIL","<m@x>","96b02425-5c46-49d8-6134-08d8a6213736","%s","%s"`, test.recipients, test.status)
		for line := range strings.SplitSeq(header+row, "\n") {
			kept := []byte(line)
			result = s.Parse(kept, func(r *parsers.Record) {
				if b := brief(r); b != "" {
					got = append(got, r.Time.UTC().Format("15:04:05 ")+b)
				}
			})
			if string(kept) != line {
				t.Errorf("%q was changed to %q", line, kept)
			}
		}
		if !slices.Equal(got, test.want) || (result == parsers.Unparsed) != (test.want == nil) {
			t.Errorf("%q, %q: got %q, %v; want %q", test.recipients, test.status, got, result, test.want)
		}
	}
}

func TestLookAlike(t *testing.T) {
	for line, want := range map[string]string{
		"#Software: Microsoft Internet Information Services 10.0": "IIS",
		"#Log-type: ECP Activity Context Log":                     "ECP Activity Context Log",
		"#Log-type: HttpProxy Logs":                               "HttpProxy",
		"#Log-type: IMAP4 Log":                                    "IMAP4",
		"#Log-type: POP3 Log\r":                                   "POP3",
		"#Log-type: \x1b[31m":                                     "Exchange",
		"#Fields: dateTime,sessionId,seqNumber,sIp,cIp,user,duration,rqsize,rpsize,command,parameters,context,puid": "dateTime,sessionId",
		"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port":                                         "#Fields",
		"192.0.2.1, host, 4/23/2009, 9:47:02, SMTPSVC1, HOST, 192.0.2.1, 0, 36, 49, 250, 0, MAIL, -, FROM:<a@x>,":   "IIS SMTP",
		"# Message Tracking Log File":                                         "2003",
		`    "RecipientAddress":  "a@x",`:                                     "--log-format exchange-online-trace",
		"Identity        : EX01\\Submission":                                  "Format-List",
		"EventId         : FAIL":                                              "",
		"Subject: x":                                                          "",
		"{[{LED=550 5.1.1 x};{MSG=}]}":                                        "explain",
		"#Log-type: Message Tracking Log":                                     "",
		"#Software: Microsoft Exchange Server":                                "",
		"\ufeff#Software: Microsoft Exchange Server\r":                        "",
		strings.TrimSpace(header2007[strings.Index(header2007, "#Fields"):]):  "",
		strings.TrimSpace(headerSend[strings.Index(headerSend, "#Fields"):]):  "",
		"#Fields: date-time,session,source,Destination,direction,description": "",
		"2026-11-20T01:00:00.000Z,,EX01,\"x, SMTPSVC\"":                       "",
		"Nov 22 06:27:30 mx postfix/smtp[1]: x":                               "",
		"":                                                                    "",
	} {
		got := exchange.LookAlike([]byte(line))
		if want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, "\x1b") {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// TestCorpus reads the rows that were found in the open: each file is of one
// format, or refused by name.
func TestCorpus(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/corpus/exchange/*")
	if len(files) == 0 {
		t.Skip("the shared corpus is not here")
	}
	want := map[string]string{
		"crowdsec-exchange-smtp-bf.log": "exchange-smtpreceive", "crowdsec-exchange-smtp-logs.log": "exchange-smtpreceive",
		"elastic-exo-trace.json": "exchange-online-trace", "elastic-messagetracking.log": "exchange-tracking",
		"elastic-smtpreceive.log": "exchange-smtpreceive", "elastic-smtpsend.log": "exchange-smtpsend",
		"kinesis-1.log": "exchange-tracking", "kinesis-2.log": "ECP Activity Context Log",
		"msqa-fail-fl.txt": "exchange-tracking", "msqa-recipientstatus.txt": "statuses of recipients", // no log: TestRealStatuses
		"paste-connectivity-2020.log": "exchange-connectivity", "paste-iis-smtp-2009.log": "IIS SMTP",
		"paste-smtpreceive-2015.log": "exchange-smtpreceive", "paste-smtpsend-2019.log": "exchange-smtpsend",
	}
	for _, name := range files {
		expected, ok := want[filepath.Base(name)]
		if !ok {
			t.Errorf("%s: not expected", name)
		}
		f := readFile(t, name)
		s := newStream(t, "auto")
		var results [3]int
		for _, line := range f.lines {
			results[s.Parse(line, func(*parsers.Record) {})]++
		}
		if !strings.HasPrefix(expected, "exchange-") {
			if results[parsers.Understood] > 0 || !strings.Contains(s.Refusal(), expected) {
				t.Errorf("%s: understood %d lines, %s", name, results[parsers.Understood], s.Refusal())
			}
			continue
		}
		known := ""
		for _, seen := range s.Seen() {
			if seen.Known >= seen.Lines/2 {
				known += seen.Format.Name + " "
			}
		}
		if results[parsers.Unparsed] > 0 || !strings.Contains(known, expected) {
			t.Errorf("%s: %v, as %s", name, results, known)
		}
	}
}

// TestRecords holds every field of some records against a golden file.
func TestRecords(t *testing.T) {
	for name, lines := range map[string]int{
		"send-2010/EX01/SEND20261120-1.LOG": 150, "recv-2010/EX01/RECV20261120-1.LOG": 150, "tracking-2007/EX01/MSGTRK20261120-1.LOG": 16,
	} {
		f := readFile(t, "../../testdata/exchange/"+name+".gz")
		golden := filepath.Join("testdata", filepath.Base(name)+".golden")
		var got []byte
		s := newStream(t, "auto")
		for _, line := range f.lines[:lines] {
			s.Parse(line, func(r *parsers.Record) { got = append(got, describe(r)[1:]+"\n"...) })
		}
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: the records differ from %s; run with -update and look at the difference", f.name, golden)
		}
	}
}

// TestSubmitter reads who submitted a message, how many recipients it has, where
// it goes, and which message a notification is about.
func TestSubmitter(t *testing.T) {
	const header = "#Log-type: Message Tracking Log\n#Fields: date-time,event-id,source,recipient-address,recipient-status,message-id,sender-address,client-ip,original-client-ip,directionality,reference\n"
	row := func(fields string) string { return header + "2026-11-20T00:00:00.000Z," + fields + "\n" }
	for _, test := range []struct{ name, row, want string }{
		{"mailbox", row("RECEIVE,STOREDRIVER,a@x;b@x,,<m>,joe@corp,10.0.0.1,192.0.2.7,Originating,"), "account=joe@corp recipients=2"},
		{"client that logged in", row("RECEIVE,SMTP,a@x,,<m>,joe@corp,10.0.0.1,192.0.2.7,Originating,"), "account=192.0.2.7 recipients=1"},
		{"client, not proxied", row("RECEIVE,SMTP,a@x,,<m>,joe@corp,10.0.0.1,,Originating,"), "account=10.0.0.1 recipients=1"},
		{"from outside", row("RECEIVE,SMTP,a@x,,<m>,s@far,192.0.2.7,192.0.2.7,Incoming,"), "account= recipients=1"},
		{"notification", row("DSN,DSN,s@far,,<n>,postmaster@corp,,,Originating,<m>"), "account= recipients=0 own of <m>"},
		{"delivered here", row("DELIVER,STOREDRIVER,a@x,,<m>,s@far,,,,"), "local"},
		{"sent", row("SENDEXTERNAL,SMTP,a@x,250 OK,<m>,s@far,,,,"), "outgoing"},
		{"no such mailbox", row("FAIL,ROUTING,a@x,550 5.1.1 RESOLVER.ADR.RecipNotFound; not found,<m>,s@far,,,,"), "local"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, got := newStream(t, "auto"), ""
			for line := range strings.SplitSeq(test.row, "\n") {
				s.Parse([]byte(line), func(r *parsers.Record) {
					switch {
					case r.Kind == parsers.Attempt:
						got = r.Direction.String()
					case r.Kind == parsers.Arrival:
						got = fmt.Sprintf("account=%s recipients=%d", r.Account, r.Recipients)
						if r.Own {
							got += fmt.Sprintf(" own of %s", r.BounceOf)
						}
					}
				})
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestSelect reads what Get-MessageTrackingLog gives to Export-Csv in various
// choices of columns, and names those that are lacking.
func TestSelect(t *testing.T) {
	const row = `"11/20/2026 9:28:06 AM","FAIL","SMTP","s@x","a@x","550 5.1.1 User unknown","<m@x>"`
	for header, want := range map[string]string{
		`"Timestamp","EventId","Source","Sender","Recipients","RecipientStatus","MessageId"`:                         "failed a@x 550 5.1.1 remote",
		`"Timestamp","EventId","Source","Sender","$_.Recipients","$_.RecipientStatus","MessageId"`:                   "failed a@x 550 5.1.1 remote",
		`"Timestamp","EventId","Source","Sender","{$_.Recipients}","{$_.RecipientStatus}","MessageId"`:               "failed a@x 550 5.1.1 remote",
		`"Timestamp","EventId","Source","Sender","$_.recipients -join ';'","[string]$_.recipientStatus","MessageId"`: "failed a@x 550 5.1.1 remote",
		`"Timestamp","EventId","Source","Sender","$($_.Recipients)","$($_.RecipientStatus)","MessageId"`:             "failed a@x 550 5.1.1 remote",
		`"Timestamp","Sender","Source","Sender","Recipients","RecipientStatus","MessageId"`:                          "without EventId",
		`"Timestamp","EventId","Source","Sender","Recipients","RecipientStatus","TotalBytes"`:                        "without MessageId",
		`"Timestamp","EventId","Source","Sender","Recipients","MessageSubject","TotalBytes"`:                         "without MessageId, RecipientStatus",
	} {
		s := newStream(t, "auto")
		var got []string
		for _, line := range []string{header, row} {
			s.Parse([]byte(line), func(r *parsers.Record) {
				if b := brief(r); b != "" {
					got = append(got, b)
				}
			})
		}
		if len(got) == 0 {
			got = append(got, s.Refusal())
		}
		if !strings.Contains(got[0], want) {
			t.Errorf("%s\ngot  %q\nwant %q", header, got, want)
		}
	}
}

// TestFormatTable names what cannot be read.
func TestFormatTable(t *testing.T) {
	for _, header := range []string{
		"EventId  Source   Sender                    Recipients                MessageSubject",
		"Timestamp             EventId Source Sender  Recipients",
	} {
		s := newStream(t, "auto")
		for _, line := range []string{"", header, strings.Repeat("-", 70), "FAIL     SMTP     a@x   {b@y}  hello", ""} {
			s.Parse([]byte(line), func(r *parsers.Record) { t.Errorf("a record: %s", brief(r)) })
		}
		if got := s.Refusal(); !strings.Contains(got, "a table of Get-MessageTrackingLog") {
			t.Errorf("%s: got %q", header, got)
		}
	}
}

func TestNoAllocationPerRow(t *testing.T) {
	s := newStream(t, "auto")
	for line := range strings.SplitSeq(strings.TrimSpace(header2007), "\n") {
		s.Parse([]byte(line), func(*parsers.Record) {})
	}
	rows := [][]byte{
		[]byte(strings.TrimSpace(row2007("a@x", `"quoted ""twice"", yes"`))),
		[]byte("2026-11-20T01:00:00.000Z,192.0.2.9,EX01,192.0.2.1,mx.example,,Out,SMTP,FAIL,1,<m>,a@x;b@x,'550 5.1.1 it''s; no';550 No,1,2,,,s,s@x,s@x,"),
		[]byte(`2026-11-20T01:00:00.000Z,192.0.2.9,EX01,192.0.2.1,mx.example,,Out,SMTP,DEFER,1,<m>,a@x,"451 4.4.0 Primary target IP address responded with: ""421 4.7.0 no."" Attempted failover",1,2,,,s,s@x,s@x,`),
	}
	emit := func(*parsers.Record) {}
	for _, row := range rows {
		if s.Parse(row, emit) != parsers.Understood {
			t.Fatalf("%s", row)
		}
		if n := testing.AllocsPerRun(100, func() { s.Parse(row, emit) }); n > 0 {
			t.Errorf("%v allocations for %s", n, row)
		}
	}
}

// FuzzParse feeds lines to every format of the package: nothing may panic, and
// reading in two pieces is reading at once.
func FuzzParse(f *testing.F) {
	for _, log := range []string{
		header2007 + row2007("a@x", "\"one\ntwo\"") + row2007("b@x", "plain"), headerTiny, headerSend, headerRecv,
		"2026-11-20T01:00:00.000Z,10.20,\"MDB:0\n" + row2007("b@x", `"q"`),
		window{width: 80, words: true}.format(listed()), window{width: 60, trimmed: true}.format(without(listed(), "SchemaVersion")),
		dialogue(headerSend, "Out", "+\n< 220 mx\n> MAIL FROM:<s@x>\n> RCPT TO:<a@x>\n< 250 ok\n< 550-no\n< 550 no\n-"),
		dialogue(headerRecv, `EX\In`, "+\n> 220 mx\n< MAIL FROM:<s@x>\n< RCPT TO:<a@x>\n> 250 ok\n> 550 no\n-"),
		"[\n{\n\"RecipientAddress\": \"a\",\n\"MessageTraceId\": \"1\"\n}\n]", "origin_timestamp_utc,sender_address,recipient_status,message_id\n2026-11-20T00:00:00Z,s,a##Send;b##,1",
		"#Log-type: Transport Connectivity Log\n2020-02-27T00:12:30.473Z,08D7B96ECD14C499,SMTP,x,>,Failed connection to y[TargetHost:\n2020-02-27T00:12:30.473Z,08D7B96ECD14C499,SMTP,x,-,Messages: 0 Bytes: 0 (Retry : Unable to connect)",
	} {
		f.Add(log, uint16(len(log)/2))
	}
	f.Fuzz(func(t *testing.T, log string, at uint16) {
		lines := bytes.Split([]byte(log), []byte("\n"))
		whole := record(t, lines, nil)
		split := map[int]bool{int(at) % len(lines): true}
		if got := record(t, lines, split); !slices.Equal(got, whole) {
			t.Fatalf("split at %v:\n got %q\nwant %q", split, got, whole)
		}
		for _, format := range parsers.Formats() {
			if format.MTA != "exchange" {
				continue
			}
			s := newStream(t, format.Name)
			emit := func(r *parsers.Record) {
				if r.Time.IsZero() || r.Kind == 0 || len(r.ID) == 0 && r.Kind != parsers.Rejection && r.Kind != parsers.Connection {
					t.Fatalf("%s: empty record of %q", format.Name, log)
				}
			}
			for _, line := range lines {
				s.Parse(line, emit)
			}
			s.End(emit)
		}
	})
}
