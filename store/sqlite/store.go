// Package sqlite is a store of numbers in a SQLite database: counts
// of deliveries, failing attempts and rejections one by one, the recipients
// they concern, and how far every log was read.
//
// There is one Writer at a time, in this process or another; readers are never
// kept waiting (write-ahead log). Everything a Writer does between Begin and
// Commit, the records and the positions behind them, takes effect together or
// not at all.
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
	"sync/atomic"
	"time"

	"github.com/mattn/go-sqlite3"
)

//go:embed schema.sql
var schema string

// schemaVersion is the version of schema.sql, kept as SQLite's user_version.
const schemaVersion = 6

// applicationID marks a SQLite file as ours ("mfdb").
const applicationID = 0x6d666462

// BusyTimeout is how long a process waits for another one that is writing.
const BusyTimeout = 30 * time.Second

// DB is an open database.
type DB struct {
	// Waiting, if set, is called once, from any goroutine, when a writer has waited
	// for another process for some seconds.
	Waiting func()
	waited  sync.Once

	path string      // "" for a temporary one
	file os.FileInfo // that is written to, nil for a temporary one
	rw   *sql.DB
	ro   *sql.DB
	*reader
	cache atomic.Pointer[catalog]
}

func newDB(path string) *DB {
	db := &DB{path: path}
	db.reader = &reader{db.transaction}
	return db
}

// Open opens the database at path for reading and writing, and creates it and
// its directory when there is none. One of an older schema is brought up to date.
func Open(path string) (*DB, error) { return OpenTelling(path, nil) }

// OpenTelling is Open that calls progress while it brings a database up to date,
// which may take minutes: done of total.
func OpenTelling(path string, progress func(done, total int64)) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("create the folder of the database: %w", err)
	}
	create(path)
	options := "_txlock=immediate&_journal_mode=WAL&_synchronous=NORMAL&_cache_size=-10240"
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		// of an older one it takes the lock, and does nothing
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

// inPlace returns an error when the path no longer names the open file: nobody would
// find what is written to that, and positions of logs with it.
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

// create makes a database file that strangers cannot read: addresses are
// personal data. SQLite, which would let everybody read it, gives the files
// beside it the same mode. What goes wrong here SQLite will say when it opens
// the file.
func create(path string) {
	if _, err := os.Stat(path); err == nil {
		return // to open and close it would take the locks that this process has on it
	}
	// Behind a link that leads nowhere yet, it is made where that leads to.
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

// cannotOpen reports whether SQLite could not make or open the files beside a
// database that it needs even for reading, so that others may write.
func cannotOpen(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrCantOpen || se.Code == sqlite3.ErrReadonly)
}

// isAtRest reports whether nothing is to be found beside the database file: then
// it can be read as it is.
func isAtRest(path string) bool {
	_, err := os.Stat(path + "-wal")
	return errors.Is(err, os.ErrNotExist)
}

// OpenTemporary opens a database of its own that vanishes when it is closed.
// SQLite keeps it in memory as long as it is small.
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

// patiently does f again while the database is locked. SQLite itself does not
// wait when another process switches to the write-ahead log, or closes as the
// last one to use it.
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
		name = filepath.Clean(path) // SQLite takes what follows two slashes for a host
		if !filepath.IsAbs(path) {
			name = "./" + name // and has names with a meaning, such as :memory:
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

// SQL returns the connections to read with. They see what is committed.
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

// querier is what *sql.DB and *sql.Conn have in common here.
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

// explained is an error that names the database and says what to do.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain says in words what SQLite means, and what the user can do.
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
