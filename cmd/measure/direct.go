package main

import (
	"fmt"
	"slices"
	"time"

	"mailfail/parsers/parserstest/sites"
	"mailfail/registry"
	"mailfail/report/investigate"
)

// direct turns the events at a site until a time into the engine's data without logs,
// as the parsers, the tracker and a store would.
type direct struct {
	data    *investigate.Data
	until   time.Time
	places  map[investigate.Place]int32
	causes  map[causeKey]int32
	details map[int64]investigate.Detail
	next    int64
}

type causeKey struct{ provider, code, enhanced, stage, source, signature string }

func minuteOf(t time.Time) int64 { return t.Unix() / 60 }

func newData(s *sites.Site, since, until time.Time) *investigate.Data {
	d := &direct{
		data:    &investigate.Data{Since: minuteOf(since), Until: minuteOf(until)},
		until:   until,
		places:  map[investigate.Place]int32{},
		causes:  map[causeKey]int32{},
		details: map[int64]investigate.Detail{},
	}
	for t := since.AddDate(0, 0, -1); !t.Before(s.Start); t = t.AddDate(0, 0, -1) {
		d.data.Days = append(d.data.Days, investigate.Span{
			Since: minuteOf(t),
			Until: minuteOf(t.AddDate(0, 0, 1)),
		})
	}
	slices.Reverse(d.data.Days)
	for _, m := range s.Messages {
		if m.At.Before(until) {
			d.message(m)
		}
	}
	d.data.Details = func(ids []int64) map[int64]investigate.Detail {
		found := map[int64]investigate.Detail{}
		for _, id := range ids {
			found[id] = d.details[id]
		}
		return found
	}
	return d.data
}

func (d *direct) message(m *sites.Message) {
	sender := senderDomain(m.Sender)
	d.data.Accept(minuteOf(m.At), d.placeOf(investigate.Place{
		Host:   registry.Foreign(m.Host),
		Sender: sender,
	}), 1)
	for _, r := range m.Recipients {
		if len(r.Attempts) > 0 && r.Attempts[0].At.Before(d.until) {
			d.recipient(m, r, sender)
		}
	}
}

func senderDomain(address string) registry.Foreign {
	if address == "" {
		return "<>"
	}
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return registry.Foreign(address[i+1:])
		}
	}
	return ""
}

func (d *direct) recipient(m *sites.Message, r *sites.Recipient, sender registry.Foreign) {
	d.next++
	first := minuteOf(r.Attempts[0].At)
	state, last := investigate.Waiting, r.Attempts[0]
	for _, a := range r.Attempts {
		if !a.At.Before(d.until) {
			break
		}
		switch last = a; a.Outcome {
		case sites.Delivered:
			state = investigate.Delivered
		case sites.Bounced:
			state = investigate.Failed
		}
	}
	d.data.Arrive(first, d.place(m, r, &last, sender), 1)
	seen, tried := map[string]bool{}, false
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if !a.At.Before(d.until) {
			break
		}
		if a.Outcome == sites.Delivered || a.Outcome == sites.Suspended {
			continue
		}
		tried = true
		cause := d.cause(a)
		if reason := d.data.Causes[cause].Reason; !seen[reason] {
			seen[reason] = true
			id := int64(len(d.details) + 1)
			d.details[id] = investigate.Detail{
				Text:      registry.Foreign(a.Reply.Text),
				Sender:    registry.Foreign(m.Sender),
				Recipient: registry.Foreign(r.Address),
				Account:   registry.Foreign(m.Account),
				Client:    registry.Foreign(m.Client),
				IP:        registry.Foreign(a.IP),
			}
			minute := minuteOf(a.At)
			if r.Attempts[0].Outcome == sites.Suspended && isOfSite(a) {
				minute = first
			}
			d.data.Fail(investigate.Event{
				ID:        id,
				Minute:    minute,
				Arrived:   first,
				Place:     d.place(m, r, a, sender),
				Cause:     cause,
				N:         1,
				Recipient: d.next,
				State:     state,
			})
		}
	}
	if !tried && r.Attempts[0].Outcome == sites.Suspended {
		d.data.Fail(investigate.Event{
			Minute:    first,
			Arrived:   first,
			Place:     d.place(m, r, &r.Attempts[0], sender),
			Cause:     investigate.Suspended,
			N:         1,
			Recipient: d.next,
			State:     state,
		})
	}
}

// isOfSite reports whether a failure concerned the other site, not a message.
func isOfSite(a *sites.Attempt) bool { return a.Reply.Source != "remote" && a.Reply.Source != "local" }

func (d *direct) place(m *sites.Message, r *sites.Recipient, a *sites.Attempt,
	sender registry.Foreign) int32 {
	return d.placeOf(investigate.Place{
		Host:     registry.Foreign(m.Host),
		Sender:   sender,
		Domain:   senderDomain(r.Address),
		Relay:    registry.Foreign(a.Relay),
		Provider: registry.Foreign(registry.Provider(a.Relay)),
		Local:    a.Relay == "local",
	})
}

func (d *direct) placeOf(p investigate.Place) int32 {
	id, ok := d.places[p]
	if !ok {
		id = d.data.AddPlace(p)
		d.places[p] = id
	}
	return id
}

func (d *direct) cause(a *sites.Attempt) int32 {
	provider := registry.Provider(a.Relay)
	k := causeKey{provider, a.Reply.Code, a.Reply.Enhanced, a.Reply.Stage, a.Reply.Source,
		string(registry.AppendSignature(nil, []byte(a.Reply.Text)))}
	id, ok := d.causes[k]
	if ok {
		return id
	}
	f := registry.Failure{
		Provider:  provider,
		Signature: k.signature,
		Stage:     stageOf(k.stage),
		Source:    sourceOf(k.source),
	}
	fmt.Sscan(k.code, &f.Reply)
	f.Enhanced, _ = registry.ParseEnhanced(k.enhanced)
	code := k.code
	if k.enhanced != "" {
		code += " " + k.enhanced
	}
	id = int32(len(d.data.Causes))
	d.causes[k] = id
	d.data.Causes = append(d.data.Causes, investigate.Cause{
		Reason:    string(registry.DefaultRules().Classify(f).Reason),
		Code:      code,
		Stage:     k.stage,
		Source:    k.source,
		Signature: registry.Foreign(k.signature),
	})
	return id
}

func stageOf(name string) registry.Stage {
	for s := registry.StageUnknown; s <= registry.StageRoute; s++ {
		if s.String() == name {
			return s
		}
	}
	return registry.StageUnknown
}

func sourceOf(name string) registry.Source {
	for s := registry.SourceUnknown; s <= registry.SourceTLS; s++ {
		if s.String() == name {
			return s
		}
	}
	return registry.SourceUnknown
}
