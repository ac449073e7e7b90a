package sqlite

import (
	"math"
	"math/rand"
	"slices"
	"testing"
)

func TestBlock(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	random := make([]int64, 1000)
	rising, zero := slices.Clone(random), slices.Clone(random)
	for i := range random {
		random[i] = rng.Int63() - rng.Int63()
		rising[i] = 1_700_000_000_000_000 + int64(i)*37
	}
	for name, cols := range map[string][][]int64{
		"none":    {{}, {}},
		"one":     {{7}},
		"extreme": {{math.MinInt64, math.MaxInt64, 0, -1}},
		"several": {random, rising, zero},
	} {
		data := appendBlock(nil, cols...)
		b := &block{cols: [][]int64{{1, 2, 3}}}
		for range 2 { // the second time with buffers
			if err := b.decode(data); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i, want := range cols {
				for j := range want {
					if got := b.at(i, j); got != want[j] {
						t.Fatalf("%s: column %d row %d is %d, want %d", name, i, j, got, want[j])
					}
				}
			}
		}
	}
	if n := len(appendBlock(nil, rising)); n > 100 {
		t.Errorf("1000 rising numbers take %d bytes", n)
	}
}

func FuzzBlock(f *testing.F) {
	f.Add(appendBlock(nil, []int64{1, 2, 3}, []int64{0, 0, 0}))
	f.Add([]byte{blockVersion, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var b block
		if b.decode(data) == nil {
			for _, c := range b.cols {
				if c != nil && len(c) != b.rows {
					t.Errorf("%d values in %d rows", len(c), b.rows)
				}
			}
		}
	})
}
