package parsers

// A Problem is a kind of trouble that the mail system itself is in. It stops or
// harms all mail, not one message.
type Problem string

// The problems.
const (
	ProblemDisk   Problem = "disk"   // no space, no inodes, a quota, a file that grew too big
	ProblemMemory Problem = "memory" // out of memory, of file descriptors or of processes
	// a parameter, a missing file, permissions, a table that cannot be read
	ProblemConfig Problem = "configuration"
	// a table on a server (LDAP, SQL) or a map that cannot be asked
	ProblemLookup Problem = "lookup"
	ProblemDNS    Problem = "dns" // the resolver does not answer
	// a DNS blocklist refuses to answer, so that all mail is refused
	ProblemResolver Problem = "open-resolver"
	ProblemMilter   Problem = "milter"         // a milter cannot be reached or breaks off
	ProblemPolicy   Problem = "policy-service" // so does a policy server
	ProblemFilter   Problem = "filter"         // so does a content filter or a scanner
	ProblemAuth     Problem = "authentication" // so does the SASL server
	ProblemTLS      Problem = "tls"            // a certificate or key of this host, a TLS library
	ProblemLimit    Problem = "limit"          // processes or connections have reached their limit
	ProblemProcess  Problem = "process"        // a daemon died, or cannot be started
	ProblemQueue    Problem = "queue"          // a damaged or unreadable queue file
	ProblemTLSRPT   Problem = "tlsrpt"         // TLS to Domain failed as RFC 8460 reports it
	ProblemOther    Problem = "other"
)

// Fault is the trouble a line reports. Its words are Reply.Text.
type Fault struct {
	Problem  Problem
	Severity Severity
	Domain   []byte // of a recipient that it concerns, with ProblemTLSRPT
}

// Severity is how bad a fault is by the word of the program that reports it.
type Severity uint8

// The severities.
const (
	SeverityUnknown Severity = iota
	SeverityWarning          // the program goes on
	SeverityError            // something was not done
	SeverityFatal            // the process gave up
)

var severityNames = [...]string{"", "warning", "error", "fatal"}

// String returns the name of a severity, "" for SeverityUnknown.
func (s Severity) String() string { return severityNames[s] }
