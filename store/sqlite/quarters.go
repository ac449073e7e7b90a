package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailfail/registry"
	"mailfail/store"
)

// Reports find the usual mail at a time of day from the mail of each sender at a host, by
// quarters of an hour, over weeks. The Writer keeps these sums for days that are over, in a
// block an hour: they are far fewer than minutes of series. The blocks are stored among the
// segments, with their hour in place of ids. They are written and removed together with the
// sums of days. They do not include messages that servers made themselves.
const (
	quarterFormat = iota
	quarterHost
	quarterSender
	quarterRecipients                                       // four quarters
	quarterAccepted   = quarterRecipients + quartersPerHour // likewise
	quarterColumns    = quarterAccepted + quartersPerHour
)

const (
	minutesPerQuarter = 15
	quartersPerHour   = 60 / minutesPerQuarter
)

// mailer identifies a sender's domain at a host.
type mailer struct{ format, host, sender int64 }

func (m mailer) compare(o mailer) int {
	return cmp.Or(cmp.Compare(m.format, o.format), cmp.Compare(m.host, o.host),
		cmp.Compare(m.sender, o.sender))
}

// quarterSums adds up the hours of a day.
type quarterSums struct {
	series  []series // all
	mailers []mailer
	of      []int32 // number of the mailer by series, plus 1
	sums    [][2 * quartersPerHour]int64
	used    []int32 // mailers of the hour
}

// newQuarterSums reads the series, and assigns a mailer to each.
func (w *Writer) newQuarterSums() (*quarterSums, error) {
	q := &quarterSums{of: make([]int32, w.lastID["series"]+1)}
	numbers := map[mailer]int32{}
	t := &tx{ctx: context.Background(), conn: w.conn}
	var err error
	if q.series, err = t.allSeries(); err != nil {
		return nil, err
	}
	for i := range q.series {
		s := &q.series[i]
		if s.own {
			continue
		}
		m := mailer{int64(s.format), int64(s.host), int64(s.sender)}
		n, ok := numbers[m]
		if !ok {
			n = int32(len(q.mailers))
			numbers[m], q.mailers = n, append(q.mailers, m)
		}
		*at(&q.of, s.id) = n + 1
	}
	q.sums = make([][2 * quartersPerHour]int64, len(q.mailers))
	return q, nil
}

// at returns an element of a list, which grows as needed.
func at[T any](list *[]T, i int64) *T {
	if more := int(i) + 1 - len(*list); more > 0 {
		*list = append(*list, make([]T, more)...)
	}
	return &(*list)[i]
}

// add adds a block of counts.
func (q *quarterSums) add(b *block) {
	for i := range b.rows {
		id := b.at(countSeries, i)
		recipients, accepted := b.at(countFields+fieldRecipients, i), b.at(countFields+fieldAccepted, i)
		if recipients|accepted == 0 || uint64(id) >= uint64(len(q.of)) || q.of[id] == 0 {
			continue
		}
		m := q.of[id] - 1
		sum, quarter := &q.sums[m], b.at(countMinute, i)/minutesPerQuarter
		if *sum == [2 * quartersPerHour]int64{} {
			q.used = append(q.used, m)
		}
		sum[quarter] += recipients
		sum[quartersPerHour+quarter] += accepted
	}
}

// flush returns the block of the hour that was added up, and resets the sums.
func (q *quarterSums) flush() []byte {
	slices.SortFunc(q.used, func(a, b int32) int { return q.mailers[a].compare(q.mailers[b]) })
	q.used = slices.Compact(q.used)
	cols := make([][]int64, quarterColumns)
	for _, n := range q.used {
		m := q.mailers[n]
		for i, v := range append([]int64{m.format, m.host, m.sender}, q.sums[n][:]...) {
			cols[i] = append(cols[i], v)
		}
		q.sums[n] = [2 * quartersPerHour]int64{}
	}
	q.used = q.used[:0]
	return appendBlock(nil, cols...)
}

// putQuarters writes the sums of an hour.
func (w *Writer) putQuarters(hour int64, q *quarterSums) {
	low := hour * 60 * store.MinuteMicros
	w.sink.exec("INSERT OR REPLACE INTO segments VALUES (?,?,?,?,?,?)", segmentQuarters, hour, hour, low, low+60*store.MinuteMicros-1, q.flush())
}

// dropSums removes the sums of a day.
func (w *Writer) dropSums(day int64) {
	w.sink.exec("DELETE FROM days WHERE day = ?", day)
	w.sink.exec("DELETE FROM segments WHERE kind = ? AND first = ?", segmentTotals, day)
	w.sink.exec("DELETE FROM segments WHERE kind = ? AND first BETWEEN ? AND ?", segmentQuarters, day*24, day*24+23)
	w.sink.exec("DELETE FROM segments WHERE kind = ? AND first BETWEEN ? AND ?", segmentHours, hoursID(day, 0, 0), hoursID(day+1, 0, 0)-1)
}

// summedDays returns the days for which all sums are stored.
func (t *tx) summedDays(since, until int64) (map[int64]bool, error) {
	days := map[int64]bool{}
	err := t.ints(`SELECT day FROM days WHERE day BETWEEN ? AND ?
		AND 24 = (SELECT count(*) FROM segments WHERE kind = ? AND first BETWEEN 24 * day AND 24 * day + 23)`,
		[]any{floorDiv(since, minutesPerDay), floorDiv(until-1, minutesPerDay), segmentQuarters},
		func(v []int64) error {
			days[v[0]] = true
			return nil
		})
	return days, err
}

// summary passes sums of the windows before the last to a sink, and those of the last one
// to a FlowDeferrer.
type summary struct {
	*flow
	to      store.FlowSummer
	length  int64 // minutes of the last window
	mailers map[mailer]int32
	quarter store.FlowQuarters
	mails   int32
	rows    []numbered // of the last hour
	spare   []numbered // room for the next
}

// recipientSums adds up recipients by series, and suspensions.
type recipientSums struct {
	recipients, suspended []int64 // suspended may be nil: not needed
}

// summarize passes the sums that are stored to a sink, and returns the spans of minutes for
// which there are none. Sums are stored by sender and host only: other filters need the
// minutes.
func (f *flow) summarize(to store.FlowSummer) (rest []store.Window, err error) {
	before, last := f.windows[:len(f.windows)-1], f.windows[len(f.windows)-1]
	s := &summary{
		flow:    f,
		to:      to,
		mailers: map[mailer]int32{},
		length:  store.Minute(last.Until.UnixMicro()) - store.Minute(last.Since.UnixMicro()),
	}
	if len(before) == 0 || len(f.filter.Domains)+len(f.filter.Providers)+len(f.filter.Directions) > 0 {
		return f.windows, nil
	}
	for _, w := range f.windows {
		if w.Since.IsZero() || w.Until.IsZero() ||
			mod(store.Minute(w.Since.UnixMicro()), minutesPerQuarter) != 0 {
			return f.windows, nil
		}
	}
	since, until, err := f.minutes(store.Window{Since: before[0].Since, Until: last.Until})
	if err != nil || since >= until {
		return f.windows, err
	}
	summed, err := f.summedDays(since, until)
	if err != nil {
		return nil, err
	}
	days := map[int64]bool{}
	var c cover
	for day := floorDiv(since, minutesPerDay); day*minutesPerDay < until; day++ {
		switch periods := periodsOf(s.spans[:len(s.spans)-1], day); {
		case !summed[day]:
			rest = append(rest, periods...)
		case len(periods) > 0:
			days[day] = true
			c.add(day, true, together(periods))
		}
	}
	sums := &recipientSums{recipients: make([]int64, len(f.numbers))}
	if err := s.eachSum(&c, sums.columns(), sums.add); err != nil {
		return nil, err
	}
	parts, unsummed := s.partsOfLast(summed)
	deferrer, ok := to.(store.FlowDeferrer)
	if !ok {
		parts, unsummed = nil, []store.Window{last}
	}
	if err := s.quarters(days, parts); err != nil {
		return nil, err
	}
	if places, numbers := s.byPlace(sums); len(places) > 0 {
		to.AddSums(places, numbers)
	}
	if len(parts) > 0 {
		if err := s.putOff(deferrer, parts); err != nil {
			return nil, err
		}
	}
	return append(rest, unsummed...), nil
}

// partsOfLast splits the last window into parts for which there are sums, each most of a
// day, and the others. Sums cover whole quarters of an hour only.
func (s *summary) partsOfLast(summed map[int64]bool) (parts, others []store.Window) {
	span := s.spans[len(s.spans)-1]
	first, end := floorDiv(store.Minute(span[0]), minutesPerDay), store.Minute(span[1])
	for day := first; day*minutesPerDay < end; day++ {
		for _, w := range periodsOf([][2]int64{span}, day) {
			minutes := store.Minute(w.Until.UnixMicro()) - store.Minute(w.Since.UnixMicro())
			if summed[day] && 2*minutes > minutesPerDay &&
				mod(store.Minute(w.Until.UnixMicro()), minutesPerQuarter) == 0 {
				parts = append(parts, w)
			} else {
				others = append(others, w)
			}
		}
	}
	return parts, others
}

// putOff passes the sums of parts of the last window to a sink; the minutes follow on
// request.
func (s *summary) putOff(to store.FlowDeferrer, parts []store.Window) error {
	sums := &recipientSums{make([]int64, len(s.numbers)), make([]int64, len(s.numbers))}
	var c cover
	for _, w := range parts {
		c.add(floorDiv(store.Minute(w.Since.UnixMicro()), minutesPerDay), true, together([]store.Window{w}))
	}
	if err := s.eachSum(&c, sums.columns(), sums.add); err != nil {
		return err
	}
	places, numbers := s.byPlace(sums)
	f := s.flow
	to.AddLast(places, numbers, func(each func(*store.FlowRows)) error {
		return f.read(func() error { return f.eachMinute(parts, f.numbers, each) })
	})
	suspended, any := make([]bool, len(s.places.keys)), false
	for id, n := range sums.suspended {
		if n != 0 {
			if place, ok := s.place(int64(id)); ok {
				*at(&suspended, int64(place)), any = true, true
			}
		}
	}
	if !any {
		return nil
	}
	return s.eachMinute(parts, s.among(suspended), to.AddSuspended)
}

// among returns the numbers of places by series, plus 1, for the places that are set in a
// list; notWanted for the others.
func (s *summary) among(places []bool) []int32 {
	list := make([]int32, len(s.numbers))
	for i := range s.cat.series {
		of := &s.cat.series[i]
		if list[of.id] = notWanted; !s.wanted[i] {
			continue
		}
		if n := s.places.slots[s.places.slot(of.flowKey())]; n > 0 && int(n) <= len(places) && places[n-1] {
			list[of.id] = n
		}
	}
	return list
}

// eachMinute calls each with the minutes of some windows.
func (f *flow) eachMinute(windows []store.Window, numbers []int32, each func(*store.FlowRows)) error {
	for _, w := range windows {
		err := f.eachCounts(w, true, allColumns&^(1<<countCause),
			func(b *block, first, since, until int64) error {
				f.block(b, first, since, until, numbers, each)
				return nil
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// periodsOf returns the parts of some spans that lie in a day.
func periodsOf(spans [][2]int64, day int64) (list []store.Window) {
	for _, w := range spans {
		since, until := max(store.Minute(w[0]), day*minutesPerDay),
			min(store.Minute(w[1]), (day+1)*minutesPerDay)
		if since < until {
			list = append(list, store.Window{
				Since: time.UnixMicro(since * store.MinuteMicros),
				Until: time.UnixMicro(until * store.MinuteMicros),
			})
		}
	}
	return list
}

// together returns periods as pieces of span 0, and joins adjacent ones.
func together(periods []store.Window) (list []piece) {
	for _, w := range periods {
		since, until := store.Minute(w.Since.UnixMicro()), store.Minute(w.Until.UnixMicro())
		if n := len(list); n > 0 && list[n-1].until == since {
			list[n-1].until = until
		} else {
			list = append(list, piece{since, until, 0})
		}
	}
	return list
}

func (s *recipientSums) columns() columns {
	list := columns(1<<countSeries | 1<<countMinute | 1<<(countFields+fieldRecipients))
	if s.suspended != nil {
		list |= 1 << (countFields + fieldSuspended)
	}
	return list
}

// add adds the rows of a block that lie between since and until, or subtracts them if sign
// is -1.
func (s *recipientSums) add(b *block, first, since, until, _, sign int64) error {
	series, minutes := b.cols[countSeries], b.cols[countMinute]
	sum := func(sums, column []int64) {
		for i, n := range column {
			if id := series[i]; uint64(id) < uint64(len(sums)) &&
				(minutes == nil || first+minutes[i] >= since && first+minutes[i] < until) {
				sums[id] += sign * n
			}
		}
	}
	sum(s.recipients, b.cols[countFields+fieldRecipients])
	sum(s.suspended, b.cols[countFields+fieldSuspended])
	return nil
}

// byPlace returns the places with recipients, and their numbers of recipients.
func (s *summary) byPlace(sums *recipientSums) (places []int32, numbers []int64) {
	places, numbers = make([]int32, 0, len(s.cat.series)), make([]int64, 0, len(s.cat.series))
	for id, n := range sums.recipients {
		if n == 0 {
			continue
		}
		if place, ok := s.place(int64(id)); ok {
			places, numbers = append(places, place), append(numbers, n)
		}
	}
	return places, numbers
}

// quarters passes the mail of senders to the sink: in the first part of each window, which
// is as long as the last window, and in parts of the last one. days are those with stored
// sums.
func (s *summary) quarters(days map[int64]bool, parts []store.Window) error {
	var hours []int64
	for i := range s.spans[:len(s.spans)-1] {
		since, until := store.Minute(s.spans[i][0]), store.Minute(s.spans[i][1])
		for hour := floorDiv(since, 60); hour*60 < min(until, since+s.length); hour++ {
			if days[floorDiv(hour, 24)] {
				hours = append(hours, hour)
			}
		}
	}
	spans := slices.Clone(s.spans[:len(s.spans)-1])
	for _, w := range parts {
		since, until := w.Micros()
		spans = append(spans, [2]int64{since, until})
		for hour := floorDiv(store.Minute(since), 60); hour*60 < store.Minute(until); hour++ {
			hours = append(hours, hour)
		}
	}
	slices.Sort(hours)
	hours = slices.Compact(hours)
	i := 0
	return s.eachBlock("SELECT data FROM segments WHERE kind = ? AND first IN (SELECT value FROM json_each(?)) ORDER BY first", []any{segmentQuarters, list(hours)}, allColumns,
		func(b *block) error {
			s.hour(hours[i], b, func(minute int64) bool {
				return spanOf(spans, minute*store.MinuteMicros) >= 0
			})
			i++
			return nil
		})
}

// numbered is a mailer and its number, -1 if the filter excludes it.
type numbered struct {
	mailer
	number int32
}

// number returns the mailers of a block, which are sorted. Most of them occurred in the
// hour before, in the same order.
func (s *summary) number(b *block) []numbered {
	rows, before := s.spare[:0], s.rows
	for i := range b.rows {
		m := mailer{b.at(quarterFormat, i), b.at(quarterHost, i), b.at(quarterSender, i)}
		for len(before) > 0 && before[0].compare(m) < 0 {
			before = before[1:]
		}
		if len(before) > 0 && before[0].mailer == m {
			rows = append(rows, before[0])
		} else {
			rows = append(rows, numbered{m, s.mailer(m)})
		}
	}
	s.spare, s.rows = s.rows, rows
	return rows
}

// hour passes the quarters of an hour that lie within the wanted spans to the sink.
func (s *summary) hour(hour int64, b *block, within func(minute int64) bool) {
	mailers := s.number(b)
	for q := range int64(quartersPerHour) {
		minute := hour*60 + q*minutesPerQuarter
		if !within(minute) {
			continue
		}
		rows := &s.quarter
		rows.Minute, rows.Mail, rows.Recipients, rows.Accepted = minute, rows.Mail[:0], rows.Recipients[:0],
			rows.Accepted[:0]
		for i := range b.rows {
			recipients, accepted := b.at(quarterRecipients+int(q), i), b.at(quarterAccepted+int(q), i)
			if recipients|accepted == 0 {
				continue
			}
			if m := mailers[i].number; m >= 0 {
				rows.Mail, rows.Recipients, rows.Accepted = append(rows.Mail, m),
					append(rows.Recipients, recipients), append(rows.Accepted, accepted)
			}
		}
		if len(rows.Mail) > 0 {
			s.to.AddQuarters(rows)
		}
	}
}

// mailer returns the number of a mailer, -1 if the filter excludes it.
func (s *summary) mailer(m mailer) int32 {
	n, ok := s.mailers[m]
	if !ok {
		n = -1
		format, host, sender := s.cat.name(m.format), s.cat.name(m.host), s.cat.name(m.sender)
		if like := (&series{
			format: format,
			host:   host,
			sender: sender,
			domain: emptyName,
			relay:  emptyName,
		}); s.filter.matchSeries(s.cat, like) {
			n = s.mails
			s.mails++
			s.to.AddMail(&store.FlowMail{
				Host:   registry.Foreign(s.cat.names[host]),
				Sender: registry.Foreign(s.cat.names[sender]),
			})
		}
		s.mailers[m] = n
	}
	return n
}
