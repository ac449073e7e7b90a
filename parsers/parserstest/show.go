// Package parserstest is the test kit for log formats: it checks the contract that
// every format must keep, so that a format's own tests contain only its lines.
package parserstest

import (
	"bytes"
	"fmt"
	"strings"

	"mailfail/parsers"
	"mailfail/registry"
)

// Show writes the fields of a record that are set in one line, except Time, Host and
// Format, which the stream sets.
func Show(r *parsers.Record) string {
	w := words{nameOf(r)}
	w.add("", r.ID)
	w.when(r.Outcome != 0, "%s", r.Outcome)
	w.when(r.Kind != parsers.Settled && r.Final != 0, "%s", endings[r.Final])
	w.when(r.Reinjected, "reinjected")
	w.when(r.Own, "own")
	w.when(r.Kept, "kept")
	w.when(r.Copy, "copy")
	w.when(r.FromBounce, "from-bounce")
	w.when(r.Problem != "", "%s/%s", r.Problem, r.Severity)
	w.add("instance", r.Instance)
	w.when(r.HasSender, "from=<%s>", r.Sender)
	w.add("to", r.Address)
	w.add("orig", r.Original)
	w.when(r.Direction != 0, "%s", r.Direction)
	w.add("account", r.Account)
	w.when(r.Login, "login")
	w.add("client", r.Client)
	w.add("clientip", r.ClientIP)
	w.add("id", r.MessageID)
	w.add("bounce-of", r.BounceOf)
	w.add("ids", bytes.ReplaceAll(r.QueueIDs, []byte(" "), []byte(",")))
	w.when(r.Size != 0, "size=%d", r.Size)
	w.when(r.Recipients != 0, "recipients=%d", r.Recipients)
	w.add("domain", r.Domain)
	w.add("relay", r.Relay)
	w.add("ip", r.RelayIP)
	w.add("service", r.Service)
	w.when(r.Stage != 0 || r.Source != 0, "at=%s/%s", r.Stage, r.Source)
	w.when(r.Reply.Code != 0 || !r.Reply.Enhanced.IsZero(), "code=%d/%s", r.Reply.Code, r.Reply.Enhanced)
	w.when(!r.MTAStatus.IsZero(), "dsn=%s", r.MTAStatus)
	w.when(len(r.Place) > 0, "place=%q", r.Place)
	w.add("next", r.NextID)
	w.add("tls", r.TLS)
	w.when(r.Nth != 0, "nth=%d", r.Nth)
	w.when(r.Messages != 0, "messages=%d", r.Messages)
	w.add("session", r.Session)
	w.when(r.Delay >= 0, "delay=%s", r.Delay)
	w.when(len(r.Reply.Text) > 0, "%q", r.Reply.Text)
	w.when(len(r.Then) > 0, "then %q", r.Then)
	return strings.Join(w, " ")
}

// nameOf returns the kind of a record, but for a Settled record its final state.
func nameOf(r *parsers.Record) string {
	if r.Kind != parsers.Settled {
		return r.Kind.String()
	}
	switch r.Final {
	case registry.StateRemoved:
		return "discarded"
	case registry.StateHandedOver:
		return "handed-over"
	}
	return r.Final.String()
}

// endings are the states in which a failed attempt may leave a recipient.
var endings = map[registry.State]string{
	registry.StateExpired: "given-up",
	registry.StateRemoved: "removed",
}

// words are the words of a line.
type words []string

func (w *words) when(is bool, format string, args ...any) {
	if is {
		*w = append(*w, fmt.Sprintf(format, args...))
	}
}

func (w *words) add(name string, value []byte) {
	if name != "" {
		name += "="
	}
	w.when(len(value) > 0, "%s%s", name, value)
}
