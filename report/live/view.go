package live

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Sort is an order of rows.
type Sort uint8

// The orders: most failures first, highest share first, greatest rise within
// the window first, by name.
const (
	ByCount Sort = iota
	ByShare
	ByRise
	ByName
	sorts
)

var sortNames = [...]string{"count", "share", "rise", "name"}

// String returns the order's name.
func (s Sort) String() string { return sortNames[s] }

// Next returns the order after s.
func (s Sort) Next() Sort { return (s + 1) % sorts }

// Query selects what a View contains.
type Query struct {
	Window   time.Duration // the last minutes; no more than Reach
	Outcomes []Outcome     // the outcomes that count as failures, in rows and among the newest
	Filter   store.Filter
	Sort     Sort
	Rows     int // of each table
	Newest   int // failures
	Columns  int // of each history
}

// Dimensions are the dimensions of the tables of a View, in their order.
var Dimensions = [...]store.Dimension{store.ByProvider, store.ByDomain, store.ByCode, store.ByReason}

// View is the counters at one time, ready to be shown.
type View struct {
	Clock  time.Time     // the log's time
	Behind time.Duration // how far the log is behind this host's clock
	Empty  bool          // no event has come yet
	Window time.Duration // the time that is covered: shorter soon after the start
	Late   uint64        // events too old to count

	Totals [outcomes]Total
	Tables [len(Dimensions)]Table
	Newest []Failure // newest first
}

// Total is the number of attempts with one outcome.
type Total struct {
	Count     uint64
	PerMinute float64
	History   []uint64
}

// Table contains the rows of one dimension.
type Table struct {
	Rows []Row
	More int // rows that are not shown
}

// Row counts the failures of one provider, domain, code or reason.
type Row struct {
	Name    string
	Count   uint64
	Of      uint64 // attempts of the provider or domain; failures of all
	History []uint64

	rise int64 // from the first half of the window to the second
}

// Share returns Count / Of.
func (r *Row) Share() float64 { return float64(r.Count) / float64(max(1, r.Of)) }

// View adds up the counters for a query. wall is the time of this host.
func (s *Stats) View(q Query, wall time.Time) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(wall)
	clock := s.clock(wall)
	v := &View{Clock: clock, Behind: wall.Sub(clock), Empty: s.empty(), Late: s.late}
	steps := min(max(1, int64(q.Window/Step)), buckets-1)
	begun := clock.Sub(time.Unix(s.head*int64(Step/time.Second), 0))
	v.Window = min(time.Duration(steps-1)*Step+begun, clock.Sub(s.first))
	if s.empty() {
		v.Window = 0
	}
	b := &builder{q: q, steps: steps, head: s.head, view: v}
	b.start()
	for _, x := range s.series {
		b.add(x)
	}
	b.finish()
	for _, x := range s.series {
		b.histories(x)
	}
	s.pick(q, v)
	return v
}

// builder adds up the counters of a view.
type builder struct {
	q     Query
	steps int64
	head  int64
	view  *View
	rows  [len(Dimensions)][]Row
	index [len(Dimensions)]map[string]int // into rows; in the end into the rows that are shown
	all   uint64                          // failures
}

func (b *builder) start() {
	for i := range b.view.Totals {
		b.view.Totals[i].History = make([]uint64, b.q.Columns)
	}
	for i := range b.index {
		b.index[i] = map[string]int{}
	}
}

func (b *builder) wants(x *series) bool {
	e := store.Event{
		Outcome:  outcomeNames[x.outcome],
		Provider: registry.Foreign(x.provider),
		Domain:   registry.Foreign(x.domain),
		Reply:    x.reply,
		Enhanced: x.enhanced,
		Reason:   x.reason,
	}
	return b.q.Filter.Match(&e)
}

func (b *builder) failing(x *series) bool { return slices.Contains(b.q.Outcomes, x.outcome) }

// add adds a series. Deliveries, too, make a row of a provider or a domain: failures
// are a share of them.
func (b *builder) add(x *series) {
	if !b.wants(x) {
		return
	}
	n, rise := b.sum(x)
	if n == 0 {
		return
	}
	b.view.Totals[x.outcome].Count += n
	failing := b.failing(x)
	if rejections := slices.Contains(b.q.Outcomes, Rejected); !failing &&
		(rejections || x.outcome == Rejected) {
		return
	}
	for i, name := range [...]string{x.provider, x.domain} {
		r := b.row(i, name)
		r.Of += n
		if failing {
			r.Count += n
			r.rise += rise
		}
	}
	if failing {
		b.all += n
		for i, name := range [...]string{x.code, x.reason} {
			r := b.row(2+i, name)
			r.Count += n
			r.rise += rise
		}
	}
}

func (b *builder) row(table int, name string) *Row {
	i, ok := b.index[table][name]
	if !ok {
		i = len(b.rows[table])
		b.index[table][name] = i
		b.rows[table] = append(b.rows[table], Row{Name: name})
	}
	return &b.rows[table][i]
}

// sum returns the count of a series within the window.
func (b *builder) sum(x *series) (n uint64, rise int64) {
	middle := b.head - b.steps/2
	i := mod(b.head)
	for at := b.head; at > b.head-b.steps; at-- {
		if c := x.count[i]; c > 0 {
			n += uint64(c)
			if at > middle {
				rise += int64(c)
			} else {
				rise -= int64(c)
			}
		}
		if i--; i < 0 {
			i = buckets - 1
		}
	}
	return n, rise
}

// finish sorts the rows and keeps those that are shown.
func (b *builder) finish() {
	minutes := max(b.view.Window, 10*time.Second).Minutes() // the first seconds are too short for a rate
	for i := range b.view.Totals {
		b.view.Totals[i].PerMinute = float64(b.view.Totals[i].Count) / minutes
	}
	for i, rows := range b.rows {
		rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Count == 0 })
		for j := range rows {
			if Dimensions[i].OfCause() {
				rows[j].Of = b.all
			}
		}
		slices.SortFunc(rows, b.q.Sort.compare)
		n := min(len(rows), b.q.Rows)
		b.view.Tables[i] = Table{rows[:n], len(rows) - n}
		clear(b.index[i])
		for j := range rows[:n] {
			rows[j].History = make([]uint64, b.q.Columns)
			b.index[i][rows[j].Name] = j
		}
	}
}

// histories adds a series to the histories that it belongs to.
func (b *builder) histories(x *series) {
	if b.q.Columns == 0 || !b.wants(x) {
		return
	}
	b.draw(b.view.Totals[x.outcome].History, x)
	if !b.failing(x) {
		return
	}
	for i, name := range [...]string{x.provider, x.domain, x.code, x.reason} {
		if j, ok := b.index[i][name]; ok {
			b.draw(b.view.Tables[i].Rows[j].History, x)
		}
	}
}

// draw adds the steps of the window to the columns.
func (b *builder) draw(columns []uint64, x *series) {
	for i := range b.steps {
		if c := x.count[mod(b.head-b.steps+1+i)]; c > 0 {
			columns[i*int64(len(columns))/b.steps] += uint64(c)
		}
	}
}

func (s Sort) compare(x, y Row) int {
	c := 0
	switch s {
	case ByShare:
		c = cmp.Compare(y.Share(), x.Share())
	case ByRise:
		c = cmp.Compare(y.rise, x.rise)
	case ByName:
		c = strings.Compare(x.Name, y.Name)
	}
	return cmp.Or(c, cmp.Compare(y.Count, x.Count), strings.Compare(x.Name, y.Name))
}

// pick finds the newest failures for a query.
func (s *Stats) pick(q Query, v *View) {
	var at [outcomes]int
	for len(v.Newest) < q.Newest {
		var best Failure
		var of Outcome
		for _, o := range q.Outcomes {
			r := &s.rings[o]
			for at[o] < len(r.events) && !q.Filter.Match(r.at(at[o]).Event) {
				at[o]++
			}
			if at[o] < len(r.events) && r.at(at[o]).Seq > best.Seq {
				best, of = r.at(at[o]), o
			}
		}
		if best.Event == nil {
			return
		}
		at[of]++
		v.Newest = append(v.Newest, best)
	}
}
