package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mailfail/store/sqlite"
)

// openDatabase opens the database at path for writing. When it has to update an older
// schema, which may take long, it shows the progress. On a terminal, say gets a note
// while another process has the database; a run of a timer does not need it.
func openDatabase(cmd *cobra.Command, path string, say func(error)) (*sqlite.DB, error) {
	const what = "bringing the database up to date"
	bar := progressBar{w: cmd.ErrOrStderr()}
	said := false
	db, err := sqlite.OpenTelling(path, func(done, total int64) {
		switch {
		case isTerminal(bar.w):
			bar.show(what, done, total)
		case !said:
			warn(cmd, fmt.Errorf("%s, once: %s", what, path))
		}
		said = true
	})
	bar.clear()
	if err != nil {
		return nil, err
	}
	if isTerminal(bar.w) {
		db.Waiting = func() { say(fmt.Errorf("another process is writing to %s: waiting for it", path)) }
	}
	return db, nil
}
