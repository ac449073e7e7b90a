package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mailfail/store"
)

// few returns how many cases a test tries: fewer in a quick run (go test -short).
func few[N int | int64](quick, all N) N {
	if testing.Short() {
		return quick
	}
	return all
}

func open(t *testing.T, path string) (*DB, *Writer) {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(); db.Close() })
	return db, w
}

func begin(t *testing.T, w *Writer) (stale bool) {
	t.Helper()
	stale, err := w.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stale
}

func commit(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
}

func one(t *testing.T, db *DB, query string) (v int64) {
	t.Helper()
	if err := db.SQL().QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b.db", "100%.db", "what?mode=ro.db", "hash#1.db", "ü.db", "deep/er/x.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, w := open(t, path)
		begin(t, w)
		if _, err := w.Name([]byte("x")); err != nil {
			t.Fatal(err)
		}
		commit(t, w)
		if n := one(t, db, "SELECT count(*) FROM names"); n != 2 {
			t.Errorf("%s: %d names, want 2", name, n)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestStrangersCannotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "m.db")
	db, w := open(t, path)
	defer db.Close()
	defer w.Close()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 3 {
		t.Fatalf("files %q, %v; want the database, its log and its index", files, err)
	}
	for _, name := range append(files, filepath.Dir(path)) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode&0o027 != 0 {
			t.Errorf("%s has mode %v", name, mode)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	garbage := write("garbage.db", strings.Repeat("this is no database ", 100))
	newer := filepath.Join(dir, "newer.db")
	db, w := open(t, newer)
	if _, err := w.conn.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	db.Close()
	foreign := filepath.Join(dir, "foreign.db")
	db, w = open(t, foreign)
	if _, err := w.conn.ExecContext(t.Context(), "PRAGMA application_id = 7"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	db.Close()
	for _, test := range []struct{ path, want string }{
		{garbage, "file is not a database: name another with --db"},
		{newer, "newer mailfail (schema 99"},
		{foreign, "not one of mailfail"},
	} {
		if db, err := Open(test.path); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open(%s) = %v, %v; want an error with %q", test.path, db, err, test.want)
		}
		if db, err := OpenReadOnly(test.path); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("OpenReadOnly(%s) = %v, %v; want an error with %q", test.path, db, err, test.want)
		}
	}
	if _, err := OpenReadOnly(filepath.Join(dir, "none.db")); err == nil || !strings.Contains(err.Error(), "mailfail ingest") {
		t.Errorf("missing database: %v; want advice", err)
	}
}

// Two writers take turns, and each notices that the other has written.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, a := open(t, path)
	_, b := open(t, path)
	begin(t, a)
	commit(t, a)
	begin(t, b)
	id, err := b.Name([]byte("from b"))
	if err != nil {
		t.Fatal(err)
	}
	commit(t, b)
	if stale := begin(t, a); !stale {
		t.Error("a did not notice that b has written")
	}
	if got, err := a.Name([]byte("from b")); err != nil || got != id {
		t.Errorf("a has id %d (%v), b wrote %d", got, err, id)
	}
	commit(t, a)
	if stale := begin(t, a); stale {
		t.Error("a takes its own writing for another's")
	}
	commit(t, a)
	if n := one(t, db, "SELECT count(*) FROM names WHERE text = 'from b'"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestRollbackKeepsNothing(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	begin(t, w)
	k := store.SeriesKey{Format: "postfix", Domain: []byte("example.org")}
	id, err := w.Series(&k)
	if err != nil {
		t.Fatal(err)
	}
	w.Count(id, 0, store.Counts{Delivered: 1})
	w.CountLines(0, store.Lines{Read: 1})
	w.Rollback()
	if stale := begin(t, w); !stale {
		t.Error("after a rollback what is in memory is out of date")
	}
	if id2, err := w.Series(&k); err != nil || id2 != id {
		t.Errorf("series %d, %v", id2, err)
	}
	commit(t, w)
	for _, table := range []string{"counts", "lines"} {
		if n := one(t, db, "SELECT count(*) FROM "+table); n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if n := one(t, db, "SELECT count(*) FROM series"); n != 1 {
		t.Errorf("%d series", n)
	}
}

// A line that is in two logs counts as often as in the one that has it oftener.
func TestRejectionInTwoLogs(t *testing.T) {
	for _, test := range []struct {
		logs string // m: main log, c: copy
		want int64
	}{{"m", 1}, {"c", 1}, {"mc", 1}, {"cm", 1}, {"mmc", 2}, {"cmcm", 2}, {"ccc", 3}, {"cccmm", 3}} {
		db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
		begin(t, w)
		for _, c := range test.logs {
			if err := w.AddRejection(&store.Rejection{LineHash: 1<<63 + 5, Copy: c == 'c'}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := w.AddRejection(&store.Rejection{}); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, w)
		if n := one(t, db, "SELECT sum(n) FROM rejections"); n != test.want+2 {
			t.Errorf("%s: %d, want %d", test.logs, n, test.want+2)
		}
	}
}

func TestSources(t *testing.T) {
	_, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	begin(t, w)
	s := store.Source{Fingerprint: [16]byte{1}, FingerprintLen: 100, Offset: 7, Family: "/f", Path: "/f.1", Device: 1 << 63, Inode: 3, Size: -1, State: []byte("st")}
	if w.PutSource(&s); s.ID == 0 {
		t.Fatal("no id")
	}
	s.Offset = 9
	w.PutSource(&s)
	found, err := w.SourcesByFingerprint([16]byte{1}, 100)
	if err != nil || len(found) != 1 || found[0].Offset != 9 || found[0].Device != 1<<63 || string(found[0].State) != "st" || !found[0].ModTime.IsZero() {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := w.SourcesByFamily("/f"); err != nil || len(found) != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	if offset, err := w.SourceOffset(s.ID); err != nil || offset != 9 {
		t.Error(offset, err)
	}
	if offset, err := w.SourceOffset(99); err != nil || offset != -1 {
		t.Error(offset, err)
	}
	commit(t, w)
}

// A writer that begins again at once after every commit does not keep another
// one waiting.
func TestWritersTakeTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	_, greedy := open(t, path)
	_, other := open(t, path)
	begin(t, greedy)
	done, stopped := make(chan error), make(chan int)
	go func() {
		_, err := other.Begin(t.Context())
		if err == nil {
			err = other.Commit()
		}
		done <- err
	}()
	var result error
	finished := make(chan struct{})
	go func() { result = <-done; close(finished) }()
	go func() {
		turns := 0
		for {
			select {
			case <-finished:
				stopped <- turns
				return
			default:
			}
			if err := greedy.Commit(); err != nil {
				t.Error(err)
			}
			if _, err := greedy.Begin(t.Context()); err != nil {
				t.Error(err)
			}
			turns++
		}
	}()
	turns := <-stopped
	if result != nil {
		t.Fatal(result)
	}
	// Before the other one queues up, and while SQLite sleeps between two
	// tries, the greedy one may go on; without the queue it goes on for ever.
	t.Logf("the greedy writer had %d turns", turns)
	if err := greedy.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Opening a new database, writing to it and closing it again, many at a time:
// each waits for the others.
func TestOpenTogether(t *testing.T) {
	for range few(4, 20) {
		path := filepath.Join(t.TempDir(), "x.db")
		errs := make(chan error)
		for range 8 {
			go func() {
				db, err := Open(path)
				if err == nil {
					var w *Writer
					if w, err = db.writer(); err == nil {
						err = w.Close()
					}
					err = errors.Join(err, db.Close())
				}
				errs <- err
			}()
		}
		for range 8 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
}

// Whoever holds the turn and does not write, such as a stopped process, keeps nobody
// from ending, and nobody waiting without end.
func TestTurnThatIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	holder := openTurn(path)
	defer holder.close()
	if !holder.take() {
		t.Fatal("the turn is taken")
	}
	info, err := os.Stat(path + "-turn")
	if err != nil || info.Mode().Perm()&0o444 != 0 {
		t.Errorf("%v, %v: those who may only read the database can hold the turn", info.Mode(), err)
	}
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := w.Begin(ctx); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for the turn ended with %v", err)
	}
	w.turn.stuck = true // as after BusyTimeout
	if _, err := w.Begin(t.Context()); err != nil {
		t.Errorf("without the turn: %v", err)
	}
	other, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	second, err := other.writer()
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	second.turn.stuck = true
	ctx, cancel = context.WithCancel(t.Context())
	go func() { _, err := second.Begin(ctx); done <- err }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for SQLite's lock ended with %v", err)
	}
}

// What another process has written is reported to the next batch, also when the
// database was tidied in between.
func TestTidyKeepsStale(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	_, w := open(t, path)
	begin(t, w)
	commit(t, w)
	_, other := open(t, path)
	begin(t, other)
	other.CountLines(1, store.Lines{Read: 1})
	commit(t, other)
	if err := w.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !begin(t, w) {
		t.Error("the batch is not stale")
	}
	w.Rollback()
	begin(t, w)
	commit(t, w)
	if err := w.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if begin(t, w) {
		t.Error("the batch is stale though nobody else has written")
	}
}

// A database is the file that its path names, whatever the path looks like, and a link
// that leads nowhere yet is no way to make one that strangers can read.
func TestPathsOfFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink("far.db", filepath.Join(dir, "near.db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("near.db", link); err != nil {
		t.Fatal(err)
	}
	for path, file := range map[string]string{
		"/" + filepath.Join(dir, "slashes.db"): "slashes.db",
		":memory:":                             ":memory:",
		"file:name.db?mode=memory#x%41":        "file:name.db?mode=memory#x%41",
		link:                                   "far.db",
	} {
		db, w := open(t, path)
		begin(t, w)
		w.CountLines(1, store.Lines{Read: 1})
		commit(t, w)
		if n := one(t, db, "SELECT sum(read) FROM lines"); n != 1 {
			t.Errorf("%s: %d lines", path, n)
		}
		info, err := os.Lstat(filepath.Join(dir, file))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o027 != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
			continue
		}
		if runtime.GOOS != "windows" {
			if _, err := os.Stat(filepath.Join(dir, file+"-turn")); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// A writer that waits for another process says so, once.
func TestWaitingIsSaid(t *testing.T) {
	defer func(before time.Duration) { patience = before }(patience)
	patience = 0
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	said := make(chan bool, 2)
	db.Waiting = func() { said <- true }
	w, err := db.writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 2 {
		holder := openTurn(path)
		if !holder.take() {
			t.Fatal("the turn is taken")
		}
		done := make(chan error)
		go func() { _, err := w.Begin(t.Context()); done <- err }()
		if len(said) == 0 {
			said <- <-said // until it is said
		}
		holder.close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.Rollback()
	}
	if len(said) != 1 {
		t.Errorf("said %d times", len(said))
	}
}

// Counts of a time that no log can mean do not fall into another one.
func TestCountsOfOddTimes(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "m.db"))
	begin(t, w)
	series, err := w.Series(&store.SeriesKey{Format: "x", Domain: []byte("a.test")})
	if err != nil {
		t.Fatal(err)
	}
	for _, year := range []int{1, 1833, 2026, 6200, 9999} {
		w.Count(series, time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), store.Counts{Delivered: 1})
	}
	commit(t, w)
	got := map[int]int64{}
	if err := db.EachCount(t.Context(), store.Window{}, func(r *store.CountRow) error {
		got[r.Time.UTC().Year()] += r.Delivered
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := map[int]int64{1: 1, 1833: 1, 2026: 1, 6053: 2}; !maps.Equal(got, want) {
		t.Errorf("counts by year %v, want %v", got, want)
	}
}

// A database may have tables of others, with any names.
func TestSizesOfOddTables(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "m.db"))
	if _, err := w.conn.ExecContext(t.Context(), `CREATE TABLE "a"";--" ("x""y" TEXT)`); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Sizes(t.Context()); err != nil {
		t.Error(err)
	}
}

// While the rows of a query are read, nothing else uses the connection: what is written in
// the meantime waits.
func TestWritingWhileReading(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	begin(t, w)
	n := 0
	err := w.each("SELECT value FROM json_each('[1,2,3]')", func(*sql.Rows) error {
		for range 2 * bundleOps {
			n++
			w.sink.exec("INSERT INTO meta VALUES (?,?)", fmt.Sprint("name ", n), strings.Repeat("x", 100))
		}
		if w.sink.bundle.ops != n || len(w.sink.bundles) != 0 {
			t.Errorf("%d of %d statements wait", w.sink.bundle.ops, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sink.exec("INSERT INTO meta VALUES ('last', '')")
	if w.sink.bundle.ops != 0 {
		t.Errorf("%d statements wait after the last row", w.sink.bundle.ops)
	}
	commit(t, w)
	if got := one(t, db, "SELECT count(*) FROM meta WHERE name LIKE 'name %'"); got != int64(n) {
		t.Errorf("%d rows were written, want %d", got, n)
	}
}
