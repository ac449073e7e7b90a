package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mailfail/store/sqlite"
)

// databasePath is where the database is unless --db says otherwise.
func databasePath(flag string) (string, error) {
	const system = "/var/lib/mailfail/mailfail.db"
	if flag != "" {
		return flag, nil
	}
	if path := os.Getenv("MAILFAIL_DB"); path != "" {
		return path, nil
	}
	if _, err := os.Stat(system); err == nil || os.Geteuid() == 0 {
		return system, nil
	}
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "mailfail", "mailfail.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usageError("no place for the database: name one with --db")
	}
	return filepath.Join(home, ".local", "state", "mailfail", "mailfail.db"), nil
}

// openDatabase opens the database to write to.
func openDatabase(flag string) (*sqlite.DB, error) {
	path, err := databasePath(flag)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(path)
}

// openNumbers opens the database, or a temporary one with what is in the
// files. failed is what the command has to end with after it has done the rest.
func openNumbers(cmd *cobra.Command, files []string, dbPath string, logs *logFlags) (db *sqlite.DB, failed, err error) {
	if len(files) == 0 {
		path, err := databasePath(dbPath)
		if err != nil {
			return nil, nil, err
		}
		db, err := sqlite.OpenReadOnly(path)
		return db, nil, err
	}
	if dbPath != "" && cmd.Flags().Changed("db") {
		return nil, nil, usageError("--db and FILE exclude each other: FILEs are read without a database; `mailfail ingest` reads them into one")
	}
	families, failed, err := findLogs(cmd, files, logs.quiet)
	if err != nil {
		return nil, nil, err
	}
	if db, err = sqlite.OpenTemporary(); err != nil {
		return nil, nil, err
	}
	_, unread, err := readLogs(cmd, db, logs, families)
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return db, worse(failed, unread), nil
}
