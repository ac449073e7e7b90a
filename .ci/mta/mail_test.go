package mta

import (
	"fmt"
	"net/smtp"
	"os/exec"
	"strings"
	"time"
)

// message is one that is given to the mail server.
type message struct {
	sender     string
	recipients []string
	rejected   bool // by the mail server itself
}

// kinds are messages with all that can become of them: fates of the
// recipients, "" for one that is accepted at once. A fate that ends the
// connection, and one that comes before the recipients are named, stands alone:
// it hits all recipients of a message, and the sink could not tell how many.
var kinds = []struct {
	senderFate string
	fates      []string
	domain     string // the usual ones in turn
}{
	{fates: []string{""}},
	{fates: []string{"", "", ""}},
	{fates: []string{"rcpt-550-5.1.1-0"}},
	{fates: []string{""}},
	{fates: []string{"rcpt-550-x-0"}},
	{fates: []string{"rcpt-552-5.2.2-0", "", "rcpt-450-4.2.1-1"}},
	{fates: []string{"rcpt-450-4.7.1-2"}},
	{fates: []string{""}},
	{fates: []string{"rcpt-421-4.7.0-1"}},
	{fates: []string{"rcpt-451-x-1", "rcpt-554-5.7.1-0"}},
	{fates: []string{"data-451-4.3.0-1"}},
	{fates: []string{"", ""}},
	{fates: []string{"data-554-5.5.1-0", ""}},
	{fates: []string{"eod-554-5.7.1-0"}},
	{fates: []string{"eod-452-4.3.1-1", ""}},
	{fates: []string{"rcpt-drop-x-1"}},
	{fates: []string{"eod-drop-x-1"}},
	{fates: []string{""}},
	{fates: []string{"rcpt-450-4.2.0-0"}},
	{fates: []string{""}, senderFate: "mail-451-4.1.8-1"},
	{fates: []string{""}, senderFate: "mail-553-5.1.8-0"},
	{fates: []string{""}, domain: "busy.test"},
	{fates: []string{""}, domain: "closed.test"},
}

// messages returns n messages, the same ones each time.
func messages(n int) (list []message) {
	usual := []string{"oak.test", "birch.test", "cedar.test"}
	for i := range n {
		kind := kinds[i%len(kinds)]
		m := message{sender: fmt.Sprintf("news.%d@sender.test", i)}
		if kind.senderFate != "" {
			m.sender = fmt.Sprintf("%s.%d@sender.test", kind.senderFate, i)
		}
		for j, fate := range kind.fates {
			domain := kind.domain
			if domain == "" {
				domain = usual[(i/len(kinds)+i)%len(usual)]
			}
			if fate == "" {
				fate = "ok"
			}
			m.recipients = append(m.recipients, fmt.Sprintf("%s.%dr%d@%s", fate, i, j, domain))
		}
		list = append(list, m)
		if i%17 == 0 {
			list = append(list, message{sender: m.sender, recipients: []string{"refused@oak.test"}, rejected: true})
		}
	}
	return list
}

const letter = "From: <news@sender.test>\r\nSubject: test\r\nMessage-ID: <%d@sender.test>\r\n\r\nHello.\r\n"

// submit gives the messages to the mail server, some a second, over SMTP or, one
// in five, with the sendmail command.
func submit(list []message, each time.Duration) error {
	pace := time.NewTicker(each)
	defer pace.Stop()
	for i, m := range list {
		<-pace.C
		text := fmt.Sprintf(letter, i)
		var err error
		if i%5 == 0 && !m.rejected {
			cmd := exec.Command("/usr/sbin/sendmail", append([]string{"-i", "-f", m.sender, "--"}, m.recipients...)...)
			cmd.Stdin = strings.NewReader(strings.ReplaceAll(text, "\r\n", "\n"))
			if out, failed := cmd.CombinedOutput(); failed != nil {
				err = fmt.Errorf("sendmail: %w: %s", failed, out)
			}
		} else {
			err = smtp.SendMail("127.0.0.1:25", nil, m.sender, m.recipients, []byte(text))
		}
		if m.rejected == (err == nil) {
			return fmt.Errorf("message %d to %v: rejected %v wanted, got error %v", i, m.recipients, m.rejected, err)
		}
	}
	return nil
}
