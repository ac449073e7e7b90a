package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackup copies a database while it is open, and reads the copy.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(filepath.Join(dir, "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.rw.Exec("INSERT INTO names (text) VALUES ('kept.example')"); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	path := filepath.Join(dir, "copy")
	if err := db.Backup(ctx, path); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(ctx, path); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a second backup: %v", err)
	}
	copied, err := OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	var n int
	if err := copied.ro.QueryRow("SELECT count(*) FROM names WHERE text = 'kept.example'").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".mailfail-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := db.Backup(stopped, filepath.Join(dir, "never")); err == nil {
		t.Error("a backup that was stopped is no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "never")); err == nil {
		t.Error("a backup that was stopped left a file")
	}
}

// TestCheck finds a page that was overwritten.
func TestCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if faults, err := db.Check(ctx); err != nil || len(faults) > 0 {
		t.Errorf("of a new database: %q, %v", faults, err)
	}
	sizes, err := db.Sizes(ctx)
	if err != nil || len(sizes) < 5 {
		t.Errorf("%v, %v", sizes, err)
	}
	var size int64
	if err := db.ro.QueryRow("PRAGMA page_size").Scan(&size); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(strings.Repeat("x", int(size))), 3*size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenReadOnly(path); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if faults, err := db.Check(ctx); err == nil && len(faults) == 0 {
		t.Error("a damaged page was not found")
	}
}
