package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Send logs are left out of what is shown live as soon as tracking logs are
// known to report the same mail.
func TestRepeats(t *testing.T) {
	f := newFixture(t)
	f.addCount(fixtureCount{minute: 10, series: f.addSeries(fixtureSeries{format: trackingFormat, host: "h1"}), delivered: 1})
	send, tracking := &Event{Format: sendFormat, MTA: "exchange", Host: "h1", Outcome: "failed"}, &Event{Format: trackingFormat, MTA: "exchange", Host: "h1", Outcome: "failed"}
	then, later := Window{Since: time.UnixMicro(10 * minuteMicros)}, Window{Since: time.UnixMicro(11 * minuteMicros)}
	for _, test := range []struct {
		name   string
		window Window
		filter Filter
		events []*Event
		want   string
	}{
		{"nothing is known", later, Filter{}, []*Event{send, send}, ".."},
		{"until the other is seen", later, Filter{}, []*Event{send, tracking, send}, "..x"},
		{"known from before", then, Filter{}, []*Event{send, tracking, send}, "x.x"},
		{"asked for alone", then, Filter{MTAs: []string{"exchange-smtpsend"}}, []*Event{send, tracking, send}, "..."},
		{"another host", then, Filter{Hosts: []string{"h2"}}, []*Event{send, tracking, send}, "..."},
		{"another log", then, Filter{}, []*Event{{Format: "postfix", MTA: "postfix"}}, "."},
	} {
		r, err := NewQuery(f.db.Reader()).Repeats(context.Background(), test.window, test.filter)
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
	for _, formats := range [][]string{{"postfix"}, {"postfix", sendFormat}, {"postfix", trackingFormat, sendFormat}} {
		f := newFixture(t)
		f.exec("BEGIN")
		for i := range 3000 {
			f.addCount(fixtureCount{minute: 10, series: f.addSeries(fixtureSeries{format: formats[i%len(formats)], host: "h1", domain: fmt.Sprint(i)}), delivered: 1})
		}
		f.exec("COMMIT")
		q := NewQuery(f.db.Reader())
		for _, filter := range []Filter{{}, {Hosts: []string{"H1"}}, {MTAs: []string{"exchange"}}} {
			allocations := testing.AllocsPerRun(1, func() {
				r, err := q.Repeats(t.Context(), Window{Since: minute(5)}, filter)
				if err != nil || r.tracked != slices.Contains(formats, trackingFormat) {
					t.Errorf("%v, %+v: tracked %v, %v", formats, filter, r.tracked, err)
				}
			})
			if allocations > 500 {
				t.Errorf("%v, %+v: %v allocations", formats, filter, allocations)
			}
		}
	}
}
