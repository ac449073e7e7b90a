package storetest

import (
	"slices"
	"testing"
	"time"

	"mailfail/store"
)

// flowSum adds up a flow by place, and its failures by reason.
type flowSum struct {
	places []store.FlowPlace
	causes []store.FlowCause
	sums   map[store.FlowPlace]*store.Point
	firsts map[string]int64
	ids    []int64
}

func (f *flowSum) AddPlace(p *store.FlowPlace) {
	place := *p
	place.Names = [6]int32{} // the numbers differ from answer to answer
	f.places = append(f.places, place)
}
func (f *flowSum) AddCause(c *store.FlowCause) { f.causes = append(f.causes, *c) }

func (f *flowSum) at(place int32) *store.Point {
	p := f.places[place]
	if f.sums[p] == nil {
		f.sums[p] = &store.Point{}
	}
	return f.sums[p]
}

func (f *flowSum) AddCounts(rows *store.FlowRows) {
	for i, place := range rows.Place {
		n := func(column []int64) int64 {
			if column == nil {
				return 0
			}
			return column[i]
		}
		f.at(place).Add(&store.Point{Accepted: n(rows.Accepted), Recipients: n(rows.Recipients),
			Delivered: n(rows.Delivered), Suspended: n(rows.Suspended)})
	}
}

func (f *flowSum) AddFailure(e *store.FlowFailure) {
	f.at(e.Place).First++
	f.firsts[f.causes[e.Cause].Reason]++
	f.ids = append(f.ids, e.ID)
}

// checkFlow compares a flow with a timeline.
func checkFlow(t *testing.T, r store.Reader, w store.Window, f store.Filter) {
	t.Helper()
	got := &flowSum{sums: map[store.FlowPlace]*store.Point{}, firsts: map[string]int64{}}
	windows := []store.Window{w}
	if middle := minute(37); w.Since.Before(middle) { // the same in two parts
		windows = []store.Window{{Since: w.Since, Until: middle}, {Since: middle, Until: w.Until}}
	}
	if err := r.Flow(t.Context(), windows, f, got); err != nil {
		t.Fatal(err)
	}
	if unique := slices.Compact(slices.Sorted(slices.Values(got.ids))); len(unique) != len(got.ids) {
		t.Errorf("%d failures, %d ids", len(got.ids), len(unique))
	}
	replies, err := r.Replies(t.Context(), got.ids)
	if err != nil || len(replies) != len(got.ids) {
		t.Errorf("%d replies of %d failures, %v", len(replies), len(got.ids), err)
	}
	by := []store.Dimension{store.ByHost, store.ByInstance, store.BySender, store.ByDomain, store.ByRelay,
		store.ByProvider, store.ByReason}
	line, err := r.Timeline(t.Context(), w, f, by, 100*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	want, firsts := map[store.FlowPlace]*store.Point{}, map[string]int64{}
	for _, s := range line.Slices {
		v := s.Values
		place := store.FlowPlace{Host: v[0], Instance: v[1], Sender: v[2], Domain: v[3], Relay: v[4],
			Provider: v[5]}
		for _, p := range s.Points {
			if want[place] == nil {
				want[place] = &store.Point{}
			}
			want[place].Add(&store.Point{
				Accepted:   p.Accepted,
				Recipients: p.Recipients,
				Delivered:  p.Delivered,
				Suspended:  p.Suspended,
				First:      p.First,
			})
			firsts[v[6].Raw()] += p.First
		}
	}
	for place, p := range want {
		g := store.Point{}
		if got.sums[place] != nil {
			g = *got.sums[place]
		}
		if f.OfCause() { // a flow counts mail without failures even then
			p.Accepted, p.Recipients, p.Delivered, p.Suspended = g.Accepted, g.Recipients,
				g.Delivered, g.Suspended
		}
		if g != *p {
			t.Errorf("flow at %+v: %+v, timeline %+v", place, g, *p)
		}
	}
	for place, p := range got.sums {
		if want[place] == nil && (p.First > 0 || !f.OfCause() && *p != (store.Point{})) {
			t.Errorf("flow at %+v: %+v, timeline nothing", place, *p)
		}
	}
	for reason, n := range firsts {
		if got.firsts[reason] != n {
			t.Errorf("%d first failures of %s, timeline %d", got.firsts[reason], reason, n)
		}
	}
}
