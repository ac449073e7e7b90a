package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/text/encoding/unicode"
)

func utf16(t *testing.T, endian unicode.Endianness, s string) string {
	t.Helper()
	out, err := unicode.UTF16(endian, unicode.UseBOM).NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// oneOf returns the lines of a new file with this content.
func oneOf(t *testing.T, content string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.log")
	write(t, path, content)
	return must(t, new(Memory), path)
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 300<<10)
	for name, test := range map[string]struct {
		content string
		lines   []string
	}{
		"empty":             {"", nil},
		"newlines":          {"\n\n", []string{"", ""}},
		"carriage returns":  {"a\r\n\r\nb\r\r\nc\rd\n", []string{"a", "", "b\r", "c\rd"}},
		"not whole":         {"a\nb", []string{"a"}},
		"nul and not UTF-8": {"a\x00b\n\xff\xfe\xc3(\n", []string{"a\x00b", "\xff\xfe\xc3("}},
		"UTF-8 mark":        {"\xef\xbb\xbf#Software\nb\n", []string{"#Software", "b"}},
		"only a mark":       {"\xef\xbb\xbf", nil},
		"longer than a block": {
			"a\n" + long + "\n" + long + long + "\nb\n",
			[]string{"a", long, long + long, "b"},
		},
		"just short enough": {strings.Repeat("y", MaxLine-1) + "\nz\n", []string{strings.Repeat("y", MaxLine-1), "z"}},
		"too long":          {"a\n" + strings.Repeat("y", MaxLine*3+5) + "\nz\n", []string{"a", fmt.Sprint("too long: ", MaxLine*3+5), "z"}},
		"too long, blank":   {strings.Repeat("\x00", MaxLine*2) + "\nz\n", []string{fmt.Sprint("too long: ", MaxLine*2), "z"}},
	} {
		t.Run(name, func(t *testing.T) { want(t, oneOf(t, test.content), test.lines) })
	}
}

func TestUTF16(t *testing.T) {
	// ਊ is U+0A0A and Ċ U+010A: both have the byte of a newline.
	content := "#Software: Exchange\r\nਊĊ,ü,😀\nĊ\r\n\n" + strings.Repeat("Ċ", 200<<10) + "\n" + strings.Repeat("ਊ\n", 100)
	lines := oneOf(t, content)
	for name, endian := range map[string]unicode.Endianness{"little": unicode.LittleEndian, "big": unicode.BigEndian} {
		t.Run(name, func(t *testing.T) {
			raw := utf16(t, endian, content)
			want(t, oneOf(t, raw), lines)
			want(t, oneOf(t, gz(raw)), lines)
			path := filepath.Join(t.TempDir(), "x.log")
			var m Memory
			var got []string
			step := 1
			for at := 0; at < len(raw); at += step {
				if at > 200 {
					step = 9973
				}
				appendTo(t, path, raw[at:min(len(raw), at+step)])
				got = append(got, must(t, &m, path)...)
			}
			want(t, got, lines)
			long := utf16(t, endian, strings.Repeat("Ċ", MaxLine)+"\nz\n")
			want(t, oneOf(t, long), []string{fmt.Sprint("too long: ", 2*MaxLine), "z"})
		})
	}
}

// TestLimit ends what there is to read at every byte of a file that was empty when it
// was opened, in the middle of its byte order mark too.
func TestLimit(t *testing.T) {
	lines := []string{"one", "two", ""}
	for name, content := range map[string]string{"plain": join(lines), "BOM": "\xef\xbb\xbf" + join(lines), "UTF-16": utf16(t, unicode.LittleEndian, join(lines))} {
		path := filepath.Join(t.TempDir(), "x.log")
		write(t, path, "")
		r, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		write(t, path, content)
		var got []string
		for size := range int64(len(content)) + 1 {
			if err := r.refresh(context.Background(), new(Memory)); err != nil {
				t.Fatal(err)
			}
			r.until(size)
			for {
				line, err := r.Next()
				if err != nil {
					break
				}
				got = append(got, string(line))
			}
			if r.next > size {
				t.Errorf("%s: read to %d, beyond %d", name, r.next, size)
			}
		}
		if !slices.Equal(got, lines) {
			t.Errorf("%s: got %q, want %q", name, got, lines)
		}
	}
}

// TestLongLineThatGrows reads a line that is written for a long time: nothing
// of it is consumed before it is whole, and memory stays bounded.
func TestLongLineThatGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	write(t, path, "first\n")
	r, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if line, err := r.Next(); string(line) != "first" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	for range 50 {
		appendTo(t, path, strings.Repeat("x", 100_000))
		if line, err := r.Next(); err != io.EOF {
			t.Fatalf("got %.20q, %v, want EOF", line, err)
		}
		if p := r.Position(); p.Offset != 6 || len(r.buf) > MaxLine {
			t.Fatalf("offset %d, want 6; buffer of %d bytes", p.Offset, len(r.buf))
		}
	}
	appendTo(t, path, "\nlast\n")
	var long *TooLongError
	if _, err := r.Next(); !errors.As(err, &long) || long.Length != 5_000_000 {
		t.Fatalf("got %v, want a line of 5,000,000 bytes", err)
	}
	if line, err := r.Next(); string(line) != "last" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if p := r.Position(); p.Offset != 5_000_012 || p.Line != 3 {
		t.Fatalf("got %+v", p)
	}
}

func TestDamagedCompression(t *testing.T) {
	takesLong(t)
	lines := new(log).lines(20_000)
	for suffix, pack := range packers {
		t.Run(suffix, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log.1"+suffix)
			packed := pack(t, join(lines))

			write(t, path, packed[:len(packed)*2/3])
			var m Memory
			got, errs := ingest(t, &m, path)
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), path) || !strings.Contains(errs[0].Error(), "what") {
				t.Fatalf("cut: got %d lines and %v", len(got), errs)
			}
			want(t, got, lines[:len(got)])
			if suffix != ".xz" && suffix != ".bz2" && len(got) < 1000 {
				t.Errorf("only %d lines of the cut file were read", len(got))
			}
			// Once it is whole, the rest follows.
			write(t, path, packed)
			want(t, append(got, must(t, &m, path)...), lines)

			damaged := []byte(packed)
			for i := range 40 {
				damaged[len(damaged)/2+i] ^= 0x55
			}
			write(t, path, string(damaged))
			got, errs = ingest(t, new(Memory), path)
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), path) {
				t.Fatalf("damaged: got %d lines and %v", len(got), errs)
			}
			// A checksum comes too late for some lines; no line is cut.
			if suffix == ".gz" || suffix == ".zst" {
				want(t, got[:1000], lines[:1000])
			}
		})
	}
}

// TestCompressionInProgress reads a family while gzip is at work: the
// unfinished copy is no error as long as the original is there.
func TestCompressionInProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log.1")
	lines := new(log).lines(5000)
	write(t, path, join(lines))
	packed := gz(join(lines))
	write(t, path+".gz", packed[:len(packed)/2])
	var m Memory
	want(t, must(t, &m, path+"*"), lines)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path+".gz", packed)
	want(t, must(t, &m, path+"*"), nil)
}

func TestModifiedIsTheOlderOfHeaderAndFile(t *testing.T) {
	header := time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.ModTime = header
	_, _ = io.WriteString(w, "a line\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mail.log.1.gz")
	write(t, path, b.String())
	modified := func() time.Time {
		r, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return r.Modified()
	}
	if got := modified(); !got.Equal(header) {
		t.Errorf("got %v, want the header's %v", got, header)
	}
	older := header.Add(-time.Hour)
	if err := os.Chtimes(path, older, older); err != nil {
		t.Fatal(err)
	}
	if got := modified(); !got.Equal(older) {
		t.Errorf("got %v, want the file's %v", got, older)
	}
}

func stream(t *testing.T, m *Memory, in io.Reader, closed bool) (lines []string) {
	t.Helper()
	r, err := OpenStream(context.Background(), "standard input", io.NopCloser(in), closed, m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines = rest(t, r)
	if p := r.Position(); p.Known() {
		m.Save(&p)
	}
	return lines
}

// rest returns the lines of a stream up to its end.
func rest(t *testing.T, r *Reader) (lines []string) {
	t.Helper()
	for {
		line, err := r.Next()
		var long *TooLongError
		switch {
		case err == io.EOF:
			return lines
		case err == ErrQuiet:
			err = r.Await(context.Background())
		case errors.As(err, &long):
			line, err = fmt.Appendf(nil, "too long: %d", long.Length), nil
			fallthrough
		case err == nil:
			lines = append(lines, string(line))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestStreamSkipsWhatIsKnown(t *testing.T) {
	takesLong(t)
	lines := new(log).lines(3000)
	var m Memory
	want(t, stream(t, &m, strings.NewReader(join(lines[:2000])), true), lines[:2000])
	want(t, stream(t, &m, iotest.OneByteReader(strings.NewReader(join(lines))), true), lines[2000:])
	want(t, stream(t, &m, strings.NewReader(gz(join(lines))), true), nil)
	path := filepath.Join(t.TempDir(), "mail.log")
	write(t, path, join(lines)+"more\n")
	want(t, must(t, &m, path), []string{"more"})
	// What came through a pipe is known to be in that file from now on.
	want(t, stream(t, &m, strings.NewReader(join(lines)+"more\n"), true), nil)
	if len(m.positions) != 1 || m.positions[0].Path != realPath(path) {
		t.Errorf("got %+v, want one position, in %s", m.positions, path)
	}
}

// A stream that is quiet says so, in the middle of what is known, of a line, and
// of a character, and goes on there; also when it is compressed.
func TestQuietStream(t *testing.T) {
	for name, packed := range map[string]bool{"plain": false, "gzip": true} {
		t.Run(name, func(t *testing.T) { quietStream(t, packed) })
	}
}

func quietStream(t *testing.T, packed bool) {
	lines := new(log).lines(3000)
	var m Memory
	stream(t, &m, strings.NewReader(utf16(t, unicode.LittleEndian, join(lines[:2000]))), true)
	content := utf16(t, unicode.LittleEndian, join(lines))
	in, out := io.Pipe()
	const times = 50
	pieces := make(chan string, times+1)
	go func() {
		defer out.Close()
		var w io.Writer = out
		if packed {
			z := gzip.NewWriter(out)
			defer z.Close()
			w = z
		}
		for piece := range pieces {
			_, _ = io.WriteString(w, piece)
			if z, ok := w.(*gzip.Writer); ok {
				_ = z.Flush()
			}
		}
	}()
	write := func(n int) {
		pieces <- content[:n]
		content = content[n:]
	}
	write(FingerprintSize + 1)
	piece := len(content)/times | 1
	r, err := OpenStream(context.Background(), "standard input", in, true, &m)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.ahead.patience = time.Millisecond
	quiet := 0
	var got []string
	for {
		line, err := r.Next()
		if err == ErrQuiet {
			switch quiet++; {
			case quiet < times:
				write(min(piece, len(content)))
			case quiet == times:
				write(len(content))
				close(pieces)
			}
			if err := r.Await(context.Background()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(line))
	}
	want(t, got, lines[2000:])
	if quiet < times {
		t.Errorf("the stream was quiet %d times, want %d", quiet, times)
	}
}

// A stream is also quiet in its first line, however long that is, and goes on with
// it, or behind it if others have read it meanwhile.
func TestQuietInTheFirstLine(t *testing.T) {
	for name, lines := range map[string][]string{
		"long":     {strings.Repeat("x", 3000), "second", "third"},
		"too long": {strings.Repeat("y", 2*MaxLine), "second", "third"},
		"marked":   {"\xef\xbb\xbf" + strings.Repeat("z", 2*MaxLine), "second", "third"},
	} {
		for _, others := range []int{0, 1, 2} {
			t.Run(fmt.Sprint(name, others), func(t *testing.T) {
				var m Memory
				in, out := io.Pipe()
				half := len(lines[0]) * 3 / 4
				go func() { _, _ = io.WriteString(out, lines[0][:half]) }()
				r, err := OpenStream(context.Background(), "standard input", in, true, &m)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				r.ahead.patience = 10 * time.Millisecond
				if line, err := r.Next(); err != ErrQuiet {
					t.Fatalf("got %.20q, %v", line, err)
				}
				path := filepath.Join(t.TempDir(), "mail.log")
				write(t, path, join(lines[:others]))
				all := must(t, &m, path)
				if err := r.Resume(context.Background(), &m); err != nil {
					t.Fatal(err)
				}
				go func() {
					_, _ = io.WriteString(out, lines[0][half:]+"\n"+join(lines[1:]))
					out.Close()
				}()
				all = append(all, rest(t, r)...)
				write(t, path, join(lines))
				want(t, all, must(t, new(Memory), path))
			})
		}
	}
}

// Who waits for a stream that is quiet can be told not to.
func TestWaitingEnds(t *testing.T) {
	packed := gz(join(new(log).lines(3000)))
	for name, written := range map[string]string{
		"nothing":    "",
		"a part":     "a part",
		"compressed": packed[:20],
		"a line":     join(new(log).lines(20)) + "a part",
		"and packed": packed[:len(packed)/2],
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(context.Background())
			in, out := io.Pipe()
			go func() { _, _ = io.WriteString(out, written); stop() }()
			r, err := OpenStream(ctx, "standard input", in, true, new(Memory))
			if err == nil {
				for err == nil {
					_, err = r.Next()
				}
				if err == ErrQuiet {
					err = r.Await(ctx)
				}
				r.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if _, err := io.WriteString(out, "more"); err == nil {
				_, err = io.WriteString(out, "and more")
				if err == nil {
					t.Error("the stream is still read")
				}
			}
		})
	}
}

// A stream goes on behind what others have read of it, and where it was when
// what was known of it is gone.
func TestResumeStream(t *testing.T) {
	lines := new(log).lines(5000)
	for _, others := range []int{0, 150, 4000} {
		var m Memory
		r, err := OpenStream(context.Background(), "standard input", io.NopCloser(strings.NewReader(join(lines))), true, &m)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		stream(t, &m, strings.NewReader(join(lines[:others])), true)
		if err := r.Resume(context.Background(), &m); err != nil {
			t.Fatal(err)
		}
		if line, err := r.Next(); string(line) != lines[max(100, others)] {
			t.Errorf("after %d lines of others: got %q, %v", others, line, err)
		}
		r.Close()
	}
}

func TestLastLineOfAStream(t *testing.T) {
	lines := new(log).lines(50)
	content := join(lines)
	cut := content[:len(content)-10]
	var m Memory
	got := stream(t, &m, strings.NewReader(cut), false)
	want(t, got, lines[:49])
	got = append(got, stream(t, &m, strings.NewReader(cut), true)...)
	want(t, got, append(slices.Clone(lines[:49]), lines[49][:len(lines[49])-9]))
	// The rest of the line that counted is no line.
	path := filepath.Join(t.TempDir(), "mail.log")
	write(t, path, content)
	want(t, must(t, &m, path), nil)
	appendTo(t, path, "next\n")
	want(t, must(t, &m, path), []string{"next"})
}

func TestTruncatedWhileOpen(t *testing.T) {
	lines := new(log).lines(400)
	for name, after := range map[string]string{
		"empty":   "",
		"shorter": join(lines[300:310]),
		"longer":  join(lines[200:]),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mail.log")
			write(t, path, join(lines[:100]))
			r, err := openFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for range 100 {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
			write(t, path, after) // truncates
			if line, err := r.Next(); err != io.EOF || !r.truncated {
				t.Errorf("got %q, %v, truncated %v", line, err, r.truncated)
			}
		})
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	for _, endian := range []string{"", "UTF-16"} {
		content := join(new(log).lines(30_000))
		if endian != "" {
			content = utf16(t, unicode.LittleEndian, content)
		}
		path := filepath.Join(t.TempDir(), "mail.log")
		write(t, path, content)
		r, err := openFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.Next(); err != nil { // allocates the buffer
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20_000, func() {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v allocations a line %s", n, endian)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	content := join(new(log).lines(1_000_000))
	forms := map[string]string{"plain": content, "gzip": gz(content)}
	for _, suffix := range []string{".zst", ".xz", ".bz2"} {
		forms[suffix[1:]] = packers[suffix](b, content)
	}
	for _, name := range []string{"plain", "gzip", "zst", "xz", "bz2"} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "mail.log")
			write(b, path, forms[name])
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				r, err := openFile(path)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					if _, err := r.Next(); err != nil {
						break
					}
					n++
				}
				if n != 1_000_000 {
					b.Fatalf("%d lines", n)
				}
				_ = r.Close()
			}
		})
	}
}
