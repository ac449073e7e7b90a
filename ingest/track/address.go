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

// appendAddress appends an address with its domain in lower case, so that two spellings
// of one mailbox are one recipient. Only the receiving host may interpret the local part
// (RFC 5321 section 2.4), which stays as it is.
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
	dst, s = append(dst, s[:n]...), s[n:] // usually the whole text
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

// isThisHost reports whether a next hop is a server on this host without a domain name
// (localhost[127.0.0.1], 127.0.0.1[127.0.0.1], a Unix socket), such as a content filter.
// A name in the domain name system may also resolve to this host, but then it is the next
// hop of a domain.
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

// changesCase is the set of bytes that are upper case or not ASCII.
var changesCase = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= utf8.RuneSelf || 'A' <= c && c <= 'Z'
	}
	return t
}()
