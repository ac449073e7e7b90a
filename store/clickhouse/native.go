package clickhouse

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailfail/store/sqlite"
)

// nativeReader reads the answer to a query FORMAT Native, in which rows come column by
// column, some ten thousand at a time: there may be millions of them.
type nativeReader struct {
	r       *bufio.Reader
	scratch []byte
}

func newNativeReader(r io.Reader) *nativeReader {
	return &nativeReader{r: bufio.NewReaderSize(r, 1<<18)}
}

// mostRows is the largest number of rows of a block that is accepted, and the longest name
// of a type, in bytes.
const (
	mostRows    = 1 << 24
	longestType = 1 << 10
)

// next reads the next block into columns, which it grows as needed. It returns io.EOF after
// the last block. A server that fails in the middle of an answer writes its message in
// place of a block: then next returns that.
func (n *nativeReader) next(columns []sqlite.Column) (rows int, err error) {
	if _, err := n.r.Peek(1); err != nil {
		return 0, err
	}
	if text, _ := n.r.Peek(6); string(text) == "Code: " {
		message, _ := io.ReadAll(io.LimitReader(n.r, 2000))
		return 0, complaint("", string(message))
	}
	count, err := binary.ReadUvarint(n.r)
	if err == nil && count != uint64(len(columns)) {
		err = fmt.Errorf("%w: %d columns", errAnswer, count)
	}
	var size uint64
	if err == nil {
		size, err = binary.ReadUvarint(n.r)
	}
	if err == nil && size > mostRows {
		err = fmt.Errorf("%w: a block of %d rows", errAnswer, size)
	}
	for i := range columns {
		if err == nil {
			err = n.column(&columns[i], int(size))
		}
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return int(size), err
}

// widths holds the bytes of a number, by the name of its type without U.
var widths = map[string]int{"Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8}

func (n *nativeReader) column(c *sqlite.Column, rows int) error {
	c.Ints, c.Text, c.Ends = c.Ints[:0], c.Text[:0], c.Ends[:0]
	if _, err := n.short(); err != nil { // its name
		return err
	}
	kind, err := n.short()
	switch {
	case err != nil || rows == 0:
		return err
	case kind == "String":
		return n.texts(c, rows)
	}
	width, ok := widths[strings.TrimPrefix(kind, "U")]
	if !ok {
		return fmt.Errorf("%w: a column of type %.40q", errAnswer, kind)
	}
	return n.ints(c, rows, width, kind[0] != 'U')
}

func (n *nativeReader) short() (string, error) {
	size, err := binary.ReadUvarint(n.r)
	if err == nil && size > longestType {
		err = fmt.Errorf("%w: a name of %d bytes", errAnswer, size)
	}
	if err != nil {
		return "", err
	}
	err = n.read(int(size))
	return string(n.scratch), err
}

// read reads bytes into scratch.
func (n *nativeReader) read(size int) error {
	n.scratch = slices.Grow(n.scratch[:0], size)[:size]
	_, err := io.ReadFull(n.r, n.scratch)
	return err
}

// ints reads numbers of some bytes, some at a time, so that a wrong number of rows costs
// no memory.
func (n *nativeReader) ints(c *sqlite.Column, rows, width int, signed bool) error {
	const atOnce = 1 << 14
	for rows > 0 {
		some := min(rows, atOnce)
		if err := n.read(some * width); err != nil {
			return err
		}
		at := len(c.Ints)
		c.Ints = slices.Grow(c.Ints, some)[:at+some]
		into, from := c.Ints[at:], n.scratch
		switch width {
		case 1:
			for i := range into {
				into[i] = int64(from[i])
			}
		case 2:
			for i := range into {
				into[i] = int64(binary.LittleEndian.Uint16(from[2*i:]))
			}
		case 4:
			for i := range into {
				into[i] = int64(binary.LittleEndian.Uint32(from[4*i:]))
			}
		default:
			for i := range into {
				into[i] = int64(binary.LittleEndian.Uint64(from[8*i:]))
			}
		}
		if signed {
			for i, v := range into {
				into[i] = v << (64 - 8*width) >> (64 - 8*width)
			}
		}
		rows -= some
	}
	return nil
}

func (n *nativeReader) texts(c *sqlite.Column, rows int) error {
	for rows > 0 {
		rows -= n.buffered(c, rows)
		if rows == 0 {
			break
		}
		// A text that does not end in the buffer.
		size, err := binary.ReadUvarint(n.r)
		if err == nil && size > maxText {
			err = fmt.Errorf("%w: a text of %d bytes", errAnswer, size)
		}
		for err == nil && size > 0 {
			some, at := int(min(size, 1<<16)), len(c.Text)
			c.Text = slices.Grow(c.Text, some)[:at+some]
			_, err = io.ReadFull(n.r, c.Text[at:])
			size -= uint64(some)
		}
		if err != nil {
			return err
		}
		c.Ends = append(c.Ends, len(c.Text))
		rows--
	}
	return nil
}

// buffered takes the texts that end in the buffer, and returns their number.
func (n *nativeReader) buffered(c *sqlite.Column, rows int) (taken int) {
	have, _ := n.r.Peek(n.r.Buffered())
	rest := have
	for ; taken < rows; taken++ {
		size, width := binary.Uvarint(rest)
		if width <= 0 || size > uint64(len(rest)-width) {
			break
		}
		c.Text = append(c.Text, rest[width:width+int(size)]...)
		c.Ends = append(c.Ends, len(c.Text))
		rest = rest[width+int(size):]
	}
	_, _ = n.r.Discard(len(have) - len(rest))
	return taken
}
