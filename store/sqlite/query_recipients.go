package sqlite

import (
	"cmp"
	"mailfail/registry"
	"strings"
)

// recipient is a row of recipients with what its attempts in the window were.
type recipient struct {
	id, series int64
	cause      int64          // of the last failing attempt, 0 none
	state      registry.State // at the window's end
	deferred   bool
	touched    []touch
}

// touch is a group of a recipient's attempts.
type touch struct {
	group    *tally
	deferred bool
}

// recipients walks through recipients and attempts side by side.
func (c *counter) recipients() error {
	rows, err := c.openRecipients()
	if err != nil {
		return err
	}
	defer rows.close()
	attempts, err := c.openAttempts()
	if err != nil {
		return err
	}
	defer attempts.close()

	var r recipient
	attempt := attempts.next()
	for rows.next() {
		r = recipient{id: rows.row[0], series: rows.row[1], state: registry.State(rows.row[2]), cause: rows.row[3], touched: r.touched[:0]}
		for attempt && attempts.row[0] <= r.id {
			c.attempt(&r, attempts.row)
			attempt = attempts.next()
		}
		c.recipient(&r)
	}
	for attempt {
		c.attempt(&recipient{id: attempts.row[0]}, attempts.row)
		attempt = attempts.next()
	}
	return cmp.Or(rows.err, attempts.err)
}

// liveRecipients returns the state that recipients have at the window's end, and
// the condition that they live in the window.
func (c *counter) liveRecipients() (state, where string, args []any) {
	state = "state"
	since, until := c.window.Micros()
	cond := []string{"TRUE"}
	if !c.window.Until.IsZero() {
		state, args = "CASE WHEN final_at < ? THEN state ELSE 0 END", append(args, until, until)
		cond = append(cond, "first_seen < ?")
	}
	if !c.window.Since.IsZero() {
		cond, args = append(cond, "last_seen >= ?"), append(args, since)
	}
	return state, strings.Join(cond, " AND "), args
}

// openRecipients returns id, series, state and cause of the recipients that live in
// the window.
func (c *counter) openRecipients() (*cursor, error) {
	state, cond, args := c.liveRecipients()
	order := "id"
	if !c.wide {
		order = "+id" // or SQLite reads the whole table for the sake of its order
	}
	return c.cursor("SELECT id, series, "+state+", IFNULL(exact_cause, cause) FROM recipients WHERE "+cond+" ORDER BY "+order, args)
}

// openAttempts returns the failing attempts in the window by recipient.
func (c *counter) openAttempts() (*cursor, error) {
	column := "time"
	if c.wide {
		column = "+time" // not by the index of times: the one by recipient has all that is asked for
	}
	where, args := within(c.window, column, 1)
	return c.cursor("SELECT recipient, series, cause, outcome, time FROM attempts WHERE "+where+" ORDER BY recipient", args)
}

// measure finds out whether a good part of all attempts may lie in the window.
func (c *counter) measure() error {
	var first, last int64
	_, err := c.one("SELECT IFNULL((SELECT min(time) FROM attempts), 0), IFNULL((SELECT max(time) FROM attempts), 0)", nil, &first, &last)
	since, until := c.window.Micros()
	c.wide = min(until, last)-max(since, first) > (last-first)/4
	return err
}

// attempt counts a failing attempt: recipient, series, cause, outcome, time.
func (c *counter) attempt(r *recipient, row []int64) {
	deferred := row[3] == attemptDeferred
	r.deferred = r.deferred || deferred
	s, ok := c.place(row[1])
	k := c.cause(row[2])
	if !ok || k == nil {
		return
	}
	for _, g := range c.groupings {
		t := g.at(s, k)
		t.Attempts++
		if deferred {
			t.Deferrals++
		} else {
			t.Failures++
		}
		if g.dims != nil {
			g.labels[groupLabel{t.place, k.label}]++
		}
		if g.ofCause {
			r.touch(t, deferred)
		}
	}
	t := c.failing.add(k, 1, row[4], row[4])
	if deferred {
		t.deferrals++
	}
	for _, code := range t.in {
		if deferred {
			code.deferrals++
		}
		if code.lastRecipient != r.id {
			code.lastRecipient = r.id
			code.recipients++
		}
	}
}

// The values of attempts.outcome.
const (
	attemptDeferred = 2
	attemptFailed   = 3
)

func (r *recipient) touch(t *tally, deferred bool) {
	for i := range r.touched {
		if r.touched[i].group == t {
			r.touched[i].deferred = r.touched[i].deferred || deferred
			return
		}
	}
	r.touched = append(r.touched, touch{t, deferred})
}

// recipient counts a recipient once its attempts are counted.
func (c *counter) recipient(r *recipient) {
	for _, t := range r.touched {
		t.group.AddRecipient(r.state, t.deferred)
	}
	s, ok := c.place(r.series)
	if !ok {
		return
	}
	for _, g := range c.groupings {
		if !g.ofCause {
			g.at(s, nil).AddRecipient(r.state, r.deferred)
		}
	}
	if k := c.cause(r.cause); k != nil && (r.state == registry.StateExpired || r.state == registry.StateBounced && r.cause != 0) {
		c.failed[k.id]++
		c.failedAt[labelDomain{k.label, c.cat.names[c.cat.series[s].domain]}]++
	}
}
