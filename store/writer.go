package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"mailfail/registry"
)

// Classifier decides what is meant before it is stored. registry.Rules is one.
type Classifier interface {
	Classify(registry.Failure) registry.Verdict

	// Asks reports whether a verdict may depend on this provider. All others are
	// alike.
	Asks(provider string) bool

	// Version changes whenever the same failure might get another verdict.
	Version() string
}

// Writer takes in what was read, in batches. It is used by one goroutine. Rows
// may be written in the background: errors may be returned by a later call, at
// the latest by Commit.
//
// Everything between Begin and Commit, the rows and the positions behind them,
// takes effect together or not at all. Ids stay valid until a Begin that
// reports that the batch is stale, or a Rollback.
type Writer interface {
	// Begin starts a batch and waits for its turn while another process is
	// writing. It reports whether another process has written since the last
	// batch: then what the caller has kept of positions, ids and open messages is
	// out of date. Waiting ends with ctx.
	Begin(ctx context.Context) (stale bool, err error)
	Commit() error
	Rollback()

	// Wanted reports whether the batch should end soon, because another process
	// waits to write, or may do so unseen.
	Wanted() bool

	Close() error

	// Reclassify files the stored failures anew when c is of another version
	// than what classified them. It is called outside a batch.
	Reclassify(ctx context.Context, c Classifier) error

	// Tidy adds up what is over, so that reports are quick. It is called outside
	// a batch, when there is time for it: nothing is wrong without it.
	Tidy(context.Context) error

	// Prune removes what is older than r says and gives the space back. It is
	// called outside a batch. messageOf returns the id of the message that the
	// state of an open message refers to, 0 for none: its rows stay.
	Prune(ctx context.Context, r Retention, messageOf func(state []byte) int64) (Pruned, error)

	// Series and Cause return the id of a row, which is new if need be.
	Series(*SeriesKey) (int64, error)
	Cause(*Cause) (int64, error)

	Count(series, time int64, c Counts)
	Suspend(series, cause, time int64)
	CountLines(time int64, l Lines)

	AddMessage(*Message) (int64, error)
	UpdateMessage(id int64, m *Message) error
	DeleteMessage(id int64)
	AddRecipient(*Recipient) int64
	UpdateRecipient(id int64, r *Recipient)
	RespellRecipient(id int64, address string)
	DeleteRecipient(id int64)
	AddAttempt(*Attempt) error
	AddRejection(*Rejection) error
	AddConnection(*Connection)
	AddSubmission(*Submission)
	AddVolume(time int64, host []byte, v *Volume)
	AddTrouble(*Trouble)
	AddComplaint(*Complaint)
	KeepDeliveries(since int64)
	AddDelivery(*Delivery)

	// Messages that have not ended, as package ingest/track keeps them.
	// OpenMessages gives what each was put with; the slices are valid only during
	// the call.
	OpenMessages(each func(key []byte, messageID int64, state []byte)) error
	OpenMessage(key []byte) (state []byte, err error)
	OpenMessagesWith(messageID int64) (keys [][]byte, err error)
	PutOpenMessage(key []byte, lastSeen, messageID int64, state []byte)
	DeleteOpenMessage(key []byte)
	ForgetOpenMessages(before int64)

	// How far every log was read; see package ingest/source.
	PutSource(*Source)
	SourceOffset(id int64) (int64, error)
	LastSource() (id int64, err error) // the newest, 0 none
	FingerprintLengths() ([]int64, error)
	SourcesByFingerprint(fingerprint [16]byte, length int64) ([]Source, error)
	SourcesByInode(device, inode uint64) ([]Source, error)
	SourcesByFamily(family string) ([]Source, error)

	// Lines that were read, by a hash, so that the same line of two logs counts once:
	// see package ingest. Log returns the id of a log, Coverage the logs that hold
	// lines of a host. The lines of a minute are in no order, and as often as they
	// were added. AddLineHashes keeps its hashes, and puts them in order.
	Log(name string) (int64, error)
	Coverage(host []byte) ([]Coverage, error)
	Cover(host []byte, c Coverage) error
	LineHashes(log, minute int64) ([]uint32, error)
	AddLineHashes(log, minute int64, hashes []uint32)
	ForgetLineHashes() error

	Meta(name string) (string, error)
	PutMeta(name, value string)
}

// Writable is a database that can be written to.
type Writable interface {
	Writer() (Writer, error)
}

// Cause is what a failure is filed under: what its reason was found from, and
// the reason.
type Cause struct {
	registry.Failure
	registry.Verdict
}

// SeriesKey is one combination of the dimensions that counts are kept by.
// Names are as they shall appear in reports.
type SeriesKey struct {
	Format string
	Host, Instance,
	Sender, // domain; "<>" for the null sender, "" unknown
	Domain,
	Relay []byte
	Provider string // the operator behind Relay

	// Operator, if not nil, returns Provider, when a relay is met for the first time.
	Operator func(relay []byte) string

	Direction registry.Direction
	Own       bool // the message is one that this server made to report a failure
}

// Counts are added up by minute and series.
type Counts struct {
	Delivered  int64 // attempts
	Recipients int64 // delivered with nothing gone wrong before
	Suspended  int64
	Handed     int64
	Messages   int64

	// Of a series without recipient and relay, in the minute in which messages
	// came into the queue. Heard is how many of them something was heard of
	// since: the others are untried.
	Accepted int64
	Expected int64 // recipients of Accepted, as far as the log gives their number
	Heard    int64
}

// Add adds d to c.
func (c *Counts) Add(d Counts) {
	c.Delivered += d.Delivered
	c.Recipients += d.Recipients
	c.Suspended += d.Suspended
	c.Handed += d.Handed
	c.Messages += d.Messages
	c.Accepted += d.Accepted
	c.Expected += d.Expected
	c.Heard += d.Heard
}

// Coverage says that a log holds lines of a host between two minutes.
type Coverage struct{ Log, First, Last int64 }

// Lines counts the lines that were read.
type Lines struct{ Read, Understood, Irrelevant, Unparsed int64 }

// Add adds m to l.
func (l *Lines) Add(m Lines) {
	l.Read += m.Read
	l.Understood += m.Understood
	l.Irrelevant += m.Irrelevant
	l.Unparsed += m.Unparsed
}

// Sub takes m from l.
func (l *Lines) Sub(m Lines) {
	l.Read -= m.Read
	l.Understood -= m.Understood
	l.Irrelevant -= m.Irrelevant
	l.Unparsed -= m.Unparsed
}

// Message is a row of the table messages.
type Message struct {
	Format, Host, Instance string
	QueueID, MessageID     string
	Sender                 string
	HasSender              bool
	Client, ClientIP       string
	Account                string // who submitted it: SASL login, local user; "" unknown
	Size                   int64
	FirstSeen              int64
	Own                    bool // made by this server to report a failure
}

// Recipient is a row of the table recipients. Times are in microseconds.
type Recipient struct {
	Message             int64
	Series              int64
	Address             string
	State               registry.State
	FirstSeen, LastSeen int64
	FinalAt             int64 // ignored while State is Pending
	Cause               int64 // 0 none
	Troubled            bool  // failed or was deferred at least once
}

// Attempt is a row of the table attempts.
type Attempt struct {
	Format    string // of the log
	MessageID []byte // as the log gives it with this attempt
	Address   []byte // of the recipient
	Replied   bool   // by a server
	Time      int64
	Recipient int64
	Series    int64
	Outcome   uint8
	Cause     int64
	Service   []byte
	IP        string
	Delay     time.Duration // negative when unknown
	Text      string
	First     bool // of its recipient for its reason

	// Bounce is not nil when a bounce reports the failure. A log that reports the
	// same counts instead, whichever is read first.
	Bounce *Bounce
}

// Rejection is a row of the table rejections.
type Rejection struct {
	Time             int64
	Series           int64
	Cause            int64
	Service          []byte
	QueueID          string
	Client, ClientIP string
	Sender           string
	HasSender        bool
	Recipient, Text  string
	LineHash         uint64 // 0: the line is not repeated in another log
	Copy             bool
}

// Connection is a connection to a next hop, the relay of its series.
type Connection struct {
	Time     int64
	Series   int64
	Cause    int64  // of a failure, 0 when it could be used
	Messages int    // that the next hop took
	Session  string // of a failure
	Text     string
}

// Submission counts messages by who brought them in, by the hour.
type Submission struct {
	Time       int64
	Host       []byte // of the log
	Sender     []byte // domain, as in SeriesKey
	Account    []byte
	Client     []byte // host name, or else address
	Messages   int64
	Recipients int64 // as far as the log gives their number
	Bytes      int64 // likewise

	// Address is that of the envelope sender. It is for who counts by it: a database
	// keeps the domain.
	Address []byte
}

// Trouble is a line in which the mail system reports trouble of its own.
type Trouble struct {
	Time      int64
	Format    string
	Host      []byte
	Service   []byte
	Kind      string // "fatal", "panic", "disk-full" …
	Text      string
	Signature string // Text with its variable parts masked: lines with the same one are one row
}

// Delivery is a recipient that was delivered with nothing gone wrong before. It
// is kept for some days, to be found by its address and queue id.
type Delivery struct {
	Time    int64
	Series  int64
	QueueID []byte
	Address []byte
	Domain  []byte // of Address, that of Series

	MessageID []byte // of the header
	Step      Step
	Place     []byte // of StepPlaced, which has no QueueID
}

// Step is what a Delivery is on the way of a message.
type Step uint8

// The steps, in the order in which they come when they have the same time.
const (
	StepDelivered  Step = iota
	StepHandedOver      // to a content filter of this host
	StepPlaced          // what took the message says where it is now
)

// Steps are the names of the steps.
var Steps = [...]string{"delivered", "handed over", "placed"}

// Clean makes the text of a log fit for the database: what is not valid UTF-8,
// and NUL bytes, which SQLite's functions take for the end of a string, become
// U+FFFD.
func Clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// MaxReply bounds what is kept of a reply, in bytes. A line of a reply has 512 at
// most (RFC 5321); replies of several lines with advice have about a thousand.
const MaxReply = 4 << 10

// CleanReply makes the text of a reply fit for the database, like Clean. Of a longer
// one it keeps the beginning, and says how long the whole was.
func CleanReply(text []byte) string {
	s := Clean(string(text))
	if len(s) <= MaxReply {
		return s
	}
	end := MaxReply
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s [cut: %d bytes in all]", s[:end], len(text))
}

// Source is a row of the table sources. It has the fields of source.Position,
// which says what they mean.
type Source struct {
	ID             int64
	Fingerprint    [16]byte
	FingerprintLen int64
	Offset         int64
	Line           int64
	Family         string
	Path           string
	Device         uint64
	Inode          uint64
	Size           int64
	ModTime        time.Time
	State          []byte
}
