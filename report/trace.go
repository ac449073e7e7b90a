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

// TraceSchema is the schema of the JSON that mailfail trace prints.
const TraceSchema = "mailfail/trace/1"

// Trace is the story of messages and of rejections.
type Trace struct {
	Query      string
	Stories    []*store.Story
	Rejections []*store.Event
	Location   *time.Location
}

// onlyCounted is what everyone who looks for a message has to know.
const onlyCounted = "Recipients that were delivered at once are only counted; they are not listed here."

// WriteText tells the story.
func (t *Trace) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(t.Stories)+len(t.Rejections) == 0 {
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
	_, err := fmt.Fprintf(w, "%s%s\n", b.String(), onlyCounted)
	return err
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
	t.fact(b, "sender", senderOf(&store.Event{Sender: s.Sender, HasSender: s.HasSender}))
	t.fact(b, "message id", s.MessageID.String())
	var client strings.Builder
	hostAt(&client, "", s.Client, s.ClientIP)
	t.fact(b, "client", client.String())
	if s.Size > 0 {
		t.fact(b, "size", templates.Count(s.Size)+" bytes")
	}
	for _, r := range s.Recipients {
		fmt.Fprintf(b, "  To %s: %s\n", templates.Printable(r.Address), t.end(&r))
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

// end says how a recipient ended.
func (t *Trace) end(r *store.StoryRecipient) string {
	if r.Final.IsZero() {
		return fmt.Sprintf("%s, last seen %s", r.State, r.LastSeen.In(t.Location).Format(time.DateTime))
	}
	return fmt.Sprintf("%s at %s", r.State, r.Final.In(t.Location).Format(time.DateTime))
}

func (t *Trace) attempt(e *store.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-8s %-10s %s", e.Time.In(t.Location).Format(time.DateTime), e.Outcome, codeOrNone(e.Code()), templates.Printable(e.Reason))
	hostAt(&b, " via ", e.Relay, e.IP)
	return b.String() + ": " + templates.Printable(e.Text)
}

type jsonTrace struct {
	Schema     string      `json:"schema"`
	Query      string      `json:"query"`
	Note       string      `json:"note"`
	Messages   []jsonStory `json:"messages"`
	Rejections []jsonEvent `json:"rejections"`
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
	Attempts  []jsonEvent      `json:"attempts"`
}

// WriteJSON writes the story as one object.
func (t *Trace) WriteJSON(w io.Writer) error {
	j := jsonTrace{Schema: TraceSchema, Query: t.Query, Note: onlyCounted, Messages: make([]jsonStory, 0), Rejections: t.events(t.Rejections)}
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
			m.Recipients = append(m.Recipients, p)
		}
		j.Messages = append(j.Messages, m)
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
