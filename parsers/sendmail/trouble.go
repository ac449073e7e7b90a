package sendmail

import (
	"bytes"

	"mailfail/parsers"
)

// A sign is a text that proves trouble of the mail system itself.
type sign struct {
	text    string
	problem parsers.Problem
}

// signs are in order of priority, for lines without fields: the first sign of this list
// that a text contains decides.
var signs = []sign{
	{"No space left on device", parsers.ProblemDisk},
	{"low on space", parsers.ProblemDisk},
	{"min free: ", parsers.ProblemDisk},
	{"Cannot write", parsers.ProblemDisk},
	{"Disk quota exceeded", parsers.ProblemDisk},
	{"load average", parsers.ProblemLimit},
	{"too many connections", parsers.ProblemLimit},
	{"Milter (", parsers.ProblemMilter},
	{"fork", parsers.ProblemMemory},
	{"Out of memory", parsers.ProblemMemory},
	{"Cannot allocate memory", parsers.ProblemMemory},
	{"missing map file", parsers.ProblemConfig},
	{"unqualified host name", parsers.ProblemConfig},
	{"qualify my own domain name", parsers.ProblemConfig},
	{"cannot bind", parsers.ProblemConfig},
	{"problem creating SMTP socket", parsers.ProblemConfig},
	{"readcf", parsers.ProblemConfig},
	{"unsafe", parsers.ProblemConfig},
	{"STARTTLS: CRLFile", parsers.ProblemTLS},
	{"STARTTLS=server: file", parsers.ProblemTLS},
	{"ldap", parsers.ProblemLookup},
}

// milterFaults are parts of sendmail's texts about a milter that fails.
var milterFaults = []string{"error", "unsafe", "timeout", "Connection refused", "failed", "not responding"}

// faultIn returns the problem of the first sign in text, "" when there is none.
func faultIn(text []byte) parsers.Problem {
	for i := range signs {
		if bytes.Contains(text, []byte(signs[i].text)) {
			return signs[i].problem
		}
	}
	return ""
}

// warned emits the trouble that a line reports, and returns false for other lines.
func (p *parser) warned(text []byte) bool {
	problem := faultIn(text)
	if problem == "" || problem == parsers.ProblemMilter && !parsers.ContainsAny(text, milterFaults) {
		return false
	}
	p.trouble(problem, parsers.SeverityWarning, text)
	return true
}

// syserr reads "SYSERR(root): text", sendmail's reports about errors of the system. It
// ignores those about a client that closed the connection.
func (p *parser) syserr(text []byte) parsers.Result {
	_, what, _ := bytes.Cut(text, []byte(": "))
	if parsers.ContainsAny(what, clientGone) {
		return parsers.Understood
	}
	problem := faultIn(what)
	if problem == "" {
		problem = parsers.ProblemOther
	}
	p.trouble(problem, parsers.SeverityError, what)
	return parsers.Understood
}

var clientGone = []string{"I/O error on", "putoutmsg", "putbody", "Broken pipe", "Connection reset",
	"timeout writing message"}

// trouble emits a Trouble record with text as its reply.
func (p *parser) trouble(problem parsers.Problem, severity parsers.Severity, text []byte) {
	r := &p.rec
	r.Reset()
	r.Problem, r.Severity = problem, severity
	r.Reply.Text = text
	p.send(parsers.Trouble)
}
