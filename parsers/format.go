package parsers

import (
	"encoding"
	"fmt"
	"sort"
	"time"
)

// Entry is one line of a log with the values that its transport (syslog, journald, a
// container runtime) gave it. Its byte slices are valid only during the call that
// receives them.
type Entry struct {
	Time    time.Time // zero when the line has no prefix: the format contains its own time
	Host    []byte    // nil when the line has no prefix
	Program []byte    // "postfix/smtp", "exim-out"; nil when the line has no prefix
	PID     []byte    // digits, or nil
	Message []byte    // text of the program; without a prefix the whole line
}

// Result is how a line was parsed. Every line that is read is counted under exactly one
// Result.
type Result uint8

// The results of parsing a line.
const (
	Understood Result = iota // the line was understood, with or without a record
	Irrelevant               // known to be irrelevant, or from another program
	Unparsed                 // not understood
)

// Parser reads the entries of one source. It keeps the state of that source only; several
// parsers run at the same time.
type Parser interface {
	// Parse reads one entry and passes every record that it completes to emit. The record
	// and its slices are valid only during emit. Parse does not fail: it returns Unparsed
	// for a line that it does not understand.
	Parse(e *Entry, emit func(*Record)) Result
}

// Keeper is implemented by parsers that keep something from one line to the next. A new
// parser that was set to the state of another parser reads all further lines as that one
// would.
type Keeper interface {
	encoding.BinaryAppender    // writes the state; nothing if there is none
	encoding.BinaryUnmarshaler // sets the state of a new parser

	// Open reports whether the last line did not end a row: then the next line belongs to
	// the row, whatever its form.
	Open() bool
	// End is called at the end of the source, and reads the lines that were kept. It
	// returns Unparsed when a line that counted as Understood was not understood.
	End(emit func(*Record)) Result
}

// A Claim is the answer of a format to the question whether an entry belongs to it.
// Besides the values below there is Stranger.
type Claim struct {
	whose    whose
	stranger string
}

type whose uint8

const (
	notMine whose = iota
	mine
	mineFromHereOn
	strangers
)

// The claims of a format.
var (
	// NotMine: the entry does not belong to this format.
	NotMine = Claim{}
	// Mine: this entry belongs to it, and so do the lines after it that no format claims.
	Mine = Claim{whose: mine}
	// MineFromHereOn: the line belongs to a header. Every further line belongs to this
	// format, whatever its form, until the header of another format.
	//
	// If a header has several lines and the first ones do not identify the format, one of
	// the formats that share these claims the first lines, and the right one claims the
	// line that identifies it. No header begins with a digit: the stream does not ask
	// about such lines below a header.
	MineFromHereOn = Claim{whose: mineFromHereOn}
)

// Stranger is the claim of a format that recognizes a line of another log, although it
// looks like one of its own. name describes that log in a message ("an IIS log (W3C)").
// The claim counts only for lines that no format claims.
func Stranger(name string) Claim { return Claim{strangers, name} }

// IsMine reports whether a claim is Mine. It is called for every line.
func (c Claim) IsMine() bool { return c.whose == mine }

// Stranger returns the name of the log to which a line belongs, "" unless the claim is a
// Stranger.
func (c Claim) Stranger() string { return c.stranger }

// A Lacker is a parser that may detect why the lines of its log make no records.
type Lacker interface {
	// Lacks names the log and what is missing in it, as part of a message ("a list of X
	// without Y"); "" when nothing is missing.
	Lacks() string
}

// Options are the user's statements about the logs.
type Options struct {
	Location *time.Location // for times without a zone; never nil
	Host     string         // for lines that do not name a host

	// Path of the source, "" when it has none. Needed only for formats whose files differ
	// in their names alone (Exim's main log and reject log).
	Path string
}

// Format is one log format.
type Format struct {
	Name string // "postfix", "exim", "exchange-tracking": --log-format, and `format` in the store
	MTA  string // "postfix", "exim", "exchange": --mta

	// Scope is the area in which an ID means the same message. "" is the host that wrote
	// the log, where IDs are used again. Other scopes have a name (an organisation's
	// servers): messages roam through them, identified by ID alone, and their records may
	// come in any order. Formats with the same Scope report the same messages.
	Scope string

	// Ends means that the log reports when a message ends (an End record). Otherwise a
	// message ends with its last recipient.
	Ends bool

	// HasBounces means that the log also reports bounces of mail that it reported as
	// delivered (Record.FromBounce).
	HasBounces bool

	// Overlaps names the formats that report the same events in more detail: where both
	// are read, only theirs count.
	Overlaps []Overlap

	// Native means that no line of the log comes through syslog or the journal, so Claim
	// is called for whole lines only.
	Native bool

	// Claim reports whether a line belongs to this format. It must only distinguish the
	// line from those of all others, not check that it can be read. An entry with a
	// Program has a prefix (syslog, journald); one without is the whole line.
	Claim func(*Entry) Claim

	// Redact returns a line that was not understood without the parts that may be a
	// password. nil for formats that log none.
	Redact func(line []byte) []byte

	New func(Options) Parser
}

// An Overlap means that another format reports the records of a kind better.
type Overlap struct {
	Kind   Kind   // Attempt or Connection
	Format string // the format whose records count, or AnyLog
}

// AnyLog stands for the formats of all server logs. It is used in an Overlap of a format
// that is not a server log: messages that servers send to report failures. If a log
// reports the same failure, or the same mail as delivered, the log counts; it is matched
// by Message-ID or queue id, and recipient.
const AnyLog = "*"

// IsRepeated reports whether any log may report the same as records of a kind.
func (f *Format) IsRepeated(k Kind) bool {
	for _, o := range f.Overlaps {
		if o.Kind == k && o.Format == AnyLog {
			return true
		}
	}
	return false
}

var formats []Format

// Register adds a format. The init function of the format's package calls it.
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
