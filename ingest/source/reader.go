package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

const (
	blockSize  = 256 << 10
	smallBlock = 8 << 10

	// MaxLine is the longest line that is read. Postfix cuts lines at 2,000
	// bytes, syslog daemons at 8 KiB by default; an Exchange row with
	// thousands of recipients stays below this.
	MaxLine = 1 << 20
)

// errTruncated says that a file lost what was already read of it
// (copytruncate, or written anew). What is in it now is another source.
var errTruncated = errors.New("the file was truncated")

// TooLongError is returned by Next in place of a line longer than MaxLine,
// which was skipped. The next call returns the line behind it.
type TooLongError struct{ Length int64 }

// Error implements error.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("a line of %d bytes was skipped (the limit is %d)", e.Length, MaxLine)
}

// Reader reads the lines of one source. It reads a plain file at counted
// offsets, through a descriptor of its own, and may be asked for more when the
// file has grown; everything else it reads once and to the end.
type Reader struct {
	path      string // as it was given, for messages
	file      *os.File
	info      os.FileInfo // of the file when it was opened; nil for streams
	stream    io.Reader   // decompressed content; nil: file is read at offsets
	content   *sticky     // what stream reads, unless it does so in the background
	ahead     *ahead      // that, if the source is a stream
	stop      func()      // ends it
	size      int64       // of the file as it is stored
	read      *counter    // bytes of a compressed file that were taken
	packed    string      // its compression
	modified  time.Time
	closed    bool // nothing can be appended: the last line needs no newline
	truncated bool // the file holds another source now
	stale     bool // the file holds less than is known of this source
	copied    bool // the source's own file exists beside this one

	trans   transcoder
	pos     Position
	head    []byte // the first FingerprintSize bytes, as far as they were seen
	hashed  int64  // length of head that pos.Fingerprint is of
	buf     []byte
	start   int   // of what was not consumed
	scan    int   // no newline between start and here
	end     int   // of what was read
	next    int64 // offset of buf[end] in the source
	limit   int64 // where reading a plain file ends for now
	skip    int64 // where to go on in a stream; 0 when that is done
	skipped int64 // bytes of the current line that were dropped
	mute    bool  // the current line ends before where reading resumes
	err     error // from now on
	text    []byte
	shut    bool
}

// counter counts the bytes that pass.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// sticky returns the errors of a decompressor in our words, and the same error
// ever after.
type sticky struct {
	io.ReadCloser
	name string
	err  error
}

func (s *sticky) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.ReadCloser.Read(p)
	if err == ErrQuiet {
		return n, err
	}
	s.err = decompressError(s.name, err)
	return n, s.err
}

// openFile opens the file at path and looks at its beginning.
func openFile(path string) (*Reader, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, explain("read", path, errNoFile) // opening a pipe may take for ever
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, explain("open", path, err)
	}
	r := &Reader{path: path, file: f, pos: Position{Size: -1}, limit: math.MaxInt64}
	err = r.openContent()
	switch {
	case r.beingPacked(err) || r.content != nil && len(r.head) < FingerprintSize &&
		r.beingPacked(r.content.err):
		r.Close()
		return nil, errBeingPacked // it is not known yet what it is a copy of
	case err != nil:
		r.Close()
		return nil, explain("read", path, err)
	}
	return r, nil
}

// FirstLine returns the first line of the file at path as it is read, or the
// beginning of it; nil when it cannot be read.
func FirstLine(path string) []byte {
	r, err := openFile(path)
	if err != nil {
		return nil
	}
	defer r.Close()
	line, _, _ := bytes.Cut(r.head, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// errBeingPacked is returned for a compressed file that has just been begun beside
// the file it is made of.
var errBeingPacked = errors.New("it is being compressed")

func (r *Reader) openContent() error {
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("is a directory")
	}
	r.info, r.size, r.modified = info, info.Size(), info.ModTime()
	r.pos.Device, r.pos.Inode = inode(info)
	head := make([]byte, FingerprintSize)
	n, err := r.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	head = head[:n]
	if compression(head) != nil {
		return r.openStream(r.file, true)
	}
	return r.setHead(head)
}

// OpenStream returns a Reader of what cannot be read twice, such as standard
// input and pipes, compressed or not. It waits for the first FingerprintSize
// bytes, looks them up, and skips what was read before under whatever name. closed
// says that the end of in is the end of the source, so that its last line may lack
// a newline. Waiting for it ends with ctx. in is closed at its end, or when it is
// read from next after ctx is done or the Reader closed.
func OpenStream(ctx context.Context, name string, in io.ReadCloser, closed bool,
	positions Positions) (*Reader, error) {
	reading, stop := context.WithCancel(ctx)
	r := &Reader{path: name, modified: time.Now(), ahead: readAhead(reading, in), stop: stop}
	err := r.openStream(r.ahead, closed)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err != nil:
		err = explain("read", name, err)
	default:
		if r.packed != "" { // a decompressor cannot go on after an error: it has to wait
			r.ahead = readAhead(reading, r.content)
			r.stream, r.content = r.ahead, nil
		}
		r.ahead.patience = quietAfter
		err = r.resume(ctx, positions)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// FollowStream returns a Reader of a stream that is read as it comes: no line is
// held back until there are enough to know the stream by, and nothing is known of
// it. Next waits a moment for more, so that a batch is not a line when there are
// many.
func FollowStream(ctx context.Context, name string, in io.ReadCloser) *Reader {
	ctx, stop := context.WithCancel(ctx)
	a := readAhead(ctx, in)
	a.patience = momentarily
	return &Reader{path: name, stream: a, ahead: a, stop: stop, closed: true, buf: make([]byte, blockSize)}
}

// Resume goes on in a stream behind what was read of it by others meanwhile.
func (r *Reader) Resume(ctx context.Context, positions Positions) error {
	before := r.pos
	err := r.resume(ctx, positions)
	if r.pos.Offset < before.Offset { // all that was known of it was removed
		before.ID = r.pos.ID
		r.pos, r.skip, r.mute = before, 0, false
	}
	return err
}

// Await waits until a stream that was quiet has more to read, or ends.
func (r *Reader) Await(ctx context.Context) error { return r.ahead.await(ctx) }

// Between returns a Reader of the lines between two offsets of a plain file that is
// open, at both of which a line begins; nil for other sources. It needs no Close.
func (r *Reader) Between(from, to int64) *Reader {
	if r.stream != nil || r.file == nil {
		return nil
	}
	part := &Reader{
		path:     r.path,
		file:     r.file,
		info:     r.info,
		size:     to,
		modified: r.modified,
		trans:    r.trans,
		head:     bytes.Clone(r.head),
	}
	part.startAt(from)
	part.until(to)
	return part
}

// Whole says that nothing will be appended to the source: its last line counts
// without a newline.
func (r *Reader) Whole() { r.closed = true }

// openStream decompresses in if need be, and reads its head into the buffer.
func (r *Reader) openStream(in io.Reader, closed bool) error {
	r.read = &counter{r: in}
	content, packed, modified, err := decompress(bufio.NewReaderSize(r.read, 64<<10))
	if err != nil {
		return err
	}
	r.packed = packed
	r.closed = closed || packed != ""
	if !modified.IsZero() && (r.info == nil || modified.Before(r.modified)) {
		r.modified = modified // a copied file is younger than its content
	}
	r.content = &sticky{ReadCloser: content, name: packed}
	r.stream = r.content
	r.buf = make([]byte, blockSize)
	n, err := io.ReadFull(r.stream, r.buf[:FingerprintSize])
	if err != nil && n == 0 && err != io.EOF {
		return err
	}
	r.end, r.next = n, int64(n)
	return r.setHead(bytes.Clone(r.buf[:n]))
}

func (r *Reader) setHead(head []byte) error {
	r.head = head
	r.trans = detectEncoding(head)
	r.startAt(0)
	return checkForeign(head)
}

// startAt makes offset the beginning of what will be read. It may only go
// forward in a stream. Reading starts at the newline before the offset, and
// what ends there is not returned: where a last line without newline was
// consumed and has grown since, the rest of it belongs to a line that counted.
func (r *Reader) startAt(offset int64) {
	r.pos.Offset = offset
	target := int64(r.trans.bom)
	if offset > target {
		target = offset - int64(r.trans.newlineSize())
		r.mute = true
	}
	if r.stream == nil {
		r.next, r.start, r.scan, r.end = target, 0, 0, 0
		return
	}
	r.skip = target
}

// discard drops the content of a stream up to where reading goes on.
func (r *Reader) discard() error {
	for r.next < r.skip {
		n, err := r.readStream(r.buf[:min(int64(len(r.buf)), r.skip-r.next)])
		r.next += int64(n)
		r.end = 0
		if err == ErrQuiet {
			return err
		}
		if n == 0 && err != nil {
			r.err = r.readError(err)
			r.stale = true
			break
		}
	}
	// Of a line that is too long, not all is in the buffer.
	r.start = max(0, r.end-int(max(0, r.next-r.skip)))
	r.scan, r.skip = r.start, 0
	return nil
}

// Next returns the next line, without its newline and the carriage return
// before it, in UTF-8 if a byte order mark names its encoding, else as it is.
// The line is valid until the next call and is consumed: Position is behind
// it. The end of what there is is io.EOF; a plain file may have more later, and a
// stream that returns ErrQuiet.
func (r *Reader) Next() ([]byte, error) {
	if r.skip > 0 {
		if err := r.discard(); err != nil {
			return nil, err
		}
	}
	for {
		if i := r.trans.indexNewline(r.buf[r.scan:r.end]); i >= 0 {
			line, err, ok := r.consume(r.scan+i, r.trans.newlineSize())
			if ok {
				return line, err
			}
			continue
		}
		r.scan = r.end
		if r.trans.wide() {
			r.scan -= (r.end - r.start) % 2
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.closed && r.end-r.start+int(r.skipped) > 0 {
				if line, err, ok := r.consume(r.end, 0); ok {
					return line, err
				}
			}
			return nil, err
		}
	}
}

// consume takes the line that ends at end off the buffer. It returns false
// for a line that is not to be seen.
func (r *Reader) consume(end, newline int) (line []byte, err error, ok bool) {
	line, skipped := r.buf[r.start:end], r.skipped
	r.start = end + newline
	r.scan, r.skipped = r.start, 0
	r.pos.Offset = r.next - int64(r.end-r.start)
	if r.mute {
		r.mute = false
		return nil, nil, false
	}
	r.pos.Line++
	if skipped > 0 {
		return nil, &TooLongError{skipped + int64(len(line))}, true
	}
	if r.trans.wide() {
		r.text = r.trans.appendUTF8(r.text[:0], line)
		line = r.text
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil, true
}

// fill reads a block behind what is not consumed. It returns an error when
// there was nothing to read.
func (r *Reader) fill() error {
	if r.err != nil {
		return r.err
	}
	r.makeRoom()
	n, err := r.readBlock(r.buf[r.end:])
	if n > 0 {
		r.end += n
		r.next += int64(n)
		if r.lookAtStart() {
			return r.atTruncation()
		}
	}
	switch {
	case n > 0:
		return nil
	case err == io.EOF:
		return r.atEnd()
	case err == ErrQuiet:
		return err
	case err == errTruncated:
		return r.atTruncation()
	case err == nil:
		err = io.ErrNoProgress
	}
	err = r.readError(err)
	if r.stream != nil {
		r.err = err
	}
	return err
}

// atTruncation ends a source that is in this file no more. Where it was copied
// to, and what is in the file now, is found as after a rotation.
func (r *Reader) atTruncation() error {
	r.truncated, r.err = true, io.EOF
	return r.err
}

// readError says what went wrong. It returns no error for a compressed file that is
// cut off and stands beside its original: it is just being written.
func (r *Reader) readError(err error) error {
	if err == io.EOF {
		return err
	}
	if r.beingPacked(err) {
		r.closed = false
		return io.EOF
	}
	return explain("read", r.path, err)
}

// beingPacked reports whether err says that a compressed file is cut off, and the
// file that it is made of lies beside it.
func (r *Reader) beingPacked(err error) bool {
	if !errors.Is(err, errCut) {
		return false
	}
	plain := strings.TrimSuffix(r.path, filepath.Ext(r.path))
	_, err = os.Stat(plain)
	return err == nil && plain != r.path
}

// lookAtStart looks at the beginning of a file that was empty when it was
// opened: for its byte order mark, and whether it is compressed and has to be
// opened anew.
func (r *Reader) lookAtStart() (packed bool) {
	if r.next != int64(r.end) || r.start != 0 || r.pos.Offset != 0 || r.skipped != 0 || r.stream != nil {
		return false
	}
	r.trans = detectEncoding(r.head)
	if r.end >= r.trans.bom { // else reading ends within the mark for now
		r.start, r.scan = r.trans.bom, r.trans.bom
	}
	return compression(r.head) != nil
}

// makeRoom makes sure that there is room behind end: it moves what is not
// consumed to the front, lets the buffer grow, and drops a line that is longer
// than MaxLine.
func (r *Reader) makeRoom() {
	switch {
	case r.start > 0:
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.scan -= r.start
		r.start = 0
	case r.end < len(r.buf):
	case r.end >= MaxLine:
		r.skipped += int64(r.scan)
		r.end = copy(r.buf, r.buf[r.scan:r.end]) // at most half a character
		r.scan = 0
	default:
		// Many files may be open that grow by a few lines at a time.
		rest := min(blockSize, r.size-r.next)
		buf := make([]byte, max(smallBlock, int(rest), 2*len(r.buf)))
		copy(buf, r.buf[:r.end])
		r.buf = buf
	}
}

// until ends what there is to read at a size that the file has had. A daemon goes
// on in the old file for a while when there is a new one: what it wrote there
// before the lines that the new one has by now is found when the old one is looked
// at from now on.
func (r *Reader) until(size int64) { r.limit = size }

// readBlock reads what follows.
func (r *Reader) readBlock(p []byte) (int, error) {
	if r.stream != nil {
		n, err := r.readStream(p)
		r.keepHead(p[:n])
		return n, err
	}
	if r.next >= r.limit {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.limit-r.next)]
	n, err := r.file.ReadAt(p, r.next)
	if n > 0 && err == io.EOF {
		err = nil
	}
	// A file that was truncated and has grown past our offset would give us
	// the middle of other lines. It was not, up to the end of the read, if
	// its beginning is still the same.
	r.keepHead(p[:n])
	if !r.sameHead() {
		return 0, errTruncated
	}
	return n, err
}

// readStream reads what follows in a stream. A compressed file is decompressed in the
// background from the first call on: of many files only the head is looked at.
func (r *Reader) readStream(p []byte) (int, error) {
	if r.content != nil && r.ahead == nil {
		reading, stop := context.WithCancel(context.Background()) // until Close
		r.ahead, r.stop = readAhead(reading, r.content), stop
		r.stream, r.content = r.ahead, nil
	}
	return r.stream.Read(p)
}

// sameHead reports whether the file still begins with what it began with.
func (r *Reader) sameHead() bool {
	var head [FingerprintSize]byte
	n, _ := r.file.ReadAt(head[:len(r.head)], 0)
	return bytes.Equal(head[:n], r.head)
}

// keepHead adds to the head what was read, or nothing.
func (r *Reader) keepHead(block []byte) {
	if have := int64(len(r.head)); have < FingerprintSize && r.next <= have &&
		have < r.next+int64(len(block)) {
		block = block[have-r.next:]
		r.head = append(r.head, block[:min(int64(len(block)), FingerprintSize-have)]...)
	}
}

// atEnd is called when there is nothing left to read. It notes the state of
// the file, so that the next run need not open it, and finds out whether it
// has shrunk.
func (r *Reader) atEnd() error {
	info := r.info
	switch {
	case r.stream != nil:
		if info != nil {
			r.noteEnd(info)
		}
		return io.EOF
	case r.stale:
		return io.EOF
	}
	info, err := r.file.Stat()
	if err != nil {
		return explain("read", r.path, err)
	}
	switch {
	case info.Size() < r.next || !r.sameHead():
		return r.atTruncation() // before or after Stat; else info is of what was read
	case info.Size() == r.next:
		r.noteEnd(info)
	}
	if r.size = info.Size(); r.start == r.end && len(r.buf) > smallBlock {
		r.buf, r.start, r.scan, r.end = nil, 0, 0, 0
	}
	return io.EOF
}

func (r *Reader) noteEnd(info os.FileInfo) {
	if !r.copied {
		r.pos.Size, r.pos.ModTime = info.Size(), info.ModTime()
	}
}

// Head returns a fingerprint of what the source begins with, whatever was read of
// it: of FingerprintSize bytes, or of all that there is.
func (r *Reader) Head() [16]byte { return fingerprint(r.head) }

// Path returns the name of the source, for messages.
func (r *Reader) Path() string { return r.path }

// Modified returns when the source was last written, as far as the file or the
// header of a compressed file says.
func (r *Reader) Modified() time.Time { return r.modified }

// Progress returns how many bytes of the file were read, as it is stored, and
// how many there are; 0 for streams.
func (r *Reader) Progress() (read, size int64) {
	if r.read != nil {
		return r.read.n.Load(), r.size
	}
	return r.pos.Offset, max(r.size, r.pos.Offset)
}

// Position returns the position behind the last line that was returned, with
// the State that was there when the source was opened, or was last saved.
func (r *Reader) Position() Position {
	if n := min(r.pos.Offset, int64(len(r.head))); n != r.hashed {
		r.pos.Fingerprint, r.pos.FingerprintLen, r.hashed = fingerprint(r.head[:n]), n, n
	}
	return r.pos
}

// Saved passes the Reader the position as it was stored, with its ID and State.
func (r *Reader) Saved(p Position) { r.pos.ID, r.pos.State = p.ID, p.State }

// Close releases the file. What Next returned stays valid.
func (r *Reader) Close() error {
	if r.content != nil {
		_ = r.content.Close()
		r.content = nil
	}
	if r.stop != nil {
		r.stop()
	}
	r.shut, r.buf = true, nil
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
