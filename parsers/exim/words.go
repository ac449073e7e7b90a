package exim

import (
	"bytes"

	"mailfail/parsers"
)

// angle splits off the address in the angle brackets at the beginning of b. A local
// part in quotes may contain anything, brackets too (RFC 5321 section 4.1.2).
func angle(b []byte) (addr, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != '<' {
		return nil, nil, false
	}
	i := 1
	if b[1] == '"' {
		if n := parsers.SkipQuoted(b[1:]); n > 0 {
			i += n
		}
	}
	j := bytes.IndexByte(b[i:], '>')
	if j < 0 {
		return nil, nil, false
	}
	return b[1 : i+j], b[i+j+1:], true
}

// word splits off the next field of a line. A field ends at a blank, but a value in
// quotes (DN="a b"), in brackets (F=<"a b"@c>) or both is one word. A colon at its
// end belongs to rest.
func word(b []byte) (w, rest []byte) {
	end := bytes.IndexByte(b, ' ')
	if end < 0 {
		end = len(b)
	}
	if eq := bytes.IndexByte(b[:end], '='); eq >= 0 && eq+1 < len(b) {
		switch b[eq+1] {
		case '"':
			if n := parsers.SkipQuoted(b[eq+1:]); n > 0 {
				end = endWord(b, eq+1+n)
			}
		case '<':
			if _, rest, ok := angle(b[eq+1:]); ok {
				end = endWord(b, len(b)-len(rest))
			}
		}
	}
	w, rest = b[:end], b[end:]
	if n := len(w); n > 1 && w[n-1] == ':' {
		return w[:n-1], b[end-1:]
	}
	return w, rest
}

// endWord returns the offset of the first blank of b at or after i.
func endWord(b []byte, i int) int {
	if j := bytes.IndexByte(b[i:], ' '); j >= 0 {
		return i + j
	}
	return len(b)
}

// unquoted returns the value of a field KEY="VALUE" without the quotes and the
// backslashes that quote. It appends to dst when the value contains backslashes.
func unquoted(dst, v []byte) (text, newDst []byte) {
	v = bytes.TrimPrefix(v, []byte{'"'})
	v = bytes.TrimSuffix(v, []byte{'"'})
	if bytes.IndexByte(v, '\\') < 0 {
		return v, dst
	}
	start := len(dst)
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) && (v[i+1] == '\\' || v[i+1] == '"') {
			i++
		}
		dst = append(dst, v[i])
	}
	return dst[start:], dst
}

// octal decodes the bytes beyond ASCII that Exim wrote as \303\244 (string_printing
// in string.c). Control characters stay quoted, and \n still separates the lines of a
// reply. It appends to dst when text contains such bytes.
func octal(dst, text []byte) (decoded, newDst []byte) {
	i := nextOctal(text)
	if i < 0 {
		return text, dst
	}
	start := len(dst)
	for i >= 0 {
		dst = append(dst, text[:i]...)
		dst = append(dst, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
		text = text[i+4:]
		i = nextOctal(text)
	}
	dst = append(dst, text...)
	return dst[start:], dst
}

// nextOctal returns the offset of the next \2xx or \3xx, -1 for none.
func nextOctal(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\\')
		if i < 0 || from+i+4 > len(b) {
			return -1
		}
		i += from
		if d := b[i+1 : i+4]; (d[0] == '2' || d[0] == '3') && d[1]|7 == '7' && d[2]|7 == '7' {
			return i
		}
		from = i + 1
	}
}

// equalFold compares addresses without regard to case (of ASCII).
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
