package syslog

import (
	"bytes"
	"time"

	"mailfail/parsers"
)

// role is the meaning of a field of a JSON object for a line.
type role uint8

const (
	noRole role = iota
	message
	instant
	host
	program
	pid
	service // names a container, a pod or a stream
	numRoles
)

// fieldNames are the names that log shippers give to the parts of a line, in lower case,
// and for each role in the order of preference. The name of a field in a nested object is
// preceded by the object's name if it has no meaning alone.
//
//	journald          MESSAGE _HOSTNAME SYSLOG_IDENTIFIER _COMM _PID __REALTIME_TIMESTAMP
//	Docker            log time
//	Logstash, ECS     message @timestamp host.name process.name process.pid event.original
//	Vector            message timestamp host hostname appname procid
//	Fluent Bit        log date; with its parsers message host ident pid time
//	Loki              line timestamp
//	GELF, Graylog     short_message full_message timestamp host source
//	rsyslog           msg rawmsg syslogtag programname hostname timereported
//	syslog-ng         MESSAGE HOST PROGRAM PID ISODATE DATE
//	Google, AWS       textPayload, message
//	VictoriaLogs      _msg _time
//	Azure             SyslogMessage LogEntry TimeGenerated Computer HostName ProcessName ProcessID
//	OpenTelemetry     body.stringValue timeUnixNano
//	MongoDB           msg t.$date
var fieldNames = [numRoles][]string{
	message: {"message", "log", "msg", "line", "short_message", "full_message", "event.original", "original", "rawmsg",
		"_raw", "_msg", "syslogmessage", "logentry", "event", "textpayload", "body.stringvalue",
		"text", "body", "content", "syslog_message", "legacy_msghdr"},
	instant: {"__realtime_timestamp", "_source_realtime_timestamp", "@timestamp", "timestamp", "time", "timereported",
		"isodate", "date", "datetime", "ts", "timegenerated", "eventtime", "_time", "timestamp_iso8601",
		"timeunixnano", "timestamp_nanos", "observedtimeunixnano", "t.$date"},
	host: {"_hostname", "hostname", "host", "host.name", "host.hostname", "log.syslog.hostname", "syslog_hostname",
		"logsource", "source", "syslog_host", "fromhost", "host_name", "computer",
		"kubernetes.host", "beat.hostname", "agent.hostname"},
	program: {"syslogtag", "syslog_identifier", "program", "ident", "appname", "app_name", "app-name", "application_name",
		"application", "process.name", "log.syslog.appname", "syslog_program", "programname",
		"progname", "processname", "process", "_comm", "tag", "unit", "_systemd_unit"},
	pid: {"_pid", "syslog_pid", "pid", "procid", "proc_id", "processid", "process.pid", "process_id", "log.syslog.procid", "syslog_procid"},
	service: {"stream", "kubernetes", "container", "container_name", "container_id", "_container_name", "docker", "pod",
		"pod_name", "namespace", "source_type", "labels", "log.file.path", "input_type",
		"facility", "_index"},
}

// field is the position of a name in fieldNames.
type field struct {
	role role
	rank int
}

var fields = func() map[string]field {
	m := map[string]field{}
	for i, names := range fieldNames {
		for rank, name := range names {
			m[name] = field{role(i), rank}
		}
	}
	return m
}()

// maxCandidates bounds the fields of one role that are tried, and maxNested the depth to
// which nested objects are read.
const (
	maxCandidates = 6
	maxNested     = 6
)

// A candidate is a field's value with its rank: the lower, the better.
type candidate struct {
	value []byte
	rank  int
}

// An object contains the fields of a JSON object that describe one line.
type object struct {
	roles [numRoles][maxCandidates]candidate
	count [numRoles]int
	text  []byte // of the object, to the end of the line
	names []byte // of the container and the stream
	path  [96]byte
}

// add inserts a value in the order of preference.
func (o *object) add(f field, depth int, value []byte) {
	if f.role == noRole || len(value) == 0 {
		return
	}
	list, n := &o.roles[f.role], o.count[f.role]
	rank := f.rank + 100*depth
	if n == maxCandidates {
		return
	}
	i := n
	for ; i > 0 && list[i-1].rank > rank; i-- {
		list[i] = list[i-1]
	}
	list[i] = candidate{value, rank}
	o.count[f.role]++
}

// values returns the candidates of a role, best first.
func (o *object) values(r role) []candidate { return o.roles[r][:o.count[r]] }

// fieldOf returns the field with a name, or with its object's name and its own.
func (o *object) fieldOf(parent, key []byte) field {
	if len(parent)+len(key)+1 > len(o.path) {
		return field{}
	}
	path := o.path[:0]
	if len(parent) > 0 {
		path = append(append(path, parent...), '.')
	}
	start := len(path)
	path = append(path, key...)
	for i, c := range path {
		if c >= 'A' && c <= 'Z' {
			path[i] = c | 0x20
		}
	}
	if f, ok := fields[string(path)]; ok {
		return f
	}
	return fields[string(path[start:])]
}

// read reads the fields of an object after its opening brace.
func (s *jsonScanner) read(o *object, parent []byte, depth int) bool {
	if s.peek() == '}' {
		s.next()
		return true
	}
	for {
		key, ok := s.key()
		if !ok || !s.readValue(o, parent, key, depth) {
			return false
		}
		switch s.next() {
		case ',':
		case '}':
			return true
		default:
			return false
		}
	}
}

// readValue reads the value of a field.
func (s *jsonScanner) readValue(o *object, parent, key []byte, depth int) bool {
	c := s.peek()
	f := o.fieldOf(parent, key)
	if f.role == service {
		o.count[service]++
	}
	if c == '{' && depth < maxNested {
		s.next()
		return s.read(o, key, depth+1)
	}
	switch {
	case f.role == service && c == '"':
		s.next()
		name, ok := s.raw()
		if len(o.names) < maxLead {
			o.names = append(o.names, name[:min(len(name), maxLead)]...)
		}
		return ok
	case f.role == noRole, f.role == service, c == '{':
		return s.skip()
	case c == '"', c == '[' && f.role == message:
		value, ok := s.value()
		if ok {
			o.add(f, depth, value)
		}
		return ok
	case parsers.IsDigit(c):
		start := s.b
		s.word()
		o.add(f, depth, bytes.TrimSpace(start[:len(start)-len(s.b)]))
		return true
	}
	return s.skip()
}

// peek returns the next byte that is not white space, without consuming it.
func (s *jsonScanner) peek() byte {
	s.b = bytes.TrimLeft(s.b, " \t\r\n")
	if len(s.b) == 0 {
		return 0
	}
	return s.b[0]
}

// openJSON reads an object, or the first of an array of objects; the others are left for
// Rest. If an object contains no line, the arrays in it are left for Rest.
func (r *Reader) openJSON(b []byte, e *parsers.Entry, at place) bool {
	if at.depth == 0 { // an element of an array may have blanks before it
		if b = bytes.TrimLeft(b, " \t"); len(b) == 0 {
			return false
		}
	}
	if b[0] == '[' {
		if b = bytes.TrimLeft(b[1:], " \t"); len(b) == 0 {
			return false
		}
	}
	if b[0] != '{' || len(b) < 2 {
		return false
	}
	s := &r.json
	o := &r.objects[at.depth]
	o.count, o.names, o.text = [numRoles]int{}, o.names[:0], b
	s.b = b[1:]
	if !s.read(o, nil, 0) || !r.leave(s.b) {
		return false
	}
	if at.depth == 0 {
		r.extent = len(b) - len(s.b)
	}
	if r.openObject(o, e, at) {
		return true
	}
	if o.count[message] == 0 {
		r.descend(b, 1)
	}
	return false
}

// descend leaves the elements of the next array in b for Rest; it returns false when
// there is none.
func (r *Reader) descend(b []byte, from int) bool {
	i := elements(b, from)
	if i == 0 || r.descents >= maxDescents {
		return false
	}
	r.rest = b[i:]
	r.descents++
	return true
}

// leave leaves the text after an element of an array for Rest, and returns false if that
// does not begin an element.
func (r *Reader) leave(b []byte) bool {
	rest := bytes.TrimLeft(b, " \t,]}")
	if len(rest) == 0 {
		return true
	}
	switch rest[0] {
	case '{', '[':
		r.rest = rest
		return true
	case '"': // the array ended; further fields of its object follow
		if r.descents == 0 {
			return false
		}
		r.descend(rest, 0)
		return true
	}
	return false
}

// maxDescents bounds how many arrays within arrays of one line are read.
const maxDescents = 64

// elements returns the offset of the first element of an array of objects or arrays in an
// object, searching from an offset; 0 when there is none.
func elements(b []byte, from int) int {
	quoted, open := false, false
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted, open = !quoted, false
		case quoted, c == ' ', c == '\t':
		case open && (c == '{' || c == '['):
			return i
		default:
			open = c == '['
		}
	}
	return 0
}

// openPair reads an element of the streams of Loki, ["1795091835000000000","LINE"].
func (r *Reader) openPair(b []byte, e *parsers.Entry, at place) bool {
	if len(b) < 24 || b[0] != '[' || b[1] != '"' || !parsers.IsDigit(b[2]) {
		return false
	}
	s := &r.json
	s.b = b[1:]
	stamp, ok1 := s.value()
	comma := s.next()
	line, ok2 := s.value()
	t, ok3 := r.timeOf(stamp, e.Time)
	if !ok1 || !ok2 || !ok3 || comma != ',' {
		return false
	}
	if s.peek() == ',' { // structured metadata
		if s.next(); !s.skip() {
			return false
		}
	}
	if !r.leave(s.b) {
		return false
	}
	r.extent = len(b) - len(s.b)
	inner := r.inner(e, at)
	inner.Time = t
	return r.try(trimLine(line), inner, e, place{timed: true, depth: at.depth})
}

// openRuby reads the standard output of Fluent Bit,
//
//	[0] tail.0: [1795091835.123000000, {"log"=>"LINE"}]
//	[0] tail.0: [[1795091835.123000000, {}], {"log"=>"LINE"}]
func (r *Reader) openRuby(b []byte, e *parsers.Entry, at place) bool {
	arrow := bytes.Index(b, []byte(`"=>`))
	colon := bytes.Index(b[:max(arrow, 0)], []byte(": ["))
	if b[0] != '[' || colon < 0 {
		return false
	}
	array := bytes.TrimLeft(b[colon+2:], "[")
	t, n := r.timeAt(array, e.Time)
	object := bytes.LastIndex(b[:arrow], []byte(`{"`))
	if n == 0 || object < colon {
		return false
	}
	inner := r.inner(e, at)
	inner.Time = t
	at.depth++
	return r.openJSON(b[object:], inner, at) && keep(e, inner)
}

// openObject looks for a line in the message of an object. The object's own host, program
// and time are used if the message lacks them.
func (r *Reader) openObject(o *object, e *parsers.Entry, at place) bool {
	inner := r.inner(e, at)
	for _, c := range o.values(instant) {
		if t, ok := r.timeOf(c.value, e.Time); ok {
			inner.Time = t
			break
		}
	}
	for _, c := range o.values(host) {
		if isName(c.value) {
			inner.Host = c.value
			break
		}
	}
	inner.Program, inner.PID = nil, nil
	outer := *inner
	for _, c := range o.values(message) {
		*inner = outer
		line := c.value
		switch o.ends(line) {
		case piece:
			r.keepPiece(r.writer(o.text, o.names), line)
			return false
		case newline:
			line = r.pieces.take(r.writer(o.text, o.names), line)
		}
		if r.try(trimLine(line), inner, e, place{timed: at.timed, hosted: true, depth: at.depth}) {
			return true
		}
	}
	return !outer.Time.IsZero() && r.program(o, &outer, e)
}

// An ending is how the output of a container ends in an object of Docker's json-file.
type ending uint8

const (
	open    ending = iota // no newline: other writers write whole lines in this way
	newline               // a whole line, or the last piece of one
	piece                 // Docker's buffer was full
)

// pieceSize is the size of the buffer into which Docker reads the output of a container,
// in bytes.
const pieceSize = 16 << 10

// ends returns the ending of a message.
func (o *object) ends(message []byte) ending {
	switch {
	case o.count[service] == 0 || len(message) == 0:
		return open
	case message[len(message)-1] == '\n':
		return newline
	case len(message) == pieceSize:
		return piece
	}
	return open
}

// program reads the message of an object that names a known program.
func (r *Reader) program(o *object, outer, e *parsers.Entry) bool {
	if o.count[message] == 0 {
		return false
	}
	for _, c := range o.values(program) {
		var t parsers.Entry
		splitProgram(c.value, &t)
		name := t.Program
		if name == nil {
			name = bytes.TrimSuffix(c.value, []byte(":"))
		}
		if unit := unitOf(name); unit != nil {
			name = unit
		}
		if len(name) == 0 || !r.isKnown(name, nil) {
			continue
		}
		*e = *outer
		e.Program, e.PID = name, t.PID
		if p := o.values(pid); e.PID == nil && len(p) > 0 {
			e.PID = p[0].value
		}
		e.Message = bytes.TrimLeft(trimLine(o.values(message)[0].value), " ")
		return true
	}
	return false
}

// trimLine removes the newline of a line.
func trimLine(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }

// timeOf reads a value that consists of a time.
func (r *Reader) timeOf(b []byte, near time.Time) (time.Time, bool) {
	t, n := r.timeAt(b, near)
	return t, n > 0 && n <= len(b) && len(b)-n < 8
}

// openCSV reads a row whose fields are quoted, as Graylog and Kibana export them: it
// recognizes times, hosts and lines by their form.
func (r *Reader) openCSV(b []byte, e *parsers.Entry, at place) bool {
	if b[0] != '"' {
		return false
	}
	inner := r.inner(e, at)
	for rest := b; len(rest) > 0; {
		var value []byte
		value, rest = r.csvField(rest)
		if value == nil {
			return false
		}
		if t, ok := r.timeOf(value, e.Time); ok {
			inner.Time = t
		} else if isName(value) && len(value) > 0 && inner.Host == nil {
			inner.Host = value
		} else if r.try(value, inner, e, place{hosted: true, depth: at.depth}) {
			return true
		}
	}
	return false
}

// csvField returns the next field of a row and the text after it; nil at the end of the
// row or for a field that does not end.
func (r *Reader) csvField(b []byte) (value, rest []byte) {
	b = bytes.TrimLeft(b, ",; \t")
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != '"' {
		i := bytes.IndexAny(b, ",;")
		if i < 0 {
			return b, nil
		}
		return b[:i], b[i:]
	}
	start := len(r.plain)
	b = b[1:]
	for {
		i := bytes.IndexByte(b, '"')
		if i < 0 {
			return nil, nil
		}
		r.plain = append(r.plain, b[:i]...)
		b = b[i+1:]
		if len(b) == 0 || b[0] != '"' {
			return r.plain[start:len(r.plain):len(r.plain)], b
		}
		r.plain = append(r.plain, '"')
		b = b[1:]
	}
}
