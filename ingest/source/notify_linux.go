package source

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/hpcloud/tail/watch"
)

// canWatch reports whether the library has an inotify instance. The library makes one when
// it is first used, for good, and ends the process when it gets none. So canWatch lets it,
// before other goroutines open files, and only where as many descriptors are free.
var canWatch = sync.OnceValue(func() bool {
	var fds []int
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	for err == nil && len(fds) < neededFiles {
		fds = append(fds, fd)
		fd, err = syscall.Dup(fd)
	}
	if err == nil {
		fds = append(fds, fd)
	}
	for _, fd := range fds {
		_ = syscall.Close(fd)
	}
	return err == nil && watch.Watch("/") == nil && watch.RemoveWatch("/") == nil
})

// neededFiles is more than the library opens for an instance: for that, and a pipe.
const neededFiles = 8

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
