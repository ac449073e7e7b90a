package ingest

import (
	"runtime/debug"
	"runtime/metrics"
)

// memory bounds the heap of the process. By default Go lets the heap grow to twice its
// live size, which is too much when there are many open messages. The larger the live
// heap, the earlier the collector runs, but never for less garbage than leastGarbage
// percent. A heap below heapQuiet is not restricted: any log needs that much.
type memory struct{ before int } // GC percent of the process

const (
	heapGoal     = 36 << 20
	heapQuiet    = 24 << 20
	heapLeast    = 4 << 20 // a smaller live heap counts as this much
	mostGarbage  = 100     // percent of the live heap: Go's default
	leastGarbage = 30
)

// bound sets the GC percent for the current live heap. It is called now and then.
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

// release restores the GC percent that was set before the first bound.
func (m *memory) release() {
	if m.before != 0 {
		debug.SetGCPercent(m.before)
	}
}
