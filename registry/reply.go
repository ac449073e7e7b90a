package registry

import "bytes"

// Reply is an SMTP reply (RFC 5321 section 4.2) as a log quotes it.
type Reply struct {
	Code     uint16   // 0 without a code
	Enhanced Enhanced // RFC 2034; zero without a code
	Text     []byte   // the whole text, with the codes, as logged
}

// ParseReply parses the reply of a remote server. The lines of a multi-line reply may be
// joined by blanks (Postfix), by a literal backslash and n (Exim) or by real newlines;
// all of them are one reply.
//
// text must be the reply, not a whole log line: the reply code has to be its first word.
// Only unmistakable wrappers before it are skipped: quotes, parentheses and #; "SMTP;" of
// a Diagnostic-Code (RFC 3464 section 2.3.6); "host NAME said:", "host NAME refused to
// talk to me:" and "host NAME [IP]:"; Exchange's "[{LED=" and "<server #5.7.1 smtp;530
// …>"; qmail's "Remote host said:". Elsewhere three digits are a port, a count or part of
// a name.
//
// The enhanced code is the one after the reply code (550 5.1.1, 550-5.1.1, 550 #5.1.0,
// 550 [5.7.1]), else one after the same reply code on a later line, else one written with
// a # (qmail's "(#5.1.1)"), at the very end in brackets or after a colon. Without a reply
// code it must begin the text or have a #. Its class may differ from the reply's (421
// 5.7.32 and 550 4.4.7 occur).
//
// A reply that passes on another server's reply is not unwrapped, because which of the
// two counts depends on the server that wrapped it; see InnerReply. The exception is a
// wrapper without a reply code of its own ("5.1.0 - Unknown address error 550-'5.2.2 …'",
// Cisco and Amazon SES): there the inner one is the only reply.
func ParseReply(text []byte) Reply {
	r := Reply{Text: text}
	b := afterGreeting(skipWrappers(text))
	if code, n := scanReplyCode(b); n > 0 {
		r.Code = code
		r.Enhanced = enhancedOf(b, b[n:])
		return r
	}
	e, n := scanEnhancedWord(b, true)
	if n == 0 {
		r.Enhanced = hashedEnhanced(b)
		return r
	}
	r.Enhanced = e
	if inner := InnerReply(b[n:]); inner != nil {
		i := ParseReply(inner)
		r.Code = i.Code
		if !i.Enhanced.IsZero() {
			r.Enhanced = i.Enhanced
		}
	}
	return r
}

// Unwrap returns a reply without the wrappers that ParseReply skips.
func Unwrap(text []byte) []byte {
	b := skipWrappers(text)
	if _, n := scanReplyCode(b); n == 0 {
		return text
	}
	return b
}

// afterGreeting returns the refusal after the first lines of a greeting: "220-mailhub 421
// 4.2.1 Service refused". A greeting alone is not a failure.
func afterGreeting(b []byte) []byte {
	if !bytes.HasPrefix(b, []byte("220-")) {
		return b
	}
	for i := 4; i+4 < len(b); i++ {
		if b[i] != '4' && b[i] != '5' || !startsLine(b[:i]) {
			continue
		}
		if _, n := scanReplyCode(b[i:]); n > 0 && (b[i+3] == ' ' || b[i+3] == '-') {
			return b[i:]
		}
	}
	return b
}

// scanReplyCode reads a reply code at the beginning of b, and returns its
// length, 0 when there is none. RFC 5321 section 4.2.1 allows a second digit
// up to 5, but 571 and 585 are in use.
func scanReplyCode(b []byte) (code uint16, n int) {
	if len(b) < 3 || b[0] < '2' || b[0] > '5' || !digit(b[1]) || !digit(b[2]) {
		return 0, 0
	}
	if len(b) > 3 {
		switch c := b[3]; {
		case digit(c), letter(c), c >= 0x80, c == '/', c == '@', c == '_', c == '=':
			return 0, 0
		case (c == '.' || c == ':') && len(b) > 4 && digit(b[4]):
			return 0, 0 // an address, a time
		}
	}
	return uint16(b[0]-'0')*100 + uint16(b[1]-'0')*10 + uint16(b[2]-'0'), 3
}

// enhancedOf finds the enhanced code of the reply b, whose part after the reply code is
// rest.
func enhancedOf(b, rest []byte) Enhanced {
	if e, n := scanEnhancedWord(rest, false); n > 0 {
		return e
	}
	if e, n := scanEnhancedWord(afterMark(rest), false); n > 0 {
		return e
	}
	for code, lines := b[:3], rest; ; {
		i := bytes.Index(lines, code)
		if i < 0 {
			break
		}
		after := lines[i+3:]
		if i > 0 && startsLine(lines[:i]) && len(after) > 0 && (after[0] == '-' || after[0] == ' ') {
			if e, n := scanEnhancedWord(after, false); n > 0 {
				return e
			}
		}
		lines = after
	}
	if e := hashedEnhanced(b); !e.IsZero() {
		return e
	}
	if b[0] == '4' || b[0] == '5' { // in a greeting it would be a version
		if e := bracketedAtEnd(b); e.Class == b[0]-'0' {
			return e
		}
		if e := behindColon(rest); e.Class == b[0]-'0' {
			return e
		}
	}
	return Enhanced{}
}

// afterMark returns the text after a filter's own word before the enhanced code:
// Barracuda's "450 cuda_nsu 4.7.1 …".
func afterMark(rest []byte) []byte {
	word, after, ok := bytes.Cut(bytes.TrimLeft(rest, " -"), []byte(" "))
	if !ok || bytes.IndexByte(word, '_') < 1 || bytes.ContainsAny(word, "0123456789@.:") {
		return nil
	}
	return after
}

// startsLine reports whether a line of a reply may begin after the text before.
func startsLine(before []byte) bool {
	switch before[len(before)-1] {
	case ' ', '\t', '\n', '\r', ':', '"', '\'', '(':
		return true
	}
	return bytes.HasSuffix(before, []byte(`\n`))
}

// scanEnhancedWord reads an enhanced code after blanks, dashes, colons and opening marks,
// and returns the offset after it. alone means that no reply code confirms it, so it must
// end like a word.
func scanEnhancedWord(b []byte, alone bool) (Enhanced, int) {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '-' || b[i] == '\t' || b[i] == ':') {
		i++
	}
	for i < len(b) && bytes.IndexByte([]byte(`#([<'"`), b[i]) >= 0 {
		i++
	}
	e, n := ScanEnhanced(b[i:])
	if n == 0 || !endsEnhanced(b[i+n:], alone) {
		return Enhanced{}, 0
	}
	return e, i + n
}

// endsEnhanced distinguishes a code from the beginning of a host name (5.0.2.in-addr) or,
// when no reply code confirms it, of a version (4.9.2rc1, 2.3.4-1).
func endsEnhanced(rest []byte, alone bool) bool {
	if len(rest) == 0 {
		return true
	}
	c, next := rest[0], byte(' ')
	if len(rest) > 1 {
		next = rest[1]
	}
	if c == '.' {
		return !(next >= 'a' && next <= 'z') && !(alone && letter(next))
	}
	if !alone {
		return c != '@'
	}
	return !letter(c) && c < 0x80 && c != '@' && c != '_' && c != '/' &&
		!(c == '-' && (digit(next) || letter(next)))
}

// hashedEnhanced finds a code that is marked by a #: (#5.1.1), #5.1.0. Yahoo marks
// numbers of its own in this way, [#4.16.5]; RFC 3463 has the subjects 0 to 7.
func hashedEnhanced(b []byte) Enhanced {
	for {
		i := bytes.IndexByte(b, '#')
		if i < 0 {
			return Enhanced{}
		}
		b = b[i+1:]
		if e, n := ScanEnhanced(b); n > 0 && e.Subject <= 7 && endsEnhanced(b[n:], true) {
			return e
		}
	}
}

// bracketedAtEnd finds a code in brackets at the end of the text: "… (5.1.1)".
func bracketedAtEnd(b []byte) Enhanced {
	b = bytes.TrimRight(b, " \t\r\n.")
	if len(b) == 0 || b[len(b)-1] != ')' && b[len(b)-1] != ']' {
		return Enhanced{}
	}
	i := bytes.LastIndexAny(b, "([")
	if i < 0 {
		return Enhanced{}
	}
	if e, n := ScanEnhanced(b[i+1:]); n == len(b)-i-2 {
		return e
	}
	return Enhanced{}
}

// behindColon finds a code at the beginning of text that a server quotes from a filter:
// "Recipient not accepted: 5.7.1 No relaying".
func behindColon(b []byte) Enhanced {
	for {
		i := bytes.Index(b, []byte(": "))
		if i < 0 {
			return Enhanced{}
		}
		b = b[i+2:]
		if e, n := ScanEnhanced(b); n > 0 && n < len(b) && b[n] == ' ' {
			return e
		}
	}
}

// skipWrappers returns the text after the wrappers that ParseReply recognizes.
func skipWrappers(b []byte) []byte {
	for {
		if len(b) > 0 && digit(b[0]) { // true for most replies
			return b
		}
		b = bytes.TrimLeft(b, " \t\r\n\"'(#")
		switch {
		case hasPrefixFold(b, "smtp;"), hasPrefixFold(b, "lmtp;"):
			b = b[len("smtp;"):]
		case hasPrefixFold(b, "x-postfix;"):
			b = b[len("x-postfix;"):]
		case bytes.HasPrefix(b, []byte("[{LED=")):
			b = b[len("[{LED="):]
		case bytes.HasPrefix(b, []byte("{LED=")):
			b = b[len("{LED="):]
		case bytes.HasPrefix(b, []byte("said: ")):
			b = b[len("said: "):]
		case hasPrefixFold(b, "remote host said: "):
			b = b[len("remote host said: "):]
		case hasPrefixFold(b, "host "):
			rest := afterHost(b[len("host "):])
			if rest == nil {
				return b
			}
			b = rest
		case bytes.HasPrefix(b, []byte("<")):
			i := bytes.Index(b, []byte(" smtp;"))
			if i < 0 {
				return b
			}
			b = b[i+len(" smtp;"):]
		default:
			return b
		}
	}
}

// afterHost returns the text that a log quotes after the name of a host, nil if it quotes
// nothing: "NAME[IP] said: ", "NAME[IP] refused to talk to me: ", "NAME [IP]: ", "NAME
// [IP]:PORT: ".
func afterHost(b []byte) []byte {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return nil
	}
	rest := b[i+1:]
	if len(rest) > 0 && rest[0] == '[' {
		j := bytes.IndexByte(rest, ' ')
		if j < 0 {
			return nil
		}
		if rest[j-1] == ':' {
			return rest[j+1:]
		}
		rest = rest[j+1:]
	} else if b[i-min(i, 1)] == ':' {
		return rest
	}
	for _, verb := range [...]string{"said: ", "refused to talk to me: "} {
		if bytes.HasPrefix(rest, []byte(verb)) {
			return rest[len(verb):]
		}
	}
	return nil
}

// innerMarks introduce a reply inside another text.
var innerMarks = [...]string{
	"-> ",              // Exchange Online: 550 5.7.350 Remote server returned … -> 554 5.7.1 …
	" with: ",          // Exchange: Primary target IP address responded with: "421 …"
	" with '",          // Exchange: Proxy session setup failed on Frontend with '451 …'
	" said: ",          // Postfix address verification; qmail
	" said \"",         // several gateways
	" said ",           // 163.com: RCPT TO said 550 …
	" failure: ",       // Remote responded with failure: 552 …
	" returned '",      // Exchange: Remote Server at x (192.0.2.1) returned '451 …'
	" was: ",           // Exim: response to "RCPT TO:<a@b>" was: 550 …
	" IP address: ",    // the entry below, with more blanks
	": \"",             // Exchange: … while communicating with primary target IP address: "421 …"
	": '",              //
	" response: ",      //
	" server replied ", // Exim, ecelerity
}

// InnerReply returns the reply of another server that text passes on, without the quotes
// around it, or nil when text contains none:
//
//	451 4.4.0 Primary target IP address responded with: "421 4.7.0 Try later." Attempted failover …
//	550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 Spam
//	450 4.7.0 Proxy session setup failed on Frontend with '451 4.4.0 DNS failed'
//	450 4.1.1 <a@b>: Recipient address rejected: unverified address: host mx.b said: 451 Busy
//	5.1.0 - Unknown address error 550-'5.2.2 <a@b>... Mailbox Full'
//
// A reply code has to follow one of the known marks.
func InnerReply(text []byte) []byte {
	if !hasInnerCode(text) {
		return nil // true for nearly all replies
	}
	first := -1
	for _, mark := range innerMarks {
		for from := 0; ; {
			i := bytes.Index(text[from:], []byte(mark))
			if i < 0 {
				break
			}
			from += i + len(mark)
			if _, n := scanReplyCode(bytes.TrimLeft(text[from:], " \"'")); n > 0 {
				if first < 0 || from < first {
					first = from
				}
				break
			}
		}
	}
	if first < 0 {
		return quotedBehindCode(text)
	}
	start := first
	for text[start] == ' ' || text[start] == '"' || text[start] == '\'' {
		start++
	}
	inner := text[start:]
	if quote := text[start-1]; quote == '"' || quote == '\'' {
		inner = untilQuote(inner, quote)
	}
	return bytes.TrimRight(inner, " \t\r\n")
}

// hasInnerCode reports whether text contains a reply code after a blank or a quote.
func hasInnerCode(text []byte) bool {
	for i := 1; i+2 < len(text); i++ {
		if c := text[i]; c < '2' || c > '5' || text[i-1] != ' ' && text[i-1] != '"' && text[i-1] != '\'' {
			continue
		}
		if _, n := scanReplyCode(text[i:]); n > 0 {
			return true
		}
	}
	return false
}

// quotedBehindCode finds NNN-'text' and returns it without the closing quote.
func quotedBehindCode(text []byte) []byte {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte("-'"))
		if i < 0 {
			return nil
		}
		at := from + i
		from = at + 2
		if at < 4 || text[at-4] != ' ' {
			continue
		}
		if _, n := scanReplyCode(text[at-3:]); n > 0 {
			inner := text[at-3:]
			if j := bytes.LastIndexByte(inner, '\''); j > 4 {
				inner = inner[:j]
			}
			return inner
		}
	}
}

// untilQuote returns b up to the closing quote: a quote at the end of a word, because a
// reply may contain apostrophes.
func untilQuote(b []byte, quote byte) []byte {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], quote)
		if i < 0 {
			return b
		}
		at := from + i
		if at+1 == len(b) || bytes.IndexByte([]byte(" .,;)}]\r\n"), b[at+1]) >= 0 {
			return b[:at]
		}
		from = at + 1
	}
}

func hasPrefixFold(b []byte, lower string) bool {
	if len(b) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
