package sqlite

import (
	"database/sql"

	"mailfail/store"
)

// textLimit bounds the texts whose ids are in memory, textLoad how many of those
// that are stored already are read. A text that is not found in memory is
// stored once more: that costs a few bytes, where looking for it would cost time.
const (
	textLimit = 100_000
	textLoad  = 20_000
)

// text returns the id of a text.
func (w *Writer) text(s string) (int64, error) {
	if s == "" {
		return 1, nil
	}
	if w.texts == nil {
		if err := w.loadTexts(); err != nil {
			return 0, err
		}
	}
	w.key = append(w.key[:0], s...)
	h := digestOf(w.key)
	if id, ok := w.texts.find(h); ok {
		return id, nil
	}
	id := w.nextID("texts")
	w.sink.exec("INSERT INTO texts VALUES (?,?)", id, store.Clean(s))
	if len(w.texts) >= textLimit {
		clear(w.texts)
	}
	w.texts.put(h, id)
	return id, nil
}

func (w *Writer) loadTexts() error {
	w.texts = digests{}
	from, _, err := w.find("SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?", metaTextsFrom)
	if err != nil {
		return w.db.explain("read", err)
	}
	return w.db.explain("read", w.each("SELECT id, text FROM texts WHERE id > ? ORDER BY id DESC LIMIT ?", func(r *sql.Rows) error {
		var id int64
		var s []byte
		err := r.Scan(&id, &s)
		w.texts.put(digestOf(s), id)
		return err
	}, from, textLoad))
}

// metaTextsFrom is the name in meta of the id up to which texts are no longer
// referred to anew, because those without a reference are being removed.
const metaTextsFrom = "texts from"

// textIDs returns the ids of several texts.
func (w *Writer) textIDs(texts ...string) (ids [4]int64, err error) {
	for i, s := range texts {
		if ids[i], err = w.text(s); err != nil {
			return ids, err
		}
	}
	return ids, nil
}
