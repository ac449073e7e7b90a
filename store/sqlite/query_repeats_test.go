package sqlite

import (
	"context"
	"fmt"
	"mailfail/store"
	"slices"
	"testing"
	"time"
)

// Send logs are left out of what is shown live as soon as tracking logs are
// known to report the same mail.
func TestRepeats(t *testing.T) {
	f := newFixture(t)
	f.addCount(fixtureCount{minute: 10, series: f.addSeries(fixtureSeries{format: store.TrackingFormat, host: "h1"}), delivered: 1})
	send, tracking := &store.Event{Format: store.SendFormat, MTA: "exchange", Host: "h1", Outcome: "failed"}, &store.Event{Format: store.TrackingFormat, MTA: "exchange", Host: "h1", Outcome: "failed"}
	then, later := store.Window{Since: time.UnixMicro(10 * store.MinuteMicros)}, store.Window{Since: time.UnixMicro(11 * store.MinuteMicros)}
	for _, test := range []struct {
		name   string
		window store.Window
		filter store.Filter
		events []*store.Event
		want   string
	}{
		{"nothing is known", later, store.Filter{}, []*store.Event{send, send}, ".."},
		{"until the other is seen", later, store.Filter{}, []*store.Event{send, tracking, send}, "..x"},
		{"known from before", then, store.Filter{}, []*store.Event{send, tracking, send}, "x.x"},
		{"asked for alone", then, store.Filter{MTAs: []string{"exchange-smtpsend"}}, []*store.Event{send, tracking, send}, "..."},
		{"another host", then, store.Filter{Hosts: []string{"h2"}}, []*store.Event{send, tracking, send}, "..."},
		{"another log", then, store.Filter{}, []*store.Event{{Format: "postfix", MTA: "postfix"}}, "."},
	} {
		r, err := f.db.Repeats(context.Background(), test.window, test.filter)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range test.events {
			got += map[bool]string{true: "x", false: "."}[r.Has(e)]
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// What is known is found without the dictionaries, which may be most of a database.
func TestRepeatsReadsNoDictionary(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	for _, formats := range [][]string{{"postfix"}, {"postfix", store.SendFormat}, {"postfix", store.TrackingFormat, store.SendFormat}} {
		f := newFixture(t)
		f.exec("BEGIN")
		for i := range 3000 {
			f.addCount(fixtureCount{minute: 10, series: f.addSeries(fixtureSeries{format: formats[i%len(formats)], host: "h1", domain: fmt.Sprint(i)}), delivered: 1})
		}
		f.exec("COMMIT")
		q := f.db
		for _, filter := range []store.Filter{{}, {Hosts: []string{"H1"}}, {MTAs: []string{"exchange"}}} {
			allocations := testing.AllocsPerRun(1, func() {
				r, err := q.Repeats(t.Context(), store.Window{Since: minute(5)}, filter)
				tracked := err == nil && r.Has(&store.Event{Format: store.SendFormat})
				if err != nil || tracked != slices.Contains(formats, store.TrackingFormat) {
					t.Errorf("%v, %+v: tracked %v, %v", formats, filter, tracked, err)
				}
			})
			if allocations > 500 {
				t.Errorf("%v, %+v: %v allocations", formats, filter, allocations)
			}
		}
	}
}
