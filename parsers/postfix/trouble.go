package postfix

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// A sign is a text that indicates a problem of the mail system itself.
type sign struct {
	text    string
	problem parsers.Problem
}

// signs are searched for, in this order, in warnings, errors, and in the last message of
// a process that gave up (util/msg.c). Each stands for a state in which all mail, or all
// mail of a kind, is delayed or refused. Warnings about clients and single messages
// contain none of them.
var signs = []sign{
	{"No space left on device", parsers.ProblemDisk},
	{"not enough free space", parsers.ProblemDisk},
	{"Disk quota exceeded", parsers.ProblemDisk},
	{"File too large", parsers.ProblemDisk},
	{"Read-only file system", parsers.ProblemDisk},
	{"Cannot allocate memory", parsers.ProblemMemory},
	{"Too many open files", parsers.ProblemMemory},
	{"Resource temporarily unavailable", parsers.ProblemMemory},
	{"open resolver", parsers.ProblemResolver},
	{"ilter service", parsers.ProblemMilter}, // "connect to Milter service inet:…: Connection refused"
	{"milter inet:", parsers.ProblemMilter},
	{"milter unix:", parsers.ProblemMilter},
	{"milter local:", parsers.ProblemMilter},
	{"connect to proxy filter", parsers.ProblemFilter},
	{"SASL: Connect to", parsers.ProblemAuth},
	{"no SASL authentication mechanisms", parsers.ProblemAuth},
	{"SASL: warning: ", parsers.ProblemAuth},
	{"problem talking to server", parsers.ProblemPolicy},
	{"policy service", parsers.ProblemPolicy},
	{"mysql", parsers.ProblemLookup},
	{"pgsql", parsers.ProblemLookup},
	{"ldap", parsers.ProblemLookup},
	{"mongodb", parsers.ProblemLookup},
	{"lookup problem", parsers.ProblemLookup},
	{"lookup failure", parsers.ProblemLookup},
	{" lookup error", parsers.ProblemLookup},
	{"TLS policy lookup for ", parsers.ProblemLookup},
	{"is unavailable. ", parsers.ProblemConfig},
	{"TLS has been selected, but TLS support", parsers.ProblemTLS},
	{"TLS won't be enabled", parsers.ProblemTLS},
	{"cannot get RSA ", parsers.ProblemTLS},
	{"cannot get EC", parsers.ProblemTLS},
	{"cannot get certificate", parsers.ProblemTLS},
	{"cannot get private key", parsers.ProblemTLS},
	{"cannot load Certificate", parsers.ProblemTLS},
	{"key values mismatch", parsers.ProblemTLS},
	{"disabling TLS support", parsers.ProblemTLS},
	{"has reached its process limit", parsers.ProblemLimit},
	{"screening ports busy", parsers.ProblemLimit},
	{"throttling", parsers.ProblemProcess},                  // "…: bad command startup -- throttling"
	{" failure -- see a previous ", parsers.ProblemProcess}, // "transport x failure -- see a previous …"
	{"killed by signal", parsers.ProblemProcess},
	{" exit status ", parsers.ProblemProcess},
	{"corrupt", parsers.ProblemQueue},
	{"mail_queue_enter", parsers.ProblemQueue},
	{"maildrop", parsers.ProblemQueue},
	{"queue file", parsers.ProblemQueue},
	{"in BOTH ", parsers.ProblemConfig}, // "do not list domain x in BOTH mydestination and …"
	{"configuration ", parsers.ProblemConfig},
	{"Incorrect ", parsers.ProblemConfig},
	{"parameter ", parsers.ProblemConfig},
	{"unsupported dictionary type", parsers.ProblemConfig},
	{"unknown smtpd restriction", parsers.ProblemConfig},
	{"' is ignored", parsers.ProblemConfig}, // "restriction `x' after `y' is ignored"
	{"bad transport type", parsers.ProblemConfig},
	{"unknown service", parsers.ProblemConfig},
	{"bad boolean configuration", parsers.ProblemConfig},
	{"bad numerical configuration", parsers.ProblemConfig},
}

// fatalSigns indicate a problem only in the message of a process that gave up; in
// warnings they may be about one message or one user.
var fatalSigns = []sign{
	{"Permission denied", parsers.ProblemConfig},
	{"No such file or directory", parsers.ProblemConfig},
}

// clientSigns are parts of frequent warnings about clients.
var clientSigns = []string{": SASL ", " does not resolve to address ", "RBL lookup error",
	"non-SMTP command from ",
	"dnsblog_query: ", "DNSBL lookup error", "see http://www.postfix.org/", "DANE TLSA lookup problem"}

// problemIn returns the problem of the first sign in a text, "" without one.
func problemIn(text []byte, signs []sign) parsers.Problem {
	for i := range signs {
		if bytes.Contains(text, []byte(signs[i].text)) {
			return signs[i].problem
		}
	}
	return ""
}

// severities are the words before a message that is more than information.
var severities = []struct {
	word     string
	severity parsers.Severity
}{
	{"fatal: ", parsers.SeverityFatal},
	{"panic: ", parsers.SeverityFatal},
	{"error: ", parsers.SeverityError},
}

// gaveUp reads "fatal: text", "panic: text" and "error: text". It returns false for other
// lines.
func (l *line) gaveUp(b []byte) bool {
	for _, s := range severities {
		if !parsers.Has(b, s.word) {
			continue
		}
		text := b[len(s.word):]
		problem := problemIn(text, signs)
		if problem == "" && s.severity == parsers.SeverityFatal {
			problem = problemIn(text, fatalSigns)
		}
		if problem == "" {
			problem = parsers.ProblemOther
		}
		l.trouble(problem, s.severity, text)
		return true
	}
	return false
}

// warned reads the text of a warning, and reports whether it indicates a problem.
func (l *line) warned(text []byte) bool {
	if parsers.ContainsAny(text, clientSigns) {
		return false
	}
	problem := problemIn(text, signs)
	if problem != "" {
		l.trouble(problem, parsers.SeverityWarning, text)
	}
	return problem != ""
}

// trouble emits a problem of the mail system.
func (l *line) trouble(problem parsers.Problem, severity parsers.Severity, text []byte) {
	l.begin(nil)
	l.Problem, l.Severity = problem, severity
	l.Reply.Text = text
	l.send(parsers.Trouble)
}

// blocklistErrors are answers of a DNS blocklist to a resolver that it does not serve:
// the client is not listed, and every client is refused.
var blocklistErrors = []string{"Error: open resolver", "excessive number of queries", "127.255.255."}

// isBlocklistError searches the place where smtpd and postscreen write the answer of the
// list: "… blocked using LIST; ANSWER". Most rejections have no semicolon.
func isBlocklistError(text []byte) bool {
	i := bytes.IndexByte(text, ';')
	return i >= 0 && parsers.ContainsAny(text[i:], blocklistErrors)
}

// portsBusy is logged by postscreen when it has no process for a client.
const portsBusy = "all screening ports busy"

// refusedByFault emits the problem that caused the last rejection: a blocklist that
// returns errors, or a condition of this system (X.3.X of RFC 3463, no free process).
func (l *line) refusedByFault() {
	text, status := l.Reply.Text, l.Reply.Enhanced
	problem := parsers.Problem("")
	switch {
	case isBlocklistError(text):
		problem = parsers.ProblemResolver
	case parsers.Has(text, portsBusy), parsers.Has(text, "all server ports busy"):
		problem = parsers.ProblemLimit
	case status.Subject != 3:
		return
	case status.Detail == 1:
		problem = parsers.ProblemDisk
	case status.Detail == 5:
		problem = parsers.ProblemConfig
	case bytes.Contains(text, []byte("emporary lookup failure")):
		problem = parsers.ProblemLookup
	default:
		return
	}
	service := l.Service
	l.trouble(problem, parsers.SeverityError, text)
	l.Service = service
}

// tlsReport reads the lines of Postfix's TLS reporting (RFC 8460):
//
//	TLSRPT: status=failure, domain=a.example, receiving_mx=mx.a.example[192.0.2.1], failure_type=validation_failure, failure_reason=…
func (l *line) tlsReport(b []byte) parsers.Result {
	if !parsers.Has(b, "status=failure, ") {
		return parsers.Understood
	}
	l.begin(nil)
	l.Problem, l.Severity = parsers.ProblemTLSRPT, parsers.SeverityWarning
	l.Domain = valueOf(b, "domain=")
	l.Relay, l.RelayIP, _, _ = host(valueOf(b, "receiving_mx="))
	l.Stage, l.Source = registry.StageSTARTTLS, registry.SourceTLS
	if i := bytes.Index(b, []byte("failure_type=")); i >= 0 {
		l.Reply.Text = b[i+len("failure_type="):]
	}
	l.send(parsers.Trouble)
	return parsers.Understood
}

// valueOf returns the value after a name, up to a comma.
func valueOf(b []byte, name string) []byte {
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		return nil
	}
	value, _, _ := bytes.Cut(b[i+len(name):], []byte(","))
	return value
}
