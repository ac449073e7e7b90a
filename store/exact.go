package store

import (
	"database/sql"
	"time"
)

// exactWithin is how far apart a tracking log and a send log report the same
// failure at most. The row of the tracking log is written when the transaction
// has ended; the next attempt comes a minute later at the earliest. A message that
// is given up may have been put off a moment before: the outcomes tell them apart.
const exactWithin = 2 * time.Minute

// failing is a failing attempt that two logs may report.
type failing struct{ recipient, time int64 }

// The failing attempts of tracking logs that may be those of a list, which holds
// attempts of either log as [recipient, time]. CROSS JOIN keeps the order: an
// address alone may have any number of rows. Parameters: the list, the format of
// tracking logs, exactWithin twice.
const mayBeExact = `SELECT DISTINCT a.id FROM json_each(?) AS j
	CROSS JOIN recipients AS p ON p.id = j.value ->> 0 CROSS JOIN messages AS m ON m.id = p.message
	CROSS JOIN messages AS tm ON tm.message_id = m.message_id AND tm.message_id <> '' AND tm.format = (SELECT id FROM names WHERE text = ?)
	CROSS JOIN recipients AS tp ON tp.message = tm.id AND tp.address = p.address
	CROSS JOIN attempts AS a ON a.recipient = tp.id AND a.time BETWEEN (j.value ->> 1) - ? AND (j.value ->> 1) + ?`

// The statements that settle such attempts. What they set depends only on the
// rows that are there, not on the order in which they came.
const (
	// Parameters: the format of send logs, exactWithin twice, the attempts.
	findExact = `UPDATE attempts SET exact = (
		SELECT s.id FROM recipients AS tp CROSS JOIN messages AS tm ON tm.id = tp.message
		CROSS JOIN messages AS sm ON sm.message_id = tm.message_id AND sm.message_id <> '' AND sm.format = (SELECT id FROM names WHERE text = ?)
		CROSS JOIN recipients AS sp ON sp.message = sm.id AND sp.address = tp.address
		CROSS JOIN attempts AS s ON s.recipient = sp.id AND s.outcome = attempts.outcome AND s.time BETWEEN attempts.time - ? AND attempts.time + ?
		CROSS JOIN causes AS k ON k.id = s.cause AND k.reply <> 0
		WHERE tp.id = attempts.recipient
		ORDER BY abs(s.time - attempts.time), s.time, s.text LIMIT 1)
		WHERE id IN (SELECT value FROM json_each(?))`
	takeExact = `UPDATE attempts SET own_cause = IFNULL(own_cause, cause), cause = (SELECT s.cause FROM attempts AS s WHERE s.id = attempts.exact)
		WHERE exact IS NOT NULL AND id IN (SELECT value FROM json_each(?))`
	lastExact = `UPDATE recipients SET exact_cause = (SELECT CASE WHEN a.exact IS NOT NULL THEN a.cause END FROM attempts AS a
		WHERE a.recipient = recipients.id ORDER BY a.time DESC, a.id DESC LIMIT 1)
		WHERE id IN (SELECT recipient FROM attempts WHERE id IN (SELECT value FROM json_each(?)))`
)

// exact lets the failures of tracking logs have the stage and the reply that
// send logs report of the same message and recipient, for all that were added
// to either since Begin.
func (w *Writer) exact() error {
	if len(w.failing) == 0 {
		return nil
	}
	added := make([][2]int64, len(w.failing))
	for i, f := range w.failing {
		added[i] = [2]int64{f.recipient, f.time}
	}
	w.failing = w.failing[:0]
	both, _, err := w.find("SELECT count(*) = 2 FROM names WHERE text IN (?, ?)", trackingFormat, sendFormat)
	if err != nil || both == 0 {
		return err
	}
	var attempts []int64
	within := exactWithin.Microseconds()
	if err := w.each(mayBeExact, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		attempts = append(attempts, id)
		return err
	}, list(added), trackingFormat, within, within); err != nil || attempts == nil {
		return err
	}
	w.sink.exec(findExact, sendFormat, within, within, list(attempts))
	w.sink.exec(takeExact, list(attempts))
	w.sink.exec(lastExact, list(attempts))
	return nil
}
