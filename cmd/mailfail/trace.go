package main

import (
	"io"
	"math"
	"strings"

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
		Long: `Trace shows what happened to a message, named by its queue id or its message
id, or to all mail for the address of a recipient: each failing attempt with
its reply, and how it ended, and step by step where it went: through filters and
other hosts, which share its message id, and into which folder. Mail that was
delivered at once is found for as long as ingest and follow keep it
(--keep-delivered, 7 days by default); trace says since when that is. With FILEs
all of it is found.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			loc, err := location("--tz", logs.zone)
			if err != nil {
				return err
			}
			if err := output.check(); err != nil {
				return err
			}
			logs.keep.Delivered = math.MaxInt64 // for FILEs, without a limit
			db, err := openNumbers(cmd, args[1:], dbPath, &logs)
			if err != nil {
				return err
			}
			defer db.Close()
			t, err := report.NewTrace(cmd.Context(), db, args[0], loc)
			if err != nil {
				return err
			}
			if db.names != nil && strings.Contains(t.Query, "@") {
				t.Query = db.names.Address(t.Query)
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
