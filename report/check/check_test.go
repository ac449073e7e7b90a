package check

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"mailfail/store"
	"mailfail/templates"
)

func TestParseThreshold(t *testing.T) {
	for text, want := range map[string]Threshold{
		"failure-rate>5%":           {Metric: "failure-rate", Sign: ">", Limit: 5, unit: Percent},
		"Failure-Rate >= 5 min 50":  {Metric: "failure-rate", Sign: ">=", Limit: 5, Min: 50, unit: Percent},
		"recipients<10":             {Metric: "recipients", Sign: "<", Limit: 10},
		"age>15m":                   {Metric: "age", Sign: ">", Limit: 900, unit: Seconds},
		"age>=1d":                   {Metric: "age", Sign: ">=", Limit: 86400, unit: Seconds},
		"deferral-rate>12.5% min 1": {Metric: "deferral-rate", Sign: ">", Limit: 12.5, Min: 1, unit: Percent},
	} {
		want.State = Warning
		got, err := ParseThreshold(text, Warning)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"failure-rate":           "want a limit such as",
		"speed>5":                `unknown metric "speed"; want one of failure-rate`,
		"age>soon":               "want a time such as",
		"age>-5m":                "want a time such as",
		"failed>many":            "must be a number",
		"failed>-1":              "0 or more",
		"failed>NaN":             "0 or more",
		"failure-rate>5% min xx": "number of recipients",
	} {
		if _, err := ParseThreshold(text, Warning); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", text, err, want)
		}
	}
}

func FuzzParseThreshold(f *testing.F) {
	f.Add("failure-rate>5% min 50")
	f.Add("age<=1d")
	f.Fuzz(func(t *testing.T, text string) {
		th, err := ParseThreshold(text, Critical)
		if err != nil {
			return
		}
		if th.Limit < 0 || th.Min < 0 || th.Sign == "" {
			t.Errorf("%q is %+v", text, th)
		}
	})
}

// result judges fixed values: 480 recipients in an hour, 59 of which failed.
func result(thresholds []Threshold, problems ...Problem) *Result {
	until := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	r := &Result{Window: store.Window{Since: until.Add(-time.Hour), Until: until}, Problems: problems}
	r.judge(map[string]*float64{
		"failure-rate": percent(59, 479),
		"recipients":   number(480),
		"failed":       number(59),
		"waiting":      number(30),
		"untried":      number(25),
		"rejected":     number(7),
		"age":          seconds(4 * time.Hour),
	}, 480, thresholds)
	return r
}

func TestLine(t *testing.T) {
	const data = "|failure_rate=12.317%;"
	for _, c := range []struct {
		name       string
		thresholds []string // critical ones begin with !
		problems   []Problem
		state      State
		want       string
	}{
		{"quiet", []string{"failed>100"}, nil, OK, "MAILFAIL OK - 59 of 480 recipients failed, 30 waiting in 1 h" + data},
		{"warning", []string{"failed>50", "!failed>100"}, nil, Warning, "MAILFAIL WARNING - failed is 59 (> 50); 59 of 480"},
		{"the worse one is said", []string{"failed>50", "!failed>55"}, nil, Critical, "MAILFAIL CRITICAL - failed is 59 (> 55); 59 of 480"},
		{"critical first", []string{"failure-rate>5%", "!untried>20"}, nil, Critical, "untried is 25 (> 20); failure rate is 12.3% (> 5.0%); 59"},
		{"too few", []string{"failure-rate>5% min 481"}, nil, OK, "MAILFAIL OK"},
		{"missing mail", []string{"!recipients<500"}, nil, Critical, "recipients is 480 (< 500)"},
		{"old", []string{"age>3h"}, nil, Warning, "age is 4 h (> 3 h)"},
		{"no value", []string{"deferral-rate>=0%"}, nil, OK, "deferral_rate=U;0;;0;100"},
		{"ranges", []string{"recipients<10", "!failed>100"}, nil, OK, "recipients=480;10:;;0 failed=59;;100;0 waiting=30;;;0"},
		{"a problem", nil, []Problem{{Critical, templates.Say("mail to %v fails", templates.Name("a|b\n.example"))}}, Critical,
			`MAILFAIL CRITICAL - mail to a/b\n.example fails; 59 of`},
		{"a remark", nil, []Problem{{OK, templates.Words("a newsletter")}}, OK, "MAILFAIL OK - 59"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []Threshold
			for _, text := range c.thresholds {
				state := Warning
				if rest, ok := strings.CutPrefix(text, "!"); ok {
					text, state = rest, Critical
				}
				list = append(list, mustParse(text, state))
			}
			r := result(list, c.problems...)
			var out bytes.Buffer
			if err := r.WriteLine(&out); err != nil {
				t.Fatal(err)
			}
			if r.State != c.state || !strings.Contains(out.String(), c.want) {
				t.Errorf("%s: %s; want %q in it", r.State, out.String(), c.want)
			}
			if strings.Count(out.String(), "|") != 1 || strings.Count(out.String(), "\n") != 1 {
				t.Errorf("not one line with one bar: %q", out.String())
			}
		})
	}
}
