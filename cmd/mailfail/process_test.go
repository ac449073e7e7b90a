package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mailfail/parsers/parserstest/loggen"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// These tests run several processes of the program against each other, and
// kill them.

// process is a run of the program in a process of its own.
type process struct {
	*exec.Cmd
	out, errs bytes.Buffer
}

func newProcess(args ...string) *process { return newProcessUntil(context.Background(), args...) }

// newProcessUntil is killed when ctx is done.
func newProcessUntil(ctx context.Context, args ...string) *process {
	p := &process{Cmd: exec.CommandContext(ctx, "mailfail", args...)} // TestMain puts it into PATH
	p.Env = append(os.Environ(), "TZ=UTC")
	p.Stdout, p.Stderr = &p.out, &p.errs
	return p
}

// takesLong leaves a test to the run without -short, which .ci/run makes.
func takesLong(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
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
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return sqlitetest.Dump(t, db)
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

var (
	killMessages = flag.Int("kill-messages", 10_000, "number of messages in the log of TestKill; 500000 take a run several commits")
	killDays     = flag.Int("kill-days", 4, "number of days in the Exchange logs of TestKillExchange; 100 take a run several commits")
)

var kills = 50 // of each test, in the middle of work

// TestKill kills `mailfail ingest` at random moments while its log grows, in
// pieces that end anywhere, and is rotated. What it has read in the end is what
// an undisturbed run reads.
func TestKill(t *testing.T) {
	takesLong(t)
	log, counts := generate(t, *killMessages)
	start := time.Now()
	want := atOnce(t, log)
	k := newKiller(t, "/mail.log*", time.Since(start)/4)
	path := k.dir + "/logs/mail.log"
	done := len(log) / 2
	extend(t, path, log[:done])
	rotations := 0
	for k.killed < kills {
		k.ingest(t, func() {
			next := done + k.r.IntN((len(log)-done)/kills+1)
			extend(t, path, log[done:next])
			done = next
			if k.r.IntN(10) == 0 && done < len(log) {
				next = done + bytes.IndexByte(log[done:], '\n') + 1 // logs are rotated between lines
				extend(t, path, log[done:next])
				rotations++
				rotate(t, path, rotations)
				done = min(len(log), next+k.r.IntN(1000))
				extend(t, path, log[next:done])
			}
		})
	}
	extend(t, path, log[done:])
	k.finish(t)
	t.Logf("%d rotations", rotations)
	if got := content(t, k.db); got != want {
		t.Errorf("killed runs have read something else than one that was not: %s", difference(got, want))
	}
	checkTotals(t, k.db, counts)
}

// exchangeAtOnce is the content after one undisturbed run over Exchange logs, in
// any order, and how long that took.
func exchangeAtOnce(t *testing.T, days int) (string, time.Duration) {
	t.Helper()
	dir := t.TempDir()
	load := newExchangeLoad(t, dir+"/logs", days)
	load.grow(t, 1)
	p := newProcess("ingest", "--db", dir+"/db", dir+"/logs")
	start := time.Now()
	p.check(t, p.Run())
	took := time.Since(start)
	load.check(t, dir+"/db")
	t.Logf("%d lines in %d files, read at once in %v", load.lines, load.files(), took)
	return content(t, dir+"/db"), took
}

// TestKillExchange kills `mailfail ingest` at random moments while Exchange logs
// of all kinds grow together, in pieces that end in rows, sessions and
// characters, new files come and old ones are compressed.
func TestKillExchange(t *testing.T) {
	takesLong(t)
	want, took := exchangeAtOnce(t, *killDays)
	k := newKiller(t, "", took/4)
	load := newExchangeLoad(t, k.dir+"/logs", *killDays)
	share := 0.5
	load.grow(t, share)
	for k.killed < kills {
		k.ingest(t, func() {
			share += (1 - share) / float64(kills)
			load.grow(t, share)
		})
	}
	load.grow(t, 1)
	k.finish(t)
	load.check(t, k.db)
	if got := content(t, k.db); got != want {
		t.Errorf("killed runs have read something else than one that was not: %s", difference(got, want))
	}
}

// TestKillFollow kills `mailfail follow` at random moments while such logs grow,
// so that most runs have committed something and were about to read more.
func TestKillFollow(t *testing.T) {
	takesLong(t)
	const days = 4
	want, _ := exchangeAtOnce(t, days)
	k := newKiller(t, "", 150*time.Millisecond)
	load := newExchangeLoad(t, k.dir+"/logs", days)
	share := 0.1
	load.grow(t, share)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var lines int64
	for committed := 0; committed < kills/2; {
		k.another(t, committed, kills/2, "have committed something")
		// How far the logs grow depends on what was committed, not on the time that
		// took: who is slow finds no less to read.
		next := share + (1-share)/float64(kills/2-committed+1)
		p, ended := k.start(t, "follow", "--from-start")
		p.awaitReading(k.dir + "/logs/")
		began, long := time.Now(), k.while()
		for end := time.After(long); end != nil; {
			select {
			case <-end:
				end = nil
			case <-tick.C:
				load.growOn(t, share+(next-share)*min(1, float64(time.Since(began))/float64(long)))
			}
		}
		if !k.kill(t, p, ended) {
			t.Fatalf("%v has ended by itself", p.Args)
		}
		k.killed++
		k.patience += k.patience / 10
		if n := linesIn(t, k.db); n > lines {
			lines, share = n, next
			committed++
			k.patience -= k.patience / 5
		}
	}
	t.Logf("%d runs killed, of which %d had committed something: %d of %d lines", k.killed, kills/2, lines, load.lines)
	load.grow(t, 1)
	p, ended := k.start(t, "follow", "--from-start")
	for linesIn(t, k.db) < load.lines && k.ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	_ = p.Process.Signal(syscall.SIGTERM)
	k.end(t, p, <-ended)
	load.check(t, k.db)
	if got := content(t, k.db); got != want {
		t.Errorf("killed runs have read something else than one that was not: %s", difference(got, want))
	}
}

// linesIn returns how many lines were read into a database.
func linesIn(t *testing.T, path string) int64 {
	t.Helper()
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		return 0 // it is not there yet
	}
	defer db.Close()
	return sqlitetest.Int(t, db, "SELECT sum(read) FROM lines")
}

// killer runs `mailfail ingest` on the logs in dir/logs again and again, and
// kills it at random moments.
type killer struct {
	ctx              context.Context // ends well before the time of the tests does
	began            time.Time
	dir, db, pattern string
	r                *rand.Rand
	patience         time.Duration // a run is given twice as much at most

	killed   int // after it had begun to read
	early    int // before
	survived int
}

func newKiller(t *testing.T, pattern string, patience time.Duration) *killer {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/logs", 0o755); err != nil {
		t.Fatal(err)
	}
	k := &killer{ctx: t.Context(), began: time.Now(), dir: dir, db: dir + "/db", pattern: pattern, r: rand.New(rand.NewPCG(3, 4)), patience: patience}
	if end, ok := t.Deadline(); ok {
		half, cancel := context.WithDeadline(k.ctx, time.Now().Add(time.Until(end)/2))
		t.Cleanup(cancel)
		k.ctx = half
	}
	return k
}

// another fails the test when it is in vain to go on: after too many runs, or too
// much time.
func (k *killer) another(t *testing.T, done, want int, what string) {
	t.Helper()
	if runs := k.killed + k.early + k.survived; runs >= 10*kills || k.ctx.Err() != nil {
		t.Fatalf("in %v only %d of %d runs %s, want %d", time.Since(k.began), done, runs, what, want)
	}
}

func (k *killer) start(t *testing.T, command, flag string) (p *process, ended chan error) {
	t.Helper()
	p = newProcessUntil(k.ctx, command, flag, "--db", k.db, k.dir+"/logs"+k.pattern)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, 1)
	go func() { ended <- p.Wait() }()
	return p, ended
}

// while is how long the next run may go on.
func (k *killer) while() time.Duration {
	return time.Duration(2 * k.r.Float64() * float64(k.patience))
}

// kill kills the program. It reports whether it did, or the program was faster.
func (k *killer) kill(t *testing.T, p *process, ended chan error) bool {
	t.Helper()
	_ = p.Process.Kill() // it may have ended
	err := <-ended
	if p.ProcessState.ExitCode() == -1 {
		err = nil
	}
	p.check(t, err)
	return p.ProcessState.ExitCode() == -1
}

// ingest runs the program and kills it, unless it is faster: mostly a while
// after it has opened a log, at times before. More runs are killed than not, so
// that what they leave undone adds up. What happens meanwhile is done once the
// program has started, or has begun to read.
func (k *killer) ingest(t *testing.T, meanwhile func()) {
	t.Helper()
	k.another(t, k.killed, kills, "were killed in the middle of work")
	p, ended := k.start(t, "ingest", "--quiet")
	late := k.r.IntN(2) == 0
	if !late {
		meanwhile()
	}
	counter := &k.early
	if k.r.IntN(8) > 0 {
		counter = &k.killed
		p.awaitReading(k.dir + "/logs/")
	}
	if late {
		meanwhile()
	}
	select {
	case err := <-ended:
		ended <- err
	case <-time.After(k.while()):
	}
	if k.kill(t, p, ended) {
		*counter++
		k.patience += k.patience / 10
	} else {
		k.survived++
		k.patience -= k.patience / 4
	}
}

// awaitReading waits until the process has a file below dir open, or has ended.
// Without /proc it does not wait.
func (p *process) awaitReading(dir string) {
	fds := fmt.Sprintf("/proc/%d/fd/", p.Process.Pid)
	for {
		entries, err := os.ReadDir(fds)
		if err != nil {
			return
		}
		for _, e := range entries {
			if to, err := os.Readlink(fds + e.Name()); err == nil && strings.HasPrefix(to, dir) {
				return
			}
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

// finish runs the program once more, to the end.
func (k *killer) finish(t *testing.T) {
	t.Helper()
	p, ended := k.start(t, "ingest", "--quiet")
	k.end(t, p, <-ended)
	t.Logf("%d runs killed in the middle of work, %d before, %d not", k.killed, k.early, k.survived)
}

// end checks the last run.
func (k *killer) end(t *testing.T, p *process, err error) {
	t.Helper()
	if k.ctx.Err() != nil {
		t.Fatalf("%v: the last run does not end, after %v", p.Args, time.Since(k.began))
	}
	p.check(t, err)
}

// checkTotals compares a database with what was put into the log.
func checkTotals(t *testing.T, path string, want loggen.Counts) {
	t.Helper()
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := sqlitetest.Sum(t, db)
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
		{"lines", sqlitetest.Int(t, db, "SELECT sum(read) FROM lines"), want.Lines},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.what, c.got, c.want)
		}
	}
}

// difference says where two contents begin to differ.
func difference(got, want string) string {
	count := map[string]int{}
	for row := range strings.Lines(want) {
		count[row]--
	}
	for row := range strings.Lines(got) {
		count[row]++
	}
	var rows []string
	for row, n := range count {
		switch {
		case n > 0:
			rows = append(rows, "\n too much: "+strings.TrimSpace(row))
		case n < 0:
			rows = append(rows, "\n missing:  "+strings.TrimSpace(row))
		}
	}
	slices.Sort(rows)
	const shown = 20
	return fmt.Sprintf("%d rows differ:%s", len(rows), strings.Join(rows[:min(shown, len(rows))], ""))
}

// TestTogether lets several processes read the same logs into one database at
// the same time: each does its part or waits, and nothing is read twice.
func TestTogether(t *testing.T) {
	takesLong(t)
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

// TestQuietStream reads a log from a stream that is quiet for a while: at its
// beginning, in its first line, or in the middle of another. Meanwhile another
// process reads what there is of the same log, and is not kept from it. Nothing is
// read twice, and nothing left out.
func TestQuietStream(t *testing.T) {
	takesLong(t)
	log, counts := generate(t, 2000)
	log = append([]byte(strings.Repeat("no line of a log ", 200)+"\n"), log...)
	counts.Lines++
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(log)
	z.Close()
	for _, test := range []struct {
		name    string
		content []byte
	}{{"-", log}, {"pipe", log}, {"packed pipe", packed.Bytes()}} {
		for _, n := range []int{0, 100, 2000, len(test.content)/3 + 10} {
			t.Run(fmt.Sprintf("%s %d bytes", test.name, n), func(t *testing.T) {
				dir, err := filepath.EvalSymlinks(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				write(t, dir+"/mail.log", log[:len(log)*2/3])
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				p, in := startReading(t, ctx, test.name, dir)
				p.awaitReading(dir + "/db")
				if n > 0 {
					in().Write(test.content[:n])
				}
				for n > 10_000 && linesIn(t, dir+"/db") == 0 && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond) // between two looks
				}
				beside := newProcessUntil(ctx, "ingest", "--quiet", "--db", dir+"/db", dir+"/mail.log")
				beside.check(t, beside.Run())
				in().Write(test.content[n:])
				in().Close()
				p.check(t, p.Wait())
				checkTotals(t, dir+"/db", counts)
			})
		}
	}
}

// TestInterruptedStream interrupts who waits for a stream. What was read is kept.
func TestInterruptedStream(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 100)
	for _, name := range []string{"-", "pipe"} {
		for _, n := range []int{0, 100, len(log) - 10} {
			t.Run(fmt.Sprintf("%s %d bytes", name, n), func(t *testing.T) {
				dir, err := filepath.EvalSymlinks(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				p, in := startReading(t, ctx, name, dir)
				p.awaitReading(dir + "/db")
				lines := 0
				if n > 0 {
					in().Write(log[:n])
					defer in().Close()
				}
				if n > 1024 {
					lines = bytes.Count(log[:n], []byte("\n"))
				}
				for linesIn(t, dir+"/db") < int64(lines) && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond) // between two looks
				}
				if err := p.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				_ = p.Wait()
				if got, want := p.errs.String(), "mailfail: interrupted; the database keeps the lines read so far\n"; ctx.Err() != nil || p.ProcessState.ExitCode() != 130 || got != want {
					t.Errorf("%v: %q, want %q", p.ProcessState, got, want)
				}
			})
		}
	}
}

// startReading starts an ingest of a stream, "-" or a named pipe in dir, which is
// opened when it is first asked for.
func startReading(t *testing.T, ctx context.Context, name, dir string) (p *process, in func() io.WriteCloser) {
	t.Helper()
	var stdin io.WriteCloser
	var err error
	if name == "-" {
		p = newProcessUntil(ctx, "ingest", "--quiet", "--db", dir+"/db", "-")
		stdin, err = p.StdinPipe()
	} else {
		p = newProcessUntil(ctx, "ingest", "--quiet", "--db", dir+"/db", dir+"/"+name)
		err = syscall.Mkfifo(dir+"/"+name, 0o600)
	}
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p, sync.OnceValue(func() io.WriteCloser {
		if stdin == nil {
			if stdin, err = os.OpenFile(dir+"/"+name, os.O_WRONLY, 0); err != nil {
				t.Fatal(err)
			}
		}
		return stdin
	})
}

// TestReportBesideIngest reports from a database again and again while logs are
// read into it: a report is never kept from it, and shows what was committed so
// far, whole batches and no more.
func TestReportBesideIngest(t *testing.T) {
	takesLong(t)
	log, counts := generate(t, 10_000)
	dir := t.TempDir()
	path, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "db")
	head := bytes.IndexByte(log, '\n') + 1 // of a database without a line there is no report
	write(t, path, log[:head])
	first := newProcess("ingest", "--db", db, path)
	first.check(t, first.Run())

	reading := make(chan error, 1)
	go func() { reading <- readInPieces(log[head:], path, db) }()
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
