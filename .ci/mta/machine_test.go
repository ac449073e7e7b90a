package mta

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run runs a command to its end and returns what it wrote.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// startProcess starts a command that runs until the test ends.
func startProcess(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%s does not end", cmd.Path)
			cmd.Process.Kill()
		}
	})
}

// patience is how long something may take that takes no time: the machine may be
// slow.
const patience = time.Minute

// eventually waits for a condition, and fails the test when it does not come.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// holds reports whether a process has a file open.
func holds(pid int, file os.FileInfo) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(fds, func(fd string) bool {
		info, err := os.Stat(fd)
		return err == nil && os.SameFile(info, file)
	})
}

func listening(address string) bool {
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

const rsyslogPID = "/run/rsyslogd.pid"

// startSyslog lets rsyslog write what is said about mail to several files at
// once, each with its template.
func startSyslog(t *testing.T, templates map[string]string) {
	conf := "module(load=\"imuxsock\" SysSock.RateLimit.Interval=\"0\")\n"
	for path, template := range templates {
		conf += fmt.Sprintf("mail.* action(type=\"omfile\" file=%q template=%q fileCreateMode=\"0644\")\n", path, template)
	}
	write(t, "/etc/rsyslog.conf", conf)
	daemon := exec.Command("rsyslogd", "-n", "-i", rsyslogPID)
	daemon.Stdout, daemon.Stderr = os.Stdout, os.Stderr
	startProcess(t, daemon)
	eventually(t, "rsyslogd listens", func() bool {
		_, err := os.Stat("/dev/log")
		return err == nil && syslogPID() > 0
	})
}

// syslogPID is the id of rsyslogd, 0 as long as it has none.
func syslogPID() (pid int) {
	text, err := os.ReadFile(rsyslogPID)
	if err == nil {
		_, _ = fmt.Sscan(string(text), &pid)
	}
	return pid
}

// holdSyslog stops rsyslogd, runs f, and lets rsyslogd go on. It is not stopped
// while half of a line is in the log and the other half in its memory.
func holdSyslog(t *testing.T, log string, f func()) {
	pid := syslogPID()
	defer syscall.Kill(pid, syscall.SIGCONT)
	eventually(t, "rsyslogd is stopped behind a line", func() bool {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		if !stopped(t, pid) {
			return false
		}
		if whole(t, log) {
			return true
		}
		syscall.Kill(pid, syscall.SIGCONT)
		return false
	})
	f()
}

// whole reports whether the last line of a file has its newline.
func whole(t *testing.T, path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(text) == 0 || text[len(text)-1] == '\n'
}

// stopped reports whether all threads of a process are.
func stopped(t *testing.T, pid int) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, thread.Name()))
		if err != nil || !strings.Contains(string(stat), ") T ") {
			return false
		}
	}
	return true
}

// rotation is how logrotate is told to rotate one log.
type rotation struct {
	path, how string
	hold      bool          // what copytruncate loses is lost to anyone: hold the writer
	late      time.Duration // how long who writes it may go on in the old file
}

// released reports whether nobody writes to the file that was rotated last any
// more: not rsyslogd, and not those who look which file it is before each line. It
// is compressed when the log is rotated next, and what is written to it meanwhile
// is lost to anyone.
func (r rotation) released() bool {
	info, err := os.Stat(r.path + ".1")
	if err != nil {
		return true
	}
	renamed := time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
	return !holds(syslogPID(), info) && time.Since(renamed) > r.late
}

// rotate lets logrotate rotate the log now.
func (r rotation) rotate(t *testing.T) {
	eventually(t, "nobody writes to "+r.path+".1", r.released)
	conf := "/etc/logrotate." + filepath.Base(r.path)
	write(t, conf, fmt.Sprintf("%s {\n rotate 1000\n missingok\n notifempty\n %s\n}\n", r.path, r.how))
	rotate := func() { run(t, "logrotate", "--force", "--state", conf+".state", conf) }
	if r.hold {
		holdSyslog(t, r.path, rotate)
		return
	}
	rotate()
}
