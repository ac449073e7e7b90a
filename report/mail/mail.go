// Package mail sends reports by mail: as text and HTML side by side, through
// the local sendmail or through a server.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"mailfail/registry"
)

// Message is a report to send.
type Message struct {
	From    string
	To      []string
	Host    string // host that makes the report, for the Message-ID and List-Id
	Subject string
	Text    string
	HTML    string
	Date    time.Time
}

// Way describes how a message is sent.
type Way struct {
	Server   string // HOST:PORT; "" for Sendmail
	User     string // for the login; "" for none
	Password string
	Sendmail string // path of the program
	Bounces  bool   // sendmail -f: bounces go to From, not to the user who runs it
	Roots    *tls.Config
}

// maxSubject limits the subject in bytes: mail programs cut longer ones.
const maxSubject = 200

// build returns the message as MIME. Both parts are base64: all their bytes are below
// 128, and body checks of servers on the way, which search for the very replies that a
// report quotes, do not match.
func (m *Message) build() (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingB64),
		gomail.WithCharset(gomail.CharsetUTF8))
	if err := msg.From(m.From); err != nil {
		return nil, fmt.Errorf("sender %q: %w", m.From, err)
	}
	for _, to := range m.To {
		if err := msg.AddTo(to); err != nil {
			return nil, fmt.Errorf("recipient %q: %w", to, err)
		}
	}
	host := headerWord(m.Host)
	subject := registry.Foreign(m.Subject).String()
	msg.Subject(strings.ToValidUTF8(subject[:min(len(subject), maxSubject)], ""))
	msg.SetDateWithValue(m.Date)
	msg.SetMessageIDWithValue(fmt.Sprintf("%d.report@%s", m.Date.UnixNano(), host))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetGenHeader("List-Id", fmt.Sprintf("mailfail reports <mailfail.%s>", host))
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// headerWord returns a host name with only the characters that a header allows.
func headerWord(host string) string {
	name := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, host)
	if name == "" {
		return "localhost"
	}
	return name
}

// Send sends a message. The error explains the reply of a server.
func Send(ctx context.Context, m *Message, way Way) error {
	msg, err := m.build()
	if err != nil {
		return fmt.Errorf("make the mail: %w", err)
	}
	if way.Server == "" {
		return way.pipe(ctx, msg)
	}
	client, err := way.client()
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return explained(err, way.Server)
	}
	return nil
}

// pipe gives a message to the local sendmail.
func (w *Way) pipe(ctx context.Context, msg *gomail.Msg) error {
	var args []string
	if w.Bounces {
		sender, err := msg.GetSender(false)
		if err != nil {
			return fmt.Errorf("make the mail: %w", err)
		}
		args = []string{"-f", strings.Trim(sender, "<>")}
	}
	if err := msg.WriteToSendmailWithContext(ctx, w.Sendmail, args...); err != nil {
		return fmt.Errorf("send the mail with %s: %w", w.Sendmail, err)
	}
	return nil
}

// timeout is how long a server may take for one answer.
const timeout = 30 * time.Second

func (w *Way) client() (*gomail.Client, error) {
	host, port, err := net.SplitHostPort(w.Server)
	if err != nil {
		return nil, fmt.Errorf("cannot read the server %q; want HOST:PORT", w.Server)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" {
		return nil, fmt.Errorf("cannot read the server %q; want HOST:PORT", w.Server)
	}
	options := []gomail.Option{gomail.WithPort(int(number)), gomail.WithTimeout(timeout)}
	if w.Roots != nil {
		options = append(options, gomail.WithTLSConfig(w.Roots))
	}
	switch {
	case number == 465:
		options = append(options, gomail.WithSSL())
	case isLoopback(host) && w.User == "": // loopback is private, and its certificate self-signed
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case w.User == "":
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if w.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(w.User),
			gomail.WithPassword(w.Password))
	}
	return gomail.NewClient(host, options...)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// explained adds to the error of a server its meaning and what to do.
func explained(err error, server string) error {
	failure := registry.FailureOf(err.Error(), server, registry.StageUnknown)
	var refused *gomail.SendError
	var answer *textproto.Error // to the greeting, EHLO, STARTTLS and the login
	switch {
	case errors.As(err, &refused) && refused.ErrorCode() != 0:
		failure.Reply = uint16(refused.ErrorCode())
		failure.Enhanced, _ = registry.ParseEnhanced(refused.EnhancedStatusCode())
	case errors.As(err, &answer):
		code, _, _ := strings.Cut(answer.Msg, " ")
		failure.Reply = uint16(answer.Code)
		failure.Enhanced, _ = registry.ParseEnhanced(code)
	default:
		return fmt.Errorf("send the mail through %s: %w", server, err)
	}
	reason := registry.DefaultRules().Classify(failure).Reason
	situation := registry.Situation{Provider: failure.Provider, State: registry.StateBounced}
	return fmt.Errorf("send the mail through %s: %w\n  %s: %s", server, err, reason.Info().Name,
		registry.Advice(reason, situation))
}
