package sqlite

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends numbers bit by bit, the lowest bit first.
type bitWriter struct {
	b    []byte
	last uint64 // bits that do not fill a byte yet
	n    uint   // their number, less than 8
}

// put appends the lowest bits of v. The argument bits is their number, at most 32.
func (w *bitWriter) put(v uint64, bits uint) {
	w.last |= v & (1<<bits - 1) << w.n
	for w.n += bits; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.last))
		w.last >>= 8
	}
}

// rice appends v in Rice coding, which suits numbers that are usually small: v >> k ones,
// a zero, and the lowest k bits. For gaps between random numbers its size is close to the
// theoretical minimum when 1 << k is about the mean gap.
func (w *bitWriter) rice(v uint64, k uint) {
	for q := v >> k; q > 0; q -= min(q, 32) {
		w.put(1<<min(q, 32)-1, uint(min(q, 32)))
	}
	w.put(0, 1)
	w.put(v, k)
}

// end fills the last byte with zeros and returns all bytes.
func (w *bitWriter) end() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.last))
	}
	return w.b
}

// bitReader reads the bytes of a bitWriter. After the end it returns zeros and sets
// missing.
type bitReader struct {
	b       []byte
	last    uint64
	n       uint
	missing bool
}

func (r *bitReader) take(bits uint) (v uint64) {
	for ; r.n < bits; r.n += 8 {
		if len(r.b) == 0 {
			r.missing = true
		} else {
			r.last |= uint64(r.b[0]) << r.n
			r.b = r.b[1:]
		}
	}
	v = r.last & (1<<bits - 1)
	r.last >>= bits
	r.n -= bits
	return v
}

func (r *bitReader) rice(k uint) uint64 {
	q := uint64(0)
	for r.take(1) == 1 {
		q++
	}
	return q<<k | r.take(k)
}

// riceBits returns the k of rice that suits the gaps between n sorted numbers from 0 to
// last.
func riceBits(last uint64, n int) uint {
	return uint(max(0, bits.Len64(last/uint64(n))-1))
}

// appendSorted appends numbers, which must be in rising order, to dst: their number, the
// k of rice, and the gaps between them. It appends nothing for an empty list.
func appendSorted(dst []byte, sorted []uint32) []byte {
	if len(sorted) == 0 {
		return dst
	}
	k, last := riceBits(uint64(sorted[len(sorted)-1]), len(sorted)), uint32(0)
	w := bitWriter{b: append(binary.AppendUvarint(dst, uint64(len(sorted))), byte(k))}
	for _, v := range sorted {
		w.rice(uint64(v-last), k)
		last = v
	}
	return w.end()
}

// decodeSorted appends the numbers in data, which one or more calls of appendSorted wrote,
// to dst. It returns errBlock when data is damaged.
func decodeSorted(dst []uint32, data []byte) ([]uint32, error) {
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 || len(data) <= size || n > uint64(8*len(data)) || data[size] > 32 {
			return dst, errBlock
		}
		k, last := uint(data[size]), uint64(0)
		r := bitReader{b: data[size+1:]}
		for range n {
			last += r.rice(k)
			dst = append(dst, uint32(last))
		}
		if r.missing {
			return dst, errBlock
		}
		data = r.b
	}
	return dst, nil
}
