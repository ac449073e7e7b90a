package sites

import (
	"cmp"
	"fmt"
	"time"
)

func (l *lines) postfix(m *Message, id string) {
	said := func(at time.Time, program, format string, args ...any) {
		l.add(at, "%s postfix/%s[%d]: %s: %s", m.Host, program, 1000+len(id), id,
			fmt.Sprintf(format, args...))
	}
	said(m.At, "smtpd", "client=%s[10.0.0.%d], sasl_method=LOGIN, sasl_username=%s", m.Client,
		5+len(m.Client), m.Account)
	said(m.At, "cleanup", "message-id=<%s.%d@%s>", id, m.At.Unix(), domainOf(m.Sender))
	said(m.At, "qmgr", "from=<%s>, size=%d, nrcpt=%d (queue active)", m.Sender, m.Size, len(m.Recipients))
	end, done := m.At, 0
	for _, r := range m.Recipients {
		for i := range r.Attempts {
			a := &r.Attempts[i]
			program := "smtp"
			if a.Relay == localName {
				program = "local"
			}
			said(a.At, program, "to=<%s>, relay=%s, delay=%.1f, delays=0.1/0/0.3/0.2, %s", r.Address,
				postfixRelay(a), a.At.Sub(m.At).Seconds(), postfixStatus(a))
			if a.Outcome == Delivered || a.Outcome == Bounced {
				done++
				if a.At.After(end) {
					end = a.At
				}
			}
		}
	}
	if done == len(m.Recipients) {
		said(end, "qmgr", "removed")
	}
}

func postfixRelay(a *Attempt) string {
	switch {
	case a.Relay == "", a.Outcome == Suspended, a.Reply.Stage == "connect", a.Reply.Stage == "dns":
		return "none"
	case a.Relay == localName:
		return a.Relay
	}
	return fmt.Sprintf("%s[%s]:25", a.Relay, a.IP)
}

func postfixStatus(a *Attempt) string {
	dsn := cmp.Or(a.Reply.Enhanced, "4.4.1")
	if len(dsn) < 5 {
		dsn = "5.0.0"
	}
	switch a.Outcome {
	case Delivered:
		return "dsn=2.0.0, status=sent (250 2.0.0 OK: queued)"
	case Suspended:
		return fmt.Sprintf("dsn=%s, status=deferred (delivery temporarily suspended: %s)", dsn, a.Reply.Text)
	}
	status := "bounced"
	if a.Outcome == Deferred {
		status = "deferred"
	}
	if a.Reply.Source != "remote" {
		return fmt.Sprintf("dsn=%s, status=%s (%s)", dsn, status, a.Reply.Text)
	}
	command := map[string]string{"mail": "MAIL FROM", "rcpt": "RCPT TO", "end-of-data": "end of DATA"}[a.Reply.Stage]
	return fmt.Sprintf("dsn=%s, status=%s (host %s[%s] said: %s (in reply to %s command))", dsn, status,
		a.Relay, a.IP, a.Reply.Text, command)
}
