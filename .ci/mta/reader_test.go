package mta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// program is mailfail.
func program() string { return os.Getenv(roomPrograms) + "/mailfail" }

// quiet runs mailfail to its end; it must not fail, and have nothing to say on
// standard error.
func quiet(t *testing.T, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("mailfail %s: %v\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	harmless(t, "mailfail "+args[0], out.Bytes())
	return out.Bytes()
}

// harmless fails the test when a text has something in it that a terminal might
// obey, or that is no text.
func harmless(t *testing.T, what string, text []byte) {
	t.Helper()
	bad := func(r rune) bool { return r != '\n' && unicode.IsControl(r) }
	if i := bytes.IndexFunc(text, bad); i >= 0 || !utf8.Valid(text) {
		t.Errorf("%s shows a terminal what strangers have sent: %q", what, text[max(0, i-100):max(0, i)+1])
	}
}

// reader is what keeps the database of one log up to date.
type reader interface {
	start(t *testing.T)
	kill(t *testing.T) // the hard way
	stop(t *testing.T) // as a service is stopped
}

// job is a log with a database of its own, and what reads the one into the other.
type job struct {
	log rotation
	db  string
	reader
	steady bool // it is left alone: no kills, nobody else at the database
}

// follower is a `mailfail follow` of one log.
type follower struct {
	log, db string
	cmd     *exec.Cmd
	ended   chan error
	errs    *bytes.Buffer
}

func (f *follower) start(t *testing.T) {
	f.cmd, f.ended, f.errs = exec.Command(program()+"-race", "follow", "--plain", "--from-start", "--db", f.db, f.log), make(chan error, 1), &bytes.Buffer{}
	out, err := os.OpenFile(f.db+".out", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f.cmd.Stdout, f.cmd.Stderr = out, f.errs
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(f.cmd, f.ended)
}

func (f *follower) kill(t *testing.T) {
	if err := f.cmd.Process.Kill(); err != nil {
		t.Errorf("follow %s has ended by itself: %v\n%s", f.log, <-f.ended, f.errs)
		return
	}
	<-f.ended
	f.complaints(t)
}

func (f *follower) stop(t *testing.T) {
	db, err := os.Stat(f.db)
	if err != nil {
		t.Fatal(err)
	}
	// It may have been started just now: only then does it know signals.
	eventually(t, "follow has opened "+f.db, func() bool { return holds(f.cmd.Process.Pid, db) || len(f.ended) > 0 })
	f.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-f.ended:
		if err != nil {
			t.Errorf("follow %s: %v after SIGTERM", f.log, err)
		}
	case <-time.After(patience):
		t.Errorf("follow %s does not end on SIGTERM", f.log)
		f.cmd.Process.Kill()
		<-f.ended
	}
	f.complaints(t)
}

// printed is what it has printed, one line a failure.
func (f *follower) printed(t *testing.T) []byte {
	out, err := os.ReadFile(f.db + ".out")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *follower) complaints(t *testing.T) {
	if f.errs.Len() > 0 {
		t.Errorf("follow %s said: %s", f.log, f.errs)
	}
}

// cron runs `mailfail ingest` of one log and its rotated generations again and
// again.
type cron struct {
	log, db string
	quit    context.CancelFunc // no more runs
	abort   context.CancelFunc // and kills the one that is running
	ended   chan struct{}
}

func (c *cron) start(t *testing.T) {
	running, abort := context.WithCancel(context.Background())
	going, quit := context.WithCancel(running)
	c.quit, c.abort, c.ended = quit, abort, make(chan struct{})
	t.Cleanup(abort) // of a test that has failed
	go func(ended chan<- struct{}) {
		defer close(ended)
		for going.Err() == nil {
			c.run(t, running)
			select {
			case <-going.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	}(c.ended)
}

func (c *cron) run(t *testing.T, running context.Context) {
	cmd := exec.CommandContext(running, program(), "ingest", "--db", c.db, c.log+"*")
	out, err := cmd.CombinedOutput()
	if running.Err() == nil && (err != nil || len(out) > 0) {
		t.Errorf("ingest %s: %v\n%s", c.log, err, out)
	}
}

func (c *cron) kill(t *testing.T) {
	c.abort()
	<-c.ended
}

func (c *cron) stop(t *testing.T) {
	c.quit()
	<-c.ended
	c.abort()
}

// numbers is what is compared: what a report says, and what the sink did.
type numbers struct {
	Domains    map[string]domainNumbers // without own bounces
	Codes      map[string]int           // failing attempts
	Rejected   int
	OwnBounces int
	Unparsed   int // lines
}

type domainNumbers struct {
	Delivered, Bounced, Expired, Removed, Pending int // recipients
	Failing                                       int // attempts, deferred and failed
}

// begun reports whether lines of a log are in a database.
func begun(t *testing.T, db string) bool {
	out, err := exec.CommandContext(t.Context(), program(), "report", "--format", "json", "--db", db).Output()
	var report struct {
		Totals struct{ Lines struct{ Read int } }
	}
	return err == nil && json.Unmarshal(out, &report) == nil && report.Totals.Lines.Read > 0
}

// reported reads a report of a database or of logs.
func reported(t *testing.T, args ...string) numbers {
	t.Helper()
	var report struct {
		Totals struct {
			Rejected   int
			Temporary  int `json:"rejected_temporary"`
			OwnBounces int `json:"own_bounces"`
			Lines      struct{ Unparsed int }
		}
		Domains []struct {
			Domain              string
			Deferrals, Failures int
			domainNumbers
		}
		Codes []struct {
			Code     string
			Attempts int
		}
	}
	out := quiet(t, append([]string{"report", "--format", "json"}, args...)...)
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("mailfail report: %v\n%s", err, out)
	}
	n := numbers{
		Domains:    map[string]domainNumbers{},
		Codes:      map[string]int{},
		Rejected:   report.Totals.Rejected + report.Totals.Temporary,
		OwnBounces: report.Totals.OwnBounces,
		Unparsed:   report.Totals.Lines.Unparsed,
	}
	for _, d := range report.Domains {
		d.Failing = d.Deferrals + d.Failures
		n.Domains[d.Domain] = d.domainNumbers
	}
	for _, c := range report.Codes {
		n.Codes[c.Code] += c.Attempts
	}
	return n
}

// wanted derives the numbers from what the sink did to the messages.
func (s *sink) wanted(list []message) numbers {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := numbers{Domains: map[string]domainNumbers{}, Codes: map[string]int{}}
	last := map[string]string{} // code, by who
	for _, x := range s.said {
		if x.Bounce && x.Code == "250" {
			n.OwnBounces++
			continue
		}
		d := n.Domains[x.Domain]
		if x.Code == "250" {
			d.Delivered++
		} else {
			d.Failing++
			n.Codes[x.Code]++
		}
		n.Domains[x.Domain] = d
		last[who(x)] = x.Code
	}
	for _, m := range list {
		if m.rejected {
			n.Rejected++
			continue
		}
		for _, r := range m.recipients {
			n.finish(r, decisive(last, m.sender, r))
		}
	}
	return n
}

// who is hit by what was said. A sender is a recipient too, of bounces.
func who(x said) string {
	switch x.Stage {
	case "greeting":
		return "to " + x.Domain
	case "mail":
		return "from " + x.Recipient
	}
	return x.Recipient
}

// decisive is the last code said to a recipient, to its sender, or to everybody.
func decisive(last map[string]string, sender, recipient string) string {
	_, domain, _ := strings.Cut(recipient, "@")
	for _, key := range []string{recipient, "from " + sender, "to " + domain} {
		if code, ok := last[key]; ok {
			return code
		}
	}
	return "never tried"
}

func (n *numbers) finish(recipient, code string) {
	_, domain, _ := strings.Cut(recipient, "@")
	d := n.Domains[domain]
	switch {
	case code == "250": // counted
	case strings.HasPrefix(code, "5"):
		d.Bounced++
	case strings.HasPrefix(code, "4"):
		d.Expired++
	default:
		d.Pending++
	}
	n.Domains[domain] = d
}

// failing is the number of attempts that failed or were deferred.
func (n *numbers) failing() (sum int) {
	for _, d := range n.Domains {
		sum += d.Failing
	}
	return sum
}

// differences says what is not equal, "" when all is.
func differences(got, want numbers) string {
	var b strings.Builder
	compare(&b, "domain", got.Domains, want.Domains)
	compare(&b, "code", got.Codes, want.Codes)
	if got.Rejected != want.Rejected {
		fmt.Fprintf(&b, "rejected: got %d, want %d\n", got.Rejected, want.Rejected)
	}
	if got.OwnBounces != want.OwnBounces {
		fmt.Fprintf(&b, "own bounces: got %d, want %d\n", got.OwnBounces, want.OwnBounces)
	}
	if got.Unparsed != want.Unparsed {
		fmt.Fprintf(&b, "lines not understood: got %d, want %d\n", got.Unparsed, want.Unparsed)
	}
	return b.String()
}

func compare[V comparable](b *strings.Builder, what string, got, want map[string]V) {
	for key, w := range want {
		if g := got[key]; g != w {
			fmt.Fprintf(b, "%s %q: got %+v, want %+v\n", what, key, g, w)
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok {
			fmt.Fprintf(b, "%s %q: got %+v, want none\n", what, key, g)
		}
	}
}
