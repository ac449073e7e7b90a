package investigate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortByKeepsTheOrderOfEqualElements(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 500} {
		list := make([]use, n)
		for i := range list {
			list[i] = use{host: int32(r.IntN(3)), domain: int32(r.IntN(9)), place: int32(i)}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b use) int { return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.domain, b.domain)) })
		if got := sortBy(list, useHost, useDomain); !slices.Equal(got, want) {
			t.Errorf("%d elements: got %v, want %v", n, got, want)
		}
	}
}
