package detect

import "bytes"

// lookalikes counts lines of logs that are often taken for a mail server's, so that a
// file in which nothing was understood can be refused by name.
type lookalikes struct {
	counts  [numLookalikes]int
	refused string // name that a format gave the log
}

const (
	likeIMAP = iota
	likeSendmail
	likeMsglog
	likeFilter
	likeSyslog
	likeWeb
	likeExchange
	likeIIS
	likeJSON
	likeHTML
	likeCSV
	likeBinary
	numLookalikes
)

var lookalikeNames = [numLookalikes]string{
	likeIMAP:     "the log of an IMAP or POP server",
	likeSendmail: "a sendmail log",
	likeMsglog:   "what Exim keeps of one message (msglog); its main log has all of it",
	likeFilter:   "the log of a mail filter",
	likeSyslog:   "syslog of programs that send no mail",
	likeWeb:      "the access log of a web server",
	likeExchange: "an Exchange log of a kind that does not report mail",
	likeIIS:      "an IIS log",
	likeJSON:     "JSON of some other program",
	likeHTML:     "HTML or XML",
	likeCSV:      "a table of something else",
	likeBinary:   "a binary file",
}

// kind returns the name that a format gave the log, or else the kind of most lines; ""
// when nothing was recognised. Syslog lines count only when there is no other kind: a
// program's name is more specific.
func (l *lookalikes) kind() string {
	if l.refused != "" {
		return l.refused
	}
	best, most := "", 0
	for i, n := range l.counts {
		if i == likeSyslog {
			continue
		}
		if n > most {
			best, most = lookalikeNames[i], n
		}
	}
	if best == "" && l.counts[likeSyslog] > 0 {
		return lookalikeNames[likeSyslog]
	}
	return best
}

// program counts a syslog line that no format reads.
func (l *lookalikes) program(name []byte) {
	l.counts[programLookalike(name)]++
}

func programLookalike(name []byte) int {
	if i := bytes.IndexByte(name, '/'); i > 0 {
		name = name[:i]
	}
	switch string(name) {
	case "dovecot", "imapd", "pop3d", "imapd-ssl", "pop3d-ssl", "imap", "pop3", "cyrus", "ipop3d",
		"lmtpunix", "imap-login", "pop3-login", "courierpop3login", "imaplogin":
		return likeIMAP
	case "sendmail", "sm-mta", "sm-msp", "sm-msp-queue", "sm-acceptingconnections":
		return likeSendmail
	case "amavis", "amavisd", "spamd", "rspamd", "clamd", "opendkim", "opendmarc", "postgrey", "policyd-spf",
		"milter-greylist", "spamc", "clamsmtpd":
		return likeFilter
	}
	return likeSyslog
}

// bare counts a line without a prefix that no format reads.
func (l *lookalikes) bare(line []byte) {
	if i := bareLookalike(line); i >= 0 {
		l.counts[i]++
	}
}

func bareLookalike(line []byte) int {
	line = bytes.TrimLeft(line, " \t")
	has := func(s string) bool { return bytes.Contains(line, []byte(s)) }
	begins := func(s string) bool { return bytes.HasPrefix(line, []byte(s)) }
	switch {
	case bytes.IndexByte(line, 0) >= 0:
		return likeBinary
	case has(" sendmail["), has(" sm-mta["):
		return likeSendmail
	case has(" Received from ") && has(" P=") && has(" S="), has(" transport succeeded"):
		return likeMsglog
	case has(" dovecot: "), has(" imapd["), has(" pop3d["):
		return likeIMAP
	case begins("#Software: Microsoft Exchange"), begins("#Log-type:"), begins("#Log-Type:"):
		return likeExchange
	case begins("#Software: Microsoft Internet Information"), has(", SMTPSVC"), has(" W3SVC"):
		return likeIIS
	case has(`"GET /`), has(`"POST /`), has(`"HEAD /`), has(" HTTP/1."):
		return likeWeb
	case begins("{"), begins("["):
		return likeJSON
	case begins("<"):
		return likeHTML
	case bytes.Count(line, []byte(",")) >= 3, bytes.Count(line, []byte("\t")) >= 3,
		bytes.Count(line, []byte(";")) >= 3:
		return likeCSV
	}
	return -1
}
