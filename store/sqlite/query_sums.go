package sqlite

import (
	"context"

	"mailfail/store"
	"mailfail/store/fleet"
)

// Sums counts the events of a window as a whole.
func (q *reader) Sums(ctx context.Context, w store.Window, f store.Filter) (s *store.Sums, err error) {
	err = q.read(ctx, func(t *tx) error {
		if f.OfCause() {
			n, err := t.numbers(w.Minutes(), f, []store.Dimension{})
			if err == nil {
				s = n.Sums()
			}
			return err
		}
		s, err = t.sums(w.Minutes(), f)
		return err
	})
	return s, err
}

// The places to which a summer adds.
const (
	sumOfAll = iota
	sumOfOwn // messages that servers made themselves
)

// summer adds up to two places.
type summer struct {
	*counter
	places []int32 // by series, plus 1; 0: not wanted
	sums   *placeSums
}

func (t *tx) sums(w store.Window, f store.Filter) (*store.Sums, error) {
	if err := t.need(w, fleet.Attempts, fleet.Recipients, fleet.Rejections); err != nil {
		return nil, err
	}
	counts := t.countsAsked(w, &f, nil)
	counts.dimension = 0
	if err := t.needCounts(counts); err != nil {
		return nil, err
	}
	cat, err := t.catalog()
	if err != nil {
		return nil, err
	}
	s := &summer{counter: &counter{tx: t, cat: cat, window: w, asked: f, numbers: &store.Numbers{}}}
	if err := s.choose(); err != nil {
		return nil, err
	}
	s.sums = newPlaceSums(sumOfOwn + 1)
	s.places, s.failed = s.sumPlaces(), make([]int64, len(s.causes))
	for _, step := range []func() error{s.lines, s.counts, s.recipients, s.rejections} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s.finish(), nil
}

// sumPlaces returns the places to which series add, by id of series, plus 1; 0 none.
func (c *counter) sumPlaces() []int32 {
	if c.shared != nil {
		if last := c.shared.sums.Load(); last != nil && last.of == c.of {
			return last.places
		}
	}
	places := make([]int32, len(c.cat.places))
	for id, place := range c.cat.places {
		switch {
		case place == 0:
		case c.wanted[place-1]:
			places[id] = sumOfAll + 1
		case c.own[place-1]:
			places[id] = sumOfOwn + 1
		}
	}
	if c.shared != nil {
		c.shared.sums.Store(&sumPlaces{c.of, places})
	}
	return places
}

// sumPlaces holds the result of the function of that name for a choice.
type sumPlaces struct {
	of     string
	places []int32
}

func (s *summer) counts() error {
	return s.sumCounts(s.places, s.sums, func(r *totalRow) {
		place := sumOfAll
		if r.own {
			place = sumOfOwn
		}
		if r.dimension == 0 {
			for f, n := range r.n {
				s.sums.field(f)[place] += n
			}
		}
	})
}

// at returns the place to which a series adds, -1 if the filter excludes the series.
func (s *summer) at(series int32) int {
	if uint32(series) >= uint32(len(s.places)) {
		return -1
	}
	return int(s.places[series]) - 1
}

func (s *summer) recipients() error {
	rows, err := s.readRecipients()
	if err != nil {
		return err
	}
	list, deferred, err := s.livingRecipients(rows, func(b *block, _ []int32) {
		for i, series := range b.cols[attemptSeries] {
			place, cause := s.at(int32(series)), b.cols[attemptCause][i]
			switch {
			case place < 0 || cause == 0 || s.cause(cause) == nil:
			case b.cols[attemptFlags][i]&outcomeBits == attemptDeferred:
				s.sums.deferrals[place]++
			default:
				s.sums.failures[place]++
			}
		}
	})
	if err != nil {
		return err
	}
	for i := range list.rows {
		r := &list.rows[i]
		place, state := s.at(r.series), r.state()
		if place < 0 {
			continue
		}
		s.sums.addRecipient(place, state, deferred[i])
		if k := s.cause(r.cause()); place == sumOfAll && k.failed(state) {
			s.failed[k.id]++
		}
	}
	return nil
}

func (s *summer) rejections() error {
	t := &s.numbers.Totals
	return s.eachWantedRejection(func(r *refusedMail, _ int, k *cause) {
		if store.IsTemporary(k.reply, k.enhanced) {
			t.RejectedTemporary += r.n
		} else {
			t.Rejected += r.n
		}
	})
}

func (s *summer) finish() *store.Sums {
	n, all, own := s.numbers, s.sums.countsAt(sumOfAll), s.sums.countsAt(sumOfOwn)
	addCounts(&n.Totals, &all)
	s.sums.addRows(sumOfAll, &n.Totals)
	addCounts(&n.OwnBounces, &own)
	s.sums.addRecipients(sumOfOwn, &n.OwnBounces)
	sums := &store.Sums{
		Totals:     n.Totals,
		Messages:   all[fieldMessages],
		Accepted:   all[fieldAccepted],
		OwnBounces: n.OwnBounces,
		Lines:      n.Lines,
		Failed:     map[string]int64{},
	}
	for id, failed := range s.failed {
		if failed > 0 {
			sums.Failed[s.cause(int64(id)).reason] += failed
		}
	}
	return sums
}
