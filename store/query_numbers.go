package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"
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

	// SendLogsLeftOut is set when SMTP send logs were left out, because
	// message tracking logs of the same window report the same mail.
	SendLogsLeftOut bool
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

// Formats that report the same mail twice over.
const (
	trackingFormat = "exchange-tracking"
	sendFormat     = "exchange-smtpsend"
)

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
	c := &counter{tx: t, cat: cat, window: w, filter: f, numbers: &Numbers{Window: w}, failing: newFailures(), failed: map[int64]int64{}, failedAt: map[labelDomain]int64{}}
	if err := c.choose(); err != nil {
		return nil, err
	}
	c.totals = c.group(nil)
	c.domains = c.group([]Dimension{ByDomain})
	c.by = c.group(by)
	for _, step := range []func() error{c.measure, c.lines, c.counts, c.recipients, c.rejections, c.finish} {
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
	filter  Filter
	numbers *Numbers

	wanted              []bool // by place in catalog.series
	wide                bool   // a good part of the rows may lie in the window: indexes on time do not help
	rejected            []bool // the same for rejections, whose series have no sender
	groupings           []*grouping
	totals, domains, by *grouping
	failing             *failures
	failed              map[int64]int64 // recipients that failed for good, by cause
	failedAt            map[labelDomain]int64
}

// choose decides which series are counted.
func (c *counter) choose() error {
	leftOut, err := c.leaveOutSendLogs()
	if err != nil {
		return err
	}
	c.wanted = make([]bool, len(c.cat.series))
	c.rejected = make([]bool, len(c.cat.series))
	anySender := c.filter
	anySender.Senders = nil
	for i := range c.cat.series {
		s := &c.cat.series[i]
		send := leftOut && c.cat.names[s.format] == sendFormat
		c.wanted[i] = !send && c.filter.matchSeries(c.cat, s)
		c.rejected[i] = anySender.matchSeries(c.cat, s)
		c.numbers.SendLogsLeftOut = c.numbers.SendLogsLeftOut || send
	}
	for _, k := range c.cat.causes {
		k.wanted = c.filter.matchCause(k)
	}
	return nil
}

// leaveOutSendLogs reports whether there are series of both Exchange formats
// that report the same mail, and numbers of the better one in the window.
func (c *counter) leaveOutSendLogs() (bool, error) {
	var tracking []int64
	send := false
	for i := range c.cat.series {
		switch c.cat.names[c.cat.series[i].format] {
		case trackingFormat:
			tracking = append(tracking, c.cat.series[i].id)
		case sendFormat:
			send = true
		}
	}
	if !send || tracking == nil {
		return false, nil
	}
	minute, minuteArgs := c.window.where("minute", minuteMicros)
	since, until := c.window.micros()
	args := append(append([]any{list(tracking)}, minuteArgs...), since, until)
	var found bool
	_, err := c.one(`WITH tracking AS (SELECT value FROM json_each(?))
		SELECT EXISTS (SELECT 1 FROM counts WHERE series IN tracking AND `+minute+`)
		OR EXISTS (SELECT 1 FROM recipients WHERE series IN tracking AND last_seen >= ? AND first_seen < ?)`, args, &found)
	return found, err
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
	i, ok := c.cat.index[id]
	return i, ok && c.wanted[i]
}

// isWanted reports whether the rows of a table with this series are counted.
func (c *counter) isWanted(id int64, table string) bool {
	i, ok := c.cat.index[id]
	if table == rejectionText {
		return ok && c.rejected[i]
	}
	return ok && c.wanted[i]
}

// recipient is a row of recipients with what its attempts in the window were.
type recipient struct {
	id, series int64
	cause      int64 // of the last failing attempt, 0 none
	state      State // at the window's end
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
		r = recipient{id: rows.row[0], series: rows.row[1], state: State(rows.row[2]), cause: rows.row[3], touched: r.touched[:0]}
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

// openRecipients returns id, series, state and cause of the recipients that live in
// the window.
func (c *counter) openRecipients() (*cursor, error) {
	state, args := "state", []any(nil)
	since, until := c.window.micros()
	cond := []string{"TRUE"}
	if !c.window.Until.IsZero() {
		state, args = "CASE WHEN final_at < ? THEN state ELSE 0 END", append(args, until, until)
		cond = append(cond, "first_seen < ?")
	}
	if !c.window.Since.IsZero() {
		cond, args = append(cond, "last_seen >= ?"), append(args, since)
	}
	order := "id"
	if !c.wide {
		order = "+id" // or SQLite reads the whole table for the sake of its order
	}
	return c.cursor("SELECT id, series, "+state+", cause FROM recipients WHERE "+strings.Join(cond, " AND ")+" ORDER BY "+order, args)
}

// openAttempts returns the failing attempts in the window by recipient.
func (c *counter) openAttempts() (*cursor, error) {
	column := "time"
	if c.wide {
		column = "+time" // not by the index of times: the one by recipient has all that is asked for
	}
	where, args := c.window.where(column, 1)
	return c.cursor("SELECT recipient, series, cause, outcome, time FROM attempts WHERE "+where+" ORDER BY recipient", args)
}

// measure finds out whether a good part of all attempts may lie in the window.
func (c *counter) measure() error {
	var first, last int64
	_, err := c.one("SELECT IFNULL((SELECT min(time) FROM attempts), 0), IFNULL((SELECT max(time) FROM attempts), 0)", nil, &first, &last)
	since, until := c.window.micros()
	c.wide = min(until, last)-max(since, first) > (last-first)/4
	return err
}

// attempt counts a failing attempt: recipient, series, cause, outcome, time.
func (c *counter) attempt(r *recipient, row []int64) {
	deferred := row[3] == attemptDeferred
	r.deferred = r.deferred || deferred
	s, ok := c.place(row[1])
	k := c.cat.causes[row[2]]
	if !ok || k == nil || !k.wanted {
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
	t, code := c.failing.add(k, 1, row[4], row[4])
	if deferred {
		t.deferrals++
		code.deferrals++
	}
	if code.lastRecipient != r.id {
		code.lastRecipient = r.id
		code.recipients++
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
		t.group.recipient(r.state, t.deferred)
	}
	s, ok := c.place(r.series)
	if !ok {
		return
	}
	for _, g := range c.groupings {
		if !g.ofCause {
			g.at(s, nil).recipient(r.state, r.deferred)
		}
	}
	if k := c.cat.causes[r.cause]; k != nil && k.wanted && (r.state == Bounced || r.state == Expired) {
		c.failed[k.id]++
		c.failedAt[labelDomain{k.label, c.cat.names[c.cat.series[s].domain]}]++
	}
}

// recipient counts a recipient by its state.
func (t *Tally) recipient(s State, deferred bool) {
	switch s {
	case HandedOver:
		t.HandedOver++
		return
	case Replaced:
		return
	case Pending:
		t.Pending++
	case Delivered:
		t.Delivered++
	case Bounced:
		t.Bounced++
	case Expired:
		t.Expired++
	case Removed:
		t.Removed++
	}
	t.Recipients++
	if deferred {
		t.Deferred++
	}
}

// grouping adds numbers up by some dimensions. The key of a group has two
// parts: what follows from the series and what follows from the cause.
type grouping struct {
	cat     *catalog
	dims    []Dimension
	ofCause bool // recipients are those that met a failure, see Numbers

	bySeries []*tally // without causes: the group of a series, by place
	series   []int32  // with causes: a part of the key by place, 0 not known yet
	causes   map[int64]int32
	parts    map[string]int32
	values   [][]string // of a part
	groups   map[[2]int32]*tally
	order    []*tally
	labels   map[groupLabel]int64 // failing attempts
}

// groupLabel is a group and a label of the catalog.
type groupLabel struct{ group, label int32 }

// tally is a group that is being counted.
type tally struct {
	Tally
	place         int32
	series, cause int32 // parts of the key
}

// group adds a grouping; nil dimensions count everything together.
func (c *counter) group(dims []Dimension) *grouping {
	g := &grouping{cat: c.cat, dims: dims,
		ofCause:  c.filter.OfCause() || slices.ContainsFunc(dims, Dimension.OfCause),
		bySeries: make([]*tally, len(c.cat.series)), series: make([]int32, len(c.cat.series)), causes: map[int64]int32{},
		parts: map[string]int32{}, values: [][]string{nil},
		groups: map[[2]int32]*tally{}, labels: map[groupLabel]int64{}}
	if dims != nil || c.totals == nil {
		c.groupings = append(c.groupings, g)
	}
	return g
}

// at returns the group of a series and a cause; k may be nil, and means
// nothing to groupings without causes.
func (g *grouping) at(series int, k *cause) *tally {
	if !g.ofCause && g.bySeries[series] != nil {
		return g.bySeries[series]
	}
	if g.series[series] == 0 {
		g.series[series] = g.part(func(d Dimension) string { return g.cat.value(&g.cat.series[series], d) })
	}
	t := g.atParts(g.series[series], k)
	if !g.ofCause {
		g.bySeries[series] = t
	}
	return t
}

func (g *grouping) atParts(series int32, k *cause) *tally {
	key := [2]int32{series, 0}
	if k != nil && g.ofCause {
		if g.causes[k.id] == 0 {
			g.causes[k.id] = g.part(k.value)
		}
		key[1] = g.causes[k.id]
	}
	t := g.groups[key]
	if t == nil {
		t = &tally{place: int32(len(g.order)), series: key[0], cause: key[1]}
		g.groups[key] = t
		g.order = append(g.order, t)
	}
	return t
}

func (k *cause) value(d Dimension) string {
	switch d {
	case ByCode:
		return k.code
	case ByReason:
		return k.reason
	}
	return ""
}

// part interns the values that one side, series or cause, has.
func (g *grouping) part(value func(Dimension) string) int32 {
	values := make([]string, len(g.dims))
	for i, d := range g.dims {
		values[i] = value(d)
	}
	key := strings.Join(values, "\x00")
	if g.parts[key] == 0 {
		g.parts[key] = int32(len(g.values))
		g.values = append(g.values, values)
	}
	return g.parts[key]
}

// failures adds up failing attempts, or rejections, by cause and by code.
type failures struct {
	causes map[int64]*causeTally
	codes  map[string]*codeTally
}

// causeTally counts the failures of one cause.
type causeTally struct {
	*cause
	ofCode      *codeTally
	n           int64
	deferrals   int64
	first, last int64
}

// codeTally counts the failures with one code.
type codeTally struct {
	recipients, domains, clients int64
	deferrals                    int64
	topDomain                    string
	lastRecipient                int64 // whose attempts are being counted
}

func newFailures() *failures {
	return &failures{causes: map[int64]*causeTally{}, codes: map[string]*codeTally{}}
}

func (f *failures) code(code string) *codeTally {
	t := f.codes[code]
	if t == nil {
		t = &codeTally{lastRecipient: -1}
		f.codes[code] = t
	}
	return t
}

// add counts n failures of a cause and returns its tally and that of its code.
func (f *failures) add(k *cause, n, first, last int64) (*causeTally, *codeTally) {
	t := f.causes[k.id]
	if t == nil {
		t = &causeTally{cause: k, ofCode: f.code(k.code), first: first, last: last}
		f.causes[k.id] = t
	}
	t.n += n
	t.first, t.last = min(t.first, first), max(t.last, last)
	return t, t.ofCode
}

// finish turns what was added up into rows.
func (c *counter) finish() (err error) {
	n := c.numbers
	for _, t := range c.totals.order {
		n.Totals = t.Tally
	}
	n.Domains = c.domains.rows()
	if c.by.dims != nil {
		n.Groups = c.by.rows()
	}
	c.countDomains()
	if n.Codes, err = c.codeRows(c.failing, attemptText); err != nil {
		return err
	}
	n.Failed = c.causeRows(c.failed, c.failedAt)
	n.PutOff = c.putOff()
	n.Unknown, err = c.unknown()
	return err
}

// countDomains finds the domains in which each code occurred.
func (c *counter) countDomains() {
	byCode := map[*codeTally]map[string]int64{}
	for k, n := range c.domains.labels {
		code := c.failing.code(c.cat.labels[k.label].code)
		if byCode[code] == nil {
			byCode[code] = map[string]int64{}
		}
		byCode[code][c.domains.valuesOf(c.domains.order[k.group])[0]] += n
	}
	for code, domains := range byCode {
		code.domains, code.topDomain = int64(len(domains)), most(domains)
	}
}

// putOff returns the temporary failures by code and reason. They are at home in
// the domains where such failures were, temporary or not.
func (c *counter) putOff() []CauseRow {
	causes, domains := map[int64]int64{}, map[labelDomain]int64{}
	for id, t := range c.failing.causes {
		if t.deferrals > 0 {
			causes[id] = t.deferrals
		}
	}
	for k, n := range c.domains.labels {
		domains[labelDomain{k.label, c.domains.valuesOf(c.domains.order[k.group])[0]}] += n
	}
	return c.causeRows(causes, domains)
}

// labelDomain is a label of the catalog and a domain.
type labelDomain struct {
	label  int32
	domain string
}

// causeRows adds up what was counted by cause, most first, then by code.
func (c *counter) causeRows(causes map[int64]int64, domains map[labelDomain]int64) []CauseRow {
	rows := map[int32]*CauseRow{}
	providers, places := map[int32]map[string]int64{}, map[int32]map[string]int64{}
	for id, n := range causes {
		k := c.cat.causes[id]
		if rows[k.label] == nil {
			rows[k.label] = &CauseRow{Code: k.code, Reply: k.reply, Enhanced: k.enhanced, Reason: k.reason}
			providers[k.label], places[k.label] = map[string]int64{}, map[string]int64{}
		}
		rows[k.label].N += n
		providers[k.label][c.cat.names[k.provider]] += n
	}
	for p, n := range domains {
		if places[p.label] != nil {
			places[p.label][p.domain] += n
		}
	}
	list := make([]CauseRow, 0, len(rows))
	for label, row := range rows {
		row.Provider, row.TopDomain, row.Domains = most(providers[label]), most(places[label]), int64(len(places[label]))
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b CauseRow) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

// rows returns the groups, those with the most failures first, then by name.
func (g *grouping) rows() []Group {
	rows := make([]Group, len(g.order))
	for i, t := range g.order {
		rows[i] = Group{Values: g.valuesOf(t), Tally: t.Tally}
	}
	g.top(rows)
	slices.SortFunc(rows, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Failures, a.Failures), slices.Compare(a.Values, b.Values))
	})
	return rows
}

func (g *grouping) valuesOf(t *tally) []string {
	values := slices.Clone(g.values[t.series])
	for i, d := range g.dims {
		if d.OfCause() && t.cause != 0 {
			values[i] = g.values[t.cause][i]
		}
	}
	return values
}

// top fills in the most frequent code and reason of each group.
func (g *grouping) top(rows []Group) {
	codes, reasons, causes := make([]map[string]int64, len(rows)), make([]map[string]int64, len(rows)), make([]map[string]int64, len(rows))
	for k, n := range g.labels {
		if codes[k.group] == nil {
			codes[k.group], reasons[k.group], causes[k.group] = map[string]int64{}, map[string]int64{}, map[string]int64{}
		}
		label := g.cat.labels[k.label]
		codes[k.group][label.code] += n
		reasons[k.group][label.reason] += n
		causes[k.group][strings.TrimSpace(label.code+" "+label.reason)] += n
	}
	for i := range rows {
		if codes[i] != nil {
			rows[i].TopCode, rows[i].TopReason, rows[i].TopCause, rows[i].HasTop = most(codes[i]), most(reasons[i]), most(causes[i]), true
		}
	}
}

// most returns the key with the greatest number; of several the smallest.
func most[K cmp.Ordered](m map[K]int64) (best K) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] > m[best] {
			best = k
		}
	}
	return best
}

// signatures reads the signatures of causes.
func (c *counter) signatures(causes map[int64]*causeTally) error {
	return c.each("SELECT id, signature FROM causes WHERE id IN (SELECT value FROM json_each(?))",
		[]any{list(slices.Collect(maps.Keys(causes)))}, func(r *sql.Rows) error {
			var id int64
			var signature string
			err := r.Scan(&id, &signature)
			causes[id].signature = signature
			return err
		})
}

// Where the text of a failure is.
const (
	attemptText   = "attempts"
	rejectionText = "rejections"
)

// codeRows returns a row for each code, most attempts first, then by code.
func (c *counter) codeRows(f *failures, table string) ([]CodeRow, error) {
	if err := c.signatures(f.causes); err != nil {
		return nil, err
	}
	byCode := map[string][]*causeTally{}
	for _, k := range f.causes {
		byCode[k.code] = append(byCode[k.code], k)
	}
	rows := make([]CodeRow, 0, len(byCode))
	for code, list := range byCode {
		t := list[0].ofCode
		row := CodeRow{Code: code, Reply: list[0].reply, Enhanced: list[0].enhanced,
			Deferrals: t.deferrals, Recipients: t.recipients, Domains: t.domains, TopDomain: t.topDomain, Clients: t.clients}
		if err := c.describe(&row, list, table); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b CodeRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Code, b.Code))
	})
	return rows, nil
}

// describe fills in what follows from the causes of a code.
func (c *counter) describe(row *CodeRow, list []*causeTally, table string) (err error) {
	first, last := list[0].first, list[0].last
	reasons, providers, signatures := map[string]int64{}, map[[2]string]int64{}, map[string]int64{}
	for _, k := range list {
		row.Attempts += k.n
		first, last = min(first, k.first), max(last, k.last)
		reasons[k.reason] += k.n
		providers[[2]string{k.reason, c.cat.names[k.provider]}] += k.n
		signatures[k.signature] += k.n
	}
	row.First, row.Last = time.UnixMicro(first), time.UnixMicro(last)
	row.Reason = most(reasons)
	ofReason := map[string]int64{}
	for k, n := range providers {
		if k[0] == row.Reason {
			ofReason[k[1]] = n
		}
	}
	row.Provider = most(ofReason)
	row.Example, err = c.example(list, most(signatures), table)
	return err
}

// example returns the latest text with a signature, of several the smallest.
func (c *counter) example(causes []*causeTally, signature, table string) (string, error) {
	var ids []int64
	var last int64 = -1 << 62
	for _, k := range causes {
		if k.signature != signature || k.last < last {
			continue
		}
		if k.last > last {
			ids, last = nil, k.last
		}
		ids = append(ids, k.id)
	}
	var text string
	found := false
	err := c.each("SELECT series, text FROM "+table+" WHERE time = ? AND cause IN (SELECT value FROM json_each(?)) ORDER BY text",
		[]any{last, list(ids)}, func(r *sql.Rows) error {
			var series int64
			var s string
			err := r.Scan(&series, &s)
			if !found && c.isWanted(series, table) {
				text, found = s, true
			}
			return err
		})
	return text, err
}

// unknown returns the signatures without a reason, most attempts first.
func (c *counter) unknown() ([]SignatureRow, error) {
	bySignature := map[string][]*causeTally{}
	for _, k := range c.failing.causes {
		if k.reason == "unknown" {
			bySignature[k.signature] = append(bySignature[k.signature], k)
		}
	}
	rows := make([]SignatureRow, 0, len(bySignature))
	for signature, list := range bySignature {
		row := SignatureRow{Signature: signature}
		codes := map[string]int64{}
		for _, k := range list {
			row.Attempts += k.n
			codes[k.code] += k.n
		}
		row.Code = most(codes)
		var err error
		if row.Example, err = c.example(list, signature, attemptText); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b SignatureRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Signature, b.Signature))
	})
	return rows, nil
}
