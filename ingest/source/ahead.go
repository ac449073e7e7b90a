package source

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// ErrQuiet is returned by Next when a stream had nothing to read for a second.
// Await waits until it has.
var ErrQuiet = errors.New("the stream is quiet")

// quietAfter is how long Next waits for a stream.
const quietAfter = time.Second

// ahead reads a stream in the background, so that who waits for it can do so
// without keeping others waiting.
type ahead struct {
	chunks   chan []byte // closed at the end
	err      error       // the end; set before chunks is closed
	rest     []byte      // of the chunk that is being read
	patience time.Duration
	stop     chan struct{}
}

// pipe is a named pipe, or a device. The first Read opens it: that waits until
// somebody opens it to write.
type pipe struct {
	path string
	file *os.File
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (n int, err error) {
	if p.file == nil {
		if p.file, err = os.Open(p.path); err != nil {
			return 0, err
		}
	}
	if n, err = p.file.Read(b); err != nil {
		_ = p.file.Close()
	}
	return n, err
}

func readAhead(in io.Reader) *ahead {
	a := &ahead{chunks: make(chan []byte), stop: make(chan struct{})}
	go a.run(in)
	return a
}

func (a *ahead) run(in io.Reader) {
	defer close(a.chunks)
	// While one buffer is filled, the other one is read: a chunk is taken when
	// that before it is done with.
	var buffers [2][64 << 10]byte
	for i := 0; a.err == nil; i ^= 1 {
		buf := buffers[i][:]
		var n int
		n, a.err = in.Read(buf)
		if n == 0 {
			continue
		}
		select {
		case a.chunks <- buf[:n]:
		case <-a.stop:
			return
		}
	}
}

// Read implements io.Reader. It returns ErrQuiet, and can be called again, when
// there was nothing for as long as patience, if that is not 0.
func (a *ahead) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		var quiet <-chan time.Time
		if a.patience > 0 {
			quiet = time.After(a.patience)
		}
		select {
		case chunk, ok := <-a.chunks:
			if !ok {
				return 0, a.err
			}
			a.rest = chunk
		case <-quiet:
			return 0, ErrQuiet
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// await waits until there is something to read, or the end, or ctx is done.
func (a *ahead) await(ctx context.Context) error {
	if len(a.rest) > 0 {
		return nil
	}
	select {
	case a.rest = <-a.chunks:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
