package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mailfail/ingest/loggen"
	"mailfail/store"
	"mailfail/store/storetest"
)

// These tests run several processes of the program against each other, and
// kill them.

// process is a run of the program in a process of its own.
type process struct {
	*exec.Cmd
	out, errs bytes.Buffer
}

func newProcess(args ...string) *process {
	p := &process{Cmd: exec.Command("mailfail", args...)} // TestMain puts it into PATH
	p.Env = append(os.Environ(), "TZ=UTC")
	p.Stdout, p.Stderr = &p.out, &p.errs
	return p
}

// check fails the test unless the process, which has ended so, did well and
// said nothing on standard error.
func (p *process) check(t *testing.T, err error) {
	t.Helper()
	if err != nil || p.errs.Len() > 0 {
		t.Fatalf("%v: %v\n%s", p.Args, err, &p.errs)
	}
}

// generate returns a log of about 7 lines a message, and what is in it.
func generate(t *testing.T, messages int) ([]byte, loggen.Counts) {
	t.Helper()
	var log bytes.Buffer
	counts, err := loggen.Generate(&log, loggen.Options{Seed: 7, Messages: messages})
	if err != nil {
		t.Fatal(err)
	}
	return log.Bytes(), counts
}

// content is all that a database knows about mail.
func content(t *testing.T, path string) string {
	t.Helper()
	db, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return storetest.Dump(t, db)
}

// atOnce is the content after one undisturbed run over the log.
func atOnce(t *testing.T, log []byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/mail.log", log)
	p := newProcess("ingest", "--db", dir+"/db", dir+"/mail.log")
	p.check(t, p.Run())
	return content(t, dir+"/db")
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func extend(t *testing.T, path string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// rotate renames the log and its one older generation, and compresses that.
func rotate(t *testing.T, path string, n int) {
	t.Helper()
	if old, err := os.ReadFile(path + ".1"); err == nil {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(old)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for i := n; i >= 2; i-- {
			os.Rename(fmt.Sprintf("%s.%d.gz", path, i), fmt.Sprintf("%s.%d.gz", path, i+1)) // the last is not there yet
		}
		write(t, path+".2.gz", packed.Bytes())
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
}

var killMessages = flag.Int("kill-messages", 10_000, "number of messages in the log of TestKill; 500000 take a run several commits")

// TestKill kills `mailfail ingest` at random moments while its log grows, in
// pieces that end anywhere, and is rotated. What it has read in the end is what
// an undisturbed run reads.
func TestKill(t *testing.T) {
	const kills = 50
	log, counts := generate(t, *killMessages)
	start := time.Now()
	want := atOnce(t, log)
	patience := time.Since(start) // half of the runs end within it

	dir := t.TempDir()
	path, db := dir+"/mail.log", dir+"/db"
	r := rand.New(rand.NewPCG(3, 4))
	done := len(log) / 2
	extend(t, path, log[:done])
	killed, survived, rotations := 0, 0, 0
	for killed < kills {
		if ingestKilled(t, db, path, time.Duration(2*r.Float64()*float64(patience))) {
			killed++
			patience += patience / 10
		} else {
			survived++
			patience -= patience / 10
		}
		next := min(len(log), done+r.IntN(len(log)/kills/2))
		extend(t, path, log[done:next])
		done = next
		if r.IntN(10) == 0 && done < len(log) {
			next = done + bytes.IndexByte(log[done:], '\n') + 1 // logs are rotated between lines
			extend(t, path, log[done:next])
			rotations++
			rotate(t, path, rotations)
			done = min(len(log), next+r.IntN(1000))
			extend(t, path, log[next:done])
		}
	}
	t.Logf("%d runs killed, %d not; %d rotations", killed, survived, rotations)
	extend(t, path, log[done:])
	if ingestKilled(t, db, path, time.Hour) {
		t.Fatal("the last run does not end")
	}
	if got := content(t, db); got != want {
		t.Errorf("killed runs have read something else than one that was not: %s", difference(got, want))
	}
	checkTotals(t, db, counts)
}

// ingestKilled runs `mailfail ingest` and kills it after a while. It reports
// whether it did, or the program was faster.
func ingestKilled(t *testing.T, db, path string, after time.Duration) bool {
	t.Helper()
	p := newProcess("ingest", "--quiet", "--db", db, path+"*")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { p.Process.Kill() })
	defer timer.Stop()
	err := p.Wait()
	if err != nil && p.ProcessState.ExitCode() == -1 {
		return true
	}
	p.check(t, err)
	return false
}

// checkTotals compares a database with what was put into the log.
func checkTotals(t *testing.T, path string, want loggen.Counts) {
	t.Helper()
	db, err := store.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := storetest.Sum(t, db)
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"messages", got.Messages, want.Messages},
		{"recipients", got.Recipients, want.Recipients},
		{"delivered", got.Delivered, want.Delivered},
		{"bounced", got.Bounced, want.Bounced},
		{"expired", got.Expired, want.Expired},
		{"attempts", got.Attempts, want.Attempts},
		{"deferrals", got.Deferrals, want.Deferrals},
		{"failures", got.Failures, want.Failures},
		{"rejected", got.Rejected, want.Rejected},
		{"lines", storetest.Int(t, db, "SELECT sum(read) FROM lines"), want.Lines},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, c.got, c.want)
		}
	}
}

// difference says where two contents begin to differ.
func difference(got, want string) string {
	a, b := bytes.Split([]byte(got), []byte("\n")), bytes.Split([]byte(want), []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return fmt.Sprintf("row %d:\n got %s\nwant %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d rows instead of %d", len(a), len(b))
}

// TestTogether lets several processes read the same logs into one database at
// the same time: each does its part or waits, and nothing is read twice.
func TestTogether(t *testing.T) {
	log, counts := generate(t, 10_000)
	want := atOnce(t, log)
	for round := range 3 {
		dir := t.TempDir()
		split := bytes.LastIndexByte(log[:len(log)/3], '\n') + 1
		write(t, dir+"/mail.log.1", log[:split])
		write(t, dir+"/mail.log", log[split:])
		var all []*process
		for range 3 {
			p := newProcess("ingest", "--quiet", "--db", dir+"/db", dir+"/mail.log*")
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
		for _, p := range all {
			p.check(t, p.Wait())
		}
		if got := content(t, dir+"/db"); got != want {
			t.Errorf("round %d: three processes have read something else than one: %s", round, difference(got, want))
		}
		checkTotals(t, dir+"/db", counts)
	}
}

// TestReportBesideIngest reports from a database again and again while logs are
// read into it: a report is never kept from it, and shows what was committed so
// far, whole batches and no more.
func TestReportBesideIngest(t *testing.T) {
	log, counts := generate(t, 10_000)
	dir := t.TempDir()
	path, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "db")
	write(t, path, log[:0])
	first := newProcess("ingest", "--db", db, path)
	first.check(t, first.Run())

	reading := make(chan error, 1)
	go func() { reading <- readInPieces(log, path, db) }()
	var last struct {
		Totals struct {
			Lines    struct{ Read int64 }
			Attempts int64
		}
	}
	reports := 0
	for done := false; !done; reports++ {
		select {
		case err := <-reading:
			if err != nil {
				t.Fatal(err)
			}
			done = true // and one report more
		default:
		}
		p := newProcess("report", "--format", "json", "--db", db)
		p.check(t, p.Run())
		before := last
		if err := json.Unmarshal(p.out.Bytes(), &last); err != nil {
			t.Fatalf("report: %v\n%s", err, &p.out)
		}
		if last.Totals.Lines.Read < before.Totals.Lines.Read || last.Totals.Attempts < before.Totals.Attempts {
			t.Fatalf("a report has less than the one before: %+v, %+v", last.Totals, before.Totals)
		}
	}
	t.Logf("%d reports while the log was read", reports)
	if last.Totals.Lines.Read != counts.Lines || last.Totals.Attempts != counts.Attempts {
		t.Errorf("in the end: got %+v, want %d lines, %d attempts", last.Totals, counts.Lines, counts.Attempts)
	}
}

// readInPieces lets the log grow piece by piece and reads each.
func readInPieces(log []byte, path, db string) error {
	const pieces = 20
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range pieces {
		if _, err := f.Write(log[i*len(log)/pieces : (i+1)*len(log)/pieces]); err != nil {
			return err
		}
		p := newProcess("ingest", "--quiet", "--db", db, path)
		if err := p.Run(); err != nil || p.errs.Len() > 0 {
			return fmt.Errorf("ingest of piece %d: %w\n%s", i, err, &p.errs)
		}
	}
	return nil
}
