package dsn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // bounces come in many charsets
	"github.com/emersion/go-message/textproto"

	"mailfail/registry"
)

// Limits for bounce messages, because strangers write them. Callers that read a
// message from a file apply MaxMessage.
const (
	MaxMessage    = 16 << 20 // bytes of the whole message
	maxPart       = 256 << 10
	maxDepth      = 8
	maxParts      = 100
	MaxRecipients = 1000
	maxDiagnostic = 4 << 10
	maxAddress    = 512
)

// queueIDs find the queue id of the message on the host that generated the bounce:
// Postfix reports it in a field, others wrote it into the returned header.
var queueIDs = sync.OnceValue(func() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`(?mi)^X-Postfix-Queue-ID:[ \t]*([0-9A-Za-z]{5,20})\r?$`),
		regexp.MustCompile(`(?m)^Received:[^;]{0,400}\(Exim [^;]{0,200}\sid ([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})\b`),
		regexp.MustCompile(`(?m)^Received:[^;]{0,400}\(8\.[0-9][^;]{0,200}\sid ([0-9A-Za-z]{10,16})\b`),
	}
})

// receivedID finds the ids that servers gave a message, in their Received fields.
var receivedID = lazy(`(?mi)^[ \t>]*Received:[^;]{0,500}?\sid ([0-9A-Za-z][0-9A-Za-z._-]{4,40})`)

// maxIDs is the maximum number of Received fields that QueueIDs reads.
const maxIDs = 16

// QueueIDs returns the ids that servers gave the returned message, as far as the bounce
// contains them.
func (b *Message) QueueIDs() (ids []string) {
	add := func(id []byte) {
		if !slices.Contains(ids, string(id)) {
			ids = append(ids, string(id))
		}
	}
	body := b.body()
	if m := queueIDs()[0].FindSubmatch(body); m != nil {
		add(m[1])
	}
	for _, m := range receivedID().FindAllSubmatch(body, maxIDs) {
		add(m[1])
	}
	return ids
}

// QueueID returns the queue id of the returned message on the host that generated the
// bounce, "" when the bounce does not contain it.
func (b *Message) QueueID() string {
	data := b.data[:min(len(b.data), maxPart)]
	for _, re := range queueIDs() {
		if m := re.FindSubmatch(data); m != nil {
			return string(m[1])
		}
	}
	return ""
}

// mboxLine is the line before a message in an mbox file.
var mboxLine = lazy(`\A>?From [^\n]*\n`)

// looksLikeMessage reports whether data begins with two header fields or more.
func looksLikeMessage(data []byte) bool {
	fields := 0
	for line := range bytes.Lines(data[:min(len(data), 8<<10)]) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			return fields > 0
		case line[0] == ' ' || line[0] == '\t':
		case headerField().Match(line):
			fields++
		default:
			return fields > 1
		}
	}
	return fields > 1
}

var headerField = lazy(`^[!-9;-~]+:`)

// Recipient is a recipient as a bounce message reports it.
type Recipient struct {
	Address    string // the original address, where the report names it
	Final      string // the address at the reporting server, where Address is the original one
	Action     string // failed, delayed, delivered …; "" when only a text reports it
	Status     string // enhanced code
	Remote     string // the server that refused the recipient
	Diagnostic string // words of that server, or of the server that reports
}

// Message is a bounce message, or a text.
type Message struct {
	// IsMessage is false for a text without a header.
	IsMessage bool

	data     []byte
	reports  []Recipient // from message/delivery-status parts
	feedback *Feedback   // from a message/feedback-report part
	text     string      // from the parts for humans
	header   message.Header
	parts    int // number of parts that read has visited
}

// Read reads a message in the form in which mail programs save it, or a text. It reads
// malformed messages as far as possible.
func Read(data []byte) *Message {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = mboxLine().ReplaceAll(data, nil)
	m := &Message{data: data, IsMessage: looksLikeMessage(data)}
	if m.IsMessage {
		m.read(data)
	} else {
		m.text = string(data[:min(len(data), maxPart)])
	}
	return m
}

// Subject returns the subject of the message.
func (b *Message) Subject() string { return b.header.Get("Subject") }

// read reads the parts of the message. It skips parts that it cannot decode, because
// the others may contain the cause.
func (b *Message) read(data []byte) {
	e, err := message.Read(bytes.NewReader(data))
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		b.text = string(data[:min(len(data), maxPart)])
		return
	}
	b.header = e.Header
	b.part(e, 0)
	if b.text == "" && len(b.reports) == 0 { // the structure is malformed: take the whole body
		if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
			b.text = string(data[i:min(len(data), i+maxPart)])
		}
	}
}

func (b *Message) part(e *message.Entity, depth int) {
	if b.parts++; b.parts > maxParts || depth > maxDepth {
		return
	}
	if mr := e.MultipartReader(); mr != nil {
		for b.parts <= maxParts {
			p, err := mr.NextPart()
			if p == nil || errors.Is(err, io.EOF) {
				return
			}
			b.part(p, depth+1)
		}
		return
	}
	kind, _, err := e.Header.ContentType()
	if err != nil {
		kind = "text/plain"
	}
	switch {
	case strings.HasSuffix(kind, "/delivery-status"):
		b.reports = append(b.reports, readReport(io.LimitReader(e.Body, maxPart))...)
	case kind == "message/feedback-report":
		b.feedback = readFeedback(io.LimitReader(e.Body, maxPart))
	case kind == "message/rfc822":
		b.inner(e, depth)
	case kind == "text/html":
		if b.text == "" {
			b.text = plain(readAll(e.Body))
		}
	case strings.HasPrefix(kind, "text/") && kind != "text/rfc822-headers":
		b.text += withoutOriginal(readAll(e.Body)) + "\n"
	}
}

// inner reads a bounce that another system forwarded as an attachment, unless that
// system reports recipients itself.
func (b *Message) inner(e *message.Entity, depth int) {
	if len(b.reports) > 0 || len(readText(b.text)) > 0 {
		return
	}
	m, err := message.Read(io.LimitReader(e.Body, MaxMessage))
	if m == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return
	}
	if kind, _, _ := m.Header.ContentType(); kind == "multipart/report" {
		b.part(m, depth+1)
	}
}

// reportInText reads a delivery report inside the text of a message whose structure is
// malformed.
func reportInText(text string) (list []Recipient) {
	i := strings.Index(text, "\nReporting-MTA:")
	if i < 0 {
		return nil
	}
	for _, f := range readReport(strings.NewReader(text[i+1:])) {
		if f.Address != "" && f.Action != "" {
			list = append(list, f)
		}
	}
	return list
}

// readAll reads up to maxPart bytes of a part.
func readAll(r io.Reader) string {
	data, _ := io.ReadAll(io.LimitReader(r, maxPart)) // the bytes before an error count
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

var (
	htmlBreak = lazy(`(?i)<(?:br|p|div|tr|td|li|/p|/div)\b[^>]*>`)
	htmlTag   = lazy(`<[a-zA-Z/!][^>@]*>`)
	entities  = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&quot;", `"`, "&nbsp;", " ",
		"&#39;", "'", "&#8203;", "")
)

// plain removes the tags from HTML, well enough to find a reply in it.
func plain(s string) string {
	s = htmlBreak().ReplaceAllString(withoutCode(s), "\n")
	return entities.Replace(htmlTag().ReplaceAllString(s, ""))
}

// withoutCode removes the text between <style> or <script> and its end tag. Without an
// end tag it removes all of the rest, as browsers do; that also keeps the time
// proportional to the length.
func withoutCode(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := 0
		switch {
		case hasPrefixFold(s, "<style"):
			end = indexFold(s, "</style")
		case hasPrefixFold(s, "<script"):
			end = indexFold(s, "</script")
		default:
			b.WriteByte('<')
			s = s[1:]
			continue
		}
		if end < 0 {
			return b.String()
		}
		s = s[end:] // plain removes the end tag with the others
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// indexFold returns the offset of a tag in s, in upper or lower case, -1 when there is
// none.
func indexFold(s, tag string) int {
	for from := 0; ; from++ {
		i := strings.IndexByte(s[from:], '<')
		if i < 0 {
			return -1
		}
		if from += i; hasPrefixFold(s[from:], tag) {
			return from
		}
	}
}

// original is the line before the returned message in the text of a bounce.
var original = lazy(`(?mi)^-+ ?(?:Below this line is a copy of the message|This is a copy of (?:the|your) message.*|Original message|The header of the original message.*|Returned message|Unsent message follows|Message (?:header|text|body) follows).*$`)

// IsReturned reports whether a line separates the text of a bounce from the returned
// message.
func IsReturned(line []byte) bool {
	return bytes.HasPrefix(line, []byte("-")) && original().Match(line)
}

func withoutOriginal(s string) string {
	if m := original().FindStringIndex(s); m != nil {
		return s[:m[0]]
	}
	return s
}

// readReport reads the recipients of a delivery-status part. It consists of groups of
// fields; the first group is about the message (RFC 3464 section 2.1).
func readReport(r io.Reader) []Recipient {
	var list []Recipient
	br := bufio.NewReader(r)
	for len(list) < MaxRecipients {
		if _, err := br.Peek(1); err != nil {
			return list
		}
		h, err := textproto.ReadHeader(br)
		f := Recipient{
			Address: typed(h.Get("Final-Recipient")), Action: strings.ToLower(h.Get("Action")),
			Remote: hostOf(h.Get("Remote-MTA")), Diagnostic: Cut(h.Get("Diagnostic-Code")),
		}
		if original := typed(h.Get("Original-Recipient")); original != "" &&
			strings.Contains(original, "@") || f.Address == "" {
			f.Address, f.Final = original, f.Address
		}
		var remark string
		f.Status, remark, _ = strings.Cut(h.Get("Status"), " ")
		if f.Diagnostic == "" && wordy(remark) {
			f.Diagnostic = Cut(strings.Trim(remark, "() ")) // "4.0.0 (mx.b: host name lookup failure)"
		}
		if f.Address != "" || f.Status != "" {
			list = append(list, f)
		}
		if err != nil { // the end, or a line that is not a field
			if _, err := br.ReadString('\n'); err != nil {
				return list
			}
		}
	}
	return list
}

// typed returns the value of a field with a type: "rfc822; a@b".
func typed(s string) string {
	if _, value, ok := strings.Cut(s, ";"); ok {
		s = value
	}
	return strings.Trim(strings.TrimSpace(s), "<>()")
}

// hostOf returns the host of a Remote-MTA field. Some systems write a remark after it:
// "dns; mx.b (192.0.2.1, the server for the domain)".
func hostOf(s string) string {
	host, _, _ := strings.Cut(typed(s), " ")
	return host
}

// Cut shortens a diagnostic to 4 KiB.
func Cut(s string) string {
	if len(s) > maxDiagnostic {
		s = s[:maxDiagnostic]
	}
	return s
}

// Recipients returns the recipients of the delivery report, with causes from the text
// for humans where that contains more: the report may have no diagnostic, or "X-Unix;
// 255", or one line of a reply of several lines. Without a report it returns the
// recipients of the text.
func (b *Message) Recipients() []Recipient {
	told := readText(b.text)
	if len(b.reports) == 0 && !slices.ContainsFunc(told, func(r Recipient) bool { return r.Address != "" }) {
		if b.reports = reportInText(b.text); len(b.reports) > 0 {
			told = nil // what the text tells is the report
		}
	}
	if len(b.reports) == 0 {
		b.complete(told)
		return told
	}
	for i := range b.reports {
		r := &b.reports[i]
		t := findRecipient(told, r.Address, len(b.reports))
		if t == nil {
			continue
		}
		if r.Address == "" {
			r.Address = t.Address
		}
		if code(t.Diagnostic) && len(t.Diagnostic) > len(r.Diagnostic) ||
			!code(r.Diagnostic) && len(t.Diagnostic) > 0 && !wordy(r.Diagnostic) {
			r.Diagnostic = t.Diagnostic
		}
	}
	if b.text != "" {
		for i := range b.reports {
			if !wordy(b.reports[i].Diagnostic) && len(told) == 0 {
				b.reports[i].Diagnostic = strings.TrimSpace(b.reports[i].Diagnostic + " " + b.Answer())
			}
		}
	}
	return b.reports
}

// code reports whether a text has a reply code.
func code(s string) bool {
	return registry.ParseReply([]byte(Quoted(strings.Join(strings.Fields(s), " ")))).Code != 0
}

// wordy reports whether a diagnostic has words beside its type and code.
func wordy(s string) bool {
	_, rest, ok := strings.Cut(s, ";")
	if !ok {
		rest = s
	}
	return words().MatchString(rest)
}

var words = lazy(`[A-Za-z]{3,}`)

// complete sets the address of recipients without one, from the header or the text.
func (b *Message) complete(list []Recipient) {
	for i := range list {
		if list[i].Address == "" {
			list[i].Address = strings.TrimSpace(b.header.Get("X-Failed-Recipients"))
		}
		if m := anyAddress().FindStringSubmatch(b.text); m != nil && list[i].Address == "" {
			list[i].Address = m[1]
		}
	}
}

var anyAddress = lazy(`<([^\s<>@]+@[^\s<>@]+)>`)

// findRecipient returns the recipient of the text with an address, nil when there is
// none. When the report and the text have one recipient each, they are the same.
func findRecipient(told []Recipient, address string, reports int) *Recipient {
	for i := range told {
		if address != "" && strings.EqualFold(told[i].Address, address) {
			return &told[i]
		}
	}
	if reports == 1 && len(told) == 1 {
		return &told[0]
	}
	return nil
}

// maxProse is the maximum number of lines that Prose yields.
const maxProse = 60

// Prose yields the lines for humans before the returned message, at most maxProse.
func (b *Message) Prose() iter.Seq[string] {
	return func(yield func(string) bool) {
		n := 0
		for line := range strings.Lines(b.text) {
			if n++; n > maxProse || returned().MatchString(strings.TrimRight(line, "\r\n")) || !yield(line) {
				return
			}
		}
	}
}

// Answer returns the first line with a reply or a known phrase, "" when there is none;
// explain uses it when a message reports no recipient. Other lines do not count, because
// rules would misread many of their words.
func (b *Message) Answer() string {
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		if code(line) && !strings.HasPrefix(line, "2") || len(registry.LookupPhrases(line)) > 0 {
			return Cut(line)
		}
	}
	return ""
}

func lazy(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// Quoted returns the reply of another server that a log line quotes, or the text
// itself when it quotes none.
func Quoted(text string) string {
	if r := registry.ParseReply([]byte(text)); r.Code != 0 {
		return text
	}
	for _, mark := range []string{" said: ", " refused to talk to me: "} {
		if i := strings.Index(text, mark); i >= 0 {
			return text[i+len(mark):]
		}
	}
	if m := eximQuote().FindStringSubmatchIndex(text); m != nil {
		return text[m[2]:]
	}
	if inner := registry.InnerReply([]byte(text)); inner != nil {
		return string(inner)
	}
	if m := embedded().FindStringIndex(text); m != nil {
		return text[m[0]:]
	}
	if i := strings.Index(text, "status="); i >= 0 { // Postfix: status=bounced (…)
		if j := strings.Index(text[i:], " ("); j >= 0 {
			return strings.TrimSuffix(text[i+j+2:], ")")
		}
	}
	return text
}

// eximQuote finds the reply in "SMTP error from remote mail server after
// RCPT TO:<a@b>: host x [192.0.2.1]: 550 …" and its older forms.
var eximQuote = lazy(`(?:SMTP|LMTP) error from remote .{0,400}?: (?:host \S+ \[[^\]]*\]\S* )?([2-5][0-9][0-9][ -].*)`)

// embedded finds a reply anywhere in a text by its two adjacent codes.
var embedded = lazy(`\b[45][0-9][0-9][ -]#?[45]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// Header returns the value of a field of the message's header.
func (b *Message) Header(name string) string { return b.header.Get(name) }

// Reporter returns the server that reports, "" when no delivery report names it.
func (b *Message) Reporter() string {
	if m := reportingMTA().FindSubmatch(b.body()); m != nil {
		return hostOf(string(m[1]))
	}
	return ""
}

// OriginalID returns the Message-ID of the returned message, with its angle brackets, ""
// when the bounce does not contain it.
func (b *Message) OriginalID() string {
	if m := originalID().FindSubmatch(b.body()); m != nil {
		return string(m[1])
	}
	return ""
}

// body returns the message without its header.
func (b *Message) body() []byte {
	_, body, _ := bytes.Cut(b.data[:min(len(b.data), MaxMessage)], []byte("\n\n"))
	if len(body) == 0 {
		_, body, _ = bytes.Cut(b.data, []byte("\r\n\r\n"))
	}
	return body
}

var (
	reportingMTA = lazy(`(?mi)^Reporting-MTA:[ \t]*([^\r\n]{1,255})`)
	originalID   = lazy(`(?mi)^[ \t>]*Message-ID:[ \t]*(<[^<>\s]{1,500}>)`)
)
