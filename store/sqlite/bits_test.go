package sqlite

import (
	"math"
	"math/rand"
	"slices"
	"testing"
)

func TestSorted(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	random := make([]uint32, 300)
	for i := range random {
		random[i] = rng.Uint32()
	}
	var data []byte
	var want []uint32
	for _, list := range [][]uint32{{}, {0}, {math.MaxUint32}, {7, 7, 7}, {0, math.MaxUint32, math.MaxUint32}, random} {
		slices.Sort(list)
		data = appendSorted(data, list)
		want = append(want, list...)
	}
	got, err := decodeSorted(nil, data)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d numbers became %d others, %v", len(want), len(got), err)
	}
	// Of 300 numbers in 2^32 a gap has 23.8 bits, and the order saves nothing else.
	if n := 8 * len(appendSorted(nil, random)) / len(random); n > 25 {
		t.Errorf("a random number takes %d bits", n)
	}
}

func TestSortHashes(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for _, n := range []int{0, 1, 255, 256, 257, 5_000} {
		list := make([]uint32, n)
		for i := range list {
			list[i] = rng.Uint32() >> rng.Intn(32)
		}
		want := slices.Sorted(slices.Values(list))
		sortHashes(list, make([]uint32, n))
		if !slices.Equal(list, want) {
			t.Errorf("%d numbers are not sorted", n)
		}
	}
}

func FuzzDecodeSorted(f *testing.F) {
	f.Add(appendSorted(nil, []uint32{1, 5, 1 << 30}))
	f.Add([]byte{1, 32, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeSorted(nil, data)
		if err != nil || !slices.IsSorted(list) {
			return
		}
		again, err := decodeSorted(nil, appendSorted(nil, list))
		if err != nil || !slices.Equal(again, list) {
			t.Errorf("%v became %v, %v", list, again, err)
		}
	})
}
