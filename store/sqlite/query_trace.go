package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"mailfail/registry"
	"mailfail/store"
	"maps"
	"slices"
	"strings"
	"time"
)

// Trace finds messages by queue id or message id, or by the address of a recipient, and the
// rejections of either, oldest first. For an address, a story contains only that recipient
// of a message.
func (q *reader) Trace(ctx context.Context, what string) (stories []*store.Story,
	rejections []*store.Event, err error) {
	err = q.read(ctx, func(t *tx) error {
		if err := t.needFound(what); err != nil {
			return err
		}
		bare := strings.Trim(what, "<>")
		messages, refused, err := t.lookup(what, "<"+bare+">", bare, lowerDomain(bare),
			strings.ToLower(bare))
		if err != nil {
			return err
		}
		legs, err := t.legs(what)
		if err != nil {
			return err
		}
		others, err := t.withIDs(legs)
		if err != nil {
			return err
		}
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		r := &eventReader{tx: t, cat: cat, outcomes: store.OutcomeNames}
		if stories, err = r.stories(what, messages, others); err != nil {
			return err
		}
		rejections, err = r.rejectionsOf(what, refused)
		return err
	})
	return stories, rejections, err
}

// lookup returns the ids of the messages and rejections that may have one of some
// ids or addresses.
func (t *tx) lookup(names ...string) (messages, rejections []int64, err error) {
	ranges := make([]lookupRange, len(names))
	for i, s := range names {
		ranges[i] = allDays(int64(lookupHash(s)), int64(lookupHash(s)))
	}
	found, err := findLookups(t.each, ranges)
	for _, ref := range slices.Concat(found...) {
		if ref%2 == 0 {
			messages = append(messages, ref/2)
		} else {
			rejections = append(rejections, ref/2)
		}
	}
	return messages, rejections, err
}

// stories returns those of some messages that match what, and their other legs.
func (r *eventReader) stories(what string, messages, legs []int64) ([]*store.Story, error) {
	bare, ids := strings.Trim(what, "<>"), list(messages)
	found, err := r.recipientsOf(`SELECT r.message, r.id FROM recipient_rows AS r LEFT JOIN texts AS t ON t.id = r.address
		WHERE r.message IN (SELECT value FROM json_each(?)) AND IFNULL(t.text, r.address) IN (?, ?, ?)`, ids, bare, lowerDomain(bare), strings.ToLower(bare))
	if err != nil {
		return nil, err
	}
	byID, err := r.recipientsOf(`SELECT id, 0 FROM message_rows WHERE id IN (SELECT value FROM json_each(?))
		AND (queue_id = ? OR message_id = ? AND message_id <> '')`, ids, what, "<"+bare+">")
	if err != nil {
		return nil, err
	}
	for id := range byID {
		found[id] = nil // all of its recipients
	}
	for _, id := range legs {
		found[id] = nil
	}
	var stories []*store.Story
	for _, id := range slices.Sorted(maps.Keys(found)) {
		if stories, err = r.story(stories, id, found[id]); err != nil {
			return nil, err
		}
	}
	stories = withoutRepeats(stories)
	slices.SortStableFunc(stories, func(a, b *store.Story) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.QueueID, b.QueueID))
	})
	return stories, nil
}

// withoutRepeats removes the stories of send logs about messages for which tracking logs
// have a story: those contain the replies of both logs.
func withoutRepeats(stories []*store.Story) []*store.Story {
	tracked := map[registry.Foreign]bool{}
	for _, s := range stories {
		tracked[s.MessageID] = tracked[s.MessageID] || s.Format == store.TrackingFormat && s.MessageID != ""
	}
	return slices.DeleteFunc(stories, func(s *store.Story) bool {
		return s.Format == store.SendFormat && tracked[s.MessageID]
	})
}

// lowerDomain returns an address with its domain in lower case, as it is stored.
func lowerDomain(address string) string {
	i := strings.LastIndexByte(address, '@') + 1
	return address[:i] + strings.ToLower(address[i:])
}

// recipientsOf runs a query for (message, recipient) and returns the recipients by message.
func (r *eventReader) recipientsOf(query string, args ...any) (map[int64][]int64, error) {
	found := map[int64][]int64{}
	err := r.ints(query, args, func(row []int64) error {
		found[row[0]] = append(found[row[0]], row[1])
		return nil
	})
	return found, err
}

// story reads a message with some of its recipients, or all (nil).
func (r *eventReader) story(stories []*store.Story, id int64, recipients []int64) ([]*store.Story, error) {
	s := &store.Story{}
	var format, host, instance, first int64
	var sender sql.NullString
	if _, err := r.one("SELECT format, host, instance, queue_id, message_id, sender, client, client_ip, account, size, first_seen, own FROM messages WHERE id = ?", []any{id},
		&format, &host, &instance, &s.QueueID, &s.MessageID, &sender, &s.Client, &s.ClientIP, &s.Account,
		&s.Size, &first, &s.Own); err != nil {
		return nil, err
	}
	s.Format = r.cat.names[r.cat.name(format)]
	s.Host = registry.Foreign(r.cat.names[r.cat.name(host)])
	s.Instance = registry.Foreign(r.cat.names[r.cat.name(instance)])
	s.Sender, s.HasSender, s.FirstSeen = registry.Foreign(sender.String), sender.Valid, time.UnixMicro(first)
	cond, args := "message = ?", []any{id}
	if recipients != nil {
		cond, args = "id IN (SELECT value FROM json_each(?))", []any{list(recipients)}
	}
	var told map[int64]toldBounce
	if s.Format == store.BouncesFormat {
		var err error
		if told, err = r.bouncesOf(cond, args); err != nil {
			return nil, err
		}
	}
	err := r.each("SELECT id, address, state, first_seen, last_seen, final_at FROM recipients WHERE "+cond+" ORDER BY address, first_seen, id", args, func(rows *sql.Rows) error {
		var p store.StoryRecipient
		var rowid, first, last int64
		var final sql.NullInt64
		if err := rows.Scan(&rowid, &p.Address, &p.State, &first, &last, &final); err != nil {
			return err
		}
		p.FirstSeen, p.LastSeen = time.UnixMicro(first), time.UnixMicro(last)
		if final.Valid {
			p.Final = time.UnixMicro(final.Int64)
		}
		b := told[rowid]
		if b.repeated {
			return nil
		}
		p.Accepted = b.accepted
		var err error
		p.Attempts, err = r.attemptsOf(rowid)
		s.Recipients = append(s.Recipients, p)
		return err
	})
	if err == nil && len(told) > 0 && len(s.Recipients) == 0 {
		return stories, nil // a log reports the same
	}
	return append(stories, s), err
}

func (r *eventReader) attemptsOf(recipient int64) ([]*store.Event, error) {
	return r.collect("SELECT time, id, series, cause, outcome FROM attempt_rows WHERE recipient = ? ORDER BY time, id", recipient)
}

// rejectionsOf returns those of some rejections that match what.
func (r *eventReader) rejectionsOf(what string, ids []int64) ([]*store.Event, error) {
	bare := strings.Trim(what, "<>")
	return r.collect(fmt.Sprintf(`SELECT time, id, series, cause, %d FROM rejections WHERE id IN (SELECT value FROM json_each(?))
		AND (queue_id = ? AND queue_id NOT IN ('', 'NOQUEUE') OR recipient IN (?, ?) AND recipient <> '') ORDER BY time, id`, registry.OutcomeRejected),
		list(ids), what, bare, lowerDomain(bare))
}

// collect reads the events of a query for time, id, series, cause and outcome.
func (r *eventReader) collect(query string, args ...any) ([]*store.Event, error) {
	var found []candidate
	err := r.ints(query, args, func(v []int64) error {
		if place, ok := r.cat.place(v[2]); ok && r.cat.causes[v[3]] != nil {
			found = append(found, candidate{v[0], v[1], int32(place), int32(v[3]), registry.Outcome(v[4])})
		}
		return nil
	})
	if err != nil || found == nil {
		return nil, err
	}
	return r.events(found)
}
