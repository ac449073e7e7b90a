package parsers

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrState is the error of a saved state that cannot be read.
var ErrState = errors.New("the saved state of a log is damaged")

// A StateReader reads a state that a Keeper or a Stream appended. After the first fault
// it returns zeros; Err reports the fault.
type StateReader struct {
	b   []byte
	err error
}

// ReadState returns a reader of a state.
func ReadState(state []byte) StateReader { return StateReader{b: state} }

// Err returns ErrState after a fault, else nil.
func (r *StateReader) Err() error { return r.err }

// Fail notes a fault: a value is out of its range.
func (r *StateReader) Fail() { r.err, r.b = ErrState, nil }

// More reports whether there is more to read.
func (r *StateReader) More() bool { return len(r.b) > 0 }

// End returns the error of a state that must end here.
func (r *StateReader) End() error {
	if r.err == nil && len(r.b) > 0 {
		return fmt.Errorf("%d bytes follow its end: %w", len(r.b), ErrState)
	}
	return r.err
}

// take returns the next n bytes, nil after a fault.
func (r *StateReader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.Fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// Byte reads a byte.
func (r *StateReader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads the output of AppendBool.
func (r *StateReader) Bool() bool { return r.Byte() != 0 }

// Uint64 reads eight bytes, little endian.
func (r *StateReader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads the output of binary.AppendUvarint.
func (r *StateReader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.take(n)
	return v
}

// Varint reads the output of binary.AppendVarint.
func (r *StateReader) Varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail()
		return 0
	}
	r.take(n)
	return v
}

// Count reads a number; it is a fault if the number is more than most.
func (r *StateReader) Count(most int) int {
	v := r.Uvarint()
	if v > uint64(most) {
		r.Fail()
		return 0
	}
	return int(v)
}

// Bytes reads the output of AppendBytes. The slice points into the state.
func (r *StateReader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.b)) {
		r.Fail()
		return nil
	}
	return r.take(int(n))
}

// AppendBool appends a boolean to a state.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendBytes appends v with its length to a state.
func AppendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}
