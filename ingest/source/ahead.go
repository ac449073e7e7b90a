package source

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// ErrQuiet is returned by Next when a stream had nothing to read for a while, or when its
// context is done. Await waits until there is more.
var ErrQuiet = errors.New("the stream is quiet")

// These are the times that Next waits: for a stream that is read to its end, and for one
// that is followed.
const (
	quietAfter  = time.Second
	momentarily = 5 * time.Millisecond
)

// ahead reads a stream in the background, so that its reader can wait for it without
// blocking others.
type ahead struct {
	chunks   chan []byte // closed at the end
	err      error       // the error at the end; set before chunks is closed
	rest     []byte      // rest of the chunk that is being read
	patience time.Duration
	done     <-chan struct{}
}

// pipe is a named pipe, or a device. The first Read opens it, which blocks until another
// process opens it to write.
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
	return p.file.Read(b)
}

// Close implements io.Closer.
func (p *pipe) Close() error { return p.file.Close() }

// readAhead reads in until its end or until ctx is done, and closes it.
func readAhead(ctx context.Context, in io.ReadCloser) *ahead {
	a := &ahead{chunks: make(chan []byte), done: ctx.Done()}
	go a.run(ctx, in)
	return a
}

func (a *ahead) run(ctx context.Context, in io.ReadCloser) {
	defer close(a.chunks)
	defer in.Close()
	// While one buffer is filled, the other one is read: a chunk is taken only after the
	// reader has finished the one before.
	var buffers [2][64 << 10]byte
	for i := 0; a.err == nil; {
		buf := buffers[i][:]
		var n int
		n, a.err = in.Read(buf)
		if ctx.Err() != nil {
			a.err = ErrQuiet // replaces any error of the decompressor
			return
		}
		if n == 0 {
			continue
		}
		select {
		case a.chunks <- buf[:n]:
			i ^= 1
		case <-ctx.Done():
			a.err = ErrQuiet
		}
	}
}

// Read implements io.Reader. It returns ErrQuiet when nothing arrived within patience, if
// that is not 0, or when the context is done. It can be called again.
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
		case <-a.done:
			return 0, ErrQuiet
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// await waits until there is something to read, until the end, or until ctx is done.
func (a *ahead) await(ctx context.Context) error {
	if len(a.rest) == 0 {
		select {
		case a.rest = <-a.chunks:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}
