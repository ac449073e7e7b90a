package report

import (
	"testing"
	"time"
	_ "time/tzdata"

	"mailfail/store"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}

func TestParseDay(t *testing.T) {
	tests := []struct {
		zone, now, day string
		since, until   string // UTC
	}{
		{"UTC", "2026-11-22T19:00:00Z", "yesterday", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
		{"UTC", "2026-01-01T00:00:00Z", "yesterday", "2025-12-31T00:00:00Z", "2026-01-01T00:00:00Z"},
		{"UTC", "2026-11-22T19:00:00Z", "today", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"},
		{"Asia/Tokyo", "2026-11-22T19:00:00Z", "today", "2026-11-22T15:00:00Z", "2026-11-23T15:00:00Z"},
		{"UTC", "2026-11-22T19:00:00Z", "2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		// 23 and 25 hours
		{"Europe/Berlin", "2026-03-30T05:00:00Z", "yesterday", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},
		{"Europe/Berlin", "2026-10-26T05:00:00Z", "yesterday", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},
		// no midnight: the day begins at 01:00
		{"America/Sao_Paulo", "2018-11-05T12:00:00Z", "yesterday", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		// clocks go back at midnight: the day before has 25 hours
		{"America/Sao_Paulo", "2019-02-17T12:00:00Z", "yesterday", "2019-02-16T02:00:00Z", "2019-02-17T03:00:00Z"},
		// two midnights: the first
		{"America/Havana", "2026-11-02T12:00:00Z", "yesterday", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
		// half an hour
		{"Australia/Lord_Howe", "2026-04-06T05:00:00Z", "2026-04-05", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"},
		// a day that never was begins when the next does
		{"Pacific/Apia", "2012-01-01T12:00:00Z", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"},
	}
	for _, test := range tests {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		w, err := ParseDay(test.day, now, zone(t, test.zone))
		if err != nil {
			t.Fatal(err)
		}
		since, until := w.Since.UTC().Format(time.RFC3339), w.Until.UTC().Format(time.RFC3339)
		if since != test.since || until != test.until {
			t.Errorf("%s in %s at %s: %s until %s, want %s until %s", test.day, test.zone, test.now, since, until, test.since, test.until)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 37, 12, 0, time.UTC)
	berlin := zone(t, "Europe/Berlin")
	for s, want := range map[string]string{
		"now": "2026-11-22T20:37:12+01:00", "2h": "2026-11-22T18:37:12+01:00", "90m": "2026-11-22T19:07:12+01:00",
		"7d": "2026-11-15T20:37:12+01:00", "1w": "2026-11-15T20:37:12+01:00", "yesterday": "2026-11-21T00:00:00+01:00",
		"2026-11-20": "2026-11-20T00:00:00+01:00", "2026-11-20 14:30": "2026-11-20T14:30:00+01:00", "2026-07-20T14:30": "2026-07-20T14:30:00+02:00",
		"2026-11-20T14:30:00Z": "2026-11-20T15:30:00+01:00", "2026-11-20T14:30:00-05:00": "2026-11-20T20:30:00+01:00",
	} {
		got, err := ParseTime(s, now, berlin)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v, want %s", s, got.Format(time.RFC3339), err, want)
		}
	}
	for _, s := range []string{"", "tomorrow", "-2h", "h", "2026-13-01", "20261120", "99999999d", "2y"} {
		if got, err := ParseTime(s, now, berlin); err == nil {
			t.Errorf("%q: %s, want an error", s, got)
		}
	}
}

func TestFormatWindow(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	a, b := time.Date(2026, 3, 28, 23, 0, 0, 0, time.UTC), time.Date(2026, 3, 29, 22, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		w           store.Window
		first, last time.Time
		want        string
	}{
		{store.Window{Since: a, Until: b}, a, b, "Sun 2026-03-29 00:00 until Mon 2026-03-30 00:00 CEST"},
		{store.Window{Since: a, Until: a.Add(90 * time.Minute)}, a, b, "Sun 2026-03-29 00:00 until 01:30 CET"},
		{store.Window{Since: a}, a, b, "since Sun 2026-03-29 00:00 CET"},
		{store.Window{Until: b}, a, b, "until Mon 2026-03-30 00:00 CEST"},
		{store.Window{}, a, a, "Sun 2026-03-29 00:00 until 00:01 CET (all)"},
		{store.Window{}, time.Time{}, time.Time{}, "all times"},
	} {
		if got := formatWindow(test.w, test.first, test.last, berlin); got != test.want {
			t.Errorf("%v: %q, want %q", test.w, got, test.want)
		}
	}
}

// FuzzWindow checks that a day is a day long, a span is before now, and a time is the same
// in all ways to write it.
func FuzzWindow(f *testing.F) {
	for _, s := range []string{"today", "2026-10-25", "2h", "65535w", "255y", "2026-11-20 14:30", "2026-11-20T14:30:00Z", "9999-12-31"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 22, 19, 0, 0, 0, time.UTC)
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, s string) {
		if w, err := ParseDay(s, now, berlin); err == nil {
			if long := w.Until.Sub(w.Since); long < 23*time.Hour || long > 25*time.Hour {
				t.Errorf("day %q is %v long", s, long)
			}
		}
		if span, ok := ParseSpan(s); ok && span < 0 {
			t.Errorf("span %q is %v", s, span)
		}
		at, err := ParseTime(s, now, berlin)
		if err != nil {
			return
		}
		if _, ok := parseSpan(s); ok && at.After(now) {
			t.Errorf("span %q begins %v", s, at)
		}
		again, err := ParseTime(at.UTC().Format(time.RFC3339Nano), now, berlin)
		if y := at.UTC().Year(); y >= 1 && y <= 9999 && (err != nil || !again.Equal(at)) {
			t.Errorf("%q is %v, and written out %v, %v", s, at, again, err)
		}
	})
}
