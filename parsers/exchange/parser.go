package exchange

import (
	"bytes"

	"mailfail/parsers"
)

// Limits of a row that spans lines. Fields with line breaks are subjects,
// which Exchange cuts at 255 characters; what is longer is a quote that is
// never closed, because the server stopped in the middle of a row.
const (
	maxRowBytes = 1 << 20
	maxRowLines = 1000
)

// table is what a kind of log does with its rows.
type table interface {
	// header takes the names of the columns, and reports whether they are
	// those of this kind of log. It keeps nothing of them.
	header(names [][]byte) bool
	// row reads a whole row.
	row(fields [][]byte, emit func(*parsers.Record)) parsers.Result
}

// parser reads the lines of a log, puts rows together and knows its header.
type parser struct {
	table     table
	logType   string                 // of the #Log-type line; "" for logs without one
	isHeader  func(line []byte) bool // of a header that is a row; nil for logs without one
	delimiter byte

	row   row
	names []byte // the header that is in force, as it was read
	alien bool   // it is another log's

	// The row that began with an open quote, with its line breaks.
	held      []byte
	heldLines int
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Open reports whether the last line ended inside quotes.
func (p *parser) Open() bool { return p.heldLines > 0 }

// Parse reads one line. A line inside a row is Understood; the row's own
// result is that of its last line.
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
		line = bytes.TrimLeft(line, "\x00") // what a crash leaves at the end of a file
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

// fields reads p.row.
func (p *parser) fields(emit func(*parsers.Record)) parsers.Result {
	if p.alien {
		return parsers.Unparsed
	}
	return p.table.row(p.row.fields, emit)
}

// more adds a line to the row that is held. Lines that do not make a row in the end
// never were one: the first was torn, and the others are rows of their own.
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

// hideSecret takes out of a row that is open, and whose last line begins at start,
// what must not be kept: at once, so that it makes no difference whether the state is
// saved in the middle of it.
func (p *parser) hideSecret(start int) {
	if protocol, ok := p.table.(*protocol); ok {
		p.held = protocol.withoutSecret(p.held, start)
	}
}

// restarts reports whether a line inside a row is the header of the log again:
// the very header in force. In a tracking log that has 300 characters and more,
// which no subject can hold; other logs have no fields with line breaks.
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

// giveUp takes the held row for a torn line and reads the lines after it by
// themselves. The line it is noticed at is counted as Unparsed, since the torn
// one has been counted. A line that ends inside quotes is held only if it is
// the last.
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
// or the #TYPE line that PowerShell writes above a CSV file. Lines that many
// logs have are of no interest, so that a file that holds nothing else is not
// taken for understood.
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

// delimiterOf returns what parts the names of a header: PowerShell's Export-Csv
// takes the separator of the country on request, and spreadsheets do anyway.
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
