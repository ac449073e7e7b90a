package parsers

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Hand-written scanners that formats share. Lines are read with these and with package
// bytes; a regular expression takes thirty times as long.

// Has reports whether b begins with prefix.
func Has(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// HasAny reports whether b begins with one of the prefixes.
func HasAny(b []byte, prefixes []string) bool {
	for _, p := range prefixes {
		if Has(b, p) {
			return true
		}
	}
	return false
}

// ContainsAny reports whether b contains one of the texts.
func ContainsAny(b []byte, texts []string) bool {
	for _, t := range texts {
		if bytes.Contains(b, []byte(t)) {
			return true
		}
	}
	return false
}

// LastIndex is bytes.LastIndex for words whose first byte is rare and that a text nearly
// always contains at most once: searching forwards is five times as fast.
func LastIndex(b, words []byte) int {
	last := -1
	for {
		i := bytes.Index(b[last+1:], words)
		if i < 0 {
			return last
		}
		last += 1 + i
	}
}

// IsDigit reports whether c is an ASCII digit.
func IsDigit(c byte) bool { return c >= '0' && c <= '9' }

// IsAlnum reports whether c is an ASCII letter or digit.
func IsAlnum(c byte) bool { return alnum[c] }

var alnum = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	return t
}()

// Number returns the number at the beginning of b, 0 when b does not begin with a digit.
// It stops before the number exceeds 53 bits.
func Number(b []byte) (v int64) {
	for _, c := range b {
		if !IsDigit(c) || v > 1<<52/10 {
			break
		}
		v = v*10 + int64(c-'0')
	}
	return v
}

// Digits returns the number in b, which must contain only digits.
func Digits(b []byte) (v int, ok bool) {
	for _, c := range b {
		if !IsDigit(c) {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// SkipQuoted returns the offset after the quoted string at the beginning of b, in which a
// backslash quotes the next character; 0 when there is none or it is not closed.
func SkipQuoted(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// AppendLower appends b with its ASCII letters in lower case.
func AppendLower(dst, b []byte) []byte {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// IsLoopback reports whether ip is 127.0.0.1 or ::1. Other addresses of 127.0.0.0/8
// distinguish servers in containers and tests.
func IsLoopback(ip []byte) bool { return string(ip) == "127.0.0.1" || string(ip) == "::1" }

// EscapedRune decodes the escape \u00e4 of JSON at the beginning of b, or a pair of
// surrogates (RFC 8259 section 7), and returns its length; 0 when there is none.
func EscapedRune(b []byte) (r rune, n int) {
	r, n = escapedUnit(b)
	if utf16.IsSurrogate(r) {
		low, m := escapedUnit(b[n:])
		if pair := utf16.DecodeRune(r, low); m > 0 && pair != utf8.RuneError {
			return pair, n + m
		}
	}
	return r, n
}

func escapedUnit(b []byte) (r rune, n int) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, 0
	}
	for _, c := range b[2:6] {
		switch {
		case IsDigit(c):
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, 0
		}
		r = r<<4 | rune(c)
	}
	return r, 6
}

// IsWrapped reports whether a message is a whole line of a program whose name begins with
// name: a container may have the name of the mail server in its own name, so that both
// headers contain it. The tag of the program, "name…[pid]: ", is at the beginning of the
// message or after a time and a host.
func IsWrapped(message []byte, name string) bool {
	if len(message) < 16 {
		return false
	}
	head := message[:min(len(message), 96)]
	if c := head[0]; !IsDigit(c) && c != '<' && (c < 'A' || c > 'Z' || head[3] != ' ') && !Has(head, name) {
		return false
	}
	for i := 0; ; i++ {
		n := bytes.Index(head[i:], []byte(name))
		if n < 0 {
			return false
		}
		if i += n; i == 0 || head[i-1] == ' ' {
			tag, _, ok := bytes.Cut(head[i:], []byte("]: "))
			return ok && bytes.IndexByte(tag, '[') > 0 && bytes.IndexByte(tag, ' ') < 0
		}
	}
}
