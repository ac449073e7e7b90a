package sites

import (
	"fmt"
	"strings"
	"time"
)

func reply(code, enhanced, text, stage string) Reply {
	return Reply{
		Code:      code,
		Enhanced:  enhanced,
		Text:      text,
		Stage:     stage,
		Source:    "remote",
		Temporary: code[0] == '4',
	}
}

func broken(text, stage, source string) Reply {
	return Reply{Text: text, Stage: stage, Source: source, Temporary: true}
}

// Replies of remote servers.
var (
	unknownGoogle = reply("550", "5.1.1",
		"550-5.1.1 The email account that you tried to reach does not exist. Please try 550-5.1.1 "+
			"double-checking the recipient's email address for typos or 550-5.1.1 unnecessary spaces. "+
			"For more information, go to 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser %x - "+
			"gsmtp", "rcpt")
	unknownMicrosoft = reply("550", "5.5.0",
		"550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). "+
			"[%x.eurprd07.prod.outlook.com]", "rcpt")
	unknownYahoo = reply("552", "1", "552 1 Requested mail action aborted, mailbox not found", "end-of-data")
	unknownPlain = reply("550", "5.1.1",
		"550 5.1.1 <%a>: Recipient address rejected: User unknown in virtual mailbox table", "rcpt")

	fullSoft  = reply("452", "4.2.2", "452 4.2.2 <%a>: Mailbox full", "rcpt")
	fullHard  = reply("552", "5.2.2", "552 5.2.2 <%a>: user is over quota", "end-of-data")
	greyReply = reply("450", "4.2.0",
		"450 4.2.0 <%a>: Recipient address rejected: Greylisted, please try again later", "rcpt")
	spamReply = reply("554", "5.7.1", "554 5.7.1 Message rejected as spam by content filter (id %x)",
		"end-of-data")
	limitYahoo = reply("421", "4.7.0",
		"421 4.7.0 [TSS04] Messages from 192.0.2.25 temporarily deferred due to unexpected volume or "+
			"user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "mail")
	limitMS = reply("451", "4.7.500",
		"451 4.7.500 Server busy. Please try again later from [192.0.2.25]. (S77714) "+
			"[%x.eurprd07.prod.outlook.com]", "rcpt")
	limitGmail = reply("421", "4.7.28",
		"421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP "+
			"address. To protect our users from spam, mail sent from your IP address has been "+
			"temporarily rate limited. 421 4.7.28 "+
			"https://support.google.com/mail/?p=UnsolicitedRateLimitError %x - gsmtp", "end-of-data")
	limitPlain = reply("450", "4.7.1",
		"450 4.7.1 Error: too many connections from 192.0.2.25, rate limited, try again later", "rcpt")

	blockMS = reply("550", "5.7.1",
		"550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent. Please contact your Internet "+
			"service provider since part of their network is on our block list (S3140). You can also "+
			"refer your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. "+
			"[%x.eop-eur01.prod.protection.outlook.com]", "mail")
	blockGmail = reply("550", "5.7.1",
		"550-5.7.1 [192.0.2.25      12] Our system has detected that this message is likely unsolicited "+
			"mail. To reduce the amount of spam sent to Gmail, this message has been blocked. 550 5.7.1  "+
			"https://support.google.com/mail/?p=UnsolicitedMessageError %x - gsmtp", "end-of-data")
	blockYahoo = reply("553", "5.7.1",
		"553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.25, because the ip is in "+
			"Spamhaus's list; see https://postmaster.yahooinc.com/550-bl23", "mail")
	blockPlain = reply("554", "5.7.1",
		"554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked by our local policy, reputation "+
			"too low", "rcpt")
	listed = reply("554", "5.7.1",
		"554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.spamhaus.org; "+
			"https://www.spamhaus.org/query/ip/192.0.2.25", "rcpt")

	dmarcGmail = reply("550", "5.7.26",
		"550-5.7.26 Unauthenticated email from %s is not accepted due to domain's 550-5.7.26 DMARC "+
			"policy. Please contact the administrator of %s domain. 550 5.7.26 "+
			"https://support.google.com/mail/?p=UnauthenticatedMail %x - gsmtp", "end-of-data")
	dmarcMS = reply("550", "5.7.509",
		"550 5.7.509 Access denied, sending domain %s does not pass DMARC verification and has a DMARC "+
			"policy of reject. [%x.eurprd07.prod.outlook.com]", "end-of-data")
	dmarcPlain = reply("550", "5.7.1", "550 5.7.1 Email rejected per DMARC policy for %s", "end-of-data")
	tooBig     = reply("552", "5.3.4", "552 5.3.4 Message size exceeds fixed limit", "mail")
	content    = reply("550", "5.7.1",
		"550 5.7.1 Message contains a blocked attachment type or URL; rejected by content policy %x",
		"end-of-data")
	policy = reply("550", "5.7.1", "550 5.7.1 Message refused by administrative policy", "rcpt")

	timedOut = broken("connect to %r[%i]:25: Connection timed out", "connect", "network")
	lost     = broken("lost connection with %r[%i] while receiving the initial server greeting",
		"banner", "network")
	refused   = broken("connect to %r[%i]:25: Connection refused", "connect", "network")
	dnsBroken = broken("Host or domain name not found. Name service error for name=%d type=MX: Host "+
		"not found, try again", "dns", "dns")
	tlsBroken = broken("TLS is required, but was not offered by host %r[%i]", "starttls", "tls")
	tlsVerify = broken("Server certificate not trusted", "starttls", "tls")
	diskFull  = Reply{
		Enhanced: "4.2.2",
		Text: "cannot update mailbox /var/mail/user for user. error writing message: No space left " +
			"on device",
		Stage:     "local",
		Source:    "local",
		Temporary: true,
	}
	unknownHere = Reply{Enhanced: "5.1.1", Text: "unknown user: \"%a\"", Stage: "local", Source: "local"}
	fullHere    = Reply{
		Enhanced: "5.2.2",
		Text:     "maildir delivery failed: mailbox is over quota",
		Stage:    "local",
		Source:   "local",
	}
)

// hit is the effect of an incident on mail.
type hit struct {
	span
	share float64 // of the matching attempts that fail
	match func(*Message, *Recipient) bool
	reply func(*Message, *Recipient) Reply
	truth *Truth // where the recipients are counted; nil when they are not
}

// retries are the times of the attempts, in minutes after the arrival.
var retries = []int{0, 5, 15, 35, 75, 140, 205, 270, 340, 410, 480, 550, 620, 690, 760, 830, 900, 970, 1040,
	1110, 1180, 1250, 1320, 1390}

// deliver makes the attempts for each recipient of a message until it is delivered, it
// bounces or the site ends. In a stuck queue there are none.
func (m *maker) deliver(msg *Message) {
	for _, r := range msg.Recipients {
		if m.stuck(msg) {
			m.count(&m.site.Truth, msg.At, 1)
			continue
		}
		for i, minutes := range retries {
			at := msg.At.Add(time.Duration(minutes)*time.Minute + time.Duration(1+m.r.IntN(4))*time.Second)
			if i > 0 {
				at = at.Add(time.Duration(m.r.IntN(120)) * time.Second)
			}
			if !at.Before(m.site.End) {
				break
			}
			a := m.try(msg, r, at, i == 0)
			r.Attempts = append(r.Attempts, a)
			if a.Outcome == Delivered || a.Outcome == Bounced {
				break
			}
		}
	}
}

func (m *maker) stuck(msg *Message) bool {
	for _, s := range m.held {
		if s.holds(msg.At) && (m.heldHost == "" || msg.Host == m.heldHost) {
			return true
		}
	}
	return false
}

// try makes one attempt.
func (m *maker) try(msg *Message, r *Recipient, at time.Time, first bool) Attempt {
	a := Attempt{At: at, Relay: r.domain.relay}
	if m.smarthost != "" && !r.domain.by.isLocal() && msg.Host == m.site.Hosts[len(m.site.Hosts)-1] {
		a.Relay = m.smarthost
	}
	a.IP = addressOf(a.Relay)
	rep, failed, truth := m.fails(msg, r, at)
	if !failed {
		return a
	}
	dead := rep.Stage == "connect" || rep.Stage == "dns" || rep.Stage == "starttls"
	if rep.Source == "dns" {
		a.Relay, a.IP = "", ""
	}
	key := "dead " + msg.Host + r.domain.name
	if rep.Stage == "connect" {
		key = "dead " + msg.Host + a.Relay
	}
	rep.Text = m.fill(rep.Text, msg, r, &a)
	a.Reply, a.Outcome = rep, Bounced
	if rep.Temporary {
		a.Outcome = Deferred
	}
	if dead && rep.Temporary {
		if until, ok := m.known[key]; ok && at.Before(until) && (first || m.r.IntN(3) > 0) {
			a.Outcome = Suspended
		} else if first {
			m.known[key] = at.Add(5 * time.Minute)
		}
	}
	if truth != nil && first {
		m.count(truth, at, 1)
	}
	return a
}

// count records that an incident met n recipients.
func (m *maker) count(t *Truth, at time.Time, n int) {
	for range n {
		t.Met = append(t.Met, at)
	}
}

// fails reports whether an attempt fails, with the reply and the Truth of the incident
// that caused it, nil for an ordinary failure.
func (m *maker) fails(msg *Message, r *Recipient, at time.Time) (Reply, bool, *Truth) {
	for i := range m.hits {
		h := &m.hits[i]
		if t := h.truth; t != nil && t.Fine.Before(at) && at.After(h.from.AddDate(0, 0, -1)) &&
			at.Before(h.from) && h.match(msg, r) {
			t.Fine = at
		}
		if h.holds(at) && h.match(msg, r) && m.r.Float64() < h.share {
			return h.reply(msg, r), true, h.truth
		}
	}
	d := r.domain
	switch d.dead {
	case "dns":
		return dnsBroken, true, nil
	case "connect":
		return timedOut, true, nil
	}
	for _, s := range d.by.down {
		if s.holds(at) {
			return timedOut, true, nil
		}
	}
	rep, failed := m.ordinary(msg, r, at)
	return rep, failed, nil
}

// ordinary reports whether an attempt fails without an incident: for its address, a
// burst, greylisting or content.
func (m *maker) ordinary(msg *Message, r *Recipient, at time.Time) (Reply, bool) {
	d := r.domain
	if d.by.limit > 0 && m.tooMany(msg.app.domain, d.by, at) {
		switch d.by.name {
		case "Google":
			return limitGmail, true
		case "Microsoft":
			return limitMS, true
		}
		return limitYahoo, true
	}
	if d.by.grey {
		key := "grey " + msg.app.domain + " " + r.Address
		since, known := m.known[key]
		if !known {
			m.known[key] = at
			return greyReply, true
		}
		if at.Sub(since) < 4*time.Minute {
			return greyReply, true
		}
	}
	switch {
	case strings.HasPrefix(r.Address, "gone"):
		return d.by.unknown, true
	case strings.HasPrefix(r.Address, "full"):
		if d.by.isLocal() {
			return fullHere, true
		}
		if len(d.name)%2 == 0 {
			return fullHard, true
		}
		return fullSoft, true
	case m.r.Float64() < m.refusals(msg, d.by, at):
		return spamReply, true
	}
	return Reply{}, false
}

// refusals returns the rate at which an operator refuses a message for its content.
func (m *maker) refusals(msg *Message, o *operator, at time.Time) float64 {
	switch {
	case msg.spam && o.name != "" && !o.isLocal():
		return .65
	case o.mood != nil:
		return o.fussy * o.mood(at)
	}
	return o.fussy
}

// tooMany reports whether a sender has reached an operator's limit of recipients in five
// minutes. Refused recipients do not count.
func (m *maker) tooMany(sender string, o *operator, at time.Time) bool {
	key := burst{sender, o, at.Unix() / 300}
	if m.recent[key] >= o.limit {
		return true
	}
	m.recent[key]++
	return false
}

// burst is the key under which an operator counts recipients.
type burst struct {
	sender string // domain
	by     *operator
	at     int64 // five-minute intervals since 1970
}

// fill inserts the variable parts of a reply.
func (m *maker) fill(text string, msg *Message, r *Recipient, a *Attempt) string {
	if !strings.Contains(text, "%") {
		return text
	}
	return strings.NewReplacer("%a", r.Address, "%s", domainOf(msg.Sender), "%d", r.domain.name, "%r",
		a.Relay, "%i", a.IP,
		"%x", fmt.Sprintf("%012x.%d", m.r.Uint64()>>16, m.r.IntN(1000))).Replace(text)
}

// addressOf returns the IP address of a relay, "" for none and for local delivery.
func addressOf(relay string) string {
	if relay == "" || relay == localName {
		return ""
	}
	h := uint32(2166136261)
	for i := range len(relay) {
		h = (h ^ uint32(relay[i])) * 16777619
	}
	return fmt.Sprintf("198.51.%d.%d", h>>8&63+100, h&0xff)
}

// byName returns the domains by their names.
func (m *maker) byName() map[string]*domain {
	if m.index == nil {
		m.index = map[string]*domain{}
	}
	if len(m.index) != len(m.domains) {
		for _, d := range m.domains {
			m.index[d.name] = d
		}
	}
	return m.index
}
