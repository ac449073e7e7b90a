// Package loggen generates Postfix logs whose counts are known, for tests and
// benchmarks. The same options always give the same log.
package loggen

import (
	"bufio"
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Options describe the log.
type Options struct {
	Seed     uint64
	Messages int
	Start    time.Time     // of the first message; zero: 2026-11-21 00:00 UTC
	Span     time.Duration // time within which the messages arrive; zero: 24 hours
}

// Counts are the numbers that a reader of the log must find.
type Counts struct {
	Lines, Bytes, Messages, Recipients      int64
	Delivered, Bounced, Expired, Pending    int64 // recipients by final state
	Attempts, Deferrals, Failures, Deferred int64 // Deferred: recipients
	Suspended, Rejected                     int64
	DeliveredByDomain, FailuresByDomain     map[string]int64 // recipients delivered, permanent failures
	FailingByCode                           map[string]int64 // deferrals and failures
}

// event is a line to write at a time.
type event struct {
	at    time.Duration // since Options.Start
	order int           // among events of the same time
	text  string
}

type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)   { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// reply is an answer of a server, with its code as reports show it.
type reply struct{ code, text, stage string }

var temporary = []reply{
	{"450 4.2.0", "450 4.2.0 <%[1]s>: Recipient address rejected: Greylisted, see http://postgrey.example/help/%[2]s.html", "RCPT TO"},
	{"421 4.7.0", "421 4.7.0 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.example.net/421.html", "MAIL FROM"},
	{"452 4.2.2", "452-4.2.2 The recipient's inbox is out of storage space. Please direct the 452-4.2.2 recipient to 452 4.2.2  https://support.example.com/mail/?p=OverQuotaTemp %[3]x - gsmtp", "RCPT TO"},
	{"451", "451 Temporary local problem - please try later", "RCPT TO"},
}

var permanent = []reply{
	{"550 5.1.1", "550-5.1.1 The email account that you tried to reach does not exist. 550 5.1.1  https://support.example.com/mail/?p=NoSuchUser %[3]x - gsmtp", "RCPT TO"},
	{"554 5.7.1", "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.example.org; https://www.example.org/query/ip/192.0.2.10", "RCPT TO"},
	{"550 5.7.26", "550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550 5.7.26 DKIM = did not pass %[3]x - gsmtp", "end of DATA"},
	{"552 5.2.2", "552 5.2.2 <%[1]s>: user is over quota", "RCPT TO"},
}

type generator struct {
	r      *rand.Rand
	opt    Options
	queue  events
	order  int
	counts Counts
	domain *rand.Zipf
	w      *bufio.Writer
}

// Generate writes a log in the classic syslog format, with times in UTC, and returns
// its counts.
func Generate(w io.Writer, opt Options) (Counts, error) {
	if opt.Start.IsZero() {
		opt.Start = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	}
	if opt.Span == 0 {
		opt.Span = 24 * time.Hour
	}
	r := rand.New(rand.NewPCG(opt.Seed, 1))
	g := &generator{
		r:      r,
		opt:    opt,
		domain: rand.NewZipf(r, 1.2, 3, 20_000),
		w:      bufio.NewWriterSize(w, 1<<16),
		counts: Counts{
			DeliveredByDomain: map[string]int64{},
			FailuresByDomain:  map[string]int64{},
			FailingByCode:     map[string]int64{},
		},
	}
	for i := range opt.Messages {
		at := time.Duration(float64(opt.Span) * float64(i) / float64(opt.Messages))
		g.message(i, at)
		g.write(at)
	}
	g.write(1 << 62)
	return g.counts, g.w.Flush()
}

// write writes the lines up to a time.
func (g *generator) write(until time.Duration) {
	for len(g.queue) > 0 && g.queue[0].at <= until {
		e := heap.Pop(&g.queue).(event)
		n, _ := fmt.Fprintf(g.w, "%s mx1 postfix/%s\n", g.opt.Start.Add(e.at).Format(time.Stamp), e.text)
		g.counts.Lines++
		g.counts.Bytes += int64(n)
	}
}

func (g *generator) line(at time.Duration, format string, args ...any) {
	heap.Push(&g.queue, event{at, g.order, fmt.Sprintf(format, args...)})
	g.order++
}

func (g *generator) message(i int, at time.Duration) {
	id := fmt.Sprintf("%X%05X", 0xA00+i%1500, i&0xfffff)
	client := fmt.Sprintf("app%d.example.com[192.0.2.%d]", i%7, 10+i%7)
	g.line(at, "smtpd[%d]: connect from %s", 1000+i%50, client)
	if g.r.IntN(20) == 0 {
		g.counts.Rejected++
		g.line(at, "smtpd[%d]: NOQUEUE: reject: RCPT from unknown[198.51.100.%d]: 554 5.7.1 "+
			"<u%d@elsewhere.example>: Relay access denied; from=<x@spam.example> "+
			"to=<u%d@elsewhere.example> proto=ESMTP helo=<spam.example>", 1000+i%50, i%250, i, i)
	}
	sender := fmt.Sprintf("news%d@list%d.example.com", i, i%12)
	g.line(at, "smtpd[%d]: %s: client=%s", 1000+i%50, id, client)
	g.line(at, "cleanup[%d]: %s: message-id=<%d.%s@list%d.example.com>", 2000+i%50, id, i, id, i%12)
	recipients := 1
	if g.r.IntN(10) == 0 {
		recipients += g.r.IntN(4)
	}
	g.line(at, "qmgr[300]: %s: from=<%s>, size=%d, nrcpt=%d (queue active)", id, sender,
		800+g.r.IntN(90_000), recipients)
	g.line(at+time.Second, "smtpd[%d]: disconnect from %s ehlo=1 mail=1 rcpt=%d data=1 quit=1 commands=%d",
		1000+i%50, client, recipients, 4+recipients)
	end, expired := at, false
	for n := range recipients {
		done, gone := g.recipient(i*5+n, at, id)
		end, expired = max(end, done), expired || gone
	}
	if expired {
		end += time.Second
		g.line(end, "qmgr[300]: %s: from=<%s>, status=expired, returned to sender", id, sender)
	}
	g.line(end, "qmgr[300]: %s: removed", id)
	g.counts.Messages++
	g.counts.Recipients += int64(recipients)
}

// recipient writes the lines of a recipient's attempts. It returns the time of its end,
// and whether it expired.
func (g *generator) recipient(n int, at time.Duration, id string) (time.Duration, bool) {
	d := g.domain.Uint64()
	domain := fmt.Sprintf("domain%d.example", d)
	server := 1 // of the domain's; one in ten goes to the second
	if g.r.IntN(10) == 0 {
		server = 2
	}
	relay := fmt.Sprintf("mx%d.provider%d.example[203.0.113.%d]:25", server, d%400, d%250)
	address := fmt.Sprintf("user%d@%s", n, domain)
	tries, fate := 0, "delivered"
	switch dice := g.r.IntN(100); {
	case dice < 6:
		fate = "bounced"
	case dice < 7:
		tries, fate = 5, "expired"
	case dice < 13:
		tries = 1 + g.r.IntN(3)
	}
	log := func(dsn, status, text string) {
		g.line(at, "smtp[%d]: %s: to=<%s>, relay=%s, delay=%.1f, delays=0.02/0.01/0.2/%.2f, dsn=%s, "+
			"status=%s (%s)", 4000+n%90, id, address, relay,
			0.3+g.r.Float64(), g.r.Float64(), dsn, status, text)
	}
	said := func(r reply) string {
		g.counts.FailingByCode[r.code]++
		return fmt.Sprintf("host %s said: %s (in reply to %s command)", relay[:len(relay)-3],
			fmt.Sprintf(r.text+"%[4]s", address, domain, n, ""), r.stage)
	}
	if tries > 0 {
		g.counts.Deferred++
	}
	for range tries {
		at += time.Second
		g.counts.Attempts++
		g.counts.Deferrals++
		log("4.0.0", "deferred", said(temporary[n%len(temporary)]))
		at += 10 * time.Minute
	}
	at += time.Second
	switch fate {
	case "delivered":
		g.counts.Attempts++
		g.counts.Delivered++
		g.counts.DeliveredByDomain[domain]++
		log("2.0.0", "sent", fmt.Sprintf("250 2.0.0 Ok: queued as %X", n*7919))
	case "bounced":
		g.counts.Attempts++
		g.counts.Failures++
		g.counts.Bounced++
		g.counts.FailuresByDomain[domain]++
		log("5.0.0", "bounced", said(permanent[n%len(permanent)]))
	case "expired":
		g.counts.Expired++
		return at, true
	}
	return at, false
}
