package exchange

import (
	"bytes"

	"mailfail/parsers"
)

// Limits of a row that spans lines. Only subjects contain line breaks, and Exchange
// cuts them at 255 characters. A longer row has a quote that is never closed,
// because the server stopped in the middle of the row.
const (
	maxRowBytes = 1 << 20
	maxRowLines = 1000
)

// table reads the rows of one kind of log.
type table interface {
	// header takes the names of the columns, and reports whether they are
	// those of this kind of log. It must not keep the slices.
	header(names [][]byte) bool
	// row reads a whole row, emits its records and returns its result.
	row(fields [][]byte, emit func(*parsers.Record)) parsers.Result
}

// parser reads the lines of a log, joins lines to rows and keeps the header.
type parser struct {
	table     table
	logType   string                 // of the #Log-type line; "" for logs without one
	isHeader  func(line []byte) bool // recognizes a header without #; nil for logs without one
	delimiter byte

	row   row
	names []byte // the text of the header in force
	alien bool   // that header belongs to another kind of log

	// The row that began with an open quote, with its line breaks.
	held      []byte
	heldLines int
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Open reports whether the last line ended inside quotes.
func (p *parser) Open() bool { return p.heldLines > 0 }

// Parse reads one line. A line inside a row is Understood; the last line has the
// result of the row.
func (p *parser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	line := bytes.TrimSuffix(e.Message, []byte("\r"))
	if p.heldLines > 0 {
		return p.more(line, emit)
	}
	return p.line(bytes.TrimPrefix(line, byteOrderMark), emit)
}

// line reads a line that is not inside a row.
func (p *parser) line(line []byte, emit func(*parsers.Record)) parsers.Result {
	if len(line) > 0 && line[0] == 0 {
		line = bytes.TrimLeft(line, "\x00") // a crash leaves these at the end of a file
	}
	if len(line) == 0 {
		return parsers.Irrelevant
	}
	if line[0] == '#' {
		return p.comment(line)
	}
	if p.isHeader != nil && p.isHeader(line) {
		p.delimiter = delimiterOf(line)
		return p.header(line)
	}
	switch p.row.split(line, p.delimiter) {
	case open:
		p.held = append(p.held[:0], line...)
		p.heldLines = 1
		p.hideSecret(0)
		return parsers.Understood
	case malformed:
		return parsers.Unparsed
	}
	return p.fields(emit)
}

// fields passes the fields of p.row to the table; rows of another log are Unparsed.
func (p *parser) fields(emit func(*parsers.Record)) parsers.Result {
	if p.alien {
		return parsers.Unparsed
	}
	return p.table.row(p.row.fields, emit)
}

// more adds a line to the row that is held. When the lines together are not a row,
// the first was torn, and the others are separate rows.
func (p *parser) more(line []byte, emit func(*parsers.Record)) parsers.Result {
	start := len(p.held) + 1
	p.held = append(append(p.held, '\n'), line...)
	p.heldLines++
	if len(p.held) > maxRowBytes || p.heldLines > maxRowLines || p.restarts(line) {
		return p.giveUp(emit)
	}
	switch p.row.resume(line, p.delimiter) {
	case open:
		p.hideSecret(start)
		return parsers.Understood
	case malformed:
		return p.giveUp(emit)
	}
	if p.row.split(p.held, p.delimiter) != whole || p.fields(emit) == parsers.Unparsed {
		return p.giveUp(emit)
	}
	p.release()
	return parsers.Understood
}

// hideSecret removes passwords from a row that is open, and whose last line begins at
// start. It does so after each line, so that the result is the same whether or not the
// state is saved in the middle of the row.
func (p *parser) hideSecret(start int) {
	if protocol, ok := p.table.(*protocol); ok {
		p.held = protocol.withoutSecret(p.held, start)
	}
}

// restarts reports whether a line inside a row repeats the header in force. In a
// tracking log that line has 300 characters or more, so it cannot be part of a
// subject; other logs have no fields with line breaks.
func (p *parser) restarts(line []byte) bool {
	return bytes.HasPrefix(line, []byte("#Fields:")) && bytes.Equal(afterName(line), p.names) &&
		(len(line) > 255 || p.logType != typeTracking)
}

// release forgets the row that was held.
func (p *parser) release() {
	p.heldLines = 0
	if p.held = p.held[:0]; cap(p.held) > 64<<10 {
		p.held = nil
	}
}

// giveUp takes the first line of the held row for a torn row and reads the lines
// after it separately. It returns Unparsed for the current line, because the torn
// line was already reported as Understood. Of these lines only the last stays held
// when it ends inside quotes.
func (p *parser) giveUp(emit func(*parsers.Record)) parsers.Result {
	held := p.held
	p.held, p.heldLines = nil, 0
	_, rest, _ := bytes.Cut(held, []byte{'\n'})
	for {
		line, after, more := bytes.Cut(rest, []byte{'\n'})
		p.line(line, emit)
		if !more {
			return parsers.Unparsed
		}
		p.release()
		rest = after
	}
}

// End gives up a row that is still open.
func (p *parser) End(emit func(*parsers.Record)) parsers.Result {
	if !p.Open() {
		return parsers.Understood
	}
	defer p.release()
	return p.giveUp(emit)
}

// comment reads a line of the header:
//
//	#Software: Microsoft Exchange Server
//	#Version: 15.01.2507.039
//	#Log-type: Message Tracking Log
//	#Date: 2026-11-20T00:00:00.000Z
//	#Fields: date-time,client-ip,…
//
// or the #TYPE line that PowerShell writes above a CSV file. Lines that many logs
// have are Irrelevant, so that a file that contains nothing else does not count as
// understood.
func (p *parser) comment(line []byte) parsers.Result {
	value := afterName(line)
	switch {
	case isLogType(line):
		if p.alien = string(value) != p.logType; p.alien {
			return parsers.Unparsed
		}
		return parsers.Understood
	case bytes.HasPrefix(line, []byte("#Fields:")):
		if p.logType == "" {
			return parsers.Unparsed
		}
		p.delimiter = ','
		return p.header(value)
	case isComment(line):
		return parsers.Irrelevant
	}
	return parsers.Unparsed
}

func isComment(line []byte) bool {
	for _, name := range [...]string{"#Software:", "#Version:", "#Date:", "#TYPE "} {
		if bytes.HasPrefix(line, []byte(name)) {
			return true
		}
	}
	return false
}

// header puts a header in force.
func (p *parser) header(names []byte) parsers.Result {
	if p.row.split(names, p.delimiter) != whole {
		return parsers.Unparsed
	}
	p.names = append(p.names[:0], names...)
	if p.alien = !p.table.header(p.row.fields); p.alien {
		return parsers.Unparsed
	}
	return parsers.Understood
}

// delimiterOf returns the delimiter of a header: PowerShell's Export-Csv uses the
// separator of the country on request, and spreadsheets always do.
func delimiterOf(line []byte) byte {
	for _, d := range []byte(";\t") {
		if bytes.Count(line, []byte{d}) > bytes.Count(line, []byte{','}) {
			return d
		}
	}
	return ','
}

// afterName returns the value of a line of the header.
func afterName(line []byte) []byte {
	if i := bytes.IndexByte(line, ':'); i >= 0 {
		return bytes.TrimLeft(line[i+1:], " ")
	}
	return nil
}
