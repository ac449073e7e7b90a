package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/report"
	"mailfail/report/alert"
	"mailfail/report/live"
	"mailfail/report/live/screen"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

// usualDays is how many days are looked at to know what is usual.
const usualDays = 7

// followFlags are the flags of follow that no other command has.
type followFlags struct {
	fromStart, fromEnd bool
	plain              bool
	outcomes           []string
	rejections         bool
	alerts             []string
	programs, webhooks []string
}

func followCommand() *cobra.Command {
	var logs logFlags
	var filter filterFlags
	var output outputFlags
	var flags followFlags
	var dbPath string
	cmd := &cobra.Command{
		Use:   "follow [FILE...]",
		Short: "Read logs as they grow and show failures as they happen",
		Long: `Follow reads what is new in the logs into the database, as ingest does, and goes
on as they grow, whatever happens to them: rotation, truncation, compression,
files that do not exist yet. It may run beside ingest and report. FILE is a log,
a directory, a pattern, or - for standard input; without FILE the logs in the
usual places are followed.

On a terminal it shows the rates of the last minutes against the usual ones,
what fails where and why, and the newest failures; ? explains the keys. Anywhere
else, or with --plain, it prints one line a failure: time, outcome, provider,
domain, recipient, code, reason, text; with --format json one object a line, as
mailfail events does. SIGINT and SIGTERM end it: what was read is kept.

An alert is a rule such as

  provider=google failure-rate>20% for 5m min 50

with any of provider= domain= code= reason= sender= host= mta=, one of
failure-rate, deferral-rate, failures, deferrals, rejected with > or >=, the
span of time that is looked at (5m), and how many attempts there must be in it
(20 for a rate). It is told once when it begins to hold, and once when it has
not held for as long as the span. The span ends now, and mail counts by the time
in the log, so that a backlog alerts nobody. Alerts that are on when follow ends
are not told to be over.`,
		Example: `  mailfail follow /var/log/mail.log
  journalctl -f -o json -u postfix@- | mailfail follow -
  mailfail follow --plain --provider Google | grep rate-limited
  mailfail follow --alert 'failure-rate>20% for 5m min 50' --alert-exec /usr/local/bin/page`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f := &follow{cmd: cmd, flags: &flags, now: time.Now}
			return f.run(args, &logs, &filter, &output, dbPath)
		},
	}
	set := cmd.Flags()
	logs.add(set)
	filter.add(set)
	set.StringVar(&dbPath, "db", "", "the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	set.StringVar(&logs.zone, "tz", "", "time zone of the times shown, and of logs that do not name one (else the local one)")
	set.BoolVar(&flags.fromStart, "from-start", false, "read logs that are new to the database from their beginning (as without this flag)")
	set.BoolVar(&flags.fromEnd, "from-end", false, "read of logs that are new to the database only what is written from now on")
	set.BoolVar(&flags.plain, "plain", false, "one line a failure, also on a terminal")
	set.StringSliceVar(&flags.outcomes, "outcome", nil, "print only failures that ended so: "+strings.Join(store.OutcomeNames, ", ")+" (else deferred and failed)")
	set.BoolVar(&flags.rejections, "rejections", false, "print also mail that was refused on its way in")
	set.StringArrayVar(&flags.alerts, "alert", nil, "tell when a rule holds; may be given several times")
	set.StringArrayVar(&flags.programs, "alert-exec", nil, "run this program, without arguments, for every alert, with JSON on its standard input")
	set.StringArrayVar(&flags.webhooks, "alert-webhook", nil, "post every alert as JSON to this http or https URL")
	set.StringVar(&output.format, "format", "text", "form of what is printed: text, json")
	set.BoolVar(&output.noColor, "no-color", false, "no colours on the screen")
	output.formats = []string{"text", "json"}
	return cmd
}

// follow is one run of the command.
type follow struct {
	cmd    *cobra.Command
	flags  *followFlags
	now    func() time.Time
	filter store.Filter
	twice  *store.Repeats
	alone  sendLogs
	loc    *time.Location
	watch  *alert.Watch // nil without alerts
	warn   func(error)
}

func (f *follow) run(args []string, logs *logFlags, filter *filterFlags, output *outputFlags, dbPath string) error {
	opt, err := logs.options()
	if err != nil {
		return err
	}
	f.loc, f.alone.said = opt.Location, logs.quiet
	if f.filter, err = filter.filter(); err != nil {
		return err
	}
	if err := output.check(); err != nil {
		return err
	}
	if f.flags.fromStart && f.flags.fromEnd {
		return usageError("--from-start and --from-end exclude each other")
	}
	outcomes, err := outcomeList(f.flags.outcomes, f.flags.rejections)
	if err != nil {
		return err
	}
	rules, receivers, err := f.alertFlags()
	if err != nil {
		return err
	}
	if args, err = followed(f.cmd, args); err != nil {
		return err
	}
	db, err := openDatabase(dbPath)
	if err != nil {
		return err
	}
	defer db.Close()

	lately := store.Window{Since: f.now().Add(-24 * time.Hour)}
	if f.twice, err = db.Repeats(f.cmd.Context(), lately, f.filter); err != nil {
		return err
	}
	loop := ingest.FollowOptions{Options: opt, FromEnd: f.flags.fromEnd, Stdin: f.cmd.InOrStdin()}
	reasons, err := logs.loadRules()
	if err != nil {
		return err
	}
	look := func(ctx context.Context, loop ingest.FollowOptions) error {
		return ingest.Follow(ctx, db, reasons, args, loop)
	}
	if !f.flags.plain && output.format == "text" && isTerminal(f.cmd.OutOrStdout()) {
		return f.screen(loop, look, db, slices.Contains(args, source.Stdin), output, rules, receivers)
	}
	return f.lines(loop, look, output.format, outcomes, rules, receivers)
}

// followed returns what is to be followed: what is named, or the logs in the
// usual places.
func followed(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	for _, family := range source.Usual() {
		args = append(args, family.Name)
	}
	if len(args) == 0 {
		return nil, usageError("no log in the usual places (%s): name one", strings.Join(source.UsualPlaces(), ", "))
	}
	return args, nil
}

func (f *follow) alertFlags() (rules []*alert.Rule, receivers []alert.Receiver, err error) {
	for _, text := range f.flags.alerts {
		r, err := alert.Parse(text)
		if err != nil {
			return nil, nil, usageError("--alert: %v", err)
		}
		rules = append(rules, r)
	}
	for _, path := range f.flags.programs {
		r, err := alert.Program(path)
		if err != nil {
			return nil, nil, usageError("--alert-exec: %v", err)
		}
		receivers = append(receivers, r)
	}
	for _, address := range f.flags.webhooks {
		r, err := alert.Webhook(address)
		if err != nil {
			return nil, nil, usageError("--alert-webhook: %v", err)
		}
		receivers = append(receivers, r)
	}
	if len(receivers) > 0 && len(rules) == 0 {
		return nil, nil, usageError("--alert-exec and --alert-webhook need an --alert")
	}
	return rules, receivers, nil
}

// shown returns e, or nil when the filter leaves it out or another log tells it.
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

// sendLogs finds out whether failures of SMTP send logs are left out because of
// tracking logs that nobody follows: those of another server, or of yesterday.
type sendLogs struct {
	since time.Time // when the first was left out, since there was one of a tracking log
	said  bool      // or nobody wants to know
}

// see takes in a failure and reports whether it is time to say something: once, when
// no tracking log had any failure for five minutes.
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

// alerting watches for alerts until the returned function is called; tell is
// called for each, checked every second.
func (f *follow) alerting(rules []*alert.Rule, receivers []alert.Receiver, tell func(alert.Alert), checked func()) (stop func()) {
	if len(rules) == 0 {
		return func() {}
	}
	// What is on its way when the program ends gets a little time.
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.cmd.Context()))
	sender := alert.NewSender(ctx, receivers, f.warn)
	f.watch = alert.NewWatch(rules, func(a alert.Alert) {
		tell(a)
		sender.Send(a)
	})
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f.check()
				checked()
			case <-ended:
				f.check()
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
		t := time.AfterFunc(patience, cancel)
		sender.Close()
		t.Stop()
		cancel()
	}
}

func (f *follow) check() {
	f.watch.Check(f.now())
	if age, ok := f.watch.Behind(f.now()); ok {
		f.warn(fmt.Errorf("alerts have seen nothing yet: the newest mail in the logs is %v old (a backlog, or a wrong --tz?)", age.Round(time.Second)))
	}
}

// lines prints one line a failure.
func (f *follow) lines(loop ingest.FollowOptions, look func(context.Context, ingest.FollowOptions) error, format string, outcomes []string,
	rules []*alert.Rule, receivers []alert.Receiver) error {
	// Without this a closed pipe would kill the program amid a batch.
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
		fmt.Fprintf(f.cmd.ErrOrStderr(), "%s %s %s\n", a.At.In(f.loc).Format(time.RFC3339), what, templates.Printable(a.String()))
	}, func() {})
	out := newPrinter(f.cmd.OutOrStdout(), cancel)
	events, err := report.NewEventWriter(out, format, f.loc)
	if err != nil {
		return err
	}
	loop.Warn = f.warn
	loop.Failures = f.watch == nil // only alerts count deliveries
	loop.Observe = func(t *store.Event) {
		e := f.shown(t)
		if e == nil {
			return
		}
		if f.watch != nil {
			f.watch.Add(e, f.now())
		}
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

// printer collects what is printed and writes it in a goroutine of its own.
// Nobody waits for a slow reader while the database is locked, but for when it
// is so far behind that memory would be the price.
type printer struct {
	buf    bytes.Buffer
	chunks chan []byte
	done   chan error
	lost   bool
}

const (
	printAhead = 8       // chunks
	maxChunk   = 1 << 20 // bytes

	// patience is how long the end of the program waits for a slow reader, and
	// for what is told of alerts.
	patience = 5 * time.Second
)

func newPrinter(w io.Writer, failed func()) *printer {
	p := &printer{chunks: make(chan []byte, printAhead), done: make(chan error, 1)}
	go func() {
		var err error
		for chunk := range p.chunks {
			if err == nil {
				if _, err = w.Write(chunk); err != nil {
					failed()
				}
			}
		}
		if errors.Is(err, syscall.EPIPE) {
			err = nil // the reader has seen enough
		}
		p.done <- err
	}()
	return p
}

func (p *printer) Write(b []byte) (int, error) { return p.buf.Write(b) }

// bound passes on what there is when it is much.
func (p *printer) bound(ctx context.Context) {
	if p.buf.Len() >= maxChunk {
		p.pass(ctx)
	}
}

// pass passes on what there is to be written.
func (p *printer) pass(ctx context.Context) {
	if p.buf.Len() == 0 {
		return
	}
	chunk := bytes.Clone(p.buf.Bytes())
	p.buf.Reset()
	select {
	case p.chunks <- chunk:
		return
	default:
	}
	select {
	case p.chunks <- chunk:
		return
	case <-ctx.Done():
	}
	select {
	case p.chunks <- chunk:
	case <-time.After(patience):
		p.lost = true
	}
}

// close waits until all is written, but not for ever for one who does not read.
func (p *printer) close() error {
	close(p.chunks)
	select {
	case err := <-p.done:
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
	case <-time.After(patience):
		p.lost = true
	}
	if p.lost {
		return errors.New("print: nobody reads the output: a part of it is lost (the database has all)")
	}
	return nil
}

// screen shows what happens on the terminal.
func (f *follow) screen(loop ingest.FollowOptions, look func(context.Context, ingest.FollowOptions) error, db *sqlite.DB, stdin bool, output *outputFlags,
	rules []*alert.Rule, receivers []alert.Receiver) error {
	ctx, cancel := context.WithCancel(f.cmd.Context())
	defer cancel()
	stats, status := live.NewStats(), &screen.Status{}
	kept := &warnings{}
	f.warn = func(err error) {
		kept.add(err)
		status.Warn(err.Error(), f.now())
	}
	loop.Warn = f.warn
	query := store.Reader(db)
	model := screen.New(screen.Options{Stats: stats, Status: status, Now: f.now, Location: f.loc, Look: f.look(output), Filter: live.FormatFilter(f.filter),
		Explain: registry.Brief, Usual: func(ctx context.Context, at time.Time, filter store.Filter) (store.Usual, error) {
			return query.Usual(ctx, at.In(f.loc), usualDays, both(f.filter, filter))
		}})
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
		if e := f.shown(t); e != nil {
			now := f.now()
			stats.Add(e, now)
			if f.watch != nil {
				f.watch.Add(e, now)
			}
		}
	}
	loop.Committed = status.Lines
	followed := make(chan error, 1)
	go func() {
		if err := f.remember(ctx, query, stats); err != nil && ctx.Err() == nil {
			f.warn(err)
		}
		err := look(ctx, loop)
		status.Ended()
		if err != nil || ctx.Err() != nil {
			cancel() // there is nothing to look at any more
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
	stop()
	kept.print(f.cmd)
	return err
}

// remember fills the counters with the last hour of the database, so that the
// screen of one who comes to look at an incident is not empty.
func (f *follow) remember(ctx context.Context, query store.Reader, stats *live.Stats) error {
	const newest = 100 // of each outcome
	now := f.now()
	window := store.Window{Since: now.Add(-live.Reach), Until: now}
	if err := query.Recent(ctx, window, f.filter, func(e *store.Event, n int64) { stats.Remember(e, uint64(n), now) }); err != nil {
		return err
	}
	for _, outcome := range store.OutcomeNames {
		_, err := query.Events(ctx, window, f.filter, []string{outcome}, newest, func(e *store.Event) error {
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

// both returns a filter that asks for what two filters ask for, as far as a
// filter can: where both have a list, that of the second is what counts.
func both(a, b store.Filter) store.Filter {
	for _, key := range live.FilterKeys {
		if list := live.FilterList(&b, key); len(*list) == 0 {
			*list = *live.FilterList(&a, key)
		}
	}
	return b
}

// warnings keeps what cannot be printed while the screen is shown.
type warnings struct {
	mu    sync.Mutex
	list  []error
	count int
}

const maxWarnings = 100

func (w *warnings) add(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if len(w.list) < maxWarnings {
		w.list = append(w.list, err)
	}
}

func (w *warnings) print(cmd *cobra.Command) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.list {
		warn(cmd, errors.New(templates.Printable(err.Error())))
	}
	if more := w.count - len(w.list); more > 0 {
		warn(cmd, fmt.Errorf("%d more warnings", more))
	}
}
