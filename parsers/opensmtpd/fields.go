package opensmtpd

import (
	"bytes"

	"mailfail/parsers"
)

// find returns the text after a name that begins a word of b, nil when there is none.
// It skips addresses and quotes, because strangers write the text in them.
func find(b []byte, name string) []byte {
	for len(b) > 0 {
		if parsers.Has(b, name) {
			return b[len(name):]
		}
		n := wordLen(b)
		b = b[min(n+1, len(b)):]
	}
	return nil
}

// wordLen returns the length of the field at the beginning of b: up to a blank, but
// NAME=<…> and NAME="…" are one field.
func wordLen(b []byte) int {
	end := bytes.IndexByte(b, ' ')
	if end < 0 {
		end = len(b)
	}
	if i := bytes.IndexByte(b[:end], '='); i >= 0 && i+1 < len(b) {
		n := 0
		switch b[i+1] {
		case '<':
			n = addressLen(b[i+1:])
		case '"':
			n = quotedLen(b[i+1:])
		}
		end = max(end, i+1+n)
	}
	return end
}

// addressLen returns the length of the address in brackets at the beginning of b. A
// local part in quotes may contain anything.
func addressLen(b []byte) int {
	n := 1
	if len(b) > 1 && b[1] == '"' {
		n += parsers.SkipQuoted(b[1:])
	}
	if i := bytes.IndexByte(b[min(n, len(b)):], '>'); i >= 0 {
		return n + i + 1
	}
	return len(b)
}

// quotedLen returns the length of the value in quotes at the beginning of b. OpenSMTPD
// does not escape quotes in it, so it ends at a quote before a blank and the name of a
// field, or at the end.
func quotedLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		if b[i] == '"' && (i+1 == len(b) || b[i+1] == ' ' && isField(b[i+2:])) {
			return i + 1
		}
	}
	return len(b)
}

// isField reports whether b begins with the name of a field that may follow a
// value in quotes.
func isField(b []byte) bool {
	return parsers.HasAny(b, []string{"relay=", "delay=", "result=", "stat=", "address=", "host="})
}

// value returns the value of a field whose value is one word without quotes.
func value(b []byte, name string) []byte {
	v := find(b, name)
	if i := bytes.IndexByte(v, ' '); i >= 0 {
		v = v[:i]
	}
	return v
}

// last returns the value of the last field, without its quotes: it may contain text
// that looks like its end.
func last(b []byte, name string) []byte {
	v := find(b, name)
	return bytes.TrimSuffix(bytes.TrimPrefix(v, []byte{'"'}), []byte{'"'})
}

// quoted returns the value of a field without the quotes around it.
func quoted(b []byte, name string) []byte {
	v := find(b, name)
	if len(v) == 0 || v[0] != '"' {
		return value(b, name)
	}
	n := quotedLen(v)
	return bytes.TrimSuffix(v[1:n], []byte{'"'})
}

// bracketed returns the address in brackets that follows a name, nil when there is
// none. The name ":" stands for the first colon of b.
func bracketed(b []byte, name string) []byte {
	v := find(b, name)
	if name == ":" {
		_, v, _ = bytes.Cut(b, []byte(":"))
	}
	if len(v) < 2 || v[0] != '<' {
		return nil
	}
	return bytes.TrimSuffix(v[1:addressLen(v)], []byte{'>'})
}

// relay reads "192.0.2.25 (mx.far.example)".
func relay(b []byte) (ip, host []byte) {
	ip, host, _ = bytes.Cut(b, []byte(" ("))
	return ip, bytes.TrimSuffix(host, []byte{')'})
}
