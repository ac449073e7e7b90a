package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"mailfail/store"
	"math/rand"
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

	minute := func(n int64) time.Time { return time.UnixMicro(n * store.MinuteMicros) }
	for _, test := range []struct {
		name   string
		window store.Window
		filter store.Filter
		want   []string
	}{
		{"all, from the better log", store.Window{}, store.Filter{}, []string{
			"c.test 4 4 0 dns 13-13: no c", "a.test 6 3 5 421 4.3.2 system 10-11: busy b", "d.test 1 1 0 554 5.7.1 blocklist 13-13: S1: go away", "b.test 2 0 2 "}},
		{"a window", store.Window{Since: minute(10), Until: minute(11)}, store.Filter{}, []string{"a.test 4 1 5 421 4.3.2 system 10-10: busy z"}},
		{"a window without the better log", store.Window{Since: minute(14)}, store.Filter{}, nil},
		{"the other log alone", store.Window{}, store.Filter{MTAs: []string{"exchange-smtpsend"}}, []string{"mx.a.test 7 7 0 421 4.3.2 system 13-13: busy mx", "192.0.2.1 1 1 0 554 5.7.1 blocklist 13-13: S1: go away"}},
		{"a domain", store.Window{}, store.Filter{Domains: []string{"*.test"}, Providers: []string{"b.test"}}, []string{"b.test 2 0 2 "}},
		{"a code", store.Window{}, store.Filter{Codes: []string{"4xx"}}, []string{"a.test 2 2 0 421 4.3.2 system 10-11: busy b"}},
		{"a code of the other log", store.Window{}, store.Filter{Codes: []string{"554"}}, []string{"d.test 1 1 0 554 5.7.1 blocklist 13-13: S1: go away"}},
		{"a reason", store.Window{}, store.Filter{Reasons: []string{"dns"}}, []string{"c.test 4 4 0 dns 13-13: no c", "a.test 1 1 0 dns 11-11: no a"}},
		{"a sender", store.Window{}, store.Filter{Senders: []string{"s.test"}}, nil},
	} {
		n, err := f.db.Numbers(context.Background(), test.window, test.filter, nil)
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
		if n.Totals != (store.Tally{}) {
			t.Errorf("%s: connections are no attempts: %+v", test.name, n.Totals)
		}
	}
}

// fixtureConnection is a row of connections; cause -1: it could be used.
type fixtureConnection struct {
	minute        int64
	series, cause int
	session       string
	n, messages   int64
	text          string
}

// referenceHops counts failed connections in the plainest way, all of them in
// memory: by next hop how many, and by minute, code and text what they were.
func (f *fixture) referenceHops(rows []fixtureConnection, w store.Window, filter store.Filter) map[string]int64 {
	since, until := w.Micros()
	rows = slices.DeleteFunc(slices.Clone(rows), func(r fixtureConnection) bool {
		return r.cause < 0 || r.minute*store.MinuteMicros < since || r.minute*store.MinuteMicros >= until
	})
	slices.SortFunc(rows, func(a, b fixtureConnection) int {
		return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.series, b.series), cmp.Compare(a.cause, b.cause))
	})
	format := func(r fixtureConnection) string { return f.series[r.series].format }
	replies := map[string]fixtureConnection{}
	for _, r := range rows {
		if format(r) == store.SendFormat && f.causes[r.cause].reply != 0 {
			replies[r.session] = r
		}
	}
	counted := store.ConnectivityFormat
	if !slices.ContainsFunc(rows, func(r fixtureConnection) bool { return format(r) == store.ConnectivityFormat }) {
		counted = store.SendFormat
	}
	n := map[string]int64{}
	for _, r := range rows {
		c, text := f.causes[r.cause], r.text
		if reply, ok := replies[r.session]; ok && counted == store.ConnectivityFormat {
			c, text = f.causes[reply.cause], reply.text
		}
		if format(r) == counted && filter.MatchCause(c.reply, c.enhanced, c.reason) {
			n[f.series[r.series].relay] += r.n
			n[fmt.Sprintf("%s %s %s", f.series[r.series].relay, c.reason, text)] += r.n
		}
	}
	return n
}

func TestConnectionsAgreeWithReference(t *testing.T) {
	for seed := range few[int64](5, 20) {
		rng := rand.New(rand.NewSource(seed))
		f := newFixture(t)
		pick := func(list ...string) string { return list[rng.Intn(len(list))] }
		var rows []fixtureConnection
		for range 200 {
			r := fixtureConnection{minute: rng.Int63n(20), cause: -1, n: 1 + rng.Int63n(3), messages: rng.Int63n(3),
				series: f.addSeries(fixtureSeries{format: pick(store.ConnectivityFormat, store.SendFormat), host: "h1", relay: pick("a.test", "b.test")})}
			if rng.Intn(5) > 0 {
				i := rng.Intn(len(codesInTests))
				r.cause = f.addCause(fixtureCause{codesInTests[i].reply, codesInTests[i].enhanced, "A", "sig", pick("dns", "system")})
				r.session, r.text = fmt.Sprint("S", rng.Intn(60)), fmt.Sprint("text ", rng.Intn(50))
			}
			if slices.ContainsFunc(rows, func(o fixtureConnection) bool {
				return o.minute == r.minute && o.series == r.series && o.cause == r.cause && o.session == r.session
			}) {
				continue
			}
			rows = append(rows, r)
			f.exec("INSERT INTO connections VALUES (?,?,?,?,?,?,?)", r.minute, r.series+1, r.cause+1, r.session, r.n, r.messages, r.text)
		}
		for _, w := range []store.Window{{}, {Since: minute(5), Until: minute(15)}} {
			for _, filter := range []store.Filter{{}, {Codes: []string{"550"}}, {Reasons: []string{"dns"}}} {
				n, err := f.db.Numbers(context.Background(), w, filter, nil)
				if err != nil {
					t.Fatal(err)
				}
				want := f.referenceHops(rows, w, filter)
				for _, h := range n.Hops {
					if h.Failed != want[string(h.Name)] {
						t.Errorf("seed %d, %v, %+v: %d connections to %s failed, want %d", seed, w, filter, h.Failed, h.Name, want[string(h.Name)])
					}
					if key := fmt.Sprintf("%s %s %s", h.Name, h.Reason, h.Example); h.Failed > 0 && want[key] == 0 {
						t.Errorf("seed %d, %v, %+v: no %s", seed, w, filter, key)
					}
				}
			}
		}
	}
}
