package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"mailfail/store"
	"mailfail/store/fleet"
)

// What the following tests bound is exact: it does not depend on the machine or on
// its load. Who has a reason to spend more changes the figure, and says why.

const guardedCounts = 0.002

// guarded returns a database of thirty days with some 23,000 failing attempts.
func guarded(t *testing.T) (*DB, int64) {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "guard.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	fillMonth(t, db, 0.02, guardedCounts)
	var attempts int64
	if err := db.SQL().QueryRow("SELECT count(*) FROM attempt_rows").Scan(&attempts); err != nil {
		t.Fatal(err)
	}
	return db, attempts
}

// What a failing attempt takes in all tables, with its recipient, its message and
// the dictionaries. There are two attempts a recipient here, and hardly an address
// is there twice: they are in recipient_rows and message_rows.
func TestBytesPerAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, attempts := guarded(t)
	if _, err := db.rw.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(db.path)
	if err != nil {
		t.Fatal(err)
	}
	var counts int64
	if err := db.SQL().QueryRow("SELECT (SELECT sum(length(data)) FROM counts) + (SELECT sum(length(data)) FROM days)").Scan(&counts); err != nil {
		t.Fatal(err)
	}
	const mostPerAttempt = 235
	const perCount = 8 // bytes, of some 100 rows an hour
	if rows := int64(42_700_000 * guardedCounts); counts > perCount*rows {
		t.Errorf("counts take %d bytes for %d rows, want no more than %d each", counts, rows, perCount)
	}
	if n := (info.Size() - counts) / attempts; n > mostPerAttempt {
		t.Errorf("%d bytes for each of %d failing attempts, want no more than %d", n, attempts, mostPerAttempt)
	}
	sizes, err := db.Sizes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	most := map[string]int64{"attempt_rows": 54, "message_rows": 41, "recipient_rows": 50, "lookup": 1, "lookup_blocks": 8, "texts": 18, "segments": 24, "series": 4}
	for _, s := range sizes {
		if n := s.Bytes / attempts; most[s.Table] > 0 && n > most[s.Table] {
			t.Errorf("table %s: %d bytes for each of %d failing attempts, want no more than %d", s.Table, n, attempts, most[s.Table])
		} else {
			t.Logf("table %s: %d bytes for each failing attempt", s.Table, n)
		}
	}
}

// An investigation reads sums of the weeks before and of a day that is over, not their
// minutes: of each day a block, and one for each hour.
func TestRowsReadPerInvestigation(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, _ := guarded(t)
	end := monthBegin.AddDate(0, 0, monthDays-1) // the last day is not over
	for _, test := range []struct {
		name         string
		since, until time.Time
		most         int64
	}{
		{"day", end.AddDate(0, 0, -1), end, 410},
		{"two hours", end.Add(-6 * time.Hour), end.Add(-4 * time.Hour), 110},
	} {
		var windows []store.Window
		for n := 14; n > 0; n-- {
			windows = append(windows, store.Window{Since: test.since.AddDate(0, 0, -n), Until: test.since.AddDate(0, 0, 1-n)})
		}
		windows = append(windows, store.Window{Since: test.since, Until: test.until})
		err := db.transaction(t.Context(), func(tx *tx) (err error) {
			f := &flow{tx: tx, windows: windows, to: newDayDeferrer(windows)}
			for _, w := range windows {
				since, until := w.Micros()
				f.spans = append(f.spans, [2]int64{since, until})
			}
			if f.cat, err = tx.catalog(); err != nil {
				return err
			}
			f.wanted, f.numbers, f.places = f.filter.wanted(f.cat), make([]int32, len(f.cat.places)), newFlowKeys(len(f.cat.series))
			before := tx.rows
			err = f.counts()
			t.Logf("%s: %d rows read", test.name, tx.rows-before)
			if n := tx.rows - before; n > test.most {
				t.Errorf("%s: %d rows were read, want no more than %d", test.name, n, test.most)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Reports read blocks, not rows.
func TestRowsReadPerReport(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, attempts := guarded(t)
	end := monthBegin.AddDate(0, 0, monthDays)
	for _, test := range []struct {
		name   string
		window store.Window
		most   int64
	}{
		{"all", store.Window{}, 22_000},
		{"day", store.Window{Since: end.AddDate(0, 0, -1), Until: end}, 1_000},
		{"two hours", store.Window{Since: end.Add(-6 * time.Hour), Until: end.Add(-4 * time.Hour)}, 200},
	} {
		err := db.transaction(t.Context(), func(tx *tx) error {
			_, err := tx.numbers(test.window, store.Filter{}, nil)
			t.Logf("%s: %d rows read of %d attempts", test.name, tx.rows, attempts)
			if tx.rows > test.most {
				t.Errorf("%s: %d rows were read, want no more than %d", test.name, tx.rows, test.most)
			}
			if err != nil {
				return err
			}
			before := tx.rows
			_, err = tx.sums(test.window, store.Filter{})
			if n := tx.rows - before; n > test.most {
				t.Errorf("%s: %d rows were read for sums, want no more than %d", test.name, n, test.most)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A report asks for its recipients twice and for its attempts by minute; both are read once.
func TestRowsReadTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, _ := guarded(t)
	all := store.Window{Since: monthBegin, Until: monthBegin.AddDate(0, 0, monthDays)}
	err := db.transaction(t.Context(), func(of *tx) error {
		of.shared = &shared{}
		if _, err := of.numbers(all, store.Filter{}, nil); err != nil {
			return err
		}
		before, r := of.rows, &reader{func(_ context.Context, f func(*tx) error) error { return f(of) }}
		if err := r.Affected(t.Context(), all, store.Filter{}, func(*store.Affected) error { return nil }); err != nil {
			return err
		}
		if n := of.rows - before; n > 10 {
			t.Errorf("%d rows were read for recipients that were read before", n)
		}
		before = of.rows
		_, err := r.Timeline(t.Context(), all, store.Filter{}, nil, 24*time.Hour)
		if n := of.rows - before; n > 300 {
			t.Errorf("%d rows were read for a timeline of attempts that were read before", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Answers take memory for what they say, and none for each row of a block. Most
// rows of a database as small as this one lie behind the last block: reading one
// takes an allocation.
func TestAllocationsPerReport(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, attempts := guarded(t)
	all := store.Window{Since: monthBegin, Until: monthBegin.AddDate(0, 0, monthDays)}
	for _, test := range []struct {
		name string
		most uint64 // allocations for a hundred failing attempts
		ask  func() error
	}{
		{"numbers", 275, func() error {
			_, err := db.Numbers(t.Context(), all, store.Filter{}, []store.Dimension{store.ByProvider})
			return err
		}},
		{"sums", 180, func() error {
			_, err := db.Sums(t.Context(), all, store.Filter{})
			return err
		}},
		{"affected", 170, func() error {
			return db.Affected(t.Context(), all, store.Filter{}, func(*store.Affected) error { return nil })
		}},
		{"flow", 315, func() error { return db.Flow(t.Context(), []store.Window{all}, store.Filter{}, &flowTotals{}) }},
	} {
		var before, after runtime.MemStats
		for range 2 { // the first reads the dictionaries too
			runtime.ReadMemStats(&before)
			if err := test.ask(); err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
		}
		if n := 100 * (after.Mallocs - before.Mallocs) / uint64(attempts); n > test.most {
			t.Errorf("%s: %d allocations for a hundred of %d failing attempts, want no more than %d", test.name, n, attempts, test.most)
		}
	}
}

// A timeline holds the points that there are, not all steps of all places: that
// took gigabytes.
func TestBytesPerPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database")
	}
	db, _ := guarded(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	by := []store.Dimension{store.ByHost, store.BySender, store.ByDomain, store.ByRelay, store.ByReason}
	line, err := db.Timeline(t.Context(), store.Window{}, store.Filter{}, by, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	points := 0
	for i := range line.Slices {
		points += len(line.Slices[i].Points)
	}
	const mostPerPoint = 1_500
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(points); n > mostPerPoint {
		t.Errorf("a timeline took %d bytes for each of %d points, want no more than %d", n, points, mostPerPoint)
	}
}

// What is only counted costs no statement, whatever the number of lines, and the
// writer waits for SQLite only when a batch ends.
func TestStatements(t *testing.T) {
	db, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	_ = db
	begin(t, w)
	series, err := w.Series(&store.SeriesKey{Format: "postfix", Domain: []byte("a.test")})
	if err != nil {
		t.Fatal(err)
	}
	statements, rows, waits := w.sink.statements, w.sink.inserted, w.sink.waits
	for n := range int64(100_000) {
		w.Count(series, n*1_000, store.Counts{Delivered: 1, Recipients: 1})
	}
	for n := range int64(1_000) {
		id, err := w.AddMessage(&store.Message{Format: "postfix", QueueID: string(rune('A' + n%26)), FirstSeen: n})
		if err != nil {
			t.Fatal(err)
		}
		recipient := w.AddRecipient(&store.Recipient{Message: id, Series: series, Address: "u@a.test", FirstSeen: n, LastSeen: n})
		if err := w.AddAttempt(&store.Attempt{Format: "postfix", Time: n, Recipient: recipient, Series: series, Text: "busy"}); err != nil {
			t.Fatal(err)
		}
		if err := w.AddRejection(&store.Rejection{Time: n, Series: series, QueueID: "NOQUEUE", Text: "busy"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.sink.waits - waits; n > 2 {
		t.Errorf("SQLite was waited for %d times within the batch", n)
	}
	commit(t, w)
	// A message, a recipient, an attempt and a rejection, sixteen at a time; texts and names once; what
	// they are found by in blocks.
	if n := w.sink.inserted - rows; n > 4_010 {
		t.Errorf("%d rows for 1,000 failures and rejections", n)
	}
	if n := w.sink.statements - statements; n > 300 {
		t.Errorf("%d statements for 100,000 deliveries, 1,000 failures and rejections", n)
	}
	if n := w.sink.waits - waits; n > 10 {
		t.Errorf("SQLite was waited for %d times", n)
	}
}

// A statement is prepared once, whatever its values are.
func TestStatementsArePreparedOnce(t *testing.T) {
	_, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	for n := range int64(10) {
		begin(t, w)
		for minute := range int64(100) {
			w.AddLineHashes(1, minute+n, []uint32{uint32(n)})
		}
		commit(t, w)
	}
	if n := w.sink.runner.preparedAgain(); n > 0 {
		t.Errorf("%d times a statement was prepared again", n)
	}
}

// What is sent to a fleet is noted by the same statements in each batch: the sink keeps
// them all.
func TestNotedRowsAreFewStatements(t *testing.T) {
	_, w := open(t, filepath.Join(t.TempDir(), "x.db"))
	begin(t, w)
	w.push = &pushState{}
	kept := 0
	for n := range int64(3) {
		w.push.Batch = n + 1
		w.noteRows(fleet.Rejections, "SELECT id FROM rejection_rows WHERE line_hash = ?", n)
		if err := w.sink.wait(); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			kept = len(w.sink.numbers)
		}
	}
	if got := len(w.sink.numbers); got != kept {
		t.Errorf("%d statements are kept, %d after the first batch", got, kept)
	}
}
