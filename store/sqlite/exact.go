package sqlite

import (
	"bytes"
	"cmp"
	"database/sql"
	"fmt"
	"hash/fnv"
	"mailfail/store"
	"mailfail/store/fleet"
	"slices"
)

// Two logs may report the same failing attempt. Its rows then have the same value in the
// column pair, except for the last bits, which name the kind of the log. So the index finds
// each kind, and no other rows of the message or the address are read.
const (
	pairTracking = iota
	pairReply        // of a send log, with a reply
	pairLost         // of a send log, without a reply: the attempt of the tracking log keeps its text
	pairKinds    = 3 // the bits that name the kind
)

// pairOf returns the value of the column pair; ok is false for an attempt of another log, or
// without a Message-ID.
func pairOf(a *store.Attempt) (pair int64, ok bool) {
	kind := int64(pairTracking)
	switch {
	case len(a.MessageID) == 0 || a.Format != store.TrackingFormat && a.Format != store.SendFormat:
		return 0, false
	case a.Format == store.SendFormat && a.Replied:
		kind = pairReply
	case a.Format == store.SendFormat:
		kind = pairLost
	}
	return int64(hash64(fmt.Sprintf("%s\x00%s\x00%d", a.MessageID, bytes.ToLower(a.Address),
		a.Outcome)))&^pairKinds | kind, true
}

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// span is the pair value of failing attempts that were added, and the time range in
// which tracking logs may report them.
type span struct{ pair, from, to int64 }

// added notes a failing attempt, with its time in microseconds, for exact.
func (w *Writer) added(pair, time int64) {
	s := span{pair &^ pairKinds, time, time}
	switch pair & pairKinds {
	case pairLost:
		return
	case pairReply:
		s.from, s.to = time-store.ExactWithin.Microseconds(), time+store.ExactWithin.Microseconds()
	}
	w.failing = append(w.failing, s)
}

// disjoint sorts spans, and joins those that overlap.
func disjoint(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.pair, b.pair), cmp.Compare(a.from, b.from))
	})
	joined := spans[:0]
	for _, s := range spans {
		if n := len(joined) - 1; n >= 0 && joined[n].pair == s.pair && s.from <= joined[n].to {
			joined[n].to = max(joined[n].to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// inSpans finds the failing attempts of tracking logs in a list of spans that do
// not overlap, as [pair, from, to].
const inSpans = `SELECT a.id FROM json_each(?) AS j CROSS JOIN attempt_rows AS a ON a.pair = j.value ->> 0 AND a.time BETWEEN j.value ->> 1 AND j.value ->> 2`

// nearest returns the query for the reply of a send log that is nearest to
// attempt_rows.time, on the side that between and order select. Parameter 1 is
// store.ExactWithin in microseconds.
func nearest(between, order string) string {
	return fmt.Sprintf(`SELECT * FROM (SELECT s.id, s.time, t.text FROM attempt_rows AS s JOIN texts AS t ON t.id = s.text
		WHERE s.pair = attempt_rows.pair + %d AND s.time BETWEEN %s ORDER BY s.time %s, t.text LIMIT 1)`, pairReply, between, order)
}

// These statements give attempts of tracking logs the causes that send logs report. The
// result depends only on the rows that are stored, not on the order in which they came.
var (
	// Parameters: store.ExactWithin in microseconds, a list of attempts.
	findExact = `UPDATE attempt_rows SET exact = (SELECT id FROM (` +
		nearest("attempt_rows.time - ?1 AND attempt_rows.time", "DESC") + ` UNION ALL ` + nearest("attempt_rows.time AND attempt_rows.time + ?1", "") + `)
		ORDER BY abs(time - attempt_rows.time), time, text LIMIT 1) WHERE id IN (SELECT value FROM json_each(?2))`
	takeExact = `UPDATE attempt_rows SET own_cause = IFNULL(own_cause, cause), cause = (SELECT s.cause FROM attempt_rows AS s WHERE s.id = attempt_rows.exact)
		WHERE exact IS NOT NULL AND id IN (SELECT value FROM json_each(?))`
	lastExact = `UPDATE recipient_rows SET exact_cause = (SELECT CASE WHEN a.exact IS NOT NULL THEN a.cause END FROM attempt_rows AS a
		WHERE a.recipient = recipient_rows.id ORDER BY a.time DESC, a.id DESC LIMIT 1)
		WHERE id IN (SELECT recipient FROM attempt_rows WHERE id IN (SELECT value FROM json_each(?)))`
)

// exact gives failures of tracking logs the stage and the reply that send logs report for
// the same message and recipient. It does so for all failures of either log that were added
// since Begin.
func (w *Writer) exact() error {
	spans := disjoint(w.failing)
	if w.failing = w.failing[:0]; len(spans) == 0 {
		return nil
	}
	both, _, err := w.find("SELECT count(*) = 2 FROM names WHERE text IN (?, ?)", store.TrackingFormat, store.SendFormat)
	if err != nil || both == 0 {
		return err
	}
	where := make([][3]int64, len(spans))
	for i, s := range spans {
		where[i] = [3]int64{s.pair, s.from, s.to}
	}
	var attempts []int64
	if err := w.each(inSpans, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		attempts = append(attempts, id)
		return err
	}, list(where)); err != nil || attempts == nil {
		return err
	}
	w.sink.exec(findExact, store.ExactWithin.Microseconds(), list(attempts))
	w.takeWords(attempts)
	return nil
}

// takeWords gives attempts the causes of the attempts that their column exact refers to, and
// notes all rows that change.
func (w *Writer) takeWords(attempts []int64) {
	w.sink.exec(takeExact, list(attempts))
	w.sink.exec(lastExact, list(attempts))
	w.noteRows(fleet.Attempts, "SELECT value AS id FROM json_each(?)", list(attempts))
	w.noteRows(fleet.Recipients, "SELECT recipient AS id FROM attempt_rows WHERE id IN (SELECT value FROM json_each(?))", list(attempts))
	w.sink.exec("INSERT OR IGNORE INTO changed SELECT ?, value FROM json_each(?) WHERE value <= ?", segmentAttempts, list(attempts), w.segmented[segmentAttempts])
	w.sink.exec("INSERT OR IGNORE INTO changed SELECT ?, id FROM recipient_rows WHERE id IN (SELECT recipient FROM attempt_rows WHERE id IN (SELECT value FROM json_each(?))) AND id <= ?",
		segmentRecipients, list(attempts), w.segmented[segmentRecipients])
}
