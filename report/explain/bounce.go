package explain

import (
	"fmt"
	"io"
	"strings"

	"mailfail/parsers/dsn"
	"mailfail/registry"
)

// Recipient is one recipient that a bounce message reports about.
type Recipient struct {
	Address    string  `json:"address"`
	Action     string  `json:"action,omitempty"` // failed, delayed, delivered …
	Status     string  `json:"status,omitempty"`
	RemoteMTA  string  `json:"remote_mta,omitempty"`
	Diagnostic string  `json:"diagnostic"`
	Codes      []Code  `json:"codes"`
	Reason     *Reason `json:"reason"`

	Tags     []Tag     `json:"tags,omitempty"`
	Contains *Contains `json:"contains,omitempty"`
}

// Message explains a bounce message as mail programs save it: the parts of a
// delivery report (RFC 3464), or the texts that Postfix, Exim, sendmail, qmail
// and Exchange write. Input that is not a message is explained as a text.
func (x *Explainer) Message(name string, r io.Reader) (*Answer, error) {
	data, err := io.ReadAll(io.LimitReader(r, dsn.MaxMessage))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	b := dsn.Read(data)
	recipients := b.Recipients()
	if len(recipients) == 0 || len(recipients) == 1 && recipients[0].Address == "" && !b.IsMessage {
		text := b.Answer()
		if text == "" && b.IsMessage {
			text = x.prose(b)
		}
		a := x.Text(text)
		a.Input = name
		return a, nil
	}
	a := &Answer{Schema: Schema, Input: name, Codes: []Code{}}
	for _, f := range recipients {
		r := x.recipient(f)
		if r.Reason == nil || r.Reason.Reason == "unknown" {
			if f.Diagnostic = x.prose(b); f.Diagnostic != "" {
				r = x.recipient(f)
			}
		}
		a.Recipients = append(a.Recipients, r)
	}
	a.merge()
	a.Trace = b.QueueID()
	return a, nil
}

// prose returns the line for humans that names the cause, for a message without a reply
// or a report. It takes the first line that a whole phrase decides, else the first with
// a subject and a statement about it, else the subject of the message when a whole
// phrase decides it. Single words are not enough: prose uses them in other meanings.
func (x *Explainer) prose(m *dsn.Message) string {
	sentence := ""
	for line := range m.Prose() {
		switch c := x.decided(line); {
		case c == registry.ConfidenceHigh:
			return dsn.Cut(strings.TrimSpace(line))
		case c == registry.ConfidenceMedium && sentence == "":
			sentence = dsn.Cut(strings.TrimSpace(line))
		}
	}
	if sentence == "" && x.decided(m.Subject()) == registry.ConfidenceHigh {
		return dsn.Cut(m.Subject())
	}
	return sentence
}

// decided returns how certain the reason is that the words of a line name.
func (x *Explainer) decided(line string) registry.Confidence {
	v := x.Rules.Classify(registry.Failure{Signature: string(registry.AppendSignature(nil, []byte(line)))})
	if v.DecidedBy != registry.ByText {
		return registry.ConfidenceNone
	}
	return v.Confidence
}

// recipient explains the outcome of one recipient.
func (x *Explainer) recipient(f dsn.Recipient) Recipient {
	text := strings.Join(strings.Fields(f.Diagnostic), " ")
	a := &Answer{Codes: []Code{}}
	status, _ := registry.ParseEnhanced(f.Status)
	state := registry.StateBounced
	if f.Action == "delayed" {
		state = registry.StatePending
	}
	x.reply(a, text, said{host: f.Remote, status: status, state: state})
	return Recipient{
		Address: f.Address, Action: f.Action, Status: f.Status, RemoteMTA: f.Remote,
		Diagnostic: text, Codes: a.Codes, Reason: a.Reason, Tags: a.Tags, Contains: a.Contains,
	}
}

// merge gives the answer the codes of all recipients, each once, and the
// reason of the first.
func (a *Answer) merge() {
	seen := map[string]bool{}
	for _, r := range a.Recipients {
		for _, c := range r.Codes {
			if !seen[c.Kind+c.Code] {
				seen[c.Kind+c.Code] = true
				a.Codes = append(a.Codes, c)
			}
		}
		if a.Reason == nil {
			a.Reason = r.Reason
		}
	}
}
