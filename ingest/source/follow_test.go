package source

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// follower reads with a Follower as the loop does, in a goroutine, until it is
// stopped.
type follower struct {
	t         testing.TB
	memory    *Memory
	stop      context.CancelFunc
	done      chan struct{}
	mu        sync.Mutex
	cond      *sync.Cond
	committed []string
	errs      []error
	have      map[int]bool // of torture lines: those above low
	low       int          // the first that is missing
}

// has reports whether all torture lines below n were read.
func (f *follower) has(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.low >= n
}

// note keeps track of the torture lines.
func (f *follower) note(lines []string) {
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 5 {
			if i, err := strconv.Atoi(fields[5]); err == nil {
				f.have[i] = true
			}
		}
	}
	for f.have[f.low] {
		delete(f.have, f.low)
		f.low++
	}
}

func newFollower(t testing.TB) *follower {
	f := &follower{t: t, memory: new(Memory), have: map[int]bool{}}
	f.cond = sync.NewCond(&f.mu)
	t.Cleanup(f.end)
	return f
}

// start begins to follow args, and waits for the end of the first round.
func (f *follower) start(opt FollowOptions, args ...string) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.done = stop, make(chan struct{})
	first := make(chan struct{})
	go func() {
		defer close(f.done)
		s := Follow(args, opt)
		defer s.Close()
		for round := 0; ; round++ {
			f.round(ctx, s)
			if round == 0 {
				close(first)
			}
			if s.Wait(ctx) != nil {
				return
			}
		}
	}()
	<-first
	return f
}

// round reads what is ready. Lines and positions are committed together, or
// not at all when the follower is stopped: as if the process was killed.
func (f *follower) round(ctx context.Context, s *Follower) {
	for r, err := range s.Ready(ctx, f.memory) {
		if err != nil {
			f.mu.Lock()
			f.errs = append(f.errs, err)
			f.mu.Unlock()
			continue
		}
		var lines []string
		for {
			line, err := r.Next()
			if err != nil {
				if err != io.EOF {
					f.t.Errorf("read %s: %v", r.Path(), err)
				}
				break
			}
			lines = append(lines, string(line))
		}
		p := r.Position()
		f.mu.Lock()
		if ctx.Err() != nil {
			f.mu.Unlock()
			return
		}
		if p.Known() {
			f.memory.Save(&p)
			r.Saved(p)
		}
		f.committed = append(f.committed, lines...)
		f.note(lines)
		f.cond.Broadcast()
		f.mu.Unlock()
	}
}

// end stops the follower, as a kill does.
func (f *follower) end() {
	if f.stop != nil {
		f.stop()
		<-f.done
		f.stop = nil
	}
}

// lines waits until there are n lines, and a round longer to see whether there
// are more.
func (f *follower) lines(n int) []string {
	f.t.Helper()
	f.wait(n)
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.committed)
}

func (f *follower) wait(n int) {
	f.t.Helper()
	f.waitFor(func() bool { return len(f.committed) >= n }, func() string {
		return fmt.Sprintf("only %d of %d lines", len(f.committed), n)
	})
}

// waitFor waits until a condition holds, which lines may make true.
func (f *follower) waitFor(ok func() bool, complaint func() string) {
	f.t.Helper()
	const limit = 30 * time.Second
	late := time.AfterFunc(limit, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.t.Errorf("after %v: %s", limit, complaint())
		f.cond.Broadcast()
	})
	defer late.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !ok() && !f.t.Failed() {
		f.cond.Wait()
	}
}

// quick are options with which nothing waits for long.
var quick = FollowOptions{Tick: 20 * time.Millisecond, Spacing: -1}

func TestFollowGrowingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	all := l.lines(10)
	write(t, path, join(all))
	f := newFollower(t).start(FollowOptions{Tick: time.Hour, Spacing: -1}, path)
	want(t, f.lines(10), all)
	for i := range 50 { // woken by events alone
		more := l.lines(3)
		all = append(all, more...)
		text := join(more)
		appendTo(t, path, text[:10+i])
		appendTo(t, path, text[10+i:])
		want(t, f.lines(len(all)), all)
	}
}

func TestFollowFromEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	old := l.lines(10)
	write(t, path, join(old)+"a line that is not who")
	opt := quick
	opt.FromEnd = true
	f := newFollower(t).start(opt, path)
	all := l.lines(10)
	appendTo(t, path, "le\n"+join(all[:5]))
	want(t, f.lines(5), all[:5])
	// What is known is not skipped by the next one.
	f.end()
	appendTo(t, path, join(all[5:]))
	f.start(opt, path)
	want(t, f.lines(10), all)
	if len(f.errs) != 1 {
		t.Errorf("reported %v, want one log that was skipped", f.errs)
	}
	// Nor is a generation that is new, of a log that is known.
	f.end()
	more := l.lines(10)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, join(more))
	f.start(opt, path)
	want(t, f.lines(20), append(all, more...))
}

// Of a log that is rotated all the time few files stay open, and what a daemon writes
// late to any of the others is read all the same.
func TestFollowManyRotations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	f, l := newFollower(t), log{}
	s := Follow([]string{path}, FollowOptions{Tick: time.Nanosecond, Spacing: -1})
	defer s.Close()
	var all []string
	read := func() {
		t.Helper()
		for began := time.Now(); len(f.committed) < len(all) && time.Since(began) < time.Minute; {
			f.round(t.Context(), s)
		}
		want(t, f.committed, all)
	}
	const rotations = 3 * maxRotated
	for range rotations {
		lines := l.lines(3)
		appendTo(t, path, join(lines))
		all = append(all, lines...)
		read()
		for n := rotations; n > 0; n-- {
			_ = os.Rename(fmt.Sprintf("%s.%d", path, n), fmt.Sprintf("%s.%d", path, n+1))
		}
		rename(t, path, path+".1")
	}
	for _, n := range []int{rotations, maxRotated + 2, maxRotated / 2} {
		lines := l.lines(2)
		appendTo(t, fmt.Sprintf("%s.%d", path, n), join(lines))
		all = append(all, lines...)
		read()
	}
	f.round(t.Context(), s)
	if n := len(s.logs[0].held); n > maxRotated+1 {
		t.Errorf("%d files are open, want %d at most", n, maxRotated+1)
	}
}

// The library says when the queue of inotify was full. That does not stand in the middle of
// the screen: it is reported, once, and a generation that nothing else points to is read.
func TestLostNotices(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	f := Follow([]string{path}, FollowOptions{Spacing: -1, Tick: time.Hour})
	defer f.Close()
	var memory Memory
	round := func() (got []string, errs []error) {
		for r, err := range f.Ready(t.Context(), &memory) {
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for line, err := r.Next(); err == nil; line, err = r.Next() {
				got = append(got, string(line))
			}
			p := r.Position()
			memory.Save(&p)
			r.Saved(p)
		}
		return got, errs
	}
	var l log
	first, old := l.lines(3), l.lines(3)
	write(t, path, join(first))
	if got, errs := round(); len(errs) > 0 || !slices.Equal(got, first) {
		t.Fatalf("got %q, %v", got, errs)
	}
	write(t, path+".1", join(old))
	if got, errs := round(); f.due() || len(got) > 0 || len(errs) > 0 {
		t.Fatalf("without a reason to look: %q, %v", got, errs)
	}
	for i := range 2 {
		libraryLog.Print("fsnotify queue overflow")
		if !f.due() {
			t.Error("nothing to do")
		}
		got, errs := round()
		if i == 0 && (!slices.Equal(got, old) || len(errs) != 1 || !errors.Is(errs[0], errLostNotices)) {
			t.Errorf("got %q, %v", got, errs)
		}
		if i > 0 && (len(got) > 0 || len(errs) > 0) || f.due() {
			t.Errorf("again: %q, %v", got, errs)
		}
	}
}

func TestFollowWhatIsNotThereYet(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	f := newFollower(t).start(quick, path)
	if len(f.errs) != 1 || !errors.Is(f.errs[0], os.ErrNotExist) {
		t.Errorf("got %v, want one error", f.errs)
	}
	var l log
	all := l.lines(20)
	appendTo(t, path, "")
	appendTo(t, path, join(all))
	want(t, f.lines(20), all)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	more := l.lines(20)
	appendTo(t, path, join(more))
	want(t, f.lines(40), append(all, more...))
}

// TestFollowSameSize truncates a file and writes as much as there was.
func TestFollowSameSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	all := l.lines(1)
	write(t, path, join(all))
	f := newFollower(t).start(quick, path)
	for range 20 {
		f.wait(len(all))
		more := l.lines(1)
		all = append(all, more...)
		write(t, path, join(more))
	}
	want(t, f.lines(len(all)), all)
}

func TestFollowUTF16FromTheFirstByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	appendTo(t, path, "")
	f := newFollower(t).start(quick, path)
	for _, b := range []byte("\xff\xfe#\x00S\x00\r\x00\n\x00b\x00\n\x00") {
		appendTo(t, path, string([]byte{b}))
	}
	want(t, f.lines(2), []string{"#S", "b"})
}

func TestFollowDirectory(t *testing.T) {
	dir := t.TempDir()
	var l log
	var all []string
	name := func(i int) string { return filepath.Join(dir, fmt.Sprintf("MSGTRK20261120%02d-1.LOG", i)) }
	add := func(i, n int) {
		lines := l.lines(n)
		all = append(all, lines...)
		appendTo(t, name(i), join(lines))
	}
	add(0, 10)
	f := newFollower(t).start(quick, dir)
	f.wait(len(all))
	for i := range 10 {
		add(i, 5)
		f.wait(len(all))
		add(i+1, 5)
		f.wait(len(all))
	}
	want(t, f.lines(len(all)), all)
}

func TestFollowSeesWhatAnotherProcessRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	all := l.lines(10)
	write(t, path, join(all))
	f := newFollower(t)
	s := Follow([]string{path}, quick)
	defer s.Close()
	f.round(context.Background(), s)
	want(t, f.committed, all)
	appendTo(t, path, join(l.lines(10)))
	must(t, f.memory, path) // a cron job's
	last := l.lines(10)
	appendTo(t, path, join(last))
	f.round(context.Background(), s)
	want(t, f.committed, append(all, last...))
}

// A file that is truncated while its copy is read does not take back what was
// read of the copy.
func TestFollowCopyBeforeTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	var m Memory
	lines := l.lines(30)
	write(t, path, join(lines))
	f := Follow([]string{path}, FollowOptions{Tick: time.Hour})
	defer f.Close()
	ready := func() (lines []string) {
		lines, errs := readEach(f.Ready(context.Background(), &m), &m, nil, func() {})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		return lines
	}
	got := ready()

	// Between the reading of open files and the look at the others.
	more, now := l.lines(30), l.lines(20)
	write(t, path+".1", join(lines)+join(more))
	write(t, path, join(now))
	copied, errs := readEach(func(yield func(*Reader, error) bool) {
		f.logs[0].lookAround(&walker{ctx: context.Background(), positions: &m, yield: yield})
	}, &m, nil, func() {})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	got = append(append(got, copied...), ready()...)
	f.logs[0].look = true
	got = append(got, ready()...)
	want(t, append(got, must(t, &m, path+"*")...), append(append(lines, more...), now...))
}

func TestFollowerLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	write(t, path, join(new(log).lines(10)))
	newFollower(t).start(quick, path).end() // the library starts goroutines that stay
	files := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("there is no /proc")
		}
		return len(fds)
	}
	goroutines, fds := runtime.NumGoroutine(), files()
	for range 10 {
		f := newFollower(t).start(quick, path, filepath.Join(dir, "missing"))
		f.wait(10)
		rename(t, path, path+".1")
		write(t, path, join(new(log).lines(10)))
		f.end()
	}
	for i := 0; runtime.NumGoroutine() > goroutines || files() > fds; i++ {
		if i > 1_000_000 {
			t.Fatalf("%d goroutines, were %d; %d files, were %d", runtime.NumGoroutine(), goroutines, files(), fds)
		}
		runtime.Gosched()
	}
}

// TestFollowBusyFile has lines come in every round: then events would cost more
// than they are worth, until there is a pause.
func TestFollowBusyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail.log")
	var l log
	all := l.lines(1)
	write(t, path, join(all))
	f := newFollower(t)
	s := Follow([]string{path}, FollowOptions{Tick: time.Minute, Spacing: 20 * time.Millisecond})
	defer s.Close()
	next := func(limit time.Duration) error {
		ctx, stop := context.WithTimeout(context.Background(), limit)
		defer stop()
		err := s.Wait(ctx)
		f.round(context.Background(), s)
		return err
	}
	f.round(context.Background(), s)
	for range 10 {
		more := l.lines(1)
		all = append(all, more...)
		appendTo(t, path, join(more))
		if err := next(30 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if s.logs[0].held[0].notices != nil {
		t.Error("a busy file is listened to")
	}
	for i := 0; s.logs[0].held[0].notices == nil; i++ {
		if next(50*time.Millisecond) == nil || i > 1000 {
			t.Fatalf("an idle file is not listened to")
		}
	}
	more := l.lines(1)
	appendTo(t, path, join(more))
	if err := next(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	want(t, f.committed, append(all, more...))
}

// TestFollowDoesNotReadPipes wants an error in place of a follower that hangs.
func TestFollowDoesNotReadPipes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	f := newFollower(t).start(quick, path)
	f.end()
	if len(f.errs) != 1 || !strings.Contains(f.errs[0].Error(), "mailfail follow - < "+path) {
		t.Errorf("got %v", f.errs)
	}
}

// TestFollowIsIdle counts the rounds in which there is nothing to do.
func TestFollowIsIdle(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mail.log")
	write(t, path, "a line\nand a part")
	write(t, path+".1", "an old one\n")
	if old := time.Now().Add(-time.Hour); os.Chtimes(path+".1", old, old) != nil {
		t.Fatal("no file times")
	}
	s := Follow([]string{path, filepath.Join(dir, "missing"), filepath.Join(dir, "other*")}, FollowOptions{Tick: time.Millisecond, Spacing: -1})
	defer s.Close()
	f := newFollower(t)
	for range 20 { // the follow-up looks, at growing intervals
		f.round(context.Background(), s)
	}
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	rounds := 0
	for s.Wait(ctx) == nil {
		f.round(ctx, s)
		rounds++
	}
	if rounds > 10 {
		t.Errorf("%d rounds with nothing to do", rounds)
	}
	want(t, f.committed, []string{"a line"})
}

// BenchmarkFollow measures the time of the processor for a line, when lines
// come one by one.
func BenchmarkFollow(b *testing.B) {
	path := filepath.Join(b.TempDir(), "mail.log")
	write(b, path, "first\n")
	f := newFollower(b).start(FollowOptions{Spacing: -1}, path)
	n := 1
	for b.Loop() {
		appendTo(b, path, "Nov 20 00:00:00 mx postfix/smtp[1]: a line\n")
		n++
		f.wait(n)
	}
}

// tortureLine is a line of known content: a number and a checksum.
func tortureLine(n int) string {
	body := fmt.Sprintf("Nov 20 00:00:00 mx torture[%d]: %08d %s", n%100, n, strings.Repeat("x", n*7%120))
	return fmt.Sprintf("%s %08x", body, crc32.ChecksumIEEE([]byte(body)))
}

// check counts what was lost, seen twice and garbled of n lines.
func check(lines []string, n int) (lost, twice, garbled int) {
	count := make([]int, n)
	for _, line := range lines {
		fields := strings.Fields(line)
		var i int
		if len(fields) > 5 {
			i, _ = strconv.Atoi(fields[5])
		}
		if i >= n || line != tortureLine(i) {
			garbled++
			continue
		}
		count[i]++
	}
	for _, c := range count {
		if c == 0 {
			lost++
		} else {
			twice += c - 1
		}
	}
	return lost, twice, garbled
}

// torture is a writer of a log, and what it does to it.
type torture struct {
	t         *testing.T
	rnd       *rand.Rand
	dir, path string
	n         int // lines written
	follower  *follower
	rotations int
	starts    []int // first line of each generation
}

// add writes lines to an open file, some in pieces.
func (w *torture) add(f *os.File, lines int) {
	for range lines {
		text := tortureLine(w.n) + "\n"
		cut := 0
		if w.rnd.IntN(10) == 0 {
			cut = w.rnd.IntN(len(text))
			_, _ = io.WriteString(f, text[:cut])
			runtime.Gosched()
		}
		if _, err := io.WriteString(f, text[cut:]); err != nil {
			w.t.Fatal(err)
		}
		w.n++
	}
}

func (w *torture) open(path string) *os.File {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// shift renames path.1 to path.2 and so on, and keeps ten.
func (w *torture) shift(keep int) {
	for i := keep; i > 0; i-- {
		for _, suffix := range []string{"", ".gz"} {
			_ = os.Rename(fmt.Sprintf("%s.%d%s", w.path, i, suffix), fmt.Sprintf("%s.%d%s", w.path, i+1, suffix))
		}
	}
}

// scenarios are the ways of a rotation. Each is called with the log open, and
// returns the log to write to.
var scenarios = map[string]func(w *torture, f *os.File) *os.File{
	"rename": func(w *torture, f *os.File) *os.File {
		w.shift(10)
		rename(w.t, w.path, w.path+".1")
		w.add(f, w.rnd.IntN(3))
		f.Close()
		return w.open(w.path)
	},
	"late": func(w *torture, f *os.File) *os.File {
		w.shift(10)
		rename(w.t, w.path, w.path+".1")
		now := w.open(w.path)
		w.add(f, 50)
		f.Close()
		return now
	},
	"late and interleaved": func(w *torture, f *os.File) *os.File {
		w.shift(10)
		rename(w.t, w.path, w.path+".1")
		now := w.open(w.path)
		for range 25 {
			w.add(f, 1)
			w.add(now, 1)
		}
		f.Close()
		return now
	},
	"compress": func(w *torture, f *os.File) *os.File {
		w.shift(10)
		rename(w.t, w.path, w.path+".1")
		f.Close()
		f = w.open(w.path)
		if w.rotations%2 == 0 {
			compress(w.t, w.path+".1", ".gz")
		}
		return f
	},
	"copytruncate": func(w *torture, f *os.File) *os.File {
		w.shift(10)
		content, err := os.ReadFile(w.path)
		if err != nil {
			w.t.Fatal(err)
		}
		to := w.open(w.path + ".1")
		for len(content) > 0 { // in pieces, as cp does
			n := min(len(content), 1+w.rnd.IntN(8192))
			if _, err := to.Write(content[:n]); err != nil {
				w.t.Fatal(err)
			}
			content = content[n:]
		}
		to.Close()
		if err := f.Truncate(0); err != nil {
			w.t.Fatal(err)
		}
		return f
	},
	"delete": func(w *torture, f *os.File) *os.File {
		// A file that is deleted before it was opened is lost to anyone.
		w.follower.wait(w.n)
		w.add(f, 20)
		if err := os.Remove(w.path); err != nil {
			w.t.Fatal(err)
		}
		w.add(f, 20)
		f.Close()
		return w.open(w.path)
	},
	"link": func(w *torture, f *os.File) *os.File {
		w.add(f, 3)
		f.Close()
		target := fmt.Sprintf("%s/maillog-2026%06d", w.dir, w.rotations)
		f = w.open(target)
		if err := os.Symlink(target, w.path+".new"); err != nil {
			w.t.Fatal(err)
		}
		rename(w.t, w.path+".new", w.path)
		if w.rotations > 30 {
			_ = os.Remove(fmt.Sprintf("%s/maillog-2026%06d", w.dir, w.rotations-30))
		}
		return f
	},
}

// TestTorture rotates a log in all ways under load. MAILFAIL_TORTURE=1000 sets
// the number of rotations.
func TestTorture(t *testing.T) {
	takesLong(t)
	rotations := 25
	if s := os.Getenv("MAILFAIL_TORTURE"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("MAILFAIL_TORTURE=%s: want a number of rotations", s)
		}
		rotations = n
	}
	for name := range scenarios {
		for _, kill := range []bool{false, true} {
			if kill && name == "delete" {
				continue // nobody reads while the follower is dead
			}
			t.Run(fmt.Sprintf("%s/kill=%v", name, kill), func(t *testing.T) { runTorture(t, name, rotations, kill) })
		}
	}
}

func runTorture(t *testing.T, name string, rotations int, kill bool) {
	dir := t.TempDir()
	w := &torture{t: t, rnd: rand.New(rand.NewPCG(3, 1)), dir: dir, path: filepath.Join(dir, "mail.log"), follower: newFollower(t)}
	f := w.open(w.path)
	if name == "link" {
		f.Close()
		if err := os.Remove(w.path); err != nil {
			t.Fatal(err)
		}
		f = w.open(dir + "/maillog-2026000000")
		if err := os.Symlink(dir+"/maillog-2026000000", w.path); err != nil {
			t.Fatal(err)
		}
	}
	w.add(f, 1)
	w.follower.start(quick, w.path)
	w.follower.wait(1)
	for w.rotations = 1; w.rotations <= rotations; w.rotations++ {
		w.add(f, w.rnd.IntN(100))
		if kill && w.rnd.IntN(3) == 0 {
			w.follower.end()
			w.add(f, w.rnd.IntN(100))
		}
		w.follower.waitNear(w)
		f = scenarios[name](w, f)
		if w.follower.stop == nil && w.rnd.IntN(2) == 0 {
			w.follower.start(quick, w.path)
		}
		w.add(f, 1+w.rnd.IntN(100))
	}
	f.Close()
	if w.follower.stop == nil {
		w.follower.start(quick, w.path)
	}
	w.follower.waitFor(func() bool { return w.follower.low >= w.n }, func() string {
		return fmt.Sprintf("line %d is missing", w.follower.low)
	})
	w.follower.end()
	lines := append(w.follower.committed, must(t, w.follower.memory, w.path)...)
	lost, twice, garbled := check(lines, w.n)
	t.Logf("%s, %d rotations, %d lines: %d lost, %d twice, %d garbled", name, rotations, w.n, lost, twice, garbled)
	if lost+twice+garbled > 0 {
		t.Errorf("%d lost, %d twice, %d garbled of %d", lost, twice, garbled, w.n)
	}
}

// waitNear waits until the follower is at most five generations behind; ten are
// kept. A dead one is started.
func (f *follower) waitNear(w *torture) {
	w.starts = append(w.starts, w.n)
	if len(w.starts) <= 5 {
		return
	}
	n := w.starts[len(w.starts)-6]
	if f.has(n) {
		return
	}
	if f.stop == nil {
		f.start(quick, w.path)
	}
	f.waitFor(func() bool { return f.low >= n }, func() string {
		return fmt.Sprintf("of the lines before %d, which are in a generation that will be deleted, %d is missing", n, f.low)
	})
}
