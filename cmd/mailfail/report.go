package main

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/report"
	"mailfail/store"
)

// reportFlags are the flags of report.
type reportFlags struct {
	logs   logFlags
	window windowFlags
	filter filterFlags
	output outputFlags
	mail   mailFlags
	dbPath string
	by     []string
	top    int

	template string
	width    int
	noPager  bool
}

func reportCommand() *cobra.Command {
	f := &reportFlags{}
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "What failed, why, who waits, and what to do",
		Long: `Report says what failed, why, who waits since when, and what to do. With FILEs,
or with what is piped in, it reads these and leaves nothing behind; without, it
reads the database that ingest and follow fill, and where there is none, the
logs of the last 24 hours in the usual places. By default it covers
everything that was read; "-d yesterday" is the usual choice for a report by
cron. A window of up to a week is compared with the time before, and with what
is usual: the median of the days before.

The cause of a row is that of the recipients that failed or wait in it, and
tables begin where most of them are. Text, HTML and Markdown show what suits a
page; JSON and CSV are complete. CSV is one table: by domain, by code (--by
code), connections by next hop (--by next-hop), or whatever --by asks for.

With --mail-to the report goes out as a mail of text and HTML, by default of
yesterday, through the local sendmail or through --smtp. The password of
--smtp-user is read from $MAILFAIL_SMTP_PASSWORD or a file.`,
		Example: `  mailfail report /var/log/mail.log
  mailfail report -d yesterday
  mailfail report --week --format html --output week.html
  mailfail report --mail-to postmaster@example.org --only-if problems
  mailfail report --since 2h --by provider,reason --format json`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	addNumbersFlags(cmd, &f.logs, &f.dbPath)
	f.window.add(flags)
	flags.BoolVar(&f.window.week, "week", false, "only the seven days before today")
	f.filter.add(flags)
	flags.StringSliceVar(&f.by, "by", nil,
		"break down by one or several of "+strings.Join(dimensionNames(), ", ")+
			"; or by one alone of "+strings.Join(aloneNames(), ", "))
	flags.IntVar(&f.top, "top", 0,
		"rows of each table; 0: all (the default of JSON and CSV; else as many as suit a page)")
	f.output.add(flags, "text", "html", "markdown", "json", "csv")
	flags.StringVar(&f.template, "template", "",
		"render with this template: html/template for .html, else text/template")
	flags.IntVar(&f.width, "width", 0,
		"columns of the text, from 60 to 200 (else $COLUMNS, else those of the terminal, else 80)")
	flags.BoolVar(&f.noPager, "no-pager", false, "do not show a long text through $PAGER on a terminal")
	f.mail.add(flags)
	return cmd
}

func (f *reportFlags) run(cmd *cobra.Command, args []string) error {
	opt, err := f.options(cmd)
	if err != nil {
		return err
	}
	var addresses *report.Addresses
	if slices.Contains(opt.By, report.BySenderAddress) {
		addresses = &report.Addresses{Window: opt.Window, Filter: opt.Filter}
		f.logs.submitted = addresses.Add
	}
	db, err := openNumbers(cmd, args, f.dbPath, &f.logs)
	if err != nil {
		return err
	}
	defer db.Close()
	if addresses != nil {
		if db.files == nil && !db.lately {
			return usageError("--by %s needs log files; a database keeps only domains of senders",
				report.BySenderAddress)
		}
		opt.Addresses = addresses.Senders(db.pseudonym)
	}
	opt.Now, opt.Files, opt.FromFiles = time.Now(), db.same(), db.files != nil || db.lately
	if db.lately && opt.Window == (store.Window{}) {
		opt.Window.Since = opt.Now.Add(-lately).In(opt.Location)
	}
	r, err := report.Build(cmd.Context(), db, opt)
	if err != nil {
		return err
	}
	if r.Totals == (store.Tally{}) {
		if err := report.CheckNames(cmd.Context(), db, opt.Filter); err != nil {
			return err
		}
	}
	if err := f.write(cmd, r); err != nil {
		return err
	}
	if f.output.format == "csv" && r.ConnectionsAlone() && !f.logs.quiet {
		warn(cmd, errors.New("the logs of this time name no recipients: --by next-hop has their "+
			"connections"))
	}
	if gap := r.Unread(); gap != "" && db.failed == nil {
		if f.mail.wanted() {
			return errSaid
		}
		return errors.New(gap)
	}
	return db.failed
}

// options turns the flags into the options of the report.
func (f *reportFlags) options(cmd *cobra.Command) (opt report.Options, err error) {
	if f.mail.wanted() && f.window == (windowFlags{}) {
		f.window.day = "yesterday"
	}
	if opt, err = reportOptions(&f.logs, &f.window, &f.filter, f.by); err != nil {
		return opt, err
	}
	minutes := func() error { return checkMinutes(opt.Window) }
	for _, check := range []func() error{minutes, f.output.check, f.mail.check} {
		if err := check(); err != nil {
			return opt, err
		}
	}
	switch {
	case f.top < 0:
		return opt, usageError("--top must be 0 (all rows) or more, not %d", f.top)
	case f.width < 0 || f.width == 0 && cmd.Flags().Changed("width"):
		return opt, usageError("--width must be 1 or more (text has 60 to 200 columns), not %d", f.width)
	case f.output.format == "json" || f.output.format == "csv":
		opt.Alone = f.output.format == "csv" && f.by != nil
	case !cmd.Flags().Changed("top"):
		opt.Top = report.PageRows
	case f.top == 0:
		opt.Top = report.AllRows
	default:
		opt.Top = f.top
	}
	return opt, nil
}
