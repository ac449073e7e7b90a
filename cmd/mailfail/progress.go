package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"mailfail/templates"
)

// progressBar shows on one line how much of something is done.
type progressBar struct {
	w     io.Writer
	shown bool
}

func (b *progressBar) reading(path string, read, size int64) {
	b.show("reading "+filepath.Base(path), read, size)
}

func (b *progressBar) show(what string, done, total int64) {
	b.shown = true
	percent := ""
	if total > 0 {
		percent = fmt.Sprintf(" %3d %%", min(100, 100*done/total))
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s%s", templates.Printable(what), percent)
}

func (b *progressBar) clear() {
	if b.shown {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
