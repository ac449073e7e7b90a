package live

import (
	"context"
	"slices"
	"time"

	"mailfail/store"
)

// usualSpan is the length of the time around the same time of day that is read.
const usualSpan = time.Hour

// Days hold the attempts by provider around the same time on earlier days.
type Days []map[string]*[outcomes]uint64

// ReadDays reads at most days days before at. Days without an event at that time are
// left out.
func ReadDays(ctx context.Context, r store.Reader, at time.Time, days int, f store.Filter) (Days, error) {
	var list Days
	for day := 1; day <= days; day++ {
		middle := at.AddDate(0, 0, -day)
		w := store.Window{Since: middle.Add(-usualSpan / 2), Until: middle.Add(usualSpan / 2)}.Minutes()
		t, err := r.Timeline(ctx, w, f, []store.Dimension{store.ByProvider}, usualSpan)
		if err != nil {
			return nil, err
		}
		if len(t.Slices) > 0 {
			list = append(list, dayOf(t.Slices))
		}
	}
	return list, nil
}

func dayOf(slices []store.Slice) map[string]*[outcomes]uint64 {
	day := map[string]*[outcomes]uint64{}
	for _, s := range slices {
		n := day[s.Values[0].Raw()]
		if n == nil {
			n = new([outcomes]uint64)
			day[s.Values[0].Raw()] = n
		}
		for _, p := range s.Points {
			n[Delivered] += uint64(p.Delivered)
			n[Deferred] += uint64(p.Deferrals)
			n[Failed] += uint64(p.Failures)
			n[Rejected] += uint64(p.Rejected)
		}
	}
	return day
}

// Share returns the median over the days of the share that failures with these outcomes
// had in the attempts of a provider. ok is false when there was no attempt, and for
// rejections, which are not attempts.
func (d Days) Share(provider string, failures []Outcome) (share float64, ok bool) {
	if slices.Contains(failures, Rejected) {
		return 0, false
	}
	var shares []float64
	for _, day := range d {
		n := day[provider]
		if n == nil {
			continue
		}
		var failed uint64
		for _, o := range failures {
			failed += n[o]
		}
		if all := n[Delivered] + n[Deferred] + n[Failed]; all > 0 {
			shares = append(shares, float64(failed)/float64(all))
		}
	}
	if len(shares) == 0 {
		return 0, false
	}
	slices.Sort(shares)
	return (shares[(len(shares)-1)/2] + shares[len(shares)/2]) / 2, true
}
