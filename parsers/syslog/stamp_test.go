package syslog

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"

	"mailfail/parsers"
)

// The time of a line with the second of the line before is not read again. It must be what
// it would have been: near the end of a year, in the hour that occurs twice, and between
// lines of other layouts.
func TestSameSecondAsTheLineBefore(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	known := func(*parsers.Entry) bool { return true }
	again := 0
	for _, begin := range []time.Time{
		time.Date(2025, 10, 25, 23, 50, 0, 0, time.UTC),
		time.Date(2025, 12, 31, 22, 50, 0, 0, time.UTC),
	} {
		one := NewReader(berlin, 0, begin.AddDate(0, 0, 2), known)
		other := NewReader(berlin, 0, begin.AddDate(0, 0, 2), known)
		at := begin
		for range 20_000 {
			if random.IntN(3) == 0 {
				at = at.Add(time.Duration(random.IntN(8)-1) * time.Second)
			}
			layout := "Jan _2 15:04:05"
			switch random.IntN(20) {
			case 0:
				layout = time.RFC3339
			case 1:
				layout = "Jan _2 15:04:05.000"
			case 2:
				layout = "2006 Jan _2 15:04:05"
			}
			line := fmt.Appendf(nil, "%s host postfix/smtp[1]: text", at.In(berlin).Format(layout))
			var got, want parsers.Entry
			if one.stamp[0] != 0 {
				again++
			}
			other.stamp[0] = 0
			if a, b := one.Read(line, &got), other.Read(line, &want); a != b || !got.Time.Equal(want.Time) {
				t.Fatalf("%s: %v, read by itself %v", line, got.Time, want.Time)
			}
		}
	}
	if again < 20_000 {
		t.Errorf("only %d lines came after one with a stamp", again)
	}
}

// The same time may be another instant when the clock was set back in between.
func TestSameTimeAfterTheClockWasSetBack(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(berlin, 2025, time.Time{}, func(*parsers.Entry) bool { return true })
	var times []time.Time
	for _, stamp := range []string{"Oct 26 02:30:00", "2025 Oct 26 02:59:59", "2025 Oct 26 02:10:00", "Oct 26 02:30:00"} {
		var e parsers.Entry
		r.Read([]byte(stamp+" host postfix/smtp[1]: text"), &e)
		times = append(times, e.Time)
	}
	if later := times[3].Sub(times[0]); later != time.Hour {
		t.Errorf("%v: the last is %v after the first, want an hour", times, later)
	}
}
