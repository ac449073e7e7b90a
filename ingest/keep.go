package ingest

import (
	"context"
	"errors"
	"time"

	"mailfail/ingest/track"
	"mailfail/store"
)

// Keep says for how long is kept what was read; 0 is for ever.
type Keep struct {
	Rows   time.Duration // who was concerned, and what was said
	Counts time.Duration // numbers

	// Delivered is how long deliveries with nothing gone wrong are kept, to be found
	// one by one; 0 is not at all.
	Delivered time.Duration
}

// Any reports whether anything is to be removed some day.
func (k Keep) Any() bool { return k != Keep{} }

// Check reports what makes no sense.
func (k Keep) Check() error {
	if k.Counts != 0 && (k.Rows == 0 || k.Counts < k.Rows) {
		return errors.New("numbers cannot be kept for a shorter time than what they count")
	}
	return nil
}

// At returns up to when is removed what at a time.
func (k Keep) At(now time.Time) (r store.Retention) {
	if k.Rows > 0 {
		r.Rows = now.Add(-k.Rows)
	}
	if k.Delivered > 0 {
		r.Deliveries = now.Add(-k.Delivered)
	}
	if k.Counts > 0 {
		r.Counts = now.Add(-k.Counts)
	}
	return r
}

// Prune removes what is older than k says at a time. Messages that have not ended
// stay whole.
func Prune(ctx context.Context, w store.Writer, k Keep, now time.Time) (store.Pruned, error) {
	return w.Prune(ctx, k.At(now), track.MessageRow)
}

// prune does so at most once a day. A clock that is ahead must not remove
// everything: of the clock and the newest line the earlier one counts.
func (l *loop) prune(ctx context.Context) error {
	const name = "pruned"
	if !l.opt.Keep.Any() || l.opt.Whole {
		return nil
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if last, err := l.w.Meta(name); err != nil || last == today {
		return err
	}
	now := time.Now()
	if newest := l.tracker.Newest(); newest.Before(now) {
		now = newest
	}
	if _, err := Prune(ctx, l.w, l.opt.Keep, now); err != nil {
		return err
	}
	if _, err := l.w.Begin(ctx); err != nil {
		return err
	}
	l.w.PutMeta(name, today)
	return l.w.Commit()
}
