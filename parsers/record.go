package parsers

import (
	"time"

	"mailfail/registry"
)

// Kind is what a Record reports.
type Kind uint8

// The kinds of records. KindFields lists the fields of each.
const (
	// Arrival: a message entered the queue, or a line reports more about it.
	Arrival Kind = iota + 1
	// Expected: the message has this recipient; there was no attempt yet.
	Expected
	// Attempt: one attempt to pass the recipient on has ended with Outcome.
	Attempt
	// Suspended: the MTA deferred the recipient without an attempt.
	Suspended
	// Settled: the recipient has reached the state Final without an attempt of its own.
	// Without an address, all pending recipients of the message have.
	Settled
	// End: the message left the queue (removed, Completed).
	End
	// Rejection: this host refused to accept mail.
	Rejection
	// Connection: a connection to the next hop has ended, or could not be made. It names
	// no recipient and so is not an attempt. Delivered means that it was usable, Deferred
	// that it ended before a recipient was named.
	Connection
	// Trouble: the mail system itself has a problem, see Fault.
	Trouble
	// Complaint: a recipient has complained about the message. Reply.Text is the type of
	// the complaint (abuse, fraud …), Relay the host that reports it.
	Complaint
	// Placed: a filter or a mailbox behind the MTA reports in Place where it put the mail
	// that it took, before the MTA reports the delivery. Final is StateRemoved when it
	// dropped the mail or keeps it back.
	Placed
	// Noted: an event of a session that is only counted. With TLS, the session with the
	// next hop (outgoing) or with a client (incoming) was encrypted; without TLS, the
	// login of a client failed.
	Noted
)

var kindNames = [...]string{
	"", "arrival", "expected", "attempt", "suspended", "settled", "end", "rejection", "connection",
	"trouble", "complaint", "placed", "noted",
}

// String returns the name of a kind.
func (k Kind) String() string { return kindNames[k] }

// A Record is what a line reports about a message, a recipient or a client. Its byte
// slices point into the line: a consumer that keeps one must copy it.
//
// It has a part for each subject. KindFields lists the fields that a kind may and must
// have; the test kit checks it.
type Record struct {
	Kind Kind

	// The origin of the line. The stream sets Format. It sets Time and Host too, unless
	// the parser has found better values than the prefix of the line.
	Format   *Format
	Time     time.Time
	Host     []byte // empty when the log does not name it
	Instance []byte // "postfix-out" if a host has several MTAs; "" for the usual one
	Service  []byte // "smtp", "relay/smtp", "submission/smtpd"; Exim's transport

	// FromBounce means that a bounce reports the failure, which came in at the server
	// whose log is read. The stream makes it a record of the format of bounces: see
	// ReportedByBounce.
	FromBounce bool

	Message
	Recipient
	Contact
	Twin
	Fault
}

// Message is the message a record is about, as far as the line describes it.
type Message struct {
	ID []byte // queue id, or the id of the message within Format.Scope

	HasSender bool   // Sender is known; "" is the null sender <>
	Sender    []byte // without angle brackets
	Account   []byte // who submitted it: SASL login, local user
	Login     bool   // the client has logged in for this message
	Client    []byte // host name of the client that submitted it
	ClientIP  []byte
	MessageID []byte // from the header, with its angle brackets
	Size      int64  // bytes, 0 when not given

	// Recipients is the number of recipients for which the message was accepted, 0 when
	// the line does not contain it.
	Recipients int
	// Reinjected means that the message came from this host itself (loopback, pickup).
	Reinjected bool
	// BounceOf is the ID of the message whose failure this message reports: the MTA made
	// it. Own is set too; it is set alone when the log does not name the other message.
	BounceOf []byte
	Own      bool

	// QueueIDs are earlier queue ids of the message, separated by blanks. They are set in
	// a report about a message: the log of that message may have it under one of them.
	QueueIDs []byte
}

// Recipient is the recipient a record is about.
type Recipient struct {
	Address []byte // without angle brackets
	// the address before rewriting or expansion (orig_to=); in a report about a message,
	// another address of the recipient
	Original  []byte
	Kept      bool // with Expected: it stays a recipient, even if other records report that it was replaced
	Direction registry.Direction
	Place     []byte // "dovecot: stored in Junk"

	// Final is the state reached, with Settled. With a failed Attempt it is the final
	// state of the recipient unless that is bounced: expired, removed.
	Final registry.State
}

// Contact is the contact with the next hop in an attempt or a connection, and
// with the client in a rejection.
type Contact struct {
	Outcome   registry.Outcome
	Relay     []byte         // host name of the next hop, as logged; "" when there was none
	RelayIP   []byte         // its address; a path for a Unix socket
	Stage     registry.Stage // where the attempt ended; unknown for Delivered
	Source    registry.Source
	Reply     registry.Reply    // the remote's, or the local text without codes
	MTAStatus registry.Enhanced // the MTA's own (dsn=)
	Then      []byte            // result at a host that was tried after the one that gave Reply
	Delay     time.Duration     // since arrival; negative when not given
	NextID    []byte            // queue id at the next hop, from "queued as"
	TLS       []byte            // protocol and cipher, if the line contains them

	// Nth is the number of this attempt, from 1, among those with the same Outcome. It is
	// set by a report that repeats all attempts of a recipient each time it is made; else
	// it is 0.
	Nth int

	// Set for a connection.
	Messages int    // number of messages that the next hop accepted
	Session  []byte // id of the session in other logs of the server
}

// Twin marks a line that another log of the same server repeats (Exim's reject log). A
// LineHash counts as often as it occurs in the log that has it more often.
type Twin struct {
	Copy     bool
	LineHash uint64 // 0: the line cannot be repeated elsewhere
}

// Reset makes r ready for the next line.
func (r *Record) Reset() {
	*r = Record{Contact: Contact{Delay: -1}}
}

// Detach copies the bytes to which r points to the end of b, lets r point there, and
// returns the longer b: r is valid as long as that is.
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

// detach does so for one field. Most are empty; only this check is inlined.
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

// ReportedByBounce turns r into a failure that a bounce reports, when a line of a log
// describes that bounce. Reply and MTAStatus must be set, and the fields of Message must
// describe the returned message: r then means the same as a bounce in a mailbox.
func (r *Record) ReportedByBounce() {
	r.Kind, r.FromBounce, r.Outcome, r.Nth = Attempt, true, registry.OutcomeFailed, 1
	if r.Reply.Code != 0 {
		r.Source = registry.SourceRemote
	}
	if status := r.MTAStatus; status.Class == 4 || status.Subject == 4 && status.Detail == 7 {
		r.Final = registry.StateExpired
	}
}

// Settle turns r into a report of a final state without an attempt.
func (r *Record) Settle(state registry.State) { r.Kind, r.Final = Settled, state }
