package alert

import (
	"math"
	"testing"
)

// FuzzParse reads rules: what is taken is within the bounds of a rule.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"provider=google failure-rate>20% for 5m min 50", `code="421 4.7.0" mta=exim host=mx1 reason=rate-limited deferral-rate>5.5%`,
		"rejected>=1000  for 1m", "failures>1 min 99999999999", "failures>1e400", `domain="`, "for for failures>1", "failure-rate>0x1p-2", "sender=<> deferrals>0",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		if r.Metric == "" || r.For < shortest || r.For > longest || r.Threshold < 0 || math.IsInf(r.Threshold, 0) || math.IsNaN(r.Threshold) ||
			r.Metric.IsRate() && r.Threshold > 1 {
			t.Errorf("%q is %+v", text, *r)
		}
		if again, err := Parse(text); err != nil || again.Threshold != r.Threshold || again.Min != r.Min {
			t.Errorf("%q read twice: %+v, %v", text, again, err)
		}
	})
}
