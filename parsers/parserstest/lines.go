package parserstest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"mailfail/parsers"
)

// A Line is a line of a log and what has to come of it.
type Line struct {
	Program string // that wrote it, as syslog names it; "" for a native line
	Text    string
	Want    string // records as Show writes them, a line each; "" for none
	Result  parsers.Result
}

// format returns the registered format of a name.
func format(t testing.TB, name string) *parsers.Format {
	t.Helper()
	formats := parsers.Formats()
	i := slices.IndexFunc(formats, func(f parsers.Format) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no format %q is registered", name)
	}
	return &formats[i]
}

// at is the time of every entry: that of the stories in the tests.
var at = time.Date(2026, 11, 22, 6, 28, 11, 0, time.UTC)

// entry returns the entry of a line that has a prefix, or none.
func entry(program, text string) *parsers.Entry {
	e := &parsers.Entry{Message: []byte(text)}
	if program != "" {
		e.Time, e.Host, e.Program, e.PID = at, []byte("mx1"), []byte(program), []byte("4711")
	}
	return e
}

// Lines reads each line with a new parser of a format and compares its records
// and its result with what is wanted. Every record has to keep the contract of
// parsers.KindFields, and every line has to be claimed.
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

// read reads lines with a parser of a format, and goes on with a new one, set to
// the state of the first, before each line in splits.
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

// again returns a new parser set to the state of p.
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

// Split reads a log of a format in two pieces, divided before each of its lines
// in turn: the records and results are those of the whole.
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

// Fuzz feeds lines to a format: no record may break the contract, a line that
// was not understood has none, and reading again, in two pieces, gives the same.
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

// NoAlloc reads each line often, and fails when that allocates memory.
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

// NoAllocFile reads a whole file often, in which no line means anything without the
// header, and fails when that allocates memory.
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

// Bench measures the lines of a log.
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
