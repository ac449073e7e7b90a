package parsers

import (
	"encoding"
	"fmt"
	"sort"
	"time"
)

// Entry is one line of a log with what its transport (syslog, journald, a
// container runtime) said about it. Its byte slices are valid only during the
// call they are passed to.
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

// Parser reads the entries of one source. It keeps the state of that source
// and no other; several run at the same time.
type Parser interface {
	// Parse reads one entry and passes every record it completes to emit.
	// The record and its slices are valid only during emit. Parse does not
	// fail: a line it does not understand is Unparsed.
	Parse(e *Entry, emit func(*Record)) Result
}

// Keeper is implemented by parsers that keep something from one line to the
// next. A parser that has read n lines and a new one, set to its state, read
// whatever comes after alike.
type Keeper interface {
	encoding.BinaryAppender    // writes the state; nothing when there is none
	encoding.BinaryUnmarshaler // sets the state of a new parser

	// Open reports whether the last line did not end a row: the next line
	// belongs to the row, whatever it looks like.
	Open() bool
	// End is called when nothing follows, and reads the lines that were kept.
	// It returns Unparsed when one line that counted as Understood was not.
	End(emit func(*Record)) Result
}

// A Claim is the answer of a format to the question whose line an entry is.
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
	// NotMine: the entry is not of this format.
	NotMine = Claim{}
	// Mine: it is, by itself. So are lines after it that no format claims.
	Mine = Claim{whose: mine}
	// MineFromHereOn: the line is of a header. Every line that follows is of
	// this format, whatever it looks like, until one is of another header.
	//
	// Where a header takes several lines of which the first do not say whose it
	// is, one of the formats that share them takes the first lines, and the
	// right one claims the line that decides. No header begins with a digit:
	// the stream does not ask about such lines below a header.
	MineFromHereOn = Claim{whose: mineFromHereOn}
)

// Stranger is the claim of a format that knows a line to be of another log,
// named in the words of a message ("an IIS log (W3C)"), though it looks like
// one of its own. It counts only for lines that no format claims.
func Stranger(name string) Claim { return Claim{strangers, name} }

// IsMine reports whether a claim is Mine. It is asked for every line.
func (c Claim) IsMine() bool { return c.whose == mine }

// Stranger returns the name of the log that a line is of, "" unless the claim
// is a Stranger.
func (c Claim) Stranger() string { return c.stranger }

// A Lacker is a parser that may know why the lines of its log make no records.
type Lacker interface {
	// Lacks names the log and what it lacks, in the words of a message ("a list of
	// X without Y"); "" when it lacks nothing.
	Lacks() string
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

	// Scope is where the ID of a message means the same message: "" is the host
	// that wrote the log, where IDs are used again. Other scopes have a name
	// (an organisation's servers): messages roam through them, known by ID
	// alone, and their records may come in any order. Formats with the same
	// Scope report the same messages.
	Scope string

	// Ends reports whether the log says when a message ends (an End record).
	// Where it does not, a message ends with its last recipient.
	Ends bool

	// HasBounces: the log reports bounces about the mail that it has as delivered
	// (Record.FromBounce).
	HasBounces bool

	// Overlaps names the formats that report the same in better detail: where
	// both are read, only theirs count.
	Overlaps []Overlap

	// Native: no line of the log comes through syslog or the journal, so Claim
	// is asked about whole lines only.
	Native bool

	// Claim reports whether a line is one of this format: enough to tell it
	// from all others, not that it can be read. An entry with a Program has a
	// prefix (syslog, journald); one without is the whole line.
	Claim func(*Entry) Claim

	// Redact returns what of a line that was not understood may be shown: not
	// what may be a password. nil for formats that log none.
	Redact func(line []byte) []byte

	New func(Options) Parser
}

// An Overlap says that records of a kind report what those of another format
// report better.
type Overlap struct {
	Kind   Kind   // Attempt or Connection
	Format string // whose records count, or AnyLog
}

// AnyLog stands for the formats of all logs of servers, in an Overlap of what is
// none itself: messages that servers send to report failures. The log that reports
// the same failure counts, or the same mail as delivered; it is known by Message-ID
// or queue id, and recipient.
const AnyLog = "*"

// IsRepeated reports whether any log may report what records of a kind do.
func (f *Format) IsRepeated(k Kind) bool {
	for _, o := range f.Overlaps {
		if o.Kind == k && o.Format == AnyLog {
			return true
		}
	}
	return false
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
