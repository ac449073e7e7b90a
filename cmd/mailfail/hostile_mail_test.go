package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"testing"
)

// mailbox is a server that takes one mail, and returns what it got.
func mailbox(t *testing.T) (address string, received <-chan []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	mails := make(chan []byte, 1)
	go func() {
		defer close(mails)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "220 sink.example\r\n")
		in := textproto.NewReader(bufio.NewReader(conn))
		for {
			line, err := in.ReadLine()
			if err != nil {
				return
			}
			answer := "250 2.0.0 ok"
			switch line {
			case "DATA":
				fmt.Fprint(conn, "354 go on\r\n")
				body, _ := io.ReadAll(in.DotReader())
				mails <- body
			case "QUIT":
				answer = "221 2.0.0 bye"
			}
			fmt.Fprint(conn, answer+"\r\n")
		}
	}()
	return l.Addr().String(), mails
}

// A report that is mailed shows what strangers wrote as harmlessly as one on the screen.
func TestHostileMail(t *testing.T) {
	takesLong(t)
	dir := t.TempDir()
	t.Setenv("MAILFAIL_CONFIG", os.DevNull)
	log := hostileLogs(t, dir)["postfix"]
	address, received := mailbox(t)
	var out, errs bytes.Buffer
	args := []string{"report", "--top", "0", "--since", "2026-11-19", "--until", "2026-11-20 03:00", "--year", "2026", "--tz", "UTC", "--mail-to", "ops@far.example", "--smtp", address, log}
	if code := run(args, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s%s", code, &errs, &out)
	}
	raw := <-received
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(raw, []byte("\n\n"))
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if fault := harm("text", append(head, subject...)); fault != "" || err != nil {
		t.Errorf("header: %s, %v", fault, err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, form := range []string{"text", "html"} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, p))
		body = bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
		if err != nil || bytes.Count(body, []byte("hm")) < 100 {
			t.Errorf("%s: %d bytes, %v: hostile texts do not arrive", form, len(body), err)
		}
		if fault := harm(form, body); fault != "" {
			t.Errorf("%s: %s", form, fault)
		}
	}
}
