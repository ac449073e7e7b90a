package sqlite

import (
	"math/rand"
	"testing"
)

// Of the versions of a row, in whatever order they come and however often, the newest
// counts, unless it says that the row is gone.
func TestVersioned(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 200 {
		v, want := newVersioned(), map[int64]int64{}
		newest := map[int64]int64{}
		b, versions := &block{cols: make([][]int64, 2)}, []int64(nil)
		for n := rng.Intn(40); n >= 0; n-- {
			origin := rng.Int63n(3)
			id := viewID(origin, 1+rng.Int63n(5)*seenPage/2)
			version := 1 + rng.Int63n(6)
			gone := (id+version)%4 == 0 // what a version says is always the same
			v.seen.add(origin, id)
			value := id*10 + version
			if version > newest[id] {
				newest[id], want[id] = version, value
				if gone {
					delete(want, id)
				}
			}
			if gone {
				version, v.deleted = -version, true
			}
			b.cols[0], b.cols[1], versions = append(b.cols[0], id), append(b.cols[1], value), append(versions, version)
			if b.rows++; rng.Intn(10) == 0 {
				v.blocks, v.of = append(v.blocks, b), append(v.of, versions)
				b, versions = &block{cols: make([][]int64, 2)}, nil
			}
		}
		v.blocks, v.of = append(v.blocks, b), append(v.of, versions)
		for _, b := range v.current() {
			for i := range b.rows {
				if id := b.cols[0][i]; want[id] != b.cols[1][i] {
					t.Fatalf("row %d is %d, want %d", id, b.cols[1][i], want[id])
				} else {
					delete(want, id)
				}
			}
		}
		if len(want) > 0 {
			t.Fatalf("missing: %v", want)
		}
	}
}

// Questions for series take those that are near to each other together.
func TestFewSeries(t *testing.T) {
	list := func(origin, from, n, step int64) (refs []int64) {
		for i := range n {
			refs = append(refs, viewID(origin, from+i*step))
		}
		return refs
	}
	for _, test := range []struct {
		refs []int64
		want int
	}{
		{list(0, 1, 1, 1), 1},
		{append(list(0, 1, 10, 1), list(1, 1, 10, 1)...), 10},
		{list(2, 5, 100_000, 3), 100_000},
		{list(2, 5, 200_000, 3), (SeriesAtOnce + 2) / 3},
		{list(0, 7, 10_000, 1_000), fetchSize},
		{append(list(1, 7, 1_500, 1_000), list(2, 1, 1_000, 1)...), 1_500},
	} {
		if got := fewSeries(test.refs); got != test.want {
			t.Errorf("%d of %d, want %d", got, len(test.refs), test.want)
		}
	}
}
