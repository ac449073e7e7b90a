package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailfail/registry"
)

// These tests let the machine fail. Each wants the right exit code, one clear
// line for each thing that could not be done, and nothing lost or counted twice
// when the fault is over.

// mountSmall mounts a file system of a few megabytes and returns its folder and
// a function that changes its options.
func mountSmall(t *testing.T, options string) (dir string, remount func(options string)) {
	t.Helper()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("only root on Linux can mount a small file system")
	}
	dir = t.TempDir()
	mount := func(args ...string) error {
		out, err := exec.Command("mount", append(args, dir)...).CombinedOutput()
		if err != nil {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
	}
	if err := mount("-t", "tmpfs", "-o", options, "none"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir, func(options string) {
		t.Helper()
		if err := mount("-o", "remount,"+options, "-t", "tmpfs", "none"); err != nil {
			t.Fatal(err)
		}
	}
}

// fails runs the program and wants an exit code, words in its complaint, and
// no trace of Go's in it.
func fails(t *testing.T, code int, words string, cmd *exec.Cmd) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr, cmd.Env = &errs, append(os.Environ(), "TZ=UTC")
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%q: exit code %d (%v), want %d\n%s", cmd.Args, got, err, code, &errs)
	}
	complaint := errs.String()
	if words == "" != (complaint == "") || !strings.Contains(strings.ToLower(complaint), strings.ToLower(words)) {
		t.Errorf("%q says %q, want words %q", cmd.Args, complaint, words)
	}
	for _, trace := range []string{"goroutine ", "panic:", ".go:"} {
		if strings.Contains(complaint, trace) {
			t.Errorf("%q prints a trace: %.500s", cmd.Args, complaint)
		}
	}
	if n := strings.Count(complaint, "\n"); n > 3 {
		t.Errorf("%q complains on %d lines:\n%s", cmd.Args, n, complaint)
	}
}

func mailfail(args ...string) *exec.Cmd { return exec.Command("mailfail", args...) }

// in runs the program in a shell that has limits.
func in(limits string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", limits + ` && exec mailfail "$@"`, "sh"}, args...)...)
}

func writeLog(t *testing.T, dir string, log []byte) string {
	t.Helper()
	path := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(path, log, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiskFull(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 4000)
	path := writeLog(t, t.TempDir(), log)
	want := atOnce(t, log)
	// The disk is full at the first page, in the middle, and near the end.
	for _, size := range []string{"64k", "160k", "320k", "480k"} {
		dir, remount := mountSmall(t, "size="+size)
		db := filepath.Join(dir, "m.db")
		fails(t, 1, "disk is full", mailfail("ingest", "--db", db, path))
		remount("size=64m")
		fails(t, 0, "", mailfail("ingest", "--db", db, path))
		if got := content(t, db); got != want {
			t.Errorf("size %s: the database differs from that of a disk with space", size)
		}
	}
	dir, _ := mountSmall(t, "size=8k")
	fails(t, 1, "no space left", mailfail("report", "--year", "2026", "--top", "0", "--format", "json", "--output", filepath.Join(dir, "r.json"), path))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left on the full disk: %v, %v", left, err)
	}
}

// The disk has a page more at each try, so that each write is once the one that
// fails.
func TestDiskFullAtEveryWrite(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 300)
	logs := t.TempDir()
	path, followed, empty := writeLog(t, logs, log), filepath.Join(logs, "followed.log"), filepath.Join(logs, "empty.log")
	write(t, followed, log)
	write(t, empty, nil)
	whole := filepath.Join(logs, "whole.db")
	fails(t, 0, "", mailfail("ingest", "--db", whole, path))
	stored, err := os.ReadFile(whole)
	must(t, err)
	packed, err := os.Open("../../store/sqlite/testdata/old-2.db.gz")
	must(t, err)
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	must(t, err)
	old, err := io.ReadAll(unpacked)
	must(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // takes all rows, and knows of none
	}))
	defer server.Close()
	to := strings.Replace(server.URL, "http://", "clickhouse+http://", 1) + "/fleet"
	for name, c := range map[string]struct {
		begin []byte // the database before the first try, which just fits
		tries int    // at least
		args  func(db string) []string
	}{
		"ingest": {nil, 50, func(db string) []string { return []string{"ingest", "--db", db, path} }},
		"follow": {nil, 50, func(db string) []string {
			extend(t, followed, []byte(failing(1))) // ends looks for it
			return []string{"follow", "--plain", "--from-start", "--db", db, followed}
		}},
		"backup":  {nil, 50, func(db string) []string { return []string{"db", "backup", "--db", whole, db} }},
		"merge":   {nil, 50, func(db string) []string { return []string{"db", "merge", "--db", db, whole} }},
		"prune":   {stored, 10, func(db string) []string { return []string{"prune", "--keep", "1d", "--db", db} }},
		"push":    {stored, 10, func(db string) []string { return []string{"push", "--db", db, "--to", to} }},
		"upgrade": {old, 50, func(db string) []string { return []string{"ingest", "--db", db, empty} }},
	} {
		t.Run(name, func(t *testing.T) {
			reference := filepath.Join(t.TempDir(), "reference.db")
			if c.begin != nil {
				write(t, reference, c.begin)
			}
			want, err := ends(mailfail(c.args(reference)...))
			must(t, err)
			pages := len(c.begin)/4096 + 1
			dir, remount := mountSmall(t, fmt.Sprintf("size=%dk", 4*pages))
			db := filepath.Join(dir, "m.db")
			if c.begin != nil {
				write(t, db, c.begin)
			}
			tries := 1
			for ; ; tries++ {
				cmd := mailfail(c.args(db)...)
				var errs strings.Builder
				cmd.Stderr = &errs
				got, err := ends(cmd)
				if err == nil {
					if name == "push" && strings.ReplaceAll(got, db, reference) != want {
						t.Errorf("it prints\n%s\nwant\n%s", got, want)
					}
					break
				}
				code, complaint := cmd.ProcessState.ExitCode(), errs.String()
				if name == "upgrade" {
					complaint = strings.TrimPrefix(complaint, "mailfail: bringing the database up to date, once: "+db+"\n")
				}
				if code != 1 || !fullDisk.MatchString(complaint) || strings.Count(complaint, "\n") != 1 {
					t.Fatalf("try %d: exit code %d: %s", tries, code, complaint)
				}
				remount(fmt.Sprintf("size=%dk", 4*(pages+tries)))
			}
			if name == "follow" {
				reference = filepath.Join(t.TempDir(), "ingested.db")
				fails(t, 0, "", mailfail("ingest", "--db", reference, followed))
			}
			if tries < c.tries {
				t.Errorf("%d tries only", tries)
			}
			if name != "merge" && content(t, db) != content(t, reference) {
				t.Error("the database differs from that of a disk with space")
			}
			if got, want := reportOf(t, db), reportOf(t, reference); got != want {
				t.Errorf("the report is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// ends runs a command and returns what it prints. A follower is ended after a line that
// failing(1) made.
func ends(cmd *exec.Cmd) (string, error) {
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", err
	}
	printed, ended := "", false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed += lines.Text() + "\n"
		if cmd.Args[1] == "follow" && !ended && strings.Contains(lines.Text(), "u1@example.org") {
			ended = true // a second signal would kill it
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	return printed, cmd.Wait()
}

// fullDisk is how SQLite and the system say it.
var fullDisk = regexp.MustCompile(`^mailfail: .*(disk is full|no space left on device|MB of space are needed)`)

func reportOf(t *testing.T, db string) string {
	t.Helper()
	out, err := mailfail("report", "--since", "2020-01-01", "--top", "0", "--format", "json", "--db", db).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestReadOnlyDisk(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 200)
	path := writeLog(t, t.TempDir(), log)
	dir, remount := mountSmall(t, "size=16m")
	db := filepath.Join(dir, "m.db")
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	remount("ro")
	for _, args := range [][]string{{"report", "--db", db}, {"events", "--db", db}, {"trace", "--db", db, "nobody@nowhere.example"}} {
		fails(t, 0, "", mailfail(args...))
	}
	fails(t, 1, db, mailfail("ingest", "--db", db, path))
	remount("rw")
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	if content(t, db) != atOnce(t, log) {
		t.Error("the database differs from that of a disk that can be written to")
	}
}

// Whatever bytes of a database are damaged, a command says so or answers.
func TestDamagedDatabase(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 400)
	dir := t.TempDir()
	path, db := writeLog(t, dir, log), filepath.Join(dir, "m.db")
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	whole, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	complained := 0
	step := 1
	if testing.Short() {
		step = 5
	}
	for i := 0; i < 24; i += step {
		damaged := bytes.Clone(whole)
		at := len(damaged) / 24 * i
		for j := range min(3000, len(damaged)-at) {
			damaged[at+j] ^= byte(j*7 + i + 1)
		}
		if err := os.WriteFile(db, damaged, 0o640); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"report", "--db", db, "--top", "0"}, {"events", "--db", db}, {"trace", "--db", db, "nobody@nowhere.example"},
			{"investigate", "--db", db, "--since", "2026-11-01"}, {"db", "check", "--db", db}, {"db", "size", "--db", db}, {"db", "export", "--db", db},
			{"db", "merge", "--db", filepath.Join(t.TempDir(), "all.db"), db}, {"db", "backup", "--db", db, filepath.Join(t.TempDir(), "copy.db")},
			{"prune", "--dry-run", "--keep", "1d", "--db", db}, {"ingest", "--db", db, path},
		} {
			var out, errs bytes.Buffer
			code := run(args, strings.NewReader(""), &out, &errs)
			if code > 1 {
				t.Errorf("damage at %d: %q: exit code %d: %s", at, args, code, &errs)
			}
			if code == 1 {
				complained++
				if !strings.Contains(errs.String(), registry.Foreign(db).String()) {
					t.Errorf("damage at %d: %q does not name the database: %s", at, args, &errs)
				}
			}
		}
	}
	if complained == 0 {
		t.Error("no damage was seen: this test tests nothing")
	}
}

// A crash of the machine may tear the write-ahead log anywhere: what was
// committed before is there, and what is lost is read again.
func TestTornWAL(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 2000)
	dir := t.TempDir()
	half := bytes.LastIndexByte(log[:len(log)/2], '\n') + 1
	path, db := writeLog(t, dir, log[:half]), filepath.Join(dir, "m.db")
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	// A reader keeps the write-ahead log from being removed.
	reader, err := sql.Open("sqlite3", "file:"+db)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.Exec("SELECT count(*) FROM meta"); err != nil {
		t.Fatal(err)
	}
	writeLog(t, dir, log)
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	main, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(db + "-wal")
	if err != nil || len(wal) == 0 {
		t.Fatalf("no write-ahead log: %v", err)
	}
	want := atOnce(t, log)
	for _, cut := range []int{0, 100, len(wal) / 3, len(wal) / 2, len(wal) - 5000, len(wal) - 1, len(wal)} {
		torn := filepath.Join(t.TempDir(), "m.db")
		if err := errors.Join(os.WriteFile(torn, main, 0o640), os.WriteFile(torn+"-wal", wal[:max(cut, 0)], 0o640)); err != nil {
			t.Fatal(err)
		}
		fails(t, 0, "", mailfail("ingest", "--db", torn, path))
		if content(t, torn) != want {
			t.Errorf("write-ahead log torn at %d of %d: the database differs", cut, len(wal))
		}
	}
}

func TestFewFiles(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 200)
	dir := t.TempDir()
	path, db := writeLog(t, dir, log), filepath.Join(dir, "m.db")
	fails(t, 1, "too many open files", in("ulimit -n 9", "ingest", "--db", db, path))
	fails(t, 0, "", mailfail("ingest", "--db", db, path))
	if content(t, db) != atOnce(t, log) {
		t.Error("the database differs after a run without files")
	}
}

// With however few files, a run ends well or says once why it cannot, and no library ends it
// with a trace.
func TestFewerFiles(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	must(t, os.Mkdir(logs, 0o755))
	const all = 30
	for i := range all {
		write(t, filepath.Join(logs, fmt.Sprintf("h%d.log", i)), []byte(failing(i)))
	}
	for n := 4; n < 50; n += 1 + n/20 {
		limit := fmt.Sprintf("ulimit -n %d", n)
		ingest := in(limit, "ingest", "--quiet", "--db", filepath.Join(dir, fmt.Sprintf("i%d.db", n)), logs)
		follow := in(limit, "follow", "--plain", "--from-start", "--db", filepath.Join(dir, fmt.Sprintf("f%d.db", n)), logs)
		for _, cmd := range []*exec.Cmd{ingest, follow} {
			said, err := os.Create(filepath.Join(dir, "said"))
			must(t, err)
			cmd.Stdout, cmd.Stderr, cmd.Env = said, said, append(os.Environ(), "TZ=UTC")
			must(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			text, over := "", false
			for !over {
				select {
				case <-ended:
					over = true
				case <-time.After(5 * time.Millisecond): // between two looks
				}
				read, err := os.ReadFile(said.Name())
				must(t, err)
				text = string(read)
				if cmd == follow && !over && (strings.Contains(text, "too many open files") || strings.Count(text, "\n") == all) {
					if err := cmd.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) { // it may have ended by itself
						must(t, err)
					}
					<-ended
					over = true
				}
			}
			must(t, said.Close())
			if strings.Contains(text, "goroutine ") || strings.Contains(text, "FATAL") || strings.Count(text, "mailfail: ") > 3 {
				t.Errorf("%q with %d files: %s", cmd.Args[4:], n, text)
			}
			if code := cmd.ProcessState.ExitCode(); code > 1 || code == 1 && !strings.Contains(text, "too many open files") {
				t.Errorf("%q with %d files: exit code %d: %s", cmd.Args[4:], n, code, text)
			}
		}
	}
}

// A directory is not a database.
func TestDirectoryAsDatabase(t *testing.T) {
	log, _ := generate(t, 10)
	dir := t.TempDir()
	path := writeLog(t, t.TempDir(), log)
	for _, args := range [][]string{{"ingest", path}, {"report"}, {"events"}, {"trace", "x"}, {"follow", "--plain", path}, {"prune", "--keep", "1d"}, {"db", "size"}, {"db", "check"}} {
		fails(t, 1, dir+": it is a directory: name a file", mailfail(append(args, "--db", dir)...))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

// A follower whose database is taken away says so and ends: nobody would find what
// it writes. What it has read since then is read again.
func TestVanishedDatabase(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 300)
	for way, take := range map[string]func(db string) error{
		"deleted": os.Remove,
		"moved":   func(db string) error { return os.Rename(filepath.Dir(db), filepath.Dir(db)+".old") },
		"replaced": func(db string) error {
			fails(t, 0, "", mailfail("db", "backup", "--db", db, db+".copy"))
			return errors.Join(os.Remove(db+"-wal"), os.Remove(db+"-shm"), os.Rename(db+".copy", db)) // they are not of the copy
		},
	} {
		t.Run(way, func(t *testing.T) {
			path, db := writeLog(t, t.TempDir(), log), filepath.Join(t.TempDir(), "sub", "m.db")
			fails(t, 0, "", mailfail("ingest", "--db", db, path))
			p, next := followLines(t, "--plain", "--db", db, path)
			extend(t, path, []byte(failing(1)))
			next() // it has the database open
			if err := take(db); err != nil {
				t.Fatal(err)
			}
			extend(t, path, []byte(failing(2)))
			err := p.Wait()
			if code := p.ProcessState.ExitCode(); code != 1 || strings.Count(p.errs.String(), "\n") != 1 ||
				!strings.Contains(p.errs.String(), db+": it was deleted, moved or replaced") {
				t.Errorf("exit code %d, %v: %s", code, err, &p.errs)
			}
			all, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fails(t, 0, "", mailfail("ingest", "--db", db, path))
			if content(t, db) != atOnce(t, all) {
				t.Error("the database differs")
			}
		})
	}
}

// A run with little memory gets to its end, and one that cannot says so.
func TestLittleMemory(t *testing.T) {
	measuresMemory(t)
	log, _ := generate(t, 20_000)
	dir := t.TempDir()
	path, db := writeLog(t, dir, log), filepath.Join(dir, "m.db")
	if runtime.GOOS == "linux" {
		for kiB, megabytes := range map[int]int{1_500_000: 1536, 200_000: 204} {
			fails(t, 1, fmt.Sprintf("the address space is limited to %d MB", megabytes),
				in(fmt.Sprintf("ulimit -v %d", kiB), "ingest", "--db", db, path))
		}
	}
	cmd := in("export GOMEMLIMIT=64MiB", "ingest", "--db", db, path)
	fails(t, 0, "", cmd)
	if content(t, db) != atOnce(t, log) {
		t.Error("the database differs from that of a run with enough memory")
	}
	const limit = 160 << 10 // KiB: SQLite's cache comes on top
	if used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; used > limit {
		t.Errorf("%d KiB of memory with a limit of 64 MiB", used)
	}
}

// A device is no log: it may never end. The empty one is an empty log.
func TestDevices(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 100)
	dir := t.TempDir()
	path, db := writeLog(t, dir, log), filepath.Join(dir, "m.db")
	zero := filepath.Join(dir, "zero.log")
	must(t, os.Symlink("/dev/zero", zero))
	for _, device := range []string{"/dev/zero", "/dev/full", zero} {
		fails(t, 1, device+": it is a device, not a log", mailfail("ingest", "--db", db, device, path))
	}
	fails(t, 0, "", mailfail("ingest", "--db", db, os.DevNull, path))
	fails(t, 0, "", mailfail("ingest", "--db", db, dir))
	if content(t, db) != atOnce(t, log) {
		t.Error("a device harmed another log")
	}
}

// A log that is followed and becomes something else is read again when it is a log.
func TestFollowedLogChanges(t *testing.T) {
	takesLong(t)
	for way, become := range map[string]func(path string) error{
		"fifo":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"device":    func(path string) error { return os.Symlink("/dev/zero", path) },
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"dangling":  func(path string) error { return os.Symlink("nowhere", path) },
	} {
		t.Run(way, func(t *testing.T) {
			dir := t.TempDir()
			path, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "m.db")
			write(t, path, []byte(failing(1)))
			p, next := followLines(t, "--plain", "--from-start", "--db", db, path)
			next()
			if err := errors.Join(os.Rename(path, path+".1"), become(path)); err != nil {
				t.Fatal(err)
			}
			extend(t, path+".1", []byte(failing(2))) // the daemon still has it open
			next()
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, []byte(failing(3)))
			next()
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := p.Wait(); err != nil || strings.Count(p.errs.String(), "\n") > 1 {
				t.Errorf("%v: %s", err, &p.errs)
			}
		})
	}
}

// Logs that are no files any more harm no other.
func TestOddLogs(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 100)
	dir := t.TempDir()
	path := writeLog(t, dir, log)
	loop, folder, fifo := filepath.Join(dir, "loop.log"), filepath.Join(dir, "folder.log"), filepath.Join(dir, "fifo.log")
	if err := errors.Join(os.Symlink("loop.log", loop), os.Mkdir(folder, 0o755), syscall.Mkfifo(fifo, 0o600)); err != nil {
		t.Skip(err)
	}
	db := filepath.Join(dir, "m.db")
	fails(t, 1, "loop.log", mailfail("ingest", "--db", db, loop, path))
	if content(t, db) != atOnce(t, log) {
		t.Error("a loop of links harmed another log")
	}
	fails(t, 0, "", mailfail("ingest", "--db", db, folder, path)) // nothing is in it
	fails(t, 0, "", mailfail("ingest", "--db", db, dir))          // a pipe in a folder is left alone
	if content(t, db) != atOnce(t, log) {
		t.Error("a folder or a pipe harmed another log")
	}
}

// A compressed file of zeros is one line that never ends.
func TestBomb(t *testing.T) {
	measuresMemory(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mail.log.gz")
	if err := os.WriteFile(path, bomb.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := mailfail("report", path)
	fails(t, 3, "mail.log.gz", cmd)
	const limit = 256 << 10 // KiB; a gigabyte would be four times as much
	if used := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; used > limit {
		t.Errorf("%d KiB of memory for a file of %d bytes", used, bomb.Len())
	}
}

// measuresMemory skips what measures the memory of the program where that is not the
// program's own.
func measuresMemory(t *testing.T) {
	t.Helper()
	takesLong(t)
	if underRace {
		t.Skip("the race detector takes several times the memory: .ci/run runs this without it")
	}
}

// When more files change at once than the system keeps notices of, that is said once, and
// every line is read all the same.
func TestLostNotices(t *testing.T) {
	takesLong(t)
	setting, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	var queue int
	_, err = fmt.Sscan(string(setting), &queue)
	must(t, err)
	dir := t.TempDir()
	path, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "m.db")
	write(t, path, []byte(failing(0)))
	p := follower(t, "--plain", "--from-start", "--db", db, path)
	p.Stdout, p.Stderr = nil, nil
	stdout, err := p.StdoutPipe()
	next := lineReader(t, stdout, err)
	stderr, err := p.StderrPipe()
	must(t, err)
	remarks := bufio.NewScanner(stderr)
	must(t, p.Start())
	next()
	log, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	defer log.Close()
	for !watches(t, p, log) {
		<-time.After(time.Millisecond) // between two looks
	}
	must(t, p.Process.Signal(syscall.SIGSTOP))
	lines, mode := 0, os.FileMode(0o600)
	for events := 0; events < queue+4096; lines++ {
		for _, b := range []byte(failing(lines + 1)) { // two notices for each byte
			_, err := log.Write([]byte{b})
			must(t, errors.Join(err, log.Chmod(mode)))
			mode ^= 0o040
			events += 2
		}
	}
	must(t, p.Process.Signal(syscall.SIGCONT))
	for range lines {
		next()
	}
	// Lines are found without notices; that some were lost is known when the rest were read.
	if !remarks.Scan() || !strings.Contains(remarks.Text(), "max_queued_events") {
		t.Errorf("said %q, %v", remarks.Text(), remarks.Err())
	}
	must(t, p.Process.Signal(syscall.SIGTERM))
	if remarks.Scan() {
		t.Errorf("said too: %q", remarks.Text())
	}
	must(t, p.Wait())
	all, err := os.ReadFile(path)
	must(t, err)
	if content(t, db) != atOnce(t, all) {
		t.Error("the database differs")
	}
}

// watches reports whether a running process has an inotify watch on the file.
func watches(t *testing.T, p *process, file *os.File) bool {
	t.Helper()
	info, err := file.Stat()
	must(t, err)
	watch := fmt.Sprintf("inotify wd:[0-9a-f]+ ino:%x ", info.Sys().(*syscall.Stat_t).Ino)
	described, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.Process.Pid))
	if err != nil || len(described) == 0 {
		t.Fatalf("%q has ended, or hides what it has open: %v", p.Args, err)
	}
	for _, path := range described {
		text, _ := os.ReadFile(path) // it may be closed meanwhile
		if regexp.MustCompile(watch).Match(text) {
			return true
		}
	}
	return false
}

// A database of a stranger may hold any value in any column. Commands answer or refuse it.
func TestStrangeDatabase(t *testing.T) {
	takesLong(t)
	log, _ := generate(t, 100)
	dir := t.TempDir()
	path, whole := writeLog(t, dir, log), filepath.Join(dir, "m.db")
	fails(t, 0, "", mailfail("ingest", "--db", whole, path))
	all := columnsOf(t, whole)
	db := filepath.Join(dir, "strange.db")
	for _, value := range []string{"9223372036854775807", "-2147483648", "-1", "1e300", "NULL", "X'FF7F'", "'x' || char(27) || '[31m'"} {
		sets := []columns{all} // together, and each alone
		for i := range all {
			if strings.ContainsAny(value, "9F[") { // the largest number, a blob, a text
				sets = append(sets, all[i:i+1])
			}
		}
		took := 0
		for _, set := range sets {
			copyDatabase(t, whole, db)
			if changed := set.put(t, db, value); changed == 0 {
				continue
			}
			took++
			for _, args := range [][]string{
				{"report", "--since", "2026-11-01"}, {"events"}, {"trace", "nobody@nowhere.example"}, {"investigate", "--since", "2026-11-22"},
				{"db", "check"}, {"db", "export"}, {"prune", "--keep", "1d"}, {"ingest", path},
			} {
				var out, errs bytes.Buffer
				code := run(append(args, "--db", db), strings.NewReader(""), &out, &errs)
				if code > 1 || strings.Contains(out.String()+errs.String(), "\x1b") {
					t.Errorf("%s in %v: %q: exit code %d: %q", value, set, args, code, &errs)
				}
			}
		}
		if took < min(len(sets), 20) {
			t.Errorf("%s fits only %d of %d", value, took, len(sets))
		}
	}
	copyDatabase(t, whole, db)
	raw, err := sql.Open("sqlite3", "file:"+db)
	must(t, err)
	_, err = raw.Exec("UPDATE texts SET id = 1 << 62 WHERE id = (SELECT max(id) FROM texts)")
	must(t, errors.Join(err, raw.Close()))
	fails(t, 1, db, mailfail("prune", "--keep", "1d", "--db", db))
}

// put puts a value into all rows of columns, and returns how many columns take it: others
// must not be NULL, or are unique.
func (columns columns) put(t *testing.T, db, value string) (changed int) {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+db)
	must(t, err)
	for _, c := range columns {
		if _, err := raw.Exec("UPDATE " + c.table + " SET " + c.name + " = " + value); err == nil {
			changed++
		}
	}
	must(t, raw.Close())
	return changed
}

type columns []column

type column struct{ table, name string }

func columnsOf(t *testing.T, db string) (all columns) {
	t.Helper()
	raw, err := sql.Open("sqlite3", "file:"+db)
	must(t, err)
	defer raw.Close()
	rows, err := raw.Query("SELECT s.name, c.name FROM sqlite_schema AS s, pragma_table_info(s.name) AS c WHERE s.type = 'table' AND s.name != 'meta' AND c.pk = 0")
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var c column
		must(t, rows.Scan(&c.table, &c.name))
		all = append(all, c)
	}
	must(t, rows.Err())
	return all
}

// A clock that is set back by three hours, as it is seen from logs: files that were written
// in the future, and lines that are older than those above them.
func TestClockOfLogsSetBack(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	path, db, ingested := filepath.Join(dir, "mail.log"), filepath.Join(dir, "m.db"), filepath.Join(dir, "i.db")
	future := time.Now().Add(3 * time.Hour)
	early := strings.Replace(failing(1), failing(1)[:20], future.UTC().Format(time.RFC3339), 1)
	write(t, path, []byte(early))
	must(t, os.Chtimes(path, future, future))
	fails(t, 0, "", mailfail("ingest", "--quiet", "--db", ingested, path))
	p, next := followLines(t, "--plain", "--from-start", "--db", db, path)
	next()
	extend(t, path, []byte(failing(2))) // the file is older now
	next()
	must(t, os.Chtimes(path, future, future))
	must(t, os.Rename(path, path+".1"))
	write(t, path, []byte(failing(3)))
	next()
	extend(t, path+".1", []byte(failing(4)))
	next()
	must(t, p.Process.Signal(syscall.SIGTERM))
	p.check(t, p.Wait())
	quiet := mailfail("ingest", "--quiet", "--db", ingested, path+".1", path)
	if out, err := quiet.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	for _, db := range []string{db, ingested} {
		events, err := mailfail("events", "--db", db, "--format", "json").Output()
		must(t, err)
		for i := 1; i <= 4; i++ {
			if n := strings.Count(string(events), fmt.Sprintf(`"recipient":"u%d@example.org"`, i)); n != 1 {
				t.Errorf("%s: failure %d is there %d times:\n%s", db, i, n, events)
			}
		}
	}
}
