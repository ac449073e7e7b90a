package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// writePaged writes like write, but through a pager when the text is longer than the
// terminal.
func (f *outputFlags) writePaged(cmd *cobra.Command, page bool, print func(io.Writer) error) error {
	out, ok := cmd.OutOrStdout().(*os.File)
	if !page || !ok || f.path != "" || !isTerminal(out) {
		return f.write(cmd, print)
	}
	var text bytes.Buffer
	if err := print(&text); err != nil {
		return err
	}
	_, height, err := term.GetSize(int(out.Fd()))
	pager := pagerCommand()
	if err != nil || bytes.Count(text.Bytes(), []byte("\n")) < height || pager == "" {
		return f.write(cmd, func(w io.Writer) error { _, err := w.Write(text.Bytes()); return err })
	}
	// As git does: the variable is a command line of the user's shell.
	less := exec.CommandContext(cmd.Context(), "/bin/sh", "-c", pager)
	less.Stdin, less.Stdout, less.Stderr = &text, out, os.Stderr
	less.Env = append(os.Environ(), lessOptions()...)
	if err := less.Run(); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("show the report with %s (--no-pager does without): %w", pager, err)
	}
	return nil
}

// pagerCommand returns the command that shows long texts, "" for none.
func pagerCommand() string {
	for _, name := range []string{"MAILFAIL_PAGER", "PAGER"} {
		if pager, set := os.LookupEnv(name); set {
			if pager == "cat" {
				return ""
			}
			return pager
		}
	}
	if path, err := exec.LookPath("less"); err == nil {
		return path
	}
	return ""
}

// lessOptions returns the variables that make less pass on colours, and end at once
// when all fits.
func lessOptions() []string {
	if _, set := os.LookupEnv("LESS"); set {
		return nil
	}
	return []string{"LESS=FRX"}
}
