// Package table reads the rows of accounting files: a header that names the
// columns, and rows of one line each (RFC 4180, any separator), without allocating
// memory.
package table

import (
	"bytes"
	"strings"

	"mailfail/parsers"
)

// maxColumns is more than any accounting file has, with room for headers of
// messages that the configuration adds.
const maxColumns = 128

// A Table knows where the columns of a file are. Columns that the caller does not
// name are skipped.
type Table struct {
	names     []string // of the wanted columns
	places    []int    // of each of the wanted columns in a row, -1 when it has none
	separator byte
	header    []byte // the header that is in force

	fields [][]byte
	text   []byte // of fields with doubled quotes
}

// New returns a Table for the wanted columns.
func New(names ...string) *Table {
	t := &Table{names: names, places: make([]int, len(names))}
	for i := range t.places {
		t.places[i] = -1
	}
	return t
}

// IsHeader reports whether a line consists of names of columns, and contains all of
// the wanted ones.
func IsHeader(line []byte, wanted ...string) bool {
	line = clean(line)
	if len(line) == 0 || parsers.IsDigit(line[0]) {
		return false
	}
	separator := separatorOf(line)
	if separator == 0 || !isNames(line, separator) {
		return false
	}
	for _, name := range wanted {
		if !hasName(line, separator, name) {
			return false
		}
	}
	return true
}

// isNames reports whether a line holds only characters of names and separators: a
// row has a time, an address or a code.
func isNames(line []byte, separator byte) bool {
	for _, c := range line {
		switch {
		case c == separator, c == '"', c == '_', c == '-', c == ' ':
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		default:
			return false
		}
	}
	return true
}

func hasName(line []byte, separator byte, name string) bool {
	for more := true; more; {
		var field []byte
		field, line, more = bytes.Cut(line, []byte{separator})
		if string(bytes.Trim(field, `" `)) == name {
			return true
		}
	}
	return false
}

// separatorOf returns the first character behind the first name.
func separatorOf(line []byte) byte {
	i := 0
	for i < len(line) && (parsers.IsAlnum(line[i]) || line[i] == '_' || line[i] == '-' || line[i] == '"') {
		i++
	}
	if i == len(line) {
		return 0
	}
	return line[i]
}

// clean returns a line without the byte order mark and the carriage return.
func clean(line []byte) []byte {
	return bytes.TrimPrefix(bytes.TrimSuffix(line, []byte("\r")), []byte("\xef\xbb\xbf"))
}

// SetHeader sets the header. It reports false for a line that cannot be split. Names
// are known in any case: those of header fields are as the configuration spells them.
func (t *Table) SetHeader(line []byte) bool {
	line = clean(line)
	t.separator = separatorOf(line)
	if t.separator == 0 || !t.split(line) {
		return false
	}
	t.header = append(t.header[:0], line...)
	for i, name := range t.names {
		t.places[i] = -1
		for j, field := range t.fields {
			if strings.EqualFold(string(bytes.Trim(field, " ")), name) {
				t.places[i] = j
				break
			}
		}
	}
	return true
}

// Header returns the header that is in force, empty when there is none.
func (t *Table) Header() []byte { return t.header }

// Row reads a row. It reports false for one that cannot be split, and before a
// header was set.
func (t *Table) Row(line []byte) bool {
	return len(t.header) > 0 && t.split(clean(line))
}

// Field returns the value of the i-th of the wanted columns, nil when the row has
// none. It is valid until the next row.
func (t *Table) Field(i int) []byte {
	place := t.places[i]
	if place < 0 || place >= len(t.fields) {
		return nil
	}
	return bytes.TrimSpace(t.fields[place])
}

// split sets t.fields.
func (t *Table) split(line []byte) bool {
	t.fields, t.text = t.fields[:0], t.text[:0]
	for len(t.fields) < maxColumns {
		field, rest, more := t.next(line)
		if field == nil {
			return false
		}
		t.fields = append(t.fields, field)
		if !more {
			return true
		}
		line = rest
	}
	return false
}

// next returns the first field of a line, nil for one in quotes that does not end,
// and whether there are more.
func (t *Table) next(line []byte) (field, rest []byte, more bool) {
	if len(line) > 0 && line[0] == '"' {
		return t.quoted(line[1:])
	}
	if i := bytes.IndexByte(line, t.separator); i >= 0 {
		return line[:i:i], line[i+1:], true
	}
	return line[:len(line):len(line)], nil, false
}

// quoted reads a field behind its opening quote.
func (t *Table) quoted(line []byte) (field, rest []byte, more bool) {
	i := bytes.IndexByte(line, '"')
	if i < 0 {
		return nil, nil, false
	}
	field, rest = line[:i:i], line[i+1:]
	if len(rest) > 0 && rest[0] == '"' {
		if field, rest = t.doubled(line); field == nil {
			return nil, nil, false
		}
	}
	if len(rest) == 0 {
		return field, nil, false
	}
	if rest[0] != t.separator {
		return nil, nil, false
	}
	return field, rest[1:], true
}

// doubled is quoted for a field with doubled quotes.
func (t *Table) doubled(line []byte) (field, rest []byte) {
	start := len(t.text)
	for {
		i := bytes.IndexByte(line, '"')
		if i < 0 {
			return nil, nil
		}
		t.text = append(t.text, line[:i]...)
		line = line[i+1:]
		if len(line) == 0 || line[0] != '"' {
			return t.text[start:len(t.text):len(t.text)], line
		}
		t.text = append(t.text, '"')
		line = line[1:]
	}
}
