package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// Merged is the result of Merge for one database.
type Merged struct {
	Path  string
	State string // "added", "unchanged", "made anew"
}

// part is a database whose content was merged into another one.
type part struct {
	Origin, Path string
	State        string // changes with the content, see partIn
}

// metaParts is the name in meta of the parts by origin, in JSON.
const metaParts = "merged"

// Merge adds the content of other databases, each in one transaction: an interrupted merge
// leaves out whole databases, and can be run again. Merge knows a database by its origin and
// does not add it twice. When a database has changed since it was merged, Merge makes db
// anew from all of its parts, which must then all be among paths; db changes as a whole or
// not at all.
//
// Merge does not copy the state of messages that have not ended: they stay open in the
// database that reads their log.
func (db *DB) Merge(ctx context.Context, paths []string) ([]Merged, error) {
	parts := make([]part, len(paths))
	for i, path := range paths {
		p, err := partOf(ctx, path)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(parts[:i], func(o part) bool { return o.Origin == p.Origin }) {
			return nil, fmt.Errorf("merge %s: it is a copy of another one that was named", path)
		}
		parts[i] = p
	}
	own, err := partIn(ctx, db.ro)
	if err != nil {
		return nil, db.explain("merge into", err)
	}
	there, err := partsOf(ctx, db.ro)
	if err != nil {
		return nil, db.explain("merge into", err)
	}
	var done []Merged
	for _, p := range parts {
		if p.Origin == own.Origin {
			return done, fmt.Errorf("merge %s: it is a copy of %s", p.Path, db.path)
		}
		old, known := there[p.Origin]
		switch {
		case known && old.State != p.State:
			return done, db.mergeAnew(ctx, parts, there, &done)
		case known:
			done = append(done, Merged{p.Path, "unchanged"})
		default:
			if err := db.add(ctx, p); err != nil {
				return done, fmt.Errorf("merge %s: %w", p.Path, err)
			}
			done = append(done, Merged{p.Path, "added"})
		}
	}
	return done, nil
}

// mergeAnew merges all parts of db into a new file beside it, and then replaces the content
// of db by that of the file.
func (db *DB) mergeAnew(ctx context.Context, parts []part, there map[string]part, done *[]Merged) error {
	named := map[string]bool{}
	for _, p := range parts {
		named[p.Origin] = true
	}
	for origin, p := range there {
		if !named[origin] {
			return fmt.Errorf(
				"merge: a database has grown since it was merged, so that %s has to be made anew: name "+
					"%s too, which is a part of it", db.path, p.Path)
		}
	}
	var own int64
	if err := db.ro.QueryRowContext(ctx, "SELECT count(*) FROM sources WHERE id > (SELECT IFNULL((SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?), 0))", metaPartSources).Scan(&own); err != nil {
		return db.explain("merge into", err)
	}
	if own > 0 {
		return fmt.Errorf("merge: a database has grown since it was merged, and %s also has what it read "+
			"itself: merge all into a new one", db.path)
	}
	dir, err := os.MkdirTemp(filepath.Dir(db.path), ".mailfail-merge-*")
	if err != nil {
		return fmt.Errorf("merge: %w", err)
	}
	defer os.RemoveAll(dir)
	fresh, err := Open(filepath.Join(dir, "db"))
	if err != nil {
		return err
	}
	defer fresh.Close()
	if _, err := fresh.Merge(ctx, paths(parts)); err != nil {
		return err
	}
	*done = nil
	for _, p := range parts {
		*done = append(*done, Merged{p.Path, "made anew"})
	}
	return db.takeOver(ctx, fresh)
}

func paths(parts []part) (list []string) {
	for _, p := range parts {
		list = append(list, p.Path)
	}
	return list
}

// takeOver replaces the content of db by that of another database, in one
// transaction.
func (db *DB) takeOver(ctx context.Context, other *DB) error {
	to, err := db.rw.Conn(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := other.rw.Conn(ctx)
	if err != nil {
		return err
	}
	defer from.Close()
	return to.Raw(func(dst any) error {
		return from.Raw(func(src any) error {
			b, err := dst.(*sqlite3.SQLiteConn).Backup("main", src.(*sqlite3.SQLiteConn), "main")
			if err != nil {
				return db.explain("merge into", err)
			}
			_, err = b.Step(-1)
			return db.explain("merge into", errors.Join(err, b.Finish()))
		})
	})
}

// partOf describes the database at path. A database that was merged itself is an error.
func partOf(ctx context.Context, path string) (p part, err error) {
	db, err := OpenReadOnly(path)
	if err != nil {
		return p, err
	}
	defer db.Close()
	if p, err = partIn(ctx, db.ro); err != nil {
		return p, db.explain("merge", err)
	}
	if p.Path, err = filepath.Abs(path); err != nil {
		return p, err
	}
	parts, err := partsOf(ctx, db.ro)
	if err == nil && len(parts) > 0 {
		err = fmt.Errorf("merge %s: it was merged itself: merge the databases that it was made of", path)
	}
	return p, err
}

// partIn returns the origin of a database, and as State a text that changes whenever
// something is read into the database, or removed from it.
func partIn(ctx context.Context, q querier) (p part, err error) {
	err = q.QueryRowContext(ctx, `SELECT IFNULL((SELECT value FROM meta WHERE name = 'origin'), ''),
		(SELECT count(*) || ' ' || IFNULL(sum(id * 31 + offset), 0) || ' ' || IFNULL(max(id), 0) FROM sources) || ' ' ||
		(SELECT IFNULL(max(id), 0) || ' ' || count(*) || ' ' || total(last_seen) FROM recipient_rows) || ' ' ||
		(SELECT IFNULL(sum(read), 0) FROM lines) || ' ' || (SELECT count(*) || ' ' || IFNULL(sum(id), 0) FROM counts)`).Scan(&p.Origin, &p.State)
	if err == nil && p.Origin == "" {
		err = errors.New("it has no origin")
	}
	return p, err
}

func partsOf(ctx context.Context, q querier) (map[string]part, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = ?", metaParts).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return map[string]part{}, nil
	}
	parts := map[string]part{}
	if err == nil {
		err = json.Unmarshal([]byte(text), &parts)
	}
	return parts, err
}

// metaPartSources is the name in meta of the last id of a source that came with a
// part.
const metaPartSources = "merged sources"

// add adds the content of another database, in one transaction.
func (db *DB) add(ctx context.Context, p part) error {
	w, err := db.writer()
	if err != nil {
		return err
	}
	defer w.Close()
	options := "mode=ro"
	if isAtRest(p.Path) {
		options = "mode=ro&immutable=1"
	}
	m := &merging{Writer: w, ctx: ctx}
	if err := m.exec("ATTACH ? AS other", fmt.Sprintf("file:%s?%s", (&url.URL{Path: p.Path}).EscapedPath(), options)); err != nil {
		return db.explain("open", err)
	}
	defer m.exec("DETACH other")
	w.version = -1
	if _, err := w.Begin(ctx); err != nil {
		return err
	}
	if err := m.add(p); err != nil {
		w.Rollback()
		return db.explain("merge into", err)
	}
	if err := w.Commit(); err != nil {
		return err
	}
	return w.Tidy(ctx)
}

// merging adds the rows of the database that is attached as other. The id of a row here is
// the sum of its id there and base.
type merging struct {
	*Writer
	ctx   context.Context
	base  map[string]int64 // last id before the merge, by table
	names map[int64]int64  // ids here by ids in other
}

func (m *merging) exec(query string, args ...any) error {
	if err := m.sink.wait(); err != nil {
		return err
	}
	_, err := m.conn.ExecContext(m.ctx, query, args...)
	return err
}

func (m *merging) add(p part) error {
	if err := m.refuseRepeats(); err != nil {
		return err
	}
	for _, s := range []*segmented{attempts, recipients, rejections} { // those of other follow
		if err := m.segmentAll(s); err != nil {
			return err
		}
	}
	m.base = map[string]int64{}
	for table, last := range m.lastID {
		m.base[table] = last
	}
	for _, step := range []func() error{m.addNames, m.addRows, m.addCounts, m.addOtherDeliveries,
		m.addOtherSegments, func() error {
			return m.note(p)
		}} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := m.restart(); err != nil {
		return err
	}
	m.searchAll()
	return nil
}

// refuseRepeats returns an error when other has read a log that was read here too.
func (m *merging) refuseRepeats() error {
	var log sql.NullString
	err := m.conn.QueryRowContext(m.ctx, `SELECT min(o.path) FROM other.sources AS o JOIN main.sources AS s
		ON s.fingerprint_len = o.fingerprint_len AND s.fingerprint = o.fingerprint WHERE s.offset > 0 AND o.offset > 0`).Scan(&log)
	if err == nil && log.Valid {
		err = fmt.Errorf("both databases have read %s: its lines would count twice", log.String)
	}
	return err
}

// segmentAll makes segments of all rows of a table that are in none.
func (w *Writer) segmentAll(s *segmented) error {
	for w.segmented[s.kind] < w.lastID[s.table] {
		first := w.segmented[s.kind] + 1
		end := min(w.lastID[s.table], first+segmentMax-1)
		if err := w.putSegment(s, first, end); err != nil {
			return err
		}
		w.segmented[s.kind] = end
	}
	return nil
}

// addNames adds the names that are missing here, and notes the ids that the names of other
// have here.
func (m *merging) addNames() error {
	m.names = map[int64]int64{}
	err := m.exec("CREATE TEMP TABLE IF NOT EXISTS merged_names (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
	for _, query := range []string{
		"DELETE FROM temp.merged_names",
		`INSERT INTO main.names SELECT (SELECT max(id) FROM main.names) + row_number() OVER (ORDER BY o.id), o.text FROM other.names AS o
			WHERE NOT EXISTS (SELECT 1 FROM main.names AS n WHERE n.text = o.text)`,
		"INSERT INTO temp.merged_names SELECT o.id, n.id FROM other.names AS o JOIN main.names AS n ON n.text = o.text",
	} {
		if err == nil {
			err = m.exec(query)
		}
	}
	if err != nil {
		return err
	}
	return m.each("SELECT old, new FROM temp.merged_names", func(r *sql.Rows) error {
		var from, to int64
		err := r.Scan(&from, &to)
		m.names[from] = to
		return err
	})
}

// mergedTables are the tables whose rows are copied. In columns, a colon is followed by the
// kind of ids that a column holds: "name", or the table of the ids. A column without a colon
// is copied as it is. end is the end of the INSERT: it decides about rows that are here
// already.
var mergedTables = []struct {
	table   string
	columns string
	end     string
}{
	{"texts", "id:texts text", ""},
	{"relays", "relay:name provider:name", "ON CONFLICT DO NOTHING"},
	{"series", "id:series format:name host:name instance:name sender:name domain:name relay:name direction own", ""},
	{"kinds", "id:kinds reply enhanced mta_status stage source signature reason rule decided confidence", ""},
	{"cause_rows", "id:cause_rows provider:name kind:kinds", ""},
	{"message_rows", "id:message_rows format:name host:name instance:name queue_id message_id sender:texts client:texts client_ip:texts account:name size first_seen own", ""},
	{"recipient_rows", "id:recipient_rows message:message_rows series:series address:texts state first_seen last_seen final_at cause:cause_rows exact_cause:cause_rows troubled", ""},
	{"attempt_rows", "id:attempt_rows time recipient:recipient_rows series:series outcome cause:cause_rows service:name ip:texts delay text:texts first exact:attempt_rows own_cause:cause_rows pair", ""},
	{"rejection_rows", "id:rejection_rows time series:series cause:cause_rows service:name queue_id client:texts client_ip:texts sender:texts sender_domain:name recipient:texts text:texts line_hash n n_main n_copy",
		"ON CONFLICT DO NOTHING"},
	{"connections", "minute series:series cause:cause_rows session n messages text", ""},
	{"submissions", "hour host:name sender:name account:name client:name messages recipients bytes", addSubmissions},
	{"volumes", "hour host:name measure value n bytes millis", addVolume},
	{"troubles", "hour format:name host:name kind signature service:name n first last text",
		`ON CONFLICT DO UPDATE SET n = n + excluded.n, first = min(first, excluded.first), last = max(last, excluded.last),
		text = min(text, excluded.text), service = min(service, excluded.service)`},
	{"lines", "minute read understood irrelevant unparsed",
		`ON CONFLICT DO UPDATE SET read = read + excluded.read, understood = understood + excluded.understood,
		irrelevant = irrelevant + excluded.irrelevant, unparsed = unparsed + excluded.unparsed`},
	{"feedback", "id:feedback kind time series:series cause:cause_rows attempt:attempt_rows sent:series sent_at ids addresses text hash", "ON CONFLICT DO NOTHING"},
	{"sources", "id:sources fingerprint fingerprint_len offset line family path device inode size modified state", ""},
}

// moved returns the SQL expression that turns an id of other into the id here. NULL and 0
// stay the same, and so does 1 of the texts, the empty text.
func (m *merging) moved(table, column string) string {
	switch table {
	case "":
		return column
	case "name":
		return fmt.Sprintf("(SELECT new FROM temp.merged_names WHERE old = %s)", column)
	case "texts":
		return fmt.Sprintf("CASE WHEN typeof(%s) = 'integer' AND %[1]s > 1 THEN %[1]s + %d ELSE %[1]s END", column, m.base[table])
	}
	return fmt.Sprintf("CASE WHEN %s > 0 THEN %[1]s + %d ELSE %[1]s END", column, m.base[table])
}

func (m *merging) addRows() error {
	// A line that is in both databases gets one row. The row of other is noted as changed,
	// so that its copy in a segment does not count.
	err := m.exec(fmt.Sprintf(`INSERT OR IGNORE INTO main.changed SELECT %d, id + %d FROM other.rejection_rows
		WHERE line_hash IN (SELECT line_hash FROM main.rejection_rows)`, segmentRejections, m.base["rejection_rows"]))
	for _, t := range mergedTables {
		var into, from []string
		for _, c := range strings.Fields(t.columns) {
			column, table, _ := strings.Cut(c, ":")
			into, from = append(into, column), append(from, m.moved(table, `"`+column+`"`))
		}
		where := "true"
		if t.table == "texts" {
			where = "id > 1"
		}
		if err == nil {
			err = m.exec(fmt.Sprintf("INSERT INTO main.%s (\"%s\") SELECT %s FROM other.%[1]s WHERE %[4]s %[5]s",
				t.table, strings.Join(into, `","`), strings.Join(from, ", "), where, t.end))
		}
	}
	if err == nil {
		err = m.exec(fmt.Sprintf("INSERT OR IGNORE INTO main.lookup SELECT day, hash, ref + 2 * CASE ref %% 2 WHEN 0 THEN %d ELSE %d END FROM other.lookup",
			m.base["message_rows"], m.base["rejection_rows"]))
	}
	if err == nil {
		err = m.addLookups()
	}
	return err
}

// addLookups adds the blocks of lookup_blocks, run by run.
func (m *merging) addLookups() error {
	for run := int64(math.MinInt64); ; {
		next, ok, err := m.find("SELECT run FROM other.lookup_blocks WHERE run > ? ORDER BY run LIMIT 1", run)
		if err != nil || !ok {
			return err
		}
		for last, more := int64(math.MinInt64), true; more; {
			if last, more, err = m.addLookupsBehind(next, last); err != nil {
				return err
			}
		}
		run = next
	}
}

// addLookupsBehind adds the next blocks of a run after a hash. It returns the last hash in
// them, and whether there may be more blocks.
func (m *merging) addLookupsBehind(run, hash int64) (last int64, more bool, err error) {
	const most = 1024 // blocks
	var entries []lookupEntry
	blocks := 0
	err = m.each("SELECT first, data FROM other.lookup_blocks WHERE run = ? AND first > ? ORDER BY first LIMIT ?", func(r *sql.Rows) (err error) {
		entries, _, err = scanLookups(r, floorDiv(run, lookupLevels), entries)
		blocks++
		return err
	}, run, hash, most)
	if err != nil || len(entries) == 0 {
		return 0, false, err
	}
	last = int64(entries[len(entries)-1].hash)
	for i := range entries {
		entries[i].ref += 2 * m.base[map[int64]string{0: "message_rows",
			1: "rejection_rows"}[entries[i].ref%2]]
	}
	return last, blocks == most, m.packLookups(m.sorting.inOrder(entries))
}

// addCounts adds the counts hour by hour.
func (m *merging) addCounts() error {
	ids, err := m.otherIDs("counts")
	for len(ids) > 0 && err == nil {
		hour, n := floorDiv(ids[0], blocksPerHour), 1
		for n < len(ids) && floorDiv(ids[n], blocksPerHour) == hour {
			n++
		}
		err = m.addOtherCounts(hour, ids[0], ids[n-1])
		ids = ids[n:]
	}
	return err
}

// addOtherCounts adds the counts of an hour, which are in the blocks from first to last.
func (m *merging) addOtherCounts(hour, first, last int64) error {
	rows, err := m.countsOf(nil, "other.counts", first, last)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].series += m.base["series"]
		if rows[i].cause > 0 {
			rows[i].cause += m.base["cause_rows"]
		}
	}
	return m.addHour(hour, foldRows(rows))
}

// otherIDs returns the ids of a table of the other database.
func (m *merging) otherIDs(table string) (ids []int64, err error) {
	err = m.each("SELECT id FROM other."+table+" ORDER BY id", func(r *sql.Rows) error {
		var id int64
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// addOtherDeliveries adds the deliveries block by block: a day may have many millions.
func (m *merging) addOtherDeliveries() error {
	ids, err := m.otherIDs("deliveries")
	for _, id := range ids {
		if err == nil {
			err = m.addOtherBlock(id)
		}
	}
	return err
}

func (m *merging) addOtherBlock(id int64) error {
	l, hour := &m.deliveries, floorDiv(id, blocksPerHour)
	var rows []delivered
	err := m.each("SELECT data FROM other.deliveries WHERE id = ?", func(r *sql.Rows) error {
		var data sql.RawBytes
		err := r.Scan(&data)
		if err == nil {
			rows, err = l.read(nil, hour, data)
		}
		return err
	}, id)
	for i := range rows {
		rows[i].series += m.base["series"]
	}
	for chunk := range slices.Chunk(rows, maxDeliveries) {
		if err == nil {
			err = m.addDeliveries(hour, chunk)
		}
	}
	l.text = l.text[:0]
	return err
}

// segmentColumns names for each column of a segment the kind of ids that it holds: "name", or
// the table of the ids; "" for none.
var segmentColumns = map[int64][]string{
	segmentAttempts:   {"attempt_rows", "", "recipient_rows", "series", "cause_rows", ""},
	segmentRecipients: {"recipient_rows", "", "", "", "", "series", "cause_rows"},
	segmentRejections: {"rejection_rows", "", "series", "cause_rows", "", "name", "", ""},
}

// addOtherSegments adds the segments of rows. Some of the rows may have been pruned, so that
// only a segment has them.
func (m *merging) addOtherSegments() error {
	for _, s := range []*segmented{attempts, recipients, rejections} {
		base := m.base[s.table]
		err := m.each("SELECT first, last, low, high, data FROM other.segments WHERE kind = ? ORDER BY first", func(r *sql.Rows) error {
			var first, last, low, high int64
			var data []byte
			if err := r.Scan(&first, &last, &low, &high, &data); err != nil {
				return err
			}
			b := &block{}
			if err := b.decode(data); err != nil {
				return err
			}
			m.move(b, segmentColumns[s.kind])
			moved := appendBlock(nil, b.cols...)
			m.later(func() error {
				m.sink.exec("INSERT INTO main.segments VALUES (?,?,?,?,?,?)", s.kind, first+base, last+base, low, high, moved)
				return nil
			})
			return nil
		}, s.kind)
		if err == nil {
			err = m.now()
		}
		if err == nil {
			err = m.exec("INSERT OR IGNORE INTO main.changed SELECT kind, id + ? FROM other.changed WHERE kind = ?", base, s.kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// move turns the ids in a block of other into the ids here.
func (m *merging) move(b *block, columns []string) {
	for c, table := range columns {
		if table == "" || b.cols[c] == nil {
			continue
		}
		for i, id := range b.cols[c] {
			switch {
			case id == 0:
			case table == "name":
				b.cols[c][i] = m.names[id]
			default:
				b.cols[c][i] = id + m.base[table]
			}
		}
	}
	for c := range b.cols {
		if b.cols[c] == nil { // 0 throughout
			b.cols[c] = make([]int64, b.rows)
		}
	}
}

// note stores which database was added, and from which times on the content is complete.
func (m *merging) note(p part) error {
	parts := map[string]part{}
	text, err := m.Meta(metaParts)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &parts)
	}
	if err != nil {
		return err
	}
	parts[p.Origin] = p
	list, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	m.PutMeta(metaParts, string(list))
	m.PutMeta("rules", "") // other rules may have classified the causes
	if m.push != nil {
		m.push.Whole = false // tables without rising ids are sent again
		if err := m.putPush(m.push); err != nil {
			return err
		}
	}
	for _, name := range []string{metaRowsFrom, metaCountsFrom, metaDeliveriesFrom, metaLastMessage,
		metaPartSources} {
		query := "SELECT IFNULL(max(CAST(value AS INTEGER)), 0) FROM other.meta WHERE name = ?"
		switch name {
		case metaLastMessage:
			query = fmt.Sprintf("SELECT %d + IFNULL(max(CAST(value AS INTEGER)), 0) FROM other.meta WHERE name = ?", m.base["message_rows"])
		case metaPartSources:
			query = "SELECT max(id) FROM main.sources WHERE ? <> ''"
		}
		var theirs sql.NullInt64
		if err := m.conn.QueryRowContext(m.ctx, query, name).Scan(&theirs); err != nil {
			return err
		}
		ours, _ := m.Meta(name)
		if n, _ := strconv.ParseInt(ours, 10, 64); theirs.Int64 > n {
			m.PutMeta(name, strconv.FormatInt(theirs.Int64, 10))
		}
	}
	return m.sink.wait()
}
