package sqlite

import (
	"cmp"
	"mailfail/registry"
	"mailfail/store"
	"slices"
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

// failingAttempt is a row of attempt_rows in the window.
type failingAttempt struct {
	time, id, recipient int64
	series, cause       int32
	flags               int32
}

// The flags of an attempt, as its segment has them: two bits of outcome first.
const (
	outcomeBits = 3
	firstBit    = 4
	exactBit    = 8
)

// eachAttempt calls each with the failing attempts of a window, in no order.
func (t *tx) eachAttempt(w store.Window, each func(a *failingAttempt) error) error {
	since, until := w.Micros()
	return t.eachRow(attempts, w, func(b *block, skip []int64) error {
		s := skipper{skip}
		for i := range b.rows {
			a := failingAttempt{id: b.at(0, i), time: b.at(1, i)}
			if s.has(a.id) || a.time < since || a.time >= until {
				continue
			}
			a.recipient, a.series, a.cause, a.flags = b.at(2, i), int32(b.at(3, i)), int32(b.at(4, i)), int32(b.at(5, i))
			if err := each(&a); err != nil {
				return err
			}
		}
		return nil
	})
}

// livingRecipient is a row of recipient_rows.
type livingRecipient struct {
	id, first, last, final int64 // final: 0 pending
	series, cause          int32
	state                  registry.State
	troubled               bool
}

// at returns the state of r at a time.
func (r *livingRecipient) at(until int64) registry.State {
	if r.final != 0 && r.final < until {
		return r.state
	}
	return registry.StatePending
}

// eachRecipient calls each with the recipients that live in a window, in no order.
func (t *tx) eachRecipient(w store.Window, each func(r *livingRecipient) error) error {
	since, until := w.Micros()
	return t.eachRow(recipients, w, func(b *block, skip []int64) error {
		s := skipper{skip}
		for i := range b.rows {
			r := livingRecipient{id: b.at(0, i), first: b.at(1, i)}
			r.last = r.first + b.at(2, i)
			if s.has(r.id) || r.last < since || r.first >= until {
				continue
			}
			flags := b.at(4, i)
			r.state, r.troubled = registry.State(flags&7), flags&8 != 0
			if r.state != registry.StatePending {
				r.final = r.last - b.at(3, i)
			}
			r.series, r.cause = int32(b.at(5, i)), int32(b.at(6, i))
			if err := each(&r); err != nil {
				return err
			}
		}
		return nil
	})
}

// recipients counts recipients together with their attempts.
func (c *counter) recipients() error {
	var list []failingAttempt
	err := c.eachAttempt(c.window, func(a *failingAttempt) error {
		list = append(list, *a)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b failingAttempt) int { return cmp.Compare(a.recipient, b.recipient) })
	starts := startsOf(list)
	_, until := c.window.Micros()
	done := make([]bool, len(list))
	var r recipient
	err = c.eachRecipient(c.window, func(p *livingRecipient) error {
		r = recipient{id: p.id, series: int64(p.series), state: p.at(until), cause: int64(p.cause), touched: r.touched[:0]}
		for i := starts.first(p.id); i < len(list) && list[i].recipient == p.id; i++ {
			done[i] = true
			c.attempt(&r, &list[i])
		}
		c.recipient(&r)
		return nil
	})
	if err != nil {
		return err
	}
	for i := range list { // those whose recipient does not live in the window
		if !done[i] {
			c.attempt(&recipient{id: list[i].recipient}, &list[i])
		}
	}
	return nil
}

// starts finds the first attempt of a recipient in a sorted list.
type starts struct {
	list  []failingAttempt
	dense []int32 // by recipient less that of the first attempt
}

// startsOf indexes a list that is sorted by recipient. Ids are given one after the
// other, so that the recipients of a window lie close together.
func startsOf(list []failingAttempt) *starts {
	s := &starts{list: list}
	if len(list) == 0 {
		return s
	}
	span := list[len(list)-1].recipient - list[0].recipient + 1
	if span > 16*int64(len(list))+1<<16 {
		return s
	}
	s.dense = make([]int32, span)
	for i := len(list) - 1; i >= 0; i-- {
		s.dense[list[i].recipient-list[0].recipient] = int32(i) + 1
	}
	return s
}

func (s *starts) first(recipient int64) int {
	if s.dense != nil {
		n := recipient - s.list[0].recipient
		if n < 0 || n >= int64(len(s.dense)) || s.dense[n] == 0 {
			return len(s.list)
		}
		return int(s.dense[n]) - 1
	}
	i, _ := slices.BinarySearchFunc(s.list, recipient, func(a failingAttempt, id int64) int { return cmp.Compare(a.recipient, id) })
	return i
}

// attempt counts a failing attempt.
func (c *counter) attempt(r *recipient, a *failingAttempt) {
	deferred := a.flags&outcomeBits == attemptDeferred
	r.deferred = r.deferred || deferred
	s, ok := c.place(int64(a.series))
	k := c.cause(int64(a.cause))
	if !ok || k == nil || a.cause == 0 {
		return
	}
	if a.flags&exactBit != 0 && c.numbers.SendLogsLeftOut {
		c.numbers.Exact++
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
			g.label(t, k)
		}
		if g.ofCause {
			r.touch(t, deferred)
		}
	}
	t := c.failing.add(k, 1, a.time, a.time)
	t.latest(a.time, a.id)
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
		if i, known := c.cat.place(r.series); known && c.own[i] {
			c.numbers.OwnBounces.AddRecipient(r.state, r.deferred)
		}
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
