package exim

import (
	"bytes"
	"time"

	"mailfail/parsers"
	"mailfail/registry"
)

// fields are the parts of a line about a delivery that are not set in the record
// directly (spec 52.13 lists the letters of all fields).
type fields struct {
	deferral bool   // the line contains "defer (…)"
	message  []byte // the text after the first colon
	reply    []byte // C=, in quotes
}

// readFields reads words up to the colon that introduces free text, into the record
// and f. It skips unknown words: there are many, and every version adds some.
func (p *parser) readFields(s []byte, f *fields) {
	r := &p.rec
	for len(s) > 0 {
		if s[0] == ' ' {
			s = s[1:]
			continue
		}
		if s[0] == ':' {
			f.message = bytes.TrimLeft(s[1:], " ")
			return
		}
		if s[0] == 'H' && len(s) > 1 && s[1] == '=' {
			s = relay(r, s[2:])
			continue
		}
		if s[0] == 'd' && bytes.HasPrefix(s, []byte("defer (")) {
			f.deferral = true
			i := bytes.IndexByte(s, ')')
			if i < 0 {
				i = len(s) - 1
			}
			s = s[i+1:]
			continue
		}
		var w []byte
		w, s = word(s)
		if len(w) < 3 {
			continue
		}
		switch {
		case w[1] == '=' && w[0] == 'T':
			r.Service = w[2:]
		case w[1] == '=' && w[0] == 'C':
			f.reply = w[2:]
		case w[1] == '=' && w[0] == 'X':
			r.TLS = w[2:]
		case w[1] == '=' && w[0] == 'F':
			if addr, _, ok := angle(w[2:]); ok {
				r.HasSender, r.Sender = true, addr
			}
		case w[0] == 'Q' && w[1] == 'T' && w[2] == '=':
			if d, ok := duration(w[3:]); ok {
				r.Delay = d
			}
		}
	}
}

// relay reads "NAME [IP]:PORT*" into r and returns the rest of s. Some lines of old
// versions lack the name, a few lack a bracket.
func relay(r *parsers.Record, s []byte) (rest []byte) {
	end := bytes.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	name := s[:end]
	rest = s[end:]
	if !bytes.HasPrefix(rest, []byte(" [")) {
		if n := len(name); n > 0 && name[n-1] == ':' {
			name, rest = name[:n-1], s[end-1:]
		}
		r.Relay = host(name)
		return rest
	}
	r.Relay = host(name)
	rest = rest[2:]
	i := bytes.IndexByte(rest, ' ')
	if i < 0 {
		i = len(rest)
	}
	w := rest[:i]
	rest = rest[i:]
	if n := len(w); n > 0 && w[n-1] == ':' {
		w, rest = w[:n-1], s[len(s)-len(rest)-1:]
	}
	if j := bytes.IndexByte(w, ']'); j >= 0 {
		w = w[:j]
	}
	r.RelayIP = w
	return rest
}

// host removes the parentheses around a name that Exim did not verify.
func host(name []byte) []byte {
	if n := len(name); n > 2 && name[0] == '(' && name[n-1] == ')' {
		return name[1 : n-1]
	}
	return name
}

// duration reads "0.519s", "12s", "4m3s", "1h2m3s", "2d1h", "1w2d"
// (readconf_printtime, string_timediff).
func duration(b []byte) (time.Duration, bool) {
	var total time.Duration
	for len(b) > 0 {
		v, i := 0, 0
		for i < len(b) && i < 9 && parsers.IsDigit(b[i]) {
			v = v*10 + int(b[i]-'0')
			i++
		}
		if i == 0 || i == len(b) {
			return 0, false
		}
		var frac time.Duration
		if b[i] == '.' {
			scale := 100 * time.Millisecond
			for i++; i < len(b) && parsers.IsDigit(b[i]); i++ {
				frac += time.Duration(b[i]-'0') * scale
				scale /= 10
			}
			if i == len(b) {
				return 0, false
			}
		}
		unit := time.Second
		switch b[i] {
		case 's':
		case 'm':
			unit = time.Minute
		case 'h':
			unit = time.Hour
		case 'd':
			unit = 24 * time.Hour
		case 'w':
			unit = 7 * 24 * time.Hour
		default:
			return 0, false
		}
		total += time.Duration(v)*unit + frac
		b = b[i+1:]
	}
	return total, true
}

// delivered reads a line with "=>", "->" or ">>".
func (p *parser) delivered(s []byte, emit func(*parsers.Record)) parsers.Result {
	r := &p.rec
	if bytes.HasPrefix(s, []byte("blackhole (")) {
		// An ACL discarded all recipients; the line does not name them.
		r.Settle(registry.StateRemoved)
		emit(r)
		return parsers.Understood
	}
	addr, top, rest := address(s)
	if len(addr) == 0 {
		return parsers.Unparsed
	}
	if swallowed(addr) {
		if top == nil {
			return parsers.Unparsed
		}
		r.Address = top
		r.Settle(registry.StateRemoved)
		emit(r)
		return parsers.Understood
	}
	var f fields
	p.readFields(rest, &f)
	if !p.setRecipient(addr, top, emit) {
		return parsers.Understood
	}
	if string(r.Service) == "**bypassed**" { // Exim's word for a delivery to /dev/null
		r.Service = nil
		r.Settle(registry.StateRemoved)
		emit(r)
		return parsers.Understood
	}
	r.Kind, r.Outcome, r.Direction = parsers.Attempt, registry.OutcomeDelivered, p.direction()
	if f.reply != nil {
		var text []byte
		text, p.scratch = unquoted(p.scratch, f.reply)
		text, p.scratch = octal(p.scratch, text)
		r.Reply = registry.ParseReply(text)
		r.NextID = nextID(text)
		if parsers.IsLoopback(r.RelayIP) && bytes.Contains(text, []byte(" from MTA(")) {
			// amavis on this host reports that its own MTA accepted the message
			r.Settle(registry.StateHandedOver)
		}
	}
	emit(r)
	return parsers.Understood
}

// direction returns Local when the line names no host and a transport that does not
// speak SMTP, else Outgoing.
func (p *parser) direction() registry.Direction {
	r := &p.rec
	if r.RelayIP == nil && r.Relay == nil && r.Service != nil && !bytes.Contains(r.Service, []byte("smtp")) {
		return registry.DirectionLocal
	}
	return registry.DirectionOutgoing
}

// swallowed reports whether addr is a word that Exim writes instead of an address
// when a router or a filter discarded the message.
func swallowed(addr []byte) bool {
	return string(addr) == ":blackhole:" || string(addr) == "discarded"
}

// setRecipient sets the recipient of the record, and emits a Settled record, as
// replaced, for the address from which Exim made it. It returns false when the line
// is about no recipient.
func (p *parser) setRecipient(addr, top []byte, emit func(*parsers.Record)) bool {
	r := &p.rec
	r.Address, r.Original = p.recipient(addr, top)
	if r.Original == nil || bytes.IndexByte(r.Original, '@') < 0 {
		return len(r.Address) > 0
	}
	saved := *r
	p.fresh(0)
	r.Settle(registry.StateReplaced)
	r.Address = saved.Original
	emit(r)
	*r = saved
	return true
}

// nextID returns the queue id of the next host in its reply: "queued as 4F2A",
// "queued on HOST as 4F2A", "OK id=1xV…", nil when there is none. A content filter
// writes its own id before the reply of the host behind it, so the last id= counts.
func nextID(reply []byte) []byte {
	if i := bytes.Index(reply, []byte("queued ")); i >= 0 {
		s := reply[i+len("queued "):]
		if j := bytes.Index(s[:min(len(s), 100)], []byte("as ")); j == 0 || j > 0 && s[j-1] == ' ' {
			return idWord(s[j+3:])
		}
	}
	if i := bytes.LastIndex(reply, []byte(" id=")); i >= 0 {
		return idWord(reply[i+4:])
	}
	return nil
}

// idWord returns the id at the beginning of s, which ends at a blank or at
// punctuation; nil when there is none.
func idWord(s []byte) []byte {
	n := 0
	for n < len(s) && (parsers.IsAlnum(s[n]) || s[n] == '-' || s[n] == '_' ||
		s[n] == '.' && n+1 < len(s) && parsers.IsAlnum(s[n+1])) {
		n++
	}
	if n == 0 {
		return nil
	}
	return s[:n]
}

// deferred reads a line with "==".
func (p *parser) deferred(l *line, s []byte, emit func(*parsers.Record)) parsers.Result {
	addr, top, rest := address(s)
	var f fields
	p.readFields(rest, &f)
	if len(addr) == 0 || !f.deferral {
		return parsers.Unparsed
	}
	r := &p.rec
	if l.syslog && r.RelayIP == nil && p.twins.second(hashOf(l, l.pid)) {
		return parsers.Understood // the copy for the panic log
	}
	if !p.setRecipient(addr, top, emit) {
		return parsers.Understood
	}
	r.Direction = p.direction()
	if r.RelayIP == nil && notTried(f.message) {
		r.Kind, r.Reply.Text = parsers.Suspended, f.message
		emit(r)
		return parsers.Understood
	}
	p.diagnose(&f)
	p.refusedBefore(f.message)
	r.Kind, r.Outcome = parsers.Attempt, registry.OutcomeDeferred
	emit(r)
	return parsers.Understood
}

// Texts of deferrals for which Exim tried nothing (deliver.c, smtp.c, transport.c;
// the number of each has changed at least once).
var suspensions = [...][]byte{
	[]byte("retry time not reached"),
	[]byte("Retry time not yet reached"),
	[]byte("domain matches queue_smtp_domains, or -odqs set"),
	[]byte("first-pass only routing due to -odqs, queue_smtp_domains or control=queue"),
	[]byte("SMTP delivery explicitly queued"),
	[]byte("domain is in queue_domains"),
	[]byte("domain is held"),
	[]byte("concurrency limit reached for transport"),
	[]byte("connection limit reached for all hosts"),
	[]byte("reusing SMTP connection skips previous routing defer"),
}

func notTried(text []byte) bool {
	for _, t := range suspensions {
		if bytes.HasPrefix(text, t) {
			return true
		}
	}
	return false
}

// failed reads a line with "**".
func (p *parser) failed(l *line, s []byte, emit func(*parsers.Record)) parsers.Result {
	addr, top, rest := address(s)
	if len(addr) == 0 {
		return parsers.Unparsed
	}
	r := &p.rec
	var f fields
	p.readFields(rest, &f)
	f.message = withoutTimes(f.message)
	if l.syslog && r.RelayIP == nil && p.twins.second(hashOf(l, l.pid)) {
		return parsers.Understood
	}
	if !p.setRecipient(addr, top, emit) {
		return parsers.Understood
	}
	r.Direction = p.direction()
	text, timedOut := bytes.CutSuffix(f.message, []byte("retry timeout exceeded"))
	contact := r.RelayIP != nil || len(text) > 0
	if timedOut && contact {
		f.message = bytes.TrimSuffix(text, []byte(": "))
	}
	if timedOut && !contact || failingForLong(f.message) {
		r.Settle(registry.StateExpired)
		r.Reply.Text = f.message
		emit(r)
		return parsers.Understood
	}
	p.diagnose(&f)
	p.refusedBefore(f.message)
	r.Kind, r.Outcome = parsers.Attempt, registry.OutcomeFailed
	if timedOut {
		r.Final = registry.StateExpired
	}
	emit(r)
	return parsers.Understood
}

// failingForLong recognizes the text with which smtp.c gives up without a contact:
// "all hosts for 'x' have been failing for a long time (and retry time not
// reached)", "all hosts have been failing for a long time and were last tried
// after this message arrived".
func failingForLong(text []byte) bool {
	if bytes.HasPrefix(text, []byte("retry time not reached for any host after a long failure period")) {
		return true // before 4.80
	}
	return bytes.HasPrefix(text, []byte("all hosts")) &&
		bytes.Contains(text, []byte("have been failing for a long time"))
}

// withoutTimes cuts off the " QT=1s DT=2s" that +queue_time and +deliver_time add
// to the text of a failure.
func withoutTimes(s []byte) []byte {
	for {
		i := bytes.LastIndexByte(s, ' ')
		if i < 0 || len(s) < i+5 || s[i+2] != 'T' || s[i+3] != '=' || s[i+1] != 'Q' && s[i+1] != 'D' {
			return s
		}
		if _, ok := duration(s[i+4:]); !ok {
			return s
		}
		s = s[:i]
	}
}

// arrived reads a line with "<=" or "(=".
func (p *parser) arrived(s []byte, emit func(*parsers.Record)) parsers.Result {
	if len(s) == 0 {
		return parsers.Unparsed
	}
	r := &p.rec
	r.Kind, r.HasSender = parsers.Arrival, true
	n := 0
	if s[0] == '"' {
		n = parsers.SkipQuoted(s)
	}
	n = endWord(s, n)
	r.Sender, s = s[:n], s[n:]
	if string(r.Sender) == "<>" {
		r.Sender = nil
	}
	recipients := p.arrivalFields(s)
	if r.BounceOf != nil && len(r.Sender) == 0 {
		r.Own, r.Account, r.Login = true, nil, false
	}
	r.Recipients = countWords(recipients)
	emit(r)
	if recipients == nil {
		return parsers.Understood
	}
	p.expected(recipients, emit)
	return parsers.Understood
}

// arrivalFields reads the words after the sender into the record, and returns the
// list that follows "for" (+received_recipients), nil when there is none.
func (p *parser) arrivalFields(s []byte) (recipients []byte) {
	r := &p.rec
	var user []byte // U=: the user of a program on this host, else the answer of ident
	for len(s) > 0 {
		if s[0] == ' ' || s[0] == ':' {
			s = s[1:]
			continue
		}
		if s[0] == 'H' && len(s) > 1 && s[1] == '=' {
			r.Client, r.ClientIP, s = client(s[2:])
			r.Reinjected = r.Reinjected || parsers.IsLoopback(r.ClientIP)
			continue
		}
		if s[0] == 'f' && bytes.HasPrefix(s, []byte("for ")) && bytes.IndexByte(s, '@') >= 0 {
			return lastList(s[len("for "):])
		}
		var w []byte
		w, s = word(s)
		if len(w) < 3 {
			continue
		}
		switch {
		case w[0] == 'P' && w[1] == '=':
			if bytes.HasPrefix(w, []byte("P=local")) {
				r.Reinjected = true
				if r.Account == nil {
					r.Account = user
				}
			}
		case w[0] == 'U' && w[1] == '=':
			user = w[2:]
		case w[0] == 'A' && w[1] == '=': // AUTHENTICATOR:LOGIN
			_, r.Account, _ = bytes.Cut(w[2:], []byte{':'})
			r.Login = true
		case w[0] == 'X' && w[1] == '=':
			r.TLS = w[2:]
		case w[0] == 'R' && w[1] == '=':
			r.BounceOf = w[2:]
		case w[0] == 'S' && w[1] == '=':
			r.Size = size(w[2:])
		case bytes.HasPrefix(w, []byte("id=")), bytes.HasPrefix(w, []byte("id*=")): // *: Exim made it
			start := len(p.scratch)
			p.scratch = append(append(append(p.scratch, '<'), w[bytes.IndexByte(w, '=')+1:]...), '>')
			r.MessageID = p.scratch[start:]
		}
	}
	return nil
}

// lastList returns the text after the last "for " of s: a Message-ID may contain
// blanks, and so imitate the list of recipients.
func lastList(s []byte) []byte {
	if i := bytes.LastIndex(s, []byte(" for ")); i >= 0 {
		return s[i+len(" for "):]
	}
	return s
}

func size(b []byte) int64 {
	var v int64
	for _, c := range b {
		if !parsers.IsDigit(c) || v > 1<<50 {
			return 0
		}
		v = v*10 + int64(c-'0')
	}
	return v
}

// countWords returns the number of addresses in a list. An address is a word or
// begins with a quoted string.
func countWords(list []byte) (n int) {
	for len(list) > 0 {
		end := endWord(list, skipQuotedAt(list))
		if end > 0 {
			n++
		}
		list = list[min(end+1, len(list)):]
	}
	return n
}

// skipQuotedAt returns the length of the quoted string at the beginning of list.
func skipQuotedAt(list []byte) int {
	if list[0] != '"' {
		return 0
	}
	return parsers.SkipQuoted(list)
}

// expected emits an Expected record for each recipient that an arrival lists.
func (p *parser) expected(list []byte, emit func(*parsers.Record)) {
	for len(list) > 0 {
		n := endWord(list, skipQuotedAt(list))
		if n > 0 {
			p.fresh(parsers.Expected)
			p.rec.Address = list[:n]
			emit(&p.rec)
		}
		list = list[min(n+1, len(list)):]
	}
}

// fresh resets the record to kind k; time, message, host and instance stay.
func (p *parser) fresh(k parsers.Kind) {
	r := &p.rec
	time, message, host, instance := r.Time, r.ID, r.Host, r.Instance
	r.Reset()
	r.Kind, r.Time, r.ID, r.Host, r.Instance = k, time, message, host, instance
}

// client reads "NAME (HELO) [IP]:PORT"; NAME is present only when Exim verified it.
// rest is the text after the port.
func client(s []byte) (name, ip, rest []byte) {
	if len(s) > 0 && s[0] != '(' && s[0] != '[' {
		n := endWord(s, 0)
		if n > 0 && s[n-1] == ':' {
			return s[:n-1], nil, s[n-1:]
		}
		name, s = s[:n], bytes.TrimPrefix(s[n:], []byte{' '})
	}
	if len(s) > 0 && s[0] == '(' {
		i := bytes.Index(s, []byte(") ["))
		if i < 0 {
			n := endWord(s, 0)
			return name, nil, s[n:]
		}
		s = s[i+2:]
	}
	if len(s) == 0 || s[0] != '[' {
		return name, nil, s
	}
	i := bytes.IndexByte(s, ']')
	if i < 0 {
		return name, nil, s[1:]
	}
	ip, rest = s[1:i], s[i+1:]
	if len(rest) > 1 && rest[0] == ':' && rest[1] != ' ' {
		rest = rest[endPort(rest):]
	}
	return name, ip, rest
}

// endPort returns the offset where ":PORT" ends.
func endPort(s []byte) int {
	i := 1
	for i < len(s) && s[i] != ' ' && s[i] != ':' {
		i++
	}
	return i
}
