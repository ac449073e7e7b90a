package detect

import (
	"bytes"
	"encoding/binary"

	"mailfail/parsers"
)

// maxRepeats bounds how often a line is repeated when a syslog daemon reports a
// repetition. rsyslog and syslogd report well before that number.
const maxRepeats = 100_000

// repeatedMessage reads rsyslog's "message repeated 3 times: [ text]" and
// returns the count and the text, 0 for any other message.
func repeatedMessage(msg []byte) (n int, text []byte) {
	const begin, middle = "message repeated ", " times: ["
	if len(msg) < len(begin) || msg[0] != 'm' || string(msg[:len(begin)]) != begin {
		return 0, nil
	}
	n, rest := repeatCount(msg[len(begin):])
	if n == 0 || !bytes.HasPrefix(rest, []byte(middle)) || rest[len(rest)-1] != ']' {
		return 0, nil
	}
	text = rest[len(middle) : len(rest)-1]
	return n, bytes.TrimPrefix(text, []byte(" "))
}

// repeatedLine reads syslogd's "last message repeated 3 times", also with dashes around
// it, and returns the count, 0 for any other message.
func repeatedLine(msg []byte) int {
	msg = bytes.TrimPrefix(msg, []byte("--- "))
	rest, ok := bytes.CutPrefix(msg, []byte("last message repeated "))
	if !ok {
		return 0
	}
	n, rest := repeatCount(rest)
	if !bytes.HasPrefix(rest, []byte(" time")) {
		return 0
	}
	return n
}

// repeatCount reads the number at the beginning of b.
func repeatCount(b []byte) (n int, rest []byte) {
	i := 0
	for i < len(b) && i < 9 && parsers.IsDigit(b[i]) {
		n = n*10 + int(b[i]-'0')
		i++
	}
	return min(n, maxRepeats), b[i:]
}

// maxRepeatHosts and maxRepeatLine bound the lines that are kept for reports that the
// last line was repeated.
const (
	maxRepeatHosts = 8
	maxRepeatLine  = 8 << 10
)

// repeats keeps the last line of each host for "last message repeated".
type repeats struct {
	hosts []repeat
	now   int // the host of the last line
	next  int // index of the host to be replaced by a new one
}

// A repeat is the last line of a host.
type repeat struct{ host, program, pid, message []byte }

// keep notes that e is the last line of its host.
func (r *repeats) keep(e *parsers.Entry) {
	h := &r.hosts
	if r.now >= len(*h) || !bytes.Equal((*h)[r.now].host, e.Host) {
		r.now = r.slot(e.Host)
	}
	l := &(*h)[r.now]
	l.program = append(l.program[:0], e.Program...)
	l.pid = append(l.pid[:0], e.PID...)
	l.message = l.message[:0]
	if len(e.Message) <= maxRepeatLine {
		l.message = append(l.message, e.Message...)
	}
}

// slot returns the index of a host, another host's when all are taken.
func (r *repeats) slot(host []byte) int {
	for i := range r.hosts {
		if bytes.Equal(r.hosts[i].host, host) {
			return i
		}
	}
	if len(r.hosts) < maxRepeatHosts {
		r.hosts = append(r.hosts, repeat{host: bytes.Clone(host)})
		return len(r.hosts) - 1
	}
	i := r.next
	r.next = (r.next + 1) % maxRepeatHosts
	r.hosts[i].host = append(r.hosts[i].host[:0], host...)
	return i
}

// last fills in e from the last line of its host and reports whether there is one.
func (r *repeats) last(e *parsers.Entry) bool {
	for i := range r.hosts {
		if l := &r.hosts[i]; bytes.Equal(l.host, e.Host) && len(l.message) > 0 {
			e.Program, e.PID, e.Message = l.program, l.pid, l.message
			return true
		}
	}
	return false
}

func (r *repeats) appendState(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.hosts)))
	for _, l := range r.hosts {
		b = parsers.AppendBytes(b, l.host)
		b = parsers.AppendBytes(b, l.program)
		b = parsers.AppendBytes(b, l.pid)
		b = parsers.AppendBytes(b, l.message)
	}
	return binary.AppendUvarint(b, uint64(r.next))
}

func (r *repeats) setState(d *parsers.StateReader) {
	for range d.Count(maxRepeatHosts) {
		r.hosts = append(r.hosts, repeat{
			host:    bytes.Clone(d.Bytes()),
			program: bytes.Clone(d.Bytes()),
			pid:     bytes.Clone(d.Bytes()),
			message: bytes.Clone(d.Bytes()),
		})
	}
	r.next = d.Count(maxRepeatHosts - 1)
}
