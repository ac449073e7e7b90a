//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailfail/store"
	"mailfail/store/sqlite"
	"mailfail/store/sqlite/sqlitetest"
)

// traffic writes a log of Postfix: every message has five lines, each 25th
// bounces, each 40th is deferred once and delivered later.
type traffic struct {
	log       *os.File
	path      string
	buffer    []byte
	bytes     int64
	lines     int64
	want      sqlitetest.Totals
	rotations int
	deferred  []int64 // messages that wait for their second attempt
	ends      []int64 // lines written when each log was rotated
}

const (
	trafficKeeps = 6   // rotated logs that are not deleted
	trafficDelay = 400 // messages between the attempts of one
)

const (
	trafficBegin = "%[1]s mx1 postfix/smtpd[815]: %012[2]X: client=app%[4]d.example[198.51.100.%[4]d]\n" +
		"%[1]s mx1 postfix/cleanup[16]: %012[2]X: message-id=<%[3]d@app.example>\n" +
		"%[1]s mx1 postfix/qmgr[23]: %012[2]X: from=<list-%[4]d@from%[4]d.example>, size=4711, nrcpt=1 (queue active)\n"
	trafficAttempt = "%[1]s mx1 postfix/smtp[4711]: %012[2]X: to=<u%[3]d@d%[5]d.example>, relay=mx.d%[5]d.example[192.0.2.7]:25, delay=1.2, " +
		"delays=0.1/0/0.6/0.5, dsn=%[6]s (host mx.example[192.0.2.1] said: %[7]s (in reply to RCPT TO command))\n"
	trafficSent = "%[1]s mx1 postfix/smtp[4711]: %012[2]X: to=<u%[3]d@d%[5]d.example>, relay=mx.d%[5]d.example[192.0.2.7]:25, delay=1.2, delays=0.1/0/0.6/0.5, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9F8E7D)\n"
	trafficEnd  = "%[1]s mx1 postfix/qmgr[23]: %012[2]X: removed\n"
)

// message appends the lines of the nth message.
func (w *traffic) message(n int64, at time.Time) {
	stamp := at.UTC().Format("2006-01-02T15:04:05.000000+00:00")
	line := func(n int64, format, status, reply string) {
		w.buffer = fmt.Appendf(w.buffer, format+"%.0[6]s%.0[7]s", stamp, 0xA00000000000+n, n, n%20, n%500, status, reply)
		w.lines += int64(strings.Count(format, "\n"))
	}
	w.want.Messages++
	w.want.Recipients++
	w.want.Attempts++
	switch {
	case n%25 == 0:
		line(n, trafficBegin+trafficAttempt+trafficEnd, "5.1.1, status=bounced", "550 5.1.1 User unknown")
		w.want.Bounced++
	case n%40 == 1:
		line(n, trafficBegin+trafficAttempt, "4.2.0, status=deferred", "450 4.2.0 Greylisted, try again later")
		w.deferred = append(w.deferred, n)
	default:
		line(n, trafficBegin+trafficSent+trafficEnd, "", "")
		w.want.Delivered++
	}
	for len(w.deferred) > 0 && w.deferred[0]+trafficDelay <= n {
		line(w.deferred[0], trafficSent+trafficEnd, "", "")
		w.deferred = w.deferred[1:]
		w.want.Attempts++
		w.want.Delivered++
	}
}

// flush writes what was appended, up to any byte of a line unless it is the end.
func (w *traffic) flush(t *testing.T, end bool) {
	t.Helper()
	n := len(w.buffer)
	if !end {
		n -= n / 3 % 100
	}
	if _, err := w.log.Write(w.buffer[:n]); err != nil {
		t.Fatal(err)
	}
	w.bytes += int64(n)
	w.buffer = append(w.buffer[:0], w.buffer[n:]...)
}

// rotate renames the log, as logrotate does, and deletes the oldest one.
func (w *traffic) rotate(t *testing.T) {
	t.Helper()
	if w.log != nil {
		w.flush(t, true)
		if err := w.log.Close(); err != nil {
			t.Fatal(err)
		}
		for i := trafficKeeps; i > 0; i-- {
			os.Rename(fmt.Sprintf("%s.%d", w.path, i), fmt.Sprintf("%s.%d", w.path, i+1)) // it may not be there yet
		}
		os.Remove(fmt.Sprintf("%s.%d", w.path, trafficKeeps+1))
		if err := os.Rename(w.path, w.path+".1"); err != nil {
			t.Fatal(err)
		}
		w.rotations++
	}
	var err error
	if w.log, err = os.OpenFile(w.path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		t.Fatal(err)
	}
}

// await waits until the log that the next rotation deletes was read: what is deleted
// before would be lost to anyone. It returns how long that took.
func (w *traffic) await(t *testing.T, p *process, read func() int64) time.Duration {
	t.Helper()
	begin := time.Now()
	for len(w.ends) >= trafficKeeps && read() < w.ends[len(w.ends)-trafficKeeps] {
		time.Sleep(20 * time.Millisecond) // between two looks
		if residentOf(p.Process.Pid) == 0 {
			t.Fatalf("follow has ended: %s", &p.errs)
		}
	}
	return time.Since(begin)
}

// residentOf returns the resident memory of a process, in MB; -1 when the system
// does not say, 0 when it has ended.
func residentOf(pid int) int { return statusOf(pid, "VmRSS:") }

func statusOf(pid int, field string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return -1
	}
	_, after, _ := bytes.Cut(text, []byte(field))
	fields := strings.Fields(string(after[:min(len(after), 40)]))
	if len(fields) == 0 {
		return 0 // it has ended
	}
	kB, err := strconv.Atoi(fields[0])
	if err != nil {
		return -1
	}
	return kB >> 10
}

// TestLongFollow follows a log that grows and is rotated all the time: every line
// is counted once, and memory does not grow. MAILFAIL_LONG=30m says for how long,
// MAILFAIL_LONG_RATE=20 how many MB a second are written when the follower keeps up.
func TestLongFollow(t *testing.T) {
	takesLong(t)
	long, rate := os.Getenv("MAILFAIL_LONG"), 20.0
	size, rotateAt := int64(40e6), int64(4e6)
	var length time.Duration
	if long != "" {
		var err error
		if length, err = time.ParseDuration(long); err != nil {
			t.Fatalf("MAILFAIL_LONG=%s: %v", long, err)
		}
		if s := os.Getenv("MAILFAIL_LONG_RATE"); s != "" {
			if rate, err = strconv.ParseFloat(s, 64); err != nil {
				t.Fatalf("MAILFAIL_LONG_RATE=%s: %v", s, err)
			}
		}
		size, rotateAt = int64(length.Seconds()*rate*1e6), 64e6
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.db")
	w := &traffic{path: filepath.Join(dir, "mail.log")}
	w.rotate(t)
	w.message(1, time.Now())
	w.flush(t, true)
	p := newProcess("ingest", "--db", path, w.path) // so that the database is there
	p.check(t, p.Run())
	p = newProcess("follow", "--plain", "--outcome", "failed", "--domain", "nobody.example", "--db", path, w.path)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	db, err := sqlite.OpenReadOnly(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func() int64 { return sqlitetest.Int(t, db, "SELECT sum(read) FROM lines") }

	begin, said, rotated := time.Now(), time.Now(), int64(0)
	var memory []int
	waited := time.Duration(0)
	for n := int64(2); w.bytes < size && (length == 0 || time.Since(begin) < length); n++ {
		w.message(n, time.Now())
		if len(w.buffer) < 1<<18 {
			continue
		}
		w.flush(t, false)
		if ahead := time.Duration(float64(w.bytes)/rate/1e6*float64(time.Second)) - time.Since(begin); long != "" && ahead > 0 {
			time.Sleep(ahead) // the rate that was asked for
		}
		if w.bytes-rotated >= rotateAt {
			rotated = w.bytes
			w.ends = append(w.ends, w.lines)
			waited += w.await(t, p, read)
			w.rotate(t)
		}
		if long == "" || time.Since(said) > 10*time.Second {
			said = time.Now()
			memory = append(memory, residentOf(p.Process.Pid))
			if long != "" {
				t.Logf("%v: %d MB written, %d lines of %d read, %d MB of memory, %d at most, database %d MB, WAL %d MB",
					time.Since(begin).Round(time.Second), w.bytes/1e6, read(), w.lines, memory[len(memory)-1],
					statusOf(p.Process.Pid, "VmHWM:"), sizeOf(path)/1e6, sizeOf(path+"-wal")/1e6)
			}
		}
	}
	w.flush(t, true)
	written := time.Since(begin)
	for read() < w.lines { // go test ends it when lines are lost
		time.Sleep(20 * time.Millisecond) // between two looks
	}
	peak := residentOf(p.Process.Pid)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.check(t, p.Wait())
	quarter := len(memory) / 4
	t.Logf("%.1f MB/s for %v, %d MB, %d rotations, waited %v for the follower; memory %d MB in the first quarter, %d MB in the last, %d MB in the end; CPU %v",
		float64(w.bytes)/1e6/written.Seconds(), written.Round(time.Second), w.bytes/1e6, w.rotations, waited.Round(time.Second),
		highest(memory[:quarter]), highest(memory[len(memory)-quarter:]), peak, p.ProcessState.UserTime()+p.ProcessState.SystemTime())
	if n := read(); n != w.lines {
		t.Errorf("%d lines were read of %d", n, w.lines)
	}
	numbers, err := db.Numbers(t.Context(), store.Window{}, store.Filter{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := numbers.Totals
	if got.Delivered != w.want.Delivered || got.Bounced != w.want.Bounced || got.Recipients != w.want.Recipients || got.Attempts != w.want.Attempts {
		t.Errorf("counted %+v, want %+v", got, w.want)
	}
	if early, late := highest(memory[:quarter]), highest(memory[len(memory)-quarter:]); length >= 10*time.Minute && late > early+early/4 {
		t.Errorf("memory grew from %d to %d MB", early, late)
	}
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func highest(list []int) (n int) {
	for _, v := range list {
		n = max(n, v)
	}
	return n
}
