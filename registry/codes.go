// Package registry explains SMTP failures: reply codes, enhanced status codes, the
// meanings that vendors give them, the reasons by which failures are classified, and the
// operators of relay hosts. Its facts are in data files beside the code.
package registry

import (
	"fmt"
	"strconv"
)

// Enhanced is an enhanced mail system status code (RFC 3463), such as 5.1.1. The zero
// value means that there is none.
type Enhanced struct {
	Class           uint8 // 2, 4 or 5
	Subject, Detail uint16
}

// IsZero reports whether there is no code.
func (e Enhanced) IsZero() bool { return e.Class == 0 }

// String returns the code as it is written, or "" without a code.
func (e Enhanced) String() string {
	if e.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e.Class, e.Subject, e.Detail)
}

// ParseEnhanced parses a string that contains only a code. RFC 3463 section 2 allows the
// classes 2, 4 and 5, and a subject and a detail of one to three digits without leading
// zeros; similar strings (5.01.1, 5.1) are not codes.
func ParseEnhanced(s string) (Enhanced, bool) {
	e, n := ScanEnhanced([]byte(s))
	return e, n > 0 && n == len(s)
}

// ScanEnhanced parses a code at the beginning of b and returns its length, 0 without a
// code. A code must not be followed by another digit or number (5.1.1.4, 5.1.1000).
func ScanEnhanced(b []byte) (Enhanced, int) {
	if len(b) < 5 || b[1] != '.' || b[0] != '2' && b[0] != '4' && b[0] != '5' {
		return Enhanced{}, 0
	}
	subject, n := scanNumber(b[2:])
	i := 2 + n
	if n == 0 || i >= len(b) || b[i] != '.' {
		return Enhanced{}, 0
	}
	detail, n := scanNumber(b[i+1:])
	if n == 0 {
		return Enhanced{}, 0
	}
	i += 1 + n
	if i+1 < len(b) && b[i] == '.' && b[i+1] >= '0' && b[i+1] <= '9' {
		return Enhanced{}, 0
	}
	return Enhanced{b[0] - '0', subject, detail}, i
}

// scanNumber reads one to three digits without a leading zero.
func scanNumber(b []byte) (v uint16, n int) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		if n == 3 || n == 1 && v == 0 {
			return 0, 0
		}
		v = v*10 + uint16(b[n]-'0')
		n++
	}
	return v, n
}

// Code joins a reply code and an enhanced code as reports show them: "550 5.1.1", "550",
// "5.4.4", or "" without any code.
func Code(reply uint16, e Enhanced) string {
	switch {
	case reply == 0:
		return e.String()
	case e.IsZero():
		return strconv.Itoa(int(reply))
	}
	return strconv.Itoa(int(reply)) + " " + e.String()
}
