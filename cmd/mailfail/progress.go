package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"mailfail/templates"
)

// progressBar shows how much of a file is read, on one line.
type progressBar struct {
	w     io.Writer
	shown bool
}

func (b *progressBar) show(path string, read, size int64) {
	b.shown = true
	percent := ""
	if size > 0 {
		percent = fmt.Sprintf(" %3d %%", min(100, 100*read/size))
	}
	fmt.Fprintf(b.w, "\r\x1b[Kreading %s%s", templates.Printable(filepath.Base(path)), percent)
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
