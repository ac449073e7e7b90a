package sqlite

import (
	"database/sql"
	"strings"

	"mailfail/store"
)

// textLimit is the largest number of texts whose ids are in memory, and textLoad the number
// of stored texts that are read at first. A text that is not found in memory is stored once
// more: that costs a few bytes, but a query would cost time.
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

// shortText is the length in bytes of the longest text in latestTexts.
const shortText = 256

// newText returns the id of a text that is not in latestTexts.
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

// inRow takes the place of the id of a text that occurred once and is stored in its row.
const inRow = 0

// address is the stored form of the address of a sender or a recipient: a text, or else the
// id of a text.
type address struct {
	id   int64
	text string
}

// address returns the text of an address at its first occurrence, which for most is the
// only one, and the id of a text from then on. A name without @ always has an id, since a
// number in place of a text would be taken for an id.
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

// knownText returns the digest of a text, and its id, or inRow, or a smaller number if the
// text is not known.
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

// metaTextsFrom is a name in meta. Its value is the id up to which new rows do not refer to
// stored texts, because texts without a reference are being removed.
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
