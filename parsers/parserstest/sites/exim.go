package sites

import (
	"fmt"
	"strings"
)

// eximID returns Exim's message id for the n-th message.
func eximID(n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var b [6]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], n = digits[n%62], n/62
	}
	return "1x" + string(b[2:]) + "-" + string(b[:]) + "-0A"
}

func (l *lines) exim(m *Message, id string) {
	said := func(a *Attempt, format string, args ...any) {
		l.add(a.At, "%s %s", id, fmt.Sprintf(format, args...))
	}
	var to []string
	for _, r := range m.Recipients {
		to = append(to, r.Address)
	}
	l.add(m.At, "%s <= %s H=%s [10.0.0.%d] P=esmtpsa A=login:%s S=%d id=%s@%s for %s", id, m.Sender,
		m.Client, 5+len(m.Client), m.Account, m.Size, id, domainOf(m.Sender), strings.Join(to, " "))
	end, done := m.At, 0
	for _, r := range m.Recipients {
		for i := range r.Attempts {
			a := &r.Attempts[i]
			said(a, "%s", eximOutcome(r, a))
			if a.Outcome == Delivered || a.Outcome == Bounced {
				if done++; a.At.After(end) {
					end = a.At
				}
			}
		}
	}
	if done == len(m.Recipients) {
		l.add(end, "%s Completed", id)
	}
}

func eximOutcome(r *Recipient, a *Attempt) string {
	const remote = "R=dnslookup T=remote_smtp"
	switch {
	case a.Relay == localName:
		return eximLocal(r, a)
	case a.Outcome == Delivered:
		return fmt.Sprintf(`=> %s %s H=%s [%s] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C="250 2.0.0 OK"`,
			r.Address, remote, a.Relay, a.IP)
	case a.Outcome == Suspended:
		return fmt.Sprintf("== %s %s defer (-53): retry time not reached for any host for '%s'", r.Address,
			remote, domainOf(r.Address))
	case a.Reply.Source == "dns":
		return fmt.Sprintf("== %s R=dnslookup defer (-1): host lookup did not complete", r.Address)
	case a.Reply.Source == "tls":
		return fmt.Sprintf("== %s %s defer (-38) H=%s [%s]: a TLS session is required, but the server "+
			"did not offer TLS support", r.Address, remote, a.Relay, a.IP)
	case a.Reply.Source == "network" && strings.Contains(a.Reply.Text, "refused"):
		return fmt.Sprintf("== %s %s defer (111) H=%s [%s]: Connection refused", r.Address, remote,
			a.Relay, a.IP)
	case a.Reply.Source == "network":
		return fmt.Sprintf("== %s %s defer (110) H=%s [%s]: Connection timed out", r.Address, remote,
			a.Relay, a.IP)
	}
	command := map[string]string{"mail": "MAIL FROM:<" + r.Address + ">", "rcpt": "RCPT TO:<" + r.Address + ">", "end-of-data": "end of data"}[a.Reply.Stage]
	said := fmt.Sprintf("H=%s [%s]: SMTP error from remote mail server after %s: %s", a.Relay, a.IP, command,
		a.Reply.Text)
	if a.Outcome == Bounced {
		return fmt.Sprintf("** %s %s %s", r.Address, remote, said)
	}
	return fmt.Sprintf("== %s %s defer (-44) %s", r.Address, remote, said)
}

func eximLocal(r *Recipient, a *Attempt) string {
	user, _, _ := strings.Cut(r.Address, "@")
	switch {
	case a.Outcome == Delivered:
		return fmt.Sprintf("=> %s <%s> R=localuser T=local_delivery", user, r.Address)
	case a.Outcome == Deferred:
		return fmt.Sprintf("== %s <%s> R=localuser T=local_delivery defer (28): No space left on device: "+
			"error while writing to /var/mail/%s", user, r.Address, user)
	case a.Reply.Enhanced == "5.2.2":
		return fmt.Sprintf("** %s <%s> R=localuser T=local_delivery: mailbox is full (MTA-imposed quota "+
			"exceeded while writing to file /var/mail/%s)", user, r.Address, user)
	}
	return fmt.Sprintf("** %s: Unknown user", r.Address)
}
