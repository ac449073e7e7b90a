package source

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// openXZ reads an .xz file whose blocks need no more than maxWindow of memory.
func openXZ(r io.Reader) (io.ReadCloser, time.Time, error) {
	guard := &xzGuard{r: bufio.NewReader(r)}
	guard.next = guard.stream
	x, err := xz.ReaderConfig{DictCap: 8 << 20}.NewReader(guard)
	return io.NopCloser(x), time.Time{}, err
}

// xzGuard passes an .xz file on, part by part, and returns errWindow in place of the
// header of a block that asks for more memory than maxWindow: the decompressor has no
// limit. It follows the .xz file format 1.2.1 and the framing of LZMA2. It does not check
// for damage; the decompressor does.
type xzGuard struct {
	r     *bufio.Reader
	next  func() error // sets part and rest to the next part of the file
	part  []byte       // bytes to pass on first
	rest  int64        // number of bytes of r to pass on after part
	check int64        // size of a block's checksum
	size  int64        // size so far of the compressed data or of the index
	todo  uint64       // records of the index that are still to come
}

// Read implements io.Reader.
func (g *xzGuard) Read(p []byte) (int, error) {
	for len(g.part) == 0 && g.rest == 0 {
		if err := g.next(); err != nil {
			return 0, err // only stream returns io.EOF
		}
	}
	if len(g.part) > 0 {
		n := copy(p, g.part)
		g.part = g.part[n:]
		return n, nil
	}
	n, err := g.r.Read(p[:min(int64(len(p)), g.rest)])
	g.rest -= int64(n)
	return n, noEOF(err)
}

// take sets part to the next n bytes, or to the fewer that are left.
func (g *xzGuard) take(n int) error {
	g.part = make([]byte, n)
	n, err := io.ReadFull(g.r, g.part)
	g.part = g.part[:n]
	if err == io.ErrUnexpectedEOF {
		g.next, err = g.damaged, nil
	}
	return noEOF(err)
}

// damaged passes on all bytes that follow a part with an unknown form.
func (g *xzGuard) damaged() error {
	g.rest = 1
	_, err := g.r.Peek(1)
	return noEOF(err)
}

// stream takes the header of a stream, or padding before one.
func (g *xzGuard) stream() error {
	const header = 12
	first, err := g.r.Peek(1)
	if err != nil {
		return err
	}
	if first[0] == 0 {
		return g.take(4)
	}
	g.next = g.block
	err = g.take(header)
	if len(g.part) == header {
		if kind := g.part[7] & 15; kind > 0 {
			g.check = 4 << ((kind - 1) / 3)
		} else {
			g.check = 0
		}
	}
	return err
}

// block takes the header of a block, unless the index follows.
func (g *xzGuard) block() error {
	first, err := g.r.Peek(1)
	if err != nil {
		return noEOF(err)
	}
	if first[0] == 0 {
		g.next, g.size = g.index, 0
		return nil
	}
	g.next, g.size = g.chunk, 0
	if err := g.take((int(first[0]) + 1) * 4); err != nil {
		return err
	}
	if dictionary(g.part) > maxWindow {
		return errWindow
	}
	return nil
}

// dictionary returns the size of the largest dictionary that the filters in a block
// header ask for.
func dictionary(header []byte) (size int64) {
	const lzma2 = 0x21
	if len(header) < 2 {
		return 0
	}
	rest := header[2:]
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		rest = rest[max(0, n):]
		return v
	}
	flags := header[1]
	for _, sizes := range []byte{0x40, 0x80} {
		if flags&sizes != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		id, n := number(), number()
		if n > uint64(len(rest)) {
			return size
		}
		if id == lzma2 && n == 1 {
			if d, err := lzma.DecodeDictCap(rest[0]); err == nil {
				size = max(size, d)
			}
		}
		rest = rest[n:]
	}
	return size
}

// chunk takes the header of an LZMA2 chunk, or the end of the block's data with the
// padding and checksum after it.
func (g *xzGuard) chunk() error {
	first, err := g.r.Peek(1)
	if err != nil {
		return noEOF(err)
	}
	switch control := first[0]; {
	case control == 0:
		g.next, g.rest = g.block, -(g.size+1)&3+g.check
		return g.take(1)
	case control <= 2:
		err = g.take(3)
	case control < 0x80:
		g.next = g.damaged
		return nil
	case control < 0xc0:
		err = g.take(5)
	default:
		err = g.take(6)
	}
	if n := len(g.part); n == 3 {
		g.rest = int64(binary.BigEndian.Uint16(g.part[1:])) + 1
	} else if n >= 5 {
		g.rest = int64(binary.BigEndian.Uint16(g.part[3:])) + 1
	}
	g.size += int64(len(g.part)) + g.rest
	return err
}

// index takes the beginning of the index with its number of records.
func (g *xzGuard) index() error {
	g.next = g.records
	if err := g.take(1); err != nil {
		return err
	}
	n, err := g.number()
	g.todo = n
	return err
}

// records takes a record of the index, or its end with the footer of the stream.
func (g *xzGuard) records() error {
	const checksum, footer = 4, 12
	if g.todo == 0 {
		g.next, g.rest = g.stream, -(g.size+1)&3+checksum+footer
		return nil
	}
	g.todo--
	if _, err := g.number(); err != nil {
		return err
	}
	_, err := g.number()
	return err
}

// number reads a number of the index and appends its bytes to part.
func (g *xzGuard) number() (v uint64, err error) {
	for shift := 0; shift < 63; shift += 7 {
		c, err := g.r.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		g.part, g.size = append(g.part, c), g.size+1
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	return v, nil
}
