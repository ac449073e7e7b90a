package sqlite_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// A database that the program of schema 2 wrote keeps all it says about mail,
// also when the work is interrupted after any batch.
func TestUpgradeKeepsEverything(t *testing.T) {
	old, want := unzip(t, "testdata/old-2.db.gz"), strings.TrimSpace(string(unzip(t, "testdata/old-2.dump.gz")))
	interruptions := []int{0, 5, 1, 2, 9, 20}
	if testing.Short() {
		interruptions = interruptions[:2]
	}
	for _, interrupted := range interruptions {
		path := filepath.Join(t.TempDir(), "old.db")
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		if interrupted > 0 {
			if err := sqlite.UpgradeInterrupted(path, 50, interrupted); err != nil {
				t.Fatal(err)
			}
			if _, err := sqlite.OpenReadOnly(path); err == nil || !strings.Contains(err.Error(), "go on with it") {
				t.Errorf("after %d batches: %v; want advice", interrupted, err)
			}
		}
		last := int64(-1)
		db, err := sqlite.OpenTelling(path, func(done, total int64) {
			if done < last || done > total {
				t.Errorf("%d of %d after %d", done, total, last)
			}
			last = done
		})
		if err != nil {
			t.Fatal(err)
		}
		got := sqlitetest.Dump(t, db)
		db.Close()
		a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("after %d batches: line %d is\n%s\nwant\n%s", interrupted, i+1, a[i], b[i])
			}
		}
		if len(a) != len(b) {
			t.Errorf("after %d batches: %d lines, want %d", interrupted, len(a), len(b))
		}
		if last < 0 {
			t.Errorf("after %d batches: no progress was shown", interrupted)
		}
	}
}
