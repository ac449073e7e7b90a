package exchange

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"mailfail/parsers"
)

// trackingParser reads the tracking log as CSV, and the objects of it that
// Get-MessageTrackingLog prints with Format-List.
type trackingParser struct {
	parser
	list list
}

func newTrackingParser(o parsers.Options) *trackingParser {
	t := tracking{ownHost: []byte(o.Host), culture: &culture{zone: o.Location}}
	p := &trackingParser{parser: *newParser(&t, typeTracking), list: list{tracking: t}}
	p.isHeader = isExtendedHeader
	return p
}

// A list holds the object of a list whose end the parser has not read. Objects look
// like this:
//
//	RunspaceId      : 8e1cd3dc-2244-4b1d-96bc-e1d4af6e9aac
//	Timestamp       : 11/20/2026 9:28:06 AM
//	EventId         : FAIL
//	Recipients      : {a@example.com, b@example.com}
//	RecipientStatus : {[{LED=550 5.1.1 User unknown};{MSG=}], [{LED=550 5.2.2 Mailbox
//	                  full};{MSG=}]}
//
// PowerShell pads names to the length of the longest, and continues a value in the
// column of the values (ListWriter), so that no value can look like a property. An
// object ends with SchemaVersion, the last property since Exchange 2016. Before, and
// where the properties were chosen, it ends at a blank line, where its first property
// comes again, or at any line that is not part of a list.
type list struct {
	tracking
	held   []byte // lines of the object, each with a line feed; empty when no object is open
	column int    // where the values begin; 0 when no object is open
	known  bool   // the object has a property of the tracking log
	lacks  string // properties that the last incomplete object needs and does not have

	names, fields [][]byte
	text          []byte // memory of the fields
}

// Parse reads one line. The lines of an object are Understood; the last has the
// result of the object.
func (p *trackingParser) Parse(e *parsers.Entry, emit func(*parsers.Record)) parsers.Result {
	if p.Open() {
		return p.parser.Parse(e, emit)
	}
	line := bytes.TrimPrefix(bytes.TrimSuffix(e.Message, []byte("\r")), byteOrderMark)
	object := parsers.Irrelevant
	if p.list.column > 0 {
		if p.list.goesOn(line) {
			return p.list.add(line, emit)
		}
		object = p.list.end(emit)
	}
	var result parsers.Result
	if name, column := property(line); column > 0 && isListed(name) {
		p.list.column = column
		result = p.list.add(line, emit)
	} else {
		result = p.parser.Parse(e, emit)
	}
	if object == parsers.Unparsed || result == parsers.Irrelevant {
		return object
	}
	return result
}

// End ends the row or the object that is open.
func (p *trackingParser) End(emit func(*parsers.Record)) parsers.Result {
	if p.list.column > 0 {
		return p.list.end(emit)
	}
	return p.parser.End(emit)
}

// property returns the name at the beginning of a line of a list and the column
// where its value begins; 0 for other lines.
func property(line []byte) (name []byte, column int) {
	n := 0
	for n < len(line) && (line[n] >= 'A' && line[n] <= 'Z' || n > 0 && line[n] >= 'a' && line[n] <= 'z') {
		n++
	}
	i := n
	for i < len(line) && line[i] == ' ' {
		i++
	}
	if n == 0 || i == n || i == len(line) || line[i] != ':' || i+1 < len(line) && line[i+1] != ' ' {
		return nil, 0
	}
	return line[:n], i + len(": ")
}

// isListed reports whether an object may begin with the property of that name.
func isListed(name []byte) bool {
	_, known := trackingColumns[string(name)]
	return known || isOfShell(name)
}

// isOfShell reports whether PowerShell adds a property of that name to objects of
// other machines.
func isOfShell(name []byte) bool {
	switch string(name) {
	case "RunspaceId", "PSComputerName", "PSShowComputerName":
		return true
	}
	return false
}

// isListHeader recognizes a list by one of the properties with which it usually
// begins. A list that begins with RunspaceId may come from any command.
func isListHeader(line []byte) bool {
	line = bytes.TrimPrefix(line, byteOrderMark)
	name, column := property(line)
	if column == 0 {
		return false
	}
	value := bytes.TrimSpace(line[min(column, len(line)):])
	switch string(name) {
	case "Timestamp":
		_, ok := (&culture{zone: time.UTC}).read(value)
		return ok
	case "EventId":
		return effects[string(value)] != 0
	case "Recipients":
		return bytes.HasPrefix(value, []byte("{"))
	}
	return isOfShell(name) && len(value) > 0
}

// isOtherList reports whether line belongs to a list of another command. The name
// must be one padded word, because many other lines contain a colon.
func isOtherList(line []byte) bool {
	name, column := property(line)
	return column > len(name)+len(" : ") && !isListed(name)
}

// name returns the name of the property that begins in line, nil when the line is
// not a property of the open object.
func (l *list) name(line []byte) []byte {
	colon := l.column - len(": ")
	if len(line) <= colon || line[0] == ' ' || line[colon] != ':' || line[colon-1] != ' ' ||
		len(line) > colon+1 && line[colon+1] != ' ' {
		return nil
	}
	return bytes.TrimRight(line[:colon], " ")
}

// goesOn reports whether line belongs to the open object.
func (l *list) goesOn(line []byte) bool {
	if name := l.name(line); name != nil {
		return !bytes.Equal(name, l.name(l.held[:l.column-1]))
	}
	return len(line) >= l.column && len(bytes.TrimLeft(line[:l.column], " ")) == 0
}

// add adds a line to the object. An object that does not begin with a property of
// the tracking log belongs to another command and is Unparsed.
func (l *list) add(line []byte, emit func(*parsers.Record)) parsers.Result {
	name := l.name(line)
	result := l.hold(line, name)
	if len(l.held) > maxRowBytes || !l.known && result == parsers.Understood {
		l.release()
		return parsers.Unparsed
	}
	if string(name) == "SchemaVersion" && l.split() {
		defer l.release()
		return l.row(l.fields, emit)
	}
	return result
}

func (l *list) hold(line, name []byte) parsers.Result {
	l.held = append(append(l.held, line...), '\n')
	if isOfShell(name) {
		return parsers.Irrelevant
	}
	l.known = l.known || isListed(name)
	return parsers.Understood
}

func (l *list) release() {
	l.held, l.column, l.known = l.held[:0], 0, false
}

// end ends the object at the line before and returns its result.
func (l *list) end(emit func(*parsers.Record)) parsers.Result {
	defer l.release()
	switch {
	case !l.known:
		return parsers.Irrelevant
	case !l.split():
		l.lacks = strings.Join(lackingOf(l.names), ", ")
		return parsers.Unparsed
	}
	return l.row(l.fields, emit)
}

// Lacks describes the properties that objects lack, see parsers.Lacker; "" for none.
func (p *trackingParser) Lacks() string {
	if p.list.lacks == "" {
		return ""
	}
	return "a list of Get-MessageTrackingLog without " + p.list.lacks + " (add that to Format-List)"
}

// split sets the names and fields of the object, and reports whether it has all
// properties that a row needs.
func (l *list) split() bool {
	l.names, l.fields, l.text = l.names[:0], l.fields[:0], l.text[:0]
	wrapped := l.wrapping()
	var last []byte
	start := 0
	for line := range bytes.Lines(l.held) {
		line = line[:len(line)-1]
		value := line[min(l.column, len(line)):]
		if name := l.name(line); name != nil {
			l.names, l.fields = append(l.names, name), append(l.fields, nil)
			start = len(l.text)
		} else if wrapped.atBlank(last, value) {
			l.text = append(l.text, ' ')
		}
		l.text = append(l.text, value...)
		l.fields[len(l.fields)-1] = bytes.TrimRight(l.text[start:], " ")
		last = line
	}
	return l.header(l.names)
}

// wrapping describes how PowerShell wrapped the lines of an object, as far as the
// lines show it. width is the width of the window, taken from the longest line.
type wrapping struct {
	column, width int  // in characters; column is where values begin
	trimmed       bool // no line ends in a blank: a mail program or browser cut them off
}

func (l *list) wrapping() wrapping {
	w := wrapping{column: l.column, trimmed: true}
	for line := range bytes.Lines(l.held) {
		w.width = max(w.width, utf8.RuneCount(line)-1)
		w.trimmed = w.trimmed && !bytes.HasSuffix(line, []byte(" \n"))
	}
	return w
}

// atBlank reports whether a blank was lost where line ends and value continues it.
// PowerShell leaves blanks at the ends of lines. It breaks words only when they
// are wider than the window, or in languages for which it knows no words, and
// then the line is full. A full line that was trimmed is taken to be broken
// inside a word when that word would not fit in one line, but not after a comma.
func (w wrapping) atBlank(line, value []byte) bool {
	switch {
	case bytes.HasSuffix(line, []byte(" ")), bytes.HasPrefix(value, []byte(" ")):
		return false
	case utf8.RuneCount(line) < w.width:
		return true
	case !w.trimmed:
		return false
	}
	word := len(line) - max(bytes.LastIndexByte(line, ' ')+1, w.column)
	rest, _, _ := bytes.Cut(value, []byte(" "))
	return word+len(rest) < w.width-w.column || bytes.HasSuffix(line, []byte(","))
}

// members converts a list, {a, b} or without braces, to the form of the log, a;b, in
// place: it replaces each comma that precedes a member, by begins. It reports whether
// the list is whole: PowerShell prints a limited number of members
// ($FormatEnumerationLimit) and dots for the others.
func members(value []byte, begins func([]byte) bool) (list []byte, whole bool) {
	inner, braced := bytes.CutPrefix(value, []byte("{"))
	whole = true
	if braced {
		inner, whole = bytes.CutSuffix(inner, []byte("}"))
		whole = whole && !bytes.HasSuffix(inner, []byte("...")) && !bytes.HasSuffix(inner, []byte("…"))
	}
	list = inner[:0]
	for i := 0; i < len(inner); i++ {
		c := inner[i]
		if next := bytes.TrimPrefix(inner[i+1:], []byte(" ")); c == ',' && begins(next) {
			c = ';'
			i = len(inner) - len(next) - 1
		}
		list = append(list, c)
	}
	return list, whole
}

// AppendBinary appends the state of the CSV reader and the object that is open.
func (p *trackingParser) AppendBinary(b []byte) ([]byte, error) {
	b, err := p.parser.AppendBinary(b)
	if p.list.column > 0 {
		b = parsers.AppendBytes(b, p.list.held)
	}
	return b, err
}

// UnmarshalBinary sets a new parser to a state that AppendBinary wrote.
func (p *trackingParser) UnmarshalBinary(b []byte) error {
	d, err := p.setState(b)
	if err != nil || !d.More() {
		return err
	}
	held := d.Bytes()
	first, _, _ := bytes.Cut(held, []byte("\n"))
	_, p.list.column = property(first)
	if d.Err() != nil || d.More() || p.list.column == 0 || !bytes.HasSuffix(held, []byte("\n")) {
		return fmt.Errorf("an object of a list: %w", errState)
	}
	for line := range bytes.Lines(held) {
		line = line[:len(line)-1]
		p.list.hold(line, p.list.name(line))
	}
	return nil
}
