package clickhouse

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"mailfail/store/fleet"
)

// appendValue appends a value in RowBinary.
func appendValue(b []byte, t fleet.Type, v *fleet.Value) []byte {
	if t == fleet.MaybeInt || t == fleet.MaybeText {
		if v.Null {
			return append(b, 1)
		}
		b = append(b, 0)
	}
	switch t {
	case fleet.Text, fleet.MaybeText:
		return append(binary.AppendUvarint(b, uint64(len(v.Text))), v.Text...)
	case fleet.Ints:
		b = binary.AppendUvarint(b, uint64(len(v.Ints)))
		for _, n := range v.Ints {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
		return b
	case fleet.Texts:
		b = binary.AppendUvarint(b, uint64(len(v.Texts)))
		for _, s := range v.Texts {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
		return b
	}
	return binary.LittleEndian.AppendUint64(b, uint64(v.Int))
}

// maxText is the longest text that is accepted in an answer, in bytes, and the longest
// list.
const maxText = 1 << 30

var errAnswer = errors.New("the answer is not what was asked for")

// rowReader reads rows in RowBinary.
type rowReader struct {
	r       *bufio.Reader
	types   []fleet.Type
	row     fleet.Row // the last one read
	scratch []byte
	seen    map[string]string // short texts, shared: most occur many times
}

func newRowReader(r io.Reader, types []fleet.Type) *rowReader {
	return &rowReader{
		r:     bufio.NewReaderSize(r, 1<<16),
		types: types,
		row:   make(fleet.Row, len(types)),
		seen:  map[string]string{},
	}
}

// next reads the next row, which is valid until the next call. It returns io.EOF after the
// last row, and io.ErrUnexpectedEOF for an incomplete row.
func (r *rowReader) next() (fleet.Row, error) {
	if _, err := r.r.Peek(1); err != nil {
		return nil, err
	}
	for i, t := range r.types {
		if err := r.read(t, &r.row[i]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return r.row, nil
}

func (r *rowReader) read(t fleet.Type, v *fleet.Value) error {
	*v = fleet.Value{Ints: v.Ints[:0], Texts: v.Texts[:0]}
	if t == fleet.MaybeInt || t == fleet.MaybeText {
		null, err := r.r.ReadByte()
		if err != nil || null == 1 {
			v.Null = true
			return err
		}
	}
	switch t {
	case fleet.Text, fleet.MaybeText:
		n, err := r.length()
		if err != nil {
			return err
		}
		v.Text, err = r.text(n)
		return err
	case fleet.Ints:
		n, err := r.length()
		if err != nil {
			return err
		}
		for range n {
			var x int64
			if x, err = r.int(); err != nil {
				return err
			}
			v.Ints = append(v.Ints, x)
		}
		return nil
	case fleet.Texts:
		n, err := r.length()
		for ; n > 0 && err == nil; n-- {
			var size int
			var s string
			if size, err = r.length(); err == nil {
				s, err = r.text(size)
			}
			v.Texts = append(v.Texts, s)
		}
		return err
	}
	n, err := r.int()
	v.Int = n
	return err
}

func (r *rowReader) length() (int, error) {
	n, err := binary.ReadUvarint(r.r)
	if err == nil && n > maxText {
		err = fmt.Errorf("%w: a length of %d", errAnswer, n)
	}
	return int(n), err
}

// Limits of the texts that rowReader shares: length in bytes, and number.
const (
	longestSeen = 64
	mostSeen    = 100_000
)

// text reads n bytes. It allocates in steps, so that a wrong length costs no memory.
func (r *rowReader) text(n int) (string, error) {
	r.scratch = r.scratch[:0]
	for n > 0 {
		m := min(n, 1<<16)
		at := len(r.scratch)
		r.scratch = append(r.scratch, make([]byte, m)...)
		if _, err := io.ReadFull(r.r, r.scratch[at:]); err != nil {
			return "", err
		}
		n -= m
	}
	if s, ok := r.seen[string(r.scratch)]; ok {
		return s, nil
	}
	s := string(r.scratch)
	if len(s) <= longestSeen && len(r.seen) < mostSeen {
		r.seen[s] = s
	}
	return s, nil
}

func (r *rowReader) int() (int64, error) {
	b, err := r.r.Peek(8)
	if err != nil {
		return 0, err
	}
	n := int64(binary.LittleEndian.Uint64(b))
	_, err = r.r.Discard(8)
	return n, err
}
