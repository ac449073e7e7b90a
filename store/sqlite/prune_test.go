package sqlite

import (
	"context"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailfail/store"
)

func noMessage([]byte) int64 { return 0 }

// pages returns how large a database is, without what is free.
func pages(t *testing.T, db *DB) int64 {
	t.Helper()
	return one(t, db, "SELECT page_count FROM pragma_page_count") - one(t, db, "SELECT freelist_count FROM pragma_freelist_count")
}

// bytesRead returns how many bytes this process has read from files so far, from
// the disk or the cache; 0 where the system does not say.
func bytesRead(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var n int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// questions are what is asked of a pruned database every day.
var questions = map[string]func(ctx context.Context, db *DB, now time.Time) error{
	"yesterday": func(ctx context.Context, db *DB, now time.Time) error {
		_, err := db.Numbers(ctx, store.Window{Since: now.AddDate(0, 0, -1), Until: now}, store.Filter{}, nil)
		return err
	},
	"a month": func(ctx context.Context, db *DB, now time.Time) error {
		_, err := db.Numbers(ctx, store.Window{Since: now.AddDate(0, 0, -30), Until: now}, store.Filter{}, []store.Dimension{store.ByProvider})
		return err
	},
	"a week by day": func(ctx context.Context, db *DB, now time.Time) error {
		_, err := db.Timeline(ctx, store.Window{Since: now.AddDate(0, 0, -7), Until: now}, store.Filter{}, []store.Dimension{store.ByProvider}, 24*time.Hour)
		return err
	},
	"failures of yesterday": func(ctx context.Context, db *DB, now time.Time) error {
		_, err := db.Events(ctx, store.Window{Since: now.AddDate(0, 0, -1), Until: now}, store.Filter{}, store.OutcomeNames, 0, func(*store.Event) error { return nil })
		return err
	},
	"a message": func(ctx context.Context, db *DB, now time.Time) error {
		_, _, err := db.Trace(ctx, "nobody@example.org")
		return err
	},
	"the database": func(ctx context.Context, db *DB, now time.Time) error { // all of it
		_, err := db.Numbers(ctx, store.Window{}, store.Filter{}, nil)
		return err
	},
}

// readFor returns how many bytes each of the questions reads, asked of a database
// that is opened for it.
func readFor(t *testing.T, path string, now time.Time) map[string]int64 {
	t.Helper()
	read := map[string]int64{}
	for name, ask := range questions {
		db, err := OpenReadOnly(path)
		if err != nil {
			t.Fatal(err)
		}
		before := bytesRead(t)
		if err := ask(t.Context(), db, now); err != nil {
			t.Fatal(err)
		}
		read[name] = bytesRead(t) - before
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return read
}

// What is pruned each day keeps a database at the size that it has when the first
// day is old enough, however long it is used, and what is asked of it reads no more;
// what it counts stays right.
func TestPruneKeepsSize(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database, 400 days")
	}
	const days, rows, counts = 400, 30, 100
	path := filepath.Join(t.TempDir(), "p.db")
	db, w := open(t, path)
	m := &monthWriter{Writer: w, rng: rand.New(rand.NewSource(1)), series: make([]int64, 100)}
	var read map[string]int64
	begun := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	var full, most int64
	for day := range days {
		at := begun.AddDate(0, 0, day)
		begin(t, w)
		for range 20 {
			if err := m.recipient(at.UnixMicro() + m.rng.Int63n(20*3_600_000_000)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range int64(100) {
			series, err := m.some()
			if err != nil {
				t.Fatal(err)
			}
			w.Count(series, at.UnixMicro()+i*800_000_000, store.Counts{Delivered: 1, Recipients: 1})
		}
		w.CountLines(at.UnixMicro(), store.Lines{Read: 1})
		commit(t, w)
		if err := w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := at.AddDate(0, 0, 1)
		if _, err := w.Prune(t.Context(), store.Retention{Rows: now.AddDate(0, 0, -rows), Counts: now.AddDate(0, 0, -counts)}, noMessage); err != nil {
			t.Fatal(err)
		}
		if day == counts+10 {
			full, read = pages(t, db), readFor(t, path, now)
		}
		most = max(most, pages(t, db))
	}
	for name, n := range readFor(t, path, begun.AddDate(0, 0, days)) {
		t.Logf("%s: %d bytes read, %d when the first days had gone", name, n, read[name])
		if n > read[name]*115/100 {
			t.Errorf("%s: %d bytes read, %d when the first days had gone", name, n, read[name])
		}
	}
	t.Logf("%d pages at most, %d when the first days had gone", most, full)
	if most > full*115/100 {
		t.Errorf("%d pages at most, %d when the first days had gone", most, full)
	}
	if all, used := one(t, db, "SELECT page_count FROM pragma_page_count"), pages(t, db); all > used*105/100 {
		t.Errorf("%d pages, of which %d are used: space was not given back", all, used)
	}
	n, err := db.Numbers(t.Context(), store.Window{Since: begun.AddDate(0, 0, days-counts), Until: begun.AddDate(0, 0, days)}, store.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(counts * 120); n.Totals.Recipients != want {
		t.Errorf("%d recipients of %d days, want %d", n.Totals.Recipients, counts, want)
	}
	for _, table := range []string{"recipient_rows", "attempt_rows", "message_rows", "texts"} {
		if n := one(t, db, "SELECT count(*) FROM "+table); n == 0 || n > 20*(rows+2)*4 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if faults, err := db.Check(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%q, %v", faults, err)
	}
}

// Texts that rows refer to stay, whichever were removed, and whoever writes next
// refers to none that is not there.
func TestPruneTexts(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "p.db"))
	m := &monthWriter{Writer: w, rng: rand.New(rand.NewSource(1)), series: make([]int64, 100)}
	for day := range int64(6) {
		begin(t, w)
		for range 200 {
			if err := m.recipient(day * 86_400_000_000); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, w)
		p, err := w.Prune(t.Context(), store.Retention{Rows: time.UnixMicro((day - 1) * 86_400_000_000)}, noMessage)
		if err != nil {
			t.Fatal(err)
		}
		// Addresses are in the rows; some replies are there again.
		if day > 1 && (p.Messages != 200 || p.Recipients != 200 || p.Texts < 190) {
			t.Errorf("day %d: %+v", day, p)
		}
		for table, columns := range textColumns {
			for _, c := range columns {
				if n := one(t, db, fmt.Sprintf("SELECT count(*) FROM %s WHERE typeof(%s) = 'integer' AND %[2]s NOT IN (SELECT id FROM texts)", table, c)); n > 0 {
					t.Errorf("day %d: %d rows of %s have no %s", day, n, table, c)
				}
			}
		}
	}
	if n := one(t, db, "SELECT count(DISTINCT id) FROM recipient_rows"); n != 400 {
		t.Errorf("%d recipients, want those of two days", n)
	}
	if n := one(t, db, "SELECT max(id) FROM message_rows"); n != 1200 {
		t.Errorf("the last message is %d: an id was given twice", n)
	}
}

// What all rows are removed of gives no id again, to whoever writes next.
func TestPruneEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p.db")
	db, w := open(t, path)
	for round := range int64(3) {
		m := &monthWriter{Writer: w, rng: rand.New(rand.NewSource(1)), series: make([]int64, 100)}
		begin(t, w)
		for range 10 {
			if err := m.recipient(0); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, w)
		if first := one(t, db, "SELECT min(id) FROM recipient_rows"); first != 10*round+1 {
			t.Errorf("round %d begins with id %d", round, first)
		}
		if first := one(t, db, "SELECT min(id) FROM message_rows"); first != 10*round+1 {
			t.Errorf("round %d begins with message %d", round, first)
		}
		r := store.Retention{Rows: time.Unix(90_000, 0)}
		would, err := db.Prunable(t.Context(), r, noMessage)
		if err != nil {
			t.Fatal(err)
		}
		p, err := w.Prune(t.Context(), r, noMessage)
		if err != nil {
			t.Fatal(err)
		}
		if p.Recipients != 10 || p.Messages != 10 || would.Attempts != p.Attempts || would.Recipients != 10 || would.Messages != 10 {
			t.Errorf("round %d: %+v, would be %+v", round, p, would)
		}
		if n := one(t, db, "SELECT count(*) FROM lookup"); n > 0 {
			t.Errorf("round %d: %d ids are left", round, n)
		}
		w.Close()
		if w, err = db.writer(); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	n, err := db.Numbers(context.Background(), store.Window{}, store.Filter{}, nil)
	if err != nil || n.Totals.Recipients != 30 {
		t.Errorf("%d recipients, %v; want 30", n.Totals.Recipients, err)
	}
}
