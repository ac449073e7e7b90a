package sites

import (
	"fmt"
	"strings"
	"time"
)

const exchangeHead = `#Software: Microsoft Exchange Server
#Version: 8.0.0.0
#Log-type: Message Tracking Log
#Date: %s
#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address,return-path,message-info
`

const exchangeTime = "2006-01-02T15:04:05.000Z"

// exchange adds the rows of a message in a message tracking log. Exchange writes no row
// for a suspended attempt, because the queue is in retry.
func (l *lines) exchange(m *Message, n int) {
	id := fmt.Sprintf("<%d.%s@%s>", n, m.Account, domainOf(m.Sender))
	row := func(at time.Time, ip, client, server, source, event, to, status string, count int) {
		l.add(at, ",%s,%s,%s,%s,,Outbound,%s,%s,%d,%s,%s,%s,%d,%d,,,Subject,%s,%s,", ip, client, "10.0.0.1",
			server, source, event, 70000000000000+n, id, to, status, m.Size, count, m.Sender, m.Sender)
	}
	var to []string
	for _, r := range m.Recipients {
		to = append(to, r.Address)
	}
	row(m.At, "10.0.0.9", m.Client, m.Host, "SMTP", "RECEIVE", strings.Join(to, ";"), "", len(to))
	for _, r := range m.Recipients {
		for i := range r.Attempts {
			a := &r.Attempts[i]
			source := "SMTP"
			if a.Relay == localName {
				source = "STOREDRIVER"
			}
			switch a.Outcome {
			case Delivered:
				event, server, status := "SEND", a.Relay, "250 2.1.5 Recipient OK"
				if a.Relay == localName {
					event, server, status = "DELIVER", m.Host, ""
				}
				row(a.At, a.IP, m.Host, server, source, event, r.Address, status, 1)
			case Deferred:
				row(a.At, a.IP, m.Host, exchangeRelay(a), source, "DEFER", r.Address, exchangeStatus(a), 1)
			case Bounced:
				row(a.At, a.IP, m.Host, exchangeRelay(a), source, "FAIL", r.Address, exchangeStatus(a), 1)
			}
		}
	}
}

func exchangeRelay(a *Attempt) string {
	if a.Relay == localName || a.Reply.Stage == "connect" {
		return ""
	}
	return a.Relay
}

func exchangeStatus(a *Attempt) string {
	text := a.Reply.Text
	switch {
	case a.Relay == localName && a.Outcome == Deferred:
		text = "431 4.3.1 STOREDRV.Storage; mailbox storage quota or disk full: No space left on device"
	case a.Relay == localName && a.Reply.Enhanced == "5.2.2":
		text = "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException"
	case a.Relay == localName:
		text = "550 5.1.1 RESOLVER.ADR.RecipNotFound; not found"
	case a.Reply.Source == "dns":
		text = "451 4.4.0 DNS query failed. The error was: SMTPSEND.DNS.ServFail; nonexistent domain or " +
			"DNS server failure"
	case a.Reply.Source == "tls":
		text = "451 5.7.3 STARTTLS is required to send mail"
	case a.Reply.Source == "network":
		text = `451 4.4.0 Primary target IP address responded with: "421 4.4.1 Connection timed out." Attempted failover to alternate host, but that did not succeed.`
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}
