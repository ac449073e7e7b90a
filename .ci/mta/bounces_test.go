package mta

import (
	"encoding/json"
	"fmt"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The sender of these tests has a mailbox on the mail server, in which lie its own
// bounces and those that the sink sends for mail that it has accepted. The report of
// log and mailbox together equals what the sink did, counts nothing twice, and has
// each bounce of the sink as refused after acceptance.

const (
	mailDir = logDir + "/mail"
	mailbox = mailDir + "/box" // a Maildir of Postfix, an mbox of Exim
	home    = "home.test"
)

func TestPostfixMailbox(t *testing.T) {
	if enter(t, "postfix", "rsyslog", "logrotate", "iproute2") {
		return
	}
	startSyslog(t, templates)
	compareMailbox(t, postfixWithMailbox{}, created.path)
}

func TestEximMailbox(t *testing.T) {
	if enter(t, "exim4-daemon-light", "rsyslog", "logrotate", "iproute2") {
		return
	}
	startSyslog(t, templates)
	compareMailbox(t, eximWithMailbox{}, eximLogs+"/mainlog")
}

// postfixWithMailbox delivers to a Maildir.
type postfixWithMailbox struct{ postfix }

func (postfixWithMailbox) start(t *testing.T) {
	makeMailDir(t)
	postfix{}.configure(t, `
virtual_mailbox_domains = home.test
virtual_mailbox_base = `+mailDir+`
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
`, "virtual unix - n n - - virtual\n")
}

// eximWithMailbox delivers to an mbox.
type eximWithMailbox struct{ exim }

func (eximWithMailbox) start(t *testing.T) {
	makeMailDir(t)
	config := strings.Replace(eximConf, "begin routers\n", `begin routers
home:
  driver = accept
  domains = home.test
  transport = box
`, 1)
	config = strings.Replace(config, "begin transports\n", `begin transports
box:
  driver = appendfile
  file = `+mailbox+`
  user = nobody
  group = nogroup
  create_directory = false
  return_path_add
  envelope_to_add
`, 1)
	exim{}.configure(t, config)
}

func makeMailDir(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(mailDir, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "chown", "nobody:nogroup", mailDir)
}

// laterKinds are messages with recipients that the sink refuses, also later.
var laterKinds = [][]string{
	{"ok"},
	{"later-552-5.2.2-0"},
	{"rcpt-550-5.1.1-0"},
	{"later-550-5.1.1-0", "rcpt-550-5.1.1-0", "ok"},
	{"eod-554-5.7.1-0"},
	{"later-554-5.7.1-0", "later-550-5.7.26-0"},
	{"rcpt-450-4.2.0-0"},
	{"rcpt-450-4.7.1-1"},
	{"ok", "rcpt-552-5.2.2-0", "rcpt-450-4.2.1-0"},
}

func laterMessages(n int) (list []message) {
	domains := []string{"oak.test", "birch.test", "cedar.test"}
	for i := range n {
		m := message{sender: fmt.Sprintf("news.%d@%s", i, home)}
		for j, fate := range laterKinds[i%len(laterKinds)] {
			m.recipients = append(m.recipients, fmt.Sprintf("%s.%dr%d@%s", fate, i, j, domains[i%len(domains)]))
		}
		list = append(list, m)
	}
	return list
}

func compareMailbox(t *testing.T, s mailServer, log string) {
	sink := startSink(t, logDir+"/sink.jsonl")
	s.start(t)
	eventually(t, "the mail server answers", func() bool { return listening("127.0.0.1:25") })
	list := laterMessages(90)
	if err := submit(list, pace); err != nil {
		t.Fatal(err)
	}
	for empty, limit := 0, time.Now().Add(3*patience); empty < 3; time.Sleep(time.Second) {
		if time.Now().After(limit) {
			t.Fatal("the mail server does not get rid of its queue")
		}
		if empty++; sink.unsent() > 0 || s.queued(t) {
			empty = 0
		}
	}

	want := sink.wanted(list)
	want.Domains[home] = domainNumbers{Delivered: len(sink.later)}
	failed := 0
	for _, d := range want.Domains {
		failed += d.Bounced + d.Expired
	}
	both := feedback{Refused: len(sink.later), Repeated: failed, Codes: map[string]int{}}
	for _, x := range sink.later {
		both.Codes[x.Code]++
	}
	together(t, "read at once", want, both, log, mailbox)
	for i, order := range [][]string{{log, mailbox}, {mailbox, log}} {
		db := fmt.Sprintf("%s/both%d.db", logDir, i)
		for _, path := range order {
			quiet(t, "ingest", "--quiet", "--db", db, path)
		}
		together(t, "first "+filepath.Base(order[0]), want, both, "--db", db)
		quiet(t, "ingest", "--quiet", "--db", db, mailbox, log)
		together(t, "once more", want, both, "--db", db)
	}
	var alone int
	for _, d := range reported(t, mailbox).Domains {
		alone += d.Bounced + d.Expired
	}
	if alone != failed+len(sink.later) {
		t.Errorf("the mailbox alone has %d recipients, want %d that failed and %d later", alone, failed, len(sink.later))
	}
}

// feedback is what bounces report.
type feedback struct {
	Refused, Repeated, Unmatched int
	Codes                        map[string]int // of what was refused later
}

// together compares a report of log and mailbox with what the sink did. Own bounces
// are those that the sink did not send.
func together(t *testing.T, what string, want numbers, both feedback, args ...string) {
	t.Helper()
	got := reported(t, args...)
	if got.OwnBounces == 0 {
		t.Errorf("%s: no own bounces", what)
	}
	want.OwnBounces = got.OwnBounces
	expect(t, what, got, want)
	var report struct {
		Feedback struct {
			feedback
			Rows []struct {
				Kind, Code string
				Count      int
			}
		}
	}
	out := quiet(t, append([]string{"report", "--format", "json"}, args...)...)
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	f := report.Feedback.feedback
	f.Codes = map[string]int{}
	for _, r := range report.Feedback.Rows {
		if r.Kind == "refused" {
			f.Codes[r.Code] += r.Count
		}
	}
	if fmt.Sprint(f) != fmt.Sprint(both) {
		t.Errorf("%s: feedback %+v, want %+v", what, f, both)
	}
	t.Logf("%s: feedback %+v", what, f)
}

// bounceLater returns what sends a bounce about a recipient that was accepted.
func (s *sink) bounceLater(v server, sender, recipient string, f fate, text string) func() {
	s.mu.Lock()
	s.waiting++
	s.mu.Unlock()
	return func() {
		err := sendBounce(v, sender, recipient, f, text)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiting--
		x := said{Time: time.Now(), Domain: v.domain, Stage: "later", Recipient: recipient, Code: f.reported(), Bounce: true}
		if err != nil {
			x.Code = err.Error()
		}
		s.later = append(s.later, x)
		s.log.Encode(x)
	}
}

// unsent is how many bounces are still to be sent.
func (s *sink) unsent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

func sendBounce(v server, sender, recipient string, f fate, text string) error {
	header, _, _ := strings.Cut(text, "\r\n\r\n")
	lines := []string{
		"From: Mail Delivery Subsystem <MAILER-DAEMON@mx." + v.domain + ">",
		"To: <" + sender + ">",
		"Subject: Undeliverable",
		"Date: " + time.Now().Format(time.RFC1123Z),
		fmt.Sprintf("Message-ID: <later.%d@mx.%s>", time.Now().UnixNano(), v.domain),
		"MIME-Version: 1.0",
		`Content-Type: multipart/report; report-type=delivery-status; boundary="later"`,
		"", "--later", "Content-Type: text/plain", "", "Your message was accepted, and could not be delivered.",
		"", "--later", "Content-Type: message/delivery-status", "",
		"Reporting-MTA: dns; inner." + v.domain,
		"", "Final-Recipient: rfc822; " + recipient, "Action: failed", "Status: " + f.enhanced,
		"Diagnostic-Code: smtp; " + f.code + " " + f.enhanced + " refused after all",
		"", "--later", "Content-Type: text/rfc822-headers", "",
		header,
		"", "--later--", "",
	}
	return smtp.SendMail("127.0.0.1:25", nil, "", []string{sender}, []byte(strings.Join(lines, "\r\n")))
}
