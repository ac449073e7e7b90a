package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mailfail/templates"
)

// screen returns the width of the terminal that the output goes to, 0 for another
// output, and whether to use colour.
func (f *outputFlags) screen(cmd *cobra.Command) (width int, color bool) {
	out, ok := cmd.OutOrStdout().(*os.File)
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		width = columns
	}
	if !ok || f.path != "" || !isTerminal(out) {
		return width, false
	}
	if columns, _, err := term.GetSize(int(out.Fd())); err == nil && width == 0 {
		width = columns
	}
	return width, !f.noColor && os.Getenv("NO_COLOR") == ""
}

// write calls print to write the results. It is not an error when the reader closes the
// pipe early.
func (f *outputFlags) write(cmd *cobra.Command, print func(io.Writer) error) error {
	if f.path != "" {
		return writeFile(f.path, print)
	}
	w := bufio.NewWriterSize(cmd.OutOrStdout(), 1<<16)
	err := print(w)
	if err == nil {
		err = w.Flush()
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// writeFile replaces the file at path when print has written all of the new
// one. Pipes and devices (/dev/stderr) are written to in place.
// Reports name people, so the file is for its owner and group.
func writeFile(path string, print func(io.Writer) error) (err error) {
	defer func() {
		var failed *os.PathError
		if errors.As(err, &failed) {
			err = failed.Err // the name of the temporary file does not help
		}
		if err != nil {
			err = fmt.Errorf("write %s: %w", templates.Printable(path), err)
		}
	}()
	var keep func() error // the mode of the file that is replaced
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return writeInto(path, print)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	tmp, err := createBeside(path)
	if err != nil {
		return err
	}
	if info != nil {
		keep = func() error { return tmp.Chmod(info.Mode().Perm()) }
	} else {
		keep = func() error { return nil } // 0640 less the umask
	}
	defer os.Remove(tmp.Name()) // after the rename there is none
	defer tmp.Close()
	w := bufio.NewWriterSize(tmp, 1<<16)
	for _, step := range []func() error{
		func() error { return print(w) }, w.Flush, keep, tmp.Sync, tmp.Close,
		func() error { return os.Rename(tmp.Name(), path) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// createBeside creates the file that will replace the one at path. It removes files
// left by runs that were killed: those not written to for a day.
func createBeside(path string) (*os.File, error) {
	prefix := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".mailfail-")
	left, _ := filepath.Glob(escapeGlob(prefix) + "*") // none is found: nothing to remove
	for _, name := range left {
		if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.Remove(name)
		}
	}
	for try := range 1000 {
		name := fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), try)
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, fs.ErrExist
}

// escapeGlob returns a pattern that matches only s.
func escapeGlob(s string) string {
	if runtime.GOOS == "windows" {
		return s // there a backslash does not escape, and no name contains * or ?
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func writeInto(path string, print func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := print(file); err != nil {
		return err
	}
	return file.Close()
}
