package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/report/alert"
	"mailfail/store"
	"mailfail/store/anonymous"
)

// follow is one run of the command. twice finds failures that another log reports too,
// and alone reports when that other log is not followed.
type follow struct {
	cmd    *cobra.Command
	flags  *followFlags
	now    func() time.Time
	filter store.Filter
	twice  *store.Repeats
	alone  sendLogs
	loc    *time.Location
	watch  *alert.Watch     // nil without alerts
	names  *anonymous.Names // nil: persons are shown
	warn   func(error)
	quiet  bool // no remarks
}

func (f *follow) run(args []string, logs *logFlags, filter *filterFlags, output *outputFlags,
	dbPath string) error {
	opt, err := logs.options()
	if err != nil {
		return err
	}
	if f.loc, err = location("--tz", logs.zone); err != nil {
		return err
	}
	f.alone.said, f.quiet = logs.quiet, logs.quiet
	if f.filter, err = filter.filter(); err != nil {
		return err
	}
	if err := output.check(); err != nil {
		return err
	}
	outcomes, err := outcomeList(f.flags.outcomes, f.flags.rejections)
	if err != nil {
		return err
	}
	rules, receivers, err := f.alertFlags()
	if err != nil {
		return err
	}
	if err := checkPushTo(f.flags.pushTo); err != nil {
		return err
	}
	if args, err = followed(f.cmd, args); err != nil {
		return err
	}
	path, err := databasePath(dbPath)
	if err != nil {
		return err
	}
	db, err := openDatabase(f.cmd, path, func(err error) { f.warn(err) })
	if err != nil {
		return err
	}
	defer db.Close()
	if f.names, err = anonymizer(logs.anonymize, db.Path()); err != nil {
		return err
	}

	lately := store.Window{Since: f.now().Add(-24 * time.Hour)}
	if f.twice, err = db.Repeats(f.cmd.Context(), lately, f.filter); err != nil {
		return err
	}
	loop := ingest.FollowOptions{Options: opt, FromEnd: !f.flags.fromStart, Stdin: f.cmd.InOrStdin()}
	reasons, err := logs.loadRules()
	if err != nil {
		return err
	}
	look := func(ctx context.Context, loop ingest.FollowOptions) error {
		stop, err := pushing(f.cmd, f.flags.pushTo, path, logs.anonymize, loop.Warn)
		if err != nil {
			return err
		}
		defer stop()
		return ingest.Follow(ctx, db, reasons, args, loop)
	}
	if !f.flags.plain && output.format == "text" && isTerminal(f.cmd.OutOrStdout()) {
		return f.screen(loop, look, anonymized(db, f.names), slices.Contains(args, source.Stdin),
			output, rules,
			receivers)
	}
	return f.lines(loop, look, output.format, outcomes, rules, receivers)
}

// about handles an error about a source.
func (f *follow) about(err error) {
	var skipped *source.SkippedError
	if errors.As(err, &skipped) {
		if f.quiet {
			return
		}
		err = fmt.Errorf("%w (--from-start reads it)", err)
	}
	f.warn(err)
}

// followed returns the logs to follow: the named ones, or those in the usual places.
func followed(cmd *cobra.Command, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	for _, family := range source.Usual() {
		args = append(args, family.Name)
	}
	if len(args) == 0 {
		return nil, usageError("cannot find a log in the usual places (%s); name a FILE",
			strings.Join(source.UsualPlaces(), ", "))
	}
	return args, nil
}
