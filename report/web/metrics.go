package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"mailfail/registry"
	"mailfail/store"
)

// collector counts the contents of the database when Prometheus asks. The numbers
// continue after a restart of the program. Labels have few values: reasons and
// providers of the registry, no names of strangers.
type collector struct {
	db    store.Database
	now   func() time.Time
	every time.Duration
	warn  func(error)

	mu      sync.Mutex
	counted time.Time
	metrics []prometheus.Metric
}

func newCollector(db store.Database, now func() time.Time, every time.Duration,
	warn func(error)) *collector {
	return &collector{db: db, now: now, every: every, warn: warn}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mailfail_"+name, help, labels, nil)
}

var (
	descUp         = describe("up", "Whether the database could be read.")
	descLastLine   = describe("last_line_timestamp_seconds", "Time of the last line of a log that was read.")
	descLines      = describe("log_lines_total", "Lines of logs that were read.", "kind")
	descRecipients = describe("recipients_total", "Recipients that reached a final state.", "state")
	descPending    = describe("recipients_pending", "Recipients without a final state.")
	descWaiting    = describe("recipients_waiting",
		"Recipients that failed for now or were not tried for ten minutes, and were heard of in the "+
			"last day.", "tried")
	descAttempts   = describe("attempts_total", "Attempts to deliver one recipient.", "outcome")
	descRejections = describe("rejections_total", "Incoming mail that was refused.", "kind")
	descReasons    = describe("failing_attempts_total", "Failing attempts by reason.", "reason", "kind")
	descUnsent     = describe("unsent_rows",
		"Rows that were not sent to the database of a fleet yet; only where there is one.")
	descPushed    = describe("last_push_timestamp_seconds", "When all rows had last been sent there.")
	descProviders = describe("provider_recipients_total",
		"Recipients by the provider that was to take them; other for those that the registry does not know.",
		"provider", "state")
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descLastLine, descLines, descRecipients, descPending,
		descWaiting, descAttempts, descRejections, descReasons, descProviders, descUnsent, descPushed} {
		ch <- d
	}
}

// scrapeTime is how long a count may take.
const scrapeTime = 30 * time.Second

// Collect counts, or sends the counts of a moment ago.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metrics == nil || c.now().Sub(c.counted) >= c.every {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		metrics, err := c.count(ctx)
		if err != nil {
			c.warn(err)
			ch <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, 0)
			return
		}
		// Requests that waited for this count use it. Otherwise a server that gets
		// requests faster than it counts would never finish.
		c.metrics, c.counted = metrics, c.now()
	}
	ch <- prometheus.MustNewConstMetric(descUp, prometheus.GaugeValue, 1)
	for _, m := range c.metrics {
		ch <- m
	}
}

// count makes the metrics of one moment.
func (c *collector) count(ctx context.Context) (list []prometheus.Metric, err error) {
	unsent, err := store.UnsentOf(ctx, c.db)
	if err != nil {
		return nil, err
	}
	err = c.db.Snapshot(ctx, func(q store.Reader) error {
		list = nil
		for _, step := range []func(context.Context, store.Reader,
			*[]prometheus.Metric) error{totals, byReason, byProvider, c.queue} {
			if err := step(ctx, q, &list); err != nil {
				return err
			}
		}
		return nil
	})
	if unsent.Target != "" {
		add(&list, descUnsent, prometheus.GaugeValue, unsent.Rows)
		if !unsent.Since.IsZero() {
			add(&list, descPushed, prometheus.GaugeValue, unsent.Since.Unix())
		}
	}
	return list, err
}

func add(list *[]prometheus.Metric, d *prometheus.Desc, kind prometheus.ValueType, n int64,
	labels ...string) {
	*list = append(*list, prometheus.MustNewConstMetric(d, kind, float64(n), labels...))
}

func totals(ctx context.Context, q store.Reader, list *[]prometheus.Metric) error {
	_, last, err := q.Covered(ctx)
	if err != nil {
		return err
	}
	n, err := q.Numbers(ctx, store.Window{}, store.Filter{}, nil)
	if err != nil {
		return err
	}
	if !last.IsZero() {
		add(list, descLastLine, prometheus.GaugeValue, last.Unix())
	}
	t, l := &n.Totals, &n.Lines
	for _, m := range []struct {
		desc  *prometheus.Desc
		label string
		n     int64
	}{
		{descLines, "understood", l.Understood},
		{descLines, "irrelevant", l.Irrelevant},
		{descLines, "unparsed", l.Unparsed},
		{descRecipients, "delivered", t.Delivered},
		{descRecipients, "bounced", t.Bounced},
		{descRecipients, "expired", t.Expired},
		{descRecipients, "removed", t.Removed},
		{descAttempts, "delivered", t.Attempts - t.Deferrals - t.Failures},
		{descAttempts, "deferred", t.Deferrals},
		{descAttempts, "failed", t.Failures},
		{descRejections, "permanent", t.Rejected},
		{descRejections, "temporary", t.RejectedTemporary},
	} {
		add(list, m.desc, prometheus.CounterValue, m.n, m.label)
	}
	add(list, descPending, prometheus.GaugeValue, t.Pending)
	return nil
}

func byReason(ctx context.Context, q store.Reader, list *[]prometheus.Metric) error {
	n, err := q.Numbers(ctx, store.Window{}, store.Filter{}, []store.Dimension{store.ByReason})
	if err != nil {
		return err
	}
	known := registry.ReasonNames()
	sums := map[string]store.Tally{}
	for _, g := range n.Groups {
		reason := g.Values[0].Raw()
		if !slices.Contains(known, reason) { // a reason of the user's own rules
			reason = "unknown"
		}
		s := sums[reason]
		s.Deferrals += g.Deferrals
		s.Failures += g.Failures
		sums[reason] = s
	}
	for reason, s := range sums {
		add(list, descReasons, prometheus.CounterValue, s.Deferrals, reason, "temporary")
		add(list, descReasons, prometheus.CounterValue, s.Failures, reason, "permanent")
	}
	return nil
}

// otherProviders is the label of all providers that are not in the registry.
const otherProviders = "other"

func byProvider(ctx context.Context, q store.Reader, list *[]prometheus.Metric) error {
	n, err := q.Numbers(ctx, store.Window{}, store.Filter{}, []store.Dimension{store.ByProvider})
	if err != nil {
		return err
	}
	sums := map[string]store.Tally{}
	for _, g := range n.Groups {
		name := g.Values[0].Raw()
		if !registry.IsProvider(name) {
			name = otherProviders
		}
		s := sums[name]
		s.Delivered += g.Delivered
		s.Bounced += g.Bounced
		s.Expired += g.Expired
		sums[name] = s
	}
	for name, s := range sums {
		add(list, descProviders, prometheus.CounterValue, s.Delivered, name, "delivered")
		add(list, descProviders, prometheus.CounterValue, s.Bounced, name, "bounced")
		add(list, descProviders, prometheus.CounterValue, s.Expired, name, "expired")
	}
	return nil
}

// queue counts the recipients that wait now.
func (c *collector) queue(ctx context.Context, q store.Reader, list *[]prometheus.Metric) error {
	const late, silent = 10 * time.Minute, 24 * time.Hour
	now := c.now()
	var tried, untried int64
	err := q.Affected(ctx, store.Window{Since: now.Add(-silent), Until: now}, store.Filter{},
		func(a *store.Affected) error {
			switch {
			case a.State != registry.StatePending:
			case a.Tried:
				tried++
			case now.Sub(a.FirstSeen) >= late:
				untried++
			}
			return nil
		})
	add(list, descWaiting, prometheus.GaugeValue, tried, "yes")
	add(list, descWaiting, prometheus.GaugeValue, untried, "no")
	return err
}
