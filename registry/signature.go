package registry

import "bytes"

// maxSignature bounds the length of a signature, in bytes. Only the longest replies reach
// it, and they differ before it.
const maxSignature = 800

// AppendSignature appends to dst the reply text with its variable parts masked, so that
// replies that differ only in addresses, hosts, numbers and ids have the same signature.
//
// The lines of a multi-line reply become one: "550-5.1.1 No such 550 5.1.1
// user" has the signature "550 5.1.1 No such user", whether a blank, a newline
// or a literal "\n" joined them. Masked are:
//
//	{email}  a@b                     {ip}    192.0.2.1, 2001:db8::1
//	{host}   mx1.example.com         {n}     numbers, dates, times
//	{id}     words with digits       {name}  the quoted name of a user
//	{path}   /var/mail/a
//
// The parts that rules use stay: words, reply and enhanced codes, short tags of operators
// ([TSS04], OFR_416, S3150), names with a meaning in Exchange
// (RESOLVER.ADR.RecipNotFound), names of DNS lists, and of URLs the host, the path and
// the words of the query (?p=NotAuthorizedError).
func AppendSignature(dst, text []byte) []byte {
	s := signer{dst: dst, text: text, start: len(dst), hard: len(dst)}
	return s.run()
}

// signer is one run of AppendSignature.
type signer struct {
	dst, text []byte
	start     int    // of the signature in dst
	hard      int    // offset in dst after the last byte that cannot be part of an address
	code      []byte // the reply code at the beginning of text
	enhanced  []byte // the enhanced code after it
	multi     bool   // the reply has several lines
	blank     bool   // a blank is to be written before the next byte
}

func (s *signer) run() []byte {
	i := s.lead()
	for i < len(s.text) && len(s.dst)-s.start < maxSignature {
		c := s.text[i]
		switch k := kinds[c]; {
		case k == 0:
			s.blank = true
			i = s.continuation(i + 1)
		case c == '\\' && i+1 < len(s.text) && (s.text[i+1] == 'n' || s.text[i+1] == 'r'):
			s.blank = true
			i = s.continuation(i + 2)
		case k == isPunct:
			s.emit(c)
			if bytes.IndexByte([]byte(`<([{"',;:`), c) >= 0 {
				s.hard = len(s.dst)
			}
			i++
		default:
			i = s.word(i)
		}
	}
	return s.dst
}

// lead reads the codes at the beginning.
func (s *signer) lead() int {
	t := s.text
	if len(t) < 4 || kinds[t[0]]&kinds[t[1]]&kinds[t[2]]&isDigit == 0 || t[3] != ' ' && t[3] != '-' {
		return 0
	}
	s.code, s.multi = t[:3], t[3] == '-'
	s.put(t[:3])
	i := 4
	for i < len(t) && t[i] == ' ' {
		i++
	}
	s.blank = true
	if _, n := ScanEnhanced(t[i:]); n > 0 {
		s.enhanced = t[i : i+n]
		s.put(s.enhanced)
		i += n
	}
	return i
}

// continuation returns the offset after the codes at the beginning of a further reply
// line at i, or i when there are none.
func (s *signer) continuation(i int) int {
	rest := s.text[i:]
	if s.code == nil || len(rest) < 3 || !bytes.HasPrefix(rest, s.code) {
		return i
	}
	if len(rest) == 3 {
		if s.multi {
			return i + 3
		}
		return i
	}
	same := s.enhanced != nil && bytes.HasPrefix(rest[4:], s.enhanced)
	switch {
	case rest[3] == '-', rest[3] == ' ' && (s.multi || same):
	default:
		return i
	}
	i += 4
	for i < len(s.text) && s.text[i] == ' ' {
		i++
	}
	if s.enhanced != nil && bytes.HasPrefix(s.text[i:], s.enhanced) {
		i += len(s.enhanced)
	}
	return i
}

// word masks or copies the word at i and returns the offset after it.
func (s *signer) word(i int) int {
	t := s.text
	end, flags := i, uint8(0)
	for end < len(t) && kinds[t[end]] > isPunct {
		// "User unknown...ann@example.com"
		if t[end] == '.' && end > i && flags&isAt == 0 && glued(t[end:]) {
			s.put(t[i : end+3])
			s.hard = len(s.dst)
			return end + 3
		}
		flags |= kinds[t[end]]
		end++
	}
	if flags&(isDigit|isAt|isDot|isSlash) == 0 && end < len(t) && t[end] == ':' && isURL(t[i:end], t[end:]) {
		return s.url(i, end+3)
	}
	if flags&^(isDigit|isUpper|isLower) == 0 && end-i <= 4 && end < len(t) && t[end] == ':' {
		if n := scanIPv6(t[i:]); n > 0 {
			s.putString("{ip}")
			return i + n
		}
	}
	for end > i+1 && (t[end-1] == '.' || t[end-1] == '-') {
		end-- // punctuation of the sentence, not part of a name
	}
	w := t[i:end]
	switch {
	case flags&isAt != 0 && len(w) > 2:
		s.space()
		s.dst = s.dst[:s.hard] // an unmasked part before it, as "SRS0=x=y", belongs to the address
		s.putString("{email}")
	case flags&(isDigit|isDot|isSlash) == 0:
		s.plain(w, i, end)
	case flags&isSlash != 0:
		return s.slashed(i, end, flags)
	case flags&(isUpper|isLower) == 0:
		return s.number(i, end)
	case flags&isDot != 0 && isHost(w):
		s.host(w)
	case flags&isDigit == 0 || isTag(w):
		s.put(w)
	case end-i > 4 && w[3] == '-' && bytes.Equal(w[:3], s.code): // 554-Error
		s.put(w[:3])
		s.blank = true
		return i + 4
	case flags&isDot != 0 && kinds[w[0]]&(isUpper|isLower) != 0:
		s.dotted(w)
	default:
		s.putString("{id}")
	}
	return end
}

// glued reports whether rest begins with three points and a letter: sendmail writes them
// between an address and the text about it.
func glued(rest []byte) bool {
	return len(rest) > 3 && rest[1] == '.' && rest[2] == '.' && kinds[rest[3]]&(isUpper|isLower) != 0
}

// dotted masks the part with digits in a name like MCSpamSignature.sa.2.2, or the whole
// name when it does not begin with a word.
func (s *signer) dotted(w []byte) {
	dot := bytes.IndexByte(w, '.')
	if dot < 6 || bytes.ContainsAny(w[:dot], "0123456789") {
		s.putString("{id}")
		return
	}
	s.put(w[:dot])
	s.dst = append(s.dst, ".{id}"...)
}

// plain copies a word of letters, unless it is a user name or random.
func (s *signer) plain(w []byte, i, end int) {
	if i > 0 && end < len(s.text) && (s.text[i-1] == '"' || s.text[i-1] == '\'') &&
		s.text[end] == s.text[i-1] && s.namesUser() {
		s.putString("{name}")
		return
	}
	if len(w) > 40 && w[0] < 0x80 { // in some scripts a sentence is one word
		s.putString("{id}")
		return
	}
	s.put(w)
}

// namesUser reports whether the word before an open quote introduces a user name: unknown
// user: "bob".
func (s *signer) namesUser() bool {
	b := bytes.TrimRight(s.dst[s.start:], `"':= `)
	for _, word := range [...]string{"user", "mailbox", "account", "recipient", "alias", "User", "Mailbox",
		"Account", "Recipient"} {
		if len(b) >= len(word) && string(b[len(b)-len(word):]) == word {
			return true
		}
	}
	return false
}

// slashed masks a word with slashes: a path, a URL without a scheme, a date.
func (s *signer) slashed(i, end int, flags uint8) int {
	w := s.text[i:end]
	slash := bytes.IndexByte(w, '/')
	switch {
	case slash == 0 && bytes.IndexByte(w[1:], '/') >= 0:
		s.putString("{path}")
	case slash > 0 && flags&isDot != 0 && isHost(w[:slash]):
		return s.url(i, i)
	case flags&(isUpper|isLower) == 0:
		s.putString("{n}")
	case flags&isDigit != 0:
		s.putString("{id}")
	default:
		s.put(w)
	}
	return end
}

// number copies codes and masks all other numbers.
func (s *signer) number(i, end int) int {
	w := s.text[i:end]
	if len(w) > 4 && w[3] == '-' && w[0] >= '2' && w[0] <= '5' {
		if _, n := ScanEnhanced(w[4:]); n > 0 { // 421-4.7.0 of another reply
			s.put(w[:3])
			s.blank = true
			return i + 4
		}
	}
	_, n := ScanEnhanced(w)
	switch {
	case n == len(w), len(w) == 3 && s.isCode(w, end):
		s.put(w)
	case bytes.HasPrefix(w, []byte("127.255.255.")):
		s.put(w) // the answer of a DNS list in case of errors
	case isIPv4(w):
		s.putString("{ip}")
	case kinds[w[0]]&isDigit == 0 && len(w) == 1:
		s.put(w)
	case !bytes.ContainsAny(w, "0123456789"):
		s.put(w)
	default:
		s.putString("{n}")
	}
	return end
}

// isCode reports whether a number within the text is a reply code: it equals the first
// one, or an enhanced code follows, or it begins a quotation.
func (s *signer) isCode(w []byte, end int) bool {
	if w[0] < '2' || w[0] > '5' {
		return false
	}
	if bytes.Equal(w, s.code) {
		return true
	}
	if end+1 < len(s.text) && s.text[end] == ' ' {
		if _, n := ScanEnhanced(s.text[end+1:]); n > 0 {
			return true
		}
	}
	d := s.dst[s.start:]
	if s.blank {
		for _, mark := range [...]string{"->", "said:", "with:", "was:", "response:", "replied"} {
			if bytes.HasSuffix(d, []byte(mark)) {
				return true
			}
		}
	}
	return len(d) == 0 || bytes.HasSuffix(d, []byte(`"`))
}

// host masks a host name, unless it belongs to a DNS list.
func (s *signer) host(w []byte) {
	if !bytes.HasSuffix(s.dst[s.start:], []byte(" using")) && !isList(w) {
		s.putString("{host}")
		return
	}
	if dot := bytes.IndexByte(w, '.'); dot > 15 && bytes.ContainsAny(w[:dot], "0123456789") {
		s.putString("{id}") // a customer's key
		w = w[dot:]
	}
	s.put(w)
}

// url copies the host and the words of a URL that begins at i. scheme is the offset after
// "http://".
func (s *signer) url(i, scheme int) int {
	t := s.text
	end := scheme
	for end < len(t) && kinds[t[end]] != 0 && bytes.IndexByte([]byte("\"'<>()[]{}\\,"), t[end]) < 0 {
		end++
	}
	for end > scheme && bytes.IndexByte([]byte(".;:!?-"), t[end-1]) >= 0 {
		end--
	}
	s.put(t[i:scheme])
	rest := t[scheme:end]
	n := bytes.IndexAny(rest, "/?#")
	if n < 0 {
		n = len(rest)
	}
	if isIPv4(rest[:n]) {
		s.dst = append(s.dst, "{ip}"...)
	} else {
		s.dst = append(s.dst, rest[:n]...)
	}
	s.urlTail(rest[n:])
	s.hard = len(s.dst)
	return end
}

// urlTail copies the words of path and query and masks the parts with digits.
func (s *signer) urlTail(b []byte) {
	for len(b) > 0 && len(s.dst)-s.start < maxSignature {
		n := bytes.IndexAny(b[1:], "/?&=#;")
		part := b[1:]
		if n >= 0 {
			part = b[1 : n+1]
		}
		s.dst = append(s.dst, b[0])
		digits, at := false, false
		for _, c := range part {
			digits = digits || kinds[c] == isDigit
			at = at || c == '@' || c == '%'
		}
		name, isPage := bytes.CutSuffix(part, []byte(".html")) // postgrey's page of a domain
		if at || isPage && bytes.IndexByte(name, '.') > 0 && isHost(name) ||
			digits && !isTag(part) && !isKey(part) || len(part) > 40 {
			s.dst = append(s.dst, "{id}"...)
		} else {
			s.dst = append(s.dst, part...)
		}
		b = b[1+len(part):]
	}
}

func (s *signer) emit(c byte) {
	s.space()
	s.dst = append(s.dst, c)
}

func (s *signer) put(b []byte) {
	s.space()
	s.dst = append(s.dst, b...)
}

func (s *signer) putString(b string) {
	s.space()
	s.dst = append(s.dst, b...)
}

func (s *signer) space() {
	if s.blank && len(s.dst) > s.start {
		s.dst = append(s.dst, ' ')
		s.hard = len(s.dst)
	}
	s.blank = false
}

// isURL reports whether a scheme is followed by "://".
func isURL(scheme, rest []byte) bool {
	return len(rest) > 3 && rest[1] == '/' && rest[2] == '/' && len(scheme) > 2
}

// isHost reports whether w has the form of a domain name. If the last label mixes cases,
// the point separates two sentences, or w is an Exchange name
// (RESOLVER.ADR.RecipNotFound).
func isHost(w []byte) bool {
	dot := bytes.LastIndexByte(w, '.')
	last := w[dot+1:]
	if dot < 1 || len(last) < 2 || bytes.HasPrefix(last, []byte("xn--")) && len(last) < 5 {
		return false
	}
	var flags uint8
	for _, c := range last {
		flags |= kinds[c]
	}
	if flags != isUpper && flags != isLower && !bytes.HasPrefix(last, []byte("xn--")) {
		return false
	}
	return w[0] != '.' && bytes.IndexByte(w[:dot], '_') < 0 && !bytes.Contains(w, []byte(".."))
}

// isList reports whether a host name belongs to a list of bad senders: it is a known one,
// or has a label such as bl, rbl or dnsbl-1. Other names merely contain such letters.
func isList(w []byte) bool {
	for _, part := range [...]string{
		"spamhaus", "spamcop", "sorbs", "barracuda", "cloudmark", "invaluement", "surbl", "uribl", "dnswl",
		"senderscore", "mimecast", "proofpoint", "uceprotect", "abuseat", "abuse.ch", "mailspike", "psbl.",
		"manitu.net", "hostkarma", "spfbl", "abusix", "backscatterer", "mail-abuse", "trendmicro",
	} {
		if bytes.Contains(w, []byte(part)) {
			return true
		}
	}
	for label := range bytes.SplitSeq(w, []byte(".")) {
		for _, name := range [...]string{"bl", "rbl", "dnsbl", "dnsrbl", "xbl", "sbl", "pbl", "dbl",
			"blacklist", "blocklist", "reputation"} {
			if rest, ok := bytes.CutPrefix(label, []byte(name)); ok &&
				(len(rest) == 0 || rest[0] == '-' || kinds[rest[0]] == isDigit) {
				return true
			}
		}
	}
	return false
}

// isTag reports whether w has the form of an operator's error tag: one to five capitals
// and at most two groups of digits (TSS04, BL21, RP-001, OFR005_104, S3150), or a word
// with one digit (IPv6).
func isTag(w []byte) bool {
	i, digits := 0, 0
	if bytes.HasPrefix(w, []byte("ofr_")) { // Orange in lower case
		return len(w) <= 8
	}
	for i < len(w) && kinds[w[i]] == isUpper {
		i++
	}
	if i >= 1 && i <= 5 {
		for group := 0; group < 2 && i < len(w); group++ {
			if w[i] == '_' || w[i] == '-' {
				i++
			}
			n := 0
			for i < len(w) && kinds[w[i]] == isDigit {
				i++
				n++
			}
			if n == 0 || n > 4 {
				break
			}
		}
		if i == len(w) {
			return kinds[w[i-1]] == isDigit
		}
	}
	for _, c := range w {
		switch kinds[c] {
		case isDigit:
			digits++
		case isDot:
			return false
		}
	}
	return digits == 0 || digits == 1 && len(w) >= 3 && len(w) <= 6 && kinds[w[0]] != isDigit
}

// isKey reports whether w is a short key in a query: GMX's c=r0103 is the reason of the
// refusal.
func isKey(w []byte) bool {
	if len(w) < 4 || len(w) > 6 || kinds[w[0]] != isLower {
		return false
	}
	for _, c := range w[1:] {
		if kinds[c] != isDigit {
			return false
		}
	}
	return true
}

func isIPv4(w []byte) bool {
	dots, n := 0, 0
	for i, c := range w {
		switch {
		case kinds[c] == isDigit:
			if n++; n > 3 {
				return false
			}
		case c == '.' && n > 0 && i+1 < len(w):
			dots++
			n = 0
		case c == '-' && dots == 3, c == '/' && dots == 3:
			return n > 0
		default:
			return false
		}
	}
	return dots == 3 && n > 0
}

// scanIPv6 returns the length of an IPv6 address at the beginning of b, 0 without one. It
// needs at least three colons or a double one; fewer are a time.
func scanIPv6(b []byte) int {
	n, colons, double := 0, 0, false
	for n < len(b) {
		c := b[n]
		if c == ':' {
			colons++
			double = double || n > 0 && b[n-1] == ':'
		} else if kinds[c] != isDigit && c != '.' && !(c|0x20 >= 'a' && c|0x20 <= 'f') {
			break
		}
		n++
	}
	for n > 0 && (b[n-1] == ':' || b[n-1] == '.') {
		n--
	}
	if colons < 3 && !double || n < 3 || n < len(b) && kinds[b[n]] > isPunct && b[n] != '.' {
		return 0
	}
	return n
}

// The kinds of bytes. Zero is a blank or a control character; the kinds of word bytes are
// single bits above isPunct.
const (
	isPunct uint8 = 1 << iota
	isUpper
	isLower
	isDigit
	isDot
	isAt
	isSlash
	isMark // - _ + ~ % $
)

var kinds = func() (k [256]uint8) {
	for c := range 256 {
		switch {
		case c <= ' ', c == 0x7f:
		case c >= 'A' && c <= 'Z':
			k[c] = isUpper
		case c >= 'a' && c <= 'z':
			k[c] = isLower
		case c >= '0' && c <= '9':
			k[c] = isDigit
		case c == '.':
			k[c] = isDot
		case c == '@':
			k[c] = isAt
		case c == '/':
			k[c] = isSlash
		case c >= 0x80:
			k[c] = isLower // a letter of another script
		default:
			k[c] = isPunct
		}
	}
	for _, c := range "-_+~%$" {
		k[c] = isMark
	}
	return k
}()
