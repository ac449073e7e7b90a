package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

func ingestCommand() *cobra.Command {
	var flags logFlags
	var old keepFlags
	var dbPath, pushTo string
	cmd := &cobra.Command{
		Use:   "ingest [FILE...]",
		Short: "Read new lines of logs into the database",
		Long: `Ingest reads what is new in the logs into the database. It may be run at any
time, on the same, grown, rotated, renamed or compressed files: no line is
counted twice, none is left out. FILE is a log, compressed or not, a directory,
a pattern, or - for standard input. Without FILE the logs in the usual places
are read, with their rotated generations.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if flags.keep, err = old.keep(); err != nil {
				return err
			}
			if err = checkPushTo(pushTo); err != nil {
				return err
			}
			families, failed, err := findLogs(cmd, args, flags.quiet)
			if err != nil {
				return err
			}
			if len(families) == 0 {
				return failed // before a database is created
			}
			path, err := databasePath(dbPath)
			if err != nil {
				return err
			}
			_, err = os.Stat(path)
			isNew := errors.Is(err, fs.ErrNotExist)
			db, err := openDatabase(cmd, path, warner(cmd))
			if err != nil {
				return err
			}
			begun, err := firstMinute(db)
			if err != nil {
				return errors.Join(err, db.Close())
			}
			res, unread, err := readLogs(cmd, db, &flags, families)
			if err == nil && res.Lines.Read > 0 && !begun.IsZero() {
				err = noteOlder(cmd, db, begun)
			}
			if closed := db.Close(); err == nil {
				err = closed
			}
			if isNew && res.Lines.Understood == 0 && worse(unread, err) != nil {
				removeDatabase(path)
			}
			if err != nil {
				return err
			}
			if flags.verbose {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d new lines read into %s\n", res.Lines.Read,
					templates.Printable(path))
			}
			if pushTo != "" {
				if err := pushOnce(cmd, pushTo, path, flags.anonymize); err != nil {
					return err
				}
			}
			return worse(failed, unread)
		},
	}
	flags.add(cmd.Flags())
	old.add(cmd.Flags(), "7d")
	addPushTo(cmd.Flags(), &pushTo)
	addAnonymize(cmd.Flags(), &flags.anonymize)
	cmd.Flags().Lookup("anonymize").Usage = "of what --push-to sends: " +
		cmd.Flags().Lookup("anonymize").Usage
	cmd.Flags().StringVar(&dbPath, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	cmd.Flags().StringVar(&flags.logZone, "tz", "", "the same as --log-tz")
	_ = cmd.Flags().MarkHidden("tz") // its name in earlier versions
	return cmd
}

// removeDatabase removes an empty database, with the files beside it.
func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}

// firstMinute returns the minute of the first line of all that was read, zero if there is
// none. It is one row, and not interrupted: reading the logs tells what is kept then.
func firstMinute(db *sqlite.DB) (first time.Time, err error) {
	ctx := context.Background()
	err = db.Snapshot(ctx, func(r store.Reader) (err error) {
		first, _, err = r.Covered(ctx)
		return err
	})
	return first, err
}

// noteOlder says so when lines were read that are older than all that was read before: a
// message that began in them is not found again in what followed.
func noteOlder(cmd *cobra.Command, db *sqlite.DB, begun time.Time) error {
	first, err := firstMinute(db)
	if err == nil && first.Before(begun) {
		warn(cmd, errors.New("some of these lines are older than all that was read before: mail that "+
			"went on from one log to the other may count twice; read the oldest logs first, or all "+
			"in one command"))
	}
	return err
}
