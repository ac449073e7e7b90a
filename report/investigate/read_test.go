package investigate

import (
	"testing"
	"time"

	"mailfail/registry"
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

// A recipient that was put off and failed later failed when it came, whatever relay its
// failure names. What was put off and never tried has the state of its own row.
func TestPutOff(t *testing.T) {
	d := &Data{Since: begin, Until: begin + day}
	c := &collector{data: d, suspended: map[mailbox]*suspension{}}
	c.AddPlace(&store.FlowPlace{Host: "mx1", Sender: "shop.test", Domain: "firm1.example"})
	c.AddPlace(&store.FlowPlace{Host: "mx1", Sender: "shop.test", Domain: "firm1.example", Relay: "mail.firm1.example"})
	c.AddCause(&store.FlowCause{Reason: "connection", Source: registry.SourceNetwork})
	c.AddCounts(&store.FlowRows{Place: []int32{0}, Minute: []int64{noon}, Suspended: []int64{4}})
	c.AddCounts(&store.FlowRows{Place: []int32{1, 1, 1, 0, 0}, Minute: []int64{noon, noon, noon, noon, noon}, Recipients: []int64{1, 1, 1, 1, 1},
		Failed: []int64{0, 0, 0, 1, 0}, Waiting: []int64{1, 1, 0, 0, 0}})
	for recipient, minute := range []int64{noon, noon + 5, noon + 7} {
		c.AddFailure(&store.FlowFailure{Recipient: int64(recipient + 1), Place: 1, Time: time.Unix(minute*60, 0), Arrived: time.Unix(noon*60, 0),
			State: []registry.State{registry.StatePending, registry.StatePending, registry.StateDelivered}[recipient]})
	}
	c.finish()
	states := map[State]int32{}
	for _, e := range d.Events {
		if e.Minute != noon {
			t.Errorf("recipient %d failed %d minutes late", e.Recipient, e.Minute-noon)
		}
		states[e.State] += e.N
	}
	if states[Waiting] != 2 || states[Failed] != 1 || states[Delivered] != 2 {
		t.Errorf("2 wait, 1 failed, 2 were delivered; got %d, %d, %d", states[Waiting], states[Failed], states[Delivered])
	}
}

// A window after the end of what was read is answered, and days that nothing was read of
// are not compared with.
func TestOutsideOfWhatWasRead(t *testing.T) {
	first, last := time.Date(2026, 11, 10, 0, 5, 0, 0, time.UTC), time.Date(2026, 11, 19, 12, 0, 0, 0, time.UTC)
	o := Options{Location: time.UTC, Window: store.Window{Since: last.AddDate(0, 0, 9)}}
	if w := o.window(last); w.Since.Before(w.Until) {
		t.Errorf("the window is %v", w)
	}
	r := Result{Since: last.AddDate(0, 0, 9), LogsEnd: last}
	if lines := r.Limits(); len(lines) != 1 || lines[0].String() != "The logs end Thu 2026-11-19 12:00, before this time." {
		t.Errorf("limits: %v", lines)
	}
	o = Options{Location: time.UTC, Window: store.Window{Since: last.AddDate(0, 0, -1), Until: last}}
	for since, want := range map[int]int{-40: 8, -5: 4} {
		o.Baseline.Window = store.Window{Since: last.AddDate(0, 0, since)}
		if days := o.days(o.Window, first); len(days) != want {
			t.Errorf("since %d days before: %d days, want %d", -since, len(days), want)
		}
	}
	o.Baseline = Compare{}
	if days := o.days(store.Window{Since: first.Truncate(15 * time.Minute), Until: last}, first); len(days) != 0 {
		t.Errorf("compared with %v, before the first line", days)
	}
	o.Baseline.Window = store.Window{Since: first.AddDate(0, 0, -9), Until: first.AddDate(0, 0, -2)}
	if days := o.days(o.Window, first); len(days) != 0 {
		t.Errorf("compared with %v, when nothing was read", days)
	}
}

// What a filter asks for is part of the place: nothing else was looked at.
func TestAsked(t *testing.T) {
	r := Result{Problems: []Problem{{Kind: Failures}, {Kind: Failures, Where: Where{SenderDomain: "a.shop.test", Domain: "gmail.com"}}, {Kind: MissingMail, Severity: Remark}}}
	r.asked(&store.Filter{Senders: []string{"shop.test"}, Providers: []string{"Google"}, Hosts: []string{"mx1", "mx2"}, Domains: []string{"*.example.org"}})
	for i, want := range []Where{{SenderDomain: "shop.test", Provider: "Google"}, {SenderDomain: "a.shop.test", Domain: "gmail.com"}, {}} {
		if got := r.Problems[i].Where; got != want {
			t.Errorf("where %+v, want %+v", got, want)
		}
	}
}
