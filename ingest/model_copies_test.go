package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"mailfail/store/fleet"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// What TestModel does with whole databases: backups that are put back, merges, and
// pushes to a fleet, all of which may be killed.

func (w *world) copies(o operation) {
	switch o.name {
	case "backup":
		w.backup(nil)
	case "backupKilled":
		w.backup(dyingAfter(1 + o.n))
	case "restore":
		w.restore()
	case "merge":
		w.merge(nil)
	case "mergeKilled":
		w.merge(dyingAfter(1 + o.n*6))
	case "push":
		w.push(-1, true)
	case "pushKilled":
		w.push(o.n*3, false)
	case "pushUnanswered":
		w.push(-1, false)
	}
}

func dyingAfter(asked int) *countdown {
	return &countdown{Context: context.Background(), left: asked, done: make(chan struct{})}
}

// died reports whether err is how a killed operation ends.
func died(ctx *countdown, err error) bool {
	return ctx != nil && err != nil && (errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "interrupted"))
}

func (w *world) path(name string) string { return filepath.Join(filepath.Dir(w.dir), name) }

// backup keeps a copy for restore. One that is killed leaves nothing.
func (w *world) backup(kill *countdown) {
	path := w.path("backup.new")
	var err error
	if kill != nil {
		err = w.db.Backup(kill, path)
	} else {
		err = w.db.Backup(context.Background(), path)
	}
	if died(kill, err) {
		if _, err := os.Stat(path); err == nil {
			w.do(errors.New("a backup that was killed is there"))
		}
		return
	}
	w.do(err, os.Rename(path, w.path("backup.db")))
	w.saved = true
}

// restore puts the database back to what the last backup has.
func (w *world) restore() {
	if !w.saved || w.err != nil {
		return
	}
	path := w.path("m.db")
	content, err := os.ReadFile(w.path("backup.db"))
	w.do(err, w.db.Close(), os.WriteFile(path, content, 0o600))
	for _, beside := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + beside); !errors.Is(err, os.ErrNotExist) {
			w.do(err)
		}
	}
	w.db, err = sqlite.Open(path)
	w.do(err)
}

// merge merges the database, which may have grown or been put back since, into
// another one.
func (w *world) merge(kill *countdown) {
	var err error
	if kill != nil {
		_, err = mergeInto(kill, w.path("merged.db"), []string{w.path("m.db")})
	} else {
		_, err = mergeInto(context.Background(), w.path("merged.db"), []string{w.path("m.db")})
	}
	if !died(kill, err) {
		w.do(err)
	}
}

// received is what a fleet has of a database: of the rows with the same key the one
// of the greatest version, but none of before from.
type received struct {
	version, from int64
	rows          map[string]receivedRow
}

type receivedRow struct {
	version int64
	deleted bool
	text    string
}

// rowKey tells a row from all others.
func rowKey(t *fleet.Table, row fleet.Row) string {
	var b strings.Builder
	b.WriteString(t.Name)
	for _, name := range t.Key {
		for i, c := range t.Columns {
			if c.Name == name {
				fmt.Fprintf(&b, " %d %q", row[i].Int, row[i].Text)
			}
		}
	}
	return b.String()
}

// push sends what the fleet does not have. It dies before one of the rows, -1 for
// none; without an answer nobody here knows that all have arrived.
func (w *world) push(dies int, answered bool) {
	if w.fleet == nil {
		w.fleet = &received{rows: map[string]receivedRow{}}
	}
	w.do(w.fleet.take(w.db, "fleet", dies, answered))
}

func (f *received) take(db *sqlite.DB, target string, dies int, answered bool) error {
	ctx := context.Background()
	p, err := db.BeginPush(ctx, sqlite.PushedTo{Target: target, Version: f.version})
	if err != nil {
		return err
	}
	defer p.Close()
	for _, t := range fleet.Tables {
		err := p.EachRow(ctx, t, func(row fleet.Row, deleted bool) error {
			if dies == 0 {
				return errKilled
			}
			dies--
			if key := rowKey(t, row); p.Version >= f.rows[key].version {
				f.rows[key] = receivedRow{p.Version, deleted, fmt.Sprintf("%+v", row)}
			}
			return nil
		})
		if errors.Is(err, errKilled) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	f.version, f.from = p.Version, p.Epoch()
	if !answered {
		return nil
	}
	return p.Done(ctx)
}

// String lists the rows that hold.
func (f *received) String() string {
	var lines []string
	for key, row := range f.rows {
		if !row.deleted && row.version >= f.from {
			lines = append(lines, key+": "+row.text)
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// differentCopies returns what is wrong with the copies in the end, "" for nothing.
// The other copies are made anew, at once.
func (w *world) differentCopies(t *testing.T) string {
	if w.merge(nil); w.err != nil {
		return "merge: " + w.err.Error()
	}
	merged, err := sqlite.OpenReadOnly(w.path("merged.db"))
	if err != nil {
		return err.Error()
	}
	defer merged.Close()
	if got, want := countedIn(t, merged)+sqlitetest.Dump(t, merged), countedIn(t, w.db)+sqlitetest.Dump(t, w.db); got != want {
		return "merged:\n" + difference(got, want)
	}
	if w.fleet == nil {
		return ""
	}
	anew := &received{rows: map[string]receivedRow{}}
	w.push(-1, true)
	if w.do(anew.take(w.db, "another fleet", -1, true)); w.err != nil {
		return "push: " + w.err.Error()
	}
	got, want := w.fleet.String(), anew.String()
	if w.before > 0 { // what was pruned here stays there
		got = common(got, want)
	}
	if got != want {
		return "pushed:\n" + difference(got, want)
	}
	return ""
}

// common returns the lines of a list that are in another one.
func common(list, other string) string {
	there := map[string]bool{}
	for line := range strings.SplitSeq(other, "\n") {
		there[line] = true
	}
	var lines []string
	for line := range strings.SplitSeq(list, "\n") {
		if there[line] {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
