package track

import (
	"bytes"
	"unicode/utf8"
)

// appendDomain appends the domain of an address in lower case; nothing when
// the address has none.
func appendDomain(dst, address []byte) []byte {
	i := bytes.LastIndexByte(address, '@')
	if i < 0 {
		return dst
	}
	return appendLower(dst, bytes.TrimSuffix(address[i+1:], []byte(".")))
}

// appendAddress appends an address with its domain in lower case, so that the
// two spellings of one mailbox are one recipient. The local part is the
// receiving host's business (RFC 5321 section 2.4) and stays as it is.
func appendAddress(dst, address []byte) []byte {
	i := bytes.LastIndexByte(address, '@')
	if i < 0 {
		return append(dst, address...)
	}
	return appendDomain(append(dst, address[:i+1]...), address[i:])
}

func appendLower(dst, s []byte) []byte {
	n := 0
	for n < len(s) && !changesCase[s[n]] {
		n++
	}
	dst, s = append(dst, s[:n]...), s[n:] // which is all of it as a rule
	for i, c := range s {
		if c >= utf8.RuneSelf {
			return append(dst, bytes.ToLower(s[i:])...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// isThisHost reports whether a next hop is a server on this host that goes by
// no name of its own (localhost[127.0.0.1], 127.0.0.1[127.0.0.1], a Unix
// socket), as content filters do. A name in the domain name system may stand
// for this host as well, but then it is where mail for a domain goes.
func isThisHost(relay, ip []byte) bool {
	if len(ip) > 0 && ip[0] == '/' || bytes.HasPrefix(ip, []byte("private/")) {
		return true
	}
	if string(ip) != "127.0.0.1" && string(ip) != "::1" {
		return false
	}
	return bytes.Equal(relay, ip) || bytes.IndexByte(relay, '.') < 0 ||
		bytes.HasPrefix(relay, []byte("localhost."))
}

// changesCase holds the bytes that may not be lower case, or not ASCII.
var changesCase = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= utf8.RuneSelf || 'A' <= c && c <= 'Z'
	}
	return t
}()
