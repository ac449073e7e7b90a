package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Delivered finds deliveries without an earlier failure or deferral, by queue id or
// Message-ID, or by the address of a recipient, oldest first.
func (q *reader) Delivered(ctx context.Context, what string) (found store.Delivered, err error) {
	err = q.read(ctx, func(t *tx) error {
		found = store.Delivered{}
		var from sql.NullInt64
		if _, err := t.one("SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?", []any{metaDeliveriesFrom}, &from); err != nil {
			return err
		}
		if from.Valid {
			found.From = time.UnixMicro(from.Int64)
		}
		if found.Kept, err = t.kept(); err != nil {
			return err
		}
		s := newDeliverySearch(what)
		legs, err := t.legs(what)
		if err != nil {
			return err
		}
		s.follow(legs)
		err = t.search(s)
		if err != nil || len(s.rows) == 0 {
			return err
		}
		cat, err := t.catalog()
		if err != nil {
			return err
		}
		for i := range s.rows {
			if d, ok := s.delivery(cat, &s.rows[i]); ok {
				found.Rows = append(found.Rows, d)
			}
		}
		slices.SortStableFunc(found.Rows, func(a, b store.DeliveredRow) int {
			return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(order[a.Step], order[b.Step]))
		})
		return nil
	})
	return found, err
}

// order is the order of steps with the same time.
var order = [...]int{store.StepHandedOver: 0, store.StepDelivered: 1, store.StepPlaced: 2}

// search looks through all stored deliveries.
func (t *tx) search(s *deliverySearch) error {
	if err := t.needDeliveries(s.hashes); err != nil {
		return err
	}
	return t.each("SELECT id, filter, data FROM deliveries ORDER BY id", nil, func(r *sql.Rows) error {
		var id int64
		var filter, data sql.RawBytes
		if err := r.Scan(&id, &filter, &data); err != nil {
			return err
		}
		if !s.mayBeIn(filter) {
			return nil
		}
		return s.look((id-mod(id, blocksPerHour))/blocksPerHour, data)
	})
}

// deliverySearch looks for deliveries in blocks.
type deliverySearch struct {
	queueID   string
	addresses []string
	ids       []int64 // hashes of Message-IDs
	hashes    []uint64
	deliveries
}

func newDeliverySearch(what string) *deliverySearch {
	bare := strings.Trim(what, "<>")
	s := &deliverySearch{
		queueID:   what,
		addresses: []string{bare, lowerDomain(bare), strings.ToLower(bare)},
		ids:       []int64{idHash([]byte("<" + bare + ">"))},
	}
	s.hashes = append(s.hashes, hashOf([]byte(what)))
	for _, a := range s.addresses {
		s.hashes = append(s.hashes, hashOf([]byte(a)), hashOf([]byte(a[:strings.LastIndexByte(a, '@')+1])))
	}
	s.hashes = append(s.hashes, uint64(s.ids[0])*mixer)
	return s
}

// follow makes s find messages with some hashes of Message-IDs too.
func (s *deliverySearch) follow(ids []int64) {
	for _, id := range ids {
		s.ids, s.hashes = append(s.ids, id), append(s.hashes, uint64(id)*mixer)
	}
}

func (s *deliverySearch) mayBeIn(filter []byte) bool {
	for _, h := range s.hashes {
		if isIn(filter, h) {
			return true
		}
	}
	return false
}

// look adds the rows of a block that may be wanted. It compares addresses without their
// domains, which need the catalog.
func (s *deliverySearch) look(hour int64, data []byte) error {
	n, used := len(s.rows), len(s.text)
	rows, err := s.read(s.rows, hour, data)
	if err != nil {
		return err
	}
	kept := rows[:n]
	for i := range rows[n:] {
		if r := rows[n+i]; s.wants(&r) {
			kept = append(kept, r)
		}
	}
	if s.rows = kept; len(kept) == n {
		s.text = s.text[:used]
	}
	return nil
}

func (s *deliverySearch) wants(r *delivered) bool {
	if slices.Contains(s.ids, r.id) || string(s.deliveries.queueID(r)) == s.queueID {
		return true
	}
	local := s.local(r)
	for _, a := range s.addresses {
		if a == string(local) || bytes.HasSuffix(local, []byte("@")) && strings.HasPrefix(a, string(local)) {
			return true
		}
	}
	return false
}

// delivery returns a row with its names; ok is false if its domain is not the wanted one.
func (s *deliverySearch) delivery(cat *catalog, r *delivered) (d store.DeliveredRow, ok bool) {
	place, ok := cat.place(r.series)
	if !ok {
		return d, false
	}
	p := &cat.series[place]
	address := string(s.local(r))
	if strings.HasSuffix(address, "@") {
		address += cat.names[p.domain]
	}
	queueID := string(s.deliveries.queueID(r))
	if !slices.Contains(s.ids, r.id) && queueID != s.queueID && !slices.Contains(s.addresses, address) {
		return d, false
	}
	name := func(id int32) registry.Foreign { return registry.Foreign(cat.names[id]) }
	d = store.DeliveredRow{
		Time:         time.Unix(r.hour*3600+int64(r.second%3600), 0),
		Step:         min(r.step(), store.StepPlaced),
		Format:       cat.names[p.format],
		Host:         name(p.host),
		Instance:     name(p.instance),
		QueueID:      registry.Foreign(queueID),
		SenderDomain: name(p.sender),
		Recipient:    registry.Foreign(address),
		Relay:        name(p.relay),
		Direction:    p.directionName(),
	}
	if d.Step == store.StepPlaced {
		d.QueueID, d.Place = "", d.QueueID
	}
	return d, true
}
