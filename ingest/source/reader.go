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

	// MaxLine is the maximum length of a line, in bytes. Postfix cuts lines at 2,000
	// bytes, syslog daemons at 8 KiB by default; an Exchange row with thousands of
	// recipients stays below this.
	MaxLine = 1 << 20
)

// errTruncated reports that a file has lost content that was already read (copytruncate,
// or it was written anew). Its present content is another source.
var errTruncated = errors.New("the file was truncated")

// TooLongError is returned by Next in place of a line longer than MaxLine, which was
// skipped. The next call returns the line after it.
type TooLongError struct{ Length int64 }

// Error implements error.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("a line of %d bytes was skipped (the limit is %d)", e.Length, MaxLine)
}

// Reader reads the lines of one source. It reads a plain file at counted offsets, through
// a descriptor of its own, and can continue when the file has grown. It reads every other
// source once, to its end.
type Reader struct {
	path      string // as given, for messages
	file      *os.File
	info      os.FileInfo // of the file when it was opened; nil for streams
	stream    io.Reader   // decompressed content; nil: file is read at offsets
	content   *sticky     // reads the content, unless a background goroutine does
	ahead     *ahead      // reads the content in the background; nil for plain files
	stop      func()      // ends the background reading
	size      int64       // size of the file as stored
	read      *counter    // bytes taken from a compressed file
	packed    string      // name of the compression
	modified  time.Time
	closed    bool // nothing can be appended: the last line needs no newline
	truncated bool // the file contains another source now
	stale     bool // the file contains less than was already read of this source
	copied    bool // the source's own file exists beside this one

	trans   transcoder
	pos     Position
	head    []byte // the first FingerprintSize bytes, as far as they are known
	hashed  int64  // length of the part of head that pos.Fingerprint covers
	buf     []byte
	start   int   // start of the bytes that were not consumed
	scan    int   // there is no newline between start and this index
	end     int   // end of the bytes that were read
	next    int64 // offset of buf[end] in the source
	limit   int64 // offset where reading a plain file ends for now
	skip    int64 // offset at which to continue in a stream; 0 when it was reached
	skipped int64 // bytes of the current line that were dropped
	mute    bool  // the current line was counted before: Next does not return it
	err     error // returned by all further reads
	text    []byte
	shut    bool
}

// counter counts the bytes that pass through it.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// sticky translates the errors of a decompressor, and returns the first one for all
// further reads.
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

// openFile opens the file at path and reads its beginning.
func openFile(path string) (*Reader, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, explain("read", path, errNoFile) // opening a pipe may block for ever
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
		return nil, errBeingPacked // it is not known yet which file it is a copy of
	case err != nil:
		r.Close()
		return nil, explain("read", path, err)
	}
	return r, nil
}

// FirstLine returns the first line of the file at path, decompressed, or its beginning;
// nil when it cannot be read.
func FirstLine(path string) []byte {
	r, err := openFile(path)
	if err != nil {
		return nil
	}
	defer r.Close()
	line, _, _ := bytes.Cut(r.head, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// errBeingPacked is returned for a compressed file that is still being written beside its
// original.
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

// OpenStream returns a Reader of a source that cannot be read twice, such as standard
// input and pipes, compressed or not. It waits for the first FingerprintSize bytes, looks
// them up, and skips what was read before, under whatever name. closed means that the end
// of in is the end of the source, so that the last line may lack a newline. When ctx is
// done, OpenStream stops waiting. in is closed at its end, or at the next read from it
// after ctx is done or the Reader is closed.
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
		if r.packed != "" { // a decompressor cannot continue after an error: it has to wait
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

// FollowStream returns a Reader of a stream that is read as it arrives: it does not hold
// lines back until the stream could be identified, and looks up no position. Next waits a
// moment for more, so that a batch is more than one line when there are many.
func FollowStream(ctx context.Context, name string, in io.ReadCloser) *Reader {
	ctx, stop := context.WithCancel(ctx)
	a := readAhead(ctx, in)
	a.patience = momentarily
	return &Reader{path: name, stream: a, ahead: a, stop: stop, closed: true, buf: make([]byte, blockSize)}
}

// Resume continues in a stream after the part that other processes have read meanwhile.
func (r *Reader) Resume(ctx context.Context, positions Positions) error {
	before := r.pos
	err := r.resume(ctx, positions)
	if r.pos.Offset < before.Offset { // the store has lost all positions of it
		before.ID = r.pos.ID
		r.pos, r.skip, r.mute = before, 0, false
	}
	return err
}

// Await waits until a quiet stream has more to read, or ends.
func (r *Reader) Await(ctx context.Context) error { return r.ahead.await(ctx) }

// Between returns a Reader of the lines between two offsets of a plain file that is open;
// a line must begin at both. It returns nil for other sources. The Reader needs no Close.
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

// Whole declares that nothing will be appended to the source: its last line counts
// without a newline.
func (r *Reader) Whole() { r.closed = true }

// openStream decompresses in if necessary, and reads its head into the buffer.
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

// startAt makes offset the beginning of what will be read. In a stream it may only move
// forward. Reading starts at the newline before the offset, and the line that ends there
// is not returned: if a last line without newline was consumed and has grown since, the
// rest belongs to a line that was already counted.
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

// discard drops the content of a stream up to the offset where reading continues.
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
	// If a line is too long, only a part of it is in the buffer.
	r.start = max(0, r.end-int(max(0, r.next-r.skip)))
	r.scan, r.skip = r.start, 0
	return nil
}

// Next returns the next line, without its newline and the carriage return before it: in
// UTF-8 if a byte order mark names its encoding, else unchanged. The line is valid until
// the next call and is consumed: Position is after it. Next returns io.EOF at the end of
// the content; a plain file may have more later. It returns ErrQuiet for a stream that
// may have more later.
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

// consume takes the line that ends at end off the buffer. It returns false for a line
// that the caller must not see.
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

// fill reads a block after the bytes that were not consumed. It returns an error when
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

// atTruncation ends a source that is not in this file any more. The walker finds its
// copy, and the present content of the file, as after a rotation.
func (r *Reader) atTruncation() error {
	r.truncated, r.err = true, io.EOF
	return r.err
}

// readError wraps err for the user. For a compressed file that is cut off and stands
// beside its original it returns io.EOF: the file is still being written.
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

// beingPacked reports whether err means that a compressed file is cut off and its
// original is still beside it.
func (r *Reader) beingPacked(err error) bool {
	if !errors.Is(err, errCut) {
		return false
	}
	plain := strings.TrimSuffix(r.path, filepath.Ext(r.path))
	_, err = os.Stat(plain)
	return err == nil && plain != r.path
}

// lookAtStart looks at the beginning of a file that was empty when it was opened: it
// skips a byte order mark, and reports whether the file is compressed and has to be
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

// makeRoom makes room after end: it moves the bytes that were not consumed to the front,
// lets the buffer grow, and drops a line that is longer than MaxLine.
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

// until limits reading to a size that the file has had. After a rotation a daemon may
// continue in the old file for a while. Lines that it wrote there before the present
// lines of the new file are found if the old file is looked at after the size of the new
// one was noted.
func (r *Reader) until(size int64) { r.limit = size }

// readBlock reads the bytes at next.
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
	// A file that was truncated and has grown past our offset would return the middle of
	// other lines. If its beginning is still the same after the read, it was not
	// truncated before.
	r.keepHead(p[:n])
	if !r.sameHead() {
		return 0, errTruncated
	}
	return n, err
}

// readStream reads the next bytes of a stream. From the first call on, a goroutine
// decompresses a compressed file in the background: of many files only the head is read.
func (r *Reader) readStream(p []byte) (int, error) {
	if r.content != nil && r.ahead == nil {
		reading, stop := context.WithCancel(context.Background()) // until Close
		r.ahead, r.stop = readAhead(reading, r.content), stop
		r.stream, r.content = r.ahead, nil
	}
	return r.stream.Read(p)
}

// sameHead reports whether the file still has the beginning that was read before.
func (r *Reader) sameHead() bool {
	var head [FingerprintSize]byte
	n, _ := r.file.ReadAt(head[:len(r.head)], 0)
	return bytes.Equal(head[:n], r.head)
}

// keepHead adds the bytes of block that continue the head, if any.
func (r *Reader) keepHead(block []byte) {
	if have := int64(len(r.head)); have < FingerprintSize && r.next <= have &&
		have < r.next+int64(len(block)) {
		block = block[have-r.next:]
		r.head = append(r.head, block[:min(int64(len(block)), FingerprintSize-have)]...)
	}
}

// atEnd is called when there is nothing left to read. It notes the size and time of the
// file, so that the next run need not open it, and finds out whether it was truncated.
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
		return r.atTruncation() // truncated before or after Stat; otherwise info describes what was read
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

// Head returns a fingerprint of the beginning of the source, however much of it was
// consumed: of FingerprintSize bytes, or of all there are.
func (r *Reader) Head() [16]byte { return fingerprint(r.head) }

// Path returns the name of the source, for messages.
func (r *Reader) Path() string { return r.path }

// Modified returns the time of the last write to the source, as given by the file or by
// the header of a compressed file.
func (r *Reader) Modified() time.Time { return r.modified }

// Progress returns how many bytes of the stored file were read, and its size; 0 for
// streams.
func (r *Reader) Progress() (read, size int64) {
	if r.read != nil {
		return r.read.n.Load(), r.size
	}
	return r.pos.Offset, max(r.size, r.pos.Offset)
}

// Position returns the position after the last returned line, with the State that the
// source had when it was opened or last saved.
func (r *Reader) Position() Position {
	if n := min(r.pos.Offset, int64(len(r.head))); n != r.hashed {
		r.pos.Fingerprint, r.pos.FingerprintLen, r.hashed = fingerprint(r.head[:n]), n, n
	}
	return r.pos
}

// Saved gives the Reader the ID and State of the position that was stored.
func (r *Reader) Saved(p Position) { r.pos.ID, r.pos.State = p.ID, p.State }

// Close releases the file. The last line that Next returned stays valid.
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
