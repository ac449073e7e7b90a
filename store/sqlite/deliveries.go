package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"mailfail/store"
	"mailfail/store/fleet"
)

// Deliveries without an earlier failure are kept for some days, to be found by address,
// queue id and Message-ID. They are stored in blocks of an hour (see block.go). A block has
// these columns: the series, the second of the hour with the step, a hash of the
// Message-ID, the length of the queue id, and the length of the address. After the block
// come all queue ids and then all addresses, compressed. An address ends with @ where its
// domain is that of the series. A filter beside the block shows that an address or an id is
// certainly not in it.

// delivered is a delivery that is not written yet, or was read from a block. Its queue id
// and its address are in deliveries.text, in this order.
type delivered struct {
	hour           int64
	series, id     int64 // id is the hash of the Message-ID, 0 unknown
	second         int32 // of the hour, plus 3600 * step
	text           int32 // offset of the queue id
	queueID, local int32 // lengths of the queue id and the address
}

// deliveries holds the deliveries of a batch.
type deliveries struct {
	rows  []delivered
	text  []byte
	since int64 // deliveries before this time are not kept
	lost  int64 // time of the newest that was not kept

	block block  // scratch of read
	texts []byte // scratch of read and encode
}

// deliveryColumns is how many columns a block of deliveries has.
const deliveryColumns = 5

// maxDeliveries bounds the deliveries in memory, and those in a block. When an hour has
// many blocks, a block has up to crowded times as many: see isJoined.
const (
	maxDeliveries = 1 << 16
	crowded       = 4
)

// KeepDeliveries sets the time, in microseconds, from which deliveries are kept.
func (w *Writer) KeepDeliveries(since int64) { w.deliveries.since = since }

// AddDelivery stores a delivery, to be found by address and id, unless it is older than
// KeepDeliveries allows.
func (w *Writer) AddDelivery(d *store.Delivery) {
	w.deliveredBefore(d)
	l := &w.deliveries
	if d.Time < l.since {
		l.lost = max(l.lost, d.Time)
		return
	}
	local, id := d.Address, d.QueueID
	if d.Step == store.StepPlaced {
		id = d.Place
	}
	if n := len(local) - len(d.Domain); n > 0 && len(d.Domain) > 0 && local[n-1] == '@' &&
		bytes.HasSuffix(local, d.Domain) {
		local = local[:n]
	}
	r := delivered{
		series:  d.Series,
		id:      idHash(d.MessageID),
		text:    int32(len(l.text)),
		queueID: int32(len(id)),
		local:   int32(len(local)),
	}
	second := floor(d.Time, 1_000_000)
	r.hour = floor(second, 3600)
	r.second = int32(second-r.hour*3600) + 3600*int32(d.Step)
	if n := len(id) + len(local); cap(l.text)-len(l.text) < n {
		l.text = slices.Grow(l.text, max(n, len(l.text)))
	}
	l.text = append(append(l.text, id...), local...)
	l.rows = append(doubled(l.rows), r)
	if len(l.rows) >= maxDeliveries && w.countErr == nil {
		w.countErr = w.flushDeliveries()
	}
}

// step returns the step of a delivery. At StepPlaced, the queue id is the place where the
// message was put.
func (r *delivered) step() store.Step { return store.Step(r.second / 3600) }

func floor(v, n int64) int64 {
	if v < 0 {
		v -= n - 1
	}
	return v / n
}

// IDHash returns the hash that stands for a Message-ID in the tables of a fleet, 0 for "".
func IDHash(id string) int64 { return idHash([]byte(id)) }

// idHash returns the hash that stands for a Message-ID or a queue id, 0 for an empty one.
func idHash(id []byte) int64 {
	if len(id) == 0 {
		return 0
	}
	h := uint64(14695981039346656037) // FNV-1a, without a copy of id
	for _, c := range id {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return int64(h>>16) | 1
}

func (l *deliveries) queueID(r *delivered) []byte { return l.text[r.text : r.text+r.queueID] }
func (l *deliveries) local(r *delivered) []byte {
	return l.text[r.text+r.queueID : r.text+r.queueID+r.local]
}

// flushDeliveries writes the deliveries, hour by hour.
func (w *Writer) flushDeliveries() error {
	l := &w.deliveries
	if l.lost > 0 {
		if err := w.noteHorizon(metaDeliveriesFrom, l.lost+1); err != nil {
			return err
		}
		l.lost = 0
	}
	slices.SortFunc(l.rows, func(a, b delivered) int { return cmp.Compare(a.hour, b.hour) })
	for rest := l.rows; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].hour == rest[0].hour {
			n++
		}
		if err := w.addDeliveries(rest[0].hour, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	l.rows, l.text = emptied(l.rows), emptied(l.text)
	return nil
}

// metaDeliveriesFrom is the name in meta of the time, in microseconds, from which all
// deliveries are stored.
const metaDeliveriesFrom = "deliveries from"

// addDeliveries adds rows to an hour. It joins them with those of the last blocks, as far
// as isJoined allows. An hour has room for some hundred million; further ones are not kept,
// and the horizon moves to the end of this hour.
func (w *Writer) addDeliveries(hour int64, rows []delivered) error {
	id, end := hour*blocksPerHour, (hour+1)*blocksPerHour
	rows = slices.Clip(rows)
	for {
		last, ok, err := w.find("SELECT max(id) FROM deliveries WHERE id >= ? AND id < ? HAVING max(id) IS NOT NULL", hour*blocksPerHour, end)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		n, _, err := w.find("SELECT rows FROM deliveries WHERE id = ?", last)
		if err != nil {
			return err
		}
		if id = last + 1; !isJoined(int(n), len(rows), end-id) {
			break
		}
		var data []byte
		if err := w.conn.QueryRowContext(context.Background(), "SELECT data FROM deliveries WHERE id = ?", last).Scan(&data); err != nil {
			return err
		}
		if rows, err = w.deliveries.read(rows, hour, data); err != nil {
			return err
		}
		id = last
		w.sink.exec("DELETE FROM deliveries WHERE id = ?", id)
		w.noteDeleted(fleet.Deliveries, id)
	}
	if id == end {
		return w.noteHorizon(metaDeliveriesFrom, (hour+1)*3600*1_000_000)
	}
	filter, data := w.deliveries.encode(rows)
	w.sink.exec("INSERT INTO deliveries VALUES (?,?,?,?)", id, len(rows), filter, data)
	w.note(fleet.Deliveries, id)
	return nil
}

// isJoined reports whether new rows are written together with the n rows of the block
// before. room is how many more blocks fit into the hour: as they become few, blocks become
// larger, at last whatever that costs.
func isJoined(n, rows int, room int64) bool {
	most := maxDeliveries
	switch {
	case room < blocksPerHour/4:
		most = crowded * maxDeliveries
	case room < blocksPerHour/2:
		most = crowded / 2 * maxDeliveries
	}
	return n+rows <= most && (n <= 2*rows || room < blocksPerHour/32)
}

// encode sorts rows by time, and returns their filter and their block.
func (l *deliveries) encode(rows []delivered) (filter, data []byte) {
	slices.SortFunc(rows, func(a, b delivered) int {
		return cmp.Or(cmp.Compare(a.second, b.second), bytes.Compare(l.queueID(&a), l.queueID(&b)),
			bytes.Compare(l.local(&a), l.local(&b)), cmp.Compare(a.series, b.series))
	})
	p := newPacking(len(rows), deliveryColumns)
	p.add(func(i int) int64 { return rows[i].series })
	p.add(func(i int) int64 { return int64(rows[i].second) })
	p.add(func(i int) int64 { return rows[i].id })
	p.add(func(i int) int64 { return int64(rows[i].queueID) })
	p.add(func(i int) int64 { return int64(rows[i].local) })
	filter = make([]byte, filterSize(len(rows)))
	texts := l.texts[:0]
	for i := range rows {
		r := &rows[i]
		texts = append(texts, l.queueID(r)...)
		addTo(filter, hashOf(l.local(r)))
		addTo(filter, hashOf(l.queueID(r)))
		if r.id != 0 {
			addTo(filter, uint64(r.id)*mixer)
		}
	}
	for i := range rows {
		texts = append(texts, l.local(&rows[i])...)
	}
	if len(rows) <= maxDeliveries {
		l.texts = texts
	}
	head := p.end(nil)
	data = append(binary.AppendUvarint(nil, uint64(len(head))), head...)
	return filter, compressor().EncodeAll(texts, data)
}

// read appends the rows of a block to rows, and their texts to l.text. It returns errBlock
// when data is damaged.
func (l *deliveries) read(rows []delivered, hour int64, data []byte) ([]delivered, error) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return nil, errBlock
	}
	b := &l.block
	if err := b.decode(data[n : n+int(size)]); err != nil {
		return nil, err
	}
	texts, err := decompressor().DecodeAll(data[n+int(size):], l.texts[:0])
	if err != nil || len(b.cols) != deliveryColumns {
		return nil, errBlock
	}
	l.texts = texts
	var ids, total int64
	for i := range b.rows {
		if b.at(3, i) < 0 || b.at(4, i) < 0 || b.at(3, i) > maxBlock || b.at(4, i) > maxBlock {
			return nil, errBlock
		}
		ids, total = ids+b.at(3, i), total+b.at(3, i)+b.at(4, i)
	}
	if total != int64(len(texts)) {
		return nil, errBlock
	}
	id, local := texts[:ids], texts[ids:]
	rows, l.text = slices.Grow(rows, b.rows), slices.Grow(l.text, len(texts))
	for i := range b.rows {
		r := delivered{
			hour:    hour,
			series:  b.at(0, i),
			second:  int32(b.at(1, i)),
			id:      b.at(2, i),
			text:    int32(len(l.text)),
			queueID: int32(b.at(3, i)),
			local:   int32(b.at(4, i)),
		}
		l.text = append(append(l.text, id[:r.queueID]...), local[:r.local]...)
		id, local = id[r.queueID:], local[r.local:]
		rows = append(rows, r)
	}
	if b.rows > maxDeliveries { // which is rare
		l.block, l.texts = block{}, nil
	}
	return rows, nil
}

// A filter is a Bloom filter with 24 bits for each row. Each address, queue id and
// Message-ID of a row sets 3 bits. isIn wrongly reports true about one time in forty.
const filterBits = 3

func filterSize(rows int) int { return 8 + 3*rows }

const mixer = 0x9e3779b97f4a7c15

func hashOf(s []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range s {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h * mixer
}

func addTo(filter []byte, h uint64) {
	for range filterBits {
		bit := (h >> 20) % uint64(8*len(filter))
		filter[bit/8] |= 1 << (bit % 8)
		h *= mixer
	}
}

// FilterBits returns the bits that a hash sets in a filter. The caller takes them modulo the
// number of bits of the filter.
func FilterBits(h uint64) (bits [filterBits]uint64) {
	for i := range bits {
		bits[i] = h >> 20
		h *= mixer
	}
	return bits
}

func isIn(filter []byte, h uint64) bool {
	for range filterBits {
		bit := (h >> 20) % uint64(8*len(filter))
		if filter[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		h *= mixer
	}
	return len(filter) > 0
}
