package source

import (
	"errors"
	stdlog "log"
	"os"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/hpcloud/tail/watch"
	"gopkg.in/tomb.v1"
)

// The tail library reports when to look at a file; our own Reader decides what is read.
// We use only its notices, the package watch, and not its reading of lines: that loses
// lines at rotations, has no offsets, reads everything a second time, and keeps a line in
// memory however long it is.
//
// The library ends the process in two cases: when it gets no inotify instance, and
// when it cannot stat a file after an event. canWatch and watchName prevent both.

// libraryLog is where the library writes that the inotify queue was full. The message
// would appear in the middle of the screen; it is counted instead.
//
//go:linkname libraryLog github.com/hpcloud/tail/watch.logger
var libraryLog *stdlog.Logger

func init() { libraryLog.SetOutput(&lostNotices) }

// lostNotices counts the messages of the library: notices were lost before each.
var lostNotices messages

type messages struct{ atomic.Int64 }

func (m *messages) Write(message []byte) (int, error) {
	m.Add(1)
	return len(message), nil
}

// errLostNotices reports once that a Follower had to look at all files without notices.
var errLostNotices = errors.New("so many files changed at once that the system dropped notices of it " +
	"(the inotify queue was full): looked at every log, nothing is lost; " +
	"fs.inotify.max_queued_events sets the length of the queue")

// notices passes on the notices of the library until it is closed.
type notices struct {
	tomb tomb.Tomb
	done chan struct{}
}

// watchFile calls wake for every change of the open file, under whatever name it is. It
// holds the file open itself; closing the notices does not close file.
func watchFile(file *os.File, wake func()) *notices {
	if !canWatch() {
		return nil
	}
	held, name, err := watchName(file)
	if err != nil {
		return nil
	}
	e := &notices{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		defer held.Close()
		for e.watch(name, wake) {
		}
		awaitRemoval(name)
	}()
	return e
}

// watch waits for changes until the library forgets the file, as it does after
// a rename, and reports whether to begin again.
func (e *notices) watch(name string, wake func()) bool {
	changes, err := watch.NewInotifyFileWatcher(name).ChangeEvents(&e.tomb, 0)
	if err != nil {
		<-e.tomb.Dying()
		return false
	}
	wake() // for changes before the watch began
	for {
		select {
		case <-changes.Modified:
			wake()
		case <-changes.Truncated:
			wake()
		case <-changes.Deleted:
			wake()
			return true
		case <-e.tomb.Dying():
			return false
		}
	}
}

// awaitRemoval waits until the library has released the name, which it does
// asynchronously, so that the name can be used again.
func awaitRemoval(name string) {
	for range 1000 {
		if watch.Events(name) == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// watchAppearance calls wake once there is a file at path.
func watchAppearance(path string, wake func()) *notices {
	if !canWatch() {
		return nil
	}
	e := &notices{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		if watch.NewInotifyFileWatcher(path).BlockUntilExists(&e.tomb) == nil {
			wake()
		}
	}()
	return e
}

// close ends the notices and waits until they have ended.
func (e *notices) close() {
	if e == nil {
		return
	}
	e.tomb.Kill(nil)
	<-e.done
}
