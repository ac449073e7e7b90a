package store

import (
	"fmt"
	"mailfail/registry"
	"reflect"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	failed := &Event{Outcome: "failed", Format: "exchange-tracking", MTA: "exchange", Host: "mx1", Provider: "Google", Domain: "mail.example.org",
		Reply: 550, Enhanced: "5.1.1", Reason: "user-unknown", Sender: "News@Example.COM", HasSender: true}
	delivered := *failed
	delivered.Outcome, delivered.Reply, delivered.Enhanced, delivered.Reason = "delivered", 250, "2.0.0", ""
	bounce := *failed
	bounce.Sender = ""
	unknown := *failed
	unknown.Sender, unknown.HasSender = "", false
	for _, test := range []struct {
		f    Filter
		e    *Event
		want bool
	}{
		{Filter{}, failed, true},
		{Filter{Providers: []string{"yahoo", "google"}}, failed, true},
		{Filter{Providers: []string{"yahoo"}}, failed, false},
		{Filter{Domains: []string{"*.example.org"}}, failed, true},
		{Filter{Domains: []string{"example.org"}}, failed, false},
		{Filter{Hosts: []string{"MX1"}, MTAs: []string{"exchange"}}, failed, true},
		{Filter{MTAs: []string{"exchange-tracking"}}, failed, true},
		{Filter{MTAs: []string{"exim"}}, failed, false},
		{Filter{Senders: []string{"example.com"}}, failed, true},
		{Filter{Senders: []string{"<>"}}, failed, false},
		{Filter{Senders: []string{"<>"}}, &bounce, true},
		{Filter{Senders: []string{"<>"}}, &unknown, false},
		{Filter{Codes: []string{"550 5.1.x"}}, failed, true},
		{Filter{Codes: []string{"5.7.x"}}, failed, false},
		{Filter{Reasons: []string{"dns"}}, failed, false},
		{Filter{Codes: []string{"5.7.x"}, Reasons: []string{"dns"}}, &delivered, true},
		{Filter{Codes: []string{"5.7.x"}, Domains: []string{"example.net"}}, &delivered, false},
	} {
		if got := test.f.Match(test.e); got != test.want {
			t.Errorf("%+v matches %+v: %v, want %v", test.f, *test.e, got, test.want)
		}
	}
}

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
	question := func(filter Filter) Usual {
		t.Helper()
		u, err := NewQuery(f.db.Reader()).Usual(t.Context(), now, 7, filter)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := question(Filter{}); u != (Usual{}) {
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
		filter Filter
		want   Usual
	}{
		{Filter{}, Usual{5, 3*n + 1, 6, 3, 0.5}},
		{Filter{Providers: []string{"google"}}, Usual{5, 3 * n, 0, 3, 0.5}},
		{Filter{Providers: []string{"google"}, Codes: []string{"4xx"}}, Usual{5, 3 * n, 0, 0, 0}},
		{Filter{Reasons: []string{"mailbox-full"}}, Usual{5, 3*n + 1, 6, 0, 0}},
		{Filter{Domains: []string{"example.net"}}, Usual{Days: 5}},
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
		r := f.addRecipient(fixtureRecipient{series: series, state: registry.StateBounced, first: minute * minuteMicros, last: minute * minuteMicros, done: minute * minuteMicros})
		for i := range n * hour {
			f.addAttempt(fixtureAttempt{time: minute*minuteMicros + i, recipient: r, series: series, outcome: attemptFailed, cause: gone})
		}
	}
	f.exec("INSERT INTO lines VALUES (?,1,1,0,0), (?,1,1,0,0)", now-1*day, now-2*day)
	add(now-1*day, series(trackingFormat, "h1"), 2)
	add(now-1*day, series(sendFormat, "h1"), 2)
	add(now-2*day, series(sendFormat, "h2"), 4)
	for _, test := range []struct {
		filter Filter
		want   float64 // of deliveries and of failures
	}{
		{Filter{}, 3}, // 2, and 4 of the day without a tracking log
		{Filter{Domains: []string{"example.org"}}, 3},
		{Filter{MTAs: []string{"exchange"}}, 3},
		{Filter{MTAs: []string{"exchange-smtpsend"}}, 3},
		{Filter{MTAs: []string{"exchange-tracking"}}, 1},
		{Filter{Hosts: []string{"h1"}}, 1},
		{Filter{Hosts: []string{"h2"}}, 2},
	} {
		got, err := NewQuery(f.db.Reader()).Usual(t.Context(), minute(now), 7, test.filter)
		if want := (Usual{Days: 2, Delivered: test.want, Failed: test.want}); err != nil || got != want {
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
		f.addAttempt(fixtureAttempt{time: 12*minuteMicros + i, recipient: r, series: s, outcome: 2 + i%2, cause: cause})
	}
	f.addRejection(fixtureRejection{time: 13 * minuteMicros, series: s, cause: cause, n: 5})
	f.addRejection(fixtureRejection{time: 20 * minuteMicros, series: s, cause: cause, n: 5})

	question := func(filter Filter) map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		w := Window{Since: minute(10), Until: minute(20)}
		if err := NewQuery(f.db.Reader()).Recent(t.Context(), w, filter, func(e *Event, n int64) {
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
	if got := question(Filter{}); !reflect.DeepEqual(got, want) {
		t.Errorf("recent are %v, want %v", got, want)
	}
	if got := question(Filter{Providers: []string{"yahoo"}}); len(got) != 1 {
		t.Errorf("recent at Yahoo are %v", got)
	}
	if got := question(Filter{Codes: []string{"4xx"}}); len(got) != 2 {
		t.Errorf("recent with 4xx are %v, want the deliveries", got)
	}
}
