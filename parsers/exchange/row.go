package exchange

import "bytes"

// shape is the result of splitting a text as a row.
type shape uint8

const (
	whole     shape = iota
	open            // it ends inside quotes: the next line continues the row
	malformed       // not CSV, or more fields than any log has
)

// maxFields is more than any Exchange log has (30), with room for columns
// that later versions add.
const maxFields = 80

// row splits a CSV row (RFC 4180) without allocating. encoding/csv reads from
// an io.Reader, waits for more text after an open quote, and cannot stop and
// continue between two lines.
type row struct {
	fields   [][]byte
	unquoted []byte // memory of the fields that contain doubled quotes
}

// split sets r.fields to the fields of b. They are valid until the next split, and
// only while b does not change.
func (r *row) split(b []byte, delimiter byte) shape {
	r.fields, r.unquoted = r.fields[:0], r.unquoted[:0]
	for len(r.fields) < maxFields {
		if len(b) > 0 && b[0] == '"' {
			field, rest, closed := r.quoted(b[1:])
			if !closed {
				return open
			}
			r.fields = append(r.fields, field)
			if len(rest) == 0 {
				return whole
			}
			if rest[0] != delimiter {
				return malformed
			}
			b = rest[1:]
			continue
		}
		i := bytes.IndexByte(b, delimiter)
		if i < 0 {
			r.fields = append(r.fields, b)
			return whole
		}
		r.fields = append(r.fields, b[:i])
		b = b[i+1:]
	}
	return malformed
}

// resume returns the shape of a row that the line before left open, judged by line
// alone, which begins inside quotes.
func (r *row) resume(line []byte, delimiter byte) shape {
	r.unquoted = r.unquoted[:0]
	_, rest, closed := r.quoted(line)
	switch {
	case !closed:
		return open
	case len(rest) == 0:
		return whole
	case rest[0] != delimiter:
		return malformed
	}
	return r.split(rest[1:], delimiter)
}

// quoted reads a field up to its closing quote. A field without doubled quotes
// is a slice of b; a field with them is assembled in r.unquoted. Earlier fields stay
// valid when r.unquoted grows.
func (r *row) quoted(b []byte) (field, rest []byte, closed bool) {
	i := bytes.IndexByte(b, '"')
	if i < 0 {
		return nil, nil, false
	}
	if i+1 == len(b) || b[i+1] != '"' {
		return b[:i], b[i+1:], true
	}
	start := len(r.unquoted)
	for {
		r.unquoted = append(r.unquoted, b[:i]...)
		b = b[i+1:]
		if len(b) == 0 || b[0] != '"' {
			return r.unquoted[start:], b, true
		}
		r.unquoted = append(r.unquoted, '"')
		b = b[1:]
		if i = bytes.IndexByte(b, '"'); i < 0 {
			return nil, nil, false
		}
	}
}

// field returns the n-th field, from 0, of a row that begins with line, without
// splitting the rest: enough to recognize a row. A quoted field keeps its quotes. It
// returns nil when there are fewer fields.
func field(line []byte, n int) []byte {
	for ; ; n-- {
		end := 0
		if len(line) > 0 && line[0] == '"' {
			end = 1
			for {
				i := bytes.IndexByte(line[end:], '"')
				if i < 0 {
					return nil
				}
				end += i + 1
				if end == len(line) || line[end] != '"' {
					break
				}
				end++
			}
		} else if end = bytes.IndexByte(line, ','); end < 0 {
			end = len(line)
		}
		if n == 0 {
			return line[:end]
		}
		if end == len(line) || line[end] != ',' {
			return nil
		}
		line = line[end+1:]
	}
}
