package sqlite

import (
	"fmt"
	"mailfail/registry"
	"mailfail/store"
	"reflect"
	"testing"
	"time"
)

// The usual is the median of the days with a log, at the same time of day also
// when the clocks have changed in between.
func TestUsual(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err) // go brings the zones along
	}
	f := newFixture(t)
	google := f.addSeries(fixtureSeries{"postfix", "mx1", "", "example.com", "gmail.com", "mx.google.example", "Google"})
	yahoo := f.addSeries(fixtureSeries{"postfix", "mx1", "", "example.com", "yahoo.com", "mx.yahoo.example", "Yahoo"})
	unknown := f.addCause(fixtureCause{550, "5.1.1", "Google", "gone", "user-unknown"})
	full := f.addCause(fixtureCause{452, "4.2.2", "Yahoo", "full", "mailbox-full"})
	now := time.Date(2026, 10, 27, 12, 0, 0, 0, berlin) // two days after the clocks went back
	question := func(filter store.Filter) store.Usual {
		t.Helper()
		u, err := f.db.Usual(t.Context(), now, 7, filter)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := question(store.Filter{}); u != (store.Usual{}) {
		t.Errorf("without history: %+v", u)
	}
	// On the day before n deliveries, two days before 2n and so on, for one
	// provider each minute of the hour; 60 for the other at once. Nothing was
	// logged on the 4th day before.
	const n = 3
	for day := int64(1); day <= 6; day++ {
		if day == 4 {
			continue
		}
		noon := now.AddDate(0, 0, -int(day))
		f.exec("INSERT INTO lines VALUES (?,1,1,0,0)", noon.Unix()/60)
		for _, minute := range []int64{-31, 30} { // just outside
			f.addCount(fixtureCount{minute: noon.Unix()/60 + minute, series: google, delivered: 1000})
		}
		for minute := int64(-30); minute < 30; minute++ {
			f.addCount(fixtureCount{minute: noon.Unix()/60 + minute, series: google, delivered: n * day})
		}
		f.addCount(fixtureCount{minute: noon.Unix() / 60, series: yahoo, delivered: 60})
		at := noon.UnixMicro()
		r := f.addRecipient(fixtureRecipient{series: google, state: registry.StateBounced, first: at, last: at, done: at})
		for i := range 60 * day {
			f.addAttempt(fixtureAttempt{time: at + i, recipient: r, series: google, outcome: 3, cause: unknown})
			f.addAttempt(fixtureAttempt{time: at + i, recipient: r, series: yahoo, outcome: 2, cause: full})
			f.addAttempt(fixtureAttempt{time: at + i, recipient: r, series: yahoo, outcome: 2, cause: full})
		}
		f.addRejection(fixtureRejection{time: at, series: google, cause: unknown, n: 30})
	}
	// The days 1, 2, 3, 5 and 6 have a median of 3.
	for _, test := range []struct {
		filter store.Filter
		want   store.Usual
	}{
		{store.Filter{}, store.Usual{Days: 5, Delivered: 3*n + 1, Deferred: 6, Failed: 3, Rejected: 0.5}},
		{store.Filter{Providers: []string{"google"}}, store.Usual{Days: 5, Delivered: 3 * n, Deferred: 0, Failed: 3, Rejected: 0.5}},
		{store.Filter{Providers: []string{"google"}, Codes: []string{"4xx"}}, store.Usual{Days: 5, Delivered: 3 * n, Deferred: 0, Failed: 0, Rejected: 0}},
		{store.Filter{Reasons: []string{"mailbox-full"}}, store.Usual{Days: 5, Delivered: 3*n + 1, Deferred: 6, Failed: 0, Rejected: 0}},
		{store.Filter{Domains: []string{"example.net"}}, store.Usual{Days: 5}},
	} {
		if got := question(test.filter); got != test.want {
			t.Errorf("%+v: %+v, want %+v", test.filter, got, test.want)
		}
	}
}

// On days of which there are tracking logs, send logs do not count.
func TestUsualWithoutSendLogs(t *testing.T) {
	f := newFixture(t)
	series := func(format, host string) int {
		return f.addSeries(fixtureSeries{format, host, "", "example.com", "example.org", "mx.example.org", "example.org"})
	}
	gone := f.addCause(fixtureCause{550, "5.1.1", "example.org", "gone", "user-unknown"})
	const hour, day = 60, 24 * 60 // in minutes
	const now = 10 * day
	add := func(minute int64, series int, n int64) {
		f.addCount(fixtureCount{minute: minute, series: series, delivered: n * hour})
		r := f.addRecipient(fixtureRecipient{series: series, state: registry.StateBounced, first: minute * store.MinuteMicros, last: minute * store.MinuteMicros, done: minute * store.MinuteMicros})
		for i := range n * hour {
			f.addAttempt(fixtureAttempt{time: minute*store.MinuteMicros + i, recipient: r, series: series, outcome: attemptFailed, cause: gone})
		}
	}
	f.exec("INSERT INTO lines VALUES (?,1,1,0,0), (?,1,1,0,0)", now-1*day, now-2*day)
	add(now-1*day, series(store.TrackingFormat, "h1"), 2)
	add(now-1*day, series(store.SendFormat, "h1"), 2)
	add(now-2*day, series(store.SendFormat, "h2"), 4)
	for _, test := range []struct {
		filter store.Filter
		want   float64 // of deliveries and of failures
	}{
		{store.Filter{}, 3}, // 2, and 4 of the day without a tracking log
		{store.Filter{Domains: []string{"example.org"}}, 3},
		{store.Filter{MTAs: []string{"exchange"}}, 3},
		{store.Filter{MTAs: []string{"exchange-smtpsend"}}, 3},
		{store.Filter{MTAs: []string{"exchange-tracking"}}, 1},
		{store.Filter{Hosts: []string{"h1"}}, 1},
		{store.Filter{Hosts: []string{"h2"}}, 2},
	} {
		got, err := f.db.Usual(t.Context(), minute(now), 7, test.filter)
		if want := (store.Usual{Days: 2, Delivered: test.want, Failed: test.want}); err != nil || got != want {
			t.Errorf("%+v: %+v, %v; want %+v", test.filter, got, err, want)
		}
	}
}

func TestRecent(t *testing.T) {
	f := newFixture(t)
	s := f.addSeries(fixtureSeries{"exchange-tracking", "mx1", "", "example.com", "gmail.com", "mx.google.example", "Google"})
	other := f.addSeries(fixtureSeries{"exim", "mx2", "", "example.com", "yahoo.com", "mx.yahoo.example", "Yahoo"})
	cause := f.addCause(fixtureCause{550, "5.1.1", "Google", "gone", "user-unknown"})
	f.addCount(fixtureCount{minute: 9, series: s, delivered: 1000})
	f.addCount(fixtureCount{minute: 10, series: s, delivered: 7})
	f.addCount(fixtureCount{minute: 11, series: other, delivered: 8})
	f.addCount(fixtureCount{minute: 11, series: s, suspended: 9})
	r := f.addRecipient(fixtureRecipient{series: s, state: registry.StateBounced, first: 1, last: 1, done: 1})
	for i := range int64(4) {
		f.addAttempt(fixtureAttempt{time: 12*store.MinuteMicros + i, recipient: r, series: s, outcome: 2 + i%2, cause: cause})
	}
	f.addRejection(fixtureRejection{time: 13 * store.MinuteMicros, series: s, cause: cause, n: 5})
	f.addRejection(fixtureRejection{time: 20 * store.MinuteMicros, series: s, cause: cause, n: 5})

	question := func(filter store.Filter) map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		w := store.Window{Since: minute(10), Until: minute(20)}
		if err := f.db.Recent(t.Context(), w, filter, func(e *store.Event, n int64) {
			key := fmt.Sprintf("%d %s %s %s %s %s %s %s", e.Time.Unix()/60, e.Outcome, e.MTA, e.Host, e.Provider, e.Domain, e.Code(), e.Reason)
			got[key] += n
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := map[string]int64{
		"10 delivered exchange mx1 Google gmail.com  ":                     7,
		"11 delivered exim mx2 Yahoo yahoo.com  ":                          8,
		"12 deferred exchange mx1 Google gmail.com 550 5.1.1 user-unknown": 2,
		"12 failed exchange mx1 Google gmail.com 550 5.1.1 user-unknown":   2,
		"13 rejected exchange mx1 Google gmail.com 550 5.1.1 user-unknown": 5,
	}
	if got := question(store.Filter{}); !reflect.DeepEqual(got, want) {
		t.Errorf("recent are %v, want %v", got, want)
	}
	if got := question(store.Filter{Providers: []string{"yahoo"}}); len(got) != 1 {
		t.Errorf("recent at Yahoo are %v", got)
	}
	if got := question(store.Filter{Codes: []string{"4xx"}}); len(got) != 2 {
		t.Errorf("recent with 4xx are %v, want the deliveries", got)
	}
}
