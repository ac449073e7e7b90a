package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"mailfail/registry"
	"mailfail/report"
	"mailfail/report/mail"
)

// mailFlags are the flags for mailing a report.
type mailFlags struct {
	to           []string
	from         string
	server, user string
	passwordFile string
	onlyIf       string
}

func (f *mailFlags) add(flags *pflag.FlagSet) {
	flags.StringSliceVar(&f.to, "mail-to", nil, "mail the report to these addresses instead of printing it")
	flags.StringVar(&f.from, "mail-from", "",
		"sender of the mail, who also gets its bounces (else mailfail@ this host)")
	flags.StringVar(&f.server, "smtp", "", "server that takes the mail, HOST:PORT (else the local sendmail)")
	flags.StringVar(&f.user, "smtp-user", "",
		"name to log in with; its password is in $MAILFAIL_SMTP_PASSWORD or in --smtp-password-file")
	flags.StringVar(&f.passwordFile, "smtp-password-file", "", "file with the password of --smtp-user")
	flags.StringVar(&f.onlyIf, "only-if", "", "mail only if there are: problems")
}

func (f *mailFlags) wanted() bool { return len(f.to) > 0 }

func (f *mailFlags) check() error {
	switch {
	case f.onlyIf != "" && f.onlyIf != "problems":
		return unknownValue("--only-if", f.onlyIf, []string{"problems"})
	case !f.wanted() && (f.server != "" || f.user != "" || f.from != "" || f.onlyIf != ""):
		return usageError("--smtp, --smtp-user, --mail-from and --only-if need --mail-to")
	case f.user != "" && f.server == "":
		return usageError("--smtp-user needs --smtp")
	}
	return nil
}

// send mails a report.
func (f *mailFlags) send(cmd *cobra.Command, v *report.View) error {
	if f.onlyIf == "problems" && !v.Alarm {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	m := &mail.Message{From: atHost("mailfail", host), Host: host, Subject: v.Subject, Date: time.Now()}
	if f.from != "" {
		m.From = atHost(f.from, host)
	}
	for _, to := range f.to {
		m.To = append(m.To, atHost(to, host))
	}
	var text, html strings.Builder
	if err := v.WriteText(&text, report.TextOptions{Width: 78}); err != nil {
		return err
	}
	if err := v.WriteHTML(&html, report.HTMLOptions{Mail: true}); err != nil {
		return err
	}
	m.Text, m.HTML = text.String(), html.String()
	way, err := f.way()
	if err != nil {
		return err
	}
	return mail.Send(cmd.Context(), m, way)
}

// atHost returns an address. It adds this host to a local user.
func atHost(address, host string) string {
	if strings.Contains(address, "@") {
		return address
	}
	return address + "@" + host
}

// way returns how to send the mail.
func (f *mailFlags) way() (w mail.Way, err error) {
	w = mail.Way{Server: f.server, User: f.user, Bounces: f.from != ""}
	if f.server == "" {
		w.Sendmail, err = findSendmail()
		return w, err
	}
	if f.user == "" {
		return w, nil
	}
	w.Password = os.Getenv("MAILFAIL_SMTP_PASSWORD")
	if f.passwordFile != "" {
		text, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return w, fmt.Errorf("read the password of --smtp-user: %w", err)
		}
		w.Password = strings.TrimRight(string(text), "\r\n")
	}
	if w.Password == "" {
		return w, fmt.Errorf("no password for %s: set $MAILFAIL_SMTP_PASSWORD, or name a file with "+
			"--smtp-password-file", registry.Foreign(f.user))
	}
	return w, nil
}

// findSendmail returns the path of the sendmail program, which every mail server on
// Unix provides.
func findSendmail() (string, error) {
	for _, path := range []string{"/usr/sbin/sendmail", "/usr/lib/sendmail"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("sendmail")
	if err != nil {
		return "", errors.New("cannot find sendmail in /usr/sbin, /usr/lib or $PATH; name a server with " +
			"--smtp HOST:PORT")
	}
	return path, nil
}
