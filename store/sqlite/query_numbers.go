package sqlite

import (
	"context"
	"database/sql"
	"mailfail/store"
	"time"
)

// Numbers counts what happened in a window, as a whole, by recipient domain,
// by code, and by the dimensions of by.
func (q *reader) Numbers(ctx context.Context, w store.Window, f store.Filter, by []store.Dimension) (*store.Numbers, error) {
	var n *store.Numbers
	err := q.read(ctx, func(t *tx) (err error) {
		n, err = t.numbers(w.Minutes(), f, by)
		return err
	})
	return n, err
}

func (t *tx) numbers(w store.Window, f store.Filter, by []store.Dimension) (*store.Numbers, error) {
	cat, err := t.catalog()
	if err != nil {
		return nil, err
	}
	c := &counter{tx: t, cat: cat, window: w, asked: f, numbers: &store.Numbers{Window: w}, failing: newFailures(), failed: map[int64]int64{}, failedAt: map[labelDomain]int64{}}
	if err := c.choose(); err != nil {
		return nil, err
	}
	c.totals = c.group(nil)
	c.domains = c.group([]store.Dimension{store.ByDomain})
	c.by = c.group(by)
	if by == nil {
		c.senders, c.providers, c.hosts = c.group([]store.Dimension{store.BySender}), c.group([]store.Dimension{store.ByProvider}), c.group([]store.Dimension{store.ByHost})
	}
	for _, step := range []func() error{c.measure, c.lines, c.counts, c.recipients, c.rejections, c.exact, c.connections, c.finish} {
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
	filter  filter // asked, less what is counted elsewhere
	numbers *store.Numbers

	places              []int32  // of the wanted series in the catalog, plus 1, by id
	causes              []*cause // by id
	wanted              []bool   // by place in catalog.series
	wide                bool     // a good part of the rows may lie in the window: indexes on time do not help
	rejected            []bool   // the same for rejections, whose series have no sender
	groupings           []*grouping
	totals, domains, by *grouping

	senders, providers, hosts *grouping // nil: others were asked for

	failing  *failures
	failed   map[int64]int64 // recipients that failed for good, by cause
	failedAt map[labelDomain]int64
}

// choose decides which series are counted.
func (c *counter) choose() error {
	var err error
	if c.filter, err = c.leaveOut(c.window, c.asked); err != nil {
		return err
	}
	c.numbers.SendLogsLeftOut = c.filter.without != ""
	if c.numbers.Traces, err = c.hasTraces(c.window, &c.asked); err != nil {
		return err
	}
	c.wanted = make([]bool, len(c.cat.series))
	c.rejected = make([]bool, len(c.cat.series))
	anySender := c.filter
	anySender.Senders = nil
	for i := range c.cat.series {
		s := &c.cat.series[i]
		c.wanted[i] = c.filter.matchSeries(c.cat, s)
		c.rejected[i] = anySender.matchSeries(c.cat, s)
	}
	for _, k := range c.cat.causes {
		k.wanted = c.filter.matchCause(k)
	}
	c.cat.addNoCause(!c.filter.OfCause())
	c.index()
	return nil
}

// exact counts the failing attempts that have their reply from send logs, and
// those that are in send logs alone.
func (c *counter) exact() (err error) {
	if !c.numbers.SendLogsLeftOut {
		return nil
	}
	if c.numbers.LeftOut, err = c.leftOut(c.cat, c.window, &c.asked, &c.filter, store.OutcomeNames); err != nil {
		return err
	}
	where, args := within(c.window, "time", 1)
	return c.ints("SELECT series, cause, count(*) FROM attempts WHERE exact IS NOT NULL AND "+where+" GROUP BY series, cause", args, func(v []int64) error {
		if _, ok := c.place(v[0]); ok && c.cause(v[1]) != nil {
			c.numbers.Exact += v[2]
		}
		return nil
	})
}

// lines counts the lines that were read. No filter applies to them.
func (c *counter) lines() error {
	l := &c.numbers.Lines
	where, args := within(c.window, "minute", store.MinuteMicros)
	var first, last sql.NullInt64
	_, err := c.one("SELECT IFNULL(sum(read),0), IFNULL(sum(understood),0), IFNULL(sum(irrelevant),0), IFNULL(sum(unparsed),0), min(CASE WHEN minute > 0 THEN minute END), max(CASE WHEN minute > 0 THEN minute END) FROM lines WHERE "+where,
		args, &l.Read, &l.Understood, &l.Irrelevant, &l.Unparsed, &first, &last)
	if first.Valid {
		c.numbers.FirstLine = time.UnixMicro(first.Int64 * store.MinuteMicros)
		c.numbers.LastLine = time.UnixMicro(last.Int64 * store.MinuteMicros)
	}
	return err
}

// counts adds what is only counted.
func (c *counter) counts() error {
	if c.filter.OfCause() {
		return nil
	}
	where, args := within(c.window, "minute", store.MinuteMicros)
	return c.ints("SELECT series, sum(delivered), sum(recipients), sum(suspended), sum(handed), sum(messages) FROM counts WHERE "+where+" GROUP BY series",
		args, func(v []int64) error {
			s, ok := c.place(v[0])
			if !ok {
				return nil
			}
			c.numbers.Messages += v[5]
			for _, g := range c.groupings {
				if g.ofCause {
					continue
				}
				t := &g.at(s, nil).Tally
				t.Attempts += v[1]
				t.Recipients += v[2]
				t.Delivered += v[2]
				t.Suspended += v[3]
				t.HandedOver += v[4]
			}
			return nil
		})
}

// place returns the place of a series in the catalog, unless it isn't wanted.
func (c *counter) place(id int64) (int, bool) {
	if uint64(id) < uint64(len(c.places)) {
		return int(c.places[id]) - 1, c.places[id] > 0
	}
	i, ok := c.cat.index[id]
	return i, ok && c.wanted[i]
}

// cause returns a cause of the catalog, nil unless it is wanted.
func (c *counter) cause(id int64) *cause {
	if uint64(id) < uint64(len(c.causes)) {
		return c.causes[id]
	}
	if k := c.cat.causes[id]; k != nil && k.wanted {
		return k
	}
	return nil
}

// maxDense bounds the ids that are looked up without hashing: what is asked
// for millions of times. Ids are given one after the other, so most
// databases have no greater ones.
const maxDense = 1 << 21

// index prepares place and cause.
func (c *counter) index() {
	c.places = make([]int32, min(maxDense, maxKey(c.cat.index)+1))
	for id, i := range c.cat.index {
		if id < maxDense && c.wanted[i] {
			c.places[id] = int32(i) + 1
		}
	}
	c.causes = make([]*cause, min(maxDense, maxKey(c.cat.causes)+1))
	for id, k := range c.cat.causes {
		if id < maxDense && k.wanted {
			c.causes[id] = k
		}
	}
}

func maxKey[V any](m map[int64]V) (k int64) {
	for id := range m {
		k = max(k, id)
	}
	return k
}

// isWanted reports whether the rows of a table with this series are counted.
func (c *counter) isWanted(id int64, table string) bool {
	i, ok := c.cat.index[id]
	if table == rejectionText {
		return ok && c.rejected[i]
	}
	return ok && c.wanted[i]
}
