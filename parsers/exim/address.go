package exim

import (
	"bytes"

	"mailfail/parsers"
)

// address splits the address that string_log_address in deliver.c wrote at the
// beginning of s:
//
//	ADDRESS [(PARENT, PARENT)] [<TOP>]
//
// ADDRESS is not in brackets, and Exim removed the quotes of its local part, so it
// may contain blanks and any text with which a sender imitates other fields. But
// then TOP differs from it, and has the quotes. top is nil when there is no TOP.
func address(s []byte) (addr, top, rest []byte) {
	i := bytes.IndexByte(s, ' ')
	if i < 0 {
		i = len(s)
	}
	addr, rest = s[:i], s[i:]
	if i > 0 && simple(addr) && !quotedTop(s) {
		if addr[i-1] == ':' && !swallowed(addr) {
			return addr[:i-1], nil, s[i-1:]
		}
		if rest = parents(rest); !bytes.HasPrefix(rest, []byte(" <")) {
			return addr, nil, rest
		}
		if top, after, ok := angle(rest[1:]); ok && endsAddress(after) {
			return addr, top, after
		}
	}
	return oddAddress(s)
}

// quotedTop reports whether s has a TOP in quotes that equals all the text before
// it: a server's reply may contain an address in quotes too. Most lines have a few
// quotes at most, so looking for them is faster than looking for all three
// characters.
func quotedTop(s []byte) bool {
	for from := 0; ; {
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 {
			return false
		}
		i += from
		if i > 1 && s[i-1] == '<' && s[i-2] == ' ' {
			if top, _, ok := angle(s[i-1:]); ok && unquotes(top, withoutParents(s[:i-2])) {
				return true
			}
		}
		from = i + 1
	}
}

// withoutParents cuts " (PARENT, PARENT)" off the text before a TOP.
func withoutParents(before []byte) []byte {
	if n := len(before); n > 0 && before[n-1] == ')' {
		if i := bytes.Index(before, []byte(" (")); i > 0 {
			return before[:i]
		}
	}
	return before
}

// simple reports whether the first word of an address is likely all of it: it
// does not begin a pipe, a file, an automatic reply or a quoted string.
func simple(w []byte) bool {
	switch w[0] {
	case '|', '/', '>', '"':
		return false
	}
	return string(w) != "save"
}

// parents skips " (PARENT, PARENT)", which log_selector +all_parents adds.
func parents(s []byte) []byte {
	if !bytes.HasPrefix(s, []byte(" (")) {
		return s
	}
	if i := bytes.Index(s, []byte(") <")); i >= 0 {
		return s[i+1:]
	}
	return s
}

// oddAddress is address for an ADDRESS of several words. It prefers a " <TOP>"
// whose quoted local part proves that all text before it belongs to the address;
// else it takes the first " <TOP>" that can end an address.
func oddAddress(s []byte) (addr, top, rest []byte) {
	if addr, rest := quotedAddress(s); addr != nil {
		return addr, nil, rest
	}
	for from := 0; ; {
		i := bytes.Index(s[from:], []byte(" <"))
		if i < 0 {
			break
		}
		at := from + i
		from = at + 2
		t, after, ok := angle(s[at+1:])
		if !ok || !endsAddress(after) {
			continue
		}
		before := withoutParents(s[:at])
		if unquotes(t, before) {
			return before, t, after
		}
		if addr == nil {
			addr, top, rest = before, t, after
		}
	}
	if addr != nil {
		return addr, top, rest
	}
	end := len(s)
	for _, next := range fieldStarts {
		if i := bytes.Index(s[:end], next); i > 0 {
			end = i
		}
	}
	return s[:end], nil, s[end:]
}

// quotedAddress splits off an address that kept the quotes of its local part; addr is
// nil for others.
func quotedAddress(s []byte) (addr, rest []byte) {
	if len(s) == 0 || s[0] != '"' {
		return nil, nil
	}
	n := parsers.SkipQuoted(s)
	if n == 0 || n == len(s) || s[n] != '@' {
		return nil, nil
	}
	end := endWord(s, n)
	if s[end-1] == ':' {
		end--
	}
	if !endsAddress(s[end:]) {
		return nil, nil
	}
	return s[:end], s[end:]
}

// Fields that may follow an address.
var fieldStarts = [...][]byte{
	[]byte(" R="), []byte(" T="), []byte(" F=<"), []byte(" P=<"), []byte(" Q="),
	[]byte(" routing defer ("), []byte(" defer ("), []byte(": "), []byte(" : "), []byte(" tmp-reject "),
	[]byte(" rejected after "),
}

func endsAddress(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	for _, f := range fieldStarts {
		if bytes.HasPrefix(s, f) {
			return true
		}
	}
	return false
}

// unquotes reports whether plain equals quoted without the quotes of its local part;
// plain may lack the domain.
func unquotes(quoted, plain []byte) bool {
	if len(quoted) == 0 || quoted[0] != '"' {
		return false
	}
	n := parsers.SkipQuoted(quoted)
	if n == 0 {
		return false
	}
	i := 0
	for j := 1; j < n-1; j++ {
		if quoted[j] == '\\' && j+1 < n-1 {
			j++
		}
		if i >= len(plain) || lower(plain[i]) != lower(quoted[j]) {
			return false
		}
		i++
	}
	return i == len(plain) || equalFold(plain[i:], quoted[n:])
}

// recipient returns the address that counts as the recipient; see the package
// comment. original is the address from which Exim made it, nil when both are the
// same. Both are nil for a delivery of the system filter to a pipe or a file.
func (p *parser) recipient(addr, top []byte) (recipient, original []byte) {
	switch {
	case top == nil:
		return addr, nil
	case addr[0] == '|', addr[0] == '/', addr[0] == '>', bytes.HasPrefix(addr, []byte("save ")):
		if string(top) == "system-filter" {
			return nil, nil // the administrator's filter delivers a copy
		}
		return top, nil
	case equalFold(addr, top), unquotes(top, addr):
		return top, nil
	case bytes.IndexByte(addr, '@') >= 0:
		return addr, top
	}
	at := bytes.LastIndexByte(top, '@')
	if at < 0 {
		return addr, nil // <system-filter>
	}
	if equalFold(addr, top[:at]) {
		return top, nil
	}
	start := len(p.scratch)
	p.scratch = append(append(p.scratch, addr...), top[at:]...)
	return p.scratch[start:], top
}
