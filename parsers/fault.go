package parsers

// A Problem is a kind of problem of the mail system itself. It stops or harms all mail,
// not one message.
type Problem string

// The problems.
const (
	ProblemDisk   Problem = "disk"   // no space, no inodes, a quota, a file that grew too big
	ProblemMemory Problem = "memory" // out of memory, of file descriptors or of processes
	// a wrong parameter, a missing file, wrong permissions, a table that cannot be read
	ProblemConfig Problem = "configuration"
	// a table on a server (LDAP, SQL) or a map that cannot be queried
	ProblemLookup Problem = "lookup"
	ProblemDNS    Problem = "dns" // the resolver does not answer
	// a DNS blocklist refuses to answer, so that all mail is refused
	ProblemResolver Problem = "open-resolver"
	ProblemMilter   Problem = "milter"         // a milter is unreachable or breaks off
	ProblemPolicy   Problem = "policy-service" // a policy server is unreachable or breaks off
	ProblemFilter   Problem = "filter"         // a content filter or scanner is unreachable or breaks off
	ProblemAuth     Problem = "authentication" // the SASL server is unreachable or breaks off
	ProblemTLS      Problem = "tls"            // of a certificate or key of this host, or of a TLS library
	ProblemLimit    Problem = "limit"          // processes or connections have reached their limit
	ProblemProcess  Problem = "process"        // a daemon died, or cannot be started
	ProblemQueue    Problem = "queue"          // a damaged or unreadable queue file
	ProblemTLSRPT   Problem = "tlsrpt"         // TLS to Domain failed, as reported by RFC 8460
	ProblemOther    Problem = "other"
)

// Fault is the problem that a line reports. Its text is Reply.Text.
type Fault struct {
	Problem  Problem
	Severity Severity
	Domain   []byte // of the recipients concerned, with ProblemTLSRPT
}

// Severity is how bad a fault is, as stated by the program that reports it.
type Severity uint8

// The severities.
const (
	SeverityUnknown Severity = iota
	SeverityWarning          // the program continues
	SeverityError            // something was not done
	SeverityFatal            // the process gave up
)

var severityNames = [...]string{"", "warning", "error", "fatal"}

// String returns the name of a severity, "" for SeverityUnknown.
func (s Severity) String() string { return severityNames[s] }
