// Package table reads the rows of accounting files: a header that names the
// columns, and rows of one line each (RFC 4180, any separator), without allocating
// memory.
package table

import (
	"bytes"
	"strings"

	"mailfail/parsers"
)

// maxColumns is more than any accounting file has, and leaves room for message headers
// that the configuration adds.
const maxColumns = 128

// A Table maps the columns of a file to the wanted ones. It skips the others.
type Table struct {
	names     []string // names of the wanted columns
	places    []int    // index of each wanted column in a row, -1 when the header lacks it
	separator byte
	header    []byte // the present header

	fields [][]byte
	text   []byte // text of fields with doubled quotes
}

// New returns a Table for the wanted columns.
func New(names ...string) *Table {
	t := &Table{names: names, places: make([]int, len(names))}
	for i := range t.places {
		t.places[i] = -1
	}
	return t
}

// IsHeader reports whether a line consists of column names, and contains all wanted ones.
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

// isNames reports whether a line contains only characters of names and separators: a row
// would contain a time, an address or a code.
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

// separatorOf returns the first character after the first name, 0 without one.
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

// SetHeader sets the header. It returns false for a line that cannot be split. Names
// match in any case: those of header fields are spelled as in the configuration.
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

// Header returns the present header, empty when there is none.
func (t *Table) Header() []byte { return t.header }

// Row reads a row. It returns false for a row that cannot be split, and before a header
// was set.
func (t *Table) Row(line []byte) bool {
	return len(t.header) > 0 && t.split(clean(line))
}

// Field returns the value of the i-th wanted column, nil when the row lacks it. It is
// valid until the next row.
func (t *Table) Field(i int) []byte {
	place := t.places[i]
	if place < 0 || place >= len(t.fields) {
		return nil
	}
	return bytes.TrimSpace(t.fields[place])
}

// split sets t.fields. It returns false for a line with an unclosed quote or too many
// fields.
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

// next returns the first field of a line and whether there are more. field is nil for a
// quoted field that does not end.
func (t *Table) next(line []byte) (field, rest []byte, more bool) {
	if len(line) > 0 && line[0] == '"' {
		return t.quoted(line[1:])
	}
	if i := bytes.IndexByte(line, t.separator); i >= 0 {
		return line[:i:i], line[i+1:], true
	}
	return line[:len(line):len(line)], nil, false
}

// quoted reads a field after its opening quote.
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

// doubled reads a quoted field that contains doubled quotes.
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
