package sqlite

import (
	"database/sql"
	"mailfail/store"
	"slices"
	"strings"
)

// rejections counts what this host refused to take in. A rejection has no next
// hop, hence no provider; its sender is that of the row, not of the series.
func (c *counter) rejections() error {
	failures, domains := newFailures(), map[codeDomain]bool{}
	bySender := slices.ContainsFunc(c.groupings, func(g *grouping) bool { return slices.Contains(g.dims, store.BySender) })
	sender := "''"
	if bySender {
		sender = "sender"
	}
	where, args := c.rejectionsWhere()
	err := c.each("SELECT series, cause, "+sender+" AS address, sum(n), min(time), max(time) FROM rejections AS r WHERE "+where+" GROUP BY 1, 2, 3",
		args, func(r *sql.Rows) error {
			var id, causeID, n, first, last int64
			var address sql.NullString
			if err := r.Scan(&id, &causeID, &address, &n, &first, &last); err != nil {
				return err
			}
			k := c.cat.causes[causeID]
			if k == nil || !c.isWanted(id, rejectionText) || !k.wanted {
				return nil
			}
			s := c.cat.index[id]
			temporary := k.reply/100 == 4 && c.cat.names[c.cat.series[s].format] == store.ReceiveFormat
			for _, g := range c.groupings {
				if t := g.atSender(s, address, k); temporary {
					t.RejectedTemporary += n
				} else {
					t.Rejected += n
				}
			}
			for _, code := range failures.add(k, n, first, last).in {
				if p := (codeDomain{code, c.cat.series[s].domain}); !domains[p] {
					domains[p] = true
					code.domains++
				}
			}
			return nil
		})
	if err != nil {
		return err
	}
	if err := c.rejectedWhom(failures); err != nil {
		return err
	}
	c.numbers.Rejections, c.numbers.UncodedRejections, err = c.codeRows(failures, rejectionText)
	return err
}

type codeDomain struct {
	code   *codeTally
	domain int64
}

// rejectionsWhere returns the condition for the rows of rejections AS r that
// lie in the window and have a wanted sender.
func (c *counter) rejectionsWhere() (string, []any) {
	where, args := within(c.window, "r.time", 1)
	cond, more := senderCondition(c.filter.Senders)
	return where + " AND " + cond, append(args, more...)
}

// senderCondition is matchDomain for the column r.sender, an address.
func senderCondition(senders []string) (string, []any) {
	if len(senders) == 0 {
		return "TRUE", nil
	}
	var cond []string
	var args []any
	for _, s := range senders {
		if s == "<>" {
			cond = append(cond, "r.sender = ''")
			continue
		}
		pattern := "%@" + escapeLike(s)
		if parent, ok := strings.CutPrefix(s, "*."); ok {
			pattern = "%@%." + escapeLike(parent)
		}
		cond, args = append(cond, `r.sender LIKE ? ESCAPE '\'`), append(args, pattern)
	}
	return "(" + strings.Join(cond, " OR ") + ")", args
}

func escapeLike(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s)
}

// rejectedWhom counts the recipients and clients of each code's rejections, and
// of each reason's without a code.
func (c *counter) rejectedWhom(f *failures) error {
	var ids, series []int64
	for id := range f.causes {
		ids = append(ids, id)
	}
	for i, ok := range c.rejected {
		if ok {
			series = append(series, c.cat.series[i].id)
		}
	}
	where, args := c.rejectionsWhere()
	if len(series) < len(c.rejected) {
		where, args = where+" AND r.series IN (SELECT value FROM json_each(?))", append(args, list(series))
	}
	from := ` FROM rejections AS r JOIN causes AS k ON k.id = r.cause WHERE r.cause IN (SELECT value FROM json_each(?)) AND ` + where
	args = append([]any{list(ids)}, args...)
	const whom = `count(DISTINCT nullif(r.recipient, '')), count(DISTINCT nullif(r.client_ip, ''))`
	err := c.each(`SELECT k.reply, k.enhanced, `+whom+from+` GROUP BY 1, 2`, args, func(r *sql.Rows) error {
		var reply int
		var enhanced string
		var recipients, clients int64
		err := r.Scan(&reply, &enhanced, &recipients, &clients)
		t := tallyOf(f.codes, store.Code(reply, enhanced))
		t.recipients, t.clients = recipients, clients
		return err
	})
	if err != nil || len(f.reasons) == 0 {
		return err
	}
	return c.each(`SELECT k.reason, `+whom+from+` AND k.reply = 0 AND k.enhanced = '' GROUP BY 1`, args, func(r *sql.Rows) error {
		var reason string
		var recipients, clients int64
		err := r.Scan(&reason, &recipients, &clients)
		t := tallyOf(f.reasons, reason)
		t.recipients, t.clients = recipients, clients
		return err
	})
}

// atSender is at, with the sender's domain taken from an address.
func (g *grouping) atSender(series int, address sql.NullString, k *cause) *tally {
	if !slices.Contains(g.dims, store.BySender) {
		return g.at(series, k)
	}
	sender := senderDomain(address)
	part := g.part(func(d store.Dimension) string {
		if d == store.BySender {
			return sender
		}
		return g.cat.value(&g.cat.series[series], d)
	})
	return g.atParts(part, k)
}

// senderDomain returns the domain of an envelope sender as series have it.
func senderDomain(address sql.NullString) string {
	if address.Valid && address.String == "" {
		return "<>"
	}
	i := strings.LastIndexByte(address.String, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(address.String[i+1:], "."))
}
