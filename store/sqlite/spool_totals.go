package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"mailfail/registry"
	"mailfail/store"
	"mailfail/store/fleet"
)

// A push that sends blocks of counts of a day also sends the totals of that day, so that a
// reader with the blocks has their totals. If the day has no stored totals, for example
// because it is not over, the push computes them.

// eachTotals calls each with the totals of the days whose counts are sent.
func (p *Push) eachTotals(ctx context.Context, each func(row fleet.Row, deleted bool) error) error {
	t := &tx{ctx: ctx, conn: p.conn}
	days, err := p.daysOfCounts(t)
	if err != nil || len(days) == 0 {
		return err
	}
	kept, err := t.kept()
	if err != nil {
		return err
	}
	names := map[int64]string{}
	if err := t.each("SELECT id, text FROM names", nil, func(r *sql.Rows) error {
		var id int64
		var text string
		err := r.Scan(&id, &text)
		names[id] = text
		return err
	}); err != nil {
		return err
	}
	var all []series
	for _, day := range days {
		var data []byte
		_, err := t.one("SELECT data FROM segments WHERE kind = ? AND first = ?", []any{segmentTotals, day}, &data)
		if err == nil && data == nil {
			if all == nil {
				if all, err = t.allSeries(); err != nil {
					return err
				}
			}
			data, err = t.totalsOf(day, all)
		}
		if err != nil {
			return err
		}
		// If the day was pruned, the target may have blocks that no longer exist here.
		removed := day*minutesPerDay*store.MinuteMicros < kept.Counts.UnixMicro() && !kept.Counts.IsZero()
		row := make(fleet.Row, 1+totalColumns)
		row[0].Int = day
		if !removed {
			row, err = totalsRow(day, data, names)
		}
		if err == nil {
			err = each(row, removed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// daysOfCounts returns the days whose counts are sent.
func (p *Push) daysOfCounts(t *tx) (days []int64, err error) {
	query, args := "SELECT DISTINCT id / ? FROM counts ORDER BY 1", []any{24 * blocksPerHour}
	if p.state.whole(fleet.Totals) {
		kind := spooledOf(fleet.Counts).kind
		query, args = "SELECT DISTINCT id / ? FROM changes WHERE kind IN (?, ?) ORDER BY 1", append(args, kind, kind+deletedKind)
	}
	err = t.ints(query, args, func(v []int64) error {
		days = append(days, v[0])
		return nil
	})
	return days, err
}

// allSeries returns the series in the order of their ids.
func (t *tx) allSeries() (all []series, err error) {
	err = t.eachRow(seriesTable, store.Window{}, allColumns, func(b *block, _ []int64) error {
		all = slices.Grow(all, b.rows)
		for i := range b.rows {
			all = append(all, series{b.at(0, i), int32(b.at(1, i)), int32(b.at(2, i)), int32(b.at(3, i)),
				int32(b.at(4, i)), int32(b.at(5, i)), int32(b.at(6, i)), registry.Direction(b.at(7, i)),
				b.at(8, i) != 0})
		}
		return nil
	})
	return all, err
}

// totalsOf computes the totals of a day that has no stored totals.
func (t *tx) totalsOf(day int64, all []series) ([]byte, error) {
	last := int64(0)
	if n := len(all); n > 0 {
		last = all[n-1].id
	}
	sums := newDaySums(last)
	err := t.eachBlock("SELECT data FROM counts WHERE id >= ? AND id < ? ORDER BY id", []any{day * 24 * blocksPerHour, (day + 1) * 24 * blocksPerHour},
		allColumns, func(b *block) error {
			sums.add(b)
			return nil
		})
	return totals(all, foldRows(sums.rows)), err
}

// totalsRow decodes the totals of a day into lists.
func totalsRow(day int64, data []byte, names map[int64]string) (fleet.Row, error) {
	var b block
	if err := b.decode(data); err != nil {
		return nil, fmt.Errorf("totals of day %d: %w", day, err)
	}
	row := make(fleet.Row, 1+totalColumns)
	row[0].Int = day
	for c := range totalColumns {
		for i := range b.rows {
			if v := b.at(c, i); c == totalFormat || c == totalValue {
				row[1+c].Texts = append(row[1+c].Texts, names[v])
			} else {
				row[1+c].Ints = append(row[1+c].Ints, v)
			}
		}
	}
	return row, nil
}
