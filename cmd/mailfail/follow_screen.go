package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"mailfail/ingest"
	"mailfail/registry"
	"mailfail/report/alert"
	"mailfail/report/live"
	"mailfail/report/live/screen"
	"mailfail/store"
)

// usualDays is how many earlier days define what is usual.
const usualDays = 7

// screen shows the live screen on the terminal.
func (f *follow) screen(loop ingest.FollowOptions, look func(context.Context, ingest.FollowOptions) error,
	db store.Database, stdin bool, output *outputFlags,
	rules []*alert.Rule, receivers []alert.Receiver) error {
	ctx, cancel := context.WithCancel(f.cmd.Context())
	defer cancel()
	stats, status := live.NewStats(), &screen.Status{}
	kept := &warnings{}
	f.warn = func(err error) {
		kept.add(err)
		status.Warn(err.Error(), f.now())
	}
	loop.Warn = onceOfFiles(f.about)
	sums := &sums{began: f.now(), outcomes: map[string]int64{}}
	narrow := &narrowing{f: f, db: db}
	model := screen.New(screen.Options{
		Stats:    stats,
		Status:   status,
		Now:      f.now,
		Location: f.loc,
		Look:     f.look(output),
		Filter:   live.FormatFilter(f.filter),
		Explain:  registry.Brief,
		Usual:    f.usual(db),
		Narrow:   narrow.to,
		Story:    f.story(db),
	})
	stop := f.alerting(rules, receivers, func(a alert.Alert) {
		if !a.Started {
			status.Warn("alert over: "+a.String(), f.now())
		}
	}, func() {
		var on []string
		for _, a := range f.watch.On(f.now()) {
			on = append(on, a.String())
		}
		status.Alerts(on)
	})
	loop.Observe = func(t *store.Event) {
		narrow.begin()
		if e := f.shown(t); e != nil {
			now := f.now()
			narrow.add(e, now)
			stats.Add(f.public(e), now)
			sums.outcomes[e.Outcome]++
			if f.watch != nil {
				f.watch.Add(e, now)
			}
		}
	}
	loop.Committed = func(l store.Lines) {
		narrow.end()
		sums.lines += l.Read
		status.Lines(l)
	}
	var changes sync.WaitGroup
	changes.Go(func() { f.investigating(ctx, db, status.Changes) })
	followed := make(chan error, 1)
	go func() {
		if err := f.remember(ctx, db, f.filter, stats); err != nil && ctx.Err() == nil {
			f.warn(err)
		}
		err := look(ctx, loop)
		narrow.end()
		status.Ended()
		if err != nil || ctx.Err() != nil {
			cancel() // there will be nothing new to show
		}
		followed <- err
	}()
	var keys io.Reader
	if in, ok := f.cmd.InOrStdin().(*os.File); ok && !stdin && term.IsTerminal(int(in.Fd())) {
		keys = in
	}
	err := screen.Run(ctx, model, keys, f.cmd.OutOrStdout())
	cancel()
	err = errors.Join(<-followed, err)
	changes.Wait()
	stop()
	kept.print(f.cmd)
	sums.print(f.cmd.OutOrStdout(), f.now())
	return err
}

// usual returns the function that reads the usual numbers, as a whole and by provider.
func (f *follow) usual(query store.Reader) func(context.Context, time.Time,
	store.Filter) (screen.Usual, error) {
	return func(ctx context.Context, at time.Time, filter store.Filter) (u screen.Usual, err error) {
		filter = both(f.filter, filter)
		if u.Usual, err = query.Usual(ctx, at.In(f.loc), usualDays, filter); err == nil {
			u.Days, err = live.ReadDays(ctx, query, at.In(f.loc), usualDays, filter)
		}
		return u, err
	}
}

// remember fills counters with the last hour of the database, so that the screen is not
// empty for somebody who opens it during an incident.
func (f *follow) remember(ctx context.Context, query store.Reader, filter store.Filter,
	stats *live.Stats) error {
	const newest = 100 // of each outcome
	now := f.now()
	window := store.Window{Since: now.Add(-live.Reach), Until: now}
	if err := query.Recent(ctx, window, filter, func(e *store.Event, n int64) {
		stats.Remember(e, uint64(n), now)
	}); err != nil {
		return err
	}
	for _, outcome := range store.OutcomeNames {
		_, err := query.Events(ctx, window, filter, []string{outcome}, newest, func(e *store.Event) error {
			stats.Keep(e)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// look finds out what the terminal can show.
func (f *follow) look(output *outputFlags) screen.Look {
	_, color := output.screen(f.cmd)
	locale := os.Getenv("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = os.Getenv(name)
		}
	}
	locale = strings.ToLower(locale)
	utf8 := strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
	// The fonts of the Linux console have none of the bars.
	return screen.Look{Color: color, Unicode: utf8 && os.Getenv("TERM") != "linux"}
}

// both returns a filter with the conditions of two filters. When both have a condition
// on the same key, only the second counts.
func both(a, b store.Filter) store.Filter {
	for _, key := range live.FilterKeys {
		if list := live.FilterList(&b, key); len(*list) == 0 {
			*list = *live.FilterList(&a, key)
		}
	}
	return b
}
