package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// printer collects output and writes it in a separate goroutine, so that a slow reader
// does not delay the program while the database is locked. Only when the reader is so
// far behind that memory would grow does the program wait.
type printer struct {
	buf    bytes.Buffer
	chunks chan []byte
	done   chan error
	lost   bool
}

const (
	printAhead = 8       // chunks
	maxChunk   = 1 << 20 // bytes

	// patience is how long the end of the program waits for a slow reader, and
	// for notes about alerts.
	patience = 5 * time.Second
)

func newPrinter(w io.Writer, failed func()) *printer {
	p := &printer{chunks: make(chan []byte, printAhead), done: make(chan error, 1)}
	go func() {
		var err error
		for chunk := range p.chunks {
			if err == nil {
				if _, err = w.Write(chunk); err != nil {
					failed()
				}
			}
		}
		if errors.Is(err, syscall.EPIPE) {
			err = nil // the reader has seen enough
		}
		p.done <- err
	}()
	return p
}

func (p *printer) Write(b []byte) (int, error) { return p.buf.Write(b) }

// bound passes on the collected output when it is large.
func (p *printer) bound(ctx context.Context) {
	if p.buf.Len() >= maxChunk {
		p.pass(ctx)
	}
}

// pass passes on the collected output for writing.
func (p *printer) pass(ctx context.Context) {
	if p.buf.Len() == 0 {
		return
	}
	chunk := bytes.Clone(p.buf.Bytes())
	p.buf.Reset()
	select {
	case p.chunks <- chunk:
		return
	default:
	}
	select {
	case p.chunks <- chunk:
		return
	case <-ctx.Done():
	}
	select {
	case p.chunks <- chunk:
	case <-time.After(patience):
		p.lost = true
	}
}

// close waits until all is written, for a limited time when the reader does not read.
func (p *printer) close() error {
	close(p.chunks)
	select {
	case err := <-p.done:
		if err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	case <-time.After(patience):
		p.lost = true
	}
	if p.lost {
		return errors.New("write the output: the reader stopped, and a part is lost (the database " +
			"has all)")
	}
	return nil
}
