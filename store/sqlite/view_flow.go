package sqlite

import (
	"context"
	"slices"

	"mailfail/registry"
	"mailfail/store"
)

// The minutes of a view become no rows: there may be tens of millions of them, and Flow
// asks for them once. They pass to the sink as they arrive, and to a FlowSummer as sums for
// the windows before the last.

// The columns that ViewSource.Minutes reads.
const (
	minuteOrigin = iota // number of the origin, -1 for one that does not count
	minuteSeries        // id there
	minuteTime          // since 1970
	minuteRecipients
	minuteAccepted
	minuteSumColumns // the others are not needed for sums
	minuteDelivered  = iota - 1
	minuteSuspended
	minuteColumns
)

// viewedMinutes passes the counts of a view to the sink.
func (f *flow) viewedMinutes() error {
	before, rest := f.windows[:len(f.windows)-1], f.windows[len(f.windows)-1:]
	to, ok := f.to.(store.FlowSummer)
	if !ok || !f.onQuarters() {
		before, rest = nil, f.windows
	}
	if len(before) > 0 {
		s := &minuteSums{
			flow:       f,
			to:         to,
			recipients: make([]int64, len(f.numbers)),
			of:         make([]int32, len(f.numbers)),
			mailers:    map[[2]int32]int32{},
			length:     f.spans[len(before)][1] - f.spans[len(before)][0],
		}
		if err := f.eachArrived(before, minuteSumColumns, s.add); err != nil {
			return err
		}
		s.finish()
	}
	return f.eachArrived(rest, minuteColumns, f.arrived)
}

// onQuarters reports whether all windows have ends and begin with a quarter of an hour.
func (f *flow) onQuarters() bool {
	return !slices.ContainsFunc(f.windows, func(w store.Window) bool {
		return w.Since.IsZero() || w.Until.IsZero() ||
			mod(store.Minute(w.Since.UnixMicro()), minutesPerQuarter) != 0
	})
}

// eachArrived calls each with the minutes of some windows, some thousand rows at a time:
// as many columns as asked for.
func (f *flow) eachArrived(windows []store.Window, columns int, each func(readBlock)) error {
	var spans [][2]int64
	for _, w := range windows {
		since, until, err := f.view.countedWithin(f.ctx, w)
		switch last := len(spans) - 1; {
		case err != nil:
			return err
		case since >= until:
		case last >= 0 && spans[last][1] == since:
			spans[last][1] = until
		default:
			spans = append(spans, [2]int64{since, until})
		}
	}
	if len(spans) == 0 {
		return nil
	}
	return ahead(f.ctx, columns, func(ctx context.Context, each readColumns) error {
		return f.view.from.Minutes(ctx, spans, columns == minuteColumns, each)
	}).each(func(b readBlock) error {
		each(b)
		return nil
	})
}

// arrived passes rows to the sink.
func (f *flow) arrived(b readBlock) {
	rows := &f.rows
	rows.Place, rows.Minute = rows.Place[:0], rows.Minute[:0]
	columns := [...]*[]int64{&rows.Recipients, &rows.Accepted, &rows.Delivered, &rows.Suspended}
	for _, c := range columns {
		*c = (*c)[:0]
	}
	f.eachWanted(b, func(row int, series int64) {
		place, ok := f.place(series)
		if !ok {
			return
		}
		rows.Place = append(rows.Place, place)
		rows.Minute = append(rows.Minute, b.columns[minuteTime].Ints[row])
		for i, c := range columns {
			*c = append(*c, b.columns[minuteRecipients+i].Ints[row])
		}
	})
	rows.Failed, rows.Waiting, rows.Untried = nil, nil, nil
	if len(rows.Place) > 0 {
		f.to.AddCounts(rows)
	}
}

// eachWanted calls each with the rows that are not 0 and whose series was known when the
// question was asked.
func (f *flow) eachWanted(b readBlock, each func(row int, series int64)) {
	c := b.columns
	for row, origin := range c[minuteOrigin].Ints {
		if origin < 0 {
			continue
		}
		series := f.view.series.lookup(origin, c[minuteSeries].Ints[row])
		if series == 0 || series >= int64(len(f.numbers)) {
			continue
		}
		some := int64(0)
		for i := minuteRecipients; i < len(c); i++ {
			some |= c[i].Ints[row]
		}
		if some != 0 {
			each(row, series)
		}
	}
}

// minuteSums adds up the windows before the last.
type minuteSums struct {
	*flow
	to         store.FlowSummer
	recipients []int64 // by series
	of         []int32 // number of the mailer by series, plus 1; 0 unknown
	mailers    map[[2]int32]int32
	length     int64 // of the last window, in microseconds
	span       int   // index of the span of the last row
	open       []*openQuarter
	rows       store.FlowQuarters
}

// openQuarter is the mail of a quarter of an hour that is being added up.
type openQuarter struct {
	minute               int64
	recipients, accepted []int64 // by mailer
	used                 []int32
}

// mostOpen is how many quarters are added up at a time: rows come by hour, from a few parts
// of the table at once.
const mostOpen = 16

func (s *minuteSums) add(b readBlock) {
	c := b.columns
	s.eachWanted(b, func(row int, series int64) {
		s.recipients[series] += c[minuteRecipients].Ints[row]
		minute := c[minuteTime].Ints[row]
		at := minute * store.MinuteMicros
		if w := s.spans[s.span]; at < w[0] || at >= w[1] {
			if s.span = spanOf(s.spans, at); s.span < 0 {
				s.span = 0
				return
			}
		}
		if at >= s.spans[s.span][0]+s.length {
			return
		}
		if m := s.mailer(series); m >= 0 {
			s.quarter(minute-mod(minute, minutesPerQuarter)).add(m, c[minuteRecipients].Ints[row],
				c[minuteAccepted].Ints[row])
		}
	})
}

// mailer returns the number of the mail to which a series belongs, -1 for one that the
// filter excludes.
func (s *minuteSums) mailer(series int64) int32 {
	if n := s.of[series]; n != 0 {
		return max(n, 0) - 1
	}
	i, ok := s.cat.place(series)
	if !ok || !s.wanted[i] {
		s.of[series] = notWanted
		return -1
	}
	of := &s.cat.series[i]
	n, ok := s.mailers[[2]int32{of.host, of.sender}]
	if !ok {
		n = int32(len(s.mailers))
		s.mailers[[2]int32{of.host, of.sender}] = n
		s.to.AddMail(&store.FlowMail{
			Host:   registry.Foreign(s.cat.names[of.host]),
			Sender: registry.Foreign(s.cat.names[of.sender]),
		})
	}
	s.of[series] = n + 1
	return n
}

func (s *minuteSums) quarter(minute int64) *openQuarter {
	for i := range slices.Backward(s.open) {
		if s.open[i].minute == minute {
			return s.open[i]
		}
	}
	if len(s.open) == mostOpen {
		s.pass()
	}
	s.open = append(s.open, &openQuarter{minute: minute})
	return s.open[len(s.open)-1]
}

func (q *openQuarter) add(mail int32, recipients, accepted int64) {
	r, a := at(&q.recipients, int64(mail)), at(&q.accepted, int64(mail))
	if *r|*a == 0 {
		q.used = append(q.used, mail)
	}
	*r, *a = *r+recipients, *a+accepted
}

// pass passes the open quarters to the sink.
func (s *minuteSums) pass() {
	for _, q := range s.open {
		rows := &s.rows
		rows.Minute, rows.Mail = q.minute, q.used
		rows.Recipients, rows.Accepted = rows.Recipients[:0], rows.Accepted[:0]
		for _, m := range q.used {
			rows.Recipients = append(rows.Recipients, q.recipients[m])
			rows.Accepted = append(rows.Accepted, q.accepted[m])
		}
		if len(q.used) > 0 {
			s.to.AddQuarters(rows)
		}
	}
	s.open = s.open[:0]
}

// finish passes what was added up to the sink.
func (s *minuteSums) finish() {
	s.pass()
	var places []int32
	var numbers []int64
	for series, n := range s.recipients {
		if n == 0 {
			continue
		}
		if place, ok := s.place(int64(series)); ok {
			places, numbers = append(places, place), append(numbers, n)
		}
	}
	if len(places) > 0 {
		s.to.AddSums(places, numbers)
	}
}
