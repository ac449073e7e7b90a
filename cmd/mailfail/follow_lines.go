package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"mailfail/ingest"
	"mailfail/report"
	"mailfail/report/alert"
	"mailfail/report/live"
	"mailfail/store"
	"mailfail/templates"
)

// lines prints one line a failure.
func (f *follow) lines(loop ingest.FollowOptions, look func(context.Context, ingest.FollowOptions) error,
	format string, outcomes []string,
	rules []*alert.Rule, receivers []alert.Receiver) error {
	// Otherwise a closed pipe would kill the program within a batch.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancel(f.cmd.Context())
	defer cancel()
	var mu sync.Mutex
	f.warn = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		warn(f.cmd, errors.New(templates.Printable(err.Error())))
	}
	stop := f.alerting(rules, receivers, func(a alert.Alert) {
		mu.Lock()
		defer mu.Unlock()
		what := "ALERT over"
		if a.Started {
			what = "ALERT"
		}
		fmt.Fprintf(f.cmd.ErrOrStderr(), "%s %s %s\n", a.At.In(f.loc).Format(time.RFC3339), what,
			templates.Printable(a.String()))
	}, func() {})
	out := newPrinter(f.cmd.OutOrStdout(), cancel)
	events, err := report.NewEventWriter(out, format, f.loc)
	if err != nil {
		return err
	}
	loop.Warn = onceOfFiles(f.about)
	loop.Failures = f.watch == nil // only alerts count deliveries
	loop.Observe = func(t *store.Event) {
		e := f.shown(t)
		if e == nil {
			return
		}
		if f.watch != nil {
			f.watch.Add(e, f.now())
		}
		e = f.public(e)
		switch {
		case !slices.Contains(outcomes, e.Outcome):
		case format == "json":
			_ = events.Event(e) // into memory
		default:
			out.buf.Write(live.AppendLine(out.buf.AvailableBuffer(), e, f.loc))
		}
		out.bound(ctx)
	}
	loop.Committed = func(store.Lines) { out.pass(ctx) }
	err = look(ctx, loop)
	out.pass(ctx)
	stop()
	return errors.Join(err, out.close())
}

// shown returns e, or nil when the filter leaves it out or another log reports it.
func (f *follow) shown(e *store.Event) *store.Event {
	twice := f.twice.Has(e)
	if !f.filter.Match(e) {
		return nil
	}
	if f.alone.see(e, twice, f.now()) {
		f.warn(errors.New(report.SendLogsRemark(store.LeftOut{})))
	}
	if twice {
		return nil
	}
	return e
}

// public returns e with pseudonyms when they are wanted. e may be nil.
func (f *follow) public(e *store.Event) *store.Event {
	if e == nil || f.names == nil {
		return e
	}
	c := *e
	f.names.Event(&c)
	return &c
}

// sendLogs finds out whether failures of SMTP send logs are left out because of
// tracking logs that are not followed: those of another server, or of yesterday.
type sendLogs struct {
	since time.Time // first failure left out since the last one of a tracking log
	said  bool      // or the remark is not wanted
}

// see takes in a failure and reports, once, whether a remark is due: when no tracking
// log had a failure for five minutes.
func (s *sendLogs) see(e *store.Event, leftOut bool, now time.Time) bool {
	switch {
	case s.said:
	case !leftOut:
		if e.Format == "exchange-tracking" {
			s.since = time.Time{}
		}
	case s.since.IsZero():
		s.since = now
	case now.Sub(s.since) >= 5*time.Minute:
		s.said = true
		return true
	}
	return false
}
