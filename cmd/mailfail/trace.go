package main

import (
	"io"

	"github.com/spf13/cobra"

	"mailfail/report"
)

func traceCommand() *cobra.Command {
	var logs logFlags
	var output outputFlags
	var dbPath string
	cmd := &cobra.Command{
		Use:   "trace ID|ADDRESS [FILE...]",
		Short: "The story of a message or a recipient",
		Long: `Trace tells what happened to a message, named by its queue id or its message
id, or to all mail for the address of a recipient: each failing attempt with
its reply, and how it ended. Recipients that were delivered at once are only
counted, so trace does not know them.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := location("--tz", logs.zone)
			if err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			db, err := openNumbers(cmd, args[1:], dbPath, &logs)
			if err != nil {
				return err
			}
			defer db.Close()
			t := report.Trace{Query: args[0], Location: loc}
			if t.Stories, t.Rejections, err = db.Trace(cmd.Context(), args[0]); err != nil {
				return err
			}
			write := t.WriteText
			if output.format == "json" {
				write = t.WriteJSON
			}
			if err := output.write(cmd, func(w io.Writer) error { return write(w) }); err != nil {
				return err
			}
			return db.failed
		},
	}
	addNumbersFlags(cmd, &logs, &dbPath)
	output.add(cmd.Flags(), "text", "json")
	return cmd
}
