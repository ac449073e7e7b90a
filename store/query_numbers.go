package store

import (
	"context"
	"database/sql"
	"time"
)

// Tally holds the numbers of one line of a report. Of recipients, Recipients
// is the sum of Delivered, Bounced, Expired, Removed and Pending; of attempts,
// Attempts less Deferrals and Failures were deliveries.
type Tally struct {
	Recipients, Delivered, Bounced, Expired, Removed, Pending int64

	HandedOver int64 // recipients passed on to a content filter or inside the organisation

	Attempts, Deferrals, Failures int64 // all, temporary, permanent
	Suspended                     int64
	Deferred                      int64 // recipients with a deferral
	Rejected                      int64
	RejectedTemporary             int64 // refused for now by a receive connector of Exchange: not in Rejected
}

// Numbers is what a report is made of.
//
// Without a filter of causes, a recipient belongs to the window when its life
// (first to last line) overlaps it, with the state it had at the window's end,
// and to the series of its last attempt; an attempt belongs to the window its
// time lies in, and to its own series.
//
// A code or a reason is a property of failures, and deliveries are only
// counted. So with a filter of causes, and in groups by code or reason, the
// attempts are the failing ones that match, and the recipients are those that
// met such a failure in the window: the states tell how they ended. One
// recipient may meet several codes and then is in several groups. Messages and
// suspensions are not known then.
type Numbers struct {
	Window   Window // in whole minutes
	Totals   Tally
	Messages int64
	Lines    Lines
	// The minutes of the first and the last line with a time; zero when there
	// are none.
	FirstLine, LastLine time.Time

	Domains    []Group
	Groups     []Group // by the dimensions asked for
	Codes      []CodeRow
	Rejections []CodeRow
	Failed     []CauseRow     // recipients that bounced or expired, by their last failure
	PutOff     []CauseRow     // temporary failures
	Unknown    []SignatureRow // failing attempts that no rule knew

	// What has no code has little in common: it is in one row of Codes and of
	// Rejections, and here by reason.
	Uncoded, UncodedRejections []CodeRow

	Hops []Hop // connections to next hops, from logs that tell of them

	// SendLogsLeftOut is set when SMTP send logs were left out, because
	// message tracking logs of the same window report the same mail. Exact is
	// how many failing attempts have their stage and reply from send logs.
	SendLogsLeftOut bool
	Exact           int64
	LeftOut         LeftOut

	// Traces is set when message traces of Exchange Online and message tracking
	// logs, of which one may be its extended report, are in the same window. Mail
	// that is in both is counted twice.
	Traces bool
}

// Group holds the numbers of one combination of dimensions.
type Group struct {
	Values []string // as many as dimensions
	Tally
	TopCode   string // of most failing attempts; see HasTop
	TopReason string
	TopCause  string // code and reason that go together, of most failing attempts
	HasTop    bool   // there are failing attempts
}

// CodeRow holds what is known of the failures with one code.
type CodeRow struct {
	Code     string
	Reply    int    // 0 none
	Enhanced string // "" none
	Reason   string // the most frequent
	Provider string // that most of them came from

	Attempts    int64 // failing ones, or rejections
	Deferrals   int64 // of them
	Recipients  int64
	Domains     int64
	TopDomain   string // of failing attempts: where most of them were
	Clients     int64  // of rejections
	First, Last time.Time
	Example     string // latest text of the most frequent signature
}

// CauseRow counts something by code and reason.
type CauseRow struct {
	Code      string
	Reply     int
	Enhanced  string
	Reason    string
	Provider  string // that most of it came from
	N         int64
	Domains   int64
	TopDomain string // where most of it was
}

// SignatureRow holds the failures with one signature.
type SignatureRow struct {
	Signature string
	Code      string
	Attempts  int64
	Example   string
}

// Numbers counts what happened in a window, as a whole, by recipient domain,
// by code, and by the dimensions of by.
func (q *Query) Numbers(ctx context.Context, w Window, f Filter, by []Dimension) (*Numbers, error) {
	var n *Numbers
	err := q.read(ctx, func(t *tx) (err error) {
		n, err = t.numbers(w.Minutes(), f, by)
		return err
	})
	return n, err
}

func (t *tx) numbers(w Window, f Filter, by []Dimension) (*Numbers, error) {
	cat, err := t.catalog()
	if err != nil {
		return nil, err
	}
	c := &counter{tx: t, cat: cat, window: w, asked: f, numbers: &Numbers{Window: w}, failing: newFailures(), failed: map[int64]int64{}, failedAt: map[labelDomain]int64{}}
	if err := c.choose(); err != nil {
		return nil, err
	}
	c.totals = c.group(nil)
	c.domains = c.group([]Dimension{ByDomain})
	c.by = c.group(by)
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
	window  Window
	asked   Filter
	filter  Filter // asked, less what is counted elsewhere
	numbers *Numbers

	places              []int32  // of the wanted series in the catalog, plus 1, by id
	causes              []*cause // by id
	wanted              []bool   // by place in catalog.series
	wide                bool     // a good part of the rows may lie in the window: indexes on time do not help
	rejected            []bool   // the same for rejections, whose series have no sender
	groupings           []*grouping
	totals, domains, by *grouping
	failing             *failures
	failed              map[int64]int64 // recipients that failed for good, by cause
	failedAt            map[labelDomain]int64
}

// choose decides which series are counted.
func (c *counter) choose() error {
	var err error
	if c.filter, err = c.leaveOut(c.window, c.asked); err != nil {
		return err
	}
	c.numbers.SendLogsLeftOut = c.filter.without != ""
	if c.numbers.Traces, err = c.hasTraces(c.window, &c.filter); err != nil {
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
	if c.numbers.LeftOut, err = c.leftOut(c.cat, c.window, &c.asked, &c.filter, OutcomeNames); err != nil {
		return err
	}
	where, args := c.window.where("time", 1)
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
	where, args := c.window.where("minute", minuteMicros)
	var first, last sql.NullInt64
	_, err := c.one("SELECT IFNULL(sum(read),0), IFNULL(sum(understood),0), IFNULL(sum(irrelevant),0), IFNULL(sum(unparsed),0), min(CASE WHEN minute > 0 THEN minute END), max(CASE WHEN minute > 0 THEN minute END) FROM lines WHERE "+where,
		args, &l.Read, &l.Understood, &l.Irrelevant, &l.Unparsed, &first, &last)
	if first.Valid {
		c.numbers.FirstLine = time.UnixMicro(first.Int64 * minuteMicros)
		c.numbers.LastLine = time.UnixMicro(last.Int64 * minuteMicros)
	}
	return err
}

// counts adds what is only counted.
func (c *counter) counts() error {
	if c.filter.OfCause() {
		return nil
	}
	where, args := c.window.where("minute", minuteMicros)
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
