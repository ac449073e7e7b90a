package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"mailfail/store"
)

// An hour has room for some number of blocks. When they become many, they become
// larger; when there is no room at all, what is not kept is said to be missing, and
// nothing of it comes into the next hour.
func TestCrowdedHour(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	at := time.Date(2026, 11, 20, 10, 30, 0, 0, time.UTC)
	hour, sent := at.Unix()/3600, 0
	send := func() {
		t.Helper()
		begin(t, w)
		w.KeepDeliveries(0)
		series, err := w.Series(&store.SeriesKey{Format: "postfix", Domain: []byte("a.test")})
		if err != nil {
			t.Fatal(err)
		}
		sent++
		w.AddDelivery(&store.Delivery{Time: at.UnixMicro(), Series: series, QueueID: fmt.Append(nil, "id", sent), Address: fmt.Appendf(nil, "u%d@a.test", sent)})
		commit(t, w)
	}
	blocks := func(from int64) int64 {
		return one(t, db, fmt.Sprintf("SELECT count(*) FROM deliveries WHERE id BETWEEN %d AND %d", from, from+blocksPerHour-1))
	}
	last := func(rows, number int64) {
		t.Helper()
		begin(t, w)
		w.sink.exec("UPDATE deliveries SET rows = ?, id = ? WHERE id = (SELECT max(id) FROM deliveries)", rows, hour*blocksPerHour+number)
		commit(t, w)
	}
	for range 5 {
		send()
	}
	if n := blocks(hour * blocksPerHour); n != 1 {
		t.Errorf("5 small batches are in %d blocks", n)
	}
	last(maxDeliveries, blocksPerHour/2-1)
	send()
	if n := blocks(hour * blocksPerHour); n != 2 {
		t.Errorf("with a block that is full there are %d, want 2", n)
	}
	last(crowded*maxDeliveries-1, blocksPerHour-1)
	send()
	if n := blocks(hour * blocksPerHour); n != 2 {
		t.Errorf("in a crowded hour there are %d blocks, want 2", n)
	}
	last(crowded*maxDeliveries, blocksPerHour-1)
	send()
	at = at.Add(time.Hour)
	send()
	for number, want := range []int64{2, 1} {
		if n := blocks((hour + int64(number)) * blocksPerHour); n != want {
			t.Errorf("hour %d has %d blocks, want %d", number, n, want)
		}
	}
	for id, want := range map[string]int{"id7": 1, "id8": 0, "id9": 1} {
		found, err := db.Delivered(t.Context(), id)
		if err != nil || len(found.Rows) != want || found.From.Unix() != (hour+1)*3600 {
			t.Errorf("%s: %+v, %v; want %d", id, found, err, want)
		}
	}
}

// After a batch that was larger than usual, a follower does not keep its memory.
func TestMemoryOfALargeBatch(t *testing.T) {
	_, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	w.KeepDeliveries(0)
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	batch := func(n int) {
		begin(t, w)
		for i := range n {
			series, err := w.Series(&store.SeriesKey{Format: "postfix", Domain: fmt.Appendf(nil, "d%d.test", i%2000)})
			if err != nil {
				t.Fatal(err)
			}
			w.Count(series, at.UnixMicro(), store.Counts{Delivered: 1})
			w.AddDelivery(&store.Delivery{Time: at.UnixMicro(), Series: series, QueueID: fmt.Append(nil, "id", i), Address: fmt.Appendf(nil, "u%d@x.test", i)})
			at = at.Add(time.Millisecond)
		}
		commit(t, w)
	}
	caps := func() [4]int {
		return [4]int{cap(w.counts), cap(w.deliveries.rows), cap(w.deliveries.text) / 10, cap(w.sorting.list)}
	}
	batch(50_000)
	for i, n := range caps() {
		if n < 40_000 {
			t.Fatalf("buffer %d has room for %d: this test tests nothing", i, n)
		}
	}
	batch(100)
	for i, n := range caps() {
		if n > 4096 {
			t.Errorf("buffer %d has room for %d after a batch of 100", i, n)
		}
	}
}

// A crowded hour has larger blocks, but one row does not write a large block anew while
// there is room.
func TestIsJoined(t *testing.T) {
	const most = maxDeliveries
	for _, tt := range []struct {
		n, rows int
		room    int64
		want    bool
	}{
		{10, 5, 1000, true}, {11, 5, 1000, false}, {most, 1, 1000, false}, {most / 2, most / 2, 1000, true}, {most, most, 1000, false},
		{most, most, 500, true}, {most, 1, 500, false}, {2 * most, most, 500, false},
		{2 * most, most, 200, true}, {3 * most, most, 200, false}, {2 * most, 1, 200, false},
		{3 * most, 1, 20, true}, {3 * most, most, 0, true}, {4 * most, 1, 0, false},
	} {
		if got := isJoined(tt.n, tt.rows, tt.room); got != tt.want {
			t.Errorf("isJoined(%d, %d, %d) = %v", tt.n, tt.rows, tt.room, got)
		}
	}
}
