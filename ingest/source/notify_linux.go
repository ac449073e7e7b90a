package source

import (
	"fmt"
	"os"
	"syscall"
)

// canWatch reports whether the user can get another inotify instance.
func canWatch() bool {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		return false
	}
	_ = syscall.Close(fd)
	return true
}

// watchName returns a name by which the open file can always be reached, even after it
// was renamed or deleted, and the descriptor to which the name refers.
func watchName(file *os.File) (*os.File, string, error) {
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		return nil, "", err
	}
	syscall.CloseOnExec(fd)
	name := fmt.Sprintf("/proc/self/fd/%d", fd)
	held := os.NewFile(uintptr(fd), name)
	if _, err := os.Stat(name); err != nil {
		held.Close()
		return nil, "", err
	}
	return held, name, nil
}
