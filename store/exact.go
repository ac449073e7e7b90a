package store

import (
	"database/sql"
	"time"
)

// exactWithin is how far apart a tracking log and a send log report the same
// failure at most. The row of the tracking log is written when the transaction
// has ended; the next attempt comes a minute later at the earliest.
const exactWithin = 2 * time.Minute

// The recipients of tracking logs that recipients in a list, of either log,
// stand for. Parameters: the list, the format of tracking logs.
const trackedRecipients = `SELECT DISTINCT tp.id FROM json_each(?) AS j
	JOIN recipients AS p ON p.id = j.value JOIN messages AS m ON m.id = p.message
	JOIN messages AS tm ON tm.message_id = m.message_id AND tm.message_id <> '' AND tm.format = (SELECT id FROM names WHERE text = ?)
	JOIN recipients AS tp ON tp.message = tm.id AND tp.address = p.address`

// The statements that settle the failing attempts of recipients of tracking
// logs. What they set depends only on the rows that are there, not on the order
// in which they came.
const (
	// Parameters: the format of send logs, exactWithin, the recipients.
	findExact = `UPDATE attempts SET exact = (
		SELECT s.id FROM recipients AS tp JOIN messages AS tm ON tm.id = tp.message
		JOIN messages AS sm ON sm.message_id = tm.message_id AND sm.message_id <> '' AND sm.format = (SELECT id FROM names WHERE text = ?)
		JOIN recipients AS sp ON sp.message = sm.id AND sp.address = tp.address
		JOIN attempts AS s ON s.recipient = sp.id JOIN causes AS k ON k.id = s.cause AND k.reply <> 0
		WHERE tp.id = attempts.recipient AND abs(s.time - attempts.time) <= ?
		ORDER BY abs(s.time - attempts.time), s.time, s.text LIMIT 1)
		WHERE recipient IN (SELECT value FROM json_each(?))`
	takeExact = `UPDATE attempts SET own_cause = IFNULL(own_cause, cause), cause = (SELECT s.cause FROM attempts AS s WHERE s.id = attempts.exact)
		WHERE exact IS NOT NULL AND recipient IN (SELECT value FROM json_each(?))`
	lastExact = `UPDATE recipients SET exact_cause = (SELECT CASE WHEN a.exact IS NOT NULL THEN a.cause END FROM attempts AS a
		WHERE a.recipient = recipients.id ORDER BY a.time DESC, a.id DESC LIMIT 1)
		WHERE id IN (SELECT value FROM json_each(?))`
)

// exact lets the failures of tracking logs have the stage and the reply that
// send logs report of the same message and recipient, for all that were added
// to either since Begin.
func (w *Writer) exact() error {
	failing := w.failing
	w.failing = w.failing[:0]
	if len(failing) == 0 {
		return nil
	}
	both, _, err := w.find("SELECT count(*) = 2 FROM names WHERE text IN (?, ?)", trackingFormat, sendFormat)
	if err != nil || both == 0 {
		return err
	}
	var tracked []int64
	if err := w.each(trackedRecipients, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		tracked = append(tracked, id)
		return err
	}, list(failing), trackingFormat); err != nil || tracked == nil {
		return err
	}
	w.sink.exec(findExact, sendFormat, exactWithin.Microseconds(), list(tracked))
	w.sink.exec(takeExact, list(tracked))
	w.sink.exec(lastExact, list(tracked))
	return nil
}
