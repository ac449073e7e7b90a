//go:build unix

package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// turn is what processes queue at that want to write. SQLite lets whoever
// asks first after a commit go on, which is the one who has just committed: a
// long ingest would keep all others waiting until they give up. Whoever waits
// for SQLite's lock holds this one, so that the other has to wait here.
type turn struct {
	f     *os.File
	stuck bool // it was not passed on for BusyTimeout: nobody queues any more
}

// openTurn opens the queue of the database at path. It is only good manners:
// without it everything still works. Nobody can read the file, and only those who
// may write to the database can open it: whoever opens it can hold the lock.
func openTurn(path string) turn {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // all queue at one, whatever they call the database
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

// turnPoll is how often the turn is asked for: waiting in the system could not be
// ended.
const turnPoll = 5 * time.Millisecond

// wait waits for the turn until ctx is done, and no longer than BusyTimeout: who
// holds it for longer is not about to write, and SQLite's own lock has to do.
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

// take takes the turn, and reports whether nobody else has it.
func (t *turn) take() bool {
	for {
		err := syscall.Flock(int(t.f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err == nil
		}
	}
}

// pass lets the next one have the turn.
func (t *turn) pass() {
	if t.f != nil {
		_ = syscall.Flock(int(t.f.Fd()), syscall.LOCK_UN)
	}
}

// wanted reports whether a process waits for its turn.
func (t *turn) wanted() bool {
	if t.f == nil || !t.take() {
		return true // without a queue it is not known
	}
	t.pass()
	return false
}

func (t *turn) close() {
	if t.f != nil {
		_ = t.f.Close()
	}
}
