package sqlite

import (
	"cmp"
	"database/sql"
	"mailfail/registry"
	"mailfail/store"
	"maps"
	"slices"
	"strings"
	"time"
)

// failures adds up failing attempts, or rejections, by cause and by code.
type failures struct {
	causes  map[int64]*causeTally
	codes   map[string]*codeTally
	reasons map[string]*codeTally // of what has no code
}

// causeTally counts the failures of one cause.
type causeTally struct {
	*cause
	in          []*codeTally // that of its code and, without one, that of its reason
	n           int64
	deferrals   int64
	first, last int64
	newest      []int64 // ids of the rows with the time newestAt, which is the latest
	newestAt    int64
	signature   string
}

// latest notes the id of a row, if none that was counted is later.
func (t *causeTally) latest(time, id int64) {
	if time > t.newestAt || len(t.newest) == 0 {
		t.newest, t.newestAt = t.newest[:0], time
	}
	if time == t.newestAt {
		t.newest = append(t.newest, id)
	}
}

// codeTally counts the failures with one code, or without one for one reason.
type codeTally struct {
	recipients, domains, clients int64
	deferrals                    int64
	topDomain                    string
	lastRecipient                int64 // whose attempts are being counted
}

func newFailures() *failures {
	return &failures{causes: map[int64]*causeTally{}, codes: map[string]*codeTally{}, reasons: map[string]*codeTally{}}
}

// tallies returns what a failure with a code and a reason is counted in.
func (f *failures) tallies(code, reason string) []*codeTally {
	in := []*codeTally{tallyOf(f.codes, code)}
	if code == "" {
		in = append(in, tallyOf(f.reasons, reason))
	}
	return in
}

func tallyOf(m map[string]*codeTally, key string) *codeTally {
	if m[key] == nil {
		m[key] = &codeTally{lastRecipient: -1}
	}
	return m[key]
}

// add counts n failures of a cause and returns its tally.
func (f *failures) add(k *cause, n, first, last int64) *causeTally {
	t := f.causes[k.id]
	if t == nil {
		t = &causeTally{cause: k, in: f.tallies(k.code, k.reason), first: first, last: last}
		f.causes[k.id] = t
	}
	t.n += n
	t.first, t.last = min(t.first, first), max(t.last, last)
	return t
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
	} else if c.senders != nil {
		n.Senders, n.Providers, n.Hosts, n.Directions = c.senders.rows(), c.providers.rows(), c.hosts.rows(), c.directions.rows()
	}
	c.countDomains()
	if n.Codes, n.Uncoded, err = c.codeRows(c.failing, attemptText); err != nil {
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
		label, domain := c.cat.labels[k.label], c.domains.valuesOf(c.domains.order[k.group])[0]
		for _, code := range c.failing.tallies(label.code, label.reason) {
			if byCode[code] == nil {
				byCode[code] = map[string]int64{}
			}
			byCode[code][domain] += n
		}
	}
	for code, domains := range byCode {
		code.domains, code.topDomain = int64(len(domains)), most(domains)
	}
}

// putOff returns the temporary failures by code and reason. They are at home in
// the domains where such failures were, temporary or not.
func (c *counter) putOff() []store.CauseRow {
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
func (c *counter) causeRows(causes map[int64]int64, domains map[labelDomain]int64) []store.CauseRow {
	rows := map[int32]*store.CauseRow{}
	providers, places := map[int32]map[string]int64{}, map[int32]map[string]int64{}
	for id, n := range causes {
		k := c.cause(id)
		if rows[k.label] == nil {
			rows[k.label] = &store.CauseRow{Code: k.code, Reply: k.reply, Enhanced: k.enhanced, Reason: k.reason}
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
	list := make([]store.CauseRow, 0, len(rows))
	for label, row := range rows {
		row.Provider, row.TopDomain, row.Domains = most(providers[label]), most(places[label]), int64(len(places[label]))
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b store.CauseRow) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

// rows returns the groups, those with the most failures first, then by name.
func (g *grouping) rows() []store.Group {
	rows := make([]store.Group, len(g.order))
	for i, t := range g.order {
		rows[i] = store.Group{Values: g.valuesOf(t), Tally: t.Tally}
	}
	g.top(rows)
	slices.SortFunc(rows, func(a, b store.Group) int {
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
func (g *grouping) top(rows []store.Group) {
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
	var n int64
	for k, v := range m {
		if v > n || v == n && k < best {
			best, n = k, v
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

// codeRows returns a row for each code and, of what has no code, one for each
// reason; most attempts first, then by code and reason.
func (c *counter) codeRows(f *failures, table string) (codes, uncoded []store.CodeRow, err error) {
	if err := c.signatures(f.causes); err != nil {
		return nil, nil, err
	}
	lists := map[*codeTally][]*causeTally{}
	for _, k := range f.causes {
		for _, t := range k.in {
			lists[t] = append(lists[t], k)
		}
	}
	if codes, err = c.tallyRows(f.codes, lists, table); err != nil {
		return nil, nil, err
	}
	uncoded, err = c.tallyRows(f.reasons, lists, table)
	return codes, uncoded, err
}

func (c *counter) tallyRows(tallies map[string]*codeTally, lists map[*codeTally][]*causeTally, table string) ([]store.CodeRow, error) {
	rows := make([]store.CodeRow, 0, len(tallies))
	for _, t := range tallies {
		list := lists[t]
		if list == nil {
			continue
		}
		row := store.CodeRow{Code: list[0].code, Reply: list[0].reply, Enhanced: list[0].enhanced,
			Deferrals: t.deferrals, Recipients: t.recipients, Domains: t.domains, TopDomain: t.topDomain, Clients: t.clients}
		if err := c.describe(&row, list, table); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b store.CodeRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Reason, b.Reason))
	})
	return rows, nil
}

// describe fills in what follows from the causes of a row. The provider and
// the example are of its reason, so that what is said about that fits them.
func (c *counter) describe(row *store.CodeRow, list []*causeTally, table string) (err error) {
	first, last := list[0].first, list[0].last
	reasons := map[string]int64{}
	for _, k := range list {
		row.Attempts += k.n
		first, last = min(first, k.first), max(last, k.last)
		reasons[k.reason] += k.n
	}
	row.First, row.Last = time.UnixMicro(first), time.UnixMicro(last)
	row.Reason = most(reasons)
	list = slices.DeleteFunc(slices.Clone(list), func(k *causeTally) bool { return k.reason != row.Reason })
	providers, signatures := map[string]int64{}, map[string]int64{}
	for _, k := range list {
		providers[c.cat.names[k.provider]] += k.n
		signatures[k.signature] += k.n
	}
	row.Provider = most(providers)
	row.Example, err = c.example(list, most(signatures), table)
	return err
}

// example returns the latest text with a signature, of several the smallest.
func (c *counter) example(causes []*causeTally, signature, table string) (example registry.Foreign, err error) {
	var ids []int64
	var last int64 = -1 << 62
	for _, k := range causes {
		if k.signature != signature || k.last < last {
			continue
		}
		if k.last > last {
			ids, last = nil, k.last
		}
		ids = append(ids, k.newest...)
	}
	query := "SELECT min(t.text) FROM rejection_rows AS r JOIN texts AS t ON t.id = r.text WHERE r.id IN (SELECT value FROM json_each(?))"
	if table == attemptText {
		query = `SELECT min(t.text) FROM attempt_rows AS a LEFT JOIN attempt_rows AS e ON e.id = a.exact JOIN texts AS t ON t.id = IFNULL(e.text, a.text)
			WHERE a.id IN (SELECT value FROM json_each(?))`
	}
	var text sql.NullString
	_, err = c.one(query, []any{list(ids)}, &text)
	return registry.Foreign(text.String), err
}

// unknown returns the signatures without a reason, most attempts first.
func (c *counter) unknown() ([]store.SignatureRow, error) {
	bySignature := map[string][]*causeTally{}
	for _, k := range c.failing.causes {
		if k.reason == "unknown" {
			bySignature[k.signature] = append(bySignature[k.signature], k)
		}
	}
	rows := make([]store.SignatureRow, 0, len(bySignature))
	for signature, list := range bySignature {
		row := store.SignatureRow{Signature: signature}
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
	slices.SortFunc(rows, func(a, b store.SignatureRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Signature, b.Signature))
	})
	return rows, nil
}
