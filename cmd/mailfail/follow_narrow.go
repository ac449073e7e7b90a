package main

import (
	"context"
	"sync"
	"time"

	"mailfail/report/live"
	"mailfail/store"
)

// narrowing keeps the counters of what passes a filter that was typed, when the
// counters of the screen do not count by it. It counts every event once: new
// counters begin with what the database holds, and what is read is either committed
// then or counted later.
type narrowing struct {
	f  *follow
	db store.Database

	batch sync.Mutex // held while events were seen that are not committed
	held  bool       // by the goroutine that reads

	stats  *live.Stats // nil: nobody has asked
	filter store.Filter
}

// begin is called before an event is counted, and end once all of them are
// committed, by the goroutine that reads.
func (n *narrowing) begin() {
	if !n.held {
		n.batch.Lock()
		n.held = true
	}
}

func (n *narrowing) end() {
	if n.held {
		n.held = false
		n.batch.Unlock()
	}
}

// add counts an event. It is called between begin and end.
func (n *narrowing) add(e *store.Event, now time.Time) {
	if n.stats != nil && n.filter.Match(e) {
		n.stats.Add(n.f.public(e), now)
	}
}

// to returns counters of what passes a filter, instead of the last ones.
func (n *narrowing) to(ctx context.Context, filter store.Filter) (*live.Stats, error) {
	n.batch.Lock()
	defer n.batch.Unlock()
	n.stats = nil
	stats := live.NewStats()
	if err := n.f.remember(ctx, n.db, both(n.f.filter, filter), stats); err != nil {
		return nil, err
	}
	n.stats, n.filter = stats, filter
	return stats, nil
}
