package sqlite

import (
	"cmp"
	"database/sql"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"slices"
	"time"
)

// hopTally adds up the connections to one next hop.
type hopTally struct {
	store.Hop
	causes map[int32]int64 // by label
	texts  map[int32]hopText
}

type hopText struct {
	minute int64
	text   string
	cause  *cause
}

// connections counts the connections to next hops. Connections have no recipients: the
// filter compares its domains with the next hop. With a filter of causes, only the failures
// that match are counted.
func (c *counter) connections() error {
	if c.only != nil {
		return nil // logs do not report who submitted the messages of a connection
	}
	twice, err := c.isBetter(c.window, &c.asked, store.ConnectivityFormat)
	if err != nil {
		return err
	}
	if err := c.need(c.window, fleet.Connections); err != nil {
		return err
	}
	h := &hopCounter{counter: c, twice: twice, hops: map[string]*hopTally{}}
	if !c.filter.OfCause() {
		if err := h.used(); err != nil {
			return err
		}
	}
	if err := h.failed(); err != nil {
		return err
	}
	for _, hop := range h.hops {
		c.numbers.Hops = append(c.numbers.Hops, hop.finish(c.cat))
	}
	slices.SortFunc(c.numbers.Hops, func(a, b store.Hop) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Name, b.Name))
	})
	return nil
}

// hopCounter adds up connections by next hop.
type hopCounter struct {
	*counter
	twice bool // connectivity logs report the same connections as send logs
	hops  map[string]*hopTally
}

// hop returns the tally of the connections of a series, nil if they are not
// wanted.
func (h *hopCounter) hop(series int64) *hopTally {
	i, ok := h.cat.place(series)
	if !ok {
		return nil
	}
	s := &h.cat.series[i]
	if h.twice && h.isOfSendLog(series) || !(&filter{Filter: h.asked}).matchHop(h.cat, s) {
		return nil
	}
	name := h.cat.names[s.relay]
	if h.hops[name] == nil {
		h.hops[name] = &hopTally{
			Hop:    store.Hop{Name: registry.Foreign(name)},
			causes: map[int32]int64{},
			texts:  map[int32]hopText{},
		}
	}
	return h.hops[name]
}

func (h *hopCounter) isOfSendLog(series int64) bool {
	i, ok := h.cat.place(series)
	return ok && h.cat.names[h.cat.series[i].format] == store.SendFormat
}

// used counts the successful connections.
func (h *hopCounter) used() error {
	where, args := within(h.window, "minute", store.MinuteMicros)
	return h.ints("SELECT series, sum(n), sum(messages) FROM connections WHERE cause = 0 AND "+where+" GROUP BY series", args, func(v []int64) error {
		if hop := h.hop(v[0]); hop != nil {
			hop.Connections += v[1]
			hop.Messages += v[2]
		}
		return nil
	})
}

// failed counts the failed connections. Send logs have the replies of sessions,
// connectivity logs their connections: if both exist, a failure takes the last reply that
// the send log has for its session.
func (h *hopCounter) failed() error {
	var reply failedConnection // the last one of a send log
	return h.eachFailed(func(f failedConnection) {
		switch {
		case h.twice && h.isOfSendLog(f.series):
			if h.cat.causes[f.cause].reply != 0 {
				reply = f
			}
			return
		case reply.cause != 0 && f.session == reply.session:
			f.cause, f.text = reply.cause, reply.text
		}
		k := h.cause(f.cause)
		if k == nil {
			return
		}
		if hop := h.hop(f.series); hop != nil {
			hop.fail(&f, k)
		}
	})
}

// failedConnection is a row of the table connections.
type failedConnection struct {
	minute, series, cause, n, messages int64
	session, text                      string
}

// eachFailed calls each with the connections that failed. Where two logs report them, it
// sorts them by session, with those of send logs first.
func (h *hopCounter) eachFailed(each func(failedConnection)) error {
	where, args := within(h.window, "minute", store.MinuteMicros)
	order := ""
	if h.twice {
		order = ` ORDER BY session, (SELECT s.format FROM series AS s WHERE s.id = c.series) = (SELECT id FROM names WHERE text = ?) DESC, minute, series, cause`
		args = append(args, store.SendFormat)
	}
	return h.each("SELECT minute, series, cause, n, messages, session, text FROM connections AS c WHERE cause <> 0 AND "+where+order, args, func(r *sql.Rows) error {
		var f failedConnection
		if err := r.Scan(&f.minute, &f.series, &f.cause, &f.n, &f.messages, &f.session,
			&f.text); err != nil {
			return err
		}
		each(f)
		return nil
	})
}

// fail counts the failures of a row; k is their cause.
func (h *hopTally) fail(f *failedConnection, k *cause) {
	h.Connections += f.n
	h.Failed += f.n
	h.Messages += f.messages
	at := time.UnixMicro(f.minute * store.MinuteMicros)
	if h.First.IsZero() || at.Before(h.First) {
		h.First = at
	}
	if at.After(h.Last) {
		h.Last = at
	}
	l := k.label
	h.causes[l] += f.n
	if last, ok := h.texts[l]; !ok ||
		cmp.Or(cmp.Compare(last.minute, f.minute), cmp.Compare(f.text, last.text)) < 0 {
		h.texts[l] = hopText{f.minute, f.text, k}
	}
}

func (h *hopTally) finish(cat *catalog) store.Hop {
	if h.Failed > 0 {
		most := int32(-1)
		for i, n := range h.causes {
			if most < 0 {
				most = i
			}
			l, best := &cat.labels[i], &cat.labels[most]
			if cmp.Or(cmp.Compare(n, h.causes[most]), cmp.Compare(best.code, l.code),
				cmp.Compare(best.reason, l.reason)) > 0 {
				most = i
			}
		}
		last := h.texts[most]
		h.Code, h.Reply, h.Enhanced, h.Reason = cat.labels[most].code, last.cause.reply, last.cause.enhanced,
			cat.labels[most].reason
		h.Provider, h.Example = registry.Foreign(cat.names[last.cause.provider]), registry.Foreign(last.text)
	}
	return h.Hop
}

// matchHop is matchSeries for a series of connections.
func (f *filter) matchHop(c *catalog, s *series) bool {
	hop := *s
	hop.domain = s.relay
	return f.matchSeries(c, &hop)
}
