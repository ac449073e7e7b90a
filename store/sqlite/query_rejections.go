package sqlite

import (
	"mailfail/registry"
	"mailfail/store"
	"slices"
)

// refusedMail is a row of rejection_rows in the window.
type refusedMail struct {
	time, id, n       int64
	series, cause     int64
	sender            int32 // name of the domain
	recipient, client int64 // hashes, 0 unknown
}

// eachRejection calls each with the rejections of a window, in no order.
func (t *tx) eachRejection(w store.Window, each func(r *refusedMail) error) error {
	since, until := w.Micros()
	return t.eachRow(rejections, w, func(b *block, skip []int64) error {
		s := skipper{skip}
		for i := range b.rows {
			r := refusedMail{id: b.at(0, i), time: b.at(1, i)}
			if s.has(r.id) || r.time < since || r.time >= until {
				continue
			}
			r.series, r.cause, r.n, r.sender = b.at(2, i), b.at(3, i), b.at(4, i), int32(b.at(5, i))
			r.recipient, r.client = b.at(6, i), b.at(7, i)
			if err := each(&r); err != nil {
				return err
			}
		}
		return nil
	})
}

// rejections counts what this host refused to take in. A rejection has no next
// hop, hence no provider; its sender is that of the row, not of the series.
func (c *counter) rejections() error {
	failures, domains := newFailures(), map[codeDomain]bool{}
	recipients, clients := distinct{}, distinct{}
	senders := c.filter.wantedSenders(c.cat)
	err := c.eachRejection(c.window, func(r *refusedMail) error {
		s, ok := c.cat.place(r.series)
		k := c.cause(r.cause)
		if !ok || !c.rejected[s] || k == nil || r.cause == 0 || !senders(r.sender) {
			return nil
		}
		temporary := store.IsTemporary(k.reply, k.enhanced)
		for _, g := range c.groupings {
			if t := g.atSender(s, c.cat.names[c.cat.name(int64(r.sender))], k); temporary {
				t.RejectedTemporary += r.n
			} else {
				t.Rejected += r.n
			}
		}
		t := failures.add(k, r.n, r.time, r.time)
		t.latest(r.time, r.id)
		for _, code := range t.in {
			if p := (codeDomain{code, c.cat.series[s].domain}); !domains[p] {
				domains[p] = true
				code.domains++
			}
			recipients.add(code, r.recipient)
			clients.add(code, r.client)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for code := range recipients {
		code.recipients = recipients.count(code)
	}
	for code := range clients {
		code.clients = clients.count(code)
	}
	c.numbers.Rejections, c.numbers.UncodedRejections, err = c.codeRows(failures, rejectionText)
	return err
}

type codeDomain struct {
	code   *codeTally
	domain int32
}

// distinct counts the different hashes of each code.
type distinct map[*codeTally][]int64

func (d distinct) add(code *codeTally, hash int64) {
	if hash != 0 {
		d[code] = append(d[code], hash)
	}
}

func (d distinct) count(code *codeTally) int64 {
	slices.Sort(d[code])
	return int64(len(slices.Compact(d[code])))
}

// wantedSenders returns whether a name is that of a sender's domain that is
// asked for.
func (f *filter) wantedSenders(c *catalog) func(name int32) bool {
	if len(f.Senders) == 0 {
		return func(int32) bool { return true }
	}
	known := map[int32]bool{}
	return func(name int32) bool {
		wanted, ok := known[name]
		if !ok {
			wanted = store.MatchDomain(f.Senders, c.names[c.name(int64(name))])
			known[name] = wanted
		}
		return wanted
	}
}

// atSender is at, with the sender's domain and the direction of a rejection.
func (g *grouping) atSender(series int, sender string, k *cause) *tally {
	if !slices.Contains(g.dims, store.BySender) && !slices.Contains(g.dims, store.ByDirection) {
		return g.at(series, k)
	}
	part := g.part(func(d store.Dimension) string {
		switch d {
		case store.BySender:
			return sender
		case store.ByDirection:
			return registry.DirectionIncoming.String()
		}
		return g.cat.value(&g.cat.series[series], d)
	})
	return g.atParts(part, k)
}
