package report

import (
	"context"
	"slices"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/templates"
)

// ByFeedback asks for the bounces and complaints about mail that was sent earlier. It
// cannot be combined with dimensions: no other number includes them.
const ByFeedback store.Dimension = "feedback"

// feedback reads the bounces and complaints about mail that was sent earlier.
func (r *Report) feedback(ctx context.Context, q store.Reader) (err error) {
	r.Feedback, err = q.Feedback(ctx, r.Window, r.Filter)
	return err
}

// reported counts the feedback of a kind.
func (r *Report) reported(kind store.FeedbackKind) (n int64) {
	for i := range r.Feedback {
		if r.Feedback[i].Kind == kind {
			n += r.Feedback[i].N
		}
	}
	return n
}

// refused is the table of mail that was refused after the next hop had accepted it.
func (c *composer) refused() Section {
	s := Section{ID: "refused", Title: "Refused after acceptance"}
	rows := c.feedbackOf(store.FeedbackRefused)
	if len(rows) > 0 {
		n := c.reported(store.FeedbackRefused)
		s.Text = append(s.Text,
			templates.Say("Bounces report %v %v as failed whose mail the next hop had accepted. They "+
				"count as delivered.",
				n, templates.Plural(n, "recipient")))
		t := &Table{Columns: []Column{{Title: "Recipients", Number: true}, {Title: "Code"},
			{Title: "Reason"},
			{Title: "Accepted by", Name: true}, {Title: "Domain", Name: true}}}
		for _, f := range top(rows, c.rows(fewRows)) {
			t.Rows = append(t.Rows, Row{
				Cells: []templates.Text{templates.Number(f.N), templates.Words(f.Code()),
					templates.Words(f.Reason), templates.Name(f.Provider), templates.Name(f.Domain)},
				Quote: []registry.Foreign{f.Example},
			})
		}
		s.Table, s.More = t, more(len(rows)-len(t.Rows), "row")
	}
	if !c.BouncesLeftOut {
		return s
	}
	if n := c.reported(store.FeedbackUnmatched); n > 0 {
		s.Text = append(s.Text,
			templates.Say("%v bounced %v of mail that no log here reports: in no number of this report "+
				"(--mta bounces shows them).", n, templates.Plural(n, "recipient")))
	}
	return s
}

// complaints is the table of the complaints of recipients.
func (c *composer) complaints() Section {
	s := Section{ID: "complaints", Title: "Complaints"}
	rows := c.feedbackOf(store.FeedbackComplaint)
	t := &Table{Columns: []Column{{Title: "Complaints", Number: true}, {Title: "Type"},
		{Title: "Provider", Name: true}, {Title: "Sender", Name: true}, {Title: "Domain", Name: true}}}
	for _, f := range top(rows, c.rows(fewRows)) {
		t.Rows = append(t.Rows, Row{Cells: []templates.Text{
			templates.Number(f.N), templates.Name(f.Example), templates.Name(f.Provider),
			templates.Name(f.Sender),
			templates.Name(f.Domain),
		}})
	}
	s.Table, s.More = t, more(len(rows)-len(t.Rows), "row")
	return s
}

func (r *Report) feedbackOf(kind store.FeedbackKind) []store.FeedbackRow {
	return slices.DeleteFunc(slices.Clone(r.Feedback), func(f store.FeedbackRow) bool {
		return f.Kind != kind
	})
}

func (r *Report) csvFeedback(c *csvWriter, n int) {
	c.row("kind", "count", "code", "reason", "type", "provider", "sender", "domain", "host", "mta",
		"first_seen",
		"last_seen", "example")
	for _, f := range top(r.Feedback, n) {
		j := r.jsonFeedback(&f)
		c.row(j.Kind, number(j.Count), j.Code, j.Reason, templates.CSV(j.Type), templates.CSV(j.Provider),
			templates.CSV(j.Sender), templates.CSV(j.Domain),
			templates.CSV(j.Host), j.MTA, *j.FirstSeen, *j.LastSeen, templates.CSV(j.Example))
	}
}

// jsonFeedbacks counts the bounces and complaints about mail that was sent earlier.
type jsonFeedbacks struct {
	Refused    int64          `json:"refused"`    // recipients of mail that a log reports as delivered
	Repeated   int64          `json:"repeated"`   // recipients whose failure a log reports too
	Unmatched  int64          `json:"unmatched"`  // recipients of mail that is in no log
	Complaints int64          `json:"complaints"` // not included in any other number
	Rows       []jsonFeedback `json:"rows"`
}

type jsonFeedback struct {
	Kind      string           `json:"kind"` // refused, repeated, unmatched, complaint
	Count     int64            `json:"count"`
	Code      string           `json:"code"`
	Reason    string           `json:"reason"`
	Type      registry.Foreign `json:"type"` // of a complaint
	Provider  registry.Foreign `json:"provider"`
	Sender    registry.Foreign `json:"sender"`
	Domain    registry.Foreign `json:"domain"`
	Host      registry.Foreign `json:"host"`
	MTA       string           `json:"mta"` // that reports
	FirstSeen *string          `json:"first_seen"`
	LastSeen  *string          `json:"last_seen"`
	Example   registry.Foreign `json:"example"`
}

func (r *Report) jsonFeedback(f *store.FeedbackRow) jsonFeedback {
	j := jsonFeedback{
		Kind:      f.Kind.String(),
		Count:     f.N,
		Code:      f.Code(),
		Reason:    f.Reason,
		Provider:  f.Provider,
		Sender:    f.Sender,
		Domain:    f.Domain,
		Host:      f.Host,
		MTA:       store.MTA(f.Format),
		FirstSeen: r.time(f.First),
		LastSeen:  r.time(f.Last),
		Example:   f.Example,
	}
	if f.Kind == store.FeedbackComplaint {
		j.Type, j.Example = f.Example, ""
	}
	return j
}

func (r *Report) jsonFeedbacks(n int) *jsonFeedbacks {
	if len(r.Feedback) == 0 {
		return nil
	}
	j := &jsonFeedbacks{
		Refused: r.reported(store.FeedbackRefused), Repeated: r.reported(store.FeedbackRepeated),
		Unmatched: r.reported(store.FeedbackUnmatched), Complaints: r.reported(store.FeedbackComplaint),
	}
	for _, f := range top(r.Feedback, n) {
		j.Rows = append(j.Rows, r.jsonFeedback(&f))
	}
	return j
}

// feedbackFigure is a figure of feedback.
type feedbackFigure struct {
	name string
	n    int64
	note templates.Text
}

func (c *composer) feedbackFigures() (list []feedbackFigure) {
	for _, f := range []feedbackFigure{
		{"Refused later", c.reported(store.FeedbackRefused),
			templates.Words("accepted by the next hop, then bounced; among the delivered")},
		{"Complaints", c.reported(store.FeedbackComplaint), templates.Words("of recipients, in no other number")},
	} {
		if f.n > 0 {
			list = append(list, f)
		}
	}
	return list
}
