package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mailfail/store/sqlite"
	"mailfail/templates"
)

func dbMergeCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "merge OTHER...",
		Short: "Add what the databases of other hosts hold",
		Long: `Merge adds to the database, which is made if need be, what other databases hold:
those of several hosts, or that of a host that was moved. Reports distinguish
them with --by host and --host. Each database is known by its own id, so that
nothing is added twice: what is merged already is left as it is, and when one has
grown since, the merged database is built again from all of its parts, which have
to be named then. A merge may be interrupted and done again.`,
		Example: `  mailfail db merge --db /srv/mail/all.db mx1.db mx2.db
  mailfail report --db /srv/mail/all.db --by host`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			into, err := databasePath(*path)
			if err != nil {
				return err
			}
			db, err := openDatabase(cmd, into, warner(cmd))
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

// fileAnew classifies the failures of a database again, by the rules of this program.
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
