package investigate

import (
	"cmp"
	"math"
	"slices"
	"time"

	"mailfail/registry"
)

// Mail that never came leaves no line. The engine finds it by comparing the mail of
// each quarter of an hour with that of the same hours on the days before.
const (
	quarter    = 15 // minutes
	leastZ     = 4.0
	overOthers = 1.4  // times the second highest z of the days before
	mostLeft   = 0.72 // of the expected mail, for mail to be missing
	leastHole  = 10   // recipients
	holeShare  = 0.01 // of the recipients of the window
	silentZ    = 5.0  // of a sender that is silent
	silentLeft = 0.1  // of the mail expected of it
	levelPrior = 40   // recipients outside of the hole that the level of the day is taken from
	hourSpread = 0.04 // squared variation of an hour's mail from day to day
)

// stream is the mail of a sender's domain at a host.
type stream struct {
	host, sender registry.Foreign
	others       bool        // it stands for all senders with little mail
	today        []float64   // of the window, by quarter
	hours        []float64   // of the days before, by day and hour
	days         [][]float64 // the same by day and quarter; filled when asked for
	flows        []int32     // of mail
	usual        []float64   // expected in the window
	usualDays    int
}

// volume holds the streams of a site.
type volume struct {
	data     *Data
	quarters int
	streams  []*stream
	kind     [][]bool // by day and hour: whether it is a weekend's
	// recipients that were tried, by host, for hosts whose accepted mail is known
	tried    map[registry.Foreign]*stream
	of       []*stream // by flow
	triedOf  []*stream // likewise in tried
	expanded bool      // days are filled
}

// newVolume adds up the messages that came into the queue or, when the logs do not
// report that, the recipients at the first attempt. Senders with little mail share a
// stream.
func newVolume(d *Data) *volume {
	v := &volume{data: d, quarters: d.quarters(), tried: map[registry.Foreign]*stream{}}
	reports := d.mail.reporting()
	much := d.mail.frequent(leastHole*float64(len(d.Days)+1), reports)
	byName := map[mailFlow]*stream{}
	v.of, v.triedOf = make([]*stream, len(d.mail.flows)), make([]*stream, len(d.mail.flows))
	for i, f := range d.mail.flows {
		if reports[f.host] {
			if v.tried[f.host] == nil {
				v.tried[f.host] = v.newStream(f.host, "")
			}
			v.triedOf[i] = v.tried[f.host].with(int32(i))
		}
		if f.sender == "<>" {
			continue
		}
		name := f
		if !much[f.sender] {
			name.sender = "<>" // a free key: bounces have no stream
		}
		s := byName[name]
		if s == nil {
			s = v.newStream(f.host, f.sender)
			s.others = !much[f.sender]
			byName[name] = s
			v.streams = append(v.streams, s)
		}
		v.of[i] = s.with(int32(i))
	}
	// A fleet's mail comes in any order, on which the last digit of a sum depends.
	slices.SortStableFunc(v.streams, func(a, b *stream) int {
		return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(one(a.others), one(b.others)),
			cmp.Compare(a.sender, b.sender))
	})
	v.fill()
	v.weekends()
	if d.has(partHolidays) {
		v.rest()
	}
	return v
}

// fill moves the mail of flows to their streams: of the window by quarters, of the
// days before by hours.
func (v *volume) fill() {
	today, perDay := int32(len(v.data.Days)), int32(v.hoursOfDay())
	v.eachMail(func(streams []*stream, at int32, n []int32) {
		day, quarter := at/int32(v.quarters), at%int32(v.quarters)
		hour := day*perDay + quarter/4
		for i, n := range n {
			switch s := streams[i]; {
			case n == 0 || s == nil:
			case day == today:
				s.today[quarter] += float64(n)
			default:
				s.hours[hour] += float64(n)
			}
		}
	})
}

// expand fills the quarters of the days before.
func (v *volume) expand() {
	if v.expanded {
		return
	}
	v.expanded = true
	days := len(v.data.Days)
	for _, s := range v.streams {
		s.days = slices.Collect(slices.Chunk(make([]float64, days*v.quarters), v.quarters))
	}
	for _, s := range v.tried {
		s.days = slices.Collect(slices.Chunk(make([]float64, days*v.quarters), v.quarters))
	}
	v.eachMail(func(streams []*stream, at int32, n []int32) {
		day, quarter := int(at)/v.quarters, int(at)%v.quarters
		for i, n := range n {
			if s := streams[i]; n != 0 && s != nil && day < days {
				s.days[day][quarter] += float64(n)
			}
		}
	})
}

// eachMail calls add with the mail of a quarter of an hour by flow, and with the stream
// of each flow, nil for none: the accepted mail when it is known, else the mail that
// was tried.
func (v *volume) eachMail(add func(streams []*stream, at int32, n []int32)) {
	m := &v.data.mail
	tried, came := slices.Clone(v.of), make([]*stream, len(v.of))
	for flow, s := range v.triedOf {
		if s != nil {
			tried[flow], came[flow] = s, v.of[flow]
		}
	}
	m.tried.each(func(at, flow int32, n []int32) { add(tried[flow:], at, n) })
	m.came.each(func(at, flow int32, n []int32) { add(came[flow:], at, n) })
}

// hoursOfDay returns how many hours of a day are compared. The last one may be
// incomplete.
func (v *volume) hoursOfDay() int { return (v.quarters + 3) / 4 }

// frequent returns the senders with at least so much mail: accepted mail on hosts that
// report it, else mail that was tried.
func (m *mail) frequent(least float64, reports map[registry.Foreign]bool) map[registry.Foreign]bool {
	sums, much := map[registry.Foreign]float64{}, map[registry.Foreign]bool{}
	for flow, n := range m.tried.total() {
		if !reports[m.flows[flow].host] {
			sums[m.flows[flow].sender] += float64(n)
		}
	}
	for flow, n := range m.came.total() {
		if reports[m.flows[flow].host] {
			sums[m.flows[flow].sender] += float64(n)
		}
	}
	for sender, n := range sums {
		much[sender] = n >= least
	}
	return much
}

func (v *volume) newStream(host, sender registry.Foreign) *stream {
	return &stream{
		host:   host,
		sender: sender,
		today:  make([]float64, v.quarters),
		hours:  make([]float64, len(v.data.Days)*v.hoursOfDay()),
	}
}

// with adds a flow to s, and returns s.
func (s *stream) with(flow int32) *stream {
	s.flows = append(s.flows, flow)
	return s
}

// minutes returns the minutes of the window in which mail of streams came, a
// minute as often as there were places with it.
func (v *volume) minutes(streams []*stream) (minutes []int64) {
	m := &v.data.mail
	tried, accepted := make([]bool, len(m.flows)), make([]bool, len(m.flows))
	for _, s := range streams {
		for _, f := range s.flows {
			if v.tried[s.host] != nil && v.tried[s.host] != s {
				accepted[f] = true
			} else {
				tried[f] = true
			}
		}
	}
	v.data.times()
	v.data.arrivals.each(func(a *arrival) {
		if tried[m.ofPlace[a.place]-1] {
			minutes = append(minutes, v.data.Since+int64(a.minute))
		}
	})
	for _, a := range m.accepted {
		if accepted[a.place] {
			minutes = append(minutes, v.data.Since+int64(a.minute))
		}
	}
	slices.Sort(minutes)
	return minutes
}

func (v *volume) weekends() {
	loc := v.data.Location
	if loc == nil {
		loc = time.UTC
	}
	for day := range len(v.data.Days) + 1 {
		since := v.data.span(day).Since
		hours := make([]bool, v.hoursOfDay())
		for h := range hours {
			weekday := time.Unix((since+int64(h)*60)*60, 0).In(loc).Weekday()
			hours[h] = weekday == time.Saturday || weekday == time.Sunday
		}
		v.kind = append(v.kind, hours)
	}
}

// expected returns the usual mail of a stream in each quarter of a day. It comes from
// the other days, those of the same kind, working day or weekend, when there are any.
// Bursts are left out. days is the least number of days behind a quarter.
func (v *volume) expected(s *stream, day int) (e []float64, days int) {
	if today := len(v.data.Days); day == today {
		if s.usual == nil {
			s.usual, s.usualDays = v.expectedAt(s, today)
		}
		return s.usual, s.usualDays
	}
	return v.expectedAt(s, day)
}

func (v *volume) expectedAt(s *stream, day int) (e []float64, days int) {
	return v.expectedOf(s, func(list []float64, h int) []float64 {
		if same := v.hours(list, s, day, h, v.kind[day][h]); len(same) > 0 {
			return same
		}
		return v.hours(v.hours(list, s, day, h, false), s, day, h, true)
	})
}

// atRest returns the usual mail of a stream on weekends.
func (v *volume) atRest(s *stream, day int) (e []float64, days int) {
	return v.expectedOf(s, func(list []float64, h int) []float64 { return v.hours(list, s, day, h, true) })
}

// expectedOf returns the mean of the hours that a function adds to a list.
func (v *volume) expectedOf(s *stream, hours func(list []float64, h int) []float64) (e []float64, days int) {
	e, days = make([]float64, v.quarters), len(v.data.Days)+1
	list, spare := make([]float64, 0, days), make([]float64, 0, days)
	for h := range v.hoursOfDay() {
		list = hours(list[:0], h)
		days = min(days, len(list))
		mean := sum(list) / max(1, float64(len(list)))
		if v.data.has(partBursts) {
			mean = calmMean(list, spare)
		}
		for q := 4 * h; q < min(4*h+4, v.quarters); q++ {
			e[q] = mean / 4
		}
	}
	e[v.quarters-1] *= v.lastPart()
	return e, days
}

// lastPart is how much of the last quarter of an hour is in the window.
func (v *volume) lastPart() float64 {
	length := v.data.Until - v.data.Since
	return float64(length-int64(v.quarters-1)*quarter) / quarter
}

// hours adds to a list the mail of an hour on the working days, or on the weekends,
// before the window, except for that of one day.
func (v *volume) hours(list []float64, s *stream, but, h int, weekend bool) []float64 {
	from, to := 4*h, min(4*h+4, v.quarters)
	for day := range v.data.Days {
		if day != but && v.kind[day][h] == weekend {
			// the window may end within this hour
			list = append(list, s.hours[day*v.hoursOfDay()+h]*4/float64(to-from))
		}
	}
	return list
}

// calmMean is the mean without bursts. It works in the list spare.
func calmMean(list, spare []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	if slices.Max(list) <= 2*slices.Min(list)+6 { // none is beyond the limit
		return sum(list) / float64(len(list))
	}
	sorted := append(spare, list...)
	slices.Sort(sorted)
	limit := 2.2*sorted[(len(list)-1)/2] + 6 // of two days one may have had a burst
	sum, n := 0.0, 0.0
	for _, x := range list {
		if x <= limit {
			sum, n = sum+x, n+1
		}
	}
	return sum / max(1, n)
}

// hole is a span in which less mail came than expected. llr is its log likelihood ratio,
// z the missing mail in standard deviations.
type hole struct {
	host, sender       registry.Foreign // "" all
	from, to           int              // quarters, half-open
	observed, expected float64
	llr, z             float64
	before             float64 // expected recipients of the whole window
	began, earliest    int64
	latest             int64
	over               bool // the mail after it is that of a usual day
	holiday            bool // all senders send less from the beginning, in the same proportion
	moved              bool // the same senders send as much more through other hosts
}

// part is the mail of a stream on a day, and the expected mail.
type part struct {
	seen, expected []float64
}

// parts compares the streams of a slice on a day with the other days.
func (v *volume) parts(streams []*stream, day int,
	usual func(*stream, int) ([]float64, int)) (list []part, days int) {
	days = len(v.data.Days)
	for _, s := range streams {
		e, n := usual(s, day)
		days = min(days, n)
		p := part{seen: make([]float64, v.quarters), expected: e}
		copy(p.seen, v.on(s, day))
		list = append(list, p)
	}
	return list, days
}

// on returns the mail of a day.
func (v *volume) on(s *stream, day int) []float64 {
	if day == len(v.data.Days) {
		return s.today
	}
	v.expand()
	return s.days[day]
}

// find looks for a hole in the mail of a slice on a day.
func (v *volume) find(streams []*stream, day int) (h hole) {
	return v.findBeside(streams, day, v.expected)
}

// findBeside is find with another function for the expected mail.
func (v *volume) findBeside(streams []*stream, day int, usual func(*stream, int) ([]float64, int)) (h hole) {
	parts, days := v.parts(streams, day, usual)
	if days == 0 {
		return h
	}
	level := make([]float64, len(parts)) // 1 while nothing is known
	for i := range level {
		level[i] = 1
	}
	seen, expected := make([]float64, v.quarters), make([]float64, v.quarters)
	for range 3 {
		clear(seen)
		clear(expected)
		for i, p := range parts {
			for q := range seen {
				seen[q] += p.seen[q]
				expected[q] += p.expected[q] * level[i]
			}
		}
		h = v.deepest(seen, expected)
		if h.to == 0 {
			return h
		}
		h.over = h.isOver(seen, expected)
		if v.data.has(partLevel) {
			v.levels(parts, level, &h, days)
		}
	}
	h.z = (h.expected - h.observed) / math.Sqrt(v.variance(parts, level, expected, &h, days))
	for _, e := range expected {
		h.before += e
	}
	return h
}

// burst returns the amount of mail from which on a quarter of an hour is not used for
// the level of the day.
func burst(expected float64) float64 { return 1.5*expected + 2*math.Sqrt(expected) + 3 }

// mostLevel limits how much more than usual is expected on a busy day.
const mostLevel = 1.1

// levels finds how much mail the day has outside of a hole, by stream: holidays and
// trends are not holes.
func (v *volume) levels(parts []part, level []float64, h *hole, days int) {
	prior := prior(days)
	for i, p := range parts {
		o, e := 0.0, 0.0
		for q, x := range p.seen {
			if (q < h.from || q >= h.to) && x < burst(p.expected[q]) {
				o, e = o+x, e+p.expected[q]
			}
		}
		level[i] = min(mostLevel, (o+prior)/(e+prior))
	}
}

func prior(days int) float64 {
	if days < 3 {
		return 15
	}
	return levelPrior
}

// variance of the mail expected in a hole: of the messages, of the hours, and
// of the level of each stream.
func (v *volume) variance(parts []part, level, expected []float64, h *hole, days int) float64 {
	sum := h.expected + 1
	for q := h.from; q < h.to; {
		hour := 0.0
		for end := q - q%4 + 4; q < min(end, h.to); q++ {
			hour += expected[q]
		}
		sum += hourSpread * hour * hour * (1 + 1/float64(days))
	}
	for i, p := range parts {
		in, out := 0.0, 0.0
		for q, e := range p.expected {
			if q >= h.from && q < h.to {
				in += e * level[i]
			} else {
				out += e
			}
		}
		sum += in * in / (out + prior(days))
	}
	return sum
}

// deepest returns the span with the greatest likelihood ratio of less mail than
// expected, O·ln ρ + E·(1−ρ), as a maximum subarray.
func (v *volume) deepest(seen, expected []float64) (h hole) {
	for _, rho := range []float64{.02, .25, .5, .7} {
		for range 4 {
			lnRho := math.Log(rho)
			from, to := best(v.quarters, lnRho, 1-rho, func(q int, ln, left float64) float64 {
				return seen[q]*ln + expected[q]*left
			})
			o, e := 0.0, 0.0
			for q := from; q < to; q++ {
				o, e = o+seen[q], e+expected[q]
			}
			if e == 0 || o >= e {
				break
			}
			rho = max(.005, o/e)
			if llr := o*math.Log(rho) + e*(1-rho); llr > h.llr {
				h = hole{from: from, to: to, observed: o, expected: e, llr: llr}
			}
		}
	}
	return h
}

// leastOver is the log likelihood ratio that shows that a hole is over.
const leastOver = 3

// isOver reports whether the mail after a hole resembles a usual day more than the
// hole. At night, when little mail is expected, missing mail is not evidence.
func (h *hole) isOver(seen, expected []float64) bool {
	o, e := sum(seen[h.to:]), sum(expected[h.to:])
	rho := max(.02, h.observed/h.expected)
	return -o*math.Log(rho)-e*(1-rho) > leastOver
}

// missing finds the holes in the mail of the window.
func (v *volume) missing(total float64) (found []*hole) {
	days := len(v.data.Days)
	if days == 0 || v.quarters < 4 {
		return nil
	}
	least := max(leastHole, holeShare*total)
	var top, moved *hole
	for _, streams := range v.slices(min(least, missingVisible)) {
		h := v.find(streams.list, days)
		if !h.isHole(least) || v.data.has(partOtherHoles) && h.z < overOthers*v.usualZ(streams.list) {
			continue
		}
		h.host, h.sender = streams.host, streams.sender
		h.moved = h.host != "" && v.hasMoved(&h)
		best := &top
		if h.moved {
			best = &moved
		}
		if *best == nil || h.llr > (*best).llr {
			v.begin(&h, streams.list)
			*best = &h
		}
	}
	if top != nil {
		if top.holiday = v.data.has(partHolidays) && v.isEven(top); top.holiday {
			top.host, top.sender = "", ""
			top.observed, top.expected = v.totals(v.dayBegins(top.from))
		}
		found = append(found, top)
	}
	if moved != nil {
		found = append(found, moved)
	}
	return found
}

// mostlyMoved is the share of a host's missing mail that other hosts must have in
// excess for the mail to have moved.
const mostlyMoved = 0.7

// hasMoved reports whether the senders whose mail is missing at a host send as much
// more through other hosts.
func (v *volume) hasMoved(h *hole) bool {
	today, moved := len(v.data.Days), 0.0
	fewer, more := map[registry.Foreign]float64{}, map[registry.Foreign]float64{}
	for _, s := range v.streams {
		sender := s.sender
		if s.others {
			sender = "<>"
		}
		e, _ := v.expected(s, today)
		if gap := sum(e[h.from:h.to]) - sum(s.today[h.from:h.to]); s.host == h.host {
			fewer[sender] += gap
		} else {
			more[sender] -= gap
		}
	}
	for sender, gap := range fewer {
		moved += max(0, min(gap, more[sender]))
	}
	return moved >= mostlyMoved*(h.expected-h.observed)
}

// isHole reports whether a hole is deep and certain enough. On a large site one sender
// is a small part of the mail, so when hardly any of its mail comes, a smaller hole is
// enough.
func (h *hole) isHole(least float64) bool {
	gap := h.expected - h.observed
	if gap < least {
		return gap >= missingVisible && h.z >= silentZ && h.observed <= silentLeft*h.expected
	}
	return h.z >= leastZ && h.observed <= mostLeft*h.expected
}

// isEven reports whether a hole belongs to a day with less mail for everybody,
// such as a holiday: it is there from the beginning of the day, on all hosts, and nearly
// all senders still send something, in much the same proportion, within the hole too.
func (v *volume) isEven(h *hole) bool {
	today, senders := len(v.data.Days), 0
	since := v.dayBegins(h.from)
	before, all, seen, odd := 0.0, 0.0, 0.0, 0.0
	type pair struct{ seen, expected float64 }
	bySender := map[registry.Foreign]*pair{}
	for _, s := range v.streams {
		e, _ := v.expected(s, today)
		p := bySender[s.sender]
		if p == nil {
			p = &pair{}
			bySender[s.sender] = p
		}
		came, usual := sum(s.today[since:]), sum(e[since:])
		p.seen, p.expected = p.seen+came, p.expected+usual
		before, all, seen = before+sum(e[min(since, h.from):h.from]), all+usual, seen+came
	}
	ratio := seen / max(1, all)
	if before > 0.1*all || ratio < 0.08 || ratio > mostLeft || h.observed < 0.5*ratio*h.expected {
		return false
	}
	for _, p := range bySender {
		if p.expected < 30 {
			continue
		}
		senders++
		if expected := p.expected * ratio; math.Abs(p.seen-expected) > 2.5*math.Sqrt(
			expected+0.03*expected*expected+1) {
			odd += p.expected
		}
	}
	return senders > 1 && odd < 0.15*all
}

// dayBegins returns the last quarter of an hour, up to an hour after another, at
// which a day of the calendar begins, or 0.
func (v *volume) dayBegins(q int) int {
	for q = min(q+4, v.quarters-1); q > 0; q-- {
		at := v.time(q)
		if before := v.time(q - 1); at.Day() != before.Day() {
			return q
		}
	}
	return 0
}

// time returns when a quarter of an hour of the window begins.
func (v *volume) time(q int) time.Time {
	m := model{data: v.data}
	return m.time(v.data.Since + int64(q)*quarter)
}

// rest finds out whether the window is a holiday, and then compares the senders that
// rest on weekends with weekends. On a holiday no more of their mail is missing, from
// the beginning of the day, than on a weekend. A window of 24 hours begins on the day
// before.
func (v *volume) rest() {
	today, since := len(v.data.Days), v.lastMidnight()
	resting := func(s *stream, day int) (e []float64, days int) {
		rest, days := v.atRest(s, day)
		work, _ := v.expected(s, day)
		return slices.Concat(work[:since], rest[since:]), days
	}
	var people []*stream
	for _, s := range v.streams {
		work, _ := v.expected(s, today)
		rest, days := v.atRest(s, today)
		if days > 0 && sum(rest) < 0.6*sum(work) {
			people = append(people, s)
		}
	}
	h := v.find(people, today)
	if h.z < leastZ || v.findBeside(people, today, resting).z >= leastZ {
		return
	}
	before, all := 0.0, 0.0
	for _, s := range people {
		e, _ := v.expected(s, today)
		before, all = before+sum(e[since:max(since, h.from)]), all+sum(e[since:])
		if sum(e[since:]) > 2*leastHole && sum(s.today[since:]) > 0.6*sum(e[since:]) { // somebody is at work
			return
		}
	}
	if before > 0.25*all {
		return
	}
	for _, s := range people {
		s.usual, s.usualDays = resting(s, today)
	}
}

// lastMidnight returns the last quarter of an hour at which a day of the calendar
// begins, or 0.
func (v *volume) lastMidnight() int {
	for q := v.quarters - 1; q > 0; q-- {
		if v.time(q).Day() != v.time(q-1).Day() {
			return q
		}
	}
	return 0
}

// sum returns all mail of the window and the days before.
func (s *stream) sum() float64 { return sum(s.hours) + sum(s.today) }

func sum(list []float64) (sum float64) {
	for _, x := range list {
		sum += x
	}
	return sum
}

// usualZ returns the second highest z of the days before.
func (v *volume) usualZ(streams []*stream) float64 {
	var z []float64
	for day := range v.data.Days {
		z = append(z, v.find(streams, day).z)
	}
	slices.Sort(z)
	if len(z) < 3 {
		return 0
	}
	return z[len(z)-2]
}

// group is a slice of streams.
type group struct {
	host, sender registry.Foreign
	list         []*stream
}

// slices returns the groups to search for holes: all mail, that of each sender and that
// of each host, unless it is less than a hole must have.
func (v *volume) slices(least float64) (list []group) {
	hosts, senders := map[registry.Foreign][]*stream{}, map[registry.Foreign][]*stream{}
	several := false
	for _, s := range v.streams {
		several = several || s.others || s.sender != v.streams[0].sender
		hosts[s.host] = append(hosts[s.host], s)
		if !s.others {
			senders[s.sender] = append(senders[s.sender], s)
		}
	}
	list = append(list, group{"", "", v.streams})
	enough := func(streams []*stream) bool {
		n := 0.0
		for _, s := range streams {
			n += sum(s.hours)
		}
		return n/float64(len(v.data.Days)) >= least
	}
	for name, streams := range senders {
		if several && enough(streams) {
			list = append(list, group{"", name, streams})
		}
	}
	for name, streams := range hosts {
		if len(hosts) > 1 && enough(streams) {
			list = append(list, group{name, "", streams})
		}
	}
	return list
}

// begin finds the minute in which a hole begins: after the message from which on the
// missing mail is least likely by chance.
func (v *volume) begin(h *hole, streams []*stream) {
	minutes := v.minutes(streams)
	rate := h.expected / float64((h.to-h.from)*quarter)
	rough, end := v.data.Since+int64(h.from)*quarter, v.data.Since+int64(h.to)*quarter
	left := max(.02, h.observed/h.expected)
	i, _ := slices.BinarySearch(minutes, rough-2*quarter)
	until, _ := slices.BinarySearch(minutes, end)
	last, most := v.data.Since, math.Inf(-1)
	for ; i <= until; i++ {
		at := v.data.Since
		if i > 0 {
			at = minutes[i-1]
		}
		if gain := float64(until-i)*math.Log(left) + rate*float64(end-at)*(1-left); gain > most {
			most, last = gain, at
		}
	}
	h.earliest = last - 1
	h.began = last + int64(math.Min(1/rate, 10)) // the last message came a time of 1/rate before, on average
	h.latest = last + int64(math.Min(3/rate, 240)) + 1
	if left > 0.15 { // the mail that still comes hides the begin
		h.earliest, h.latest = min(h.earliest, rough-2*quarter), max(h.latest, rough+2*quarter)
	}
}

// mostTried is the greatest share of the accepted mail that a stuck queue tries.
// Accepted mail is known, so few untried messages are enough.
const (
	mostTried      = 0.35
	leastUntried   = 10 // log likelihood ratio
	missingVisible = 30 // missing recipients of one sender that are seen, roughly
	silentVisible  = 50 // the same on a large site
)

// untried finds hosts that accept mail and do not try it: they try less than the mail
// in their queues lets expect.
func (v *volume) untried(total float64) (found []*hole) {
	accepted := map[registry.Foreign][]*stream{}
	for _, s := range v.streams {
		accepted[s.host] = append(accepted[s.host], s)
	}
	for host, tried := range v.tried {
		if !v.data.has(partUntried) {
			break
		}
		h := v.stuck(tried, accepted[host])
		if h.expected-h.observed >= max(leastEvents, leastShare*total) &&
			h.observed <= mostTried*h.expected && h.llr >= leastUntried {
			h.host = host
			if len(v.hosts()) == 1 {
				h.host = ""
			}
			found = append(found, &h)
		}
	}
	slices.SortFunc(found, func(a, b *hole) int { return cmp.Compare(a.host, b.host) })
	if n := len(found); n > 1 && n == len(v.hosts()) {
		found[0].host, found = "", found[:1]
	}
	return found
}

func (v *volume) hosts() map[registry.Foreign]bool {
	hosts := map[registry.Foreign]bool{}
	for _, s := range v.streams {
		hosts[s.host] = true
	}
	return hosts
}

// stuck compares what a host tried with what it accepted.
func (v *volume) stuck(tried *stream, accepted []*stream) hole {
	came := make([]float64, v.quarters)
	sumCame, sumTried := 0.0, tried.sum()
	for _, s := range accepted {
		sumCame += s.sum()
		for q, x := range s.today {
			came[q] += x
		}
	}
	if sumCame == 0 {
		return hole{}
	}
	for q := range came {
		came[q] *= sumTried / sumCame // recipients of a message
	}
	h := v.deepest(tried.today, came)
	if h.to > 0 {
		h.over = h.isOver(tried.today, came)
		v.begin(&h, []*stream{tried})
	}
	return h
}

// totals returns how much mail came in the window from a quarter of an hour on,
// and how much usually does.
func (v *volume) totals(since int) (seen, expected float64) {
	if len(v.data.Days) == 0 {
		return 0, 0
	}
	for _, s := range v.streams {
		e, _ := v.expected(s, len(v.data.Days))
		seen, expected = seen+sum(s.today[since:]), expected+sum(e[since:])
	}
	return seen, expected
}
