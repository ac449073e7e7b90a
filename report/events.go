package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// EventWriter writes failures, one after the other.
type EventWriter interface {
	Event(*store.Event) error
	Flush() error // after the last event
}

// NewEventWriter returns a writer of events in a format: "text", one line a
// contact; "json", one object a line; "csv". Times are shown in loc.
func NewEventWriter(w io.Writer, format string, loc *time.Location) (EventWriter, error) {
	switch format {
	case "text":
		return &textEvents{w: w, loc: loc}, nil
	case "json":
		return jsonEvents{w, loc}, nil
	case "csv":
		e := csvEvents{newCSV(w), loc}
		e.c.row("time", "outcome", "host", "mta", "instance", "message", "sender", "recipient",
			"domain", "relay",
			"ip", "provider", "stage", "reply", "enhanced",
			"mta_status", "reason", "client", "client_ip", "contact", "text")
		return e, nil
	}
	return nil, fmt.Errorf("unknown format %q; want one of text, json, csv", format)
}

// maxContact limits how many failures of one second are searched for those of one
// contact.
const maxContact = 4096

// textEvents joins failures that belong to one contact (see store.Event.Contact).
type textEvents struct {
	w      io.Writer
	loc    *time.Location
	second int64
	same   []*store.Event
}

func (t *textEvents) Event(e *store.Event) error {
	if e.Time.Unix() != t.second || len(t.same) >= maxContact {
		if err := t.Flush(); err != nil {
			return err
		}
		t.second = e.Time.Unix()
	}
	t.same = append(t.same, e)
	return nil
}

func (t *textEvents) Flush() error {
	contacts := map[string][]*store.Event{}
	var order []string
	for _, e := range t.same {
		id := e.Contact()
		if contacts[id] == nil {
			order = append(order, id)
		}
		contacts[id] = append(contacts[id], e)
	}
	t.same = t.same[:0]
	for _, id := range order {
		if _, err := fmt.Fprintln(t.w, eventLine(contacts[id], t.loc)); err != nil {
			return err
		}
	}
	return nil
}

// EventLine returns a failure on one line, for eyes and grep.
func EventLine(e *store.Event, loc *time.Location) string { return eventLine([]*store.Event{e}, loc) }

func eventLine(contact []*store.Event, loc *time.Location) string {
	e := contact[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s %-10s %-14s ", e.Time.In(loc).Format(time.DateTime), e.Outcome,
		codeOrNone(e.Code()), templates.Printable(e.Reason))
	names, n := recipients(contact)
	b.WriteString(names)
	if e.Outcome == "rejected" {
		fmt.Fprintf(&b, " from %s", SenderOf(e))
		hostAt(&b, " client ", e.Client, e.ClientIP)
	} else {
		hostAt(&b, " via ", e.Relay, e.IP)
	}
	if e.Provider != "" && e.Provider != e.Relay {
		fmt.Fprintf(&b, " (%s)", e.Provider)
	}
	if e.Message != "" {
		b.WriteString(" " + e.Message.String())
	}
	switch {
	case e.Times > 1:
		fmt.Fprintf(&b, " %d times", e.Times)
	case len(contact) > n:
		fmt.Fprintf(&b, " %d attempts", len(contact))
	}
	return b.String() + ": " + e.Text.String()
}

// recipients names the recipients of a contact, each once: a repeated line is about the
// same recipient again.
func recipients(contact []*store.Event) (words string, n int) {
	var list []string
	seen := map[registry.Foreign]bool{}
	for _, e := range contact {
		if !seen[e.Recipient] {
			seen[e.Recipient] = true
			list = append(list, e.Recipient.String())
		}
	}
	switch {
	case len(list) > 1:
		return fmt.Sprintf("%d recipients: %s", len(list), strings.Join(list, ", ")), len(list)
	case list[0] == "":
		return "(no recipient)", 1
	}
	return list[0], 1
}

// SenderOf returns the sender of a failure, in words when it is unknown or null.
func SenderOf(e *store.Event) string {
	switch {
	case !e.HasSender:
		return "(unknown)"
	case e.Sender == "":
		return "<>"
	}
	return e.Sender.String()
}

// hostAt writes a host and its address.
func hostAt(b *strings.Builder, before string, host, ip registry.Foreign) {
	if host == "" && ip == "" {
		return
	}
	b.WriteString(before + host.String())
	if ip != "" {
		fmt.Fprintf(b, "[%v]", ip)
	}
}

type jsonEvents struct {
	w   io.Writer
	loc *time.Location
}

// jsonEvent is one line of mailfail events --format json: one attempt.
type jsonEvent struct {
	Time       string            `json:"time"`
	Host       registry.Foreign  `json:"host"`
	MTA        string            `json:"mta"`
	Instance   registry.Foreign  `json:"instance"`
	Service    registry.Foreign  `json:"service"`
	Message    registry.Foreign  `json:"message"`    // queue id
	MessageID  registry.Foreign  `json:"message_id"` // of the header
	Sender     *registry.Foreign `json:"sender"`     // null: unknown; "": the null sender
	Recipient  registry.Foreign  `json:"recipient"`
	Domain     registry.Foreign  `json:"domain"`
	Relay      registry.Foreign  `json:"relay"`
	IP         registry.Foreign  `json:"ip"`
	Provider   registry.Foreign  `json:"provider"`
	Client     registry.Foreign  `json:"client"`
	ClientIP   registry.Foreign  `json:"client_ip"`
	Outcome    string            `json:"outcome"`
	Stage      string            `json:"stage"`
	Source     string            `json:"source"`
	Code       string            `json:"code"`
	Reply      *int              `json:"reply"`
	Enhanced   *string           `json:"enhanced"`
	MTAStatus  *string           `json:"mta_status"`
	Reason     string            `json:"reason"`
	Rule       string            `json:"rule"`
	DecidedBy  string            `json:"decided_by"` // text, code, stage, provider
	Confidence string            `json:"confidence"` // high, medium, low
	Signature  registry.Foreign  `json:"signature"`
	Text       registry.Foreign  `json:"text"`
	Delay      *float64          `json:"delay"`   // seconds since arrival
	Contact    string            `json:"contact"` // equal for attempts that were one contact
	Times      int64             `json:"times"`   // how often it was logged
}

func newJSONEvent(e *store.Event, loc *time.Location) jsonEvent {
	j := jsonEvent{
		Time:       e.Time.In(loc).Format("2006-01-02T15:04:05.999999Z07:00"),
		Host:       e.Host,
		MTA:        e.MTA,
		Instance:   e.Instance,
		Service:    e.Service,
		Message:    e.Message,
		MessageID:  e.MessageID,
		Recipient:  e.Recipient,
		Domain:     e.Domain,
		Relay:      e.Relay,
		IP:         e.IP,
		Provider:   e.Provider,
		Client:     e.Client,
		ClientIP:   e.ClientIP,
		Outcome:    e.Outcome,
		Stage:      e.Stage.String(),
		Source:     e.Source.String(),
		Code:       e.Code(),
		Reason:     e.Reason,
		Rule:       e.Rule,
		DecidedBy:  e.DecidedBy.String(),
		Confidence: e.Confidence.String(),
		Signature:  e.Signature,
		Text:       e.Text,
		Contact:    e.Contact(),
		Times:      e.Times,
	}
	if e.HasSender {
		j.Sender = &e.Sender
	}
	j.Reply, j.Enhanced, j.MTAStatus = given(e.Reply), given(e.Enhanced), given(e.MTAStatus)
	if e.Delay >= 0 {
		s := e.Delay.Seconds()
		j.Delay = &s
	}
	return j
}

func (j jsonEvents) Event(e *store.Event) error {
	return templates.WriteJSON(j.w, newJSONEvent(e, j.loc), "")
}
func (j jsonEvents) Flush() error { return nil }

type csvEvents struct {
	c   *csvWriter
	loc *time.Location
}

func (c csvEvents) Event(e *store.Event) error {
	reply := ""
	if e.Reply != 0 {
		reply = fmt.Sprint(e.Reply)
	}
	row := []string{e.Time.In(c.loc).Format(time.RFC3339), e.Outcome}
	for _, s := range []registry.Foreign{
		e.Host, own(e.MTA), e.Instance, e.Message, own(SenderOf(e)), e.Recipient, e.Domain, e.Relay, e.IP,
		e.Provider,
		own(e.Stage.String()), own(reply), own(e.Enhanced), own(e.MTAStatus), own(e.Reason),
		e.Client, e.ClientIP, own(e.Contact()), e.Text,
	} {
		row = append(row, templates.CSV(s))
	}
	c.c.row(row...)
	return c.c.err
}

// own gives mailfail's own words the type of text of strangers, for rows that contain
// both.
func own(s string) registry.Foreign { return registry.Foreign(s) }

func (c csvEvents) Flush() error { return c.c.flush() }

func codeOrNone(code string) string {
	if code == "" {
		return "(no code)"
	}
	return code
}
