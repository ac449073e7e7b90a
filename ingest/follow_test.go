package ingest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// following runs Follow until lines lines are committed, or to the end of
// standard input when lines is 0.
func following(t *testing.T, db *sqlite.DB, lines int64, opt ingest.FollowOptions, write func(), args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	opt.Options = options
	opt.Source = source.FollowOptions{Tick: 5 * time.Millisecond, Spacing: -1, Linger: 50 * time.Millisecond}
	if opt.Warn == nil {
		opt.Warn = func(err error) {
			if !errors.Is(err, os.ErrNotExist) { // at the beginning
				t.Error(err)
			}
		}
	}
	var read int64
	progress := opt.Committed
	opt.Committed = func(l store.Lines) {
		if progress != nil {
			progress(l)
		}
		if read += l.Read; lines > 0 && read >= lines {
			cancel()
		}
	}
	done := make(chan error, 1)
	go func() { done <- ingest.Follow(ctx, db, registry.DefaultRules(), args, opt) }()
	write()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if lines > 0 && read != lines {
		t.Errorf("%d lines, want %d", read, lines)
	}
}

func appendTo(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// rotate renames all generations of a log, as logrotate does.
func rotate(t *testing.T, path string) {
	t.Helper()
	for n := 20; n >= 0; n-- {
		from := path
		if n > 0 {
			from = fmt.Sprintf("%s.%d", path, n)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", path, n+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
	appendTo(t, path, nil)
}

// A log that is followed while it is written and rotated gives what it gives
// when it is read at once, and what is observed is what is stored.
func TestFollow(t *testing.T) {
	log, c := generated(t, 400)
	want := atOnce(t, log)
	path := filepath.Join(t.TempDir(), "mail.log")
	db := openStore(t)
	outcomes := map[string]int64{}
	var last time.Time
	opt := ingest.FollowOptions{Observe: func(e *store.Event) {
		if outcomes[e.Outcome]++; e.Time.Before(last) {
			t.Errorf("%s comes after %s: the generations were read in another order", e.Time, last)
		}
		last = e.Time
		if e.Outcome != "delivered" && !(bytes.Contains(log, []byte(e.Line+"\n")) && strings.Contains(string(e.Line), string(e.Recipient))) {
			t.Errorf("the line of %s is %q", e.Recipient, e.Line)
		}
	}}
	// The log is not rotated again before the last rotation was noticed: as
	// the daemons do it, it takes a day.
	noticed := make(chan struct{}, 100)
	var seen, rotated int64
	opt.Committed = func(l store.Lines) {
		for seen += l.Read; rotated < seen/500; rotated++ {
			noticed <- struct{}{}
		}
	}
	following(t, db, c.Lines, opt, func() {
		for n, line := range bytes.SplitAfter(log, []byte("\n")) {
			appendTo(t, path, line[:len(line)/2])
			appendTo(t, path, line[len(line)/2:])
			if n%500 == 499 {
				rotate(t, path)
				select {
				case <-noticed:
				case <-time.After(30 * time.Second):
					t.Errorf("line %d was not read", n)
					return
				}
			}
		}
	}, path)
	got := sqlitetest.Dump(t, db)
	same(t, got, want)
	wantOutcomes := map[string]int64{"delivered": c.Delivered, "deferred": c.Deferrals, "failed": c.Failures, "rejected": c.Rejected}
	for o, n := range wantOutcomes {
		if outcomes[o] != n {
			t.Errorf("observed %d %s, want %d", outcomes[o], o, n)
		}
	}
	if res := read(t, db, filepath.Dir(path)); res.Lines.Read != 0 {
		t.Errorf("ingest read %d lines again", res.Lines.Read)
	}
}

// A log that is not there yet is said to be waited for, and is.
func TestFollowWaitsForALog(t *testing.T) {
	log, c := generated(t, 50)
	path := filepath.Join(t.TempDir(), "mail.log")
	db := openStore(t)
	var warnings []string
	opt := ingest.FollowOptions{Warn: func(err error) {
		warnings = append(warnings, err.Error())
		appendTo(t, path, log)
	}}
	following(t, db, c.Lines, opt, func() {}, path)
	if want := []string{"open " + path + ": no such file or directory; it will be read when it is there"}; !slices.Equal(warnings, want) {
		t.Errorf("said %q, want %q", warnings, want)
	}
	same(t, sqlitetest.Dump(t, db), atOnce(t, log))
}

func TestFollowGoesOnWhereItEnded(t *testing.T) {
	log, c := generated(t, 200)
	want := atOnce(t, log)
	path := filepath.Join(t.TempDir(), "mail.log")
	db := openStore(t)
	half := bytes.IndexByte(log[len(log)/2:], '\n') + len(log)/2 + 1
	first := int64(bytes.Count(log[:half], []byte("\n")))
	following(t, db, first, ingest.FollowOptions{}, func() { appendTo(t, path, log[:half+10]) }, path)
	following(t, db, c.Lines-first, ingest.FollowOptions{}, func() { appendTo(t, path, log[half+10:]) }, path)
	same(t, sqlitetest.Dump(t, db), want)
}

// Standard input is read as it comes: no line waits for the next one.
func TestFollowStdin(t *testing.T) {
	log, _ := generated(t, 200)
	lines := bytes.SplitAfter(log, []byte("\n"))
	in, out := io.Pipe()
	db := openStore(t)
	committed := make(chan int64, len(lines))
	opt := ingest.FollowOptions{Stdin: in, Committed: func(l store.Lines) { committed <- l.Read }}
	following(t, db, 0, opt, func() {
		defer out.Close()
		for i, line := range lines[:20] {
			if _, err := out.Write(line); err != nil {
				t.Error(err)
			}
			for read := int64(0); read == 0; {
				select {
				case read = <-committed:
				case <-time.After(30 * time.Second):
					t.Errorf("line %d was not read", i)
					return
				}
			}
		}
		if _, err := out.Write(bytes.TrimSuffix(bytes.Join(lines[20:], nil), []byte("\n"))); err != nil {
			t.Error(err)
		}
	}, "-")
	same(t, sqlitetest.Dump(t, db), atOnce(t, log))
}

// Standard input that never rests keeps nobody from reading files, and its end is
// not the end of them.
func TestFollowStdinBesideFiles(t *testing.T) {
	takesLong(t)
	log, c := generated(t, 200)
	path := filepath.Join(t.TempDir(), "mail.log")
	half := bytes.IndexByte(log[len(log)/2:], '\n') + len(log)/2 + 1
	appendTo(t, path, log[:half])
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in, out := io.Pipe()
	context.AfterFunc(ctx, func() { in.Close() })
	var read store.Lines
	var written atomic.Int64
	seen := make(chan struct{})
	opt := ingest.FollowOptions{Options: options, Stdin: in, Committed: func(l store.Lines) {
		first := read.Read == read.Unparsed
		read.Add(l)
		switch ofFile := read.Read - read.Unparsed; {
		case ofFile == c.Lines && read.Unparsed == written.Load():
			cancel()
		case first && ofFile > 0:
			close(seen)
		}
	}}
	db := openStore(t)
	done := make(chan error, 1)
	go func() { done <- ingest.Follow(ctx, db, registry.DefaultRules(), []string{path, "-"}, opt) }()
	for more := true; more; {
		if _, err := io.WriteString(out, "no line of a log\n"); err != nil {
			t.Fatal(err)
		}
		written.Add(1)
		select {
		case <-seen:
			more = false
		case <-ctx.Done():
			t.Fatal("the file was not read")
		default:
		}
	}
	out.Close()
	appendTo(t, path, log[half:])
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := read.Read, c.Lines+written.Load(); got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
}

// follow and ingest at the same time, on the same file and database.
func TestFollowBesideIngest(t *testing.T) {
	takesLong(t)
	log, c := generated(t, 400)
	want := atOnce(t, log)
	path := filepath.Join(t.TempDir(), "mail.log")
	file := filepath.Join(t.TempDir(), "mailfail.db")
	db, err := sqlite.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	opt := ingest.FollowOptions{Options: options, Source: source.FollowOptions{Tick: 5 * time.Millisecond, Spacing: -1}}
	go func() { done <- ingest.Follow(ctx, db, registry.DefaultRules(), []string{path}, opt) }()
	for i := 0; i < len(log); i += 10_000 {
		appendTo(t, path, log[i:min(len(log), i+10_000)])
		other, err := sqlite.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		read(t, other, path)
		other.Close()
	}
	for sqlitetest.Int(t, db, "SELECT sum(read) FROM lines") < c.Lines && ctx.Err() == nil {
		other, err := sqlite.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		read(t, other, path)
		other.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	same(t, sqlitetest.Dump(t, db), want)
}
