package check

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/templates"
)

// Schema is the schema of the JSON of a check: fields are added within it, never
// renamed.
const Schema = "mailfail/check/1"

// WriteLine writes the result as monitoring plugins do: a state, a text, and
// performance data (label=value;warn;crit;min;max) behind a bar.
func (r *Result) WriteLine(w io.Writer) error {
	var data []string
	for _, m := range r.Metrics {
		data = append(data, m.performance())
	}
	_, err := fmt.Fprintf(w, "MAILFAIL %s - %s|%s\n", r.State, line(r.Text()), strings.Join(data, " "))
	return err
}

// WriteUnknown writes the line of a check that could not be made.
func WriteUnknown(w io.Writer, err error) {
	fmt.Fprintf(w, "MAILFAIL %s - %s\n", Unknown, line(templates.Printable(err.Error())))
}

// WriteUnknownJSON writes the object of a check that could not be made: its window
// is null, and it has no metrics.
func WriteUnknownJSON(w io.Writer, err error) error {
	out := verdict(Unknown, registry.Foreign(err.Error()).String())
	return templates.WriteJSON(w, &out, "  ")
}

// verdict is an object without numbers.
func verdict(state State, text string) resultJSON {
	return resultJSON{
		Schema: Schema,
		State:  strings.ToLower(state.String()),
		Code:   int(state),
		Text:   text,
		Values: []metricJSON{},
		Found:  []string{},
	}
}

// line replaces the characters of a text that would begin performance data or another
// line.
func line(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", "/"), "\n", " ")
}

// performance returns a metric as performance data. U stands for no value.
func (m *Metric) performance() string {
	value, limit := "U", ""
	if m.Value != nil {
		value = plain(rounded(*m.Value)) + string(m.Unit)
	}
	if m.Unit == Percent {
		limit = "100"
	}
	return strings.TrimRight(fmt.Sprintf("%s=%s;%s;%s;0;%s", strings.ReplaceAll(m.Name, "-", "_"), value,
		m.Warning.alertRange(), m.Critical.alertRange(), limit), ";")
}

// rounded returns a number with three decimals.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

type resultJSON struct {
	Schema string       `json:"schema"`
	State  string       `json:"state"`
	Code   int          `json:"code"`
	Text   string       `json:"text"`
	Window *windowJSON  `json:"window"` // null when the check could not be made
	Values []metricJSON `json:"metrics"`
	Found  []string     `json:"problems"`
}

type windowJSON struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

type metricJSON struct {
	Name     string   `json:"name"`
	Unit     Unit     `json:"unit"`
	Value    *float64 `json:"value"`
	Warning  *float64 `json:"warning"`
	Critical *float64 `json:"critical"`
}

// WriteJSON writes the result as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	out := verdict(r.State, r.Text())
	out.Window = &windowJSON{r.Window.Since, r.Window.Until}
	for _, m := range r.Metrics {
		v := metricJSON{Name: strings.ReplaceAll(m.Name, "-", "_"), Unit: m.Unit, Warning: m.Warning.limit(),
			Critical: m.Critical.limit()}
		if m.Value != nil {
			f := rounded(*m.Value)
			v.Value = &f
		}
		out.Values = append(out.Values, v)
	}
	for _, p := range r.Problems {
		out.Found = append(out.Found, registry.Foreign(p.Text.String()).String())
	}
	return templates.WriteJSON(w, &out, "  ")
}

func (t *Threshold) limit() *float64 {
	if t == nil {
		return nil
	}
	return &t.Limit
}
