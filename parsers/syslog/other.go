package syslog

import (
	"bytes"

	"mailfail/parsers"
)

// headings are lines between the lines of logs: those of tail, grep, journalctl, docker
// compose, kubectl and stern. "*" stands for any text.
var headings = []string{
	"==> * <==",
	"--",
	"-- Boot *",
	"-- Reboot --",
	"-- Journal begins *",
	"-- Logs begin *",
	"-- No entries --",
	"-- cursor: *",
	"Attaching to *",
	"Gracefully stopping...*",
	"* exited with code *",
	"+ * › *",
	"- * › *",
	"Defaulted container *",
	"Found * pods, using *",
	"Timestamp  * Thread  *",
	"Filtering the log data using *",
	"Skipping info and debug messages*",
}

// services are the beginnings of lines of services that run beside a mail server in a
// container: # is a digit, @ a letter, * any text.
var services = []string{
	"#:@ ## @@@ ####*",         // redis: 1:M 19 Nov 2026 12:37:15.123 * Ready
	"##:@ ## @@@ ####*",        // with a process id of two digits
	"#:@ (*",                   // redis before 4
	"*[##/@@@/####:##:##:## *", // the access log of a web server
	"[   @@@@   ]  *",          // docker-mailserver
	"[##-@@@-#### ##:##:##] *", // PHP
	"<## *", "<### *", ">## *", // memcached -v
	"####-##-## ##:##:## *: Info: *", // Dovecot's own file
	"####-##-## ##:##:## *: Warning: *", "####-##-## ##:##:## *: Error: *",
	"####-##-## ##:##:## *: Debug: *",
	"[*] [INFO] *",                // gunicorn and the like
	"[*] [ERROR] *", "[*] [WARN*", // mailu
	"time=\"*", "level=*", "ts=*", // logfmt of programs in Go
	"Killing process*", "Starting *", "Started *", "Stopping *", "* health level: *",
}

// other classifies a line that contains no line of a format.
func (r *Reader) other(line []byte) Answer {
	if len(line) == 0 {
		return Bare
	}
	for _, h := range headings {
		if glob(h, line) {
			return Part
		}
	}
	if r.isTitles(line) {
		return Part
	}
	answer := Bare
	switch {
	case r.named(line):
		answer = Other
	case r.beside(line):
		answer = Beside
	}
	if answer != Bare && r.mentions(line) {
		return Odd
	}
	return answer
}

// isTitles reports whether a line is the title line of a table: it contains the names of
// a time and of a message, among others.
func (r *Reader) isTitles(line []byte) bool {
	if line[0] != '"' && !parsers.IsAlnum(line[0]) && line[0] != '@' || len(line) > maxLead {
		return false
	}
	var found [numRoles]bool
	for rest := line; len(rest) > 0; {
		name, after, _ := bytes.Cut(rest, []byte(","))
		rest = after
		name = bytes.Trim(name, "\" ")
		if !isName(bytes.TrimPrefix(name, []byte("@"))) {
			return false
		}
		found[r.objects[0].fieldOf(nil, name).role] = true
	}
	return found[instant] && found[message]
}

// named reports whether an envelope names the writer of the line.
func (r *Reader) named(line []byte) bool {
	if bar(line) > 0 || isPod(line) {
		return true
	}
	switch line[0] {
	case '[':
		if bytes.HasPrefix(line, []byte("[{")) {
			return r.namedObject()
		}
		if r.descents > 0 && len(line) > 2 && line[1] == '"' && parsers.IsDigit(line[2]) {
			return true // a line of Loki
		}
		n := group(line)
		return bytes.Contains(line, []byte(`"=>`)) || n > 0 && bytes.IndexByte(line[:n], '/') > 0
	case '{':
		return r.namedObject()
	}
	_, n := r.timeAt(line, r.last)
	if n == 0 || n >= len(line) {
		return false
	}
	stream, _ := containerStream(bytes.TrimLeft(line[n:], " "))
	return stream > 0
}

// namedObject reports whether the object that was read is an envelope: it has a message
// and a time, and names a container, a pod or a stream.
func (r *Reader) namedObject() bool { return r.isEvent() && r.objects[0].count[service] > 0 }

// isEvent reports whether the object that was read has a message and a time.
func (r *Reader) isEvent() bool {
	o := &r.objects[0]
	return o.count[message] > 0 && o.count[instant] > 0
}

// beside reports whether a line begins as in services, or with a time.
func (r *Reader) beside(line []byte) bool {
	if line[0] == '{' || parsers.Has(line, "[{") {
		return r.isEvent()
	}
	for _, s := range services {
		if glob(s, line) {
			return true
		}
	}
	var tag parsers.Entry // a program that writes no time: "opendkim[7]: text"
	if splitProgram(line, &tag); tag.PID != nil && digitsLen(tag.PID) == len(tag.PID) &&
		isName(tag.Program) {
		return true
	}
	if n := group(line); n > 0 && line[0] == '[' {
		if _, ok := r.timeOf(line[1:n-1], r.last); ok {
			return true // [2026-11-19 12:37:15] text
		}
	}
	_, n := r.timeAt(line, r.last)
	return n > 0 && n < len(line) && (line[n] == ' ' || line[n] == '\t' || line[n] == ':')
}

// isPod reports whether a line begins with the names of a pod and of a container, as
// stern prints them: "mail-0 postfix …", "rspamd-7c9f5d8b6d-x2x9k rspamd …".
func isPod(line []byte) bool {
	pod, rest, ok := bytes.Cut(line, blank)
	if !ok || len(pod) == 0 || parsers.IsDigit(pod[0]) {
		return false
	}
	container, _, ok := bytes.Cut(rest, blank)
	i := bytes.LastIndexByte(pod, '-')
	if !ok || i < 1 || !isName(container) || !isName(pod) || bytes.IndexByte(pod, '.') >= 0 {
		return false
	}
	last := pod[i+1:]
	if digitsLen(last) == len(last) && len(last) > 0 && len(last) < 4 {
		return true // a pod of a stateful set
	}
	if len(last) != 5 {
		return false
	}
	j := bytes.LastIndexByte(pod[:i], '-')
	return j > 0 && i-j-1 <= 10 && i > j+1
}

// glob reports whether line matches pattern; a pattern that ends in * matches the
// beginning of a line.
func glob(pattern string, line []byte) bool {
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			rest := pattern[i+1:]
			if rest == "" {
				return true
			}
			for j := range line {
				if glob(rest, line[j:]) {
					return true
				}
			}
			return false
		case len(line) == 0,
			c == '#' && !parsers.IsDigit(line[0]),
			c == '@' && line[0]|0x20-'a' > 25,
			c != '#' && c != '@' && line[0] != c:
			return false
		}
		line = line[1:]
	}
	return len(line) == 0
}
