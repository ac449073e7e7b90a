package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mailfail/ingest/source"
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
	cmd.Flags().StringVar(&flags.zone, "tz", "", "time zone of logs that do not name one (else the local one)")
	return cmd
}

// findLogs returns the logs that are named, or those in the usual places.
// failed is what the command has to end with when some could not be found.
func findLogs(cmd *cobra.Command, args []string, quiet bool) (families []source.Family, failed, err error) {
	if len(args) == 0 {
		families = source.Usual()
		if len(families) == 0 {
			return nil, nil, usageError("no log in the usual places (%s): name one", strings.Join(source.UsualPlaces(), ", "))
		}
		if !quiet {
			var names []string
			for _, f := range families {
				names = append(names, f.Name)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "reading %s\n", strings.Join(names, ", "))
		}
		return families, nil, nil
	}
	families, errs := source.Expand(args)
	for _, e := range errs {
		warn(cmd, e)
		failed = errSaid
	}
	if len(families) == 0 && failed == nil {
		warn(cmd, fmt.Errorf("there is no file in %s", templates.Printable(strings.Join(args, ", "))))
		failed = errSaid
	}
	return families, failed, nil
}

// worse returns the one of two ends of a command that says more.
func worse(a, b error) error {
	if b != nil {
		return b
	}
	return a
}
