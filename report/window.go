package report

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"mailfail/store"
)

// ParseTime reads an end of a window as users type it: RFC 3339, a date or a
// date with a time of day in loc, now, today, yesterday, or a span of time
// before now (90m, 2h, 7d, 2w). A day stands for its beginning.
func ParseTime(s string, now time.Time, loc *time.Location) (time.Time, error) {
	if s == "now" {
		return now.In(loc), nil
	}
	if y, m, d, ok := parseDay(s, now.In(loc)); ok {
		return startOfDay(y, m, d, loc), nil
	}
	if span, ok := parseSpan(s); ok {
		return now.Add(-span).In(loc), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t.In(loc), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04",
		"2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, loc); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf(
		"cannot read %q as a time (try yesterday, 2h, 7d, 2026-11-20, "+
			"\"2026-11-20 14:30\" or 2026-11-20T14:30:00Z)", s)
}

// ParseDay reads a day and returns its window: from its first moment to the
// first moment of the next day, be that 23, 24 or 25 hours.
func ParseDay(s string, now time.Time, loc *time.Location) (store.Window, error) {
	y, m, d, ok := parseDay(s, now.In(loc))
	if !ok {
		return store.Window{}, fmt.Errorf("cannot read %q as a day (try yesterday, today or 2026-11-20)", s)
	}
	return store.Window{Since: startOfDay(y, m, d, loc), Until: startOfDay(y, m, d+1, loc)}, nil
}

// WeekBefore returns the seven days before today.
func WeekBefore(now time.Time, loc *time.Location) store.Window {
	y, m, d := now.In(loc).Date()
	return store.Window{Since: startOfDay(y, m, d-7, loc), Until: startOfDay(y, m, d, loc)}
}

// parseDay reads the name or the date of a calendar day.
func parseDay(s string, now time.Time) (y int, m time.Month, d int, ok bool) {
	y, m, d = now.Date()
	switch s {
	case "today":
		return y, m, d, true
	case "yesterday":
		return y, m, d - 1, true
	}
	t, err := time.Parse(time.DateOnly, s)
	y, m, d = t.Date()
	return y, m, d, err == nil
}

// startOfDay returns the first moment of a day. It is not always 00:00: where
// clocks go forward at midnight a day begins at 01:00, and where they go back
// at 01:00 there are two midnights.
func startOfDay(y int, m time.Month, d int, loc *time.Location) time.Time {
	day := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	early := day.Add(-15 * time.Hour) // no zone is further ahead
	after := sort.Search(30*3600, func(i int) bool {
		y, m, d := early.Add(time.Duration(i) * time.Second).In(loc).Date()
		return !time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(day)
	})
	return early.Add(time.Duration(after) * time.Second).In(loc)
}

var units = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour,
	'w': 7 * 24 * time.Hour}

// ParseSpan reads a span of days, weeks or years: 90d, 12w, 2y.
func ParseSpan(s string) (time.Duration, bool) {
	if n, ok := strings.CutSuffix(s, "y"); ok {
		years, err := strconv.ParseUint(n, 10, 8)
		return time.Duration(years) * 365 * units['d'], err == nil
	}
	return parseSpan(s)
}

func parseSpan(s string) (time.Duration, bool) {
	if s == "" || units[s[len(s)-1]] == 0 {
		return 0, false
	}
	unit := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 16)
	return time.Duration(n) * unit, err == nil && n <= uint64(math.MaxInt64/unit)
}

// formatWindow returns the time that a report covers, in words.
func formatWindow(w store.Window, first, last time.Time, loc *time.Location) string {
	since, until := w.Since, w.Until
	var all string
	if since.IsZero() && until.IsZero() {
		if first.IsZero() {
			return "all times"
		}
		since, until, all = first, last.Add(time.Minute), " (all)"
	}
	const layout = "Mon 2006-01-02 15:04"
	var parts []string
	if !since.IsZero() {
		parts = append(parts, since.In(loc).Format(layout))
	}
	if until.IsZero() {
		parts = append([]string{"since"}, parts...)
	} else {
		end := until.In(loc)
		format := layout
		if !since.IsZero() && since.In(loc).Format(time.DateOnly) == end.Format(time.DateOnly) {
			format = "15:04"
		}
		parts = append(parts, "until", end.Format(format))
	}
	return strings.Join(parts, " ") + " " + zoneName(firstGiven(until, since), loc) + all
}

// firstGiven returns the first of two times that is not zero.
func firstGiven(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}

// zoneName returns the name of the zone at t, or its offset when it has no name.
func zoneName(t time.Time, loc *time.Location) string {
	name, _ := t.In(loc).Zone()
	if name == "" || name[0] == '+' || name[0] == '-' {
		return "UTC" + t.In(loc).Format("-07:00")
	}
	return name
}
