//go:build unix

package main

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// isPiped waits until something is piped in, or until the pipe is closed, and reports
// whether there is anything to read. cron gives its jobs a closed pipe. A socket, as
// ssh gives one, may stay silent for ever, so it does not count as a pipe.
func isPiped(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return false
	case info.Mode().IsRegular():
		return info.Size() > 0
	case info.Mode()&fs.ModeNamedPipe == 0:
		return false
	}
	for {
		poll := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); !errors.Is(err, unix.EINTR) {
			return err == nil && poll[0].Revents&unix.POLLIN != 0
		}
	}
}
