package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailfail/store"
)

// Check returns the faults of the database, none when it is sound. It runs SQLite's check
// of every page and index, and if that finds nothing, reads every block of counts.
func (db *DB) Check(ctx context.Context) (faults []string, err error) {
	rows, err := db.ro.QueryContext(ctx, "PRAGMA integrity_check(20)")
	if err != nil {
		return nil, db.explain("check", err)
	}
	defer rows.Close()
	for rows.Next() {
		var fault string
		if err := rows.Scan(&fault); err != nil {
			return nil, db.explain("check", err)
		}
		if fault != "ok" {
			faults = append(faults, fault)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, db.explain("check", err)
	}
	if len(faults) > 0 {
		return faults, nil
	}
	if err := db.EachCount(ctx, store.Window{}, func(*store.CountRow) error { return nil }); err != nil {
		faults = append(faults, err.Error())
	}
	return faults, ctx.Err()
}

// Backup writes a consistent copy of the database to path, which must not exist. Other
// processes may write in the meantime. An interrupted backup leaves nothing at path.
func (db *DB) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = errors.New("it exists already")
		}
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	removeInterrupted(filepath.Dir(path))
	// SQLite sets the mode of the new file, so it is made in a folder that other users cannot enter.
	dir, err := os.MkdirTemp(filepath.Dir(path), backupFolder)
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, "db")
	if _, err := db.ro.ExecContext(ctx, "VACUUM INTO ?", copied); err != nil {
		return db.explain("back up", err)
	}
	for _, step := range []func() error{
		func() error { return os.Chmod(copied, 0o640) },
		func() error { return syncFile(copied) },
		func() error { return os.Link(copied, path) }, // does not replace a file that was made meanwhile
	} {
		if err := step(); err != nil {
			return fmt.Errorf("back up to %s: %w", path, err)
		}
	}
	return nil
}

const backupFolder = ".mailfail-backup-*"

// removeInterrupted removes the remains of backups that were killed more than a day ago
// from a folder, so that they do not fill the disk.
func removeInterrupted(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, backupFolder)) // with a [ in dir it finds none
	for _, folder := range left {
		if info, err := os.Lstat(folder); err == nil && info.IsDir() &&
			time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(folder)
		}
	}
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Size is the size of a table.
type Size struct {
	Table string // "" for the free pages of the file; Rows is then their number
	Rows  int64
	Bytes int64 // of the values; SQLite adds a few bytes a row, and indexes
}

// Sizes returns the size of each table, the largest first, and then that of the free pages
// of the file.
func (db *DB) Sizes(ctx context.Context) (sizes []Size, err error) {
	err = db.transaction(ctx, func(t *tx) error {
		sizes = nil
		tables, err := tablesOf(ctx, t)
		if err != nil {
			return err
		}
		for table, columns := range tables {
			s := Size{Table: table}
			query := fmt.Sprintf(`SELECT count(*), total(%s) FROM %s`, strings.Join(columns, " + "), quoteName(table))
			var bytes float64
			if err := t.conn.QueryRowContext(ctx, query).Scan(&s.Rows, &bytes); err != nil {
				return err
			}
			s.Bytes = int64(bytes)
			sizes = append(sizes, s)
		}
		free := Size{}
		row := t.conn.QueryRowContext(ctx, "SELECT freelist_count, freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")
		if err := row.Scan(&free.Rows, &free.Bytes); err != nil {
			return err
		}
		slices.SortFunc(sizes, func(a, b Size) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Table, b.Table))
		})
		sizes = append(sizes, free)
		return nil
	})
	return sizes, db.explain("measure", err)
}

// tablesOf returns for each table the SQL expressions for the lengths of its columns.
func tablesOf(ctx context.Context, t *tx) (map[string][]string, error) {
	rows, err := t.conn.QueryContext(ctx, `SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	tables := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, err
		}
		tables[table] = append(tables[table], fmt.Sprintf(`coalesce(length(%s), 0)`, quoteName(column)))
	}
	return tables, rows.Err()
}

// quoteName quotes a name for SQL: a database may have tables that other programs made.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
