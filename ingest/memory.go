package ingest

import (
	"runtime/debug"
	"runtime/metrics"
)

// memory bounds what the process takes. Go lets the heap grow to twice of what is in
// use. That is quick, and too much where there are many open messages: the more is
// in use, the sooner it collects, but never for less than leastGarbage. A small heap
// is left alone up to heapQuiet, which any log needs sooner or later.
type memory struct{ before int } // GC percent of the process

const (
	heapGoal     = 36 << 20
	heapQuiet    = 24 << 20
	heapLeast    = 4 << 20 // of less Go takes the percent of this
	mostGarbage  = 100     // percent of what is in use: what Go does by itself
	leastGarbage = 30
)

// bound is called now and then.
func (m *memory) bound() {
	sample := [1]metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(sample[:]); sample[0].Value.Kind() != metrics.KindUint64 {
		return
	}
	live := max(heapLeast, int64(sample[0].Value.Uint64()))
	upTo := func(size int64) int64 { return 100 * (size - live) / live }
	before := debug.SetGCPercent(int(max(leastGarbage, min(mostGarbage, upTo(heapGoal)), upTo(heapQuiet))))
	if m.before == 0 {
		m.before = before
	}
}

// release goes back to what was set before.
func (m *memory) release() {
	if m.before != 0 {
		debug.SetGCPercent(m.before)
	}
}
