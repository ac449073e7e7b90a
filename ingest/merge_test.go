package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailfail/parsers/parserstest/loggen"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// hostLog writes the log of a host.
func hostLog(t *testing.T, dir, host string, seed uint64, messages int) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := loggen.Generate(&b, loggen.Options{Seed: seed, Messages: messages}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, host+".log")
	writeFile(t, path, bytes.ReplaceAll(b.Bytes(), []byte(" mx1 "), []byte(" "+host+" ")))
	return path
}

// Databases of several hosts make one that is what reading all of their logs makes;
// merging them again changes nothing, and a merge that is killed is done again.
func TestMergeIsReadingAll(t *testing.T) {
	dir := t.TempDir()
	var logs, parts []string
	for i, host := range []string{"east", "west"} {
		log := hostLog(t, dir, host, uint64(i)+1, few(100, 400))
		part := filepath.Join(dir, host+".db")
		readInto(t, part, log)
		logs, parts = append(logs, log), append(parts, part)
	}
	all := filepath.Join(dir, "all.db")
	readInto(t, all, logs...)
	want := contentOf(t, all)

	for left := 1; left < 60; left += few(50, 7) {
		path := filepath.Join(t.TempDir(), "merged.db")
		killed := &countdown{Context: context.Background(), left: left, done: make(chan struct{})}
		if _, err := mergeInto(killed, path, parts); err != nil && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "interrupted") {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := mergeInto(t.Context(), path, parts); err != nil {
				t.Fatal(err)
			}
		}
		if got := contentOf(t, path); got != want {
			t.Fatalf("after %d steps:\n%s", left, difference(got, want))
		}
	}
}

// What has grown since is merged anew, and what must not be merged is refused.
func TestMergeAgain(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	east, west := hostLog(t, dir, "east", 1, few(100, 300)), hostLog(t, dir, "west", 2, few(100, 300))
	a, b, merged := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db"), filepath.Join(dir, "m.db")
	readInto(t, a, east)
	readInto(t, b, west)
	merge := func(paths ...string) ([]sqlite.Merged, error) { return mergeInto(t.Context(), merged, paths) }
	if _, err := merge(a, b); err != nil {
		t.Fatal(err)
	}
	readInto(t, a, hostLog(t, dir, "north", 3, 100))
	if _, err := merge(a); err == nil || !strings.Contains(err.Error(), "name "+b+" too") {
		t.Errorf("a part that has grown, alone: %v", err)
	}
	done, err := merge(a, b)
	if err != nil || len(done) != 2 || done[0].State != "made anew" {
		t.Fatalf("%v, %v", done, err)
	}
	all := filepath.Join(dir, "all.db")
	readInto(t, all, east, west, filepath.Join(dir, "north.log"))
	if got, want := contentOf(t, merged), contentOf(t, all); got != want {
		t.Error(difference(got, want))
	}
	if _, err := mergeInto(t.Context(), a, []string{a}); err == nil || !strings.Contains(err.Error(), "a copy of") {
		t.Errorf("a database into itself: %v", err)
	}
	if _, err := mergeInto(t.Context(), b, []string{merged}); err == nil || !strings.Contains(err.Error(), "merged itself") {
		t.Errorf("a merged database: %v", err)
	}
	twice := filepath.Join(dir, "twice.db")
	readInto(t, twice, east)
	if _, err := merge(twice); err == nil || !strings.Contains(err.Error(), "would count twice") {
		t.Errorf("a database of a log that was read: %v", err)
	}
}

// The numbers of what was pruned are merged too, and ids of it are not given again.
func TestMergePruned(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	a, b, merged, all := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.db"), filepath.Join(dir, "m.db"), filepath.Join(dir, "all.db")
	east, west := hostLog(t, dir, "east", 1, few(100, 300)), hostLog(t, dir, "west", 2, few(100, 300))
	readInto(t, a, east)
	readInto(t, b, west)
	readInto(t, all, east, west)
	db, err := sqlite.Open(a)
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.Writer()
	if err != nil {
		t.Fatal(err)
	}
	last := sqlitetest.Int(t, db, "SELECT max(last_seen) FROM recipients")
	p, err := w.Prune(t.Context(), store.Retention{Rows: time.UnixMicro(last + 1)}, func([]byte) int64 { return 0 })
	if err != nil || p.Attempts == 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	w.Close()
	db.Close()
	if _, err := mergeInto(t.Context(), merged, []string{b, a}); err != nil {
		t.Fatal(err)
	}
	got, want := openAt(t, merged), openAt(t, all)
	if g, w := countedIn(t, got), countedIn(t, want); g != w {
		t.Error(difference(g, w))
	}
	faults, err := got.Check(t.Context())
	if err != nil || len(faults) > 0 {
		t.Errorf("%q, %v", faults, err)
	}
}

func openAt(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func readInto(t *testing.T, path string, logs ...string) {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read(t, db, logs...)
}

func mergeInto(ctx context.Context, path string, parts []string) ([]sqlite.Merged, error) {
	db, err := sqlite.Open(path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.Merge(ctx, parts)
}

// contentOf returns what is in a database, and what is counted in it.
func contentOf(t *testing.T, path string) string {
	t.Helper()
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return sqlitetest.Dump(t, db) + "\n" + countedIn(t, db)
}
