package main

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mailfail/store/sqlite"
)

// These tests kill what looks after a database, in the middle of its work.

// numbersOf is what a report of a database says, in numbers.
func numbersOf(t *testing.T, db string) string {
	t.Helper()
	all := ""
	for _, by := range []string{"domain,host", "provider,reason"} {
		p := newProcess("report", "--db", db, "--tz", "UTC", "--format", "csv", "--top", "0", "--by", by)
		p.check(t, p.Run())
		all += p.out.String()
	}
	return all
}

// whole fails the test unless the database is whole.
func whole(t *testing.T, path string) {
	t.Helper()
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if faults, err := db.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Fatalf("%s is damaged: %v %q", path, err, faults)
	}
}

// copyDatabase copies a database that nobody has open.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	write(t, to, data)
}

// database reads a made-up log, of a year that is long over, into a new database.
func database(t *testing.T, path string, log []byte) {
	t.Helper()
	write(t, path+".log", log)
	p := newProcess("ingest", "--quiet", "--year", "2020", "--db", path, path+".log")
	p.check(t, p.Run())
}

// killEach runs a command and kills it, at moments that are spread over the time it
// takes. Each run begins anew; after a kill, killed looks at what was left and ends
// it. It goes on until enough runs were killed.
func killEach(t *testing.T, begin, killed func(), args ...string) {
	t.Helper()
	begin()
	start := time.Now()
	p := newProcess(args...)
	p.check(t, p.Run())
	patience := time.Since(start)
	r := rand.New(rand.NewPCG(5, 6))
	runs, done := 0, 0
	for want := kills / 10; done < want; runs++ {
		if runs >= 20*want {
			t.Fatalf("of %d runs only %d were killed before they ended", runs, done)
		}
		begin()
		p := newProcess(args...)
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.Float64() * float64(patience))) // any moment will do
		_ = p.Process.Kill()
		if err := p.Wait(); p.ProcessState.ExitCode() != -1 {
			p.check(t, err) // it was faster
			patience -= patience / 8
			continue
		}
		patience += patience / 8
		done++
		killed()
	}
	t.Logf("%d of %d runs killed", done, runs)
}

// What was counted is there after each kill, and the next run ends what was begun.
func TestKillPrune(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	dir := t.TempDir()
	log, _ := generate(t, *killMessages)
	database(t, dir+"/full", log)
	numbers := numbersOf(t, dir+"/full")
	db := dir + "/db"
	prune := []string{"prune", "--keep", "30d", "--db", db}
	var want string
	killEach(t, func() {
		if _, err := os.Stat(db); err == nil && want == "" {
			want = content(t, db) // after the first run, which nobody killed
		}
		copyDatabase(t, dir+"/full", db)
	}, func() {
		whole(t, db)
		if got := numbersOf(t, db); got != numbers {
			t.Fatalf("a prune that was killed has changed numbers: %s", difference(got, numbers))
		}
		p := newProcess(prune...)
		p.check(t, p.Run())
		whole(t, db)
		if got := numbersOf(t, db); got != numbers {
			t.Fatalf("prune has changed numbers: %s", difference(got, numbers))
		}
		if got := content(t, db); got != want {
			t.Fatalf("something else is left than after one run: %s", difference(got, want))
		}
	}, prune...)
}

// A merge that is killed has added each of its parts or not, and is done again.
func TestKillMerge(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	dir := t.TempDir()
	log, _ := generate(t, *killMessages)
	half := len(log) / 2
	half += slices.Index(log[half:], '\n') + 1
	database(t, dir+"/a", log[:half/2])
	database(t, dir+"/b", log[half:])
	db := dir + "/all"
	merge := []string{"db", "merge", "--db", db, dir + "/a", dir + "/b"}
	first := newProcess("db", "merge", "--db", db, dir+"/a")
	first.check(t, first.Run())
	states := []string{numbersOf(t, db)}
	copyDatabase(t, db, dir+"/before")
	second := newProcess(merge...)
	second.check(t, second.Run())
	want, wantContent := numbersOf(t, db), content(t, db)
	states = append(states, want)
	again := func() {
		whole(t, db)
		if got := numbersOf(t, db); !slices.Contains(states, got) {
			t.Fatalf("a merge that was killed has left numbers of neither before nor after: %s", difference(got, want))
		}
		p := newProcess(merge...)
		p.check(t, p.Run())
		whole(t, db)
		if got := content(t, db); got != wantContent {
			t.Fatalf("something else is there than after one run: %s", difference(got, wantContent))
		}
	}
	t.Run("added", func(t *testing.T) {
		killEach(t, func() { copyDatabase(t, dir+"/before", db) }, again, merge...)
	})
	t.Run("made anew", func(t *testing.T) { // since a part has grown
		copyDatabase(t, db, dir+"/before")
		extend(t, dir+"/a.log", log[half/2:half])
		p := newProcess("ingest", "--quiet", "--year", "2020", "--db", dir+"/a", dir+"/a.log")
		p.check(t, p.Run())
		p = newProcess(merge...)
		p.check(t, p.Run())
		states = []string{want, numbersOf(t, db)}
		want, wantContent = states[1], content(t, db)
		killEach(t, func() { copyDatabase(t, dir+"/before", db) }, again, merge...)
	})
}

// A backup that is killed is there as a whole or not at all, and the next one
// succeeds.
func TestKillBackup(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	dir := t.TempDir()
	log, _ := generate(t, *killMessages)
	database(t, dir+"/db", log)
	want, copied := content(t, dir+"/db"), dir+"/copy"
	backup := []string{"db", "backup", "--db", dir + "/db", copied}
	check := func() {
		whole(t, copied)
		if got := content(t, copied); got != want {
			t.Fatalf("the backup differs: %s", difference(got, want))
		}
	}
	killEach(t, func() {
		if err := os.Remove(copied); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}, func() {
		whole(t, dir+"/db")
		if got := content(t, dir+"/db"); got != want {
			t.Fatalf("the database differs after a backup that was killed: %s", difference(got, want))
		}
		if _, err := os.Stat(copied); errors.Is(err, fs.ErrNotExist) {
			p := newProcess(backup...)
			p.check(t, p.Run())
		}
		check()
	}, backup...)
	left, err := filepath.Glob(dir + "/.mailfail-backup-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d folders of backups that were killed", len(left))
	old := time.Now().Add(-48 * time.Hour)
	for _, folder := range left {
		if err := os.Chtimes(folder, old, old); err != nil {
			t.Fatal(err)
		}
	}
	p := newProcess("db", "backup", "--db", dir+"/db", dir+"/another")
	p.check(t, p.Run())
	if left, _ := filepath.Glob(dir + "/.mailfail-backup-*"); len(left) > 0 {
		t.Errorf("%d folders of yesterday's backups are left", len(left))
	}
}
