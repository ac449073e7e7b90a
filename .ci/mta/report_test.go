package mta

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReportMail lets a real Postfix take the report, through its sendmail and
// over SMTP, and reads what came into the mailbox. The log that it is about holds
// names that would like to be headers, and Postfix refuses bodies that hold the
// replies it quotes.
func TestReportMail(t *testing.T) {
	if enter(t, "postfix", "rsyslog", "iproute2") {
		return
	}
	startMailbox(t)
	log := logDir + "/hostile.log"
	write(t, log, hostileLog())
	report := func(name string, flags ...string) {
		args := []string{"report", "--year", "2026", "--day", "2026-11-22", "--mail-from", "postmaster@" + home, "--mail-to", name + "@" + home}
		quiet(t, append(append(args, flags...), log)...)
	}
	report("sendmail")
	checkLetter(t, "sendmail", received(t, "sendmail"))
	report("smtp", "--smtp", mailServerAddress, "--only-if", "problems")
	checkLetter(t, "smtp", received(t, "smtp"))

	write(t, log, "Nov 22 06:28:08 mx1 postfix/smtp[1]: A1B2C3D4E6: to=<a@one.example>, relay=mx.one.example[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 ok)\n")
	report("none", "--only-if", "problems")
	report("last")
	received(t, "last") // and so all before it
	if files := letters("none"); len(files) > 0 {
		t.Errorf("mailed without problems, or to an address of the log: %v", files)
	}
}

const mailServerAddress = "127.0.0.1:25"

// startMailbox starts a Postfix that delivers mail of home into a folder for each
// address, and refuses what its checks of bodies know.
func startMailbox(t *testing.T) {
	makeMailDir(t)
	startSyslog(t, map[string]string{control: templates[control]})
	t.Cleanup(func() {
		if text, err := os.ReadFile(control); err == nil && t.Failed() {
			t.Logf("the mail server said:\n%s", text)
		}
	})
	boxes := ""
	for _, name := range []string{"sendmail", "smtp", "none", "last"} {
		boxes += fmt.Sprintf("%s@%s %s/\n", name, home, name)
	}
	write(t, "/etc/postfix/boxes", boxes)
	write(t, "/etc/postfix/bodies", "/User unknown|<b>owned/ REJECT looks like a bounce\n")
	postfix{}.configure(t, `
virtual_mailbox_domains = `+home+`
virtual_mailbox_base = `+mailDir+`
virtual_mailbox_maps = texthash:/etc/postfix/boxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
body_checks = regexp:/etc/postfix/bodies
strict_7bit_headers = yes
strict_8bitmime_body = yes
disable_mime_output_conversion = yes
`, "virtual unix - n n - - virtual\n")
	eventually(t, "the mail server answers", func() bool { return listening(mailServerAddress) })
	bounce := []byte("Subject: bounce\r\n\r\nUser unknown\r\n")
	if err := smtp.SendMail(mailServerAddress, nil, "a@"+home, []string{"smtp@" + home}, bounce); err == nil {
		t.Fatal("the mail server does not check bodies")
	}
}

// letters returns the files of the messages that came to a mailbox.
func letters(name string) []string {
	files, _ := filepath.Glob(filepath.Join(mailDir, name, "new", "*"))
	return files
}

// received waits for the message to a mailbox and returns it.
func received(t *testing.T, name string) []byte {
	t.Helper()
	eventually(t, "a mail came to "+name, func() bool { return len(letters(name)) > 0 })
	text, err := os.ReadFile(letters(name)[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkLetter checks a report as it came: its headers, and both of its parts.
func checkLetter(t *testing.T, way string, letter []byte) {
	t.Helper()
	for i, c := range letter {
		if c > 126 || c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			t.Fatalf("%s: byte %#x at %d", way, c, i)
		}
	}
	for line := range bytes.Lines(letter) {
		if len(line) > 1000 {
			t.Errorf("%s: a line of %d bytes", way, len(line))
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(letter))
	if err != nil {
		t.Fatal(err)
	}
	for name := range m.Header {
		if strings.HasPrefix(name, "X-Owned") || name == "Bcc" {
			t.Errorf("%s: the header %s was let in", way, name)
		}
	}
	for name, want := range map[string]string{
		"Auto-Submitted": "auto-generated", "From": "<postmaster@" + home + ">", "To": "<" + way + "@" + home + ">", "Mime-Version": "1.0",
	} {
		if got := m.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s: %q, want %q", way, name, got, want)
		}
	}
	for _, name := range []string{"Date", "Message-Id", "List-Id", "Subject"} {
		if len(m.Header[name]) != 1 {
			t.Errorf("%s: %s: %q", way, name, m.Header[name])
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || !strings.Contains(subject, "failed") || strings.ContainsAny(subject, "\r\n\x1b") {
		t.Errorf("%s: subject %q, %v", way, subject, err)
	}
	text, html := parts(t, m)
	for part, wanted := range map[string][]string{
		text: {"7 of 7 failed, 1 problem", `User unknown <b>owned</b> \x1b[2J\rBcc:`, `naïve@ex\u202eample.org`},
		html: {"<!DOCTYPE html>", "7 of 7 failed", `User unknown &lt;b&gt;owned`, `\x1b[2J\rBcc:`, `naïve@ex\u202eample.org`, "</html>"},
	} {
		for _, want := range wanted {
			if !strings.Contains(part, want) {
				t.Errorf("%s: no %q in\n%s", way, want, part)
			}
		}
	}
	if strings.Contains(html, "<b>owned") {
		t.Errorf("%s: text of strangers is markup", way)
	}
}

// parts returns the text and the HTML of a message.
func parts(t *testing.T, m *mail.Message) (text, html string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content %q: %v", kind, err)
	}
	var kinds []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, p.Header.Get("Content-Type"))
		body := decoded(t, p)
		if strings.HasPrefix(kinds[len(kinds)-1], "text/html") {
			html = body
		} else {
			text = body
		}
	}
	if got := strings.Join(kinds, ", "); got != "text/plain; charset=UTF-8, text/html; charset=UTF-8" {
		t.Errorf("parts %s", got)
	}
	return text, html
}

func decoded(t *testing.T, p *multipart.Part) string {
	t.Helper()
	var r io.Reader = p
	switch how := p.Header.Get("Content-Transfer-Encoding"); how {
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, p)
	case "quoted-printable":
		r = quotedprintable.NewReader(p)
	default:
		t.Fatalf("encoding %q", how)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// hostileLog has failures whose names and replies try to be headers, markup and
// escape sequences. The name of the host stands in the subject.
func hostileLog() string {
	const line = "Nov 22 06:28:08 %s postfix/smtp[271]: A1B2C3D4E%d: to=<%s>, relay=mx.one.example[192.0.2.1]:25, delay=0.1, delays=0/0/0/0.1, dsn=5.1.1, status=bounced (host mx.one.example[192.0.2.1] said: 550 5.1.1 %s (in reply to RCPT TO command))\n"
	const host = `mx1\r\nX-Owned:1=?utf-8?q?=0D=0AX-Owned:_2?=é`
	var b strings.Builder
	for i := range 6 {
		fmt.Fprintf(&b, line, host, i, fmt.Sprintf("user%d@one.example", i), "User unknown <b>owned</b> \x1b[2J\rBcc: none@home.test")
	}
	fmt.Fprintf(&b, line, host, 6, "naïve@ex\u202eample.org", "User unknown")
	return b.String()
}
