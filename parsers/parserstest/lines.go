package parserstest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

// A Line is a line of a log, with the records and the result that a parser must return.
type Line struct {
	Program string // program in the header of syslog; "" for a native line
	Text    string
	Want    string // records as Show writes them, one a line; "" for none
	Result  parsers.Result
}

// format returns the registered format of a name, and fails the test when there is none.
func format(t testing.TB, name string) *parsers.Format {
	t.Helper()
	formats := parsers.Formats()
	i := slices.IndexFunc(formats, func(f parsers.Format) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no format %q is registered", name)
	}
	return &formats[i]
}

// at is the time of every entry with a header of syslog, as in the examples of the tests.
var at = time.Date(2026, 11, 22, 6, 28, 11, 0, time.UTC)

// entry returns the entry of a line, without a header of syslog when program is "".
func entry(program, text string) *parsers.Entry {
	e := &parsers.Entry{Message: []byte(text)}
	if program != "" {
		e.Time, e.Host, e.Program, e.PID = at, []byte("mx1"), []byte(program), []byte("4711")
	}
	return e
}

// Lines reads each line with a new parser of a format and compares its records and its
// result with those in Line. Every record must keep the contract of parsers.KindFields,
// and the format must claim every line.
func Lines(t *testing.T, name string, lines []Line) {
	t.Helper()
	f := format(t, name)
	for _, l := range lines {
		e := entry(l.Program, l.Text)
		if f.Claim(e) == parsers.NotMine {
			t.Errorf("%s: %s\nis not claimed", l.Program, l.Text)
		}
		var got []string
		result := f.New(parsers.Options{Location: time.UTC}).Parse(e, func(r *parsers.Record) {
			Check(t, l.Text, r)
			got = append(got, Show(r))
		})
		if s := strings.Join(got, "\n"); s != l.Want || result != l.Result {
			t.Errorf("%s: %s\ngot  %s (%d)\nwant %s (%d)", l.Program, l.Text, s, result, l.Want, l.Result)
		}
	}
}

// read reads lines with a parser of a format. Before each index in splits it replaces
// the parser by a new one with the same state. It returns the records and results.
func read(t testing.TB, f *parsers.Format, entries []*parsers.Entry, splits ...int) (got []string) {
	t.Helper()
	o := parsers.Options{Location: time.UTC}
	p := f.New(o)
	emit := func(r *parsers.Record) { got = append(got, Show(r)) }
	for i, e := range entries {
		if slices.Contains(splits, i) {
			p = again(t, f, o, p)
		}
		got = append(got, string('0'+rune(p.Parse(e, emit))))
	}
	if k, ok := p.(parsers.Keeper); ok {
		got = append(got, string('0'+rune(k.End(emit))))
	}
	return got
}

// again returns a new parser with the state of p. It fails the test when the new parser
// saves another state.
func again(t testing.TB, f *parsers.Format, o parsers.Options, p parsers.Parser) parsers.Parser {
	t.Helper()
	k, ok := p.(parsers.Keeper)
	if !ok {
		return f.New(o)
	}
	state, err := k.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	q := f.New(o)
	if len(state) == 0 {
		return q
	}
	if err := q.(parsers.Keeper).UnmarshalBinary(state); err != nil {
		t.Fatal(err)
	}
	if second, _ := q.(parsers.Keeper).AppendBinary(nil); !bytes.Equal(second, state) {
		t.Fatalf("a state changes when it is restored: %q, then %q", state, second)
	}
	return q
}

// Split reads a log of a format in two pieces, divided before each of its lines in turn,
// and fails when the records or results differ from those of the whole. Short tests try
// every third line.
func Split(t *testing.T, name, program string, lines ...string) {
	t.Helper()
	f := format(t, name)
	var entries []*parsers.Entry
	for _, l := range lines {
		entries = append(entries, entry(program, l))
	}
	whole, step := read(t, f, entries), 1
	if testing.Short() {
		step = 3
	}
	for i := 0; i < len(entries); i += step {
		if got := read(t, f, entries, i); !slices.Equal(got, whole) {
			t.Fatalf("divided before line %d, %s:\ngot  %q\nwant %q", i+1, lines[i], got, whole)
		}
	}
}

// Fuzz passes lines to a parser of a format. It fails when a record breaks the contract,
// when an Irrelevant line has a record, or when reading the lines in two pieces gives
// other records or results.
func Fuzz(f *testing.F, name, program string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s, uint8(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, log string, at uint8) {
		format := format(t, name)
		var entries []*parsers.Entry
		for l := range strings.SplitSeq(log, "\n") {
			entries = append(entries, entry(program, l))
		}
		records := 0
		p := format.New(parsers.Options{Location: time.UTC})
		for _, e := range entries {
			before := records
			result := p.Parse(e, func(r *parsers.Record) {
				records++
				Check(t, string(e.Message), r)
			})
			if result == parsers.Irrelevant && records > before {
				t.Errorf("%s: a record of a line of no interest", e.Message)
			}
		}
		whole := read(t, format, entries)
		if got := read(t, format, entries, int(at)%len(entries)); !slices.Equal(got, whole) {
			t.Errorf("divided:\ngot  %q\nwant %q", got, whole)
		}
	})
}

// NoAlloc reads each line many times, and fails when the parser allocates memory.
func NoAlloc(t *testing.T, name, program string, lines ...string) {
	t.Helper()
	f := format(t, name)
	emit := func(*parsers.Record) {}
	for _, l := range lines {
		p, e := f.New(parsers.Options{Location: time.UTC}), entry(program, l)
		p.Parse(e, emit)
		if n := testing.AllocsPerRun(100, func() { p.Parse(e, emit) }); n > 0 {
			t.Errorf("%v allocations a line: %s", n, l)
		}
	}
}

// NoAllocFile reads a whole file many times, and fails when the parser allocates memory.
// It is for formats whose lines need the header.
func NoAllocFile(t *testing.T, name string, lines ...string) {
	t.Helper()
	var entries []*parsers.Entry
	for _, l := range lines {
		entries = append(entries, entry("", l))
	}
	p, emit := format(t, name).New(parsers.Options{Location: time.UTC}), func(*parsers.Record) {}
	read := func() {
		for _, e := range entries {
			p.Parse(e, emit)
		}
	}
	read()
	if n := testing.AllocsPerRun(100, read); n > 0 {
		t.Errorf("%v allocations a file", n)
	}
}

// Bench measures the time of reading the lines of a log, in turn.
func Bench(b *testing.B, name, program string, lines ...string) {
	f := format(b, name)
	p, emit := f.New(parsers.Options{Location: time.UTC}), func(*parsers.Record) {}
	var entries []*parsers.Entry
	for _, l := range lines {
		b.SetBytes(int64(len(l)))
		entries = append(entries, entry(program, l))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Parse(entries[i%len(entries)], emit)
	}
}
