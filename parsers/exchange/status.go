package exchange

import (
	"bytes"

	"mailfail/parsers"
	"mailfail/registry"
)

// collection splits the fields of the tracking log that contain a list
// (recipient-address, recipient-status, reference). Semicolons separate the members.
// A member that contains a semicolon or an apostrophe is in single quotes, with its
// apostrophes doubled. Scripts that export the log again omit the quotes, so a bare
// semicolon need not end a member.
type collection struct {
	members  [][]byte
	unquoted []byte
}

// addresses splits a list of recipients. A bare semicolon ends an address,
// unless it is inside the double quotes of a local part (RFC 5321 section
// 4.1.2).
func (c *collection) addresses(b []byte) [][]byte {
	c.split(b, endOfAddress)
	return c.members
}

// statuses splits recipient-status into the n members that belong to n
// recipients, in their order. Where members are missing, it repeats the last one.
func (c *collection) statuses(b []byte, n int) [][]byte {
	if n == 1 && (len(b) == 0 || b[0] != '\'') {
		c.members = append(c.members[:0], b)
		return c.members
	}
	c.split(b, endOfStatus)
	for len(c.members) < n && len(c.members) > 0 {
		c.members = append(c.members, c.members[len(c.members)-1])
	}
	return c.members
}

func (c *collection) split(b []byte, end func([]byte) int) {
	c.members, c.unquoted = c.members[:0], c.unquoted[:0]
	for len(b) > 0 {
		member, rest, ok := c.quoted(b)
		if !ok {
			i := end(b)
			member, rest = b[:i], b[i:]
		}
		c.members = append(c.members, member)
		if len(rest) == 0 {
			return
		}
		b = rest[1:]
	}
}

// quoted reads a member in single quotes. ok is false when there is none: the text
// after the closing apostrophe must be a semicolon or the end.
func (c *collection) quoted(b []byte) (member, rest []byte, ok bool) {
	if b[0] != '\'' {
		return nil, nil, false
	}
	start := len(c.unquoted)
	b = b[1:]
	for {
		i := bytes.IndexByte(b, '\'')
		if i < 0 {
			return nil, nil, false
		}
		if i+1 == len(b) || b[i+1] == ';' {
			if len(c.unquoted) == start {
				return b[:i], b[i+1:], true
			}
			c.unquoted = append(c.unquoted, b[:i]...)
			return c.unquoted[start:], b[i+1:], true
		}
		if b[i+1] != '\'' {
			return nil, nil, false
		}
		c.unquoted = append(c.unquoted, b[:i+1]...)
		b = b[i+2:]
	}
}

func endOfAddress(b []byte) int {
	if b[0] == '"' {
		for i := 1; i < len(b); i++ {
			if b[i] == '\\' {
				i++
			} else if b[i] == '"' {
				if j := bytes.IndexByte(b[i:], ';'); j >= 0 {
					return i + j
				}
				return len(b)
			}
		}
	}
	if i := bytes.IndexByte(b, ';'); i >= 0 {
		return i
	}
	return len(b)
}

// endOfStatus returns the offset of the semicolon that ends a bare status: a new
// status follows it. Inside a reply a blank follows a semicolon
// ("RESOLVER.RST.NotAuthorized; not authorized").
func endOfStatus(b []byte) int {
	bracketed := bytes.HasPrefix(b, []byte("[{"))
	for i := range b {
		if b[i] != ';' || bracketed && !bytes.HasSuffix(b[:i], []byte("}]")) {
			continue
		}
		if bracketed || beginsStatus(b[i+1:]) {
			return i
		}
	}
	return len(b)
}

func beginsStatus(b []byte) bool {
	if len(b) == 0 || b[0] == ';' || b[0] == '\'' || bytes.HasPrefix(b, []byte("[{")) {
		return true
	}
	return len(b) >= 3 && allDigits(b[:3]) && (len(b) == 3 || b[3] == ' ' || b[3] == '-' || b[3] == ';')
}

// status is a member of recipient-status taken apart.
type status struct {
	reply    []byte // that Exchange received or generated
	fqdn, ip []byte // of the server that sent the reply
}

// readStatus reads a plain status, or a status of 2013 and later, whose parts come
// in any order:
//
//	[{LRT=};{LED=550 5.1.1 …};{FQDN=mx.example.org};{IP=192.0.2.1}]
//	[{LED=550 5.1.1 …};{MSG=};{FQDN=mx.example.org};{IP=192.0.2.1};{LRT=}]
//
// LED (last error detail) is the reply that counts. LRT (last retry time) is in the
// locale of the server, so the parser ignores it. A part ends where the next known
// part begins, since a reply may contain any of these characters. When a part comes
// twice the first counts, so that a reply cannot replace it.
func readStatus(b []byte) status {
	if !bytes.HasPrefix(b, []byte("[{")) {
		return status{reply: b}
	}
	var s status
	var seen [len(statusParts)]bool
	b = b[1:]
	for len(b) > 0 {
		part := statusPart(b)
		if part < 0 {
			break
		}
		b = b[len(statusParts[part]):]
		end, next := endOfPart(b)
		if !seen[part] {
			seen[part] = true
			switch part {
			case 0:
				s.reply = b[:end]
			case 1:
				s.fqdn, _, _ = bytes.Cut(b[:end], []byte("}")) // diagnostics may follow
			case 2:
				s.ip, _, _ = bytes.Cut(b[:end], []byte("}"))
			}
		}
		b = b[next:]
	}
	return s
}

var statusParts = [...]string{"{LED=", "{FQDN=", "{IP=", "{MSG=", "{LRT="}

// statusPart returns the index in statusParts of the part that b begins with, or -1.
func statusPart(b []byte) int {
	for i, p := range statusParts {
		if len(b) >= len(p) && string(b[:len(p)]) == p {
			return i
		}
	}
	return -1
}

// endOfPart returns the length of a part and the offset of the next one.
func endOfPart(b []byte) (end, next int) {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("};{"))
		if i < 0 {
			break
		}
		from += i
		if statusPart(b[from+2:]) >= 0 {
			return from, from + 2
		}
		from += 2
	}
	return len(bytes.TrimSuffix(b, []byte("}]"))), len(b)
}

// setReply sets the reply of r from a status. Where Exchange quotes the other server
// inside a text of its own
//
//	451 4.4.0 Primary target IP address responded with: "421 4.7.0 …" Attempted failover …
//	450 4.7.0 Proxy session setup failed on Frontend with '451 4.4.0 …'
//	550 5.7.350 Remote server returned message detected as spam -> 554 5.7.1 …
//	451 4.4.395 Target host responded with error. -> 452 4.2.2 …
//
// setReply sets the quoted reply, and MTAStatus to the status of the wrapper. It does
// not change texts of similar form that another server sent.
func setReply(r *parsers.Record, text []byte) {
	r.Reply = registry.ParseReply(text)
	for range 3 {
		if !wraps(text) {
			return
		}
		inner := registry.InnerReply(text)
		if inner == nil {
			return
		}
		if r.MTAStatus.IsZero() {
			r.MTAStatus = r.Reply.Enhanced
		}
		text = inner
		r.Reply = registry.ParseReply(text)
	}
}

// wraps reports whether text contains the words of one of Exchange's wrappers.
func wraps(text []byte) bool {
	return contains(text, "rimary target IP address") || contains(text, "rimary outbound frontend IP") ||
		contains(text, "Proxy session setup failed") ||
		contains(text, "emote server returned ") || contains(text, "emote Server returned ") ||
		contains(text, "arget host responded with error") || contains(text, "communicating with target host")
}

// setOrigin sets the stage and the source of a failure, as far as the tracking log
// shows them: source is the component that wrote the row, text the whole reply.
func setOrigin(r *parsers.Record, source, text []byte) {
	switch {
	case string(source) == "DNS", contains(text, "SMTPSEND.DNS."), contains(text, "DNS query failed"):
		r.Stage, r.Source = registry.StageDNS, registry.SourceDNS
	case string(source) == "SMTP":
		setRemote(r, text)
	case string(source) == "ROUTING" && !contains(text, "QUEUE."):
		r.Stage, r.Source = registry.StageRoute, registry.SourceLocal
	case string(source) == "STOREDRIVER":
		r.Stage, r.Source = registry.StageLocal, registry.SourceLocal
	default:
		r.Source = registry.SourceLocal
	}
}

// setRemote distinguishes a server's replies from the texts that Exchange's own SMTP
// client generates when there was no reply.
func setRemote(r *parsers.Record, text []byte) {
	switch {
	case contains(text, "ailed to connect. Winsock error"), contains(text, "421 4.2.1 Unable to connect"),
		contains(text, "421 4.4.1 Connection timed out"):
		r.Stage, r.Source = registry.StageConnect, registry.SourceNetwork
	case contains(text, "421 4.4.2 Connection dropped"):
		r.Source = registry.SourceNetwork
	case contains(text, "TLS negotiation failed"), contains(text, "Certificate validation failure"):
		r.Stage, r.Source = registry.StageSTARTTLS, registry.SourceTLS
	default:
		r.Source = registry.SourceRemote
	}
}

// contains reports whether b contains s. s must have at most 32 bytes, so that the
// conversion does not allocate.
func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

// lastEndpoint returns the address in "The last endpoint attempted was
// 198.51.100.220:25", or nil.
func lastEndpoint(text []byte) []byte {
	const mark = "The last endpoint attempted was "
	i := bytes.LastIndex(text, []byte(mark))
	if i < 0 {
		return nil
	}
	return hostOf(bytes.TrimRight(text[i+len(mark):], ". "))
}

// hostOf returns the address of an endpoint: 192.0.2.1:25, [2001:db8::1]:25.
func hostOf(endpoint []byte) []byte {
	if i := bytes.LastIndexByte(endpoint, ':'); i >= 0 &&
		(bytes.IndexByte(endpoint, ':') == i || endpoint[i-1] == ']') {
		endpoint = endpoint[:i]
	}
	return bytes.Trim(endpoint, "[]")
}
