package main

import (
	"context"
	"sync"
	"time"

	"mailfail/report/live"
	"mailfail/store"
)

// narrowing keeps the counters for a typed filter that the counters of the screen do
// not count by. It counts every event once: new counters begin with the contents of the
// database, and an event that was read is either committed by then or counted later.
type narrowing struct {
	f  *follow
	db store.Database

	batch sync.Mutex // held while there are counted events that are not committed
	held  bool       // by the reading goroutine

	stats  *live.Stats // nil: not asked for yet
	filter store.Filter
}

// begin is called before an event is counted, and end once all of them are committed,
// by the reading goroutine.
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

// to returns counters of the events that pass a filter. It stops counting for the last
// ones.
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
