package sqlite

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// A block holds rows of integers, column by column and compressed. These are not rows of
// SQLite, because there are millions of them, and they are read together.
//
// A stored block begins with a version, the number of rows and the number of columns. The
// columns follow, compressed together. Each column is its encoding (columnZero and so on)
// and, unless it is 0 throughout, the length of its bytes and the bytes.
type block struct {
	rows int
	cols [][]int64 // nil: 0 throughout, or not wanted

	raw     []byte    // decompressed bytes; decode uses the memory again
	buffers [][]int64 // likewise, of the columns
}

// columns is a set of columns of a block.
type columns uint64

const allColumns = ^columns(0)

const blockVersion = 1

// The encodings of a column.
const (
	columnZero   = iota
	columnPlain  // zigzag varints
	columnDelta  // zigzag varints of the differences
	columnSparse // for each value that is not 0: its distance in rows from the one before, and the value
)

var errBlock = errors.New("a block of numbers is damaged")

// at returns the value in a column and a row.
func (b *block) at(column, row int) int64 {
	if c := b.cols[column]; c != nil {
		return c[row]
	}
	return 0
}

// without returns the rows of b whose first column is not in a sorted list.
func (b *block) without(ids []int64) *block {
	rest, skip := &block{cols: make([][]int64, len(b.cols))}, skipper{ids}
	for i := range b.rows {
		if skip.has(b.at(0, i)) {
			continue
		}
		for c := range b.cols {
			rest.cols[c] = append(rest.cols[c], b.at(c, i))
		}
		rest.rows++
	}
	return rest
}

// joined returns the rows of several blocks in the order of their first column.
func joined(blocks []*block) *block {
	var rows [][]int64
	all := &block{}
	for _, b := range blocks {
		all.cols = append(all.cols, make([][]int64, max(0, len(b.cols)-len(all.cols)))...)
		for i := range b.rows {
			row := make([]int64, len(b.cols))
			for c := range row {
				row[c] = b.at(c, i)
			}
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b []int64) int { return cmp.Compare(a[0], b[0]) })
	for _, row := range rows {
		for c, v := range row {
			all.cols[c] = append(all.cols[c], v)
		}
	}
	all.rows = len(rows)
	return all
}

var compressor = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(1<<20),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // cannot happen: the options are constants
	}
	return e
})

var decompressor = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		panic(err)
	}
	return d
})

// maxBlock bounds the decompressed size of a block.
const maxBlock = 1 << 30

// packing makes a block, column by column.
type packing struct {
	head, raw []byte
	column    []int64
}

func newPacking(rows, columns int) *packing {
	head := binary.AppendUvarint(binary.AppendUvarint([]byte{blockVersion}, uint64(rows)), uint64(columns))
	return &packing{head: head, column: make([]int64, rows)}
}

// add adds a column. at returns its value in a row.
func (p *packing) add(at func(row int) int64) {
	for i := range p.column {
		p.column[i] = at(i)
	}
	p.raw = appendColumn(p.raw, p.column)
}

// end appends the block to dst.
func (p *packing) end(dst []byte) []byte {
	return compressor().EncodeAll(p.raw, append(dst, p.head...))
}

// appendBlock appends a block of some columns, which must have the same length, to dst.
func appendBlock(dst []byte, cols ...[]int64) []byte {
	p := newPacking(0, len(cols))
	p.head = binary.AppendUvarint(binary.AppendUvarint(p.head[:1], uint64(len(cols[0]))), uint64(len(cols)))
	for _, c := range cols {
		p.raw = appendColumn(p.raw, c)
	}
	return p.end(dst)
}

func appendColumn(dst []byte, c []int64) []byte {
	plain, delta, sparse, last, gap := 0, 0, 0, int64(0), 0
	for _, v := range c {
		plain += varintLen(v)
		delta += varintLen(v - last)
		last = v
		if gap++; v != 0 {
			sparse += varintLen(int64(gap)) + varintLen(v)
			gap = 0
		}
	}
	if sparse == 0 {
		return append(dst, columnZero)
	}
	size, kind := plain, byte(columnPlain)
	if sparse < size {
		size, kind = sparse, columnSparse
	}
	if delta < size {
		size, kind = delta, columnDelta
	}
	dst = binary.AppendUvarint(append(dst, kind), uint64(size))
	if cap(dst)-len(dst) < size {
		dst = slices.Grow(dst, max(size, len(dst)))
	}
	last, gap = 0, 0
	for _, v := range c {
		if gap++; kind == columnSparse {
			if v != 0 {
				dst = binary.AppendVarint(binary.AppendVarint(dst, int64(gap)), v)
				gap = 0
			}
			continue
		}
		dst = binary.AppendVarint(dst, v-last)
		if kind == columnDelta {
			last = v
		}
	}
	return dst
}

func varintLen(v int64) (n int) {
	u := uint64(v) << 1
	if v < 0 {
		u = ^u
	}
	for n = 1; u >= 0x80; n++ {
		u >>= 7
	}
	return n
}

// decode reads a block into b. It uses the buffers of b again, so the columns of an earlier
// decode become invalid. It returns errBlock when data is damaged.
func (b *block) decode(data []byte) error { return b.decodeOnly(data, allColumns) }

// decodeOnly is decode for the wanted columns only; the others are nil.
func (b *block) decodeOnly(data []byte, wanted columns) error {
	if len(data) == 0 || data[0] != blockVersion {
		return errBlock
	}
	data = data[1:]
	rows, n := binary.Uvarint(data)
	if n <= 0 || rows > 1<<24 {
		return errBlock
	}
	data = data[n:]
	cols, n := binary.Uvarint(data)
	if n <= 0 || cols > 64 {
		return errBlock
	}
	raw, err := decompressor().DecodeAll(data[n:], b.raw[:0])
	if err != nil || uint64(len(raw)) < cols {
		return errBlock
	}
	b.raw, b.rows = raw, int(rows)
	b.buffers = append(b.buffers, make([][]int64, max(0, int(cols)-len(b.buffers)))...)
	b.cols = b.cols[:0]
	for i := range int(cols) {
		c, rest, err := decodeColumn(raw, b.rows, b.buffers[i], wanted>>i&1 != 0)
		if err != nil {
			return err
		}
		if c != nil {
			b.buffers[i] = c
		}
		b.cols, raw = append(b.cols, c), rest
	}
	return nil
}

// decodeColumn reads the first column of raw, and returns the bytes after it as rest. It
// skips the bytes of a column that is not wanted.
func decodeColumn(raw []byte, rows int, buf []int64, wanted bool) (c []int64, rest []byte, err error) {
	if len(raw) == 0 {
		return nil, nil, errBlock
	}
	kind := raw[0]
	if kind == columnZero {
		return nil, raw[1:], nil
	}
	size, n := binary.Uvarint(raw[1:])
	if n <= 0 || size > uint64(len(raw)-1-n) || kind > columnSparse ||
		kind != columnSparse && uint64(rows) > size {
		return nil, nil, errBlock
	}
	raw, rest = raw[1+n:1+n+int(size)], raw[1+n+int(size):]
	if !wanted {
		return nil, rest, nil
	}
	c = slices.Grow(buf[:0], rows)[:rows]
	if kind == columnSparse {
		err = decodeSparse(raw, c)
	} else {
		err = decodeAll(raw, c, kind == columnDelta)
	}
	return c, rest, err
}

func decodeAll(raw []byte, c []int64, delta bool) error {
	var last int64
	for i := range c {
		if len(raw) == 0 {
			return errBlock
		}
		v, n := uint64(raw[0]), 1
		switch {
		case v < 0x80: // most of them
		case len(raw) >= 8:
			if v, n = longVarint(binary.LittleEndian.Uint64(raw)); n > 8 {
				v, n = binary.Uvarint(raw)
			}
		default:
			v, n = binary.Uvarint(raw)
		}
		if n <= 0 {
			return errBlock
		}
		raw = raw[n:]
		if last += int64(v>>1) ^ -int64(v&1); delta {
			c[i] = last
		} else {
			c[i], last = last, 0
		}
	}
	if len(raw) > 0 {
		return errBlock
	}
	return nil
}

// longVarint reads a varint from the lowest bytes of x. If it has more than eight, n is
// greater too. It has no branches, because nobody could foresee which of them is taken.
func longVarint(x uint64) (v uint64, n int) {
	const more = 0x8080808080808080
	n = bits.TrailingZeros64(^x&more)/8 + 1
	v = x & (1<<(8*n) - 1) &^ more
	v = v&0x007f007f007f007f | v&0x7f007f007f007f00>>1
	v = v&0x00003fff00003fff | v&0x3fff00003fff0000>>2
	return v&0x0fffffff | v>>32<<28, n
}

func decodeSparse(raw []byte, c []int64) error {
	clear(c)
	for i := int64(-1); len(raw) > 0; {
		gap, n := binary.Varint(raw)
		if n <= 0 || gap <= 0 || gap >= int64(len(c))-i {
			return errBlock
		}
		v, m := binary.Varint(raw[n:])
		if m <= 0 {
			return errBlock
		}
		i += gap
		c[i], raw = v, raw[n+m:]
	}
	return nil
}
