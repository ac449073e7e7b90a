// Package sites generates mail sites with a known incident on their last day, or
// without one, and writes their logs. The logs do not contain the truth about the
// incident. The package tests and measures the investigation of changes (package
// report/investigate).
//
// A site consists of senders with habits, operators with policies and addresses with
// a fixed outcome. The package does not set rates of failures, and they need not
// multiply: a list has bad addresses at some domains only, a domain is dead, a mailbox
// stays full, a provider limits one sender's bursts, a small server has an outage that
// is not an incident. The same options always make the same site.
package sites

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Options describe a site.
type Options struct {
	Seed     uint64
	Kind     string // one of Incidents or QuietDays
	Messages int    // on a working day; 0: drawn from 400 to Most
	Most     int    // 0: 50,000
	Hosts    int    // 0: drawn from 1 to 4
	Days     int    // before the last one; 0: 8
}

// Site is the history of a site.
type Site struct {
	Start    time.Time // of the first day
	Last     time.Time // beginning of the last day
	End      time.Time
	Hosts    []string
	Messages []*Message // in order of time
	Truth    Truth

	domains []*domain
}

// Operator returns the operator of a domain's mail hosts, with keys as in Truth.Where,
// nil when the domain runs them itself or is not of this site.
func (s *Site) Operator(name string) map[string]string {
	for _, d := range s.domains {
		if d.name == name && (d.by.name != "" || len(d.by.domains) > 1) {
			return whereOf(d.by)[0]
		}
	}
	return nil
}

// Message is a message and the outcome for its recipients.
type Message struct {
	At         time.Time // of arrival
	Host       string
	Sender     string // "" for the null sender
	Account    string
	Client     string
	Size       int
	Recipients []*Recipient

	app  *app
	spam bool // providers refuse most of it
}

// Recipient is a recipient of a message. Without attempts the MTA never tried.
type Recipient struct {
	Address  string
	Attempts []Attempt

	domain *domain
}

// Outcome is the result of an attempt.
type Outcome int

// The outcomes. Suspended means that the MTA did not try.
const (
	Delivered Outcome = iota
	Deferred
	Bounced
	Suspended
)

// Attempt is one try to deliver a message to a recipient.
type Attempt struct {
	At        time.Time
	Outcome   Outcome
	Relay, IP string // "" when there was none
	Reply     Reply
}

// Reply is the reason why an attempt failed.
type Reply struct {
	Code, Enhanced string // as in the server's text
	Text           string // with codes
	Stage          string // as registry.Stage names it
	Source         string // as registry.Source names it
	Temporary      bool
}

// Truth describes the finding that an investigation of the last day must have.
type Truth struct {
	Kind     string
	Incident bool                // false for a quiet day
	Where    []map[string]string // any of these is right; keys as in Where of package investigate
	Reasons  []string            // any of these is right; none: any reason
	Missing  bool                // mail is missing: it was not sent, or not tried
	Untried  bool                // the host accepted the mail, but did not try it
	Abrupt   bool                // the incident began at once, not gradually
	Begin    time.Time
	End      time.Time
	Met      []time.Time // time of each recipient that the incident met, or that is missing
	Fine     time.Time   // last matching attempt before the incident began; zero: not known
	Remark   bool        // an investigation may report it as a remark
	Soon     bool        // an investigation must find it within about half an hour
	Second   *Truth      // another incident of the same day
	Earlier  *Truth      // on a quiet day: an incident that ended before the last day began
}

// operator runs the mail hosts of domains.
type operator struct {
	name     string // in the registry; "" when the operator is not there
	relays   []string
	domains  []*domain
	unknown  Reply                   // to an unknown recipient
	grey     bool                    // greylists new pairs of sender's domain and recipient
	fussy    float64                 // share of attempts refused for content
	mood     func(time.Time) float64 // factor of fussy; nil: 1
	limit    int                     // recipients of a sender in five minutes; 0: no limit
	down     []span                  // outages that are not incidents
	platform string
}

type span struct{ from, to time.Time }

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

// domain is a recipients' domain.
type domain struct {
	name  string
	by    *operator
	dead  string  // "dns" or "connect": every attempt fails there; "" for other domains
	dirty float64 // factor of app.dirt
	relay string
}

// app is a sender: a shop, people in an office, a newsletter.
type app struct {
	domain  string
	style   string // office, shop, machine, list, forward
	weight  float64
	hosts   []int
	account string
	client  string
	share   []float64 // cumulative weights of the domains in choice
	choice  []*domain
	dirt    float64      // share of addresses that do not exist
	size    int          // typical size of a message in bytes
	weekday time.Weekday // of a list
	hour    float64      // of the day, of a list or a job
	burst   int          // recipients of a list
	people  []string     // local parts of its senders
	since   time.Time    // sends nothing before
	steady  []string     // regular recipients of a list
}

// maker makes a site.
type maker struct {
	r         *rand.Rand
	opt       Options
	site      *Site
	operators []*operator
	domains   []*domain
	weights   []float64
	apps      []*app
	hits      []hit // incidents
	volume    func(t time.Time, a *app) float64
	known     map[string]time.Time // first tries at greylisters; until when dead hosts stay suspended
	recent    map[burst]int        // recipients below the limit
	smarthost string               // relay of outgoing mail of the last host; "" for none
	held      []span               // when the queue of heldHost is stuck
	heldHost  string
	silent    func(*Message) bool // reports whether a message is not sent; nil: all are sent
	extra     func()              // makes more messages
	index     map[string]*domain
}

// Make makes a site.
func Make(opt Options) *Site {
	m := &maker{
		r:      rand.New(rand.NewPCG(opt.Seed, 0x5e7)),
		opt:    opt,
		known:  map[string]time.Time{},
		recent: map[burst]int{},
	}
	if m.opt.Messages == 0 {
		m.opt.Messages = int(400 * math.Pow(float64(cmp.Or(opt.Most, 50_000))/400, m.r.Float64()))
	}
	if m.opt.Hosts == 0 {
		m.opt.Hosts = 1 + m.r.IntN(4)
	}
	if m.opt.Days == 0 {
		m.opt.Days = 8
	}
	m.begin()
	m.makeDomains()
	m.makeApps()
	m.plan()
	m.send()
	return m.site
}

// begin chooses the days so that the last one has the kind in Options.
func (m *maker) begin() {
	last := time.Date(2026, 11, 10+m.r.IntN(5)*7+m.r.IntN(5)-1, 0, 0, 0, 0, time.UTC) // Monday to Friday
	switch m.opt.Kind {
	case "saturday", "sunday":
		for want := map[string]time.Weekday{"saturday": time.Saturday,
			"sunday": time.Sunday}[m.opt.Kind]; last.Weekday() != want; {
			last = last.AddDate(0, 0, 1)
		}
	case "first-of-month":
		last = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	}
	m.site = &Site{Start: last.AddDate(0, 0, -m.opt.Days), Last: last, End: last.AddDate(0, 0, 1)}
	for i := range m.opt.Hosts {
		m.site.Hosts = append(m.site.Hosts, fmt.Sprintf("mx%d", i+1))
	}
}

func (m *maker) between(low, high float64) float64 { return low + (high-low)*m.r.Float64() }

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// poisson draws a count from a Poisson distribution, by the normal one for large means.
func (m *maker) poisson(mean float64) int {
	if mean > 60 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*m.r.NormFloat64())))
	}
	limit, n := math.Exp(-mean), 0
	for p := m.r.Float64(); p > limit; p *= m.r.Float64() {
		n++
	}
	return n
}

// makeDomains makes the recipients' domains: those of large operators, of hosters with
// many small domains, and a long tail of domains with their own servers.
func (m *maker) makeDomains() {
	add := func(o *operator, weight float64, names ...string) {
		for i, name := range names {
			d := &domain{
				name:  name,
				by:    o,
				dirty: math.Exp(0.9 * m.r.NormFloat64()),
				relay: o.relays[i%len(o.relays)],
			}
			o.domains = append(o.domains, d)
			m.domains = append(m.domains, d)
			m.weights = append(m.weights, weight/float64(len(names))*math.Exp(0.8*m.r.NormFloat64()))
		}
		m.operators = append(m.operators, o)
	}
	hosted := func(prefix string, n int) (names []string) {
		for i := range n {
			names = append(names,
				fmt.Sprintf("%s%d.example.%s", prefix, i+1, []string{"com", "net", "org"}[i%3]))
		}
		return names
	}
	size := math.Sqrt(float64(m.opt.Messages) / 400)
	add(&operator{
		name:    "Google",
		relays:  []string{"gmail-smtp-in.l.google.com"},
		unknown: unknownGoogle,
		fussy:   .002,
		limit:   4000,
	}, m.between(10, 35), "gmail.com", "googlemail.com")
	m.operators = m.operators[:len(m.operators)-1]
	google := m.domains[0].by
	google.relays = []string{"aspmx.l.google.com"}
	add(google, m.between(3, 12), hosted("g", int(4+8*size))...)
	add(&operator{
		name:     "Microsoft",
		platform: "Outlook.com",
		relays: []string{"outlook-com.olc.protection.outlook.com",
			"hotmail-com.olc.protection.outlook.com"},
		unknown: unknownMicrosoft,
		fussy:   .004,
		limit:   2500,
	}, m.between(5, 15), "outlook.com", "hotmail.com", "live.com")
	tenants := hosted("m", int(6+14*size))
	ms := &operator{name: "Microsoft", platform: "Microsoft 365", unknown: unknownMicrosoft, fussy: .003}
	for _, t := range tenants {
		ms.relays = append(ms.relays, dashed(t)+".mail.protection.outlook.com")
	}
	add(ms, m.between(5, 22), tenants...)
	add(&operator{
		name:    "Yahoo",
		relays:  []string{"mta5.am0.yahoodns.net", "mta7.am0.yahoodns.net"},
		unknown: unknownYahoo,
		fussy:   .004,
		limit:   300,
	}, m.between(3, 10), "yahoo.com", "aol.com", "ymail.com")
	add(&operator{
		name:    "GMX and WEB.DE",
		relays:  []string{"mx00.gmx.net", "mx-ha02.web.de"},
		unknown: unknownPlain,
		fussy:   .002,
	}, m.between(2, 14), "gmx.de", "web.de", "gmx.net")
	add(&operator{
		name:    "T-Online",
		relays:  []string{"mx00.t-online.de"},
		unknown: unknownPlain,
	}, m.between(1, 8), "t-online.de")
	add(&operator{
		name:    "Proofpoint",
		relays:  []string{"mx0a-001.pphosted.com"},
		unknown: unknownPlain,
		fussy:   .003,
	}, m.between(1, 6), hosted("p", int(2+3*size))...)
	add(&operator{
		name:    localName,
		relays:  []string{"local"},
		unknown: unknownHere,
	}, m.between(3, 15), "home.test")
	for i := range 2 + m.r.IntN(4) {
		add(&operator{
			relays:  []string{fmt.Sprintf("mx1.hoster%d.net", i+1), fmt.Sprintf("mx2.hoster%d.net", i+1)},
			unknown: unknownPlain,
			grey:    m.r.IntN(3) == 0,
		}, m.between(1, 7), hosted(fmt.Sprintf("h%d-", i+1), int(3+6*size))...)
	}
	tail := int(25 * size * m.between(.7, 1.6))
	for i := range tail {
		name := fmt.Sprintf("firm%d.example", i+1)
		o := &operator{relays: []string{"mail." + name}, unknown: unknownPlain, grey: m.r.IntN(6) == 0}
		add(o, 40/float64(tail)/math.Pow(float64(i+1)/float64(tail)+.05, .7), name)
		d := m.domains[len(m.domains)-1]
		switch {
		case i > 4 && m.r.IntN(14) == 0:
			d.dead = pick(m.r, []string{"dns", "connect"})
			m.weights[len(m.weights)-1] *= .3
		case m.r.IntN(5) == 0: // its server is down now and then
			for range 1 + m.r.IntN(3) {
				at := m.site.Start.Add(time.Duration(m.r.Float64() * float64(m.site.End.Sub(m.site.Start))))
				if !at.Before(m.site.Last) && m.weights[len(m.weights)-1]*float64(m.opt.Messages) > 1500 {
					continue // that would be an incident
				}
				o.down = append(o.down, span{at, at.Add(time.Duration(m.between(5, 50)) * time.Minute)})
			}
		}
	}
}

// localName is the name of the operator of the mailboxes on the hosts themselves.
const localName = "local"

func (o *operator) isLocal() bool { return o.name == localName }

func dashed(name string) string {
	b := []byte(name)
	for i := range b {
		if b[i] == '.' {
			b[i] = '-'
		}
	}
	return string(b)
}

// makeApps makes the senders.
func (m *maker) makeApps() {
	n := 3 + m.r.IntN(4) + int(math.Log2(float64(m.opt.Messages)/400))
	for i := range n {
		a := &app{
			domain: fmt.Sprintf("%s%d.test", pick(m.r, []string{"shop", "acme", "bank", "school", "portal"}),
				i+1),
			weight: math.Exp(m.r.NormFloat64()),
			style:  pick(m.r, []string{"office", "shop", "shop", "machine", "office"}),
			size:   4000 + m.r.IntN(60_000),
			dirt:   m.between(.0005, .012),
		}
		switch {
		case i == 0:
			a.style, a.weight = "office", 2.5
		case i == 1:
			a.style, a.weight = "shop", 2.5
		case i == 2:
			a.style, a.dirt = "list", m.between(.004, .03)
		case i == 5:
			a.style, a.weight = "forward", .6
		}
		m.finish(a, i)
		m.apps = append(m.apps, a)
	}
}

func (m *maker) finish(a *app, i int) {
	for h := range m.site.Hosts {
		if h == 0 || m.r.IntN(3) > 0 {
			a.hosts = append(a.hosts, h)
		}
	}
	if a.style == "list" || a.style == "machine" {
		a.hosts = []int{m.r.IntN(len(m.site.Hosts))}
		a.weekday, a.hour = time.Weekday(1+m.r.IntN(5)), m.between(7, 16)
		a.burst = int(float64(m.opt.Messages) * m.between(.1, .5))
	}
	a.client = fmt.Sprintf("app%d.internal.test", i)
	a.account = fmt.Sprintf("app%d", i)
	for p := range 3 + m.r.IntN(20) {
		a.people = append(a.people, fmt.Sprintf("user%d", p))
	}
	if a.style != "office" {
		a.people = []string{pick(m.r, []string{"noreply", "service", "news", "orders"})}
	}
	taste, narrow := 1.2, a.style == "machine"
	sum := 0.0
	for j, d := range m.domains {
		w := m.weights[j] * math.Exp(taste*m.r.NormFloat64())
		if narrow && m.r.IntN(4) > 0 {
			w = 0
		}
		if w == 0 && len(a.choice) > 0 {
			continue
		}
		sum += w
		a.share, a.choice = append(a.share, sum), append(a.choice, d)
	}
	if a.style == "list" {
		for range a.burst {
			a.steady = append(a.steady, m.address(a, a.to(m.r)))
		}
	}
}

// to draws a recipient's domain.
func (a *app) to(r *rand.Rand) *domain {
	x := r.Float64() * a.share[len(a.share)-1]
	i, _ := slices.BinarySearch(a.share, x)
	return a.choice[min(i, len(a.choice)-1)]
}

// address draws an address of a domain. Its name decides the outcome: gone… does not
// exist, full… has a full mailbox.
func (m *maker) address(a *app, d *domain) string {
	switch x := m.r.Float64(); {
	case x < min(.5, a.dirt*d.dirty):
		return fmt.Sprintf("gone%d@%s", m.r.IntN(1_000_000), d.name)
	case x > .9985:
		return fmt.Sprintf("full%d@%s", m.r.IntN(30), d.name)
	}
	return fmt.Sprintf("u%d@%s", m.r.IntN(5000), d.name)
}

// busy returns the relative amount of mail that a sender sends at a time, by its style.
func busy(a *app, t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	bell := func(at, width float64) float64 {
		return math.Exp(-(hour - at) * (hour - at) / (2 * width * width))
	}
	weekend := t.Weekday() == time.Saturday || t.Weekday() == time.Sunday
	switch a.style {
	case "office":
		x := .02 + bell(10.2, 1.6) + .8*bell(14.8, 1.8)
		if weekend {
			x *= .08
		}
		return x
	case "shop":
		x := .06 + .5*bell(12.5, 3) + .7*bell(20, 2)
		if weekend {
			x *= 1.15
		}
		return x
	case "forward":
		return .2 + .3*bell(13, 5)
	case "list":
		return .004
	}
	return .3
}

// send makes the messages of each sender, in steps of ten minutes, and then their
// attempts in order of time.
func (m *maker) send() {
	total := 0.0
	monday := time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC)
	for _, a := range m.apps {
		for h := range 24 {
			total += a.weight * busy(a, monday.Add(time.Duration(h)*time.Hour))
		}
	}
	scale := float64(m.opt.Messages) / total
	for _, a := range m.apps {
		wobble := 1.0
		for t := m.site.Start; t.Before(m.site.End); t = t.Add(10 * time.Minute) {
			if t.Hour() == 0 && t.Minute() == 0 {
				wobble = math.Exp(.08 * m.r.NormFloat64())
			}
			if t.Before(a.since) {
				continue
			}
			mean := scale * a.weight * busy(a, t) / 6 * wobble * math.Exp(.12*m.r.NormFloat64())
			if m.volume != nil {
				mean *= m.volume(t, a)
			}
			for range m.poisson(mean) {
				m.message(a, t.Add(time.Duration(m.r.Int64N(int64(10*time.Minute)))), nil)
			}
			m.list(a, t)
		}
	}
	if m.extra != nil {
		m.extra()
	}
	slices.SortStableFunc(m.site.Messages, func(a, b *Message) int { return a.At.Compare(b.At) })
	kept := m.site.Messages[:0]
	for _, msg := range m.site.Messages {
		if m.silent != nil && m.silent(msg) {
			m.missed(msg)
			continue
		}
		kept = append(kept, msg)
		m.deliver(msg)
	}
	m.site.Messages = kept
}

// list makes the messages of a newsletter when its time is within the ten minutes after
// t.
func (m *maker) list(a *app, t time.Time) {
	start := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0,
		time.UTC).Add(time.Duration(a.hour * float64(time.Hour)))
	if a.style != "list" || t.Weekday() != a.weekday || start.Before(t) ||
		!start.Before(t.Add(10*time.Minute)) {
		return
	}
	span := time.Duration(m.between(10, 60)) * time.Minute
	for _, to := range a.steady {
		if m.r.IntN(20) == 0 {
			to = m.address(a, a.to(m.r))
		}
		m.message(a, start.Add(time.Duration(m.r.Float64()*float64(span))), []string{to})
	}
}

func (m *maker) message(a *app, at time.Time, to []string) {
	msg := &Message{
		At:      at.Truncate(time.Second),
		Host:    m.site.Hosts[pick(m.r, a.hosts)],
		Account: a.account,
		Client:  a.client,
		app:     a,
		Size:    int(float64(a.size) * math.Exp(.8*m.r.NormFloat64())),
	}
	msg.Sender = pick(m.r, a.people) + "@" + a.domain
	if a.style == "forward" {
		msg.Sender = fmt.Sprintf("x%d@from%d.example", m.r.IntN(100), m.r.IntN(60))
	}
	if to == nil {
		to = []string{m.address(a, a.to(m.r))}
		if a.style == "office" && m.r.IntN(7) == 0 {
			for range 1 + m.r.IntN(3) {
				to = append(to, m.address(a, a.to(m.r)))
			}
		}
	}
	byName := m.byName()
	for _, address := range to {
		msg.Recipients = append(msg.Recipients, &Recipient{
			Address: address,
			domain:  byName[domainOf(address)],
		})
	}
	m.site.Messages = append(m.site.Messages, msg)
}

func domainOf(address string) string {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == '@' {
			return address[i+1:]
		}
	}
	return address
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
