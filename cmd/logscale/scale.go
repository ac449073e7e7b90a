package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"time"
)

// kind is how a part of a line differs from copy to copy.
type kind uint8

const (
	fixed  kind = iota
	stamp       // the time at the beginning of a line
	id          // a queue id
	local       // the local part of an address
	domain      // the registrable part of a name under .test
)

// part is a piece of the log, with the same kind throughout.
type part struct {
	kind kind
	text []byte
	at   time.Time // of a stamp
	form string    // its layout
}

// log is a log as its parts, in order.
type log struct {
	parts []part
	span  time.Duration // from its first line to the first of the next copy
}

// layouts are the forms of the time at the beginning of a line.
var layouts = []string{
	"Jan _2 15:04:05",
	"2006-01-02 15:04:05.000",
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05.000000Z07:00",
}

// pieces finds queue ids of Postfix (short and long ones) and Exim, local parts
// and domains.
var pieces = regexp.MustCompile(
	`\b[0-9A-F]{10,12}\b|\b[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{15}\b|\b[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}\b` +
		`|[0-9A-Za-z._+=-]+@|[0-9a-z-]+\.test\b`)

// parse splits a log into parts.
func parse(content []byte) *log {
	l := &log{}
	var first, last time.Time
	for line := range bytes.Lines(content) {
		at, form := timeOf(line)
		if form != "" {
			if first.IsZero() {
				first = at
			}
			last = at
			l.parts = append(l.parts, part{stamp, line[:len(form)], at, form})
			line = line[len(form):]
		}
		l.split(line)
	}
	l.span = last.Sub(first).Truncate(time.Second) + time.Second
	return l
}

// timeOf returns the time that a line begins with, and its layout.
func timeOf(line []byte) (time.Time, string) {
	for _, form := range layouts {
		if len(line) >= len(form) {
			if at, err := time.Parse(form, string(line[:len(form)])); err == nil {
				return at, form
			}
		}
	}
	return time.Time{}, ""
}

// split adds the parts of the rest of a line.
func (l *log) split(rest []byte) {
	end := 0
	for _, m := range pieces.FindAllIndex(rest, -1) {
		k, from, to := id, m[0], m[1]
		switch {
		case rest[to-1] == '@':
			k, to = local, to-1
		case bytes.HasSuffix(rest[from:to], []byte(".test")):
			k, to = domain, to-len(".test")
		}
		l.parts = append(l.parts, part{text: rest[end:from]}, part{kind: k, text: rest[from:to]})
		end = to
	}
	l.parts = append(l.parts, part{text: rest[end:]})
}

// write writes the nth copy. Copy 0 differs from the log only in its local parts
// and domains.
func (l *log) write(w io.Writer, n, domains int) error {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	zipf := rand.NewZipf(r, 1.2, 4, uint64(max(domains, 1)-1))
	names := map[string]uint64{} // of the domains in this copy
	var b []byte
	for _, p := range l.parts {
		switch p.kind {
		case stamp:
			b = p.at.Add(time.Duration(n)*l.span).AppendFormat(b, p.form)
		case id:
			b = appendID(b, p.text, n)
		case local:
			b = fmt.Appendf(append(b, p.text...), ".%d", n)
		case domain:
			name, ok := names[string(p.text)]
			if !ok {
				name = zipf.Uint64()
				names[string(p.text)] = name
			}
			b = fmt.Appendf(append(b, p.text...), "-%d", name)
		default:
			b = append(b, p.text...)
		}
	}
	_, err := w.Write(b)
	return err
}

// appendID appends the id that replaces id in the nth copy, in the same form: it adds n
// to the first five digits (Postfix's short ids, where the inode follows), to all
// digits of a long id, or to the digits before the first dash of an Exim id.
func appendID(b, id []byte, n int) []byte {
	const hex, base62 = "0123456789ABCDEF", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits, end := hex, len(id)
	if i := bytes.IndexByte(id, '-'); i > 0 {
		digits, end = base62, i
	} else if len(id) == 15 {
		digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	} else {
		end = 5 // the rest is the inode
	}
	at := len(b)
	b = append(b, id...)
	for i := at + end - 1; i >= at && n > 0; i-- {
		v := bytes.IndexByte([]byte(digits), b[i])
		if v < 0 {
			continue
		}
		n += v
		b[i] = digits[n%len(digits)]
		n /= len(digits)
	}
	return b
}
