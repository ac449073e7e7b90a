package registry

// The terms of mail that all packages share, as RFC 5321, RFC 3463 and the counting rules
// name them. Databases store their numbers: a number is never given to another word, and
// new words are added at the end.

// Outcome is the result of one attempt to pass a recipient on, or the refusal of incoming
// mail.
type Outcome uint8

// The outcomes. OutcomeRejected is not the result of an attempt: this host refused to
// accept the mail.
const (
	OutcomeUnknown   Outcome = 0
	OutcomeDelivered Outcome = 1
	OutcomeDeferred  Outcome = 2 // temporary: the MTA treats it so
	OutcomeFailed    Outcome = 3 // permanent
	OutcomeRejected  Outcome = 4
)

var outcomeNames = [...]string{"", "delivered", "deferred", "failed", "rejected"}

// String returns the outcome's name, "" for OutcomeUnknown.
func (o Outcome) String() string { return nameOf(outcomeNames[:], uint8(o)) }

// State is the final state of a recipient, or StatePending.
type State uint8

// The states of a recipient.
const (
	StatePending    State = 0
	StateDelivered  State = 1
	StateBounced    State = 2 // a permanent failure
	StateExpired    State = 3 // it expired after retries
	StateRemoved    State = 4 // deleted by an administrator or discarded on purpose
	StateHandedOver State = 5 // to a content filter or another server: counted there
	StateReplaced   State = 6 // by other addresses: they are the recipients
)

var stateNames = [...]string{"pending", "delivered", "bounced", "expired", "removed",
	"handed over", "replaced"}

// String returns the state's name.
func (s State) String() string { return nameOf(stateNames[:], uint8(s)) }

// Stage is the point at which a delivery, or the acceptance of incoming mail, ended.
type Stage uint8

// The stages of an SMTP session in their order, then those without one.
const (
	StageUnknown   Stage = 0
	StageConnect   Stage = 1  // opening the TCP connection
	StageBanner    Stage = 2  // the server's greeting
	StageEHLO      Stage = 3  // EHLO, HELO, LHLO
	StageSTARTTLS  Stage = 4  // STARTTLS and the handshake
	StageAuth      Stage = 5  // AUTH
	StageMail      Stage = 6  // MAIL FROM
	StageRcpt      Stage = 7  // RCPT TO
	StageData      Stage = 8  // the DATA command
	StageEndOfData Stage = 9  // the reply to the message itself; BDAT LAST
	StageQuit      Stage = 10 // QUIT
	StageLocal     Stage = 11 // a mailbox, pipe or file on this host
	StageDNS       Stage = 12 // looking up the next hop
	StageRoute     Stage = 13 // deciding on the next hop
)

var stageNames = [...]string{
	"", "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data",
	"end-of-data", "quit", "local", "dns", "route",
}

// String returns the stage's name, "" for StageUnknown.
func (s Stage) String() string { return nameOf(stageNames[:], uint8(s)) }

// Source is who or what caused a failure.
type Source uint8

// The sources of a failure.
const (
	SourceUnknown Source = 0
	SourceRemote  Source = 1 // the other server's reply
	SourceLocal   Source = 2 // this MTA's decision
	SourceNetwork Source = 3 // no connection, or it was lost
	SourceDNS     Source = 4 // the name service
	SourceTLS     Source = 5 // TLS could not be negotiated or trusted
)

var sourceNames = [...]string{"", "remote", "local", "network", "dns", "tls"}

// String returns the source's name, "" for SourceUnknown.
func (s Source) String() string { return nameOf(sourceNames[:], uint8(s)) }

// Direction is whose mailbox a recipient is. It decides who has to act on a failure.
type Direction uint8

// The directions. Databases store their numbers.
const (
	DirectionOutgoing Direction = 0 // another party's mailbox
	DirectionLocal    Direction = 1 // a mailbox, pipe or filter of this host
	DirectionIncoming Direction = 2 // mail that this host refused to accept
)

var directionNames = [...]string{"outgoing", "local", "incoming"}

// String returns the direction's name.
func (d Direction) String() string { return nameOf(directionNames[:], uint8(d)) }

// nameOf returns the name of a word, or "unknown" for a number from a newer program or a
// damaged database.
func nameOf(names []string, word uint8) string {
	if int(word) < len(names) {
		return names[word]
	}
	return "unknown"
}
