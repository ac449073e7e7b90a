package report

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"mailfail/registry"
	"mailfail/store"
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

// Domains without a server that are many and small, while other mail is delivered, are
// mistyped: the advice must not send anyone to look at port 25. Advice is for those that
// wait when these are more.
func TestWhatToDoWhenScattered(t *testing.T) {
	for name, test := range map[string]struct {
		domains, each, failed int
		delivered             int64
		want                  registry.Situation
	}{
		"mistyped":                {40, 1, 3, 900, registry.Situation{Scattered: true}},
		"given up":                {40, 1, 30, 900, registry.Situation{Scattered: true, State: registry.StateBounced}},
		"one domain is most":      {40, 10, 3, 900, registry.Situation{}},
		"few domains":             {9, 1, 0, 900, registry.Situation{}},
		"hardly anything got out": {40, 1, 3, 79, registry.Situation{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Report{Numbers: &store.Numbers{Totals: tally(test.delivered, 0, 0, 0)}, location: time.UTC, trouble: newTrouble(false)}
			var id int64
			add := func(domain string) {
				id++
				a := store.Affected{ID: id, Tried: true, FirstSeen: day, LastSeen: day, LastFailure: &store.LastFailure{Reason: "connection"},
					Destination: &store.Destination{Sender: "shop.example", Domain: registry.Foreign(domain)}}
				if id <= int64(test.failed) {
					a.State = registry.StateBounced
				}
				r.trouble.add(&a, day.Add(time.Hour))
			}
			for i := range test.domains {
				add(fmt.Sprintf("d%d.example", i))
			}
			for range test.each - 1 {
				add("d0.example")
			}
			p := r.View(PageRows).section("problems")
			if p == nil || len(p.Problems) != 1 {
				t.Fatalf("problems %+v", p)
			}
			if want := advice("connection", test.want); p.Problems[0].Do != want {
				t.Errorf("to do %q, want %q", p.Problems[0].Do, want)
			}
		})
	}
}
