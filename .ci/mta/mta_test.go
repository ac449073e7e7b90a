// Package mta tests mailfail with real mail servers: Debian's Postfix, Exim and
// sendmail relay messages to a scripted server that refuses as told and writes
// down what it said, logrotate rotates the logs, `mailfail follow` reads them live,
// is killed and goes on. In the end the reports equal the refusals.
//
//	go test -v ./.ci/mta
//
// needs root, Debian and its packages; it changes nothing on the machine (see
// room). Folders that begin with a dot are not part of ./... .
package mta

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

const (
	messageCount = 400
	pace         = 60 * time.Millisecond
)

// mailServer is a real one.
type mailServer interface {
	start(t *testing.T)
	queued(t *testing.T) bool // whether there are messages in its queue
}

const hangUp = "postrotate\n  kill -HUP $(cat " + rsyslogPID + ")\n endscript"

// The logs rsyslog writes, all with the same lines in their own layout.
var (
	created   = rotation{path: logDir + "/mail.log", how: "create 0640 root adm\n compress\n delaycompress\n " + hangUp}
	truncated = rotation{path: logDir + "/maillog", how: "copytruncate\n compress", hold: true}
	templates = map[string]string{
		created.path:   "RSYSLOG_TraditionalFileFormat",
		truncated.path: "RSYSLOG_FileFormat",
		control:        "RSYSLOG_SyslogProtocol23Format",
	}
)

const control = logDir + "/control.log" // never rotated

func TestPostfix(t *testing.T) {
	if enter(t, "postfix", "rsyslog", "logrotate", "iproute2") {
		return
	}
	startSyslog(t, templates)
	follow(t, postfix{}, created, truncated)
}

func TestExim(t *testing.T) {
	if enter(t, "exim4-daemon-light", "rsyslog", "logrotate", "iproute2") {
		return
	}
	startSyslog(t, templates)
	// Exim makes its log itself: for a moment that of logrotate would be
	// root's, and Exim refuses mail when it cannot write.
	main := rotation{path: eximLogs + "/mainlog", how: "nocreate\n compress\n delaycompress", late: time.Second}
	follow(t, exim{}, created, truncated, main)
}

// follow sends messages through a mail server while its logs are rotated and
// followed, and compares.
func follow(t *testing.T, s mailServer, logs ...rotation) {
	sink := startSink(t, logDir+"/sink.jsonl")
	s.start(t)
	eventually(t, "the mail server answers", func() bool { return listening("127.0.0.1:25") })
	jobs := startJobs(t, logs)
	list := messages(messageCount)
	disturb(t, s, list, jobs)

	want := sink.wanted(list)
	limit := time.Now().Add(2 * patience) // for all: they read at the same time
	for _, j := range jobs {
		settled(t, limit, fmt.Sprintf("%T of %s", j.reader, j.log.path), want, "--db", j.db)
		j.stop(t)
		quiet(t, "ingest", "--quiet", "--db", j.db, j.log.path+"*")
		expect(t, "after another ingest of "+j.log.path, reported(t, "--db", j.db), want)
		if f, ok := j.reader.(*follower); ok {
			out := f.printed(t)
			harmless(t, "mailfail follow", out)
			if n := bytes.Count(out, []byte("\n")); j.steady && n != want.failing() {
				t.Errorf("follow %s printed %d lines about %d failing attempts", f.log, n, want.failing())
			}
		}
	}
	for _, log := range logs {
		expect(t, "straight from "+log.path, reported(t, log.path+"*"), want)
	}
	settled(t, limit, control, want, control) // nobody has waited for it so far
}

// startJobs starts readers of each log: one that is run again and again, one
// that stays, and for the first log one more that stays and is not disturbed.
func startJobs(t *testing.T, logs []rotation) (jobs []job) {
	add := func(name string, log rotation, steady bool, r func(log, db string) reader) {
		db := logDir + "/" + name + ".db"
		jobs = append(jobs, job{log, db, r(log.path, db), steady})
	}
	for i, log := range logs {
		eventually(t, log.path+" is there", func() bool {
			_, err := os.Stat(log.path)
			return err == nil
		})
		add(fmt.Sprintf("cron%d", i), log, false, func(log, db string) reader { return &cron{log: log, db: db} })
		follow := func(log, db string) reader { return &follower{log: log, db: db} }
		add(fmt.Sprintf("follow%d", i), log, false, follow)
		if i == 0 {
			add("steady", log, true, follow)
		}
	}
	for _, j := range jobs {
		j.start(t)
	}
	// Who begins to follow a log does not ask for what was rotated away before.
	for _, j := range jobs {
		eventually(t, j.db+" has lines", func() bool { return begun(t, j.db) })
	}
	return jobs
}

// disturb submits the messages and, until the mail server is done with them,
// rotates the logs, kills who reads them, and lets others use the databases.
func disturb(t *testing.T, s mailServer, list []message, jobs []job) {
	submitted := make(chan error, 1)
	go func() { submitted <- submit(list, pace) }()
	r := rand.New(rand.NewPCG(1, 2))
	end, _ := t.Deadline()
	rotations, kills := 0, 0
	// A message may be missed that is moved from one part of the queue to another
	// while they are listed.
	for done, empty := false, 0; empty < 2; {
		if time.Until(end) < 4*patience { // which the rest may take
			t.Fatal("the mail server does not get rid of its queue")
		}
		select {
		case err := <-submitted:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Duration(r.IntN(500)) * time.Millisecond):
		}
		if empty++; !done || s.queued(t) {
			empty = 0
		}
		j := jobs[r.IntN(len(jobs))]
		switch r.IntN(4) {
		case 0, 1:
			j.log.rotate(t)
			rotations++
		case 2:
			if j.steady {
				continue
			}
			j.kill(t)
			j.start(t)
			kills++
		case 3:
			quiet(t, "report", "--db", j.db)
			if j.steady {
				continue
			}
			quiet(t, "ingest", "--quiet", "--db", j.db, j.log.path+"*")
		}
	}
	t.Logf("%d messages, %d rotations, %d kills", len(list), rotations, kills)
}

// settled waits until everything is reported, given the arguments.
func settled(t *testing.T, limit time.Time, what string, want numbers, args ...string) {
	t.Helper()
	for {
		diff := differences(reported(t, args...), want)
		if diff == "" {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("%s:\n%s", what, diff)
			return
		}
		time.Sleep(200 * time.Millisecond) // between two looks
	}
}

func expect(t *testing.T, what string, got, want numbers) {
	t.Helper()
	if diff := differences(got, want); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}
