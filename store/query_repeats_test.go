package store

import (
	"context"
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
