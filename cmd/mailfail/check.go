package main

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report/check"
	"mailfail/store"
)

func checkCommand() *cobra.Command {
	var filter filterFlags
	var output outputFlags
	var dbPath, anonymize, since, zone string
	var warnings, criticals []string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "One line and an exit code for a monitoring system",
		Long: `Check looks at the last hours of the database and prints one line with
performance data, as plugins of Icinga, Nagios and Zabbix do. It ends with 0 (OK),
1 (warning), 2 (critical) or 3 (unknown: the database cannot be read, or the
command is wrong).

A limit is a metric, a sign and a number, such as "failure-rate>5%", "age>15m" or
"recipients<10"; with "min 50" the limit applies to 50 recipients or more. The
metrics are
` + strings.Join(check.MetricNames(), ", ") + `: untried
recipients came into the queue at least ten minutes ago and were never tried; age
is the time since the last line that was read; unsent are rows that wait for
"mailfail push". Without limits the problems that
"mailfail investigate" finds in the last 24 hours and that go on, a stuck queue
and a log that is not being read are reported.`,
		Example: `  mailfail check
  mailfail check --warn 'failure-rate>5% min 50' --crit 'failure-rate>20% min 50'
  mailfail check --provider Google --warn 'deferral-rate>30%'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt := check.Options{}
			var err error
			if opt.Filter, err = filter.filter(); err != nil {
				return err
			}
			if opt.Thresholds, err = thresholds(warnings, criticals); err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			if opt.Location, err = location("--tz", zone); err != nil {
				return err
			}
			if opt.Window, err = untilNow(since, opt.Location); err != nil {
				return err
			}
			path, err := keptPath(dbPath)
			if err != nil {
				return err
			}
			db, key, err := openKept(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer db.Close()
			names, err := anonymizer(anonymize, key)
			if err != nil {
				return err
			}
			result, err := check.Run(cmd.Context(), anonymized(db, names), opt)
			if err != nil {
				return err
			}
			return printCheck(cmd, &output, result)
		},
	}
	flags := cmd.Flags()
	filter.add(flags)
	output.add(flags, "text", "json")
	flags.StringVar(&dbPath, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	addAnonymize(flags, &anonymize)
	flags.StringVar(&since, "since", "1h", "look at the time from then on: 1h, 1d, today")
	flags.StringVar(&zone, "tz", "", "time zone of --since (else the local one)")
	flags.StringArrayVar(&warnings, "warn", nil, "a limit that is a warning; may be given several times")
	flags.StringArrayVar(&criticals, "crit", nil, "a limit that is critical; may be given several times")
	return cmd
}

// printCheck prints a result and ends the command with its exit code.
func printCheck(cmd *cobra.Command, output *outputFlags, result *check.Result) error {
	write := result.WriteLine
	if output.format == "json" {
		write = result.WriteJSON
	}
	if err := output.write(cmd, func(w io.Writer) error { return write(w) }); err != nil {
		return err
	}
	if result.State != check.OK {
		return &exitError{code: int(result.State)}
	}
	return nil
}

// thresholds reads the limits of the flags.
func thresholds(warnings, criticals []string) (list []check.Threshold, err error) {
	for _, given := range []struct {
		flag  string
		texts []string
		state check.State
	}{{"--warn", warnings, check.Warning}, {"--crit", criticals, check.Critical}} {
		for _, text := range given.texts {
			t, err := check.ParseThreshold(text, given.state)
			if err != nil {
				return nil, usageError("%s: %w", given.flag, err)
			}
			list = append(list, t)
		}
	}
	return list, nil
}

// untilNow returns the window from a time until now.
func untilNow(since string, loc *time.Location) (w store.Window, err error) {
	window := windowFlags{since: since}
	now := time.Now()
	if w, err = window.window(now, loc); err == nil {
		w.Until = now
	}
	return w, err
}
