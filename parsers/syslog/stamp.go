package syslog

import (
	"time"

	"mailfail/parsers"
)

// TimeOf returns the time of a line: from a header, from an object, or from its
// beginning, as in lines without a header; the zero time when there is none. loc, year
// and modified are those of NewReader.
func TimeOf(line []byte, loc *time.Location, year int, modified time.Time) time.Time {
	r := NewReader(loc, year, modified, func(*parsers.Entry) bool { return false })
	line = r.clean(line)
	line = line[bar(line):]
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	var e parsers.Entry
	if r.strip(line, &e) {
		return e.Time
	}
	if t, n := r.timeAt(line, modified); n > 0 {
		return t
	}
	if len(line) == 0 || line[0] != '{' {
		return time.Time{}
	}
	o := &r.objects[0]
	r.json.b = line[1:]
	r.json.read(o, nil, 0) // the end of the object may be cut off
	for _, c := range o.values(instant) {
		if t, ok := r.timeOf(c.value, modified); ok {
			return t
		}
	}
	return time.Time{}
}
