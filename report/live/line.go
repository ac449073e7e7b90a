package live

import (
	"strings"
	"time"
	"unicode/utf8"

	"mailfail/registry"
	"mailfail/store"
)

// columnWidths are the widths of the columns of AppendLine; a longer value moves the
// rest.
var columnWidths = [...]int{25, 8, 14, 22, 30, 9, 16, 30, 8}

// AppendLine appends an event as one line for eyes and for grep: time, outcome,
// provider, domain, recipient, code, reason, sender, account, text, with at least two
// blanks between them and - for an unknown value. The text is last, and nothing in it
// can move the cursor or begin a line.
func AppendLine(dst []byte, e *store.Event, loc *time.Location) []byte {
	values := [...]registry.Foreign{
		registry.Foreign(e.Time.In(loc).Format(time.RFC3339)), registry.Foreign(e.Outcome),
		e.Provider, e.Domain,
		e.Recipient,
		registry.Foreign(e.Code()), registry.Foreign(e.Reason), sender(e), e.Account,
	}
	for i, v := range values {
		dst = appendColumn(dst, v, columnWidths[i])
	}
	text := e.Text
	if text == "" {
		text = "-"
	}
	return append(append(dst, text.String()...), '\n')
}

// sender returns the sender of e, <> for the null sender, "" for an unknown one.
func sender(e *store.Event) registry.Foreign {
	if e.HasSender && e.Sender == "" {
		return "<>"
	}
	return e.Sender
}

func appendColumn(dst []byte, value registry.Foreign, width int) []byte {
	v := "-"
	if value != "" {
		v = value.String()
	}
	dst = append(dst, v...)
	return append(dst, strings.Repeat(" ", max(0, width-utf8.RuneCountInString(v))+2)...)
}
