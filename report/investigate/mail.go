package investigate

import (
	"slices"

	"mailfail/registry"
)

// mail counts recipients and accepted messages, by sender domain and host.
type mail struct {
	flows   []mailFlow
	byName  map[[2]name]int32
	ofPlace []int32 // number of the flow by place, plus 1
	room    []int32 // see known

	accepted []arrival // in the window; place is a flow

	tried, came ledger
}

// mailFlow is the mail of a sender's domain at a host.
type mailFlow struct{ host, sender registry.Foreign }

// ledger counts by flow and quarter of an hour of all days. A store returns mail hour
// by hour, in no order within an hour. So the pages of two hours are open, and a closed
// page keeps only counts that are not zero. A quarter may have several pages.
type ledger struct {
	first  int32 // quarter of the first open page
	open   [openPages]page
	filled []filledPage
	few    []entry // counts of closed pages that have few
	sums   []int64 // of all closed pages, by flow
}

const openPages = 8

// page counts by flow.
type page struct {
	n     []int32
	flows []int32 // with a count
}

type filledPage struct {
	at int32
	n  []int32 // by flow
}

type entry struct{ at, flow, n int32 }

// page returns the page of a quarter. It is open until another page is asked for.
func (l *ledger) page(quarter int32) *page {
	if quarter < l.first || quarter >= l.first+openPages {
		l.close()
		l.first = quarter - openPages/2
	}
	return &l.open[quarter-l.first]
}

func (p *page) add(flow, n int32) {
	if int(flow) >= len(p.n) {
		p.n = append(p.n, make([]int32, int(flow)+1-len(p.n))...)
	}
	if p.n[flow] == 0 {
		p.flows = append(p.flows, flow)
	}
	p.n[flow] += n
}

// close closes the open pages.
func (l *ledger) close() {
	for i := range l.open {
		p, quarter := &l.open[i], l.first+int32(i)
		filled := 2*len(p.flows) > len(p.n)
		if filled {
			l.filled = append(l.filled, filledPage{quarter, slices.Clone(p.n)})
		}
		for _, flow := range p.flows {
			n := &p.n[flow]
			if *at(&l.sums, int(flow)) += int64(*n); !filled {
				l.few = append(doubled(l.few), entry{quarter, flow, *n})
			}
			*n = 0
		}
		p.flows = p.flows[:0]
	}
}

// total returns the sums of all counts, by flow.
func (l *ledger) total() []int64 {
	l.close()
	return l.sums
}

// each calls f with all counts: n holds those of the flows from flow on in the quarter
// at. Nothing may be added meanwhile. It takes a few flows at a time, so that the data
// that f keeps about them stays in the cache.
func (l *ledger) each(f func(at, flow int32, n []int32)) {
	l.close()
	const few = 32
	for from, more := 0, true; more; from += few {
		more = false
		for _, p := range l.filled {
			if from < len(p.n) {
				more = true
				f(p.at, int32(from), p.n[from:min(from+few, len(p.n))])
			}
		}
	}
	for i := range l.few {
		e := &l.few[i]
		f(e.at, e.flow, []int32{e.n})
	}
}

// quarters returns how many quarters of an hour the window has.
func (d *Data) quarters() int { return int((d.Until - d.Since + quarter - 1) / quarter) }

// flow returns the number of the flow that a place belongs to.
func (m *mail) flow(d *Data, place int32) int32 {
	if int(place) >= len(m.ofPlace) { // room for all places known by now
		m.ofPlace = append(m.ofPlace, make([]int32, len(d.places)-len(m.ofPlace))...)
	}
	if n := m.ofPlace[place]; n > 0 {
		return n - 1
	}
	n := m.number(d, d.places[place].host, d.places[place].sender)
	m.ofPlace[place] = n + 1
	return n
}

// known returns the numbers of the flows of some places, plus 1; 0 when not known yet.
// It does nothing else, so that the processor can begin a look-up before the one before
// has ended. The result is valid until the next call.
func (m *mail) known(places []int32) []int32 {
	m.room = slices.Grow(m.room[:0], len(places))[:len(places)]
	for i, place := range places {
		m.room[i] = 0
		if int(place) < len(m.ofPlace) {
			m.room[i] = m.ofPlace[place]
		}
	}
	return m.room
}

// number returns the number of a flow.
func (m *mail) number(d *Data, host, sender name) int32 {
	if m.byName == nil {
		m.byName = map[[2]name]int32{}
	}
	n, ok := m.byName[[2]name{host, sender}]
	if !ok {
		n = int32(len(m.flows))
		m.byName[[2]name{host, sender}] = n
		m.flows = append(m.flows, mailFlow{d.texts[host], d.texts[sender]})
	}
	return n
}

// quarterMail is the mail of a quarter of an hour.
type quarterMail struct{ tried, came *page }

func (m *mail) quarter(at int32) quarterMail {
	return quarterMail{m.tried.page(at), m.came.page(at)}
}

// mostRecipients is the greatest average number of recipients per accepted message on a
// host whose log reports accepted mail. A log that contains a message now and then,
// because another program wrote to it too, does not report the rest.
const mostRecipients = 100

// reporting returns the hosts whose log reports accepted mail.
func (m *mail) reporting() map[registry.Foreign]bool {
	left, reports := map[registry.Foreign]int64{}, map[registry.Foreign]bool{}
	for flow, n := range m.tried.total() {
		left[m.flows[flow].host] += n
	}
	for flow, n := range m.came.total() {
		host := m.flows[flow].host
		left[host] -= mostRecipients * n
		reports[host] = reports[host] || n > 0
	}
	for host, n := range left {
		reports[host] = reports[host] && n <= 0
	}
	return reports
}

// add counts recipients and accepted messages.
func (q *quarterMail) add(flow, recipients, accepted int32) {
	if recipients != 0 {
		q.tried.add(flow, recipients)
	}
	if accepted != 0 {
		q.came.add(flow, accepted)
	}
}

// quarterOf numbers the quarters of an hour of all days.
func (d *Data) quarterOf(day int, minute int64) (at int32, ok bool) {
	quarters := d.quarters()
	q := int(minute / quarter)
	return int32(day*quarters + q), q < quarters
}
