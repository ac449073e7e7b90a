package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/ingest"
	"mailfail/ingest/track"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/templates"
)

func pruneCommand() *cobra.Command {
	var flags keepFlags
	var path string
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what is old from the database",
		Long: `Prune removes from the database what is older than --keep: messages, addresses,
replies, rejections. Prune keeps the counts: reports of that time have the same
numbers, without names and texts, until --keep-counts has passed too. Prune keeps
messages that have not ended, and the positions in the logs: no line is read twice.

It may run beside all other commands and be interrupted: it removes some
thousand rows at a time. The space is given back to the system. Ingest and
follow do the same once a day when --keep is set for them, in the configuration.`,
		Example: `  mailfail prune --keep 90d --keep-counts 2y --dry-run
  mailfail prune --keep 90d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keep, err := flags.keep()
			if err != nil {
				return err
			}
			if !keep.Any() {
				return usageError("--keep is required (try --keep 90d), or set keep in the configuration")
			}
			path, err := databasePath(path)
			if err != nil {
				return err
			}
			if dry {
				return wouldPrune(cmd, path, keep)
			}
			return prune(cmd, path, keep)
		},
	}
	cmd.Flags().StringVar(&path, "db", "",
		"the database (else $MAILFAIL_DB, else /var/lib/mailfail/mailfail.db or your state directory)")
	flags.add(cmd.Flags(), "")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would be removed, and remove nothing")
	return cmd
}

func wouldPrune(cmd *cobra.Command, path string, keep ingest.Keep) error {
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := db.Prunable(cmd.Context(), keep.At(time.Now()), track.MessageRow)
	if err != nil {
		return err
	}
	return writePruned(cmd.OutOrStdout(), "Would remove", p)
}

func prune(cmd *cobra.Command, path string, keep ingest.Keep) error {
	ro, err := sqlite.OpenReadOnly(path) // does not create a database
	if err != nil {
		return err
	}
	if err := ro.Close(); err != nil {
		return err
	}
	db, err := openDatabase(cmd, path, warner(cmd))
	if err != nil {
		return err
	}
	defer db.Close()
	w, err := db.Writer()
	if err != nil {
		return err
	}
	defer w.Close()
	p, err := ingest.Prune(cmd.Context(), w, keep, time.Now())
	if errors.Is(err, context.Canceled) || cmd.Context().Err() != nil {
		err = &exitError{1, errors.New("interrupted; the next prune removes the rest")}
	}
	return errors.Join(writePruned(cmd.OutOrStdout(), "Removed", p), err)
}

// writePruned prints in two lines what was removed.
func writePruned(w io.Writer, done string, p store.Pruned) error {
	var parts []string
	for _, part := range []struct {
		n    int64
		name string
	}{{p.Messages, "messages"}, {p.Recipients, "recipients"}, {p.Attempts, "failing attempts"},
		{p.Rejections, "rejections"}, {p.Texts, "texts"},
		{p.Other, "other rows"}, {p.Counts, "blocks of numbers"}} {
		if part.n > 0 {
			parts = append(parts, templates.Count(part.n)+" "+part.name)
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing"}
	}
	_, err := fmt.Fprintf(w, "%s %s.\n", done, strings.Join(parts, ", "))
	if p.Bytes > 0 && err == nil {
		_, err = fmt.Fprintf(w, "%s bytes were given back.\n", templates.Count(p.Bytes))
	}
	return err
}
