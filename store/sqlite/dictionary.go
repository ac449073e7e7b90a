package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math/bits"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// cacheLimit bounds the entries of each cache of a dictionary. Beyond it, the Writer looks
// names up one by one, and may store a series or a cause more than once, which does not
// change any report.
const cacheLimit = 500_000

// dictionary caches the ids of names, series, causes and texts. The Writer reads it from the
// database when it first looks for something that is not there.
type dictionary struct {
	loaded   bool
	complete bool // names has all stored names
	names    map[string]int64
	relays   map[int64]struct{} // whose provider is stored
	series   digests            // that were stored when the dictionary was read; by seriesIDs
	quick    digests            // ids of series by a digest of their names
	causes   map[registry.Failure]int64
	kinds    map[store.Cause]int64 // without a provider
	texts    digests
	hasTexts bool   // texts were read from the database
	key      []byte // scratch

	latestNames latest
	latestTexts latest // those that have an id, rather than standing in the row

	host   []byte // of the line before
	hostID int64  // 0 none
}

// seriesIDs is a series by the ids of its names.
type seriesIDs struct {
	format, host, instance, sender, domain, relay int32
	direction, own                                int32
}

func (k *seriesIDs) digest() digest {
	var b [32]byte
	for i, v := range [...]int32{k.format, k.host, k.instance, k.sender, k.domain, k.relay, k.direction,
		k.own} {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(v))
	}
	return digestOf(b[:])
}

// forget empties the caches.
func (d *dictionary) forget() {
	*d = dictionary{
		names:  map[string]int64{},
		relays: map[int64]struct{}{},
		causes: map[registry.Failure]int64{},
		kinds:  map[store.Cause]int64{},
		key:    d.key,
		host:   d.host[:0],
	}
}

// tooLarge reports whether a cache has more than cacheLimit entries.
func (d *dictionary) tooLarge() bool {
	return max(len(d.names), len(d.relays), d.series.n, d.quick.n, len(d.causes),
		len(d.kinds)) > cacheLimit
}

// load reads what is stored, once after each forget.
func (w *Writer) load() error {
	if w.loaded {
		return nil
	}
	w.loaded = true
	err := w.loadNames()
	if err == nil {
		err = w.loadSeries()
	}
	if err == nil {
		err = w.loadCauses()
	}
	return w.db.explain("read", err)
}

func (w *Writer) loadNames() error {
	if w.lastID["names"] > cacheLimit/2 {
		return nil
	}
	err := w.each("SELECT id, text FROM names", func(rows *sql.Rows) error {
		var id int64
		var text string
		err := rows.Scan(&id, &text)
		w.names[text] = id
		return err
	})
	if err != nil {
		return err
	}
	w.complete = true
	return w.each("SELECT relay FROM relays", func(rows *sql.Rows) error {
		var relay int64
		err := rows.Scan(&relay)
		w.relays[relay] = struct{}{}
		return err
	})
}

const seriesColumns = "format, host, instance, sender, domain, relay, direction, own"

func (w *Writer) loadSeries() error {
	if w.lastID["series"] > cacheLimit/2 {
		return nil
	}
	w.series.grow(int(w.lastID["series"]))
	var b block
	last := int64(0)
	err := w.each("SELECT last, data FROM segments WHERE kind = ? ORDER BY first", func(rows *sql.Rows) error {
		var data sql.RawBytes
		if err := rows.Scan(&last, &data); err != nil {
			return err
		}
		if err := b.decode(data); err != nil {
			return err
		}
		for i := range b.rows {
			k := seriesIDs{int32(b.at(1, i)), int32(b.at(2, i)), int32(b.at(3, i)), int32(b.at(4, i)),
				int32(b.at(5, i)), int32(b.at(6, i)), int32(b.at(7, i)), int32(b.at(8, i))}
			w.series.put(k.digest(), b.at(0, i))
		}
		return nil
	}, segmentSeries)
	if err != nil {
		return err
	}
	return w.each("SELECT id, "+seriesColumns+" FROM series WHERE id > ?", func(rows *sql.Rows) error {
		var id int64
		var k seriesIDs
		err := rows.Scan(&id, &k.format, &k.host, &k.instance, &k.sender, &k.domain, &k.relay,
			&k.direction, &k.own)
		w.series.put(k.digest(), id)
		return err
	}, last)
}

func (w *Writer) loadCauses() error {
	if w.lastID["cause_rows"] > cacheLimit/2 {
		return nil
	}
	err := w.each("SELECT id, reason, rule, decided, confidence, "+failureColumns+" FROM kinds", func(rows *sql.Rows) error {
		var id int64
		var k store.Cause
		err := scanCause(rows, &k.Failure, &id, &k.Reason, &k.Rule, &k.DecidedBy, &k.Confidence)
		w.kinds[k] = id
		return err
	})
	if err != nil {
		return err
	}
	return w.each("SELECT k.id, n.text, "+failureColumns+" FROM causes AS k JOIN names AS n ON n.id = k.provider", func(rows *sql.Rows) error {
		var id int64
		var f registry.Failure
		err := scanCause(rows, &f, &id, &f.Provider)
		w.causes[f] = id
		return err
	})
}

const failureColumns = "reply, enhanced, mta_status, stage, source, signature"

// scanCause reads a row whose columns are those of first and then failureColumns.
func scanCause(rows *sql.Rows, f *registry.Failure, first ...any) error {
	var enhanced, status string
	err := rows.Scan(append(first, &f.Reply, &enhanced, &status, &f.Stage, &f.Source, &f.Signature)...)
	f.Enhanced, _ = registry.ParseEnhanced(enhanced)
	f.MTAStatus, _ = registry.ParseEnhanced(status)
	return err
}

// Name returns the id of a name. It stores a name that is new.
func (w *Writer) Name(text []byte) (int64, error) {
	if len(text) == 0 {
		return 1, nil
	}
	recent := w.latestNames.at(text)
	if string(recent.text) == string(text) {
		return recent.id, nil
	}
	if id, ok := w.names[string(text)]; ok {
		recent.set(text, id)
		return id, nil
	}
	if err := w.load(); err != nil {
		return 0, err
	}
	s := store.Clean(string(text))
	id := w.names[s]
	if id == 0 && !w.complete {
		var err error
		if id, _, err = w.find("SELECT id FROM names WHERE text = ?", s); err != nil {
			return 0, w.db.explain("write to", err)
		}
	}
	if id == 0 {
		id = w.nextID("names")
		w.sink.insert("INSERT INTO names VALUES (?,?)", id, s)
	}
	w.names[s] = id
	w.names[string(text)] = id
	return id, nil
}

// latest caches the texts that were looked up last: most lines are about the same few
// hosts, clients and services.
type latest [64]latestID

// latestID is a text and its id.
type latestID struct {
	text []byte
	id   int64
}

// at returns the place of a text, which must not be empty.
func (l *latest) at(text []byte) *latestID {
	n := len(text)
	return &l[(n+int(text[0])+3*int(text[n/2])+7*int(text[n-1]))%len(l)]
}

func (l *latestID) set(text []byte, id int64) { l.text, l.id = append(l.text[:0], text...), id }

// hostName returns the id of the name of a host. It keeps the last one, because most lines
// have the host of the line before. Commit returns an error of the database.
func (w *Writer) hostName(host []byte) int64 {
	if w.hostID == 0 || string(w.host) != string(host) {
		id, err := w.Name(host)
		if err != nil && w.rowErr == nil {
			w.rowErr = err
		}
		w.host, w.hostID = append(w.host[:0], host...), id
	}
	return w.hostID
}

var seeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// digest identifies a text by a hash of 128 bits. digests keeps 96 of them, enough to make
// it very improbable that two texts of a database have the same ones.
type digest [2]uint64

func digestOf(b []byte) digest { return digest{maphash.Bytes(seeds[0], b), maphash.Bytes(seeds[1], b)} }

// digests is a hash table from digests to ids. The first half of a digest gives the slot
// to start with; a slot keeps that half, and half of the rest. A Go map would read two
// places in memory for each lookup.
type digests struct {
	slots []digestSlot // their number is a power of two; a quarter or more are empty
	n     int
}

// digestSlot is empty when next is 0.
type digestSlot struct {
	key        uint64
	rest, next uint32 // next is the id plus 1
}

func (d *digests) slot(k digest) *digestSlot {
	for i := k[0]; ; i++ {
		s := &d.slots[i&uint64(len(d.slots)-1)]
		if s.next == 0 || s.key == k[0] && s.rest == uint32(k[1]) {
			return s
		}
	}
}

func (d *digests) find(k digest) (id int64, ok bool) {
	if d.n == 0 {
		return 0, false
	}
	s := d.slot(k)
	return int64(s.next) - 1, s.next != 0
}

// grow makes room for n digests.
func (d *digests) grow(n int) {
	before := d.slots
	d.slots = make([]digestSlot, max(1024, 1<<bits.Len(uint(4*n/3))))
	for _, s := range before {
		if s.next != 0 {
			*d.slot(digest{s.key, uint64(s.rest)}) = s
		}
	}
}

func (d *digests) put(k digest, id int64) {
	if 4*d.n >= 3*len(d.slots) {
		d.grow(len(d.slots))
	}
	s := d.slot(k)
	if s.next == 0 {
		d.n++
	}
	*s = digestSlot{k[0], uint32(k[1]), uint32(id) + 1}
}

// Series returns the id of a series. It stores a series that is new.
func (w *Writer) Series(k *store.SeriesKey) (int64, error) {
	own := byte(0)
	if k.Own {
		own = 1
	}
	b := append(append(w.key[:0], k.Format...), 0, byte(k.Direction), own)
	names := [...][]byte{k.Host, k.Instance, k.Sender, k.Domain, k.Relay}
	for _, n := range names {
		b = append(append(b, 0), n...)
	}
	w.key = b
	h := digestOf(b)
	if id, ok := w.quick.find(h); ok {
		return id, nil
	}
	if err := w.load(); err != nil {
		return 0, err
	}
	format, err := w.Name([]byte(k.Format))
	if err != nil {
		return 0, err
	}
	var ids [len(names)]int32
	for i, n := range names {
		id, err := w.Name(n)
		if err != nil {
			return 0, err
		}
		ids[i] = int32(id)
	}
	if err := w.operator(int64(ids[4]), k); err != nil {
		return 0, err
	}
	s := seriesIDs{int32(format), ids[0], ids[1], ids[2], ids[3], ids[4], int32(k.Direction), int32(own)}
	id, ok := w.series.find(s.digest())
	if !ok {
		id = w.nextID("series")
		w.sink.insert("INSERT INTO series (id, "+seriesColumns+") VALUES (?,?,?,?,?,?,?,?,?)", id,
			s.format, s.host, s.instance, s.sender, s.domain, s.relay, s.direction, s.own)
	}
	w.quick.put(h, id)
	return id, nil
}

// operator stores the operator behind the relay of a series, unless it is stored.
func (w *Writer) operator(relay int64, k *store.SeriesKey) error {
	if _, ok := w.relays[relay]; ok {
		return nil
	}
	provider := k.Provider
	if k.Operator != nil {
		provider = k.Operator(k.Relay)
	}
	p, err := w.Name([]byte(provider))
	if err != nil {
		return err
	}
	w.sink.insert("INSERT OR IGNORE INTO relays VALUES (?,?)", relay, p)
	w.relays[relay] = struct{}{}
	return nil
}

// Cause returns the id of a cause. It stores a cause that is new.
func (w *Writer) Cause(c *store.Cause) (int64, error) {
	if id, ok := w.causes[c.Failure]; ok {
		return id, nil
	}
	provider, err := w.Name([]byte(c.Provider)) // loads the causes too
	if err == nil {
		err = w.load()
	}
	if err != nil {
		return 0, err
	}
	id := w.causes[c.Failure]
	if id == 0 {
		id = w.nextID("cause_rows")
		w.sink.insert("INSERT INTO cause_rows VALUES (?,?,?)", id, provider, w.kind(c))
	}
	w.causes[c.Failure] = id
	return id, nil
}

// kind returns the id of a cause without its provider. It stores one that is new.
func (w *Writer) kind(c *store.Cause) int64 {
	k := *c
	k.Provider = ""
	id := w.kinds[k]
	if id == 0 {
		id = w.nextID("kinds")
		w.sink.insert(`INSERT INTO kinds (id, signature, reply, enhanced, mta_status, stage, source, reason, rule, decided, confidence)
			VALUES (?,?,?,?,?,?,?,?,?,?,?)`, id, c.Signature, c.Reply, c.Enhanced.String(), c.MTAStatus.String(), c.Stage, c.Source,
			string(c.Reason), c.Rule, uint8(c.DecidedBy), uint8(c.Confidence))
		w.kinds[k] = id
	}
	return id
}

// Reclassify classifies the stored failures again when c has another version than the
// classifier that did so before.
func (w *Writer) Reclassify(ctx context.Context, c store.Classifier) error {
	if _, err := w.Begin(ctx); err != nil {
		return err
	}
	if err := w.reclassify(c); err != nil {
		w.Rollback()
		return w.db.explain("write to", err)
	}
	if err := w.Commit(); err != nil {
		return err
	}
	w.version = -1 // so that the caller's next Begin reports stale
	return nil
}

func (w *Writer) reclassify(c store.Classifier) error {
	var version string
	err := w.conn.QueryRowContext(context.Background(), "SELECT value FROM meta WHERE name = 'rules'").Scan(&version)
	if err == nil && version == c.Version() {
		return nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err := w.load(); err != nil {
		return err
	}
	causes := map[int64]*store.Cause{}
	err = w.each("SELECT k.id, n.text, "+failureColumns+" FROM causes AS k JOIN names AS n ON n.id = k.provider", func(rows *sql.Rows) error {
		var id int64
		var k store.Cause
		err := scanCause(rows, &k.Failure, &id, &k.Provider)
		k.Verdict = c.Classify(k.Failure)
		causes[id] = &k
		return err
	})
	if err != nil {
		return err
	}
	for id, k := range causes {
		w.sink.exec("UPDATE cause_rows SET kind = ? WHERE id = ?", w.kind(k), id)
		w.note(fleet.Causes, id)
	}
	w.sink.exec("DELETE FROM kinds WHERE id NOT IN (SELECT kind FROM cause_rows)")
	w.sink.exec("INSERT OR REPLACE INTO meta VALUES ('rules', ?)", c.Version())
	return nil
}
