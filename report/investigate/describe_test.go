package investigate

import (
	"testing"
	"time"

	"mailfail/store"
)

func TestTitles(t *testing.T) {
	at := func(clock string) time.Time {
		day, err := time.Parse("2006-01-02 15:04", "2026-11-20 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return day
	}
	for name, tt := range map[string]struct {
		p                     Problem
		title, headline, fate string
	}{
		"still on": {
			Problem{Kind: Failures, Where: Where{Provider: "Google"}, Reason: "blocklist", Code: "550 5.7.1", Recipients: 30, Failed: 1, Waiting: 1, Tried: 40, RateBefore: .02,
				Began: at("10:38"), BeganEarliest: at("10:10"), BeganLatest: at("10:43"), newest: at("23:59")},
			"Mail to Google fails (your server or domain is on a block list, 550 5.7.1): 30 of 40 recipients (usual 2.0 %), since about 10:38 (10:10 to 10:43), still on",
			"Mail to Google fails since 10:38: your server or domain is on a block list",
			"1 failed, 1 waits, 28 were delivered later.",
		},
		"over": {
			Problem{Kind: MissingMail, Where: Where{SenderDomain: "shop.test"}, Recipients: 80, Expected: 90.4, Began: at("08:00"), BeganEarliest: at("07:59"), BeganLatest: at("08:02"),
				Ended: at("09:30"), newest: at("23:59")},
			"Mail from shop.test was missing: about 80 of 90 expected recipients did not come, from 08:00 to 09:30",
			"Mail from shop.test was missing from 08:00 to 09:30", "",
		},
		"TLS at one address": {
			Problem{Kind: Failures, Where: Where{Provider: "hoster.example", IP: "192.0.2.7", Client: "198.51.100.4"}, Reason: "tls", Recipients: 9, Failed: 9, Tried: 9,
				Began: at("10:38"), BeganEarliest: at("10:37"), BeganLatest: at("10:39"), newest: at("23:59")},
			"Mail to hoster.example through 192.0.2.7 from client 198.51.100.4 fails (TLS failed or is required): 9 of 9 recipients (usual 0.0 %), since 10:38, still on",
			"Mail to hoster.example through 192.0.2.7 from client 198.51.100.4 fails since 10:38: TLS failed or is required",
			"9 failed.",
		},
		"of the day before": {
			Problem{Kind: UntriedMail, Where: Where{Host: "mx2"}, Recipients: 75, Began: at("16:21"), BeganEarliest: at("16:20"), BeganLatest: at("16:22"), newest: at("12:00").AddDate(0, 0, 1)},
			"Mail is accepted on mx2 and not tried: about 75 recipients, since Fri 16:21, still on",
			"Mail is accepted on mx2 and not tried since Fri 16:21", "",
		},
	} {
		if got := tt.p.Title().String(); got != tt.title {
			t.Errorf("%s: title %q, want %q", name, got, tt.title)
		}
		if got := tt.p.Headline().String(); got != tt.headline {
			t.Errorf("%s: headline %q, want %q", name, got, tt.headline)
		}
		if got := tt.p.fate(); tt.fate != "" && got != tt.fate {
			t.Errorf("%s: fate %q, want %q", name, got, tt.fate)
		}
	}
}

// A command that is pasted into a shell reads the same files in the same zone.
func TestHere(t *testing.T) {
	r := Result{Until: time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("Etc/GMT-11", 11*3600)), Problems: []Problem{{Next: []string{"mailfail report"}}}}
	r.Here([]string{"/var/log/mail.log", "-old log"})
	if got, want := r.Problems[0].Next[0], "mailfail report --tz Etc/GMT-11 /var/log/mail.log '-old log'"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// That nothing comes when little is expected does not end a hole.
func TestHoleIsOver(t *testing.T) {
	for name, tt := range map[string]struct {
		seen, expected float64 // after the hole
		want           bool
	}{
		"nothing expected":    {0, 0, false},
		"night":               {0, 2, false},
		"nothing comes still": {0, 20, false},
		"two come":            {2, 2, true},
		"as usual":            {18, 20, true},
		"half":                {10, 20, true},
	} {
		h := hole{to: 1, observed: 1, expected: 40}
		if got := h.isOver([]float64{1, tt.seen}, []float64{40, tt.expected}); got != tt.want {
			t.Errorf("%s: over %v, want %v", name, got, tt.want)
		}
	}
}

func TestNarrowAddsTheFiltersThatACommandHasNoValueOf(t *testing.T) {
	f := store.Filter{Hosts: []string{"mx1", "mx2"}, Senders: []string{"<>"}, Codes: []string{"550 5.1.1"}}
	for command, want := range map[string]string{
		"mailfail events":                 "mailfail events --sender '<>' --host mx1 --host mx2 --code '550 5.1.1'",
		"mailfail events --host mx1":      "mailfail events --host mx1 --sender '<>' --code '550 5.1.1'",
		"mailfail report --sender a.test": "mailfail report --sender a.test --host mx1 --host mx2 --code '550 5.1.1'",
	} {
		if got := Narrow(command, &f); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
