package mail

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encoding/base64"
)

const evil = "mx\r\nBcc: all@evil.example\r\n\r\n\x1b[2J\u202e <b>"

func message() *Message {
	return &Message{
		From:    "mailfail@mx1.example",
		To:      []string{"postmaster@example.org", "Ops <ops@example.org>"},
		Host:    evil,
		Subject: evil + ": 4.0% failed, 1 problem – Sat 28 Nov",
		Text:    "Grüße\n\x1b550 5.1.1 gone\n",
		HTML:    "<p>550 5.1.1 gone, " + strings.Repeat("x", 2000) + "</p>",
		Date:    time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC),
	}
}

// check takes a received mail apart.
func check(t *testing.T, raw []byte) {
	t.Helper()
	for i, line := range bytes.Split(raw, []byte("\n")) {
		if len(line) > 998 {
			t.Errorf("line %d has %d bytes", i, len(line))
		}
		for _, c := range line {
			if c > 0x7e || c < ' ' && c != '\t' && c != '\r' {
				t.Fatalf("byte %#x in line %d: %q", c, i, line)
			}
		}
	}
	msg, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Auto-Submitted": "auto-generated", "Date": "Sun, 29 Nov 2026 06:00:00 +0000", "Bcc": "",
		"List-Id": "mailfail reports <mailfail.mxBccallevil.example2Jb>"}
	for name, value := range want {
		if got := msg.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if id := msg.Header.Get("Message-Id"); !strings.HasSuffix(id, "@mxBccallevil.example2Jb>") {
		t.Errorf("Message-ID %q", id)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
	if wanted := `mx\r\nBcc: all@evil.example\r\n\r\n\x1b[2J\u202e <b>: 4.0% failed, 1 problem – Sat 28 Nov`; err != nil || subject != wanted {
		t.Errorf("subject %q, want %q (%v)", subject, wanted, err)
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%s, %v", kind, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, want := range []string{"text/plain " + message().Text, "text/html " + message().HTML} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if got := kind + " " + strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || got != want {
			t.Errorf("part %q, want %q (%v)", got, want, err)
		}
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("another part: %v", err)
	}
}

// listenOnce serves one connection on loopback and returns its address.
func listenOnce(t *testing.T, serve func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		serve(conn)
	}()
	return l.Addr().String()
}

// server speaks SMTP once, refuses RCPT with rcpt if it is not "", and returns
// what it was sent.
func server(t *testing.T, rcpt string) (address string, received <-chan []byte) {
	t.Helper()
	mails := make(chan []byte, 1)
	address = listenOnce(t, func(conn net.Conn) {
		fmt.Fprint(conn, "220 sink.example\r\n")
		in := textproto.NewReader(bufio.NewReader(conn))
		for {
			line, err := in.ReadLine()
			if err != nil {
				return
			}
			verb, _, _ := strings.Cut(line, " ")
			switch answer := "250 2.0.0 ok"; {
			case verb == "EHLO":
				fmt.Fprint(conn, "250-sink.example\r\n250 ENHANCEDSTATUSCODES\r\n")
			case verb == "RCPT" && rcpt != "":
				fmt.Fprintf(conn, "%s\r\n", rcpt)
			case verb == "QUIT":
				fmt.Fprint(conn, "221 2.0.0 bye\r\n")
				return
			case verb == "DATA":
				fmt.Fprint(conn, "354 go on\r\n")
				body, _ := io.ReadAll(in.DotReader())
				mails <- body
				fmt.Fprintf(conn, "%s\r\n", answer)
			default:
				fmt.Fprintf(conn, "%s\r\n", answer)
			}
		}
	})
	return address, mails
}

func TestServer(t *testing.T) {
	address, received := server(t, "")
	if err := Send(context.Background(), message(), Way{Server: address}); err != nil {
		t.Fatal(err)
	}
	check(t, <-received)
}

func TestRefused(t *testing.T) {
	address, _ := server(t, "550 5.1.1 <postmaster@example.org>: Recipient address rejected: User unknown")
	err := Send(context.Background(), message(), Way{Server: address})
	if err == nil || !strings.Contains(err.Error(), "User unknown") || !strings.Contains(err.Error(), "\n  No such user: ") {
		t.Errorf("error %v", err)
	}
}

func TestSendmail(t *testing.T) {
	dir := t.TempDir()
	program, out := filepath.Join(dir, "sendmail"), filepath.Join(dir, "out")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >"+out+".args\nexec cat > "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	m := message()
	m.From = "Reports <reports@mx1.example>"
	for bounces, want := range map[bool]string{false: "-oi -t\n", true: "-oi -t -f reports@mx1.example\n"} {
		if err := Send(context.Background(), m, Way{Sendmail: program, Bounces: bounces}); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		check(t, raw)
		if args, err := os.ReadFile(out + ".args"); err != nil || string(args) != want {
			t.Errorf("with Bounces %v it was run with %q, want %q (%v)", bounces, args, want, err)
		}
	}
	if err := Send(context.Background(), message(), Way{Sendmail: filepath.Join(dir, "none")}); err == nil {
		t.Error("no error without the program")
	}
}

func TestWrongServers(t *testing.T) {
	for _, s := range []string{"mx", "mx:", ":25", "mx:smtp", "mx:70000"} {
		if err := Send(context.Background(), message(), Way{Server: s}); err == nil || !strings.Contains(err.Error(), "HOST:PORT") {
			t.Errorf("%q: %v", s, err)
		}
	}
	m := message()
	m.To = []string{"a\r\nBcc: b@c"}
	if err := Send(context.Background(), m, Way{Server: "127.0.0.1:9"}); err == nil {
		t.Error("no error for a recipient of two lines")
	}
}
