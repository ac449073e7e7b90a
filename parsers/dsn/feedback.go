package dsn

import (
	"bufio"
	"io"
	"strings"

	"github.com/emersion/go-message/textproto"
)

// Feedback is a complaint (RFC 5965).
type Feedback struct {
	Type      string // abuse, fraud …, in lower case
	Sender    string // of the envelope, without angle brackets
	HasSender bool   // the report names the sender, which may be null
	Recipient string // "" when the report hides it
	Reporter  string // server that reports, "" when the report does not name it
}

// Feedback returns the complaint in the message, nil when it is not a complaint.
func (b *Message) Feedback() *Feedback { return b.feedback }

// readFeedback reads the fields of a message/feedback-report part; it returns nil when
// the part has no type.
func readFeedback(r io.Reader) *Feedback {
	h, _ := textproto.ReadHeader(bufio.NewReader(r)) // the fields before an error count
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
