package main

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/store"
	"mailfail/store/anonymous"
	"mailfail/store/clickhouse"
	"mailfail/store/sqlite"
)

// databasePath returns the path of this host's database: the flag, or else the default
// place. The URL of a fleet's database is an error.
func databasePath(flag string) (string, error) {
	path, err := keptPath(flag)
	if err == nil && clickhouse.IsURL(path) {
		return "", usageError(
			"%s is the database of a fleet: it can be read, and `mailfail push` writes to it; name one "+
				"of this host with --db", path)
	}
	return path, err
}

// keptPath returns the path of the database that commands read, or the URL of a
// fleet's.
func keptPath(flag string) (string, error) {
	const system = "/var/lib/mailfail/mailfail.db"
	if path := cmp.Or(flag, os.Getenv("MAILFAIL_DB")); path == ":memory:" {
		return "", usageError("--db %s cannot keep data; name a file, or read FILEs without --db", path)
	} else if path != "" {
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
		return "", usageError("cannot find a directory for the database; name a file with --db")
	}
	return filepath.Join(home, ".local", "state", "mailfail", "mailfail.db"), nil
}

// answers is the source of a command that reads FILEs or the database.
type answers struct {
	store.Database
	closing io.Closer
	names   *anonymous.Names // nil: persons are shown
	files   []string         // that were read, after the flags for them; nil: a database that is kept
	named   string           // the database, when --db named it
	lately  bool             // the usual logs, because there is not a database yet
	failed  error            // the error that the command returns after it has done the rest
}

// same returns the words that make another command read the same source. A URL among
// them contains no password: one that does is refused.
func (a *answers) same() []string {
	if a.files == nil && a.named != "" {
		return []string{"--db", a.named}
	}
	return a.files
}

// pseudonym returns an address as it is shown.
func (a *answers) pseudonym(address string) string {
	if a.names == nil || !strings.Contains(address, "@") {
		return address
	}
	return a.names.Address(address)
}

func (a *answers) Close() error { return a.closing.Close() }

// newAnswers returns db as answers, with pseudonyms when they are wanted.
func newAnswers(db kept, key string, logs *logFlags, n answers) (*answers, error) {
	names, err := anonymizer(logs.anonymize, key)
	if err != nil {
		db.Close()
		return nil, err
	}
	n.Database, n.closing, n.names = anonymized(db, names), db, names
	return &n, nil
}

// openNumbers opens the database, or a temporary one with the contents of the files.
// Without files it reads standard input when something is piped in, else the database
// and, when there is none, the logs of the last day in the usual places.
func openNumbers(cmd *cobra.Command, files []string, dbPath string, logs *logFlags) (*answers, error) {
	named := dbPath != "" && cmd.Flags().Changed("db")
	if len(files) > 0 && named {
		return nil, usageError(
			"--db cannot be combined with FILE; FILEs are read without a database; `mailfail ingest` " +
				"reads them into one")
	}
	if len(files) == 0 && !named && isPiped(cmd.InOrStdin()) {
		files = []string{source.Stdin}
	}
	if len(files) > 0 {
		families, failed, err := findLogs(cmd, files, logs.quiet)
		if err != nil {
			return nil, err
		}
		return readNumbers(cmd, logs, families, failed, answers{files: append(logs.given(), files...)})
	}
	path, err := keptPath(dbPath)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && dbPath == "" &&
		os.Getenv("MAILFAIL_DB") == "" {
		if families := source.Usual(); len(families) > 0 {
			for i := range families {
				families[i] = families[i].Since(time.Now().Add(-lately))
			}
			return readNumbers(cmd, logs, families, nil, answers{lately: true})
		}
	}
	db, key, err := openKept(cmd.Context(), path)
	if err != nil {
		return nil, err
	}
	n := answers{}
	if named {
		n.named = dbPath
	}
	return newAnswers(db, key, logs, n)
}

// lately is how far the logs in the usual places are read back.
const lately = 24 * time.Hour

// readNumbers reads logs into a temporary database.
func readNumbers(cmd *cobra.Command, logs *logFlags, families []source.Family, failed error,
	n answers) (*answers, error) {
	db, err := sqlite.OpenTemporary()
	if err != nil {
		return nil, err
	}
	res, unread, err := readLogs(cmd, db, logs, families)
	if n.failed = worse(failed, unread); err == nil && n.failed != nil && !understood(res.Files) {
		err = n.failed // the errors were printed, and there are no results
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return newAnswers(db, "", logs, n)
}

// understood reports whether a line of files was understood.
func understood(files []ingest.File) bool {
	return slices.ContainsFunc(files, func(f ingest.File) bool { return f.Lines.Understood > 0 })
}
