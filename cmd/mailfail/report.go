package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report"
	"mailfail/store"
)

func reportCommand() *cobra.Command {
	var logs logFlags
	var window windowFlags
	var filter filterFlags
	var output outputFlags
	var dbPath string
	var by []string
	var top int
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "Failures by domain and by code",
		Long: `Report says how much mail was delivered, what failed, and why. With FILEs it
reads them and leaves nothing behind; without, it reads the database that
ingest and follow fill. Unless told otherwise it covers everything that was
read; "-d yesterday" is the usual choice for a report by cron.

Text shows the first 20 rows of each table; JSON and CSV are complete. CSV is
one table: by domain, by code (--by code), connections by next hop (--by
next-hop), or whatever --by asks for.`,
		Example: `  mailfail report /var/log/mail.log
  mailfail report -d yesterday
  mailfail report --since 2h --by provider,reason --format json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, err := reportOptions(&logs, &window, &filter, by)
			if err != nil {
				return err
			}
			if err := checkMinutes(opt.Window); err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			if top < 0 {
				return usageError("--top %d: a number of rows, or 0 for all", top)
			}
			rows := top // of tables; 0: all
			if output.format == "json" || output.format == "csv" {
				opt.Alone = output.format == "csv" && by != nil
			} else if !cmd.Flags().Changed("top") {
				opt.Top = report.PageRows
			} else if opt.Top = top; top == 0 {
				opt.Top = report.AllRows
			}
			db, failed, err := openNumbers(cmd, args, dbPath, &logs)
			if err != nil {
				return err
			}
			defer db.Close()
			opt.Now, opt.FromFiles, opt.Files = time.Now(), len(args) > 0, args
			r, err := report.Build(cmd.Context(), db, opt)
			if err != nil {
				return err
			}
			width, color := output.screen(cmd)
			if err := output.write(cmd, func(w io.Writer) error {
				switch output.format {
				case "json":
					return r.WriteJSON(w, rows)
				case "csv":
					return r.WriteCSV(w, rows)
				}
				view := r.View(opt.Top)
				switch output.format {
				case "html":
					return view.WriteHTML(w, report.HTMLOptions{})
				case "markdown":
					return view.WriteMarkdown(w)
				}
				return view.WriteText(w, report.TextOptions{Width: width, Color: color})
			}); err != nil {
				return err
			}
			if output.format == "csv" && r.ConnectionsAlone() && !logs.quiet {
				warn(cmd, errors.New("the logs of this time name no recipients: --by next-hop has their connections"))
			}
			return failed
		},
	}
	flags := cmd.Flags()
	addNumbersFlags(cmd, &logs, &dbPath)
	window.add(flags)
	filter.add(flags)
	flags.StringSliceVar(&by, "by", nil, "break down by one or several of "+strings.Join(dimensionNames(), ", ")+"; or "+string(report.ByNextHop)+" alone, for connections as CSV")
	flags.IntVar(&top, "top", 0, "rows of each table; 0: all (the default of JSON and CSV; else as many as suit a page)")
	output.add(flags, "text", "html", "markdown", "json", "csv")
	return cmd
}

// reportOptions turns the flags into what the report is about.
func reportOptions(logs *logFlags, window *windowFlags, filter *filterFlags, by []string) (opt report.Options, err error) {
	if opt.Location, err = location("--tz", logs.zone); err != nil {
		return opt, err
	}
	if opt.Window, err = window.window(time.Now(), opt.Location); err != nil {
		return opt, err
	}
	if opt.Filter, err = filter.filter(); err != nil {
		return opt, err
	}
	opt.By, err = dimensions(by)
	return opt, err
}

// checkMinutes refuses a window that is nothing once its ends are whole
// minutes, as reports have them: it would look like a time without mail.
func checkMinutes(w store.Window) error {
	if m := w.Minutes(); !m.Since.IsZero() && m.Since.Equal(m.Until) {
		return usageError("--since and --until are within one minute: reports count by whole minutes (`mailfail events` does not)")
	}
	return nil
}

// dimensions checks the names of --by.
func dimensions(names []string) (dims []store.Dimension, err error) {
	for _, name := range names {
		d := store.Dimension(strings.ToLower(strings.TrimSpace(name)))
		if !slices.Contains(store.Dimensions, d) && d != report.ByNextHop {
			return nil, usageError("--by %s: none of %s, %s", name, strings.Join(dimensionNames(), ", "), report.ByNextHop)
		}
		if !slices.Contains(dims, d) {
			dims = append(dims, d)
		}
	}
	if len(dims) > 1 && slices.Contains(dims, report.ByNextHop) {
		return nil, usageError("--by %s stands alone: connections name no recipients", report.ByNextHop)
	}
	return dims, nil
}

func dimensionNames() (names []string) {
	for _, d := range store.Dimensions {
		names = append(names, string(d))
	}
	return names
}
