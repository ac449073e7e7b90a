package track

import (
	"cmp"
	"container/heap"
	"time"

	"mailfail/registry"
)

// A message ends with its End record. Some logs lack that: a filtered log, the log of a
// server that writes none (parsers.Format.Ends), and the log of a message that was
// refused after it got its queue id. So a message that is finished, as far as is known,
// ends when there was no record of it for a while, in the time of the logs.
const (
	// endAfter is how long after its last line a message ends when all its recipients
	// have a final state.
	endAfter = time.Hour
	// endEmptyAfter is the same for a message without a known recipient.
	endEmptyAfter = 24 * time.Hour
)

// finished reports whether no further record of m is expected.
func (m *message) finished() bool {
	if m.roaming || int64(len(m.recipients)) < m.expects {
		return false
	}
	for i := range m.recipients {
		r := &m.recipients[i]
		if r.weak || r.state == registry.StatePending && !r.isReplaced() {
			return false
		}
	}
	return true
}

// done reports whether m has ended with its last recipient, as it does if the log has no
// End records. Lines of one message follow each other closely, so this is checked only at
// the end of a batch: an alias may add more recipients.
func (m *message) done() bool {
	return !m.format.Ends && m.expects > 0 && len(m.recipients) > 0 && m.finished()
}

// due returns when m ends if it is finished and has no further record, in microseconds.
func (m *message) due() int64 {
	if len(m.recipients) == 0 {
		return m.last + endEmptyAfter.Microseconds()
	}
	return m.last + endAfter.Microseconds()
}

// over reports whether m has ended by the time of the newest record. lookup never returns
// such a message, so that results do not depend on when compact removes it.
func (m *message) over(newest int64) bool { return newest >= m.due() && m.finished() }

// compact removes the messages that are over.
func (t *Tracker) compact() error {
	for len(t.finished) > 0 && t.finished[0].due <= t.newest {
		next := heap.Pop(&t.finished).(appointment)
		m, err := t.lookup(next.key) // lookup drops it if it is over
		if err != nil {
			return err
		}
		if m != nil && !m.dirty && m.finished() { // otherwise it is pushed again when it is stored
			t.finished.push(next.key, m.due())
		}
	}
	return nil
}

// Full reports whether the batch has to end, because as many messages as may be kept in
// memory have changed in it and are not over.
func (t *Tracker) Full() (bool, error) {
	if t.dirty < maxDirty {
		return false, nil
	}
	kept := t.touched[:0]
	for _, m := range t.touched {
		switch {
		case m == nil: // it has ended
		case m.over(t.newest):
			if err := t.drop(m); err != nil {
				return false, err
			}
		default:
			m.place = len(kept)
			kept = append(kept, m)
		}
	}
	clear(t.touched[len(kept):])
	t.touched = kept
	return t.dirty > maxDirty/2, nil
}

// appointment is a message to check when the newest record is as late as due.
type appointment struct {
	key []byte
	due int64
}

// agenda is a heap of appointments, the earliest first.
type agenda []appointment

func (a *agenda) push(key []byte, due int64) { heap.Push(a, appointment{key, due}) }

// The methods of heap.Interface.
func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return cmp.Less(a[i].due, a[j].due) }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(appointment)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	(*a)[last] = appointment{}
	*a = (*a)[:last]
	return x
}
