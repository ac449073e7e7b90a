package sendmail

import (
	"bytes"
	"time"

	"mailfail/parsers"
)

// fields are the fields of a line that next has not read: NAME=VALUE, separated by a
// comma and a blank. A value may contain that separator, so it ends only before a
// known name.
type fields struct{ rest []byte }

// next returns the next field; ok is false after the last. Its value ends before the
// next ", NAME=" with a name that sendmail uses.
func (f *fields) next() (name, value []byte, ok bool) {
	i := bytes.IndexByte(f.rest, '=')
	if i <= 0 {
		return nil, nil, false
	}
	name, value = f.rest[:i], f.rest[i+1:]
	for from := quotedStart(value); ; {
		j := bytes.Index(value[from:], comma)
		if j < 0 {
			f.rest = nil
			return name, value, true
		}
		from += j
		if parsers.HasAny(value[from+2:], names) { // a field begins here
			f.rest = value[from+2:]
			return name, value[:from], true
		}
		from += 2
	}
}

var comma = []byte(", ")

// quotedStart returns the length of the quoted local part at the beginning of value,
// which may contain a comma; 0 when there is none.
func quotedStart(value []byte) int {
	if len(value) > 1 && value[0] == '<' && value[1] == '"' {
		return 1 + parsers.SkipQuoted(value[1:])
	}
	return parsers.SkipQuoted(value)
}

// names are the names of sendmail's fields.
var names = []string{
	"delay=", "xdelay=", "mailer=", "pri=", "relay=", "dsn=", "stat=", "ctladdr=", "reply=", "size=",
	"class=", "nrcpts=",
	"msgid=", "proto=", "daemon=", "bodytype=", "arg1=", "arg2=", "reject=", "discard", "quarantine=",
	"quarantine", "tls_verify=",
	"auth=", "authid=", "mech=", "bits=", "owner=", "ntries=", "envid=", "thread=", "action=",
	"tempfail", "accept",
}

// relay reads "mx.example. [192.0.2.1] (may be forged)", "[192.0.2.1]" and
// "joe@localhost".
func relay(value []byte) (name, ip []byte) {
	value = bytes.TrimSuffix(value, []byte(" (may be forged)"))
	if n := len(value); n > 0 && value[n-1] == ']' {
		i := bytes.LastIndexByte(value, '[')
		if i >= 0 {
			ip = bytes.TrimPrefix(value[i+1:n-1], []byte("IPv6:"))
			value = bytes.TrimSuffix(value[:i], []byte(" "))
		}
	}
	return bytes.TrimSuffix(value, []byte(".")), ip
}

// nextAddress splits off the first address of a list separated by commas. Addresses
// may be in brackets; a quoted local part or program may contain a comma
// ("|/usr/bin/vacation -a x,y").
func nextAddress(list []byte) (address, rest []byte) {
	n := 0
	if len(list) > 1 && list[0] == '<' {
		n = quotedStart(list)
		if i := bytes.IndexByte(list[n:], '>'); i >= 0 {
			n += i + 1
		}
	} else {
		n = parsers.SkipQuoted(list)
	}
	end := len(list)
	if i := bytes.IndexByte(list[n:], ','); i >= 0 {
		end = n + i
	}
	address = list[:end]
	if len(address) > 1 && address[0] == '<' && address[len(address)-1] == '>' {
		address = address[1 : len(address)-1]
	}
	return address, list[min(end+1, len(list)):]
}

// duration reads 00:00:01 and 4+22:46:57 (days+hours:minutes:seconds); it is negative
// for anything else.
func duration(b []byte) time.Duration {
	days, clock, ok := bytes.Cut(b, []byte{'+'})
	if !ok {
		days, clock = nil, b
	}
	d, ok := parsers.Digits(days)
	if !ok || len(days) > 4 || len(clock) != len("00:00:00") || clock[2] != ':' || clock[5] != ':' {
		return -1
	}
	h, ok1 := parsers.Digits(clock[:2])
	m, ok2 := parsers.Digits(clock[3:5])
	s, ok3 := parsers.Digits(clock[6:])
	if !ok1 || !ok2 || !ok3 {
		return -1
	}
	return time.Duration(((d*24+h)*60+m)*60+s) * time.Second
}
