package ingest

import (
	"context"
	"errors"
	"time"

	"mailfail/ingest/track"
	"mailfail/store"
)

// Keep sets how long data is kept; 0 means for ever.
type Keep struct {
	Rows   time.Duration // messages, recipients and attempts, with addresses and replies
	Counts time.Duration // the counted numbers

	// Delivered is how long deliveries without any failure are kept, so that they can be
	// found one by one; 0 means that they are not kept.
	Delivered time.Duration
}

// Any reports whether anything is ever removed.
func (k Keep) Any() bool { return k != Keep{} }

// Check returns an error if counts are kept for a shorter time than rows.
func (k Keep) Check() error {
	if k.Counts != 0 && (k.Rows == 0 || k.Counts < k.Rows) {
		return errors.New("numbers cannot be kept for a shorter time than what they count")
	}
	return nil
}

// At returns the times before which data is removed when Prune runs at now.
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

// Prune removes data that is older than k allows at the time now. The rows of messages
// that have not ended stay.
func Prune(ctx context.Context, w store.Writer, k Keep, now time.Time) (store.Pruned, error) {
	return w.Prune(ctx, k.At(now), track.MessageRow)
}

// prune calls Prune at most once a day. It takes the earlier of the clock and the time of the
// newest record: a clock that is ahead must not remove everything.
func (l *loop) prune(ctx context.Context, newest time.Time) error {
	const name = "pruned"
	if !l.opt.Keep.Any() || l.opt.Whole {
		return nil
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if last, err := l.w.Meta(name); err != nil || last == today {
		return err
	}
	now := time.Now()
	if newest.Before(now) {
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
