package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
	"maps"
	"slices"
	"time"
)

// Events calls each with the failures in a window that have one of outcomes, oldest first,
// and returns what it left out of that window. With newest > 0 it calls each for that many
// of the newest failures at most. It finds the failures in one transaction, and reads them
// in batches, each in another: a slow caller does not keep a transaction open.
func (q *reader) Events(ctx context.Context, w store.Window, f store.Filter, outcomes []string, newest int,
	each func(*store.Event) error) (left store.LeftOut, err error) {
	var found []candidate
	r := &eventReader{outcomes: outcomes}
	err = q.read(ctx, func(t *tx) error {
		r.tx = t
		w := w
		// Before the catalog, which has the names and the series of these rows.
		if r.wants(registry.OutcomeRejected) {
			if err := t.need(w, fleet.Rejections); err != nil {
				return err
			}
		}
		if err := t.need(w, fleet.Attempts); err != nil {
			return err
		}
		if r.cat, err = t.catalog(); err != nil {
			return err
		}
		if r.filter, err = t.leaveOut(w, f); err != nil {
			return err
		}
		if err = t.ofAccounts(f.Accounts); err != nil {
			return err
		}
		if found, err = r.find(w); err != nil {
			return err
		}
		if newest > 0 && len(found) >= newest {
			found = found[len(found)-newest:]
			w.Since = time.UnixMicro(found[0].time)
		}
		if left, err = t.leftOut(r.cat, w, &f, &r.filter, outcomes); err != nil {
			return err
		}
		kept, err := t.kept()
		if w.Since.Before(kept.Rows) {
			left.Before = kept.Rows
		}
		return err
	})
	for len(found) > 0 && err == nil {
		n := min(len(found), batchSize)
		var events []*store.Event
		err = q.read(ctx, func(t *tx) (err error) {
			r.tx = t
			events, err = r.events(found[:n])
			return err
		})
		for _, e := range events {
			if err == nil {
				err = each(e)
			}
		}
		found = found[n:]
	}
	return left, err
}

// batchSize is how many events are read at once.
const batchSize = 256

var errEnough = errors.New("enough")

// eventReader finds failures from the columns of segments, and reads the other columns of
// the wanted ones.
type eventReader struct {
	*tx
	cat      *catalog
	filter   filter
	outcomes []string
}

// candidate is a failure that is wanted.
type candidate struct {
	time, id     int64
	place, cause int32
	outcome      registry.Outcome
}

func (r *eventReader) wants(o registry.Outcome) bool { return slices.Contains(r.outcomes, o.String()) }

// find returns the wanted failures by time.
func (r *eventReader) find(w store.Window) (found []candidate, err error) {
	f := r.filter
	f.without = slices.DeleteFunc(slices.Clone(f.without), func(name string) bool {
		return name == store.BouncesFormat
	})
	repeated, err := r.repeatedBounces(w)
	if err != nil {
		return nil, err
	}
	wanted, causes := f.wanted(r.cat), f.wantedCauses(r.cat)
	isCause := func(id int64) bool { return id > 0 && id < int64(len(causes)) && causes[id] != nil }
	if r.wants(registry.OutcomeDeferred) || r.wants(registry.OutcomeFailed) {
		err = r.eachAttempt(w, func(a *failingAttempt) error {
			outcome := outcomeOf(int64(a.flags))
			if place, ok := r.cat.place(int64(a.series)); ok && wanted[place] && isCause(int64(a.cause)) &&
				r.wants(outcome) && !repeated[a.id] {
				found = append(found, candidate{a.time, a.id, int32(place), a.cause, outcome})
			}
			return nil
		})
	}
	if err == nil && r.wants(registry.OutcomeRejected) {
		wanted = r.filter.wantedOfRejections(r.cat)
		senders := r.filter.wantedSenders(r.cat)
		err = r.eachRejection(w, func(j *refusedMail) error {
			if place, ok := r.cat.place(j.series); ok && wanted[place] && isCause(j.cause) &&
				senders(j.sender) {
				found = append(found,
					candidate{j.time, j.id, int32(place), int32(j.cause), registry.OutcomeRejected})
			}
			return nil
		})
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.time, b.time),
			cmp.Compare(a.outcome/registry.OutcomeRejected, b.outcome/registry.OutcomeRejected),
			cmp.Compare(a.id, b.id))
	})
	return found, err
}

// outcomeOf returns the outcome of an attempt, from its flags or from its column.
func outcomeOf(flags int64) registry.Outcome { return registry.Outcome(flags & outcomeBits) }

// events reads failures. It leaves out those that were removed since find.
func (r *eventReader) events(found []candidate) ([]*store.Event, error) {
	attempts, rejections := map[int64]*store.Event{}, map[int64]*store.Event{}
	list := make([]*store.Event, len(found))
	for i, c := range found {
		k := r.cat.causes[int64(c.cause)]
		list[i] = r.start(c.time, &r.cat.series[c.place], k)
		list[i].Outcome = c.outcome.String()
		if c.outcome == registry.OutcomeRejected {
			list[i].Direction = registry.DirectionIncoming.String()
			rejections[c.id] = list[i]
		} else {
			attempts[c.id] = list[i]
		}
	}
	if err := r.readAttempts(attempts); err != nil {
		return nil, err
	}
	if err := r.readRejections(rejections); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(e *store.Event) bool { return e.Times == 0 }), nil
}

// start returns an event with the fields that the catalog has.
func (r *eventReader) start(micros int64, s *series, k *cause) *store.Event {
	name := func(id int32) registry.Foreign { return registry.Foreign(r.cat.names[id]) }
	format := r.cat.names[s.format]
	return &store.Event{
		Time:      time.UnixMicro(micros),
		Format:    format,
		MTA:       store.MTA(format),
		Host:      name(s.host),
		Instance:  name(s.instance),
		Domain:    name(s.domain),
		Direction: s.directionName(),
		Relay:     name(s.relay),
		Provider:  registry.Foreign(r.cat.names[r.cat.relays[s.relay]]),
		Reply:     k.reply,
		Enhanced:  k.enhanced,
		Reason:    k.reason,
		Delay:     -1,
	}
}

const causeColumns = "k.stage, k.source, k.signature, k.rule, k.decided, k.confidence"

func causeFields(e *store.Event) []any {
	return []any{&e.Stage, &e.Source, &e.Signature, &e.Rule, &e.DecidedBy, &e.Confidence}
}

func (r *eventReader) readAttempts(events map[int64]*store.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(events))
	if err := r.needRows(fleet.Attempts, ids); err != nil {
		return err
	}
	// If the reply comes from a send log, the MTA's status is the one that the tracking log
	// reports.
	return r.each(`SELECT a.id, IFNULL(sv.text, ''), i.text, a.delay, t.text, IFNULL(d.text, IFNULL(p.address, '')), IFNULL(m.queue_id, ''), IFNULL(m.message_id, ''),
			IFNULL(s.text, m.sender), IFNULL(c.text, ''), IFNULL(ci.text, ''), IFNULL(n.text, ''),
			CASE WHEN o.id IS NULL THEN k.mta_status WHEN o.mta_status <> '' THEN o.mta_status
			WHEN o.enhanced <> k.enhanced THEN o.enhanced ELSE '' END, `+causeColumns+`
		FROM attempt_rows AS a JOIN causes AS k ON k.id = a.cause JOIN texts AS i ON i.id = a.ip
		LEFT JOIN attempt_rows AS e ON e.id = a.exact JOIN texts AS t ON t.id = IFNULL(e.text, a.text) LEFT JOIN causes AS o ON o.id = a.own_cause
		LEFT JOIN recipient_rows AS p ON p.id = a.recipient LEFT JOIN texts AS d ON d.id = p.address LEFT JOIN message_rows AS m ON m.id = p.message
		LEFT JOIN texts AS s ON s.id = m.sender LEFT JOIN texts AS c ON c.id = m.client LEFT JOIN texts AS ci ON ci.id = m.client_ip
		LEFT JOIN names AS n ON n.id = m.account LEFT JOIN names AS sv ON sv.id = a.service
		WHERE a.id IN (SELECT value FROM json_each(?))`, []any{list(ids)}, func(rows *sql.Rows) error {
		var e store.Event
		var id int64
		var service string
		var delay sql.NullInt64
		var sender sql.NullString
		if err := rows.Scan(append([]any{&id, &service, &e.IP, &delay, &e.Text, &e.Recipient, &e.Message,
			&e.MessageID, &sender, &e.Client, &e.ClientIP, &e.Account, &e.MTAStatus},
			causeFields(&e)...)...); err != nil {
			return err
		}
		e.Delay = -1
		if delay.Valid {
			e.Delay = time.Duration(delay.Int64) * time.Microsecond
		}
		e.Times = 1
		fill(events[id], &e, service, sender)
		return nil
	})
}

func (r *eventReader) readRejections(events map[int64]*store.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(events))
	if err := r.needRows(fleet.Rejections, ids); err != nil {
		return err
	}
	return r.each(`SELECT j.id, IFNULL(sv.text, ''), j.client_ip, j.client, j.text, j.recipient, j.queue_id, j.sender, j.n, k.mta_status, `+causeColumns+`
		FROM rejections AS j JOIN causes AS k ON k.id = j.cause LEFT JOIN names AS sv ON sv.id = j.service WHERE j.id IN (SELECT value FROM json_each(?))`,
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var e store.Event
			var id int64
			var service string
			var sender sql.NullString
			if err := rows.Scan(append([]any{&id, &service, &e.ClientIP, &e.Client, &e.Text, &e.Recipient,
				&e.Message, &sender, &e.Times, &e.MTAStatus}, causeFields(&e)...)...); err != nil {
				return err
			}
			e.Delay = -1
			if e.Message == "NOQUEUE" {
				e.Message = ""
			}
			fill(events[id], &e, service, sender)
			return nil
		})
}

// fill adds the fields that were read to e.
func fill(e, read *store.Event, service string, sender sql.NullString) {
	e.Service = registry.Foreign(service)
	e.Sender, e.HasSender = registry.Foreign(sender.String), sender.Valid
	e.Message, e.MessageID, e.Recipient = read.Message, read.MessageID, read.Recipient
	e.IP, e.Client, e.ClientIP = read.IP, read.Client, read.ClientIP
	e.MTAStatus, e.Stage, e.Source, e.Signature, e.Rule = read.MTAStatus, read.Stage, read.Source,
		read.Signature, read.Rule
	e.DecidedBy, e.Confidence = read.DecidedBy, read.Confidence
	e.Text, e.Delay, e.Times, e.Account = read.Text, read.Delay, read.Times, read.Account
}
