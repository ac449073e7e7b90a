package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"mailfail/store"
	"maps"
	"slices"
	"strings"
	"time"
)

// Trace finds messages by queue id or message id, or by the address of a
// recipient, and the rejections of either, oldest first. By address, only that
// recipient of a message is told.
func (q *reader) Trace(ctx context.Context, what string) (stories []*store.Story, rejections []*store.Event, err error) {
	err = q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		r := &eventReader{tx: t, cat: cat, outcomes: store.OutcomeNames}
		if stories, err = r.stories(what); err != nil {
			return err
		}
		rejections, err = r.rejectionsOf(what)
		return err
	})
	return stories, rejections, err
}

// stories returns the messages that what names.
func (r *eventReader) stories(what string) ([]*store.Story, error) {
	bare := strings.Trim(what, "<>")
	byAddress, err := r.find("SELECT message, id FROM recipients WHERE address IN (?, ?, ?)", bare, lowerDomain(bare), strings.ToLower(bare))
	if err != nil {
		return nil, err
	}
	byID, err := r.find("SELECT id, 0 FROM messages WHERE queue_id = ? UNION SELECT id, 0 FROM messages WHERE message_id = ? AND message_id <> ''", what, "<"+bare+">")
	if err != nil {
		return nil, err
	}
	var stories []*store.Story
	for id := range byID {
		byAddress[id] = nil // all of its recipients
	}
	for _, id := range slices.Sorted(maps.Keys(byAddress)) {
		if stories, err = r.story(stories, id, byAddress[id]); err != nil {
			return nil, err
		}
	}
	stories = withoutRepeats(stories)
	slices.SortStableFunc(stories, func(a, b *store.Story) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.QueueID, b.QueueID))
	})
	return stories, nil
}

// withoutRepeats leaves out what send logs tell of messages that tracking logs
// tell of, where the replies of both are.
func withoutRepeats(stories []*store.Story) []*store.Story {
	tracked := map[string]bool{}
	for _, s := range stories {
		tracked[s.MessageID] = tracked[s.MessageID] || s.Format == store.TrackingFormat && s.MessageID != ""
	}
	return slices.DeleteFunc(stories, func(s *store.Story) bool { return s.Format == store.SendFormat && tracked[s.MessageID] })
}

// lowerDomain returns an address as the store has it.
func lowerDomain(address string) string {
	i := strings.LastIndexByte(address, '@') + 1
	return address[:i] + strings.ToLower(address[i:])
}

// find returns the recipients by message of a query for (message, recipient).
func (r *eventReader) find(query string, args ...any) (map[int64][]int64, error) {
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
	if _, err := r.one("SELECT format, host, instance, queue_id, message_id, sender, client, client_ip, size, first_seen FROM messages WHERE id = ?", []any{id},
		&format, &host, &instance, &s.QueueID, &s.MessageID, &sender, &s.Client, &s.ClientIP, &s.Size, &first); err != nil {
		return nil, err
	}
	s.Format, s.Host, s.Instance = r.cat.names[format], r.cat.names[host], r.cat.names[instance]
	s.Sender, s.HasSender, s.FirstSeen = sender.String, sender.Valid, time.UnixMicro(first)
	cond, args := "message = ?", []any{id}
	if recipients != nil {
		cond, args = "id IN (SELECT value FROM json_each(?))", []any{list(recipients)}
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
		var err error
		p.Attempts, err = r.attemptsOf(rowid)
		s.Recipients = append(s.Recipients, p)
		return err
	})
	return append(stories, s), err
}

func (r *eventReader) attemptsOf(recipient int64) (events []*store.Event, err error) {
	err = r.collect(&events, false, "SELECT time, id, series, cause, outcome FROM attempts WHERE recipient = ? ORDER BY time, id", recipient)
	return events, err
}

func (r *eventReader) rejectionsOf(what string) (events []*store.Event, err error) {
	bare := strings.Trim(what, "<>")
	err = r.collect(&events, true, `SELECT time, id, series, cause, 0 FROM rejections
		WHERE queue_id = ? AND queue_id NOT IN ('', 'NOQUEUE') OR recipient IN (?, ?) AND recipient <> '' ORDER BY time, id`, what, bare, lowerDomain(bare))
	return events, err
}

func (r *eventReader) collect(events *[]*store.Event, rejections bool, query string, args ...any) error {
	add := func(e *store.Event) error {
		*events = append(*events, e)
		return nil
	}
	if err := r.ints(query, args, func(row []int64) error { return r.event(row, rejections, add) }); err != nil {
		return err
	}
	return r.flush(add)
}
