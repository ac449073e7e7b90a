// Package sqlite stores rows in a SQLite database: counts of deliveries, failing attempts
// and rejections one by one, the recipients they concern, and the position up to which
// every log was read.
//
// There is one Writer at a time, in this process or another; readers never wait
// (write-ahead log). Everything a Writer does between Begin and Commit, the records and the
// positions behind them, takes effect together or not at all.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
)

//go:embed schema.sql
var schema string

// schemaVersion is the version of schema.sql, kept as SQLite's user_version.
const schemaVersion = 7

// applicationID marks a SQLite file as ours ("mfdb").
const applicationID = 0x6d666462

// BusyTimeout is how long a process waits for another process that is writing.
const BusyTimeout = 30 * time.Second

// DB is an open database.
type DB struct {
	// Waiting, if set, is called once, from any goroutine, when a writer has waited
	// for another process for some seconds.
	Waiting func()
	waited  sync.Once

	path string      // "" for a temporary one
	file os.FileInfo // the open file, nil for a temporary one
	rw   *sql.DB
	ro   *sql.DB
	*reader
	cache catalogCache
}

func newDB(path string) *DB {
	db := &DB{path: path}
	db.reader = &reader{db.transaction}
	return db
}

// Open opens the database at path for reading and writing, and creates it and its directory
// if there is none. It upgrades a database of an older schema.
func Open(path string) (*DB, error) { return OpenTelling(path, nil) }

// OpenTelling is Open, but calls progress, if it is not nil, during the upgrade of an older
// schema, which may take minutes.
func OpenTelling(path string, progress func(done, total int64)) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("create the folder of the database: %w", err)
	}
	create(path)
	options := "_txlock=immediate&_journal_mode=WAL&_synchronous=NORMAL&_cache_size=-10240"
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		// in a database that exists, it takes the lock and has no effect
		options = "_auto_vacuum=incremental&" + options
	}
	rw, err := connect(path, options, 1)
	if err != nil {
		return nil, err
	}
	db := newDB(path)
	db.rw = rw
	if err := patiently(db.migrate); err != nil {
		rw.Close()
		return nil, db.explain("open", err)
	}
	if err := patiently(func() error { return db.upgrade(progress) }); err != nil {
		rw.Close()
		return nil, db.explain("open", err)
	}
	if db.file, err = os.Stat(path); err != nil {
		rw.Close()
		return nil, db.explain("open", err)
	}
	if db.ro, err = connect(path, "mode=ro", runtime.NumCPU()+1); err != nil {
		rw.Close()
		return nil, err
	}
	return db, nil
}

var errVanished = errors.New("it was deleted, moved or replaced while it was in use: nothing of this " +
	"batch was kept: run again")

// inPlace returns an error if the path no longer names the open file: rows and positions
// written to that file would be lost.
func (db *DB) inPlace() error {
	if db.file == nil {
		return nil
	}
	info, err := os.Stat(db.path)
	if errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(info, db.file) {
		return errVanished
	}
	return nil
}

// create creates a database file that other users cannot read, since addresses are personal
// data; SQLite would let everybody read it. SQLite gives the files beside it the same mode.
// create ignores errors: SQLite reports them when it opens the file.
func create(path string) {
	if _, err := os.Stat(path); err == nil {
		return // closing it would release the locks that this process has on it
	}
	// If path is a link whose target does not exist, this creates the target.
	if f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640); err == nil {
		f.Close()
	}
}

// OpenReadOnly opens an existing database for reports. It works while another
// process writes.
func OpenReadOnly(path string) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf(
				"open database: %s does not exist: run `mailfail ingest` first, or name another with --db",
				path)
		}
		return nil, fmt.Errorf("open database: %w", err)
	}
	db, err := openReadOnly(path, "mode=ro")
	if cannotOpen(err) && isAtRest(path) {
		db, err = openReadOnly(path, "mode=ro&immutable=1")
	}
	return db, err
}

func openReadOnly(path, options string) (*DB, error) {
	ro, err := connect(path, options, runtime.NumCPU()+1)
	if err != nil {
		return nil, err
	}
	db := newDB(path)
	db.ro = ro
	if err := patiently(func() error { return cmp.Or(checkVersion(ro), checkUpgrade(ro)) }); err != nil {
		ro.Close()
		if cannotOpen(err) && !isAtRest(path) {
			err = fmt.Errorf("%w: it was not closed, or is being written to, by somebody whose files "+
				"beside it this user cannot use: "+
				"let that end, or run as that user", err)
			return nil, &explained{fmt.Sprintf("open database %s: %v", path, err), err}
		}
		return nil, db.explain("open", err)
	}
	return db, nil
}

// cannotOpen reports whether SQLite could not create or open the files beside a database.
// SQLite needs them even for reading, so that other processes may write.
func cannotOpen(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrCantOpen || se.Code == sqlite3.ErrReadonly)
}

// isAtRest reports whether there is no write-ahead log beside the database file: then the
// file is complete and can be read as it is.
func isAtRest(path string) bool {
	_, err := os.Stat(path + "-wal")
	return errors.Is(err, os.ErrNotExist)
}

// OpenTemporary opens a new database that is deleted when it is closed. SQLite keeps it in
// memory as long as it is small.
func OpenTemporary() (*DB, error) {
	rw, err := connect("", "_journal_mode=OFF&_synchronous=OFF&_cache_size=-16384", 1)
	if err != nil {
		return nil, err
	}
	db := newDB("")
	db.rw, db.ro = rw, rw
	if err := db.migrate(); err != nil {
		rw.Close()
		return nil, db.explain("create", err)
	}
	return db, nil
}

// patiently repeats f while the database is locked, for up to BusyTimeout. SQLite itself
// does not wait when another process switches to the write-ahead log, or closes as the last
// one to use it.
func patiently(f func() error) error {
	for end := time.Now().Add(BusyTimeout); ; time.Sleep(10 * time.Millisecond) {
		err := f()
		if err == nil || !isBusy(err) || time.Now().After(end) {
			return err
		}
	}
}

func connect(path, options string, connections int) (*sql.DB, error) {
	name := path
	if path != "" {
		name = filepath.Clean(path) // SQLite takes the text after two slashes for a host
		if !filepath.IsAbs(path) {
			name = "./" + name // and gives a meaning to names such as :memory:
		}
	}
	dsn := fmt.Sprintf("file:%s?%s&_mutex=no&_busy_timeout=%d", (&url.URL{Path: name}).EscapedPath(),
		options, BusyTimeout.Milliseconds())
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxLifetime(0)
	return db, nil
}

// SQL returns the connections for reading. They see only committed rows.
func (db *DB) SQL() *sql.DB { return db.ro }

// Path returns the path of the database file, "" for a temporary one.
func (db *DB) Path() string { return db.path }

// Close closes the database.
func (db *DB) Close() error {
	var err error
	if db.ro != nil && db.ro != db.rw {
		err = db.ro.Close()
	}
	if db.rw != nil {
		err = errors.Join(err, db.rw.Close())
	}
	return err
}

// querier is the part of *sql.DB and *sql.Conn that this package needs.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func userVersion(ctx context.Context, q querier) (v int, err error) {
	err = q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v)
	return v, err
}

var errForeign = errors.New("it is a SQLite database, but not one of mailfail")

func checkVersion(q querier) error {
	ctx := context.Background()
	var id int
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	version, err := userVersion(ctx, q)
	switch {
	case err != nil:
		return err
	case id != applicationID:
		return errForeign
	case version > schemaVersion:
		return fmt.Errorf("it was written by a newer mailfail (schema %d, this one knows %d): install "+
			"that version", version, schemaVersion)
	case version < schemaVersion:
		return oldSchema(version)
	}
	return nil
}

// explained is an error that names the database and says what the user can do.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain adds the name of the database to err, and a hint for the user to errors of
// SQLite.
func (db *DB) explain(doing string, err error) error {
	var e *explained
	if err == nil || errors.As(err, &e) {
		return err
	}
	name := db.path
	if name == "" {
		name = "(temporary)"
	}
	hint := ""
	if info, statErr := os.Stat(name); statErr == nil && info.IsDir() {
		err = errors.New("it is a directory: name a file in it with --db")
	}
	var se sqlite3.Error
	if errors.As(err, &se) {
		switch se.Code {
		case sqlite3.ErrBusy, sqlite3.ErrLocked:
			hint = fmt.Sprintf("another process has been writing for %s: try again", BusyTimeout)
		case sqlite3.ErrFull:
			hint = "nothing of this batch was kept: free space and run again"
		case sqlite3.ErrReadonly:
			hint = "check its permissions and its folder's"
		case sqlite3.ErrCorrupt:
			hint = "it is damaged: restore a backup, or move it away and read the logs again"
		case sqlite3.ErrNotADB:
			hint = "name another with --db"
		case sqlite3.ErrCantOpen:
			hint = "check that it exists and its permissions"
		case sqlite3.ErrIoErr:
			hint = "the disk can't be read or written"
		}
	}
	text := fmt.Sprintf("%s database %s: %v", doing, name, err)
	if hint != "" {
		text += ": " + hint
	}
	return &explained{text, err}
}
