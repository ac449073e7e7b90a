package check

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mailfail/report"
)

// Unit is the unit of a metric, as performance data writes it.
type Unit string

// The units.
const (
	Number  Unit = ""
	Percent Unit = "%"
	Seconds Unit = "s"
)

// metrics are the numbers that can be checked, in the order they are shown.
var metrics = []struct {
	name    string
	unit    Unit
	ofFleet bool // shown only when the database is pushed to a fleet
}{
	{"failure-rate", Percent, false},
	{"deferral-rate", Percent, false},
	{"recipients", Number, false},
	{"failed", Number, false},
	{"waiting", Number, false},
	{"untried", Number, false},
	{"rejected", Number, false},
	{"age", Seconds, false},
	{"unsent", Number, true},
}

// MetricNames lists the metrics that a threshold may name.
func MetricNames() (names []string) {
	for _, m := range metrics {
		names = append(names, m.name)
	}
	return names
}

// Threshold is a limit of a metric, such as "failure-rate>5% min 50".
type Threshold struct {
	Metric string
	Sign   string  // > >= < <=
	Limit  float64 // in the unit of the metric
	Min    int64   // least number of recipients for the threshold to apply
	State  State   // Warning or Critical, when it is exceeded
	unit   Unit
}

// DefaultThresholds returns the thresholds that apply when none are given. They detect
// a stuck queue and a log that is not read; rates are left to the investigation, which
// knows what is usual.
func DefaultThresholds() []Threshold {
	return []Threshold{
		mustParse("untried>20", Warning),
		mustParse("untried>200", Critical),
		mustParse("age>3h", Warning),
		mustParse("age>1d", Critical),
	}
}

func mustParse(text string, s State) Threshold {
	t, err := ParseThreshold(text, s)
	if err != nil {
		panic(err)
	}
	return t
}

// ParseThreshold reads METRIC, a sign, and a number: a percentage for rates, a time
// such as 15m, 3h or 1d for ages. With "min N" after it the threshold applies only to N
// recipients or more.
func ParseThreshold(text string, s State) (Threshold, error) {
	t := Threshold{State: s}
	limit, least, hasMin := strings.Cut(text, " min ")
	if hasMin {
		n, err := strconv.ParseInt(strings.TrimSpace(least), 10, 64)
		if err != nil || n < 0 {
			return t, fmt.Errorf("cannot read %q as a number of recipients", least)
		}
		t.Min = n
	}
	at := strings.IndexAny(limit, "<>")
	if at < 0 {
		return t, fmt.Errorf("cannot read %q; want a limit such as failure-rate>5%% or age>3h", text)
	}
	value := limit[at:]
	for _, sign := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(value, sign); ok {
			t.Sign, value = sign, strings.TrimSpace(rest)
			break
		}
	}
	t.Metric = strings.ToLower(strings.TrimSpace(limit[:at]))
	for _, m := range metrics {
		if m.name == t.Metric {
			t.unit = m.unit
			var err error
			if t.Limit, err = parseLimit(value, m.unit); err != nil {
				return t, fmt.Errorf("cannot read %q as a limit of %s: %w", value, m.name, err)
			}
			return t, nil
		}
	}
	if near := report.Nearest(t.Metric, MetricNames()); near != "" {
		return t, fmt.Errorf("unknown metric %q; did you mean %s?", t.Metric, near)
	}
	return t, fmt.Errorf("unknown metric %q; want one of %s", t.Metric, strings.Join(MetricNames(), ", "))
}

// parseLimit reads a number in a unit.
func parseLimit(s string, unit Unit) (float64, error) {
	if unit == Seconds {
		if days, ok := strings.CutSuffix(s, "d"); ok {
			n, err := strconv.ParseUint(days, 10, 16)
			return float64(n) * 24 * 3600, short(err)
		}
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("want a time such as 15m, 3h or 1d")
		}
		return d.Seconds(), nil
	}
	if unit == Percent {
		s = strings.TrimSpace(strings.TrimSuffix(s, "%"))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (f < 0 || f > 1e15 || f != f) {
		return 0, fmt.Errorf("the limit must be a number of 0 or more")
	}
	return f, short(err)
}

func short(err error) error {
	if err != nil {
		return fmt.Errorf("the limit must be a number")
	}
	return nil
}

// holds reports whether a value is beyond the limit.
func (t *Threshold) holds(value float64) bool {
	switch t.Sign {
	case ">":
		return value > t.Limit
	case ">=":
		return value >= t.Limit
	case "<":
		return value < t.Limit
	}
	return value <= t.Limit
}

// alertRange returns the limit in the syntax of performance data: the range outside of
// which there is an alert. The syntax does not distinguish > from >=.
func (t *Threshold) alertRange() string {
	if t == nil {
		return ""
	}
	s := plain(t.Limit)
	if strings.HasPrefix(t.Sign, "<") {
		return s + ":"
	}
	return s
}

// text describes the limit that a value is beyond.
func (e *exceeded) text() string {
	return fmt.Sprintf("%s is %s (%s %s)", strings.ReplaceAll(e.Metric, "-", " "),
		shownValue(e.value, e.unit), e.Sign, shownValue(e.Limit, e.unit))
}

func shownValue(v float64, unit Unit) string {
	switch unit {
	case Percent:
		return strconv.FormatFloat(v, 'f', 1, 64) + "%"
	case Seconds:
		return span(time.Duration(v * float64(time.Second)))
	}
	return plain(v)
}

// plain returns a number without an exponent and with no more digits than
// needed.
func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
