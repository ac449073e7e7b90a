package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// Numbers counts the events of a window, as a whole, by recipient domain, by code, and by
// the dimensions of by.
func (q *reader) Numbers(ctx context.Context, w store.Window, f store.Filter,
	by []store.Dimension) (*store.Numbers, error) {
	var n *store.Numbers
	err := q.read(ctx, func(t *tx) (err error) {
		n, err = t.numbers(w.Minutes(), f, by)
		return err
	})
	return n, err
}

func (t *tx) numbers(w store.Window, f store.Filter, by []store.Dimension) (*store.Numbers, error) {
	counts := t.countsAsked(w, &f, by)
	if err := t.askCounts(counts); err != nil {
		return nil, err
	}
	// Before the catalog, which has the names and the series of these rows.
	if err := t.need(w, fleet.Attempts, fleet.Recipients, fleet.Rejections); err != nil {
		return nil, err
	}
	if err := t.needCounts(counts); err != nil {
		return nil, err
	}
	cat, err := t.catalog()
	if err != nil {
		return nil, err
	}
	c := &counter{
		tx:      t,
		cat:     cat,
		window:  w,
		asked:   f,
		numbers: &store.Numbers{Window: w},
		failing: newFailures(cat),

		dimension: AllDimensions,
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	if c.numbers.Kept, err = t.kept(); err != nil {
		return nil, err
	}
	c.places, c.failed = newPlaceSums(len(cat.series)), make([]int64, len(c.causes))
	c.totals = c.group(nil)
	c.domains = c.group([]store.Dimension{store.ByDomain})
	if by != nil {
		c.by = c.group(by)
	} else {
		c.senders = c.group([]store.Dimension{store.BySender})
		c.providers = c.group([]store.Dimension{store.ByProvider})
		c.hosts = c.group([]store.Dimension{store.ByHost})
		c.directions = c.group([]store.Dimension{store.ByDirection})
	}
	for _, step := range []func() error{c.lines, c.prepare, c.counts, c.recipients, c.fold, c.rejections,
		c.exact, c.connections, c.finish} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.numbers, nil
}

// counter adds up the numbers of one report.
type counter struct {
	*tx
	cat     *catalog
	window  store.Window
	asked   store.Filter
	filter  filter // asked, without the logs that leaveOut excludes
	numbers *store.Numbers

	choice
	groupings []*grouping
	dimension int64 // of the totals that a view reads

	totals, domains, by                   *grouping // by may be nil
	senders, providers, hosts, directions *grouping // nil if by is set

	places   *placeSums
	failing  *failures
	labels   labelled // of failing attempts
	failed   []int64  // recipients that failed permanently, by cause
	failedAt labelled // the same
	room     []int32  // see placesOf
	minutes  *minutely
}

// choice holds the series and causes that a filter selects. It does not change after
// choose: a report asks the same of many windows.
type choice struct {
	of       string   // identifies the filter and the catalog
	wanted   []bool   // by place in catalog.series
	wantedAt []int32  // places that are wanted by id of series, plus 1; 0 none
	own      []bool   // like wanted, for the messages that servers made themselves
	rejected []bool   // likewise for rejections, whose series have no sender
	causes   []*cause // by id, nil unless wanted
}

// placeSums holds the counts of places. Each number has a separate list: a month adds
// millions of them up, most of them in the order of places, and numbers that do not occur
// take no memory.
type placeSums struct {
	n                   int
	counts              [fields][]int64 // nil: 0 throughout
	states, deferred    [8][]int32      // recipients stored one by one, by their state; likewise
	deferrals, failures []int32
}

func newPlaceSums(n int) *placeSums {
	return &placeSums{n: n, deferrals: make([]int32, n), failures: make([]int32, n)}
}

// field returns the list of a field of counts.
func (p *placeSums) field(f int) []int64 {
	if p.counts[f] == nil {
		p.counts[f] = make([]int64, p.n)
	}
	return p.counts[f]
}

// countsAt returns the counts of a place.
func (p *placeSums) countsAt(place int) (n [fields]int64) {
	for f, list := range p.counts {
		if list != nil {
			n[f] = list[place]
		}
	}
	return n
}

// addRecipient counts a recipient at a place by its state.
func (p *placeSums) addRecipient(place int, s registry.State, deferred bool) {
	if p.states[s] == nil {
		p.states[s], p.deferred[s] = make([]int32, p.n), make([]int32, p.n)
	}
	p.states[s][place]++
	if deferred {
		p.deferred[s][place]++
	}
}

// used reports whether any rows other than counts were added at a place.
func (p *placeSums) used(place int) bool {
	n := p.deferrals[place] | p.failures[place]
	for _, list := range p.states {
		if list != nil {
			n |= list[place]
		}
	}
	return n != 0
}

// addRecipients adds the recipients of a place to t.
func (p *placeSums) addRecipients(place int, t *store.Tally) {
	for state, list := range p.states {
		if list != nil && list[place] > 0 {
			t.AddRecipients(registry.State(state), int64(list[place]), int64(p.deferred[state][place]))
		}
	}
}

// group adds a grouping.
func (c *counter) group(dims []store.Dimension) *grouping {
	g := newGrouping(c.cat, dims, c.filter.OfCause())
	c.groupings = append(c.groupings, g)
	return g
}

// choose decides which series and causes are counted.
func (c *counter) choose() error {
	err := c.ofAccounts(c.asked.Accounts)
	if err != nil {
		return err
	}
	if c.filter, err = c.leaveOut(c.window, c.asked); err != nil {
		return err
	}
	c.numbers.SendLogsLeftOut = slices.Contains(c.filter.without, store.SendFormat)
	c.numbers.BouncesLeftOut = slices.Contains(c.filter.without, store.BouncesFormat)
	if c.numbers.Traces, err = c.hasTraces(c.window, &c.asked); err != nil {
		return err
	}
	c.choice.of = choiceOf(c.cat, &c.filter)
	if c.shared != nil {
		if last := c.shared.choice.Load(); last != nil && last.of == c.of {
			c.choice = *last
			return nil
		}
	}
	c.wanted, c.own = c.filter.wanted(c.cat), make([]bool, len(c.cat.series))
	c.rejected = c.filter.wantedOfRejections(c.cat)
	c.wantedAt = make([]int32, len(c.cat.places))
	for i := range c.wanted {
		if c.cat.series[i].own && len(c.asked.Directions) == 0 {
			c.wanted[i], c.own[i] = false, c.wanted[i]
		}
		if c.wanted[i] {
			c.wantedAt[c.cat.series[i].id] = int32(i) + 1
		}
	}
	c.causes = c.filter.wantedCauses(c.cat)
	if c.shared != nil {
		last := c.choice
		c.shared.choice.Store(&last)
	}
	return nil
}

// choiceOf identifies a filter and a catalog.
func choiceOf(c *catalog, f *filter) string { return fmt.Sprintf("%p %+v", c, *f) }

// wantedCauses returns the causes that f selects, by id; id 0 stands for no cause.
func (f *filter) wantedCauses(c *catalog) []*cause {
	causes := make([]*cause, c.key.causes+1)
	for id, k := range c.causes {
		if id > 0 && id < int64(len(causes)) && f.matchCause(k) {
			causes[id] = k
		}
	}
	if !f.OfCause() {
		causes[0] = c.noCause
	}
	return causes
}

// exact counts the failing attempts whose reply comes from send logs, and those that only
// send logs report.
func (c *counter) exact() (err error) {
	if !c.numbers.SendLogsLeftOut {
		return nil
	}
	if c.numbers.LeftOut, err = c.leftOut(c.cat, c.window, &c.asked, &c.filter,
		store.OutcomeNames); err != nil {
		return err
	}
	return nil
}

// lines counts the lines that were read. No filter applies to them.
func (c *counter) lines() error {
	sum, first, last, err := c.sumLines(c.window)
	c.numbers.Lines = sum
	if first > 0 {
		c.numbers.FirstLine = time.UnixMicro(first * store.MinuteMicros)
		c.numbers.LastLine = time.UnixMicro(last * store.MinuteMicros)
	}
	return err
}

// sumLines adds up the lines of a window, and returns the first and the last minute above 0
// that has any, 0 if there is none.
func (t *tx) sumLines(w store.Window) (sum store.Lines, first, last int64, err error) {
	if t.view != nil {
		return t.view.sumLines(t.ctx, w)
	}
	where, args := within(w, "minute", store.MinuteMicros)
	_, err = t.one("SELECT IFNULL(sum(read),0), IFNULL(sum(understood),0), IFNULL(sum(irrelevant),0), IFNULL(sum(unparsed),0), IFNULL(min(CASE WHEN minute > 0 THEN minute END), 0), IFNULL(max(CASE WHEN minute > 0 THEN minute END), 0) FROM lines WHERE "+where,
		args, &sum.Read, &sum.Understood, &sum.Irrelevant, &sum.Unparsed, &first, &last)
	return sum, first, last, err
}

// counts adds the counts by minute and series.
func (c *counter) counts() error {
	if c.filter.OfCause() {
		return nil
	}
	if err := c.sumCounts(c.cat.places, c.places, c.totaller()); err != nil {
		return err
	}
	for i := range c.wanted {
		n := c.places.countsAt(i)
		if n == [fields]int64{} {
			continue
		}
		if c.own[i] {
			addCounts(&c.numbers.OwnBounces, &n)
		}
		if !c.wanted[i] {
			continue
		}
		c.messages(&n)
		for _, g := range c.groupings {
			g.count(g.parts[i], &n)
		}
	}
	return nil
}

// messages counts messages.
func (c *counter) messages(n *[fields]int64) {
	c.numbers.Messages += n[fieldMessages]
	c.numbers.Accepted += n[fieldAccepted]
	c.numbers.Untried += n[fieldAccepted] - n[fieldHeard]
}

// totaller returns a function that adds totals of days to all groupings, nil if totals do
// not contain the dimensions of one.
func (c *counter) totaller() func(r *totalRow) {
	var of [len(totalled)][]*grouping // by dimension of totals
	for _, g := range c.groupings {
		d, ok := g.totalled()
		if !ok {
			return nil
		}
		of[d] = append(of[d], g)
	}
	return func(r *totalRow) {
		switch {
		case r.own && r.dimension == 0:
			addCounts(&c.numbers.OwnBounces, &r.n)
		case !r.own && r.dimension == 0:
			c.messages(&r.n)
		}
		if r.own || uint64(r.dimension) >= uint64(len(of)) {
			return
		}
		for _, g := range of[r.dimension] {
			g.count(g.partOfTotal(r), &r.n)
		}
	}
}

// fold adds the sums of places to groups.
func (c *counter) fold() error {
	for i := range c.places.n {
		if !c.places.used(i) {
			continue
		}
		var t store.Tally
		c.places.addRows(i, &t)
		for _, g := range c.groupings {
			if !g.ofCause {
				g.at(g.parts[i]).Tally.Add(&t)
			}
		}
	}
	for _, g := range c.groupings {
		g.foldCounts()
	}
	return nil
}

// addRows adds the attempts and recipients that are stored one by one.
func (p *placeSums) addRows(place int, t *store.Tally) {
	t.Attempts += int64(p.deferrals[place]) + int64(p.failures[place])
	t.Deferrals += int64(p.deferrals[place])
	t.Failures += int64(p.failures[place])
	p.addRecipients(place, t)
}

// withoutArrivals returns the counts of n that belong to recipients.
func withoutArrivals(n [fields]int64) [fields]int64 {
	n[fieldAccepted], n[fieldExpected], n[fieldHeard] = 0, 0, 0
	return n
}

func addCounts(t *store.Tally, n *[fields]int64) {
	t.Attempts += n[fieldDelivered]
	t.Recipients += n[fieldRecipients]
	t.Delivered += n[fieldRecipients]
	t.Suspended += n[fieldSuspended]
	t.HandedOver += n[fieldHanded]
}

// prepare makes room for numbers by minute, which the timeline of a report needs too.
func (c *counter) prepare() error {
	if c.shared != nil && c.only == nil {
		c.minutes = newMinutely(c.of, c.window, c.numbers.FirstLine, c.numbers.LastLine)
	}
	return nil
}

// cause returns a cause of the catalog, nil unless it is wanted.
func (c *counter) cause(id int64) *cause {
	if uint64(id) >= uint64(len(c.causes)) {
		return nil
	}
	return c.causes[id]
}
