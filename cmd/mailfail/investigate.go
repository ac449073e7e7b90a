package main

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report"
	"mailfail/report/investigate"
	"mailfail/store"
)

func investigateCommand() *cobra.Command {
	var logs logFlags
	var window windowFlags
	var filter filterFlags
	var output outputFlags
	var dbPath, baseline string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "investigate [FILE...]",
		Short: "What changed, since when, and because of what",
		Long: `Investigate compares a window with the days before it and names at most three
causes of what changed: where, since when, how many people, why, and what to do.
It finds failures that are new, mail that did not come, and mail that is in the
queue and is not tried. Without flags the window is the last 24 hours. With
FILEs it reads them, the older generations too, and leaves nothing behind.`,
		Example: `  mailfail investigate
  mailfail investigate --day yesterday --baseline 7d
  mailfail investigate /var/log/mail.log*`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, err := investigateOptions(&logs, &window, &filter, baseline)
			if err != nil {
				return err
			}
			if err := checkMinutes(opt.Window); err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			db, err := openNumbers(cmd, args, dbPath, &logs)
			if err != nil {
				return err
			}
			defer db.Close()
			if db.files == nil {
				opt.Now = time.Now()
			}
			var result *investigate.Result
			err = db.Snapshot(cmd.Context(), func(r store.Reader) error {
				result, err = investigate.Run(cmd.Context(), r, opt)
				return err
			})
			if err != nil {
				return err
			}
			result.Here(db.same())
			if err := writeInvestigation(cmd, &output, result); err != nil {
				return err
			}
			if exitCode && result.Alarms() > 0 {
				return worse(db.failed, errSaid)
			}
			return db.failed
		},
	}
	flags := cmd.Flags()
	addNumbersFlags(cmd, &logs, &dbPath)
	window.add(flags)
	filter.add(flags)
	flags.StringVar(&baseline, "baseline", "14d",
		"what to compare with: a number of days before the window (7d), previous (the period before it), "+
			"or 2026-11-02..2026-11-08")
	flags.BoolVar(&exitCode, "exit-code", false, "end with 1 when something changed")
	output.add(flags, "text", "html", "markdown", "json")
	return cmd
}

func writeInvestigation(cmd *cobra.Command, output *outputFlags, result *investigate.Result) error {
	width, color := output.screen(cmd)
	return output.write(cmd, func(w io.Writer) error {
		view := report.InvestigationView(result)
		switch output.format {
		case "json":
			return result.WriteJSON(w)
		case "html":
			return view.WriteHTML(w, report.HTMLOptions{})
		case "markdown":
			return view.WriteMarkdown(w)
		}
		return view.WriteText(w, report.TextOptions{Width: width, Color: color})
	})
}

// investigateOptions turns the flags into the options of an investigation.
func investigateOptions(logs *logFlags, window *windowFlags, filter *filterFlags,
	baseline string) (opt investigate.Options, err error) {
	if opt.Location, err = location("--tz", logs.zone); err != nil {
		return opt, err
	}
	if opt.Window, err = window.window(time.Now(), opt.Location); err != nil {
		return opt, err
	}
	if opt.Filter, err = filter.filter(); err != nil {
		return opt, err
	}
	opt.Silent = window.until != ""
	opt.Baseline, err = parseBaseline(baseline, opt.Location)
	return opt, err
}

// parseBaseline reads the value of --baseline.
func parseBaseline(s string, loc *time.Location) (c investigate.Compare, err error) {
	if s == "previous" {
		return investigate.Compare{Previous: true}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 400 {
			return investigate.Compare{Days: n}, nil
		}
	}
	if a, b, ok := strings.Cut(s, ".."); ok {
		from, err1 := report.ParseDay(a, time.Now(), loc)
		to, err2 := report.ParseDay(b, time.Now(), loc)
		if err1 == nil && err2 == nil && from.Since.Before(to.Until) {
			return investigate.Compare{Window: store.Window{Since: from.Since, Until: to.Until}}, nil
		}
	}
	return c, usageError("cannot read --baseline %q (try 7d, previous, 2026-11-02..2026-11-08)", s)
}
