package sqlite

import (
	"cmp"
	"database/sql"
	"slices"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// failures adds up failing attempts, or rejections, by cause and by code.
type failures struct {
	cat     *catalog
	causes  []*causeTally // by id; nil: none was counted
	codes   []codeTally   // by place in catalog.codes
	reasons []codeTally   // of failures without a code, by place in catalog.reasons

	met, uncoded pairs // pairs of a recipient and a code, or a reason
}

// causeTally counts the failures of one cause.
type causeTally struct {
	*cause
	n           int64
	deferrals   int64
	first, last int64
	newest      []int64 // ids of the rows with the time last
	signature   string
}

// codeTally counts the failures with one code, or without one for one reason.
type codeTally struct {
	causes     []*causeTally
	recipients int64
	places     spread
	clients    int64
}

func newFailures(cat *catalog) *failures {
	return &failures{
		cat:     cat,
		causes:  make([]*causeTally, cat.key.causes+1),
		codes:   make([]codeTally, len(cat.codes)),
		reasons: make([]codeTally, len(cat.reasons)),
	}
}

// add counts n failures of a cause, which the row id reports, and returns the tally of the
// cause.
func (f *failures) add(k *cause, n, time, id int64) *causeTally {
	t := f.causes[k.id]
	if t == nil {
		t = &causeTally{cause: k, first: time, last: time}
		f.causes[k.id] = t
		for _, code := range f.tallies(k.label) {
			code.causes = append(code.causes, t)
		}
	}
	t.n += n
	t.first = min(t.first, time)
	if time > t.last {
		t.last, t.newest = time, t.newest[:0]
	}
	if time == t.last {
		t.newest = append(t.newest, id)
	}
	return t
}

// tallies returns the tallies in which a failure with a label counts: that of its code and,
// without a code, that of its reason.
func (f *failures) tallies(label int32) []*codeTally {
	l := &f.cat.labels[label]
	if l.code == "" {
		return []*codeTally{&f.codes[l.nCode], &f.reasons[l.nReason]}
	}
	return []*codeTally{&f.codes[l.nCode]}
}

// meet records that a recipient had a failure of a cause.
func (f *failures) meet(k *cause, recipient int32) {
	l := &f.cat.labels[k.label]
	f.met.add(recipient, l.nCode, false)
	if l.code == "" {
		f.uncoded.add(recipient, l.nReason, false)
	}
}

// countMet counts the recipients of each code.
func (f *failures) countMet() {
	f.met.each(func(_, code int32, _ bool) { f.codes[code].recipients++ })
	f.uncoded.each(func(_, reason int32, _ bool) { f.reasons[reason].recipients++ })
}

// countDomains finds the domains in which each code occurred.
func (f *failures) countDomains(c *counter, l labelled) {
	d := &codeDomains{failures: f, sums: map[*codeTally]int64{}}
	l.eachPart(c.domains, func(part int32, labels []int32, n []int64) {
		d.add(c.domains.firstOf(part), labels, n)
	})
}

// codeDomains adds up the failures of each code, one domain at a time.
type codeDomains struct {
	*failures
	found []*codeTally
	sums  map[*codeTally]int64
}

// add adds the failures in a domain; n[label] is their number.
func (d *codeDomains) add(domain string, labels []int32, n []int64) {
	d.found = d.found[:0]
	for _, label := range labels {
		for _, code := range d.tallies(label) {
			if d.sums[code] == 0 {
				d.found = append(d.found, code)
			}
			d.sums[code] += n[label]
		}
	}
	for _, code := range d.found {
		code.places.add(domain, d.sums[code])
		d.sums[code] = 0
	}
}

// finish turns the sums into rows, on all cores.
func (c *counter) finish() (err error) {
	n, attempts := c.numbers, c.labels
	var each sync.WaitGroup
	for i := range c.totals.groups {
		n.Totals = c.totals.groups[i].Tally
	}
	for _, g := range []struct {
		of   *grouping
		into *[]store.Group
	}{{c.by, &n.Groups}, {c.senders, &n.Senders}, {c.providers, &n.Providers}, {c.hosts, &n.Hosts},
		{c.directions, &n.Directions}} {
		if g.of != nil {
			each.Go(func() {
				g.of.findTops(attempts, nil)
				*g.into = g.of.rows()
			})
		}
	}
	var failed []spread
	putOff := make([]spread, len(c.cat.labels))
	each.Go(func() { // all questions about domains in one pass: there are thousands
		d := &codeDomains{failures: c.failing, sums: map[*codeTally]int64{}}
		c.domains.findTops(attempts, func(part int32, labels []int32, n []int64) {
			domain := c.domains.firstOf(part)
			d.add(domain, labels, n)
			spreadOver(putOff, domain, labels, n)
		})
		n.Domains = c.domains.rows()
	})
	each.Go(func() {
		c.failing.countMet()
		failed = c.spreads(c.failedAt)
	})
	each.Wait()
	if n.Codes, n.Uncoded, err = c.codeRows(c.failing, attemptText); err != nil {
		return err
	}
	n.Failed = c.causeRows(c.failed, failed)
	n.PutOff = c.putOff(putOff)
	n.Unknown, err = c.unknown()
	return err
}

// putOff returns the temporary failures by code and reason. Their domains are those of all
// failures with the same label, temporary or not.
func (c *counter) putOff(domains []spread) []store.CauseRow {
	causes := make([]int64, len(c.failing.causes))
	for id, t := range c.failing.causes {
		if t != nil {
			causes[id] = t.deferrals
		}
	}
	return c.causeRows(causes, domains)
}

// causeRows adds up numbers by cause, most first, then by code. domains holds the spread of
// each label.
func (c *counter) causeRows(causes []int64, domains []spread) []store.CauseRow {
	rows := make([]*store.CauseRow, len(c.cat.labels))
	providers := make([]map[string]int64, len(c.cat.labels))
	for id, n := range causes {
		if n == 0 {
			continue
		}
		k := c.cause(int64(id))
		if rows[k.label] == nil {
			d := &domains[k.label]
			rows[k.label] = &store.CauseRow{
				Code:      k.code,
				Reply:     k.reply,
				Enhanced:  k.enhanced,
				Reason:    k.reason,
				Domains:   d.domains,
				TopDomain: registry.Foreign(d.top),
			}
			providers[k.label] = map[string]int64{}
		}
		rows[k.label].N += n
		providers[k.label][c.cat.names[k.provider]] += n
	}
	list := []store.CauseRow{}
	for label, row := range rows {
		if row != nil {
			row.Provider = registry.Foreign(most(providers[label]))
			list = append(list, *row)
		}
	}
	slices.SortFunc(list, func(a, b store.CauseRow) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Reason, b.Reason))
	})
	return list
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

// signatures reads the signatures of the causes that were counted.
func (c *counter) signatures(causes []*causeTally) error {
	var ids []int64
	for id, t := range causes {
		if t != nil {
			ids = append(ids, int64(id))
		}
	}
	return c.each("SELECT id, signature FROM causes WHERE id IN (SELECT value FROM json_each(?))", []any{list(ids)}, func(r *sql.Rows) error {
		var id int64
		var signature string
		err := r.Scan(&id, &signature)
		causes[id].signature = signature
		return err
	})
}

// Queries for the texts of failures.
const (
	attemptText = `SELECT a.id, t.text FROM attempt_rows AS a LEFT JOIN attempt_rows AS e ON e.id = a.exact
		JOIN texts AS t ON t.id = IFNULL(e.text, a.text) WHERE a.id IN (SELECT value FROM json_each(?))`
	rejectionText = "SELECT r.id, t.text FROM rejection_rows AS r JOIN texts AS t ON t.id = r.text WHERE r.id IN (SELECT value FROM json_each(?))"
)

// codeRows returns a row for each code and, for failures without a code, one for each
// reason; most attempts first, then by code and reason.
func (c *counter) codeRows(f *failures, texts string) (codes, uncoded []store.CodeRow, err error) {
	if err := c.signatures(f.causes); err != nil {
		return nil, nil, err
	}
	e := &examples{}
	codes, uncoded = c.tallyRows(f.codes, e), c.tallyRows(f.reasons, e)
	if err := e.read(c.tx, texts); err != nil {
		return nil, nil, err
	}
	sortCodeRows(codes)
	sortCodeRows(uncoded)
	return codes, uncoded, nil
}

func (c *counter) tallyRows(tallies []codeTally, e *examples) []store.CodeRow {
	n := 0
	for i := range tallies {
		if tallies[i].causes != nil {
			n++
		}
	}
	rows := make([]store.CodeRow, 0, n) // must not grow: examples point into it
	for i := range tallies {
		if t := &tallies[i]; t.causes != nil {
			rows = append(rows, store.CodeRow{})
			c.describe(&rows[len(rows)-1], t, e)
		}
	}
	return rows
}

func sortCodeRows(rows []store.CodeRow) {
	slices.SortFunc(rows, func(a, b store.CodeRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Reason, b.Reason))
	})
}

// describe fills in a row. Provider and example are those of its most frequent reason, so
// that they agree with it.
func (c *counter) describe(row *store.CodeRow, t *codeTally, e *examples) {
	k := t.causes[0]
	*row = store.CodeRow{
		Code:       k.code,
		Reply:      k.reply,
		Enhanced:   k.enhanced,
		Recipients: t.recipients,
		Domains:    t.places.domains,
		TopDomain:  registry.Foreign(t.places.top),
		Clients:    t.clients,
	}
	first, last := k.first, k.last
	reasons := map[string]int64{}
	for _, k := range t.causes {
		row.Attempts += k.n
		row.Deferrals += k.deferrals
		first, last = min(first, k.first), max(last, k.last)
		reasons[k.reason] += k.n
	}
	row.First, row.Last = time.UnixMicro(first), time.UnixMicro(last)
	row.Reason = most(reasons)
	list := slices.DeleteFunc(slices.Clone(t.causes), func(k *causeTally) bool {
		return k.reason != row.Reason
	})
	providers, signatures := map[string]int64{}, map[string]int64{}
	for _, k := range list {
		providers[c.cat.names[k.provider]] += k.n
		signatures[k.signature] += k.n
	}
	row.Provider = registry.Foreign(most(providers))
	e.want(list, most(signatures), &row.Example)
}

// examples collects the ids of rows whose text is wanted, to read them together.
type examples struct {
	ids  []int64
	rows map[int64][]*registry.Foreign // the fields that want the text of a row
	seen map[*registry.Foreign]bool
}

// want requests the latest text with a signature, the smallest of several.
func (e *examples) want(causes []*causeTally, signature string, into *registry.Foreign) {
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
	if e.rows == nil {
		e.rows, e.seen = map[int64][]*registry.Foreign{}, map[*registry.Foreign]bool{}
	}
	for _, id := range ids {
		e.rows[id] = append(e.rows[id], into)
	}
	e.ids = append(e.ids, ids...)
}

func (e *examples) read(t *tx, query string) error {
	table := fleet.Attempts
	if query == rejectionText {
		table = fleet.Rejections
	}
	if err := t.needRows(table, e.ids); err != nil {
		return err
	}
	return t.each(query, []any{list(e.ids)}, func(r *sql.Rows) error {
		var id int64
		var text registry.Foreign
		err := r.Scan(&id, &text)
		for _, into := range e.rows[id] {
			if !e.seen[into] || text < *into {
				*into, e.seen[into] = text, true
			}
		}
		return err
	})
}

// unknown returns the signatures without a reason, most attempts first.
func (c *counter) unknown() ([]store.SignatureRow, error) {
	bySignature := map[string][]*causeTally{}
	for _, k := range c.failing.causes {
		if k != nil && k.reason == "unknown" {
			bySignature[k.signature] = append(bySignature[k.signature], k)
		}
	}
	rows := make([]store.SignatureRow, 0, len(bySignature)) // must not grow: examples point into it
	e := &examples{}
	for signature, list := range bySignature {
		row := store.SignatureRow{Signature: registry.Foreign(signature)}
		codes := map[string]int64{}
		for _, k := range list {
			row.Attempts += k.n
			codes[k.code] += k.n
		}
		row.Code = most(codes)
		rows = append(rows, row)
		e.want(list, signature, &rows[len(rows)-1].Example)
	}
	if err := e.read(c.tx, attemptText); err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b store.SignatureRow) int {
		return cmp.Or(cmp.Compare(b.Attempts, a.Attempts), cmp.Compare(a.Signature, b.Signature))
	})
	return rows, nil
}
