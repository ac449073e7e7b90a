package dsn

import (
	"bufio"
	"io"
	"strings"

	"github.com/emersion/go-message/textproto"
)

// Feedback is what a complaint reports (RFC 5965).
type Feedback struct {
	Type      string // abuse, fraud …
	Sender    string // of the envelope, without angle brackets
	HasSender bool
	Recipient string // "" when the report hides it
	Reporter  string // server that reports, "" when it is not named
}

// Feedback returns the complaint that the message is, nil when it is not a complaint.
func (b *Message) Feedback() *Feedback { return b.feedback }

// readFeedback reads the fields of a message/feedback-report part.
func readFeedback(r io.Reader) *Feedback {
	h, _ := textproto.ReadHeader(bufio.NewReader(r)) // what came before an error counts
	f := &Feedback{
		Type:      strings.ToLower(strings.TrimSpace(h.Get("Feedback-Type"))),
		Sender:    strings.Trim(h.Get("Original-Mail-From"), "<> "),
		HasSender: h.Has("Original-Mail-From"),
		Recipient: strings.Trim(h.Get("Original-Rcpt-To"), "<> "),
		Reporter:  hostOf(h.Get("Reporting-MTA")),
	}
	if f.Type == "" {
		return nil
	}
	return f
}
