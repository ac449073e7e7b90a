package exim

import "mailfail/parsers"

// A sign is a text by which trouble of the mail system itself is known, in lines
// that are not about one delivery and quote nothing that a stranger wrote.
type sign struct {
	text    string
	problem parsers.Problem
}

// signs are looked for in this order. testdata/messages.txt has a line for each.
var signs = []sign{
	{"No space left on device", parsers.ProblemDisk},
	{"space check failed", parsers.ProblemDisk},
	{"Disk quota exceeded", parsers.ProblemDisk},
	{"Read-only file system", parsers.ProblemDisk},
	{"Exim configuration error", parsers.ProblemConfig},
	{"malware acl condition: ", parsers.ProblemFilter},
	{"spam acl condition: ", parsers.ProblemFilter},
	{"cert/key setup", parsers.ProblemTLS},
	{" fork ", parsers.ProblemProcess}, // "daemon: accept process fork failed"
	{"daemon: fork of ", parsers.ProblemProcess},
	{"Cannot allocate memory", parsers.ProblemMemory},
	{"Too many open files", parsers.ProblemMemory},
	{"SIGSEGV", parsers.ProblemProcess},
	{"delivery process failed", parsers.ProblemProcess},
	{"from delivery subprocess", parsers.ProblemProcess},
	{"socket bind() to port", parsers.ProblemConfig},
	{"ainted ", parsers.ProblemConfig},
	{"user lost privilege", parsers.ProblemConfig},
	{"Cannot open main log file", parsers.ProblemConfig},
	{"is on the never_users list", parsers.ProblemConfig},
	{"unable to set gid=", parsers.ProblemConfig},
	{"listen() failed on ", parsers.ProblemConfig},
	{"socket creation failed: ", parsers.ProblemProcess},
	{"invalid SMTP port: ", parsers.ProblemConfig},
	{"TCP port \"", parsers.ProblemConfig},
	{"pid file path ", parsers.ProblemConfig},
	{" transport:   ", parsers.ProblemConfig}, // options that contradict each other
	{" authenticator:  ", parsers.ProblemConfig},
	{"failed to write to main log", parsers.ProblemDisk},
	{"setegid(", parsers.ProblemConfig},
	{"seteuid(", parsers.ProblemConfig},
	{"setgroups: ", parsers.ProblemConfig},
	{"priv_restore: ", parsers.ProblemConfig},
	{"priv_drop_temp: ", parsers.ProblemConfig},
	{"RFC822 spool file, skipping", parsers.ProblemQueue},
	{" gave DEFER", parsers.ProblemLookup},
	{"DB file ", parsers.ProblemLookup},
	{"DB error", parsers.ProblemLookup},
	{"spool file", parsers.ProblemQueue},
}

// strangers begin lines that may quote what a client or a remote host said.
var strangers = []string{
	"H=", "SMTP ", "rejected ", "refused ", "DKIM: ", "PDKIM: ", "SPF: ", "no MAIL in ", "unexpected ",
	"Warning: ", "cwd=",
	"Spool file is locked", "VRFY ", "EXPN ", "ETRN ", "Remote host ",
}

// fatal are parts of the lines of the panic log that are in no other: Exim could not
// write the main log, or had not begun to. Its calls of log_write with LOG_PANIC and
// without LOG_MAIN are the list.
var fatal = []string{
	"Exim configuration error", "exim user lost privilege", "Cannot open main log file",
	"listen() failed on ", "socket creation failed: ", "invalid SMTP port: ", "TCP port \"",
	"pid file path ",
	" transport:   ", " authenticator:  ", "failed to write to main log", "setegid(", "seteuid(",
	"setgroups: ",
	"priv_restore: ", "priv_drop_temp: ", "RFC822 spool file, skipping",
}

// troubled reads a line that is not about one delivery, and reports whether the mail
// system itself is in trouble by it.
func (p *parser) troubled(text []byte, emit func(*parsers.Record)) bool {
	if len(text) == 0 || parsers.HasAny(text, strangers) {
		return false
	}
	found := signIn(text)
	if found != nil {
		p.trouble(found.problem, text, emit)
	}
	return found != nil
}

// signsFrom are the places in signs of those that begin with a byte.
var signsFrom = func() (from [256][]int) {
	for i := range signs {
		c := signs[i].text[0]
		from[c] = append(from[c], i)
	}
	return from
}()

// signIn returns the first of the signs that a text holds, nil for none, in one pass:
// most lines outside deliveries come here and have none.
func signIn(text []byte) *sign {
	first := len(signs)
	for at, c := range text[:max(len(text)-1, 0)] {
		for _, i := range signsFrom[c] {
			if s := signs[i].text; text[at+1] == s[1] && i < first && parsers.Has(text[at:], s) {
				first = i
			}
		}
	}
	if first == len(signs) {
		return nil
	}
	return &signs[first]
}

// panicked reads a line of the panic log. What the main log has too is counted there.
func (p *parser) panicked(text []byte, emit func(*parsers.Record)) parsers.Result {
	if parsers.ContainsAny(text, fatal) && p.troubled(text, emit) {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// trouble emits the trouble that the mail system is in.
func (p *parser) trouble(problem parsers.Problem, text []byte, emit func(*parsers.Record)) {
	r := &p.rec
	time, host, instance := r.Time, r.Host, r.Instance
	r.Reset()
	r.Time, r.Host, r.Instance = time, host, instance
	r.Kind, r.Problem, r.Severity = parsers.Trouble, problem, parsers.SeverityError
	r.Reply.Text = text
	emit(r)
}
