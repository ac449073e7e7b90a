package clickhouse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"mailfail/store/sqlite"
)

// nativeBlock returns a block in Native: a column of UInt16, one of Int64, and texts.
func nativeBlock(short []uint16, numbers []int64, texts []string) []byte {
	text := func(b []byte, s string) []byte {
		return append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b := binary.AppendUvarint([]byte{3}, uint64(len(numbers)))
	b = text(text(b, "c0"), "UInt16")
	for _, n := range short {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	b = text(text(b, "c1"), "Int64")
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = text(text(b, "c2"), "String")
	for _, s := range texts {
		b = text(b, s)
	}
	return b
}

// readNative returns all columns of an answer, and the error after them.
func readNative(r io.Reader, columns int) (all []sqlite.Column, err error) {
	n, read := newNativeReader(r), make([]sqlite.Column, columns)
	all = make([]sqlite.Column, columns)
	for {
		rows, err := n.next(read)
		if err != nil {
			return all, err
		}
		for i, c := range read {
			if len(c.Ints)+len(c.Ends) != rows {
				return all, errors.New("a column is not as long as its block")
			}
			for _, end := range c.Ends {
				all[i].Ends = append(all[i].Ends, len(all[i].Text)+end)
			}
			all[i].Ints, all[i].Text = append(all[i].Ints, c.Ints...), append(all[i].Text, c.Text...)
		}
	}
}

func TestNative(t *testing.T) {
	long := strings.Repeat("x", 1<<19) // longer than the buffer
	body := append(nativeBlock([]uint16{7, 1<<16 - 1}, []int64{-1, 1 << 62}, []string{"", "a\x00b"}),
		nativeBlock([]uint16{1}, []int64{3}, []string{long})...)
	want := []sqlite.Column{
		{Ints: []int64{7, 1<<16 - 1, 1}}, {Ints: []int64{-1, 1 << 62, 3}},
		{Text: []byte("a\x00b" + long), Ends: []int{0, 3, 3 + len(long)}},
	}
	got, err := readNative(bytes.NewReader(body), 3)
	if err != io.EOF || !reflect.DeepEqual(got, want) {
		t.Errorf("%.200v, %v", got, err)
	}
	first := len(nativeBlock([]uint16{7, 1}, []int64{1, 2}, []string{"", "abc"}))
	for n := 1; n < first+100; n++ { // an answer that was cut off is no answer
		if _, err := readNative(bytes.NewReader(body[:n]), 3); n != first && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
	for _, test := range []struct{ answer, want string }{
		{string(body[:first]) + "Code: 395, e.displayText() = DB::Exception: no\nmore", "Code: 395, e.displayText() = DB::Exception: no"},
		{"\x02\x00", "2 columns"},
		{"\x03\xff\xff\xff\xff\x0f", "a block of"},
		{"\x03\x01\x01a\x05Array", "a column of type"},
		{"\x03\x01\xff\xff\x03", "a name of"},
		{"\x03\x01\x01a\x06String\xff\xff\xff\xff\xff\x0f", "a text of"},
	} {
		_, err := readNative(strings.NewReader(test.answer), 3)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "more") {
			t.Errorf("%.20q: %v", test.answer, err)
		}
	}
}

func FuzzNative(f *testing.F) {
	f.Add(nativeBlock([]uint16{1, 2}, []int64{3, 4}, []string{"a", "bc"}))
	f.Add([]byte("\x03\x02\x01a\x06String"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := readNative(bytes.NewReader(data), 3)
		if err == nil {
			t.Fatal("an answer without an end")
		}
		for _, c := range all {
			if len(c.Ends) > 0 && c.Ends[len(c.Ends)-1] != len(c.Text) {
				t.Fatalf("texts of %d bytes end at %d", len(c.Text), c.Ends[len(c.Ends)-1])
			}
		}
	})
}
