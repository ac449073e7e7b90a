package sqlite

import (
	"database/sql"
	"slices"
	"strings"
)

// A message that passes a content filter or another host of ours has a queue id in each
// place; its Message-ID stays. These parts of its way are its legs.

// maxLegs is how many Message-IDs of a queue id are followed: servers reuse queue ids.
const maxLegs = 100

// legs returns the hashes of the Message-IDs of the messages with a queue id.
func (t *tx) legs(queueID string) (ids []int64, err error) {
	if queueID == "" || strings.Contains(queueID, "@") {
		return nil, nil
	}
	add := func(id int64) {
		if id != 0 && len(ids) < maxLegs && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if err := t.needFound(queueID); err != nil {
		return nil, err
	}
	s := newDeliverySearch(queueID)
	if err := t.search(s); err != nil {
		return nil, err
	}
	for i := range s.rows {
		if string(s.deliveries.queueID(&s.rows[i])) == queueID {
			add(s.rows[i].id)
		}
	}
	messages, _, err := t.lookup(queueID)
	if err != nil {
		return nil, err
	}
	err = t.messageIDs(messages, func(_ int64, queue, id string) {
		if queue == queueID {
			add(idHash([]byte(id)))
		}
	})
	return ids, err
}

// withIDs returns the messages whose Message-IDs have some hashes.
func (t *tx) withIDs(ids []int64) (found []int64, err error) {
	if err := t.needIDs(ids); err != nil {
		return nil, err
	}
	for _, id := range ids {
		// The hashes of lookup have 16 bits in common with these; of them the lowest is lost,
		// because idHash sets it.
		low := int64(int32(uint32(id&0xfffe) << 16))
		refs, err := findLookups(t.each, []lookupRange{allDays(low, low+0x1ffff)})
		if err != nil {
			return nil, err
		}
		var messages []int64
		for _, ref := range refs[0] {
			if ref%2 == 0 {
				messages = append(messages, ref/2)
			}
		}
		err = t.messageIDs(messages, func(message int64, _, messageID string) {
			if idHash([]byte(messageID)) == id {
				found = append(found, message)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// messageIDs calls each with the queue ids and Message-IDs of some messages.
func (t *tx) messageIDs(messages []int64, each func(message int64, queueID, messageID string)) error {
	if len(messages) == 0 {
		return nil
	}
	return t.each("SELECT id, queue_id, message_id FROM message_rows WHERE id IN (SELECT value FROM json_each(?))", []any{list(messages)}, func(r *sql.Rows) error {
		var id int64
		var queueID, messageID string
		if err := r.Scan(&id, &queueID, &messageID); err != nil {
			return err
		}
		each(id, queueID, messageID)
		return nil
	})
}
