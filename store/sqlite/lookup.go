package sqlite

import (
	"cmp"
	"slices"

	"mailfail/store"
)

// lookupEntry is a row of the table lookup.
type lookupEntry struct {
	day, ref int64
	hash     int32
}

// lookupHash is what an id or an address is found by.
func lookupHash(s string) int32 { return int32(hash64(s)) }

// dayOf returns the day of a time in microseconds.
func dayOf(time int64) int64 {
	m := store.Minute(time)
	return (m - mod(m, minutesPerDay)) / minutesPerDay
}

// find lets a message be found by s.
func (w *Writer) findMessage(s string, time, id int64) {
	if s != "" {
		w.lookups = append(w.lookups, lookupEntry{dayOf(time), 2 * id, lookupHash(s)})
	}
}

func (w *Writer) findRejection(s string, time, id int64) {
	if s != "" {
		w.lookups = append(w.lookups, lookupEntry{dayOf(time), 2*id + 1, lookupHash(s)})
	}
}

// flushLookups writes the entries in their order, which spares SQLite most of the
// work.
func (w *Writer) flushLookups() {
	slices.SortFunc(w.lookups, func(a, b lookupEntry) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.hash, b.hash), cmp.Compare(a.ref, b.ref))
	})
	for _, l := range slices.Compact(w.lookups) {
		w.sink.exec("INSERT OR IGNORE INTO lookup VALUES (?,?,?)", l.day, int64(l.hash), l.ref)
	}
	w.lookups = w.lookups[:0]
}
