package exim

import "mailfail/parsers"

// A sign is a text that proves trouble of the mail system itself, in lines that are
// not about one delivery and do not quote a stranger.
type sign struct {
	text    string
	problem parsers.Problem
}

// signs are in order of priority: the first sign of this list that a text contains
// decides. testdata/messages.txt has a line for each.
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

// strangers are the beginnings of lines that may quote a client or a remote host.
var strangers = []string{
	"H=", "SMTP ", "rejected ", "refused ", "DKIM: ", "PDKIM: ", "SPF: ", "no MAIL in ", "unexpected ",
	"Warning: ", "cwd=",
	"Spool file is locked", "VRFY ", "EXPN ", "ETRN ", "Remote host ",
}

// fatal are parts of the lines that only the panic log has, because Exim could not
// write the main log, or had not opened it yet: its calls of log_write with LOG_PANIC
// and without LOG_MAIN.
var fatal = []string{
	"Exim configuration error", "exim user lost privilege", "Cannot open main log file",
	"listen() failed on ", "socket creation failed: ", "invalid SMTP port: ", "TCP port \"",
	"pid file path ",
	" transport:   ", " authenticator:  ", "failed to write to main log", "setegid(", "seteuid(",
	"setgroups: ",
	"priv_restore: ", "priv_drop_temp: ", "RFC822 spool file, skipping",
}

// troubled reads a line that is not about one delivery, emits the trouble of the mail
// system that it shows, and reports whether it shows any.
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

// signsFrom maps a byte to the indexes of the signs that begin with it.
var signsFrom = func() (from [256][]int) {
	for i := range signs {
		c := signs[i].text[0]
		from[c] = append(from[c], i)
	}
	return from
}()

// signIn returns the sign with the highest priority in text, nil for none, in one pass:
// most lines outside deliveries come here and contain none.
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

// panicked reads a line of the panic log. Lines that the main log has too are
// Irrelevant here, so that they count once.
func (p *parser) panicked(text []byte, emit func(*parsers.Record)) parsers.Result {
	if parsers.ContainsAny(text, fatal) && p.troubled(text, emit) {
		return parsers.Understood
	}
	return parsers.Irrelevant
}

// trouble emits a Trouble record with text as its reply.
func (p *parser) trouble(problem parsers.Problem, text []byte, emit func(*parsers.Record)) {
	r := &p.rec
	time, host, instance := r.Time, r.Host, r.Instance
	r.Reset()
	r.Time, r.Host, r.Instance = time, host, instance
	r.Kind, r.Problem, r.Severity = parsers.Trouble, problem, parsers.SeverityError
	r.Reply.Text = text
	emit(r)
}
