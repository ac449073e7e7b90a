package mta

import (
	"encoding/json"
	"errors"
	"net/smtp"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"
)

// TestLogins submits mail to a real Postfix with Cyrus SASL, with and without a
// login, and with wrong passwords, and asks who submitted what.
func TestLogins(t *testing.T) {
	if enter(t, "postfix", "rsyslog", "iproute2", "sasl2-bin", "libsasl2-modules") {
		return
	}
	const log = logDir + "/mail.log"
	startSyslog(t, map[string]string{log: "RSYSLOG_FileFormat"})
	accounts := map[string]int{"joe": 3, "ann": 2, "": 4} // messages of each, "" without a login
	startSink(t, logDir+"/sink.jsonl")
	startWithLogins(t, "joe", "ann")
	for name, n := range accounts {
		for range n {
			if err := submitAs(name, "secret", name+"@"+home); err != nil {
				t.Fatalf("mail of %q: %v", name, err)
			}
		}
	}
	const wrong = 6
	for range wrong {
		var reply *textproto.Error
		if err := submitAs("joe", "guessed", "joe@"+home); !errors.As(err, &reply) || reply.Code != 535 {
			t.Fatalf("a wrong password: %v", err)
		}
	}
	eventually(t, "the queue is empty", func() bool { return !postfix{}.queued(t) })

	want := logins{Accepted: 5, Failed: wrong, Joe: 3, Ann: 2}
	eventually(t, "all is in the log", func() bool { return loginsOf(t, log).Failed == wrong })
	if got := loginsOf(t, log); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// startWithLogins starts a Postfix that knows accounts by a password, takes mail
// without a login too.
func startWithLogins(t *testing.T, accounts ...string) {
	write(t, "/etc/postfix/sasl/smtpd.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n")
	for _, name := range accounts {
		save := exec.Command("saslpasswd2", "-p", "-c", "-u", "mx1.sender.test", name)
		save.Stdin = strings.NewReader("secret")
		if out, err := save.CombinedOutput(); err != nil {
			t.Fatalf("saslpasswd2: %v\n%s", err, out)
		}
	}
	run(t, "chgrp", "postfix", "/etc/sasldb2")
	run(t, "chmod", "0640", "/etc/sasldb2")
	postfix{}.configure(t, "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_local_domain = $myhostname\n", "")
	eventually(t, "the mail server answers", func() bool { return listening(mailServerAddress) })
}

// submitAs submits a message to an address that the sink refuses; without a login
// when account is "".
func submitAs(account, password, sender string) error {
	var login smtp.Auth
	if account != "" {
		login = smtp.PlainAuth("", account, password, "127.0.0.1")
	}
	return smtp.SendMail(mailServerAddress, login, sender, []string{"rcpt-550-5.1.1-0.0r0@oak.test"}, []byte("Subject: x\r\n\r\nx\r\n"))
}

// logins is what a report says of them: messages that came in after one, attempts
// that failed, and the failed recipients of two accounts.
type logins struct{ Accepted, Failed, Joe, Ann int }

func loginsOf(t *testing.T, log string) (l logins) {
	var r struct {
		Volumes []struct {
			Measure, Value string
			Count          int
		}
		Accounts []struct {
			Account string
			Failed  int
		}
	}
	if err := json.Unmarshal(quiet(t, "report", "--by", "volume", "--format", "json", log), &r); err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Volumes {
		switch v.Measure + " " + v.Value {
		case "logins accepted":
			l.Accepted = v.Count
		case "logins failed":
			l.Failed = v.Count
		}
	}
	if err := json.Unmarshal(quiet(t, "report", "--by", "account", "--format", "json", log), &r); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Accounts {
		switch row.Account {
		case "joe@mx1.sender.test":
			l.Joe = row.Failed
		case "ann@mx1.sender.test":
			l.Ann = row.Failed
		}
	}
	return l
}
