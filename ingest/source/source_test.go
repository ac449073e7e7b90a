package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// log makes lines whose content is known: syslog lines with a number.
type log struct{ n int }

func (l *log) lines(count int) (lines []string) {
	for range count {
		l.n++
		lines = append(lines, fmt.Sprintf("Nov 20 %02d:%02d:%02d mx postfix/smtp[%d]: %08d: to=<u@d.example>", l.n/3600%24, l.n/60%60, l.n%60, l.n%30000, l.n))
	}
	return lines
}

func join(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// ingest reads args as the ingest loop does, and returns the lines. errs are
// the errors that were met.
func ingest(t testing.TB, m *Memory, args ...string) (lines []string, errs []error) {
	t.Helper()
	families, errs := Expand(args)
	return read(m, families, errs)
}

func read(m *Memory, families []Family, errs []error) (lines []string, _ []error) {
	return readWith(m, families, errs, func() {})
}

func readWith(m *Memory, families []Family, errs []error, after func()) (lines []string, _ []error) {
	return readEach(Read(context.Background(), families, m), m, errs, after)
}

// readEach calls after when it is done with a source.
func readEach(sources iter.Seq2[*Reader, error], m *Memory, errs []error, after func()) (lines []string, _ []error) {
	for r, err := range sources {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		before := len(lines)
		for {
			line, err := r.Next()
			var long *TooLongError
			if errors.As(err, &long) {
				lines = append(lines, fmt.Sprintf("too long: %d", long.Length))
				continue
			}
			if err != nil {
				if err != io.EOF {
					errs = append(errs, err)
				}
				break
			}
			lines = append(lines, string(line))
		}
		if p := r.Position(); p.Known() {
			if len(lines) > before {
				p.State = []byte(lastOf(lines))
			}
			m.Save(&p)
			r.Saved(p)
		}
		after()
	}
	return lines, errs
}

func lastOf(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

// must reads args and fails on errors.
func must(t testing.TB, m *Memory, args ...string) []string {
	t.Helper()
	lines, errs := ingest(t, m, args...)
	if len(errs) > 0 {
		t.Fatalf("reading %v: %v", args, errs)
	}
	return lines
}

func want(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("got %d lines, want %d; they differ from line %d on:\n got  %.100q\n want %.100q",
		len(got), len(want), i, got[i:min(len(got), i+2)], want[i:min(len(want), i+2)])
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t testing.TB, path, content string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func gz(content string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, content)
	_ = w.Close()
	return b.String()
}

// compress replaces the file by a compressed one.
func compress(t testing.TB, path, suffix string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path+suffix, packers[suffix](t, string(content)))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

var packers = map[string]func(t testing.TB, content string) string{
	".gz": func(_ testing.TB, content string) string { return gz(content) },
	".zst": func(t testing.TB, content string) string {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(w.EncodeAll([]byte(content), nil))
	},
	".xz": func(t testing.TB, content string) string {
		var b bytes.Buffer
		w, err := xz.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, content)
		_ = w.Close()
		return b.String()
	},
	".bz2": func(t testing.TB, content string) string {
		cmd := exec.Command("bzip2", "-c")
		cmd.Stdin = strings.NewReader(content)
		out, err := cmd.Output()
		if err != nil {
			t.Skip("bzip2 is not installed")
		}
		return string(out)
	},
}

func TestEveryFormIsTheSameSource(t *testing.T) {
	lines := new(log).lines(5000)
	content := join(lines)
	for suffix, pack := range packers {
		t.Run(suffix, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log")
			packed := pack(t, content)
			write(t, path, packed) // by content, not by name
			var m Memory
			want(t, must(t, &m, path), lines)
			want(t, must(t, &m, path), nil)
			other := filepath.Join(t.TempDir(), "elsewhere")
			write(t, other, content)
			want(t, must(t, &m, other), nil)
			write(t, other, content+"one more\n")
			want(t, must(t, &m, other), []string{"one more"})
			// Two members, one after the other, are one content.
			write(t, path, packed+pack(t, "one more\nand the last"))
			want(t, must(t, &m, path), []string{"and the last"})
		})
	}
}

// However little there is of a compressed file, it is no source of its own beside the
// file that it is made of, and no error.
func TestCompressedFileInTheMaking(t *testing.T) {
	takesLong(t)
	lines := new(log).lines(400)
	content := join(lines)
	for suffix, pack := range packers {
		t.Run(suffix, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log.1")
			packed := pack(t, content)
			for n := 0; n < min(len(packed), 600); n += 1 + n/20 {
				var m Memory
				write(t, path, content)
				write(t, path+suffix, packed[:n])
				dir := filepath.Dir(path)
				want(t, must(t, &m, dir), lines)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				write(t, path+suffix, packed)
				want(t, must(t, &m, dir), nil)
				if len(m.positions) != 1 {
					t.Fatalf("%d bytes: %d sources", n, len(m.positions))
				}
			}
		})
	}
}

func TestSplitAnywhere(t *testing.T) {
	takesLong(t)
	content := join(new(log).lines(300)) + "\r\n\nshort\r\n\x00\xff\n" + join(new(log).lines(20))
	whole := filepath.Join(t.TempDir(), "whole")
	write(t, whole, content)
	all := must(t, new(Memory), whole)
	for seed := range 100 {
		rnd := rand.New(rand.NewPCG(1, uint64(seed)))
		path := filepath.Join(t.TempDir(), "mail.log")
		var m Memory
		var got []string
		for at := 0; at < len(content); {
			n := min(len(content)-at, 1+rnd.IntN(1<<rnd.IntN(13)))
			appendTo(t, path, content[at:at+n])
			at += n
			got = append(got, must(t, &m, path)...)
		}
		want(t, got, all)
		if p, _ := m.ByFamily(context.Background(), path); len(m.positions) != 1 || len(p) != 1 ||
			p[0].Offset != int64(len(content)) || p[0].Line != int64(len(all)) {
			t.Fatalf("seed %d: %d positions, want one at the end, line %d: %+v", seed, len(m.positions), len(all), p)
		}
	}
}

// TestEverythingThatHappensToALog lets random things happen to a log, reads it
// now and then, and wants every line once and in order.
func TestEverythingThatHappensToALog(t *testing.T) {
	takesLong(t)
	for seed := range 90 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { happen(t, uint64(seed)) })
	}
}

func happen(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(2, seed))
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	var (
		l        log
		m        Memory
		expected []string
		got      []string
		pending  int // bytes of a line that is not whole
		partial  string
	)
	suffixes := []string{".gz", ".zst", ".xz"}
	add := func() {
		lines := l.lines(rnd.IntN(40))
		expected = append(expected, lines...)
		text := partial[pending:] + join(lines)
		pending, partial = 0, ""
		if rnd.IntN(3) == 0 {
			next := l.lines(1)
			expected = append(expected, next...)
			partial = next[0] + "\n"
			pending = rnd.IntN(len(partial))
			text += partial[:pending]
		}
		appendTo(t, path, text)
	}
	finish := func() { appendTo(t, path, partial[pending:]); pending, partial = 0, "" }
	shift := func() {
		for i := 8; i > 0; i-- {
			for _, s := range append(suffixes, "") {
				from := fmt.Sprintf("%s.%d%s", path, i, s)
				if _, err := os.Stat(from); err == nil {
					rename(t, from, fmt.Sprintf("%s.%d%s", path, i+1, s))
				}
			}
		}
	}
	arg := path
	if seed%3 == 0 {
		arg = dir
	} else if seed%3 == 1 {
		arg = path + "*"
	}
	// Of a log that was never seen with a line, nothing is known.
	first := l.lines(1)
	expected = append(expected, first...)
	appendTo(t, path, join(first))
	got = append(got, must(t, &m, arg)...)
	for range 30 {
		switch rnd.IntN(6) {
		case 0, 1:
			add()
		case 2, 3:
			got = append(got, must(t, &m, arg)...)
		case 4:
			finish()
			shift()
			if rnd.IntN(2) == 0 {
				rename(t, path, path+".1")
				if rnd.IntN(2) == 0 {
					appendTo(t, path, "")
				} else {
					add()
				}
			} else {
				content, _ := os.ReadFile(path)
				write(t, path+".1", string(content))
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
			}
		case 5:
			old := fmt.Sprintf("%s.%d", path, 1+rnd.IntN(3))
			if _, err := os.Stat(old); err == nil {
				compress(t, old, suffixes[rnd.IntN(len(suffixes))])
			}
		}
		if _, err := os.Stat(path); err != nil {
			appendTo(t, path, "")
		}
	}
	finish()
	got = append(got, must(t, &m, arg)...)
	want(t, got, expected)
	want(t, must(t, &m, arg), nil)
}

// gzip(1) leaves out zeros behind the last member; what else is there is damage.
func TestGzipMembers(t *testing.T) {
	for _, test := range []struct{ name, file, want, problem string }{
		{"one", gz("a\n"), "a\n", ""},
		{"two", gz("a\n") + gz("b\n"), "a\nb\n", ""},
		{"an empty one", gz("a\n") + gz("") + gz("b\n"), "a\nb\n", ""},
		{"zeros", gz("a\n") + strings.Repeat("\x00", 10_000), "a\n", ""},
		{"zeros between", gz("a\n") + "\x00\x00" + gz("b\n"), "a\nb\n", ""},
		{"rubbish", gz("a\n") + "rubbish rubbish", "a\n", "damaged gzip data"},
		{"cut in a header", gz("a\n") + gz("b\n")[:5], "a\n", "ends in the middle"},
		{"cut in the data", gz("a\n") + gz("b\n")[:12], "a\nb", "ends in the middle"},
	} {
		in, name, _, err := decompress(bufio.NewReader(strings.NewReader(test.file)))
		if err != nil {
			t.Fatal(test.name, err)
		}
		content, err := io.ReadAll(&sticky{ReadCloser: in, name: name})
		if string(content) != test.want || (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %q, %v; want %q, %q", test.name, content, err, test.want, test.problem)
		}
	}
}

// A window above the limit is no damage.
func TestWindowTooLarge(t *testing.T) {
	const window256MB, lastRaw = (28 - 10) << 3, 1 | 1<<3 // RFC 8878 sections 3.1.1.1.2 and 3.1.1.2
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, window256MB, lastRaw, 0, 0, 'a'}
	in, name, _, err := decompress(bufio.NewReader(bytes.NewReader(frame)))
	if err == nil {
		_, err = io.ReadAll(&sticky{ReadCloser: in, name: name})
	}
	if !errors.Is(err, errWindow) {
		t.Errorf("%v, want %v", err, errWindow)
	}
}

// takesLong leaves a test to the runs without -short, as .ci/run is one.
func takesLong(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
}
