package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// A View answers questions about rows that another engine stores in the tables of package
// fleet. It is a temporary database: the first question about a window reads the columns
// that it needs as segments, and whole rows only if they are shown one by one. The answers
// are therefore those of a database that has the same rows. One goroutine uses a View.
type View struct {
	*reader
	busy     sync.Mutex // held for an answer
	shared   *shared
	w        *Writer
	from     ViewSource
	series   viewedSeries
	causes   map[int64]int64 // id here, by viewID
	causesOf [][]int64       // the same by origin and id there, for ids below mostDense
	ids      map[store.Cause]int64
	had      map[*fleet.Table][]span         // the spans that were read, in the units of the table
	rows     map[*fleet.Table]map[int64]bool // ids of rows that were read one by one
	found    map[string]bool                 // ids and addresses that were looked up
	blocks   map[int64][]*block              // rows, by kind of segment
	totals   viewedTotals
	ahead    *askedTotals // totals that will be needed, nil: none
	sums     []viewedSums
	lines    []viewedLines
	spans    *[2]int64 // minutes of counts, nil unknown
}

// ViewSource is an engine whose rows a View reads.
type ViewSource interface {
	// Columns calls each with a function that reads, on each call, some thousand rows of a
	// table that q selects, until it returns io.EOF: columnOrigin and so on, and the columns
	// that were asked for. NULL is 0. If any version of a row is among them, so is the newest,
	// of times as q selects them or deleted.
	Columns(ctx context.Context, t *fleet.Table, columns []string, q RowsQuery,
		each readColumns) error
	// Hosts calls each with all pairs of a format and a host with logs of it, of some formats
	// or, if formats is nil, of all.
	Hosts(ctx context.Context, formats []string, each func(format, host string) error) error
	// Relays calls each with some relays and their providers.
	Relays(ctx context.Context, relays []string, each func(relay, provider string) error) error
	// SumLines adds up the lines read in some minutes, and returns the first and the last of
	// these minutes above 0, 0 if there is none.
	SumLines(ctx context.Context, since, until int64) (sum store.Lines, first, last int64, err error)
	// Rows calls each with some columns of the rows of a table that q selects. origin is a
	// number from 0.
	Rows(ctx context.Context, t *fleet.Table, columns []string, q RowsQuery,
		each func(origin int64, row fleet.Row) error) error
	// CountedMinutes returns a span of minutes that contains all counts.
	CountedMinutes(ctx context.Context) (since, until int64, err error)
	// Totals calls each with the totals that q selects, of all origins together.
	Totals(ctx context.Context, q *TotalsQuery, each func(*TotalsRow) error) error
	// TotalledDays returns the days from first to last that have totals, by origin.
	TotalledDays(ctx context.Context, first, last int64) (DaysByOrigin, error)
	// SumCounts calls each with the sums of counts that q selects.
	SumCounts(ctx context.Context, q *CountsQuery,
		each func(group, origin, series int64, n []int64) error) error
	// Minutes calls each with a function that reads, on each call, some thousand rows of counts
	// in some spans of minutes, until it returns io.EOF: minuteOrigin and so on, up to
	// minuteSuspended if all are wanted, else up to minuteAccepted.
	Minutes(ctx context.Context, spans [][2]int64, all bool, each readColumns) error
	// DeliveriesFrom returns the time since which all deliveries are kept, 0 since the
	// beginning.
	DeliveriesFrom() int64
	// Covered returns the first and the last minute above 0 that has lines.
	Covered(ctx context.Context) (first, last int64, err error)
}

// RowsQuery selects rows of a table; the zero value selects all.
type RowsQuery struct {
	Within bool
	// With Within, the range of the time, minute, hour or block of a row; a recipient's
	// life must overlap it. The least and the greatest number are open ends.
	Since, Until int64

	// By is the column to which the next three apply. If its values may change, the answer
	// may include rows with an outdated value: the caller must read such rows again by id.
	By    string
	IDs   []int64
	Texts []string
	Fold  bool // case does not matter

	Hashes []uint64 // of deliveries: the filter of a block may contain one of them
	Order  string   // column
}

// originBits is the number of low bits of an id of a View: they hold the row's id at its
// origin.
const originBits = 40

func viewID(origin, id int64) int64 {
	if id == 0 {
		return 0
	}
	return origin<<originBits | id
}

// RowID splits an id of a View into the number of an origin and the id there.
func RowID(id int64) (origin, own int64) { return id >> originBits, id & (1<<originBits - 1) }

// OpenView opens a view of the rows of an engine.
func OpenView(ctx context.Context, from ViewSource) (*View, error) {
	db, err := OpenTemporary()
	if err != nil {
		return nil, err
	}
	v := &View{
		from:   from,
		shared: &shared{},
		causes: map[int64]int64{},
		ids:    map[store.Cause]int64{},
		had:    map[*fleet.Table][]span{},
		rows:   map[*fleet.Table]map[int64]bool{},
		found:  map[string]bool{},
		blocks: map[int64][]*block{},
	}
	if v.w, err = db.writer(); err != nil {
		db.Close()
		return nil, err
	}
	v.reader = &reader{func(ctx context.Context, f func(*tx) error) error { return v.askAgain(ctx, f) }}
	_, err = v.w.conn.ExecContext(ctx, "BEGIN")
	for _, step := range []func(context.Context) error{
		func(context.Context) error { return v.w.restart() },
		func(context.Context) error {
			if from := v.from.DeliveriesFrom(); from > 0 {
				v.w.PutMeta(metaDeliveriesFrom, strconv.FormatInt(from, 10))
			}
			return nil
		},
		func(context.Context) error {
			_, err := v.w.Name([]byte("-")) // loads the stored names
			return err
		},
		v.readCauses,
		func(context.Context) error { return v.settle(ctx) },
	} {
		if err == nil {
			err = step(ctx)
		}
	}
	if err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

// Close releases the memory and files of v.
func (v *View) Close() error {
	db := v.w.db
	err := v.w.Close()
	if e := db.Close(); err == nil {
		err = e
	}
	return err
}

// namesOf returns the names of the columns of a table.
func namesOf(t *fleet.Table) (list []string) {
	for _, c := range t.Columns {
		list = append(list, c.Name)
	}
	return list
}

// read reads whole rows.
func (v *View) read(ctx context.Context, t *fleet.Table, q RowsQuery,
	each func(origin int64, row fleet.Row) error) error {
	return v.from.Rows(ctx, t, namesOf(t), q, each)
}

func (v *View) readCauses(ctx context.Context) error {
	return v.read(ctx, fleet.Causes, RowsQuery{}, func(origin int64, r fleet.Row) error {
		k := store.Cause{
			Failure: registry.Failure{
				Reply:     uint16(r[1].Int),
				Stage:     registry.Stage(r[4].Int),
				Source:    registry.Source(r[5].Int),
				Provider:  r[6].Text,
				Signature: r[7].Text,
			},
			Verdict: registry.Verdict{
				Reason:     registry.Reason(r[8].Text),
				Rule:       r[9].Text,
				DecidedBy:  registry.DecidedBy(r[10].Int),
				Confidence: registry.Confidence(r[11].Int),
			},
		}
		k.Enhanced, _ = registry.ParseEnhanced(r[2].Text)
		k.MTAStatus, _ = registry.ParseEnhanced(r[3].Text)
		id, ok := v.ids[k]
		if !ok {
			provider, err := v.w.Name([]byte(k.Provider))
			if err != nil {
				return err
			}
			id = v.w.nextID("cause_rows")
			v.ids[k] = id
			v.w.sink.exec("INSERT INTO cause_rows VALUES (?,?,?)", id, provider, v.w.kind(&k))
		}
		if own := r[0].Int; uint64(own) < mostDense {
			*at(at(&v.causesOf, origin), own) = id
		} else {
			v.causes[viewID(origin, own)] = id
		}
		return nil
	})
}

// cause returns the id here of a cause by its id at an origin; 0 if there is none.
func (v *View) cause(origin, id int64) int64 {
	if uint64(id) >= mostDense {
		return v.causes[viewID(origin, id)]
	}
	if uint64(origin) >= uint64(len(v.causesOf)) || id >= int64(len(v.causesOf[origin])) {
		return 0
	}
	return v.causesOf[origin][id]
}

// askAgain answers a question. It does so anew if rows were found whose series the catalog
// did not have: these rows need not be read again.
func (v *View) askAgain(ctx context.Context, question func(*tx) error) error {
	v.busy.Lock() // an answer may load rows that it needs: one at a time
	for {
		t := &tx{ctx: ctx, conn: v.w.conn, cache: &v.w.db.cache, view: v, known: -1, shared: v.shared}
		err := question(t)
		if t.released {
			return err
		}
		if t.known < 0 || t.known == len(v.series.list) || err != nil && !errors.Is(err, errLate) {
			v.busy.Unlock()
			return err
		}
	}
}

// release lets a view answer the next question. The rest of this one uses only what it has
// read, and asks nothing anew.
func (t *tx) release() {
	if t.view != nil {
		t.released = true
		t.view.busy.Unlock()
	}
}

// errLate is the error of a question that must be asked again.
var errLate = errors.New("the catalog does not have all series")

// settled returns errLate if rows of a view were found whose series the catalog does not
// have. Questions call it before they call a function of theirs.
func (t *tx) settled() error {
	if t.view != nil && t.known != len(t.view.series.list) {
		return errLate
	}
	return nil
}

// Covered returns the minutes of the first and the last line that was read.
func (v *View) Covered(ctx context.Context) (first, last time.Time, err error) {
	a, b, err := v.from.Covered(ctx)
	if err == nil && a > 0 {
		first, last = time.UnixMicro(a*store.MinuteMicros), time.UnixMicro(b*store.MinuteMicros)
	}
	return first, last, err
}

// need loads the rows of some tables that lie in a window, if t reads from a view. It reads
// tables that become segments at the same time.
func (t *tx) need(w store.Window, tables ...*fleet.Table) error {
	v := t.view
	if v == nil {
		return nil
	}
	var loads []loading
	for _, table := range tables {
		s := spanIn(table, w)
		if segmentsOf[table].columns == "" {
			for _, gap := range gaps(v.had[table], s) {
				if err := v.load(t.ctx, table, gap); err != nil {
					return err
				}
				v.had[table] = append(v.had[table], gap)
			}
			continue
		}
		for _, gap := range v.missing(table, s) {
			loads = append(loads, loading{table, gap, v.askFor(t.ctx, table, gap)})
		}
	}
	defer func() {
		for _, l := range loads {
			l.asked.stop()
		}
	}()
	for _, l := range loads {
		if err := v.take(l.table, l.asked); err != nil {
			return err
		}
		v.had[l.table] = append(v.had[l.table], l.span)
	}
	return v.settle(t.ctx)
}

// loading is a span of a table that is being read.
type loading struct {
	table *fleet.Table
	span  span
	asked *asked
}

// spanIn returns the span of a window in the units of a table.
func spanIn(table *fleet.Table, w store.Window) span {
	since, until := w.Micros()
	switch table {
	case fleet.Connections:
		since, until = store.Minute(since), ceiling(until, store.MinuteMicros)
	case fleet.Counts:
		const hour = 60 * store.MinuteMicros
		since, until = floorDiv(since, hour)*blocksPerHour, ceiling(until, hour)*blocksPerHour
	case fleet.Submissions, fleet.Volumes, fleet.Troubles:
		const hour = 60 * store.MinuteMicros
		since, until = floorDiv(since, hour), ceiling(until, hour)
	}
	if w.Since.IsZero() {
		since = math.MinInt64
	}
	if w.Until.IsZero() {
		until = math.MaxInt64
	}
	return span{from: since, to: until}
}

// missing returns the spans of a table to read in addition. A recipient may live in several
// windows: of these, it is one span that contains all windows so far.
func (v *View) missing(table *fleet.Table, s span) []span {
	if table != fleet.Recipients {
		return gaps(v.had[table], s)
	}
	for _, h := range v.had[table] {
		if h.from <= s.from && s.to <= h.to {
			return nil
		}
		s = span{from: min(s.from, h.from), to: max(s.to, h.to)}
	}
	v.blocks[segmentRecipients], v.had[table] = nil, nil
	return []span{s}
}

func ceiling(v, unit int64) int64 { return floorDiv(v+unit-1, unit) }

// gaps returns the parts of a span that are in none of others.
func gaps(had []span, s span) (list []span) {
	had = slices.Clone(had)
	slices.SortFunc(had, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for _, h := range had {
		if h.to <= s.from || h.from >= s.to {
			continue
		}
		if h.from > s.from {
			list = append(list, span{from: s.from, to: h.from})
		}
		s.from = h.to
	}
	if s.from < s.to {
		list = append(list, s)
	}
	return list
}

// load reads the rows of a table that lie in a span.
func (v *View) load(ctx context.Context, t *fleet.Table, s span) error {
	q := RowsQuery{Within: true, Since: s.from, Until: s.to}
	if t == fleet.Counts {
		return v.loadCounts(ctx, q)
	}
	return v.read(ctx, t, q, func(origin int64, r fleet.Row) error { return v.put(t, origin, r) })
}

// segmentsOf lists the columns from which segments of a table are made, and the number of
// columns that these have.
var segmentsOf = map[*fleet.Table]struct {
	kind    int64
	columns string
	width   int
}{
	fleet.Attempts: {segmentAttempts, "id time recipient series cause outcome first exact", attemptColumns},
	fleet.Recipients: {segmentRecipients,
		"id first_seen last_seen final_at state troubled series cause exact_cause", recipientColumns},
	fleet.Rejections: {segmentRejections, "id time series cause n sender_domain recipient client_ip", 8},
}

// most returns how many rows were read.
func (v *View) most(s *segmented) (n int) {
	for _, b := range v.blocks[s.kind] {
		n += b.rows
	}
	return n
}

// eachBlock calls each with copies of the blocks that were read; each may change them.
func (v *View) eachBlock(ctx context.Context, kind int64, wanted columns, each func(*block) error) error {
	var room [][]int64
	for _, from := range v.blocks[kind] {
		b := &block{rows: from.rows, cols: make([][]int64, len(from.cols))}
		room = append(room, make([][]int64, max(0, len(from.cols)-len(room)))...)
		for i, column := range from.cols {
			if wanted>>i&1 != 0 {
				room[i] = append(room[i][:0], column...)
				b.cols[i] = room[i]
			}
		}
		if err := cmp.Or(ctx.Err(), each(b)); err != nil {
			return err
		}
	}
	return nil
}

// loadCounts reads blocks of counts, hour by hour.
func (v *View) loadCounts(ctx context.Context, q RowsQuery) error {
	var rows []countRow
	hour := int64(0)
	flush := func() {
		if rows = foldRows(rows); len(rows) > 0 {
			v.w.sink.exec("INSERT INTO counts VALUES (?,?)", hour*blocksPerHour, appendCounts(nil, rows))
		}
		rows = rows[:0]
	}
	q.Order = "id"
	err := v.read(ctx, fleet.Counts, q, func(origin int64, r fleet.Row) error {
		if h := floorDiv(r[0].Int, blocksPerHour); h != hour {
			flush()
			hour = h
		}
		n := len(r[1].Ints)
		for _, c := range r[1:] {
			if len(c.Ints) != n {
				return errBlock
			}
		}
		for i := range n {
			c := countRow{
				series: v.series.id(origin, r[1].Ints[i]),
				cause:  v.cause(origin, r[2].Ints[i]),
				minute: r[3].Ints[i],
			}
			for f := range c.n {
				c.n[f] = r[4+f].Ints[i]
			}
			rows = append(rows, c)
		}
		return nil
	})
	flush()
	return err
}

// put writes a row, with ids of this view.
func (v *View) put(t *fleet.Table, origin int64, r fleet.Row) error {
	s := viewRows[t]
	values := make([]any, 0, len(r))
	for i, word := range strings.Fields(s.columns) {
		_, of, _ := strings.Cut(word, ":")
		n, err := v.value(origin, of, &r[i], t.Columns[i].Type)
		if err != nil {
			return err
		}
		values = append(values, n)
	}
	v.w.sink.exec(s.insert, values...)
	return nil
}

// value converts a value for these tables: "name" and "text" become ids of names and texts,
// "series", "causes" and "id" become the ids that rows have here.
func (v *View) value(origin int64, of string, c *fleet.Value, t fleet.Type) (any, error) {
	if c.Null {
		return nil, nil
	}
	switch of {
	case "name":
		return v.w.Name([]byte(c.Text))
	case "text":
		return v.w.text(c.Text)
	case "series":
		return v.namedSeries(origin, c.Int), nil
	case "causes":
		return v.cause(origin, c.Int), nil
	case "id":
		return viewID(origin, c.Int), nil
	}
	if t == fleet.Text || t == fleet.MaybeText {
		return c.Text, nil
	}
	return c.Int, nil
}

// viewRow holds the columns of a table with their conversions (see value), and the
// statement that writes a row.
type viewRow struct{ columns, insert string }

// viewRows lists the tables whose rows are written one by one; they have the columns of the
// tables of package fleet.
var viewRows = map[*fleet.Table]viewRow{
	fleet.Messages: insertion("message_rows",
		"id:id format:name host:name instance:name queue_id message_id sender:text client:text "+
			"client_ip:text account:name size first_seen own", ""),
	fleet.Recipients: insertion("recipient_rows",
		"id:id message:id series:series address:text state first_seen last_seen final_at cause:causes "+
			"exact_cause:causes troubled", ""),
	fleet.Attempts: insertion("attempt_rows",
		"id:id time recipient:id series:series outcome cause:causes service:name ip:text delay text:text "+
			"first exact:id own_cause:causes pair", ""),
	fleet.Rejections: insertion("rejection_rows",
		"id:id time series:series cause:causes service:name queue_id client:text client_ip:text "+
			"sender:text sender_domain:name recipient:text text:text line_hash n n_main n_copy", ""),
	fleet.Feedback: insertion("feedback",
		"id:id kind time series:series cause:causes attempt:id sent:series sent_at ids addresses text hash",
		"ON CONFLICT DO NOTHING"),
	fleet.Connections: insertion("connections", "minute series:series cause:causes session n messages text",
		"ON CONFLICT DO UPDATE SET n = n + excluded.n, messages = messages + excluded.messages, text = min(text, excluded.text)"),
	fleet.Submissions: insertion("submissions",
		"hour host:name sender:name account:name client:name messages recipients bytes", addSubmissions),
	fleet.Volumes: insertion("volumes", "hour host:name measure value n bytes millis", addVolume),
	fleet.Troubles: insertion("troubles",
		"hour format:name host:name kind signature service:name n first last text",
		`ON CONFLICT DO UPDATE SET n = n + excluded.n, first = min(first, excluded.first), last = max(last, excluded.last),
		text = min(text, excluded.text), service = min(service, excluded.service)`),
}

func insertion(table, columns, end string) viewRow {
	verb := "INSERT"
	if end == "" {
		verb = "INSERT OR REPLACE"
	}
	var names []string
	for _, word := range strings.Fields(columns) {
		name, _, _ := strings.Cut(word, ":")
		names = append(names, `"`+name+`"`)
	}
	return viewRow{columns, fmt.Sprintf("%s INTO %s (%s) VALUES (?%s) %s", verb, table, strings.Join(names, ", "), strings.Repeat(",?", len(names)-1), end)}
}

// needRows loads some rows, and the rows to which they refer.
func (t *tx) needRows(table *fleet.Table, ids []int64) error {
	if t.view == nil || len(ids) == 0 {
		return nil
	}
	if err := t.view.fetch(t.ctx, table, "id", ids); err != nil {
		return err
	}
	return t.view.settle(t.ctx)
}

// fetchSize is the number of ids in one query.
const fetchSize = 2_000

// fetch writes the rows of a table whose column by has one of some values, and the rows to
// which they refer.
func (v *View) fetch(ctx context.Context, t *fleet.Table, by string, ids []int64) error {
	if by == "id" {
		ids = slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id == 0 || v.rows[t][id] })
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(slices.Compact(ids), fetchSize) {
		if _, err := v.fetchBy(ctx, t, RowsQuery{By: by, IDs: chunk}); err != nil {
			return err
		}
	}
	return nil
}

// fetchBy writes the rows that a query selects, and those to which they refer, and returns
// the ids of the former.
func (v *View) fetchBy(ctx context.Context, t *fleet.Table, q RowsQuery) (ids []int64, err error) {
	refers := map[*fleet.Table][]int64{}
	if v.rows[t] == nil {
		v.rows[t] = map[int64]bool{}
	}
	err = v.read(ctx, t, q, func(origin int64, r fleet.Row) error {
		id := viewID(origin, r[0].Int)
		v.rows[t][id] = true
		ids = append(ids, id)
		switch t {
		case fleet.Attempts:
			refers[fleet.Recipients] = append(refers[fleet.Recipients], viewID(origin, r[2].Int))
			if exact := &r[11]; !exact.Null {
				refers[fleet.Attempts] = append(refers[fleet.Attempts], viewID(origin, exact.Int))
			}
		case fleet.Recipients:
			refers[fleet.Messages] = append(refers[fleet.Messages], viewID(origin, r[1].Int))
		}
		return v.put(t, origin, r)
	})
	for _, other := range []*fleet.Table{fleet.Attempts, fleet.Recipients, fleet.Messages} {
		if err == nil && len(refers[other]) > 0 {
			err = v.fetch(ctx, other, "id", refers[other])
		}
	}
	return ids, err
}

// needPersons loads some recipients and their attempts.
func (t *tx) needPersons(ids []int64) error {
	if err := t.needRows(fleet.Recipients, ids); err != nil || t.view == nil {
		return err
	}
	if err := t.view.fetch(t.ctx, fleet.Attempts, "recipient", slices.Clone(ids)); err != nil {
		return err
	}
	return t.view.settle(t.ctx)
}

// needAccounts loads the recipients and attempts of messages that some accounts submitted.
// The names of accounts are in lower case.
func (t *tx) needAccounts(names []string) error {
	if t.view == nil {
		return nil
	}
	var messages []int64
	err := t.view.from.Rows(t.ctx, fleet.Messages, []string{"id"}, RowsQuery{
		By:    "account",
		Texts: names,
		Fold:  true,
	}, func(origin int64, r fleet.Row) error {
		messages = append(messages, viewID(origin, r[0].Int))
		return nil
	})
	if err == nil {
		err = t.view.fetch(t.ctx, fleet.Messages, "id", messages)
	}
	if err == nil {
		err = t.view.needStories(t.ctx, messages)
	}
	if err != nil {
		return err
	}
	return t.view.settle(t.ctx)
}

// needStories reads the recipients of messages and their attempts.
func (v *View) needStories(ctx context.Context, messages []int64) error {
	var recipients []int64
	for chunk := range slices.Chunk(messages, fetchSize) {
		ids, err := v.fetchBy(ctx, fleet.Recipients, RowsQuery{By: "message", IDs: chunk})
		if err != nil {
			return err
		}
		recipients = append(recipients, ids...)
	}
	return v.fetch(ctx, fleet.Attempts, "recipient", recipients)
}

// needFound loads the rows that have an id or an address, and makes them findable by it.
func (t *tx) needFound(what string) error {
	v := t.view
	if v == nil || v.found[what] {
		return nil
	}
	v.found[what] = true
	bare := strings.Trim(what, "<>")
	addresses := []string{bare, lowerDomain(bare), strings.ToLower(bare)}
	var messages, refused []int64
	for _, q := range []struct {
		table *fleet.Table
		by    string
		texts []string
	}{
		{fleet.Messages, "queue_id", []string{what}},
		{fleet.Messages, "message_id", []string{"<" + bare + ">"}},
		{fleet.Recipients, "address", addresses},
		{fleet.Rejections, "queue_id", []string{what}},
		{fleet.Rejections, "recipient", addresses},
	} {
		err := v.from.Rows(t.ctx, q.table, []string{"id",
			map[bool]string{true: "message", false: "id"}[q.table == fleet.Recipients]}, RowsQuery{
			By:    q.by,
			Texts: q.texts,
		},
			func(origin int64, r fleet.Row) error {
				if id := viewID(origin, r[1].Int); q.table == fleet.Rejections {
					refused = append(refused, id)
				} else {
					messages = append(messages, id)
				}
				return nil
			})
		if err != nil {
			return err
		}
	}
	err := v.fetch(t.ctx, fleet.Messages, "id", messages)
	if err == nil {
		err = v.needStories(t.ctx, messages)
	}
	if err == nil {
		err = v.fetch(t.ctx, fleet.Rejections, "id", refused)
	}
	for _, id := range messages {
		v.w.sink.exec("INSERT OR IGNORE INTO lookup VALUES (0,?,?)", int64(lookupHash(what)), 2*id)
	}
	for _, id := range refused {
		v.w.sink.exec("INSERT OR IGNORE INTO lookup VALUES (0,?,?)", int64(lookupHash(what)), 2*id+1)
	}
	if err != nil {
		return err
	}
	return v.settle(t.ctx)
}

// needIDs loads the messages whose Message-IDs have some hashes, and makes them findable by
// these.
func (t *tx) needIDs(hashes []int64) error {
	v := t.view
	if v == nil || len(hashes) == 0 {
		return nil
	}
	var messages []int64
	q := RowsQuery{By: "id_hash"}
	for _, h := range hashes {
		q.Texts = append(q.Texts, strconv.FormatInt(h, 10))
	}
	err := v.from.Rows(t.ctx, fleet.Messages, []string{"id", "message_id"}, q,
		func(origin int64, r fleet.Row) error {
			id := viewID(origin, r[0].Int)
			messages = append(messages, id)
			v.w.sink.exec("INSERT OR IGNORE INTO lookup VALUES (0,?,?)", int64(lookupHash(r[1].Text)), 2*id)
			return nil
		})
	if err == nil {
		err = v.fetch(t.ctx, fleet.Messages, "id", messages)
	}
	if err == nil {
		err = v.needStories(t.ctx, messages)
	}
	if err != nil {
		return err
	}
	return v.settle(t.ctx)
}

// needPairs loads some failing attempts, and those of tracking logs that may be the same.
func (t *tx) needPairs(ids []int64) error {
	if err := t.needRows(fleet.Attempts, ids); err != nil || t.view == nil {
		return err
	}
	var pairs []int64
	if err := t.ints("SELECT DISTINCT (pair & ~?) + ? FROM attempt_rows WHERE pair IS NOT NULL AND id IN (SELECT value FROM json_each(?))",
		[]any{pairKinds, pairTracking, list(ids)}, func(v []int64) error {
			pairs = append(pairs, v[0])
			return nil
		}); err != nil {
		return err
	}
	texts := make([]string, len(pairs))
	for i, p := range pairs {
		texts[i] = strconv.FormatInt(p, 10)
	}
	for chunk := range slices.Chunk(texts, fetchSize) {
		if _, err := t.view.fetchBy(t.ctx, fleet.Attempts, RowsQuery{By: "pair", Texts: chunk}); err != nil {
			return err
		}
	}
	return t.view.settle(t.ctx)
}

// needDeliveries loads the blocks that may contain a delivery with one of some hashes.
func (t *tx) needDeliveries(hashes []uint64) error {
	v := t.view
	if v == nil {
		return nil
	}
	v.w.sink.exec("DELETE FROM deliveries")
	next := map[int64]int64{} // by hour
	err := v.read(t.ctx, fleet.Deliveries, RowsQuery{Hashes: hashes}, func(origin int64, r fleet.Row) error {
		hour := floorDiv(r[0].Int, blocksPerHour)
		var l deliveries
		rows, err := l.read(nil, hour, []byte(r[3].Text))
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i].series = v.series.id(origin, rows[i].series)
		}
		filter, data := l.encode(rows)
		v.w.sink.exec("INSERT INTO deliveries VALUES (?,?,?,?)", hour*blocksPerHour+next[hour], len(rows), filter, data)
		next[hour]++
		return nil
	})
	if err != nil {
		return err
	}
	return v.settle(t.ctx)
}
