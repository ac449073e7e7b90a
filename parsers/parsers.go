// Package parsers turns the lines of mail-server logs into records.
//
// It holds what all log formats share: the contract between a format and the
// rest of mailfail, the prefix that syslog and journald put before a message,
// the detection of the format, and the reading of SMTP reply text. Each format
// has a folder of its own below this one and registers itself here, as image
// formats do with the standard library's image package.
//
// # One line in, any number of records out
//
// A Parser is fed the entries of one source (a file and its rotated
// generations, or a stream) in their order. Most lines carry at most one
// record. Where they do not (a tracking-log row with five recipients, a row
// whose quoted subject spans lines, an SMTP session logged over forty lines)
// the parser calls emit several times or keeps what it has until it is whole.
// What it keeps it makes known as its state (encoding.BinaryAppender), which
// is stored in the same transaction as the position in the source, so that
// reading may stop and go on between any two lines.
package parsers

import (
	"encoding"
	"fmt"
	"sort"
	"time"

	"mailfail/registry"
)

// Entry is one line of a log with what its transport (syslog, journald, a
// CSV header) said about it. Its byte slices are valid only during the call
// they are passed to.
type Entry struct {
	Time    time.Time // zero when the line has no prefix: the format brings its own
	Host    []byte    // nil when the line has no prefix
	Program []byte    // "postfix/smtp", "exim-out"; nil when the line has no prefix
	PID     []byte    // digits, or nil
	Message []byte    // what the program wrote; without a prefix the whole line
}

// Result says what became of a line. Every line that is read is counted under
// exactly one of them.
type Result uint8

// The results of parsing a line.
const (
	Understood Result = iota // the line was read, whether or not it held a record
	Irrelevant               // known to be of no interest, or from another program
	Unparsed                 // not understood
)

// Kind says what a Record reports.
type Kind uint8

// The kinds of records.
const (
	// Arrival: a message entered the queue, or a line told more about it.
	// Fields given: Sender (HasSender), Client, ClientIP, MessageID, Size.
	Arrival Kind = iota + 1
	// Expected: Recipient is a recipient of the message; nothing was tried yet.
	Expected
	// Attempt: one try to pass Recipient on, ended as Outcome says.
	Attempt
	// Suspended: the MTA put Recipient off without trying.
	Suspended
	// HandedOver: Recipient was passed to a content filter or to another
	// server of the organisation; its fate is reported elsewhere.
	HandedOver
	// Discarded: Recipient was swallowed on purpose (discard, blackhole) or
	// deleted by an admin: its final state is "removed". Without Recipient,
	// all recipients of the message that are still pending.
	Discarded
	// Expired: Recipient was given up after retries, and the line reports no
	// attempt of its own. Without Recipient, all that are still pending.
	Expired
	// Replaced: Recipient stands no longer for a recipient (an expanded list,
	// a redirected address); what it became is reported by other records.
	Replaced
	// End: the message left the queue (removed, Completed).
	End
	// Rejection: this host refused to take mail in.
	Rejection
	// Connection: a connection to the next hop Relay has ended, or could not
	// be made. It names no recipient, hence is no attempt. Delivered means that
	// it could be used, Deferred that it ended before a recipient was named.
	// Fields given: Relay or RelayIP, Outcome, Messages and, of one that failed,
	// Session, Stage, Source and Reply.
	Connection
)

// Record is what a line reports about a message, a recipient or a client. Its
// byte slices point into the line: who keeps one must copy it.
type Record struct {
	Kind   Kind
	Format *Format // whose parser emitted it; set by Stream
	Time   time.Time
	Host   []byte // that wrote the log; empty when the log does not say

	// Message is the queue id, or for Exchange the id that stays with a
	// message on its way through the organisation.
	Message []byte
	// Roaming messages are known by Message alone, on whatever host, and
	// their records may come in any order; others belong to Host and end
	// with an End record.
	Roaming bool

	Instance []byte // "postfix-out" of several MTAs on one host; "" for the usual one
	Service  []byte // "smtp", "relay/smtp", "submission/smtpd"; Exim's transport

	// Of the message.
	HasSender bool   // Sender is known; "" is the null sender <>
	Sender    []byte // without angle brackets
	Client    []byte // host name of the client that brought it in
	ClientIP  []byte
	MessageID []byte // of the header, with its angle brackets
	Size      int64  // bytes, 0 when not given

	// Of the recipient.
	Recipient []byte // without angle brackets
	Original  []byte // the address before rewriting or expansion (orig_to=)
	Kept      bool   // with Expected: it stays a recipient, though other records say it was replaced

	// Of the attempt or rejection.
	Outcome    registry.Outcome
	GivenUp    bool           // with Failed: the final state is "expired", not "bounced"
	Removed    bool           // with Failed: the final state is "removed": an admin deleted it
	Relay      []byte         // host name of the next hop, as logged; "" when there was none
	RelayIP    []byte         // its address; a path for a Unix socket
	Stage      registry.Stage // where it ended; unknown for Delivered
	Source     registry.Source
	Reply      registry.Reply    // the remote's, or the local text without codes
	MTAStatus  registry.Enhanced // the MTA's own (dsn=)
	Delay      time.Duration     // since arrival; negative when not given
	NextID     []byte            // queue id at the next hop, from "queued as"
	Nth        int               // in a report that tells all attempts of Recipient whenever it is made: which with this Outcome it is, from 1; else 0
	Reinjected bool              // Arrival: the message came from this host itself (loopback, pickup)

	// Of a connection.
	Messages int    // that the next hop took
	Session  []byte // what other logs of the server know it by

	// Copy marks a line of a log that repeats lines of another (Exim's reject
	// log): however often a LineHash is seen in either, it is counted as often
	// as in the one that has more of it.
	Copy     bool
	LineHash uint64 // 0: the line cannot be repeated elsewhere
}

// Reset makes r ready for the next line.
func (r *Record) Reset() { *r = Record{Delay: -1} }

// Parser reads the entries of one source. It keeps the state of that source
// and no other; several run at the same time.
type Parser interface {
	// Parse reads one entry and passes every record it completes to emit.
	// The record and its slices are valid only during emit. Parse does not
	// fail: a line it does not understand is Unparsed.
	Parse(e *Entry, emit func(*Record)) Result
}

// Stateful is implemented by parsers that keep something from one line to the
// next. The state of a parser that has read n lines and that of a new one, set
// to it, are the same to whatever comes after.
type Stateful interface {
	encoding.BinaryAppender    // writes the state; nothing when there is none
	encoding.BinaryUnmarshaler // sets the state of a new parser
}

// Continuer is implemented by parsers of logs whose rows may hold line breaks.
type Continuer interface {
	// InRow reports whether the last line did not end a row: the next one
	// belongs to it, whatever it looks like.
	InRow() bool
}

// Ender is implemented by parsers that keep lines until they know what follows.
type Ender interface {
	// End is told that nothing follows, and reads what was kept. When that was
	// no record, it returns Unparsed: for one of its lines.
	End(emit func(*Record)) Result
}

// Options are what the user said about the logs.
type Options struct {
	Location *time.Location // of times without a zone; never nil
	Host     string         // of lines that do not name one

	// Path of the source, "" when it has none. Only for formats whose files
	// differ in nothing but their names (Exim's main log and reject log).
	Path string
}

// Format is one log format.
type Format struct {
	Name string // "postfix", "exim", "exchange-tracking": --log-format, and `format` in the store
	MTA  string // "postfix", "exim", "exchange": --mta

	// Messages is the name that formats share which tell of the same roaming
	// messages by the same ids; "" for none.
	Messages string

	// Program reports whether a syslog program name (Entry.Program) is this
	// format's; nil when the format never comes through syslog.
	Program func(program []byte) bool

	// Match reports whether a line without a prefix is one of this format:
	// enough to tell it from all others, not that it can be read. nil when
	// the format comes only through syslog.
	Match func(line []byte) bool

	// Header reports whether a line is of the header that formats of this
	// kind have: every following line of the source without another format's
	// header is this format's, whatever it looks like. So is what follows a
	// line of Match, for logs whose header is in another file. nil for formats
	// without a header.
	//
	// Such a header may take several lines of which the first do not say whose
	// it is; then one of the formats that share them takes the first lines, and
	// the right one claims the line that tells.
	Header func(line []byte) bool

	// Refuse names the log a line comes from when the format can tell that
	// it is not its own, though it looks like it ("IIS log (W3C)"); "" for
	// every other line. It is asked of lines that no format reads. nil when
	// the format has no look-alikes.
	Refuse func(line []byte) (name string)

	// Shown returns what of a line that was not understood may be shown: not
	// what may be a password. nil for formats that log none.
	Shown func(line []byte) []byte

	New func(Options) Parser
}

var formats []Format

// Register makes a format known. It is called from the init function of the
// format's package.
func Register(f Format) {
	for _, g := range formats {
		if g.Name == f.Name {
			panic(fmt.Sprintf("parsers: format %s registered twice", f.Name))
		}
	}
	formats = append(formats, f)
	sort.Slice(formats, func(i, j int) bool { return formats[i].Name < formats[j].Name })
}

// Formats returns the registered formats, by name.
func Formats() []Format { return formats }
