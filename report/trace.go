package report

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// TraceSchema is the schema of the JSON that mailfail trace prints.
const TraceSchema = "mailfail/trace/1"

// Trace holds the stories of messages, the rejections, and the deliveries at the first
// attempt.
type Trace struct {
	Query      string
	Stories    []*store.Story
	Rejections []*store.Event
	Delivered  store.Delivered
	Location   *time.Location
}

// NewTrace reads the records of a queue id, a Message-ID or an address.
func NewTrace(ctx context.Context, q store.Reader, query string, loc *time.Location) (*Trace, error) {
	t := &Trace{Query: query, Location: loc}
	var err error
	if t.Stories, t.Rejections, err = q.Trace(ctx, query); err == nil {
		t.Delivered, err = q.Delivered(ctx, query)
	}
	return t, err
}

// note returns the sentence about how far back deliveries are listed: for older mail an
// empty list does not mean that the mail was not delivered.
func (t *Trace) note() string {
	const layout = "2006-01-02 15:04 MST"
	note := "Mail that was delivered at once is listed too, as far as it was read."
	if from := t.Delivered.From; !from.IsZero() {
		note = "Mail that was delivered at once is listed from " + from.In(t.Location).Format(layout) +
			" on; before then it was only counted."
	}
	if from := t.Delivered.Kept.Rows; !from.IsZero() {
		note += " What failed is listed from " + from.In(t.Location).Format(layout) +
			" on; what is older was removed."
	}
	return note
}

// WriteText writes the stories for people: what happened to the mail, in order of time.
func (t *Trace) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(t.Stories)+len(t.Rejections)+len(t.Delivered.Rows) == 0 {
		fmt.Fprintf(&b, "Nothing is known of %s.\n", templates.Printable(t.Query))
	}
	for _, s := range t.Stories {
		t.story(&b, s)
		b.WriteByte('\n')
	}
	if len(t.Rejections) > 0 {
		b.WriteString("Refused on the way in\n")
		for _, e := range t.Rejections {
			b.WriteString("  " + EventLine(e, t.Location) + "\n")
		}
		b.WriteByte('\n')
	}
	t.way(&b)
	_, err := fmt.Fprintf(w, "%s%s\n", b.String(), t.note())
	return err
}

// way writes the steps of mail that was passed on and, for one message, where the legs
// of its stories ended.
func (t *Trace) way(b *strings.Builder) {
	rows, ends := t.Delivered.Rows, t.oneMessage()
	if len(rows) == 0 && len(ends) < 2 {
		return
	}
	isOther := func(d store.DeliveredRow) bool { return d.Step != store.StepDelivered }
	if len(ends) == 0 && !slices.ContainsFunc(rows, isOther) {
		b.WriteString("Delivered at once\n")
	} else {
		b.WriteString("Step by step\n")
	}
	for i := range rows {
		for len(ends) > 0 && ends[0].at.Before(rows[i].Time) {
			b.WriteString(ends[0].line)
			ends = ends[1:]
		}
		t.step(b, &rows[i])
	}
	for _, e := range ends {
		b.WriteString(e.line)
	}
	b.WriteByte('\n')
}

// end is a line about how a recipient of a story ended.
type end struct {
	at   time.Time
	line string
}

// oneMessage returns the ends of the stories, in their order, when they are legs of
// one message.
func (t *Trace) oneMessage() (ends []end) {
	if len(t.Stories)+len(t.Delivered.Rows) < 2 {
		return nil
	}
	for _, s := range t.Stories {
		if s.MessageID == "" || s.MessageID != t.Stories[0].MessageID {
			return nil
		}
		for _, r := range s.Recipients {
			at := r.Final
			if at.IsZero() {
				at = r.LastSeen
			}
			var b strings.Builder
			t.where(&b, at, s.QueueID, s.Host)
			fmt.Fprintf(&b, " to %s: %s\n", templates.Printable(r.Address), r.State)
			ends = append(ends, end{at, b.String()})
		}
	}
	slices.SortStableFunc(ends, func(a, b end) int { return a.at.Compare(b.at) })
	return ends
}

// where begins the line of a step.
func (t *Trace) where(b *strings.Builder, at time.Time, queueID, host registry.Foreign) {
	fmt.Fprintf(b, "  %s", at.In(t.Location).Format(time.DateTime))
	if queueID != "" {
		fmt.Fprintf(b, " %s", templates.Printable(queueID))
	}
	if host != "" {
		fmt.Fprintf(b, " on %s", templates.Printable(host))
	}
}

func (t *Trace) step(b *strings.Builder, d *store.DeliveredRow) {
	t.where(b, d.Time, d.QueueID, d.Host)
	fmt.Fprintf(b, " to %s", templates.Printable(d.Recipient))
	switch {
	case d.Step == store.StepPlaced:
		fmt.Fprintf(b, ": %s\n", templates.Printable(d.Place))
		return
	case d.Step == store.StepHandedOver && d.Relay != "":
		fmt.Fprintf(b, ": handed over to %s", templates.Printable(d.Relay))
	case d.Step == store.StepHandedOver:
		b.WriteString(": handed over")
	case d.Relay != "":
		fmt.Fprintf(b, ": delivered via %s", templates.Printable(d.Relay))
	}
	if d.SenderDomain == "<>" {
		b.WriteString(", a bounce")
	} else if d.SenderDomain != "" {
		fmt.Fprintf(b, ", sent from %s", templates.Printable(d.SenderDomain))
	}
	b.WriteByte('\n')
}

func (t *Trace) story(b *strings.Builder, s *store.Story) {
	fmt.Fprintf(b, "Message %s", templates.Printable(s.QueueID))
	if s.Host != "" {
		fmt.Fprintf(b, " on %s", templates.Printable(s.Host))
	}
	fmt.Fprintf(b, " (%s", templates.Printable(s.Format))
	if s.Instance != "" {
		fmt.Fprintf(b, ", %s", templates.Printable(s.Instance))
	}
	b.WriteString(")\n")
	t.fact(b, "first seen", s.FirstSeen.In(t.Location).Format(time.DateTime+" MST"))
	t.fact(b, "sender", SenderOf(&store.Event{Sender: s.Sender, HasSender: s.HasSender}))
	t.fact(b, "message id", s.MessageID.String())
	var client strings.Builder
	hostAt(&client, "", s.Client, s.ClientIP)
	t.fact(b, "client", client.String())
	if s.Size > 0 {
		t.fact(b, "size", templates.Count(s.Size)+" bytes")
	}
	for _, r := range s.Recipients {
		fmt.Fprintf(b, "  To %s: %s\n", templates.Printable(r.Address), t.end(&r))
		if !r.Accepted.IsZero() {
			fmt.Fprintf(b, "    refused after the next hop had accepted it at %s\n",
				r.Accepted.In(t.Location).Format(time.DateTime))
		}
		for _, e := range r.Attempts {
			fmt.Fprintf(b, "    %s\n", t.attempt(e))
		}
	}
}

func (t *Trace) fact(b *strings.Builder, name, value string) {
	if value != "" {
		fmt.Fprintf(b, "  %-10s  %s\n", name, templates.Printable(value))
	}
}

// end describes the last state of a recipient.
func (t *Trace) end(r *store.StoryRecipient) string {
	if r.Final.IsZero() {
		return fmt.Sprintf("%s, last seen %s", r.State, r.LastSeen.In(t.Location).Format(time.DateTime))
	}
	return fmt.Sprintf("%s at %s", r.State, r.Final.In(t.Location).Format(time.DateTime))
}

func (t *Trace) attempt(e *store.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s %-10s %s", e.Time.In(t.Location).Format(time.DateTime), e.Outcome,
		codeOrNone(e.Code()), templates.Printable(e.Reason))
	hostAt(&b, " via ", e.Relay, e.IP)
	return b.String() + ": " + templates.Printable(e.Text)
}

type jsonTrace struct {
	Schema     string      `json:"schema"`
	Query      string      `json:"query"`
	Note       string      `json:"note"`
	Messages   []jsonStory `json:"messages"`
	Rejections []jsonEvent `json:"rejections"`

	Delivered     []jsonDelivered `json:"delivered"`
	Steps         []jsonStep      `json:"steps"`
	DeliveredFrom *string         `json:"delivered_from"`
}

type jsonDelivered struct {
	Time         string           `json:"time"`
	Message      registry.Foreign `json:"message"`
	Format       string           `json:"format"`
	Host         registry.Foreign `json:"host"`
	Instance     registry.Foreign `json:"instance"`
	SenderDomain registry.Foreign `json:"sender_domain"`
	Recipient    registry.Foreign `json:"recipient"`
	Relay        registry.Foreign `json:"relay"`
	Direction    string           `json:"direction"`
}

// jsonStep is a step of a message that was passed on: delivered, handed over to a
// filter, or placed in a mailbox by the program that took it.
type jsonStep struct {
	Step  string           `json:"step"`
	Place registry.Foreign `json:"place"`
	jsonDelivered
}

type jsonStory struct {
	Message    registry.Foreign     `json:"message"`
	MessageID  registry.Foreign     `json:"message_id"`
	Format     string               `json:"format"`
	Host       registry.Foreign     `json:"host"`
	Instance   registry.Foreign     `json:"instance"`
	Sender     *registry.Foreign    `json:"sender"`
	Client     registry.Foreign     `json:"client"`
	ClientIP   registry.Foreign     `json:"client_ip"`
	Size       int64                `json:"size"`
	FirstSeen  string               `json:"first_seen"`
	Recipients []jsonStoryRecipient `json:"recipients"`
}

type jsonStoryRecipient struct {
	Recipient registry.Foreign `json:"recipient"`
	State     string           `json:"state"`
	FirstSeen string           `json:"first_seen"`
	LastSeen  string           `json:"last_seen"`
	Final     *string          `json:"final"`
	// when the next hop accepted it, before a bounce reported that it failed
	Accepted *string     `json:"accepted,omitempty"`
	Attempts []jsonEvent `json:"attempts"`
}

// WriteJSON writes the story as one object.
func (t *Trace) WriteJSON(w io.Writer) error {
	j := jsonTrace{Schema: TraceSchema, Query: t.Query, Note: t.note(), Messages: make([]jsonStory, 0),
		Rejections: t.events(t.Rejections), Delivered: make([]jsonDelivered, 0), Steps: make([]jsonStep, 0)}
	for _, s := range t.Stories {
		m := jsonStory{
			Message:    s.QueueID,
			MessageID:  s.MessageID,
			Format:     s.Format,
			Host:       s.Host,
			Instance:   s.Instance,
			Client:     s.Client,
			ClientIP:   s.ClientIP,
			Size:       s.Size,
			FirstSeen:  t.time(s.FirstSeen),
			Recipients: make([]jsonStoryRecipient, 0),
		}
		if s.HasSender {
			m.Sender = &s.Sender
		}
		for _, r := range s.Recipients {
			p := jsonStoryRecipient{
				Recipient: r.Address,
				State:     r.State.String(),
				FirstSeen: t.time(r.FirstSeen),
				LastSeen:  t.time(r.LastSeen),
				Attempts:  t.events(r.Attempts),
			}
			if !r.Final.IsZero() {
				final := t.time(r.Final)
				p.Final = &final
			}
			if !r.Accepted.IsZero() {
				accepted := t.time(r.Accepted)
				p.Accepted = &accepted
			}
			m.Recipients = append(m.Recipients, p)
		}
		j.Messages = append(j.Messages, m)
	}
	for _, d := range t.Delivered.Rows {
		row := jsonDelivered{t.time(d.Time), d.QueueID, d.Format, d.Host, d.Instance,
			d.SenderDomain, d.Recipient, d.Relay, d.Direction}
		if d.Step == store.StepDelivered {
			j.Delivered = append(j.Delivered, row)
		}
		j.Steps = append(j.Steps, jsonStep{store.Steps[d.Step], d.Place, row})
	}
	if !t.Delivered.From.IsZero() {
		from := t.time(t.Delivered.From)
		j.DeliveredFrom = &from
	}
	return templates.WriteJSON(w, j, "  ")
}

func (t *Trace) events(list []*store.Event) []jsonEvent {
	out := make([]jsonEvent, 0, len(list))
	for _, e := range list {
		out = append(out, newJSONEvent(e, t.Location))
	}
	return out
}

func (t *Trace) time(at time.Time) string { return at.In(t.Location).Format(time.RFC3339) }
