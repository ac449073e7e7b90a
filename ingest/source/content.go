package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// maxWindow bounds the memory that a compressed file may ask for. `zstd
// --ultra -22` uses windows of 128 MiB, `xz -9` dictionaries of 64 MiB.
const maxWindow = 128 << 20

// decompressor recognizes a compression by the first bytes of a file, as file(1) does:
// file names are not reliable.
type decompressor struct {
	name  string
	magic string
	open  func(r io.Reader) (io.ReadCloser, time.Time, error)
}

// decompressors: RFC 1952 section 2.3.1 (with deflate, the only method), bzip2 ("BZh" and
// a level), the .xz file format 1.2.1 section 2.1.1.1, RFC 8878 section 3.1.1.
var decompressors = []decompressor{
	{"gzip", "\x1f\x8b\x08", openGzip},
	{"bzip2", "BZh", func(r io.Reader) (io.ReadCloser, time.Time, error) {
		return io.NopCloser(bzip2.NewReader(r)), time.Time{}, nil
	}},
	{"xz", "\xfd7zXZ\x00", openXZ},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.ReadCloser, time.Time, error) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, time.Time{}, err
		}
		return z.IOReadCloser(), time.Time{}, nil
	}},
}

// openGzip returns the content and the time in the header. If gzip(1) compressed a file,
// that is the log's last modification.
func openGzip(r io.Reader) (io.ReadCloser, time.Time, error) {
	in := bufio.NewReader(r)
	g, err := gzip.NewReader(in)
	if err != nil {
		return nil, time.Time{}, err
	}
	g.Multistream(false)
	return &members{g, in}, g.ModTime, nil
}

// members reads the members of a gzip file, one after the other. Like gzip(1), it ignores
// zeros after the last one, as tapes and file systems that write whole blocks leave them.
type members struct {
	*gzip.Reader
	in *bufio.Reader
}

// Read implements io.Reader.
func (m *members) Read(p []byte) (int, error) {
	for {
		n, err := m.Reader.Read(p)
		if n > 0 || err != io.EOF {
			if err == io.EOF {
				err = nil // the next call goes on to the next member
			}
			return n, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// next goes on to the next member; it returns io.EOF when there is none.
func (m *members) next() error {
	for {
		first, err := m.in.Peek(1)
		if err != nil {
			return err
		}
		if first[0] != 0 {
			break
		}
		_, _ = m.in.Discard(1)
	}
	if err := m.Reset(m.in); err != nil {
		return noEOF(err)
	}
	m.Multistream(false)
	return nil
}

// noEOF returns err, or io.ErrUnexpectedEOF for io.EOF within a header.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// foreign lists the kinds of files that contain logs in a form that other programs must
// open.
var foreign = []struct {
	offset int
	magic  string
	advice string
}{
	{0, "LPKSHHRH", "a systemd journal: pipe `journalctl -o export` into mailfail"},
	{0, "PK\x03\x04", "a zip archive: unpack it first"},
	{0, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"},
	{0, "\x1f\x9d", "compressed with compress(1): pipe `zcat` into mailfail"},
	{0, "\x04\x22\x4d\x18", "compressed with lz4: pipe `lz4cat` into mailfail"},
	{0, "SQLite format 3\x00", "an SQLite database, not a log"},
	{257, "ustar", "a tar archive: unpack it first"},
}

// errForeign is returned for content that is known not to be lines of a log.
var errForeign = errors.New("not a log file")

// errNoFile is returned when a pipe or a device is found in place of a file.
var errNoFile = fmt.Errorf("%w but a pipe or a device", errForeign)

func checkForeign(head []byte) error {
	for _, f := range foreign {
		if len(head) >= f.offset && bytes.HasPrefix(head[f.offset:], []byte(f.magic)) {
			return fmt.Errorf("%w but %s", errForeign, f.advice)
		}
	}
	return nil
}

// decompress returns the content of r, decompressed if necessary, the name of the
// compression ("" for none), and the time in its header.
func decompress(r *bufio.Reader) (io.ReadCloser, string, time.Time, error) {
	magic, err := r.Peek(6)
	if err != nil && err != io.EOF {
		return nil, "", time.Time{}, err
	}
	d := compression(magic)
	if d == nil {
		return io.NopCloser(r), "", time.Time{}, nil
	}
	content, modified, err := d.open(r)
	return content, d.name, modified, decompressError(d.name, noEOF(err))
}

// compression returns the compression of content that begins with head, or nil.
func compression(head []byte) *decompressor {
	for i, d := range decompressors {
		if bytes.HasPrefix(head, []byte(d.magic)) {
			return &decompressors[i]
		}
	}
	return nil
}

// errCut is returned for compressed content that ends too early.
var errCut = errors.New("ends in the middle")

// errWindow is returned for content that needs more memory than maxWindow.
var errWindow = fmt.Errorf("needs more than %d MB of memory to be read: decompress it first", maxWindow>>20)

// decompressError describes an error in compressed content for the user.
func decompressError(name string, err error) error {
	switch {
	case err == nil || err == io.EOF || name == "":
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s data %w: is it still being written, or was it cut off? what is there was read",
			name, errCut)
	}
	if errors.Is(err, errWindow) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return fmt.Errorf("%s data %w", name, errWindow)
	}
	return fmt.Errorf("damaged %s data: %w; what comes before was read", name, err)
}

// transcoder turns the lines of a source into UTF-8.
type transcoder struct {
	bom     int // bytes of the byte order mark
	decoder *encoding.Decoder
	newline [2]byte // in UTF-16
}

// detectEncoding recognizes the encoding by the byte order mark, which Windows programs
// write (Unicode 16.0 section 23.8).
func detectEncoding(head []byte) transcoder {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		return transcoder{bom: 3}
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return transcoder{2, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder(),
			[2]byte{'\n', 0}}
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return transcoder{2, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder(),
			[2]byte{0, '\n'}}
	}
	return transcoder{}
}

// wide reports whether characters are two bytes.
func (t *transcoder) wide() bool { return t.decoder != nil }

// indexNewline returns the offset of the first newline in b, or -1. b must start at the
// beginning of a character.
func (t *transcoder) indexNewline(b []byte) int {
	if !t.wide() {
		return bytes.IndexByte(b, '\n')
	}
	for from := 0; ; {
		i := bytes.Index(b[from:], t.newline[:])
		if i < 0 {
			return -1
		}
		if from += i; from%2 == 0 {
			return from
		}
		from++
	}
}

// newlineSize returns the number of bytes of a newline.
func (t *transcoder) newlineSize() int {
	if t.wide() {
		return 2
	}
	return 1
}

// appendUTF8 appends line, which is UTF-16, as UTF-8. Bytes that are not UTF-16
// become U+FFFD.
func (t *transcoder) appendUTF8(dst, line []byte) []byte {
	if need := len(dst) + len(line)/2*3 + 3; cap(dst) < need {
		dst = append(make([]byte, 0, need), dst...)
	}
	n, _, _ := t.decoder.Transform(dst[len(dst):cap(dst)], line, true)
	return dst[:len(dst)+n]
}
