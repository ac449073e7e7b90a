package sqlite

import (
	"database/sql"
	"strings"

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
	w.key = append(w.key[:0], s...)
	recent := w.latestTexts.at(w.key)
	if string(recent.text) == s {
		return recent.id, nil
	}
	id, err := w.newText(s)
	if err == nil && len(s) <= shortText {
		recent.set([]byte(s), id)
	}
	return id, err
}

// shortText is the most bytes of a text that latestTexts hold.
const shortText = 256

// newText returns the id of a text that was not met lately.
func (w *Writer) newText(s string) (int64, error) {
	h, id, err := w.knownText(s)
	if err != nil || id > inRow {
		return id, err
	}
	id = w.nextID("texts")
	w.sink.insert("INSERT INTO texts VALUES (?,?)", id, store.Clean(s))
	w.texts.put(h, id)
	return id, nil
}

// inRow is in the place of the id of a text that was met once and stands where that was.
const inRow = 0

// address is what stands for the address of a sender or a recipient: a text, or else the
// id of one.
type address struct {
	id   int64
	text string
}

// address returns the address itself when it is met for the first time, as most are that
// are met at all, and the id of a text from then on. A number cannot be distinguished from an id.
func (w *Writer) address(s string) (address, error) {
	if strings.IndexByte(s, '@') >= 0 {
		h, id, err := w.knownText(s)
		if err != nil || id > inRow {
			return address{id: id}, err
		}
		if id < inRow {
			w.texts.put(h, inRow)
			return address{text: store.Clean(s)}, nil
		}
	}
	id, err := w.text(s)
	return address{id: id}, err
}

// knownText returns the digest of a text, and its id, inRow, or less when it was not met.
func (w *Writer) knownText(s string) (digest, int64, error) {
	if !w.hasTexts {
		if err := w.loadTexts(); err != nil {
			return digest{}, 0, err
		}
	}
	w.key = append(w.key[:0], s...)
	h := digestOf(w.key)
	if id, ok := w.texts.find(h); ok {
		return h, id, nil
	}
	if w.texts.n >= textLimit {
		w.texts = digests{}
	}
	return h, inRow - 1, nil
}

func (w *Writer) loadTexts() error {
	w.texts, w.hasTexts = digests{}, true
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
