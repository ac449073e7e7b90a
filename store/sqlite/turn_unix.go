//go:build unix

package sqlite

import (
	"os"
	"syscall"
)

// turn is what processes queue at that want to write. SQLite lets whoever
// asks first after a commit go on, which is the one who has just committed: a
// long ingest would keep all others waiting until they give up. Whoever waits
// for SQLite's lock holds this one, so that the other has to wait here.
type turn struct{ f *os.File }

// openTurn opens the queue of the database at path. It is only good manners:
// without it everything still works.
func openTurn(path string) turn {
	f, err := os.OpenFile(path+"-turn", os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return turn{}
	}
	return turn{f}
}

func (t turn) wait() {
	if t.f != nil {
		for syscall.Flock(int(t.f.Fd()), syscall.LOCK_EX) == syscall.EINTR {
		}
	}
}

func (t turn) pass() {
	if t.f != nil {
		_ = syscall.Flock(int(t.f.Fd()), syscall.LOCK_UN)
	}
}

// wanted reports whether a process waits for its turn.
func (t turn) wanted() bool {
	if t.f == nil {
		return true // nobody can tell
	}
	if syscall.Flock(int(t.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return true
	}
	t.pass()
	return false
}

func (t turn) close() {
	if t.f != nil {
		_ = t.f.Close()
	}
}
