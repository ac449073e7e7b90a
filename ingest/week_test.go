package ingest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store/sqlite"
)

// A week of a mail server, whose clock is that of its log: a follower reads it, logrotate
// rotates it, and old rows are removed each night. Every line counts, and after the
// third day neither memory nor the database grow, but for what is known of lines, which
// is kept for 32 days, and messages whose end is never heard of, for 30.
// MAILFAIL_WEEK=2000 sets the messages of an hour.
func TestWeek(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	perHour := 100
	if s := os.Getenv("MAILFAIL_WEEK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("MAILFAIL_WEEK=%s: want a number of messages", s)
		}
		perHour = n
	}
	const days = 7
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	writeFile(t, path, nil)
	db := openStore(t)
	keep := ingest.Keep{Rows: 24 * time.Hour, Counts: 48 * time.Hour, Delivered: 24 * time.Hour}
	ctx, stop := context.WithCancel(t.Context())
	opt := ingest.FollowOptions{Options: options, Source: source.FollowOptions{Tick: 5 * time.Millisecond, Spacing: time.Millisecond}}
	opt.Keep.Delivered = 10 * 365 * 24 * time.Hour // by the clock of the machine: all
	ended := make(chan error, 1)
	go func() { ended <- ingest.Follow(ctx, db, registry.DefaultRules(), []string{path}, opt) }()

	begin := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	lines, messages := int64(0), 0
	read := func() (n int64) {
		if err := db.SQL().QueryRow("SELECT coalesce(sum(read), 0) FROM lines").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	pruned := int64(0) // lines whose numbers are not kept any more
	type size struct{ heap, database, longer int64 }
	var sizes []size
	for day := range days {
		for range 4 {
			var log bytes.Buffer
			for range 6 * perHour {
				writeMessage(&log, messages, begin.Add(time.Duration(messages)*time.Hour/time.Duration(perHour)))
				messages++
			}
			lines += int64(bytes.Count(log.Bytes(), []byte("\n")))
			appendFile(t, path, log.Bytes())
			for read()+pruned < lines {
				select {
				case err := <-ended:
					t.Fatalf("follow has ended: %v", err)
				case <-time.After(time.Millisecond): // between two looks
				}
			}
		}
		before := read()
		pruneAt(t, db.Path(), keep, begin.AddDate(0, 0, day+1))
		pruned += before - read()
		rotateFile(t, path)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		sizes = append(sizes, size{heap: int64(m.HeapAlloc)})
		now := &sizes[day]
		tables, err := db.Sizes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			switch table.Table {
			case "line_hashes", "open":
				now.longer += table.Bytes
			case "": // free
			default:
				now.database += table.Bytes
			}
		}
		t.Logf("day %d: %d lines, %d kB of heap, %d kB of database and %d kB that are kept for longer", day+1, lines, now.heap>>10, now.database>>10, now.longer>>10)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	third, last := sizes[2], sizes[days-1]
	if last.database > third.database+third.database/10 {
		t.Errorf("the database grew from %d to %d bytes", third.database, last.database)
	}
	if last.heap > third.heap+third.heap/4+2<<20 {
		t.Errorf("memory grew from %d to %d bytes", third.heap, last.heap)
	}
	if each := third.longer / 3; last.longer > days*each+each {
		t.Errorf("what is kept for longer grew from %d to %d bytes", third.longer, last.longer)
	}
}

// writeMessage writes the lines of the nth message: each 20th bounces, each 30th waits
// for an hour, and of each 500th the end is never heard of.
func writeMessage(log *bytes.Buffer, n int, at time.Time) {
	line := func(n int, at time.Time, format string, args ...any) {
		fmt.Fprintf(log, "%s mx postfix/%s\n", at.Format("2006-01-02T15:04:05.000000+00:00"), fmt.Sprintf(format, append([]any{0xA00000000 + n}, args...)...))
	}
	to := func(n int, dsn, status string) string {
		return fmt.Sprintf("to=<u%d@d%d.example>, relay=mx%d.example[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=%s, status=%s", n%5000, n%200, n%200, dsn, status)
	}
	const removed = "qmgr[5]: %X: removed"
	line(n, at, "qmgr[5]: %X: from=<s%d@from.example>, size=100, nrcpt=1 (queue active)", n%40)
	switch {
	case n%500 == 7:
		line(n, at, "smtp[7]: %X: %s", to(n, "4.4.1", "deferred (connect to mx.example[192.0.2.1]:25: Connection timed out)"))
	case n%20 == 0:
		line(n, at, "smtp[7]: %X: %s", to(n, "5.1.1", "bounced (host mx.example[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))"))
		line(n, at, removed)
	case n%30 == 1:
		line(n, at, "smtp[7]: %X: %s", to(n, "4.2.0", "deferred (host mx.example[192.0.2.1] said: 450 4.2.0 Greylisted (in reply to RCPT TO command))"))
	default:
		line(n, at, "smtp[7]: %X: %s", to(n, "2.0.0", "sent (250 ok)"))
		line(n, at, removed)
	}
	if late := n - 60; late > 0 && late%30 == 1 && late%20 != 0 && late%500 != 7 {
		line(late, at, "smtp[7]: %X: %s", to(late, "2.0.0", "sent (250 ok)"))
		line(late, at, removed)
	}
}

func appendFile(t *testing.T, path string, text []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// rotateFile renames a log, whose next older generation goes.
func rotateFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, nil)
}

// pruneAt removes what is old at a time, as another process would.
func pruneAt(t *testing.T, path string, keep ingest.Keep, now time.Time) {
	t.Helper()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w, err := db.Writer()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := ingest.Prune(t.Context(), w, keep, now); err != nil {
		t.Fatal(err)
	}
}
