package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
)

// packXZ compresses content in blocks, with a kind of checksum.
func packXZ(t testing.TB, content []byte, block int64, check byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{BlockSize: block, CheckSum: check, NoCheckSum: check == 0}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// askFor sets the dictionary size in the header of the first block.
func askFor(packed []byte, size byte) []byte {
	packed = bytes.Clone(packed)
	const block = 12
	header := packed[block : block+(int(packed[block])+1)*4]
	i := bytes.Index(header, []byte{0x21, 1})
	header[i+2] = size
	n := len(header) - 4
	binary.LittleEndian.PutUint32(header[n:], crc32.ChecksumIEEE(header[:n]))
	return packed
}

// What the guard passes on is the file, whatever its blocks, checksums and streams.
func TestXZGuard(t *testing.T) {
	if testing.Short() {
		t.Skip("packs and unpacks in every way: left to the tests without -short")
	}
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000) // is stored in chunks that are not compressed
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := []byte(strings.Repeat("one line of a log\n", 20_000))
	var files [][]byte
	for _, check := range []byte{0, xz.CRC32, xz.CRC64, xz.SHA256} {
		for _, block := range []int64{1 << 40, 100_000} {
			files = append(files, packXZ(t, text, block, check), packXZ(t, append(noise, text...), block, check))
		}
	}
	files = append(files, packXZ(t, nil, 1<<40, xz.CRC64))
	files = append(files, bytes.Join([][]byte{files[1], make([]byte, 8), files[4], files[6]}, nil))
	for i, file := range files {
		g := &xzGuard{}
		g.r, g.next = bufio.NewReader(bytes.NewReader(file)), g.stream
		passed, err := io.ReadAll(g)
		if err != nil || !bytes.Equal(passed, file) {
			t.Errorf("file %d: %d of %d bytes, %v", i, len(passed), len(file), err)
		}
	}
}

func TestXZMemory(t *testing.T) {
	content := []byte(strings.Repeat("one line of a log\n", 1000))
	for _, test := range []struct {
		name string
		file []byte
		err  error
	}{
		{"128 MB", askFor(packXZ(t, content, 1<<40, xz.CRC64), 30), nil},
		{"1536 MB", askFor(packXZ(t, content, 1<<40, xz.CRC64), 37), errWindow},
		{"1536 MB in a second stream", append(packXZ(t, content, 1<<40, xz.CRC64), askFor(packXZ(t, content, 1<<40, xz.CRC64), 37)...), errWindow},
	} {
		in, _, err := openXZ(bytes.NewReader(test.file))
		if err == nil {
			_, err = io.ReadAll(in)
		}
		if !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
	}
}

// A damaged file is an error of the decompressor, never a panic or a loop.
func FuzzXZGuard(f *testing.F) {
	f.Add(packXZ(f, []byte("a line\n"), 1<<40, xz.CRC64))
	f.Add(append(packXZ(f, []byte("a line\n"), 3, xz.CRC32), 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &xzGuard{}
		g.r, g.next = bufio.NewReader(bytes.NewReader(b)), g.stream
		passed, err := io.ReadAll(g)
		if !bytes.HasPrefix(b, passed) || err == nil && len(passed) != len(b) {
			t.Errorf("%d of %d bytes, %v", len(passed), len(b), err)
		}
	})
}
