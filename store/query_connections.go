package store

import (
	"cmp"
	"database/sql"
	"slices"
	"time"
)

// Hop holds the connections to one next hop: a server, or a domain whose
// servers were looked up. The failures are described by those of the most
// frequent code and reason.
type Hop struct {
	Name        string
	Connections int64
	Failed      int64 // not made, or ended before a recipient was named
	Messages    int64 // that the next hop took

	Code     string
	Reply    int    // 0 none
	Enhanced string // "" none
	Reason   string
	Provider string
	Example  string // of the texts of the latest minute the smallest

	First, Last time.Time // minutes of the first and the last failure
}

// hopTally adds up one next hop.
type hopTally struct {
	Hop
	causes map[label]int64
	texts  map[label]hopText
}

type hopText struct {
	minute int64
	text   string
	cause  *cause
}

// connections counts the connections to next hops. They have no recipients:
// domains that are asked for are compared with the next hop. With a filter of
// causes only the failures that match are counted.
func (c *counter) connections() error {
	twice, err := c.connectionsTwice(c.cat, c.window, c.filter)
	if err != nil {
		return err
	}
	hops := map[string]*hopTally{}
	where, args := c.window.where("minute", minuteMicros)
	err = c.each("SELECT minute, series, cause, n, messages, text FROM connections WHERE "+where, args, func(r *sql.Rows) error {
		var minute, id, causeID, n, messages int64
		var text string
		if err := r.Scan(&minute, &id, &causeID, &n, &messages, &text); err != nil {
			return err
		}
		s := &c.cat.series[c.cat.index[id]]
		if twice && c.cat.names[s.format] == sendFormat || !c.filter.matchHop(c.cat, s) {
			return nil
		}
		var k *cause
		if causeID != 0 {
			k = c.cause(causeID)
		}
		if k == nil && (causeID != 0 || c.filter.OfCause()) {
			return nil
		}
		name := c.cat.names[s.relay]
		if hops[name] == nil {
			hops[name] = &hopTally{Hop: Hop{Name: name}, causes: map[label]int64{}, texts: map[label]hopText{}}
		}
		hops[name].add(minute, n, messages, k, text)
		return nil
	})
	for _, h := range hops {
		c.numbers.Hops = append(c.numbers.Hops, h.finish(c.cat))
	}
	slices.SortFunc(c.numbers.Hops, func(a, b Hop) int { return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Name, b.Name)) })
	return err
}

// add counts n connections of a minute; k is nil when they could be used.
func (h *hopTally) add(minute, n, messages int64, k *cause, text string) {
	h.Connections += n
	h.Messages += messages
	if k == nil {
		return
	}
	h.Failed += n
	at := time.UnixMicro(minute * minuteMicros)
	if h.First.IsZero() || at.Before(h.First) {
		h.First = at
	}
	if at.After(h.Last) {
		h.Last = at
	}
	l := label{k.code, k.reason}
	h.causes[l] += n
	if last, ok := h.texts[l]; !ok || cmp.Or(cmp.Compare(last.minute, minute), cmp.Compare(text, last.text)) < 0 {
		h.texts[l] = hopText{minute, text, k}
	}
}

func (h *hopTally) finish(cat *catalog) Hop {
	if h.Failed > 0 {
		var most label
		for l, n := range h.causes {
			if cmp.Or(cmp.Compare(n, h.causes[most]), cmp.Compare(most.code, l.code), cmp.Compare(most.reason, l.reason)) > 0 {
				most = l
			}
		}
		last := h.texts[most]
		h.Code, h.Reply, h.Enhanced, h.Reason = most.code, last.cause.reply, last.cause.enhanced, most.reason
		h.Provider, h.Example = cat.names[last.cause.provider], last.text
	}
	return h.Hop
}

// matchHop is matchSeries for a series of connections.
func (f *Filter) matchHop(c *catalog, s *series) bool {
	hop := *s
	hop.domain, hop.repeats = s.relay, false
	return f.matchSeries(c, &hop)
}
