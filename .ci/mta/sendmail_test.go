package mta

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sendmail is Debian's sendmail, set up to relay to the sink alone, with retries
// in seconds instead of hours. What its sendmail command takes goes through the
// queue for submission first, and is logged there too.
type sendmail struct{}

// sendmailMC is the configuration in the language of m4, with "x" for its `x'.
//
// Each message is tried before it is acknowledged: when that is left to a process in
// the background, the daemon may hang up without an answer, and nobody knows whether
// it has the message. Each message of a queue run has a process of its own: within
// one, sendmail remembers which server did not answer, and reports a deferral that no
// server has given.
const sendmailMC = `divert(0)dnl
include("/usr/share/sendmail/cf/m4/cf.m4")dnl
OSTYPE("debian")dnl
DOMAIN("debian-mta")dnl
undefine("confHOST_STATUS_DIRECTORY")dnl
define("confDOMAIN_NAME", "mx1.sender.test")dnl
define("confDELIVERY_MODE", "interactive")dnl
define("confSEPARATE_PROC", "True")dnl
define("confMIN_QUEUE_AGE", "2s")dnl
define("confTO_QUEUERETURN", "14s")dnl
define("confTO_QUEUEWARN", "1d")dnl
define("confTO_IDENT", "0")dnl
define("confQUEUE_LA", "1000")dnl
define("confREFUSE_LA", "1000")dnl
define("confDELAY_LA", "1000")dnl
define("confDONT_PROBE_INTERFACES", "True")dnl
define("ESMTP_MAILER_ARGS", "TCP $h %d")dnl
FEATURE("no_default_msa")dnl
FEATURE("nocanonify")dnl
FEATURE("accept_unresolvable_domains")dnl
FEATURE("mailertable")dnl
FEATURE("access_db")dnl
FEATURE("blocklist_recipients")dnl
DAEMON_OPTIONS("Family=inet, Name=MTA, Port=smtp, Addr=127.0.0.1")dnl
MAILER("local")dnl
MAILER("smtp")dnl
`

// sendmailSubmitMC is added to the configuration of the sendmail command, which
// passes mail on to the daemon, however busy the machine is.
const sendmailSubmitMC = `define("confDOMAIN_NAME", "mx1.sender.test")dnl
define("confQUEUE_LA", "1000")dnl
FEATURE("nocanonify")dnl
`

// sendmailSwitch is the name service of both: sendmail does not read
// /etc/nsswitch.conf, and asks a DNS that is not there.
const sendmailSwitch = "hosts files\naliases files\n"

const (
	sendmailQueue       = "/var/spool/mqueue"
	sendmailSubmissions = "/var/spool/mqueue-client"
)

func (sendmail) start(t *testing.T) {
	write(t, "/etc/mail/sendmail.mc", quote(fmt.Sprintf(sendmailMC, sinkPort)))
	write(t, "/etc/mail/sendmail.cf", run(t, "m4", "/etc/mail/sendmail.mc"))
	write(t, "/etc/mail/service.switch", sendmailSwitch)
	submit, err := os.ReadFile("/etc/mail/submit.mc")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/mail/submit.mc", strings.Replace(string(submit), "FEATURE(`msp'", quote(sendmailSubmitMC)+"FEATURE(`msp'", 1))
	write(t, "/etc/mail/submit.cf", run(t, "m4", "/etc/mail/submit.mc"))
	var routes strings.Builder
	for _, s := range sinkServers {
		fmt.Fprintf(&routes, "%s\tesmtp:[mx.%s]\n", s.domain, s.domain)
	}
	makeMap(t, "mailertable", routes.String())
	makeMap(t, "access", "Connect:127\tRELAY\nTo:refused@oak.test\tERROR:5.7.1:550 not this one\n")
	for dir, owner := range map[string]string{"mta": "smmta:smmsp", "msp": "smmsp:smmsp"} {
		if err := os.MkdirAll("/run/sendmail/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "chown", owner, "/run/sendmail/"+dir)
	}
	// The second goes into the background by itself; it ends with the room.
	for _, args := range [][]string{{"-bD", "-q2s"}, {"-Ac", "-q2s"}} {
		daemon := exec.Command("/usr/sbin/sendmail", args...)
		daemon.Stdout, daemon.Stderr = os.Stdout, os.Stderr
		startProcess(t, daemon)
	}
}

// quote puts m4's quotes in the place of ".
func quote(mc string) string {
	return strings.NewReplacer("(\"", "(`", ", \"", ", `", "\"", "'").Replace(mc)
}

// makeMap writes a table as text and as sendmail reads it.
func makeMap(t *testing.T, name, text string) {
	path := "/etc/mail/" + name
	write(t, path, text)
	cmd := exec.Command("makemap", "hash", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("makemap %s: %v\n%s", path, err, out)
	}
}

func (sendmail) queued(t *testing.T) bool {
	for _, dir := range []string{sendmailQueue, sendmailSubmissions} {
		files, err := filepath.Glob(dir + "/[qQ]f*")
		if err != nil {
			t.Fatal(err)
		}
		if len(files) > 0 {
			return true
		}
	}
	return false
}

func TestSendmail(t *testing.T) {
	if enter(t, "sendmail-bin", "sendmail-cf", "m4", "rsyslog", "logrotate", "iproute2") {
		return
	}
	startSyslog(t, templates)
	follow(t, sendmail{}, created, truncated)
}
