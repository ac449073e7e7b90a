package sites

import (
	"fmt"
	"maps"
	"math"
	"time"
)

// Incidents are the kinds of incidents.
var Incidents = []string{"provider-block", "platform-block", "provider-host", "dmarc", "listed", "dns",
	"mx-down", "hoster-down", "tls", "rate-limit", "greylisting",
	"disk-full", "bad-list", "too-big", "content", "policy-domain", "app-blocked", "unsigned-host",
	"silent-app", "silent-host", "silent-site", "smarthost-down", "stuck-queue", "two", "burst-down", "ramp"}

// QuietDays are the kinds of days without an incident.
var QuietDays = []string{"working-day", "saturday", "sunday", "holiday", "newsletter", "big-newsletter",
	"new-app", "new-domains", "first-of-month",
	"old-incident", "retry-tail", "small-outages", "growth", "dirty-list", "full-mailboxes", "irregular-job",
	"monthly-batch", "moody-provider", "spam-waves", "slack-day", "past-campaign"}

// plan prepares the events of the last day.
func (m *maker) plan() {
	t := &m.site.Truth
	t.Kind = m.opt.Kind
	m.site.domains = m.domains
	if p, ok := quietPlans[m.opt.Kind]; ok {
		p(m)
		return
	}
	t.Incident = true
	if m.opt.Kind == "two" {
		kinds := []string{"provider-block", "dmarc", "mx-down", "tls", "bad-list", "policy-domain"}
		first := m.r.IntN(len(kinds))
		m.incident(kinds[first], t)
		t.Second = &Truth{Kind: kinds[(first+1+m.r.IntN(len(kinds)-1))%len(kinds)], Incident: true}
		m.incident(t.Second.Kind, t.Second)
		return
	}
	m.incident(m.opt.Kind, t)
}

// when draws the span of an incident. Half of the incidents last until the end of the
// site.
func (m *maker) when(t *Truth) span {
	begin := m.site.Last.Add(time.Duration(m.between(7.5, 17) * float64(time.Hour))).Truncate(time.Second)
	end := begin.Add(time.Duration(m.between(1.5, 7) * float64(time.Hour)))
	if m.r.IntN(2) == 0 || end.After(m.site.End) {
		end = m.site.End
	}
	t.Begin, t.End, t.Abrupt = begin, end, true
	return span{begin, end}
}

// traffic returns the number of messages of a working day that meet a condition.
func (m *maker) traffic(match func(*app, *domain) bool) (sum float64) {
	total := 0.0
	for _, a := range m.apps {
		before := 0.0
		for i, d := range a.choice {
			w := a.weight * (a.share[i] - before) / a.share[len(a.share)-1]
			before = a.share[i]
			total += w
			if match(a, d) {
				sum += w
			}
		}
	}
	return sum / total * float64(m.opt.Messages)
}

// large draws an index below n for which match accepts at least that many messages; it
// returns the index with the most messages when there is none.
func (m *maker) large(n int, least float64, match func(i int, a *app, d *domain) bool) int {
	var list []int
	most, top := 0.0, 0
	for i := range n {
		x := m.traffic(func(a *app, d *domain) bool { return match(i, a, d) })
		if x >= least {
			list = append(list, i)
		}
		if x > most {
			most, top = x, i
		}
	}
	if len(list) == 0 {
		return top
	}
	return list[m.r.IntN(len(list))]
}

// enough returns the number of messages a day that an incident must be able to meet.
func (m *maker) enough() float64 { return math.Max(50, .02*float64(m.opt.Messages)) }

func (m *maker) anOperator(named bool) *operator {
	return m.operators[m.large(len(m.operators), m.enough(), func(i int, _ *app, d *domain) bool {
		o := m.operators[i]
		return d.by == o && !o.isLocal() && (!named || o.name != "")
	})]
}

func (m *maker) anApp() *app {
	return m.apps[m.large(len(m.apps), m.enough(), func(i int, a *app, _ *domain) bool {
		return a == m.apps[i] && a.style != "forward" && a.style != "list"
	})]
}

// whereOf returns Truth.Where of an operator or, when it has only one domain, of the
// domain.
func whereOf(o *operator) []map[string]string {
	switch {
	case o.platform != "":
		return []map[string]string{{"provider": o.name, "platform": o.platform}}
	case o.name != "":
		return []map[string]string{{"provider": o.name}}
	case len(o.domains) == 1:
		return []map[string]string{{"domain": o.domains[0].name}, {"provider": o.domains[0].name}}
	}
	relay := o.relays[0]
	return []map[string]string{{"provider": relay[len("mx1."):]}}
}

func blockOf(o *operator) Reply {
	switch o.name {
	case "Google":
		return blockGmail
	case "Microsoft":
		return blockMS
	case "Yahoo":
		return blockYahoo
	}
	return blockPlain
}

func limitOf(o *operator) Reply {
	switch o.name {
	case "Google":
		return limitGmail
	case "Microsoft":
		return limitMS
	case "Yahoo":
		return limitYahoo
	}
	return limitPlain
}

func dmarcOf(o *operator) Reply {
	switch o.name {
	case "Google":
		return dmarcGmail
	case "Microsoft":
		return dmarcMS
	}
	return dmarcPlain
}

func always(r Reply) func(*Message, *Recipient) Reply {
	return func(*Message, *Recipient) Reply { return r }
}

func (m *maker) hit(t *Truth, share float64, reply func(*Message, *Recipient) Reply,
	match func(*Message, *Recipient) bool) {
	m.hits = append(m.hits, hit{m.when(t), share, match, reply, t})
}

// incident prepares an incident of a kind.
func (m *maker) incident(kind string, t *Truth) {
	incidentPlans[kind](m, t)
}

func (m *maker) host() string { return m.site.Hosts[m.r.IntN(len(m.site.Hosts))] }

// hostWhere returns Truth.Where of a host. The empty map is right too when it is the
// only host.
func (m *maker) hostWhere(host string) []map[string]string {
	if len(m.site.Hosts) == 1 {
		return []map[string]string{{}, {"host": host}}
	}
	return []map[string]string{{"host": host}}
}

var incidentPlans = map[string]func(*maker, *Truth){
	"provider-block": func(m *maker, t *Truth) {
		o := m.anOperator(true)
		t.Where, t.Reasons = whereOf(o),
			[]string{"reputation", "blocklist", "spam-content", "client-refused"}
		if o.platform != "" { // the incident meets all platforms of the provider
			t.Where = []map[string]string{{"provider": o.name}}
		}
		rep := blockOf(o)
		m.hit(t, m.between(.6, 1), always(rep), func(_ *Message, r *Recipient) bool {
			return r.domain.by == o || o.name != "" && r.domain.by.name == o.name
		})
	},
	"platform-block": func(m *maker, t *Truth) {
		var of []*operator
		for _, o := range m.operators {
			if o.platform != "" {
				of = append(of, o)
			}
		}
		o := pick(m.r, of)
		t.Where, t.Reasons = whereOf(o), []string{"reputation", "blocklist"}
		m.hit(t, m.between(.7, 1), always(blockMS), func(_ *Message, r *Recipient) bool {
			return r.domain.by == o
		})
	},
	"provider-host": func(m *maker, t *Truth) {
		o, host := m.anOperator(true), m.host()
		for _, w := range whereOf(o) {
			delete(w, "platform")
			t.Where = append(t.Where, w)
			if len(m.site.Hosts) > 1 {
				w["host"] = host
			}
		}
		t.Reasons = []string{"reputation", "blocklist", "spam-content", "client-refused"}
		m.hit(t, m.between(.7, 1), always(blockOf(o)), func(msg *Message, r *Recipient) bool {
			return msg.Host == host && r.domain.by.name == o.name
		})
	},
	"dmarc": func(m *maker, t *Truth) {
		a := m.anApp()
		t.Where, t.Reasons = []map[string]string{{"sender_domain": a.domain}}, []string{"authentication"}
		strict := map[*operator]bool{}
		for _, o := range m.operators {
			strict[o] = !o.isLocal() && (o.name != "" || m.r.IntN(2) == 0)
		}
		m.hit(t, m.between(.8, 1), func(_ *Message, r *Recipient) Reply {
			return dmarcOf(r.domain.by)
		}, func(msg *Message, r *Recipient) bool {
			return msg.app == a && strict[r.domain.by]
		})
	},
	"listed": func(m *maker, t *Truth) {
		host := m.host()
		t.Where, t.Reasons = m.hostWhere(host), []string{"blocklist"}
		uses := map[*operator]bool{}
		for i, o := range m.operators {
			uses[o] = !o.isLocal() && (i > 3 && m.r.IntN(5) > 0 || i == 2 || i == 3 && m.r.IntN(2) == 0)
		}
		m.hit(t, m.between(.85, 1), always(listed), func(msg *Message, r *Recipient) bool {
			return msg.Host == host && uses[r.domain.by]
		})
	},
	"dns": func(m *maker, t *Truth) {
		host := m.host()
		t.Where, t.Reasons = m.hostWhere(host), []string{"dns", "domain-unknown"}
		m.hit(t, m.between(.5, 1), always(dnsBroken), func(msg *Message, r *Recipient) bool {
			return msg.Host == host && !r.domain.by.isLocal()
		})
	},
	"mx-down": func(m *maker, t *Truth) {
		o := m.operators[m.large(len(m.operators), m.enough(), func(i int, _ *app, d *domain) bool {
			return d.by == m.operators[i] && len(d.by.domains) == 1 && d.by.name == ""
		})]
		t.Where, t.Reasons = whereOf(o), []string{"connection", "connection-lost"}
		m.hit(t, 1, always(pick(m.r, []Reply{timedOut, refused})), func(_ *Message, r *Recipient) bool {
			return r.domain.by == o
		})
	},
	"hoster-down": func(m *maker, t *Truth) {
		o := m.operators[m.large(len(m.operators), m.enough(), func(i int, _ *app, d *domain) bool {
			return d.by == m.operators[i] && d.by.name == "" && len(d.by.domains) > 1
		})]
		t.Where, t.Reasons = whereOf(o), []string{"connection", "connection-lost"}
		m.hit(t, 1, func(*Message, *Recipient) Reply { // connections fail in two ways
			if m.r.IntN(2) == 0 {
				return lost
			}
			return timedOut
		}, func(_ *Message, r *Recipient) bool { return r.domain.by == o })
	},
	"tls": func(m *maker, t *Truth) {
		o := m.anOperator(false)
		t.Where, t.Reasons = whereOf(o), []string{"tls"}
		m.hit(t, m.between(.8, 1), always(pick(m.r, []Reply{tlsBroken, tlsVerify})),
			func(_ *Message, r *Recipient) bool {
				return r.domain.by == o
			})
	},
	"rate-limit": func(m *maker, t *Truth) {
		o := m.anOperator(true)
		t.Where, t.Reasons = whereOf(o), []string{"rate-limited", "reputation"}
		m.hit(t, m.between(.3, .95), always(limitOf(o)), func(_ *Message, r *Recipient) bool {
			return r.domain.by == o
		})
	},
	"greylisting": func(m *maker, t *Truth) {
		o := m.anOperator(false)
		o.grey = false
		t.Where, t.Reasons, t.Remark = whereOf(o), []string{"greylisted"}, true
		seen := map[*Recipient]int{}
		m.hit(t, 1, always(greyReply), func(_ *Message, r *Recipient) bool {
			if r.domain.by != o || seen[r] > 1 {
				return false
			}
			seen[r]++
			return true
		})
	},
	"disk-full": func(m *maker, t *Truth) {
		host := m.host()
		t.Reasons = []string{"storage-full", "system", "local", "mailbox-full"}
		for _, w := range m.hostWhere(host) {
			t.Where = append(t.Where, w)
			for _, at := range []map[string]string{{"direction": "local"}, {"domain": "home.test"}} {
				maps.Copy(at, w)
				t.Where = append(t.Where, at)
			}
		}
		m.hit(t, m.between(.8, 1), always(diskFull), func(msg *Message, r *Recipient) bool {
			return msg.Host == host && r.domain.by.isLocal()
		})
	},
	"bad-list": func(m *maker, t *Truth) {
		a := m.anApp()
		t.Where, t.Reasons = []map[string]string{{"sender_domain": a.domain}}, []string{"user-unknown"}
		s := m.when(t)
		length := time.Duration(m.between(20, 90)) * time.Minute
		t.End = s.from.Add(length)
		n := int(m.enough()*m.between(1, 2.5)) + 20
		for range n {
			at := s.from.Add(time.Duration(m.r.Float64() * float64(length)))
			d := a.to(m.r)
			to := m.address(a, d)
			if m.r.Float64() < .6 && d.dead == "" {
				to = "gone-import" + to
				t.Met = append(t.Met, at)
			}
			m.message(a, at, []string{to})
		}
	},
	"too-big": func(m *maker, t *Truth) {
		a := m.anApp()
		t.Where, t.Reasons = []map[string]string{{"sender_domain": a.domain}}, []string{"too-big"}
		m.hit(t, m.between(.6, .95), always(tooBig), func(msg *Message, r *Recipient) bool {
			return msg.app == a && !r.domain.by.isLocal()
		})
	},
	"content": func(m *maker, t *Truth) {
		a := m.anApp()
		t.Where, t.Reasons = []map[string]string{{"sender_domain": a.domain}},
			[]string{"content", "spam-content", "policy"}
		m.hit(t, m.between(.6, .95), always(content), func(msg *Message, r *Recipient) bool {
			return msg.app == a && !r.domain.by.isLocal()
		})
	},
	"policy-domain": func(m *maker, t *Truth) {
		d := m.domains[m.large(len(m.domains), m.enough(), func(i int, _ *app, d *domain) bool {
			return d == m.domains[i] && !d.by.isLocal()
		})]
		t.Where = []map[string]string{{"domain": d.name}}
		if len(d.by.domains) == 1 {
			t.Where = append(t.Where, whereOf(d.by)...)
		}
		m.hit(t, m.between(.8, 1), always(policy), func(_ *Message, r *Recipient) bool {
			return r.domain == d
		})
	},
	"app-blocked": func(m *maker, t *Truth) {
		a, o := m.anApp(), m.anOperator(true)
		for _, w := range whereOf(o) {
			delete(w, "platform")
			w["sender_domain"] = a.domain
			t.Where = append(t.Where, w)
		}
		t.Reasons = []string{"reputation", "blocklist", "spam-content", "client-refused"}
		m.hit(t, m.between(.7, 1), always(blockOf(o)), func(msg *Message, r *Recipient) bool {
			return msg.app == a && r.domain.by.name == o.name
		})
	},
	// one host does not sign the mail of one sender, and one provider refuses it
	"unsigned-host": func(m *maker, t *Truth) {
		n := len(m.operators)
		pair := m.large(len(m.apps)*n, m.enough(), func(i int, a *app, d *domain) bool {
			b, o := m.apps[i/n], m.operators[i%n]
			return a == b && d.by == o && o.name != "" && !o.isLocal() && a.style != "forward" &&
				a.style != "list"
		})
		a, o := m.apps[pair/n], m.operators[pair%n]
		host := m.site.Hosts[pick(m.r, a.hosts)]
		for _, w := range whereOf(o) {
			delete(w, "platform")
			w["sender_domain"] = a.domain
			if len(a.hosts) == 1 { // the sender uses no other host
				t.Where = append(t.Where, maps.Clone(w))
			}
			if len(m.site.Hosts) > 1 {
				w["host"] = host
				t.Where = append(t.Where, w)
			}
		}
		t.Reasons = []string{"authentication"}
		m.hit(t, m.between(.8, 1), always(dmarcOf(o)), func(msg *Message, r *Recipient) bool {
			return msg.app == a && msg.Host == host && r.domain.by.name == o.name
		})
	},
	"silent-app": func(m *maker, t *Truth) {
		a := m.anApp()
		t.Where = []map[string]string{{"sender_domain": a.domain}}
		m.silence(t, func(_ *Message, b *app) bool { return a == b })
	},
	"silent-host": func(m *maker, t *Truth) {
		host := m.host()
		t.Where = m.hostWhere(host)
		m.silence(t, func(msg *Message, _ *app) bool { return msg != nil && msg.Host == host })
	},
	"silent-site": func(m *maker, t *Truth) {
		t.Where = []map[string]string{{}}
		m.silence(t, func(*Message, *app) bool { return true })
	},
	"smarthost-down": func(m *maker, t *Truth) {
		host := m.site.Hosts[len(m.site.Hosts)-1]
		m.smarthost = "smtp.relay-service.example"
		t.Where = []map[string]string{{"provider": m.smarthost}, {"relay": m.smarthost},
			{"provider": "relay-service.example"}, {"host": host}, {"host": host, "relay": m.smarthost}}
		if len(m.site.Hosts) == 1 {
			t.Where = append(t.Where, map[string]string{})
		}
		t.Reasons = []string{"connection", "connection-lost"}
		m.hit(t, 1, always(pick(m.r, []Reply{timedOut, refused})), func(msg *Message, r *Recipient) bool {
			return msg.Host == host && !r.domain.by.isLocal()
		})
	},
	"burst-down": func(m *maker, t *Truth) { // a server goes down just before its daily mail
		a := m.apps[1]
		var small []*operator
		for _, o := range m.operators {
			if o.name == "" && len(o.domains) == 1 && !o.grey && o.domains[0].dead == "" {
				small = append(small, o)
			}
		}
		o := pick(m.r, small)
		t.Where, t.Reasons, t.Soon = whereOf(o), []string{"connection"}, true
		m.hit(t, 1, always(timedOut), func(_ *Message, r *Recipient) bool { return r.domain.by == o })
		n, burst := 10+m.r.IntN(20), t.Begin.Add(time.Duration(m.between(2, 15)*float64(time.Minute)))
		for day := range m.opt.Days + 1 {
			for i := range n {
				m.message(a, burst.AddDate(0, 0, -day).Add(time.Duration(m.r.IntN(8))*time.Second),
					[]string{fmt.Sprintf("u%d@%s", i, o.domains[0].name)})
			}
		}
	},
	"ramp": func(m *maker, t *Truth) { // the share of refused mail grows over three hours
		o := m.anOperator(true)
		t.Where, t.Reasons = whereOf(o), []string{"rate-limited", "reputation"}
		m.hit(t, 1, always(limitOf(o)), func(msg *Message, r *Recipient) bool {
			return r.domain.by == o && m.r.Float64() < min(.95, msg.At.Sub(t.Begin).Hours()/3)
		})
		t.Abrupt = false
	},
	"stuck-queue": func(m *maker, t *Truth) {
		host := m.host()
		t.Where, t.Missing, t.Untried = m.hostWhere(host), true, true
		m.held, m.heldHost = []span{m.when(t)}, host
		m.held[0].to, t.End = m.site.End, m.site.End
	},
}

// silence plans an incident in which the matching mail is not sent.
func (m *maker) silence(t *Truth, quiet func(*Message, *app) bool) {
	s := m.when(t)
	t.Missing = true
	m.silent = func(msg *Message) bool { return s.holds(msg.At) && quiet(msg, msg.app) }
}

// missed counts the recipients of a message that was not sent.
func (m *maker) missed(msg *Message) { m.count(&m.site.Truth, msg.At, len(msg.Recipients)) }

var quietPlans = map[string]func(*maker){
	"working-day": func(*maker) {},
	"saturday":    func(*maker) {},
	"sunday":      func(*maker) {},
	"holiday": func(m *maker) {
		m.volume = func(t time.Time, a *app) float64 {
			if t.Before(m.site.Last) {
				return 1
			}
			return map[string]float64{"office": .1, "shop": 1.1, "machine": 1, "forward": .6,
				"list": 1}[a.style]
		}
	},
	"newsletter": func(m *maker) { m.apps[2].weekday = m.site.Last.Weekday() },
	"big-newsletter": func(m *maker) {
		a := m.apps[2]
		a.weekday = m.site.Last.Weekday()
		m.extra = func() {
			for range a.burst {
				at := m.site.Last.Add(time.Duration((a.hour + m.r.Float64()) * float64(time.Hour)))
				m.message(a, at, []string{m.address(a, a.to(m.r))})
			}
		}
	},
	"new-app": func(m *maker) {
		a := &app{domain: "brandnew.test", style: "shop", weight: 1, dirt: m.between(.001, .015), size: 9000}
		m.finish(a, len(m.apps))
		a.since = m.site.Last.Add(time.Duration(m.between(0, 12) * float64(time.Hour)))
		m.apps = append(m.apps, a)
	},
	"new-domains": func(m *maker) {
		for _, a := range m.apps {
			old := *a
			m.finish(a, 9)
			a.people, a.client, a.account, a.hosts = old.people, old.client, old.account, old.hosts
		}
	},
	"first-of-month": func(m *maker) {
		a := m.apps[1]
		m.extra = func() {
			for range m.opt.Messages / 2 {
				at := m.site.Last.Add(time.Duration(m.between(6, 9) * float64(time.Hour)))
				m.message(a, at, nil)
			}
		}
	},
	"old-incident": func(m *maker) {
		o := m.anOperator(true)
		from := m.site.Start.Add(time.Duration(m.between(24, float64(m.opt.Days-1)*24) * float64(time.Hour)))
		m.hits = append(m.hits,
			hit{span{from, from.Add(time.Duration(m.between(1, 8) * float64(time.Hour)))}, .9,
				func(_ *Message, r *Recipient) bool {
					return r.domain.by == o
				}, always(blockOf(o)), nil})
	},
	"retry-tail": func(m *maker) {
		o := m.anOperator(true)
		from := m.site.Last.Add(-time.Duration(m.between(4, 9) * float64(time.Hour)))
		t := &Truth{
			Where:   whereOf(o),
			Reasons: []string{"rate-limited", "reputation"},
			Begin:   from,
			End:     m.site.Last.Add(-time.Minute),
		}
		m.site.Truth.Earlier = t
		m.hits = append(m.hits, hit{span{t.Begin, t.End}, .9, func(_ *Message, r *Recipient) bool {
			return r.domain.by == o
		}, always(limitOf(o)), t})
	},
	"small-outages": func(m *maker) {
		for range 6 {
			o := pick(m.r, m.operators)
			if len(o.domains) == 1 && o.name == "" {
				at := m.site.Last.Add(time.Duration(m.between(6, 20) * float64(time.Hour)))
				if m.traffic(func(_ *app, d *domain) bool {
					return d.by == o
				}) < math.Max(40, .02*float64(m.opt.Messages)) {
					o.down = append(o.down, span{at, at.Add(20 * time.Minute)})
				}
			}
		}
	},
	"growth": func(m *maker) {
		m.volume = func(t time.Time, _ *app) float64 {
			return math.Pow(1.05, t.Sub(m.site.Start).Hours()/24)
		}
	},
	"dirty-list": func(m *maker) {
		m.apps[2].dirt, m.apps[2].weekday = .08, m.site.Last.Weekday()
		m.apps[2].steady = nil
		for range m.apps[2].burst {
			m.apps[2].steady = append(m.apps[2].steady, m.address(m.apps[2], m.apps[2].to(m.r)))
		}
	},
	"irregular-job": func(m *maker) { // a job sends at its hour on most days, but not on the last one
		a := &app{domain: "billing.test", style: "machine", dirt: m.between(.001, .01), size: 30_000}
		m.finish(a, len(m.apps))
		m.apps = append(m.apps, a)
		idle := map[int]bool{}
		for range 2 + m.r.IntN(3) {
			idle[m.r.IntN(m.opt.Days)] = true
		}
		m.extra = func() {
			for day := range m.opt.Days {
				for i := 0; !idle[day] && i < m.opt.Messages/8; i++ {
					at := m.site.Start.AddDate(0, 0,
						day).Add(time.Duration((a.hour + m.r.Float64()/2) * float64(time.Hour)))
					m.message(a, at, nil)
				}
			}
		}
	},
	"monthly-batch": func(m *maker) { // to the recipients of every night; two of them have a full mailbox
		a := &app{domain: "billing.test", style: "machine", size: 30_000}
		m.finish(a, len(m.apps))
		m.apps = append(m.apps, a)
		book := []string{"full1@gmail.com", "full2@gmail.com"}
		for range 30 + m.r.IntN(40) {
			book = append(book, m.address(a, a.to(m.r)))
		}
		m.extra = func() {
			for day := range m.opt.Days + 1 {
				n := 20
				if day == m.opt.Days {
					n = m.opt.Messages / 3
				}
				for range n {
					at := m.site.Start.AddDate(0, 0,
						day).Add(time.Duration((2 + m.r.Float64()) * float64(time.Hour)))
					m.message(a, at, []string{pick(m.r, book)})
				}
			}
		}
	},
	// the share that a provider refuses varies by a factor of three between days, and
	// also between hours
	"moody-provider": func(m *maker) {
		o := m.anOperator(true)
		o.fussy = m.between(.01, .05)
		factors := func(n int, most float64) (list []float64) {
			for range n {
				list = append(list, math.Pow(most, m.between(-.5, .5)))
			}
			return list
		}
		days, hours := factors(m.opt.Days+1, 3), factors(24*(m.opt.Days+1), 4)
		o.mood = func(t time.Time) float64 {
			h := min(int(t.Sub(m.site.Start).Hours()), len(hours)-1)
			return days[h/24] * hours[h]
		}
	},
	// mailboxes forward the spam that they receive; on most days spam comes in waves
	"spam-waves": func(m *maker) {
		a := &app{domain: "forward.test", style: "forward", weight: .3, size: 9000}
		m.finish(a, len(m.apps))
		m.apps = append(m.apps, a)
		m.extra = func() {
			for day := range m.opt.Days + 1 {
				for range max(m.r.IntN(4)-1, day/m.opt.Days, one(day < 2)) { // at least one on the last day
					at := m.site.Start.AddDate(0, 0,
						day).Add(time.Duration(m.between(0, 21) * float64(time.Hour)))
					length := m.between(.25, 2)
					for range int(float64(m.opt.Messages) * m.between(.03, .08)) {
						m.message(a, at.Add(time.Duration(m.r.Float64()*length*float64(time.Hour))), nil)
						m.site.Messages[len(m.site.Messages)-1].spam = true
					}
				}
			}
		}
	},
	"slack-day": func(m *maker) { // the day between a holiday and a weekend: all send less
		share := m.between(.6, .8)
		m.volume = func(t time.Time, _ *app) float64 {
			if t.Before(m.site.Last) {
				return 1
			}
			return share
		}
	},
	// on one or two earlier days a sender sent much mail at one hour
	"past-campaign": func(m *maker) {
		a, hour, n := m.anApp(), m.between(7, 18), 1+m.r.IntN(2)
		m.extra = func() {
			for _, day := range m.r.Perm(m.opt.Days)[:n] {
				for range m.opt.Messages / 3 {
					m.message(a, m.site.Start.AddDate(0, 0,
						day).Add(time.Duration((hour+m.r.Float64())*float64(time.Hour))), nil)
				}
			}
		}
	},
	"full-mailboxes": func(m *maker) {
		for _, a := range m.apps {
			a.dirt *= 1.5
		}
	},
}
