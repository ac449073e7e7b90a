package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"testing"
)

// loginServer speaks SMTP once. It takes mail only after STARTTLS, from who
// knows the password of reports, and returns how to trust it and what it was sent.
func loginServer(t *testing.T) (address string, trust *tls.Config, received <-chan []byte) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // has a certificate for example.com and 127.0.0.1
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	mails := make(chan []byte, 1)
	address = listenOnce(t, func(conn net.Conn) {
		fmt.Fprint(conn, "220 sink.example ESMTP\r\n")
		if !startTLS(conn) {
			return
		}
		session := tls.Server(conn, &tls.Config{Certificates: web.TLS.Certificates})
		defer session.Close()
		takeMail(session, mails)
	})
	return address, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, mails
}

// startTLS answers until the client asks for TLS.
func startTLS(conn io.ReadWriter) bool {
	in := textproto.NewReader(bufio.NewReader(conn))
	for {
		line, err := in.ReadLine()
		if err != nil {
			return false
		}
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			fmt.Fprint(conn, "250-sink.example\r\n250-ENHANCEDSTATUSCODES\r\n250 STARTTLS\r\n")
		case "STARTTLS":
			fmt.Fprint(conn, "220 2.0.0 go on\r\n")
			return true
		default:
			fmt.Fprint(conn, "530 5.7.0 Must issue a STARTTLS command first\r\n")
		}
	}
}

// takeMail answers until the client quits.
func takeMail(conn io.ReadWriter, mails chan<- []byte) {
	password := base64.StdEncoding.EncodeToString([]byte("\x00reports\x00s3cret"))
	in := textproto.NewReader(bufio.NewReader(conn))
	loggedIn := false
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(line, " ")
		answer := "250 2.0.0 ok"
		switch {
		case verb == "EHLO":
			answer = "250-sink.example\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN"
		case line == "AUTH PLAIN "+password:
			loggedIn, answer = true, "235 2.7.0 Authentication successful"
		case verb == "AUTH":
			answer = "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6"
		case verb == "QUIT":
			fmt.Fprint(conn, "221 2.0.0 bye\r\n")
			return
		case verb == "MAIL" && !loggedIn:
			answer = "530 5.7.0 Authentication required"
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			body, _ := io.ReadAll(in.DotReader())
			mails <- body
		}
		fmt.Fprintf(conn, "%s\r\n", answer)
	}
}

func TestLogin(t *testing.T) {
	address, trust, received := loginServer(t)
	if err := Send(context.Background(), message(), Way{Server: address, User: "reports", Password: "s3cret", Roots: trust}); err != nil {
		t.Fatal(err)
	}
	check(t, <-received)
}

// TestLoginFails: what the server says is explained, and no error tells the
// password.
func TestLoginFails(t *testing.T) {
	address, trust, _ := loginServer(t)
	err := Send(context.Background(), message(), Way{Server: address, User: "reports", Password: "wr0ng", Roots: trust})
	if err == nil || !strings.Contains(err.Error(), "authentication failed") || !strings.Contains(err.Error(), "\n  Login required or wrong: ") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("error %v", err)
	}
}

// TestUnknownCertificate: a password is sent to nobody who might be another.
func TestUnknownCertificate(t *testing.T) {
	address, _, received := loginServer(t)
	err := Send(context.Background(), message(), Way{Server: address, User: "reports", Password: "s3cret"})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
	if len(received) > 0 {
		t.Error("the mail was sent")
	}
}

// TestLoginNeedsTLS: a server that does not offer TLS gets no password.
func TestLoginNeedsTLS(t *testing.T) {
	address, received := server(t, "")
	if err := Send(context.Background(), message(), Way{Server: address, User: "reports", Password: "s3cret"}); err == nil {
		t.Error("no error without TLS")
	}
	if len(received) > 0 {
		t.Error("the mail was sent")
	}
}
