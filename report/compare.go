package report

import (
	"context"
	"errors"
	"slices"
	"time"

	"mailfail/report/investigate"
	"mailfail/store"
)

// usualDays lists how many steps back the periods are whose median counts as usual. For
// steps of a day these are the last seven days, and the same weekday two and three
// weeks before; of longer steps only the first three are used.
var usualDays = []int{1, 2, 3, 4, 5, 6, 7, 14, 21}

// longestCompared is the longest window that is compared with earlier ones of the same
// length: for longer windows the comparison costs more than it is worth.
const longestCompared = 8 * 24 * time.Hour

// compare sets Before, the numbers of the time before the window, and Usual, the median
// of earlier times.
func (r *Report) compare(ctx context.Context, q store.Reader) error {
	_, name := r.stepBack()
	var periods []*Period
	for _, e := range r.earlier() {
		p, err := period(ctx, q, e.window, r.Filter)
		if err != nil {
			return err
		}
		if p == nil {
			continue
		}
		if e.steps == 1 {
			p.Name = name
			r.Before = p
		}
		if e.usual {
			periods = append(periods, p)
		}
	}
	r.Usual = medianOf(periods)
	return nil
}

// earlier is a time some steps before the window; usual reports whether it is one of those
// whose median counts as usual.
type earlier struct {
	window store.Window
	steps  int
	usual  bool
}

// earlier returns the times that the window is compared with, as far as logs cover them.
func (r *Report) earlier() (list []earlier) {
	since, until := r.Window.Since, r.end()
	if since.IsZero() || until.Sub(since) > longestCompared || !since.Before(until) {
		return nil
	}
	step, _ := r.stepBack()
	for _, n := range usualDays {
		w := store.Window{Since: since.In(r.location).AddDate(0, 0, -n*step),
			Until: until.In(r.location).AddDate(0, 0, -n*step)}
		if w.Until.Before(r.Covered.First) {
			break
		}
		if w.Since.Before(r.Covered.First) && w.Until.Sub(r.Covered.First) < w.Until.Sub(w.Since)*9/10 {
			break
		}
		list = append(list, earlier{w, n, step == 1 || n < 4})
	}
	return list
}

// hasUsual reports whether there may be enough earlier times for a median.
func (r *Report) hasUsual() bool {
	n := 0
	for _, e := range r.earlier() {
		if e.usual {
			n++
		}
	}
	return n >= fewestUsual
}

// stepBack returns how many days earlier the time before is, and its name.
func (r *Report) stepBack() (days int, name string) {
	switch span := r.end().Sub(r.Window.Since); {
	case span > 25*time.Hour:
		days = int((span + 23*time.Hour) / (24 * time.Hour))
		if days == 7 {
			return days, "week before"
		}
		return days, "time before"
	case span >= 23*time.Hour:
		return 1, "day before"
	}
	return 1, "a day before"
}

// period returns the numbers of a time, nil when no line of it was read.
func period(ctx context.Context, q store.Reader, w store.Window, f store.Filter) (*Period, error) {
	n, err := q.Sums(ctx, w, f)
	if err != nil || n.Lines.Read == 0 {
		return nil, err
	}
	return &Period{Tally: n.Totals, Messages: n.Messages, Accepted: n.Accepted,
		OwnBounces: n.OwnBounces.Recipients, Reasons: n.Failed}, nil
}

// fewestUsual is the fewest periods that have a median.
const fewestUsual = 2

// medianOf returns the median of every number, nil for fewer than fewestUsual periods.
func medianOf(periods []*Period) *Period {
	if len(periods) < fewestUsual {
		return nil
	}
	median := func(of func(*Period) int64) int64 {
		var v []int64
		for _, p := range periods {
			v = append(v, of(p))
		}
		slices.Sort(v)
		return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	}
	u := &Period{Name: "usual", Days: len(periods), Messages: median(func(p *Period) int64 {
		return p.Messages
	}),
		Accepted:   median(func(p *Period) int64 { return p.Accepted }),
		OwnBounces: median(func(p *Period) int64 { return p.OwnBounces })}
	for _, f := range tallyFields() {
		*f.of(&u.Tally) = median(func(p *Period) int64 { return *f.of(&p.Tally) })
	}
	return u
}

// tallyField is one of the numbers of a tally.
type tallyField struct {
	name string
	of   func(*store.Tally) *int64
}

func tallyFields() []tallyField {
	return []tallyField{
		{"recipients", func(t *store.Tally) *int64 { return &t.Recipients }},
		{"delivered", func(t *store.Tally) *int64 { return &t.Delivered }},
		{"bounced", func(t *store.Tally) *int64 { return &t.Bounced }},
		{"expired", func(t *store.Tally) *int64 { return &t.Expired }},
		{"removed", func(t *store.Tally) *int64 { return &t.Removed }},
		{"pending", func(t *store.Tally) *int64 { return &t.Pending }},
		{"handed_over", func(t *store.Tally) *int64 { return &t.HandedOver }},
		{"attempts", func(t *store.Tally) *int64 { return &t.Attempts }},
		{"deferrals", func(t *store.Tally) *int64 { return &t.Deferrals }},
		{"failures", func(t *store.Tally) *int64 { return &t.Failures }},
		{"suspended", func(t *store.Tally) *int64 { return &t.Suspended }},
		{"deferred", func(t *store.Tally) *int64 { return &t.Deferred }},
		{"rejected", func(t *store.Tally) *int64 { return &t.Rejected }},
		{"rejected_temporary", func(t *store.Tally) *int64 { return &t.RejectedTemporary }},
	}
}

// Line holds the counts of a window in equal steps.
type Line struct {
	step   time.Duration
	points []point
}

type point struct {
	at                          time.Time
	delivered, deferred, failed int64
}

// The longest windows whose timeline is by hour and by day.
const (
	longestHours = 49 * time.Hour
	longestDays  = 62 * 24 * time.Hour
)

// timeline counts attempts over the window by hour or by day.
func (r *Report) timeline(ctx context.Context, q store.Reader) error {
	w := r.Window
	if w.Since.IsZero() {
		w.Since = r.FirstLine
	}
	if w.Until = r.end(); r.Window.Until.IsZero() {
		w.Until = r.LastLine.Add(time.Minute)
	}
	step := time.Hour
	switch span := w.Until.Sub(w.Since); {
	case w.Since.IsZero() || r.Totals.Attempts == 0 || span <= time.Hour || span > longestDays ||
		r.Filter.OfCause():
		return nil
	case span > longestHours:
		step = 24 * time.Hour
	default:
		w.Since = w.Since.Truncate(time.Hour)
	}
	var err error
	r.Line, err = r.line(ctx, q, w, step)
	return err
}

// A window of about a day gets a trend of trendDays, unless the logs cover fewer than
// fewestDays of them.
const (
	trendDays  = 30
	fewestDays = 5

	// With more recipients a day, counting thirty days takes seconds.
	mostTrended = 250_000
)

// trend counts attempts by day over the weeks before the window and in it.
func (r *Report) trend(ctx context.Context, q store.Reader) (err error) {
	since, until := r.Window.Since, r.end()
	if since.IsZero() || until.Sub(since) < 23*time.Hour || until.Sub(since) > longestHours ||
		r.Totals.Attempts == 0 || r.Totals.Recipients > mostTrended || r.Filter.OfCause() {
		return nil
	}
	w := store.Window{Since: since, Until: until}
	for n := 1; n < trendDays && r.Covered.First.Before(w.Since); n++ {
		w.Since = since.In(r.location).AddDate(0, 0, -n)
	}
	if until.Sub(w.Since) < fewestDays*24*time.Hour {
		return nil
	}
	r.Trend, err = r.line(ctx, q, w, 24*time.Hour)
	return err
}

// line counts attempts over a time in equal steps.
func (r *Report) line(ctx context.Context, q store.Reader, w store.Window,
	step time.Duration) (*Line, error) {
	t, err := q.Timeline(ctx, w, r.Filter, nil, step)
	if err != nil {
		return nil, err
	}
	line := &Line{step: step}
	for at := w.Since; at.Before(w.Until); at = at.Add(step) {
		line.points = append(line.points, point{at: at})
	}
	for _, s := range t.Slices {
		for _, p := range s.Points {
			if i := int(p.Time.Sub(w.Since) / step); i >= 0 && i < len(line.points) {
				at := &line.points[i]
				at.delivered, at.deferred, at.failed = at.delivered+p.Delivered, at.deferred+p.Deferrals,
					at.failed+p.Failures
			}
		}
	}
	return line, nil
}

// investigate finds what changed, nil if there are too few earlier days to compare with.
func (r *Report) investigate(ctx context.Context, q store.Reader) (*investigate.Result, error) {
	if !r.hasUsual() || r.Window.Since.IsZero() || r.end().Sub(r.Window.Since) > longestHours ||
		r.Filter.OfCause() {
		return nil, nil
	}
	opt := investigate.Options{Window: store.Window{Since: r.Window.Since, Until: r.end()}, Filter: r.Filter,
		Location: r.location}
	if !r.FromFiles {
		opt.Now = r.Now
	}
	found, err := investigate.Run(ctx, q, opt)
	if errors.Is(err, investigate.ErrEmpty) || err == nil && found.Baseline.Days < leastDays {
		return nil, nil
	}
	return found, err
}

// leastDays is the least number of earlier days that define what is usual.
const leastDays = 2
