package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mailfail/store/fleet"
)

// Column holds the values of a column of some rows: numbers, or texts one after the other.
type Column struct {
	Ints []int64
	Text []byte
	Ends []int // of the texts
}

// text returns the text of a row.
func (c *Column) text(row int) []byte {
	from := 0
	if row > 0 {
		from = c.Ends[row-1]
	}
	return c.Text[from:c.Ends[row]]
}

// The columns that an engine puts before those that were asked for.
const (
	columnOrigin  = iota // number of the origin, -1 for one that does not count
	columnVersion        // of the row
	columnDeleted        // 1 if this version says that the row is gone
	columnFirst          // of those that were asked for
)

// seen records ids of rows, to find those of which there are several versions.
type seen struct {
	pages map[int64]*[seenPage / 64]uint64
	last  []seenAt // by origin
	twice map[int64]struct{}
}

type seenAt struct {
	number int64
	page   *[seenPage / 64]uint64
}

const seenPage = 1 << 15 // ids

// add records an id of a View, whose origin it has.
func (s *seen) add(origin, id int64) {
	number := id / seenPage
	at := at(&s.last, origin)
	if at.page == nil || at.number != number {
		at.number, at.page = number, s.pages[number]
		if at.page == nil {
			at.page = new([seenPage / 64]uint64)
			s.pages[number] = at.page
		}
	}
	word, bit := &at.page[id%seenPage/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		s.twice[id] = struct{}{}
	}
	*word |= bit
}

// versioned holds rows of blocks of which some may be outdated.
type versioned struct {
	blocks  []*block
	of      [][]int64 // version, by block and row; less than 0 if it says that the row is gone
	seen    seen
	deleted bool
}

func newVersioned() *versioned {
	return &versioned{seen: seen{pages: map[int64]*[seenPage / 64]uint64{}, twice: map[int64]struct{}{}}}
}

// current returns the blocks without the rows that are outdated, or gone.
func (v *versioned) current() []*block {
	if len(v.seen.twice) == 0 && !v.deleted {
		return v.blocks
	}
	newest := make(map[int64]int64, len(v.seen.twice))
	for i, b := range v.blocks {
		for row, id := range b.cols[0] {
			if _, ok := v.seen.twice[id]; !ok {
				continue
			}
			version, known := newest[id]
			if n := v.of[i][row]; !known || abs(n) > abs(version) {
				newest[id] = n
			}
		}
	}
	for i, b := range v.blocks {
		row := -1
		b.keep(nil, 0, nil, func(int) bool {
			row++
			id, version := b.cols[0][row], v.of[i][row]
			if _, ok := v.seen.twice[id]; ok {
				if newest[id] != version {
					return false
				}
				newest[id] = 0 // the same version may have been sent twice
			}
			return version >= 0
		})
	}
	return v.blocks
}

func abs(n int64) int64 { return max(n, -n) }

// asked is a question for columns whose answer is read in the background.
type asked struct {
	blocks chan readBlock
	free   chan []Column
	err    chan error
	stop   context.CancelFunc
}

type readBlock struct {
	rows    int
	columns []Column
}

// readColumns takes a function that reads some rows into columns.
type readColumns = func(read func(columns []Column) (rows int, err error)) error

// ask starts to read some columns of a table.
func (v *View) ask(ctx context.Context, t *fleet.Table, names []string, q RowsQuery) *asked {
	return ahead(ctx, columnFirst+len(names), func(ctx context.Context, each readColumns) error {
		return v.from.Columns(ctx, t, names, q, each)
	})
}

// ahead starts to read a number of columns.
func ahead(ctx context.Context, columns int, question func(context.Context, readColumns) error) *asked {
	const ahead = 2
	ctx, stop := context.WithCancel(ctx)
	a := &asked{make(chan readBlock, ahead), make(chan []Column, ahead+2), make(chan error, 1), stop}
	for range cap(a.free) {
		a.free <- make([]Column, columns)
	}
	go func() {
		defer close(a.blocks)
		err := question(ctx, func(read func([]Column) (int, error)) error {
			for {
				columns := <-a.free
				rows, err := read(columns)
				if err != nil {
					return err
				}
				select {
				case a.blocks <- readBlock{rows, columns}:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		if errors.Is(err, io.EOF) {
			err = nil
		}
		a.err <- err
	}()
	return a
}

// each calls f with the blocks of an answer, each valid until f returns.
func (a *asked) each(f func(readBlock) error) error {
	var err error
	for r := range a.blocks {
		if err == nil {
			err = f(r)
		}
		if err != nil {
			a.stop()
		}
		a.free <- r.columns
	}
	a.stop()
	return cmp.Or(err, <-a.err)
}

// askFor starts to read the rows of a table from which segments are made.
func (v *View) askFor(ctx context.Context, t *fleet.Table, s span) *asked {
	q := RowsQuery{Within: true, Since: s.from, Until: s.to}
	return v.ask(ctx, t, strings.Fields(segmentsOf[t].columns), q)
}

// take converts an answer into blocks of segments.
func (v *View) take(t *fleet.Table, a *asked) error {
	s, all := segmentsOf[t], newVersioned()
	var into *block
	var versions []int64
	flush := func() {
		if into != nil && into.rows > 0 {
			all.blocks, all.of = append(all.blocks, into), append(all.of, versions)
		}
		into, versions = nil, nil
	}
	err := a.each(func(r readBlock) (err error) {
		if into == nil {
			into = &block{cols: make([][]int64, s.width)}
		}
		versions, err = v.convert(t, r, into, versions, all)
		if int64(into.rows) >= segmentMax {
			flush()
		}
		return err
	})
	flush()
	if err == nil {
		v.blocks[s.kind] = append(v.blocks[s.kind], all.current()...)
	}
	return err
}

// convert appends rows to a block, with ids of this view, and their versions.
func (v *View) convert(t *fleet.Table, r readBlock, into *block, versions []int64,
	all *versioned) ([]int64, error) {
	origins, deleted := r.columns[columnOrigin].Ints, r.columns[columnDeleted].Ints
	c := r.columns[columnFirst:]
	var rows []int
	for row, origin := range origins {
		if origin < 0 {
			continue
		}
		rows = append(rows, row)
		version := r.columns[columnVersion].Ints[row]
		if deleted[row] != 0 {
			version, all.deleted = -version, true
		}
		versions = append(versions, version)
		all.seen.add(origin, viewID(origin, c[0].Ints[row]))
	}
	into.rows += len(rows)
	add := func(column int, value func(row int) int64) {
		list := slices.Grow(into.cols[column], len(rows))
		for _, row := range rows {
			list = append(list, value(row))
		}
		into.cols[column] = list
	}
	plain := func(column int) func(int) int64 { return func(row int) int64 { return c[column].Ints[row] } }
	id := func(column int) func(int) int64 {
		return func(row int) int64 { return viewID(origins[row], c[column].Ints[row]) }
	}
	series := func(column int) func(int) int64 {
		return func(row int) int64 { return v.series.id(origins[row], c[column].Ints[row]) }
	}
	cause := func(column int) func(int) int64 {
		return func(row int) int64 { return v.cause(origins[row], c[column].Ints[row]) }
	}
	var err error
	add(0, id(0))
	add(1, plain(1))
	switch t {
	case fleet.Attempts: // id time recipient series cause outcome first exact
		add(attemptRecipient, id(2))
		add(attemptSeries, series(3))
		add(attemptCause, cause(4))
		add(attemptFlags, func(row int) int64 {
			flags := c[5].Ints[row] + firstBit*c[6].Ints[row]
			if c[7].Ints[row] != 0 {
				flags += exactBit
			}
			return flags
		})
	case fleet.Recipients: // id first_seen last_seen final_at state troubled series cause exact_cause
		add(recipientLast, func(row int) int64 { return c[2].Ints[row] - c[1].Ints[row] })
		add(recipientFinal, func(row int) int64 {
			if c[3].Ints[row] == 0 {
				return 0
			}
			return c[2].Ints[row] - c[3].Ints[row]
		})
		add(recipientFlags, func(row int) int64 { return c[4].Ints[row] + 8*c[5].Ints[row] })
		add(recipientSeries, series(6))
		add(recipientCause, func(row int) int64 {
			if exact := c[8].Ints[row]; exact != 0 {
				return v.cause(origins[row], exact)
			}
			return v.cause(origins[row], c[7].Ints[row])
		})
	case fleet.Rejections: // id time series cause n sender_domain recipient client_ip
		add(2, series(2))
		add(3, cause(3))
		add(4, plain(4))
		add(5, func(row int) int64 {
			id, e := v.w.Name(c[5].text(row))
			err = cmp.Or(err, e)
			return id
		})
		for _, column := range []int{6, 7} {
			add(column, func(row int) int64 {
				if text := c[column].text(row); len(text) > 0 {
					return int64(hash64(string(text)))
				}
				return 0
			})
		}
	}
	for i := range into.cols {
		if into.cols[i] != nil && len(into.cols[i]) != into.rows {
			return versions, fmt.Errorf("rows of %s: %w", t.Name, errBlock)
		}
	}
	return versions, err
}
