package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConnections(t *testing.T) {
	f := newFixture(t)
	at := func(format, relay string) int {
		return f.addSeries(fixtureSeries{format: format, host: "h1", relay: relay, provider: relay})
	}
	dns := f.addCause(fixtureCause{signature: "no such domain", reason: "dns"})
	busy := f.addCause(fixtureCause{reply: 421, enhanced: "4.3.2", signature: "busy", reason: "system"})
	blocked := f.addCause(fixtureCause{reply: 554, enhanced: "5.7.1", signature: "blocked", reason: "blocklist"})
	add := func(minute int64, series, cause int, n, messages int64, text string) {
		session, _, _ := strings.Cut(text, ": ")
		f.exec("INSERT INTO connections VALUES (?,?,?,?,?,?,?)", minute, series+1, cause+1, session, n, messages, text)
	}
	const none = -1 // it could be used
	add(10, at("exchange-connectivity", "a.test"), none, 3, 5, "")
	add(10, at("exchange-connectivity", "a.test"), busy, 1, 0, "busy z")
	add(11, at("exchange-connectivity", "a.test"), busy, 1, 0, "busy b")
	add(11, at("exchange-connectivity", "a.test"), dns, 1, 0, "no a")
	add(12, at("exchange-connectivity", "b.test"), none, 2, 2, "")
	add(13, at("exchange-connectivity", "c.test"), dns, 4, 0, "no c")
	add(13, at("exchange-smtpsend", "mx.a.test"), busy, 7, 0, "busy mx")
	add(13, at("exchange-connectivity", "d.test"), dns, 1, 0, "S1: retry")
	add(13, at("exchange-smtpsend", "192.0.2.1"), blocked, 1, 0, "S1: go away")

	// Attempts of the other log are left out at the same time.
	f.addCount(fixtureCount{minute: 13, series: f.addSeries(fixtureSeries{format: "exchange-tracking", host: "h1", domain: "a.test"}), messages: 1})

	minute := func(n int64) time.Time { return time.UnixMicro(n * minuteMicros) }
	for _, test := range []struct {
		name   string
		window Window
		filter Filter
		want   []string
	}{
		{"all, from the better log", Window{}, Filter{}, []string{
			"c.test 4 4 0 dns 13-13: no c", "a.test 6 3 5 421 4.3.2 system 10-11: busy b", "d.test 1 1 0 554 5.7.1 blocklist 13-13: S1: go away", "b.test 2 0 2 "}},
		{"a window", Window{Since: minute(10), Until: minute(11)}, Filter{}, []string{"a.test 4 1 5 421 4.3.2 system 10-10: busy z"}},
		{"a window without the better log", Window{Since: minute(14)}, Filter{}, nil},
		{"the other log alone", Window{}, Filter{MTAs: []string{"exchange-smtpsend"}}, []string{"mx.a.test 7 7 0 421 4.3.2 system 13-13: busy mx", "192.0.2.1 1 1 0 554 5.7.1 blocklist 13-13: S1: go away"}},
		{"a domain", Window{}, Filter{Domains: []string{"*.test"}, Providers: []string{"b.test"}}, []string{"b.test 2 0 2 "}},
		{"a code", Window{}, Filter{Codes: []string{"4xx"}}, []string{"a.test 2 2 0 421 4.3.2 system 10-11: busy b"}},
		{"a code of the other log", Window{}, Filter{Codes: []string{"554"}}, []string{"d.test 1 1 0 554 5.7.1 blocklist 13-13: S1: go away"}},
		{"a reason", Window{}, Filter{Reasons: []string{"dns"}}, []string{"c.test 4 4 0 dns 13-13: no c", "a.test 1 1 0 dns 11-11: no a"}},
		{"a sender", Window{}, Filter{Senders: []string{"s.test"}}, nil},
	} {
		n, err := NewQuery(f.db.Reader()).Numbers(context.Background(), test.window, test.filter, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range n.Hops {
			line := fmt.Sprintf("%s %d %d %d ", h.Name, h.Connections, h.Failed, h.Messages)
			if h.Failed > 0 {
				if h.Code != "" {
					line += h.Code + " "
				}
				line += fmt.Sprintf("%s %d-%d: %s", h.Reason, h.First.Unix()/60, h.Last.Unix()/60, h.Example)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %q\nwant %q", test.name, got, test.want)
		}
		if n.Totals != (Tally{}) {
			t.Errorf("%s: connections are no attempts: %+v", test.name, n.Totals)
		}
	}
}
