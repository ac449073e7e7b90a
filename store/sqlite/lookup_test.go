package sqlite

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailfail/store"
)

// blocksFrom sets how many entries are worth blocks, for a test.
func blocksFrom(t *testing.T, n int) {
	before := lookupMin
	lookupMin = n
	t.Cleanup(func() { lookupMin = before })
}

// Whatever is in rows, in blocks, or in both is found, by hash and by day.
func TestFindLookups(t *testing.T) {
	for _, some := range []bool{false, true} {
		t.Run(fmt.Sprintf("some blocks at a time=%t", some), func(t *testing.T) {
			if some {
				defer func(blocks, chunk int) { runBlocks, runChunk = blocks, chunk }(runBlocks, runChunk)
				runBlocks, runChunk = 1, 10
			}
			findLookupsOf(t)
		})
	}
}

func findLookupsOf(t *testing.T) {
	blocksFrom(t, 16)
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	rng := rand.New(rand.NewSource(1))
	var all []lookupEntry
	for batch := range 60 {
		begin(t, w)
		for range rng.Intn(100) {
			// Some hashes are there often, as those of a mailing list are.
			e := lookupEntry{day: int32(rng.Intn(4)) - 1, ref: int64(rng.Intn(1 << 20)), hash: int32(rng.Uint32())}
			if rng.Intn(3) == 0 {
				e.hash = int32(rng.Intn(3)) - 1
			}
			if rng.Intn(50) == 0 {
				e.ref, e.hash = math.MaxInt64-int64(rng.Intn(2)), math.MinInt32
			}
			w.lookups, all = append(w.lookups, e), append(all, e)
		}
		commit(t, w)
		if batch%20 == 0 {
			if err := w.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	rows, runs := one(t, db, "SELECT count(*) FROM lookup"), one(t, db, "SELECT count(DISTINCT run) FROM lookup_blocks")
	if rows == 0 || runs > 4*5 {
		t.Errorf("%d rows and %d runs for %d entries", rows, runs, len(all))
	}
	ranges := []lookupRange{allDays(math.MinInt32, math.MaxInt32), allDays(0, 0), {-1, 1, 0, 1}, {1, 1, 2, 2}, {math.MinInt32, math.MinInt32, -5, 5}, {0, 0, 7, 9}}
	for range 300 {
		e := all[rng.Intn(len(all))]
		ranges = append(ranges, lookupRange{int64(e.hash), int64(e.hash) + int64(rng.Intn(2)*rng.Intn(1<<28)), int64(e.day) - int64(rng.Intn(2)), int64(e.day)})
	}
	err := db.transaction(t.Context(), func(tx *tx) error {
		found, err := findLookups(tx.each, ranges)
		for i, r := range ranges {
			var want []int64
			for _, e := range all {
				if int64(e.hash) >= r.low && int64(e.hash) <= r.high && int64(e.day) >= r.since && int64(e.day) <= r.until {
					want = append(want, e.ref)
				}
			}
			slices.Sort(want)
			if want = slices.Compact(want); !slices.Equal(found[i], want) {
				t.Errorf("%d references of %+v, want %d", len(found[i]), r, len(want))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// twenty writes twenty messages of one day and returns their queue ids.
func twenty(t *testing.T, w *Writer, prefix string, at time.Time) (ids []string) {
	t.Helper()
	begin(t, w)
	series, err := w.Series(&store.SeriesKey{Format: "postfix", Domain: []byte("a.test")})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		ids = append(ids, fmt.Sprint(prefix, n))
		id, err := w.AddMessage(&store.Message{Format: "postfix", QueueID: ids[n], FirstSeen: at.UnixMicro()})
		if err != nil {
			t.Fatal(err)
		}
		r := w.AddRecipient(&store.Recipient{Message: id, Series: series, Address: "u@a.test", FirstSeen: at.UnixMicro(), LastSeen: at.UnixMicro()})
		if err := w.AddAttempt(&store.Attempt{Format: "postfix", Time: at.UnixMicro(), Recipient: r, Series: series, Text: "busy"}); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, w)
	return ids
}

// Blocks of messages are merged with their messages, and pruned with them.
func TestLookupBlocksFollowTheirRows(t *testing.T) {
	blocksFrom(t, 4)
	dir, day := t.TempDir(), time.Unix(1_700_000_000, 0)
	find := func(db *DB, ids []string, want int) {
		t.Helper()
		for _, id := range ids {
			stories, _, err := db.Trace(context.Background(), id)
			if err != nil || len(stories) != want {
				t.Fatalf("%s: %d messages, %v; want %d", id, len(stories), err, want)
			}
		}
	}
	var paths []string
	var ids [2][]string
	for i, prefix := range []string{"A", "B"} {
		paths = append(paths, filepath.Join(dir, prefix))
		_, w := open(t, paths[i])
		ids[i] = append(twenty(t, w, prefix+"1", day), twenty(t, w, prefix+"2", day.AddDate(0, 0, 9))...)
		w.Close()
	}
	db, w := open(t, filepath.Join(dir, "all"))
	w.Close()
	if _, err := db.Merge(t.Context(), paths); err != nil {
		t.Fatal(err)
	}
	find(db, slices.Concat(ids[0], ids[1]), 1)
	if stories, _, err := db.Trace(t.Context(), "u@a.test"); err != nil || len(stories) != 80 {
		t.Errorf("%d messages to an address, %v; want 80", len(stories), err)
	}
	before := one(t, db, "SELECT count(*) FROM lookup_blocks")
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Prune(t.Context(), store.Retention{Rows: day.AddDate(0, 0, 5)}, noMessage); err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		find(db, ids[i][:20], 0)
		find(db, ids[i][20:], 1)
	}
	if n := one(t, db, "SELECT count(*) FROM lookup_blocks"); n == 0 || n >= before {
		t.Errorf("%d blocks, before %d", n, before)
	}
}

// What is left of a block when its other entries were removed is small: the gap before
// the first of them may be larger than all others.
func TestRestOfLookupBlock(t *testing.T) {
	for _, rest := range [][]lookupEntry{
		{{5, 1, math.MaxInt32}},
		{{5, 1, math.MaxInt32 - 1}, {6, 1, math.MaxInt32}},
		{{5, 1, math.MinInt32}, {6, 1, math.MaxInt32}},
		{{5, 1, 0}, {6, 1, 0}, {7, 1, 0}},
	} {
		block := appendLookups(nil, math.MinInt32, rest)
		if len(block) > 30 {
			t.Errorf("%d entries take %d bytes", len(rest), len(block))
		}
		if again, err := decodeLookups(nil, 1, math.MinInt32, block); err != nil || !slices.Equal(again, rest) {
			t.Errorf("%v became %v, %v", rest, again, err)
		}
	}
}

// Blocks of lookups that are damaged are an error.
func FuzzDecodeLookups(f *testing.F) {
	f.Add(int64(-5), appendLookups(nil, -5, []lookupEntry{{7, 1, -4}, {1 << 40, 1, 1 << 30}}))
	f.Fuzz(func(t *testing.T, first int64, data []byte) {
		entries, err := decodeLookups(nil, 1, int64(int32(first)), data)
		if err != nil || len(entries) == 0 {
			return
		}
		ordered := new(sorting).inOrder(slices.Clone(entries))
		if ordered[0].hash < int32(first) || ordered[0].ref < 0 {
			return // its sums do not fit: no such block is written
		}
		block := appendLookups(nil, int32(first), ordered)
		if len(block) > 40+16*len(ordered) {
			t.Errorf("%d entries take %d bytes", len(ordered), len(block))
		}
		again, err := decodeLookups(nil, 1, int64(int32(first)), block)
		if err != nil || !slices.Equal(again, ordered) {
			t.Errorf("%v became %v, %v", ordered, again, err)
		}
	})
}

// A damaged block is an error of the database, not a message that is not there.
func TestDamagedLookupBlock(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	w.Close()
	if _, err := db.rw.Exec("INSERT INTO lookup_blocks VALUES (16, -2147483648, X'05')"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Trace(t.Context(), "4cX"); err == nil {
		t.Error("no error")
	}
}
