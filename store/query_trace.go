package store

import (
	"cmp"
	"context"
	"database/sql"
	"hash/fnv"
	"mailfail/registry"
	"slices"
	"strings"
	"time"
)

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// Story is what the database knows of a message: it has rows for messages with
// a recipient that failed, was suspended, or is pending. Recipients that were
// delivered at once are only counted.
type Story struct {
	Message
	FirstSeen  time.Time
	Recipients []StoryRecipient

	id int64
}

// StoryRecipient is one recipient of a message and what happened to it.
type StoryRecipient struct {
	Address             string
	State               registry.State
	FirstSeen, LastSeen time.Time
	Final               time.Time // zero while pending
	Attempts            []*Event  // failing ones, oldest first
}

// Trace finds messages by queue id or message id, or by the address of a
// recipient, and the rejections of either, oldest first. By address, only that
// recipient of a message is told.
func (q *Query) Trace(ctx context.Context, what string) (stories []*Story, rejections []*Event, err error) {
	err = q.read(ctx, func(t *tx) error {
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		r := &eventReader{tx: t, cat: cat, outcomes: OutcomeNames}
		if stories, err = r.stories(what); err != nil {
			return err
		}
		rejections, err = r.rejectionsOf(what)
		return err
	})
	return stories, rejections, err
}

// stories returns the messages that what names.
func (r *eventReader) stories(what string) ([]*Story, error) {
	bare := strings.Trim(what, "<>")
	byAddress, err := r.find("SELECT message, id FROM recipients WHERE address IN (?, ?, ?)", bare, lowerDomain(bare), strings.ToLower(bare))
	if err != nil {
		return nil, err
	}
	byID, err := r.find("SELECT id, 0 FROM messages WHERE queue_id = ? UNION SELECT id, 0 FROM messages WHERE message_id = ? AND message_id <> ''", what, "<"+bare+">")
	if err != nil {
		return nil, err
	}
	var stories []*Story
	for id, recipients := range byAddress {
		if byID[id] == nil {
			stories, err = r.story(stories, id, recipients)
		}
		if err != nil {
			return nil, err
		}
	}
	for id := range byID {
		if stories, err = r.story(stories, id, nil); err != nil {
			return nil, err
		}
	}
	stories = withoutRepeats(stories)
	slices.SortFunc(stories, func(a, b *Story) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.QueueID, b.QueueID), cmp.Compare(a.id, b.id))
	})
	return stories, nil
}

// withoutRepeats leaves out what send logs tell of messages that tracking logs
// tell of, where the replies of both are.
func withoutRepeats(stories []*Story) []*Story {
	tracked := map[string]bool{}
	for _, s := range stories {
		tracked[s.MessageID] = tracked[s.MessageID] || s.Format == trackingFormat && s.MessageID != ""
	}
	return slices.DeleteFunc(stories, func(s *Story) bool { return s.Format == sendFormat && tracked[s.MessageID] })
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
func (r *eventReader) story(stories []*Story, id int64, recipients []int64) ([]*Story, error) {
	s := &Story{id: id}
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
		var p StoryRecipient
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

func (r *eventReader) attemptsOf(recipient int64) (events []*Event, err error) {
	err = r.collect(&events, false, "SELECT time, id, series, cause, outcome FROM attempts WHERE recipient = ? ORDER BY time, id", recipient)
	return events, err
}

func (r *eventReader) rejectionsOf(what string) (events []*Event, err error) {
	bare := strings.Trim(what, "<>")
	err = r.collect(&events, true, `SELECT time, id, series, cause, 0 FROM rejections
		WHERE queue_id = ? AND queue_id NOT IN ('', 'NOQUEUE') OR recipient IN (?, ?) AND recipient <> '' ORDER BY time, id`, what, bare, lowerDomain(bare))
	return events, err
}

func (r *eventReader) collect(events *[]*Event, rejections bool, query string, args ...any) error {
	add := func(e *Event) error {
		*events = append(*events, e)
		return nil
	}
	if err := r.ints(query, args, func(row []int64) error { return r.event(row, rejections, add) }); err != nil {
		return err
	}
	return r.flush(add)
}
