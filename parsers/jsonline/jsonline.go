// Package jsonline reads the JSON objects that mail systems log, one a line, without
// allocating memory.
//
// A Scanner walks through a line from left to right. The caller asks for the keys
// of an object and reads or skips the value of each:
//
//	s.Reset(line)
//	for key := s.Object(); key != nil; key = s.Key() {
//		switch string(key) {
//		case "id":
//			id = s.Text()
//		default:
//			s.Skip()
//		}
//	}
//	if !s.OK() { … } // not JSON
//
// Keys with escapes are not decoded: no known key has one.
package jsonline

import (
	"bytes"
	"unicode/utf8"

	"mailfail/parsers"
)

// A Scanner reads a line of JSON. Its zero value is ready for Reset.
type Scanner struct {
	b      []byte // the part of the line that was not read
	text   []byte // decoded strings; the results of Text point into it
	failed bool
	single bool // the array is a string
}

// maxDepth bounds how deep values may be nested.
const maxDepth = 32

// Reset begins a line. The results of earlier calls are not valid any more.
func (s *Scanner) Reset(line []byte) {
	s.b, s.text, s.failed, s.single = line, s.text[:0], false, false
}

// Enter begins a value that Raw returned. Earlier results remain valid.
func (s *Scanner) Enter(raw []byte) { s.b, s.failed = raw, false }

// OK reports whether the whole line was read, and was JSON as far as the scanner looked
// at it.
func (s *Scanner) OK() bool { return !s.failed && s.peek() == 0 }

// fail ends the line: all further reads return empty values.
func (s *Scanner) fail() { s.b, s.failed = nil, true }

// peek returns the next byte that is not white space without consuming it, 0 at the end.
func (s *Scanner) peek() byte {
	for i, c := range s.b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.b = s.b[i:]
			return c
		}
	}
	s.b = nil
	return 0
}

// next returns the same byte as peek and consumes it.
func (s *Scanner) next() byte {
	c := s.peek()
	if c != 0 {
		s.b = s.b[1:]
	}
	return c
}

// Object begins an object and returns its first key. It returns nil for an empty
// object, and for a value of another kind, which it skips.
func (s *Scanner) Object() []byte {
	if s.peek() != '{' {
		s.Skip()
		return nil
	}
	s.next()
	if s.peek() == '}' {
		s.next()
		return nil
	}
	return s.key()
}

// Key returns the next key of the object after its last value was read, nil at its end.
func (s *Scanner) Key() []byte {
	switch s.next() {
	case ',':
		return s.key()
	case '}':
		return nil
	}
	s.fail()
	return nil
}

// key reads "KEY":. An empty key is not nil.
func (s *Scanner) key() []byte {
	key := s.rawString()
	if s.next() != ':' {
		s.fail()
		return nil
	}
	return key
}

// Array begins an array and reports whether it has an element. A string counts as
// an array with this element; other values are skipped.
func (s *Scanner) Array() bool {
	s.single = false
	switch s.peek() {
	case '[':
	case '"':
		s.single = true
		return true
	default:
		s.Skip()
		return false
	}
	s.next()
	if s.peek() == ']' {
		s.next()
		return false
	}
	return true
}

// Element reports whether the array has another element.
func (s *Scanner) Element() bool {
	if s.single {
		s.single = false
		return false
	}
	switch s.next() {
	case ',':
		return true
	case ']':
	default:
		s.fail()
	}
	return false
}

// Each reads the elements of the next array, and returns the best of the results, or
// Unparsed as soon as one is.
func (s *Scanner) Each(read func(element []byte) parsers.Result) parsers.Result {
	result := parsers.Irrelevant
	for more := s.Array(); more; more = s.Element() {
		switch read(s.Raw()) {
		case parsers.Unparsed:
			return parsers.Unparsed
		case parsers.Understood:
			result = parsers.Understood
		}
	}
	if !s.OK() {
		return parsers.Unparsed
	}
	return result
}

// Raw returns the next value unchanged.
func (s *Scanner) Raw() []byte {
	s.peek()
	start := s.b
	s.Skip()
	return start[:len(start)-len(s.b)]
}

// Text returns the next value as text: a string decoded, a number or a word unchanged,
// nil for null and for arrays and objects.
func (s *Scanner) Text() []byte {
	switch s.peek() {
	case '"':
		return s.decode(s.rawString())
	case '{', '[', 'n':
		s.Skip()
		return nil
	}
	return s.Raw()
}

// Number returns the digits at the beginning of the next value, which may be a string, as
// a number; 0 for a negative one.
func (s *Scanner) Number() int64 { return parsers.Number(s.Text()) }

// Skip reads the next value.
func (s *Scanner) Skip() {
	for depth := 0; ; {
		switch c := s.peek(); c {
		case '"':
			s.rawString()
		case '{', '[':
			s.next()
			depth++
		case '}', ']':
			s.next()
			depth--
		case ',', ':':
			if depth == 0 {
				s.fail()
				return
			}
			s.next()
		case 0:
			s.fail()
			return
		default:
			s.word()
		}
		if depth < 0 || depth > maxDepth {
			s.fail()
		}
		if depth <= 0 || s.failed {
			return
		}
	}
}

// word reads a number, true, false or null.
func (s *Scanner) word() {
	i := 0
	for i < len(s.b) && (parsers.IsAlnum(s.b[i]) || s.b[i] == '-' || s.b[i] == '+' || s.b[i] == '.') {
		i++
	}
	if i == 0 {
		s.fail()
		return
	}
	s.b = s.b[i:]
}

// rawString reads a string and returns it without its quotes, but with its escapes.
func (s *Scanner) rawString() []byte {
	if s.next() != '"' {
		s.fail()
		return nil
	}
	end := bytes.IndexByte(s.b, '"')
	if end >= 0 && bytes.IndexByte(s.b[:end], '\\') >= 0 {
		end = closing(s.b)
	}
	if end >= 0 {
		raw := s.b[:end:end]
		s.b = s.b[end+1:]
		return raw
	}
	s.fail()
	return nil
}

// closing returns the offset of the quote that ends a string with escapes, -1 when
// there is none.
func closing(b []byte) int {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// decode returns a string without its escapes.
func (s *Scanner) decode(raw []byte) []byte {
	i := bytes.IndexByte(raw, '\\')
	if i < 0 {
		return raw
	}
	start := len(s.text)
	for i >= 0 {
		s.text = append(s.text, raw[:i]...)
		raw = raw[i+s.escape(raw[i:]):]
		i = bytes.IndexByte(raw, '\\')
	}
	s.text = append(s.text, raw...)
	return s.text[start:len(s.text):len(s.text)]
}

// escape decodes the escape sequence at the beginning of b and returns its length. A
// sequence that is not JSON stands for the character after the backslash.
func (s *Scanner) escape(b []byte) int {
	const names, values = `bfnrt`, "\b\f\n\r\t"
	switch i := bytes.IndexByte([]byte(names), b[1]); {
	case i >= 0:
		s.text = append(s.text, values[i])
	case b[1] == 'u':
		r, n := parsers.EscapedRune(b)
		if n == 0 {
			s.text = append(s.text, 'u')
			return 2
		}
		s.text = utf8.AppendRune(s.text, r)
		return n
	default:
		s.text = append(s.text, b[1])
	}
	return 2
}
