package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/maphash"

	"mailfail/registry"
	"mailfail/store"
)

// cacheLimit bounds the entries of each cache of a dictionary.
const cacheLimit = 200_000

// dictionary knows the ids of names, series and causes.
type dictionary struct {
	names    map[string]int64
	relays   map[int64]int64    // provider by relay
	series   map[[6]int64]int64 // by the ids of its names
	quick    map[[16]byte]int64 // series by a hash of its names
	causes   map[registry.Failure]int64
	complete bool   // nothing but the above is stored
	key      []byte // scratch
}

// forget empties the caches.
func (d *dictionary) forget() {
	d.names = map[string]int64{"": 1}
	d.relays = map[int64]int64{}
	d.series = map[[6]int64]int64{}
	d.quick = map[[16]byte]int64{}
	d.causes = map[registry.Failure]int64{}
	d.complete = false
}

// tooLarge reports whether it is time to forget.
func (d *dictionary) tooLarge() bool {
	return max(len(d.names), len(d.relays), len(d.series), len(d.quick), len(d.causes)) > cacheLimit
}

// load starts a dictionary from what is stored: with all of it, if that is not
// too much. Then what is not in it is new, and need not be looked for.
func (w *Writer) load() error {
	w.forget()
	largest := int64(0)
	for _, table := range []string{"names", "series", "messages", "recipients", "causes", "sources"} {
		last, _, err := w.find("SELECT coalesce(max(id), 0) FROM " + table)
		if err != nil {
			return err
		}
		w.lastID[table] = last
		if table == "names" || table == "series" || table == "causes" {
			largest = max(largest, last)
		}
	}
	if largest > cacheLimit/2 {
		return nil
	}
	texts := map[int64]string{}
	err := w.each("SELECT id, text FROM names", func(rows *sql.Rows) error {
		var id int64
		var text string
		err := rows.Scan(&id, &text)
		w.names[text], texts[id] = id, text
		return err
	})
	if err != nil {
		return err
	}
	err = w.each("SELECT relay, provider FROM relays", func(rows *sql.Rows) error {
		var relay, provider int64
		err := rows.Scan(&relay, &provider)
		w.relays[relay] = provider
		return err
	})
	if err != nil {
		return err
	}
	err = w.each("SELECT id, "+seriesColumns+" FROM series", func(rows *sql.Rows) error {
		var id int64
		var k [6]int64
		err := rows.Scan(&id, &k[0], &k[1], &k[2], &k[3], &k[4], &k[5])
		w.series[k] = id
		return err
	})
	if err != nil {
		return err
	}
	err = w.each("SELECT id, provider, "+failureColumns+" FROM causes", func(rows *sql.Rows) error {
		var id, provider int64
		var f registry.Failure
		err := scanCause(rows, &f, &id, &provider)
		f.Provider = texts[provider]
		w.causes[f] = id
		return err
	})
	w.complete = err == nil
	return err
}

const (
	seriesColumns  = "domain, relay, sender, host, instance, format"
	failureColumns = "reply, enhanced, mta_status, stage, source, signature"
)

// scanCause reads a row of first and of failureColumns.
func scanCause(rows *sql.Rows, f *registry.Failure, first ...any) error {
	var enhanced, status string
	err := rows.Scan(append(first, &f.Reply, &enhanced, &status, &f.Stage, &f.Source, &f.Signature)...)
	f.Enhanced, _ = registry.ParseEnhanced(enhanced)
	f.MTAStatus, _ = registry.ParseEnhanced(status)
	return err
}

// Name returns the id of a name, which is new if need be.
func (w *Writer) Name(text []byte) (int64, error) {
	if id, ok := w.names[string(text)]; ok {
		return id, nil
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
		id = w.insert("names", "INSERT INTO names VALUES (?,?)", s)
	}
	w.names[s] = id
	w.names[string(text)] = id
	return id, nil
}

var seeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// hash returns a hash of b that nothing else in a database shares, as far as
// 128 bits can promise.
func hash(b []byte) (h [16]byte) {
	binary.NativeEndian.PutUint64(h[:], maphash.Bytes(seeds[0], b))
	binary.NativeEndian.PutUint64(h[8:], maphash.Bytes(seeds[1], b))
	return h
}

// Series returns the id of a series, which is new if need be.
func (w *Writer) Series(k *store.SeriesKey) (int64, error) {
	names := [...][]byte{k.Domain, k.Relay, k.Sender, k.Host, k.Instance}
	b := append(w.key[:0], k.Format...)
	for _, n := range names {
		b = append(append(b, 0), n...)
	}
	w.key = b
	h := hash(b)
	if id, ok := w.quick[h]; ok {
		return id, nil
	}
	var ids [6]int64
	for i, n := range append(names[:], []byte(k.Format)) {
		id, err := w.Name(n)
		if err != nil {
			return 0, err
		}
		ids[i] = id
	}
	if err := w.operator(ids[1], k.Provider); err != nil {
		return 0, err
	}
	id := w.series[ids]
	if id == 0 && !w.complete {
		var err error
		if id, _, err = w.find("SELECT id FROM series WHERE domain=? AND relay=? AND sender=? AND host=? AND instance=? AND format=?",
			ids[0], ids[1], ids[2], ids[3], ids[4], ids[5]); err != nil {
			return 0, w.db.explain("write to", err)
		}
	}
	if id == 0 {
		id = w.insert("series", "INSERT INTO series (id, "+seriesColumns+") VALUES (?,?,?,?,?,?,?)", ids[0], ids[1], ids[2], ids[3], ids[4], ids[5])
	}
	w.series[ids], w.quick[h] = id, id
	return id, nil
}

// operator notes the operator behind a relay.
func (w *Writer) operator(relay int64, provider string) error {
	if _, ok := w.relays[relay]; ok {
		return nil
	}
	p, ok, err := int64(0), false, error(nil)
	if !w.complete {
		if p, ok, err = w.find("SELECT provider FROM relays WHERE relay = ?", relay); err != nil {
			return w.db.explain("write to", err)
		}
	}
	if !ok {
		if p, err = w.Name([]byte(provider)); err != nil {
			return err
		}
		w.sink.exec("INSERT INTO relays VALUES (?,?)", relay, p)
	}
	w.relays[relay] = p
	return nil
}

// Cause returns the id of a cause, which is new if need be.
func (w *Writer) Cause(c *store.Cause) (int64, error) {
	if id, ok := w.causes[c.Failure]; ok {
		return id, nil
	}
	provider, err := w.Name([]byte(c.Provider))
	if err != nil {
		return 0, err
	}
	args := []any{c.Signature, c.Reply, c.Enhanced.String(), c.MTAStatus.String(), c.Stage, c.Source, provider}
	id := int64(0)
	if !w.complete {
		values := make([]any, len(args))
		for i, a := range args {
			values[i] = value(a)
		}
		id, _, err = w.find(`SELECT id FROM causes WHERE signature=? AND reply=? AND enhanced=? AND mta_status=?
			AND stage=? AND source=? AND provider=?`, values...)
		if err != nil {
			return 0, w.db.explain("write to", err)
		}
	}
	if id == 0 {
		id = w.insert("causes", `INSERT INTO causes (id, signature, reply, enhanced, mta_status, stage, source, provider, reason, rule)
			VALUES (?,?,?,?,?,?,?,?,?,?)`, append(args, string(c.Reason), c.Rule)...)
	}
	w.causes[c.Failure] = id
	return id, nil
}

// Reclassify files the stored failures anew when c is of another version than
// what classified them.
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
	w.version = -1 // the caller's first batch is out of date in any case
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
	verdicts := map[int64]registry.Verdict{}
	err = w.each("SELECT k.id, n.text, "+failureColumns+" FROM causes k JOIN names n ON n.id = k.provider", func(rows *sql.Rows) error {
		var id int64
		var f registry.Failure
		err := scanCause(rows, &f, &id, &f.Provider)
		verdicts[id] = c.Classify(f)
		return err
	})
	if err != nil {
		return err
	}
	for id, v := range verdicts {
		w.sink.exec("UPDATE causes SET reason = ?, rule = ? WHERE id = ?", string(v.Reason), v.Rule, id)
	}
	w.sink.exec("INSERT OR REPLACE INTO meta VALUES ('rules', ?)", c.Version())
	return nil
}
