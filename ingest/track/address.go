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

// isLoopback reports whether a logged relay address is this host: 127.0.0.1,
// ::1, or a Unix socket. Other addresses of 127.0.0.0/8 are used to tell
// servers apart in tests and containers.
func isLoopback(ip []byte) bool {
	return string(ip) == "127.0.0.1" || string(ip) == "::1" || string(ip) == "IPv6:::1" || len(ip) > 0 && ip[0] == '/' || bytes.HasPrefix(ip, []byte("private/"))
}
