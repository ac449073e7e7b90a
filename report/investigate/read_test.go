package investigate

import (
	"testing"
	"time"

	"mailfail/store"
)

// A window begins at a quarter of an hour, and is not a day longer for it.
func TestWindowBeginsOnQuarter(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse("2 15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.AddDate(2026, 10, 0).UTC()
	}
	for _, tt := range []struct{ name, since, until, want string }{
		{"a day", "19 00:00", "20 00:00", "19 00:00"},
		{"today", "20 00:00", "20 11:07", "20 00:00"},
		{"two hours", "20 09:07", "20 11:07", "20 09:00"},
		{"24 hours", "19 11:07", "20 11:07", "19 11:15"},
		{"48 hours", "18 11:07", "20 11:07", "18 11:15"},
		{"25 hours", "19 10:07", "20 11:07", "19 10:00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Options{Location: time.UTC, Window: store.Window{Since: at(tt.since), Until: at(tt.until)}}
			w := o.window(at("21 00:00"))
			if !w.Since.Equal(at(tt.want)) {
				t.Errorf("begins %s, want %s", w.Since, at(tt.want))
			}
			for _, day := range o.days(w, at("1 00:00")) {
				if day.Since.Minute()%quarter != 0 || day.Until.After(w.Since) {
					t.Errorf("compared with %s to %s", day.Since, day.Until)
				}
			}
		})
	}
}
