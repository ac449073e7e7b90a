package explain

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // bounces come in many
	"github.com/emersion/go-message/textproto"

	"mailfail/registry"
)

// Bounce messages come from strangers, so what is read of one is bounded.
const (
	maxMessage    = 16 << 20 // of the whole message
	maxPart       = 256 << 10
	maxDepth      = 8
	maxParts      = 100
	maxRecipients = 1000
	maxDiagnostic = 4 << 10
	maxAddress    = 512
)

// Recipient is one recipient that a bounce message reports about.
type Recipient struct {
	Address    string  `json:"address"`
	Action     string  `json:"action,omitempty"` // failed, delayed, delivered …
	Status     string  `json:"status,omitempty"`
	RemoteMTA  string  `json:"remote_mta,omitempty"`
	Diagnostic string  `json:"diagnostic"`
	Codes      []Code  `json:"codes"`
	Reason     *Reason `json:"reason"`

	Tags     []Tag     `json:"tags,omitempty"`
	Contains *Contains `json:"contains,omitempty"`
}

// Message explains a bounce message as mail programs save it: the parts of a
// delivery report (RFC 3464), or the texts that Postfix, Exim, sendmail, qmail
// and Exchange write. What is no message is explained as a text.
func (x *Explainer) Message(name string, r io.Reader) (*Answer, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxMessage))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = mboxLine().ReplaceAll(data, nil)
	b := bounce{}
	isMessage := looksLikeMessage(data)
	if isMessage {
		b.read(data)
	} else {
		b.text = string(data[:min(len(data), maxPart)])
	}
	recipients := b.recipients()
	if len(recipients) == 0 || len(recipients) == 1 && recipients[0].address == "" && !isMessage {
		text := b.answerText()
		if text == "" && isMessage {
			text = x.prose(&b)
		}
		a := x.Text(text)
		a.Input = name
		return a, nil
	}
	a := &Answer{Schema: Schema, Input: name, Codes: []Code{}}
	for _, f := range recipients {
		r := x.recipient(f)
		if r.Reason == nil || r.Reason.Reason == "unknown" {
			if f.diagnostic = x.prose(&b); f.diagnostic != "" {
				r = x.recipient(f)
			}
		}
		a.Recipients = append(a.Recipients, r)
	}
	a.merge()
	a.Trace = queueID(data)
	return a, nil
}

// maxProse is how many lines of a text for humans are looked through.
const maxProse = 60

// prose returns the line for humans that tells the cause, where no reply and no
// report does: the first that a whole phrase decides, else a sentence with a
// subject and what is said of it, or else the subject of the message. Single
// words of prose would be taken for something else.
func (x *Explainer) prose(b *bounce) string {
	n, sentence := 0, ""
	for line := range strings.Lines(b.text) {
		if n++; n > maxProse || returned().MatchString(strings.TrimRight(line, "\r\n")) {
			break
		}
		switch c := x.decided(line); {
		case c == registry.ConfidenceHigh:
			return cut(strings.TrimSpace(line))
		case c == registry.ConfidenceMedium && sentence == "":
			sentence = cut(strings.TrimSpace(line))
		}
	}
	if subject := b.header.Get("Subject"); sentence == "" && x.decided(subject) == registry.ConfidenceHigh {
		return cut(subject)
	}
	return sentence
}

// decided returns how sure the words of a line tell a reason.
func (x *Explainer) decided(line string) registry.Confidence {
	v := x.Rules.Classify(registry.Failure{Signature: string(registry.AppendSignature(nil, []byte(line)))})
	if v.DecidedBy != registry.ByText {
		return registry.ConfidenceNone
	}
	return v.Confidence
}

// queueIDs find the name that the host which made a bounce gave the message:
// Postfix says it, others wrote it into the returned header.
var queueIDs = sync.OnceValue(func() []*regexp.Regexp {
	return []*regexp.Regexp{
		regexp.MustCompile(`(?mi)^X-Postfix-Queue-ID:[ \t]*([0-9A-Za-z]{5,20})\r?$`),
		regexp.MustCompile(`(?m)^Received:[^;]{0,400}\(Exim [^;]{0,200}\sid ([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})\b`),
		regexp.MustCompile(`(?m)^Received:[^;]{0,400}\(8\.[0-9][^;]{0,200}\sid ([0-9A-Za-z]{10,16})\b`),
	}
})

// queueID returns the queue id of the message that a bounce is about, "" when
// the bounce does not tell.
func queueID(data []byte) string {
	data = data[:min(len(data), maxPart)]
	for _, re := range queueIDs() {
		if m := re.FindSubmatch(data); m != nil {
			return string(m[1])
		}
	}
	return ""
}

// mboxLine begins a message in an mbox file.
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

// recipient explains what became of one recipient.
func (x *Explainer) recipient(f failed) Recipient {
	text := strings.Join(strings.Fields(f.diagnostic), " ")
	a := &Answer{Codes: []Code{}}
	status, _ := registry.ParseEnhanced(f.status)
	state := registry.StateBounced
	if f.action == "delayed" {
		state = registry.StatePending
	}
	x.reply(a, text, said{host: f.remote, status: status, state: state})
	return Recipient{
		Address: f.address, Action: f.action, Status: f.status, RemoteMTA: f.remote,
		Diagnostic: text, Codes: a.Codes, Reason: a.Reason, Tags: a.Tags, Contains: a.Contains,
	}
}

// merge gives the answer the codes of all recipients, each once, and the
// reason of the first.
func (a *Answer) merge() {
	seen := map[string]bool{}
	for _, r := range a.Recipients {
		for _, c := range r.Codes {
			if !seen[c.Kind+c.Code] {
				seen[c.Kind+c.Code] = true
				a.Codes = append(a.Codes, c)
			}
		}
		if a.Reason == nil {
			a.Reason = r.Reason
		}
	}
}

// failed is a recipient as a bounce message reports it.
type failed struct {
	address, action, status, remote, diagnostic string
}

// bounce collects what a message says.
type bounce struct {
	reports []failed // of message/delivery-status parts
	text    string   // of the parts for humans
	header  message.Header
	parts   int
}

// read walks through the message. What cannot be decoded is skipped: the rest
// may hold the answer.
func (b *bounce) read(data []byte) {
	e, err := message.Read(bytes.NewReader(data))
	if e == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		b.text = string(data[:min(len(data), maxPart)])
		return
	}
	b.header = e.Header
	b.part(e, 0)
	if b.text == "" && len(b.reports) == 0 { // a broken structure: all of the body
		if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
			b.text = string(data[i:min(len(data), i+maxPart)])
		}
	}
}

func (b *bounce) part(e *message.Entity, depth int) {
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

// inner reads a bounce that another system sent on as an attachment, where
// that system says nothing of its own.
func (b *bounce) inner(e *message.Entity, depth int) {
	if len(b.reports) > 0 || len(readText(b.text)) > 0 {
		return
	}
	m, err := message.Read(io.LimitReader(e.Body, maxMessage))
	if m == nil || err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		return
	}
	if kind, _, _ := m.Header.ContentType(); kind == "multipart/report" {
		b.part(m, depth+1)
	}
}

// reportInText reads a delivery report that stands in the text, because the
// structure of the message is broken.
func reportInText(text string) (list []failed) {
	i := strings.Index(text, "\nReporting-MTA:")
	if i < 0 {
		return nil
	}
	for _, f := range readReport(strings.NewReader(text[i+1:])) {
		if f.address != "" && f.action != "" {
			list = append(list, f)
		}
	}
	return list
}

// readAll reads a part as far as it can be read.
func readAll(r io.Reader) string {
	data, _ := io.ReadAll(io.LimitReader(r, maxPart)) // what came before an error counts
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

var (
	htmlBreak = lazy(`(?i)<(?:br|p|div|tr|td|li|/p|/div)\b[^>]*>`)
	htmlTag   = lazy(`<[a-zA-Z/!][^>@]*>`)
	entities  = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "&quot;", `"`, "&nbsp;", " ", "&#39;", "'", "&#8203;", "")
)

// plain takes the tags out of HTML, well enough to find a reply in it.
func plain(s string) string {
	s = htmlBreak().ReplaceAllString(withoutCode(s), "\n")
	return entities.Replace(htmlTag().ReplaceAllString(s, ""))
}

// withoutCode takes out what stands between <style> or <script> and its end.
// Without an end it is all of the rest, as a browser has it; that also keeps
// the time in proportion to the length.
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
		s = s[end:] // the tag at the end is taken out with the others
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// indexFold returns where a tag begins in s, in any case, -1 where it does not.
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

// original begins the returned message in the text of a bounce.
var original = lazy(`(?mi)^-+ ?(?:Below this line is a copy of the message|This is a copy of (?:the|your) message.*|Original message|The header of the original message.*|Returned message|Unsent message follows|Message (?:header|text|body) follows).*$`)

func withoutOriginal(s string) string {
	if m := original().FindStringIndex(s); m != nil {
		return s[:m[0]]
	}
	return s
}

// readReport reads the recipients of a delivery-status part: groups of fields,
// the first of which is about the message (RFC 3464 section 2.1).
func readReport(r io.Reader) []failed {
	var list []failed
	br := bufio.NewReader(r)
	for len(list) < maxRecipients {
		if _, err := br.Peek(1); err != nil {
			return list
		}
		h, err := textproto.ReadHeader(br)
		f := failed{
			address: typed(h.Get("Final-Recipient")), action: strings.ToLower(h.Get("Action")),
			remote: hostOf(h.Get("Remote-MTA")), diagnostic: cut(h.Get("Diagnostic-Code")),
		}
		if original := typed(h.Get("Original-Recipient")); original != "" && strings.Contains(original, "@") || f.address == "" {
			f.address = original
		}
		var remark string
		f.status, remark, _ = strings.Cut(h.Get("Status"), " ")
		if f.diagnostic == "" && wordy(remark) {
			f.diagnostic = cut(strings.Trim(remark, "() ")) // "4.0.0 (mx.b: host name lookup failure)"
		}
		if f.address != "" || f.status != "" {
			list = append(list, f)
		}
		if err != nil { // the end, or a line that is no field
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

// hostOf returns the host of a Remote-MTA field, which some systems follow
// with a remark: "dns; mx.b (192.0.2.1, the server for the domain)".
func hostOf(s string) string {
	host, _, _ := strings.Cut(typed(s), " ")
	return host
}

func cut(s string) string {
	if len(s) > maxDiagnostic {
		s = s[:maxDiagnostic]
	}
	return s
}

// recipients joins the delivery report with the text for humans, which often
// says more: a report without a diagnostic, or "X-Unix; 255", or one line of a
// reply that has several.
func (b *bounce) recipients() []failed {
	told := readText(b.text)
	if len(b.reports) == 0 && len(told) == 0 {
		b.reports = reportInText(b.text)
	}
	if len(b.reports) == 0 {
		b.complete(told)
		return told
	}
	for i := range b.reports {
		r := &b.reports[i]
		t := findRecipient(told, r.address, len(b.reports))
		if t == nil {
			continue
		}
		if r.address == "" {
			r.address = t.address
		}
		if code(t.diagnostic) && len(t.diagnostic) > len(r.diagnostic) || !code(r.diagnostic) && len(t.diagnostic) > 0 && !wordy(r.diagnostic) {
			r.diagnostic = t.diagnostic
		}
	}
	if b.text != "" {
		for i := range b.reports {
			if !wordy(b.reports[i].diagnostic) && len(told) == 0 {
				b.reports[i].diagnostic = strings.TrimSpace(b.reports[i].diagnostic + " " + b.answerText())
			}
		}
	}
	return b.reports
}

// code reports whether a text has a reply code.
func code(s string) bool {
	return registry.ParseReply([]byte(quoted(strings.Join(strings.Fields(s), " ")))).Code != 0
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

// complete adds to recipients without an address the one the header names.
func (b *bounce) complete(list []failed) {
	for i := range list {
		if list[i].address == "" {
			list[i].address = strings.TrimSpace(b.header.Get("X-Failed-Recipients"))
		}
		if m := anyAddress().FindStringSubmatch(b.text); m != nil && list[i].address == "" {
			list[i].address = m[1]
		}
	}
}

var anyAddress = lazy(`<([^\s<>@]+@[^\s<>@]+)>`)

// findRecipient returns the text about an address; when the report has one
// recipient and the text too, they are the same.
func findRecipient(told []failed, address string, reports int) *failed {
	for i := range told {
		if address != "" && strings.EqualFold(told[i].address, address) {
			return &told[i]
		}
	}
	if reports == 1 && len(told) == 1 {
		return &told[0]
	}
	return nil
}

// answerText is what is explained when no recipient was found: the first line
// with a reply or a known phrase. Prose without them is full of words that
// rules would take for something else.
func (b *bounce) answerText() string {
	for line := range strings.Lines(b.text) {
		line = strings.TrimSpace(line)
		if code(line) && !strings.HasPrefix(line, "2") || len(registry.LookupPhrases(line)) > 0 {
			return cut(line)
		}
	}
	return ""
}
