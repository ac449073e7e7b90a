package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mailfail/templates"
)

func ingestCommand() *cobra.Command {
	var flags logFlags
	var dbPath string
	cmd := &cobra.Command{
		Use:   "ingest [FILE...]",
		Short: "Read new lines of logs into the database",
		Long: `Ingest reads what is new in the logs into the database. It may be run at any
time, on the same, grown, rotated, renamed or compressed files: no line is
counted twice, none is left out. FILE is a log, compressed or not, a directory,
a pattern, or - for standard input. Without FILE the logs in the usual places
are read, with their rotated generations.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			families, failed, err := findLogs(cmd, args, flags.quiet)
			if err != nil {
				return err
			}
			db, err := openDatabase(dbPath)
			if err != nil {
				return err
			}
			defer db.Close()
			res, unread, err := readLogs(cmd, db, &flags, families)
			if err != nil {
				return err
			}
			if flags.verbose {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d new lines read into %s\n", res.Lines.Read, templates.Printable(db.Path()))
			}
			return worse(failed, unread)
		},
	}
	flags.add(cmd.Flags())
	cmd.Flags().StringVar(&dbPath, "db", "", "the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	cmd.Flags().StringVar(&flags.logZone, "tz", "", "the same as --log-tz")
	_ = cmd.Flags().MarkHidden("tz") // its name in earlier versions
	return cmd
}
