package investigate

// mail counts what came, by the domains of senders and their hosts.
type mail struct {
	flows   []*mailFlow
	byName  map[[2]string]int32
	ofPlace []int32         // number of the flow by place, plus 1
	reports map[string]bool // hosts whose log reports what was accepted

	accepted []arrival // in the window; place is a flow

	tried, came pending
}

// pending counts two hours before their numbers go to the flows: mail comes hour
// by hour, and in an hour in no order.
type pending struct {
	first int32                  // quarter of an hour
	n     [][pendingLength]int32 // by flow
	flows []int32                // that have any
}

const pendingLength = 8 // quarters

// reaches reports whether a quarter of an hour is among those that are pending.
func (p *pending) reaches(at int32) bool { return at >= p.first && at < p.first+pendingLength }

func (p *pending) add(flow, at, n int32) {
	for len(p.n) <= int(flow) {
		p.n = append(p.n, [pendingLength]int32{})
	}
	if p.n[flow] == ([pendingLength]int32{}) {
		p.flows = append(p.flows, flow)
	}
	p.n[flow][at-p.first] += n
}

// flush hands over what was counted.
func (p *pending) flush(each func(flow, at, n int32)) {
	for _, f := range p.flows {
		for i, n := range p.n[f] {
			if n != 0 {
				each(f, p.first+int32(i), n)
			}
		}
		p.n[f] = [pendingLength]int32{}
	}
	p.flows = p.flows[:0]
}

// mailFlow is the mail of a sender's domain at a host.
type mailFlow struct {
	host, sender    string
	tried, accepted tallies
}

// tallies are numbers by day and quarter of an hour. Most senders have little
// mail: theirs are a list of what is not zero.
type tallies struct {
	list  []tallyAt
	dense []int32
}

type tallyAt struct{ at, n int32 }

func (t *tallies) add(at, n int32, size int) {
	switch last := len(t.list) - 1; {
	case t.dense != nil:
		t.dense[at] += n
	case last >= 0 && t.list[last].at == at:
		t.list[last].n += n
	default:
		t.list = append(t.list, tallyAt{at, n})
		if 2*len(t.list) > size {
			t.dense = make([]int32, size)
			for _, x := range t.list {
				t.dense[x.at] += x.n
			}
			t.list = nil
		}
	}
}

// each calls f with the numbers that are not zero; there may be several of a time.
func (t *tallies) each(f func(at int, n float64)) {
	for _, x := range t.list {
		f(int(x.at), float64(x.n))
	}
	for at, n := range t.dense {
		if n != 0 {
			f(at, float64(n))
		}
	}
}

// quarters returns how many quarters of an hour the window has.
func (d *Data) quarters() int { return int((d.Until - d.Since + quarter - 1) / quarter) }

// flow returns the number of the flow that a place belongs to.
func (m *mail) flow(d *Data, place int32) int32 {
	if int(place) >= len(m.ofPlace) { // all places that are known have one then
		m.ofPlace = append(m.ofPlace, make([]int32, len(d.Places)-len(m.ofPlace))...)
	}
	if n := m.ofPlace[place]; n > 0 {
		return n - 1
	}
	if m.byName == nil {
		m.byName, m.reports = map[[2]string]int32{}, map[string]bool{}
	}
	name := [2]string{d.Places[place].Host, d.Places[place].Sender}
	n, ok := m.byName[name]
	if !ok {
		n = int32(len(m.flows))
		m.byName[name] = n
		m.flows = append(m.flows, &mailFlow{host: name[0], sender: name[1]})
	}
	m.ofPlace[place] = n + 1
	return n
}

// arrive counts recipients in a minute of a day.
func (m *mail) arrive(d *Data, place int32, day int, minute int64, n int32) {
	if at, ok := d.quarterOf(day, minute); ok {
		if !m.tried.reaches(at) {
			m.flush(d)
			m.tried.first = at - pendingLength/2
		}
		m.tried.add(m.flow(d, place), at, n)
	}
}

// accept counts messages in a minute of a day.
func (m *mail) accept(d *Data, place int32, day int, minute int64, n int32) {
	flow := m.flow(d, place)
	m.reports[m.flows[flow].host] = true
	if day == len(d.Days) {
		m.accepted = append(m.accepted, arrival{int32(minute), flow, n})
	}
	if at, ok := d.quarterOf(day, minute); ok {
		if !m.came.reaches(at) {
			m.flush(d)
			m.came.first = at - pendingLength/2
		}
		m.came.add(flow, at, n)
	}
}

// flush hands what is pending over to the flows.
func (m *mail) flush(d *Data) {
	size := d.quarters() * (len(d.Days) + 1)
	m.tried.flush(func(flow, at, n int32) { m.flows[flow].tried.add(at, n, size) })
	m.came.flush(func(flow, at, n int32) { m.flows[flow].accepted.add(at, n, size) })
}

// quarterOf numbers the quarters of an hour of all days.
func (d *Data) quarterOf(day int, minute int64) (at int32, ok bool) {
	quarters := d.quarters()
	q := int(minute / quarter)
	return int32(day*quarters + q), q < quarters
}
