package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

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
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&path, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	open := func() (*sqlite.DB, error) {
		path, err := databasePath(path)
		if err != nil {
			return nil, err
		}
		return sqlite.OpenReadOnly(path)
	}
	cmd.AddCommand(dbCheckCommand(open), dbBackupCommand(open), dbSizeCommand(open), dbExportCommand(open),
		dbMergeCommand(&path), dbInitCommand())
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
				return &exitError{1, fmt.Errorf("database %s is damaged: "+
					"restore a backup, or move it away and read the logs again", db.Path())}
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
		Short: "Show the sizes of the tables in the database",
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
			if err := writeSizes(cmd.OutOrStdout(), db.Path(), sizes); err != nil {
				return err
			}
			unsent, err := db.Unsent(cmd.Context())
			if err == nil && unsent.Target != "" {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%15s rows were not sent yet to %s (%s)\n",
					templates.Count(unsent.Rows), templates.Printable(unsent.Target), lastPush(unsent.Since))
			}
			return err
		},
	}
}

func lastPush(t time.Time) string {
	if t.IsZero() {
		return "nothing was"
	}
	return "all was at " + t.Local().Format("2006-01-02 15:04")
}

// writeSizes prints the sizes of the database's files and tables.
func writeSizes(w io.Writer, path string, sizes []sqlite.Size) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if info, err := os.Stat(path + suffix); err == nil {
			fmt.Fprintf(w, "%15s bytes  %s\n", templates.Count(info.Size()),
				templates.Printable(path+suffix))
		}
	}
	fmt.Fprintf(w, "\n%15s  %13s  %s\n", "Bytes of values", "Rows", "Table")
	for _, s := range sizes {
		name := s.Table
		if name == "" {
			name = "(free pages, used again by what comes)"
		}
		if _, err := fmt.Fprintf(w, "%15s  %13s  %s\n", templates.Count(s.Bytes), templates.Count(s.Rows),
			name); err != nil {
			return err
		}
	}
	return nil
}
