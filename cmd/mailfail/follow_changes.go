package main

import (
	"context"
	"errors"
	"time"

	"mailfail/report/investigate"
	"mailfail/store"
)

// investigateEvery is how often follow investigates the database. On a large site it
// does so less often, so that it takes at most a fiftieth of the time.
const investigateEvery = 5 * time.Minute

// investigating calls found, from time to time until ctx ends, with the problems of the
// last 24 hours that still go on.
func (f *follow) investigating(ctx context.Context, db store.Database, found func([]string)) {
	for {
		started := time.Now()
		titles, err := f.changes(ctx, db)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			f.warn(err)
		default:
			found(titles)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(investigateEvery, 50*time.Since(started))):
		}
	}
}

// changes returns the titles of the problems that still go on.
func (f *follow) changes(ctx context.Context, db store.Database) (titles []string, err error) {
	now := f.now()
	opt := investigate.Options{Window: store.Window{Since: now.Add(-24 * time.Hour)}, Filter: f.filter,
		Location: f.loc, Now: now}
	err = db.Snapshot(ctx, func(r store.Reader) error {
		result, err := investigate.Run(ctx, r, opt)
		if errors.Is(err, investigate.ErrEmpty) {
			return nil
		}
		if err == nil {
			for _, p := range result.GoingOn() {
				titles = append(titles, p.Title().String())
			}
		}
		return err
	})
	return titles, err
}
