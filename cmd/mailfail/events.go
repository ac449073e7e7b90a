package main

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/report"
	"mailfail/store"
)

func eventsCommand() *cobra.Command {
	var logs logFlags
	var window windowFlags
	var filter filterFlags
	var output outputFlags
	var dbPath string
	var outcomes []string
	var rejections bool
	var top int
	cmd := &cobra.Command{
		Use:   "events [FILE...]",
		Short: "The failures themselves, newest last",
		Long: `Events lists failing attempts one by one, newest last, from FILEs or from the
database. As text, attempts that were one contact (a refused connection,
greeting or MAIL FROM for several recipients) are one line; as JSON each
attempt is an object on a line of its own, and those of one contact have the
same "contact".`,
		Example: `  mailfail events --since 1h --provider Google
  mailfail events -d today --code 5.7.x --format json
  mailfail events --rejections --top 50`,
		RunE: func(cmd *cobra.Command, args []string) error {
			opt, err := reportOptions(&logs, &window, &filter, nil)
			if err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			if top < 0 {
				return usageError("--top must be 0 (all rows) or more, not %d", top)
			}
			wanted, err := outcomeList(outcomes, rejections)
			if err != nil {
				return err
			}
			db, err := openNumbers(cmd, args, dbPath, &logs)
			if err != nil {
				return err
			}
			defer db.Close()
			var left store.LeftOut
			err = output.write(cmd, func(w io.Writer) error {
				events, err := report.NewEventWriter(w, output.format, opt.Location)
				if err != nil {
					return err
				}
				if left, err = db.Events(cmd.Context(), opt.Window, opt.Filter, wanted, top,
					events.Event); err != nil {
					return err
				}
				return events.Flush()
			})
			if err != nil {
				return err
			}
			if left.Any() && !logs.quiet {
				warn(cmd, errors.New(report.SendLogsRemark(left)))
			}
			if removed := report.RemovedRemark(left, opt.Location); removed != "" && !logs.quiet {
				warn(cmd, errors.New(removed))
			}
			return db.failed
		},
	}
	flags := cmd.Flags()
	addNumbersFlags(cmd, &logs, &dbPath)
	window.add(flags)
	filter.add(flags)
	flags.StringSliceVar(&outcomes, "outcome", nil,
		"only failures with this outcome: "+strings.Join(store.OutcomeNames,
			", ")+" (else deferred and failed)")
	flags.BoolVar(&rejections, "rejections", false, "also mail that was refused on its way in")
	flags.IntVar(&top, "top", 0, "only the newest N; 0: all")
	output.add(flags, "text", "json", "csv")
	return cmd
}

// outcomeList checks the outcomes that the flags name, and returns them.
func outcomeList(names []string, rejections bool) ([]string, error) {
	for _, name := range names {
		if !slices.Contains(store.OutcomeNames, name) {
			return nil, unknownValue("--outcome", name, store.OutcomeNames)
		}
	}
	if names == nil {
		names = []string{"deferred", "failed"}
	}
	if rejections {
		names = append(slices.Clone(names), "rejected")
	}
	return names, nil
}
