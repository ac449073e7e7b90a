package registry

// Stage is the point in a delivery or in taking in mail at which it ended.
type Stage uint8

// The stages of an SMTP session in their order, then those without one.
const (
	StageUnknown   Stage = iota
	StageConnect         // opening the TCP connection
	StageBanner          // the server's greeting
	StageEHLO            // EHLO, HELO, LHLO
	StageSTARTTLS        // STARTTLS and the handshake
	StageAuth            // AUTH
	StageMail            // MAIL FROM
	StageRcpt            // RCPT TO
	StageData            // the DATA command
	StageEndOfData       // the reply to the message itself; BDAT LAST
	StageQuit            // QUIT
	StageLocal           // a mailbox, pipe or file on this host
	StageDNS             // looking up the next hop
	StageRoute           // deciding on the next hop
)

var stageNames = [...]string{"", "connect", "banner", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end-of-data", "quit", "local", "dns", "route"}

// String returns the stage's name, "" for StageUnknown.
func (s Stage) String() string { return stageNames[s] }

// Source says who or what caused a failure.
type Source uint8

// The sources of a failure.
const (
	SourceUnknown Source = iota
	SourceRemote         // the other server's reply
	SourceLocal          // this MTA decided
	SourceNetwork        // no connection, or it was lost
	SourceDNS            // the name service
	SourceTLS            // TLS could not be negotiated or trusted
)

var sourceNames = [...]string{"", "remote", "local", "network", "dns", "tls"}

// String returns the source's name, "" for SourceUnknown.
func (s Source) String() string { return sourceNames[s] }

// Failure is what is known of one failure, as far as its reason depends on it.
type Failure struct {
	Provider  string // of the relay, see Provider; "" when there was no relay
	Reply     uint16 // 0 when none was given
	Enhanced  Enhanced
	MTAStatus Enhanced // the status this MTA gave it (Postfix dsn=)
	Stage     Stage
	Source    Source
	Signature string // of the reply text, see Signature
}

// Reason is the class a failure is filed under, one of a fixed list.
type Reason string

// Verdict is a reason together with the name of the rule that decided.
type Verdict struct {
	Reason Reason
	Rule   string
}
