package report

import (
	"cmp"
	"math/rand"
	"slices"
	"testing"
)

// The first elements are those of the sorted list, whatever is equal, and however
// long the list.
func TestFirst(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	for range 2000 {
		list := make([]int, rng.Intn(40))
		for i := range list {
			list[i] = rng.Intn(1 + rng.Intn(30))
		}
		n := rng.Intn(len(list) + 5)
		want := slices.Sorted(slices.Values(list))[:min(n, len(list))]
		got := first(slices.Clone(list), n, cmp.Compare[int])
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("the first %d of %v are %v, want %v", n, list, got, want)
		}
	}
}
