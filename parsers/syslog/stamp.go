package syslog

import (
	"time"

	"mailfail/parsers"
)

// TimeOf returns the time that a line says it is of: in a header, in an object, or at
// its beginning, as lines without a header have it; the zero time when it has none
// there. loc, year and modified are those of NewReader.
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
	r.json.read(o, nil, 0) // what was cut off may be lacking
	for _, c := range o.values(instant) {
		if t, ok := r.timeOf(c.value, modified); ok {
			return t
		}
	}
	return time.Time{}
}
