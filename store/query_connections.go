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
	replies := map[string]connection{} // of send logs, by session
	if twice {
		if err := c.eachConnection(func(n connection) {
			if n.session != "" && c.isOf(n, sendFormat) && c.cat.causes[n.cause].reply != 0 {
				replies[n.session] = n
			}
		}); err != nil {
			return err
		}
	}
	hops := map[string]*hopTally{}
	err = c.eachConnection(func(n connection) {
		if twice && c.isOf(n, sendFormat) || !c.filter.matchHop(c.cat, n.series) {
			return
		}
		if r, ok := replies[n.session]; ok {
			n.cause, n.text = r.cause, r.text
		}
		k := c.cause(n.cause)
		if n.cause == 0 {
			k = nil // it could be used
		}
		if k == nil && (n.cause != 0 || c.filter.OfCause()) {
			return
		}
		name := c.cat.names[n.series.relay]
		if hops[name] == nil {
			hops[name] = &hopTally{Hop: Hop{Name: name}, causes: map[label]int64{}, texts: map[label]hopText{}}
		}
		hops[name].add(&n, k)
	})
	for _, h := range hops {
		c.numbers.Hops = append(c.numbers.Hops, h.finish(c.cat))
	}
	slices.SortFunc(c.numbers.Hops, func(a, b Hop) int { return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Name, b.Name)) })
	return err
}

// connection is a row of the table connections.
type connection struct {
	series                     *series
	minute, cause, n, messages int64
	session, text              string
}

func (c *counter) eachConnection(each func(connection)) error {
	where, args := c.window.where("minute", minuteMicros)
	return c.each("SELECT minute, series, cause, session, n, messages, text FROM connections WHERE "+where, args, func(r *sql.Rows) error {
		var n connection
		var id int64
		err := r.Scan(&n.minute, &id, &n.cause, &n.session, &n.n, &n.messages, &n.text)
		n.series = &c.cat.series[c.cat.index[id]]
		each(n)
		return err
	})
}

func (c *counter) isOf(n connection, format string) bool {
	return c.cat.names[n.series.format] == format
}

// add counts connections; k is nil when they could be used.
func (h *hopTally) add(n *connection, k *cause) {
	h.Connections += n.n
	h.Messages += n.messages
	if k == nil {
		return
	}
	h.Failed += n.n
	at := time.UnixMicro(n.minute * minuteMicros)
	if h.First.IsZero() || at.Before(h.First) {
		h.First = at
	}
	if at.After(h.Last) {
		h.Last = at
	}
	l := label{k.code, k.reason}
	h.causes[l] += n.n
	if last, ok := h.texts[l]; !ok || cmp.Or(cmp.Compare(last.minute, n.minute), cmp.Compare(n.text, last.text)) < 0 {
		h.texts[l] = hopText{n.minute, n.text, k}
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
