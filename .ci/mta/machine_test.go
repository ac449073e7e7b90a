package mta

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
		case <-time.After(10 * time.Second):
			t.Errorf("%s does not end", cmd.Path)
			cmd.Process.Kill()
		}
	})
}

// eventually waits for a condition, and fails the test when it does not come.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
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
	eventually(t, 10*time.Second, "rsyslogd listens", func() bool {
		_, err := os.Stat("/dev/log")
		return err == nil
	})
}

// holdSyslog stops rsyslogd, runs f, and lets rsyslogd go on.
func holdSyslog(t *testing.T, f func()) {
	var pid int
	text, err := os.ReadFile(rsyslogPID)
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGCONT)
	eventually(t, 10*time.Second, "rsyslogd is stopped", func() bool { return stopped(t, pid) })
	f()
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
	hold      bool // what copytruncate loses is lost to anyone: hold the writer
}

// rotate lets logrotate rotate the log now.
func (r rotation) rotate(t *testing.T) {
	conf := "/etc/logrotate." + filepath.Base(r.path)
	write(t, conf, fmt.Sprintf("%s {\n rotate 1000\n missingok\n notifempty\n %s\n}\n", r.path, r.how))
	rotate := func() { run(t, "logrotate", "--force", "--state", conf+".state", conf) }
	if r.hold {
		holdSyslog(t, rotate)
		return
	}
	rotate()
}
