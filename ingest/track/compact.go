package track

import (
	"cmp"
	"container/heap"
	"time"

	"mailfail/registry"
)

// A message ends with its End record. Logs may lack that: a filtered one, one of a
// server that writes none (parsers.Format.Ends), and one of a message that was
// refused after it got its queue id. So a message that is finished, as far as is
// known, ends when nothing was heard of it for a while in the time of the logs.
const (
	// endAfter is how long after its last line a message ends whose recipients all
	// have a final state.
	endAfter = time.Hour
	// endEmptyAfter is the same for a message of which no recipient is known.
	endEmptyAfter = 24 * time.Hour
)

// finished reports whether nothing more is expected of m.
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

// done reports whether m has ended with its last recipient, as it does where the log
// says no other end. Lines of one message follow each other closely, so that this
// is asked at the end of a batch only: an alias may have more recipients.
func (m *message) done() bool {
	return !m.format.Ends && m.expects > 0 && len(m.recipients) > 0 && m.finished()
}

// due returns when m ends if it is finished, and nothing more is heard of it.
func (m *message) due() int64 {
	if len(m.recipients) == 0 {
		return m.last + endEmptyAfter.Microseconds()
	}
	return m.last + endAfter.Microseconds()
}

// over reports whether m has ended by the time of the newest record. Who asks for a
// message that is over gets none, so that it means nothing when compact removes it.
func (m *message) over(newest int64) bool { return newest >= m.due() && m.finished() }

// compact removes the messages that are over.
func (t *Tracker) compact() error {
	for len(t.finished) > 0 && t.finished[0].due <= t.newest {
		next := heap.Pop(&t.finished).(appointment)
		m, err := t.lookup(next.key) // which drops it
		if err != nil {
			return err
		}
		if m != nil && !m.dirty && m.finished() { // else it comes again when it is stored
			t.finished.push(next.key, m.due())
		}
	}
	return nil
}

// Full reports whether the batch has to end, because as many messages as can be kept
// have changed in it and are not over.
func (t *Tracker) Full() (bool, error) {
	if t.dirty < maxDirty {
		return false, nil
	}
	kept := t.touched[:0]
	for _, m := range t.touched {
		switch {
		case m == nil: // ended since
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

// appointment is a message to look at when a record is as new as due.
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
