package ingest_test

import (
	"bytes"
	"path/filepath"
	"runtime"
	"testing"
)

// What a line costs in allocations, of a generated day of which one line in thirty is
// a failure. What is measured is the second of two logs: the first one fills the
// dictionaries of the process. It does not depend on the machine or on its load; who
// has a reason to spend more changes the figure, and says why.
func TestAllocationsPerLine(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a log of 75,000 lines twice")
	}
	log, _ := generated(t, 10_000)
	lines := bytes.Count(log, []byte{'\n'})
	path := filepath.Join(t.TempDir(), "mail.log")
	writeFile(t, path, log)
	var before, after runtime.MemStats
	for range 2 {
		db := openStore(t)
		runtime.ReadMemStats(&before)
		read(t, db, path)
		runtime.ReadMemStats(&after)
	}
	const mostPerHundred, mostBytes = 95, 380
	if n := 100 * (after.Mallocs - before.Mallocs) / uint64(lines); n > mostPerHundred {
		t.Errorf("%d allocations for a hundred of %d lines, want no more than %d", n, lines, mostPerHundred)
	} else {
		t.Logf("%d allocations for a hundred lines", n)
	}
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(lines); n > mostBytes {
		t.Errorf("%d bytes for each of %d lines, want no more than %d", n, lines, mostBytes)
	} else {
		t.Logf("%d bytes a line", n)
	}
}
