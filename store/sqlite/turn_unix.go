//go:build unix

package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// turn is a lock at which processes queue that want to write. SQLite gives its lock to the
// first process that asks after a commit, which is the one that has just committed: a long
// ingest would keep all others waiting until they give up. A process that waits for
// SQLite's lock holds the turn, so that the one that has just committed has to wait for the
// turn.
type turn struct {
	f     *os.File
	stuck bool // another process held it for BusyTimeout: do not queue until it is free
}

// openTurn opens the queue of the database at path. The queue only makes waiting fair:
// without it, all processes can still write. No user can read the file, and only users who
// may write to the database can open it: a process that opens it can hold the lock.
func openTurn(path string) turn {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // one queue for all names of the database
	}
	mode := os.FileMode(0o200)
	if info, err := os.Stat(path); err == nil {
		mode |= info.Mode() & 0o220
	}
	f, err := os.OpenFile(path+"-turn", os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return turn{}
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm() != mode {
		_ = f.Chmod(mode) // only its owner can; earlier versions let the group read it
	}
	return turn{f: f}
}

// turnPoll is the time between two attempts to take the turn: a blocking call could not be
// interrupted.
const turnPoll = 5 * time.Millisecond

// wait waits for the turn until ctx is done, and no longer than BusyTimeout. A process that
// holds the turn for longer is not about to write; then SQLite's own lock has to suffice.
func (t *turn) wait(ctx context.Context) error {
	end := time.Now().Add(BusyTimeout)
	for t.f != nil && !t.take() {
		if t.stuck || time.Now().After(end) {
			t.stuck = true
			return nil
		}
		if err := sleep(ctx, turnPoll); err != nil {
			return err
		}
	}
	t.stuck = false
	return nil
}

// take tries to take the turn, and reports whether it succeeded.
func (t *turn) take() bool {
	for {
		err := syscall.Flock(int(t.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err == nil
		}
	}
}

// pass releases the turn for the next process.
func (t *turn) pass() {
	if t.f != nil {
		_ = syscall.Flock(int(t.f.Fd()), syscall.LOCK_UN)
	}
}

// wanted reports whether a process waits for its turn.
func (t *turn) wanted() bool {
	if t.f == nil || !t.take() {
		return true // without a queue this is not known
	}
	t.pass()
	return false
}

func (t *turn) close() {
	if t.f != nil {
		_ = t.f.Close()
	}
}
