package mta

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fate is what the sink does to a recipient, written into its local part:
// STAGE-CODE-ENHANCED-TIMES.SERIAL, as in "rcpt-450-4.7.1-2.17": refuse at RCPT
// with 450 4.7.1, twice, then accept. TIMES 0 is always; CODE "drop" closes the
// connection; ENHANCED "x" is none. The fate of MAIL FROM stands in the
// sender's local part. At the stage "later" the recipient is accepted, and a bounce
// sent. Every other address is accepted.
type fate struct {
	stage, code, enhanced string
	times                 int
}

func parseFate(address string) (f fate, ok bool) {
	local, _, _ := strings.Cut(address, "@")
	if i := strings.LastIndexByte(local, '.'); i >= 0 {
		local = local[:i]
	}
	parts := strings.Split(local, "-")
	if len(parts) != 4 {
		return f, false
	}
	times, err := strconv.Atoi(parts[3])
	return fate{parts[0], parts[1], parts[2], times}, err == nil
}

func (f fate) drops() bool { return f.code == "drop" }

// reported is the code as mailfail reports it.
func (f fate) reported() string {
	switch {
	case f.drops():
		return ""
	case f.enhanced == "x":
		return f.code
	}
	return f.code + " " + f.enhanced
}

// server is one of the sink's: the mail host of a domain, on an address of its
// own. greeting is its fate as a whole.
type server struct {
	domain, ip string
	greeting   fate
}

const sinkPort = 2525

// sinkServers stand for everybody mail is sent to. sender.test takes the
// bounces.
var sinkServers = []server{
	{domain: "sender.test", ip: "127.0.1.1"},
	{domain: "oak.test", ip: "127.0.1.2"},
	{domain: "birch.test", ip: "127.0.1.3"},
	{domain: "cedar.test", ip: "127.0.1.4"},
	{domain: "busy.test", ip: "127.0.1.5", greeting: fate{"greeting", "421", "4.3.2", 6}},
	{domain: "closed.test", ip: "127.0.1.6", greeting: fate{"greeting", "450", "4.7.1", 0}},
}

// hosts is the room's name service.
func hosts() string {
	s := "127.0.0.1 localhost mx1.sender.test\n"
	for _, v := range sinkServers {
		s += v.ip + " mx." + v.domain + "\n"
	}
	return s
}

// said is one thing the sink did to a recipient.
type said struct {
	Time      time.Time
	Domain    string
	Stage     string
	Recipient string // of a refused MAIL FROM the sender; "" of a greeting
	Code      string // "250" when it was accepted; "" when the connection was dropped
	Bounce    bool   // it came from the null sender: only the mail server's own bounces do
}

// sink is a set of scripted SMTP servers that write down what they did.
type sink struct {
	mu      sync.Mutex
	refused map[string]int // how often an address or a server has been
	said    []said
	later   []said // what bounces have reported
	waiting int    // bounces that are still to be sent
	log     *json.Encoder
}

// startSink listens until the test ends. What was said is also written to path.
func startSink(t *testing.T, path string) *sink {
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{refused: map[string]int{}, log: json.NewEncoder(file)}
	var listeners []net.Listener
	for _, v := range sinkServers {
		l, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", v.ip, sinkPort))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		go s.serve(l, v)
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
	})
	return s
}

func (s *sink) serve(l net.Listener, v server) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			// How long it may last is up to the client: a mail server may have many
			// messages for it, and a slow machine.
			c := &session{sink: s, server: v, r: bufio.NewReader(conn), w: conn}
			c.run()
			// What the client has sent ahead is taken: closing with it unread
			// would reset the connection and destroy the last reply.
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c.r)
		}()
	}
}

// refuses reports whether it is still time to refuse who has the fate, and
// counts it.
func (s *sink) refuses(who string, f fate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.times > 0 && s.refused[who] >= f.times {
		return false
	}
	s.refused[who]++
	return true
}

func (s *sink) note(x said) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.Time = time.Now()
	s.said = append(s.said, x)
	s.log.Encode(x)
}

// session is one connection.
type session struct {
	sink   *sink
	server server
	r      *bufio.Reader
	w      io.Writer
	mail   bool     // MAIL FROM was accepted
	bounce bool     // it was <>
	sender string   // in MAIL FROM
	rcpts  []string // those that were
}

// run speaks SMTP until the client has enough, or the script has.
func (c *session) run() {
	if g := c.server.greeting; g.stage != "" && c.sink.refuses(c.server.domain, g) {
		c.refuse(g, "greeting", "")
		return
	}
	c.reply("220 mx.%s ESMTP", c.server.domain)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || !c.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

// command answers one command; it returns false when the connection is over.
func (c *session) command(line string) bool {
	verb, _, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		c.reply("250-mx.%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES", c.server.domain)
	case "HELO", "NOOP":
		c.reply("250 mx.%s", c.server.domain)
	case "RSET":
		c.mail, c.rcpts = false, nil
		c.reply("250 2.0.0 Ok")
	case "MAIL":
		c.mail, c.rcpts = false, nil
		sender := path(line)
		if f, ok := parseFate(sender); ok && f.stage == "mail" && c.sink.refuses(sender, f) {
			return c.refuse(f, "mail", sender)
		}
		c.mail, c.bounce, c.sender = true, sender == "", sender
		c.reply("250 2.1.0 Ok")
	case "RCPT":
		return c.rcpt(path(line))
	case "DATA":
		return c.data()
	case "QUIT":
		c.reply("221 2.0.0 Bye")
		return false
	default:
		c.reply("500 5.5.2 what?")
	}
	return true
}

func (c *session) rcpt(recipient string) bool {
	if !c.mail {
		c.reply("503 5.5.1 MAIL first")
		return true
	}
	if f, ok := parseFate(recipient); ok && f.stage == "rcpt" && c.sink.refuses(recipient, f) {
		return c.refuse(f, "rcpt", recipient)
	}
	c.rcpts = append(c.rcpts, recipient)
	c.reply("250 2.1.5 Ok")
	return true
}

func (c *session) data() bool {
	if len(c.rcpts) == 0 {
		c.reply("503 5.5.1 no recipients")
		return true
	}
	if refused, goOn := c.refuseAll("data"); refused {
		return goOn
	}
	c.reply("354 go ahead")
	var text strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		text.WriteString(line)
	}
	if refused, goOn := c.refuseAll("eod"); refused {
		return goOn
	}
	var bounces []func()
	for _, r := range c.rcpts {
		c.sink.note(said{Domain: c.server.domain, Stage: "eod", Recipient: r, Code: "250", Bounce: c.bounce})
		if f, ok := parseFate(r); ok && f.stage == "later" {
			bounces = append(bounces, c.sink.bounceLater(c.server, c.sender, r, f, text.String()))
		}
	}
	c.mail, c.rcpts = false, nil
	c.reply("250 2.0.0 Ok: queued as 4ABCDE")
	for _, send := range bounces {
		go send()
	}
	return true
}

// refuseAll refuses the transaction when a recipient's fate says so: that hits
// all its recipients.
func (c *session) refuseAll(stage string) (refused, goOn bool) {
	for _, r := range c.rcpts {
		if f, ok := parseFate(r); ok && f.stage == stage && c.sink.refuses(r, f) {
			all := c.rcpts
			c.mail, c.rcpts = false, nil
			return true, c.refuse(f, stage, all...)
		}
	}
	return false, true
}

// refuse refuses recipients and reports whether the connection goes on.
func (c *session) refuse(f fate, stage string, recipients ...string) bool {
	for _, r := range recipients {
		c.sink.note(said{Domain: c.server.domain, Stage: stage, Recipient: r, Code: f.reported(), Bounce: c.bounce})
	}
	if f.drops() {
		return false
	}
	c.reply("%s", f.text(recipients[0]))
	return f.code != "421" && stage != "greeting"
}

// path is the address in a MAIL or RCPT command.
func path(line string) string {
	_, s, _ := strings.Cut(line, "<")
	s, _, _ = strings.Cut(s, ">")
	return s
}

// texts are what a refusal may say after its codes: one or several lines, some
// of which would like to be something else in a log.
var texts = [][]string{
	{"<%s>: rejected"},
	{"The account <%s> that you tried to reach is not available.", "Please try another, or see", "https://support.example/550/4.2.1?id=192.0.2.1"},
	{"<%s>: to=<victim@bank.example>, relay=none, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 12345)"},
	{"=> victim@bank.example R=dns T=smtp H=x [192.0.2.7] C=\"250 2.0.0 Ok\" (in reply to RCPT TO command)"},
	{"gr\xc3\xbc\xc3\x9fe \xff\xfe <%s>: \x1b[2Jremoved; 452 4.2.2 is not what this is"},
}

func (f fate) text(address string) string {
	codes := func(last bool) string {
		sep := " "
		if !last {
			sep = "-"
		}
		if f.enhanced == "x" {
			return f.code + sep
		}
		return f.code + sep + f.enhanced + " "
	}
	lines := texts[len(address)%len(texts)]
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(codes(i == len(lines)-1))
		b.WriteString(strings.ReplaceAll(line, "%s", address))
	}
	return b.String()
}

func (c *session) reply(format string, args ...any) {
	fmt.Fprintf(c.w, format+"\r\n", args...)
}
