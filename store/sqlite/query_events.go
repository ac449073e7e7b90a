package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"mailfail/store"
	"maps"
	"slices"
	"time"
)

// Events calls each with the failures in a window that have one of outcomes,
// oldest first, and returns what was left out of that time. With newest > 0 it
// does so for no more than the newest ones. Memory grows with newest, not with the
// number of failures.
func (q *reader) Events(ctx context.Context, w store.Window, f store.Filter, outcomes []string, newest int, each func(*store.Event) error) (left store.LeftOut, err error) {
	err = q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		r := &eventReader{tx: t, cat: cat, outcomes: outcomes}
		if r.filter, err = t.leaveOut(w, f); err != nil {
			return err
		}
		first, err := r.newest(w, newest, each)
		if err != nil {
			return err
		}
		if !first.IsZero() {
			w.Since = first
		}
		left, err = t.leftOut(cat, w, &f, &r.filter, outcomes)
		return err
	})
	return left, err
}

// newest passes on the newest n failures, and returns the time of the first when
// there are as many; all of them for 0.
func (r *eventReader) newest(w store.Window, n int, each func(*store.Event) error) (first time.Time, err error) {
	if n <= 0 {
		return first, r.walk(w, "", each)
	}
	events := make([]*store.Event, 0, min(n, 1000))
	err = r.walk(w, " DESC", func(e *store.Event) error {
		events = append(events, e)
		if len(events) == n {
			first = e.Time
			return errEnough
		}
		return nil
	})
	if err != nil && err != errEnough {
		return first, err
	}
	for _, e := range slices.Backward(events) {
		if err := each(e); err != nil {
			return first, err
		}
	}
	return first, nil
}

var errEnough = errors.New("enough")

// eventReader finds failures by what is in memory, and reads the rest of those
// that are wanted.
type eventReader struct {
	*tx
	cat      *catalog
	filter   filter
	outcomes []string
	batch    []batched
}

// walk merges attempts and rejections by time.
func (r *eventReader) walk(w store.Window, order string, each func(*store.Event) error) error {
	where, args := within(w, "time", 1)
	attempts, err := r.cursor("SELECT time, id, series, cause, outcome FROM attempts WHERE "+where+" ORDER BY time"+order+", id"+order, args)
	if err != nil {
		return err
	}
	defer attempts.close()
	rejections, err := r.cursor("SELECT time, id, series, cause, 0 FROM rejections WHERE "+where+" ORDER BY time"+order+", id"+order, args)
	if err != nil {
		return err
	}
	defer rejections.close()

	attempt := r.wants("deferred", "failed") && attempts.next()
	rejection := r.wants("rejected") && rejections.next()
	for attempt || rejection {
		first := attempts
		if !attempt || rejection && (rejections.row[0] < attempts.row[0]) != (order != "") {
			first = rejections
		}
		if err := r.event(first.row, first == rejections, each); err != nil {
			return err
		}
		if first == attempts {
			attempt = attempts.next()
		} else {
			rejection = rejections.next()
		}
	}
	if err := cmp.Or(attempts.err, rejections.err); err != nil {
		return err
	}
	return r.flush(each)
}

func (r *eventReader) wants(outcomes ...string) bool {
	return slices.ContainsFunc(outcomes, func(o string) bool { return slices.Contains(r.outcomes, o) })
}

// event passes on one failure if it is wanted: time, id, series, cause, outcome.
// It may do so later, up to flush.
func (r *eventReader) event(row []int64, rejection bool, each func(*store.Event) error) error {
	i, ok := r.cat.index[row[2]]
	k := r.cat.causes[row[3]]
	if !ok || k == nil || !r.filter.matchCause(k) {
		return nil
	}
	f := r.filter
	if rejection {
		f.Senders = nil // not in the series
	} else if !r.wants(outcomeName(row[4])) {
		return nil
	}
	if !f.matchSeries(r.cat, &r.cat.series[i]) {
		return nil
	}
	e := r.start(row[0], &r.cat.series[i], k)
	e.Outcome = outcomeName(row[4])
	if rejection {
		e.Outcome = "rejected"
	}
	r.batch = append(r.batch, batched{row[1], e})
	if len(r.batch) < batchSize {
		return nil
	}
	return r.flush(each)
}

// batched is an event of which only the id and what is in memory is known.
type batched struct {
	id int64
	*store.Event
}

// batchSize is how many events are read at once.
const batchSize = 256

// flush reads what is missing of the batch and passes it on.
func (r *eventReader) flush(each func(*store.Event) error) error {
	attempts, rejections := map[int64]*store.Event{}, map[int64]*store.Event{}
	for _, b := range r.batch {
		if b.Outcome == "rejected" {
			rejections[b.id] = b.Event
		} else {
			attempts[b.id] = b.Event
		}
	}
	if err := r.readAttempts(attempts); err != nil {
		return err
	}
	if err := r.readRejections(rejections); err != nil {
		return err
	}
	batch := r.batch
	r.batch = r.batch[:0]
	for _, b := range batch {
		if b.Outcome == "rejected" && !store.MatchDomain(r.filter.Senders, senderDomain(sql.NullString{String: b.Sender, Valid: b.HasSender})) {
			continue
		}
		if err := each(b.Event); err != nil {
			return err
		}
	}
	return nil
}

func outcomeName(outcome int64) string {
	if outcome == attemptDeferred {
		return "deferred"
	}
	return "failed"
}

// start returns an event with what the catalog knows of it.
func (r *eventReader) start(micros int64, s *series, k *cause) *store.Event {
	name := r.cat.names
	return &store.Event{
		Time: time.UnixMicro(micros), Format: name[s.format], MTA: store.MTA(name[s.format]), Host: name[s.host], Instance: name[s.instance],
		Domain: name[s.domain], Relay: name[s.relay], Provider: name[r.cat.relays[s.relay]],
		Reply: k.reply, Enhanced: k.enhanced, Reason: k.reason, Delay: -1, Times: 1,
	}
}

const causeColumns = "k.stage, k.source, k.signature, k.rule"

func causeFields(e *store.Event) []any {
	return []any{&e.Stage, &e.Source, &e.Signature, &e.Rule}
}

func (r *eventReader) readAttempts(events map[int64]*store.Event) error {
	if len(events) == 0 {
		return nil
	}
	// Where the reply is that of a send log, the MTA's status is what the
	// tracking log said itself.
	return r.each(`SELECT a.id, a.service, a.ip, a.delay, IFNULL(e.text, a.text), IFNULL(p.address, ''), IFNULL(m.queue_id, ''), IFNULL(m.message_id, ''), m.sender,
			IFNULL(m.client, ''), IFNULL(m.client_ip, ''), CASE WHEN o.id IS NULL THEN k.mta_status WHEN o.mta_status <> '' THEN o.mta_status
			WHEN o.enhanced <> k.enhanced THEN o.enhanced ELSE '' END, `+causeColumns+`
		FROM attempts AS a JOIN causes AS k ON k.id = a.cause LEFT JOIN attempts AS e ON e.id = a.exact LEFT JOIN causes AS o ON o.id = a.own_cause
		LEFT JOIN recipients AS p ON p.id = a.recipient LEFT JOIN messages AS m ON m.id = p.message
		WHERE a.id IN (SELECT value FROM json_each(?))`, []any{list(slices.Collect(maps.Keys(events)))}, func(rows *sql.Rows) error {
		var e store.Event
		var id, service int64
		var delay sql.NullInt64
		var sender sql.NullString
		if err := rows.Scan(append([]any{&id, &service, &e.IP, &delay, &e.Text, &e.Recipient, &e.Message, &e.MessageID, &sender, &e.Client, &e.ClientIP, &e.MTAStatus}, causeFields(&e)...)...); err != nil {
			return err
		}
		e.Delay = -1
		if delay.Valid {
			e.Delay = time.Duration(delay.Int64) * time.Microsecond
		}
		e.Times = 1
		fill(events[id], &e, r.cat.names[service], sender)
		return nil
	})
}

func (r *eventReader) readRejections(events map[int64]*store.Event) error {
	if len(events) == 0 {
		return nil
	}
	return r.each(`SELECT j.id, j.service, j.client_ip, j.client, j.text, j.recipient, j.queue_id, j.sender, j.n, k.mta_status, `+causeColumns+`
		FROM rejections AS j JOIN causes AS k ON k.id = j.cause WHERE j.id IN (SELECT value FROM json_each(?))`,
		[]any{list(slices.Collect(maps.Keys(events)))}, func(rows *sql.Rows) error {
			var e store.Event
			var id, service int64
			var sender sql.NullString
			if err := rows.Scan(append([]any{&id, &service, &e.ClientIP, &e.Client, &e.Text, &e.Recipient, &e.Message, &sender, &e.Times, &e.MTAStatus}, causeFields(&e)...)...); err != nil {
				return err
			}
			e.Delay = -1
			if e.Message == "NOQUEUE" {
				e.Message = ""
			}
			fill(events[id], &e, r.cat.names[service], sender)
			return nil
		})
}

// fill adds to e what was read of it.
func fill(e, read *store.Event, service string, sender sql.NullString) {
	e.Service, e.Sender, e.HasSender = service, sender.String, sender.Valid
	e.Message, e.MessageID, e.Recipient, e.IP, e.Client, e.ClientIP = read.Message, read.MessageID, read.Recipient, read.IP, read.Client, read.ClientIP
	e.MTAStatus, e.Stage, e.Source, e.Signature, e.Rule = read.MTAStatus, read.Stage, read.Source, read.Signature, read.Rule
	e.Text, e.Delay, e.Times = read.Text, read.Delay, read.Times
}
