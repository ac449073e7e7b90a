package sqlite

import (
	"mailfail/store"
	"mailfail/store/fleet"
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
	if t.only != nil {
		return nil
	}
	if err := t.need(w, fleet.Rejections); err != nil {
		return err
	}
	since, until := w.Micros()
	return t.eachRow(rejections, w, allColumns, func(b *block, skip []int64) error {
		s := skipper{skip}
		var r refusedMail // reused: each must not keep it
		for i := range b.rows {
			r.id, r.time = b.at(0, i), b.at(1, i)
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

// rejections counts the mail that this host refused. A rejection has no next hop and
// therefore no provider; its sender comes from the row, not from the series.
func (c *counter) rejections() error {
	f, met := newFailures(c.cat), map[*codeTally]*hashes{}
	var labels labelled
	err := c.eachWantedRejection(func(r *refusedMail, s int, k *cause) {
		temporary := store.IsTemporary(k.reply, k.enhanced)
		for _, g := range c.groupings {
			if t := g.at(g.group(g.partOfRejection(s, c.cat.name(int64(r.sender))), k.label)); temporary {
				t.RejectedTemporary += r.n
			} else {
				t.Rejected += r.n
			}
		}
		f.add(k, r.n, r.time, r.id)
		labels = append(labels, placeLabel{int32(s), k.label})
		for _, code := range f.tallies(k.label) {
			if met[code] == nil {
				met[code] = &hashes{}
			}
			met[code].add(r)
		}
	})
	if err != nil {
		return err
	}
	for code, h := range met {
		code.recipients, code.clients = distinct(h.recipients), distinct(h.clients)
	}
	f.countDomains(c, labels)
	c.numbers.Rejections, c.numbers.UncodedRejections, err = c.codeRows(f, rejectionText)
	for _, rows := range [][]store.CodeRow{c.numbers.Rejections, c.numbers.UncodedRejections} {
		for i := range rows {
			rows[i].TopDomain = "" // of failing attempts only
		}
	}
	return err
}

// eachWantedRejection calls each with the rejections that the filter selects.
func (c *counter) eachWantedRejection(each func(r *refusedMail, place int, k *cause)) error {
	senders := c.filter.wantedSenders(c.cat)
	return c.eachRejection(c.window, func(r *refusedMail) error {
		s, ok := c.cat.place(r.series)
		k := c.cause(r.cause)
		if ok && c.rejected[s] && k != nil && r.cause != 0 && senders(r.sender) {
			each(r, s, k)
		}
		return nil
	})
}

// hashes holds the hashes of the recipients and clients of some rejections.
type hashes struct{ recipients, clients []int64 }

func (h *hashes) add(r *refusedMail) {
	if r.recipient != 0 {
		h.recipients = append(h.recipients, r.recipient)
	}
	if r.client != 0 {
		h.clients = append(h.clients, r.client)
	}
}

// distinct returns the number of different hashes. It sorts list.
func distinct(list []int64) int64 {
	slices.Sort(list)
	return int64(len(slices.Compact(list)))
}

// wantedSenders returns a function that reports whether the filter selects a sender's
// domain, given the id of its name.
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
