package store

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"mailfail/registry"
)

// A Classifier assigns a reason to a failure before the failure is stored. registry.Rules
// is one.
type Classifier interface {
	Classify(registry.Failure) registry.Verdict

	// Asks reports whether a verdict may depend on this provider. The Classifier treats all
	// other providers alike.
	Asks(provider string) bool

	// Version changes whenever the same failure might get another verdict.
	Version() string
}

// A Writer stores rows in batches. One goroutine uses it. It may write rows in the
// background: a later call may return the error, at the latest Commit. Times are in
// microseconds since 1970, minutes are minutes since 1970.
//
// Everything between Begin and Commit, the rows and the positions behind them,
// takes effect together or not at all. Ids stay valid until a Begin that
// reports that the batch is stale, or a Rollback.
type Writer interface {
	// Begin starts a batch and waits for its turn while another process is writing. It
	// reports whether another process has written since the last batch: then the positions,
	// ids and open messages that the caller has kept are out of date. Waiting ends with
	// ctx.
	Begin(ctx context.Context) (stale bool, err error)
	Commit() error
	Rollback()

	// Wanted reports whether the batch should end soon, because another process waits to
	// write, or may wait without the Writer noticing.
	Wanted() bool

	Close() error

	// Reclassify assigns new reasons to the stored failures if a Classifier of another
	// version than c assigned the present ones. It is called outside a batch.
	Reclassify(ctx context.Context, c Classifier) error

	// Tidy adds up the counts of days that are over, so that reports are quick. It is
	// called outside a batch, when there is time for it: answers are the same without it.
	Tidy(context.Context) error

	// Prune removes rows older than the times of r and gives the space back. It is called
	// outside a batch. messageOf returns the id of the message to which the state of an
	// open message refers, 0 for none: the rows of that message stay.
	Prune(ctx context.Context, r Retention, messageOf func(state []byte) int64) (Pruned, error)

	// Series and Cause return the id of a row, and add the row if it is missing.
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

	// Messages that have not ended, as package ingest/track keeps them. OpenMessages calls
	// each with the values that PutOpenMessage stored; the slices are valid only during the
	// call.
	OpenMessages(each func(key []byte, messageID int64, state []byte)) error
	OpenMessage(key []byte) (state []byte, err error)
	OpenMessagesWith(messageID int64) (keys [][]byte, err error)
	PutOpenMessage(key []byte, lastSeen, messageID int64, state []byte)
	DeleteOpenMessage(key []byte)
	ForgetOpenMessages(before int64)

	// The position up to which every log was read; see package ingest/source.
	PutSource(*Source)
	SourceOffset(id int64) (int64, error)
	LastSource() (id int64, err error) // the newest, 0 none
	FingerprintLengths() ([]int64, error)
	SourcesByFingerprint(fingerprint [16]byte, length int64) ([]Source, error)
	SourcesByInode(device, inode uint64) ([]Source, error)
	SourcesByFamily(family string) ([]Source, error)

	// Hashes of lines that were read, so that the same line of two logs counts once: see
	// package ingest. Log returns the id of a log, Coverage the logs that hold lines of a
	// host. LineHashes returns the hashes of a minute in no order, each as often as it was
	// added. AddLineHashes keeps the slice hashes and sorts it.
	Log(name string) (int64, error)
	Coverage(host []byte) ([]Coverage, error)
	Cover(host []byte, c Coverage) error
	LineHashes(log, minute int64) ([]uint32, error)
	AddLineHashes(log, minute int64, hashes []uint32)
	ForgetLineHashes() error

	Meta(name string) (string, error)
	PutMeta(name, value string)
}

// Writable is a database that accepts writes.
type Writable interface {
	Writer() (Writer, error)
}

// Cause is the key under which failures are stored: the properties that the reason was
// derived from, and the reason.
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

	// Operator, if not nil, returns Provider; the Writer calls it when it meets a relay for
	// the first time.
	Operator func(relay []byte) string

	Direction registry.Direction
	Own       bool // this server made the message to report a failure
}

// Counts are added up by minute and series.
type Counts struct {
	Delivered  int64 // attempts
	Recipients int64 // delivered without an earlier failure or deferral
	Suspended  int64
	Handed     int64
	Messages   int64

	// Accepted, Expected and Heard belong to a series without recipient and relay, in the
	// minute in which messages came into the queue. Heard counts those with a later record:
	// the others are untried.
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

// Coverage records that a log holds lines of a host between two minutes.
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

// Sub subtracts m from l.
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
	First     bool // the first failing attempt of the recipient for this reason

	// Bounce is not nil if a bounce reports the failure. If a log reports the same failure,
	// the log's report counts instead, whichever is read first.
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
	LineHash         uint64 // 0: no other log repeats the line
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

// Submission counts messages by the account and client that submitted them, by the hour.
type Submission struct {
	Time       int64
	Host       []byte // of the log
	Sender     []byte // domain, as in SeriesKey
	Account    []byte
	Client     []byte // host name, or else address
	Messages   int64
	Recipients int64 // as far as the log gives their number
	Bytes      int64 // likewise

	// Address is the address of the envelope sender, for sinks that count by it: a database
	// keeps only the domain.
	Address []byte
}

// Trouble is a line in which the mail system reports internal trouble.
type Trouble struct {
	Time      int64
	Format    string
	Host      []byte
	Service   []byte
	Kind      string // "fatal", "panic", "disk-full" …
	Text      string
	Signature string // Text with its variable parts masked: lines with the same one are one row
}

// Delivery is a recipient that was delivered without an earlier failure or deferral. The
// database keeps it for some days, so that it can be found by its address and queue id.
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

// Step is the kind of event that a Delivery records.
type Step uint8

// The steps, in the order in which they come when they have the same time.
const (
	StepDelivered  Step = iota
	StepHandedOver      // to a content filter of this host
	StepPlaced          // the program that accepted the message reports where it put it
)

// Steps are the names of the steps.
var Steps = [...]string{"delivered", "handed over", "placed"}

// Clean makes the text of a log fit for the database: invalid UTF-8 and NUL bytes become
// U+FFFD. SQLite's functions take a NUL byte for the end of a string.
func Clean(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}

// MaxReply is the longest text of a reply that is kept, in bytes. A line of a reply has 512
// at most (RFC 5321); replies of several lines with advice have about a thousand.
const MaxReply = 4 << 10

// CleanReply makes the text of a reply fit for the database, like Clean. It cuts a text
// longer than MaxReply, and appends the length of the whole.
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

// Source is a row of the table sources. Its fields are those of source.Position, which
// documents them.
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
