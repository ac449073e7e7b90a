package parsers

import (
	"time"

	"mailfail/registry"
)

// Kind says what a Record reports.
type Kind uint8

// The kinds of records. KindFields lists the fields of each.
const (
	// Arrival: a message entered the queue, or a line reports more about it.
	Arrival Kind = iota + 1
	// Expected: the recipient is one of the message; nothing was tried yet.
	Expected
	// Attempt: one try to pass the recipient on has ended as Outcome says.
	Attempt
	// Suspended: the MTA deferred the recipient without an attempt.
	Suspended
	// Settled: the recipient has reached the state Final without an attempt of
	// its own. Without an address, all recipients that are still pending have.
	Settled
	// End: the message left the queue (removed, Completed).
	End
	// Rejection: this host refused to take mail in.
	Rejection
	// Connection: a connection to the next hop has ended, or could not be made.
	// It names no recipient and so is not an attempt. Delivered means that it could
	// be used, Deferred that it ended before a recipient was named.
	Connection
	// Trouble: the mail system itself is in trouble, as Fault says.
	Trouble
	// Complaint: a recipient has complained about the message. Reply.Text is the type
	// of the complaint (abuse, fraud …), Relay who reports it.
	Complaint
	// Placed: a filter or a mailbox behind the MTA says in Place where it put the mail
	// that it took, before the MTA reports the delivery. Final is removed when it was
	// thrown away or is kept back.
	Placed
	// Noted: a session did what is only counted. With a next hop (outgoing) or a client
	// (incoming) it was encrypted, as TLS says; without TLS, a login of a client failed.
	Noted
)

var kindNames = [...]string{
	"", "arrival", "expected", "attempt", "suspended", "settled", "end", "rejection", "connection",
	"trouble", "complaint", "placed", "noted",
}

// String returns the name of a kind.
func (k Kind) String() string { return kindNames[k] }

// A Record is what a line reports about a message, a recipient or a client.
// Its byte slices point into the line: who keeps one must copy it.
//
// It has a part for each subject. Which fields a kind may and must have is in
// KindFields; the test kit checks it.
type Record struct {
	Kind Kind

	// Who wrote the line. The stream sets Format, and Time and Host unless the
	// parser knows better than the prefix of the line.
	Format   *Format
	Time     time.Time
	Host     []byte // empty when the log does not say
	Instance []byte // "postfix-out" of several MTAs on one host; "" for the usual one
	Service  []byte // "smtp", "relay/smtp", "submission/smtpd"; Exim's transport

	// FromBounce: a bounce reports it that came in at the server whose log is read.
	// The stream makes it a record of the format of bounces: see ReportedByBounce.
	FromBounce bool

	Message
	Recipient
	Contact
	Twin
	Fault
}

// Message is the message a record is about, as far as the line describes it.
type Message struct {
	ID []byte // queue id, or what the message is known by within Format.Scope

	HasSender bool   // Sender is known; "" is the null sender <>
	Sender    []byte // without angle brackets
	Account   []byte // who submitted it: SASL login, local user
	Login     bool   // the client has logged in for this message
	Client    []byte // host name of the client that brought it in
	ClientIP  []byte
	MessageID []byte // of the header, with its angle brackets
	Size      int64  // bytes, 0 when not given

	// Recipients is how many recipients the message was accepted for, 0 when
	// the line does not say.
	Recipients int
	// Reinjected: the message came from this host itself (loopback, pickup).
	Reinjected bool
	// BounceOf is the ID of the message whose failure this one reports: the MTA
	// made it. Own is set too, and alone when the log does not name that message.
	BounceOf []byte
	Own      bool

	// QueueIDs are ids that servers gave the message before, separated by blanks. Of
	// a report about a message: its log may have it under one of them.
	QueueIDs []byte
}

// Recipient is the recipient a record is about.
type Recipient struct {
	Address []byte // without angle brackets
	// the address before rewriting or expansion (orig_to=); in a report about a message another one
	// that it has
	Original  []byte
	Kept      bool // with Expected: it stays a recipient, though other records say it was replaced
	Direction registry.Direction
	Place     []byte // "dovecot: stored in Junk"

	// Final is the state reached, with Settled. With a failed Attempt it is how
	// the recipient ended unless it was bounced: expired, removed.
	Final registry.State
}

// Contact is the contact with the next hop in an attempt or a connection, and
// with the client in a rejection.
type Contact struct {
	Outcome   registry.Outcome
	Relay     []byte         // host name of the next hop, as logged; "" when there was none
	RelayIP   []byte         // its address; a path for a Unix socket
	Stage     registry.Stage // where it ended; unknown for Delivered
	Source    registry.Source
	Reply     registry.Reply    // the remote's, or the local text without codes
	MTAStatus registry.Enhanced // the MTA's own (dsn=)
	Then      []byte            // what came of a host that was tried after the one that gave Reply
	Delay     time.Duration     // since arrival; negative when not given
	NextID    []byte            // queue id at the next hop, from "queued as"
	TLS       []byte            // protocol and cipher, where the line has them

	// Nth is for a report that repeats all attempts of a recipient whenever it is
	// made: which one with this Outcome it is, from 1; else 0.
	Nth int

	// Of a connection.
	Messages int    // that the next hop took
	Session  []byte // what other logs of the server know it by
}

// Twin marks a line that another log of the same server repeats (Exim's reject
// log): however often a LineHash is seen in either log, it is counted as often
// as in the one that has more of it.
type Twin struct {
	Copy     bool
	LineHash uint64 // 0: the line cannot be repeated elsewhere
}

// Reset makes r ready for the next line.
func (r *Record) Reset() {
	*r = Record{Contact: Contact{Delay: -1}}
}

// Detach copies what r points to behind b, lets r point there, and returns the longer
// b: r is valid for as long as that is.
func (r *Record) Detach(b []byte) []byte {
	b = detach(b, &r.Host)
	b = detach(b, &r.Instance)
	b = detach(b, &r.Service)

	b = detach(b, &r.ID)
	b = detach(b, &r.Sender)
	b = detach(b, &r.Account)
	b = detach(b, &r.Client)
	b = detach(b, &r.ClientIP)
	b = detach(b, &r.MessageID)
	b = detach(b, &r.BounceOf)
	b = detach(b, &r.QueueIDs)

	b = detach(b, &r.Address)
	b = detach(b, &r.Original)
	b = detach(b, &r.Place)

	b = detach(b, &r.Relay)
	b = detach(b, &r.RelayIP)
	b = detach(b, &r.Reply.Text)
	b = detach(b, &r.Then)
	b = detach(b, &r.NextID)
	b = detach(b, &r.TLS)
	b = detach(b, &r.Session)

	return detach(b, &r.Fault.Domain)
}

// detach does so for a field. Most are empty, which is all that is inlined.
func detach(b []byte, field *[]byte) []byte {
	if len(*field) == 0 {
		return b
	}
	return moved(b, field)
}

func moved(b []byte, field *[]byte) []byte {
	n := len(b)
	b = append(b, *field...)
	*field = b[n:len(b):len(b)]
	return b
}

// ReportedByBounce makes r a failure that a bounce reports and of which a line of a log says so.
// Reply and MTAStatus are set, and what is set of the message is that of what was
// returned: r means what a bounce in a mailbox does.
func (r *Record) ReportedByBounce() {
	r.Kind, r.FromBounce, r.Outcome, r.Nth = Attempt, true, registry.OutcomeFailed, 1
	if r.Reply.Code != 0 {
		r.Source = registry.SourceRemote
	}
	if status := r.MTAStatus; status.Class == 4 || status.Subject == 4 && status.Detail == 7 {
		r.Final = registry.StateExpired
	}
}

// Settle makes r one that reports a final state without an attempt.
func (r *Record) Settle(state registry.State) { r.Kind, r.Final = Settled, state }
