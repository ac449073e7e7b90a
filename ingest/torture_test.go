package ingest_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailfail/ingest"
	"mailfail/ingest/source"
	"mailfail/registry"
	"mailfail/store/sqlite"
)

// TestTortureChild is the process that TestTorture kills. It follows a log
// until it is told to end.
func TestTortureChild(t *testing.T) {
	log, path := os.Getenv("MAILFAIL_TORTURE_LOG"), os.Getenv("MAILFAIL_TORTURE_DB")
	if log == "" {
		t.Skip("only for TestTorture")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	db, err := sqlite.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	opt := ingest.FollowOptions{Options: options, Source: source.FollowOptions{Tick: 50 * time.Millisecond, Spacing: 2 * time.Millisecond}}
	if err := ingest.Follow(ctx, db, registry.DefaultRules(), []string{log}, opt); err != nil {
		t.Fatal(err)
	}
}

// tortureAddress is the recipient of a line: a number and a checksum.
func tortureAddress(n int) string {
	number := fmt.Sprintf("u%08d", n)
	return fmt.Sprintf("%s.%08x@d%d.example", number, crc32.ChecksumIEEE([]byte(number)), n%50)
}

func tortureLines(n int) string {
	const prefix = "2026-11-20T10:00:00.000000+00:00 mx postfix/"
	id := fmt.Sprintf("%010X", 0xA000000000+n)
	return fmt.Sprintf("%ssmtp[77]: %s: to=<%s>, relay=mx.example[192.0.2.1]:25, delay=1, delays=0.1/0/0.5/0.4, dsn=5.1.1, "+
		"status=bounced (host mx.example[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n"+
		"%sqmgr[5]: %[2]s: removed\n", prefix, id, tortureAddress(n), prefix)
}

// tortured is a log that is written and rotated, and the process that follows it.
type tortured struct {
	t      *testing.T
	rnd    *rand.Rand
	log    string
	dbPath string
	db     *sqlite.DB
	file   *os.File
	n      int   // attempts written
	starts []int // first attempt of each generation
	child  *exec.Cmd
	kills  int
	memory []int // of the child, in kB: its peak when it is killed, its present one at a rotation
}

func (w *tortured) start() {
	w.child = exec.Command(os.Args[0], "-test.run=^TestTortureChild$")
	w.child.Env = append(os.Environ(), "MAILFAIL_TORTURE_LOG="+w.log, "MAILFAIL_TORTURE_DB="+w.dbPath)
	w.child.Stdout, w.child.Stderr = io.Discard, os.Stderr
	if err := w.child.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *tortured) kill() {
	if w.child != nil {
		w.sample("VmHWM:")
		_ = w.child.Process.Kill()
		_ = w.child.Wait()
		w.child = nil
		w.kills++
	}
}

// sample notes the memory of the child, where the system says it.
func (w *tortured) sample(field string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.child.Process.Pid))
	if err != nil {
		return
	}
	var kB int
	_, after, _ := strings.Cut(string(text), field)
	if _, err := fmt.Sscan(after, &kB); err == nil {
		w.memory = append(w.memory, kB)
	}
}

// add writes attempts, some in pieces.
func (w *tortured) add(f *os.File, attempts int) {
	for range attempts {
		text := tortureLines(w.n)
		cut := w.rnd.IntN(len(text))
		for _, piece := range []string{text[:cut], text[cut:]} {
			if _, err := io.WriteString(f, piece); err != nil {
				w.t.Fatal(err)
			}
		}
		w.n++
	}
}

func (w *tortured) open() *os.File {
	f, err := os.OpenFile(w.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// committed counts the attempts below n that are in the store.
func (w *tortured) committed(n int) (count int) {
	err := w.db.SQL().QueryRow("SELECT COUNT(*) FROM recipients WHERE address < ?", fmt.Sprintf("u%08d", n)).Scan(&count)
	if err != nil {
		w.t.Fatal(err)
	}
	return count
}

// await waits until all attempts below n are in the store.
func (w *tortured) await(n int) {
	w.t.Helper()
	if w.child == nil && w.committed(n) < n {
		w.start()
	}
	deadline := time.Now().Add(time.Minute)
	for w.committed(n) < n {
		if time.Now().After(deadline) {
			w.t.Fatalf("%d of the first %d attempts are in the store after a minute", w.committed(n), n)
		}
		time.Sleep(2 * time.Millisecond) // between two looks
	}
}

// rotateOnce rotates the log in one of the ways.
func (w *tortured) rotateOnce(way string) {
	switch way {
	case "rename", "late":
		rotate(w.t, w.log)
		old := w.file
		w.file = w.open()
		if way == "late" {
			w.add(old, 20)
		}
		old.Close()
	case "dateext":
		day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, len(w.starts))
		if err := os.Rename(w.log, w.log+day.Format("-20060102")); err != nil {
			w.t.Fatal(err)
		}
		w.file.Close()
		w.file = w.open()
		_ = os.Remove(w.log + day.AddDate(0, 0, -20).Format("-20060102"))
	case "compress":
		for n := 20; n > 1; n-- {
			_ = os.Rename(fmt.Sprintf("%s.%d.gz", w.log, n), fmt.Sprintf("%s.%d.gz", w.log, n+1))
		}
		rotate(w.t, w.log)
		w.file.Close()
		w.file = w.open()
		if content, err := os.ReadFile(w.log + ".2"); err == nil { // as with delaycompress
			writeFile(w.t, w.log+".2.gz", zip(w.t, content))
			if err := os.Remove(w.log + ".2"); err != nil {
				w.t.Fatal(err)
			}
		}
	case "delete":
		w.await(w.n) // what nobody has read is lost with the file
		if err := os.Remove(w.log); err != nil {
			w.t.Fatal(err)
		}
		w.file.Close()
		w.file = w.open()
	case "copytruncate":
		content, err := os.ReadFile(w.log)
		if err != nil {
			w.t.Fatal(err)
		}
		for n := 20; n > 0; n-- {
			_ = os.Rename(fmt.Sprintf("%s.%d", w.log, n), fmt.Sprintf("%s.%d", w.log, n+1))
		}
		if err := os.WriteFile(w.log+".1", content, 0o600); err != nil {
			w.t.Fatal(err)
		}
		if err := w.file.Truncate(0); err != nil {
			w.t.Fatal(err)
		}
	case "link":
		old := w.file
		w.file = w.link()
		w.add(old, w.rnd.IntN(5)) // until the daemon is told
		old.Close()
		_ = os.Remove(w.target(len(w.starts) - 10))
	}
}

// target is what the log, a link, points to in its nth generation.
func (w *tortured) target(n int) string {
	return fmt.Sprintf("%s/maillog-2026%06d", filepath.Dir(w.log), n)
}

// link switches the log, a link, to a new file.
func (w *tortured) link() *os.File {
	target := w.target(len(w.starts))
	writeFile(w.t, target, nil)
	if err := os.Symlink(target, w.log+".new"); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.log+".new", w.log); err != nil {
		w.t.Fatal(err)
	}
	return w.open()
}

// TestTorture follows a log into a store in a process of its own, which is
// killed at random moments while the log is rotated: every attempt is counted
// once. MAILFAIL_TORTURE=1000 sets the number of rotations; from 1000 on each kind has a
// second run in which one process lives through all of them, and in neither may
// memory grow.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: left to the tests without -short")
	}
	rotations := 12
	if s := os.Getenv("MAILFAIL_TORTURE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("MAILFAIL_TORTURE=%s: want a number of rotations", s)
		}
		rotations = n
	}
	for _, way := range []string{"rename", "late", "dateext", "compress", "copytruncate", "delete", "link"} {
		t.Run(way, func(t *testing.T) { torture(t, way, rotations, true) })
		if rotations >= 1000 {
			t.Run(way+"/alive", func(t *testing.T) { torture(t, way, rotations, false) })
		}
	}
}

func torture(t *testing.T, way string, rotations int, kills bool) {
	dir := t.TempDir()
	w := &tortured{t: t, rnd: rand.New(rand.NewPCG(5, 5)), log: filepath.Join(dir, "mail.log"), dbPath: filepath.Join(dir, "mailfail.db")}
	db, err := sqlite.Open(w.dbPath)
	if err != nil {
		t.Fatal(err)
	}
	w.db = db
	t.Cleanup(func() { w.kill(); db.Close() })
	if way == "link" {
		w.file = w.link()
	} else {
		w.file = w.open()
	}
	w.add(w.file, 1)
	w.await(1)
	for range rotations {
		w.starts = append(w.starts, w.n)
		w.add(w.file, 1+w.rnd.IntN(60))
		if !kills {
			w.sample("VmRSS:")
		} else if w.rnd.IntN(2) == 0 {
			w.kill()
			w.add(w.file, w.rnd.IntN(60))
		}
		if k := len(w.starts) - 6; k >= 0 { // older ones will be deleted one day
			w.await(w.starts[k])
		}
		w.rotateOnce(way)
		if w.child == nil && w.rnd.IntN(2) == 0 {
			w.start()
		}
	}
	w.await(w.n)
	if err := w.child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.child.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	w.child = nil
	w.compare(way, rotations)
	w.flat(rotations)
}

// sqliteCaches is what the caches of the child's connections grow by while the database
// is small: 16 MB each, in kB.
const sqliteCaches = 2 * 16 << 10

// flat compares the memory of the first third of the run with that of the last.
func (w *tortured) flat(rotations int) {
	n := len(w.memory)
	if rotations < 1000 {
		return
	}
	var tenths []int
	for i := range 10 {
		tenth := slices.Sorted(slices.Values(w.memory[n*i/10 : n*(i+1)/10]))
		tenths = append(tenths, tenth[len(tenth)/2])
	}
	w.t.Logf("median of the memory in each tenth of the run, in kB: %d", tenths)
	if early, late := slices.Max(tenths[:3]), slices.Max(tenths[7:]); late > early+early/4+sqliteCaches {
		w.t.Errorf("memory grew from %d to %d kB", early, late)
	}
}

// compare compares what was written with what is in the store.
func (w *tortured) compare(way string, rotations int) {
	rows, err := w.db.SQL().Query("SELECT r.address, COUNT(*) FROM attempts a JOIN recipients r ON r.id = a.recipient GROUP BY r.id")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	seen := make([]int, w.n)
	garbled := 0
	for rows.Next() {
		var address string
		var count int
		if err := rows.Scan(&address, &count); err != nil {
			w.t.Fatal(err)
		}
		number, _, _ := strings.Cut(strings.TrimPrefix(address, "u"), ".")
		if n, err := strconv.Atoi(number); err == nil && n < w.n && address == tortureAddress(n) {
			seen[n] += count
		} else {
			garbled++
		}
	}
	lost, twice := 0, 0
	for _, count := range seen {
		if count == 0 {
			lost++
		} else {
			twice += count - 1
		}
	}
	var lines, unparsed int
	if err := w.db.SQL().QueryRow("SELECT SUM(read), SUM(unparsed) FROM lines").Scan(&lines, &unparsed); err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("%s: %d rotations, %d kills, %d attempts: %d lost, %d twice, %d garbled; %d lines, %d not understood",
		way, rotations, w.kills, w.n, lost, twice, garbled, lines, unparsed)
	if lost+twice+garbled+unparsed > 0 || lines != 2*w.n {
		w.t.Errorf("want none of these, and %d lines", 2*w.n)
	}
}
