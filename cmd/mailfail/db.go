package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

// dbCommand looks after the database.
func dbCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Check, back up, measure, export and merge databases",
		Long: `Db looks after the database, while others may read and write it. A backup is a
database of one moment, with the positions in the logs: put in place of the
database it goes on from there, and no line counts twice.`,
		Example: `  mailfail db check
  mailfail db backup /var/backups/mailfail.db
  mailfail db size
  mailfail db merge --db all.db mx1.db mx2.db
  mailfail db export --since 7d > counts.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&path, "db", "", "the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	open := func() (*sqlite.DB, error) {
		path, err := databasePath(path)
		if err != nil {
			return nil, err
		}
		return sqlite.OpenReadOnly(path)
	}
	cmd.AddCommand(dbCheckCommand(open), dbBackupCommand(open), dbSizeCommand(open), dbExportCommand(open), dbMergeCommand(&path))
	return cmd
}

type opener func() (*sqlite.DB, error)

func dbCheckCommand(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read every page of the database and report damage",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := open()
			if err != nil {
				return err
			}
			defer db.Close()
			faults, err := db.Check(cmd.Context())
			if err != nil {
				return err
			}
			for _, f := range faults {
				warn(cmd, errors.New(f))
			}
			if len(faults) > 0 {
				return &exitError{1, errors.New("the database is damaged: restore a backup, or move it away and read the logs again")}
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The database is whole.")
			return nil
		},
	}
}

func dbBackupCommand(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the database, of one moment, into a new file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := open()
			if err != nil {
				return err
			}
			defer db.Close()
			return db.Backup(cmd.Context(), args[0])
		},
	}
}

func dbSizeCommand(open opener) *cobra.Command {
	return &cobra.Command{
		Use:   "size",
		Short: "What takes room in the database",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := open()
			if err != nil {
				return err
			}
			defer db.Close()
			sizes, err := db.Sizes(cmd.Context())
			if err != nil {
				return err
			}
			return writeSizes(cmd.OutOrStdout(), db.Path(), sizes)
		},
	}
}

// writeSizes prints the files of the database, and what is in its tables.
func writeSizes(w io.Writer, path string, sizes []sqlite.Size) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + suffix); err == nil {
			fmt.Fprintf(w, "%15s bytes  %s\n", templates.Count(info.Size()), templates.Printable(path+suffix))
		}
	}
	fmt.Fprintf(w, "\n%15s  %13s  %s\n", "Bytes of values", "Rows", "Table")
	for _, s := range sizes {
		name := s.Table
		if name == "" {
			name = "(free pages, used again by what comes)"
		}
		if _, err := fmt.Fprintf(w, "%15s  %13s  %s\n", templates.Count(s.Bytes), templates.Count(s.Rows), name); err != nil {
			return err
		}
	}
	return nil
}

func dbExportCommand(open opener) *cobra.Command {
	var window windowFlags
	var output outputFlags
	var zone string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "The counts of deliveries as CSV, by minute",
		Long: `Export prints what is only counted: deliveries by minute, host, sender's domain,
recipient's domain and relay. Failures, recipients and rejections are tables that
SQL reads (the views failures, recipients and rejections), or "mailfail events".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			loc, err := location("--tz", zone)
			if err != nil {
				return err
			}
			w, err := window.window(time.Now(), loc)
			if err != nil {
				return err
			}
			db, err := open()
			if err != nil {
				return err
			}
			defer db.Close()
			return output.write(cmd, func(out io.Writer) error { return exportCounts(cmd, db, w, out) })
		},
	}
	window.add(cmd.Flags())
	output.add(cmd.Flags(), "csv")
	cmd.Flags().StringVar(&zone, "tz", "", "time zone of days (else the local one); times are UTC")
	return cmd
}

func exportCounts(cmd *cobra.Command, db *sqlite.DB, w store.Window, out io.Writer) error {
	table := csv.NewWriter(out)
	err := table.Write([]string{
		"minute", "format", "host", "instance", "sender", "domain", "relay", "provider", "direction", "own",
		"delivered", "recipients", "suspended", "handed_over", "messages", "accepted",
	})
	if err != nil {
		return err
	}
	err = db.EachCount(cmd.Context(), w, func(r *store.CountRow) error {
		row := []string{r.Time.UTC().Format("2006-01-02T15:04Z"), r.Format}
		for _, name := range []string{r.Host, r.Instance, r.Sender, r.Domain, r.Relay, r.Provider} {
			row = append(row, templates.CSV(registry.Foreign(name)))
		}
		row = append(row, r.Direction.String(), strconv.FormatBool(r.Own))
		for _, n := range []int64{r.Delivered, r.Recipients, r.Suspended, r.Handed, r.Messages, r.Accepted} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		return table.Write(row)
	})
	table.Flush()
	return errors.Join(err, table.Error())
}

func dbMergeCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "merge OTHER...",
		Short: "Add what the databases of other hosts hold",
		Long: `Merge adds to the database, which is made if need be, what other databases hold:
those of several hosts, or that of a host that was moved. Reports tell them apart
with --by host and --host. Each database is known by an id of its own, so that
nothing is added twice: what is merged already is left as it is, and when one has
grown since, the merged database is made anew from all of its parts, which have
to be named then. A merge may be interrupted and done again.`,
		Example: `  mailfail db merge --db /srv/mail/all.db mx1.db mx2.db
  mailfail report --db /srv/mail/all.db --by host`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			into, err := databasePath(*path)
			if err != nil {
				return err
			}
			db, err := openDatabase(cmd, into)
			if err != nil {
				return err
			}
			defer db.Close()
			merged, err := db.Merge(cmd.Context(), args)
			for _, m := range merged {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", templates.Printable(m.Path), m.State)
			}
			if err != nil {
				return err
			}
			return fileAnew(cmd, db)
		},
	}
}

// fileAnew files the failures of a database by the rules of this program.
func fileAnew(cmd *cobra.Command, db *sqlite.DB) error {
	w, err := db.Writer()
	if err != nil {
		return err
	}
	defer w.Close()
	rules, err := new(logFlags).loadRules()
	if err != nil {
		return err
	}
	return w.Reclassify(cmd.Context(), rules)
}
